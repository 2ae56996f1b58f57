# One HTTP connection, byte by byte: a test decides what is sent and when. Every wait has a deadline, and what goes
# wrong shows in the reply's status 0 and its error, so that a test fails instead of dying.

package CxoneSync::Http;

use strict;
use warnings;

use Exporter 'import';
use IO::Compress::Gzip qw(gzip $GzipError);
use IO::Select;
use IO::Socket::INET;
use IO::Socket::SSL ();
use Socket qw(IPPROTO_TCP TCP_NODELAY);
use Time::HiRes qw(time);

our @EXPORT_OK = qw(request_text delivery_text chunked gzipped);

our $timeout = 30;

# request_text(method => 'POST', path => '/webhook', headers => ['X: y'], body => …): the bytes of a request.
# Host and Content-Length come by themselves; a header with an undefined value leaves out the one of that name.
sub request_text
{
	my (%request) = @_;
	my $body = $request{body};
	my @headers = ('Host: localhost', @{ $request{headers} || [] });
	push @headers, 'Content-Length: ' . length($body) if defined $body;
	return join("\r\n", ($request{method} || 'POST') . ' ' . ($request{path} || '/webhook') . ' HTTP/1.1', @headers)
	  . "\r\n\r\n"
	  . (defined $body ? $body : '');
}

sub delivery_text
{
	my ($body, @headers) = @_;
	return request_text(body => $body, headers => \@headers);
}

# The body in chunks of these sizes; the rest in one.
sub chunked
{
	my ($body, @sizes) = @_;
	my $text = '';
	while (length $body)
	{
		my $part = substr($body, 0, (shift @sizes) || length $body, '');
		$text .= sprintf("%x\r\n%s\r\n", length $part, $part);
	}
	return "${text}0\r\n\r\n";
}

# A gzip file of the text, as small as it gets.
sub gzipped
{
	my $text = shift;
	gzip(\$text => \my $file, -Level => 9) or die $GzipError;
	return $file;
}

# Undefined if nobody listens. new($port, $host, SSL_ca_file => …) speaks TLS, with such options of IO::Socket::SSL, and is
# undefined, too, if the two do not come to terms.
sub new
{
	my ($class, $port, $host, %tls) = @_;
	my $socket = IO::Socket::INET->new(
		PeerAddr => $host || '127.0.0.1',
		PeerPort => $port,
		Proto => 'tcp',
		Timeout => $timeout) or return;
	setsockopt($socket, IPPROTO_TCP, TCP_NODELAY, 1);
	return if %tls && !IO::Socket::SSL->start_SSL($socket, Timeout => $timeout, SSL_verifycn_name => 'localhost', %tls);
	$socket->blocking(0);
	return bless { socket => $socket, input => '', select => IO::Select->new($socket) }, $class;
}

# True if all could be sent. A server that has answered early may close while we still send.
sub send
{
	my ($self, $bytes) = @_;
	my $deadline = time + $timeout;
	local $SIG{PIPE} = 'IGNORE';
	my $at = 0;
	while ($at < length $bytes)
	{
		my $sent = syswrite($self->{socket}, $bytes, 1_048_576, $at);
		if (defined $sent) { $at += $sent; next; }
		return 0 unless $!{EAGAIN} || $!{EINTR};
		# TLS may have to read before it can write
		my @readers = $self->_is_tls ? ($self->{select}) : (undef);
		return 0 if time > $deadline || !IO::Select->select(@readers, $self->{select}, undef, $deadline - time);
	}
	return 1;
}

sub _is_tls { my $self = shift; return $self->{socket}->isa('IO::Socket::SSL'); }
# What the two agreed on, and the subject of the server's certificate.
sub tls_version { my $self = shift; return $self->{socket}->get_sslversion; }
sub tls_subject { my $self = shift; return $self->{socket}->peer_certificate('commonName'); }

sub finish_sending
{
	my $self = shift;
	shutdown($self->{socket}, 1);
	return;
}

# Waits for more bytes; '' or why there are none.
sub _more
{
	my ($self, $deadline) = @_;
	my $left = $deadline - time;
	return 'timeout' if $left <= 0 || !($self->_is_tls && $self->{socket}->pending || $self->{select}->can_read($left));
	my $got = sysread($self->{socket}, $self->{input}, 262_144, length $self->{input});
	return '' if $got || (!defined $got && ($!{EAGAIN} || $!{EINTR}));
	return defined $got ? 'closed' : "$!";
}

# The next reply: { status, headers => { lower-case name => value }, body }, status 0 and { error } if none comes.
# reply(head => 1) is that to HEAD, which has no body.
sub reply
{
	my ($self, %options) = @_;
	my $deadline = time + ($options{timeout} || $timeout);
	my $end;
	while (($end = index($self->{input}, "\r\n\r\n")) < 0)
	{
		my $problem = $self->_more($deadline);
		return { status => 0, error => $problem, headers => {}, body => $self->{input} } if $problem;
	}
	my ($line, @headers) = split /\r\n/, substr($self->{input}, 0, $end + 4, '');
	my %reply = (line => $line, status => $line =~ m!^HTTP/1\.1 (\d{3}) ! ? $1 : -1, headers => {}, body => '');
	foreach my $header (@headers)
	{
		my ($name, $value) = $header =~ /^([^:\s]+):\s*(.*)$/ or return { %reply, status => -1 };
		$reply{headers}{ lc $name } = $value;
	}
	my $length = $options{head} || $reply{status} < 200 ? 0 : $reply{headers}{'content-length'};
	return { %reply, status => -1 } unless defined $length;
	while (length $self->{input} < $length)
	{
		my $problem = $self->_more($deadline);
		return { %reply, status => 0, error => $problem } if $problem;
	}
	$reply{body} = substr($self->{input}, 0, $length, '');
	return \%reply;
}

sub exchange
{
	my ($self, $bytes, %options) = @_;
	$self->send($bytes);
	return $self->reply(%options);
}

sub deliver
{
	my ($self, $body, @headers) = @_;
	return $self->exchange(delivery_text($body, @headers));
}

# True if a reply has begun to arrive.
sub has_reply
{
	my $self = shift;
	return length $self->{input} > 0 || $self->_is_tls && $self->{socket}->pending || $self->{select}->can_read(0) > 0;
}

# True once the server has closed the connection without another byte.
sub is_closed
{
	my ($self, $wait) = @_;
	my $deadline = time + (defined $wait ? $wait : $timeout);
	my $problem = '';
	$problem = $self->_more($deadline) while $problem eq '' && $self->{input} eq '';
	return $problem ne '' && $problem ne 'timeout' && $self->{input} eq '';
}

sub close
{
	my $self = shift;
	CORE::close($self->{socket});
	return;
}

1;
