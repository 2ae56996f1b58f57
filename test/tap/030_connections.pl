# Many connections, slow ones, idle ones, more than there is room for; a full queue; ports in use and ports that change.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('connections', lock_timeout => '60s', statement_timeout => '120s');
my $number = 0;

sub body { return events_json({ id => 'c' . ++$number }); }

# A table that nobody can write to until the session is closed.
sub lock_table
{
	my $session = open_session($node);
	$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records IN EXCLUSIVE MODE');
	return $session;
}

# ---- many ----

my @idle = map { connect_to($node) } 1 .. 200;
my @busy = map { connect_to($node) } 1 .. 256;
is(scalar(grep { defined } @idle, @busy), 456, '456 connections');
foreach my $round (1 .. 2)
{
	my @served = grep { counts_of($_->deliver(body())) eq '1 0 0' } @busy;
	is(@served, 256, "round $round: each of 256 connections is served in turn");
}
$_->send(delivery_text(body())) foreach @busy;
is(scalar(grep { counts_of($_->reply) eq '1 0 0' } @busy), 256, 'and all at once');
is(status_of($node, 'connections'), '456', 'sync_status counts them');
is(scalar(grep { counts_of($_->deliver(body())) eq '1 0 0' } @idle), 200, 'those that had idled are served too');
is(sql($node, 'SELECT count(*) FROM cxone_sync.contact_records'), $number, 'all of it is stored');
$_->close foreach @idle, @busy;
poll(sub { status_of($node, 'connections') eq '0' }, 'closed connections are noticed');

# ---- too many ----

set_settings($node, max_connections => 10);
my @open;
poll(sub {
	$_->close foreach @open;
	poll(sub { status_of($node, 'connections') eq '0' }, 'no connection is left');
	@open = map { connect_to($node) } 1 .. 11;
	return $open[10]->is_closed(0.2) || $open[10]->has_reply;
}, 'the eleventh connection is refused');
my $refused = pop @open;
retry_is($refused->reply, 'a connection too many');
ok($refused->is_closed, 'it is closed');
is(scalar(grep { counts_of($_->deliver(body())) eq '1 0 0' } @open), 10, 'the other ten are served');
retry_is(deliver($node, body()), 'a delivery over a connection too many');
(shift @open)->close;
poll(sub { my $reply = deliver($node, body()); $reply->{status} == 200 }, 'room for another one after one has gone');
is(scalar(grep { counts_of($_->deliver(body())) eq '1 0 0' } @open), 9, 'the others go on');
$_->close foreach @open;
set_settings($node, max_connections => 512);

# ---- slow ----

# One byte at a time on each of eight, and a whole delivery between any two bytes: were a slow one to hold up others,
# this would never end. Each has an id of its own: events without a time are stamped when they arrive, so of two for one
# id that arrive at once on two threads the earlier may be written second, and is skipped then.
my @texts = map { delivery_text(events_json({ id => "slow$_" })) } 1 .. 8;
my $fast = connect_to($node);
my @slow = map { connect_to($node) } @texts;
my @answers;
foreach my $byte (0 .. length($texts[0]) - 1)
{
	$slow[$_]->send(substr $texts[$_], $byte, 1) foreach 0 .. $#slow;
	push @answers, counts_of($fast->deliver(body()));
}
is(scalar(grep { $_ eq '1 0 0' } @answers), length $texts[0], 'senders of single bytes do not hold up others');
is(scalar(grep { counts_of($_->reply) eq '1 0 0' } @slow), 8, 'and are served when they are done');

# A sender that does not read its replies: they must not hold up others either.
my $deaf = connect_to($node);
$deaf->send(join '', (request_text(method => 'GET')) x 2000);
is(counts_of($fast->deliver(body())), '1 0 0', 'a sender that does not read holds up nobody');
is(scalar(grep { $deaf->reply->{status} == 405 } 1 .. 2000), 2000, 'and gets 2,000 pipelined replies when it does');
$_->close foreach @slow, $deaf, $fast;

# ---- idle ----

set_settings($node, idle_timeout => '1s');
poll(sub { connect_to($node)->is_closed(5) }, 'an idle connection is closed');
my $used = connect_to($node);
is(counts_of($used->deliver(body())), '1 0 0', 'a connection that was used');
ok($used->is_closed, 'is closed when it idles');

# A connection whose delivery waits for its commit is not idle.
my $lock = lock_table();
my $waiting = connect_to($node);
$waiting->send(delivery_text(body()));
ok(connect_to($node)->is_closed, 'while one is closed that idles just as long,') for 1 .. 2;
ok(!$waiting->has_reply, 'one that waits for its commit is not');
$lock->close;
is(counts_of($waiting->reply), '1 0 0', 'it gets its answer');
set_settings($node, idle_timeout => '60s');

# ---- a full queue ----

set_settings($node, queue_size => '1MB');
my $holder = hold_worker($node);
my $large = 100_000;
my @senders = map { connect_to($node) } 1 .. 30;
my $send_large = sub { $_->send(delivery_text(events_json({ id => 'large' . ++$number, email => 'x' x $large }))) foreach @_; };
$send_large->(@senders);
poll(sub { (grep { $_->has_reply } @senders) >= 20 }, 'of 30 deliveries of 100 kB, 20 do not fit in 1 MB');
is(connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/metrics'))->{status},
	200, 'metrics are served meanwhile');
cmp_ok(status_of($node, 'queue_depth'), '>', 0, 'sync_status shows that events wait');
release_worker($node, $holder);
my @replies = map { $_->reply } @senders;
my $written = grep { counts_of($_) eq '1 0 0' } @replies;
cmp_ok($written, '>', 0, 'what was taken is written when the worker can');
is(scalar(grep { $_->{status} == 503 && $_->{headers}{'retry-after'} } @replies), 30 - $written, 'what found the queue full got 503 with Retry-After');
is(counts_of(deliver($node, body())), '1 0 0', 'and the next one as ever');
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id LIKE 'large%'"), $written, 'nothing else is stored');
like(connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/metrics'))->{body},
	qr/^cxone_sync_queued_bytes 0$/m, 'the queue is empty again');
$_->close foreach @senders;
set_settings($node, queue_size => '32MB');

# As many events as may wait, and as long as one may have waited.
foreach my $case ([ max_queued_events => 5, 100_000 ], [ max_queue_wait => '200ms', '5s' ])
{
	my ($setting, $low, $normal) = @$case;
	set_settings($node, $setting => $low);
	$holder = hold_worker($node);
	my @taken;
	# each is one more that waits, until one is refused
	my $refusal;
	poll(sub {
			my $next = connect_to($node);
			$next->send(delivery_text(body()));
			poll(sub { return $next->has_reply || status_of($node, 'queue_depth') > @taken; }, "$setting: another one waits");
			return $refusal = $next->reply if $next->has_reply;
			push @taken, $next;
			return 0;
		}, "$setting: one is refused");
	retry_is($refusal, "$setting: the one too many");
	is(scalar @taken, 5, 'five wait behind the one that is being written') if $setting eq 'max_queued_events';
	release_worker($node, $holder);
	is(scalar(grep { counts_of($_->reply) eq '1 0 0' } @taken), scalar @taken, "$setting: those that were taken are written");
	is(counts_of(deliver($node, body())), '1 0 0', 'and the next one as ever');
	set_settings($node, $setting => $normal);
}

# Heads as large, and with as many lines, as settings say.
foreach my $case ([ max_header_size => '2kB', '16kB', sub { return 'X: ' . 'x' x ($_[0] * 2_500) } ], [ max_header_lines => 20, 100, sub { return map { "X-$_: x" } 1 .. 25 * $_[0] } ])
{
	my ($setting, $low, $normal, $headers) = @$case;
	is(counts_of(deliver($node, body(), $headers->(1))), '1 0 0', "$setting: a head that is within its default");
	set_settings($node, $setting => $low);
	poll(sub { return deliver($node, body(), $headers->(1))->{status} == 431; }, "$setting: and over a lower value");
	is(counts_of(deliver($node, body())), '1 0 0', 'a smaller one is taken');
	set_settings($node, $setting => $normal);
	poll(sub { return deliver($node, body(), $headers->(1))->{status} == 200; }, "$setting: until it is higher again");
}

# ---- a port in use ----

my $second = new_node('second', port => webhook_port($node));
$second->start;
sql($second, 'CREATE EXTENSION cxone_sync');
my $in_use = 'could not listen for webhooks on 127.0.0.1, port ' . webhook_port($node) . ': Address already in use';
wait_for_log($second, qr/WARNING:  cxone_sync: \Q$in_use\E/);
like(slurp_file($second->logfile), qr/HINT:  Is the port in use by another server\?/, 'with a question');
is(status_of($second, 'state'), 'waiting', 'a server whose port is in use waits');
is(status_of($second, 'address'), '', 'listens nowhere');
is(sql($second, q(SELECT cxone_sync.ingest('{"events":[{"id":"x"}]}')->>'applied')), '1', 'and works otherwise');
is(counts_of(deliver($node, body())), '1 0 0', 'the first one has its port');
my $pid = worker_pid($second);
my $last_error_at = sql($second, 'SELECT last_error_at FROM cxone_sync.sync_status');
poll(sub { sql($second, "SELECT last_error_at > '$last_error_at' FROM cxone_sync.sync_status") eq 't' }, 'it is tried again');
is(scalar(() = slurp_file($second->logfile) =~ /\Q$in_use\E/g), 1, 'and told once');
set_settings($second, port => free_port());
wait_for_state($second, 'running');
is(counts_of(deliver($second, body())), '1 0 0', 'another port takes effect at a reload');

# a port that is taken leaves the one it has
my $had = webhook_port($second);
my $position = log_position($second);
set_settings($second, port => webhook_port($node));
wait_for_log($second, qr/\Q$in_use\E/, $position);
is(counts_of(connect_to($second, $had)->deliver(body())), '1 0 0', 'a reload to a port in use leaves it where it was');

# ---- reloads ----

my $kept = connect_to($node);
is(counts_of($kept->deliver(body())), '1 0 0', 'a connection before the reload');
my $old_port = webhook_port($node);
my $address = '127.0.0.1:' . free_port();
set_settings($node, port => $address =~ s/.*://r);
poll(sub { status_of($node, 'address') eq $address }, 'the new address shows');
is(counts_of(deliver($node, body())), '1 0 0', 'the new port takes deliveries');
is(counts_of($kept->deliver(body())), '1 0 0', 'a connection over the old one goes on');

# the second server has waited for that port
poll(sub { status_of($second, 'address') eq "127.0.0.1:$old_port" }, 'a port that is given up goes to who waits for it');
is(counts_of(deliver($second, body())), '1 0 0', 'which listens there');
is(worker_pid($second), $pid, 'without a restart');

set_settings($node, listen_address => '127.0.0.2');
poll(sub { CxoneSync::Http->new(webhook_port($node), '127.0.0.2') }, 'another address after a reload');
poll(sub { !connect_to($node) }, 'in place of the one before, which is closed after it');
$position = log_position($node);
foreach my $wrong ('192.168.1', 'localhost', '', '::g')
{
	set_settings($node, listen_address => $wrong);
	wait_for_log($node, qr/invalid value for parameter "cxone_sync.listen_address": "\Q$wrong\E"/, $position);
	is(counts_of(CxoneSync::Http->new(webhook_port($node), '127.0.0.2')->deliver(body())), '1 0 0', "listen_address = '$wrong' is refused");
}
set_settings($node, listen_address => '127.0.0.1');
poll(sub { connect_to($node) }, 'back at the first address');

$position = log_position($node);
set_settings($node, time_zone => 'Europe/Nowhere');
wait_for_log($node, qr/invalid value for parameter "cxone_sync.time_zone": "Europe\/Nowhere"/, $position);
is(counts_of(deliver($node, body())), '1 0 0', 'a time zone that does not exist is refused');

set_settings($node, max_body_size => '16MB', queue_size => '1MB');
poll(sub { my $reply = deliver($node, '{"events":[],"x":"' . 'x' x 300_000 . '"}'); return $reply->{status} == 413 && $reply->{body} =~ /larger than a quarter of cxone_sync.queue_size/ },
	'a body that the queue could not hold: the reply names the setting');
set_settings($node, max_body_size => '1kB', queue_size => '32MB');
poll(sub { deliver($node, '{"events":[],"x":"' . 'x' x 2000 . '"}')->{status} == 413 }, 'a smaller body after a reload');
is(counts_of(deliver($node, body())), '1 0 0', 'what is small enough is taken');
$kept->deliver(body()); # made its limits before the reload
is($kept->deliver('{"events":[],"x":"' . 'x' x 2000 . '"}')->{status}, 413, 'also over a connection that was open before');

$position = log_position($node);
set_settings($node, metrics_port => webhook_port($node));
wait_for_log($node, qr/could not listen for metrics/, $position);
is(counts_of(deliver($node, body())), '1 0 0', 'one port for both is refused, and the webhook stays');
SKIP:
{
	skip 'every port can be had here', 1 unless slurp_file('/proc/sys/net/ipv4/ip_unprivileged_port_start') > 1;
	$position = log_position($node);
	set_settings($node, metrics_port => 1);
	wait_for_log($node, qr/could not listen for metrics on 127\.0\.0\.1, port 1: Permission denied/, $position);
	like(slurp_file($node->logfile, $position), qr/HINT:  Ports below 1024 need a privilege/, 'a port that needs a privilege: the hint says so');
}

stop_and_check($_) foreach $node, $second;
done_testing();
