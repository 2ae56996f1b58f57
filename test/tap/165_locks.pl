# A lock costs only those who need it, and writers never wait for each other in a circle: two sessions of ingest() in every order of
# their steps, by PostgreSQL's own isolationtester, and many by pgbench; and a worker that meets rows, an index and a table that others
# lock.

use strict;
use warnings;

use CxoneSync;
use IPC::Run qw(run);
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('locks', lock_timeout => '2s');
my $tester = dirname_of_pgxs() . '/../../src/test/isolation/isolationtester';

sub dirname_of_pgxs
{
	chomp(my $pgxs = `$ENV{PG_CONFIG} --pgxs`);
	return $pgxs =~ s{/[^/]*$}{}r;
}

sql($node, <<'SQL');
CREATE SCHEMA sam;
GRANT USAGE ON SCHEMA sam TO cxone_sync;
CREATE TABLE sam.plain (id text PRIMARY KEY, a text, b text, n integer CHECK (n < 10), updated_ts timestamptz);
CREATE TABLE sam.named (id text PRIMARY KEY, email text UNIQUE, name text NOT NULL, updated_ts timestamptz);
CREATE TABLE sam.parents (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE sam.children (id text PRIMARY KEY, parent text REFERENCES sam.parents, updated_ts timestamptz);
ALTER TABLE sam.plain OWNER TO cxone_sync;
ALTER TABLE sam.named OWNER TO cxone_sync;
ALTER TABLE sam.parents OWNER TO cxone_sync;
ALTER TABLE sam.children OWNER TO cxone_sync;
GRANT ALL ON ALL TABLES IN SCHEMA sam TO PUBLIC;
SELECT cxone_sync.add_target('plain', 'sam.plain', '{id}', event_types => '{plain}', delete_types => '{gone}'),
    cxone_sync.add_target('noted', 'sam.plain', '{id}', event_types => '{noted}'),
    cxone_sync.add_target('named', 'sam.named', '{id}', event_types => '{named}'),
    cxone_sync.add_target('children', 'sam.children', '{id}', event_types => '{child}', delete_types => '{child gone}'),
    cxone_sync.add_target('parents', 'sam.parents', '{id}', event_types => '{parent}', delete_types => '{parent gone}');
SQL

sub ingest { return 'SELECT cxone_sync.ingest($$' . events_json(@_) . '$$)'; }
sub of { my ($type, $id, @members) = @_; return { eventType => $type, id => $id, timestamp => '2026-01-02T00:00:00Z', @members }; }

my $setup = <<'SQL';
TRUNCATE sam.plain, sam.named, sam.parents, sam.children, cxone_sync.tombstones, cxone_sync.dead_letters;
INSERT INTO sam.plain (id, updated_ts) SELECT 'k' || i, '2026-01-01' FROM generate_series(1, 9, 2) AS i;
INSERT INTO sam.named (id, name, updated_ts) SELECT 'k' || i, 'n', '2026-01-01' FROM generate_series(1, 9, 2) AS i;
INSERT INTO sam.parents (id) SELECT 'k' || i FROM generate_series(1, 9) AS i;
SQL

# In a specification a block ends at the first brace, so the deliveries stand in functions.
sub make_writers
{
	my @writers = @_;
	sql($node, "CREATE OR REPLACE FUNCTION sam.writer$_() RETURNS jsonb LANGUAGE sql AS \$f\$ $writers[$_] \$f\$") for 0 .. $#writers;
	return;
}

# Two writers, each in a transaction of its own, with its commit as a step: all orders in which whoever waits for the other one is
# not asked to commit first.
sub every_order
{
	my ($name, @writers) = @_;
	make_writers(@writers);
	my $spec = "setup { $setup }\n";
	$spec .= "session s$_\nsetup { BEGIN; }\nstep w$_ { SELECT sam.writer$_(); }\nstep c$_ { COMMIT; }\n" for 0, 1;
	my @orders = ('w0 c0 w1 c1', 'w0 w1 c0 c1', 'w1 c1 w0 c0', 'w1 w0 c1 c0');
	$spec .= "permutation $_\n" for @orders;
	my ($out, $err) = ('', '');
	my $ok = run [ $tester, $node->connstr('postgres') ], '<', \$spec, '>', \$out, '2>', \$err;
	ok($ok, "$name: isolationtester") or diag($err);
	is(scalar(() = $out =~ /^starting permutation/mg), scalar @orders, "$name: all orders");
	my @errors = $out =~ /^.*(?:ERROR|deadlock|canceling).*$/mg;
	is("@errors", '', "$name: no deadlock, no error");
	return;
}

# Eight sessions that take the part of three writers, again and again.
sub many_at_once
{
	my ($name, @writers) = @_;
	make_writers(@writers);
	sql($node, $setup);
	my $position = log_position($node);
	my $file = PostgreSQL::Test::Utils::tempdir() . '/script';
	append_to_file($file, "\\set writer random(0, $#writers)\nSELECT CASE :writer " . join(' ', map { "WHEN $_ THEN sam.writer$_()" } 0 .. $#writers) . " END;\n");
	my ($out, $err) = ('', '');
	my $ok = run [ 'pgbench', '-n', '-c', 8, '-t', 60, '-f', $file, $node->connstr('postgres') ], '>', \$out, '2>', \$err;
	unlink $file;
	ok($ok, "$name: eight sessions") or diag($err);
	like($out, qr{actually processed: 480/480}, "$name: all have written");
	is(scalar(() = slurp_file($node->logfile, $position) =~ /deadlock detected|ERROR/g), 0, "$name: no deadlock, no error");
	return;
}

# others hold it for longer than an attempt waits, which is all that this sleep does
my $holder_of_rows = "SELECT '{}'::jsonb FROM (SELECT FROM sam.named WHERE id = 'k1' FOR UPDATE) AS locked, pg_sleep(0.15)";
my %writers = (
	'rows that others hold for longer' => [ ingest(of('named', 'k1', email => 'x'), of('named', 'k5', email => 'y')), ingest(of('named', 'k3', email => 'y'), of('named', 'k4', email => 'x', name => 'm')), $holder_of_rows ],
	'the same columns' => [ map { my $n = $_; ingest(map { of('plain', "k$_", a => "w$n") } $n == 1 ? (reverse 1 .. 6) : (1 .. 6)) } 1 .. 3 ],
	'several sets of columns' => [ map { my $n = $_; ingest(map { of('plain', "k$_", ($_ + $n) % 2 ? (a => "w$n") : (b => "w$n")) } $n == 2 ? (3, 1, 5, 2, 4) : (1 .. 5)) } 1 .. 3 ],
	'an event at fault' => [ ingest(of('plain', 'k3', a => 'good'), of('plain', 'k3', n => 13), of('plain', 'k4'), of('plain', 'k1')), ingest(of('plain', 'k1'), of('plain', 'k3'), of('plain', 'k4', a => 'x')),
		ingest(of('plain', 'k4', n => 99), of('plain', 'k3', b => 'y')) ],
	'deletions and two targets of one table' => [ ingest(of('gone', 'k3'), of('plain', 'k1')), ingest(of('noted', 'k1'), of('plain', 'k3')), ingest(of('plain', 'k3', a => 'z'), of('gone', 'k1')) ],
	'one table by a target that deletes from it, and by one that does not' => [ ingest(of('noted', 'k1'), of('gone', 'k3')), ingest(of('noted', 'k3'), of('gone', 'k1'), of('child gone', 'a')), ingest(of('child', 'a'), of('noted', 'k5'), of('gone', 'k5')) ],
	'values that are unique, and rows that cannot be made' => [ ingest(of('named', 'k1', email => 'x'), of('named', 'k5', email => 'y')), ingest(of('named', 'k3', email => 'y'), of('named', 'k4', email => 'x', name => 'm')),
		ingest(of('named', 'k5', email => 'x'), of('named', 'k1', email => 'y'), of('named', 'k2')) ],
	'tables that reference each other' => [ ingest(of('parent gone', 'k1'), of('child', 'a', parent => 'k2')), ingest(of('parent gone', 'k2'), of('child', 'b', parent => 'k1')), ingest(of('child', 'a', parent => 'k1'), of('parent gone', 'k3')) ]);
foreach my $kind (sort keys %writers)
{
	every_order($kind, @{ $writers{$kind} }[ 0, 1 ]);
	many_at_once($kind, @{ $writers{$kind} });
}

# ---- a row that goes while it is waited for ----

# Beside an event at fault, so that it is updated, not proposed as a new one.
foreach my $change ("DELETE FROM sam.plain WHERE id = 'k1'", "UPDATE sam.plain SET id = 'other' WHERE id = 'k1'")
{
	sql($node, $setup);
	my ($holder, $writer) = (open_session($node), open_session($node));
	$holder->run("BEGIN; $change");
	$writer->start('SELECT pg_backend_pid()');
	my $pid = $writer->finish;
	$writer->start(ingest(of('plain', 'k3', n => 99), of('plain', 'k1', a => 'new')));
	poll(sub { sql($node, "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $pid") eq 't' }, 'ingest waits');
	$holder->run('COMMIT');
	like($writer->finish, qr/"applied": 1, .*"dead_lettered": 1/, "$change: the other event is applied");
	is(sql($node, "SELECT a FROM sam.plain WHERE id = 'k1'"), 'new', 'its row is there');
	$_->close foreach $holder, $writer;
}

# ---- a worker among others who hold locks ----

sql($node, 'TRUNCATE sam.plain, sam.named, sam.parents, sam.children, cxone_sync.tombstones, cxone_sync.dead_letters');
sql($node, "INSERT INTO sam.plain (id, updated_ts) SELECT 'k' || i, '2026-01-01' FROM generate_series(1, 20) AS i");

# Sends all at once, so that they come in few batches; returns the replies by id.
sub at_once
{
	my @events = @_;
	my @senders = map { connect_to($node) } @events;
	$senders[$_]->send(delivery_text(events_json($events[$_]))) for 0 .. $#events;
	return map { $senders[$_]->reply } 0 .. $#events;
}

my $session = open_session($node);
$session->run("BEGIN; SELECT FROM sam.plain WHERE id IN ('k1', 'k2', 'k3') FOR UPDATE");
for my $turn (1 .. 3)
{
	my @replies = at_once(map { of('plain', "k$_", a => "turn $turn") } 1 .. 12);
	retry_is($replies[$_], "turn $turn: a delivery for a row that is locked for longer than lock_timeout") for 0 .. 2;
	is(counts_of($replies[$_]), '1 0 0', "turn $turn: its neighbour") for 3 .. 11;
}
is(sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters'), '0', 'none is a dead letter');
# a lock that is released in time costs nobody anything
my $sender = connect_to($node);
$sender->send(delivery_text(events_json(of('plain', 'k1', a => 'waited'), of('plain', 'k13', a => 'with it'))));
poll(sub { status_of($node, 'oldest_waiting') ne '' }, 'a delivery waits for the row');
is(counts_of(deliver($node, events_json(of('plain', 'k14')))), '1 0 0', 'another one does not');
is(sql($node, "SELECT a IS NULL FROM sam.plain WHERE id = 'k13'"), 't', 'of one that waits nothing is written yet');
$session->run('COMMIT');
is(counts_of($sender->reply), '2 0 0', 'it is taken when the row is free');
# what comes behind it with its key waits as well: of equal times the later one wins
$session->run("BEGIN; SELECT FROM sam.plain WHERE id = 'k5' FOR UPDATE");
my @queue = map { my $s = connect_to($node); $s->send(delivery_text(events_json(of('plain', 'k5', a => $_)))); poll(sub { status_of($node, 'oldest_waiting') ne '' }, "$_ waits"); $s } 'first';
push @queue, map { my $s = connect_to($node); $s->send(delivery_text(events_json(of('plain', 'k5', a => $_)))); $s } 'second';
is(counts_of(deliver($node, events_json(of('plain', 'k6')))), '1 0 0', 'with another key it is taken');
$session->run('COMMIT');
is(counts_of($_->reply), '1 0 0', 'taken') for @queue;
is(sql($node, "SELECT a FROM sam.plain WHERE id = 'k5'"), 'second', 'in the order of arrival');

# one that is refused whatever the table holds waits for no row
$session->run("BEGIN; SELECT FROM sam.plain WHERE id = 'k5' FOR UPDATE");
$sender = connect_to($node);
$sender->send(delivery_text(events_json(of('plain', 'k5', a => 'third'), { eventType => 'plain' })));
poll(sub { status_of($node, 'queue_depth') eq '2' }, 'its events are counted as such that wait to be written');
is(counts_of(deliver($node, events_json({ eventType => 'plain' }))), '0 0 1', 'an event without a key, behind another one');
poll(sub { status_of($node, 'queue_depth') eq '2' }, 'that other one still waits');
$session->run('COMMIT');
is(counts_of($sender->reply), '1 0 1', 'until the row is free');

# what has waited is written by transactions of batch_size, too
sql($node, <<'SQL');
CREATE TABLE sam.counted (id text PRIMARY KEY, written_by xid8 DEFAULT pg_current_xact_id(), updated_ts timestamptz);
ALTER TABLE sam.counted OWNER TO cxone_sync;
SELECT cxone_sync.add_target('counted', 'sam.counted', '{id}', event_types => '{counted}');
SQL
set_settings($node, batch_size => 4, lock_timeout => '60s');
$session->run('BEGIN; LOCK TABLE sam.counted');
my @senders = map { connect_to($node) } 1 .. 6;
$senders[$_]->send(delivery_text(events_json(map { of('counted', $_) } "$_ one", "$_ two", "$_ three"))) for 0 .. 5;
poll(sub { status_of($node, 'queue_depth') eq '18' && status_of($node, 'oldest_waiting') ne '' }, 'six deliveries wait for the table');
$session->run('COMMIT');
is(counts_of($_->reply), '3 0 0', 'taken when the table is free') for @senders;
is(sql($node, 'SELECT max(events) FROM (SELECT count(*) AS events FROM sam.counted GROUP BY written_by) AS t'), '3', 'no transaction has more than batch_size events');

# nor do those that wait take all the room that there is: 100 kB take three times as much, and half of 1 MB is for the others
configure($node, batch_size => 1000, queue_size => '1MB');
$session->close;
$node->restart;
wait_for_state($node, 'running');
$session = open_session($node);
$session->run('BEGIN; LOCK TABLE sam.plain');
@senders = map { connect_to($node) } 1 .. 6;
$senders[$_]->send(delivery_text(events_json(of('plain', "large $_", a => 'x' x 100_000)))) for 0 .. 5;
poll(sub { 5 == grep { $_->has_reply } @senders }, 'one of them waits');
is(counts_of(deliver($node, events_json(of('counted', 'beside', note => 'x' x 100_000)))), '1 0 0', 'beside it there is room for another one');
$session->run('COMMIT');
is(join(' ', sort map { $_->reply->{status} } @senders), '200 503 503 503 503 503', 'it is taken when the table is free');

# what may not wait is not written either: it would come before what waits, and has its key
set_settings($node, queue_size => '32MB', max_queued_events => 4);
sql($node, "INSERT INTO sam.plain (id, updated_ts) VALUES ('t1', '2026-01-01'), ('t5', '2026-01-01')");
$session->run("BEGIN; SELECT FROM sam.plain WHERE id = 't1' FOR UPDATE");
my @rivals = map { connect_to($node) } 1 .. 2;
$rivals[0]->send(delivery_text(events_json(of('plain', 't1', a => 'first'), of('plain', 't5', a => 'first'))));
poll(sub { status_of($node, 'queue_depth') eq '2' }, 'a delivery waits, and no more than its two events may');
retry_is($rivals[1]->deliver(events_json(of('noted', 't5', a => 'second'))), 'another one for one of its rows, by another target');
$session->run('COMMIT');
is(counts_of($rivals[0]->reply), '2 0 0', 'the first is taken');
is(counts_of($rivals[1]->deliver(events_json(of('noted', 't5', a => 'second')))), '1 0 0', 'and the other one when it is sent again');
is(sql($node, "SELECT a FROM sam.plain WHERE id = 't5'"), 'second', 'the later of a tie has won');
set_settings($node, max_queued_events => 100000);

# what a trigger refuses only because others share the transaction is written by itself: now() is the same for all of them
sql($node, <<'SQL');
CREATE TABLE sam.states (id text PRIMARY KEY, v text, updated_ts timestamptz);
CREATE TABLE sam.history (id text, at timestamptz DEFAULT now(), v text, PRIMARY KEY (id, at));
CREATE FUNCTION sam.remember() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN INSERT INTO sam.history (id, v) VALUES (NEW.id, NEW.v); RETURN NULL; END$$;
CREATE TRIGGER remember AFTER INSERT OR UPDATE ON sam.states FOR EACH ROW EXECUTE FUNCTION sam.remember();
ALTER TABLE sam.states OWNER TO cxone_sync;
ALTER TABLE sam.history OWNER TO cxone_sync;
SELECT cxone_sync.add_target('states', 'sam.states', '{id}', event_types => '{state}');
SQL
my $busy = hold_worker($node);
my @states = map { connect_to($node) } 0 .. 7;
for my $n (0 .. 7)
{
	$states[$n]->send(delivery_text(events_json(of('state', $n % 4, v => "state $n", timestamp => "2026-01-0" . (1 + $n) . "T00:00:00Z"))));
	poll(sub { status_of($node, 'queue_depth') eq $n + 1 }, 'it waits for the worker');
}
release_worker($node, $busy);
is(counts_of($_->reply), '1 0 0', 'applied') for @states;
is(sql($node, "SELECT string_agg(v, ', ' ORDER BY id) FROM sam.states"), 'state 4, state 5, state 6, state 7', 'the newest states');
is(sql($node, 'SELECT count(*) FROM sam.history'), '8', 'and all in the history');

# a lock that is met before anything is written, in a value's type, or behind everything, on the dead letters
sql($node, <<'SQL');
CREATE TABLE sam.allowed (v text);
INSERT INTO sam.allowed VALUES ('yes');
CREATE FUNCTION sam.is_allowed(text) RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RETURN EXISTS (SELECT FROM sam.allowed WHERE v = $1); END$$;
CREATE DOMAIN sam.choice AS text CHECK (sam.is_allowed(VALUE));
CREATE TABLE sam.choices (id text PRIMARY KEY, v sam.choice, updated_ts timestamptz);
GRANT SELECT ON sam.allowed TO cxone_sync;
ALTER TABLE sam.choices OWNER TO cxone_sync;
SELECT cxone_sync.add_target('choices', 'sam.choices', '{id}', event_types => '{choice}');
SQL
for my $case ([ 'sam.allowed', sub { of('choice', "c$_[0]", v => 'yes') }, '1 0 0' ], [ 'cxone_sync.dead_letters', sub { { eventType => 'plain' } }, '0 0 1' ])
{
	my ($table, $event, $counts) = @$case;
	my $held = hold_worker($node);
	$session->run("BEGIN; LOCK TABLE $table");
	my @waiting = map { connect_to($node) } 1 .. 50;
	$waiting[$_]->send(delivery_text(events_json($event->($_)))) for 0 .. 49;
	my @beside = map { connect_to($node) } 1 .. 5;
	$beside[$_]->send(delivery_text(events_json(of('plain', "beside $_")))) for 0 .. 4;
	poll(sub { status_of($node, 'queue_depth') eq '55' }, "$table is locked, and all wait for the worker");
	release_worker($node, $held);
	is(counts_of($_->reply), '1 0 0', 'one that does not need it') for @beside;
	poll(sub { status_of($node, 'queue_depth') eq '50' }, 'the others wait');
	$session->run('COMMIT');
	is(counts_of($_->reply), $counts, 'taken when the table is free') for @waiting;
}

# locked rows, however many, are found at once: to wait for one after the other would hold up what is written with them
sql($node, <<'SQL');
CREATE SEQUENCE sam.statements;
CREATE TABLE sam.many (id text PRIMARY KEY, a text, updated_ts timestamptz);
INSERT INTO sam.many SELECT 'row ' || i, 'old', '2026-01-01' FROM generate_series(0, 300) AS i;
CREATE FUNCTION sam.count_statement() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN PERFORM nextval('sam.statements'); RETURN NULL; END$$;
CREATE TRIGGER count_statement BEFORE INSERT OR UPDATE ON sam.many FOR EACH STATEMENT EXECUTE FUNCTION sam.count_statement();
ALTER TABLE sam.many OWNER TO cxone_sync;
ALTER SEQUENCE sam.statements OWNER TO cxone_sync;
SELECT cxone_sync.add_target('many', 'sam.many', '{id}', event_types => '{many}', delete_types => '{many gone}');
SQL
my $holder = hold_worker($node);
$session->run('BEGIN; SELECT FROM sam.many FOR UPDATE');
@senders = map { connect_to($node) } 0 .. 99;
$senders[$_]->send(delivery_text(events_json(map { of($_ % 10 ? 'many' : 'many gone', "row $_", $_ % 3 ? (a => 'new') : ()) } 3 * $_ .. 3 * $_ + 2))) for 0 .. 99;
my ($late, $new) = map { connect_to($node) } 1 .. 2;
$late->send(delivery_text(events_json({ %{ of('many', 'row 300', a => 'late') }, timestamp => '2025-12-31T00:00:00Z' })));
$new->send(delivery_text(events_json(of('many', 'another'))));
poll(sub { status_of($node, 'queue_depth') eq '302' }, 'all wait for the worker');
release_worker($node, $holder);
is(counts_of($late->reply), '0 1 0', 'a late event needs no lock of its row');
is(counts_of($new->reply), '1 0 0', 'nor does a new row');
cmp_ok(sql($node, 'SELECT last_value FROM sam.statements'), '<', 100, 'no statement for each delivery that meets one');
poll(sub { status_of($node, 'queue_depth') eq '300' }, 'the others wait');
$session->run('COMMIT');
is(counts_of($_->reply), '3 0 0', 'taken when the rows are free') for @senders;
is(sql($node, "SELECT count(*), count(*) FILTER (WHERE a = 'new') FROM sam.many"), '272|180', 'as each event says');
set_settings($node, lock_timeout => '2s');

# ---- what comes behind a delivery that waits, also when its batch falls apart ----

sql($node, <<'SQL');
CREATE FUNCTION sam.refuse() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.v = 'no' THEN RAISE EXCEPTION 'no'; ELSIF NEW.v = 'full' THEN RAISE disk_full; END IF; RETURN NEW; END$$;
CREATE TABLE sam.refusing (id text PRIMARY KEY, v text, updated_ts timestamptz);
CREATE TRIGGER refuse BEFORE INSERT OR UPDATE ON sam.refusing FOR EACH ROW EXECUTE FUNCTION sam.refuse();
ALTER TABLE sam.refusing OWNER TO cxone_sync;
INSERT INTO sam.refusing VALUES ('w', 'old', '2026-01-01');
SELECT cxone_sync.add_target('refusing', 'sam.refusing', '{id}', event_types => '{refusing}');
SQL
set_settings($node, lock_timeout => '60s');
my $seconds = 0;
sub later { my ($type, $id, @members) = @_; return { %{ of($type, $id, @members) }, timestamp => sprintf('2026-01-03T00:%02d:%02dZ', $seconds / 60, $seconds++ % 60) }; }

# Holds the worker until all these wait for it in this order; returns their senders.
sub in_one_batch
{
	my @events = @_;
	my $held = hold_worker($node);
	my $before = status_of($node, 'queue_depth');
	my @senders = map { connect_to($node) } @events;
	for my $n (0 .. $#events)
	{
		$senders[$n]->send(delivery_text(events_json($events[$n])));
		poll(sub { status_of($node, 'queue_depth') eq $before + $n + 1 }, 'it waits for the worker');
	}
	release_worker($node, $held);
	return @senders;
}

# the first waits for a row, which is free before the last, for the same row, is written
sql($node, <<'SQL');
CREATE FUNCTION sam.let_go() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
BEGIN
    -- waits, for a minute at most, until it has ended
    PERFORM pg_terminate_backend(pid, 60000) FROM pg_locks WHERE relation = 'sam.plain'::regclass AND mode = 'RowShareLock' AND pid <> pg_backend_pid();
    RETURN NEW;
END$$;
CREATE TRIGGER a BEFORE INSERT ON sam.refusing FOR EACH ROW EXECUTE FUNCTION sam.let_go();
SQL
for my $v ('no', 'full')
{
	sql($node, "DELETE FROM sam.plain; INSERT INTO sam.plain (id, updated_ts) VALUES ('o1', '2026-01-01')");
	my $keeper = open_session($node);
	$keeper->run("BEGIN; SELECT FROM sam.plain WHERE id = 'o1' FOR UPDATE");
	my @ones = in_one_batch(later('plain', 'o1', a => 'first'), later('refusing', "r $v", v => $v), later('plain', 'other'), later('plain', 'o1', b => 'second'));
	is(counts_of($ones[0]->reply), '1 0 0', "$v: the first is applied");
	$v eq 'no' ? is(counts_of($ones[1]->reply), '0 0 1', 'a trigger has refused one behind it') : retry_is($ones[1]->reply, 'the disk was full for one behind it');
	is(counts_of($ones[$_]->reply), '1 0 0', "$v: applied") for 2, 3;
	is(sql($node, "SELECT a, b FROM sam.plain WHERE id = 'o1'"), 'first|second', "$v: in the order of arrival");
	$keeper->close;
}
sql($node, 'DROP TRIGGER a ON sam.refusing');

# one that fails when its lock is gone sends nobody else back
my $other = open_session($node);
$session->run("BEGIN; SELECT FROM sam.plain WHERE id = 'o1' FOR UPDATE");
$other->run("BEGIN; SELECT FROM sam.refusing WHERE id = 'w' FOR UPDATE");
my ($long, $full) = in_one_batch(later('plain', 'o1', a => 'waits on'), later('refusing', 'w', v => 'full'));
poll(sub { status_of($node, 'queue_depth') eq '2' }, 'both wait for locks');
$other->run('COMMIT');
retry_is($full->reply, 'for one of those that wait the disk is full');
like(status_of($node, 'last_error'), qr/ \(while writing events of target "refusing"\)$/, 'which is told with its target');
$session->run('COMMIT');
is(counts_of($long->reply), '1 0 0', 'the other one goes on waiting');

# ---- a table that stays locked, and another one ----

set_settings($node, lock_timeout => '300ms');
$session->run('BEGIN; LOCK TABLE sam.many');
retry_is(deliver($node, events_json(later('many', 'a'))), 'a table is locked for longer than lock_timeout');
set_settings($node, lock_timeout => '60s');
my $position = log_position($node);
$other->run('BEGIN; LOCK TABLE sam.counted');
my $short = connect_to($node);
$short->send(delivery_text(events_json(later('counted', 'short'))));
poll(sub { status_of($node, 'oldest_waiting') ne '' }, 'a delivery for another table waits');
retry_is(deliver($node, events_json(later('many', 'a'))), 'at once while that table is locked');
like(status_of($node, 'last_error'), qr/the table of target "many" is locked/, 'for a reason of its own');
$other->run('COMMIT');
is(counts_of($short->reply), '1 0 0', 'the other table was waited for');
unlike(slurp_file($node->logfile, $position), qr/"counted"/, 'and is not to blame for anything');
$session->run('COMMIT');

# a row's lock is over when nobody waits for one any more
set_settings($node, lock_timeout => '300ms');
$session->run("BEGIN; SELECT FROM sam.plain WHERE id = 'o1' FOR UPDATE");
retry_is(deliver($node, events_json(later('plain', 'o1', a => 'in vain'))), 'a row is locked for longer');
$session->run('COMMIT');
wait_for_state($node, 'running');

# the extension's own tables: nothing at all can be written
$session->run('BEGIN; LOCK TABLE cxone_sync.target_config');
sql($node, 'ALTER TABLE sam.plain ADD later text');
retry_is(deliver($node, events_json(later('plain', 'o1', a => 'in vain'))), 'the configuration is locked');
is(status_of($node, 'ready'), 'false', 'so the worker is not ready');
like(status_of($node, 'not_ready_because'), qr/^extension: /, 'as the extension is out of reach');
$session->run('COMMIT');
poll(sub { status_of($node, 'ready') eq 'true' }, 'it finds by itself that the lock is gone');

# ---- locks that cannot be seen before they are met ----

# each of a hundred deliveries needs one, of a row that another session has not committed; others are answered beside them
set_settings($node, lock_timeout => '60s');
sql($node, 'ALTER SEQUENCE sam.statements RESTART');
$session->run("BEGIN; INSERT INTO sam.many (id) SELECT 'hidden ' || i FROM generate_series(1, 100) AS i");
my @hidden = in_one_batch(map { later('many', "hidden $_", a => 'in time') } 1 .. 100);
for my $turn (1 .. 30)
{
	is(counts_of(deliver($node, events_json(later('plain', "beside $turn"), later('many', "beside $turn")))), '2 0 0', "another one for two tables, $turn");
}
cmp_ok(sql($node, 'SELECT last_value FROM sam.statements'), '<', 30 * 100, 'between two of them not all that wait are tried');
is(scalar(grep { $_->has_reply } @hidden), 0, 'none of the hundred is answered');
is(status_of($node, 'queue_depth'), '100', 'all wait');
$session->run('ROLLBACK');
is(scalar(grep { counts_of($_->reply) eq '1 0 0' } @hidden), 100, 'taken when the rows are free');
$other->close;
set_settings($node, lock_timeout => '2s');

# an index of one target; whatever else has changed in the catalog
$session->run('BEGIN; REINDEX INDEX sam.named_pkey; CREATE FUNCTION sam.any() RETURNS integer LANGUAGE sql AS $$SELECT 1$$');
sql($node, 'CREATE FUNCTION public.another() RETURNS integer LANGUAGE sql AS $$SELECT 1$$; ANALYZE sam.plain');
is(counts_of(deliver($node, events_json(of('plain', 'k7', a => 'beside an index')))), '1 0 0', 'an index that is rebuilt does not concern other targets');
my @both = at_once(of('named', 'k7', name => 'n'), of('plain', 'k8'));
retry_is($both[0], 'a delivery that needs it');
is(counts_of($both[1]), '1 0 0', 'and one that does not, at the same time');
$session->run('ROLLBACK');
is(counts_of(deliver($node, events_json(of('named', 'k7', name => 'n')))), '1 0 0', 'taken when it is rebuilt');

# a trigger that calls ingest() for a table that is locked
sql($node, <<'SQL');
CREATE FUNCTION sam.hand_on() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM cxone_sync.ingest(jsonb_build_object('events', jsonb_build_array(jsonb_build_object('eventType', 'named', 'id', NEW.id, 'name', 'by trigger')))); RETURN NULL; END $$;
GRANT EXECUTE ON FUNCTION cxone_sync.ingest(jsonb) TO cxone_sync;
CREATE TRIGGER hand_on AFTER INSERT ON sam.parents FOR EACH ROW EXECUTE FUNCTION sam.hand_on();
SQL
$session->run('BEGIN; LOCK TABLE sam.named');
@both = at_once(of('parent', 'new'), of('plain', 'k9'), of('plain', 'k10'));
retry_is($both[0], 'a delivery whose trigger calls ingest() for a table that is locked');
is(counts_of($both[$_]), '1 0 0', 'one beside it is taken') for 1, 2;
$session->run('COMMIT');
is(counts_of(deliver($node, events_json(of('parent', 'new')))), '1 0 0', 'taken when the table is free');
is(sql($node, "SELECT name FROM sam.named WHERE id = 'new'"), 'by trigger', 'by both');
$session->close;

stop_and_check($node);
done_testing();
