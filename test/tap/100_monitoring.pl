# What is counted and shown: each outcome and reason, the lags, readiness, dead letters, the log. SQL, Prometheus and the
# status page must tell the same, nothing may be counted twice or be lost, and what is over must not be shown for ever.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Load;
use JSON::PP ();
use List::Util qw(max min sum);
use POSIX qw(ceil floor strftime);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $number = 0;

sub body { return events_json({ id => 'c' . ++$number }); }

# ---- reading what is shown ----

# One request to the port of the metrics.
sub ask
{
	my ($node, $path, %request) = @_;
	my $connection = connect_to($node, metrics_port($node))
	  or return { status => 0, error => "nobody listens: $!", headers => {}, body => '' };
	my $reply = $connection->exchange(request_text(method => 'GET', path => $path, %request),
		head => ($request{method} || '') eq 'HEAD');
	$connection->close;
	return $reply;
}

sub status_json { return JSON::PP::decode_json(ask(shift, '/status.json')->{body}); }

# series => value
sub metrics { return map { /^([^#\s]\S*(?:\{.*\})?) (\S+)$/ ? ($1 => $2) : () } split /\n/, ask(shift, '/metrics')->{body}; }

# "counter outcome reason" => total
sub counters
{
	my $node = shift;
	return map { my @row = split /\|/, $_, -1; (join(' ', grep { $_ ne '' } @row[0 .. 2]) => $row[3]) }
	  split /\n/, sql($node, 'SELECT counter, outcome, reason, total FROM cxone_sync.sync_counters');
}

# "check: reason, check: reason" of what /readyz finds missing, '' if it is ready.
sub not_ready
{
	my $node = shift;
	my $reply = ask($node, '/readyz');
	return "status $reply->{status}" unless $reply->{status} == 200 || $reply->{status} == 503;
	my $answer = JSON::PP::decode_json($reply->{body});
	my $checks = $answer->{workers}[0]{checks};
	my $text = join ', ', map { "$_: $checks->{$_}{reason}" } grep { !$checks->{$_}{ok} } sort keys %$checks;
	return $text if !$answer->{ready} == ($text ne '') && ($reply->{status} == 200) == ($text eq '');
	return "ready and status disagree: $reply->{status} $reply->{body}";
}

# The three ways to ask agree.
sub wait_until_not_ready
{
	my ($node, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $seen = '';
	poll(sub { $seen = not_ready($node); $seen =~ $pattern }, "not ready: $name") or diag("  it is: $seen");
	my ($row, %metrics, $json);
	# what a reader finds by gauges may end between two looks
	my $agree = poll(sub {
		$row = sql($node, "SELECT ready || ' ' || coalesce(not_ready_because, '') FROM cxone_sync.sync_status");
		%metrics = metrics($node);
		$json = status_json($node);
		return $row =~ /^false / && $metrics{cxone_sync_ready} eq '0' && !$json->{ready};
	}, "all say so: $name");
	ok($agree && $row =~ $pattern, "$name: not ready, as SQL, Prometheus and the status page say") or diag("  $row");
	return;
}

sub wait_until_ready
{
	my ($node, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $seen = '';
	ok(poll(sub { $seen = not_ready($node); $seen eq '' }, "ready: $name"), $name) or diag("  it is: $seen");
	return;
}

sub open_letters
{
	my $node = shift;
	return sql($node, "SELECT string_agg(reason || ' ' || letters, ', ' ORDER BY reason) FROM cxone_sync.dead_letters_open WHERE letters > 0") || 'none';
}

sub wait_for_letters
{
	my ($node, $expected, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	# asked over HTTP, since each psql costs more
	poll(sub {
		my %open = map { $_->{reason} => $_->{letters} } @{ status_json($node)->{dead_letters}{open} };
		return (join(', ', map { "$_ $open{$_}" } grep { $open{$_} } sort keys %open) || 'none') eq $expected;
	}, "dead letters: $name");
	is(open_letters($node), $expected, "dead_letters_open: $name");
	return;
}

sub lines_of_log
{
	my ($node, $pattern, $position) = @_;
	return grep { $_ =~ $pattern } split /\n/, slurp_file($node->logfile, $position || 0);
}

sub wait_for_new_worker
{
	my ($node, $pid) = @_;
	poll(sub { my $new = worker_pid($node); $new && $new ne $pid }, 'the worker starts again');
	wait_for_state($node, 'running');
	return;
}

# A session that keeps everybody from writing contacts.
sub lock_contacts
{
	my $node = shift;
	my $session = open_session($node);
	$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records IN EXCLUSIVE MODE');
	return $session;
}

sub timestamp
{
	my $at = shift;
	my $us = floor(($at - floor($at)) * 1e6);
	return strftime('%Y-%m-%dT%H:%M:%S', gmtime floor($at)) . sprintf '.%06dZ', $us;
}

# ---- servers that take their time, which passes while the rest is tested ----

# Its commits wait for a standby that does not come, also that of a delivery which has waited for a row.
my $slow = start_node('slow', allows_streaming => 1, lock_timeout => '60s');
is(counts_of(deliver($slow, events_json({ id => 'row' }))), '1 0 0', 'a row');
my $slow_session = open_session($slow);
$slow_session->run("BEGIN; SELECT FROM cxone_sync.contact_records WHERE id = 'row' FOR UPDATE");
my $slow_sender = connect_to($slow);
$slow_sender->send(delivery_text(events_json({ id => 'row', email => 'a@b.c' })));
my $slow_waiting = "SELECT oldest_waiting IS NOT NULL FROM cxone_sync.sync_status";
poll(sub { sql($slow, $slow_waiting) eq 't' }, 'a delivery waits for a row');
$slow->append_conf('postgresql.conf', "synchronous_standby_names = 'nobody'\n");
$slow->reload;
poll(sub { sql($slow, 'SHOW synchronous_standby_names') eq 'nobody' }, 'commits wait for a standby');
$slow_session->close;
poll(sub { sql($slow, "SELECT wait_event FROM pg_stat_activity WHERE backend_type = 'cxone_sync'") eq 'SyncRep' }, 'the delivery waits for its commit');
ok(!$slow_sender->has_reply, 'and is not answered yet');
my $slow_since = time;
is(not_ready($slow), '', 'a batch that has just begun is no problem');

# Its worker is started again and again.
my $homeless = new_node('homeless', database => 'crm');
$homeless->start;
sql($homeless, 'CREATE EXTENSION cxone_sync');

# ---- start ----

my $node = new_node('monitoring', lock_timeout => '60s', statement_timeout => '120s', drain_timeout => '60s');
$node->append_conf('postgresql.conf', "autovacuum = off\ndefault_transaction_read_only = off\n");
$node->start;
my $started = qr/LOG:  cxone_sync: worker 1 started/;
my $addresses = 'webhooks: 127\.0\.0\.1:' . webhook_port($node) . ', metrics: 127\.0\.0\.1:' . metrics_port($node);
wait_for_log($node, qr/$started, $addresses, schema version none of database "postgres"$/m);
like(not_ready($node), qr/^extension: extension "cxone_sync" does not exist/, 'not ready: without the extension');
retry_is(deliver($node, body()), 'a delivery without the extension');
is(ask($node, '/livez')->{status}, 200, 'the worker lives all the same');
sql($node, 'CREATE EXTENSION cxone_sync');
wait_until_ready($node, 'with the extension');
wait_for_state($node, 'running');
is(status_of($node, 'not_ready_because'), '', 'and nothing is in its way');
my $pid = worker_pid($node);
my $since = sql($node, 'SELECT min(stats_reset) FROM cxone_sync.sync_counters');

# ---- every outcome and reason ----

my %before = counters($node);
is($before{'deliveries retry_later database'}, 1, 'what came before the extension was counted');
my %expected = map { $_ => 0 } keys %before;
my $sent_bytes = 0;

# Sends to the webhook, and counts what is to be counted.
sub send_counted
{
	my ($text, $counter, $times, $connection) = @_;
	$sent_bytes += length $text;
	$expected{$counter} += defined $times ? $times : 1;
	$connection ||= connect_to($node);
	$connection->send($text);
	return $connection;
}

sub refused_as
{
	my ($status, $reason, $text, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(send_counted($text, "deliveries refused $reason")->reply->{status}, $status, "$name: $status, $reason");
}

sql($node, 'SELECT cxone_sync.reset_stats()');
is(join(' ', grep { $_ } { counters($node) }->@{ keys %before }), '', 'reset_stats() resets every counter');
isnt(sql($node, 'SELECT min(stats_reset) FROM cxone_sync.sync_counters'), $since, 'and the time since when is counted');

my $first = delivery_text(events_json({ id => 'a', timestamp => '2026-01-02T03:04:05Z' }, { id => 'b', timestamp => '2026-01-02T03:04:05Z' },
	{ timestamp => timestamp(time - 3600) }));
is(counts_of(send_counted($first, 'deliveries committed')->reply), '2 0 1', 'two events and a bad one');
my $second = delivery_text(events_json({ id => 'a', timestamp => '2026-01-01T00:00:00Z' }));
is(counts_of(send_counted($second, 'deliveries committed')->reply), '0 1 0', 'an old one');
@expected{ 'events applied', 'events skipped', 'events dead_lettered', 'commits', 'batches' } = (2, 1, 1, 2, 2);

refused_as(400, 'malformed_http', "nonsense\r\n\r\n", 'no HTTP');
refused_as(411, 'malformed_http', "POST /webhook HTTP/1.1\r\nHost: h\r\n\r\n", 'no length');
refused_as(501, 'malformed_http', request_text(headers => ['Transfer-Encoding: gzip']), 'a transfer encoding');
refused_as(404, 'path', request_text(path => $_, body => '{}'), $_) foreach '/metrics', '/readyz', '/status.json', '/', '/webhook/';
refused_as(405, 'method', request_text(method => $_), $_) foreach qw(GET PUT DELETE);
is(send_counted(request_text(method => 'HEAD'), 'deliveries refused method')->reply(head => 1)->{status}, 405, 'HEAD: 405, method');
refused_as(413, 'too_large', "POST /webhook HTTP/1.1\r\nHost: h\r\nContent-Length: 5000000\r\n\r\n", 'a large body');
refused_as(413, 'too_large', delivery_text(events_json(map { {} } 1 .. 1001)), 'many events');
refused_as(414, 'too_large', request_text(path => '/' . 'x' x 9000, body => ''), 'a long path');
refused_as(431, 'too_large', request_text(headers => [ map { "X$_: " . 'x' x 1000 } 1 .. 100 ], body => ''), 'a large head');
refused_as(415, 'encoding', delivery_text('{}', 'Content-Encoding: br'), 'brotli');
refused_as(400, 'invalid_body', delivery_text($_), "body '$_'") foreach '', '{', '{}', "\xFF", '{"events":1}';
refused_as(400, 'invalid_body', delivery_text('no gzip', 'Content-Encoding: gzip'), 'gzip that is none');

set_settings($node, request_timeout => '300ms');
poll(sub { my $late = send_counted("POST /webhook HTTP/1.1\r\n", 'deliveries refused timeout'); $late->reply->{status} == 408 }, 'half a request: 408, timeout');
set_settings($node, request_timeout => '10s');

# of the sender that is too many nothing is read, so it sends nothing
set_settings($node, max_connections => 3);
my @open = map { connect_to($node) } 1 .. 3;
my $refused;
poll(sub {
	my $one_more = connect_to($node);
	return ($refused = $one_more)->reply->{status} == 503 if $one_more->is_closed(0.1) || $one_more->has_reply;
	$one_more->close;
	return 0;
}, 'a connection too many');
$expected{'deliveries retry_later connections'}++;
is(ask($node, $_)->{status}, 200, "with all sender's connections in use: $_") foreach qw(/metrics /status.json /livez /readyz /);
$_->close foreach @open;
set_settings($node, max_connections => 512);

# 100 kB take three times as much, and of 1 MB so much as is left
set_settings($node, queue_size => '1MB');
poll(sub { my %metrics = metrics($node); $metrics{cxone_sync_queue_limit_bytes} == 1_048_576 }, 'a queue of 1 MB');
my $holder = hold_worker($node);
$sent_bytes += length delivery_text(events_json({ eventType => 'hold', id => 'one' }));
$expected{'deliveries committed'}++;
$expected{'events applied'}++;
sub large { return delivery_text(events_json({ id => 'large' . ++$number, email => 'x' x shift })); }
my @waiting = map { send_counted(large(85_000), 'deliveries committed') } 1 .. 3;
poll(sub { status_of($node, 'queued_bytes') > 750_000 && status_of($node, 'oldest_waiting') ne '' }, 'three large deliveries wait for the worker');
is(not_ready($node), '', 'a queue below its mark is no problem');
push @waiting, send_counted(large(26_000), 'deliveries committed');
wait_until_not_ready($node, qr/queue: \d+ of 1024 kB are in use/, 'a queue above its mark');
like(status_of($node, 'oldest_waiting'), qr/^00:00:\d\d\.\d+$/, 'the oldest delivery has waited');
is(send_counted(large(100_000), 'deliveries retry_later queue_full')->reply->{status}, 503, 'a delivery that finds no room: 503, queue_full');
release_worker($node, $holder);
is(scalar(grep { counts_of($_->reply) eq '1 0 0' } @waiting), 4, 'those that had room are written');
$expected{'events applied'} += 4;
wait_until_ready($node, 'and the queue is below its mark');
is(status_of($node, 'queued_bytes') . status_of($node, 'oldest_waiting'), '0', 'nothing waits');
set_settings($node, queue_size => '32MB', lock_timeout => '100ms');

# a table that stays locked
my $lock = lock_contacts($node);
poll(sub { my $reply = send_counted(delivery_text(body()), 'deliveries retry_later database')->reply; $expected{'events retry_later'}++; $reply->{status} == 503 },
	'a locked table: 503, database');
is(not_ready($node), '', 'which is no reason to turn senders away');
$lock->close;
set_settings($node, lock_timeout => '60s');
poll(sub { sql($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'relation' AND mode = 'ExclusiveLock'") eq '0' }, 'the lock is gone');
$expected{'deliveries committed'}++;
$expected{'events applied'}++;
is(counts_of(connect_to($node)->deliver(body())), '1 0 0', 'when it is released');
$sent_bytes += length delivery_text(events_json({ id => "c$number" }));

# figures that depend on how many deliveries the batches held
my %counters = counters($node);
foreach my $counter (qw(batches commits rollbacks))
{
	cmp_ok($counters{$counter}, '>=', $expected{$counter}, "some $counter");
	$expected{$counter} = $counters{$counter};
}
is($counters{received_bytes}, $sent_bytes, 'the bytes are those that were sent');
$expected{received_bytes} = $counters{received_bytes};
is_deeply(\%counters, \%expected, 'each outcome and reason is counted as it was provoked');
# what only senders who are authenticated meet is provoked in 130_authentication, TLS in 140_tls, and what only those of
# another machine meet in the unit tests
my $elsewhere = qr/credentials$|signature$|repeated|under_way$|closed$|tls_handshake$|of_address$/;
is(join(' ', grep { !$expected{$_} && $_ ne 'rollbacks' && !/$elsewhere/ } sort keys %expected), 'deliveries retry_later stopping',
	'and all but one were, which comes below');

# ---- one truth ----

sub micro { return sprintf '%.6f', shift; }

sub all_agree
{
	my $name = shift;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my (%sql, %prometheus, %json);
	my %metrics = metrics($node);
	my $status = status_json($node);

	foreach my $row (split /\n/, sql($node, 'SELECT counter, outcome, reason, total FROM cxone_sync.sync_counters'))
	{
		my ($counter, $outcome, $reason, $total) = split /\|/, $row, -1;
		my $labels = join ',', ($outcome ? qq(outcome="$outcome") : ()), ($reason ? qq(reason="$reason") : ());
		$sql{"$counter $outcome $reason"} = $total;
		$prometheus{"$counter $outcome $reason"} = $metrics{"cxone_sync_${counter}_total" . ($labels ? "{$labels}" : '')};
	}
	$json{ join ' ', map { defined $_ ? $_ : '' } @{$_}{qw(counter outcome reason)} } = $_->{total} foreach @{ $status->{counters} };

	foreach my $view (qw(sync_lag intake_lag))
	{
		my $metric = $view eq 'sync_lag' ? 'cxone_sync_lag_seconds' : 'cxone_sync_intake_lag_seconds';
		foreach my $row (split /\n/, sql($node, "SELECT status, le, events FROM cxone_sync.${view}_buckets"))
		{
			my ($of, $le, $events) = split /\|/, $row;
			$sql{"$view $of $le"} = $events;
			$prometheus{"$view $of $le"} = $metrics{"${metric}_bucket{status=\"$of\",le=\"" . ($le =~ s/Infinity/+Inf/r) . '"}'};
		}
		foreach my $row (split /\n/, sql($node, "SELECT status, events, extract(epoch FROM mean), extract(epoch FROM p50), extract(epoch FROM p95),
			extract(epoch FROM p99), extract(epoch FROM max), extract(epoch FROM last_commit) FROM cxone_sync.$view"))
		{
			my ($of, $events, @figures) = split /\|/, $row, -1;
			my $lag = $status->{ $view eq 'sync_lag' ? 'lag' : 'intake_lag' }{$of};
			$sql{"$view $of"} = join ' ', $events, map { $_ eq '' ? 'none' : micro($_) } @figures;
			$json{"$view $of"} = join ' ', $lag->{events}, map { defined $_ ? micro($_) : 'none' } @{$lag}{qw(mean p50 p95 p99 max last_commit)};
			$json{"$view $of " . (defined $_->[0] ? $_->[0] : 'Infinity')} = $_->[1] foreach @{ $lag->{buckets} };
			# of these Prometheus has the sum and the count
			my ($count, $sum) = @metrics{ "${metric}_count{status=\"$of\"}", "${metric}_sum{status=\"$of\"}" };
			my $mean = $count ? micro(floor($sum / $count * 1e6 + 0.01) / 1e6) : 'none';
			my $last = $metrics{"cxone_sync_last_commit_timestamp_seconds{status=\"$of\"}"};
			$prometheus{"$view $of"} = join ' ', $count, $mean, (split / /, $sql{"$view $of"})[2 .. 5], $last ? micro($last) : 'none';
		}
	}
	foreach my $row (split /\n/, sql($node, 'SELECT reason, letters FROM cxone_sync.dead_letters_open'))
	{
		my ($reason, $letters) = split /\|/, $row, -1;
		$sql{"letters $reason"} = $letters;
		$prometheus{"letters $reason"} = $metrics{"cxone_sync_dead_letters_open{reason=\"$reason\"}"} =~ s/NaN//r;
	}
	$json{"letters $_->{reason}"} = defined $_->{letters} ? $_->{letters} : '' foreach @{ $status->{dead_letters}{open} };

	# the worker
	my $worker = $status->{workers}[0];
	@sql{qw(pid state address schema starts started ready queue bytes connections deliveries since)} = split /\|/,
	  sql($node, 'SELECT w.pid, w.state, address, schema_version, starts, extract(epoch FROM backend_start)::bigint / 10, ready::int, queue_depth, queued_bytes,
		connections, queued_deliveries, (SELECT extract(epoch FROM min(stats_reset)) FROM cxone_sync.sync_counters) FROM cxone_sync.sync_status w
		JOIN pg_stat_activity a USING (pid)');
	@json{qw(pid state address schema starts started ready queue bytes connections deliveries since)} = (
		@{$worker}{qw(pid state address schema_version starts)}, floor($worker->{started_at} / 10), $worker->{ready} ? 1 : 0,
		@{ $status->{queue} }{qw(events bytes)}, $status->{connections}, $status->{queue}{deliveries}, $status->{stats_since});
	@prometheus{qw(pid state address schema starts started ready queue bytes connections deliveries since)} = (
		@sql{qw(pid state address schema)}, $metrics{'cxone_sync_worker_starts_total{worker="1"}'},
		floor($metrics{'cxone_sync_worker_start_time_seconds{worker="1"}'} / 10),
		@metrics{map { "cxone_sync_$_" } qw(ready queued_events queued_bytes connections queued_deliveries stats_reset_timestamp_seconds)});
	$_->{since} = micro($_->{since}) foreach \%sql, \%json, \%prometheus;
	# ten seconds may turn between the start of a process and what it says of it
	delete @$_{qw(started)} foreach grep { abs($sql{started} - $json{started}) <= 1 } \%sql, \%json, \%prometheus;

	my $count = keys %sql;
	cmp_ok($count, '>', 130, "$name: $count figures");
	is_deeply(\%json, \%sql, "$name: status.json shows what SQL shows");
	is_deeply(\%prometheus, \%sql, "$name: and so does /metrics");
	return;
}
@waiting = ();
undef $refused;
poll(sub { status_of($node, 'connections') eq '0' }, 'closed connections are noticed');
wait_for_letters($node, 'constraint 1', 'the one bad event');
all_agree('after every outcome');
is(sql($node, "SELECT sum(events) FROM cxone_sync.sync_lag") . ' ' . sql($node, 'SELECT sum(events) FROM cxone_sync.intake_lag'),
	join(' ', ($expected{'events applied'} + $expected{'events skipped'} + $expected{'events dead_lettered'}) x 2), 'both lags are of all events that were committed');
my $failure_lag = sql($node, "SELECT extract(epoch FROM max - (last_commit - event_time)) || ' ' || (max > '59min') FROM cxone_sync.sync_lag, cxone_sync.dead_letters WHERE status = 'failure'");
is($failure_lag, '0.000000 true', 'the lag of a dead letter with a time of its own counts from that');

# ---- the port for those who watch ----

my $open_metrics = 'application/openmetrics-text';
is(ask($node, '/metrics')->{headers}{'content-type'}, 'text/plain; version=0.0.4; charset=utf-8', 'who asks for nothing gets text');
my $open = ask($node, '/metrics', headers => ["Accept: $open_metrics;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"]);
is($open->{headers}{'content-type'}, "$open_metrics; version=1.0.0; charset=utf-8", 'who prefers OpenMetrics gets that');
like($open->{body}, qr/\n# EOF\n\z/, 'with its end');
foreach my $path (qw(/ /metrics /status.json /livez /readyz))
{
	my $get = ask($node, $path);
	my $head = ask($node, $path, method => 'HEAD');
	is("$head->{status} " . ($head->{headers}{'content-type'} || ''), "200 $get->{headers}{'content-type'}", "HEAD $path");
	is(ask($node, $path, method => 'POST', body => '')->{status}, 405, "POST $path");
	is(ask($node, $path, method => 'POST', body => '{"events":[]}')->{status}, 413, "POST $path with a body");
}
is(ask($node, $_)->{status}, 404, "GET $_") foreach qw(/webhook /metrics/ /status /favicon.ico /..%2f /.);
is(ask($node, '/webhook', method => 'POST', body => '')->{status}, 404, 'webhooks are not taken there');
is_deeply({ counters($node) }, \%expected, 'nothing of this is counted as a delivery');
sql($node, 'DELETE FROM cxone_sync.dead_letters');

# ---- lags of known size ----

# The views' percentiles beside the true ones, which the rows and last_commit give.
sub percentiles_are_right
{
	my ($view, $name, @lags) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($events, $mean, $max, %shown);
	($events, $mean, @shown{qw(0.50 0.95 0.99)}, $max) = split /\|/, sql($node, "SELECT events, extract(epoch FROM mean),
		extract(epoch FROM p50), extract(epoch FROM p95), extract(epoch FROM p99), extract(epoch FROM max) FROM cxone_sync.$view WHERE status = 'success'");
	@lags = sort { $a <=> $b } @lags;
	is($events, scalar @lags, "$name: all events are counted");
	cmp_ok(abs($max - $lags[-1]), '<', 2e-6, "$name: the largest lag");
	cmp_ok(abs($mean - sum(@lags) / @lags), '<', 2e-6, "$name: the mean lag");
	my @wrong = grep { my $true = $lags[ ceil($_ * @lags) - 1 ]; abs($shown{$_} - $true) > 0.07 * $true } sort keys %shown;
	is("@wrong", '', "$name: p50, p95, p99 are right within 7 %") or diag(map { "  $_: $shown{$_}, is $lags[ ceil($_ * @lags) - 1 ]\n" } @wrong);
	return;
}

my @decades = (0.001, 0.01, 0.1, 1, 10, 100, 1000, 10_000, 86_400 / 10);
foreach my $smallest (@decades, 'all')
{
	my $name = $smallest eq 'all' ? '1 ms to a day' : sprintf('%g s to %g s', $smallest, $smallest * 10);
	my $prefix = "age-$smallest";
	my ($from, $times) = $smallest eq 'all' ? (0.001, 86_400_000) : ($smallest, 10);
	sql($node, 'SELECT cxone_sync.reset_stats()');
	my $now = time;
	my $reply = deliver($node, events_json(map { { id => "$prefix-$_", timestamp => timestamp($now - $from * $times**($_ / 199)) } } 0 .. 199));
	is(counts_of($reply), '200 0 0', "$name: 200 events");
	percentiles_are_right('sync_lag', $name, split /\n/, sql($node, "SELECT extract(epoch FROM l.last_commit - r.updated_ts) FROM cxone_sync.contact_records r,
		cxone_sync.sync_lag l WHERE status = 'success' AND id LIKE '$prefix-%'"));
}
# an event without a time is stamped with its arrival
sql($node, 'SELECT cxone_sync.reset_stats()');
my @arrivals;
foreach my $delivery (1 .. 20)
{
	is(counts_of(deliver($node, events_json({ id => "now-$delivery" }))), '1 0 0', "delivery $delivery") or last;
	push @arrivals, sql($node, "SELECT extract(epoch FROM l.last_commit - r.updated_ts) FROM cxone_sync.contact_records r, cxone_sync.intake_lag l
		WHERE status = 'success' AND id = 'now-$delivery'");
}
percentiles_are_right($_, "$_ of what arrives now", @arrivals) foreach qw(intake_lag sync_lag);
# they are counted when they are: not between two looks
wait_for_letters($node, 'none', 'after DELETE by hand');
all_agree('after known lags');

# ---- reset under load ----

my $load = CxoneSync::Load->start(webhook_port($node), clients => 4, name => 'reset');
my @resetters = map { open_session($node) } 1 .. 2;
foreach my $round (1 .. 3)
{
	my $had = $load->count(200);
	poll(sub { $load->count(200) >= $had + 40 }, "round $round: deliveries are taken");
	$_->start('SELECT cxone_sync.reset_stats() FROM generate_series(1, 20)') foreach @resetters;
	$_->finish foreach @resetters;
	my %seen = counters($node);
	is(join(' ', grep { $_ < 0 || $_ > 10_000_000 } values %seen), '', "round $round: no figure is negative or absurd");
}
my $acknowledged_before = () = $load->acknowledged;
sql($node, 'SELECT cxone_sync.reset_stats()');
my $acknowledged_after = () = $load->acknowledged;
my $had = $load->count(200);
poll(sub { $load->count(200) >= $had + 100 }, 'deliveries after the reset');
$load->stop;
$_->close foreach @resetters;
my $acknowledged = () = $load->acknowledged;
%counters = counters($node);
my $counted = $counters{'events applied'} + $counters{'events skipped'} + $counters{'events dead_lettered'};
cmp_ok($counted, '<=', $acknowledged - $acknowledged_before, 'what was committed before the reset is not counted after it');
# each of the four clients may have been about to be told
cmp_ok($counted, '>=', $acknowledged - $acknowledged_after - 4 * 6, 'what was committed after it is');
foreach my $view (qw(sync_lag intake_lag))
{
	is(sql($node, "SELECT string_agg(events::text, ' ' ORDER BY status) FROM cxone_sync.$view"),
		$counters{'events dead_lettered'} . ' ' . ($counters{'events applied'} + $counters{'events skipped'}), "$view is of the same events");
}
my $bad = () = grep { /-bad$/ } $load->acknowledged;
wait_for_letters($node, "value $bad", 'those of the load');
all_agree('after resets under load');

# ---- what ends a worker does not end the figures ----

# all that was refused so far is told when the worker ends, if not before
my $position = log_position($node);
is(scalar(() = lines_of_log($node, $started)), 1, 'one line at the start');
sql($node, "SELECT pg_terminate_backend($pid)");
wait_for_new_worker($node, $pid);
$pid = worker_pid($node);
is_deeply({ counters($node) }, \%counters, 'the figures survive the end of the worker');
is(status_of($node, 'starts'), '2', 'which has been started twice');
is(scalar(() = lines_of_log($node, qr/$started, $addresses, schema version 3\.0 of database "postgres"$/, $position)), 1, 'and has said so in one line');
is(scalar(() = lines_of_log($node, $started)), 2, 'of the same kind as before');
my $told = sum(map { /(\d+) requests? (?:was|were) not taken/ } lines_of_log($node, qr/not taken as/));
is($told, sum(map { $expected{$_} } grep { /^deliveries (?:refused|retry_later (?!database))/ } keys %expected), 'the log has told of every request that was not taken, with counts');

# a stop that deliveries outlast
set_settings($node, drain_timeout => '300ms');
poll(sub { sql($node, "SELECT count(*) FROM cxone_sync.sync_status WHERE queued_bytes = 0") }, 'an empty queue');
sql($node, 'SELECT cxone_sync.reset_stats()');
$lock = lock_contacts($node);
@waiting = map { my $sender = connect_to($node); $sender->send(large(100_000)); $sender } 1 .. 3;
poll(sub { status_of($node, 'queued_bytes') > 900_000 }, 'deliveries that take memory wait for a lock');
my $watcher = connect_to($node, metrics_port($node));
is($watcher->exchange(request_text(method => 'GET', path => '/livez'))->{status}, 200, 'a balancer looks at the worker');
set_settings($node, drain_timeout => '2s');
sql($node, "SELECT pg_terminate_backend($pid)");
poll(sub { $watcher->exchange(request_text(method => 'GET', path => '/readyz'))->{body} =~ /"the worker is stopping"/ }, 'a worker that is stopping is not ready');
is(scalar(grep { $_->reply->{status} == 503 } @waiting), 3, 'what cannot be written in time is sent back');
wait_for_new_worker($node, $pid);
$lock->close;
$pid = worker_pid($node);
%counters = counters($node);
is("@counters{'deliveries retry_later stopping', 'events retry_later'}", '3 3', 'and counted');
is(status_of($node, 'queued_bytes'), '0', 'its memory is free for the next worker');
wait_until_ready($node, 'which is ready');
set_settings($node, drain_timeout => '60s');

# ---- dead letters, and locks on them ----

$lock = open_session($node);
$lock->run('BEGIN; LOCK TABLE cxone_sync.dead_letters IN ACCESS EXCLUSIVE MODE');
my $counted_at = "SELECT max(counted_at) FROM cxone_sync.dead_letters_open";
my $counted_before = sql($node, $counted_at);
$node->reload; # which has them counted again
foreach my $turn (1 .. 30)
{
	my $began = time;
	my $reply = deliver($node, body());
	ok(0, 'a lock on dead_letters holds up deliveries') if counts_of($reply) ne '1 0 0' || time - $began > 5;
}
is(open_letters($node), "value $bad", 'a lock on dead_letters keeps the last count');
$lock->run('COMMIT');
# the classes, as the owner inserts them
sql($node, "BEGIN; DELETE FROM cxone_sync.dead_letters; ROLLBACK");
sql($node, "TRUNCATE cxone_sync.dead_letters");
wait_for_letters($node, 'none', 'after TRUNCATE');
sql($node, "INSERT INTO cxone_sync.dead_letters (received_at, target, sqlstate, message, payload) SELECT now(), 'contact_records', s, 'by hand', '{\"id\":\"' || s || '\"}'
	FROM unnest('{22P02,22001,23505,02000,3F000,42P17,55000,P0001,XX000,0A000,40001}'::text[]) s");

# ---- readiness ----

sql($node, 'DROP EXTENSION cxone_sync');
poll(sub { not_ready($node) =~ /^extension: extension "cxone_sync" does not exist/ }, 'not ready: extension dropped');
is(ask($node, '/metrics')->{body} =~ /^cxone_sync_dead_letters_open\{reason="value"\} NaN$/m, 1, 'and its dead letters are not known');
is(status_json($node)->{dead_letters}{open}[0]{letters}, undef, 'as status.json says, too');
set_settings($node, auto_upgrade => 'off');
sql($node, "CREATE EXTENSION cxone_sync VERSION '2.0'");
poll(sub { not_ready($node) eq 'schema: extension "cxone_sync" has version 2.0, its library needs version 3.0' }, 'not ready: an older version') or diag(not_ready($node));
like(status_of($node, 'last_error'), qr/has version 2\.0/, 'views of that version work with this library');
sql($node, 'ALTER EXTENSION cxone_sync UPDATE');
wait_until_ready($node, 'after ALTER EXTENSION … UPDATE');

# A problem that comes while another one is there must not hide behind it, nor stay when it is over.
set_settings($node, lock_timeout => '100ms');
is(counts_of(deliver($node, events_json({ id => 'row' }))), '1 0 0', 'a row');
$lock = open_session($node);
$lock->run("BEGIN; UPDATE cxone_sync.contact_records SET email = 'locked' WHERE id = 'row'");
poll(sub { deliver($node, events_json({ id => 'row', email => 'x' }))->{status} == 503 }, 'a locked row');
sql($node, 'DROP EXTENSION cxone_sync');
poll(sub { not_ready($node) =~ /^extension: / }, 'not ready: extension dropped while a row was locked');
sql($node, 'CREATE EXTENSION cxone_sync');
wait_until_ready($node, 'created again, without any delivery');
$lock->close;

# Nobody tells the worker that a lock on its configuration is released.
$lock = open_session($node);
$lock->run('BEGIN; LOCK TABLE cxone_sync.target_config IN ACCESS EXCLUSIVE MODE');
sql($node, "CREATE FUNCTION cxone_sync.renames() RETURNS int LANGUAGE sql AS 'SELECT 1'"); # what is known of the catalog is in doubt
$node->reload;
poll(sub { not_ready($node) =~ /^extension: table "cxone_sync.target_config" is locked/ }, 'not ready: configuration locked during a reload');
$lock->close;
wait_until_ready($node, 'when it is released, without any delivery');
poll(sub { defined status_json($node)->{dead_letters}{counted_at} }, 'dead letters are counted again');

$node->append_conf('postgresql.conf', "default_transaction_read_only = on\n");
$node->reload;
wait_until_not_ready($node, qr/database: transactions of database "postgres" are read-only/, 'default_transaction_read_only');
$node->append_conf('postgresql.conf', "default_transaction_read_only = off\n");
$node->reload;
wait_until_ready($node, 'when it is off');

sql($node, <<'SQL');
CREATE FUNCTION cxone_sync.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$;
CREATE TRIGGER no_room BEFORE INSERT OR UPDATE ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION cxone_sync.no_room();
SQL
my @pauses;
foreach my $round (1 .. 2)
{
	poll(sub { deliver($node, events_json({ id => 'full', email => ++$number }))->{status} == 503 }, "$round: a full disk");
	my $since_full = time;
	like(not_ready($node), qr/^database: could not extend file/, "$round: not ready: a full disk");
	poll(sub { not_ready($node) eq '' }, "$round: the WAL has room");
	push @pauses, time - $since_full;
}
cmp_ok($pauses[1], '>', $pauses[0] + 0.5, 'where deliveries fail all the same, the next try comes later');
sql($node, 'DROP TRIGGER no_room ON cxone_sync.contact_records');
is(counts_of(deliver($node, events_json({ id => 'full' }))), '1 0 0', 'with room again');
set_settings($node, lock_timeout => '60s');

# ---- classes of dead letters ----

sql($node, 'TRUNCATE cxone_sync.dead_letters');
sql($node, "INSERT INTO cxone_sync.dead_letters (received_at, target, sqlstate, message, payload) SELECT now(), 'contact_records', s, 'by hand', '{\"id\":\"' || s || '\"}'
	FROM unnest('{22P02,22001,23505,02000,3F000,42P17,55000,P0001,XX000,0A000,40001}'::text[]) s");
wait_for_letters($node, 'constraint 1, other 3, raised 1, target 4, value 2', 'each class');
is(sql($node, "SELECT count(*) FROM cxone_sync.replay_dead_letters() WHERE outcome = 'applied'"), '11', 'all are replayed');

# ---- the log ----

# what has been refused since the worker started is told of, so that the next line waits for a minute
my $flood = connect_to($node);
$position = log_position($node);
%counters = counters($node);
foreach my $turn (1 .. 10)
{
	$flood->send(delivery_text('{"secret') x 100);
	is(scalar(grep { $flood->reply->{status} == 400 } 1 .. 100), 100, "flood $turn: a hundred refusals");
}
$flood->close;
my %after = counters($node);
is($after{'deliveries refused invalid_body'} - $counters{'deliveries refused invalid_body'}, 1000, 'a thousand bad requests are counted');
poll(sub { lines_of_log($node, qr/not taken as/, $position) }, 'the log says so');
cmp_ok(scalar(() = lines_of_log($node, qr/./, $position)), '<=', 6, 'in a line or two, with detail and hint');

$node->append_conf('postgresql.conf', "log_min_messages = debug1\n");
sql($node, 'ALTER TABLE cxone_sync.contact_records ADD number int');
$position = log_position($node);
$node->reload;
my @secrets = ('id-4711', 'Ada', 'Lovelace', 'ada@example.com', '555-0199', 'no-number', 'at night', 'unmapped');
poll(sub { deliver($node, body()); lines_of_log($node, qr/DEBUG:  cxone_sync: delivery of 1 events, \d+ bytes, committed after [\d.]+ ms: 1 applied/, $position) },
	'debug1 after a reload');
my $told_before = () = lines_of_log($node, qr/DEBUG:  cxone_sync: delivery/, $position);
my @texts = (
	events_json({ id => 'id-4711', firstName => 'Ada', lastName => 'Lovelace', email => 'ada@example.com', phone => '555-0199', unmapped => 'unmapped' }),
	events_json({ id => 'id-4711', number => 'no-number' }),
	events_json({ id => 'id-4711', timestamp => 'at night' }),
	events_json({ id => { Ada => 'Lovelace' } }),
	'{"events":[{"id":"id-4711"} Ada Lovelace',
	'{"events":"ada@example.com"}',
	'Ada',
);
my @answers = map { deliver($node, $_)->{status} } @texts;
push @answers, connect_to($node)->exchange(request_text(path => '/Ada?Lovelace', body => ''))->{status},
  connect_to($node)->exchange(delivery_text('x', 'Content-Encoding: Ada'))->{status}, connect_to($node)->exchange("Ada Lovelace\r\n\r\n")->{status};
is("@answers", '200 200 200 200 400 400 400 404 415 400', 'deliveries with secrets');
my $lines = sub { return lines_of_log($node, qr/DEBUG:  cxone_sync: delivery/, $position); };
poll(sub { $lines->() >= $told_before + @answers }, 'a line for each');
is(scalar(() = $lines->()), $told_before + @answers, 'debug1: one line for each delivery');
my $log = slurp_file($node->logfile, $position);
is(join(', ', grep { $log =~ /\Q$_/ } @secrets), '', 'with nothing of what is in them');
$node->append_conf('postgresql.conf', "log_min_messages = warning\n");
$node->reload;
poll(sub { my $at = log_position($node); deliver($node, body()); !lines_of_log($node, qr/DEBUG:  cxone_sync/, $at) }, 'and no longer after a reload');

# ---- an idle server ----

# asked in another database, so that our own transactions are not among them
my $commits = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = 'postgres'";
my $letters = sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters');
poll(sub { sum(map { $_->{letters} || 0 } @{ status_json($node)->{dead_letters}{open} }) == $letters }, 'the last count of dead letters');
my ($last, $last_at) = (-1, 0);
poll(sub {
	my $now = sql($node, $commits, 'template1');
	($last, $last_at) = ($now, time) if $now != $last;
	return time - $last_at > 1.5;
}, 'PostgreSQL has all figures of what was done');
my $idle_until = time + 1.5;
my $scrapes = 0;
while (time < $idle_until)
{
	$scrapes += ask($node, $_)->{status} == 200 foreach qw(/metrics /status.json /readyz /livez /);
}
is(sql($node, $commits, 'template1'), $last, "no transaction while nothing is delivered, whatever is scraped ($scrapes times)");

# A lock on an index, which the count meets behind the table's: no delivery waits while it is tried, more than once.
my $reindexing = open_session($node);
$reindexing->run('BEGIN; REINDEX INDEX cxone_sync.dead_letters_pkey');
$counted_before = sql($node, $counted_at);
$node->reload; # which has them counted again
my ($slowest, $answers, $until) = (0, '', time + 8);
while (time < $until)
{
	my $began = time;
	$answers = counts_of(deliver($node, body()));
	last if $answers ne '1 0 0';
	$slowest = time - $began if time - $began > $slowest;
}
is($answers, '1 0 0', 'a lock on an index of dead_letters does not hold up deliveries');
cmp_ok($slowest, '<', 0.9, 'not even for the time of a count') and note("the slowest took $slowest s");
is(sql($node, $counted_at), $counted_before, 'which is not made meanwhile');
$reindexing->run('ROLLBACK');
poll(sub { sql($node, $counted_at) ne $counted_before }, 'but then');
$reindexing->close;

# ---- the ends ----

$position = log_position($node);
$node->restart;
wait_for_state($node, 'running');
%counters = counters($node);
is(sum(values %counters), 0, 'after a restart of the server all figures start anew');
is(sql($node, 'SELECT sum(events) FROM cxone_sync.sync_lag'), '0', 'the lags as well');
is(scalar(() = lines_of_log($node, $started, $position)), 1, 'with one line at the start');

my $states = sub { return sql($homeless, "SELECT state || ' ' || ready || ' ' || not_ready_because FROM cxone_sync.sync_status"); };
my %seen;
poll(sub { my $state = $states->(); $seen{$state}++; $state =~ /^starting/ }, 'a worker without its database waits for its next start');
$seen{ $states->() }++ foreach 1 .. 10;
is(join(', ', grep { / true/ } sort keys %seen), '', 'and is not ready meanwhile');

poll(sub { time - $slow_since > 10 }, 'a batch takes ten seconds');
wait_until_not_ready($slow, qr/database: a batch has been being written for \d+ s/, 'a batch that waits for its standby');
cmp_ok(sql($slow, 'SELECT extract(epoch FROM oldest_waiting) FROM cxone_sync.sync_status'), '>', 10, 'the oldest delivery has waited as long');
ok(!$slow_sender->has_reply, 'and has no answer');
$slow->append_conf('postgresql.conf', "synchronous_standby_names = ''\n");
$slow->reload;
retry_is($slow_sender->reply, 'it is to be sent again when nobody waits for the standby any more, which has not confirmed it');
wait_until_ready($slow, 'then the server is ready');
is(counts_of(deliver($slow, events_json({ id => 'slow' }))), '1 0 0', 'and takes deliveries');

stop_and_check($_) foreach $node, $slow, $homeless;
done_testing();
