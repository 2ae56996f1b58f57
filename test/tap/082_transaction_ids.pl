# No transaction ids are left, since an old transaction keeps them from being used again: no event is at fault, so senders get 503 and come
# again, and all goes on by itself when the transaction is gone.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('ids');
my $number = 0;
sub body { return events_json({ id => 'c' . ++$number }, {}); }
is(counts_of(deliver($node, body())), '1 0 1', 'a delivery while there are ids');
$node->append_conf('postgresql.conf', "max_prepared_transactions = 1\nautovacuum_naptime = 1s\n");
sql($node, 'CREATE TABLE held ()');
my $oldest = sql($node, "SELECT min(datfrozenxid::text::bigint) FROM pg_database");
$node->stop;

# PostgreSQL takes no more ids from three millions before the oldest one comes round again (varsup.c). Its file has to be there (pg_resetwal's manual).
my $next = $oldest + 2**31 - 1 - 3_000_000 - 40;
my $segment = sprintf '%s/pg_xact/%04X', $node->data_dir, $next / (8192 * 4 * 32);
open my $file, '>', $segment or die "$segment: $!";
print $file "\0" x (8192 * 32);
close $file;
command_ok([ $node->installed_command('pg_resetwal'), '-x', $next, '-D', $node->data_dir ], 'a cluster that has used up its ids');

# No vacuum may come in between: so in single-user mode. A table that it has locked cannot be vacuumed.
my $postgres = $node->installed_command('postgres');
my $single = PostgreSQL::Test::Utils::tempdir() . '/single';
open $file, '>', $single or die "$single: $!";
print $file "BEGIN;\nLOCK TABLE held;\nPREPARE TRANSACTION 'forgotten';\n";
close $file;
is(system("'$postgres' --single -D '" . $node->data_dir . "' -c shared_preload_libraries= postgres <'$single' >'$single.log' 2>&1"), 0, 'by a transaction that was prepared and forgotten')
  or diag(slurp_file("$single.log"));
$node->start;
is(sql($node, 'SELECT gid FROM pg_prepared_xacts'), 'forgotten', 'it is there');

my $reply;
my $taken = 1;
poll(sub { $reply = deliver($node, body()); $taken++ if $reply->{status} == 200; return $reply->{status} != 200 && $reply->{status} != 0 }, 'no ids are left');
retry_is($reply, 'a delivery without a transaction id');
my $reason = qr/^database is not accepting commands.*to avoid wraparound data loss/;
like(status_of($node, 'last_error'), $reason, 'sync_status says why');
sub ready
{
	return connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/readyz'));
}
is(ready()->{status}, 503, '/readyz is 503');
like(JSON::PP::decode_json(ready()->{body})->{workers}[0]{checks}{database}{reason}, $reason, 'with the reason');
retry_is(deliver($node, body()), 'another one');
my $pid = worker_pid($node);

sql($node, "ROLLBACK PREPARED 'forgotten'");
poll(sub { ready()->{status} == 200 }, 'ready by itself when the transaction is gone, after a vacuum that PostgreSQL starts by itself')
  or diag(status_of($node, 'last_error') . sql($node, "SELECT string_agg(datname || ' ' || age(datfrozenxid), ', ') FROM pg_database"));
is(counts_of(deliver($node, body())), '1 0 1', 'and takes deliveries');
is(worker_pid($node), $pid, 'in the same worker');
is(sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters'), $taken + 1, 'no event has become a dead letter but those at fault');

stop_and_check($node);
done_testing();
