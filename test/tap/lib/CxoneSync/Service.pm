# A server of the other side, in a process of its own: the simulator of CXone, or an OAuth server that is not ours.
#
#   my $service = CxoneSync::Service->start($program, \%environment, @arguments);
#   $service->url, $service->get($path), $service->post($path, $data), $service->delete($path), $service->stop

package CxoneSync::Service;

use strict;
use warnings;

use CxoneSync ();
use HTTP::Tiny;
use JSON::PP ();
use PostgreSQL::Test::Utils ();

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $count = 0;

sub start
{
	my ($class, $program, $environment, @arguments) = @_;
	my $port = CxoneSync::free_port();
	my $ready = "$PostgreSQL::Test::Utils::tmp_check/service" . ++$count;
	my $tls = grep { $_ eq '--tls-cert' } @arguments;

	# it ends when its standard input does, so that it outlives no test, however that one ends
	pipe(my $reader, my $writer) or die "pipe: $!";
	my $pid = fork // die "fork: $!";
	if (!$pid)
	{
		close $writer;
		open STDIN, '<&', $reader or die "dup: $!";
		open STDOUT, '>', "$ready.log" or die "$ready.log: $!";
		open STDERR, '>&', \*STDOUT or die "dup: $!";
		local @ENV{ keys %$environment } = values %$environment;
		exec $program, '--port', $port, '--ready', $ready, '--watch-stdin', @arguments or die "$program: $!";
	}
	close $reader;
	my $self = bless { pid => $pid, stdin => $writer, port => $port, scheme => $tls ? 'https' : 'http', log => "$ready.log" }, $class;
	CxoneSync::poll(sub { return -s $ready || waitpid($pid, 1) == $pid; }, "$program listens");
	-s $ready or die "$program has ended: " . PostgreSQL::Test::Utils::slurp_file("$ready.log");
	return $self;
}

sub url { my $self = shift; return "$self->{scheme}://localhost:$self->{port}"; }
sub port { my $self = shift; return $self->{port}; }
# What it has printed.
sub log { my $self = shift; return PostgreSQL::Test::Utils::slurp_file($self->{log}); }

sub stop
{
	my $self = shift;
	return unless $self->{pid};
	local $?;
	close $self->{stdin};
	kill 'TERM', $self->{pid};
	waitpid delete $self->{pid}, 0;
	return;
}

sub DESTROY { my $self = shift; $self->stop; return; }

sub _request
{
	my ($self, $method, $path, $data) = @_;
	my %content = defined $data ? (content => $json->encode($data), headers => { 'Content-Type' => 'application/json' }) : ();
	my $reply = HTTP::Tiny->new(timeout => 60, verify_SSL => 0, proxy => undef)->request($method, $self->url . $path, \%content);
	die "$method $path: $reply->{status} $reply->{content}" unless $reply->{success};
	return $reply->{content} =~ /\S/ ? $json->decode($reply->{content}) : undef;
}

sub get { my ($self, $path) = @_; return $self->_request('GET', $path); }
sub post { my ($self, $path, $data) = @_; return $self->_request('POST', $path, $data); }
sub delete { my ($self, $path) = @_; return $self->_request('DELETE', $path); }

1;
