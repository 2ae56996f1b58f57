# JSON, and the two ways of answering: a reply that Mojolicious writes, and bytes that go to the connection as they are.

package CxoneSimulator::Reply;

use strict;
use warnings;

use Exporter 'import';
use JSON::PP ();
use Mojo::IOLoop;
use Mojo::Util qw(decode);

our @EXPORT_OK = qw(json_text json_value text_of send_reply send_bytes send_stream cut);

# JSON::PP for its exact integers and because it writes the same text whatever else is installed
my $json = JSON::PP->new->utf8->canonical->allow_nonref;

sub json_text { return $json->encode(shift); }

# Undefined if it is no JSON.
sub json_value
{
	my $bytes = shift;
	return eval { $json->decode($bytes) };
}

# Bytes as text, byte by byte where they are no UTF-8.
sub text_of
{
	my $bytes = shift;
	my $text = decode('UTF-8', $bytes);
	return defined $text ? $text : $bytes;
}

# { status, json or body, type, headers }; rendered() and not render(), which would add a type that nobody asked for.
sub send_reply
{
	my ($c, $reply) = @_;
	my $body = exists $reply->{json} ? json_text($reply->{json}) : defined $reply->{body} ? $reply->{body} : '';
	my $type = $reply->{type} || (exists $reply->{json} ? 'application/json' : undef);
	my $headers = $c->res->headers;
	$headers->content_type($type) if $type;
	foreach my $name (sort keys %{ $reply->{headers} || {} })
	{
		my $value = $reply->{headers}{$name};
		$headers->add($name => ref $value ? @$value : $value);
	}
	$c->res->body($body);
	$c->rendered($reply->{status} || 200);
	return;
}

# The connection, taken from Mojolicious: nothing will be rendered. Undefined if the client has gone.
sub _connection
{
	my $c = shift;
	$c->render_later;
	return Mojo::IOLoop->stream($c->tx->connection);
}

sub cut
{
	my $stream = _connection(shift) or return;
	$stream->close;
	return;
}

sub _pump
{
	my ($stream, $next, $pause) = @_;
	my $bytes = $next->();
	return $stream->close_gracefully unless defined $bytes;
	# not the next part before this one is out: an endless reply must not end in our memory
	$stream->write($bytes => sub {
		my $written = shift;
		return _pump($written, $next) unless $pause;
		Mojo::IOLoop->timer($pause, sub { _pump($written, $next, $pause) if $written->handle });
	});
	return;
}

# What `next` returns, call by call, until it returns nothing; then the connection is closed. `pause` is the time
# between two parts in seconds.
sub send_stream
{
	my ($c, $next, $pause) = @_;
	my $stream = _connection($c) or return;
	_pump($stream, $next, $pause);
	return;
}

sub send_bytes
{
	my ($c, @parts) = @_;
	send_stream($c, sub { return shift @parts });
	return;
}

1;
