# The extension comes, goes and changes; locks; signals to the worker; databases that are not there; privileges. Each is
# a row of the README's table.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Load;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $number = 0;
my $node = new_node('lifecycle', lock_timeout => '300ms', statement_timeout => '5min');
# PostgreSQL's own timer is due early, so that it wakes nobody up by chance later
$node->append_conf('postgresql.conf', "deadlock_timeout = '10ms'\nmax_prepared_transactions = 2\n");
my $homeless = new_node('homeless', database => 'crm');

sub body { return events_json({ id => 'c' . ++$number }); }
sub last_letter
{
	return sql($node, "SELECT sqlstate, message, hint <> '' FROM cxone_sync.dead_letters ORDER BY id DESC LIMIT 1");
}
sub last_error { return status_of($node, 'last_error'); }

# Waits for a delivery that is taken.
sub poll_delivery
{
	my ($what, $server) = @_;
	return poll(sub { deliver($server || $node, body())->{status} == 200 }, "a delivery is taken: $what");
}

# A database that is missing takes its time, which passes while the rest is tested.
$homeless->start;

# ---- extension absent, created, dropped ----

$node->start;
poll(sub { connect_to($node) }, 'the worker listens without the extension');
retry_is(deliver($node, body()), 'preloaded without CREATE EXTENSION');
wait_for_log($node, qr/deliveries are answered with 503: extension "cxone_sync" does not exist in database "postgres"\n.*HINT:  Run CREATE EXTENSION/);
refused_is(deliver($node, '{'), 400, qr/./, 'what can never be taken is refused even so');
sql($node, 'BEGIN; CREATE EXTENSION cxone_sync; ROLLBACK');
retry_is(deliver($node, body()), 'after a CREATE EXTENSION that was rolled back');
sql($node, 'CREATE EXTENSION cxone_sync');
wait_for_state($node, 'running');
is(counts_of(deliver($node, body())), '1 0 0', 'after CREATE EXTENSION');
is(status_of($node, 'schema_version'), '3.0', 'sync_status shows the version');
my $pid = worker_pid($node);
is(status_of($node, 'pid'), $pid, 'and the process');

# Without bad events: dead letters go with the extension. The table stays, with every row that was acknowledged.
my $load = CxoneSync::Load->start(webhook_port($node), clients => 4, name => 'drop',
	events => sub { my ($prefix, $count) = @_; return (["$prefix-$count"], qq({"id":"$prefix-$count"})); });
foreach my $round (1 .. 3)
{
	my $taken = $load->count(200);
	poll(sub { $load->count(200) >= $taken + 50 }, "round $round: deliveries are taken");
	my $refused = $load->count(503);
	sql($node, 'DROP EXTENSION cxone_sync');
	poll(sub { $load->count(503) >= $refused + 10 }, "round $round: DROP EXTENSION under load brings 503");
	sql($node, 'CREATE EXTENSION cxone_sync');
}
set_settings($node, auto_upgrade => 'off');
sql($node, 'DROP EXTENSION cxone_sync');
sql($node, "CREATE EXTENSION cxone_sync VERSION '1.0'");
my $refused = $load->count(503);
poll(sub { $load->count(503) >= $refused + 10 }, 'an old version under load brings 503');
sql($node, 'ALTER EXTENSION cxone_sync UPDATE');
my $taken = $load->count(200);
poll(sub { $load->count(200) >= $taken + 50 }, 'deliveries are taken at the end');
$load->stop;
is(join(',', grep { !/^(?:200|503)/ } $load->answers), '', 'DROP and CREATE EXTENSION under load: nothing but 200 and 503');
is(worker_pid($node), $pid, 'by the same worker');
my @acknowledged = $load->acknowledged;
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id = ANY ('{" . join(',', @acknowledged) . "}')"), scalar @acknowledged,
	'and all ' . @acknowledged . ' acknowledged events are there');

# ---- another version ----

sql($node, "UPDATE pg_extension SET extversion = '9.0' WHERE extname = 'cxone_sync'");
my $position = log_position($node);
retry_is(deliver($node, body()), 'a version that the library does not know');
like(last_error(), qr/extension "cxone_sync" has version 9\.0, its library needs version 3\.0/, 'sync_status says why');
wait_for_log($node, qr/503: extension "cxone_sync" has version 9\.0.*\n.*HINT:  Install the package of cxone_sync 9\.0 for PostgreSQL \d+ and restart the server/, $position);
is(status_of($node, 'state') . ' ' . status_of($node, 'schema_version'), 'waiting 9.0', 'and waits');
sql($node, "UPDATE pg_extension SET extversion = '3.0' WHERE extname = 'cxone_sync'");
is(counts_of(deliver($node, body())), '1 0 0', 'the right version again');

sql($node, "DROP EXTENSION cxone_sync; CREATE EXTENSION cxone_sync VERSION '1.0'");
poll(sub { last_error() =~ /version 1\.0/ }, 'an old version is noticed without a delivery');
retry_is(deliver($node, body()), 'an old version');
sql($node, 'ALTER EXTENSION cxone_sync UPDATE');
wait_for_state($node, 'running');
is(counts_of(deliver($node, body())), '1 0 0', 'after ALTER EXTENSION UPDATE');

# ---- the worker upgrades by itself ----

sub version_of { return sql($node, "SELECT extversion FROM pg_extension WHERE extname = 'cxone_sync'"); }
sub poll_version { my $version = shift; return poll(sub { version_of() eq $version }, "version $version"); }

sql($node, "DROP EXTENSION cxone_sync; CREATE EXTENSION cxone_sync VERSION '1.0'");
poll(sub { last_error() =~ /version 1\.0/ }, 'auto_upgrade = off: the old version stays');
$position = log_position($node);
set_settings($node, auto_upgrade => 'on');
poll_version('3.0');
wait_for_state($node, 'running');
wait_for_log($node, qr/LOG:  cxone_sync: the extension was upgraded from version 1\.0 to 3\.0/, $position);
is(counts_of(deliver($node, body())), '1 0 0', 'deliveries are taken after an upgrade by the worker');

# What is in the way stops it as a whole; it goes on by itself when that is gone.
$position = log_position($node);
sql($node, "DROP EXTENSION cxone_sync; BEGIN; CREATE EXTENSION cxone_sync VERSION '2.0'; CREATE VIEW cxone_sync.targets AS SELECT 1 AS mine; COMMIT");
my $failed = 'could not upgrade the extension from version 2.0 to 3.0: relation "targets" already exists';
poll(sub { last_error() eq $failed }, 'an upgrade that fails: sync_status says why');
wait_for_log($node, qr/deliveries are answered with 503: \Q$failed\E/, $position);
retry_is(deliver($node, body()), 'after an upgrade that failed');
is(last_error(), $failed, 'the reason stays');
is(version_of() . ' ' . sql($node, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'cxone_sync.dead_letters'::regclass AND attname = 'hint'")
	. ' ' . sql($node, "SELECT string_agg(version::text, ',' ORDER BY version) FROM cxone_sync.schema_versions"), '2.0 0 1,2', 'and the old schema is whole');
sql($node, 'DROP VIEW cxone_sync.targets');
poll_version('3.0');
wait_for_state($node, 'running');
is(counts_of(deliver($node, body())), '1 0 0', 'it goes on when nothing is in the way any more');
is(() = slurp_file($node->logfile, $position) =~ /503: \Q$failed\E/g, 1, 'and the log has told it once');

# Somebody upgrades by hand at the same time: whoever comes second finds it done.
sql($node, "DROP EXTENSION cxone_sync; BEGIN; CREATE EXTENSION cxone_sync VERSION '2.0'; CREATE VIEW cxone_sync.targets AS SELECT 1 AS mine; COMMIT");
poll(sub { last_error() eq $failed }, 'an old version that the worker cannot upgrade');
$position = log_position($node);
my $by_hand = open_session($node);
$by_hand->run('BEGIN; DROP VIEW cxone_sync.targets; ALTER EXTENSION cxone_sync UPDATE');
wait_for_log($node, qr/canceling statement due to lock timeout/, $position);
$by_hand->run('COMMIT');
$by_hand->close;
wait_for_state($node, 'running');
is(version_of() . ' ' . sql($node, "SELECT string_agg(version::text, ',' ORDER BY version) FROM cxone_sync.schema_versions"), '3.0 1,2,3', 'both upgrade: it is done once');
is(counts_of(deliver($node, body())), '1 0 0', 'and deliveries are taken');

# A lock that lasts is waited for, and comes no nearer to a deadlock.
my $holder = open_session($node);
sql($node, "DROP EXTENSION cxone_sync");
sql($node, "BEGIN; CREATE EXTENSION cxone_sync VERSION '2.0'; CREATE VIEW cxone_sync.targets AS SELECT 1 AS mine; COMMIT");
poll(sub { last_error() eq $failed }, 'an upgrade that fails once more');
$holder->run('BEGIN; LOCK TABLE cxone_sync.dead_letters IN ACCESS SHARE MODE');
sql($node, 'DROP VIEW cxone_sync.targets');
poll(sub { last_error() =~ /could not upgrade .*: canceling statement due to lock timeout/ }, 'a locked table: the upgrade gives up after lock_timeout');
is(version_of(), '2.0', 'and has changed nothing');
$holder->run('COMMIT');
poll_version('3.0');
wait_for_state($node, 'running');
is(counts_of(deliver($node, body())), '1 0 0', 'until the lock is gone');
$holder->close;

# ---- changes by a transaction that is prepared ----

# Nobody is told of its commit, which another session or a later server may do.
set_settings($node, auto_upgrade => 'off');
sql($node, 'DROP EXTENSION cxone_sync');
sql($node, "BEGIN; CREATE EXTENSION cxone_sync VERSION '2.0'; PREPARE TRANSACTION 'create'");
retry_is(deliver($node, body()), 'a CREATE EXTENSION that is prepared');
sql($node, "COMMIT PREPARED 'create'");
poll(sub { last_error() =~ /version 2\.0/ }, 'its commit is noticed without a delivery', 10);
sql($node, "BEGIN; ALTER EXTENSION cxone_sync UPDATE; PREPARE TRANSACTION 'alter'");
sql($node, "COMMIT PREPARED 'alter'");
poll(sub { status_of($node, 'state') eq 'running' }, 'so is that of an ALTER EXTENSION', 10);
is(counts_of(deliver($node, body())), '1 0 0', 'deliveries are taken');
sql($node, <<'SQL');
CREATE TABLE prepared (id text PRIMARY KEY, updated_ts timestamptz);
ALTER TABLE prepared OWNER TO cxone_sync;
BEGIN;
SELECT cxone_sync.add_target('prepared', 'prepared', '{id}', event_types => '{Prepared}');
PREPARE TRANSACTION 'target';
COMMIT PREPARED 'target';
SQL
deliver($node, events_json({ id => 'p', eventType => 'Prepared' }));
is(sql($node, 'SELECT id FROM prepared'), 'p', 'a target of a prepared transaction takes the next delivery');
sql($node, "BEGIN; DROP EXTENSION cxone_sync; PREPARE TRANSACTION 'drop'");
# it has locked sync_status as well
sub readiness { return connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/readyz'))->{body}; }
poll(sub { readiness() =~ /target_config\\" is locked/ }, 'a DROP EXTENSION that is prepared is in the way', 10);
sql($node, "COMMIT PREPARED 'drop'");
poll(sub { readiness() =~ /does not exist/ }, 'and its commit is noticed without a delivery', 10);
set_settings($node, auto_upgrade => 'on');
sql($node, 'CREATE EXTENSION cxone_sync; DROP TABLE prepared');
wait_for_state($node, 'running');

# ---- locks ----

my $session = open_session($node);
$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
retry_is(deliver($node, body()), 'a locked table, after lock_timeout');
like(last_error(), qr/the table of target "contact_records" is locked/, 'sync_status says why');
retry_is(deliver($node, body()), 'and once more');
$session->run('COMMIT');
is(counts_of(deliver($node, body())), '1 0 0', 'when the lock is gone');
is(() = slurp_file($node->logfile) =~ /503: the table of target "contact_records" is locked/g, 1, 'the log tells it once');

is(counts_of(deliver($node, events_json(map { { id => "row$_" } } 1 .. 3))), '3 0 0', 'three rows');
$session->run("BEGIN; UPDATE cxone_sync.contact_records SET email = 'locked' WHERE id = 'row2'");
my @senders = map { connect_to($node) } 1 .. 3;
$senders[ $_ - 1 ]->send(delivery_text(events_json({ id => "row$_", email => 'sent' }))) foreach 1 .. 3;
is(counts_of($senders[0]->reply), '1 0 0', 'a locked row does not keep a neighbour waiting');
is(counts_of($senders[2]->reply), '1 0 0', 'nor the next one');
retry_is($senders[1]->reply, 'the delivery that wants it');
$session->run('COMMIT');
is(counts_of(deliver($node, events_json({ id => 'row2', email => 'sent' }))), '1 0 0', 'when it is released');
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id LIKE 'row%' AND email = 'sent'"), '3', 'all three are written');

# A lock that is released in time costs time only.
set_settings($node, lock_timeout => '60s');
$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
my $sender = connect_to($node);
$sender->send(delivery_text(body()));
sub cpu_seconds { my @fields = split / /, slurp_file("/proc/$_[0]/stat") =~ s/^.*\) //r; return ($fields[11] + $fields[12]) / 100; }
sub delivery_waits { return status_of($node, 'oldest_waiting') ne ''; }
poll(\&delivery_waits, 'the delivery waits for the lock');
ok(!$sender->has_reply, 'and the sender for its answer');
$session->run('COMMIT');
is(counts_of($sender->reply), '1 0 0', 'a lock released within lock_timeout');

# The wait for a lock uses the latch that a reload sets.
$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
$sender->send(delivery_text(body()));
poll(sub { status_of($node, 'oldest_waiting') gt '00:00:01.2' },
	'a delivery has waited for a lock longer than the worker holds back its statistics, which would wake it up');
set_settings($node, idle_timeout => '250ms');
$session->run('COMMIT');
is(counts_of($sender->reply), '1 0 0', 'a delivery that waited while the settings were reloaded');
ok(poll(sub { connect_to($node)->is_closed(2) }, 'an idle connection is closed'), 'they are in force without another one');
set_settings($node, idle_timeout => '60s');
poll(sub { my $new = connect_to($node); !$new->is_closed(0.5) }, 'back to a longer one');
$sender = connect_to($node);

# ---- signals ----

$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
my $holder = hold_worker($node);
is(sql($node, "SELECT pg_cancel_backend($pid)"), 't', 'pg_cancel_backend of a worker that writes');
retry_is($holder->reply, 'the delivery that was cancelled');
sql($node, 'DELETE FROM public.holds');

# DROP DATABASE waits for every process to close its files
$sender->send(delivery_text(body()));
poll(\&delivery_waits, 'a delivery waits once more');
sql($node, 'CREATE DATABASE other');
is($node->psql('postgres', "SET statement_timeout = '20s'; DROP DATABASE other"), 0, 'DROP DATABASE of another database, while a delivery waits for a lock');
$session->run('COMMIT');
is(counts_of($sender->reply), '1 0 0', 'which goes on waiting, and writes');
sql($node, 'CREATE DATABASE other');
is($node->psql('postgres', "SET statement_timeout = '20s'; DROP DATABASE other"), 0, 'DROP DATABASE of another database, while the worker idles');

sql($node, "SELECT pg_cancel_backend($pid)") foreach 1 .. 3;
is(counts_of(deliver($node, body())), '1 0 0', 'pg_cancel_backend of an idle worker does no harm');
is(worker_pid($node), $pid, 'it is the same process');

# SIGTERM: what waits is committed and answered first
set_settings($node, drain_timeout => '60s');
$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
my @waiting = map { connect_to($node) } 1 .. 3;
$_->send(delivery_text(body())) foreach @waiting;
poll(\&delivery_waits, 'deliveries wait for a lock');
# as the postmaster does, which sends a signal to the process and at once to its group
kill 'TERM', $pid foreach 1 .. 5;
# what is due, and not to be done any more, does not keep it busy: here to count the dead letters, for the last count was long ago
poll(sub { status_of($node, 'state') eq 'stopping' }, 'the worker stops');
sql($node, 'DELETE FROM cxone_sync.dead_letters WHERE false');
my ($cpu, $since) = (cpu_seconds($pid), time);
poll(sub { time - $since > 1 }, 'a second');
cmp_ok(cpu_seconds($pid) - $cpu, '<', 0.5 * (time - $since), 'a worker that stops, and waits for a lock, is idle');
$session->run('COMMIT');
is(scalar(grep { counts_of($_->reply) eq '1 0 0' } @waiting), 3, 'SIGTERM: what waits is committed and answered');
ok($_->is_closed, 'then the connections are closed') foreach @waiting;
poll(sub { my $new = worker_pid($node); $new && $new ne $pid }, 'the worker starts again by itself');
wait_for_state($node, 'running');
is(counts_of(deliver($node, body())), '1 0 0', 'and takes deliveries');
$pid = worker_pid($node);

# a lock that outlasts drain_timeout does not hold up the shutdown for ever
set_settings($node, drain_timeout => '500ms');
$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
$sender = connect_to($node);
$sender->send(delivery_text(body()));
poll(\&delivery_waits, 'a delivery waits for a lock');
sql($node, "SELECT pg_terminate_backend($pid)");
retry_is($sender->reply, 'a lock that outlasts drain_timeout');
$session->run('COMMIT');
poll(sub { my $new = worker_pid($node); $new && $new ne $pid }, 'the worker starts again');
wait_for_state($node, 'running');

# ---- privileges ----

sql($node, <<'SQL');
ALTER TABLE cxone_sync.contact_records ADD seen text;
CREATE FUNCTION cxone_sync.look() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    attempt text;
BEGIN
    NEW.seen := current_user || ' ' || (SELECT rolsuper FROM pg_roles WHERE rolname = current_user)
        || ' ' || current_setting('search_path');
    FOREACH attempt IN ARRAY ARRAY['SET ROLE postgres', 'RESET ROLE', 'SET SESSION AUTHORIZATION postgres',
            'RESET SESSION AUTHORIZATION', 'ALTER ROLE cxone_sync SUPERUSER', 'SET session_replication_role = replica',
            'CREATE TABLE public.stolen AS SELECT * FROM pg_authid', 'COPY cxone_sync.contact_records TO PROGRAM ''true'''] LOOP
        BEGIN
            EXECUTE attempt;
            NEW.seen := NEW.seen || ' done: ' || attempt || ' as ' || current_user;
        EXCEPTION WHEN OTHERS THEN
            NULL;
        END;
    END LOOP;
    SET search_path = public;
    RETURN NEW;
END
$$;
CREATE TRIGGER look BEFORE INSERT ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION cxone_sync.look();
SQL
my $superuser = sql($node, 'SELECT current_user');
is(counts_of(deliver($node, events_json({ id => "look$_" }))), '1 0 0', 'a trigger on the target') foreach 1 .. 2;
is(sql($node, "SELECT DISTINCT seen FROM cxone_sync.contact_records WHERE id LIKE 'look%'"),
	'cxone_sync false pg_catalog, pg_temp', 'runs as the owner, who is no superuser, gets no further, and leaves no setting behind');
is(sql($node, "SELECT rolsuper FROM pg_roles WHERE rolname = 'cxone_sync'"), 'f', 'nor has it made its owner one');
sql($node, 'DROP TRIGGER look ON cxone_sync.contact_records');

sql($node, "ALTER TABLE cxone_sync.contact_records OWNER TO $superuser");
is(counts_of(deliver($node, body())), '0 0 1', 'a target that is owned by a superuser: its events are dead letters');
is(last_letter(), '42501|table cxone_sync.contact_records is owned by a superuser|t', 'which say so');
like(sql($node, 'SELECT problem FROM cxone_sync.targets'), qr/is owned by a superuser/, 'and so does the view targets');
sql($node, 'CREATE ROLE somebody; ALTER TABLE cxone_sync.contact_records OWNER TO somebody');
is(counts_of(deliver($node, events_json({ id => 'somebody' }))), '1 0 0', 'another owner who is no superuser');
is(sql($node, 'SELECT relowner::regrole FROM pg_class WHERE relname = \'contact_records\''), 'somebody', 'stays the owner');
sql($node, "ALTER TABLE cxone_sync.contact_records OWNER TO cxone_sync; ALTER TABLE cxone_sync.dead_letters OWNER TO cxone_sync");
is(counts_of(deliver($node, body())), '1 0 0', 'dead_letters owned by somebody who is no superuser: a good event');
retry_is(deliver($node, '{"events":[{}]}'), 'and a bad one');
sql($node, "ALTER TABLE cxone_sync.dead_letters OWNER TO $superuser");
is(counts_of(deliver($node, '{"events":[{}]}')), '0 0 1', 'back to its owner');
sql($node, "SELECT cxone_sync.change_target('contact_records', delete_types => '{Gone}'); ALTER TABLE cxone_sync.tombstones OWNER TO cxone_sync");
retry_is(deliver($node, body()), 'tombstones owned by somebody who is no superuser: an event that needs them');
like(last_error(), qr/^table "cxone_sync.tombstones" is owned by role "cxone_sync", who is no superuser/, 'sync_status says why');
like(($node->psql('postgres', 'SELECT cxone_sync.ingest(\'' . events_json({ id => 'a' }) . '\')'))[2], qr/table "cxone_sync.tombstones" is owned by role "cxone_sync"/, 'and so does ingest');
sql($node, "ALTER TABLE cxone_sync.tombstones OWNER TO $superuser");
is(counts_of(deliver($node, body())), '1 0 0', 'back to its owner');
sql($node, "SELECT cxone_sync.change_target('contact_records', delete_types => '{}')");

# ---- a target that cannot be used ----

sql($node, 'ALTER TABLE cxone_sync.contact_records RENAME TO elsewhere');
is(counts_of(deliver($node, events_json({ id => 'renamed' }))), '1 0 0', 'a target that was renamed');
is(sql($node, "SELECT count(*) FROM cxone_sync.elsewhere WHERE id = 'renamed'"), '1', 'is followed');
sql($node, 'ALTER TABLE cxone_sync.elsewhere RENAME TO contact_records; ALTER TABLE cxone_sync.contact_records DROP CONSTRAINT contact_records_pkey');
is(counts_of(deliver($node, body())), '0 0 1', 'a target without its key');
is(last_letter(), '42P17|table cxone_sync.contact_records has no unique constraint on just its key|t', 'the letter says so');
sql($node, 'ALTER TABLE cxone_sync.contact_records ADD PRIMARY KEY (id)');
is(counts_of(deliver($node, body())), '1 0 0', 'with its key again');
sql($node, 'ALTER TABLE cxone_sync.contact_records ALTER updated_ts TYPE text');
is(counts_of(deliver($node, body())), '0 0 1', 'a target whose time is a text');
is(last_letter(), '42804|order column "updated_ts" of table cxone_sync.contact_records has type text|t', 'the letter says so');
sql($node, 'ALTER TABLE cxone_sync.contact_records ALTER updated_ts TYPE timestamptz USING updated_ts::timestamptz');
is(counts_of(deliver($node, body())), '1 0 0', 'whose time is a time');

# ---- an idle worker ----

# Its figures reach PostgreSQL's statistics when it idles, and then it has nothing to wake up for. A new one has no dead letters of its own
# to count and to tell of.
$pid = worker_pid($node);
sql($node, "SELECT pg_terminate_backend($pid)");
poll(sub { my $new = worker_pid($node); $new && $new ne $pid }, 'a new worker');
wait_for_state($node, 'running');
$pid = worker_pid($node);
sub threads { return map { m!(\d+)$! } glob "/proc/$_[0]/task/*"; }
sub switches
{
	my ($process, $thread) = @_;
	return (slurp_file("/proc/$process/task/$thread/status") =~ /^voluntary_ctxt_switches:\s+(\d+)/m)[0];
}
my $inserted = "SELECT n_tup_ins FROM pg_stat_user_tables WHERE relname = 'contact_records'";
my $before = sql($node, $inserted);
is(counts_of(deliver($node, events_json(map { { id => "stat$_" } } 1 .. 100))), '100 0 0', 'a hundred rows');
poll(sub { sql($node, $inserted) >= $before + 100 }, 'show in the statistics while the worker idles');
# PostgreSQL lets the timer of a time-out that was disabled run on, and that wakes the process once (timeout.c): here a second after the dead
# letters were counted. What wakes it again and again never ends.
my %before;
ok( poll(
		sub {
			%before = map { $_ => switches($pid, $_) } threads($pid);
			sql($node, "INSERT INTO cxone_sync.contact_records (id) VALUES ('by hand $_') ON CONFLICT DO NOTHING") foreach 1 .. 30;
			return switches($pid, $pid) == $before{$pid};
		},
		'the worker sleeps'),
	'while others work the idle worker does not wake up');
cmp_ok(scalar keys %before, '>=', 3, 'the worker and its network threads');
is(sql($node, "SELECT state || ' ' || (backend_xmin IS NULL) FROM pg_stat_activity WHERE pid = $pid"), 'idle true', 'nor hold a transaction');
$session->close;

# ---- a database that is missing ----

# in seconds of the day
sub database_errors
{
	my @lines = grep { /FATAL:  database "crm" does not exist/ } split /\n/, slurp_file($homeless->logfile);
	return map { /^\S+ (\d+):(\d+):([\d.]+) /; ($1 * 60 + $2) * 60 + $3 } @lines;
}
my @seconds;
poll(sub { @seconds = database_errors(); @seconds >= 3 }, 'a worker without its database is started again');
# a second to be started again, and a second more of waiting, then two
cmp_ok($seconds[1] - $seconds[0], '>', 1.9, 'after a delay');
cmp_ok($seconds[2] - $seconds[1], '>', 2.9, 'that grows');
set_settings($homeless, drain_timeout => '60s');
my $started = time;
$homeless->restart;
cmp_ok(time - $started, '<', 30, 'a server stops at once while its worker waits for its next start');
sql($homeless, 'CREATE DATABASE crm');
sql($homeless, 'CREATE EXTENSION cxone_sync', 'crm');
poll_delivery('when the database is there', $homeless);
is(sql($homeless, 'SELECT count(*) FROM cxone_sync.contact_records', 'crm'), '1', 'it is written there');
is($homeless->psql('postgres', "SET statement_timeout = '20s'; DROP DATABASE crm WITH (FORCE)"), 0, 'DROP DATABASE … WITH (FORCE) of the worker\'s own');
sql($homeless, 'CREATE DATABASE crm');
sql($homeless, 'CREATE EXTENSION cxone_sync', 'crm');
poll_delivery('in the new database', $homeless);

stop_and_check($_) foreach $node, $homeless;
done_testing();
