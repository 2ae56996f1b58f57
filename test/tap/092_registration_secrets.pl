# The secrets of the registration: every way to give them, every way to ask for a token, TLS; and that none of them shows
# up anywhere, whatever the service does.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Service;
use CxoneSync::Simulator;
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = $PostgreSQL::Test::Utils::tmp_check;
my $cxone = CxoneSync::Simulator->start;
my %secrets = (client_secret => $CxoneSync::Simulator::client_secret, password => $CxoneSync::Simulator::password);
my $file = secret_file('client_secret', $secrets{client_secret});
my $node = start_node('secrets', $cxone->registration, max_retries => 0);
my @seen; # all that was shown

sub set { my %settings = @_; return registration_after($node, sub { set_settings($node, %settings); }); }
sub reload { return registration_after($node, sub { $node->reload; }); }
sub check { return registration_after($node, sub { sql($node, 'SELECT cxone_sync.register_data_action()'); }); }
sub last_error { return registration_of($node, 'last_error'); }
# Keeps all that SQL and the system show of us now.
sub look
{
	push @seen, sql($node, 'SELECT * FROM cxone_sync.data_action'), sql($node, 'SELECT * FROM cxone_sync.sync_status'),
	  sql($node, 'SELECT * FROM pg_stat_activity'), sql($node, q{SELECT * FROM pg_settings WHERE name LIKE 'cxone_sync.%'}),
	  (map { sql($node, "SHOW cxone_sync.$_") } qw(client_secret api_password)),
	  map { command_line($_) } split /\n/, sql($node, 'SELECT pid FROM pg_stat_activity');
	return;
}
# Empty if the process has gone, as the session that asked for it has.
sub command_line { my $pid = shift; open my $in, '<', "/proc/$pid/cmdline" or return ''; local $/; return <$in> // ''; }

wait_for_registration($node, 'registered');
look();

# ---- a file ----

foreach my $case (
	[ sub { chmod 0644, $file }, qr/"\Q$file\E": group or others have access/, 'a file that others may read' ],
	[ sub { chmod 0600, $file; rename $file, "$file.away" }, qr/could not be opened: No such file/, 'a file that is missing' ],
	[ sub { mkdir $file }, qr/no regular file/, 'a directory' ],
	[ sub { rmdir $file; open my $out, '>', $file; chmod 0600, $file }, qr/it is empty/, 'an empty file' ])
{
	my ($break, $error, $what) = @$case;
	$break->();
	is(reload(), 'failed', $what);
	like(last_error(), $error, 'is told');
}
is(set(client_secret_file => ''), 'failed', 'no secret at all');
like(last_error() . registration_of($node, 'hint'), qr/client_secret is not set.*client_secret_file/, 'is told');
unlink $file;
rename "$file.away", $file;
is(set(client_secret_file => $file), 'registered', 'the file is back');
secret_file('client_secret', 'another secret====');
is(reload(), 'failed', 'another secret in the file');
like(last_error(), qr/status 401/, 'is used after a reload');
secret_file('client_secret', $secrets{client_secret});
is(reload(), 'registered', 'and so is the right one');
look();

# ---- a setting ----

# the server itself logs changed settings, with their text
is(set(client_secret_file => '', client_secret => $secrets{client_secret}), 'registered', 'a secret as a setting');
is(sql($node, 'SHOW cxone_sync.client_secret'), '********', 'is not shown');
look();
is(set(client_secret => 'another secret===='), 'failed', 'another one');
is(set(client_secret => $secrets{client_secret}), 'registered', 'is used after a reload');
$node->restart;
wait_for_registration($node, 'registered');
sql($node, 'CREATE ROLE plain LOGIN');
foreach my $sql ('SHOW cxone_sync.client_secret', 'SELECT * FROM cxone_sync.data_action', 'SELECT cxone_sync.register_data_action()')
{
	my ($rc, $out, $error) = $node->psql('postgres', $sql, extra_params => [ '-U', 'plain' ]);
	like($error, qr/permission denied|must be/, "$sql is not for everybody");
}
sql($node, 'GRANT pg_monitor TO plain');
like(sql($node, 'SET ROLE plain; SELECT state FROM cxone_sync.data_action'), qr/registered/, 'whoever watches sees data_action');

# ---- every way to ask for a token ----

my %user = (api_username => $CxoneSync::Simulator::username, api_password_file => secret_file('password', $secrets{password}));
foreach my $way (
	[ '/auth/token', 'form', 'body', 'client_credentials' ],
	[ '/engager/2.0/token', 'json', 'body', 'client_credentials' ],
	[ '/InContactAuthorizationServer/Token', 'form', 'basic', 'client_credentials' ],
	[ '/InContactAuthorizationServer/Token', 'form', 'basic', 'password' ],
	[ '/authentication/v1/token/access-key', 'form', 'body', 'access_key' ])
{
	my ($path, $format, $authentication, $grant) = @$way;
	$cxone->forget;
	is(set(token_url => $cxone->url . $path, token_format => $format, token_authentication => $authentication, token_grant => $grant, %user),
		'registered', "$grant at $path, $format, $authentication");
	is(($cxone->requests)[0]{path}, $path, 'by that way');
	look();
}
is(set(api_password_file => '', api_password => $secrets{password}, token_url => $cxone->url . '/InContactAuthorizationServer/Token',
	token_authentication => 'basic', token_grant => 'password'), 'registered', 'a password as a setting');
look();
is(set(token_fields => 'bearer'), 'failed', 'another name for the token');
like(last_error(), qr/no text at "bearer"/, 'is looked for');
is(set(token_fields => 'bearer, access_token', token_grant => 'client_credentials', token_authentication => 'body', token_url => ''), 'registered', 'among others');

# ---- a service that repeats what it was sent ----

foreach my $route (qw(token list create update))
{
	foreach my $way ([ body => 'form' ], [ body => 'json' ], [ basic => 'form' ])
	{
		next if $route ne 'token' && $way->[1] eq 'json';
		$cxone->delete('/_sim/faults');
		$cxone->delete('/_sim/actions') if $route eq 'create';
		$cxone->faults([ on => $route, kind => 'echo' ]);
		my $state = set(token_authentication => $way->[0], token_format => $way->[1], token_url => $cxone->url . (
			$way->[0] eq 'basic' ? '/InContactAuthorizationServer/Token' : $way->[1] eq 'json' ? '/engager/2.0/token' : '/oauth2/token'),
			data_action_description => "$route @$way");
		is($state, 'failed', "all that was sent with $route (@$way) comes back");
		like(last_error(), qr/\*\*\*/, 'without the secrets');
		look();
		$cxone->delete('/_sim/faults');
		is(check(), 'registered', 'it goes on');
	}
}

# ---- TLS ----

my $openssl = 'openssl req -x509 -newkey rsa:2048 -nodes -days 2';
foreach my $host (qw(localhost other.example.com))
{
	system("$openssl -subj /CN=$host -addext subjectAltName=DNS:$host -keyout $dir/$host.key -out $dir/$host.crt 2>/dev/null") == 0
	  or die 'openssl';
}
my $tls = CxoneSync::Simulator->start('--tls-cert', "$dir/localhost.crt", '--tls-key', "$dir/localhost.key");
is(set(api_url => $tls->url, token_url => '', token_authentication => 'body', token_format => 'form'), 'failed', 'a certificate that nobody knows');
like(last_error(), qr/could not get a token from https:.*certificate/i, 'is not trusted');
is(scalar($tls->requests), 0, 'and nothing is sent');
is(set(api_ca_file => "$dir/localhost.crt"), 'registered', 'with api_ca_file it is');
is(scalar($tls->actions), 1, 'by TLS');
my $other = CxoneSync::Simulator->start('--tls-cert', "$dir/other.example.com.crt", '--tls-key', "$dir/other.example.com.key");
is(set(api_url => $other->url, api_ca_file => "$dir/other.example.com.crt"), 'failed', 'the certificate of another host');
like(last_error(), qr/name|match/i, 'is not trusted');
is(scalar($other->requests), 0, 'and nothing is sent');
is(set(api_ca_file => "$dir/nothing.crt"), 'failed', 'no certificates at all');
like(last_error(), qr{nothing\.crt}, 'is told');
my $plain = 'https://localhost:' . $cxone->port;
is(set(api_url => $plain, api_ca_file => ''), 'failed', 'a service without TLS');
look();

# ---- nowhere ----

my @tokens = map { @{ $_->get('/_sim/tokens')->{all} } } $cxone, $tls;
cmp_ok(scalar(@tokens), '>', 10, 'tokens to look for');
$_->stop foreach $cxone, $tls, $other;
stop_and_check($node);
push @seen, slurp_file($node->logfile);
my $seen = join "\n", @seen;
like($seen, qr/parameter "cxone_sync.client_id" changed|parameter "cxone_sync.token_format" changed/, 'the log is one that shows changed settings');
foreach my $secret (values %secrets, 'another secret====', @tokens)
{
	my $encoded = $secret =~ s/([^A-Za-z0-9._~-])/sprintf '%%%02X', ord $1/ger;
	foreach my $form ($secret, $encoded, $encoded =~ s/%20/+/gr, lc $encoded)
	{
		next if index($seen, $form) < 0;
		fail("$form shows up") and diag(substr $seen, index($seen, $form) - 200, 400);
	}
}
pass('no secret and no token shows up');
done_testing();
