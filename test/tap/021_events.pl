# Events that only raw JSON can express (jsonb would not hold them), what becomes of a bad event among good ones, and
# columns that come and go while deliveries arrive.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use Test::More;

my $node = start_node('events', max_events => 5000);
my $connection = connect_to($node);
my $records = 'cxone_sync.contact_records';
my $letters = 'cxone_sync.dead_letters';

sub deliver_events { return $connection->deliver(events_json(@_)); }

# ---- values ----

sql($node, "ALTER TABLE $records ADD note text, ADD amount numeric, ADD score double precision, ADD visits bigint,
	ADD active boolean, ADD born date, ADD tags text[], ADD details jsonb, ADD raw_details json");

# What a JSON value becomes in a column, or the SQLSTATE that its event becomes a dead letter with.
my $value_number = 0;
sub value_is
{
	my ($column, $json, $expected, $name) = @_;
	my $id = 'value' . ++$value_number;
	my $event = qq({"id":"$id","$column":$json});
	my $counts = counts_of(deliver_events($event));
	my $result = $counts eq '1 0 0' ? sql($node, "SELECT coalesce($column\::text, 'NULL') FROM $records WHERE id = '$id'")
	  : $counts eq '0 0 1' ? sql($node, "SELECT sqlstate || ' ' || column_name FROM $letters WHERE payload = \$q\$$event\$q\$")
	  : $counts;
	$expected .= " $column" if $expected =~ /^[0-9A-Z]{5}$/ && $expected =~ /^2/ && $counts eq '0 0 1';
	return is($result, $expected, $name || "$column of " . (length $json > 60 ? substr($json, 0, 57) . '…' : $json));
}

my $digits400 = '9' x 400;
value_is('amount', '900719925474010002', '900719925474010002');
value_is('amount', '0.1000000000000000055511151231257827', '0.1000000000000000055511151231257827');
value_is('amount', '1.50', '1.50');
value_is('amount', $digits400, $digits400);
value_is('amount', '1e400', '1' . '0' x 400);
value_is('amount', '"12.5"', '12.5');
value_is('amount', '1e400000', '22003');
value_is('amount', '"twelve"', '22P02');
value_is('amount', '""', '22P02');
value_is('amount', 'true', '22P02');
value_is('note', '1e400', '1e400');
value_is('note', $digits400, $digits400);
value_is('note', '900719925474010002', '900719925474010002');
value_is('note', '-0', '-0');
value_is('note', '1.0', '1.0');
value_is('note', 'true', 'true');
value_is('note', 'null', 'NULL');
value_is('note', '""', '');
value_is('note', '" "', ' ');
value_is('note', '"\ud83d\ude00 \u00e9\/\"\\\\\t"', "\xf0\x9f\x98\x80 \xc3\xa9/\"\\\t", 'escapes of all kinds');
value_is('note', '{ "a" : [1, 2.0] }', '{ "a" : [1, 2.0] }');
value_is('score', '1e400', '22003');
value_is('score', '1e308', '1e+308');
value_is('visits', '9223372036854775807', '9223372036854775807');
value_is('visits', '9223372036854775808', '22003');
value_is('visits', '1.5', '22P02');
value_is('active', '"True"', 'true');
value_is('active', 'false', 'false');
value_is('active', '"perhaps"', '22P02');
value_is('born', '"2024-02-29"', '2024-02-29');
value_is('born', '"2023-02-29"', '22007');
value_is('tags', '["a","b c",null,"\"x\"","{}"]', '{a,"b c",NULL,"\"x\"","{}"}');
value_is('tags', '[]', '{}');
value_is('tags', '"a"', '22P02');
value_is('details', '{"b": 1.00, "a": 900719925474010002}', '{"a": 900719925474010002, "b": 1.00}');
value_is('details', '"text"', '"text"');
value_is('details', 'null', 'NULL');
value_is('raw_details', '{"b": 1.00, "b" : 1e400}', '{"b": 1.00, "b" : 1e400}');

# What no text can hold, wherever in a column's value it is.
foreach my $case (
	[ '"note":"a\u0000b"', 'NUL in a value' ],
	[ '"note":"\ud800"', 'half a surrogate pair' ],
	[ '"note":"\udc00\ud800"', 'surrogates in the wrong order' ],
	[ '"note":"\ud800x"', 'half a surrogate pair before text' ],
	[ '"details":{"a":[{"b":"\u0000"}]}', 'NUL deep in a value' ],
	[ '"details":{"a\u0000":1}', 'NUL in a key' ])
{
	my ($member, $name) = @$case;
	my $id = 'text' . ++$value_number;
	my $event = qq({"id":"$id", $member});
	is(counts_of(deliver_events("{\"id\":\"$id\"}", $event, "{\"id\":\"${id}b\"}")), '2 0 1', "$name: one dead letter, its neighbours go in");
	my ($column) = $member =~ /"(\w+)"/;
	is(sql($node, "SELECT sqlstate, target, event_key, column_name, message ~ '^\"$column\" ' FROM $letters WHERE payload = \$q\$$event\$q\$"),
		"22P05|contact_records|$id|$column|t", "$name: SQLSTATE, exact text, and where it is");
}
is(counts_of(deliver_events('{"id":"unheld","note":"n","nobody":"\u0000","who\ud800":1,"some":{"one":["\udc00"]},"else":2}')), '1 0 0', 'where no column takes it, it costs nothing');
is(sql($node, "SELECT note, extra FROM $records WHERE id = 'unheld'"), 'n|{"else": 2}', 'but itself');
is(sql($node, q(SELECT string_agg(key, ' ' ORDER BY key COLLATE "C") FROM cxone_sync.unmapped_keys WHERE key ~ '^(nobody|who|some|else)')), 'else nobody some who\ud800',
	'and is known as unmapped');

# The last of two equal keys counts, as in jsonb; a key that is the column's name goes before its camelCase form.
is(counts_of(deliver_events('{"id":"twice","note":"a","id":"twice2","note":"b"}')), '1 0 0', 'duplicate keys');
is(sql($node, "SELECT id, note FROM $records WHERE id LIKE 'twice%'"), 'twice2|b', 'the last one counts');
is(counts_of(deliver_events('{"id":"form","first_name":"exact","firstName":"camel"}')), '1 0 0', 'both forms of a name');
is(sql($node, "SELECT first_name FROM $records WHERE id = 'form'"), 'exact', 'the exact one counts');
is(counts_of(deliver_events('{"id":900719925474010002,"note":"n"}')), '1 0 0', 'an id that is a number');
is(sql($node, "SELECT note FROM $records WHERE id = '900719925474010002'"), 'n', 'keeps its digits');
is(counts_of(deliver_events('{"id":"c\u00e9","note":"n"}', "{\"id\":\"c\xc3\xa9\",\"note\":\"m\"}")), '2 0 0', 'one id in two spellings');
is(sql($node, "SELECT string_agg(note, ',') FROM $records WHERE id LIKE 'c_' AND id > 'cz'"), 'm', 'is one row');
is(counts_of(deliver_events('{"id":"' . 'k' x 3000 . '","note":"long"}')), '1 0 0', 'a long id that compresses')
  or diag(sql($node, "SELECT sqlstate, message FROM $letters ORDER BY id DESC LIMIT 1"));
my $noise = join '', map { chr(97 + int rand 26) } 1 .. 12_000;
is(counts_of(deliver_events("{\"id\":\"$noise\"}", '{"id":"afternoise"}')), '1 0 1', 'an id too long for the index is a dead letter');
is(sql($node, "SELECT sqlstate, event_key = '$noise' FROM $letters ORDER BY id DESC LIMIT 1"), '54000|t', 'with its reason and key');

# ---- refusals ----

sql($node, "ALTER TABLE $records ADD grade text CHECK (grade <> 'F'), ADD code text UNIQUE, ADD region text NOT NULL DEFAULT 'eu',
	ADD short varchar(3)");
sql($node, "CREATE FUNCTION cxone_sync.refuse_dodo() RETURNS trigger LANGUAGE plpgsql AS \$\$
	BEGIN IF NEW.note = 'dodo' THEN RAISE EXCEPTION 'dodos are extinct' USING ERRCODE = 'P0042', COLUMN = 'note'; END IF; RETURN NEW; END \$\$;
	CREATE TRIGGER refuse_dodo BEFORE INSERT OR UPDATE ON $records FOR EACH ROW EXECUTE FUNCTION cxone_sync.refuse_dodo()");
is(counts_of(deliver_events('{"id":"owner","code":"taken"}')), '1 0 0', 'a row that has the unique value');

# text => [ SQLSTATE, message, column, key, time, target ]
my @refusals = (
	'"text"' => [ '22023', qr/not a JSON object/, '', '', '', '' ],
	'null' => [ '22023', qr/not a JSON object/, '', '', '', '' ],
	'17' => [ '22023', qr/not a JSON object/, '', '', '', '' ],
	'["id", "x"]' => [ '22023', qr/not a JSON object/, '', '', '', '' ],
	'{ }' => [ '23502', qr/has no "id"/, 'id', '', '' ],
	'{"note" : "no id"}' => [ '23502', qr/has no "id"/, 'id', '', '' ],
	'{"id":null}' => [ '23502', qr/has no "id"/, 'id', '', '' ],
	'{"id" :  ""}' => [ '22023', qr/empty/, 'id', '', '' ],
	'{"id":true}' => [ '22023', qr/neither a string nor a number/, 'id', '', '' ],
	'{"id":["x"]}' => [ '22023', qr/neither a string nor a number/, 'id', '', '' ],
	'{"id":"r1","timestamp":"yesterday"}' => [ '22007', qr/"timestamp"/, 'updated_ts', 'r1', '' ],
	'{"id":"r2","timestamp":"infinity"}' => [ '22007', qr/"timestamp"/, 'updated_ts', 'r2', '' ],
	'{"id":"r3","timestamp":17}' => [ '22007', qr/"timestamp"/, 'updated_ts', 'r3', '' ],
	'{"id":"r4","timestamp":"2022-12-12T14:41:45+0,0:00"}' => [ '22007', qr/"timestamp"/, 'updated_ts', 'r4', '' ],
	'{"id":"r5","timestamp":""}' => [ '22007', qr/"timestamp"/, 'updated_ts', 'r5', '' ],
	'{"id":"r6","timestamp":"2999-01-01T00:00:00Z"}' => [ '22008', qr/future/, 'updated_ts', 'r6', '2999-01-01 00:00:00+00' ],
	'{"id":"r7","visits":"many","timestamp":"2024-01-01T00:00:00Z"}' => [ '22P02', qr/many/, 'visits', 'r7', '2024-01-01 00:00:00+00' ],
	'{"id":"r8","short":"four"}' => [ '22001', qr/too long/, 'short', 'r8', '' ],
	'{"id":"r9","grade":"F"}' => [ '23514', qr/check constraint/, '', 'r9', '' ],
	'{"id":"r10","region":null}' => [ '23502', qr/null value in column "region"/, 'region', 'r10', '' ],
	'{"id":"r11","code":"taken"}' => [ '23505', qr/duplicate key/, '', 'r11', '' ],
	'{"id":"r12", "note":"dodo"}' => [ 'P0042', qr/extinct/, 'note', 'r12', '' ]);

sub letter_of
{
	my $event = shift;
	return sql($node, "SET timezone = 'UTC'; SELECT sqlstate, coalesce(column_name, ''), coalesce(event_key, ''), coalesce(event_time::text, ''),
		coalesce(target, ''), attempts, received_at > now() - interval '10 minutes', message FROM $letters WHERE payload = \$q\$$event\$q\$");
}

my %refusals = @refusals;
my $case_number = 0;
for (my $i = 0; $i < @refusals; $i += 2)
{
	my ($event, $expected) = @refusals[ $i, $i + 1 ];
	my ($state, $message, $column, $key, $time, $target) = (@$expected, 'contact_records');
	my $n = ++$case_number;
	is(counts_of(deliver_events("{\"id\":\"before$n\"}", $event, "{\"id\":\"after$n\"}")), '2 0 1', "$event: one dead letter");
	my @letter = split /\|/, letter_of($event), 8;
	is(join('|', @letter[ 0 .. 6 ]), "$state|$column|$key|$time|$target|1|t", "$event: the letter");
	like($letter[7] || '', $message, "$event: its message");
}
is(sql($node, "SELECT count(*) FROM $records WHERE id ~ '^(before|after)\\d+\$'"), 2 * $case_number, 'all neighbours are committed');
is(sql($node, "SELECT count(*) FROM $records WHERE id ~ '^r\\d+\$'"), '0', 'nothing of the bad ones is');

# All of them in one delivery, between good ones.
sql($node, "TRUNCATE $letters");
is(counts_of(deliver_events(map { ("{\"id\":\"mixed$_\"}", $refusals[ 2 * $_ ]) } 0 .. $case_number - 1)),
	"$case_number 0 $case_number", 'all kinds of bad events in one delivery');
is(sql($node, "SELECT count(DISTINCT payload) FROM $letters"), $case_number, 'each has its letter');
is(join(' ', sort split /\n/, sql($node, "SELECT sqlstate FROM $letters")),
	join(' ', sort map { $_->[0] } values %refusals), 'with its own reason');

# Two events of one delivery quarrel over a unique value: one wins.
is(counts_of(deliver_events('{"id":"q1","code":"q"}', '{"id":"q2","code":"q"}')), '1 0 1', 'one unique value in two events');
is(sql($node, "SELECT count(*) FROM $records WHERE code = 'q'"), '1', 'one of them has it');

# A bad event after a good one of the same id leaves the good one.
is(counts_of(deliver_events('{"id":"same","note":"good"}', '{"id":"same","note":"bad","grade":"F"}')), '1 0 1', 'a bad event after a good one of its id');
is(sql($node, "SELECT note FROM $records WHERE id = 'same'"), 'good', 'the good one stays');

# Privacy: the reply and the log do not repeat what events hold.
unlike(PostgreSQL::Test::Utils::slurp_file($node->logfile), qr/cxone_sync:.*(?:dodo|extinct|yesterday|many)/, 'the log does not hold their contents');

# ---- columns come and go ----

is(counts_of(deliver_events('{"id":"col","phone":"1","mobilePhone":"2"}')), '1 0 0', 'keys that feed no column yet');
sql($node, "ALTER TABLE $records ADD phone text");
is(counts_of(deliver_events('{"id":"col","phone":"3","mobilePhone":"4"}')), '1 0 0', 'the next event after ADD COLUMN');
is(sql($node, "SELECT phone FROM $records WHERE id = 'col'"), '3', 'fills it');
sql($node, "ALTER TABLE $records RENAME phone TO mobile_phone");
is(counts_of(deliver_events('{"id":"col","phone":"5","mobilePhone":"6"}')), '1 0 0', 'after RENAME COLUMN');
is(sql($node, "SELECT mobile_phone FROM $records WHERE id = 'col'"), '6', 'its new name is fed');
sql($node, "ALTER TABLE $records ALTER mobile_phone TYPE bigint USING mobile_phone::bigint");
is(counts_of(deliver_events('{"id":"col","mobilePhone":"x"}', '{"id":"col","mobilePhone":77}')), '1 0 1', 'after a change of type');
is(sql($node, "SELECT mobile_phone FROM $records WHERE id = 'col'"), '77', 'the new type decides');
sql($node, "ALTER TABLE $records DROP mobile_phone");
is(counts_of(deliver_events('{"id":"col","mobilePhone":"x","note":"after"}')), '1 0 0', 'after DROP COLUMN');
is(sql($node, "SELECT note FROM $records WHERE id = 'col'"), 'after', 'the other columns are fed');
is(sql($node, "SELECT pid FROM cxone_sync.sync_status"), worker_pid($node), 'all that by one process');

# Columns that come and go under load: no delivery is lost, none fails.
my $changer = open_session($node);
my $pid = worker_pid($node);
my @answers;
foreach my $round (1 .. 10)
{
	$changer->start("ALTER TABLE $records ADD hot text; ALTER TABLE $records DROP hot");
	push @answers, counts_of(deliver_events(map { "{\"id\":\"hot$round.$_\",\"hot\":\"x\"}" } 1 .. 50)) foreach 1 .. 3;
	$changer->finish;
}
$changer->close;
is(join(',', grep { $_ ne '50 0 0' } @answers), '', 'columns that come and go under load');
is(worker_pid($node), $pid, 'with the same worker');

# ---- sizes ----

# A sender decides which columns its events carry: 200 sets of columns in one delivery.
my @columns = map { "s$_" } 0 .. 7;
sql($node, "ALTER TABLE $records " . join(', ', map { "ADD $_ text" } @columns));
my @sets = map { my $set = $_; { id => "set$set", map { $columns[$_] => "v$set" } grep { $set & (1 << $_) } 0 .. 7 } } 0 .. 199;
is(counts_of(deliver_events(@sets)), '200 0 0', '200 sets of columns in one delivery');
is(sql($node, "SELECT count(*) FROM $records r, unnest(ARRAY[" . join(',', @columns) . "]) WITH ORDINALITY u(value, bit)
	WHERE id LIKE 'set%' AND (value IS NOT NULL) = ((substr(id, 4)::int >> (bit - 1)::int) & 1 = 1)
	AND coalesce(value, 'v' || substr(id, 4)) = 'v' || substr(id, 4)"), 1600, 'each filled what it carried and no more');

is(counts_of(deliver_events(map { { id => 'busy', note => "n$_" } } 1 .. 1000)), '1000 0 0', '1,000 events of one id');
is(sql($node, "SELECT note FROM $records WHERE id = 'busy'"), 'n1000', 'the last one stands');
is(counts_of(deliver_events(map { { id => 'busy2', note => "n$_", timestamp => sprintf('2024-01-01T00:%02d:%02dZ', $_ / 60, $_ % 60) } }
			reverse 1 .. 1000)), '1 999 0', '1,000 events of one id, newest first');
is(sql($node, "SELECT note FROM $records WHERE id = 'busy2'"), 'n1000', 'the newest stands');
is(counts_of(deliver_events(map { { id => 'busy3', $columns[ $_ % 8 ] => "n$_" } } 1 .. 1000)), '1000 0 0', '1,000 partial events of one id');
is(sql($node, "SELECT " . join(" || ' ' || ", @columns) . " FROM $records WHERE id = 'busy3'"),
	'n1000 n993 n994 n995 n996 n997 n998 n999', 'each column has its last value');

# 5,000 events, every tenth one bad, by turns of a value and of a constraint.
sql($node, "TRUNCATE $letters");
my @many = map { { id => "many$_", $_ % 10 ? (note => "n$_") : $_ % 20 ? (visits => 'bad') : (grade => 'F') } } 1 .. 5000;
is(counts_of(deliver_events(@many)), '4500 0 500', '5,000 events, 500 of them bad');
is(sql($node, "SELECT sqlstate, count(*), count(DISTINCT event_key) FROM $letters GROUP BY 1 ORDER BY 1"),
	"22P02|250|250\n23514|250|250", 'each bad one is a letter');
is(sql($node, "SELECT count(*) FROM $records WHERE id LIKE 'many%' AND note = 'n' || substr(id, 5)"), '4500', 'each good one is a row');
is(counts_of(deliver_events(map { { id => "allbad$_", grade => 'F' } } 1 .. 300)), '0 0 300', 'nothing but bad events');

is(status_of($node, 'queue_depth'), '0', 'nothing waits at the end');
is(sql($node, "SELECT sum(events) FROM cxone_sync.sync_lag WHERE status = 'failure'") > 800, 1, 'sync_lag counts the dead letters');

stop_and_check($node);
done_testing();
