# Targets over HTTP: several tables and owners in one delivery, a configuration that changes under load, tables that are locked or
# broken and mended, field order over concurrent connections, envelopes and settings of a reload, owners who may not write.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Load;
use List::Util qw(shuffle);
use POSIX ();
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

my $lock_timeout = 2; # seconds
my $node = start_node('targets', lock_timeout => "${lock_timeout}s");
my $letters = 'cxone_sync.dead_letters';
my $pid = worker_pid($node);

sub event_of { my ($type, $id, %more) = @_; return { eventType => $type, id => $id, timestamp => '2026-01-02T03:04:05Z', %more }; }
sub deliver_events { return deliver($node, events_json(@_)); }
sub letter_of
{
	my $id = shift;
	return sql($node, "SELECT coalesce(target, ''), sqlstate, message, hint IS NOT NULL FROM $letters WHERE event_key = '$id' OR event_key IS NULL AND payload LIKE '%\"$id\"%' ORDER BY id");
}
sub problem_of { my $target = shift; return sql($node, "SELECT coalesce(problem, '') FROM cxone_sync.targets WHERE name = '$target'"); }

# ---- several targets ----

# each with its own owner and schema, and a column that tells as whom it was written
my %owner_of = (orders => 'ann', cases => 'bob', notes => 'cyd');
my %type_of = (orders => 'order', cases => 'case', notes => 'note');
foreach my $target (sort keys %owner_of)
{
	my $owner = $owner_of{$target};
	sql($node, "CREATE ROLE $owner; CREATE SCHEMA $owner; GRANT USAGE ON SCHEMA $owner TO $owner;
		CREATE TABLE $owner.$target (id text PRIMARY KEY, v text, writer text DEFAULT current_user, updated_ts timestamptz);
		ALTER TABLE $owner.$target OWNER TO $owner;
		SELECT cxone_sync.add_target('$target', '$owner.$target', '{id}', event_types => '{$type_of{$target},each}')");
}
sql($node, "ALTER TABLE bob.cases ADD CHECK (v <> 'bad');
	SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{contact}', kept_columns => '{sync_status}')");

my $everything = "SELECT 'orders', id, v, writer FROM ann.orders UNION ALL SELECT 'cases', id, v, writer FROM bob.cases
	UNION ALL SELECT 'notes', id, v, writer FROM cyd.notes UNION ALL SELECT 'contacts', id, email, sync_status FROM cxone_sync.contact_records";
is(counts_of(deliver_events(event_of('order', 'o', v => '1'), event_of('case', 'c', v => '2'), event_of('note', 'n', v => '3'),
	event_of('contact', 'p', email => '4'))), '4 0 0', 'one delivery with events for four targets');
is(sql($node, "SELECT * FROM ($everything) AS e ORDER BY 1, 2"), "cases|c|2|bob\ncontacts|p|4|pending\nnotes|n|3|cyd\norders|o|1|ann",
	'each goes to its table, as the owner of that table');
is(counts_of(deliver_events(event_of('each', 'e', v => '5'))), '1 0 0', 'an event for three targets counts once');
is(sql($node, "SELECT * FROM ($everything) AS e WHERE id = 'e' ORDER BY 1"), "cases|e|5|bob\nnotes|e|5|cyd\norders|e|5|ann", 'and goes to all of them');
is(counts_of(deliver_events(event_of('each', 'f', v => 'bad'))), '0 0 1', 'one that a target of three refuses');
is(sql($node, "SELECT * FROM ($everything) AS e WHERE id = 'f' ORDER BY 1"), "notes|f|bad|cyd\norders|f|bad|ann", 'goes to the others');
like(letter_of('f'), qr/^cases\|23514\|[^\n]*$/, 'and is a dead letter of that target');
is(counts_of(deliver_events(event_of('unknown', 'u'), event_of('note', 'n2'))), '1 0 1', 'one that no target takes');
like(sql($node, "SELECT target IS NULL, message FROM $letters WHERE payload LIKE '%unknown%'"), qr/^t\|no target takes events of type "unknown"$/, 'is a dead letter without a target');
sql($node, "TRUNCATE $letters");

# ---- a configuration that changes under load ----

sql($node, "CREATE TABLE ann.pairs (id text PRIMARY KEY, p text, q text, updated_ts timestamptz); ALTER TABLE ann.pairs OWNER TO ann;
	CREATE TABLE ann.copies (LIKE ann.pairs INCLUDING ALL); ALTER TABLE ann.copies OWNER TO ann;
	SELECT cxone_sync.add_target('pairs', 'ann.pairs', '{id}', event_types => '{pair}'),
		cxone_sync.map_field('pairs', 'p', '/left'), cxone_sync.map_field('pairs', 'q', '/right')");

my $load = CxoneSync::Load->start(webhook_port($node), clients => 4, name => 'pair', events => sub {
	my ($prefix, $number) = @_;
	my @ids = map { "$prefix-$number-$_" } 1 .. 1 + $number % 5;
	return (\@ids, map { qq({"eventType":"pair","id":"$_","left":"l","right":"r","timestamp":"2026-01-02T03:04:05Z"}) } @ids);
});
my $session = open_session($node);
my (@seen, @expected);
foreach my $round (1 .. 10)
{
	my ($left, $right) = $round % 2 ? ('/right', '/left') : ('/left', '/right');
	$session->run("BEGIN; SELECT cxone_sync.map_field('pairs', 'p', '$left')");
	$session->run("SELECT cxone_sync.map_field('pairs', 'q', '$right'); COMMIT");
	deliver_events(event_of('pair', "swap-$round", left => 'l', right => 'r'));
	push @seen, $session->run("SELECT p || q FROM ann.pairs WHERE id = 'swap-$round'");
	push @expected, $round % 2 ? 'rl' : 'lr';
	$session->run('ALTER TABLE ann.pairs ADD COLUMN hot text');
	deliver_events(event_of('pair', "hot-$round", hot => 'yes'));
	push @seen, $session->run("SELECT hot FROM ann.pairs WHERE id = 'hot-$round'");
	push @expected, 'yes';
	$session->run("ALTER TABLE ann.pairs DROP COLUMN hot; SELECT cxone_sync.add_target('copies', 'ann.copies', '{id}', event_types => '{pair}')");
	deliver_events(event_of('pair', "copy-$round", p => 'l'));
	push @seen, $session->run("SELECT p FROM ann.copies WHERE id = 'copy-$round'");
	push @expected, 'l';
	$session->run("SELECT cxone_sync.remove_target('copies')");
	my $before = $load->count(200);
	poll(sub { $load->count(200) >= $before + 20 }, "deliveries after round $round");
}
$load->stop;
is("@seen", "@expected", 'map_field, ADD COLUMN and add_target take effect with the next delivery, under load');
is(join(',', grep { !/^200/ } $load->answers), '', 'every delivery in the meantime was taken');
is(worker_pid($node), $pid, 'by the same worker');
is(sql($node, "SELECT count(*) FROM $letters"), '0', 'without a dead letter');

# Which of these ids a query does not know.
sub missing_is
{
	my ($known, $name, @ids) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/ids';
	open my $out, '>', $file or die "$file: $!";
	print $out map { "$_\n" } @ids;
	close $out;
	my ($count, $missing, $example) = split /\|/, sql($node, <<"SQL");
CREATE TEMP TABLE acknowledged (id text);
\\copy acknowledged FROM '$file'
SELECT count(*), count(*) FILTER (WHERE k.id IS NULL), min(a.id) FILTER (WHERE k.id IS NULL) FROM acknowledged AS a LEFT JOIN ($known) AS k USING (id)
SQL
	is("$count $missing", scalar(@ids) . ' 0', "$name: none of " . @ids . ' events is missing') or diag("one of them: $example");
	return;
}
missing_is('SELECT id FROM ann.pairs', 'under load', $load->acknowledged);
is(sql($node, "SELECT count(*) FROM ann.pairs WHERE id LIKE 'pair-%' AND p || q NOT IN ('lr', 'rl')"), '0', 'no event is mapped by a mixture of two configurations');
is(sql($node, "SELECT count(*) FROM (SELECT FROM ann.pairs WHERE id LIKE 'pair-%' GROUP BY regexp_replace(id, '-[0-9]+\$', '') HAVING count(DISTINCT p) > 1) AS m"), '0',
	'nor a delivery by two of them');
is(sql($node, "SELECT count(DISTINCT p) FROM ann.pairs WHERE id LIKE 'pair-%'"), '2', 'both were in force');

# ---- a table that is locked ----

# Deliveries, timed.
sub timed { my $start = time; my $reply = deliver_events(@_); return ($reply, time - $start); }

wait_for_log($node, qr/deliveries are taken from now on/); # of the time before the extension was there
my $position = log_position($node);
$session->run('BEGIN; LOCK TABLE ann.orders IN ACCESS EXCLUSIVE MODE');
my ($reply, $took) = timed(event_of('order', 'locked1', v => 'l'));
retry_is($reply, 'a delivery for a target whose table is locked');
cmp_ok($took, '>', $lock_timeout * 0.9, 'after lock_timeout');
my @slow;
foreach my $turn (1 .. 5)
{
	($reply, $took) = timed(event_of('case', "free$turn"), event_of('note', "free$turn"));
	is(counts_of($reply), '2 0 0', "a delivery for other targets, $turn");
	push @slow, $took if $took > $lock_timeout / 2;
	($reply, $took) = timed(event_of('order', "locked$turn", v => 'l'), event_of('case', "mixed$turn"));
	retry_is($reply, "one for the locked target and another, $turn");
	push @slow, $took if $took > $lock_timeout / 2;
	like(status_of($node, 'last_error'), qr/the table of target "orders" is locked/, "sync_status says which, $turn") if $turn == 5;
}
is("@slow", '', 'none of them waits for the lock');
is(sql($node, "SELECT count(*) FROM bob.cases WHERE id LIKE 'mixed%'"), '0', 'nothing of a delivery that was sent back is committed');
is(status_of($node, 'state'), 'waiting', 'the state tells that deliveries are sent back');
is(scalar(() = slurp_file($node->logfile, $position) =~ /the table of target "orders" is locked/g), 1, 'the log says once which target is locked');
is(scalar(() = slurp_file($node->logfile, $position) =~ /deliveries are taken from now on/g), 0, 'and not that all is well');
$session->run('COMMIT');
is(counts_of(deliver_events(event_of('order', 'locked1', v => 'l'), event_of('case', 'mixed1'))), '2 0 0', 'after unlocking it is taken');
wait_for_log($node, qr/deliveries are taken from now on/, $position);
wait_for_state($node, 'running');

# ---- the extension itself, which anybody may lock ----

sql($node, 'CREATE ROLE guest');
{
	my $guest = open_session($node);
	$guest->run('SET ROLE guest; BEGIN; CREATE FUNCTION pg_temp.f() RETURNS integer LANGUAGE sql RETURN 1; ALTER FUNCTION pg_temp.f() DEPENDS ON EXTENSION cxone_sync');
	is(sql($node, "SELECT mode FROM pg_locks WHERE locktype = 'object' AND classid = 'pg_extension'::regclass AND granted"), 'AccessExclusiveLock', 'a guest holds a lock on the extension');
	is(counts_of(deliver_events(event_of('order', 'guest'), event_of('note', 'guest'))), '2 0 0', 'which holds up no delivery');
	is(sql($node, 'SELECT count(*) > 0 FROM cxone_sync.targets'), 't', 'nor a look at the targets');
	$guest->close;
	my $user = open_session($node);
	$user->run("BEGIN; " . ingest_sql(event_of('note', 'user')));
	my $dropper = IPC::Run::start([ $node->installed_command('psql'), '-X', '-d', $node->connstr('postgres'), '-c', "SET lock_timeout = '60s'", '-c', 'BEGIN', '-c', 'DROP EXTENSION cxone_sync', '-c', 'ROLLBACK' ], '>', \my $dropped, '2>', \my $refused);
	poll(sub { sql($node, "SELECT count(*) FROM pg_locks WHERE NOT granted") > 0 }, 'DROP EXTENSION waits for who uses it');
	$user->run('ROLLBACK');
	$dropper->finish;
	like($dropped, qr/DROP EXTENSION/, 'and no longer');
	$user->close;
}

# ---- definitions that change one behind the other ----

sub start_psql
{
	my ($out, $statement) = @_;
	return IPC::Run::start([ $node->installed_command('psql'), '-XAtq', '-d', $node->connstr('postgres'), '-c', $statement ], '>', $out, '2>', $out);
}
sub waiting_for_orders_are
{
	my $count = shift;
	return poll(sub { sql($node, "SELECT count(*) FROM pg_locks WHERE relation = 'ann.orders'::regclass AND NOT granted") == $count }, "$count wait for the table");
}
{
	my ($applied, $changed) = ('', '');
	my $first = open_session($node);
	$first->run('BEGIN; ALTER TABLE ann.orders ADD COLUMN first text');
	my $sender = connect_to($node);
	$sender->send(delivery_text(events_json(event_of('order', 'queued1', v => 'q'))));
	my $ingest = start_psql(\$applied, "SELECT cxone_sync.ingest('" . events_json(event_of('order', 'queued2', v => 'q')) . "')");
	waiting_for_orders_are(1);
	my $second = start_psql(\$changed, 'ALTER TABLE ann.orders ADD COLUMN second text');
	waiting_for_orders_are(2);
	$first->run('COMMIT');
	$_->finish foreach $ingest, $second;
	like($applied, qr/"applied": 1/, 'a transaction that waits between two changes of a table goes by the first');
	is($changed, '', 'and the second one is made');
	is(counts_of($sender->reply), '1 0 0', 'as is a delivery');
	sql($node, 'ALTER TABLE ann.orders DROP COLUMN first, DROP COLUMN second');
	$first->close;
}

# ---- a table that is locked when a session first looks at it ----

# Statements in a session of their own that go on after an error: what they print, and their errors.
sub fresh_session
{
	my ($rc, $out, $errors) = $node->psql('postgres', join('', map { "$_;\n" } @_), on_error_stop => 0, timeout => $CxoneSync::timeout);
	return ($out, join ',', $errors =~ /ERROR:  (.*)/g);
}
sub ingest_sql { return "SELECT cxone_sync.ingest('" . events_json(@_) . "') - 'received'"; }
sub simulate_sql { return "SELECT string_agg(outcome, ' ' ORDER BY event) FROM cxone_sync.simulate('" . events_json(@_) . "')"; }
my $one_applied = '{"applied": 1, "skipped": 0, "dead_lettered": 0}';
my $replay = 'SELECT outcome FROM cxone_sync.replay_dead_letters()';
my $timed_out = 'canceling statement due to lock timeout';

sql($node, "INSERT INTO $letters (received_at, target, event_key, sqlstate, message, payload)
	VALUES (now(), 'orders', 'first letter', '22P02', 'to be replayed', '{\"eventType\":\"order\",\"id\":\"first letter\",\"v\":\"l\",\"late\":\"l\"}')");
$session->run('BEGIN; LOCK TABLE ann.orders IN ACCESS EXCLUSIVE MODE; ALTER TABLE ann.orders ADD COLUMN late text');
my ($out, $errors) = fresh_session("SET lock_timeout = '100ms'", ingest_sql(event_of('order', 'first ingest'), event_of('note', 'first ingest')), $replay,
	simulate_sql(event_of('order', 'first simulate')), ingest_sql(event_of('note', 'other target')), "SELECT problem FROM cxone_sync.targets WHERE name IN ('orders', 'notes') ORDER BY name",
	"SELECT cxone_sync.map_field('orders', 'v', '/v')");
is($errors, join(',', ($timed_out) x 3, 'the table of target "orders" is locked'), 'ingest, replay and simulate fail in a session that finds the table locked, and so does map_field');
is($out, "$one_applied\n\nits table is locked", 'an event for another target does not, and the view targets tells');
is(sql($node, "SELECT attempts, history FROM $letters WHERE event_key = 'first letter'"), '1|[]', 'the letter stays as it was');
is(sql($node, "SELECT string_agg(id, ',') FROM cyd.notes WHERE id IN ('first ingest', 'other target')"), 'other target', 'nothing is written of what has failed');
my @waiting = map { open_session($node) } 1 .. 3;
$waiting[0]->start(ingest_sql(event_of('order', 'waited', v => 'w', late => 'seen')));
$waiting[1]->start($replay);
$waiting[2]->start(simulate_sql(event_of('order', 'waited too', late => 'seen')));
ok(poll(sub { sql($node, "SELECT count(DISTINCT pid) FROM pg_locks WHERE locktype = 'relation' AND NOT granted") == 3 }, 'three sessions wait'), 'without a timeout they wait for the lock');
$session->run('COMMIT');
is($waiting[0]->finish, $one_applied, 'once it is gone the event is applied');
is($waiting[1]->finish, 'applied', 'and the letter');
is($waiting[2]->finish, 'applied', 'and what was to be simulated would be');
$_->close foreach @waiting;
is(sql($node, "SELECT string_agg(concat_ws(' ', id, v, late), ',' ORDER BY id) FROM ann.orders WHERE id LIKE 'first%' OR id LIKE 'waited%'"), 'first letter l l,waited w seen',
	'by the definition that the holder of the lock has left');
is(sql($node, "SELECT count(*) FROM $letters"), '0', 'no letter is left');

# ---- what else a look at a table might wait for ----

# Each change of the catalog has all targets' tables looked at anew; the locks are those of others, as of REINDEX INDEX and ALTER TYPE.
sql($node, "CREATE TYPE cyd.pair AS (a integer, at timestamptz); CREATE TABLE cyd.pairs (LIKE cyd.notes); ALTER TABLE cyd.pairs OWNER TO cyd; ALTER TYPE cyd.pair OWNER TO cyd;
	ALTER TABLE cyd.notes ADD COLUMN p cyd.pair, ADD COLUMN ps cyd.pairs[], ADD COLUMN d text DEFAULT (row('x', 'from a default', NULL, NULL)::cyd.pairs).v");
foreach my $case (
	[ 'an index', 'REINDEX INDEX ann.orders_pkey', 'order' ],
	[ 'a row type', 'ALTER TYPE cyd.pair ADD ATTRIBUTE b text', 'note' ],
	[ 'a table as a row type', 'LOCK TABLE cyd.pairs', 'note' ])
{
	my ($what, $lock, $type) = @$case;
	$session->run("BEGIN; $lock");
	sql($node, 'ALTER SCHEMA bob RENAME TO robert; ALTER SCHEMA robert RENAME TO bob');
	my ($quick) = timed(event_of('case', "beside $what"), event_of($type eq 'note' ? 'order' : 'note', "beside $what"));
	is(counts_of($quick), '2 0 0', "$what of another target is locked");
	retry_is(deliver_events(event_of($type, "in $what")), "an event for the target of $what");
	my @took;
	foreach my $turn (1 .. 3)
	{
		my ($mixed, $seconds) = timed(event_of('case', "beside $what"));
		is(counts_of($mixed), '1 0 0', "$what: deliveries without it go on, $turn");
		push @took, $seconds if $seconds > $lock_timeout / 2;
	}
	is("@took", '', "$what: and do not wait");
	$session->run('ROLLBACK');
	ok(poll(sub { my $reply = deliver_events(event_of($type, "in $what", p => { a => 1 })); return $reply->{status} == 200 && counts_of($reply) eq '1 0 0'; }), "$what: after that it is taken");
}
is(sql($node, "SELECT string_agg(d, ',') FROM cyd.notes WHERE id = 'in a row type'"), 'from a default', 'defaults are there');

# ---- simulate that cannot go on ----

$session->run("BEGIN; SELECT FROM ann.orders WHERE id = 'waited' FOR UPDATE");
retry_is(deliver_events({ %{ event_of('order', 'waited', v => 'held') }, timestamp => '2026-01-09T00:00:00Z' }), 'a locked row');
is(status_of($node, 'last_error'), 'a row of target "orders" is locked', 'sync_status says which');
my @of_all = (event_of('order', 'simulated', v => 's'), event_of('unknown', 'simulated'), event_of('order', 'waited', v => 'too late'), event_of('note', 'simulated'));
my $simulate_all = simulate_sql(map { { %$_, timestamp => '2026-01-03T00:00:00Z' } } @of_all);
my $simulate_one = simulate_sql(event_of('order', 'simulated'));
my $nothing = "SELECT (SELECT count(*) FROM ann.orders WHERE id = 'simulated') + (SELECT count(*) FROM cyd.notes WHERE id = 'simulated') + (SELECT count(*) FROM $letters)";
my %timeouts = (lock_timeout => $timed_out, statement_timeout => 'canceling statement due to statement timeout');
foreach my $setting (sort keys %timeouts)
{
	my ($on, $off) = ("SET $setting = '200ms'", "SET $setting = 0");
	($out, $errors) = fresh_session($on, $simulate_all, $simulate_all, $off, $nothing, $simulate_one, $nothing, ingest_sql(event_of('order', "after $setting", v => 'a')),
		'BEGIN', ingest_sql(event_of('order', "around $setting", v => 'a')), 'SAVEPOINT s', $on, $simulate_all, 'SELECT 1', 'ROLLBACK TO s', $nothing, $simulate_one, 'COMMIT',
		$on, "DO \$\$ BEGIN CREATE TEMP TABLE seen AS $simulate_all; EXCEPTION WHEN lock_not_available OR query_canceled THEN CREATE TEMP TABLE seen AS $simulate_one; END \$\$",
		$off, 'TABLE seen', $nothing);
	is($errors, join(',', ($timeouts{$setting}) x 3, 'current transaction is aborted, commands ignored until end of transaction block'), "$setting ends simulate");
	is($out, join("\n", 0, 'applied', 0, $one_applied, $one_applied, 0, 'applied', 'applied', 0), "$setting: nothing is written, and the session works on");
	is(sql($node, "SELECT string_agg(id, ',' ORDER BY id) FROM ann.orders WHERE id LIKE '%$setting'"), "after $setting,around $setting", "$setting: what was ingested before and after is there");
}
$session->run('COMMIT');
is((fresh_session($simulate_all, $nothing))[0], "applied dead_lettered applied applied\n0", 'once the row is free it goes through');
is(sql($node, "SELECT v FROM ann.orders WHERE id = 'waited'"), 'w', 'and leaves nothing behind');

# ---- tables that are broken under load, and mended ----

sql($node, "CREATE TABLE bob.written (id text); ALTER TABLE bob.written OWNER TO bob;
	CREATE TABLE bob.saved (id text);
	CREATE FUNCTION bob.note_id() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO bob.written VALUES (NEW.id); RETURN NULL; END \$\$;
	CREATE TRIGGER note_id AFTER INSERT OR UPDATE ON bob.cases FOR EACH ROW EXECUTE FUNCTION bob.note_id()");
my $make_cases = "CREATE TABLE bob.cases (id text PRIMARY KEY, v text, updated_ts timestamptz); ALTER TABLE bob.cases OWNER TO bob;
	CREATE TRIGGER note_id AFTER INSERT OR UPDATE ON bob.cases FOR EACH ROW EXECUTE FUNCTION bob.note_id();
	SELECT cxone_sync.change_target('cases', 'bob.cases', '{id}', event_types => '{case,each}')";

# Breaks the table of cases in the midst of a load that goes to it and to notes; mends it in the midst of the load; replays.
sub broken_and_mended
{
	my ($name, $break, $mend, $expected, $replay) = @_;
	sql($node, "TRUNCATE $letters, bob.written");
	my $load = CxoneSync::Load->start(webhook_port($node), clients => 4, name => $name, events => sub {
		my ($prefix, $number) = @_;
		my @ids = map { "$prefix-$number-$_" } 1 .. 4;
		return (\@ids, map { (qq({"eventType":"case","id":"$_"}), qq({"eventType":"note","id":"$_"})) } @ids);
	});
	my $go_on = sub { my $before = $load->count(200); poll(sub { $load->count(200) >= $before + 60 }, "$name: deliveries go on"); };
	$go_on->();
	sql($node, "BEGIN; LOCK TABLE bob.cases; INSERT INTO bob.saved SELECT id FROM bob.cases; $break; COMMIT");
	$go_on->();
	like(problem_of('cases'), $expected, "$name: the view targets tells");
	is(problem_of('notes'), '', "$name: of that one");
	sql($node, "BEGIN; $mend; COMMIT");
	$go_on->();
	$load->stop;
	is(join(',', grep { !/^(?:200|503) / } $load->answers), '', "$name: no other answers than expected");
	my ($total, $kinds, $message, $hints) = split /\|/,
	  sql($node, "SELECT count(*), count(DISTINCT (target, sqlstate, message)), min(message), bool_and(hint <> '') FROM $letters");
	cmp_ok($total, '>', 100, "$name: events have become dead letters");
	like($message, $expected, "$name: with the reason");
	is("$kinds $hints", '1 t', "$name: and a hint");
	is(sql($node, "SELECT count(*) FROM $letters WHERE target <> 'cases'"), '0', "$name: of this target only");
	$replay->($total);
	is(sql($node, "SELECT count(*) FROM $letters"), '0', "$name: replayed, none is left");
	is(sql($node, 'SELECT count(*) FROM (SELECT FROM bob.written GROUP BY id HAVING count(*) > 1) AS w'), '0', "$name: none is written twice");
	missing_is('SELECT id FROM bob.cases UNION SELECT id FROM bob.saved', "$name, cases", $load->acknowledged);
	missing_is('SELECT id FROM cyd.notes', "$name, notes", $load->acknowledged);
	is(worker_pid($node), $pid, "$name: by the same worker");
	return;
}

broken_and_mended('dropped', 'DROP TABLE bob.cases', $make_cases, qr/^the table of target "cases" does not exist$/, sub {
	my $total = shift;
	my $half = int($total / 2);
	my @sessions = map { open_session($node) } 1 .. 2;
	is($sessions[0]->run("BEGIN; SELECT count(*) FROM cxone_sync.replay_dead_letters(most => $half) WHERE outcome = 'applied'"), $half, 'a session replays half of them');
	is($sessions[1]->run("SELECT count(*) FROM cxone_sync.replay_dead_letters(most => 1000000) WHERE outcome = 'applied'"), $total - $half, 'another one at the same time the others');
	$sessions[0]->run('COMMIT');
	$_->close foreach @sessions;
});

broken_and_mended('key', 'TRUNCATE bob.cases; ALTER TABLE bob.cases DROP COLUMN id', 'ALTER TABLE bob.cases ADD COLUMN id text PRIMARY KEY',
	qr/^key column "id" of table bob\.cases does not exist$/, sub {
	my $total = shift;
	my @sessions = map { open_session($node) } 1 .. 3;
	$_->start("CREATE TEMP TABLE seen (id bigint, outcome text); DO \$\$ BEGIN
		FOR turn IN 1 .. $total LOOP
			INSERT INTO seen SELECT id, outcome FROM cxone_sync.replay_dead_letters(most => 7);
			COMMIT;
			EXIT WHEN NOT EXISTS (SELECT FROM $letters);
		END LOOP; END \$\$; SELECT count(*) || ' ' || count(*) FILTER (WHERE outcome = 'applied') FROM seen") foreach @sessions;
	my ($seen, $applied) = (0, 0);
	foreach my $result (map { $_->finish } @sessions)
	{
		my ($s, $a) = split / /, $result;
		$seen += $s;
		$applied += $a;
	}
	is("$seen $applied", "$total $total", 'three sessions that replay in turns apply each letter once');
	$_->close foreach @sessions;
});

# A table that is renamed under load is followed.
$load = CxoneSync::Load->start(webhook_port($node), clients => 4, name => 'renamed', events => sub {
	my ($prefix, $number) = @_;
	return ([ "$prefix-$number" ], qq({"eventType":"case","id":"$prefix-$number"}));
});
foreach my $round (1 .. 6)
{
	my $before = $load->count(200);
	poll(sub { $load->count(200) >= $before + 40 }, "renamed: deliveries go on, $round");
	sql($node, $round % 2 ? 'ALTER TABLE bob.cases RENAME TO files; ALTER TABLE bob.files SET SCHEMA cxone_sync' : 'ALTER TABLE cxone_sync.files SET SCHEMA bob; ALTER TABLE bob.files RENAME TO cases');
}
$load->stop;
is(join(',', grep { !/^200/ } $load->answers), '', 'renamed: every delivery is taken');
is(sql($node, "SELECT count(*) FROM $letters"), '0', 'renamed: no dead letters');
missing_is('SELECT id FROM bob.cases', 'renamed', $load->acknowledged);

# ---- field order over concurrent connections ----

foreach my $table ('parts', 'once')
{
	sql($node, "CREATE TABLE cyd.$table (id text PRIMARY KEY, a text, b integer, c text DEFAULT 'x', extra jsonb, field_times jsonb, updated_ts timestamptz);
		ALTER TABLE cyd.$table OWNER TO cyd;
		SELECT cxone_sync.add_target('$table', 'cyd.$table', '{id}', event_types => '{$table}', delete_types => '{$table gone}'),
			cxone_sync.map_field('$table', 'id', '/key')");
}
srand 17;
my %values = (a => [ '"a"', '"b"', 'null' ], b => [ '1', '2', 'null' ], c => [ '"x"', '"y"', 'null' ], x => [ '1', '"1"', 'null' ], y => [ 'true', '{"deep":[]}' ]);
my @events = map {
	my $gone = rand() < 0.05;
	my @members = map { qq("$_":) . $values{$_}[ int rand @{ $values{$_} } ] } grep { !$gone && rand() < 0.4 } sort keys %values;
	my $second = int rand 40;
	{   time => $second + ($gone ? 0.5 : 0),
		text => join(',', sprintf('{"eventType":"TABLE%s","key":"k%d","timestamp":"2026-01-02T03:04:%02d%sZ"', $gone ? ' gone' : '', rand 25, $second, $gone ? '.5' : ''), @members) . '}' }
} 1 .. 600;
sub events_for { my $table = shift; return map { s/TABLE/$table/r } map { $_->{text} } @_; }

is(counts_of(deliver_events(events_for('once', sort { $a->{time} <=> $b->{time} } @events))) =~ /^\d+ \d+ 0$/, 1, 'a stream of partial events, once and in order');
my @senders;
foreach my $sender (1 .. 5)
{
	my $child = fork;
	die "could not fork: $!" unless defined $child;
	if ($child == 0)
	{
		# POSIX::_exit, since the tests' END blocks stop the server
		srand $sender;
		my @left = events_for('parts', shuffle @events);
		my $connection = connect_to($node) or POSIX::_exit(2);
		while (@left)
		{
			my $counts = counts_of($connection->deliver(events_json(splice @left, 0, 1 + int rand 8)));
			POSIX::_exit(1) unless $counts =~ /^\d+ \d+ 0$/;
		}
		POSIX::_exit(0);
	}
	push @senders, $child;
}
my @statuses = map { waitpid $_, 0; $? } @senders;
is("@statuses", '0 0 0 0 0', 'and through five connections at once, each in an order of its own');
cmp_ok(sql($node, 'SELECT count(*) FILTER (WHERE field_times IS NOT NULL) FROM cyd.once'), '>=', 15, 'most rows have fields of several times');
# its type is among what no column takes
my $once = q{SELECT replace(to_jsonb(o)::text, '"once"', '"parts"') FROM cyd.once AS o};
my $parts = 'SELECT to_jsonb(p)::text FROM cyd.parts AS p';
is(sql($node, "SELECT * FROM ($parts EXCEPT ALL $once) AS d LIMIT 3"), '', 'ends in no other rows');
is(sql($node, "SELECT * FROM ($once EXCEPT ALL $parts) AS d LIMIT 3"), '', 'and misses none');

# ---- envelopes ----

my $note_number = 0;
sub note_event { my $id = 'note' . ++$note_number; return qq({"eventType":"note","id":"$id","timestamp":"2026-01-02T03:04:05Z"}); }

# True once the settings of a reload are in force, which take such bodies.
sub wait_until_taken { my ($body, $what) = @_; return poll(sub { deliver($node, $body)->{status} == 200 }, $what); }

set_settings($node, events_path => '/resultSet/completedContacts');
wait_until_taken('{"resultSet":{"completedContacts":[]}}', 'another events_path');
is(counts_of(deliver($node, '{"totalRecords":2,"resultSet":{"completedContacts":[' . note_event() . ',' . note_event() . '],"more":{"events":[1]}}}')), '2 0 0', 'events deeper in the body');
refused_is(deliver($node, '{"events":[' . note_event() . ']}'), 400, qr/resultSet/, 'no events there: the reply says where they should be');
refused_is(deliver($node, '{"resultSet":{"completedContacts":{}}}'), 400, qr/is not an array/, 'no array there');

# What waits for its transaction is read by the envelope that it came in, also if it is mapped once more since a mapping has changed.
# Such a delivery goes over a connection of its own; it is waiting once the queue holds `events`.
sub send_and_wait
{
	my ($events, $body, @headers) = @_;
	my $connection = connect_to($node);
	$connection->send(delivery_text($body, @headers));
	poll(sub { status_of($node, 'queue_depth') == $events }, "$events events wait");
	return $connection;
}
sub text_note { my ($id, $text) = @_; return qq({"eventType":"note","id":"$id","text":"$text"}); }

set_settings($node, events_path => '/first', flush_interval => '10s');
poll(sub { deliver($node, '{"first":17}')->{body} =~ /is not an array/ }, 'a first envelope');
my @sent = send_and_wait(1, gzipped('{"first":[' . text_note('envelope1', 'a') . ']}'), 'Content-Encoding: gzip');
set_settings($node, events_path => '/second/deep');
poll(sub { deliver($node, '{"second":{"deep":17}}')->{body} =~ /is not an array/ }, 'a second envelope');
push @sent, send_and_wait(3, qq({"first":[17],\n"second":{"deep":[) . text_note('envelope2', 'b') . ",\n" . text_note('envelope3', 'c') . qq(]}\n}));
sql($node, "SELECT cxone_sync.map_field('notes', 'v', '/text')");
is(grep({ $_->has_reply } @sent), 0, 'deliveries of two envelopes wait while a third is set, and a column is mapped');
set_settings($node, events_path => '', body_format => 'ndjson', flush_interval => 0);
is(join(',', map { counts_of($_->reply) } @sent), '1 0 0,2 0 0', 'each is read by its own');
set_settings($node, flush_interval => '10s', max_events => 2);
poll(sub { deliver($node, join "\n", map { note_event() } 1 .. 3)->{status} == 413 }, 'lines wait as well');
push @sent, send_and_wait(2, text_note('envelope4', 'd') . "\n[" . text_note('envelope5', 'e') . ']');
sql($node, "SELECT cxone_sync.unmap_field('notes', 'v'), cxone_sync.map_field('notes', 'v', '/none', '/text')");
ok(!$sent[2]->has_reply, 'so do lines while the envelope becomes JSON');
set_settings($node, events_path => '/events', body_format => 'json', flush_interval => 0, max_events => 1000);
is(counts_of($sent[2]->reply), '2 0 0', 'they are read as lines');
is(sql($node, "SELECT string_agg(id || v, ',' ORDER BY id) FROM cyd.notes WHERE id LIKE 'envelope%'"), 'envelope1a,envelope2b,envelope3c,envelope4d,envelope5e', 'and all are mapped as it is set when they are written');
is(sql($node, "SELECT count(*) FROM $letters"), '0', 'without a dead letter');
$_->close foreach @sent;
sql($node, "SELECT cxone_sync.unmap_field('notes', 'v')");
wait_until_taken('{"events":[]}', 'the envelope is JSON');

set_settings($node, events_path => '');
wait_until_taken('[]', 'an empty events_path');
is(counts_of(deliver($node, '[' . note_event() . ',' . note_event() . ']')), '2 0 0', 'a bare array');
is(counts_of(deliver($node, note_event())), '1 0 0', 'a bare object');
refused_is(deliver($node, '17'), 400, qr/./, 'a bare number');

set_settings($node, body_format => 'ndjson');
wait_until_taken(note_event() . "\n" . note_event(), 'lines of JSON');
is(counts_of(deliver($node, note_event() . "\n\n" . note_event() . "\r\n[" . note_event() . ',' . note_event() . "]\n")), '4 0 0', 'lines with an event, with several, with none');
my @ids = map { "note$_" } $note_number + 1 .. $note_number + 3;
$reply = deliver($node, note_event() . "\n" . '{"eventType":"note","id":"broken' . "\n" . note_event() . "\n" . note_event());
is(counts_of($reply), '3 0 1', 'a broken line among good ones');
is(sql($node, "SELECT count(*) FROM cyd.notes WHERE id = ANY ('{" . join(',', @ids) . "}')"), '3', 'the others are committed');
is(sql($node, "SELECT payload || ' ' || sqlstate FROM $letters"), '{"eventType":"note","id":"broken 22P02', 'the broken one is a dead letter');
is(sql($node, "UPDATE $letters SET payload = payload || '\"}'; SELECT outcome FROM cxone_sync.replay_dead_letters()"), 'applied', 'which can be mended and replayed');
is(sql($node, "SELECT count(*) FROM cyd.notes WHERE id = 'broken'"), '1', 'into its table');
refused_is(deliver($node, note_event() . "\n" . '{"eventType":"note","id":"nul"}' . "\0\n" . note_event()), 400, qr/UTF-8/, 'a NUL byte in a line, which no letter could hold');
is(sql($node, "SELECT count(*) FROM cyd.notes WHERE id = 'nul'"), '0', 'nothing of it is written');
is(counts_of(deliver($node, gzipped(note_event() . "\n" . note_event()), 'Content-Encoding: gzip')), '2 0 0', 'lines in gzip');

# A line is no event, even if it looks like one, and is not read as one when it is replayed, whatever is set by then.
set_settings($node, events_path => '/events');
my $either = '{"eventType":"note","id":"either","events":[]}';
poll(sub { counts_of(deliver($node, $either)) eq '0 0 0' }, 'lines that hold arrays');
sql($node, "TRUNCATE $letters");
$reply = deliver($node, join "\n", '{"eventType":"note","id":"ping"}', '{"eventType":"note","id":"delivery","events":[{"eventType":"note","id":"inner1"},{"eventType":"note","id":"inner2"}]', '{"events":[' . note_event() . ',' . note_event() . ']}', '{"events":[7]}');
is(counts_of($reply), '2 0 3', 'a line without events, a broken one, one with events, one whose event is none');
is(sql($node, "SELECT sqlstate, events_path FROM $letters ORDER BY id"), "22023|/events\n22P02|/events\n22023|", 'what a letter is stands in it');
set_settings($node, events_path => '');
poll(sub { counts_of(deliver($node, $either)) eq '1 0 0' }, 'lines as they were before');
is(sql($node, 'SELECT outcome FROM cxone_sync.replay_dead_letters()'), "dead_lettered\n" x 2 . 'dead_lettered', 'unmended they stay');
is(sql($node, "UPDATE $letters SET payload = payload || '}' WHERE payload LIKE '%inner%'; SELECT outcome FROM cxone_sync.replay_dead_letters()"), "dead_lettered\napplied\ndead_lettered", 'the broken one is mended');
is(sql($node, "SELECT string_agg(id, ',' ORDER BY id) FROM cyd.notes WHERE id LIKE 'inner%' OR id IN ('ping', 'delivery')"), 'inner1,inner2', 'and its events are written, not itself');
sql($node, "TRUNCATE $letters");

$position = log_position($node);
set_settings($node, events_path => 'events', body_format => 'xml', time_zone => 'Mars/Phobos');
wait_for_log($node, qr/invalid value for parameter "cxone_sync\.$_"/, $position) foreach qw(events_path body_format time_zone);
like(slurp_file($node->logfile, $position), qr/"events" is not a JSON pointer/, 'the log says why a wrong value is refused');
like(slurp_file($node->logfile, $position), qr/"Mars\/Phobos" is not a time zone/, 'and another one');
is(sql($node, "SELECT string_agg(current_setting('cxone_sync.' || s), ',' ORDER BY s) FROM unnest('{events_path,body_format,time_zone}'::text[]) AS s"), 'ndjson,,', 'the old ones stay');
is(counts_of(deliver($node, note_event() . "\n" . note_event())), '2 0 0', 'also in the worker');

# ---- times without a zone ----

set_settings($node, events_path => '/events', body_format => 'json', time_zone => '');
poll(sub { counts_of(deliver($node, $either)) eq '0 0 0' }, 'the first envelope again');
is(counts_of(deliver_events({ eventType => 'note', id => 'zoneless', timestamp => '2026-01-02T03:04:05' })), '0 0 1', 'a time without a zone is a dead letter');
like(letter_of('zoneless'), qr/^notes\|22007\|[^\n]*cxone_sync\.time_zone/, 'whose message names the setting');
set_settings($node, time_zone => 'Europe/Berlin');
poll(sub { counts_of(deliver_events({ eventType => 'note', id => 'berlin', timestamp => '2026-07-02T03:04:05' })) eq '1 0 0' }, 'with the setting it is taken');
is(sql($node, "SELECT updated_ts = '2026-07-02 01:04:05Z' FROM cyd.notes WHERE id = 'berlin'"), 't', 'in that zone, in summer');
sql($node, 'ALTER TABLE cyd.notes ADD during tstzrange, ADD times tstzmultirange');
is(counts_of(deliver_events({ eventType => 'note', id => 'during', during => '[2026-01-02T03:04:05,2026-07-02 03:04:05)', times => '{["2026-01-02",)}' })), '1 0 0', 'bounds of ranges as well');
is(sql($node, "SELECT during = '[2026-01-02 02:04:05Z,2026-07-02 01:04:05Z)', times = '{[2026-01-01 23:00Z,)}' FROM cyd.notes WHERE id = 'during'"), 't|t', 'in the same zone, each at its time');
sql($node, "SELECT cxone_sync.replay_dead_letters()");
is(sql($node, "SELECT updated_ts = '2026-01-02 02:04:05Z' FROM cyd.notes WHERE id = 'zoneless'"), 't', 'and so is the dead letter, in winter');
sql($node, "TRUNCATE $letters");

# ---- owners who may not write ----

sql($node, 'ALTER ROLE cyd SUPERUSER');
is(counts_of(deliver_events(event_of('note', 'super'), event_of('order', 'super'))), '1 0 1', 'an owner who has become a superuser: dead letters');
like(letter_of('super'), qr/^notes\|42501\|table cyd\.notes is owned by a superuser\|t$/, 'which say so');
like(problem_of('notes'), qr/is owned by a superuser/, 'as does the view targets');
is(sql($node, "SELECT count(*) FROM cyd.notes WHERE id = 'super'"), '0', 'nothing is written as a superuser');
isnt(scalar $node->psql('postgres', "SELECT cxone_sync.add_target('more', 'cyd.notes', '{id}', event_types => '{more}')"), 0, 'nor is a target added');
is(sql($node, 'SELECT outcome FROM cxone_sync.replay_dead_letters()'), 'dead_lettered', 'nor is a letter replayed');
sql($node, 'ALTER ROLE cyd NOSUPERUSER');
is(counts_of(deliver_events(event_of('note', 'plain'))), '1 0 0', 'NOSUPERUSER heals it');
is(problem_of('notes'), '', 'also in the view');
is(sql($node, 'SELECT outcome FROM cxone_sync.replay_dead_letters()'), 'applied', 'and the letter is applied');
is(sql($node, "SELECT writer FROM cyd.notes WHERE id = 'super'"), 'cyd', 'as the owner');

sql($node, 'REVOKE USAGE ON SCHEMA cyd FROM cyd');
is(counts_of(deliver_events(event_of('note', 'revoked'), event_of('order', 'revoked'))), '1 0 1', 'an owner without his schema: dead letters');
like(letter_of('revoked'), qr/^notes\|42501\|/, 'with the reason');
like(letter_of('revoked'), qr/\|t$/, 'and a hint');
isnt(problem_of('notes'), '', 'the view targets tells');
sql($node, 'GRANT USAGE ON SCHEMA cyd TO cyd');
is(counts_of(deliver_events(event_of('note', 'granted'))), '1 0 0', 'GRANT heals it');
is(problem_of('notes'), '', 'also in the view');
is(sql($node, 'SELECT outcome FROM cxone_sync.replay_dead_letters()'), 'applied', 'and the letter is applied');
sql($node, 'REVOKE UPDATE ON cyd.notes FROM cyd');
is(counts_of(deliver_events(event_of('note', 'granted', v => 'new'))), '0 0 1', 'an owner without a right on the table: a dead letter');
sql($node, 'GRANT UPDATE ON cyd.notes TO cyd');
is(counts_of(deliver_events(event_of('note', 'granted', v => 'new'))), '1 0 0', 'GRANT heals that');

# ---- a table is dropped, and nobody is waited for ----

sql($node, "INSERT INTO cxone_sync.tombstones SELECT 'ann.orders', '{id}', k, now() FROM unnest('{free,locked}'::text[]) AS k");
$session->run("BEGIN; SELECT FROM cxone_sync.tombstones WHERE key = 'locked' FOR UPDATE");
sql($node, "SET statement_timeout = '60s'; DROP TABLE ann.orders CASCADE");
is(sql($node, 'SELECT string_agg(key, $$,$$) FROM cxone_sync.tombstones WHERE key IN ($$free$$, $$locked$$)'), 'locked', 'a lock on one of its deletions holds up no DROP');
$session->run('ROLLBACK; BEGIN; LOCK TABLE cxone_sync.tombstones');
sql($node, "SET statement_timeout = '60s'; CREATE TABLE bob.fleeting (id int); ALTER TABLE bob.fleeting RENAME id TO key; ALTER TABLE bob.fleeting ADD id int, DROP key; DROP TABLE bob.fleeting");
$session->run('ROLLBACK');
pass('nor does a lock on all of them, nor a RENAME or a DROP of a column');

# ---- a lock on the deletions holds up only who needs them ----

sql($node, <<'SQL');
CREATE TABLE public.losing (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE public.later (id text PRIMARY KEY, updated_ts timestamptz);
CREATE TABLE public.odd (id text PRIMARY KEY, updated_ts timestamptz);
CREATE FUNCTION public.raise_ours() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'odd' USING ERRCODE = '40003'; END $$;
CREATE TRIGGER raise_ours BEFORE INSERT ON public.odd FOR EACH ROW EXECUTE FUNCTION public.raise_ours();
ALTER TABLE public.losing OWNER TO cxone_sync;
ALTER TABLE public.later OWNER TO cxone_sync;
ALTER TABLE public.odd OWNER TO cxone_sync;
SELECT cxone_sync.add_target('losing', 'public.losing', '{id}', event_types => '{lose}', delete_types => '{lost}'), cxone_sync.add_target('odd', 'public.odd', '{id}', event_types => '{odd}');
SQL
is(counts_of(deliver_events(event_of('lost', 'gone'))), '1 0 0', 'a deletion');
sql($node, "SELECT cxone_sync.change_target('losing', 'public.losing', '{id}', delete_types => '{}')");
is(counts_of(deliver_events(event_of('lose', 'gone'))), '0 1 0', 'which counts when its type is gone, too');
foreach my $lock ('LOCK TABLE cxone_sync.tombstones', 'REINDEX INDEX cxone_sync.tombstones_pkey')
{
	$session->run("BEGIN; $lock");
	sql($node, 'CREATE OR REPLACE FUNCTION public.any_change() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$');
	is(counts_of(deliver_events(event_of('note', 'beside'))), '1 0 0', "$lock: a target without deletions goes on, whatever is changed in the catalog");
	retry_is(deliver_events(event_of('lose', 'gone')), "$lock: one with some, for an event that is deleted");
	sql($node, "SELECT cxone_sync.add_target('later', 'public.later', '{id}', event_types => '{later}')");
	retry_is(deliver_events(event_of('later', 'one')), "$lock: nor is any written whose deletions nobody knows yet");
	is(counts_of(deliver_events(event_of('note', 'beside it'))), '1 0 0', "$lock: beside it others are");
	$session->run('ROLLBACK');
	is(counts_of(deliver_events(event_of('later', 'one'))), '1 0 0', "$lock: when it is gone they are known");
	is(counts_of(deliver_events(event_of('lose', 'gone'))), '0 1 0', "$lock: and what was deleted stays so");
	$session->run("BEGIN; $lock");
	is(counts_of(deliver_events(event_of('later', 'two'))), '1 0 0', "$lock: then a further lock does not concern it");
	$session->run('ROLLBACK');
	sql($node, "SELECT cxone_sync.remove_target('later')");
}

# ---- an SQLSTATE that the worker itself raises, by a trigger ----

my $holder = hold_worker($node);
my @senders = map { connect_to($node) } 0 .. 1;
$senders[$_]->send(delivery_text(events_json(event_of(qw(odd note)[$_], 'odd')))) for 0 .. 1;
poll(sub { status_of($node, 'queue_depth') eq '2' }, 'two wait for the worker');
release_worker($node, $holder);
retry_is($senders[0]->reply, 'what its trigger takes for unconfirmed');
is(counts_of($senders[1]->reply), '1 0 0', 'concerns no other delivery of the batch');
is(status_of($node, 'not_ready_because'), '', 'and not the worker');

# ---- a letter that cannot be written, and what the log has of many reasons ----

sub commits { return sql($node, "SELECT sum(total) FROM cxone_sync.sync_counters WHERE counter = 'commits'"); }

sql($node, 'CREATE TRIGGER raise_ours BEFORE INSERT ON cxone_sync.dead_letters FOR EACH ROW EXECUTE FUNCTION public.raise_ours()');
my $commits = commits();
my @unready;
foreach (1 .. 3)
{
	retry_is(deliver_events(event_of('nobody takes it', 'unwritten')), 'a letter that a trigger of others may see');
	push @unready, grep { $_ ne '' } status_of($node, 'not_ready_because');
	is(counts_of(deliver_events(event_of('note', 'beside the letter'))) =~ /^1 0 0$|^0 1 0$/, 1, 'concerns no other delivery');
}
is("@unready", '', 'and not the worker');
like(status_of($node, 'last_error'), qr/^trigger "raise_ours" on table "cxone_sync.dead_letters" may run code of others/, 'which says why');
is(commits(), $commits + 3, 'only what was committed counts as a commit');
sql($node, 'DROP TRIGGER raise_ours ON cxone_sync.dead_letters');

$session->run("BEGIN; SELECT FROM cyd.notes WHERE id = 'beside the letter' FOR UPDATE");
$commits = commits();
retry_is(deliver_events(event_of('note', 'beside the letter', v => 'locked')), 'a row that stays locked');
is(commits(), $commits, 'nor does a try count that has met a lock');
$session->run('ROLLBACK');

$position = log_position($node);
sql($node, <<'SQL');
CREATE TABLE public.keyed (id text PRIMARY KEY, updated_ts timestamptz);
CREATE FUNCTION public.raise_key() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'not now, %', NEW.id USING ERRCODE = '57014'; END $$;
CREATE TRIGGER raise_key BEFORE INSERT ON public.keyed FOR EACH ROW EXECUTE FUNCTION public.raise_key();
ALTER TABLE public.keyed OWNER TO cxone_sync;
SELECT cxone_sync.add_target('keyed', 'public.keyed', '{id}', event_types => '{keyed}');
SQL
foreach my $key (1 .. 80)
{
	retry_is(deliver_events(event_of('keyed', "key$key")), "a reason that names its row, $key");
}
my $told = () = slurp_file($node->logfile, $position) =~ /answered with 503: not now, key/g;
cmp_ok($told, '>=', 1, 'the log has some of them');
cmp_ok($told, '<', 20, 'and not each');
my $free = open_session($node);
$free->run('BEGIN; LOCK TABLE cyd.notes IN ACCESS EXCLUSIVE MODE');
retry_is(deliver_events(event_of('note', 'after many')), 'another reason');
wait_for_log($node, qr/answered with 503: the table of target "notes" is locked/, $position);
$free->close;
sql($node, "SELECT cxone_sync.remove_target('keyed')");

# ---- what the log tells of an error shows nothing of an event ----

$position = log_position($node);
sql($node, "TRUNCATE $letters; ALTER TABLE cxone_sync.dead_letters ADD CONSTRAINT small CHECK (length(payload) < 200)");
retry_is(deliver_events(event_of('nobody takes it', 'private', text => 'confidential' x 50)), 'a letter that dead_letters itself refuses');
wait_for_log($node, qr/answered with 503: new row for relation "dead_letters" violates check constraint "small"/, $position);
sql($node, 'ALTER TABLE cxone_sync.dead_letters DROP CONSTRAINT small; ALTER TABLE cxone_sync.dead_letters ALTER sqlstate TYPE varchar(4)');
retry_is(deliver_events(event_of('nobody takes it', 'private')), 'one whose value does not fit');
wait_for_log($node, qr/answered with 503: a value was refused, with SQLSTATE 22001/, $position);
like(status_of($node, 'last_error'), qr/^value too long/, 'which sync_status tells in full');
sql($node, 'ALTER TABLE cxone_sync.dead_letters ALTER sqlstate TYPE text');
unlike(slurp_file($node->logfile, $position), qr/confidential|"private"/, 'the log has nothing of them');

is(worker_pid($node), $pid, 'all that by one process');
$session->close;
stop_and_check($node);
done_testing();
