# More of replication: remote_apply, in the cluster and for the database; logical replication from targets of all kinds; the promotion
# of a standby while the old primary lives on.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $primary = start_node('primary', allows_streaming => 1, drain_timeout => '500ms');
$primary->append_conf('postgresql.conf', "wal_level = logical\n");
$primary->restart;
wait_for_state($primary, 'running');
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
configure($standby, port => free_port(), metrics_port => free_port());
$standby->start;

sub restart_worker
{
	my $old = worker_pid($primary);
	sql($primary, "SELECT pg_terminate_backend($old)");
	poll(sub { my $new = worker_pid($primary); $new && $new ne $old }, 'the worker starts again');
	wait_for_state($primary, 'running');
	return;
}
sub is_there { my ($server, $id) = @_; return sql($server, "SELECT count(*) FROM cxone_sync.contact_records WHERE id = '$id'"); }

# ---- synchronous_commit = remote_apply ----

sub set_in_cluster
{
	my $value = shift;
	$primary->append_conf('postgresql.conf', "synchronous_commit = $value\n");
	$primary->reload;
	poll(sub { sql($primary, 'SHOW synchronous_commit') eq $value }, "synchronous_commit is $value");
	return;
}
# for a database it holds for sessions that come later
sub set_for_database { my $value = shift; sql($primary, "ALTER DATABASE postgres SET synchronous_commit = $value"); restart_worker(); return; }
my %apply = ('in postgresql.conf' => \&set_in_cluster, 'for the database' => \&set_for_database);

$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'\n");
$primary->reload;
poll(sub { sql($primary, 'SELECT sync_state FROM pg_stat_replication') eq 'sync' }, 'replication is synchronous');
foreach my $where ('in postgresql.conf', 'for the database')
{
	$apply{$where}->('remote_apply');
	sql($standby, 'SELECT pg_wal_replay_pause()');
	poll(sub { sql($standby, 'SELECT pg_get_wal_replay_pause_state()') eq 'paused' }, 'the standby pauses');
	my $pid = worker_pid($primary);
	my $sender = connect_to($primary);
	$sender->send(delivery_text(events_json({ id => "applied $where" })));
	poll(sub { sql($primary, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") eq 'SyncRep' }, "remote_apply $where: the worker waits for the standby");
	poll(sub { sql($primary, 'SELECT flush_lsn >= pg_current_wal_flush_lsn() FROM pg_stat_replication') eq 't' }, 'the standby has received and flushed all');
	ok(!$sender->has_reply, "remote_apply $where: no 200 while the standby has the row but does not show it");
	is(is_there($standby, "applied $where"), '0', 'it does not');
	sql($standby, 'SELECT pg_wal_replay_resume()');
	is(counts_of($sender->reply), '1 0 0', "remote_apply $where: 200 once it does");
	is(is_there($standby, "applied $where"), '1', 'the row is there without any wait');
	my @missing = grep { counts_of(deliver($primary, events_json({ id => "seen $where $_" }))) ne '1 0 0' || !is_there($standby, "seen $where $_") } 1 .. 20;
	is("@missing", '', "remote_apply $where: so is each row of 20 deliveries when it is answered");
	$apply{$where}->('local');
	$sender->close;
}

sql($primary, 'ALTER DATABASE postgres RESET synchronous_commit');
$primary->append_conf('postgresql.conf', "synchronous_standby_names = ''\nsynchronous_commit = on\n");
$primary->reload;
restart_worker();

# ---- logical replication ----

my $subscriber = PostgreSQL::Test::Cluster->new('subscriber');
$subscriber->init(extra => [ '--encoding=UTF8', '--locale=C' ]);
$subscriber->start;
sql($primary, <<'SQL');
CREATE ROLE sam;
CREATE SCHEMA sam AUTHORIZATION sam;
CREATE TABLE sam.parts (id text, part integer, v text, w text, extra jsonb, field_times jsonb, updated_ts timestamptz, PRIMARY KEY (id, part));
CREATE TABLE sam.marked (id text PRIMARY KEY, v text, gone timestamptz, updated_ts timestamptz);
ALTER TABLE sam.parts OWNER TO sam;
ALTER TABLE sam.marked OWNER TO sam;
SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{contact}', delete_types => '{contact gone}', kept_columns => '{sync_status}'),
    cxone_sync.add_target('parts', 'sam.parts', '{id,part}', event_types => '{part}', delete_types => '{part gone}'),
    cxone_sync.add_target('marked', 'sam.marked', '{id}', event_types => '{marked}', delete_types => '{marked gone}', mark_column => 'gone');
CREATE PUBLICATION contacts FOR TABLE cxone_sync.contact_records, sam.parts, sam.marked;
SQL
# a server that has never heard of the extension
sql($subscriber, <<'SQL');
CREATE SCHEMA cxone_sync;
CREATE TABLE cxone_sync.contact_records (id text PRIMARY KEY, external_id text, first_name text, last_name text, email text, sync_status text, extra jsonb, field_times jsonb, updated_ts timestamptz);
CREATE SCHEMA sam;
CREATE TABLE sam.parts (id text, part integer, v text, w text, extra jsonb, field_times jsonb, updated_ts timestamptz, PRIMARY KEY (id, part));
CREATE TABLE sam.marked (id text PRIMARY KEY, v text, gone timestamptz, updated_ts timestamptz);
CREATE TABLE public.seen (what text);
CREATE FUNCTION public.see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.seen VALUES (TG_OP || ' ' || COALESCE(NEW.id, OLD.id)); RETURN NULL; END $$;
CREATE TRIGGER see AFTER INSERT OR UPDATE OR DELETE ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION public.see();
ALTER TABLE cxone_sync.contact_records ENABLE ALWAYS TRIGGER see;
SQL
my $connection = $primary->connstr('postgres');
$connection =~ s/'/''/g;
sql($subscriber, "CREATE SUBSCRIPTION contacts CONNECTION '$connection' PUBLICATION contacts");
$primary->wait_for_catchup('contacts');
poll(sub { sql($subscriber, "SELECT count(*) FROM pg_subscription_rel WHERE srsubstate <> 'r'") eq '0' }, 'the tables are copied');
sql($subscriber, 'TRUNCATE public.seen');

sub event { my ($type, $id, $second, %more) = @_; return { eventType => $type, id => $id, timestamp => sprintf('2026-01-02T03:04:%02dZ', $second), %more }; }
my @deliveries = (
	[ event('contact', 'a', 1, email => 'first', unknown => [1]), event('contact', 'b', 1), event('contact', 'c', 1, email => 'kept'), event('marked', 'm', 1, v => 'v') ],
	[ event('contact', 'a', 2, email => 'second', firstName => "Zo\xc3\xab"), event('contact', 'never', 1, timestamp => 'never'), event('marked gone', 'm', 2) ],
	[ event('contact', 'a', 1, email => 'too late'), event('contact', 'c', 1, email => 'kept') ],
	[ event('contact gone', 'b', 3), event('contact gone', 'unknown', 3) ],
	[ event('contact', 'b', 2, email => 'too late') ],
	[ event('part', 'p', 5, part => 1, v => 'new'), event('part', 'p', 5, part => 2, v => 'gone') ],
	[ event('part', 'p', 4, part => 1, v => 'old', w => 'late', other => 1), event('part gone', 'p', 6, part => 2) ]);
my @answers = map { counts_of(deliver($primary, events_json(@$_))) } @deliveries;
is(join(', ', @answers), '4 0 0, 2 0 1, 1 1 0, 2 0 0, 0 1 0, 2 0 0, 2 0 0', 'what the worker writes while there is a subscriber');
$primary->wait_for_catchup('contacts');
foreach my $table ('cxone_sync.contact_records', 'sam.parts', 'sam.marked')
{
	my $rows = "SELECT to_jsonb(t) FROM $table AS t ORDER BY 1";
	is(sql($subscriber, $rows), sql($primary, $rows), "$table: the subscriber has the same rows");
	isnt(sql($primary, $rows), '', 'which are some');
}
is(sql($subscriber, "SELECT string_agg(what, ', ' ORDER BY what) FROM public.seen WHERE what ~ ' [abc]\$'"), 'DELETE b, INSERT a, INSERT b, INSERT c, UPDATE a',
	'it got each change once, and none of what changed nothing');

# ---- a promotion while the old primary lives on ----

my $pid = worker_pid($primary);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
my $position = log_position($primary);
my $started = time;
$standby->promote;
poll(sub { deliver($standby, events_json(event('contact', 'new primary', 1)))->{status} == 200 }, 'the promoted standby takes deliveries');
my $took = time - $started;
cmp_ok($took, '<', 15, 'the endpoint opens soon after the promotion') and note(sprintf 'after %.1f s', $took);
is(counts_of(deliver($primary, events_json(event('contact', 'old primary', 1)))), '1 0 0', 'the old primary goes on');
is(worker_pid($primary) . ' ' . status_of($primary, 'state'), "$pid running", 'with the same worker');
is(join(' ', map { is_there(@$_) } [ $primary, 'old primary' ], [ $primary, 'new primary' ], [ $standby, 'old primary' ], [ $standby, 'new primary' ]), '1 0 0 1',
	'each has its own rows from then on');
unlike(slurp_file($primary->logfile, $position), qr/cxone_sync/, 'nothing has changed for it');
is(sql($standby, 'SELECT count(*) FROM cxone_sync.targets WHERE problem IS NULL'), '3', 'all targets work on the new one');

sql($subscriber, 'DROP SUBSCRIPTION contacts');
stop_and_check($_) foreach $subscriber, $standby, $primary;
done_testing();
