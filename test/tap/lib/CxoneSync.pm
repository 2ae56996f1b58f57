# What the TAP tests of cxone_sync share: a server with the library preloaded, deliveries, waiting for a condition,
# a second session, and the look at the server's log at the end.

package CxoneSync;

use strict;
use warnings;

use CxoneSync::Http qw(request_text delivery_text chunked gzipped);
use Exporter 'import';
use IPC::Open2 qw(open2);
use JSON::PP ();
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(sleep time);

our @EXPORT = qw(
  new_node start_node configure set_settings free_port webhook_port metrics_port
  sql poll wait_for_state wait_for_log log_position status_of worker_pid
  secret_file registration_of wait_for_registration registration_after
  connect_to deliver events_json request_text delivery_text chunked gzipped
  applied_is refused_is retry_is counts_of
  open_session hold_worker release_worker stop_and_check);

our $timeout = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 60;

my %webhook_ports;
my %metrics_ports;
my $json = JSON::PP->new->canonical;

# ---- servers ----

sub free_port { return PostgreSQL::Test::Cluster::get_free_port(); }
sub webhook_port { my $node = shift; return $webhook_ports{ $node->name }; }
sub metrics_port { my $node = shift; return $metrics_ports{ $node->name }; }

# Writes settings to the end of the file, where they win.
sub configure
{
	my ($node, %settings) = @_;
	$node->append_conf('postgresql.conf', join '', map { "cxone_sync.$_ = '$settings{$_}'\n" } sort keys %settings);
	$webhook_ports{ $node->name } = $settings{port} if $settings{port};
	$metrics_ports{ $node->name } = $settings{metrics_port} if $settings{metrics_port};
	return;
}

# new_node($name, setting => value, …): made, configured, not started. The settings are those of cxone_sync, without
# the prefix; allows_streaming is for Cluster's init.
sub new_node
{
	my ($name, %settings) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);
	my $streaming = delete $settings{allows_streaming};
	# JSON is UTF-8, so the database has to be, whatever the machine's locale is
	$node->init(extra => [ '--encoding=UTF8', '--locale=C' ], allows_streaming => $streaming);
	$node->append_conf('postgresql.conf',
		"shared_preload_libraries = 'cxone_sync'\nrestart_after_crash = on\nlog_statement = none\n");
	configure($node, port => free_port(), metrics_port => free_port(), %settings);
	return $node;
}

# The same, started and ready to take deliveries.
sub start_node
{
	my $node = new_node(@_);
	$node->start;
	sql($node, 'CREATE EXTENSION cxone_sync');
	wait_for_state($node, 'running');
	return $node;
}

sub set_settings
{
	my ($node, %settings) = @_;
	configure($node, %settings);
	$node->reload;
	return;
}

# ---- SQL ----

sub sql
{
	my ($node, $query, $database) = @_;
	return $node->safe_psql($database || 'postgres', $query);
}

# What the workers show, once if all show the same.
sub status_of
{
	my ($node, $column) = @_;
	return sql($node, "SELECT DISTINCT coalesce(${column}::text, '') FROM cxone_sync.sync_status");
}

sub worker_pid
{
	my $node = shift;
	return sql($node, "SELECT pid FROM pg_stat_activity WHERE backend_type = 'cxone_sync'");
}

# ---- waiting ----

# Calls `condition` until it is true, and returns what it returned. A test that waits in vain fails, and goes on.
sub poll
{
	my ($condition, $what, $wait) = @_;
	my $deadline = time + ($wait || $timeout);
	for (;;)
	{
		my $result = $condition->();
		return $result if $result;
		last if time > $deadline;
		sleep 0.005;
	}
	fail("waited in vain: $what");
	return;
}

sub wait_for_state
{
	my ($node, $state) = @_;
	my $seen = '';
	poll(sub { $seen = eval { status_of($node, 'state') } || ''; return $seen eq $state; }, "state $state")
	  or diag("the state is $seen: " . (eval { status_of($node, 'last_error') } || ''));
	return;
}

# A file as private as the server wants it.
sub secret_file
{
	my ($name, $text) = @_;
	my $file = "$PostgreSQL::Test::Utils::tmp_check/$name";
	open my $out, '>', $file or die "$file: $!";
	chmod 0600, $file;
	print $out "$text\n";
	close $out;
	return $file;
}

sub registration_of
{
	my ($node, $column) = @_;
	return sql($node, "SELECT coalesce(${column}::text, '') FROM cxone_sync.data_action");
}

sub wait_for_registration
{
	my ($node, $state) = @_;
	my $seen = '';
	poll(sub { $seen = registration_of($node, 'state'); return $seen eq $state; }, "registration $state")
	  or diag("it is $seen: " . registration_of($node, "concat_ws(' / ', last_error, hint)"));
	return;
}

# What a check comes to that begins after the change: its state.
sub registration_after
{
	my ($node, $change) = @_;
	my $event = "concat_ws(' ', last_check, last_error_at)";
	my $before = registration_of($node, $event);
	$change->();
	poll(sub { return registration_of($node, $event) ne $before; }, 'the registration is checked');
	return registration_of($node, 'state');
}

# Where the log ends now, for wait_for_log.
sub log_position
{
	my $node = shift;
	return -s $node->logfile || 0;
}

# True once the log, from `position` on, matches.
sub wait_for_log
{
	my ($node, $pattern, $position) = @_;
	return poll(sub { return slurp_file($node->logfile, $position || 0) =~ $pattern; }, "log: $pattern");
}

# ---- deliveries ----

sub connect_to
{
	my ($node, $port) = @_;
	return CxoneSync::Http->new($port || webhook_port($node));
}

# One delivery over a connection of its own.
sub deliver
{
	my ($node, $body, @headers) = @_;
	my $connection = connect_to($node)
	  or return { status => 0, error => "nobody listens: $!", headers => {}, body => '' };
	my $reply = $connection->deliver($body, @headers);
	$connection->close;
	return $reply;
}

# The body of a delivery of these events, each a hash or JSON text.
sub events_json
{
	return '{"events":[' . join(',', map { ref $_ ? $json->encode($_) : $_ } @_) . ']}';
}

sub _show { my $reply = shift; return "got $reply->{status} " . ($reply->{error} || $reply->{body}); }

# "applied skipped dead_lettered", or what came instead of counts.
sub counts_of
{
	my $reply = shift;
	my $counts = eval { JSON::PP::decode_json($reply->{body}) };
	return _show($reply) unless $reply->{status} == 200 && ref $counts eq 'HASH' && defined $counts->{received};
	my ($applied, $skipped, $dead) = @{$counts}{qw(applied skipped dead_lettered)};
	return _show($reply) if $counts->{received} != $applied + $skipped + $dead;
	return "$applied $skipped $dead";
}

# applied_is($reply, '3 0 1', …): the event counts, as in counts_of.
sub applied_is
{
	my ($reply, $counts, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return is(counts_of($reply), $counts, $name);
}

# A refusal is one line of JSON that says why.
sub refused_is
{
	my ($reply, $status, $reason, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $body = eval { JSON::PP::decode_json($reply->{body}) };
	my $error = ref $body eq 'HASH' && keys %$body == 1 ? $body->{error} : undef;
	my $good = $reply->{status} == $status && defined $error && $error =~ $reason
	  && $reply->{body} =~ /\A[^\n]*\n\z/ && $reply->{headers}{'content-type'} eq 'application/json';
	ok($good, $name) or diag('  ' . _show($reply) . ", wanted $status $reason");
	return $good;
}

# "Not now": 503 with Retry-After.
sub retry_is
{
	my ($reply, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return refused_is($reply, 503, qr/./, $name)
	  && like($reply->{headers}{'retry-after'}, qr/^\d+$/, "$name: with Retry-After");
}

# ---- a second session ----

# A psql that stays open: ->run($sql) returns what it prints, ->close ends it.
sub open_session
{
	my ($node, $database) = @_;
	my $pid = open2(my $out, my $in, $node->installed_command('psql'), '-XAtq', '-v', 'ON_ERROR_STOP=0', '-d',
		$node->connstr($database || 'postgres'));
	return bless { pid => $pid, out => $out, in => $in, count => 0 }, 'CxoneSync::Session';
}

sub CxoneSync::Session::start
{
	my ($self, $sql) = @_;
	my $end = 'session-' . ++$self->{count};
	local $SIG{PIPE} = 'IGNORE';
	print { $self->{in} } "$sql;\n\\echo $end\n";
	$self->{in}->flush;
	$self->{end} = $end;
	return;
}

sub CxoneSync::Session::finish
{
	my $self = shift;
	my $result = '';
	local $SIG{ALRM} = sub { die "no answer to a session's statement" };
	alarm $timeout;
	while (my $line = readline $self->{out})
	{
		last if $line eq "$self->{end}\n";
		$result .= $line;
	}
	alarm 0;
	chomp $result;
	return $result;
}

sub CxoneSync::Session::run
{
	my ($self, $sql) = @_;
	$self->start($sql);
	return $self->finish;
}

sub CxoneSync::Session::close
{
	my $self = shift;
	CORE::close($self->{in});
	CORE::close($self->{out});
	waitpid $self->{pid}, 0;
	return;
}

# ---- the end ----

# Keeps a worker busy with one delivery, by a trigger that goes on as long as a row is there; what comes meanwhile waits in the queue.
# Returns the connection that waits for its answer. The trigger looks every 10 ms, as it may wait for no lock for longer than that.
sub hold_worker
{
	my $node = shift;
	sql($node, <<'SQL') if sql($node, "SELECT to_regclass('public.held') IS NULL") eq 't';
CREATE TABLE public.holds (id integer);
CREATE TABLE public.held (id text PRIMARY KEY, updated_ts timestamptz);
GRANT SELECT ON public.holds TO cxone_sync;
CREATE FUNCTION public.go_on_while_held() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS
	'BEGIN WHILE EXISTS (SELECT FROM holds) LOOP PERFORM pg_sleep(0.01); END LOOP; RETURN NEW; END';
CREATE TRIGGER go_on_while_held BEFORE INSERT OR UPDATE ON public.held FOR EACH ROW EXECUTE FUNCTION public.go_on_while_held();
ALTER TABLE public.held OWNER TO cxone_sync;
SELECT cxone_sync.add_target('held', 'public.held', '{id}', event_types => '{hold}');
SQL
	sql($node, 'INSERT INTO public.holds VALUES (1)');
	my $holder = connect_to($node);
	$holder->send(delivery_text(events_json({ eventType => 'hold', id => 'one' })));
	poll(sub { sql($node, "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'cxone_sync' AND wait_event = 'PgSleep'") eq '1' }, 'the worker is busy');
	return $holder;
}

sub release_worker
{
	my ($node, $holder) = @_;
	sql($node, 'DELETE FROM public.holds');
	$holder->reply;
	return;
}

# Stops the server and looks at its log: no process ended by a signal, no failed assertion, no exception that got
# out. What the test has provoked is given as pattern => how often.
sub stop_and_check
{
	my ($node, %provoked) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$node->stop('fast');
	my @bad = grep { /was terminated by signal|PANIC:|TRAP:|C\+\+ exception|terminate called/ }
	  split /\n/, slurp_file($node->logfile);
	foreach my $pattern (sort keys %provoked)
	{
		my @left = grep { !/$pattern/ } @bad;
		is(@bad - @left, $provoked{$pattern}, 'provoked in ' . $node->name . ": $pattern");
		@bad = @left;
	}
	is(join("\n", @bad), '', 'no crash in the log of ' . $node->name);
	return;
}

1;
