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
$standby->start;
is(counts_of($sender->reply), '1 0 0', 'but when it has come back');

# a worker that is told to end while it waits for the standby cannot promise what it does not know
$standby->stop;
set_settings($primary, drain_timeout => '300ms');
$sender->send(delivery_text(events_json({ id => 'unconfirmed' })));
poll(sub { sql($primary, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") eq 'SyncRep' }, 'the worker waits again');
sql($primary, "SELECT pg_terminate_backend($pid)");
retry_is($sender->reply, 'a worker that ends before the standby has confirmed');
$standby->start;
poll(sub { my $new = worker_pid($primary); $new && $new ne $pid }, 'a new worker');
wait_for_state($primary, 'running');

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
