# A load of concurrent deliveries: several processes, each with a keep-alive connection of its own, that send until told
# to stop, and note every answer the moment they have it. What was not answered with 200 is sent again, as a sender does.

package CxoneSync::Load;

use strict;
use warnings;

use CxoneSync::Http qw(delivery_text);
use POSIX ();
use PostgreSQL::Test::Utils;
use Time::HiRes qw(sleep);

# start($port, clients => 6, name => 'prefix'): the deliveries have one to five events of their own ids; every seventh
# delivery has a bad event as well, whose place is among the dead letters. events => sub ($prefix, $number) makes others: it
# returns a reference to the ids and the events' texts.
sub start
{
	my ($class, $port, %options) = @_;
	my $directory = PostgreSQL::Test::Utils::tempdir('load');
	my $self = bless { directory => $directory, pids => [], files => [] }, $class;
	foreach my $client (1 .. $options{clients} || 6)
	{
		my $file = "$directory/client$client";
		push @{ $self->{files} }, $file;
		my $pid = fork;
		die "could not fork: $!" unless defined $pid;
		if ($pid == 0)
		{
			# POSIX::_exit, since the tests' END blocks stop the servers
			eval { _send_until_stopped($port, $file, "$directory/stop", "$options{name}-$client", $options{events} || \&_contacts); 1 }
			  or print STDERR "a client died: $@";
			POSIX::_exit(0);
		}
		push @{ $self->{pids} }, $pid;
	}
	return $self;
}

sub _contacts
{
	my ($prefix, $number) = @_;
	my @ids = map { "$prefix-$number-$_" } 1 .. 1 + $number % 5;
	my @events = map { qq({"id":"$_","externalId":"x$_","email":"$_\@example.org","timestamp":"2026-01-02T03:04:05Z"}) } @ids;
	push @ids, "$prefix-$number-bad" if $number % 7 == 0;
	push @events, qq({"id":"$prefix-$number-bad","timestamp":"never"}) if $number % 7 == 0;
	return (\@ids, @events);
}

sub _send_until_stopped
{
	my ($port, $file, $stop, $prefix, $make) = @_;
	open my $log, '>>', $file or die "$file: $!";
	my $connection;
	local $CxoneSync::Http::timeout = 20;
	for (my $number = 1;; $number++)
	{
		my ($ids, @events) = $make->($prefix, $number);
		my $text = delivery_text('{"events":[' . join(',', @events) . ']}');
		for (;;)
		{
			return if -e $stop;
			$connection ||= CxoneSync::Http->new($port);
			my $reply = $connection ? $connection->exchange($text) : { status => 0, error => 'refused' };
			if ($reply->{status} == 200)
			{
				syswrite $log, "200 @$ids\n";
				last;
			}
			syswrite $log, "$reply->{status} " . ($reply->{error} || '') . "\n";
			undef $connection if !$reply->{status} || ($reply->{headers}{connection} || '') eq 'close';
			sleep 0.02;
		}
	}
	return;
}

# All answers so far, as lines "status text".
sub answers
{
	my $self = shift;
	my @lines;
	foreach my $file (@{ $self->{files} })
	{
		open my $log, '<', $file or next;
		push @lines, grep { /\n\z/ } <$log>;
	}
	chomp @lines;
	return @lines;
}

sub count
{
	my ($self, $status) = @_;
	return scalar grep { /^$status / } $self->answers;
}

# The ids of all events that were answered with 200.
sub acknowledged
{
	my $self = shift;
	return map { my ($status, @ids) = split / /; $status == 200 ? @ids : () } $self->answers;
}

sub stop
{
	my $self = shift;
	open my $stop, '>', "$self->{directory}/stop" or die "$self->{directory}/stop: $!";
	waitpid $_, 0 foreach @{ $self->{pids} };
	$self->{pids} = [];
	return;
}

1;
