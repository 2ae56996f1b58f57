# The registration with an authorization server that is not ours: Django OAuth Toolkit, and an API behind it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Service;
use PostgreSQL::Test::Utils;
use Test::More;

my $id = 'sync client';
my $secret = q{a+b&c%2Fd/e f==== x%zz:;"'\\};
my $password = 'pass+word & more %20';

sub start_service
{
	my ($expires_in) = @_;
	return CxoneSync::Service->start("$FindBin::RealBin/../oauth/server",
		{ OAUTH_CLIENT_ID => $id, OAUTH_CLIENT_SECRET => $secret, OAUTH_USERNAME => 'ada', OAUTH_PASSWORD => $password,
			OAUTH_EXPIRES_IN => $expires_in });
}

my $service = start_service(3600);
my $node = start_node('oauth',
	api_url => $service->url, token_url => $service->url . '/o/token/', endpoint_url => 'https://sync.example.com/webhook',
	client_id => $id, client_secret_file => secret_file('secret', $secret), registration_interval => '1d');

sub tokens { return $service->get('/_sim/tokens'); }
sub set { my %settings = @_; return registration_after($node, sub { set_settings($node, %settings); }); }
sub check_anew { return registration_after($node, sub { sql($node, 'SELECT cxone_sync.register_data_action()'); }); }

# ---- client credentials ----

wait_for_registration($node, 'registered');
is(tokens(), 1, 'registered by one token, with the credentials in the body');
is(check_anew(), 'registered', 'checked again');
is(tokens(), 1, 'by the same token');

$service->post('/_sim/revoke');
is(check_anew(), 'registered', 'a token that was revoked');
is(tokens(), 2, 'is fetched once more');

is(set(token_authentication => 'basic'), 'registered', 'with the credentials in a header');
is(tokens(), 3, 'a reload drops the token');

is(set(scope => 'dataaction:read dataaction:delete'), 'failed', 'a scope that is not given');
like(registration_of($node, 'last_error'), qr/could not get a token .*status 400, invalid_scope/, 'in the words of the service');
is(set(scope => 'dataaction:read'), 'registered', 'reading is enough where nothing is to be changed');
is(set(data_action_name => 'Another'), 'failed', 'and not where something is');
like(registration_of($node, 'last_error'), qr/status 403, You do not have permission/, 'in the words of the service');
is(set(scope => 'dataaction:read dataaction:write'), 'registered', 'until it may');

is(set(client_secret_file => secret_file('wrong', 'wrong')), 'failed', 'a wrong secret');
like(registration_of($node, 'last_error'), qr/status 401, invalid_client/, 'in the words of the service');
like(registration_of($node, 'hint'), qr/client_id/, 'with a hint');

# ---- the password of a user ----

is(set(token_grant => 'password', client_id => "$id-password", api_username => 'ada',
	client_secret_file => secret_file('secret', $secret), api_password_file => secret_file('password', $password)),
	'registered', 'with the password of a user');
is(set(token_authentication => 'body'), 'registered', 'the same with the credentials in the body');

# ---- tokens that expire ----

$service->stop;
$service = start_service(1);
is(set(token_grant => 'client_credentials', client_id => $id, api_url => $service->url, token_url => $service->url . '/o/token/'),
	'registered', 'where tokens live a second');
my $before = tokens();
poll(sub { check_anew(); return tokens() > $before; }, 'a token that has expired is replaced');
is(registration_of($node, 'state'), 'registered', 'and nobody notices');

is(registration_after($node, sub { sql($node, 'SELECT cxone_sync.unregister_data_action()'); }), 'unregistered', 'unregistered');

stop_and_check($node);
my $log = slurp_file($node->logfile);
unlike($log, qr/\Q$_\E/, 'a secret is not in the log') foreach $secret, $password;
done_testing();
