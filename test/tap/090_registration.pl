# The registration with CXone: made once, kept as the settings want it, and never in the way of deliveries.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Service;
use CxoneSync::Simulator;
use JSON::PP ();
use Test::More;

my $cxone = CxoneSync::Simulator->start;
my $node = start_node('registration');
my $webhook = 'http://127.0.0.1:' . webhook_port($node) . '/webhook';

sub set { my %settings = @_; return registration_after($node, sub { set_settings($node, %settings); }); }
sub check { return registration_after($node, sub { sql($node, 'SELECT cxone_sync.register_data_action()'); }); }
sub registrar { return sql($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cxone_sync registrar'"); }
# What a statement that fails says.
sub error_of { my $sql = shift; my ($rc, $out, $error) = $node->psql('postgres', $sql); return $error; }

# ---- not set up ----

is(registration_of($node, 'state'), 'off', 'without an API there is nothing to register');
is(registrar(), '', 'and no connection is held for it');
like(error_of('SELECT cxone_sync.register_data_action()'), qr/api_url is not set\nHINT: .*endpoint_url/, 'register_data_action() says what is missing');

foreach my $case (
	[ api_url => 'http://api.example.com', qr/secrets are only sent by https/ ],
	[ api_url => 'https://user:word@api.example.com', qr/credentials have no place/ ],
	[ api_url => 'api.example.com', qr/no absolute URL/ ],
	[ api_url => 'https://api.example.com?x=1', qr/query/ ],
	[ token_url => 'ftp://api.example.com', qr/scheme/ ],
	[ endpoint_url => '/webhook', qr/no absolute URL/ ],
	[ data_actions_path => 'api', qr/no absolute path/ ],
	[ data_action_name => '', qr/name is needed/ ],
	[ token_fields => ' , ', qr/name is needed/ ])
{
	my ($name, $value, $why) = @$case;
	my $error = error_of("ALTER SYSTEM SET cxone_sync.$name = '$value'");
	ok($error =~ $why && $error =~ /HINT: .*example/, "$name = '$value' is refused") or diag($error);
}

# ---- made once ----

is(set(api_url => $cxone->url), 'failed', 'an API alone');
like(registration_of($node, 'last_error'), qr/endpoint_url is not set/, 'is not enough');
is(set($cxone->registration, endpoint_url => $webhook), 'registered', 'with four settings it is registered');

my ($action) = $cxone->actions;
my ($token, @calls) = $cxone->requests;
is_deeply([ @{$token}{qw(method path body http_version)} ],
	[ 'POST', '/oauth2/token', 'grant_type=client_credentials&client_id=sync%20client&client_secret=a%2Bb%26c%252Fd%2Fe%20f%3D%3D%3D%3D'
		. '&scope=dataaction%3Aread%20dataaction%3Awrite', '1.1' ], 'the token is asked for by the contract');
is($token->{headers}{accept}, 'application/json', 'as JSON');
is($token->{headers}{'content-type'}, 'application/x-www-form-urlencoded', 'with a form');
is(join(' ', map { $_->{route} } @calls), 'list create list', 'then the list is read, the Data Action made, the list read again');
is_deeply(JSON::PP::decode_json($calls[1]{body}),
	{ name => 'PostgresSyncConsumer', description => 'Sends contact records to PostgreSQL.', endpointUrl => $webhook, format => 'json' },
	'it is made by the contract');
is(sql($node, "SELECT state, name, remote_id, endpoint_url, remote_status, duplicates, others, last_check BETWEEN now() - interval '1 minute' AND now(), next_try > now() + interval '23 hours' FROM cxone_sync.data_action"),
	"registered|PostgresSyncConsumer|$action->{id}|$webhook|ACTIVE|0|0|t|t", 'data_action shows it');
wait_for_log($node, qr/Data Action "\Q$action->{id}\E" created at CXone, for \Q$webhook\E/);

# and CXone delivers
my $replies = $cxone->post('/_sim/deliver', { events => [ { id => 'delivered', email => 'a@b.c' } ] });
is_deeply([ map { "$_->{status} $_->{url}" } @$replies ], ["200 $webhook"], 'CXone delivers to where it was told');
is(sql($node, "SELECT email FROM cxone_sync.contact_records WHERE id = 'delivered'"), 'a@b.c', 'and what it delivers is stored');

my $ids = $cxone->ids;
is(check(), 'registered', 'asked to once more');
is($cxone->ids, $ids, 'it registers nothing twice');
my $pid = registrar();
registration_after($node, sub { sql($node, "SELECT pg_terminate_backend($pid)"); });
wait_for_registration($node, 'registered');
is($cxone->ids, $ids, 'nor does another registrar');
$node->restart;
wait_for_registration($node, 'registered');
is($cxone->ids, $ids, 'nor does one after a restart of the server');

# ---- kept as the settings want it ----

$cxone->forget;
is(set(data_action_description => 'mine'), 'registered', 'another description');
is($cxone->routes, 'token list update list', 'updates it');
is(($cxone->actions)[0]{description}, 'mine', 'at CXone');
is(set(endpoint_url => 'https://moved.example.com/webhook'), 'registered', 'another endpoint');
is(set(data_action_name => 'Renamed'), 'registered', 'and another name');
is_deeply([ map { "$_->{id} $_->{name} $_->{endpointUrl}" } $cxone->actions ], ["$ids Renamed https://moved.example.com/webhook"], 'move it');
is(registration_of($node, "name || ' ' || endpoint_url"), 'Renamed https://moved.example.com/webhook', 'as data_action shows');
# the service may write the URL in another way
is(set(endpoint_url => 'https://Moved.example.com:443/webhook/'), 'registered', 'the same endpoint, spelt otherwise');
$cxone->forget;
is(check(), 'registered', 'is the same');
is($cxone->routes, 'list', 'and needs no update');

$cxone->delete('/_sim/actions');
set_settings($node, registration_interval => '1s');
poll(sub { $cxone->ids }, 'what is deleted at CXone comes back by itself');
set_settings($node, registration_interval => '1d');
is(scalar($cxone->actions), 1, 'what is deleted at CXone comes back, once');
is(check(), 'registered', 'registered');

# of another server, or of nobody's concern
my %mine = (name => 'Renamed', endpointUrl => 'https://moved.example.com/webhook', format => 'json');
$cxone->post('/_sim/actions', [ { %mine, endpointUrl => 'https://other.example.com/webhook' }, { name => 'unrelated' }, { name => 'Unrelated', endpointUrl => undef } ]);
$ids = $cxone->ids;
is(check(), 'registered', 'others of the same name');
is(registration_of($node, "duplicates || ' ' || others"), '0 1', 'are counted');
is($cxone->ids, $ids, 'and left alone');

# ---- duplicates ----

$cxone->post('/_sim/actions', [ {%mine}, {%mine} ]);
is(check(), 'registered', 'duplicates');
is(registration_of($node, "duplicates || ' ' || others"), '2 1', 'are reported');
wait_for_log($node, qr/2 further Data Actions have that name and endpoint\n.*HINT: .*remove_duplicates/);
is(scalar($cxone->actions), 6, 'and left');
is(set(remove_duplicates => 'on'), 'registered', 'with remove_duplicates');
is($cxone->ids, $ids, 'they are removed, and nothing else');
is(registration_of($node, 'duplicates'), '0', 'none is left');

# ---- lists of every shape ----

$cxone->delete('/_sim/actions');
$cxone->post('/_sim/actions', [ (map { { name => "other $_" } } 1 .. 5), {%mine}, { name => 'last' } ]);
$ids = $cxone->ids;
foreach my $shape (qw(array dataActions items data resultSet))
{
	$cxone->settings(list_shape => $shape);
	check();
	is($cxone->ids, $ids, "a list as $shape");
}
foreach my $paging (qw(link links hal next))
{
	$cxone->settings(list_shape => 'items', page_size => 2, paging => $paging);
	$cxone->forget;
	is(check(), 'registered', "a list in pages, by $paging");
	is($cxone->routes, 'list list list list', 'is read to its end');
	is($cxone->ids, $ids, 'and ours is found there');
}
foreach my $case (
	[ 'http://localhost:1/api/v2/dataactions', qr/said to be at another host/, 'a page at another port' ],
	[ 'https://evil.example.com/', qr/said to be at another host/, 'a page at another host' ],
	[ '/api/v2/dataactions?page=1', qr/go round in a circle/, 'pages without an end' ])
{
	my ($next, $error, $what) = @$case;
	$cxone->settings(paging => 'next', next_url => $next);
	is(check(), 'failed', $what);
	like(registration_of($node, 'last_error'), $error, 'is told');
	is($cxone->ids, $ids, 'and nothing is created');
}
$cxone->settings(page_size => 0, next_url => '', paging => 'none', list_shape => 'dataActions');

$cxone->delete('/_sim/actions');
$cxone->settings(id_type => 'number');
is(check(), 'registered', 'numbers as ids');
like($cxone->ids, qr/^\d{18}$/, 'of 18 digits');
is(registration_of($node, 'remote_id'), $cxone->ids, 'keep all of them');
is(set(data_action_description => 'changed'), 'registered', 'also where the id is sent');
is(($cxone->actions)[0]{description}, 'changed', 'as it must be');

# ---- unregistered ----

is(registration_after($node, sub { sql($node, 'SELECT cxone_sync.unregister_data_action()'); }), 'unregistered', 'unregistered');
is($cxone->ids, '', 'it is removed at CXone');
is(sql($node, 'SELECT remote_id IS NULL, next_try IS NULL FROM cxone_sync.data_action'), 't|t', 'data_action shows that');
$cxone->forget;
$node->restart;
wait_for_registration($node, 'unregistered');
is($cxone->ids, '', 'it stays so over a restart');
unlike($cxone->routes, qr/create/, 'without any attempt');
sql($node, 'BEGIN; SELECT cxone_sync.register_data_action(); ROLLBACK');
$cxone->forget;
is(sql($node, 'SELECT count(*) FROM cxone_sync.unregistration'), 1, 'a call that is rolled back');
is($cxone->routes, '', 'changes nothing');
is(check(), 'registered', 'and comes back when asked for');
is(scalar($cxone->actions), 1, 'once');

# ---- what it waits for ----

my $session = open_session($node);
$session->run(q{SELECT pg_advisory_lock(hashtextextended('cxone_sync.data_action', 0))});
$cxone->forget;
sql($node, 'SELECT cxone_sync.register_data_action()');
wait_for_registration($node, 'waiting');
like(registration_of($node, 'last_error'), qr/advisory lock/, 'another session holds the lock');
is($cxone->routes, '', 'nothing is asked meanwhile');
$session->close;
wait_for_registration($node, 'registered');
like($cxone->routes, qr/^(token )?list$/, 'then it is');

# the endpoint
$node->append_conf('postgresql.conf', "default_transaction_read_only = on\n");
$node->reload;
poll(sub { status_of($node, 'ready') eq 'false' }, 'the database cannot be written');
$cxone->delete('/_sim/actions');
sql($node, 'SET default_transaction_read_only = off; SELECT cxone_sync.register_data_action()');
wait_for_registration($node, 'waiting');
like(registration_of($node, 'last_error'), qr/endpoint takes no deliveries/, 'an endpoint that takes no deliveries');
is($cxone->ids, '', 'is not registered');
$node->append_conf('postgresql.conf', "default_transaction_read_only = off\n");
$node->reload;
wait_for_registration($node, 'registered');
is(scalar($cxone->actions), 1, 'until it does');

# a lock on one table concerns nobody else: what is not registered would get no delivery that shows it to be over
$session = open_session($node);
$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records IN EXCLUSIVE MODE');
retry_is(deliver($node, events_json({ id => 'locked' })), 'a delivery while the table is locked');
is(status_of($node, 'ready') . ' ' . status_of($node, 'state'), 'true waiting', 'which the worker notes, and is ready');
$cxone->delete('/_sim/actions');
is(check(), 'registered', 'an endpoint that has sent a delivery back is registered');
is(scalar($cxone->actions), 1, 'once');
$session->close;
poll(sub { deliver($node, events_json({ id => 'locked' }))->{status} == 200 }, 'deliveries are taken again');

# the extension
sql($node, 'DROP EXTENSION cxone_sync');
wait_for_log($node, qr/extension "cxone_sync" does not exist/);
is(scalar($cxone->actions), 1, 'without the extension the registration stays');
sql($node, 'CREATE EXTENSION cxone_sync');
wait_for_registration($node, 'registered');
is(scalar($cxone->actions), 1, 'and is found when it is back');

# ---- never in the way ----

my $other = 'other_database';
sql($node, "CREATE DATABASE $other");
my $told = 'deliveries are written to database "?postgres"?, not to this one';
like(($node->psql($other, 'CREATE EXTENSION cxone_sync'))[2], qr/WARNING:  $told/, 'another database is told that it gets no deliveries');
like($node->safe_psql($other, 'SELECT warning FROM cxone_sync.targets'), qr/^$told$/, 'and its targets tell so');
like(($node->psql($other, 'SELECT cxone_sync.register_data_action()'))[2], qr/made by database "postgres"/, 'nor does it register');
is(sql($node, 'SELECT warning IS NULL FROM cxone_sync.targets'), 't', 'the one that gets them is not warned');
set_settings($node, api_timeout => '10min', token_timeout => '10min');
$cxone->forget;
$cxone->faults([ on => 'list', kind => 'hang' ]);
sql($node, 'SELECT cxone_sync.register_data_action()');
poll(sub { $cxone->routes =~ /list/ }, 'the service does not answer');
applied_is(deliver($node, events_json({ id => 'meanwhile' })), '1 0 0', 'deliveries are taken meanwhile');
is(sql($node, "SELECT state, xact_start IS NULL, wait_event_type FROM pg_stat_activity WHERE backend_type = 'cxone_sync registrar'"),
	'idle|t|Extension', 'no transaction is open');
is(sql($node, 'SELECT next_try IS NULL FROM cxone_sync.data_action'), 't', 'no other try is due');
sql($node, "DROP DATABASE $other");
pass('another database can be dropped');
$pid = registrar();
sql($node, "SELECT pg_terminate_backend($pid)");
poll(sub { my $now = registrar(); return $now && $now ne $pid; }, 'the registrar ends while it waits, and comes back', 20);
wait_for_registration($node, 'registered');
$cxone->faults([ on => 'token', kind => 'hang' ]);
set_settings($node, api_timeout => '9min');
poll(sub { ($cxone->requests)[-1]{route} eq 'token' }, 'it waits for a token');
set_settings($node, api_url => '');
$node->stop('fast');
pass('and so does the server');
$node->start;
wait_for_state($node, 'running');
is(registration_of($node, 'state'), 'off', 'without the setting all is as before');

$cxone->stop;
stop_and_check($node);
done_testing();
