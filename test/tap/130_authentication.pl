# Senders prove who they are: every method and every known signature, over bodies of all kinds; secrets in a file that
# change without a gap; where the worker listens without a proof; replays; and that no secret shows up anywhere.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Browser;
use Digest::SHA qw(hmac_sha1_base64 hmac_sha256 hmac_sha256_hex);
use File::Copy qw(copy);
use IO::Socket::INET;
use JSON::PP ();
use MIME::Base64 qw(encode_base64);
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $tmp_check = $PostgreSQL::Test::Utils::tmp_check;
my $secret = 'thisIsSecretKey';
my $raw_key = "\x{00}\x{ff}binary key of senders\x{80}..";
my $whsec = 'whsec_' . encode_base64($raw_key, '');
my %secrets = (current => $secret, coming => 'another-Key+/=', wrong => 'wrong-secret-of-somebody', whsec => $whsec,
	other_whsec => 'whsec_' . encode_base64('a key that the server does not know', ''));
my $file = secret_file('webhook_secret', $secret);
my $node = start_node('authentication', webhook_secret_file => $file, lock_timeout => '30s', statement_timeout => '60s');
my $watch = open_session($node);
my $number = 0;
my $counted; # when last looked at
my @seen; # what SQL and replies have shown

sub new_id { return 'a' . ++$number; }
sub event { return events_json({ id => shift }); }
sub new_body { return event(new_id()); }
sub rows { return sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id IN ('" . join("', '", @_) . q{')}); }
sub counter
{
	my ($outcome, $reason) = @_;
	return $watch->run("SELECT coalesce(sum(total), 0) FROM cxone_sync.sync_counters WHERE counter = 'deliveries' AND outcome = '$outcome' AND coalesce(reason, '') = '"
		  . ($reason || '') . q{'});
}
# The reasons for a 401, counted.
sub credentials_counted { return { map { ($_ => counter('refused', $_)) } qw(no_credentials wrong_credentials stale_signature) }; }
# After a restart of the server.
sub watch_again { $watch->close; $watch = open_session($node); return; }
sub base64 { return encode_base64(shift, ''); }
sub signed64 { my ($content, $key) = @_; return base64(hmac_sha256($content, $key)); }
sub now { return int time; }

# The 401 says nothing but that, and is counted by its reason.
sub denied_is
{
	my ($reply, $reason, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $before = $counted;
	$counted = credentials_counted();
	my @more = map { $_ . ' ' . ($counted->{$_} - $before->{$_}) } grep { $counted->{$_} != $before->{$_} } sort keys %$counted;
	my $good = $reply->{status} == 401 && $reply->{body} eq qq({"error":"not authenticated"}\n) && $reply->{headers}{'www-authenticate'}
	  && "@more" eq "$reason 1";
	ok($good, "$name: 401, $reason") or diag("  got $reply->{status} " . ($reply->{error} || $reply->{body}) . ", counted @more");
	push @seen, join "\n", $reply->{line} || '', $reply->{body}, %{ $reply->{headers} };
	return;
}

# ---- what each method wants: headers for a body and a secret ----

my %methods = (
	cxone_signature => { name => 'X-CXone-Signature', value => sub { hmac_sha256_hex($_[0], $_[1]) } },
	nice_webhook_signature => { name => 'X-Nice-Webhook-Signature', value => sub { signed64(@_) } },
	request_signature => { name => 'X-Request-Signature', value => sub { signed64(@_) } },
	nexus => {
		name => 'X-Nexus-Signature-256',
		more => sub { my %o = @_; return ("X-Nexus-Timestamp: $o{time}", "X-Nexus-Delivery-Id: $o{id}"); },
		value => sub { my ($body, $key, %o) = @_; return 'sha256=' . hmac_sha256_hex("$o{time}.$body", $key); },
	},
	standard_webhooks => {
		name => 'webhook-signature',
		more => sub { my %o = @_; return ("webhook-timestamp: $o{time}", "webhook-id: $o{id}"); },
		value => sub {
			my ($body, $key, %o) = @_;
			return 'v1,' . signed64("$o{id}.$o{time}.$body", MIME::Base64::decode_base64($key =~ s/^whsec_//r));
		},
		secret => $whsec,
		wrong => $secrets{other_whsec},
	},
	custom => {
		name => 'X-Own-Signature',
		settings => { signature_header => 'X-Own-Signature', signature_encoding => 'base64', signature_prefix => 'mac=',
			signed_content => 'v0:{timestamp}:{id}:{body}{x', timestamp_header => 'X-Own-Time', id_header => 'X-Own-Id' },
		more => sub { my %o = @_; return ("X-Own-Time: $o{time}", "X-Own-Id: $o{id}"); },
		value => sub { my ($body, $key, %o) = @_; return 'mac=' . signed64("v0:$o{time}:$o{id}:$body\{x", $key); },
	},
	bearer => { name => 'Authorization', value => sub { return "Bearer $_[1]" }, shown => 1 },
	basic => { name => 'Authorization', value => sub { return 'Basic ' . base64("nice:$_[1]") }, shown => 1, settings => { authentication_user => 'nice' } },
	header => { name => 'X-Own-Key', value => sub { return $_[1] }, shown => 1, settings => { authentication_header => 'X-Own-Key' } });
my $method; # in force

# Headers that prove it, of the method in force; key, time and id may be given.
sub proof
{
	my ($body, %o) = @_;
	%o = (key => $method->{secret} || $secret, time => now(), id => 'msg_' . ++$number, %o);
	return ("$method->{name}: " . $method->{value}->($body, $o{key}, %o), $method->{more} ? $method->{more}->(%o) : ());
}
sub send_proved { my ($body, %o) = @_; return deliver($node, $body, proof($body, %o)); }

sub use_method
{
	my ($name, %settings) = @_;
	$method = $methods{$name};
	secret_file('webhook_secret', $method->{secret} || $secret);
	set_settings($node, authentication => $name, %{ $method->{settings} || {} }, %settings);
	poll(sub { my $body = new_body(); return send_proved($body)->{status} == 200 && deliver($node, $body)->{status} == 401; }, "authentication $name");
	$counted = credentials_counted();
	return;
}

# ---- every method over bodies of all kinds ----

my %bodies = (
	'a plain body' => sub { return (new_body()) },
	'odd bytes' => sub { return ("\r\n\t " . events_json('{"id":"' . new_id() . qq(","first_name":"\xc3\xa4\\u0001\xf0\x9f\x98\x80\\n","x{body}":"{id}.{timestamp}"})) . "\n\n \r\n") },
	'a gzip body' => sub { return (gzipped(new_body()), 'Content-Encoding: gzip') });

foreach my $name (sort keys %methods)
{
	use_method($name);
	my $wrong = $method->{wrong} || $secrets{wrong};
	foreach my $kind (sort keys %bodies)
	{
		my ($body, @headers) = $bodies{$kind}->();
		my @proof = proof($body);
		my @more = @proof[ 1 .. $#proof ];
		denied_is(deliver($node, $body, @headers), 'no_credentials', "$name, $kind, no credentials");
		denied_is(deliver($node, $body, @headers, proof($body, key => $wrong)), 'wrong_credentials', "$name, $kind, another secret");
		denied_is(deliver($node, $body, @headers, substr($proof[0], 0, -1), @more), 'wrong_credentials', "$name, $kind, cut short");
		denied_is(deliver($node, $body, @headers, "$proof[0]x", @more), 'wrong_credentials', "$name, $kind, too long");
		denied_is(deliver($node, $body, @headers, $proof[0], @proof), 'wrong_credentials', "$name, $kind, twice")
		  unless $name eq 'standard_webhooks';
		denied_is(deliver($node, "$body ", @headers, @proof), 'wrong_credentials', "$name, $kind, a byte more than was signed") unless $method->{shown};
		applied_is(deliver($node, $body, @headers, @proof), '1 0 0', "$name, $kind, right");
	}
	denied_is(deliver($node, '', proof('', key => $wrong)), 'wrong_credentials', "$name, an empty body, another secret");
	refused_is(deliver($node, '', proof('')), 400, qr/empty/, "$name, an empty body, right");
	refused_is(send_proved("\xff\xfe{"), 400, qr/./, "$name, a broken body, right");
	denied_is(deliver($node, "\xff\xfe{"), 'no_credentials', "$name, a broken body, no credentials");
	my $plain = new_body();
	my $packed = gzipped($plain);
	denied_is(deliver($node, $packed, 'Content-Encoding: gzip', proof($plain)), 'wrong_credentials', "$name, what gzip has packed is signed") unless $method->{shown};
	my $broken = substr $packed, 0, -9;
	refused_is(deliver($node, $broken, 'Content-Encoding: gzip', proof($broken)), 400, qr/./, "$name, broken gzip, right");
	denied_is(deliver($node, $broken, 'Content-Encoding: gzip'), 'no_credentials', "$name, broken gzip, no credentials");

	my $body = new_body();
	my $connection = connect_to($node);
	my $chunks = request_text(headers => [ 'Transfer-Encoding: chunked', proof($body) ]) . chunked($body, 1, 5, 3);
	applied_is($connection->exchange($chunks), '1 0 0', "$name, chunks, right");
	denied_is($connection->exchange(request_text(headers => ['Transfer-Encoding: chunked']) . chunked(new_body(), 2)), 'no_credentials', "$name, chunks, no credentials on the same connection");
	$body = new_body();
	my $trailer = join '', map { "$_\r\n" } proof($body);
	denied_is($connection->exchange(request_text(headers => ['Transfer-Encoding: chunked']) . (chunked($body) =~ s/\r\n\z/$trailer\r\n/r)),
		'no_credentials', "$name, credentials in the trailer");
	$body = new_body();
	applied_is($connection->deliver($body, map { s/^([^:]+)/\U$1/r } proof($body)), '1 0 0', "$name, names of headers in capitals");
	applied_is($connection->deliver($body, map { s/: /:\t  /r . " \t" } proof($body)), '1 0 0', "$name, blanks around values");
	$connection->close;
}

# ---- tricks with heads ----

use_method('cxone_signature');
sub refused_head
{
	my ($name, $body, @headers) = @_;
	my $connection = connect_to($node);
	refused_is($connection->exchange(request_text(headers => \@headers) . $body), 400, qr/./, $name);
	ok($connection->is_closed, "$name: the connection is closed");
	return;
}
{
	my $body = new_body();
	my $length = 'Content-Length: ' . length $body;
	my @proof = proof($body);
	refused_head('a length and chunks', $body, $length, 'Transfer-Encoding: chunked', @proof);
	refused_head('two lengths', $body, $length, 'Content-Length: 0', @proof);
	refused_head('a blank before the colon', $body, $length, $proof[0] =~ s/:/ :/r);
	refused_head('a folded line', $body, $length, $proof[0] =~ s/: /:\r\n /r);
	my ($id, $value) = (new_id(), $methods{cxone_signature}{value}->($body, $secret));
	applied_is(deliver($node, $body, 'X-CXone-Signature: ' . uc $value), '1 0 0', 'hex in capitals');
	denied_is(deliver($node, $body, 'X-CXone-Signature:', "X-CXone-Signature-2: $value"), 'no_credentials', 'an empty header');
	denied_is(deliver($node, $body, 'X-CXone-Signature: ' . join ' ', ('0' x 64), $value), 'wrong_credentials', 'a list where none is known');
	denied_is(deliver($node, $body, "X-CXone-Signature: sha256=$value"), 'wrong_credentials', 'a prefix where none is known');
	my $connection = connect_to($node);
	my $second = event($id);
	$connection->send(delivery_text($body, @proof) . delivery_text($second, @proof));
	applied_is($connection->reply, '1 0 0', 'two requests in one');
	denied_is($connection->reply, 'wrong_credentials', 'each has to prove itself');
	is(rows($id), '0', 'nothing of it is written');
	refused_is(connect_to($node)->exchange(request_text(path => '/elsewhere', body => $body)), 404, qr/./, 'another path');
}

# ---- the published vectors; the algorithm is ours to choose ----

foreach my $vector ([ 'random', '36HN7juP6erwuhrmZelPH58M9xDaNrImKsDNi3u8Bww=' ], [ 'thisIsSecretKey', 'mY/ehO6FCpo8xKIzCS05s2gTicm/ZjDmCm3YgrREVSg=' ])
{
	my ($key, $signature) = @$vector;
	is(signed64('{"foo":"bar"}', $key), $signature, "the test signs as the vector for $key");
}
use_method('request_signature');
secret_file('webhook_secret', "random\nthisIsSecretKey");
$node->reload;
foreach my $signature ('36HN7juP6erwuhrmZelPH58M9xDaNrImKsDNi3u8Bww=', 'mY/ehO6FCpo8xKIzCS05s2gTicm/ZjDmCm3YgrREVSg=')
{
	my $reply;
	poll(sub { $reply = deliver($node, '{"foo":"bar"}', "X-Request-Signature: $signature"); return $reply->{status} != 401; }, 'a vector');
	refused_is($reply, 400, qr/events/, 'a vector is authentic, and no delivery');
}
$counted = credentials_counted();
denied_is(deliver($node, '{"foo":"baz"}', 'X-Request-Signature: 36HN7juP6erwuhrmZelPH58M9xDaNrImKsDNi3u8Bww='), 'wrong_credentials', 'a vector, another body');
{
	my $body = new_body();
	my $sha1 = hmac_sha1_base64($body, $secret) . '=';
	denied_is(deliver($node, $body, 'X-Signature-Algorithm: none'), 'no_credentials', 'algorithm none');
	denied_is(deliver($node, $body, 'X-Signature-Algorithm: none', 'X-Request-Signature: none'), 'wrong_credentials', 'algorithm none with a value');
	denied_is(deliver($node, $body, 'X-Signature-Algorithm: sha1', "X-Request-Signature: $sha1"), 'wrong_credentials', 'algorithm sha1');
	applied_is(deliver($node, $body, 'X-Signature-Algorithm: sha1', proof($body)), '1 0 0', 'what a request says of algorithms is not read');
	denied_is(deliver($node, $body, 'X-Request-Signature: ' . hmac_sha256_hex($body, $secret)), 'wrong_credentials', 'hex for base64');
	denied_is(deliver($node, $body, 'X-Request-Signature: ' . signed64($body, $secret) =~ s/=+$//r), 'wrong_credentials', 'base64 without its padding');
}

# ---- Standard Webhooks: several signatures, times ----

use_method('standard_webhooks');
{
	my $body = new_body();
	my %o = (time => now(), id => 'msg_list');
	my ($right, @more) = proof($body, %o);
	my $one = $right =~ s/^[^:]*: //r;
	my ($wrong) = map { s/^[^:]*: //r } (proof($body, %o, key => $secrets{other_whsec}))[0];
	denied_is(deliver($node, $body, "webhook-signature: $wrong $wrong", @more), 'wrong_credentials', 'two wrong signatures');
	denied_is(deliver($node, $body, 'webhook-signature: ' . $one =~ s/^v1,/v1a,/r, @more), 'wrong_credentials', 'another version');
	denied_is(deliver($node, $body, 'webhook-signature: ' . $one =~ s/^v1,//r, @more), 'wrong_credentials', 'no version');
	denied_is(deliver($node, $body, $right, $more[0]), 'no_credentials', 'no id');
	denied_is(deliver($node, $body, $right, $more[1]), 'no_credentials', 'no time');
	denied_is(deliver($node, $body, $right, $more[0], 'webhook-id: msg_other'), 'wrong_credentials', 'another id');
	denied_is(deliver($node, $body, $right, $more[1], 'webhook-timestamp: ' . ($o{time} + 1)), 'wrong_credentials', 'another time');
	denied_is(deliver($node, $body, $right, $more[1], @more[ 0, 0 ]), 'wrong_credentials', 'the time twice');
	applied_is(deliver($node, $body, "webhook-signature: v1a,other $wrong $one v2,x", @more), '1 0 0', 'one right signature among others');
}
foreach my $name (qw(standard_webhooks nexus custom))
{
	use_method($name) unless $name eq 'standard_webhooks';
	denied_is(send_proved(new_body(), time => now() - 310), 'stale_signature', "$name, 310 s old");
	denied_is(send_proved(new_body(), time => now() + 310), 'stale_signature', "$name, 310 s ahead");
	denied_is(send_proved(new_body(), time => now() - 310, key => $secrets{other_whsec}), 'stale_signature', "$name, old and wrong is old");
	denied_is(send_proved(new_body(), time => $_), 'wrong_credentials', "$name, time $_") foreach qw(infinity now yesterday 0x10 12/06/2024);
	applied_is(send_proved(new_body(), time => now() - 280), '1 0 0', "$name, 280 s old");
	applied_is(send_proved(new_body(), time => now() + 280), '1 0 0', "$name, 280 s ahead");
}
set_settings($node, signature_tolerance => 1000);
poll(sub { return send_proved(new_body(), time => now() - 900)->{status} == 200; }, 'a longer tolerance');
set_settings($node, signature_tolerance => 300);

# ---- replays ----

sub place { my $id = shift; return sql($node, "SELECT xmin, ctid, updated_ts FROM cxone_sync.contact_records WHERE id = '$id'"); }
sub lock_row
{
	my $id = shift;
	my $session = open_session($node);
	$session->run("BEGIN; SELECT FROM cxone_sync.contact_records WHERE id = '$id' FOR UPDATE");
	return $session;
}
# Of one more than there were.
sub one_more { my ($before, $outcome, $reason, $name) = @_; is(counter($outcome, $reason), $before + 1, $name); return; }

foreach my $name (qw(standard_webhooks nexus))
{
	use_method($name);
	my %o = (id => "msg_replay_$name");
	my $id = new_id();
	my $body = events_json({ id => $id, email => 'a@b.c' }, { id => $id, timestamp => 'never' });
	my @proof = proof($body, %o);
	my $first = deliver($node, $body, @proof);
	applied_is($first, '1 0 1', "$name: a delivery with a dead letter");
	my $place = place($id);
	my $letters = sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters');
	my $repeated = counter('repeated');
	is(deliver($node, $body, @proof)->{body}, $first->{body}, "$name: a replay gets the same answer");
	is(send_proved($body, %o, time => now() + 5)->{body}, $first->{body}, "$name: so does a retry with another time");
	is(counter('repeated'), $repeated + 2, "$name: both are counted");
	is(place($id), $place, "$name: the row is not touched");
	is(sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters'), $letters, "$name: there is no other dead letter");
	applied_is(send_proved(events_json({ id => $id, email => 'd@e.f' }), %o), '1 0 0', "$name: the same id with another body");
	isnt(place($id), $place, "$name: is written");
	$place = place($id);
	denied_is(deliver($node, $body, proof($body, %o, key => $secrets{other_whsec})), 'wrong_credentials', "$name: a replay with a wrong signature")
	  if $counted = credentials_counted();

	my $lock = lock_row($id);
	$body = events_json({ id => $id, email => 'g@h.i' });
	@proof = proof($body, id => "msg_under_way_$name");
	my $sender = connect_to($node);
	$sender->send(delivery_text($body, @proof));
	poll(sub { $watch->run(q{SELECT count(*) FROM cxone_sync.sync_status WHERE oldest_waiting IS NOT NULL}) == 1 }, 'it waits for the row');
	my $under_way = counter('retry_later', 'under_way');
	retry_is(deliver($node, $body, @proof), "$name: a replay while the first is under way");
	one_more($under_way, 'retry_later', 'under_way', "$name: is counted");
	ok(!$sender->has_reply, "$name: the first waits still");
	$lock->close;
	applied_is($sender->reply, '1 0 0', "$name: the first is answered");
	$place = place($id);
	applied_is(deliver($node, $body, @proof), '1 0 0', "$name: then the replay is");
	is(place($id), $place, "$name: and has not touched the row");

	set_settings($node, lock_timeout => '50ms');
	poll(sub { $watch->run('SHOW cxone_sync.lock_timeout') eq '50ms' }, 'the lock_timeout is set');
	$lock = lock_row($id);
	$body = events_json({ id => $id, email => 'j@k.l' });
	@proof = proof($body, id => "msg_sent_back_$name");
	retry_is(deliver($node, $body, @proof), "$name: one that is sent back");
	$lock->close;
	$repeated = counter('repeated');
	applied_is(deliver($node, $body, @proof), '1 0 0', "$name: is written when it comes again");
	is(counter('repeated'), $repeated, "$name: which is no repetition");
	is(sql($node, "SELECT email FROM cxone_sync.contact_records WHERE id = '$id'"), 'j@k.l', "$name: it is there");
	set_settings($node, lock_timeout => '30s');
	poll(sub { $watch->run('SHOW cxone_sync.lock_timeout') eq '30s' }, 'the lock_timeout is set back');
}

# the id of nexus is not signed: whoever has seen a delivery may send it with an id to come
{
	my $seen = new_body();
	my ($signature) = proof($seen, time => my $time = now());
	my @claimed = ("X-Nexus-Timestamp: $time", 'X-Nexus-Delivery-Id: msg_to_come');
	applied_is(deliver($node, $seen, $signature, @claimed), '1 0 0', 'a delivery under the id of another');
	my $id = new_id();
	applied_is(send_proved(event($id), id => 'msg_to_come'), '1 0 0', 'does not take its place');
	is(rows($id), '1', 'which is written');
	my $repeated = counter('repeated');
	applied_is(deliver($node, $seen, $signature, "X-Nexus-Timestamp: $time"), '1 0 0', 'without an id there are no replays to know');
	is(counter('repeated'), $repeated, 'and none is counted');
}

{
	my ($body, %o) = (new_body(), id => 'msg_restart');
	my @proof = proof($body, %o);
	applied_is(deliver($node, $body, @proof), '1 0 0', 'one before a restart of the worker');
	my $pid = worker_pid($node);
	sql($node, "SELECT pg_terminate_backend($pid)");
	poll(sub { my $new = worker_pid($node); return $new && $new ne $pid; }, 'another worker');
	wait_for_state($node, 'running');
	my $repeated = counter('repeated');
	applied_is(deliver($node, $body, @proof), '1 0 0', 'gets the same answer after it');
	is(counter('repeated'), $repeated + 1, 'as it is remembered');
	$watch->close;
	$node->restart;
	$watch = open_session($node);
	wait_for_state($node, 'running');
	applied_is(deliver($node, $body, @proof), '1 0 0', 'and is taken once more after one of the server');
	is(counter('repeated'), '0', 'as a new one');
	sql($node, 'BEGIN; DROP EXTENSION cxone_sync; DROP TABLE cxone_sync.contact_records; CREATE EXTENSION cxone_sync; COMMIT');
	poll(sub { deliver($node, $body, @proof); return sql($node, 'SELECT count(*) FROM cxone_sync.contact_records') eq '1'; }, 'and by another extension, which has not its row');
}

# ---- a worker that ends while a delivery is tried by itself ----

# What a trigger refuses is tried in a transaction of its own, and those behind it wait meanwhile. The first batch counts the tries,
# and the last one of the second batch goes on until its worker ends. Four deliveries fill a batch.
use_method('standard_webhooks', flush_interval => '5s', batch_size => 4);
{
	sql($node, <<'SQL');
CREATE SEQUENCE public.tries;
CREATE TABLE public.picky (id text PRIMARY KEY, updated_ts timestamptz);
CREATE FUNCTION public.refuse() RETURNS trigger LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
	IF nextval('tries') = current_setting('picky.sleeps_at', true)::bigint THEN
		PERFORM pg_sleep(600);
	END IF;
	RAISE EXCEPTION 'refused';
END $$;
CREATE TRIGGER refuse BEFORE INSERT ON public.picky FOR EACH ROW EXECUTE FUNCTION public.refuse();
ALTER TABLE public.picky OWNER TO cxone_sync;
GRANT ALL ON SEQUENCE public.tries TO cxone_sync;
SELECT cxone_sync.add_target('picky', 'public.picky', '{id}', event_types => '{picky}');
SQL
	my $send_batch = sub {
		my $name = shift;
		my @deliveries = map { my $body = events_json({ eventType => $_ ? 'contact' : 'picky', id => "$name $_", email => 'x' x 1000 }); [ $body, proof($body, id => "msg_$name$_") ] } 0 .. 3;
		my @senders = map { my $sender = connect_to($node); $sender->send(delivery_text(@$_)); $sender } @deliveries;
		return (\@deliveries, \@senders);
	};
	my (undef, $senders) = $send_batch->('counted');
	is(join(',', map { counts_of($_->reply) } @$senders), '0 0 1,1 0 0,1 0 0,1 0 0', 'a batch of one that is refused, and others');
	my $tries = sql($node, 'SELECT last_value FROM public.tries');
	cmp_ok($tries, '>', 1, 'that one is tried by itself');
	sql($node, "SELECT setval('public.tries', 1, false); ALTER FUNCTION public.refuse() SET picky.sleeps_at = '$tries'");
	my $pid = worker_pid($node);
	(my $deliveries, $senders) = $send_batch->('ended');
	poll(sub { sql($node, "SELECT wait_event FROM pg_stat_activity WHERE pid = $pid") eq 'PgSleep' }, 'it is tried by itself');
	is(sql($node, "SELECT last_value FROM public.tries"), $tries, 'for the last time');
	sql($node, "SELECT pg_terminate_backend($pid)");
	sql($node, "SELECT pg_terminate_backend($pid)") if poll(sub { status_of($node, 'not_ready_because') =~ /stopping/ }, 'the worker is asked to end, twice');
	retry_is($senders->[$_]->reply, "delivery $_ of the batch of a worker that ends") for 0 .. 3;
	poll(sub { my $new = worker_pid($node); return $new && $new ne $pid; }, 'another worker');
	wait_for_state($node, 'running');
	is(sql($node, 'SELECT queued_deliveries, queued_bytes, oldest_waiting IS NULL FROM cxone_sync.sync_status'), '0|0|t', 'nothing of the old one is left');
	set_settings($node, flush_interval => 0, batch_size => 1000);
	is(join(',', map { counts_of(deliver($node, @$_)) } @$deliveries), '0 0 1,1 0 0,1 0 0,1 0 0', 'each is taken when it is sent again');
	sql($node, "SELECT cxone_sync.remove_target('picky')");
}

# ---- rotation ----

foreach my $name (qw(cxone_signature bearer))
{
	use_method($name);
	my $connection = connect_to($node);
	my $old = sub { my $body = new_body(); return $connection->deliver($body, proof($body)); };
	my $new = sub { my $body = new_body(); return $connection->deliver($body, proof($body, key => $secrets{coming})); };
	is($old->()->{status} . $new->()->{status}, '200401', "$name: one secret");
	secret_file('webhook_secret', "\n $secret\r\n\n$secrets{coming}  \n");
	is($new->()->{status}, 401, "$name: a file is not read before a reload");
	$node->reload;
	poll(sub { return $new->()->{status} == 200; }, "$name: the coming secret");
	is($old->()->{status}, 200, "$name: both are good");
	secret_file('webhook_secret', $secrets{coming});
	$node->reload;
	poll(sub { return $old->()->{status} == 401; }, "$name: the old one is dropped");
	is($new->()->{status}, 200, "$name: the new one stays, on the same connection");
	$connection->close;
}
{
	set_settings($node, webhook_secret_file => '', webhook_secret => $secrets{coming}, authentication => 'bearer');
	poll(sub { my $body = new_body(); return deliver($node, $body, "Authorization: Bearer $secrets{coming}")->{status} == 200; }, 'a secret as a setting');
	set_settings($node, webhook_secret => $secret);
	poll(sub { return send_proved(new_body())->{status} == 200; }, 'another one');
	is(deliver($node, new_body(), "Authorization: Bearer $secrets{coming}")->{status}, 401, 'in place of the one before');
}

# ---- who may look ----

sql($node, 'CREATE ROLE plain LOGIN; CREATE ROLE watcher LOGIN; GRANT pg_monitor TO watcher');
my $all_settings = q{SELECT * FROM pg_settings WHERE name LIKE 'cxone_sync.%'};
is(sql($node, 'SHOW cxone_sync.webhook_secret'), '********', 'a superuser sees that there is a secret');
foreach my $role (qw(plain watcher postgres))
{
	my ($rc, $out, $error) = $node->psql('postgres', 'SHOW cxone_sync.webhook_secret', $role eq 'postgres' ? () : (extra_params => [ '-U', $role ]));
	like($error, qr/permission denied|must be/, "$role may not SHOW it") if $role eq 'plain';
	push @seen, $out, $error;
	($rc, $out, $error) = $node->psql('postgres', "$all_settings; SELECT * FROM cxone_sync.sync_status; SELECT * FROM cxone_sync.sync_counters; SELECT * FROM pg_stat_activity; SHOW ALL",
		on_error_stop => 0, $role eq 'postgres' ? () : (extra_params => [ '-U', $role ]));
	push @seen, $out, $error;
	($rc, $out, $error) = $node->psql('postgres', 'SELECT * FROM pg_file_settings', extra_params => [ '-U', $role ]);
	like($error, qr/permission denied/, "$role may not read pg_file_settings") if $role eq 'plain';
}
# Empty if the process has gone, as the session that asked for it has.
sub command_line { my $pid = shift; open my $in, '<', "/proc/$pid/cmdline" or return ''; local $/; return <$in> // ''; }
push @seen, map { command_line($_) } split /\n/, sql($node, 'SELECT pid FROM pg_stat_activity');

# ---- real senders ----

SKIP:
{
	skip 'npm is not there', 7 unless CxoneSync::Browser::find('npm') && CxoneSync::Browser::find('node');
	set_settings($node, webhook_secret => '', webhook_secret_file => $file);
	use_method('standard_webhooks');
	my $directory = "$tmp_check/sender";
	mkdir $directory or die "$directory: $!";
	copy("$FindBin::RealBin/../sender/$_", "$directory/$_") or die "$_: $!" foreach qw(package.json package-lock.json standard_webhooks.mjs);
	system("npm ci --prefix '$directory' --cache '$directory/cache' --ignore-scripts --no-audit --no-fund >'$directory/log' 2>&1") == 0
	  or die 'the libraries of senders are not to be had: ' . slurp_file("$directory/log");
	my @ids = map { new_id() } 1 .. 6;
	my @deliveries = map {
		my $library = $_;
		({ library => $library, secret => $whsec, id => "msg_$library", body => event(shift @ids) },
			{ library => $library, secret => $secrets{other_whsec}, id => "msg_wrong_$library", body => event(shift @ids) },
			{ library => $library, secret => $whsec, id => "msg_odd_$library", body => qq( {"events":[{"id":"${\shift @ids}","first_name":"\x{e4}\x{1f600}"}]}\r\n) });
	} qw(svix standardwebhooks);
	my $task = "$directory/task.json";
	open my $out, '>', $task or die "$task: $!";
	print $out JSON::PP->new->utf8->encode({ url => 'http://127.0.0.1:' . webhook_port($node) . '/webhook', deliveries => \@deliveries });
	close $out;
	my @replies = split /\n/, `node '$directory/standard_webhooks.mjs' <'$task' 2>&1`;
	is(scalar(@replies), 6, 'a reply for each delivery') or diag(join "\n", @replies);
	foreach my $library (qw(svix standardwebhooks))
	{
		like(shift @replies // '', qr/^200 .*"applied":1\b/, "$library: what it signed is taken");
		is(shift @replies // '', '401 {"error":"not authenticated"}', "$library: what it signed with another secret is refused");
		like(shift @replies // '', qr/^200 .*"applied":1\b/, "$library: so is a body with odd letters taken");
	}
}

# ---- a secret file that is no good ----

set_settings($node, webhook_secret => '', webhook_secret_file => $file);
use_method('bearer');
my $away = "$file.away";
sub mend { rmdir $file if -d $file; unlink $file; rename $away, $file or die; return; }
sub nobody_listens { my ($host) = @_; return !CxoneSync::Http->new(webhook_port($node), $host); }
sub not_ready { return status_of($node, 'not_ready_because'); }
my @broken = (
	[ 'missing', sub { }, qr/could not be opened: No such file/ ],
	[ 'of no permissions', sub { secret_file('webhook_secret', $secret); chmod 0, $file }, $> == 0 ? qr/./ : qr/could not be opened: Permission denied/ ],
	[ 'for the world to read', sub { secret_file('webhook_secret', $secret); chmod 0644, $file }, qr/group or others have access/, qr/HINT:  Permissions have to be/ ],
	[ 'empty', sub { open my $out, '>', $file or die; chmod 0600, $file }, qr/it is empty/ ],
	[ 'of blank lines', sub { secret_file('webhook_secret', " \n\r\n\t") }, qr/there is no secret/, qr/HINT:  See cxone_sync\.authentication/ ],
	[ 'a directory', sub { mkdir $file }, qr/no regular file/ ]);
foreach my $case (@broken)
{
	my ($what, $break, $problem, $hint) = @$case;
	my $connection = connect_to($node);
	my $body = new_body();
	is($connection->deliver($body, proof($body))->{status}, 200, "before a file that is $what");
	rename $file, $away or die;
	$break->();
	my $position = log_position($node);
	$node->reload;
	wait_for_log($node, qr/WARNING:  cxone_sync: senders are authenticated as before: .*$problem/, $position);
	wait_for_log($node, $hint, $position) if $hint;
	applied_is($connection->deliver($body = new_body(), proof($body)), '1 0 0', "a file that is $what at a reload: the secret before stays in force");
	denied_is(deliver($node, $body = new_body(), proof($body, key => $secrets{wrong})), 'wrong_credentials', "a file that is $what at a reload")
	  if $counted = credentials_counted();
	is(not_ready(), '', "a file that is $what at a reload: still ready");
	like(status_of($node, 'last_error'), $problem, "a file that is $what at a reload: the last error");
	$connection->close;

	$position = log_position($node);
	$node->stop('fast');
	$node->start;
	wait_for_state($node, 'waiting');
	ok(nobody_listens(), "a file that is $what at the start: nobody listens");
	like(not_ready(), qr/senders cannot be authenticated: .*$problem/, "a file that is $what at the start: not ready");
	wait_for_log($node, qr/WARNING:  cxone_sync: senders cannot be authenticated: .*$problem/, $position);
	wait_for_log($node, $hint, $position) if $hint;
	mend();
	$node->reload;
	wait_for_state($node, 'running');
	is(send_proved(new_body())->{status}, 200, "a file that is $what at the start: a reload mends it");
	is(not_ready(), '', "a file that is $what at the start: and it is ready");
	watch_again();
}
$counted = credentials_counted();

# ---- what is missing ----

set_settings($node, authentication => 'none');
poll(sub { return deliver($node, new_body())->{status} == 200; }, 'no authentication on a loopback address');
foreach my $case (
	[ { authentication => 'basic', authentication_user => '' }, qr/there is no user/ ],
	[ { authentication => 'header', authentication_header => '' }, qr/there is no name of a header/ ],
	[ { authentication => 'custom', signature_header => '' }, qr/no name of a header for the signature/ ],
	[ { authentication => 'custom', signature_header => 'X-Own', signed_content => '{timestamp}{body}', timestamp_header => '' }, qr/no name of a header for the signed time/ ],
	[ { authentication => 'custom', signed_content => '{id}{body}', id_header => '' }, qr/no name of a header for the signed id/ ],
	[ { authentication => 'standard_webhooks' }, qr/a secret is not base64/ ],
	[ { authentication => 'bearer', webhook_secret_file => '' }, qr/webhook_secret is not set/ ])
{
	my ($settings, $problem) = @$case;
	my $open = connect_to($node);
	secret_file('webhook_secret', 'no base64!');
	set_settings($node, %$settings);
	poll(sub { return nobody_listens(); }, "$problem: nobody listens");
	like(not_ready(), qr/senders cannot be authenticated: .*$problem/, "$problem: the reason");
	retry_is($open->deliver(new_body()), "$problem: an open connection");
	set_settings($node, authentication => 'none');
	poll(sub { return deliver($node, new_body())->{status} == 200; }, "$problem: it listens again");
	secret_file('webhook_secret', $secret);
}
set_settings($node, webhook_secret_file => $file);
foreach my $bad ("signed_content = '{timestamp}'", "signature_header = 'X Own'", "authentication = 'sha1'", "listen_address = 'localhost'", "signature_tolerance = 0")
{
	my ($rc, $out, $error) = $node->psql('postgres', "ALTER SYSTEM SET cxone_sync.$bad");
	like($error, qr/invalid value|outside the valid range/, "$bad is refused");
}

# ---- for other machines ----

my $other = '127.0.0.2';
my $own = do { my $socket = IO::Socket::INET->new(Proto => 'udp', PeerAddr => '192.0.2.1', PeerPort => 9); $socket ? $socket->sockhost : undef };
my $from_afar = $own && $own !~ /^127\./ ? $own : undef;

my $open = connect_to($node);
my $position = log_position($node);
my $closed = counter('retry_later', 'closed');
set_settings($node, listen_address => '0.0.0.0');
poll(sub { return nobody_listens(); }, '0.0.0.0 without authentication: nobody listens');
ok(nobody_listens($other), '0.0.0.0 without authentication: nor at another address');
like(not_ready(), qr/senders are not authenticated, and 0\.0\.0\.0 is no loopback address/, '0.0.0.0 without authentication: not ready');
wait_for_log($node, qr/WARNING:  cxone_sync: senders are not authenticated, and 0\.0\.0\.0 .*\n.*HINT:  Set cxone_sync\.authentication/, $position);
retry_is($open->deliver(new_body()), '0.0.0.0 without authentication: a connection that was open');
one_more($closed, 'retry_later', 'closed', 'which is counted');
$node->restart;
wait_for_state($node, 'waiting');
ok(nobody_listens(), '0.0.0.0 without authentication: nobody listens after a restart');
watch_again();

use_method('bearer');
wait_for_state($node, 'running');
sub from { my ($host, $body, @headers) = @_; my $connection = CxoneSync::Http->new(webhook_port($node), $host) or return { status => 0, error => "$!", headers => {}, body => '' }; return $connection->deliver($body, @headers); }
foreach my $host ('127.0.0.1', $other, $from_afar // ())
{
	my $body = new_body();
	my $name = $host eq ($from_afar // '') ? 'the address of this machine' : $host;
	is(from($host, $body)->{status}, 401, "0.0.0.0 with authentication: at $name, no credentials");
	applied_is(from($host, $body, proof($body)), '1 0 0', "0.0.0.0 with authentication: at $name");
}

# from a loopback address to all, and back, at one stroke
set_settings($node, listen_address => '127.0.0.1');
poll(sub { return nobody_listens($other); }, '127.0.0.1 with authentication: at no other address');
poll(sub { return send_proved(new_body())->{status} == 200; }, '127.0.0.1 with authentication');
set_settings($node, listen_address => '0.0.0.0');
poll(sub { return !nobody_listens($other); }, '0.0.0.0 once more');

SKIP:
{
	skip 'this machine has no address but loopback', 6 unless $from_afar;
	my $afar = CxoneSync::Http->new(webhook_port($node), $from_afar);
	my $body = new_body();
	applied_is($afar->deliver($body, proof($body)), '1 0 0', 'a connection from afar');
	set_settings($node, listen_address => '127.0.0.1', authentication => 'none');
	poll(sub { return deliver($node, new_body())->{status} == 200; }, 'no authentication on a loopback address again');
	retry_is($afar->deliver(new_body()), 'the connection from afar is not trusted');
	ok(nobody_listens($from_afar), 'and there are no new ones');
	set_settings($node, listen_address => '0.0.0.0', authentication => 'bearer');
	poll(sub { return from($from_afar, $body = new_body(), proof($body))->{status} == 200; }, 'with authentication again');
	applied_is($afar->deliver($body = new_body(), proof($body)), '1 0 0', 'the connection from afar is of use again');
}

$open = connect_to($node);
set_settings($node, authentication => 'none');
poll(sub { return nobody_listens(); }, '0.0.0.0, authentication taken away: nobody listens');
retry_is($open->deliver(new_body()), '0.0.0.0, authentication taken away: a connection that was open');
set_settings($node, listen_address => '127.0.0.1');
poll(sub { return deliver($node, new_body())->{status} == 200; }, 'a loopback address again');

# ---- what the log says ----

my $log = slurp_file($node->logfile);
like($log, qr/LOG:  cxone_sync: \d+ requests? (?:was|were) not taken as (?:a delivery|deliveries)\n.*DETAIL:  By reason: .*(?:no|wrong)_credentials \d+/, 'refusals are in the log, in summary');
unlike($log, qr/delivery not taken/, 'and none by itself');
$node->append_conf('postgresql.conf', "log_min_messages = debug1\n");
use_method('standard_webhooks');
denied_is(deliver($node, new_body()), 'no_credentials', 'at debug1');
denied_is(send_proved(new_body(), key => $secrets{other_whsec}), 'wrong_credentials', 'at debug1');
applied_is(send_proved(new_body()), '1 0 0', 'at debug1');
use_method('basic', authentication_user => 'nice');
denied_is(send_proved(new_body(), key => $secrets{wrong}), 'wrong_credentials', 'at debug1');
wait_for_log($node, qr/DEBUG:  cxone_sync: delivery not taken: \{"error":"not authenticated"\}/);
$watch->close;
stop_and_check($node);
push @seen, slurp_file($node->logfile);
my $seen = join "\n", @seen;
foreach my $value (values %secrets, $raw_key, map { s/^whsec_//r } $whsec, $secrets{other_whsec})
{
	foreach my $form ($value, base64($value), base64("nice:$value"), unpack('H*', $value))
	{
		# log lines have the time of day and may have the name of a test's file, never a secret
		ok(index($seen, $form) < 0, 'a secret shows up nowhere') or diag(substr $seen, index($seen, $form) - 200, 400);
	}
}
unlike($seen, qr/v1,[A-Za-z0-9+\/]{43}=|\b[0-9a-f]{64}\b/, 'nor does a signature');
done_testing();
