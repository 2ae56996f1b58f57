# A standby has no worker until it is promoted; with synchronous replication, 200 means that the standby has it too.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Load;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = start_node('primary', allows_streaming => 1);
is(counts_of(deliver($primary, events_json({ id => 'before' }))), '1 0 0', 'a delivery before there is a standby');

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
configure($standby, port => free_port(), metrics_port => free_port());
$standby->start;

is(counts_of(deliver($primary, events_json({ id => 'replicated' }, {}))), '1 0 1', 'a delivery to the primary');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('insert'));
is(sql($standby, "SELECT string_agg(id, ' ' ORDER BY id) FROM cxone_sync.contact_records"), 'before replicated', 'is on the standby');
is(sql($standby, "SELECT state || ' ' || coalesce(pid::text, 'no pid') || ' ' || coalesce(address, 'nowhere') FROM cxone_sync.sync_status"),
	'stopped no pid nowhere', 'where no worker runs');
ok(!connect_to($standby), 'and nobody listens');
is($standby->psql('postgres', q(SELECT cxone_sync.ingest('{"events":[{"id":"x"}]}'))), 3, 'nor does ingest() write');

# ---- what a delivery has found, but not written ----

# Without a transaction id a commit waits for nothing, so what it has found may be lost in a crash.
$primary->append_conf('postgresql.conf', "wal_writer_delay = '10s'\n");
$primary->reload;
my $same = events_json({ id => 'found', email => 'a', timestamp => '2026-01-02T03:04:05Z' });
my $nothing = '{"events":[]}';
my %finds = ('what an asynchronous commit has made' => $same, 'nothing at all' => $nothing);
foreach my $finds (sort keys %finds)
{
	my $made = sql($primary, <<'SQL');
SET synchronous_commit = off;
DELETE FROM cxone_sync.contact_records WHERE id = 'found';
INSERT INTO cxone_sync.contact_records (id, email, updated_ts) VALUES ('found', 'a', '2026-01-02T03:04:05Z');
SELECT pg_current_wal_insert_lsn();
SQL
	is(deliver($primary, $finds{$finds})->{status}, 200, "a delivery that finds $finds");
	is(sql($primary, "SELECT pg_current_wal_flush_lsn() >= '$made'"), 't', 'is answered when that is on the disk');
}
# Where the WAL ends with a page there is nothing behind the next one's header that could be flushed.
my $fill_page = <<'SQL';
DO $$
DECLARE
    room int;
BEGIN
    LOOP
        room := 8192 - (pg_current_wal_insert_lsn() - '0/0') % 8192;
        EXIT WHEN room = 8192 - 24;
        PERFORM pg_logical_emit_message(false, 'x', repeat('x', CASE WHEN room < 600 THEN 900 ELSE room - 55 END));
    END LOOP;
END
$$;
SELECT pg_current_wal_insert_lsn();
SQL
my ($end_of_page, $reply);
poll(sub {
		$end_of_page = sql($primary, $fill_page);
		$reply = deliver($primary, $nothing);
		return sql($primary, 'SELECT pg_current_wal_insert_lsn()') eq $end_of_page;
	}, 'nobody else writes WAL');
is(counts_of($reply), '0 0 0', 'a delivery that writes nothing, while the WAL ends with a page');

# ---- synchronous replication ----

$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'\n");
$primary->reload;
poll(sub { sql($primary, "SELECT sync_state FROM pg_stat_replication") eq 'sync' }, 'replication is synchronous');

$standby->stop;
my $pid = worker_pid($primary);
my $sender = connect_to($primary);
$sender->send(delivery_text(events_json({ id => 'waits' })));
poll(sub { sql($primary, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") eq 'SyncRep' }, 'the worker waits for the standby');
ok(!$sender->has_reply, 'no 200 while the standby is away');
my $empty = connect_to($primary);
$empty->send(delivery_text($nothing));
$standby->start;
is(counts_of($sender->reply), '1 0 0', 'but when it has come back');
is(counts_of($empty->reply), '0 0 0', 'as for a delivery that finds nothing');
$standby->stop;
$empty->send(delivery_text($nothing));
poll(sub { sql($primary, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") eq 'SyncRep' }, 'a delivery that writes nothing waits for the standby, too');
ok(!$empty->has_reply, 'and gets no 200 before');
$standby->start;
is(counts_of($empty->reply), '0 0 0', 'but then');

# What ends the wait does not matter: only the standby's word leads to 200. Each case is a delivery that is sent back, and then sent again: now
# it would change nothing, but what it finds is not confirmed.
sub is_waiting { return sql($primary, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'cxone_sync' AND wait_event = 'SyncRep'") eq '1'; }
my $unconfirmed = 'the synchronous standbys have not confirmed a commit';
my %ends = (
	'1 cancel' => sub { sql($primary, "SELECT pg_cancel_backend($pid)") },
	'2 synchronous_standby_names is emptied' => sub { $primary->append_conf('postgresql.conf', "synchronous_standby_names = ''\n"); $primary->reload },
	'3 terminate' => sub { sql($primary, "SELECT pg_terminate_backend($pid)") });
set_settings($primary, drain_timeout => '300ms', statement_timeout => '1s');
foreach my $end (sort keys %ends)
{
	$standby->stop;
	$pid = worker_pid($primary);
	my $body = events_json({ id => $end, timestamp => '2026-01-02T03:04:05Z' });
	$sender = connect_to($primary);
	$sender->send(delivery_text($body));
	poll(\&is_waiting, "$end: the worker waits");
	$ends{$end}->();
	retry_is($sender->reply, "$end: the delivery");
	if ($end =~ /names/)
	{
		is(counts_of(deliver($primary, $body)), '1 0 0', "$end: without synchronous standbys it is taken");
		$primary->append_conf('postgresql.conf', "synchronous_standby_names = 'standby'\n");
		$primary->reload;
		poll(sub { sql($primary, 'SHOW synchronous_standby_names') eq 'standby' }, "$end: it has its old value");
		sql($primary, "SET synchronous_commit = local; UPDATE cxone_sync.contact_records SET email = 'x' WHERE id = '$end'");
		$body =~ s/"id"/"email":"x","id"/;
	}
	elsif ($end =~ /cancel/)
	{
		is(status_of($primary, 'last_error'), $unconfirmed, "$end: sync_status says why");
		like(connect_to($primary, metrics_port($primary))->exchange(request_text(method => 'GET', path => '/readyz'))->{body}, qr/$unconfirmed/, "$end: so does /readyz");
	}
	else
	{
		poll(sub { my $new = worker_pid($primary); $new && $new ne $pid }, "$end: a new worker");
	}
	$sender = poll(sub { connect_to($primary) }, "$end: somebody listens");
	my $began = sql($primary, 'SELECT clock_timestamp()');
	$sender->send(delivery_text($body));
	poll(sub { is_waiting() && sql($primary, "SELECT clock_timestamp() > '$began'::timestamptz + interval '1.5s'") eq 't' }, "$end: it waits for longer than statement_timeout");
	ok(!$sender->has_reply, "$end: the same delivery gets no 200, though it would change nothing");
	$standby->start;
	is(counts_of($sender->reply), '1 0 0', "$end: but when the standby has come back");
	wait_for_state($primary, 'running');
}

# What synchronous_commit asks for is the cluster's affair, but the worker waits for standbys.
$standby->stop;
sub commit_is { my $value = shift; $primary->append_conf('postgresql.conf', "synchronous_commit = $value\n"); $primary->reload; return poll(sub { sql($primary, 'SHOW synchronous_commit') eq $value }, $value); }
$sender = connect_to($primary);
foreach my $mode (qw(remote_write remote_apply off local))
{
	commit_is($mode);
	$sender->send(delivery_text(events_json({ id => $mode })));
	poll(\&is_waiting, "synchronous_commit = $mode: the worker waits");
	ok(!$sender->has_reply, "synchronous_commit = $mode: no 200 without the standby");
	$standby->start;
	is(counts_of($sender->reply), '1 0 0', "synchronous_commit = $mode: 200 with it");
	$standby->stop;
}
commit_is('on');
# what the database says does not weaken it, and neither does a trigger
sql($primary, <<'SQL');
SET synchronous_commit = local;
ALTER DATABASE postgres SET synchronous_commit = 'local';
CREATE FUNCTION public.care_less() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN SET LOCAL synchronous_commit = local; RETURN NEW; END $$;
SQL
$pid = worker_pid($primary);
sql($primary, "SELECT pg_terminate_backend($pid)");
poll(sub { my $new = worker_pid($primary); $new && $new ne $pid }, 'a worker with the setting of its database');
foreach my $who (qw(database trigger))
{
	$sender = poll(sub { connect_to($primary) }, 'somebody listens');
	$sender->send(delivery_text(events_json({ id => "by $who" })));
	poll(\&is_waiting, "synchronous_commit = local by a $who: the worker waits");
	ok(!$sender->has_reply, "by a $who: no 200 without the standby");
	$standby->start;
	is(counts_of($sender->reply), '1 0 0', "by a $who: 200 with it");
	$standby->stop;
	sql($primary, 'CREATE TRIGGER care_less BEFORE INSERT ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION public.care_less()') if $who eq 'database';
}
sql($primary, 'DROP FUNCTION public.care_less() CASCADE; ALTER DATABASE postgres RESET synchronous_commit');
$standby->start;
$pid = worker_pid($primary);
sql($primary, "SET synchronous_commit = local; SELECT pg_terminate_backend($pid)");
poll(sub { my $new = worker_pid($primary); $new && $new ne $pid }, 'a worker without it');
wait_for_state($primary, 'running');
$pid = worker_pid($primary);
set_settings($primary, statement_timeout => '30s');

my $load = CxoneSync::Load->start(webhook_port($primary), clients => 6, name => 'sync');
poll(sub { $load->count(200) >= 300 }, '300 deliveries are acknowledged');
$primary->stop('immediate');
$standby->promote;
wait_for_state($standby, 'running');
$load->stop;
my @ids = $load->acknowledged;
my $file = PostgreSQL::Test::Utils::tempdir() . '/acknowledged';
open my $out, '>', $file or die "$file: $!";
print $out map { "$_\n" } @ids;
close $out;
is(sql($standby, <<"SQL"), @ids . '|0', 'the promoted standby has all ' . @ids . ' acknowledged events');
CREATE TEMP TABLE acknowledged (id text);
\\copy acknowledged FROM '$file'
SELECT count(*), count(*) FILTER (WHERE NOT EXISTS (SELECT FROM cxone_sync.contact_records r WHERE r.id = a.id)
    AND NOT EXISTS (SELECT FROM cxone_sync.dead_letters d WHERE d.event_key = a.id)) FROM acknowledged a
SQL

# ---- after the promotion ----

is(counts_of(deliver($standby, events_json({ id => 'promoted' }, {}))), '1 0 1', 'and takes deliveries');
is(sql($standby, 'SELECT count(*) - count(DISTINCT id) FROM cxone_sync.dead_letters'), '0', 'dead letters go on numbering');

$primary->start;
stop_and_check($_) foreach $primary, $standby;
done_testing();
