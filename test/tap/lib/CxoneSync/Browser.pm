# Debian's Chromium without a screen, driven over the WebDriver protocol, which is JSON over HTTP.
#
#   my $browser = CxoneSync::Browser->start($directory);    # where its profile and its log go
#   $browser->open($url); $browser->run('return document.title'); $browser->press('Tab'); $browser->stop;

package CxoneSync::Browser;

use strict;
use warnings;

use HTTP::Tiny;
use JSON::PP ();
use MIME::Base64 qw(decode_base64);
use Time::HiRes qw(sleep time);

our $timeout = $ENV{PG_TEST_TIMEOUT_DEFAULT} || 60;

my $json = JSON::PP->new->utf8->canonical->allow_nonref;
my $count = 0;

# Nothing asks for anything by itself: every request that a test sees is the page's.
my @arguments = qw(--headless=new --no-sandbox --disable-gpu --disable-quic --disable-dev-shm-usage --no-first-run
  --no-default-browser-check --disable-background-networking --disable-component-update --disable-sync
  --disable-default-apps --hide-scrollbars --force-device-scale-factor=1 --no-proxy-server);

sub find
{
	my ($name) = @_;
	my ($program) = grep { -x } map { "$_/$name" } split(/:/, $ENV{PATH} || ''), '/usr/bin';
	return $program;
}

sub start
{
	my ($class, $directory) = @_;
	my $driver = find('chromedriver') or die 'chromedriver is missing (Debian: chromium-driver)';
	my $chromium = find('chromium') or die 'chromium is missing';
	my $profile = "$directory/browser" . ++$count;
	mkdir $profile or die "$profile: $!";

	# with port 0 it takes a free one, and says which
	my $pid = fork // die "fork: $!";
	if (!$pid)
	{
		open STDIN, '<', '/dev/null' or die "/dev/null: $!";
		open STDOUT, '>', "$profile.out" or die "$profile.out: $!";
		open STDERR, '>&', \*STDOUT or die "dup: $!";
		exec $driver, '--port=0', "--log-path=$profile.log" or die "$driver: $!";
	}
	my $self = bless { pid => $pid }, $class;
	my $said = '';
	$self->wait_for(sub { $said = _slurp("$profile.out"); return $said =~ /successfully on port (\d+)/ || waitpid($pid, 1) == $pid; });
	$said =~ /successfully on port (\d+)/ or die "chromedriver does not start: $said";
	$self->{url} = "http://127.0.0.1:$1";

	my $session = $self->_request('POST', '/session', { capabilities => { alwaysMatch => {
		browserName => 'chrome',
		'goog:chromeOptions' => { binary => $chromium, args => [ @arguments, "--user-data-dir=$profile" ] },
		'goog:loggingPrefs' => { browser => 'ALL', performance => 'ALL' } } } });
	$self->{url} .= "/session/$session->{sessionId}";
	return $self;
}

sub stop
{
	my $self = shift;
	return unless $self->{pid};
	local ($?, $@);
	eval { $self->_request('DELETE', '') };
	kill 'TERM', $self->{pid};
	waitpid delete $self->{pid}, 0;
	return;
}

sub DESTROY { my $self = shift; $self->stop; return; }

sub _slurp
{
	my ($file) = @_;
	open my $in, '<', $file or return '';
	local $/ = undef;
	return readline($in) // '';
}

sub _request
{
	my ($self, $method, $path, $data) = @_;
	my %content = defined $data ? (content => $json->encode($data), headers => { 'Content-Type' => 'application/json' }) : ();
	my $reply = HTTP::Tiny->new(timeout => 2 * $timeout, proxy => undef)->request($method, $self->{url} . $path, \%content);
	die "$method $path: $reply->{status} $reply->{content}" unless $reply->{success};
	return $json->decode($reply->{content})->{value};
}

# Calls `condition` until it is true, and returns what it returned, or nothing.
sub wait_for
{
	my ($self, $condition, $wait) = @_;
	my $deadline = time + ($wait || $timeout);
	for (;;)
	{
		my $result = $condition->();
		return $result if $result;
		return if time > $deadline;
		sleep 0.05;
	}
}

sub open
{
	my ($self, $url) = @_;
	$self->_request('POST', '/url', { url => $url });
	return;
}

# The body of a function, its arguments in `arguments`; what it returns.
sub run
{
	my ($self, $script, @arguments) = @_;
	return $self->_request('POST', '/execute/sync', { script => $script, args => \@arguments });
}

# The same for one that returns a promise.
sub run_async
{
	my ($self, $script, @arguments) = @_;
	return $self->_request('POST', '/execute/async', { script => $script, args => \@arguments });
}

# A command of Chromium's own protocol.
sub command
{
	my ($self, $name, %parameters) = @_;
	return $self->_request('POST', '/goog/cdp/execute', { cmd => $name, params => \%parameters });
}

# What has come since the last call: 'browser' is the console, 'performance' has the requests.
sub log
{
	my ($self, $type) = @_;
	return @{ $self->_request('POST', '/se/log', { type => $type }) };
}

# The window's inner size, as on a phone or a screen.
sub resize
{
	my ($self, $width, $height) = @_;
	$self->command('Emulation.setDeviceMetricsOverride', width => $width, height => $height, deviceScaleFactor => 1, mobile => JSON::PP::false);
	return;
}

# emulate('prefers-color-scheme' => 'dark', …)
sub emulate
{
	my ($self, %features) = @_;
	$self->command('Emulation.setEmulatedMedia', features => [ map { { name => $_, value => $features{$_} } } sort keys %features ]);
	return;
}

my %keys = (Tab => "\x{E004}", Enter => "\x{E007}", Space => ' ', Shift => "\x{E008}");

# press('Shift', 'Tab'): one after the other down, then up.
sub press
{
	my ($self, @names) = @_;
	my @codes = map { $keys{$_} } @names;
	$self->_request('POST', '/actions', { actions => [ { type => 'key', id => 'keyboard', actions => [
		(map { { type => 'keyDown', value => $_ } } @codes), (map { { type => 'keyUp', value => $_ } } reverse @codes) ] } ] });
	return;
}

# The whole page, not just the window.
sub screenshot
{
	my ($self, $file) = @_;
	my $picture = $self->command('Page.captureScreenshot', captureBeyondViewport => JSON::PP::true);
	CORE::open my $out, '>', $file or die "$file: $!";
	binmode $out;
	print $out decode_base64($picture->{data});
	close $out;
	return;
}

# ---- windows, by handle ----

sub window { my $self = shift; return $self->_request('GET', '/window'); }
# What is driven stays the window that it was.
sub open_window { my $self = shift; return $self->_request('POST', '/window/new', { type => 'window' })->{handle}; }
# Out of sight, and back.
sub minimize { my $self = shift; $self->_request('POST', '/window/minimize', {}); return; }
sub restore { my $self = shift; $self->_request('POST', '/window/rect', { width => 1200, height => 900 }); return; }
sub switch_to { my ($self, $handle) = @_; $self->_request('POST', '/window', { handle => $handle }); return; }
sub close_window { my $self = shift; $self->_request('DELETE', '/window'); return; }

# What is to be read in the first element that the selector finds, also where no script runs.
sub text
{
	my ($self, $selector) = @_;
	my ($id) = values %{ $self->_request('POST', '/element', { using => 'css selector', value => $selector }) };
	return $self->_request('GET', "/element/$id/text");
}

1;
