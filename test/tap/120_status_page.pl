# The status page in a browser: what it shows is what SQL says, it says plainly what is wrong, and everybody can read it.
# Pictures of it go to the test's directory, or to that which CXONE_SYNC_PICTURES names.

use strict;
use warnings;
use utf8;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Browser;
use CxoneSync::Simulator;
use File::Copy qw(copy);
use HTTP::Tiny;
use JSON::PP ();
use POSIX qw(strftime);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

foreach my $program (qw(chromium chromedriver npm))
{
	plan skip_all => "$program is not there" unless CxoneSync::Browser::find($program);
}

my $tmp_check = $PostgreSQL::Test::Utils::tmp_check;
my $pictures = $ENV{CXONE_SYNC_PICTURES} || $tmp_check;
my $probe = slurp_file("$FindBin::RealBin/../browser/probe.js");

my $cxone = CxoneSync::Simulator->start;
my $node = start_node('status_page');
my $origin = 'http://127.0.0.1:' . metrics_port($node);
my $browser = CxoneSync::Browser->start($tmp_check);

# ---- looking at the page ----

sub look { my ($script, @arguments) = @_; return $browser->run("$probe\nreturn $script;", @arguments); }
sub headline { return look('textOf("headline")'); }
sub verdict { return look('plain(document.getElementById("verdict").innerText)'); }
sub level { return look('document.getElementById("verdict").dataset.level'); }

# Waits until the script says so.
sub shows
{
	my ($script, $name, @arguments) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	ok($browser->wait_for(sub { return look($script, @arguments); }), $name) or diag('the page says: ' . verdict());
	return;
}

sub says
{
	my ($pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $seen = '';
	$browser->wait_for(sub { $seen = headline(); return $seen =~ $pattern; });
	like($seen, $pattern, $name);
	return;
}

# The same, without waiting until it refreshes itself.
sub says_when_asked
{
	my ($pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	$browser->wait_for(sub { refresh_now(); return headline() =~ $pattern; });
	like(headline(), $pattern, $name);
	return;
}

sub open_page
{
	$browser->open("$origin/");
	$browser->wait_for(sub { return look('!document.getElementById("figures").hidden'); }) or diag('no figures: ' . verdict());
	return;
}

# Pause and Resume: it asks at once, and has the answer when this returns.
sub refresh_now
{
	look('(() => { const button = document.getElementById("pause"); button.click(); button.click(); })()');
	$browser->wait_for(sub { return look('!state.asking'); });
	return;
}

sub picture { my ($name) = @_; $browser->screenshot("$pictures/$name.png"); return; }

# ---- what it may do ----

my $reply = HTTP::Tiny->new(proxy => undef)->get("$origin/");
is($reply->{status}, 200, 'the page is served');
like($reply->{headers}{'content-type'}, qr{^text/html; *charset=utf-8$}i, 'as HTML in UTF-8');
my $policy = $reply->{headers}{'content-security-policy'} || '';
like($policy, qr/(?:^|; *)\Q$_\E(?:;|$)/, "its policy has $_")
  foreach "default-src 'none'", "connect-src 'self'", "base-uri 'none'", "form-action 'none'", "frame-ancestors 'none'";
like($policy, qr/\b$_-src 'sha256-[^' ]+'(?:;|$)/, "its policy knows the ${_} by its hash alone") foreach qw(style script);

# ---- traffic ----

sql($node, q{
	ALTER TABLE cxone_sync.contact_records ADD CONSTRAINT short_name CHECK (length(first_name) < 20);
	CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE ''not this one''; END';
	CREATE TRIGGER refuse BEFORE INSERT ON cxone_sync.contact_records FOR EACH ROW WHEN (NEW.last_name = 'Nobody')
		EXECUTE FUNCTION refuse();
});
sub ago { return strftime('%Y-%m-%dT%H:%M:%SZ', gmtime(time - shift)); }

applied_is(deliver($node, events_json(map { { id => "c$_", email => 'a@b.c', timestamp => ago($_) } } 1 .. 40)), '40 0 0', 'good events');
applied_is(deliver($node, events_json({ id => 'c1', timestamp => ago(4000) }, { id => 'd1', timestamp => ago(7200) })), '1 1 0', 'an old one');
applied_is(deliver($node, events_json(
		{ id => 'e1', timestamp => 'yesterday' }, { id => 'e2', timestamp => 'tomorrow' },
		{ id => 'e3', firstName => 'x' x 20, timestamp => ago(300) }, { id => 'e4', lastName => 'Nobody', timestamp => ago(300) })),
	'0 0 4', 'dead letters for three reasons');
refused_is(deliver($node, $_), 400, qr/./, 'a broken body') foreach '{"events":[', '{}';
refused_is(connect_to($node)->exchange(request_text(path => '/elsewhere', body => '{}')), 404, qr/./, 'a wrong path');
poll(sub { return sql($node, 'SELECT coalesce(sum(letters), 0) FROM cxone_sync.dead_letters_open') == 4; }, 'the dead letters are counted');

# ---- the figures are those of SQL ----

my $zone = 'Asia/Kathmandu';
$browser->command('Emulation.setTimezoneOverride', timezoneId => $zone);
$browser->resize(1200, 900);
$browser->emulate('prefers-color-scheme' => 'light');
open_page();
says(qr/^4 dead letters are open$/, 'the headline: dead letters');
is(level(), 'attention', 'which want attention');
like(verdict(), qr/By reason: value 2, constraint 1, raised 1\.\s+Look at: SELECT \* FROM cxone_sync\.dead_letters/, 'with their reasons, and what to look at');
like(verdict(), qr/41 events applied, 1 skipped as old, 4 put into dead letters; 3 deliveries refused, none answered with 503\./, 'and what has happened so far');
is(look('document.title'), '4 dead letters are open – cxone_sync', 'the title says the same');

# One line for each row, in the order of the columns.
sub rows { return map { [ split /\|/, $_, -1 ] } split /\n/, sql($node, shift); }

my $figures = look('figures()');
my %view = (lag => [ 'sync_lag', 'sync_lag_buckets' ], intake_lag => [ 'intake_lag', 'intake_lag_buckets' ]);
foreach my $kind (sort keys %view)
{
	my ($lag, $buckets) = @{ $figures->{$kind} };
	my @names = ('Events', '50 % within (p50)', '95 % within (p95)', '99 % within (p99)', 'Longest', 'Mean');
	my $column = 0;
	foreach my $status (qw(success failure))
	{
		my ($row) = rows("SELECT events, extract(epoch FROM p50), extract(epoch FROM p95), extract(epoch FROM p99), extract(epoch FROM max),
			extract(epoch FROM mean) FROM cxone_sync.$view{$kind}[0] WHERE status = '$status'");
		is(join(' ', map { sprintf '%.6f', $lag->{$_}[$column] } @names), join(' ', map { sprintf '%.6f', $_ } @$row), "$kind of $status");

		my @cumulative = map { $_->[0] } rows("SELECT events FROM cxone_sync.$view{$kind}[1] WHERE status = '$status' ORDER BY le");
		my @shown = sort { $a <=> $b } grep { $_ } map { $_->[$column] } values %$buckets;
		my @wanted = sort { $a <=> $b } grep { $_ } map { $cumulative[$_] - ($_ ? $cumulative[ $_ - 1 ] : 0) } 0 .. $#cumulative;
		is("@shown", "@wanted", "the buckets of $kind of $status");
		is(scalar(keys %$buckets), scalar(@cumulative), 'all of them');
		$column++;
	}
}
foreach my $row (rows("SELECT counter, coalesce(outcome, ''), coalesce(reason, ''), total FROM cxone_sync.sync_counters"))
{
	my ($counter, $outcome, $reason, $total) = @$row;
	my $table = $figures->{ $counter eq 'deliveries' || $counter eq 'events' ? $counter : 'work' };
	my $name = ($outcome || $counter) . ($reason && ": $reason");
	$name =~ tr/_/ /;
	my ($shown) = grep { /^\Q$name\E(?: ?\d[\d, ]*)?$/ } keys %$table;
	is($shown && $table->{$shown}[0], $total, "$counter: $name");
}
my %letters = map { /^(\w+?)(?:a value|a constraint|the target|an error|anything)/ ? ($1 => $figures->{letters}{$_}[0]) : () } keys %{ $figures->{letters} };
is_deeply(\%letters, { map { @$_ } rows('SELECT reason, letters FROM cxone_sync.dead_letters_open') }, 'dead letters by reason');
my ($status) = rows('SELECT pid, address, schema_version, starts, connections FROM cxone_sync.sync_status');
is(join(' ', @{ $figures->{worker} }{ 'Process', 'Listens on', 'Schema version', 'Starts' }, $figures->{queue}{Connections}), "@$status", 'the worker');
like(look('document.querySelector(".worker h3").textContent'), qr/^Worker 1: running, ready$/, 'is said to be ready');
is(look('document.querySelectorAll(".checks .passed").length'), 5, 'by all checks');
my $started = sql($node, "SELECT to_char((now() - uptime) AT TIME ZONE '$zone', 'HH24:MI') FROM cxone_sync.sync_status");
like($figures->{worker}{Started}, qr/\b$started:\d\d \(\d+ (?:s|min) ago\)$/, 'its start, in local time and with its age');
my $events = 0;
$events += $_->[0] foreach values %{ $figures->{throughput} };
is($events, 46, 'throughput: all events of the last quarter of an hour');
is($figures->{registration}{State}, 'off: cxone_sync.api_url is empty', 'the registration');
like(look('textOf("glance-letters")'), qr/^4$/, 'the dead letters at a glance');

# ---- words for figures ----

my @words = (
	[ 'duration(0)', '0 s' ], [ 'duration(0.000004)', '4 µs' ], [ 'duration(0.0009996)', '1 ms' ], [ 'duration(0.01234)', '12.3 ms' ],
	[ 'duration(0.9999)', '1 s' ], [ 'duration(59.96)', '1 min' ], [ 'duration(61.2)', '1 min 1 s' ], [ 'duration(3599.7)', '1 h' ],
	[ 'duration(86399)', '1 d' ], [ 'duration(100000)', '1 d 4 h' ], [ 'duration(null)', '–' ],
	[ 'count(999)', '999' ], [ 'count(1000)', "1\x{202f}000" ], [ 'count(12345678)', "12\x{202f}345\x{202f}678" ],
	[ 'bytes(1)', '1 byte' ], [ 'bytes(10239)', "10\x{202f}239 bytes" ], [ 'bytes(33554432)', '32 MB' ], [ 'bytes(1048570)', '1 MB' ],
	[ 'age(100, 100.4)', 'just now' ], [ 'age(100, 103.9)', '3 s ago' ], [ 'age(100, 7300)', '2 h ago' ], [ 'age(400, 100)', 'in 5 min' ],
	[ 'percent(0)', '0 %' ], [ 'percent(0.0001)', '< 0.1 %' ], [ 'percent(0.9999)', '100 %' ], [ 'percent(0.456)', '45.6 %' ],
	[ 'rate(0)', '0/s' ], [ 'rate(1.2345)', '1.23/s' ], [ 'rate(45678)', "45\x{202f}678/s" ]);
is(look("plain($_->[0])"), $_->[1], $_->[0]) foreach @words;

# ---- it refreshes itself, and nobody who reads it is disturbed ----

look('(() => { window.marker = "the same page"; document.querySelector("#intake-lag summary").focus(); scrollTo(0, 200); })()');
$browser->press('Enter');
look('document.querySelectorAll("main td, main svg, #headline").forEach(node => { node.marker = "the same node"; })');
my $scroll = look('scrollY');
applied_is(deliver($node, events_json(map { { id => "f$_" } } 1 .. 7)), '7 0 0', 'more events');
shows('figures().events.applied[0] === "48"', 'they show by themselves');
is(look('figures().events.applied[1]'), 7, 'and how many came since the page was opened');
is(look('window.marker'), 'the same page', 'without loading the page anew');
is(look('[...document.querySelectorAll("main td, main svg, #headline")].filter(node => node.marker !== "the same node").length'), 0,
	'and without making anew what is there');
is(look('focused().what'), 'summary Events in each bucket of intake lag', 'the focus stays');
ok(look('document.querySelector("#intake-lag details").open'), 'so do open details');
ok(abs(look('scrollY') - $scroll) <= 1, 'and the place that was scrolled to') or diag("from $scroll to " . look('scrollY'));

# ---- with the keyboard ----

open_page();
my @stops;
foreach (1 .. 8)
{
	$browser->press('Tab');
	my $stop = look('focused()');
	last if $stop->{what} eq 'body';
	push @stops, $stop->{what};
	ok($stop->{seen}, "the focus is seen: $stop->{what}");
}
is(join(' | ', @stops), join(' | ', 'button Pause', 'summary Events in each bucket of event lag', 'summary Events in each bucket of intake lag',
	'summary Events in each minute', 'a /metrics', 'a /status.json'), 'Tab goes from one to the next');
open_page();
$browser->press('Tab');
$browser->press('Space');
is(look('textOf("pause")'), 'Resume', 'the space bar pauses it');
like(look('textOf("freshness")'), qr/^Figures of \d\d:\d\d:\d\d, paused$/, 'and the page says so');
is(look('focused().what'), 'button Resume', 'the focus stays on the button');

# ---- paused, and hidden: another page that refreshes twice tells that time has passed ----

sub two_refreshes_elsewhere
{
	my $here = $browser->window;
	$browser->switch_to($browser->open_window);
	open_page();
	shows('requestsSoFar() >= 3', 'another page refreshes itself');
	$browser->close_window;
	$browser->switch_to($here);
	return;
}

sub asks_meanwhile
{
	$browser->wait_for(sub { return look('!state.asking'); });
	my $before = look('requestsSoFar()');
	two_refreshes_elsewhere();
	return look('requestsSoFar()') - $before;
}

ok(!look('document.hidden'), 'a page that is in sight');
is(asks_meanwhile(), 0, 'asks for nothing while it is paused');
my $before = look('requestsSoFar()');
$browser->press('Space');
is(look('textOf("pause")'), 'Pause', 'resumed');
shows('requestsSoFar() > arguments[0]', 'it asks at once', $before);

$browser->minimize;
ok(look('document.hidden'), 'a page that is out of sight');
is(asks_meanwhile(), 0, 'asks for nothing');
$before = look('requestsSoFar()');
$browser->restore;
ok($browser->wait_for(sub { return look('requestsSoFar() > arguments[0]', $before); }, 4), 'and at once when it is back');

# ---- what is wrong is said plainly ----

is(join("\n", map { $_->{message} } $browser->log('browser')), '', 'nothing in the console: no error, and nothing against the policy');

refused_is(deliver($node, 'no JSON'), 400, qr/./, 'a broken body');
says_when_asked(qr/^1 delivery refused lately, and 1 more problem$/, 'a delivery that was refused while the page was open');
like(verdict(), qr/by reason: invalid body 1\./, 'with its reason');
sql($node, 'DELETE FROM cxone_sync.dead_letters');
says_when_asked(qr/^1 delivery refused lately$/, 'once the dead letters are gone');
open_page();
says_when_asked(qr/^All is well: deliveries are taken and committed$/, 'all is well');
is(level(), 'fine', 'in the colour of that');
picture('good');

sql($node, 'DROP EXTENSION cxone_sync');
says_when_asked(qr/^The worker is not ready: extension/, 'without the extension');
is(level(), 'fault', 'it is a fault');
like(verdict(), qr/Deliveries get 503 until this is mended.*Look at: CREATE EXTENSION cxone_sync/s, 'and what to do is said');
ok(look('document.querySelectorAll(".checks .failed").length') > 0, 'the check has failed');
picture('not-ready');
sql($node, 'CREATE EXTENSION cxone_sync');
wait_for_state($node, 'running');
open_page();
says_when_asked(qr/^All is well/, 'with the extension all is well again');

my $session = open_session($node);
$session->run('BEGIN; LOCK TABLE cxone_sync.contact_records');
retry_is(deliver($node, events_json({ id => 'g1' })), 'a table that is locked');
$session->run('ROLLBACK');
$session->close;
says_when_asked(qr/^1 delivery answered with 503 lately/, 'a delivery that got 503');
like(verdict(), qr/by reason: database 1\./, 'with its reason');
applied_is(deliver($node, events_json({ id => 'g1' })), '1 0 0', 'sent again');
open_page();
says(qr/^All is well/, 'all is well again');

# ---- the registration, in words of a service that means no good ----

$cxone->faults([ on => 'list', kind => 'status', status => 404, times => -1, body => '{"message": "<img src=x onerror=alert(1)><b>bold</b>"}' ]);
set_settings($node, $cxone->registration, max_retries => 0);
wait_for_registration($node, 'failed');
says_when_asked(qr/^The registration with CXone fails$/, 'a registration that fails');
like(verdict(), qr/<img src=x onerror=alert\(1\)><b>bold<\/b>/, 'is told as text');
is(look('document.querySelectorAll("#verdict b, main b, img").length'), 0, 'and never as markup');
$cxone->delete('/_sim/faults');
is(registration_after($node, sub { $node->reload; }), 'registered', 'mended');
says_when_asked(qr/^All is well/, 'all is well');
is(look('figures().registration.State'), 'registered', 'and it is registered');
set_settings($node, api_url => '');
poll(sub { return registration_of($node, 'state') eq 'off'; }, 'the registration is off');
refresh_now();
like(look('figures().registration.State'), qr/^off/, 'turned off again');

# ---- what a test cannot bring about: the page gets an answer that is made up ----

sub with_answer
{
	my ($change) = @_;
	look(<<"END");
(() => {
  const ask = window.realFetch ??= window.fetch;
  window.fetch = async (...all) => {
    const response = await ask(...all), answer = await response.json();
    ($change)(answer);
    return { ok: true, json: async () => answer };
  };
})()
END
	refresh_now();
	return headline();
}

like(with_answer('a => { a.queue.bytes = a.queue.limit_bytes * 0.9; }'), qr/^The queue is over 80 % full$/, 'a queue that fills');
like(with_answer('a => { a.queue.deliveries = 3; a.queue.oldest_waiting = 61; }'), qr/^A delivery waits long for its commit$/, 'a delivery that waits');
like(with_answer('a => { a.dead_letters.open[0].letters = a.dead_letters.limit; }'), qr/^10\x{202f}000 or more dead letters are open$/, 'more than are counted');
like(with_answer('a => { a.registration.state = "registered"; a.registration.duplicates = 2; }'), qr/^CXone has 2 duplicates of the Data Action$/, 'duplicates');
like(with_answer('a => { a.registration.state = "stopped"; }'), qr/^The registration with CXone is not looked after/, 'no registrar');
like(with_answer('a => { a.ready = false; Object.assign(a.workers[0], { pid: null, state: "stopped", ready: false, checks: [] }); }'),
	qr/^The worker does not run$/, 'a worker that does not run');
like(with_answer('a => { a.workers.push({ ...a.workers[0], worker: 2, pid: null, state: "stopped", ready: false }); }'),
	qr/^Worker 2 does not run$/, 'one of two');
is(level(), 'attention', 'while the other one takes what comes');
like(with_answer('a => { a.workers[0].last_error = "<b>it</b>"; a.workers[0].last_error_at = a.now - 90; }'), qr/^All is well/, 'a problem that is over is none');
like(look('factsOf(document.querySelector(".worker dl"))["Last problem"]'), qr/^<b>it<\/b>, .* \(1 min ago\)$/, 'and is still told');
like(with_answer('a => { delete a.workers; }'), qr/^This page does not understand the answer/, 'an answer of another shape');
cmp_ok(scalar($browser->log('browser')), '>', 0, 'which the console explains');
like(with_answer('a => { a.version = "4.0"; }'), qr/^The server has been upgraded to 4\.0, this page has not$/, 'a newer server');
look('(() => { window.fetch = async () => ({ ok: false, status: 500 }); })()');
refresh_now();
like(headline(), qr/^No answer from the server since \d\d:\d\d:\d\d, the figures are old$/, 'an error of the server');
like(verdict(), qr/status 500/, 'with its status');
look('(() => { window.fetch = window.realFetch; })()');
refresh_now();
like(headline(), qr/^All is well/, 'all is well');

# ---- for everybody: phone and screen, light and dark, by eye, by keyboard, by ear ----

sub axe
{
	my $directory = "$tmp_check/npm";
	mkdir $directory or die "$directory: $!";
	copy("$FindBin::RealBin/../browser/$_", "$directory/$_") or die "$_: $!" foreach qw(package.json package-lock.json);
	system("npm ci --prefix '$directory' --cache '$directory/cache' --ignore-scripts --no-audit --no-fund >'$directory/log' 2>&1") == 0
	  or die 'axe-core is not to be had: ' . slurp_file("$directory/log");
	return slurp_file("$directory/node_modules/axe-core/axe.min.js");
}

my $axe = axe();

sub violations
{
	$browser->run($axe);
	my $found = $browser->run_async('const done = arguments[0]; axe.run().then(result => done(result.violations), error => done([{ id: String(error), nodes: [] }]));');
	return join "\n", map { my $rule = $_; map { "$rule->{id}: $_->{html}" } @{ $rule->{nodes} } or $rule->{id} } @$found;
}

sub accessible_to_all
{
	my ($state) = @_;
	foreach my $scheme (qw(light dark))
	{
		$browser->emulate('prefers-color-scheme' => $scheme);
		foreach my $width (320, 1200)
		{
			$browser->resize($width, 800);
			look('document.querySelectorAll("details").forEach(details => { details.open = arguments[0]; })', $width == 320 ? \0 : \1);
			$browser->run_async('const done = arguments[0]; requestAnimationFrame(() => requestAnimationFrame(() => done()));');
			my $name = "$state, $scheme, $width pixels wide";
			is(look('document.documentElement.scrollWidth'), $width, "$name: no scrolling to the side");
			is(join("\n", @{ look('overflowing()') }), '', "$name: nothing sticks out");
			is(join("\n", @{ look('tooSmall()') }), '', "$name: nothing too small for a finger");
			my @texts = @{ look('textContrasts()') };
			cmp_ok(scalar(@texts), '>', 100, "$name: texts");
			is(join("\n", map { "@$_" } grep { $_->[1] < 4.5 } @texts), '', "$name: contrast of each at least 4.5");
			is(join("\n", map { "@$_" } grep { $_->[1] < 3 } @{ look('shapeContrasts()') }), '', "$name: contrast of shapes at least 3");
			is(violations(), '', "$name: axe-core finds nothing");
			picture("$state-$scheme-$width");
		}
	}
	return;
}

sub accessible_tree
{
	my @nodes = @{ $browser->command('Accessibility.getFullAXTree')->{nodes} };
	return map { [ $_->{role}{value}, $_->{name}{value} // '' ] } grep { !$_->{ignored} } @nodes;
}

accessible_to_all('good');
my @tree = accessible_tree();
my %named = map { ("$_->[0]: $_->[1]" => 1) } @tree;
ok($named{$_}, "the accessible tree has $_") foreach 'banner: ', 'main: ', 'contentinfo: ', 'button: Pause', 'heading: Lag', 'region: Lag',
  'region: Throughput', 'region: Workers', 'region: Queue', 'region: Dead letters', 'region: Registration with CXone', 'region: Deliveries and events',
  'table: Event lag', 'table: Intake lag', 'columnheader: Success', 'rowheader: 95 % within (p95)', 'link: /metrics', 'link: /status.json';
my @pictures = map { $_->[1] =~ tr/\x{a0}/ /r } grep { $_->[0] =~ /^(?:image|img)$/ } @tree;
is(scalar(@pictures), 3, 'and three plots');
foreach my $words ('Histogram of event lag: of', 'Histogram of intake lag: of', 'Events committed in the last 15 min: ')
{
	is(scalar(grep { /^\Q$words\E/ } @pictures), 1, "which tell in words what they show: $words");
}
is(join(' ', @{ look('[...document.querySelectorAll("h1, h2, h3")].map(node => node.localName)') }), 'h1 h2 h2 h3 h3 h2 h2 h3 h2 h2 h2 h2',
	'headings in order');
is(join(' ', @{ look('[...document.querySelectorAll("[aria-live], [role=status], [role=alert]")].map(node => node.id)') }), 'headline',
	'only the headline speaks up');
is(look('document.querySelectorAll("th:not([scope])").length'), 0, 'every header says what it is the header of');
is(look('document.getAnimations().length'), 0, 'nothing moves');

applied_is(deliver($node, events_json({ id => 'h1', timestamp => 'now' }, { id => 'h2', firstName => 'y' x 20 }, { id => 'h3', lastName => 'Nobody' })),
	'0 0 3', 'dead letters');
refused_is(deliver($node, '[]'), 400, qr/./, 'a broken body');
poll(sub { return sql($node, 'SELECT coalesce(sum(letters), 0) FROM cxone_sync.dead_letters_open') == 3; }, 'they are counted');
with_answer(q{a => { a.ready = false; a.workers[0].ready = false;
	Object.assign(a.workers[0].checks[1], { ok: false, reason: 'the extension cxone_sync is not installed in the database "postgres"' });
	a.registration = { ...a.registration, state: 'failed', name: 'PostgresSyncConsumer', duplicates: 1, last_error: 'https://api.example.com/oauth2/token: status 401, invalid_client', hint: 'Is the secret right?', last_error_at: a.now - 60 };
	a.queue.bytes = a.queue.limit_bytes * 0.9; a.queue.deliveries = 12345; a.queue.oldest_waiting = 30; }});
like(headline(), qr/^The worker is not ready: extension, and \d more problems$/, 'the worst first');
accessible_to_all('bad');
look('(() => { window.fetch = window.realFetch; })()');
$browser->emulate('prefers-color-scheme' => 'light');
$browser->resize(1200, 900);
refresh_now();

# ---- no answer ----

is(join("\n", map { $_->{message} } $browser->log('browser')), '', 'still nothing in the console');

my $worker = worker_pid($node);
kill 'STOP', $worker;
says(qr/^No answer from the server since \d\d:\d\d:\d\d, the figures are old$/, 'a worker that hangs');
like(verdict(), qr/It takes longer than 4 s/, 'and why');
kill 'CONT', $worker;
says(qr/^1 delivery refused lately, and 1 more problem$/, 'it goes on by itself');

my $applied = look('figures().events.applied[0]');
$node->stop('fast');
says(qr/^No answer from the server since \d\d:\d\d:\d\d, the figures are old$/, 'a server that is stopped');
like(verdict(), qr/It cannot be reached/, 'and why');
is(level(), 'unknown', 'nobody knows how it is');
like(look('document.title'), qr/^No answer from the server/, 'the title says so, too');
ok(look('document.getElementById("figures").hasAttribute("data-old")'), 'the figures are marked');
is(look('figures().events.applied[0]'), $applied, 'and still there');
picture('stopped');
$node->start;
wait_for_state($node, 'running');
says(qr/^3 dead letters are open$/, 'when it is back the page is, too');
ok(!look('document.getElementById("figures").hasAttribute("data-old")'), 'with new figures');

# ---- what it asked for, and what the policy keeps it from ----

my @requests = map { $_->{method} eq 'Network.requestWillBeSent' ? $_->{params}{request}{url} : () }
  map { JSON::PP->new->decode($_->{message})->{message} } $browser->log('performance');
cmp_ok(scalar(@requests), '>', 10, 'the requests of the page');
# new windows have chrome:, and axe-core looks at a picture in data:, neither of which asks anybody
is(join(' ', grep { !m{^\Q$origin\E/(?:status\.json)?$} && !m{^(?:chrome|data):} } @requests), '', 'are for itself and its figures, and nothing else');
is(join("\n", grep { !/ERR_CONNECTION_REFUSED|ERR_EMPTY_RESPONSE|ERR_CONNECTION_RESET/ } map { $_->{message} } $browser->log('browser')), '',
	'in the console nothing but that there was no answer');

look('document.body.setAttribute("style", "color: rgb(1, 2, 3)")');
isnt(look('getComputedStyle(document.body).color'), 'rgb(1, 2, 3)', 'a style from elsewhere does not work');
is($browser->run_async('const done = arguments[1]; fetch(arguments[0]).then(() => done("fetched"), () => done("refused"));',
	'http://127.0.0.1:' . webhook_port($node) . '/'), 'refused', 'nor does asking another origin');
cmp_ok(scalar(grep { $_->{message} =~ /Content Security Policy/ } $browser->log('browser')), '>=', 2, 'and the policy says so');

# ---- without JavaScript ----

$browser->command('Emulation.setScriptExecutionDisabled', value => JSON::PP::true);
$browser->open("$origin/");
my $text = $browser->text('body');
like($text, qr/needs JavaScript.*\/metrics.*SELECT \* FROM cxone_sync\.sync_status/s, 'without JavaScript it says where the figures are');
picture('without-javascript');

$browser->stop;
stop_and_check($node);
done_testing();
