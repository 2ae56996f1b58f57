# Where a commit takes long, senders that were just answered share the next one with those that have come meanwhile.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use IO::Select;
use Test::More;

my $senders = 4;
my $round = 10 * $senders;

# commit_delay makes a commit take 30 ms at least, but only where fsync is on (xlog.c: XLogFlush).
my $node = start_node('gathering');
$node->append_conf('postgresql.conf', "fsync = on\ncommit_delay = 30000\ncommit_siblings = 0\n");
$node->restart;
wait_for_state($node, 'running');

my $all = IO::Select->new;
my %connections;
foreach (1 .. $senders)
{
	my $connection = connect_to($node);
	$all->add($connection->{socket});
	$connections{ $connection->{socket} } = $connection;
}

my $sent = 0;
my $refused = 0;

sub send_next
{
	my $connection = shift;
	return $connection->send(delivery_text(events_json({ id => sprintf('g%06d', ++$sent) })));
}

# Whoever is answered sends again at once; returns how many transactions it took.
sub transactions_of_a_round
{
	my $last = $sent + $round;
	my $from = sprintf 'g%06d', $sent;
	send_next($_) foreach values %connections;
	my $waiting = $senders;
	while ($waiting > 0)
	{
		foreach my $socket ($all->can_read)
		{
			my $connection = $connections{$socket};
			$refused++ if counts_of($connection->reply) ne '1 0 0';
			$waiting--;
			$waiting++ if $sent < $last && send_next($connection);
		}
	}
	return sql($node, "SELECT count(DISTINCT xmin::text) FROM cxone_sync.contact_records WHERE id > '$from'");
}

# The first to come would be written alone, and from then on it and the others would take turns: two transactions for each time all of
# them are answered. With one for each it takes ten, and one or two to find together.
my $transactions;
poll(sub { ($transactions = transactions_of_a_round()) <= 13 }, "$senders senders find together");
cmp_ok($transactions, '<=', 13, "$round deliveries were committed in $transactions transactions");
is($refused, 0, 'all are answered with 200');
is(sql($node, 'SELECT count(*) FROM cxone_sync.contact_records'), $sent, 'and stored');

stop_and_check($node);
done_testing();
