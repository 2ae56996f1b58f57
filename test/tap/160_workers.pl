# Several intake workers on one port: who listens, who serves which connection, what happens when one ends, and that the same
# rows come of a stream of events, however many workers write it.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use Digest::SHA qw(hmac_sha256);
use List::Util qw(shuffle);
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;

my $workers = 4;
my $node = start_node('workers', workers => $workers);

sub all_run { return sql($node, "SELECT count(*) FROM cxone_sync.sync_status WHERE state = 'running' AND ready") eq $workers; }
sub connections { return sql($node, "SELECT string_agg(connections::text, ' ' ORDER BY worker) FROM cxone_sync.sync_status"); }
sub readiness { return connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/readyz'))->{line}; }
sub listener_pid
{
	my $pid;
	foreach my $line (split /\n/, slurp_file($node->logfile))
	{
		# the log says who listens, as it starts and as it takes over
		$pid = $1 if $line =~ /\[(\d+)\] LOG: +cxone_sync: (?:worker \d+ started, webhooks: [\d.]+:|listening for webhooks)/;
	}
	return $pid;
}

# What becomes of a delivery over a connection of its own, with each worker: one after the other has its turn.
sub is_answer_of_all
{
	my ($status, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return poll(sub { return !grep { deliver($node, '{"events":[]}')->{status} != $status } 1 .. $workers; }, $name);
}

# ---- one port for all ----

poll(\&all_run, 'all workers run');
my $address = '127.0.0.1:' . webhook_port($node);
is(sql($node, 'SELECT string_agg(DISTINCT address, $$ $$), count(DISTINCT pid) FROM cxone_sync.sync_status'), "$address|$workers", 'all are at one address');
is(sql($node, 'SELECT string_agg(DISTINCT metrics_address, $$ $$) FROM cxone_sync.sync_status'), '127.0.0.1:' . metrics_port($node), 'and so are the metrics');
my @connections = map { connect_to($node) } 1 .. 40;
is(scalar(grep { counts_of($connections[$_]->deliver(events_json({ id => "c$_", email => 'a@b.c' }))) eq '1 0 0' } 0 .. $#connections), 40, 'each of 40 connections is served');
is(connections(), '10 10 10 10', 'by the workers in equal numbers');
is(sql($node, 'SELECT count(*) FROM cxone_sync.contact_records'), '40', 'and what it delivers is stored');
my $metrics = connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/metrics'))->{body};
like($metrics, qr/^cxone_sync_connections 40$/m, 'the metrics are those of all');
like($metrics, qr/^cxone_sync_events_total\{outcome="applied"\} 40$/m, 'in one sum');
is(scalar(() = $metrics =~ /^cxone_sync_worker_up\{worker="\d"\} 1$/mg), $workers, 'and name each');
# those that end make room where they were; new ones go on in turn
$_->close foreach splice @connections, 0, 20;
poll(sub { return connections() eq '5 5 5 5'; }, 'closed connections leave each worker');

# ---- a worker that ends ----

my @pids = split /\n/, sql($node, 'SELECT pid FROM cxone_sync.sync_status');
my $listener = listener_pid();
ok(scalar(grep { $_ eq $listener } @pids), 'one of them listens');
my $bystander = (grep { $_ ne $listener } @pids)[0];
foreach my $ended ($bystander, $listener)
{
	my $who = $ended eq $listener ? 'the worker that listens' : 'another worker';
	sql($node, "SELECT pg_terminate_backend($ended)");
	poll(sub { return sql($node, "SELECT count(*) FROM cxone_sync.sync_status WHERE pid = $ended") eq '0'; }, 'its end');
	# at once, before it is back: a connection that it has accepted and not handed on is the sender's to open again
	poll(sub { return deliver($node, events_json({ id => "without $ended" }))->{status} == 200; }, "deliveries without $who");
	is(scalar(grep { $_->deliver(events_json({ id => 'others' }))->{status} == 200 } @connections), $ended eq $bystander ? 15 : 10, 'connections of the others go on');
	# whoever listens is asked for readiness, so without it there is nobody to ask
	my @answers;
	poll(sub { push @answers, readiness() if $ended eq $bystander; return all_run(); }, "$who is back");
	is(scalar(grep { !/ 200 / } @answers), 0, 'meanwhile the others are ready') if $ended eq $bystander;
}
isnt(listener_pid(), $listener, 'another has taken over');
like(readiness(), qr/ 200 /, 'metrics and health, too');
my @again = map { connect_to($node) } 1 .. 16;
is(scalar(grep { $_->deliver(events_json({ id => 'again' }))->{status} == 200 } @again), 16, 'all workers serve new connections');
$_->close foreach @connections, @again;

# ---- another port, by a reload ----

poll(sub { return connections() eq '0 0 0 0'; }, 'no connections');
set_settings($node, port => free_port());
poll(sub { return sql($node, 'SELECT string_agg(DISTINCT address, $$ $$) FROM cxone_sync.sync_status') eq '127.0.0.1:' . webhook_port($node); }, 'all are at the new port');
@connections = map { connect_to($node) } 1 .. 8;
is(scalar(grep { $_->deliver(events_json({ id => 'moved' }))->{status} == 200 } @connections), 8, 'and serve there');
is(connections(), '2 2 2 2', 'in equal numbers');

# limits are those of each worker
set_settings($node, max_connections => 3);
push @connections, map { connect_to($node) } 1 .. $workers;
is(scalar(grep { $_->deliver(events_json({ id => 'more' }))->{status} == 200 } @connections), 12, 'each worker takes as many as it may');
is_answer_of_all(503, 'and no more');
poll(sub { return connections() eq '3 3 3 3'; }, 'which are these');
set_settings($node, max_connections => 512);
$_->close foreach @connections;

# ---- a delivery that is repeated ----

my $key = 'a secret of these tests';
set_settings($node, authentication => 'standard_webhooks', webhook_secret_file => secret_file('workers', 'whsec_' . encode_base64($key, '')));
is_answer_of_all(401, 'signatures are asked for');
my ($body, $time) = (events_json({ id => 'once', email => 'a@b.c' }), int time);
my $signature = encode_base64(hmac_sha256("id.$time.$body", $key), '');
my @replies = map { deliver($node, $body, 'webhook-id: id', "webhook-timestamp: $time", "webhook-signature: v1,$signature") } 1 .. 2 * $workers;
is(join(' / ', map { counts_of($_) } @replies), join(' / ', ('1 0 0') x @replies), 'a repeated delivery gets the same answer from all');
is(sql($node, "SELECT total FROM cxone_sync.sync_counters WHERE counter = 'deliveries' AND outcome = 'repeated'"), 2 * $workers - 1, 'and is written once');
set_settings($node, authentication => 'none');

# ---- the same rows, whoever writes them ----

srand 20261126;
sql($node, <<'SQL');
CREATE TABLE public.parts (id text, part integer, a text, b integer, extra jsonb, field_times jsonb, updated_ts timestamptz, PRIMARY KEY (id, part));
ALTER TABLE public.parts OWNER TO cxone_sync;
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{c}', kept_columns => '{sync_status}');
SELECT cxone_sync.add_target('parts', 'public.parts', '{id,part}', event_types => '{p}', delete_types => '{gone}');
SQL
# whole contacts, and parts that come in pieces, are deleted, or have a value that the column refuses
my @stream = map {
	my $time = sprintf '2026-01-02T%02d:%02d:%02d.%03dZ', int($_ / 3600) % 24, int($_ / 60) % 60, $_ % 60, $_ % 1000;
	my $id = int rand 12;
	my $piece = int rand 10;
	$piece < 4 ? { eventType => 'c', id => "same$id", email => "e$_", firstName => "f$_", lastName => undef, externalId => "x$_", timestamp => $time }
	  : { eventType => $piece == 4 ? 'gone' : 'p', id => "p$id", part => int rand 3, timestamp => $time,
		  ($piece < 7 ? (a => "a$_") : ()), ($piece > 5 ? (b => $piece == 9 ? 'no number' : $_) : ()), ($piece == 8 ? (more => $_) : ()) };
} 1 .. 3000;
my $rows = "SELECT md5(string_agg(r, '/' ORDER BY r)) FROM (SELECT to_jsonb(c)::text FROM cxone_sync.contact_records c UNION ALL SELECT to_jsonb(p)::text FROM public.parts p
	UNION ALL SELECT event_key || payload FROM cxone_sync.dead_letters UNION ALL SELECT key || deleted_ts FROM cxone_sync.tombstones) AS x (r)";
my %seen;
foreach my $count (1, 2, $workers)
{
	$node->stop('fast');
	configure($node, workers => $count);
	$node->start;
	poll(sub { return sql($node, "SELECT count(*) FROM cxone_sync.sync_status WHERE state = 'running' AND ready") eq $count; }, "$count workers");
	sql($node, 'TRUNCATE cxone_sync.contact_records, public.parts, cxone_sync.dead_letters, cxone_sync.tombstones');
	my @left = shuffle @stream;
	my @senders = map { connect_to($node) } 1 .. 16;
	my $refused = 0;
	while (@left)
	{
		# all of them at once; what is sent back is sent again
		my @under_way = map { [ $_, [ splice @left, 0, 1 + int rand 12 ] ] } grep { @left } @senders;
		$_->[0]->send(delivery_text(events_json(@{ $_->[1] }))) foreach @under_way;
		foreach my $sent (@under_way)
		{
			next if $sent->[0]->reply->{status} == 200;
			push @left, @{ $sent->[1] };
			$refused++;
		}
	}
	$seen{$count} = sql($node, $rows);
	is($refused, 0, "$count workers: each delivery is taken the first time");
	is(sql($node, "SELECT count(DISTINCT id) FROM cxone_sync.contact_records"), '12', "$count workers: the contacts are there");
	cmp_ok(sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters'), '>', 100, 'so are dead letters');
	is(sql($node, "SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'"), '0', 'without a deadlock');
}
is($seen{2}, $seen{1}, 'two workers write the same rows as one');
is($seen{$workers}, $seen{1}, 'and so do four');

stop_and_check($node);
done_testing();
