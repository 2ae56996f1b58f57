# The contract over HTTP: what is taken, what is refused and how, and that a bad request harms nobody but itself.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use Test::More;

my $max_body = 64 * 1024;
my $node = start_node('endpoint', max_body_size => '64kB', request_timeout => '1500ms');
my $good_number = 0;

# A delivery that must be taken, whatever came before.
sub good_body { return events_json({ id => 'good' . ++$good_number, email => 'a@b.c' }); }

# ---- what is taken ----

my $reply = deliver($node, events_json(
		{ id => 'c1', email => 'a@b.c', timestamp => '2026-01-02T03:04:05Z' },
		{ id => 'c1', email => 'old@b.c', timestamp => '2025-01-02T03:04:05Z' },
		{ id => 'c2', firstName => 'Ada' },
		{ email => 'no@id' }));
is($reply->{line}, 'HTTP/1.1 200 OK', 'a delivery is answered with 200');
is($reply->{body}, qq({"received":4,"applied":2,"skipped":1,"dead_lettered":1}\n), 'and with counts');
is($reply->{headers}{'content-type'}, 'application/json', 'in JSON');
is(sql($node, "SELECT id, email, first_name FROM cxone_sync.contact_records ORDER BY id"),
	"c1|a\@b.c|\nc2||Ada", 'what was answered is committed');
is(counts_of(deliver($node, '{"events":[]}')), '0 0 0', 'a delivery without events');
is(counts_of(deliver($node, qq( \r\n\t{ "a" : [ {} ] , "events" : [ ] , "b" : null } \n))),
	'0 0 0', 'other members and white space do not matter');
is(counts_of(deliver($node, good_body(), 'Content-Type: text/plain')), '1 0 0', 'the content type does not matter');

my $connection = connect_to($node);
is(counts_of($connection->deliver(good_body())), '1 0 0', "keep-alive: delivery $_") foreach 1 .. 20;

$connection = connect_to($node);
$connection->send(join '', map { delivery_text(events_json(map { { id => "pipelined$_" } } 1 .. $_)) } 1 .. 3);
is(counts_of($connection->reply), "$_ 0 0", "pipelined: reply $_ is that to request $_") foreach 1 .. 3;

$connection = connect_to($node);
foreach my $sizes ([], [1], [ 1, 2, 3 ], [ (1) x 30 ])
{
	is(counts_of($connection->exchange(request_text(headers => ['Transfer-Encoding: chunked'])
				. chunked(good_body(), @$sizes))), '1 0 0', 'a chunked body, ' . @$sizes . ' small chunks');
}
is(counts_of($connection->exchange(request_text(headers => ['transfer-encoding: Chunked'])
			. sprintf("%X;name=value\r\n%s\r\n0\r\nTrailer: x\r\n\r\n", length '{"events":[]}', '{"events":[]}'))),
	'0 0 0', 'a chunk extension and a trailer are passed over');

foreach my $expect ('100-continue', '100-Continue', '100-CONTINUE')
{
	my $body = good_body();
	$connection = connect_to($node);
	$connection->send(request_text(headers => [ "Expect: $expect", 'Content-Length: ' . length $body ]));
	is($connection->reply->{status}, 100, "Expect: $expect is answered with 100");
	is(counts_of($connection->exchange($body)), '1 0 0', 'and the body that follows with 200');
}
$connection = connect_to($node);
is(counts_of($connection->deliver(good_body(), 'Expect: 100-continue')),
	'1 0 0', 'no 100 for a sender that does not wait for it');

$connection = connect_to($node);
my $body = good_body();
$connection->send("POST /webhook HTTP/1.0\r\nContent-Length: " . length($body) . "\r\n\r\n$body");
is(counts_of($connection->reply), '1 0 0', 'HTTP/1.0 without a Host');
ok($connection->is_closed, 'its connection is closed after the reply');
$connection = connect_to($node);
is(counts_of($connection->deliver(good_body(), 'Connection: close')), '1 0 0', 'Connection: close');
ok($connection->is_closed, 'is obeyed');
$connection = connect_to($node);
$connection->send("\r\n" . delivery_text(good_body()));
is(counts_of($connection->reply), '1 0 0', 'an empty line before the request is passed over');
$connection = connect_to($node);
$connection->send(delivery_text(good_body()));
$connection->finish_sending;
is(counts_of($connection->reply), '1 0 0', 'a sender that closes its own direction gets its answer');
my $padding = $max_body - length '{"events":[],"x":""}';
is(counts_of(deliver($node, '{"events":[],"x":"' . 'x' x $padding . '"}')), '0 0 0', 'a body of just the largest size');

foreach my $coding ('gzip', 'x-gzip', 'GZip')
{
	is(counts_of(deliver($node, gzipped(good_body()), "Content-Encoding: $coding")), '1 0 0', "Content-Encoding: $coding");
}
is(counts_of(deliver($node, good_body(), 'Content-Encoding: identity')), '1 0 0', 'Content-Encoding: identity');
$body = good_body();
is(counts_of(deliver($node, gzipped(substr $body, 0, 9) . gzipped(substr $body, 9), 'Content-Encoding: gzip')),
	'1 0 0', 'a gzip file of two members');
$connection = connect_to($node);
is(counts_of($connection->exchange(request_text(headers => [ 'Transfer-Encoding: chunked', 'Content-Encoding: gzip' ])
			. chunked(gzipped(good_body()), 1, 20))), '1 0 0', 'a gzip file in chunks');
is(counts_of($connection->deliver(gzipped('{"events":[],"x":"' . 'x' x $padding . '"}'), 'Content-Encoding: gzip')),
	'0 0 0', 'a gzip file of a body of just the largest size');

# ---- what is refused ----

my $neighbour = connect_to($node);
my $bad = events_json({ id => 'bad' });
my $length = 'Content-Length: ' . length $bad;
my $too_large = '{"events":[],"x":"' . 'x' x ($padding + 1) . '"}';
my $gzip = 'Content-Encoding: gzip';
my $bomb = gzipped("\0" x (64 * 1024 * 1024));
cmp_ok(length $bomb, '<', $max_body, 'the bomb is small enough to be inflated');

# name => [ bytes, status, reason ]
my @refused = (
	'GET' => [ request_text(method => 'GET'), 405, qr/POST/ ],
	'GET with a body' => [ request_text(method => 'GET', body => $bad), 405, qr/POST/ ],
	'PUT' => [ request_text(method => 'PUT', body => $bad), 405, qr/POST/ ],
	'PATCH' => [ request_text(method => 'PATCH', body => $bad), 405, qr/POST/ ],
	'DELETE' => [ request_text(method => 'DELETE', body => $bad), 405, qr/POST/ ],
	'OPTIONS' => [ request_text(method => 'OPTIONS', body => $bad), 405, qr/POST/ ],
	'an unknown method' => [ request_text(method => 'PSOT', body => $bad), 400, qr/./ ],
	'an unknown path' => [ request_text(path => '/', body => $bad), 404, qr/path/ ],
	'a path below' => [ request_text(path => '/webhook/x', body => $bad), 404, qr/path/ ],
	'a slash too many' => [ request_text(path => '/webhook/', body => $bad), 404, qr/path/ ],
	'the metrics on this port' => [ request_text(method => 'GET', path => '/metrics'), 404, qr/path/ ],
	'a page in a browser' => [ delivery_text($bad, 'Origin: https://evil.example'), 401, qr/browser/ ],
	'a page in a browser, of no site' => [ delivery_text($bad, 'origin: null'), 401, qr/browser/ ],
	'broken JSON' => [ delivery_text('{"events":[{"id":"bad"}'), 400, qr/./ ],
	'JSON with a trailing comma' => [ delivery_text('{"events":[{"id":"bad"},]}'), 400, qr/./ ],
	'JSON with a comment' => [ delivery_text('{"events":[{"id":"bad"}]/**/}'), 400, qr/./ ],
	'JSON with single quotes' => [ delivery_text("{'events':[{'id':'bad'}]}"), 400, qr/./ ],
	'NaN' => [ delivery_text('{"events":[{"id":"bad","email":NaN}]}'), 400, qr/./ ],
	'trailing garbage' => [ delivery_text("$bad x"), 400, qr/./ ],
	'two bodies in one' => [ delivery_text($bad . $bad), 400, qr/./ ],
	'a byte order mark' => [ delivery_text("\xef\xbb\xbf$bad"), 400, qr/./ ],
	'a NUL' => [ delivery_text("{\"events\":[{\"id\":\"bad\0\"}]}"), 400, qr/UTF-8/ ],
	'a NUL behind all' => [ delivery_text("$bad\0"), 400, qr/UTF-8/ ],
	'a control character in a string' => [ delivery_text("{\"events\":[{\"id\":\"bad\n\"}]}"), 400, qr/./ ],
	'half an escape' => [ delivery_text('{"events":[{"id":"bad\u00"}]}'), 400, qr/./ ],
	'no events' => [ delivery_text('{"event":[{"id":"bad"}]}'), 400, qr/no "events"/ ],
	'events inside' => [ delivery_text('{"data":{"events":[{"id":"bad"}]}}'), 400, qr/no "events"/ ],
	'events twice' => [ delivery_text('{"events":[{"id":"bad"}],"events":[]}'), 400, qr/more than once/ ],
	'events that are an object' => [ delivery_text('{"events":{"id":"bad"}}'), 400, qr/not an array/ ],
	'events that are a string' => [ delivery_text('{"events":"bad"}'), 400, qr/not an array/ ],
	'events that are null' => [ delivery_text('{"events":null}'), 400, qr/not an array/ ],
	'a bare array' => [ delivery_text('[{"id":"bad"}]'), 400, qr/not a JSON object/ ],
	'a bare string' => [ delivery_text('"bad"'), 400, qr/not a JSON object/ ],
	'an empty body' => [ delivery_text(''), 400, qr/empty/ ],
	'neither a length nor chunks' => [ request_text(), 411, qr/Content-Length/ ],
	'chunks without a body' => [ request_text(headers => ['Transfer-Encoding: chunked']) . chunked(''), 400, qr/empty/ ],
	'white space only' => [ delivery_text(" \n"), 400, qr/./ ],
	'bad UTF-8' => [ delivery_text("{\"events\":[{\"id\":\"bad\",\"email\":\"\xff\"}]}"), 400, qr/UTF-8/ ],
	'UTF-8 in an overlong form' => [ delivery_text("{\"events\":[{\"id\":\"bad\",\"email\":\"\xc0\xaf\"}]}"), 400, qr/UTF-8/ ],
	'a raw surrogate' => [ delivery_text("{\"events\":[{\"id\":\"bad\",\"email\":\"\xed\xa0\x80\"}]}"), 400, qr/UTF-8/ ],
	'UTF-16' => [ delivery_text(join '', map { "$_\0" } split //, $bad), 400, qr/./ ],
	'arrays below arrays' => [ delivery_text('[' x 60_000), 400, qr/./ ],
	'arrays below an event' => [ delivery_text('{"events":[{"id":"bad","x":' . '[' x 60_000), 400, qr/nested/ ],
	'objects below the body' => [ delivery_text('{"x":' x 10_000), 400, qr/nested/ ],
	'a coding that is not known' => [ delivery_text($bad, 'Content-Encoding: br'), 415, qr/gzip/ ],
	'gzip twice' => [ delivery_text(gzipped(gzipped($bad)), 'Content-Encoding: gzip, gzip'), 415, qr/gzip/ ],
	'two codings in two lines' => [ delivery_text(gzipped($bad), $gzip, 'Content-Encoding: identity'), 415, qr/gzip/ ],
	'no gzip at all' => [ delivery_text($bad, $gzip), 400, qr/gzip/ ],
	'a gzip file that is cut short' => [ delivery_text(substr(gzipped($bad), 0, -1), $gzip), 400, qr/gzip/ ],
	'a gzip file with a wrong checksum' => [ delivery_text(gzipped($bad) =~ s/....(?=....\z)/0000/sr, $gzip), 400, qr/gzip/ ],
	'a gzip file and more' => [ delivery_text(gzipped($bad) . "\0", $gzip), 400, qr/gzip/ ],
	'a gzip file of broken JSON' => [ delivery_text(gzipped("$bad x"), $gzip), 400, qr/./ ],
	'a gzip file of nothing' => [ delivery_text(gzipped(''), $gzip), 400, qr/empty/ ],
	'nothing, as gzip' => [ delivery_text('', $gzip), 400, qr/empty/ ],
	'a gzip file that is too large inflated' => [ delivery_text(gzipped($too_large), $gzip), 413, qr/inflated/ ],
	'a bomb of 64 MiB' => [ delivery_text($bomb, $gzip), 413, qr/inflated/ ],
	'a bomb in two members' => [ delivery_text(gzipped("\0" x $max_body) . gzipped("\0"), $gzip), 413, qr/inflated/ ],
	'an unknown Expect' => [ delivery_text($bad, 'Expect: miracles'), 417, qr/Expect/ ],
	'an unknown Transfer-Encoding' => [ delivery_text($bad, 'Transfer-Encoding: gzip, chunked'), 501, qr/Transfer-Encoding/ ],
	'both lengths' => [ delivery_text($bad, 'Transfer-Encoding: chunked'), 400, qr/both/ ],
	'Content-Length twice' => [ delivery_text($bad, $length), 400, qr/one Content-Length/ ],
	'a list of lengths' => [ request_text(headers => [ "$length, " . length $bad ]) . $bad, 400, qr/Content-Length/ ],
	'a negative length' => [ request_text(headers => ['Content-Length: -1']) . $bad, 400, qr/Content-Length/ ],
	'a length with a sign' => [ request_text(headers => [ 'Content-Length: +' . length $bad ]) . $bad, 400, qr/Content-Length/ ],
	'a length in hex' => [ request_text(headers => ['Content-Length: 0x20']) . $bad, 400, qr/Content-Length/ ],
	'chunked twice' => [ request_text(headers => [ ('Transfer-Encoding: chunked') x 2 ]) . chunked($bad), 400, qr/Transfer-Encoding/ ],
	'a chunk of no size' => [ request_text(headers => ['Transfer-Encoding: chunked']) . "\r\n$bad\r\n0\r\n\r\n", 400, qr/size/ ],
	'a chunk of a negative size' => [ request_text(headers => ['Transfer-Encoding: chunked']) . "-5\r\n$bad\r\n0\r\n\r\n", 400, qr/size/ ],
	'a chunk of 2^64 + 5' => [ request_text(headers => ['Transfer-Encoding: chunked']) . "10000000000000005\r\n$bad\r\n0\r\n\r\n", 400, qr/size/ ],
	'a chunk longer than its size' => [ request_text(headers => ['Transfer-Encoding: chunked']) . "5\r\n$bad\r\n0\r\n\r\n", 400, qr/chunk/ ],
	'chunks parted by LF' => [ request_text(headers => ['Transfer-Encoding: chunked']) . chunked($bad) =~ s/\r\n(?=0\r)/\n/r, 400, qr/./ ],
	'chunked in HTTP/1.0' => [ "POST /webhook HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n" . chunked($bad), 400, qr/1\.0/ ],
	'lines that end in LF' => [ delivery_text($bad) =~ s/\r\n/\n/gr, 400, qr/CRLF/ ],
	'one line that ends in LF' => [ delivery_text($bad) =~ s/localhost\r\n/localhost\n/r, 400, qr/CR/ ],
	'a folded header' => [ delivery_text($bad, "X-Folded: a\r\n b"), 400, qr/header/ ],
	'a header without a name' => [ delivery_text($bad, ': x'), 400, qr/name/ ],
	'a header without a colon' => [ delivery_text($bad, 'x'), 400, qr/name/ ],
	'a blank before the colon' => [ request_text(headers => ["Content-Length : " . length $bad]) . $bad, 400, qr/name/ ],
	'a NUL in a header' => [ delivery_text($bad, "X: \0"), 400, qr/NUL/ ],
	'no Host' => [ delivery_text($bad) =~ s/Host: localhost\r\n//r, 400, qr/Host/ ],
	'two Hosts' => [ delivery_text($bad, 'Host: elsewhere'), 400, qr/Host/ ],
	'HTTP/0.9' => [ "GET /webhook\r\n\r\n", 400, qr/HTTP/ ],
	'HTTP/2' => [ "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505, qr/HTTP/ ],
	'TLS' => [ "\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n", 400, qr/./ ],
	'many headers' => [ delivery_text($bad, map { "X-$_: y" } 1 .. 200), 431, qr/header/ ],
	'one endless header' => [ "POST /webhook HTTP/1.1\r\nX: " . 'y' x 100_000, 431, qr/head/ ],
	'an endless path' => [ 'POST /' . 'x' x 100_000, 431, qr/head/ ],
	'a body that is too large' => [ delivery_text($too_large), 413, qr/max_body_size/ ],
	'a length that is too large, without the body' => [ request_text(headers => ['Content-Length: ' . ($max_body + 1)]), 413, qr/max_body_size/ ],
	'the same with Expect' => [ request_text(headers => [ 'Content-Length: ' . ($max_body + 1), 'Expect: 100-continue' ]), 413, qr/max_body_size/ ],
	'a length beyond 2^64' => [ request_text(headers => ['Content-Length: 18446744073709551617']), 413, qr/max_body_size/ ],
	'chunks that are too large' => [ request_text(headers => ['Transfer-Encoding: chunked']) . chunked($too_large, (1000) x 100), 413, qr/max_body_size/ ],
	'one chunk that is too large, without its data' => [ request_text(headers => ['Transfer-Encoding: chunked']) . "fffffffffff\r\n", 413, qr/max_body_size/ ],
	'a body that does not come' => [ request_text(headers => ['Content-Length: ' . (1 + length $bad)]) . $bad, 408, qr/request_timeout/ ],
	'a head that does not end' => [ "POST /webhook HTTP/1.1\r\nHost: x\r\n", 408, qr/request_timeout/ ],
	'a chunk that does not come' => [ request_text(headers => ['Transfer-Encoding: chunked']) . "5\r\nabc", 408, qr/request_timeout/ ],
);

while (my ($name, $case) = splice @refused, 0, 2)
{
	my ($bytes, $status, $reason) = @$case;
	my $sender = connect_to($node);
	my $reply = $sender->exchange($bytes);
	refused_is($reply, $status, $reason, "$name: $status");
	is($reply->{headers}{allow}, 'POST', "$name: with Allow") if $status == 405;
	is($reply->{headers}{'accept-encoding'}, 'gzip', "$name: with Accept-Encoding") if $status == 415;
	# either the connection is closed or it goes on in step
	if (($reply->{headers}{connection} || '') eq 'close')
	{
		ok($sender->is_closed, "$name: the connection is closed");
	}
	else
	{
		is(counts_of($sender->deliver(good_body())), '1 0 0', "$name: the connection goes on");
	}
	is(counts_of($neighbour->deliver(good_body())), '1 0 0', "$name: a neighbour is served");
}

# HEAD: as GET, without a body
my $sender = connect_to($node);
$reply = $sender->exchange(request_text(method => 'HEAD'), head => 1);
is("$reply->{status} $reply->{headers}{allow}", '405 POST', 'HEAD: 405 with Allow');
is(counts_of($sender->deliver(good_body())), '1 0 0', 'HEAD: no body follows');

# a length that is too short cuts the body, and the rest is no request
$sender = connect_to($node);
$sender->send(request_text(headers => ['Content-Length: 10']) . "$bad\r\n\r\n");
refused_is($sender->reply, 400, qr/./, 'a length that is too short: 400');
refused_is($sender->reply, 400, qr/./, 'and the rest is a broken request');
ok($sender->is_closed, 'after which the connection is closed');

# the depth bomb of full size needs room in the limit
set_settings($node, max_body_size => '1MB');
poll(sub { deliver($node, '{"events":[],"x":"' . 'x' x (200 * 1024) . '"}')->{status} == 200 }, 'a larger limit after a reload');
refused_is(deliver($node, '[' x 200_000), 400, qr/./, '200,000 opening brackets');
refused_is(deliver($node, '{"events":[' . '[' x 200_000), 400, qr/nested/, 'and below events');
refused_is(deliver($node, '{"events":[' . '{"a":' x 100_000), 400, qr/nested/, 'and objects');

# the number of events has a limit of its own
set_settings($node, max_events => 3);
poll(sub { deliver($node, events_json('{}', '{}', '{}', '{}'))->{status} == 413 }, 'fewer events after a reload');
refused_is(deliver($node, events_json(map { { id => "bad$_" } } 1 .. 4)), 413, qr/more than 3 events/, 'too many events: 413');

is(sql($node, "SELECT string_agg(id, ' ') FROM cxone_sync.contact_records WHERE id LIKE '%bad%'"),
	'', 'nothing of what was refused is stored');
is(sql($node, "SELECT string_agg(payload, ' ') FROM cxone_sync.dead_letters WHERE payload LIKE '%bad%'"),
	'', 'nor a dead letter');
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id LIKE 'good%'"),
	$good_number, 'every good delivery in between is');

# ---- metrics ----

sub get_metrics
{
	my ($path, $method) = @_;
	my $scraper = connect_to($node, metrics_port($node)) or return { status => 0, body => '' };
	return $scraper->exchange(request_text(method => $method || 'GET', path => $path || '/metrics'),
		head => ($method || '') eq 'HEAD');
}

$reply = get_metrics();
is($reply->{status}, 200, 'GET /metrics');
like($reply->{headers}{'content-type'}, qr!^text/plain; version=0\.0\.4!, 'in the format of Prometheus');
like($reply->{body}, qr/^cxone_sync_lag_seconds_bucket\{status="success",le="0\.1"\} \d+$/m, 'with the contract\'s histogram');
my ($committed) = $reply->{body} =~ /^cxone_sync_events_total\{outcome="applied"\} (\d+)$/m;
is($committed, sql($node, "SELECT events FROM cxone_sync.sync_lag WHERE status = 'success'") -
	  ($reply->{body} =~ /^cxone_sync_events_total\{outcome="skipped"\} (\d+)$/m)[0], 'which agrees with sync_lag');
is(get_metrics('/metrics', 'HEAD')->{status}, 200, 'HEAD /metrics');
refused_is(get_metrics('/webhook'), 404, qr/path/, 'no webhooks on the port of the metrics');
refused_is(connect_to($node, metrics_port($node))->exchange(request_text(path => '/metrics', body => '')), 405, qr/GET/, 'no POST of metrics');
refused_is(connect_to($node, metrics_port($node))->exchange(request_text(body => $bad)), 413, qr/./, 'a delivery there: refused');

my $position = log_position($node);
set_settings($node, metrics_port => 0);
wait_for_log($node, qr/no longer listening for metrics/, $position);
poll(sub { !connect_to($node, metrics_port($node)) }, 'the port of the metrics is given up');
ok(!connect_to($node, metrics_port($node)), 'metrics_port = 0 turns them off');
is(counts_of(deliver($node, good_body())), '1 0 0', 'and the webhook goes on');
my $new_port = free_port();
set_settings($node, metrics_port => $new_port);
poll(sub { get_metrics()->{status} == 200 }, 'metrics on another port');
is(get_metrics()->{status}, 200, 'another port turns them on again');

stop_and_check($node);
done_testing();
