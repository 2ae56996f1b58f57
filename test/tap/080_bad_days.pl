# Bad days of a server: databases that come, go, are renamed and closed; a server without the library; no worker slot, no connection,
# no disk space left; settings that would break a session; a row that is locked for long; crashes that follow one another. Senders get
# 200 or 503 or find nobody listening, nothing that was acknowledged is lost, and all goes on by itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Load;
use POSIX ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

# The settings that break a session are for the worker; the test's own sessions do without them.
$ENV{PGOPTIONS} = join ' ', map { "-c $_" } 'default_transaction_read_only=off', 'default_transaction_isolation=read\\ committed',
  map { "${_}_timeout=0" } qw(statement lock idle_in_transaction_session idle_session);

my $number = 0;
my $node = start_node('days', lock_timeout => '500ms');
my $pid = worker_pid($node);
# its worker is started again while the rest is tested, since its database comes later
my $crm = new_node('crm', database => 'crm');
$crm->start;
sql($crm, 'CREATE DATABASE crm');
sql($crm, 'CREATE EXTENSION cxone_sync', $_) foreach qw(crm postgres);

sub body { return events_json({ id => 'c' . ++$number, timestamp => '2026-01-02T03:04:05Z' }); }

# Which acknowledged events of a load are missing.
sub none_is_lost
{
	my ($server, $load, $name, $database) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my @ids = $load->acknowledged;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/acknowledged';
	open my $out, '>', $file or die "$file: $!";
	print $out map { "$_\n" } @ids;
	close $out;
	is(sql($server, <<"SQL", $database), @ids . '|0', "$name: none of " . @ids . ' acknowledged events is lost');
CREATE TEMP TABLE acknowledged (id text);
\\copy acknowledged FROM '$file'
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM cxone_sync.contact_records r WHERE r.id = a.id)
    AND NOT EXISTS (SELECT FROM cxone_sync.dead_letters d WHERE d.event_key = a.id)) FROM acknowledged a
SQL
	return;
}

# Waits until a load has had so many more answers of a status.
sub wait_for_more
{
	my ($load, $status, $more, $what) = @_;
	my $before = $load->count($status);
	return poll(sub { $load->count($status) >= $before + $more }, "$what: $more answers $status");
}

# Runs SQL that PostgreSQL may take long for, beside what the test does meanwhile; ->() returns the error, or nothing.
sub in_background
{
	my ($server, $database, @statements) = @_;
	my $errors = PostgreSQL::Test::Utils::tempdir() . '/errors';
	my $child = fork;
	die "could not fork: $!" unless defined $child;
	if ($child == 0)
	{
		open STDERR, '>', $errors;
		exec($server->installed_command('psql'), '-XAtq', '-v', 'ON_ERROR_STOP=1', '-d', $server->connstr($database), map { ('-c', $_) } @statements)
		  or POSIX::_exit(127);
	}
	return sub { waitpid $child, 0; return slurp_file($errors) =~ s/\n.*//sr; };
}

# ---- other databases come and go under load ----

my $load = CxoneSync::Load->start(webhook_port($node), clients => 2, name => 'others');
wait_for_more($load, 200, 50, 'before');
sql($node, 'CREATE DATABASE model');
sql($node, 'CREATE TABLE t AS SELECT generate_series(1, 1000) AS n', 'model');
my $started = time;
foreach my $round (1 .. 2)
{
	is($node->psql('postgres', "SET statement_timeout = '20s'; CREATE DATABASE copy TEMPLATE model"), 0, "CREATE DATABASE … TEMPLATE under load, $round");
	is($node->psql('postgres', "SET statement_timeout = '20s'; DROP DATABASE copy"), 0, "DROP DATABASE of another database under load, $round");
}
note(sprintf 'two databases made and dropped in %.2f s', time - $started);
wait_for_more($load, 200, 50, 'after');
is($node->psql('postgres', "SET statement_timeout = '20s'; ALTER DATABASE model RENAME TO renamed"), 0, 'another database is renamed under load');
wait_for_more($load, 200, 50, 'at the end');
$load->stop;
is(join(',', grep { !/^200/ } $load->answers), '', 'every delivery in the meantime is taken');
none_is_lost($node, $load, 'databases that come and go');
is(worker_pid($node), $pid, 'by the same worker');

# ---- a server without the library ----

# PostgreSQL waits five seconds for a worker to go away, which it does not.
wait_for_state($crm, 'running');
my $crm_pid = worker_pid($crm);
my $no_drop = in_background($node, 'template1', 'DROP DATABASE postgres');
my $no_rename = in_background($crm, 'postgres', 'ALTER DATABASE crm RENAME TO sales');

my $bare = PostgreSQL::Test::Cluster->new('bare');
$bare->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$bare->start;
sql($bare, 'CREATE EXTENSION cxone_sync');
# each in a session of its own, which loads the library by that
is(sql($bare, q(SELECT cxone_sync.ingest('{"events":[{"id":"a","unknown":1},{"id":"b","timestamp":"never"}]}'))),
	'{"applied": 1, "skipped": 0, "received": 2, "dead_lettered": 1}', 'without shared_preload_libraries ingest() works');
is(sql($bare, q(SELECT outcome FROM cxone_sync.simulate('{"events":[{"id":"a"}]}'))), 'applied', 'so does simulate()');
is(sql($bare, q(UPDATE cxone_sync.dead_letters SET payload = '{"id":"b"}'; SELECT outcome FROM cxone_sync.replay_dead_letters())), 'applied', 'and replay_dead_letters()');
is(sql($bare, 'SELECT name, problem IS NULL FROM cxone_sync.targets'), 'contact_records|t', 'and the view targets');
is(sql($bare, "SELECT string_agg(id, ' ' ORDER BY id) FROM cxone_sync.contact_records"), 'a b', 'both events are there');
foreach my $needs_server ('* FROM cxone_sync.sync_status', '* FROM cxone_sync.sync_lag', '* FROM cxone_sync.sync_lag_buckets', '* FROM cxone_sync.unmapped_keys', 'cxone_sync.reset_unmapped_keys()')
{
	my ($result, $out, $errors) = $bare->psql('postgres', "SELECT $needs_server");
	like($errors, qr/ERROR:  cxone_sync is not loaded by the server\nHINT:  Add cxone_sync to shared_preload_libraries and restart the server\./, "SELECT $needs_server says what to do");
}

is($no_drop->(), 'ERROR:  database "postgres" is being accessed by other users', 'DROP DATABASE of the worker\'s own without FORCE is refused');
is(counts_of(deliver($node, body())), '1 0 0', 'and the worker goes on');
is($no_rename->(), 'ERROR:  database "crm" is being accessed by other users', 'so is ALTER DATABASE … RENAME');
is(counts_of(deliver($crm, body())), '1 0 0', 'and that worker goes on');
is(worker_pid($node) . ' ' . worker_pid($crm), "$pid $crm_pid", 'both are the same ones');

# ---- no worker slot ----

# the only one is taken by PostgreSQL's own launcher of logical replication, which comes first
$bare->append_conf('postgresql.conf', "shared_preload_libraries = 'cxone_sync'\nmax_worker_processes = 1\n");
configure($bare, port => free_port(), metrics_port => free_port());
my $position = log_position($bare);
$bare->restart;
like(slurp_file($bare->logfile, $position), qr/too many background workers/, 'max_worker_processes is too small: PostgreSQL logs it');
is(sql($bare, "SELECT concat_ws(' ', state, pid, address) FROM cxone_sync.sync_status"), 'stopped', 'the server runs, and sync_status shows that no worker does');
is(status_of($bare, 'last_error'), 'the server has not started the worker: max_worker_processes may be too small', 'and why');
is(sql($bare, q(SELECT cxone_sync.ingest('{"events":[{"id":"c"}]}')->>'applied')), '1', 'ingest() works');
ok(!connect_to($bare), 'nobody listens');

# ---- no connection left ----

$bare->append_conf('postgresql.conf', "max_worker_processes = 8\nmax_connections = 6\nsuperuser_reserved_connections = 2\nmax_wal_senders = 0\n");
$bare->restart;
wait_for_state($bare, 'running');
sql($bare, 'CREATE ROLE client LOGIN');
my $admin = open_session($bare);
is($admin->run('SELECT 1'), '1', 'a session of a superuser');
# a session that was refused, or has ended, keeps its slot for a moment
sub sessions_are { my $count = shift; return poll(sub { $admin->run("SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend'") eq $count }, "$count sessions"); }
my @clients;
sessions_are(1);
{
	local $ENV{PGUSER} = 'client';
	@clients = map { open_session($bare) } 1 .. 3;
}
is(join(' ', map { $_->run('SELECT current_user') } @clients), 'client client client', 'as many of clients as there may be');
my $worker = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cxone_sync'";
foreach my $full ('clients', 'superusers, too')
{
	sessions_are(4);
	push @clients, map { open_session($bare) } 1 .. 2 if $full ne 'clients';
	is($_->run('SELECT 1'), '1', 'another session of a superuser') foreach @clients[3 .. $#clients];
	local $ENV{PGUSER} = 'client' if $full eq 'clients';
	my ($result, $out, $errors) = $bare->psql('postgres', 'SELECT 1');
	like($errors, qr/connection slots are reserved|too many clients/, "no connection is left for $full");
	is(counts_of(deliver($bare, body())), '1 0 0', 'the worker goes on');
	my $old = $admin->run($worker);
	$admin->run("SELECT pg_terminate_backend($old)");
	poll(sub { my $new = $admin->run($worker); $new && $new ne $old }, 'a new worker');
	poll(sub { deliver($bare, body())->{status} == 200 }, 'the new worker takes deliveries');
	isnt($admin->run($worker), $old, 'and so does a new one, which needs none of these');
}
$_->close foreach $admin, @clients;

# ---- two databases with the extension ----

is(counts_of(deliver($crm, events_json({ id => 'sent', unknown => 1 }))), '1 0 0', 'a delivery goes to the database of the worker');
is(sql($crm, q(SELECT cxone_sync.ingest('{"events":[{"id":"ingested"}]}')->>'applied')), '1', 'ingest() to the database that calls it');
my %records = map { $_ => sql($crm, "SELECT string_agg(id, ' ') FROM cxone_sync.contact_records", $_) } qw(crm postgres);
like("$records{crm}, $records{postgres}", qr/^c\d+ sent, ingested$/, 'each has its own rows');
my %shown = map { $_ => sql($crm, "SELECT pid, state, address, (SELECT events FROM cxone_sync.sync_lag WHERE status = 'success') FROM cxone_sync.sync_status", $_) } qw(crm postgres);
is($shown{crm}, "$crm_pid|running|127.0.0.1:" . webhook_port($crm) . '|2', 'sync_status and sync_lag show the worker');
is($shown{postgres}, $shown{crm}, 'in the other database, too');
$position = log_position($crm);
sql($crm, 'DROP EXTENSION cxone_sync; CREATE EXTENSION cxone_sync');
is(counts_of(deliver($crm, body())), '1 0 0', 'what becomes of the extension there does not concern the worker');
unlike(slurp_file($crm->logfile, $position), qr/answered with 503/, 'nor does it say so');

# ---- the worker's database is renamed and closed ----

my $senders = CxoneSync::Load->start(webhook_port($crm), clients => 1, name => 'crm');
wait_for_more($senders, 200, 20, 'before');
sql($crm, 'ALTER DATABASE crm ALLOW_CONNECTIONS false');
wait_for_more($senders, 200, 20, 'closed');
is(worker_pid($crm), $crm_pid, 'ALLOW_CONNECTIONS false does not end the worker');
$position = log_position($crm);
sql($crm, "SELECT pg_terminate_backend($crm_pid)");
wait_for_log($crm, qr/FATAL:  database "crm" is not currently accepting connections/, $position);
ok(!connect_to($crm), 'but another one cannot come');
sql($crm, 'ALTER DATABASE crm RENAME TO sales');
wait_for_log($crm, qr/FATAL:  database "crm" does not exist/, $position);
is(status_of($crm, 'address'), '', 'sync_status shows that nobody listens');
sql($crm, 'ALTER DATABASE sales RENAME TO crm; ALTER DATABASE crm ALLOW_CONNECTIONS true');
$started = time;
wait_for_more($senders, 200, 20, 'with its name, and open');
cmp_ok(time - $started, '<', 15, 'a database that is there again is found by itself') and note(sprintf 'after %.1f s', time - $started);
$senders->stop;
is(join(',', grep { !/^(?:200|503|0) / } $senders->answers), '', 'no other answers than expected');
none_is_lost($crm, $senders, 'a database that was closed and renamed', 'crm');

# ---- a tablespace that is full ----

# A file system of a megabyte, if the machine lets us mount it where only this server sees it; else a trigger tells of a full disk.
sub start_with_small_disk
{
	my ($server, $directory) = @_;
	# as root of a name space of its own who may mount, then as oneself, since a server does not run as root
	my @inside = ('unshare', '-Urm', 'sh', '-c', 'mount -t tmpfs -o size=1m,mode=700 none "$1" && shift && exec "$@"', 'sh', $directory,
		'unshare', '-U', "--map-user=$<", '--map-group=' . (split / /, $()[0]);
	return if system("@inside[0 .. 3] 'unshare -U --map-user=$< true' >/dev/null 2>&1") != 0 || system(@inside[0 .. 6], 'true') != 0;
	system_or_bail(@inside, $server->installed_command('pg_ctl'), '-w', '-D', $server->data_dir, '-l', $server->logfile, 'start');
	$server->_update_pid(1);
	return 1;
}

my $small = new_node('small');
my $directory = PostgreSQL::Test::Utils::tempdir();
my $is_mounted = start_with_small_disk($small, $directory);
$small->start unless $is_mounted;
note($is_mounted ? 'a file system of a megabyte' : 'no mount here, a trigger in its place');
sql($small, 'CREATE EXTENSION cxone_sync');
sql($small, "CREATE TABLESPACE small LOCATION '$directory'");
sql($small, <<'SQL');
CREATE ROLE sam;
CREATE SCHEMA sam AUTHORIZATION sam;
CREATE TABLE sam.cases (id text PRIMARY KEY, v text, updated_ts timestamptz) TABLESPACE small;
ALTER TABLE sam.cases OWNER TO sam;
ALTER TABLE sam.cases ALTER v SET STORAGE PLAIN;
CREATE FUNCTION sam.no_room() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE disk_full USING MESSAGE = 'could not extend file'; END $$;
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{contact}', kept_columns => '{sync_status}'),
    cxone_sync.add_target('cases', 'sam.cases', '{id}', event_types => '{case}');
SQL
my $fill = $is_mounted
  ? 'CREATE TABLE ballast (v text) TABLESPACE small; ALTER TABLE ballast ALTER v SET STORAGE PLAIN;
	DO $$ BEGIN LOOP INSERT INTO ballast VALUES (repeat(\'x\', 7000)); END LOOP; EXCEPTION WHEN disk_full THEN NULL; END $$'
  : 'CREATE TRIGGER no_room BEFORE INSERT ON sam.cases FOR EACH ROW EXECUTE FUNCTION sam.no_room()';
my $make_room = $is_mounted ? 'DROP TABLE ballast' : 'DROP TRIGGER no_room ON sam.cases';
sub case_of { my $id = shift; return { eventType => 'case', id => $id, v => 'x' x 2000 }; }
wait_for_state($small, 'running');
$pid = worker_pid($small);
is(counts_of(deliver($small, events_json(case_of('first')))), '1 0 0', 'a delivery before the disk is full');
my $full_at = log_position($small);
sql($small, $fill);
my @refused;
poll(sub { my $reply = deliver($small, events_json(case_of('case' . ++$number))); push @refused, $reply if $reply->{status} != 200; @refused }, 'no room is left');
retry_is($refused[0], 'a full disk');
my $refused_id = "case$number";
like(status_of($small, 'last_error'), qr/^could not extend file/, 'sync_status says why');
is(status_of($small, 'state'), 'waiting', 'and that deliveries are sent back');
wait_for_log($small, qr/deliveries are answered with 503: could not extend file/);
my $contacts = CxoneSync::Load->start(webhook_port($small), clients => 2, name => 'contacts', events => sub {
	my ($prefix, $number) = @_;
	return ([ "$prefix-$number" ], qq({"eventType":"contact","id":"$prefix-$number"}));
});
foreach my $round (1 .. 5)
{
	wait_for_more($contacts, 200, 10, "round $round");
	retry_is(deliver($small, events_json(case_of($refused_id), { eventType => 'contact', id => 'mixed' })), "full, $round: a delivery for the target and another one");
}
$contacts->stop;
is(join(',', grep { !/^200/ } $contacts->answers), '', 'deliveries for a target elsewhere are taken meanwhile');
none_is_lost($small, $contacts, 'elsewhere');
is(sql($small, "SELECT count(*) FROM cxone_sync.contact_records WHERE id = 'mixed'"), '0', 'nothing of what was sent back is written');
is(sql($small, 'SELECT count(*) FROM cxone_sync.dead_letters'), '0', 'and no event is a dead letter');
cmp_ok(scalar(() = slurp_file($small->logfile, $full_at) =~ /answered with 503|taken from now on/g), '<=', 3, 'the log tells it once, whatever else succeeds');
sql($small, $make_room);
is(counts_of(deliver($small, events_json(case_of($refused_id), { eventType => 'contact', id => 'mixed' }))), '2 0 0', 'with room again, it is taken at once');
wait_for_state($small, 'running');
is(worker_pid($small), $pid, 'by the same worker');
wait_for_log($small, qr/deliveries are taken from now on, \d+ were answered with 503/, $full_at);

# A file that cannot be read is no event's fault, though PostgreSQL calls it a missing privilege.
my $table_file = $small->data_dir . '/' . sql($small, "CREATE TABLE sam.files (id text PRIMARY KEY, updated_ts timestamptz); ALTER TABLE sam.files OWNER TO sam;
	SELECT cxone_sync.add_target('files', 'sam.files', '{id}', event_types => '{file}'); SELECT pg_relation_filepath('sam.files')") =~ s/\A\s*//r;
sub file_event { return events_json({ eventType => 'file', id => shift }); }
is(counts_of(deliver($small, file_event('before'))), '1 0 0', 'a table whose file is there');
rename $table_file, "$table_file.away" or die "$table_file: $!";
sql($small, 'SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = \'cxone_sync\'');
poll(sub { my $new = worker_pid($small); $new && $new ne $pid }, 'a worker that has not opened the file');
wait_for_state($small, 'running');
retry_is(deliver($small, file_event('lost')), 'a file that is not there');
rename "$table_file.away", $table_file or die "$table_file: $!";
is(counts_of(deliver($small, file_event('lost'))), '1 0 0', 'when it is back');

# A table that is published without a replica identity does not get better by being asked again.
sql($small, 'CREATE PUBLICATION p FOR TABLE sam.files; ALTER TABLE sam.files REPLICA IDENTITY NOTHING');
is(counts_of(deliver($small, events_json({ eventType => 'file', id => 'lost' }, { eventType => 'contact', id => 'good' }))), '1 0 1', 'a table published without a replica identity: a dead letter, and neighbours go on');
sql($small, 'ALTER TABLE sam.files REPLICA IDENTITY DEFAULT');
is(sql($small, 'SELECT outcome FROM cxone_sync.replay_dead_letters()'), 'applied', 'which is replayed when that is mended');

$pid = worker_pid($node);

# ---- settings of the server that would break a session ----

my $configuration = slurp_file($node->data_dir . '/postgresql.conf');

# Puts lines behind the node's own settings, in place of those that the last call has put there.
sub set_lines
{
	my ($lines) = @_;
	open my $file, '>', $node->data_dir . '/postgresql.conf' or die "postgresql.conf: $!";
	print $file "$configuration\n$lines";
	close $file;
	$node->reload;
	return;
}

sub restart_worker
{
	my ($server, $state) = @_;
	my $old = worker_pid($server);
	sql($server, "SELECT pg_terminate_backend($old)");
	poll(sub { my $new = worker_pid($server); $new && $new ne $old }, 'the worker starts again');
	wait_for_state($server, $state || 'running');
	return;
}

sql($node, <<'SQL');
CREATE ROLE sam;
CREATE SCHEMA sam AUTHORIZATION sam
    CREATE TABLE slow (id text PRIMARY KEY, updated_ts timestamptz);
CREATE FUNCTION sam.wait() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(0.05); RETURN NEW; END $$;
CREATE TRIGGER wait BEFORE INSERT ON sam.slow FOR EACH ROW EXECUTE FUNCTION sam.wait();
ALTER TABLE sam.slow OWNER TO sam;
CREATE TABLE sam.lists (id text PRIMARY KEY, list text[], updated_ts timestamptz);
ALTER TABLE sam.lists OWNER TO sam;
ALTER TABLE sam.lists ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON sam.lists USING (true);
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{contact}', kept_columns => '{sync_status}'),
    cxone_sync.add_target('slow', 'sam.slow', '{id}', event_types => '{slow}'), cxone_sync.add_target('lists', 'sam.lists', '{id}', event_types => '{list}');
ALTER DATABASE postgres SET default_transaction_isolation = 'serializable';
ALTER DATABASE postgres SET lock_timeout = '1ms';
ALTER DATABASE postgres SET statement_timeout = '1ms';
SQL
set_lines(<<'CONF');
statement_timeout = 1ms
lock_timeout = 1ms
idle_in_transaction_session_timeout = 1ms
idle_session_timeout = 1ms
default_transaction_isolation = serializable
default_transaction_deferrable = on
search_path = 'nowhere'
array_nulls = off
row_security = off
CONF
# a limit for transactions, of PostgreSQL 17 and later, ends processes
set_lines(slurp_file($node->data_dir . '/postgresql.conf') =~ s/\A\Q$configuration\E\n//r . "transaction_timeout = 100ms\n") if sql($node, "SELECT count(*) FROM pg_settings WHERE name = 'transaction_timeout'");
foreach my $how ('a reload', 'a restart of the worker')
{
	restart_worker($node) if $how ne 'a reload';
	$pid = worker_pid($node);
	is(counts_of(deliver($node, events_json({ eventType => 'slow', id => "slow $how" }))), '1 0 0', "small timeouts of the server's, after $how: a slow delivery");
	is(counts_of(deliver($node, events_json({ eventType => 'list', id => $how, list => [ 'x', undef, 'NULL' ] }))), '1 0 0', 'array_nulls and row_security off');
	is(sql($node, "SET row_security = on; SELECT list[2] IS NULL, list[3] FROM sam.lists WHERE id = '$how'"), 't|NULL', 'a null in an array stays one');
	my $session = open_session($node);
	$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
	my $sender = connect_to($node);
	$sender->send(delivery_text(events_json({ eventType => 'contact', id => "isolated $how" })));
	poll(sub { status_of($node, 'oldest_waiting') ne '' }, 'the delivery waits for a lock');
	$session->run("INSERT INTO cxone_sync.contact_records (id, updated_ts) VALUES ('isolated $how', '2020-01-01'); COMMIT");
	# a serializable transaction could not update a row that is younger than its snapshot
	is(counts_of($sender->reply), '1 0 0', "and serializable by default: a row that comes while the delivery waits for a lock, after $how");
	$session->close;
}
sql($node, 'ALTER DATABASE postgres RESET ALL');
set_lines('');
restart_worker($node);
$pid = worker_pid($node);

# Settings that would change what an event means, or what becomes of it; and beside them what is left to the DBA, which must do no harm.
my $has_xml = $node->psql('postgres', q(SELECT '<a/>'::xml)) == 0;
my $xml = $has_xml ? 'xml' : 'text';
sql($node, <<"SQL");
CREATE TYPE sam.pair AS (a float8);
CREATE TABLE sam.parents (id text PRIMARY KEY);
CREATE TABLE sam.children (id text PRIMARY KEY, parent text REFERENCES sam.parents, gap interval, doc $xml, pair sam.pair, n int, updated_ts timestamptz);
CREATE FUNCTION sam.no_bad() RETURNS trigger LANGUAGE plpgsql AS \$\$ BEGIN IF NEW.id = 'bad' THEN RAISE 'bad'; END IF; RETURN NEW; END \$\$;
CREATE TRIGGER no_bad BEFORE INSERT ON sam.children FOR EACH ROW EXECUTE FUNCTION sam.no_bad();
ALTER TABLE sam.parents OWNER TO sam;
ALTER TABLE sam.children OWNER TO sam;
SELECT cxone_sync.add_target('children', 'sam.children', '{id}', event_types => '{child}');
ALTER DATABASE postgres SET exit_on_error = on;
ALTER DATABASE postgres SET role = 'sam';
SQL
$ENV{PGOPTIONS} .= ' -c role=none -c exit_on_error=off -c session_replication_role=origin -c intervalstyle=postgres -c extra_float_digits=1 -c standard_conforming_strings=on -c quote_all_identifiers=off';
set_lines(<<'CONF');
exit_on_error = on
session_replication_role = replica
intervalstyle = sql_standard
xmloption = document
extra_float_digits = -10
standard_conforming_strings = off
backslash_quote = off
transform_null_equals = on
quote_all_identifiers = on
datestyle = 'German, DMY'
bytea_output = escape
plan_cache_mode = force_custom_plan
enable_indexscan = off
enable_seqscan = off
synchronous_commit = off
CONF
restart_worker($node);
$pid = worker_pid($node);
foreach my $how ('after a restart', 'after a reload')
{
	if ($how =~ /reload/)
	{
		$node->reload;
		is(counts_of(deliver($node, events_json({ eventType => 'contact', id => 'reloaded' }))), '1 0 0', 'a reload');
	}
	is(counts_of(deliver($node, events_json({ eventType => 'child', id => 'number', n => 'x' }, { eventType => 'child', id => "good $how" }))), '1 0 1', "exit_on_error, $how: a bad value is a dead letter");
	is(counts_of(deliver($node, events_json({ eventType => 'child', id => 'orphan', parent => 'nobody' }, { eventType => 'child', id => 'bad' }))), '0 0 2', "session_replication_role, $how: foreign keys and triggers are in force");
	is(counts_of(deliver($node, events_json({ eventType => 'child', id => $how, gap => '-1 2:03:04', doc => 'a<b/>', pair => { a => '0.12345678901234' } }))), '1 0 0', "intervalstyle, xmloption, extra_float_digits, $how");
	is(sql($node, "SELECT extract(epoch FROM gap)::int, doc, (pair).a FROM sam.children WHERE id = '$how'"), '-79016|a<b/>|0.12345678901234', "$how: the values are what PostgreSQL takes them for by default");
}
is(sql($node, "SELECT count(*) FROM sam.children WHERE parent IS NOT NULL OR id = 'bad'"), '0', 'nothing has come past the constraints');
is(worker_pid($node), $pid, 'and the worker lives');
# PostgreSQL makes an error of exit_on_error the end of the session, but one that is caught is none
is(sql($node, <<'SQL'), "1 1\nstill here", 'ingest(), simulate() and replay_dead_letters() where exit_on_error is on');
SET exit_on_error = on;
SELECT (cxone_sync.ingest('{"events":[{"eventType":"child","id":"i","n":"x"},{"eventType":"child","id":"j"}]}')->>'dead_lettered') || ' '
    || (SELECT count(*) FROM cxone_sync.simulate('{"events":[{"eventType":"child","id":"i","n":"x"}]}') WHERE outcome = 'dead_lettered');
SELECT 'still here' FROM cxone_sync.replay_dead_letters(most => 1);
SQL
sql($node, "DROP EXTENSION cxone_sync; CREATE EXTENSION cxone_sync VERSION '1.0'");
poll(sub { sql($node, "SELECT extversion FROM pg_extension WHERE extname = 'cxone_sync'") eq '3.0' }, 'and the worker upgrades the extension');
wait_for_state($node, 'running');
is(counts_of(deliver($node, events_json({ id => 'upgraded' }))), '1 0 0', 'and goes on');
sql($node, "ALTER DATABASE postgres RESET ALL; SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{contact}', kept_columns => '{sync_status}')");
set_lines('');
restart_worker($node);

# read-only by default
sub contact { my $id = shift; return events_json({ eventType => 'contact', id => $id }); }
my %read_only = (
	'in postgresql.conf' => [ sub { set_lines("default_transaction_read_only = on\n") }, sub { set_lines('') } ],
	'for the database' => [
		sub { sql($node, "ALTER DATABASE postgres SET default_transaction_read_only = on"); restart_worker($node, 'waiting') },
		sub { sql($node, "ALTER DATABASE postgres RESET ALL"); restart_worker($node) } ]);
foreach my $where (sort keys %read_only)
{
	my ($on, $off) = @{ $read_only{$where} };
	$position = log_position($node);
	$on->();
	wait_for_state($node, 'waiting');
	retry_is(deliver($node, contact('read-only')), "read-only by default, $where");
	is(status_of($node, 'state') . ': ' . status_of($node, 'last_error'), 'waiting: transactions of database "postgres" are read-only', "$where: sync_status says why");
	is(scalar(() = slurp_file($node->logfile, $position) =~ /503: transactions of database "postgres" are read-only/g), 1, "$where: and the log, once");
	like(slurp_file($node->logfile, $position), qr/HINT: .*ALTER DATABASE.*reaches the worker when it is started again/, "$where: with what to do");
	$node->reload;
	retry_is(deliver($node, contact('read-only')), "read-only by default, $where, after a reload");
	is(status_of($node, 'state'), 'waiting', 'a reload does not show it as over');
	$off->();
	wait_for_state($node, 'running');
	is(counts_of(deliver($node, contact('read-only'))), '1 0 0', "$where: back to read-write, deliveries are taken");
}
is(sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters WHERE sqlstate <> \'22007\''), '0', 'none of that has made a dead letter');
$pid = worker_pid($node);

# ---- a reload with wrong settings ----

my $port = webhook_port($node);
my %wrong = (
	'cxone_sync.port = 99999' => qr/99999 is outside the valid range for parameter "cxone_sync\.port"/,
	"cxone_sync.lock_timeout = 'soon'" => qr/invalid value for parameter "cxone_sync\.lock_timeout": "soon"/,
	'cxone_sync.batch_size = 0' => qr/0 is outside the valid range for parameter "cxone_sync\.batch_size"/,
	"cxone_sync.database = 'elsewhere'" => qr/parameter "cxone_sync\.database" cannot be changed without restarting the server/,
	'cxone_sync.max_events = 5 events' => qr/syntax error in file/);
foreach my $line (sort keys %wrong)
{
	$position = log_position($node);
	set_lines("$line\n");
	wait_for_log($node, $wrong{$line}, $position);
	wait_for_log($node, qr/configuration file ".*" contains errors/, $position);
	is(counts_of(deliver($node, contact('wrong ' . ++$number))), '1 0 0', "$line: the endpoint goes on");
}
is(sql($node, "SELECT string_agg(current_setting('cxone_sync.' || s), ' ' ORDER BY s) FROM unnest('{port,lock_timeout,batch_size,database,max_events}'::text[]) AS s"),
	"1000 postgres 500ms 1000 $port", 'the old values stay in force');
set_lines('');
is(status_of($node, 'state') . ' ' . status_of($node, 'address') . ' ' . worker_pid($node), "running 127.0.0.1:$port $pid", 'in the same worker');

# ---- a row that is locked for long, under load ----

my $holder = open_session($node);
deliver($node, contact('held'));
$holder->run("BEGIN; UPDATE cxone_sync.contact_records SET email = 'held' WHERE id = 'held'");
my $neighbours = CxoneSync::Load->start($port, clients => 3, name => 'neighbour', events => sub {
	my ($prefix, $number) = @_;
	return ([ "$prefix-$number" ], qq({"eventType":"contact","id":"$prefix-$number"}));
});
my $wants = CxoneSync::Load->start($port, clients => 1, name => 'wants', events => sub { return ([ 'held' ], '{"eventType":"contact","id":"held","email":"sent"}'); });
poll(sub { $wants->count(503) >= 3 }, 'the row is held for longer than lock_timeout, three times');
is($wants->count(200), 0, 'who wants the row gets 503');
my $before = $neighbours->count(200);
note("$before deliveries of neighbours");
$holder->run('COMMIT');
poll(sub { $wants->count(200) }, 'once it is released the delivery is taken');
$_->stop foreach $wants, $neighbours;
$holder->close;
is(join(',', grep { !/^200/ } $neighbours->answers), '', 'the neighbours of a row that is locked are all taken');
cmp_ok($before, '>=', 10, 'and go on meanwhile');
none_is_lost($node, $neighbours, 'neighbours');
is(sql($node, "SELECT email FROM cxone_sync.contact_records WHERE id = 'held'"), 'sent', 'in the end the row is written');

# ---- crashes that follow one another ----

# The worker of the server's, from the moment that it is forked.
sub youngest_worker
{
	my ($postmaster) = slurp_file($node->data_dir . '/postmaster.pid') =~ /^(\d+)/;
	foreach my $directory (glob '/proc/[0-9]*')
	{
		my ($parent) = (eval { slurp_file("$directory/stat") } || '') =~ /^\d+ \(.*\) \S (\d+)/s or next;
		return $directory =~ s/.*\///r if $parent == $postmaster && (eval { slurp_file("$directory/cmdline") } || '') =~ /cxone_sync intake/;
	}
	return;
}

$load = CxoneSync::Load->start($port, clients => 4, name => 'kill', events => sub {
	my ($prefix, $number) = @_;
	return ([ "$prefix-$number" ], qq({"eventType":"contact","id":"$prefix-$number"}));
});
my $kills = 6;
my $victim = 0;
foreach my $stroke (1 .. $kills)
{
	# every other time as soon as there is a worker, else in the midst of its first deliveries
	wait_for_more($load, 200, 1 + 20 * $stroke, "before stroke $stroke") if $stroke % 2;
	my $new;
	poll(sub { $new = youngest_worker(); $new && $new != $victim }, "a worker for stroke $stroke");
	$victim = $new;
	kill 'KILL', $victim;
}
$started = time;
wait_for_more($load, 200, 100, 'after the last stroke');
cmp_ok(time - $started, '<', 30, "after $kills kills in a row deliveries are soon taken again") and note(sprintf 'after %.1f s', time - $started);
$load->stop;
is(join(',', grep { !/^(?:200|503|0) / } $load->answers), '', 'a worker that is killed again and again: no other answers than expected');
none_is_lost($node, $load, 'killed again and again');
is(status_of($node, 'state'), 'running', 'it runs');

stop_and_check($node, 'background worker "cxone_sync.*" \(PID \d+\) was terminated by signal 9: Killed' => $kills);
stop_and_check($_) foreach $bare, $crm, $small;
done_testing();
