# CXone's side of the contract: tokens and data actions. A route's code returns its reply, { status, json, headers },
# or dies with it; nothing is sent from here, so that a fault can put something else in its place.

package CxoneSimulator::Service;

use strict;
use warnings;

use CxoneSimulator::Reply qw(json_value);
use CxoneSimulator::State;
use Mojo::Util qw(encode url_unescape);

my $actions_path = '/api/v2/dataactions';

# path => [ how the credentials come, the reply's name of the token, of the lifetime ]
my %token_ways = (
	'/oauth2/token' => [ \&_from_form, 'access_token', 'expires_in' ],
	'/auth/token' => [ \&_from_form, 'token', 'expiresIn' ],
	'/engager/2.0/token' => [ \&_from_json, 'access_token', 'expires_in' ],
	'/InContactAuthorizationServer/Token' => [ \&_from_basic, 'access_token', 'tokenExpirationTimeSec' ],
	'/authentication/v1/token/access-key' => [ \&_from_access_key, 'access_token', 'expires_in' ]);

# What a client may say of an action.
my @members = qw(name description endpointUrl format status);

sub new
{
	my ($class, $state) = @_;
	return bless { state => $state }, $class;
}

# The name of the route of a request, and its code. The path counts as it came: no missing or added slash is forgiven.
sub find
{
	my ($self, $request) = @_;
	my ($method, $path) = ($request->method, $request->url->path->to_string);
	if ($method eq 'POST' && $token_ways{$path})
	{
		return ('token', sub { $self->_token($request, @{ $token_ways{$path} }) });
	}
	if ($path eq $actions_path)
	{
		return ('list', sub { $self->_list($request) }) if $method eq 'GET';
		return ('create', sub { $self->_create($request) }) if $method eq 'POST';
	}
	if ($path =~ m!\A\Q$actions_path\E/([^/]+)\z!)
	{
		my $id = url_unescape($1);
		return ('update', sub { $self->_update($request, $id) }) if $method eq 'PUT';
		return ('delete', sub { $self->_delete($request, $id) }) if $method eq 'DELETE';
	}
	return ('other', sub { _refuse(404, { message => 'no such resource' }) });
}

# Runs the code that find() gave.
sub answer
{
	my $code = shift;
	my $reply = eval { $code->() };
	return $reply if $reply;
	die $@ unless ref $@ eq 'HASH';
	return $@;
}

sub _refuse
{
	my ($status, $json, $headers) = @_;
	die { status => $status, json => $json, headers => $headers };
}

# ---- tokens ----

sub _bad_request { return _refuse(400, { error => 'invalid_request', error_description => shift }); }

sub _token
{
	my ($self, $request, $way, $token_name, $lifetime_name) = @_;
	$self->$way($request);
	my $lifetime = $self->{state}->setting('expires_in');
	return {
		headers => { 'Cache-Control' => 'no-store' },
		json => {
			$token_name => $self->{state}->issue_token,
			token_type => 'Bearer',
			$lifetime_name => $lifetime_name eq 'expiresIn' ? "$lifetime" : 0 + $lifetime
		}
	};
}

# check(credential => given, …)
sub _check
{
	my ($self, %given) = @_;
	foreach my $name (keys %given)
	{
		next if defined $given{$name} && $given{$name} eq $self->{state}->credential($name);
		_refuse(401, { error => 'invalid_client', error_description => 'the credentials are wrong' });
	}
	return;
}

sub _check_grant
{
	my ($grant, @known) = @_;
	_bad_request('there is no grant_type') unless defined $grant;
	_refuse(400, { error => 'unsupported_grant_type', error_description => "the grant has to be @known" })
	  unless grep { $_ eq $grant } @known;
	return;
}

sub _check_type
{
	my ($request, $type) = @_;
	my $given = $request->headers->content_type || '';
	_bad_request("the Content-Type has to be $type") unless $given =~ /\A\Q$type\E *(?:;|\z)/i;
	return;
}

# A client must not use two ways in one request (RFC 6749, 2.3).
sub _check_no_header
{
	my $request = shift;
	_bad_request('credentials in the body and an Authorization header') if defined $request->headers->authorization;
	return;
}

sub _form_of
{
	my $request = shift;
	_check_type($request, 'application/x-www-form-urlencoded');
	my %form;
	foreach my $pair (split /&/, $request->body, -1)
	{
		my ($name, $value) = map { scalar CxoneSimulator::State::percent_decoded($_) } split /=/, $pair, 2;
		_bad_request('the form is not percent-encoded name=value pairs') unless defined $name && defined $value;
		_bad_request("$name is there twice") if exists $form{$name};
		$form{$name} = $value;
	}
	return \%form;
}

# The members as bytes, as a form has them and as the environment gave the credentials.
sub _json_of
{
	my $request = shift;
	_check_type($request, 'application/json');
	my $object = json_value($request->body);
	_bad_request('the body is no JSON object') unless ref $object eq 'HASH';
	return { map { $_ => defined $object->{$_} && !ref $object->{$_} ? encode('UTF-8', $object->{$_}) : undef }
		  keys %$object };
}

sub _from_members
{
	my ($self, $request, $given) = @_;
	_check_no_header($request);
	_check_grant($given->{grant_type}, 'client_credentials');
	$self->_check(client_id => $given->{client_id}, client_secret => $given->{client_secret});
	return;
}

sub _from_form { my ($self, $request) = @_; return $self->_from_members($request, _form_of($request)); }
sub _from_json { my ($self, $request) = @_; return $self->_from_members($request, _json_of($request)); }

sub _from_basic
{
	my ($self, $request) = @_;
	my $form = _form_of($request);
	_bad_request('the client secret belongs into the Authorization header') if exists $form->{client_secret};
	_check_grant($form->{grant_type}, 'client_credentials', 'password');
	_refuse(401, { error => 'invalid_client', error_description => 'the credentials are wrong' },
		{ 'WWW-Authenticate' => 'Basic realm="cxone"' })
	  unless $self->{state}->basic_way($request);
	return if $form->{grant_type} ne 'password';
	$self->_check(username => $form->{username}, password => $form->{password});
	return;
}

sub _from_access_key
{
	my ($self, $request) = @_;
	my $given = _json_of($request);
	_check_no_header($request);
	$self->_check(client_id => $given->{accessKeyId}, client_secret => $given->{accessKeySecret});
	return;
}

# ---- data actions ----

sub _check_bearer
{
	my ($self, $request) = @_;
	my ($token) = ($request->headers->authorization || '') =~ /\ABearer +(\S+)\z/i;
	return if defined $token && $self->{state}->token_lives($token);
	my %error = (error => 'invalid_token', errorDescription => 'the access token is missing, unknown or expired');
	return _refuse(401, \%error, { 'WWW-Authenticate' => 'Bearer error="invalid_token"' });
}

sub _bad_action { return _refuse(400, { errors => [ { message => shift } ] }); }

# The next page: in the header or in the body, absolute or not.
sub _next_page
{
	my ($self, $request, $page) = @_;
	my $state = $self->{state};
	my ($way, $path) = ($state->setting('paging'), "$actions_path?page=$page");
	my $url = $state->setting('next_url')
	  || ($way eq 'next' ? $path : $request->url->base->clone->path_query($path)->to_string);
	return ({ nextPageUri => $url }, {}) if $way eq 'next';
	return ({ _links => { next => $url } }, {}) if $way eq 'links';
	return ({ _links => { next => { href => $url } } }, {}) if $way eq 'hal';
	return ({}, $way eq 'link' ? { Link => "<$url>; rel=\"next\"" } : {});
}

sub _list
{
	my ($self, $request) = @_;
	$self->_check_bearer($request);
	my $state = $self->{state};
	my $page = $request->url->query->param('page');
	$page = 1 unless defined $page;
	_bad_action('page is no number') unless $page =~ /\A[1-9]\d{0,5}\z/;
	my @actions = @{ $state->{actions} };
	my $first = ($page - 1) * $state->setting('page_size');
	my $last = $state->setting('page_size') ? $first + $state->setting('page_size') - 1 : $#actions;
	my $more = $last < $#actions || $state->setting('next_url');
	my ($links, $headers) = $more ? $self->_next_page($request, $page + 1) : ({}, {});
	return { headers => $headers, json => _shaped($state->setting('list_shape'), $links,
			@actions[ grep { $_ <= $#actions } $first .. $last ]) };
}

sub _shaped
{
	my ($shape, $links, @actions) = @_;
	return \@actions if $shape eq 'array';
	return { %$links, resultSet => { dataActions => \@actions } } if $shape eq 'resultSet';
	return { %$links, $shape => \@actions };
}

# The known members of the action in a body.
sub _action_of
{
	my $request = shift;
	_bad_action('the Content-Type has to be application/json')
	  unless ($request->headers->content_type || '') =~ m!\Aapplication/json *(?:;|\z)!i;
	my $given = json_value($request->body);
	_bad_action('the body is no JSON object') unless ref $given eq 'HASH';
	my %action = map { $_ => $given->{$_} } grep { exists $given->{$_} } @members;
	foreach my $name (sort keys %action)
	{
		_bad_action("$name is no text") if !defined $action{$name} || ref $action{$name};
	}
	_bad_action('name is empty') if exists $action{name} && $action{name} eq '';
	_bad_action('endpointUrl is no URL')
	  if exists $action{endpointUrl} && $action{endpointUrl} !~ m!\Ahttps?://[^/\s]+\S*\z!;
	_bad_action('format has to be json') if exists $action{format} && $action{format} ne 'json';
	return \%action;
}

sub _create
{
	my ($self, $request) = @_;
	$self->_check_bearer($request);
	my $action = _action_of($request);
	foreach my $name (qw(name endpointUrl))
	{
		_bad_action("$name is required") unless exists $action->{$name};
	}
	return { status => 201, json => $self->{state}->add_action({ status => 'ACTIVE', %$action }) };
}

sub _known_action
{
	my ($self, $id) = @_;
	return $self->{state}->find_action($id) || _refuse(404, { message => 'no such data action' });
}

sub _update
{
	my ($self, $request, $id) = @_;
	$self->_check_bearer($request);
	my $action = $self->_known_action($id);
	my $new = _action_of($request);
	@{$action}{ keys %$new } = values %$new;
	return { json => $action };
}

sub _delete
{
	my ($self, $request, $id) = @_;
	$self->_check_bearer($request);
	$self->_known_action($id);
	$self->{state}->remove_action($id);
	return { status => 204 };
}

1;
