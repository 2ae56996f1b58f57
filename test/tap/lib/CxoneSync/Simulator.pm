# The simulator of CXone (test/simulator/cxone says what it can do), and a server that registers with it.

package CxoneSync::Simulator;

use strict;
use warnings;

use CxoneSync ();
use FindBin;

use parent 'CxoneSync::Service';

our $client_id = 'sync client';
our $client_secret = q{a+b&c%2Fd/e f====};
our $username = 'ada@example.com';
our $password = 'pass+word & more %20';

sub start
{
	my ($class, @arguments) = @_;
	return $class->SUPER::start("$FindBin::RealBin/../simulator/cxone",
		{ CXONE_CLIENT_ID => $client_id, CXONE_CLIENT_SECRET => $client_secret, CXONE_USERNAME => $username, CXONE_PASSWORD => $password },
		@arguments);
}

# The four settings that a registration takes, and one that keeps the timer out of the tests.
sub registration
{
	my $self = shift;
	return (api_url => $self->url, endpoint_url => 'https://sync.example.com/webhook', client_id => $client_id,
		client_secret_file => CxoneSync::secret_file('client_secret', $client_secret), registration_interval => '1d');
}

sub actions { my $self = shift; return @{ $self->get('/_sim/actions') }; }
sub ids { my $self = shift; return join ' ', map { $_->{id} } $self->actions; }
sub settings { my ($self, %settings) = @_; return $self->post('/_sim/settings', \%settings); }
# faults([on => ROUTE, kind => KIND, …], …)
sub faults { my ($self, @faults) = @_; return $self->post('/_sim/faults', [ map { {@$_} } @faults ]); }
sub requests { my $self = shift; return @{ $self->get('/_sim/requests') }; }
# What has been asked for since, in a word each.
sub routes { my $self = shift; return join ' ', map { $_->{route} } $self->requests; }
sub forget { my $self = shift; return $self->delete('/_sim/requests'); }

1;
