# The bad days of the service: a queue of faults, and what each kind of fault does instead of, or beside, the right
# answer.

package CxoneSimulator::Fault;

use strict;
use warnings;

use CxoneSimulator::Reply qw(json_value text_of send_reply send_bytes send_stream cut);
use MIME::Base64 qw(decode_base64);
use Mojo::Date;
use Mojo::IOLoop;

my $block = 65_536;
# between the parts of an endless reply: a client without a limit shall not fill the machine while a test waits
my $pause = 0.002;
my $number = qr/\A\d{1,9}(?:\.\d+)?\z/;
my $status = qr/\A[2-5]\d\d\z/;

# What the members of a fault may be; those not named here are not looked at.
my %values = (
	on => qr/\A(?:token|list|create|update|delete|any)\z/,
	times => qr/\A(?:-1|[1-9]\d{0,8})\z/,
	status => $status, seconds => $number, bytes => $number, count => $number, depth => $number);

# kind => [ its members, its code ]. The code gets the controller, the fault, a sub that does what was asked and
# returns the reply, and the state.
my %kinds = (
	status => [ [qw(status headers body content_type)], \&_status ],
	retry_after_seconds => [ [qw(status seconds)], sub { _retry_after(@_[ 0, 1 ], $_[1]{seconds} || 0) } ],
	retry_after_date => [ [qw(status seconds)], sub { _retry_after(@_[ 0, 1 ], _date($_[1]{seconds} || 0)) } ],
	unauthorized => [ [], \&_unauthorized ],
	slow => [ ['seconds'], \&_slow ],
	hang => [ [], sub { $_[0]->render_later } ],
	cut => [ [], sub { cut($_[0]) } ],
	cut_reply => [ [], sub { send_bytes($_[0], _head('Content-Length: 1000') . '{"access_t') } ],
	garbage => [ [], sub { send_bytes($_[0], pack 'C*', 0 .. 255) } ],
	huge => [ ['bytes'], \&_huge ],
	endless => [ [], \&_endless ],
	header_flood => [ ['count'], \&_header_flood ],
	endless_headers => [ [], \&_endless_headers ],
	deep => [ ['depth'], \&_deep ],
	html => [ ['status'], \&_html ],
	invalid_utf8 => [ ['status'], sub { _say_json(@_[ 0, 1 ], "{\"message\":\"bytes \xff\xfe of no text\"}") } ],
	wrong_types => [ [], \&_wrong_types ],
	missing => [ [], sub { _say_json(@_[ 0, 1 ], '{}') } ],
	empty => [ [], sub { send_reply($_[0], { status => 200 }) } ],
	redirect => [ ['location'], sub { send_reply($_[0], { status => 302, headers => { Location => $_[1]{location} } }) } ],
	echo => [ ['status'], \&_echo ],
	applied_then_cut => [ [], sub { $_[2]->(); cut($_[0]) } ],
	applied_then_status => [ ['status'], sub { $_[2]->(); send_reply($_[0], { status => $_[1]{status} || 500 }) } ],
	duplicate => [ [], \&_duplicate ]);

my %required = (status => ['status'], redirect => ['location']);

# ---- the queue ----

sub new { return bless { queue => [] }, shift; }

sub left { my $self = shift; return $self->{queue}; }
sub clear { my $self = shift; $self->{queue} = []; return; }

# Why it cannot be a fault, or nothing. A test that misspells one should learn it.
sub _flaw
{
	my $fault = shift;
	return 'a fault is no object' unless ref $fault eq 'HASH';
	my $kind = defined $fault->{kind} ? $fault->{kind} : '';
	return "there is no kind '$kind' of fault" unless $kinds{$kind};
	my %known = map { $_ => 1 } qw(kind on times), @{ $kinds{$kind}[0] };
	foreach my $name (sort keys %$fault)
	{
		my $value = $fault->{$name};
		return "$kind has no member $name" unless $known{$name};
		return "bad value of $name" if $values{$name} && (!defined $value || ref $value || $value !~ $values{$name});
	}
	return 'duplicate happens once: the doubles stay' if $kind eq 'duplicate' && ($fault->{times} || 1) != 1;
	my ($missing) = grep { !defined $fault->{$_} } 'on', @{ $required{$kind} || [] };
	return $missing && "$kind needs the member $missing";
}

# Adds all of them or, returning why, none.
sub add
{
	my ($self, $faults) = @_;
	return 'the faults are no array' unless ref $faults eq 'ARRAY';
	foreach my $fault (@$faults)
	{
		my $flaw = _flaw($fault);
		return $flaw if $flaw;
	}
	push @{ $self->{queue} }, map { { times => 1, %$_ } } @$faults;
	return;
}

# The first fault in the queue for this route, or nothing.
sub take
{
	my ($self, $route) = @_;
	my ($fault) = grep { $_->{on} eq $route || $_->{on} eq 'any' } @{ $self->{queue} };
	return unless $fault;
	if ($fault->{times} > 0 && --$fault->{times} == 0)
	{
		$self->{queue} = [ grep { $_ != $fault } @{ $self->{queue} } ];
	}
	return $fault;
}

sub play
{
	my ($c, $fault, $answer, $state) = @_;
	$kinds{ $fault->{kind} }[1]->($c, $fault, $answer, $state);
	return;
}

# ---- replies of HTTP that say no, or come late ----

sub _status
{
	my ($c, $fault) = @_;
	my $body = defined $fault->{body} ? $fault->{body} : '';
	utf8::encode($body);
	send_reply($c, { status => $fault->{status}, headers => $fault->{headers}, body => $body,
			type => $fault->{content_type} });
	return;
}

sub _date { my $seconds = shift; return Mojo::Date->new(time + int $seconds)->to_string; }

sub _retry_after
{
	my ($c, $fault, $value) = @_;
	send_reply($c, { status => $fault->{status} || 429, headers => { 'Retry-After' => $value },
			json => { message => 'too many requests' } });
	return;
}

sub _unauthorized
{
	my ($c, $fault, $answer, $state) = @_;
	$state->revoke_tokens;
	send_reply($c, { status => 401, headers => { 'WWW-Authenticate' => 'Bearer error="invalid_token"' },
			json => { error => 'invalid_token', errorDescription => 'the access token has been revoked' } });
	return;
}

# What was asked is done at once, as by a server whose answer is late.
sub _slow
{
	my ($c, $fault, $answer) = @_;
	my $reply = $answer->();
	my $tx = $c->render_later->tx;
	Mojo::IOLoop->timer($fault->{seconds} || 0, sub { send_reply($c, $reply) if !$tx->is_finished });
	return;
}

# ---- replies that are too much ----

sub _head
{
	return join "\r\n", 'HTTP/1.1 200 OK', 'Content-Type: application/json', 'Connection: close', @_, '', '';
}

sub _huge
{
	my ($c, $fault) = @_;
	my ($start, $end) = ('{"padding":"', '"}');
	my $left = ($fault->{bytes} || 8 * 1024 * 1024) - length "$start$end";
	$left = 0 if $left < 0;
	my @parts = (_head('Content-Length: ' . ($left + length "$start$end")) . $start);
	send_stream($c, sub {
		return shift @parts if @parts;
		return if $left < 0;
		my $part = 'x' x ($left < $block ? $left : $block);
		$left -= length $part;
		($part, $left) = ("$part$end", -1) if $left == 0;
		return $part;
	});
	return;
}

sub _endless
{
	my $c = shift;
	my @parts = (_head('Transfer-Encoding: chunked'), "c\r\n{\"padding\":\"\r\n");
	my $chunk = sprintf "%x\r\n%s\r\n", $block, 'x' x $block;
	send_stream($c, sub { return @parts ? shift @parts : $chunk }, $pause);
	return;
}

sub _header_lines { my ($from, $to) = @_; return join '', map { "X-Flood-$_: xxxxxxxxxxxxxxxx\r\n" } $from .. $to; }

sub _header_flood
{
	my ($c, $fault) = @_;
	my ($sent, $count) = (0, $fault->{count} || 200_000);
	my @parts = ("HTTP/1.1 200 OK\r\n");
	send_stream($c, sub {
		return shift @parts if @parts;
		return if $sent < 0;
		my $from = $sent + 1;
		$sent = $from + 999 < $count ? $from + 999 : $count;
		my $lines = _header_lines($from, $sent);
		return $lines if $sent < $count;
		$sent = -1;
		return $lines . "Content-Length: 2\r\nConnection: close\r\n\r\n{}";
	});
	return;
}

sub _endless_headers
{
	my $c = shift;
	my ($sent, @parts) = (0, "HTTP/1.1 200 OK\r\n");
	send_stream($c, sub {
		return shift @parts if @parts;
		$sent += 1000;
		return _header_lines($sent - 999, $sent);
	}, $pause);
	return;
}

# ---- replies whose bodies are not what they should be ----

sub _say_json
{
	my ($c, $fault, $body) = @_;
	send_reply($c, { status => $fault->{status} || 200, body => $body, type => 'application/json' });
	return;
}

sub _deep
{
	my ($c, $fault) = @_;
	my $depth = $fault->{depth} || 200_000;
	_say_json($c, {}, '[' x $depth . ']' x $depth);
	return;
}

sub _html
{
	my ($c, $fault) = @_;
	my $code = $fault->{status} || 502;
	send_reply($c, { status => $code, type => 'text/html; charset=utf-8', body => <<"HTML" });
<!DOCTYPE html>
<html><head><title>$code Bad day</title><style>body { color: #333; }</style></head>
<body><h1>$code</h1><p>The gateway could not reach the service.</p></body></html>
HTML
	return;
}

my %wrong_types = (
	token => '{"access_token":{"a":1},"expires_in":[]}',
	list => '{"dataActions":[1,"x",null,{"id":{},"name":7}]}',
	create => '{"id":{"a":[]}}',
	update => '{"id":{"a":[]}}');

sub _wrong_types
{
	my ($c, $fault) = @_;
	_say_json($c, {}, $wrong_types{ $c->stash('cxone.route') } || '[]');
	return;
}

# "name=value" of every scalar in it, whatever its depth.
sub _values_in
{
	my ($value, $name) = @_;
	return map { _values_in($value->{$_}, $_) } sort keys %$value if ref $value eq 'HASH';
	return map { _values_in($_, $name) } @$value if ref $value eq 'ARRAY';
	return defined $value ? "$name=$value" : ();
}

# Everything the client sent, raw and decoded: a client that shows this text must have taken its secrets out of it.
sub _echo
{
	my ($c, $fault) = @_;
	my $request = $c->req;
	my $body = $request->body;
	my @seen = ('body: ' . text_of($body));
	my $json = json_value($body);
	push @seen, map { 'json: ' . $_ } _values_in($json, '') if ref $json;
	push @seen, map { 'form: ' . text_of(_lenient($_)) } split /&/, $body unless ref $json;
	my $authorization = $request->headers->authorization;
	push @seen, "authorization: $authorization" if defined $authorization;
	push @seen, 'basic: ' . text_of(decode_base64($1)), 'basic: ' . text_of(_lenient(decode_base64($1)))
	  if ($authorization || '') =~ /\ABasic +(\S+)/i;
	send_reply($c, { status => $fault->{status} || 400,
			json => { error => 'bad', error_description => join ' | ', @seen } });
	return;
}

sub _lenient
{
	my $text = shift;
	$text =~ tr/+/ /;
	$text =~ s/%([0-9A-Fa-f]{2})/chr hex $1/ge;
	return $text;
}

# ---- what is done although nobody learns it, and what is there twice ----

sub _duplicate
{
	my ($c, $fault, $answer, $state) = @_;
	my @doubles = map { { %$_, id => undef } } @{ $state->{actions} };
	$state->add_action($_) foreach @doubles;
	send_reply($c, $answer->());
	return;
}

1;
