# TLS for webhooks: what is agreed on with whom, certificates that change while deliveries come, those of clients, and
# files that are not what they should be.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use IO::Socket::SSL ();
use IO::Socket::SSL::Utils qw(CERT_create PEM_cert2file PEM_key2file);
use PostgreSQL::Test::Utils;
use Test::More;

my $dir = PostgreSQL::Test::Utils::tempdir();
my $number = 0;

sub body { return events_json({ id => 't' . ++$number }); }

sub write_file
{
	my ($file, $text, $mode) = @_;
	open my $out, '>', $file or die "$file: $!";
	chmod $mode || 0600, $file;
	print $out $text;
	close $out;
	return $file;
}

sub openssl
{
	my @arguments = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'openssl', @arguments ], '<', \'', '>', \$out, '2>', \$err) or die "openssl @arguments: $err";
	return $out;
}

# make_certificate($name, issuer => …, key => [arguments for a key], days => …): $dir/$name.crt and .key
sub make_certificate
{
	my ($name, %options) = @_;
	my @key = $options{key} ? @{ $options{key} } : qw(-newkey ec -pkeyopt ec_paramgen_curve:P-256);
	my @issuer = $options{issuer} ? ('-CA', "$dir/$options{issuer}.crt", '-CAkey', "$dir/$options{issuer}.key") : ();
	my @subject = ('-subj', '/CN=' . ($options{subject} || $name), '-addext', 'subjectAltName=DNS:localhost');
	my @ca = $options{issuer} ? ('-addext', 'basicConstraints=critical,CA:FALSE') : ();
	openssl('req', '-x509', '-nodes', '-days', $options{days} || 2, @key, @subject, @ca, @issuer,
		'-keyout', "$dir/$name.key", '-out', "$dir/$name.crt");
	chmod 0600, "$dir/$name.key";
	return;
}

# Puts a certificate and its key where the settings say.
sub install
{
	my ($name) = @_;
	write_file("$dir/server.$_", slurp_file("$dir/$name.$_")) foreach qw(crt key);
	return;
}

make_certificate('ca');
make_certificate('other_ca');
make_certificate('first', issuer => 'ca');
make_certificate('second', issuer => 'ca', key => [qw(-newkey rsa:2048)]);
make_certificate('sender', issuer => 'ca');
make_certificate('stranger', issuer => 'other_ca');
install('first');

my $node = start_node('tls', tls_cert_file => "$dir/server.crt", tls_key_file => "$dir/server.key");
my $port = webhook_port($node);
my %trust = (SSL_ca_file => "$dir/ca.crt");

sub connect_tls { my (%options) = @_; return CxoneSync::Http->new($port, undef, %trust, %options); }

sub handshakes_failed
{
	return sql($node, "SELECT total FROM cxone_sync.sync_counters WHERE reason = 'tls_handshake'");
}

# What a client that is refused leaves behind: one more in the counter.
sub is_refused
{
	my ($attempt, $name) = @_;
	my $before = handshakes_failed();
	ok(!$attempt->(), $name);
	poll(sub { return handshakes_failed() > $before; }, "$name: is counted");
	return;
}

like(slurp_file($node->logfile), qr/worker 1 started, webhooks: 127\.0\.0\.1:$port by TLS, metrics: 127\.0\.0\.1:\d+, /, 'the log says that it is by TLS');

# ---- what is agreed on ----

# curl(@arguments): the status that it reports, or "failed" and curl's exit code.
sub curl
{
	my @arguments = @_;
	my ($out, $err) = ('', '');
	IPC::Run::run([ 'curl', '-sS', '--noproxy', '*', '--cacert', "$dir/ca.crt", '-o', "$dir/reply", '-w', '%{http_code} %{http_version}',
			@arguments, "https://localhost:$port/webhook" ], '<', \'', '>', \$out, '2>', \$err);
	return $? == 0 ? $out : 'failed ' . ($? >> 8);
}

is(curl('-d', body()), '200 1.1', 'curl');
is(slurp_file("$dir/reply"), '{"received":1,"applied":1,"skipped":0,"dead_lettered":0}' . "\n", 'gets the counts');
is(curl('--http2', '-d', body()), '200 1.1', 'who would like HTTP/2 gets 1.1');
is(curl('--http1.0', '-d', body()), '200 1.1', 'who speaks 1.0 is served');
is(curl('--tlsv1.3', '-d', body()), '200 1.1', 'TLS 1.3');
is(curl('--tls-max', '1.2', '-d', body()), '200 1.1', 'TLS 1.2');
is(curl('-H', 'Expect: 100-continue', '-d', body()), '200 1.1', 'with 100 Continue');
write_file("$dir/body", events_json(map { { id => "many$_", email => 'x' x 1000 } } 1 .. 900));
is(curl('-d', "\@$dir/body"), '200 1.1', 'a body of many records');
is(curl('-H', 'Transfer-Encoding: chunked', '-d', body()), '200 1.1', 'chunks');
is(curl('-X', 'GET'), '405 1.1', 'another method');

# s_client(@arguments): all that it prints.
sub s_client
{
	my @arguments = @_;
	my $out = '';
	IPC::Run::run([ 'openssl', 's_client', '-connect', "localhost:$port", '-CAfile', "$dir/ca.crt", '-verify_return_error', @arguments ],
		'<', \"GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n", '>', \$out, '2>&1');
	return $out;
}

like(s_client('-ign_eof', '-tls1_3'), qr/New, TLSv1\.3, Cipher is TLS_.*^HTTP\/1\.1 404 /ms, 's_client by TLS 1.3');
like(s_client('-ign_eof', '-tls1_2'), qr/New, TLSv1\.2, Cipher is ECDHE-ECDSA-(AES|CHACHA).*^HTTP\/1\.1 404 /ms, 's_client by TLS 1.2');
unlike(s_client('-ign_eof', "-tls1_$_"), qr/Session-ID: [0-9A-F]|session ticket:/i, "no session that could be resumed, TLS 1.$_") foreach 2, 3;
like(s_client('-ign_eof', '-alpn', 'h2,http/1.1'), qr/ALPN protocol: http\/1\.1/, 'ALPN');
like(s_client('-ign_eof', '-tls1_2', '-legacy_server_connect'), qr/Compression: NONE/, 'no compression');
foreach my $case (
	[ 'TLS 1.1', '-tls1_1', '-cipher', 'ALL:@SECLEVEL=0' ],
	[ 'TLS 1.0', '-tls1', '-cipher', 'ALL:@SECLEVEL=0' ],
	[ 'a cipher without forward secrecy', '-tls1_2', '-cipher', 'AES256-GCM-SHA384' ],
	[ 'a cipher without AEAD', '-tls1_2', '-cipher', 'ECDHE-ECDSA-AES256-SHA' ],
	[ 'HTTP/2 and nothing else', '-alpn', 'h2' ])
{
	my ($name, @arguments) = @$case;
	is_refused(sub { return s_client(@arguments) =~ /HTTP\/1\.1|New, TLSv1\.\d, Cipher is (TLS|ECDHE)/; }, "$name is refused");
}
# what the client would like to negotiate anew is answered with an alert, or not at all
{
	my $out = '';
	IPC::Run::run([ 'openssl', 's_client', '-connect', "localhost:$port", '-CAfile', "$dir/ca.crt", '-tls1_2' ],
		'<', \"R\n", '>', \$out, '2>&1');
	like($out, qr/RENEGOTIATING/, 's_client asks for a renegotiation');
	like($out, qr/no renegotiation/, 'and gets none');
}

# ---- in the clear, and what is neither ----

my $clear = connect_to($node)->deliver(body());
refused_is($clear, 400, qr/^use https here$/, 'HTTP in the clear is told so');
poll(sub { return handshakes_failed() > 0; }, 'and counted');
foreach my $case ([ 'garbage', "\x00\xff" x 500 ], [ 'an SSH client', "SSH-2.0-OpenSSH_9.2\r\n" ], [ 'SSL 2', "\x80\x2e\x01\x00\x02" . "\x00" x 41 ],
	[ 'a record too long', "\x16\x03\x01\xff\xff" . "\x00" x 70_000 ], [ 'an endless hello', "\x16\x03\x01\x40\x00\x01\xff\xff\xff" . "\x00" x 20_000 ])
{
	my ($name, $bytes) = @$case;
	is_refused(sub {
		my $connection = connect_to($node);
		$connection->send($bytes);
		my $reply = $connection->reply;
		return $reply->{status} != 0 || $reply->{error} eq 'timeout';
	}, $name);
}
{
	my $before = handshakes_failed();
	connect_to($node)->close foreach 1 .. 5;
	is(counts_of(connect_tls()->deliver(body())), '1 0 0', 'a delivery after connections that say nothing');
	is(handshakes_failed(), $before, 'which do not count: so load balancers look whether a port is there');
}

# ---- connections ----

my $first = connect_tls();
is($first->tls_subject, 'first', 'the certificate');
is(counts_of($first->deliver(body())), '1 0 0', "delivery $_ over one connection") foreach 1 .. 3;
$first->send(join '', map { delivery_text(body()) } 1 .. 50);
is(scalar(grep { counts_of($first->reply) eq '1 0 0' } 1 .. 50), 50, 'fifty at once');
my $large = events_json(map { { id => "large$_", email => 'y' x 3_500 } } 1 .. 900);
cmp_ok(length $large, '>', 3_000_000, 'three megabytes');
is(counts_of($first->deliver($large)), '900 0 0', 'arrive');
is(counts_of($first->deliver(gzipped($large), 'Content-Encoding: gzip')), '900 0 0', 'also compressed');
is(counts_of($first->exchange(request_text(headers => ['Transfer-Encoding: chunked']) . chunked($large, 1, 16_384, 100_000, 7))), '900 0 0', 'and in chunks');
my @many = map { connect_tls() } 1 .. 50;
$_->send(delivery_text(body())) foreach @many;
is(scalar(grep { counts_of($_->reply) eq '1 0 0' } @many), 50, 'fifty connections');
$_->close foreach @many;

# A sender that does not read its replies holds up nobody, and gets them when it does.
my $deaf = connect_tls();
$deaf->send(join '', (request_text(method => 'GET')) x 2000);
is(counts_of($first->deliver(body())), '1 0 0', 'a sender that does not read holds up nobody');
is(scalar(grep { $deaf->reply->{status} == 405 } 1 .. 2000), 2000, 'and gets 2,000 pipelined replies when it does');
$deaf->close;

# The hello of a slow client, one byte at a time, taken from a real one.
{
	my $hello = '';
	my $listener = IO::Socket::INET->new(Listen => 1, LocalAddr => '127.0.0.1') or die "listen: $!";
	my $client = IPC::Run::start([ 'openssl', 's_client', '-connect', '127.0.0.1:' . $listener->sockport ], '<', \'', '>', '/dev/null', '2>', '/dev/null');
	my $heard = $listener->accept;
	sysread $heard, $hello, 16_384;
	close $heard;
	$client->finish;
	cmp_ok(length $hello, '>', 100, 'a hello');
	my @slow = map { connect_to($node) } 1 .. 8;
	my @answers;
	foreach my $byte (0 .. length($hello) - 2)
	{
		$_->send(substr $hello, $byte, 1) foreach @slow;
		push @answers, counts_of($first->deliver(body())) if $byte % 8 == 0;
	}
	is(scalar(grep { $_ eq '1 0 0' } @answers), scalar @answers, 'slow handshakes do not hold up others');
	is(scalar(grep { $_->has_reply } @slow), 0, 'and wait');
	$_->send(substr $hello, -1) foreach @slow;
	foreach my $slow (@slow) { poll(sub { return $slow->has_reply; }, 'the last byte is answered'); }
	$_->close foreach @slow;
}

# Handshakes have the time of a request.
set_settings($node, request_timeout => '1s');
is_refused(sub {
	my $silent;
	# until the reload has reached the worker, the time is longer
	poll(sub { $silent = connect_to($node); $silent->send("\x16"); return $silent->is_closed(5); }, 'a handshake that stops is closed');
	return 0;
}, 'a client that stops in its handshake');
set_settings($node, request_timeout => '10s');

# Idle connections are closed by the rules: with a close_notify.
set_settings($node, idle_timeout => '1s');
{
	my $ended = '';
	poll(sub {
		my $connection = connect_tls();
		my $problem = $connection->reply(timeout => 5);
		$ended = $problem->{error};
		return $ended eq 'closed';
	}, 'an idle connection is closed');
	is($ended, 'closed', 'in order');
}
set_settings($node, idle_timeout => '60s');

# ---- certificates that change ----

my $old = connect_tls();
is(counts_of($old->deliver(body())), '1 0 0', 'a connection with the first certificate');
install('second');
is(connect_tls()->tls_subject, 'first', 'new files alone change nothing');
$node->reload;
poll(sub { return connect_tls()->tls_subject eq 'second'; }, 'after a reload new connections get the new certificate');
is($old->tls_subject . ' ' . counts_of($old->deliver(body())), 'first 1 0 0', 'and the old one goes on');
is(curl('--tls-max', '1.2', '-d', body()), '200 1.1', 'an RSA certificate by TLS 1.2');

# In the midst of a stream of deliveries none is lost.
{
	my @streams = map { connect_tls() } 1 .. 4;
	my $served = 0;
	foreach my $round (1 .. 10)
	{
		install($round % 2 ? 'first' : 'second');
		$_->send(delivery_text(body())) foreach @streams;
		$node->reload;
		$served += grep { counts_of($_->reply) eq '1 0 0' } @streams;
		my $fresh = connect_tls();
		$served++ if counts_of($fresh->deliver(body())) eq '1 0 0';
	}
	is($served, 50, 'ten changes under load: every delivery is answered');
}
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id ~ '^t'"), $number - 1, 'all but the one in the clear are stored');

# What is wrong is told, and what was good stays.
install('second');
$node->reload;
poll(sub { return connect_tls()->tls_subject eq 'second'; }, 'the second certificate');
write_file("$dir/server.key", slurp_file("$dir/first.key"));
my $position = log_position($node);
$node->reload;
wait_for_log($node, qr/WARNING:  cxone_sync: TLS goes on with the certificate it had: cxone_sync\.tls_key_file, file "\Q$dir\E\/server\.key": the key does not belong to the certificate/, $position);
wait_for_log($node, qr/HINT:  The key has to be that of the first certificate in cxone_sync\.tls_cert_file\./, $position);
is(connect_tls()->tls_subject, 'second', 'a key that does not fit: the old certificate stays');
like(status_of($node, 'last_error'), qr/the key does not belong/, 'sync_status says why');
is(status_of($node, 'state'), 'running', 'and that it goes on');

my $expires = openssl('x509', '-in', "$dir/second.crt", '-noout', '-enddate') =~ s/^notAfter=//r;
chomp $expires;
is(sql($node, "SELECT certificate_expires_at = '$expires' FROM cxone_sync.sync_status"), 't', 'sync_status tells until when it is valid');
my $metrics = connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/metrics'))->{body};
is($metrics =~ /^cxone_sync_certificate_expires_timestamp_seconds (\d+)/m && $1,
	sql($node, "SELECT extract(epoch FROM '$expires'::timestamptz)::bigint"), 'and so do the metrics');

# One that has expired is told of; whether it will do is for the senders to say.
# (openssl(1) makes one in each version in another way)
my ($late, $late_key) = CERT_create(subject => { commonName => 'late' }, not_before => time - 2 * 86_400, not_after => time - 86_400);
PEM_cert2file($late, "$dir/late.crt");
PEM_key2file($late_key, "$dir/late.key");
install('late');
$position = log_position($node);
$node->reload;
wait_for_log($node, qr/WARNING:  cxone_sync: the certificate for webhooks has expired/, $position);
is(connect_tls(), undef, 'an expired certificate: the sender does not trust it');

# ---- certificates of clients ----

install('second');
set_settings($node, tls_ca_file => "$dir/ca.crt");
my %as_sender = (SSL_cert_file => "$dir/sender.crt", SSL_key_file => "$dir/sender.key");
poll(sub { return connect_tls(%as_sender); }, 'a certificate that has not expired');
poll(sub { my $bare = connect_tls(); return !$bare || $bare->deliver(body())->{status} == 0; }, 'clients need a certificate');
is(counts_of(connect_tls(%as_sender)->deliver(body())), '1 0 0', 'one with a certificate of the authority');
is(curl('--cert', "$dir/sender.crt", '--key', "$dir/sender.key", '-d', body()), '200 1.1', 'curl with one');
like(curl('-d', body()), qr/^failed/, 'curl without one');
like(curl('--cert', "$dir/stranger.crt", '--key', "$dir/stranger.key", '-d', body()), qr/^failed/, "curl with a stranger's");
like(curl('--tls-max', '1.2', '-d', body()), qr/^failed/, 'curl without one by TLS 1.2');
# TLS 1.3 tells the client after its handshake
is_refused(sub { my $connection = connect_tls(); return $connection && $connection->deliver(body())->{status}; }, 'no certificate');
is_refused(sub {
	my $connection = connect_tls(SSL_cert_file => "$dir/stranger.crt", SSL_key_file => "$dir/stranger.key");
	return $connection && $connection->deliver(body())->{status};
}, "a stranger's certificate");
# who is known by a certificate has to authenticate all the same
set_settings($node, authentication => 'bearer', webhook_secret_file => secret_file('bearer', 'open sesame'));
poll(sub { return connect_tls(%as_sender)->deliver(body())->{status} == 401; }, 'a certificate does not replace authentication');
is(counts_of(connect_tls(%as_sender)->deliver(body(), 'Authorization: Bearer open sesame')), '1 0 0', 'with both');
set_settings($node, authentication => 'none', tls_ca_file => '');
poll(sub { my $bare = connect_tls(); return $bare && $bare->deliver(body())->{status} == 200; }, 'clients need none again');

# ---- off and on ----

my $by_tls = connect_tls();
is(counts_of($by_tls->deliver(body())), '1 0 0', 'a connection by TLS');
set_settings($node, tls_cert_file => '', tls_key_file => '');
poll(sub { return deliver($node, body())->{status} == 200; }, 'in the clear after a reload');
is(counts_of($by_tls->deliver(body())), '1 0 0', 'the one by TLS goes on');
is(status_of($node, 'certificate_expires_at'), '', 'no certificate');
my $in_clear = connect_to($node);
is(counts_of($in_clear->deliver(body())), '1 0 0', 'a connection in the clear');
set_settings($node, tls_cert_file => "$dir/server.crt", tls_key_file => "$dir/server.key");
poll(sub { return deliver($node, body())->{status} == 400; }, 'TLS after a reload');
is(counts_of($in_clear->deliver(body())), '1 0 0', 'the one in the clear goes on');

# ---- files that are not what they should be ----

make_certificate('weak', key => [qw(-newkey rsa:1024)]);
openssl('pkey', '-in', "$dir/first.key", '-aes256', '-passout', 'pass:x', '-out', "$dir/locked.key");
chmod 0600, "$dir/locked.key";
write_file("$dir/public.key", slurp_file("$dir/first.key"), 0644);
write_file("$dir/empty", '');
write_file("$dir/text", "no certificate\n");
mkdir "$dir/directory";
my @key = (tls_key_file => "$dir/first.key");
my @cases = (
	[ 'no key', qr/cxone_sync\.tls_key_file is not set/, tls_cert_file => "$dir/first.crt", tls_key_file => '' ],
	[ 'no certificate', qr/cxone_sync\.tls_cert_file is not set/, tls_cert_file => '', @key ],
	[ 'only an authority', qr/cxone_sync\.tls_cert_file is not set/, tls_cert_file => '', tls_key_file => '', tls_ca_file => "$dir/ca.crt" ],
	[ 'no such certificate', qr/tls_cert_file, file "\S+\/none": no certificate could be loaded: No such file or directory/, tls_cert_file => "$dir/none", @key ],
	[ 'an empty certificate', qr/tls_cert_file, file "\S+\/empty": no certificate could be loaded: no start line/, tls_cert_file => "$dir/empty", @key ],
	[ 'no PEM', qr/tls_cert_file, file "\S+\/text": no certificate could be loaded: no start line/, tls_cert_file => "$dir/text", @key ],
	[ 'a weak key', qr/tls_cert_file, file "\S+\/weak\.crt": no certificate could be loaded: ee key too small/, tls_cert_file => "$dir/weak.crt", tls_key_file => "$dir/weak.key" ],
	[ 'no such key', qr/tls_key_file, file "\S+\/none": it could not be opened: No such file or directory/, tls_cert_file => "$dir/first.crt", tls_key_file => "$dir/none" ],
	[ 'a key for all to read', qr/tls_key_file, file "\S+\/public\.key": group or others have access to it/, tls_cert_file => "$dir/first.crt", tls_key_file => "$dir/public.key" ],
	[ 'a key that is a directory', qr/tls_key_file, file "\S+\/directory": it is no regular file/, tls_cert_file => "$dir/first.crt", tls_key_file => "$dir/directory" ],
	[ 'a key with a passphrase', qr/tls_key_file, file "\S+\/locked\.key": the key is protected by a passphrase/, tls_cert_file => "$dir/first.crt", tls_key_file => "$dir/locked.key" ],
	[ 'a key that is none', qr/tls_key_file, file "\S+\/text": no private key could be loaded: unsupported|tls_key_file, file "\S+\/text": no private key could be loaded: no start line/, tls_cert_file => "$dir/first.crt", tls_key_file => "$dir/text" ],
	[ "another certificate's key", qr/tls_key_file, file "\S+\/first\.key": the key does not belong to the certificate/, tls_cert_file => "$dir/second.crt", @key ],
	[ 'no such authority', qr/tls_ca_file, file "\S+\/none": no certificate could be loaded: No such file or directory/, tls_cert_file => "$dir/first.crt", @key, tls_ca_file => "$dir/none" ],
	[ 'an authority that is none', qr/tls_ca_file, file "\S+\/text": no certificate could be loaded/, tls_cert_file => "$dir/first.crt", @key, tls_ca_file => "$dir/text" ]);
set_settings($node, tls_cert_file => '', tls_key_file => '');
poll(sub { return deliver($node, body())->{status} == 200; }, 'in the clear');
foreach my $case (@cases)
{
	my ($name, $problem, %settings) = @$case;
	set_settings($node, tls_ca_file => '', %settings);
	# whoever asks for TLS is not served in the clear
	poll(sub { return status_of($node, 'not_ready_because') =~ $problem; }, "$name: sync_status says so")
	  or diag(status_of($node, 'not_ready_because'));
	poll(sub { return !connect_to($node); }, "$name: nobody listens");
}
my @told = slurp_file($node->logfile) =~ /WARNING:  cxone_sync: TLS cannot be had: /g;
cmp_ok(scalar @told, '>=', scalar @cases, 'the log has each');

# Also at the start; nobody is asked for a passphrase.
set_settings($node, tls_cert_file => "$dir/first.crt", tls_key_file => "$dir/locked.key", tls_ca_file => '');
$node->restart;
poll(sub { return status_of($node, 'not_ready_because') =~ /endpoint.*passphrase/; }, 'after a restart, too');
ok(!connect_to($node), 'nobody listens');
set_settings($node, @key);
poll(sub { my $connection = connect_tls(); return $connection && counts_of($connection->deliver(body())) eq '1 0 0'; }, 'when it is mended, all is well');
is(status_of($node, 'not_ready_because'), '', 'ready');

# ---- a secret in the clear ----

my $warning = qr/WARNING:  cxone_sync: senders show their secret in the clear on 0\.0\.0\.0/;
$position = log_position($node);
set_settings($node, listen_address => '0.0.0.0', authentication => 'bearer');
poll(sub { return status_of($node, 'address') =~ /^0\.0\.0\.0:/; }, 'on all addresses, by TLS');
unlike(slurp_file($node->logfile, $position), $warning, 'needs no warning');
set_settings($node, tls_cert_file => '', tls_key_file => '');
wait_for_log($node, $warning, $position);
is(deliver($node, body(), 'Authorization: Bearer open sesame')->{status}, 200, 'a secret in the clear on all addresses is warned of, and works');

stop_and_check($node);
done_testing();
