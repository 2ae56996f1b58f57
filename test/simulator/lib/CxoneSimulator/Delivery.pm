# Deliveries to the endpoints of the stored actions, signed as the senders of CXone sign, and repeated when the
# endpoint says "not now".

package CxoneSimulator::Delivery;

use strict;
use warnings;

use CxoneSimulator::Reply qw(json_text text_of);
use Digest::SHA qw(hmac_sha256 hmac_sha256_hex);
use MIME::Base64 qw(decode_base64 encode_base64);
use Mojo::Date;
use Mojo::Promise;
use Mojo::UserAgent;
use Time::HiRes qw(time);

my $timeout = 20;
my $max_retries = 5;

# scheme => headers of an attempt
my %schemes = (
	none => sub { return () },
	nexus => sub {
		my ($body, $key, $id, $now) = @_;
		return ('X-Nexus-Delivery-Id' => $id, 'X-Nexus-Timestamp' => $now,
			'X-Nexus-Signature-256' => 'sha256=' . hmac_sha256_hex("$now.$body", $key));
	},
	request => sub {
		my ($body, $key) = @_;
		return ('X-Signature-Algorithm' => 'sha256', 'X-Request-Signature' => _base64(hmac_sha256($body, $key)));
	},
	cxone => sub {
		my ($body, $key) = @_;
		return ('X-CXone-Signature' => hmac_sha256_hex($body, $key));
	},
	nice => sub {
		my ($body, $key) = @_;
		return ('X-Nice-Webhook-Signature' => _base64(hmac_sha256($body, $key)));
	},
	standard => sub {
		my ($body, $key, $id, $now) = @_;
		# a secret of the standard's own form holds the key in base64
		$key = decode_base64($1) if $key =~ /\Awhsec_(.*)\z/s;
		return ('webhook-id' => $id, 'webhook-timestamp' => $now,
			'webhook-signature' => 'v1,' . _base64(hmac_sha256("$id.$now.$body", $key)));
	});

sub _base64 { return encode_base64(shift, ''); }

# Why it is no order { events, scheme, times }, or nothing.
sub flaw
{
	my $order = shift;
	return 'the delivery is no object' unless ref $order eq 'HASH';
	my %known = map { $_ => 1 } qw(events scheme times);
	foreach my $name (sort keys %$order)
	{
		return "a delivery has no member $name" unless $known{$name};
	}
	return 'events is no array' unless ref $order->{events} eq 'ARRAY';
	return 'bad value of scheme' if exists $order->{scheme} && !$schemes{ $order->{scheme} || '' };
	return 'bad value of times' if exists $order->{times} && ($order->{times} || '') !~ /\A[1-9]\d{0,3}\z/;
	return;
}

sub _user_agent
{
	my $ua = Mojo::UserAgent->new(connect_timeout => $timeout, request_timeout => $timeout,
		inactivity_timeout => $timeout, max_redirects => 0);
	# Mojolicious takes the proxies of the environment only when this is set, but then at every request
	delete $ENV{MOJO_PROXY};
	$ua->transactor->name('CXone simulator');
	return $ua;
}

sub new
{
	my ($class, $state) = @_;
	return bless { state => $state, ua => _user_agent(), count => 0 }, $class;
}

# A promise of [ { id, url, status, body }, … ], one for each action and time, where status 0 is no reply.
sub deliver
{
	my ($self, $order) = @_;
	my $body = json_text({ events => $order->{events} });
	my @jobs = map {
		my $action = $_;
		map { { action => $action, body => $body, scheme => $order->{scheme} || 'nexus', id => $self->_new_id } }
		  1 .. $order->{times} || 1
	} $self->{state}->distinct_actions;
	return Mojo::Promise->resolve([]) unless @jobs;
	return Mojo::Promise->map({ concurrency => 8 }, sub { $self->_attempt($_, 0) }, @jobs)
	  ->then(sub { return [ map { $_->[0] } @_ ] });
}

sub _new_id { my $self = shift; return sprintf 'delivery-%d-%d', int(1000 * time), ++$self->{count}; }

sub _result
{
	my ($job, $status, $body) = @_;
	return { id => $job->{action}{id}, url => $job->{action}{endpointUrl}, status => $status, body => $body };
}

# A repeated delivery keeps its id and body, and is signed anew.
sub _attempt
{
	my ($self, $job, $retries) = @_;
	my $url = $job->{action}{endpointUrl};
	return Mojo::Promise->resolve(_result($job, 0, 'the endpoint is no URL')) unless ($url || '') =~ m!\Ahttps?://[^/]!;
	my $key = $self->{state}->credential('signing_secret');
	my %headers = $schemes{ $job->{scheme} }->($job->{body}, $key, $job->{id}, int time);
	return $self->{ua}->post_p($url, { 'Content-Type' => 'application/json', %headers }, $job->{body})->then(
		sub {
			my $reply = shift->res;
			return _result($job, 0 + $reply->code, text_of($reply->body))
			  if $reply->code != 503 || $retries >= $max_retries;
			return Mojo::Promise->timer(_wait($reply->headers->header('Retry-After')))
			  ->then(sub { $self->_attempt($job, $retries + 1) });
		},
		sub { return _result($job, 0, '' . shift) });
}

# Seconds until the next attempt; Retry-After is a number or a date.
sub _wait
{
	my $retry_after = shift;
	return 1 unless defined $retry_after;
	return $retry_after if $retry_after =~ /\A\d{1,6}\z/;
	my $epoch = Mojo::Date->new($retry_after)->epoch;
	return 1 unless defined $epoch;
	return $epoch > time ? $epoch - time : 0;
}

1;
