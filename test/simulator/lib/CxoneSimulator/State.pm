# What the simulator holds: credentials, settings, tokens, data actions and the requests it has seen.

package CxoneSimulator::State;

use strict;
use warnings;

use Digest::SHA qw(sha1_hex);
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(time);
use CxoneSimulator::Reply qw(text_of);

my $max_requests = 10_000;

my %credentials = (
	client_id => 'demo-client',
	client_secret => 'demo+secret/with%odd&chars====',
	username => 'demo-user',
	password => 'demo pass+word',
	signing_secret => 'demo-signing-secret');

# name => [ default, what it may be ]
my %settings = (
	expires_in => [ 3600, qr/\A\d{1,9}(?:\.\d+)?\z/ ],
	list_shape => [ 'dataActions', qr/\A(?:array|dataActions|items|data|resultSet)\z/ ],
	page_size => [ 0, qr/\A\d{1,4}\z/ ],
	paging => [ 'link', qr/\A(?:link|links|hal|next|none)\z/ ],
	next_url => [ '', qr/\A/ ],
	id_type => [ 'text', qr/\A(?:text|number)\z/ ]);

sub new
{
	my $class = shift;
	return bless {
		credentials => { map { $_ => _from_environment($_) } keys %credentials },
		settings => { map { $_ => $settings{$_}[0] } keys %settings },
		actions => [], made => 0, requests => [], issued => [], expiry => {}
	}, $class;
}

sub _from_environment
{
	my $name = shift;
	my $value = $ENV{ 'CXONE_' . uc $name };
	return defined $value ? $value : $credentials{$name};
}

sub credential { my ($self, $name) = @_; return $self->{credentials}{$name}; }
sub setting { my ($self, $name) = @_; return $self->{settings}{$name}; }

# Merges all of them or, returning why, none.
sub set
{
	my ($self, $new) = @_;
	return 'the settings are no object' unless ref $new eq 'HASH';
	foreach my $name (sort keys %$new)
	{
		return "there is no setting $name" unless $settings{$name};
		my $text = $new->{$name};
		return "bad value of $name" unless defined $text && !ref $text && $text =~ $settings{$name}[1];
	}
	@{ $self->{settings} }{ keys %$new } = values %$new;
	return;
}

# ---- tokens ----

sub issue_token
{
	my $self = shift;
	my $token = sha1_hex(join ' ', time, $$, rand, scalar @{ $self->{issued} });
	push @{ $self->{issued} }, $token;
	$self->{expiry}{$token} = time + $self->setting('expires_in');
	return $token;
}

sub token_lives
{
	my ($self, $token) = @_;
	my $expiry = $self->{expiry}{$token};
	return defined $expiry && $expiry > time;
}

sub live_tokens { my $self = shift; return grep { $self->token_lives($_) } @{ $self->{issued} }; }
sub revoke_tokens { my $self = shift; $self->{expiry} = {}; return; }

# ---- data actions ----

# Compares copies: an id that has been used as text must not become text in a reply.
sub _is { my ($id, $text) = @_; return "$id" eq "$text"; }

sub new_id
{
	my $self = shift;
	my $number = ++$self->{made};
	return $self->setting('id_type') eq 'number' ? 900719925474010000 + 2 * $number : "da-$number";
}

sub add_action
{
	my ($self, $action) = @_;
	$action->{id} = $self->new_id unless defined $action->{id};
	push @{ $self->{actions} }, $action;
	return $action;
}

sub find_action
{
	my ($self, $id) = @_;
	my ($action) = grep { _is($_->{id}, $id) } @{ $self->{actions} };
	return $action;
}

# False if there was none.
sub remove_action
{
	my ($self, $id) = @_;
	my @left = grep { !_is($_->{id}, $id) } @{ $self->{actions} };
	my $removed = @{ $self->{actions} } - @left;
	$self->{actions} = \@left;
	return $removed;
}

# One action of each id.
sub distinct_actions
{
	my $self = shift;
	my %seen;
	return grep { my $id = $_->{id}; !$seen{"$id"}++ } @{ $self->{actions} };
}

# ---- requests ----

# What percent-encoded text means, or nothing if it is not encoded as it should be.
sub percent_decoded
{
	my $text = shift;
	return unless $text =~ /\A(?:[A-Za-z0-9*._~!'()+-]|%[0-9A-Fa-f]{2})*\z/;
	$text =~ tr/+/ /;
	$text =~ s/%(..)/chr hex $1/ge;
	return $text;
}

# Which way the right client id and secret came by HTTP Basic: RFC 6749 (2.3.1) has them form-encoded first, many
# clients send them plain. Undefined if they did not come or are wrong.
sub basic_way
{
	my ($self, $request) = @_;
	my $header = $request->headers->authorization;
	return unless defined $header && $header =~ /\ABasic +([A-Za-z0-9+\/=]+)\z/i;
	my @given = split /:/, decode_base64($1), 2;
	return unless @given == 2;
	my @right = map { $self->credential($_) } qw(client_id client_secret);
	return 'plain' if $given[0] eq $right[0] && $given[1] eq $right[1];
	my @decoded = map { scalar percent_decoded($_) } @given;
	return unless defined $decoded[0] && defined $decoded[1];
	return $decoded[0] eq $right[0] && $decoded[1] eq $right[1] ? 'encoded' : undef;
}

sub record
{
	my ($self, $route, $request) = @_;
	my $headers = $request->headers;
	push @{ $self->{requests} }, {
		route => $route,
		method => $request->method,
		path => $request->url->path->to_string,
		query => $request->url->query->to_string,
		headers => { map { lc $_ => text_of($headers->header($_)) } @{ $headers->names } },
		body => text_of($request->body),
		http_version => $request->version,
		at => time,
		basic => scalar $self->basic_way($request)
	};
	shift @{ $self->{requests} } if @{ $self->{requests} } > $max_requests;
	return;
}

1;
