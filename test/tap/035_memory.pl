# The memory of a worker whose queue is full, and which then writes all of it: bounded by queue_size, whatever the deliveries look like.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use PostgreSQL::Test::Utils;
use Test::More;

my $queue_mb = 16;
my $most_mb = 5 * $queue_mb; # beyond what it has when it is idle

# Of the memory that the server shares the worker is to touch little.
my $node = new_node('memory', queue_size => "${queue_mb}MB", max_queue_wait => '10min', lock_timeout => '10min', statement_timeout => '10min');
$node->append_conf('postgresql.conf', "shared_buffers = 1MB\n");
$node->start;
sql($node, 'CREATE EXTENSION cxone_sync');
sql($node, "ALTER TABLE cxone_sync.contact_records ADD CHECK (first_name <> 'bad')");
wait_for_state($node, 'running');
deliver($node, events_json({ id => 'first', more => 1 }));
my $pid = worker_pid($node);

# Megabytes: what it has now (VmRSS), and the most it ever had (VmHWM).
sub megabytes
{
	my $field = shift;
	my ($kilobytes) = slurp_file("/proc/$pid/status") =~ /^$field:\s*(\d+) kB/m;
	return $kilobytes / 1024;
}
my $idle_mb = megabytes('VmRSS');

# ---- what deliveries may look like ----

my $number = 0;
sub id { return '"id":"m' . ++$number . '"'; }
sub several { my ($count, $make) = @_; return events_json(map { $make->() } 1 .. $count); }

my $text = 'x' x 1_000_000;
my $escapes = '\u00e9' x 150_000;
my $members = join ',', map { "\"k$_\":1" } 1 .. 1000;
my @shapes = (
	[ 'small events' => sub { several(1000, sub { '{' . id() . '}' }) } ],
	[ 'events without an id' => sub { several(1000, sub { '{"email":"a"}' }) } ],
	[ 'large texts' => sub { several(1, sub { '{' . id() . qq(,"email":"$text"}) }) } ],
	[ 'large texts that a constraint refuses' => sub { several(20, sub { '{' . id() . ',"firstName":"bad","email":"' . 'y' x 50_000 . '"}' }) } ],
	[ 'texts of escapes' => sub { several(1, sub { '{' . id() . qq(,"email":"$escapes"}) }) } ],
	[ 'large members that no column takes' => sub { several(1, sub { '{' . id() . qq(,"more":"$text"}) }) } ],
	[ 'many members that no column takes' => sub { several(20, sub { '{' . id() . ",$members}" }) } ],
	[ 'bodies in gzip' => sub { gzipped(several(1, sub { '{' . id() . qq(,"email":"$text"}) })) }, 'Content-Encoding: gzip' ]);

# ---- until no more are taken, and then all at once ----

foreach my $shape (@shapes)
{
	my ($name, $make, @headers) = @$shape;
	my $lock = open_session($node);
	$lock->run('BEGIN; LOCK TABLE cxone_sync.contact_records IN ACCESS EXCLUSIVE MODE');
	my @senders;
	my $full = sub { (grep { $_->has_reply } @senders) >= 3 };
	while (!$full->() && @senders < 400)
	{
		push @senders, connect_to($node);
		$senders[-1]->send(delivery_text($make->(), @headers));
	}
	poll($full, "$name: the queue is full");
	$lock->close;
	my %answers;
	$answers{ $_->reply->{status} }++ foreach @senders;
	is(join(' ', sort keys %answers), '200 503', "$name: what was taken is answered when it is written");
	my $peak = megabytes('VmHWM') - $idle_mb;
	cmp_ok($peak, '<', $most_mb, sprintf "$name, $answers{200} deliveries: %.0f MB at most, %.0f MB left, with %d MB of queue", $peak, megabytes('VmRSS') - $idle_mb, $queue_mb);
	$_->close foreach @senders;
}

# ---- fill_from_extra(): each page has a transaction, and the memory of one ----

sql($node, <<'SQL');
TRUNCATE cxone_sync.contact_records;
INSERT INTO cxone_sync.contact_records (id, updated_ts, extra)
    SELECT n, now(), jsonb_build_object('tall', CASE WHEN n % 2 = 0 THEN 'no number' ELSE n::text END) FROM generate_series(1, 4000) AS n;
ALTER TABLE cxone_sync.contact_records ADD tall int;
SQL
my $session = open_session($node);
$pid = $session->run("SET synchronous_commit = off; SET client_min_messages = error; SELECT pg_backend_pid()");
$session->run("CALL cxone_sync.fill_from_extra('contact_records', 'tall', 4000); UPDATE cxone_sync.contact_records SET tall = NULL, extra = jsonb_build_object('tall', id)");
my $before_mb = megabytes('VmHWM');
$session->run("CALL cxone_sync.fill_from_extra('contact_records', 'tall', 1)");
my $more_mb = megabytes('VmHWM') - $before_mb;
is(sql($node, 'SELECT count(tall) FROM cxone_sync.contact_records'), '4000', 'fill_from_extra() in 4000 pages');
cmp_ok($more_mb, '<', 4, sprintf 'takes no memory for each: %.1f MB', $more_mb);
$session->run("UPDATE cxone_sync.contact_records SET tall = NULL, extra = jsonb_build_object('tall', 'no number')");
$before_mb = megabytes('VmHWM');
$session->run("CALL cxone_sync.fill_from_extra('contact_records', 'tall', 1)");
$more_mb = megabytes('VmHWM') - $before_mb;
is(sql($node, 'SELECT count(tall) FROM cxone_sync.contact_records'), '0', 'in 4000 pages whose value is refused');
cmp_ok($more_mb, '<', 4, sprintf 'nor for those: %.1f MB', $more_mb);
$session->close;

stop_and_check($node);
done_testing();
