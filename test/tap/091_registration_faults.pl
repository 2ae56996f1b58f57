# The registration on bad days of the service: what it repeats and when, and replies of every kind of malice.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Service;
use CxoneSync::Simulator;
use PostgreSQL::Test::Utils;
use Test::More;

my $cxone = CxoneSync::Simulator->start;
my $node = start_node('faults', $cxone->registration, max_retries => 0, api_timeout => '10s', token_timeout => '10s');

sub check { return registration_after($node, sub { sql($node, 'SELECT cxone_sync.register_data_action()'); }); }
sub last_error { return registration_of($node, 'last_error'); }
# Seconds between two requests.
sub gaps { my @at = map { $_->{at} } @_; return map { $at[$_] - $at[ $_ - 1 ] } 1 .. $#at; }
# With a token or without one.
sub fresh { $cxone->post('/_sim/tokens/revoke', {}); $cxone->delete('/_sim/faults'); $cxone->forget; return; }

wait_for_registration($node, 'registered');
my $ids = $cxone->ids;

# ---- what is repeated, and when ----

# a reload has a check made: when it is over, the setting is in force
is(registration_after($node, sub { set_settings($node, max_retries => 2); }), 'registered', 'with retries');
foreach my $status (429, 500, 503)
{
	fresh();
	$cxone->faults([ on => 'list', kind => 'status', status => $status, body => '{"message": "come again"}' ]);
	is(check(), 'retrying', "status $status");
	like(last_error(), qr/status $status, come again/, 'is told');
	ok(sql($node, "SELECT next_try - last_error_at BETWEEN interval '1 s' AND interval '1.3 s' FROM cxone_sync.data_action") eq 't', 'and repeated after a second');
	wait_for_registration($node, 'registered');
}

fresh();
$cxone->faults([ on => 'any', kind => 'cut', times => -1 ]);
is(check(), 'retrying', 'a service that is not there');
wait_for_registration($node, 'failed');
my @requests = $cxone->requests;
is(scalar(@requests), 3, 'is asked three times with max_retries = 2');
my @gaps = gaps(@requests);
ok($gaps[0] >= 0.99 && $gaps[1] >= 1.99, 'after a second, then after two') or diag("@gaps");
ok(sql($node, "SELECT next_try > now() + interval '23 h' FROM cxone_sync.data_action") eq 't', 'then not before the next regular check');
$cxone->delete('/_sim/faults');
is(registration_after($node, sub { $node->reload; }), 'registered', 'or a reload');

foreach my $kind (qw(retry_after_seconds retry_after_date))
{
	fresh();
	$cxone->faults([ on => 'list', kind => $kind, seconds => 100 ]);
	is(check(), 'retrying', $kind);
	ok(sql($node, "SELECT next_try - last_error_at BETWEEN interval '98 s' AND interval '101 s' FROM cxone_sync.data_action") eq 't', 'is obeyed');
	$cxone->forget;
	my $log = log_position($node);
	$node->reload;
	wait_for_log($node, qr/received SIGHUP/, $log);
	is($cxone->routes, '', 'also when the configuration is read again');
	is(check(), 'registered', 'but not when somebody asks');
	$cxone->faults([ on => 'list', kind => $kind, seconds => 100 ]);
	is(check(), 'retrying', $kind);
	is(registration_after($node, sub { set_settings($node, scope => $kind) }), 'registered', 'and not when the settings have changed');
}
fresh();
$cxone->faults([ on => 'list', kind => 'status', status => 429, headers => { 'Retry-After' => '4000000000' } ]);
is(check(), 'retrying', 'a wait of a century');
# by us, and to six hours by libcurl, in newer versions
ok(sql($node, "SELECT next_try BETWEEN now() + interval '5 h' AND now() + interval '25 h' FROM cxone_sync.data_action") eq 't', 'is cut to a day');
is(check(), 'registered', 'it goes on');

fresh();
$cxone->faults([ on => 'list', kind => 'status', status => 404, body => 'no such thing' ]);
is(check(), 'failed', 'another 4xx');
like($cxone->routes, qr{^(token )?list$}, 'is not repeated');
like(last_error(), qr/status 404, no such thing/, 'and told');

# ---- tokens ----

fresh();
$cxone->faults([ on => 'list', kind => 'unauthorized' ]);
is(check(), 'registered', '401 once');
like($cxone->routes, qr/^(token )?(list )?list token list$/, 'drops the token, and fetches one once more');
fresh();
$cxone->faults([ on => 'list', kind => 'unauthorized', times => 2 ]);
is(check(), 'failed', '401 again');
is(scalar(grep { $_->{route} eq 'list' } $cxone->requests) <= 3, 1, 'is not repeated for ever');
like(last_error(), qr/status 401/, 'and told');
$cxone->settings(expires_in => 1);
fresh();
is(check(), 'registered', 'a token that lives a second');
poll(sub { $cxone->forget; check(); return $cxone->routes eq 'token list'; }, 'is renewed before it is refused');
$cxone->settings(expires_in => 3600);

# ---- a reply that is lost creates nothing twice ----

foreach my $kind (qw(applied_then_cut applied_then_status))
{
	fresh();
	$cxone->delete('/_sim/actions');
	$cxone->faults([ on => 'create', kind => $kind ]);
	is(check(), 'retrying', "a creation that is $kind");
	wait_for_registration($node, 'registered');
	is(scalar($cxone->actions), 1, 'is found when it is tried again');
	is(scalar(grep { $_->{route} eq 'create' } $cxone->requests), 1, 'and not created twice');
}
# one that never shows up in the list
fresh();
$cxone->delete('/_sim/actions');
$cxone->faults([ on => 'list', kind => 'status', status => 200, body => '{"dataActions":[]}', times => -1 ]);
is(check(), 'failed', 'one that is not listed');
like(last_error(), qr/has accepted Data Action "[^"]+", and does not list it/, 'is told');
is(registration_after($node, sub { $node->reload; }), 'failed', 'checked again');
is(scalar($cxone->actions), 1, 'it is not created twice');
$cxone->delete('/_sim/faults');
is(registration_after($node, sub { $node->reload; }), 'registered', 'once it is listed all is well');
# one that the service changes
my $changed = 'https://changed.example.com/';
fresh();
$cxone->delete('/_sim/actions');
$cxone->faults([ on => 'list', kind => 'status', status => 200, body => '{"dataActions":[]}' ],
	[ on => 'list', kind => 'status', status => 200, times => -1,
		body => qq({"dataActions":[{"id":"da-1","name":"PostgresSyncConsumer","endpointUrl":"$changed"}]}) ],
	[ on => 'create', kind => 'status', status => 201, body => '{"id":"da-1"}' ]);
is(check(), 'failed', 'one that is listed with another endpoint');
like(last_error(), qr/shows Data Action "da-1" as "PostgresSyncConsumer" with endpoint "\Q$changed\E", not as it was registered/, 'is told');
like(registration_of($node, 'hint'), qr/endpoint_url/, 'with what to do');
fresh();
is(check(), 'registered', 'it goes on');
is(scalar($cxone->actions), 1, 'with one');

# ---- replies of every kind of malice ----

$cxone->settings(expires_in => 3600);
is(registration_after($node, sub { set_settings($node, max_retries => 0, api_timeout => '1s', token_timeout => '1s'); }), 'registered', 'without retries');
my %told = (
	cut => qr/Empty reply|reset|closed/i,
	cut_reply => qr/transfer closed|end of response|partial/i,
	garbage => qr/HTTP\/0\.9|Received|reply/i,
	hang => qr/timed out/i,
	slow => qr/timed out/i,
	endless => qr/larger than 1024 kB/,
	huge => qr/larger than 1024 kB/,
	header_flood => qr/more than 64 kB of headers/,
	endless_headers => qr/more than 64 kB of headers/,
	deep => qr/nested too deep/,
	html => qr/status 502, an HTML page, "/,
	invalid_utf8 => qr/not valid UTF-8/,
	wrong_types => qr/no text at|no JSON object/,
	missing => qr/no text at|no list at/,
	empty => qr/empty|no list at|JSON/i,
	redirect => qr/a redirect to "http/);
my %members = (slow => [ seconds => 3 ], redirect => [ location => 'http://localhost:1/' ]);
foreach my $route (qw(token list))
{
	foreach my $kind (sort keys %told)
	{
		fresh();
		my $log = log_position($node);
		$cxone->faults([ on => $route, kind => $kind, times => 2, @{ $members{$kind} || [] } ]);
		is(check(), 'failed', "$kind on $route");
		like(last_error(), $told{$kind}, 'is told');
		my @lines = grep { /cxone_sync: / } split /\n/, slurp_file($node->logfile, $log);
		is(scalar(@lines), 1, 'in one line of the log') or diag(join "\n", @lines);
		unlike(last_error(), qr/[^ -~]/, 'that can be shown');
		fresh();
		is(check(), 'registered', 'the next check goes on');
		is(scalar($cxone->actions), 1, 'with one Data Action');
	}
}
foreach my $kind (qw(garbage deep huge wrong_types missing empty invalid_utf8 html redirect))
{
	fresh();
	$cxone->delete('/_sim/actions');
	$cxone->faults([ on => 'create', kind => $kind, @{ $members{$kind} || [] } ]);
	is(check(), 'failed', "$kind on create");
	fresh();
	is(check(), 'registered', 'the next check goes on');
	is(scalar($cxone->actions), 1, 'with one Data Action');
}
foreach my $route (qw(update delete))
{
	fresh();
	$cxone->faults([ on => $route, kind => 'html', status => 400 ]);
	my $change = $route eq 'update' ? sub { set_settings($node, data_action_description => "another $route"); }
	  : sub { sql($node, 'SELECT cxone_sync.unregister_data_action()'); };
	is(registration_after($node, $change), 'failed', "a refused $route");
	like(last_error(), qr/could not (update|remove) Data Action "da-\d+": status 400, an HTML page/, 'is told');
	is(registration_after($node, sub { $node->reload; }), $route eq 'update' ? 'registered' : 'unregistered', 'and done later');
}
is(check(), 'registered', 'registered at last');

# it has taken all that without growing
my $pid = sql($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cxone_sync registrar'");
my ($rss) = slurp_file("/proc/$pid/status") =~ /^RssAnon:\s+(\d+) kB/m;
cmp_ok($rss, '<', 100_000, 'the registrar has not grown');
applied_is(deliver($node, events_json({ id => 'after' })), '1 0 0', 'deliveries are taken as ever');

$cxone->stop;
is(check(), 'failed', 'nobody listens');
like(last_error(), qr/refused|connect/i, 'is told');

stop_and_check($node);
done_testing();
