# The main promise: an event that was answered with 200 is committed. Under a load of concurrent deliveries the worker
# and the server are struck in several ways, at random points; afterwards every acknowledged event is in contact_records or
# dead_letters. CXONE_SYNC_STROKES=20 strikes that many times as often, which takes minutes.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Load;
use PostgreSQL::Test::Utils;
use Test::More;

my $strokes = $ENV{CXONE_SYNC_STROKES} || 1;
my $enough = 300; # acknowledged deliveries before each stroke, on the average, and after the recovery
note('the random points are those of srand(' . srand() . ')');
my $node = start_node('durability');
sql($node, 'ALTER TABLE cxone_sync.contact_records ADD UNIQUE (external_id)');

# Runs a load, strikes in the midst of it, and checks that nothing that was acknowledged is missing.
sub nothing_is_lost
{
	my ($name, $times, $strike, $allowed) = @_;
	my $load = CxoneSync::Load->start(webhook_port($node), clients => 6, name => $name);
	foreach my $time (1 .. $times * $strokes)
	{
		my $before = $load->count(200) + int(rand(2 * $enough)) - $enough;
		poll(sub { $load->count(200) >= $before + $enough }, "$name: deliveries before stroke $time");
		$strike->();
	}
	my $before = $load->count(200);
	poll(sub { $load->count(200) >= $before + $enough }, "$name: $enough deliveries after the last stroke");
	$load->stop;

	my @ids = $load->acknowledged;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/acknowledged';
	open my $out, '>', $file or die "$file: $!";
	print $out map { "$_\n" } @ids;
	close $out;
	my ($known, $lost, $example) = split /\|/, sql($node, <<"SQL");
CREATE TEMP TABLE acknowledged (id text);
\\copy acknowledged FROM '$file'
SELECT count(*), count(*) FILTER (WHERE NOT found), min(id) FILTER (WHERE NOT found)
FROM (SELECT id, EXISTS (SELECT FROM cxone_sync.contact_records r WHERE r.id = a.id AND r.external_id = 'x' || a.id AND r.email = a.id || '\@example.org')
          OR EXISTS (SELECT FROM cxone_sync.dead_letters d WHERE d.event_key = a.id) AS found FROM acknowledged a) a
SQL
	is($known, scalar @ids, "$name: all of the " . @ids . ' acknowledged events looked for');
	is($lost, '0', "$name: none is lost") or diag("one of them: $example");
	is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id LIKE '$name-%-bad'"), '0', "$name: no bad event among the rows");
	my %others;
	$others{$_}++ foreach grep { !/^200/ } $load->answers;
	note("$name: " . join(', ', map { "$others{$_} x $_" } sort keys %others));
	my @wrong = grep { !/$allowed/ } keys %others;
	is(join(',', @wrong), '', "$name: no other answers than expected");
	return;
}

# Statuses: 503 and, where connections break, none.
my $not_now = qr/^503 /;
my $not_now_or_broken = qr/^(?:503|0) /;

sub wait_for_new_worker
{
	my $old = shift;
	poll(sub { my $pid = eval { worker_pid($node) }; $pid && $pid ne $old }, 'a new worker');
	wait_for_state($node, 'running');
	return;
}

my $pid;
nothing_is_lost('reload', 5, sub { $node->reload }, qr/^-/);

nothing_is_lost('terminate', 3, sub {
	$pid = worker_pid($node);
	sql($node, "SELECT pg_terminate_backend($pid)");
	wait_for_new_worker($pid);
}, $not_now_or_broken);

nothing_is_lost('restart', 2, sub { $node->restart }, $not_now_or_broken);

nothing_is_lost('kill_worker', 2, sub {
	$pid = worker_pid($node);
	kill 'KILL', $pid;
	poll(sub { eval { sql($node, 'SELECT 1') } }, 'the server has recovered');
	wait_for_new_worker($pid);
}, $not_now_or_broken);

nothing_is_lost('kill_server', 2, sub {
	$pid = worker_pid($node);
	$node->kill9;
	# its children notice by themselves that it is gone, and the next server starts only then
	poll(sub { !kill(0, $pid) }, 'the worker ends without its postmaster');
	poll(sub { $node->start(fail_ok => 1) }, 'the server starts again');
	wait_for_new_worker($pid);
}, $not_now_or_broken);

nothing_is_lost('immediate', 2, sub {
	$node->stop('immediate');
	$node->start;
	wait_for_new_worker(0);
}, $not_now_or_broken);

# A commit is never reported that is not on disk, whatever the cluster's setting.
$node->append_conf('postgresql.conf', "synchronous_commit = off\n");
$node->restart;
wait_for_state($node, 'running');
nothing_is_lost('asynchronous', 1, sub {
	$node->stop('immediate');
	$node->start;
	wait_for_new_worker(0);
}, $not_now_or_broken);

my $keyless = sql($node, "SELECT count(*) FROM cxone_sync.dead_letters WHERE event_key !~ '-bad\$' OR sqlstate <> '22007'");
is($keyless, '0', 'nothing but bad events is among the dead letters');

stop_and_check($node, 'background worker "cxone_sync.*" \(PID \d+\) was terminated by signal 9: Killed' => 2 * $strokes);
done_testing();
