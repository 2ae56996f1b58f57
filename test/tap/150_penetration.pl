# What somebody would try who means harm: a sender without and with the secret, the owner of a table, a user of the
# database, and whoever only reads. Each attempt is real, and what it must not reach is looked at afterwards.
# Of the list, 040_lifecycle has a trigger that changes its role, 020_endpoint and the unit tests of framing each malformed
# request, 092 and 130 the secrets of settings and files, privileges.sql what each grant allows.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $json = JSON::PP->new->canonical->utf8;
my $secret = 'swordfish-9f2c61';
my @known = ("Authorization: Bearer $secret");
my $node = start_node('penetration', authentication => 'bearer', webhook_secret_file => secret_file('webhook', $secret),
	statement_timeout => '2s', lock_timeout => '500ms');
my $superuser = sql($node, 'SELECT current_user');
$node->append_conf('postgresql.conf', "log_min_messages = debug1\nlog_error_verbosity = verbose\n");
$node->reload;

# Events that are of no other type are contacts.
sql($node, "SELECT cxone_sync.change_target('contact_records', 'cxone_sync.contact_records', '{id}', event_types => '{c}', kept_columns => '{sync_status}')");
sub body_of { my (@events) = @_; return $json->encode({ events => [ map { { eventType => 'c', %$_ } } @events ] }); }
sub deliver_known { my (@events) = @_; return deliver($node, body_of(@events), @known); }
sub psql_fails
{
	my ($query, $pattern, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($code, $out, $err) = $node->psql('postgres', $query);
	return like("$code $err", qr/^[13] .*(?:$pattern)/s, $name);
}

# What an attacker would like to have done, whoever did it.
sql($node, <<'SQL');
CREATE TABLE public.canary (id int PRIMARY KEY);
INSERT INTO public.canary VALUES (1);
CREATE TABLE public.loot (who name DEFAULT current_user, what text);
GRANT INSERT ON public.loot TO PUBLIC;
SQL
sub is_unharmed
{
	my $name = shift;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	is(sql($node, <<'SQL'), "1|0|0|$superuser", "$name: nothing is harmed");
SELECT (SELECT count(*) FROM public.canary), (SELECT count(*) FROM public.loot JOIN pg_roles ON rolname = who AND rolsuper),
	(SELECT count(*) FROM pg_roles WHERE rolname ~ '^(mallory|evil|cxone_sync)' AND (rolsuper OR rolcreaterole)),
	(SELECT string_agg(rolname, ',') FROM pg_roles WHERE rolsuper)
SQL
	return;
}

# ---- SQL in values, names of members and keys ----

my @sql = (
	q{'; DROP TABLE public.canary; --}, q{\'; DROP TABLE public.canary; --}, q{" OR "1"="1}, q{$$; DROP TABLE public.canary; $$},
	q{$1}, q{%s%n%p}, q{E'\\047'}, q{); DELETE FROM public.canary; --}, q{'||(SELECT 1/0)||'}, q{\x27; SELECT 1}, qq{\n; DROP TABLE public.canary;\n},
	q{/* */ ' */ --}, q{U&'\0027'}, q{{"a"}; DROP TABLE canary}, "\x{2019}; DROP TABLE public.canary", "\x{feff}'", ('x' x 5000) . q{'; DROP TABLE public.canary; --});
my $id = 0;
my @stored;
foreach my $conforming ('on', 'off')
{
	sql($node, "ALTER SYSTEM SET standard_conforming_strings = $conforming");
	sql($node, "ALTER SYSTEM SET backslash_quote = on");
	$node->reload;
	foreach my $text (@sql)
	{
		my %event = (id => 'v' . ++$id, email => $text, first_name => $text, $text => $text, nested => { $text => [$text] });
		is(counts_of(deliver_known(\%event, { id => "$text $id", email => 'k' })), '2 0 0', "SQL in values, keys and names, standard_conforming_strings $conforming, " . $id);
		push @stored, [ "v$id", $text ];
	}
}
my $rows = $json->decode(sql($node, "SELECT json_object_agg(id, email) FROM cxone_sync.contact_records WHERE id ~ '^v[0-9]+\$'"));
is(scalar(grep { $rows->{ $_->[0] } eq $_->[1] } @stored), scalar @stored, 'each is stored as what it is: text');
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE email = 'k'"), scalar @stored, 'also as keys');
is_unharmed('SQL in events');
sql($node, 'ALTER SYSTEM RESET ALL');
$node->reload;

# ---- names of tables, schemas, columns, targets ----

my @names = (q{a"; DROP TABLE public.canary; --}, q{quote's}, q{back\\slash}, "new\nline", q{$1}, q{%I}, 'SELECT', q{a.b}, "\x{e9}\x{4e2d}", 'x' x 63, q{ctid }, q{"}, q{''}, '; --', q{:x}, '{a,b}');
sub identifier { my $name = shift; return '"' . ($name =~ s/"/""/gr) . '"'; }
sub literal { my $text = shift; return "E'" . ($text =~ s/(['\\])/\\$1/gr) . "'"; }
sub wide_sql { my ($query) = @_; utf8::encode($query); return sql($node, $query); }
foreach my $name (@names)
{
	my $column = length $name == 63 ? 'value' : "value $name";
	my ($table, $quoted, $text, $column_text) = (identifier($name) . '.' . identifier($name), identifier($name), literal($name), literal($column));
	wide_sql(<<"SQL");
CREATE SCHEMA $quoted;
CREATE TABLE $table ($quoted text PRIMARY KEY, @{[ identifier($column) ]} text, updated_ts timestamptz, extra jsonb, field_times jsonb);
GRANT USAGE ON SCHEMA $quoted TO cxone_sync;
ALTER TABLE $table OWNER TO cxone_sync;
SELECT cxone_sync.add_target($text, format('%I.%I', $text, $text)::regclass, ARRAY[$text]::name[], event_types => ARRAY[$text]);
SELECT cxone_sync.map_field($text, $column_text, '/v');
SQL
	my $shown = $name =~ s/[^ -~]/?/gr;
	my %event = (eventType => $name, $name => 'key', other => 1);
	is(counts_of(deliver_known({ %event, v => "it's" }, { %event, v => 'again' })), '2 0 0', "a table called <$shown>");
	is(wide_sql("SELECT $quoted, @{[ identifier($column) ]} FROM $table"), 'key|again', 'has its row');
	is(wide_sql("SELECT outcome FROM cxone_sync.simulate(jsonb_build_object('events', jsonb_build_array(jsonb_build_object('eventType', $text, $text, 'key2'))))"),
		'applied', 'simulate takes it, too');
	wide_sql("SELECT cxone_sync.unmap_field($text, $column_text); SELECT cxone_sync.remove_target($text); DROP SCHEMA $quoted CASCADE");
}
is_unharmed('SQL in names');

# arguments of functions
sql($node, "CREATE TABLE public.plain (id text PRIMARY KEY, note text, extra jsonb, updated_ts timestamptz); ALTER TABLE public.plain OWNER TO cxone_sync");
foreach my $text (q{'; DROP TABLE public.canary; --}, q{"; DROP TABLE public.canary; --}, q{$$;}, q{\\}, "x\ny")
{
	my $quoted = "\$q\$$text\$q\$";
	psql_fails("SELECT cxone_sync.remove_target($quoted)", 'does not exist', 'remove_target');
	psql_fails("SELECT cxone_sync.map_field('contact_records', $quoted, '/x')", 'does not exist', 'map_field: column');
	psql_fails("SELECT cxone_sync.map_field('contact_records', 'email', $quoted)", 'JSON pointer', 'map_field: pointer');
	psql_fails("SELECT cxone_sync.add_target('t', $quoted, '{id}')", 'invalid|syntax|does not exist', 'add_target: relation');
	psql_fails("SELECT cxone_sync.add_target('t', 'public.plain', ARRAY[$quoted]::name[])", 'does not exist', 'add_target: key');
	psql_fails("SELECT cxone_sync.add_target('t', 'public.plain', '{id}', order_column => $quoted)", 'does not exist', 'add_target: order');
	psql_fails("SELECT cxone_sync.add_target('t', 'public.plain', '{id}', event_types => '{x}', root_path => $quoted)", 'JSON pointer', 'add_target: root');
	psql_fails("CALL cxone_sync.fill_from_extra('contact_records', $quoted)", 'has no column|no column', 'fill_from_extra');
	is(sql($node, "SELECT count(*) FROM cxone_sync.replay_dead_letters(target => $quoted)"), '0', 'replay_dead_letters');
	psql_fails("SELECT * FROM cxone_sync.replay_dead_letters(sqlstate => $quoted)", 'is not an SQLSTATE', 'replay_dead_letters: SQLSTATE');
}
is_unharmed('SQL in arguments');

# ---- JSON pointers ----

foreach my $case ([ '/~', 'JSON pointer' ], [ '/~2', 'JSON pointer' ], [ 'x', 'JSON pointer' ], [ '/a' x 64, 'steps|deep|long' ], [ '/' . 'a' x 900, 'bytes|long' ], [ '/a' x 100_000, 'steps|deep|long|bytes' ])
{
	my ($pointer, $reason) = @$case;
	psql_fails("SELECT cxone_sync.add_target('t', 'public.plain', '{id}', event_types => '{x}', root_path => '$pointer')", $reason, 'root ' . substr($pointer, 0, 10));
}
sql($node, "SELECT cxone_sync.add_target('pointers', 'public.plain', '{id}', event_types => '{p}')");
my %pointers = ('/0' => 'none', '/list/0' => 'first', '/list/-' => 'none', '/list/18446744073709551616' => 'none', '/list/-1' => 'none', '/list/00' => 'none', '/list/1e0' => 'none',
	'/~01' => 'tilde', '/~1' => 'slash', '/' => 'empty', '/%6c' => 'percent', "/a''b" => 'quote', '/list/0/x' => 'none');
foreach my $pointer (sort keys %pointers)
{
	sql($node, "DELETE FROM public.plain; SELECT cxone_sync.map_field('pointers', 'note', '$pointer')");
	my $reply = deliver_known({ eventType => 'p', id => 'p', list => ['first'], '~1' => 'tilde', '/' => 'slash', '' => 'empty', '%6c' => 'percent', "a'b" => 'quote' });
	is(counts_of($reply) . ' ' . sql($node, "SELECT coalesce(note, 'none') FROM public.plain"), "1 0 0 $pointers{$pointer}", "pointer $pointer");
}
sql($node, "SELECT cxone_sync.unmap_field('pointers', 'note')");
is_unharmed('pointers');

# ---- the search path ----

# What a table's owner, or anybody who may create in public, would like the worker to call instead of the server's own.
my $path = 'public, cxone_sync, pg_catalog';
sql($node, <<"SQL");
GRANT CREATE ON SCHEMA public TO PUBLIC;
CREATE ROLE mallory LOGIN;
SET ROLE mallory;
CREATE FUNCTION public.trap(text) RETURNS text LANGUAGE plpgsql AS \$\$ BEGIN INSERT INTO public.loot (what) VALUES (\$1); RETURN \$1; END \$\$;
CREATE FUNCTION public.now() RETURNS timestamptz LANGUAGE sql AS \$\$ SELECT public.trap('now'); SELECT pg_catalog.now() \$\$;
SQL
sql($node, <<"SQL");
SET ROLE mallory;
CREATE FUNCTION public.equal(text, text) RETURNS boolean LANGUAGE sql AS \$\$ SELECT public.trap('=') IS NOT NULL \$\$;
CREATE OPERATOR public.= (leftarg = text, rightarg = text, function = public.equal);
CREATE FUNCTION public.unnest(anyarray) RETURNS SETOF anyelement LANGUAGE sql AS \$\$ SELECT public.trap('unnest'); SELECT pg_catalog.unnest(\$1) \$\$;
CREATE FUNCTION public.jsonb_each(jsonb) RETURNS TABLE (key text, value jsonb) LANGUAGE sql AS \$\$ SELECT public.trap('jsonb_each'), '1'::jsonb \$\$;
CREATE FUNCTION public.quote_ident(text) RETURNS text LANGUAGE sql AS \$\$ SELECT public.trap('quote_ident') \$\$;
CREATE TABLE public.dead_letters (id bigint); CREATE TABLE public.target_config (name text); CREATE TABLE public.pg_class (oid oid);
RESET ROLE;
ALTER DATABASE postgres SET search_path = $path;
ALTER ROLE cxone_sync SET search_path = $path;
SQL
# for the statements of this test itself
$ENV{PGOPTIONS} = '-c search_path=pg_catalog,public';
my $before = worker_pid($node);
sql($node, "SELECT pg_terminate_backend($before)");
poll(sub { my $now = worker_pid($node); return $now && $now ne $before; }, 'a worker with the search path of mallory');
wait_for_state($node, 'running');
is(counts_of(deliver_known({ id => 'path', email => 'a@b.c', first_name => 'x' }, { id => 'path', email => undef }, { eventType => 'p', id => 'path' })), '3 0 0', 'deliveries with that path');
is(counts_of(deliver_known({ email => 'no key' })), '0 0 1', 'and a dead letter');
sql($node, "SET search_path = $path; SELECT * FROM cxone_sync.targets; SELECT * FROM cxone_sync.unmapped_keys; SELECT * FROM cxone_sync.simulate('{\"events\":[{\"eventType\":\"c\",\"id\":\"s\"}]}');
	SELECT cxone_sync.ingest('{\"events\":[{\"eventType\":\"c\",\"id\":\"i\"}]}'); SELECT count(*) FROM cxone_sync.replay_dead_letters(); SELECT cxone_sync.purge_dead_letters('1s', true), cxone_sync.purge_tombstones('1s', true);
	SELECT cxone_sync.change_target('pointers', 'public.plain', '{id}', event_types => '{p,q}'); SELECT * FROM cxone_sync.dead_letters_open, cxone_sync.sync_status, cxone_sync.data_action");
is(sql($node, 'SELECT string_agg(DISTINCT what, $$ $$) FROM public.loot'), '', 'none of his functions and operators has been called');
sql($node, "ALTER DATABASE postgres RESET search_path; ALTER ROLE cxone_sync RESET search_path; DROP OPERATOR public.= (text, text)");
delete $ENV{PGOPTIONS};
is_unharmed('the search path');

# ---- the owner of a table ----

# All that a table's owner can have the worker run tries to be more than its owner.
my @attempts = ('SET ROLE %s', 'RESET ROLE', 'SET SESSION AUTHORIZATION %s', 'RESET SESSION AUTHORIZATION', 'ALTER ROLE mallory SUPERUSER', 'ALTER ROLE mallory CREATEROLE',
	'CREATE ROLE evil SUPERUSER', 'ALTER SYSTEM SET log_statement = none', "COPY public.loot (what) FROM PROGRAM 'id'", "COPY public.canary TO '/tmp/cxone_sync_loot'",
	"SELECT pg_read_file('postgresql.auto.conf')", "SELECT pg_ls_dir('.')", "SELECT set_config('role', '%s', false)", "SELECT set_config('session_authorization', '%s', false)",
	'CREATE EXTENSION file_fdw', 'DROP TABLE public.canary', 'DELETE FROM public.canary', 'DELETE FROM cxone_sync.target_config', 'UPDATE cxone_sync.dead_letters SET message = $$x$$',
	'DELETE FROM cxone_sync.contact_records', 'LOAD $$auto_explain$$', 'GRANT %s TO mallory', 'SET session_replication_role = replica', 'CREATE TEMP TABLE target_config (name text)',
	'LISTEN evil', 'DECLARE evil CURSOR WITH HOLD FOR SELECT 1', 'PREPARE evil AS SELECT 1');
my $list = join ', ', map { "\$a\$" . sprintf($_, $superuser) . "\$a\$" } @attempts;
sql($node, <<"SQL");
GRANT USAGE ON SCHEMA cxone_sync TO mallory;
CREATE SCHEMA lair AUTHORIZATION mallory;
GRANT USAGE ON SCHEMA lair TO cxone_sync;
SET ROLE mallory;
CREATE TABLE lair.gains (attempt text, how text);
CREATE FUNCTION lair.escape(from_where text) RETURNS void LANGUAGE plpgsql AS \$f\$
DECLARE attempt text;
BEGIN
	FOREACH attempt IN ARRAY ARRAY[$list] LOOP
		BEGIN
			EXECUTE attempt;
			INSERT INTO lair.gains VALUES (attempt, from_where);
		EXCEPTION WHEN OTHERS THEN NULL;
		END;
	END LOOP;
	INSERT INTO lair.gains SELECT 'is ' || current_user, from_where WHERE current_user <> 'mallory';
	INSERT INTO lair.gains VALUES ('tried', from_where);
END \$f\$;
CREATE FUNCTION lair.by_trigger() RETURNS trigger LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM lair.escape(TG_ARGV[0]); RETURN NEW; END \$f\$;
CREATE FUNCTION lair.quietly(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS \$f\$ BEGIN PERFORM lair.escape('expression'); RETURN \$1; END \$f\$;
CREATE FUNCTION lair.holds(text, text) RETURNS boolean LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM lair.escape(\$2); RETURN true; END \$f\$;
CREATE DOMAIN lair.trapped AS text CHECK (lair.holds(VALUE, 'domain'));
CREATE TABLE lair.cases (
	id text PRIMARY KEY, note lair.trapped, made text DEFAULT lair.quietly('x'), generated text GENERATED ALWAYS AS (lair.quietly(id)) STORED,
	updated_ts timestamptz, CHECK (lair.holds(id, 'check')));
CREATE INDEX ON lair.cases (lair.quietly(id));
CREATE TRIGGER before BEFORE INSERT OR UPDATE ON lair.cases FOR EACH ROW EXECUTE FUNCTION lair.by_trigger('before');
CREATE TRIGGER statement AFTER INSERT ON lair.cases FOR EACH STATEMENT EXECUTE FUNCTION lair.by_trigger('statement');
CREATE CONSTRAINT TRIGGER later AFTER INSERT ON lair.cases DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION lair.by_trigger('commit');
ALTER TABLE lair.cases ENABLE ROW LEVEL SECURITY; ALTER TABLE lair.cases FORCE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON lair.cases USING (lair.holds(id, 'policy')) WITH CHECK (lair.holds(id, 'policy'));
RESET ROLE;
GRANT EXECUTE ON FUNCTION cxone_sync.add_target TO mallory;
SET ROLE mallory;
SELECT cxone_sync.add_target('lair', 'lair.cases', '{id}', event_types => '{lair}');
RESET ROLE;
TRUNCATE lair.gains;
SQL
is(counts_of(deliver_known({ eventType => 'lair', id => 'l1', note => 'n' }, { id => 'neighbour', email => 'n@b.c' })), '2 0 0', 'a delivery to the table of mallory');
my %tried = map { $_ => 1 } split /\n/, sql($node, "SELECT DISTINCT how FROM lair.gains WHERE attempt = 'tried'");
is(join(' ', sort keys %tried), 'before check commit domain expression policy statement', 'triggers, checks, defaults, domains, policies, indexes: all have tried');
is(sql($node, "SELECT DISTINCT attempt || ' by ' || how FROM lair.gains WHERE attempt <> 'tried' ORDER BY 1"), '', 'none has gained anything');
is_unharmed('the owner of a table');
# also where a superuser calls
sql($node, q{SELECT cxone_sync.ingest('{"events":[{"eventType":"lair","id":"l2","note":"n"}]}')});
is(sql($node, "SELECT outcome FROM cxone_sync.simulate('{\"events\":[{\"eventType\":\"lair\",\"id\":\"l3\"}]}')"), 'applied', 'simulate');
is(sql($node, "SELECT DISTINCT attempt || ' by ' || how FROM lair.gains WHERE attempt <> 'tried' ORDER BY 1"), '', 'nor when a superuser calls ingest()');
is_unharmed('ingest() by a superuser');

# What a trigger leaves behind does not reach the next batch: settings, locks, cursors, its transaction.
sql($node, <<'SQL');
DROP TRIGGER before ON lair.cases; DROP TRIGGER statement ON lair.cases; DROP TRIGGER later ON lair.cases; DROP POLICY all_of_it ON lair.cases; ALTER TABLE lair.cases DISABLE ROW LEVEL SECURITY;
CREATE OR REPLACE FUNCTION lair.escape(from_where text) RETURNS void LANGUAGE sql AS 'SELECT';
SET ROLE mallory;
CREATE FUNCTION lair.pollute() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
	PERFORM set_config(s, v, false) FROM (VALUES ('search_path', 'lair'), ('statement_timeout', '1'), ('lock_timeout', '1'), ('row_security', 'off'), ('array_nulls', 'off'), ('TimeZone', 'Asia/Tokyo'),
		('DateStyle', 'SQL, DMY'), ('IntervalStyle', 'iso_8601'), ('bytea_output', 'escape'), ('standard_conforming_strings', 'off'), ('synchronous_commit', 'off'), ('default_transaction_read_only', 'on'),
		('enable_indexscan', 'off'), ('work_mem', '64kB'), ('extra_float_digits', '-15')) AS x (s, v);
	PERFORM pg_advisory_lock(4711);
	RETURN NEW;
END $f$;
CREATE TRIGGER pollute BEFORE INSERT OR UPDATE ON lair.cases FOR EACH ROW EXECUTE FUNCTION lair.pollute();
CREATE TABLE lair.seen (settings text);
CREATE FUNCTION lair.look() RETURNS trigger LANGUAGE plpgsql AS $f$
BEGIN
	INSERT INTO lair.seen SELECT string_agg(current_setting(s), ' / ' ORDER BY s) FROM unnest('{search_path,row_security,array_nulls,TimeZone,DateStyle,IntervalStyle,bytea_output,standard_conforming_strings,synchronous_commit,default_transaction_read_only,enable_indexscan,work_mem,extra_float_digits}'::text[]) s;
	RETURN NEW;
END $f$;
SQL
sql($node, "SET ROLE mallory; CREATE TABLE lair.clean (id text PRIMARY KEY, updated_ts timestamptz); CREATE TRIGGER look BEFORE INSERT ON lair.clean FOR EACH ROW EXECUTE FUNCTION lair.look();
	SELECT cxone_sync.add_target('clean', 'lair.clean', '{id}', event_types => '{clean}')");
is(counts_of(deliver_known({ eventType => 'clean', id => '1' })), '1 0 0', 'how a trigger sees the settings');
is(counts_of(deliver_known({ eventType => 'lair', id => 'l4' })), '1 0 0', 'one that changes them');
is(counts_of(deliver_known({ eventType => 'clean', id => '2' })), '1 0 0', 'and how they are after it');
is(sql($node, 'SELECT count(DISTINCT settings), count(*) FROM lair.seen'), '1|2', 'as they were');
is(counts_of(deliver_known({ id => 'after', email => 'x' })), '1 0 0', 'nor do they reach other tables');
is(sql($node, "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND pid = " . worker_pid($node)), '0', 'no advisory lock stays with the worker');
# in this order of their names, and in one batch
sql($node, <<'SQL');
SET ROLE mallory;
CREATE TABLE lair.deferring (id text PRIMARY KEY, updated_ts timestamptz);
CREATE FUNCTION lair.defer() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN SET CONSTRAINTS ALL DEFERRED; RETURN NEW; END';
CREATE TRIGGER defer BEFORE INSERT ON lair.deferring FOR EACH ROW EXECUTE FUNCTION lair.defer();
SELECT cxone_sync.add_target('a deferring', 'lair.deferring', '{id}', event_types => '{deferring}');
RESET ROLE;
CREATE TABLE public.deferred (id text PRIMARY KEY, other text REFERENCES public.deferred DEFERRABLE INITIALLY DEFERRED, updated_ts timestamptz);
ALTER TABLE public.deferred OWNER TO cxone_sync;
SELECT cxone_sync.add_target('deferred', 'public.deferred', '{id}', event_types => '{deferred}');
SQL
is(counts_of(deliver_known({ eventType => 'deferring', id => '1' }, { eventType => 'deferred', id => '1', other => '1' })), '2 0 0', "SET CONSTRAINTS in a trigger is no matter for other owners' tables");
is(counts_of(deliver_known({ eventType => 'deferring', id => '2' }, { eventType => 'deferred', id => '2', other => 'none' })), '1 0 1', 'whose constraints are checked all the same');

# A trigger that never ends costs its own delivery, and not the others.
sql($node, "SET ROLE mallory; CREATE OR REPLACE FUNCTION lair.pollute() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN LOOP END LOOP; END'");
my $endless = connect_to($node);
$endless->send(delivery_text(body_of({ eventType => 'lair', id => 'l5' }), @known));
my $neighbour = deliver_known({ id => 'neighbour2', email => 'x' });
retry_is($endless->reply, 'a trigger that never ends');
is(counts_of($neighbour->{status} == 200 ? $neighbour : deliver_known({ id => 'neighbour2', email => 'x' })), '1 0 0', 'a neighbour is served, if not at once');
# Not even one that will not be cancelled; what it does later must be as harmless.
sql($node, "SET ROLE mallory; CREATE OR REPLACE FUNCTION lair.pollute() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN LOOP BEGIN PERFORM pg_sleep(60); EXCEPTION WHEN query_canceled THEN NULL; END; END LOOP; END'");
my $stubborn_pid = worker_pid($node);
my $stubborn_position = log_position($node);
my $stubborn = connect_to($node);
$stubborn->send(delivery_text(body_of({ eventType => 'lair', id => 'l5' }), @known));
retry_is($stubborn->reply, 'a trigger that catches query_canceled');
wait_for_log($node, qr/WARNING: .*a transaction went on after statement_timeout had cancelled it.*?HINT: .*catch query_canceled/s, $stubborn_position);
poll(sub { my $now = worker_pid($node); return $now && $now ne $stubborn_pid; }, 'the worker that takes over');
wait_for_state($node, 'running');
is(counts_of(deliver_known({ id => 'neighbour3', email => 'x' })), '1 0 0', 'a neighbour is served by the worker that takes over');
foreach my $case (
	[ 'COMMIT', 'COMMIT' ], [ 'ROLLBACK', 'ROLLBACK' ], [ 'a subtransaction that fails', "BEGIN PERFORM 1/0; EXCEPTION WHEN OTHERS THEN RAISE division_by_zero; END" ],
	[ 'DISCARD ALL', "EXECUTE 'DISCARD ALL'" ], [ 'deep recursion', 'PERFORM lair.deep()' ])
{
	my ($name, $statement) = @$case;
	sql($node, "SET ROLE mallory; CREATE OR REPLACE FUNCTION lair.deep() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN lair.deep(); END';
		CREATE OR REPLACE FUNCTION lair.pollute() RETURNS trigger LANGUAGE plpgsql AS \$f\$ BEGIN $statement; RETURN NEW; END \$f\$");
	my $counts = counts_of(deliver_known({ eventType => 'lair', id => 'l6' }, { id => 'beside', email => $name }));
	is($counts, '1 0 1', "a trigger with $name: its event is a dead letter, the one beside it is not");
	is(sql($node, "SELECT email FROM cxone_sync.contact_records WHERE id = 'beside'"), $name, 'which is stored');
}
# the worker's own process is not mallory's to signal
sql($node, "SET ROLE mallory; CREATE OR REPLACE FUNCTION lair.pollute() RETURNS trigger LANGUAGE plpgsql AS \$f\$ BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END \$f\$");
my $pid = worker_pid($node);
is(counts_of(deliver_known({ eventType => 'lair', id => 'l7' }, { id => 'beside', email => 'kill' })), '1 0 1', 'a trigger that would end the worker');
is(worker_pid($node), $pid, 'does not');
# a table that becomes something else
sql($node, "DROP TRIGGER pollute ON lair.cases");
foreach my $case (
	[ 'a view', 'ALTER TABLE lair.cases RENAME TO kept; CREATE VIEW lair.cases AS SELECT * FROM lair.kept', 'DROP VIEW lair.cases; ALTER TABLE lair.kept RENAME TO cases' ],
	[ 'a table with a rule', 'CREATE RULE trick AS ON INSERT TO lair.clean DO ALSO DELETE FROM public.canary', 'DROP RULE trick ON lair.clean' ])
{
	my ($name, $do, $undo) = @$case;
	sql($node, "SET ROLE mallory; $do");
	my $reply = deliver_known({ eventType => 'clean', id => "rule $name" }, { id => 'beside', email => $name });
	cmp_ok($reply->{status}, '==', 200, "$name: the delivery is taken");
	is(sql($node, "SELECT email FROM cxone_sync.contact_records WHERE id = 'beside'"), $name, 'its neighbour is stored');
	sql($node, "SET ROLE mallory; $undo");
}
is_unharmed('what owners do to their tables');

# ---- everybody else ----

# Nobody without a grant calls a function of ours, whichever they are, nor reads a table or view.
my @functions = split /\n/, sql($node, "SELECT p.oid::regprocedure, p.prokind, p.provariadic <> 0, p.provolatile FROM pg_proc p JOIN pg_depend d ON d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e'
	JOIN pg_extension e ON e.oid = d.refobjid AND e.extname = 'cxone_sync'");
cmp_ok(scalar @functions, '>', 20, 'functions of the extension');
sql($node, 'CREATE ROLE evil_nobody LOGIN');
# ($code, $out, $err) of what somebody does in a session of their own
sub session_of { my ($who, $query) = @_; return $node->psql('postgres', $query, extra_params => [ '-U', $who ]); }
# not null, as a strict function is not even looked at for a null
my %values = (jsonb => "'{}'", text => "'contact_records'", name => "'x'", integer => '1', bigint => '1', interval => "'1 day'", regclass => "'pg_class'", boolean => 'true');
my @open;
foreach my $function (@functions)
{
	my ($signature, $kind, $is_variadic, $volatility) = split /\|/, $function;
	my ($name, $types) = $signature =~ /^(.*)\((.*)\)$/;
	my @arguments = map { (/\[\]$/ ? "'{}'" : $values{$_} || 'NULL') . "::$_" } split /,\s*/, $types;
	$arguments[-1] = "VARIADIC $arguments[-1]" if $is_variadic eq 't';
	my ($code, $out, $err) = session_of('evil_nobody', ($kind eq 'p' ? 'CALL ' : 'SELECT ') . "$name(" . join(', ', @arguments) . ')');
	# what the owners' upserts are made of computes, or tells the one that runs of a row, and does nothing else
	next if $volatility eq 'i' || $name =~ /^cxone_sync\.note_row/;
	push @open, "$signature: $out $err" unless $code && $err =~ /permission denied for (?:function|procedure)|must be owner of table contact_records|trigger functions can only be called as triggers/;
}
is(join("\n", @open), '', 'nobody without a grant calls any that is more than arithmetic');
my @relations = split /\n/, sql($node, "SELECT oid::regclass FROM pg_class WHERE relnamespace = 'cxone_sync'::regnamespace AND relkind IN ('r', 'v', 'S', 'p', 'm')");
cmp_ok(scalar @relations, '>', 12, 'tables and views');
@open = grep { my ($code, $out, $err) = session_of('evil_nobody', "SELECT * FROM $_"); !$code || $err !~ /permission denied/ } @relations;
is("@open", '', 'nobody without a grant reads any of them');
@open = grep { my ($code) = session_of('evil_nobody', "SET search_path = cxone_sync; $_"); !$code }
  ('CREATE TABLE cxone_sync.x (id int)', 'CREATE FUNCTION cxone_sync.x() RETURNS int LANGUAGE sql AS $$SELECT 1$$', 'CREATE VIEW cxone_sync.x AS SELECT 1', 'ALTER EXTENSION cxone_sync UPDATE', 'DROP EXTENSION cxone_sync',
	'ALTER EXTENSION cxone_sync DROP FUNCTION cxone_sync.ingest(jsonb)', "SET cxone_sync.port = 1", "ALTER SYSTEM SET cxone_sync.port = 1", "SET cxone_sync.authentication = 'none'", "ALTER ROLE evil_nobody SET cxone_sync.authentication = 'none'",
	"SELECT set_config('cxone_sync.webhook_secret', 'x', false)", 'SELECT pg_terminate_backend(' . worker_pid($node) . ')', 'SET ROLE cxone_sync');
is("@open", '', 'nor makes, changes, sets or ends anything');
like((session_of('evil_nobody', "SELECT cxone_sync.value_from_extra('clean', 'id', '{}')"))[2], qr/must be owner of table clean/, "nor learns what is wrong with somebody's table");
# whoever may call ingest() and simulate() gets no rows by errors
sql($node, "CREATE ROLE evil_caller LOGIN; GRANT EXECUTE ON FUNCTION cxone_sync.ingest, cxone_sync.simulate TO evil_caller; INSERT INTO cxone_sync.contact_records (id, email, updated_ts) VALUES ('private', 'private\@b.c', now())");
my ($code, $out, $err) = session_of('evil_caller', "SELECT * FROM cxone_sync.simulate('{\"events\":[{\"eventType\":\"c\",\"id\":\"private\",\"timestamp\":\"2001-01-01T00:00:00Z\"}]}')");
unlike("$out $err", qr/private\@b\.c/, 'simulate shows outcomes, not rows');

# ---- a member of the role cxone_sync, who owns contact_records, but none of the extension's own tables ----

sql($node, <<'SQL');
CREATE ROLE evil_member LOGIN IN ROLE cxone_sync;
CREATE SCHEMA evil AUTHORIZATION evil_member;
CREATE TABLE public.salaries (id text PRIMARY KEY, amount int, updated_ts timestamptz);
CREATE ROLE paymaster; ALTER TABLE public.salaries OWNER TO paymaster;
INSERT INTO public.salaries VALUES ('ceo', 100, '2026-01-01');
CREATE FUNCTION public.obey() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN EXECUTE TG_ARGV[0]; RETURN coalesce(NEW, OLD); END $$;
CREATE FUNCTION public.wipe() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN DELETE FROM public.canary; RETURN NULL; END $$;
SET ROLE evil_member;
CREATE FUNCTION evil.rise() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN
	IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE evil_member SUPERUSER; END IF; RETURN true; END $$;
CREATE FUNCTION evil.rise_by_trigger() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.rise(); RETURN coalesce(NEW, OLD); END $$;
SQL
my %own = (schema_versions => 'version', dead_letters => 'id', target_config => 'name', field_map => 'target, column_name', tombstones => 'relation, key_columns, key', lasting_names => 'relation, column_name', unregistration => 'since');
# what each of them is written by, and so the superuser who owns it would run
my %written_by = (
	dead_letters => q(SELECT cxone_sync.ingest('{"events":[{"eventType":"nobody"}]}')),
	target_config => q(SELECT cxone_sync.change_target('pointers', event_types => '{p}')),
	field_map => q(SELECT cxone_sync.map_field('pointers', 'note', '/note')),
	tombstones => q(SELECT cxone_sync.purge_tombstones('1 day')),
	lasting_names => 'ALTER TABLE public.plain RENAME note TO noted; ALTER TABLE public.plain RENAME noted TO note',
	unregistration => q(SELECT cxone_sync.register_data_action()),
	schema_versions => q(SELECT cxone_sync.ingest('{"events":[]}')));
my $refused = qr/may run code of others/;
set_settings($node, api_url => "https://127.0.0.1:1", endpoint_url => "https://127.0.0.1:1/webhook", client_id => "x", client_secret_file => secret_file("client", "x"));
foreach my $table (sort keys %own)
{
	my ($key) = $own{$table} =~ /^(\w+)/;
	# to which no foreign key can refer
	my $has_key = $table ne 'unregistration';
	my @doors = (
		"CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION evil.rise_by_trigger()",
		'CREATE RULE evil AS ON INSERT TO %s DO ALSO SELECT evil.rise()', 'CREATE POLICY evil ON %s USING (evil.rise())', 'ALTER TABLE %s OWNER TO evil_member', 'ALTER TABLE %s OWNER TO cxone_sync',
		'ALTER TABLE %s ADD COLUMN evil boolean DEFAULT evil.rise()', 'ALTER TABLE %s ADD CHECK (evil.rise())', 'CREATE INDEX ON %s ((1)) WHERE evil.rise()', 'CREATE TABLE evil.child () INHERITS (%s)',
		"ALTER TABLE %s ALTER COLUMN $key SET DEFAULT evil.rise()", 'CREATE STATISTICS evil.s ON (evil.rise()) FROM %s', 'CREATE PUBLICATION evil FOR TABLE %s', $has_key ? "CREATE TABLE evil.refers (x text REFERENCES %s)" : (),
		'ALTER TABLE %s ENABLE ROW LEVEL SECURITY', 'ALTER TABLE %s DISABLE TRIGGER ALL', 'GRANT TRIGGER ON %s TO evil_member', 'INSERT INTO %s DEFAULT VALUES', 'UPDATE %s SET ' . "$key = DEFAULT", 'DELETE FROM %s', 'TRUNCATE %s', 'DROP TABLE %s',
		'SELECT * FROM %s');
	my @open = grep { my ($code, $out, $err) = session_of('evil_member', sprintf $_, "cxone_sync.$table"); $err !~ /must be owner|permission denied/ } @doors;
	is("@open", '', "$table: a member puts nothing on it");

	# not even with what a careless superuser grants: then it is not written before the code is gone
	my $columns = $own{$table};
	foreach my $case (
		[ 'TRIGGER', 'a trigger', $doors[0] ],
		[ 'TRIGGER', 'a condition', 'CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW WHEN (evil.rise()) EXECUTE FUNCTION suppress_redundant_updates_trigger()' ],
		[ 'TRIGGER', "a superuser's function, as refint's, with arguments of theirs", "CREATE TRIGGER evil BEFORE INSERT OR UPDATE OR DELETE ON %s FOR EACH ROW EXECUTE FUNCTION public.obey('DELETE FROM public.canary')" ],
		[ 'TRIGGER', "a superuser's function without any", "CREATE TRIGGER evil AFTER INSERT OR UPDATE OR DELETE ON %s EXECUTE FUNCTION public.wipe()" ],
		[ 'TRIGGER', 'a function of the server', 'CREATE TRIGGER evil BEFORE UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()' ],
		[ 'TRIGGER', 'a statement trigger', 'CREATE TRIGGER evil AFTER INSERT OR UPDATE OR DELETE ON %s EXECUTE FUNCTION evil.rise_by_trigger()' ],
		[ 'REFERENCES', 'a foreign key', "CREATE TABLE evil.refers AS SELECT $columns FROM %s WITH NO DATA; ALTER TABLE evil.refers ADD FOREIGN KEY ($columns) REFERENCES %s ON DELETE CASCADE; CREATE TRIGGER evil AFTER DELETE ON evil.refers FOR EACH ROW EXECUTE FUNCTION evil.rise_by_trigger()" ])
	{
		my ($privilege, $what, $do) = @$case;
		next if $privilege eq 'REFERENCES' && !$has_key;
		sql($node, "GRANT SELECT, $privilege ON cxone_sync.$table TO evil_member");
		my ($code, $out, $err) = session_of('evil_member', $do =~ s/%s/cxone_sync.$table/gr);
		is("$code $err", '0 ', "$table: $what by whom it was granted");
		# a command of somebody else's is not refused for that
		if ($table eq 'lasting_names') { like(($node->psql('postgres', $written_by{$table}))[2], $refused, 'it is not written'); }
		else { psql_fails($written_by{$table}, $refused, 'it is not written'); }
		sql($node, "REVOKE ALL ON cxone_sync.$table FROM evil_member; DROP TABLE IF EXISTS evil.refers; DROP TRIGGER IF EXISTS evil ON cxone_sync.$table");
		is(scalar(($node->psql('postgres', $written_by{$table}))[0]), 0, 'but again without that');
	}
}
# nor in the moment between the look and the writing
sql($node, 'GRANT TRIGGER ON cxone_sync.dead_letters TO evil_member');
my ($maker, $writer) = map { open_session($node) } 1 .. 2;
$maker->run('SET ROLE evil_member; BEGIN; CREATE TRIGGER evil BEFORE INSERT ON cxone_sync.dead_letters FOR EACH ROW EXECUTE FUNCTION evil.rise_by_trigger()');
$writer->start($written_by{dead_letters});
poll(sub { sql($node, "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'cxone_sync.dead_letters'::regclass") eq '1' }, 'a writer that waits for whoever makes the trigger');
$maker->run('COMMIT');
is($writer->finish, '', 'writes nothing then');
$_->close foreach $maker, $writer;
sql($node, 'DROP TRIGGER evil ON cxone_sync.dead_letters; REVOKE TRIGGER ON cxone_sync.dead_letters FROM evil_member');
is_unharmed('code on the own tables');
# deliveries are sent again rather than written by that
sql($node, 'GRANT TRIGGER ON cxone_sync.dead_letters TO evil_member; SET ROLE evil_member; CREATE TRIGGER evil BEFORE INSERT ON cxone_sync.dead_letters FOR EACH ROW EXECUTE FUNCTION evil.rise_by_trigger()');
retry_is(deliver_known({}), 'a delivery with a dead letter');
is(counts_of(deliver_known({ id => 'member' })), '1 0 0', 'one without');
sql($node, 'DROP TRIGGER evil ON cxone_sync.dead_letters; REVOKE TRIGGER ON cxone_sync.dead_letters FROM evil_member');
is(counts_of(deliver_known({})), '0 0 1', 'which is taken when the trigger is gone');
# our own functions are nobody's to put there, with arguments, a condition, or at all
sql($node, 'GRANT TRIGGER ON cxone_sync.dead_letters TO evil_member');
my $ours = 'CREATE TRIGGER evil AFTER INSERT ON cxone_sync.dead_letters FOR EACH ROW %s EXECUTE FUNCTION cxone_sync.dead_letters_changed(%s)';
like((session_of('evil_member', sprintf $ours, '', ''))[2], qr/permission denied for function (?:cxone_sync\.)?dead_letters_changed/, 'a member cannot name a function of ours');
foreach my $case ([ '', "'x'" ], [ 'WHEN (true)', '' ])
{
	sql($node, sprintf $ours, @$case);
	psql_fails($written_by{dead_letters}, $refused, "a superuser's trigger of ours is not trusted with <@$case>");
	sql($node, 'DROP TRIGGER evil ON cxone_sync.dead_letters');
}
# a foreign key of a superuser's table is the superuser's matter
sql($node, 'REVOKE TRIGGER ON cxone_sync.dead_letters FROM evil_member; CREATE TABLE public.notes (letter bigint REFERENCES cxone_sync.dead_letters, note text)');
is(counts_of(deliver_known({})), '0 0 1', "a foreign key of a superuser's table");
sql($node, 'DROP TABLE public.notes');
# ---- what one owner's trigger leaves open is not for the next one's ----
sql($node, <<'SQL');
CREATE ROLE evil_finder;
CREATE ROLE careless;
CREATE TABLE public.open_ends (id text PRIMARY KEY, object oid, updated_ts timestamptz);
CREATE TABLE public.findings (id text PRIMARY KEY, found text, updated_ts timestamptz);
CREATE FUNCTION public.leave_open() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE c refcursor := 'left_open';
BEGIN
	OPEN c FOR SELECT 'a secret';
	NEW.object := lo_from_bytea(0, 'a secret');
	PERFORM lo_open(NEW.object, 262144);
	RETURN NEW;
END $$;
CREATE FUNCTION public.find() RETURNS trigger LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp AS $$
DECLARE c refcursor := 'left_open';
BEGIN
	IF NEW.id = 'by a cursor' THEN FETCH c INTO NEW.found; ELSE NEW.found := encode(loread(0, 100), 'escape'); END IF;
	RETURN NEW;
END $$;
CREATE TRIGGER leave_open BEFORE INSERT ON public.open_ends FOR EACH ROW EXECUTE FUNCTION public.leave_open();
CREATE TRIGGER find BEFORE INSERT ON public.findings FOR EACH ROW EXECUTE FUNCTION public.find();
ALTER TABLE public.open_ends OWNER TO careless;
ALTER TABLE public.findings OWNER TO evil_finder;
SELECT cxone_sync.add_target('open_ends', 'public.open_ends', '{id}', event_types => '{open}'), cxone_sync.add_target('findings', 'public.findings', '{id}', event_types => '{find}');
SQL
is(counts_of(deliver_known({ eventType => 'open', id => 1 }, { eventType => 'open', id => 2 }, { eventType => 'find', id => 'by a cursor' }, { eventType => 'find', id => 'by a number' })), '2 0 2',
	'what leaves a cursor and a large object open is taken twice, what looks for them finds nothing');
is(sql($node, "SELECT string_agg(event_key || ' ' || sqlstate, ', ' ORDER BY event_key) FROM cxone_sync.dead_letters WHERE target = 'findings'"), 'by a cursor 34000, by a number 42704', 'since they are closed');
# ---- what would be gone after a crash ----
foreach my $table (sort keys %own)
{
	sql($node, "ALTER TABLE cxone_sync.$table SET UNLOGGED");
	my $unlogged = "table \"cxone_sync.$table\" is unlogged.*HINT: .*ALTER TABLE cxone_sync.$table SET LOGGED";
	# what renames a column never fails because of us
	if ($table eq 'lasting_names') { like(($node->psql('postgres', $written_by{$table}))[2], qr/$unlogged/s, "$table: unlogged it is not written"); }
	else { psql_fails($written_by{$table}, $unlogged, "$table: unlogged it is not written"); }
	retry_is(deliver_known({}), 'and a delivery with a dead letter is sent again') if $table eq 'dead_letters';
	sql($node, "ALTER TABLE cxone_sync.$table SET LOGGED");
	is(scalar(($node->psql('postgres', $written_by{$table}))[0]), 0, 'but again when it is logged');
}
# nor is there a way to other people's tables by the configuration
my ($member_code, $member_out, $member_err) = session_of('evil_member', "INSERT INTO cxone_sync.target_config (name, relation, key_columns, order_column, event_types) VALUES ('mine', 'public.salaries', '{id}', 'updated_ts', '{Raise}')");
like($member_err, qr/permission denied for table target_config/, 'a member cannot write the configuration');
sql($node, 'GRANT EXECUTE ON FUNCTION cxone_sync.add_target, cxone_sync.change_target TO evil_member');
like((session_of('evil_member', "SELECT cxone_sync.add_target('mine', 'public.salaries', '{id}', event_types => '{Raise}')"))[2], qr/must be owner of table salaries/, "nor make somebody's table a target");
like((session_of('evil_member', "SELECT cxone_sync.change_target('contact_records', 'public.salaries')"))[2], qr/must be owner of table salaries/, 'nor by a change');
is(counts_of(deliver_known({ eventType => 'Raise', id => 'ceo', amount => 1 })), '0 0 1', 'an event for it');
is(sql($node, 'SELECT amount FROM public.salaries'), '100', 'is not written there');

# The scripts of an upgrade run as a superuser: nothing of a member's runs in them.
sql($node, 'CREATE DATABASE upgraded');
sql($node, <<'SQL', 'upgraded');
CREATE EXTENSION cxone_sync VERSION '1.0';
CREATE SCHEMA evil AUTHORIZATION evil_member;
SET ROLE evil_member;
CREATE FUNCTION evil.rise() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
	IF (SELECT rolsuper FROM pg_roles WHERE rolname = current_user) THEN ALTER ROLE evil_member SUPERUSER; END IF; RETURN NEW; END $$;
SQL
foreach my $hop ([ '1.0', '2.0' ], [ '2.0', '3.0' ])
{
	my ($from, $to) = @$hop;
	foreach my $table ('schema_versions', 'dead_letters')
	{
		my $upgrade = "ALTER EXTENSION cxone_sync UPDATE TO '$to'";
		my $trigger = "CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON cxone_sync.$table FOR EACH ROW EXECUTE FUNCTION evil.rise()";
		sql($node, "INSERT INTO cxone_sync.dead_letters (received_at, target, sqlstate, message, payload) VALUES (now(), 'contact_records', '22P02', 'x', '{}')", 'upgraded');
		isnt(($node->psql('upgraded', "SET ROLE evil_member; $trigger"))[0], 0, "$from to $to: a member puts no trigger on $table");
		sql($node, "GRANT TRIGGER ON cxone_sync.$table TO evil_member; SET ROLE evil_member; $trigger", 'upgraded');
		like(($node->psql('upgraded', $upgrade))[2], $refused, 'where it was granted, the upgrade is refused');
		# as the tables of versions that were never released belonged to the role
		sql($node, "ALTER TABLE cxone_sync.$table OWNER TO cxone_sync", 'upgraded');
		like(($node->psql('upgraded', $upgrade))[2], qr/table "cxone_sync.$table" is owned by role "cxone_sync", who is no superuser\nHINT:  Look what triggers/, 'and where the table is not the installer\'s');
		sql($node, "ALTER TABLE cxone_sync.$table OWNER TO $superuser", 'upgraded');
		like(($node->psql('upgraded', $upgrade))[2], $refused, 'also when it has been given back with the trigger');
		sql($node, "DROP TRIGGER evil ON cxone_sync.$table; REVOKE TRIGGER ON cxone_sync.$table FROM evil_member", 'upgraded');
	}
	is(sql($node, 'SELECT extversion FROM pg_extension WHERE extname = $$cxone_sync$$', 'upgraded'), $from, 'nothing has been upgraded');
	sql($node, "SET ROLE evil_member; CREATE TRIGGER evil BEFORE INSERT OR UPDATE ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION evil.rise()", 'upgraded');
	sql($node, "ALTER EXTENSION cxone_sync UPDATE TO '$to'", 'upgraded');
	sql($node, 'DROP TRIGGER evil ON cxone_sync.contact_records', 'upgraded');
}
is(sql($node, "SELECT rolsuper FROM pg_roles WHERE rolname = 'evil_member'"), 'f', 'the member is no superuser');
sql($node, 'DROP DATABASE upgraded');
is_unharmed('a member of cxone_sync');

# ---- a schema that was there before CREATE EXTENSION ----

sql($node, "CREATE ROLE evil_admin IN ROLE $superuser; CREATE DATABASE prey OWNER mallory");
sub in_prey { my ($query, @more) = @_; return $node->psql('prey', $query, @more); }
in_prey(<<'SQL', extra_params => [ '-U', 'mallory' ]);
CREATE SCHEMA cxone_sync;
CREATE TABLE public.loot (who name DEFAULT current_user);
CREATE FUNCTION cxone_sync.cardinality(text[]) RETURNS int LANGUAGE sql AS 'INSERT INTO public.loot DEFAULT VALUES; SELECT 1';
CREATE FUNCTION cxone_sync.array_position(text[], text) RETURNS int LANGUAGE sql AS 'INSERT INTO public.loot DEFAULT VALUES; SELECT NULL::int';
CREATE FUNCTION cxone_sync.equal(oid, regclass) RETURNS boolean LANGUAGE sql AS 'INSERT INTO public.loot DEFAULT VALUES; SELECT true';
CREATE OPERATOR cxone_sync.= (leftarg = oid, rightarg = regclass, function = cxone_sync.equal);
SQL
my $of_others = qr/(?:function|operator) cxone_sync\..* belongs to role "mallory", who is no superuser/;
my $open = qr/schema cxone_sync exists already, and others than superusers may create objects in it/;
foreach my $case ([ 'of somebody else, with functions', 'SELECT', $of_others ], [ 'that was somebody else\'s', "ALTER SCHEMA cxone_sync OWNER TO $superuser", $of_others ],
	[ 'of somebody else', "DROP OPERATOR cxone_sync.= (oid, regclass); DROP FUNCTION cxone_sync.cardinality, cxone_sync.array_position, cxone_sync.equal; ALTER SCHEMA cxone_sync OWNER TO mallory", $open ],
	[ 'in which PUBLIC may create', "ALTER SCHEMA cxone_sync OWNER TO $superuser; GRANT CREATE ON SCHEMA cxone_sync TO PUBLIC", $open ])
{
	my ($name, $do, $expected) = @$case;
	my $problem = (in_prey("$do; CREATE EXTENSION cxone_sync"))[2];
	like($problem, qr/ERROR: .*$expected.*HINT/s, "CREATE EXTENSION in a schema $name");
}
is((in_prey('REVOKE CREATE ON SCHEMA cxone_sync FROM PUBLIC; CREATE EXTENSION cxone_sync; SELECT count(*) FROM public.loot'))[1], '0', 'in one of a superuser it goes on, and has called nothing of others');
is((in_prey('DROP EXTENSION cxone_sync; CREATE EXTENSION cxone_sync; SELECT count(*) FROM cxone_sync.contact_records'))[1], '0', 'as it does once more where it was dropped');
sql($node, 'DROP DATABASE prey; DROP ROLE evil_admin');

# ---- secrets ----

my @secrets = ($secret, 'bare-secret-77', 'client-secret-88', 'api-password-99');
my %hidden = (webhook_secret => $secrets[1], client_secret => $secrets[2], api_password => $secrets[3]);
my $position = log_position($node);
$node->append_conf('postgresql.conf', "log_statement = all\nlog_min_duration_statement = 0\nlog_connections = on\n");
set_settings($node, %hidden, client_id => 'me', api_username => 'me');
wait_for_log($node, qr/parameter "log_statement" changed/, $position);
poll(sub { return sql($node, "SELECT current_setting('cxone_sync.client_id')") eq 'me'; }, 'the reload');
my @shown = map { scalar sql($node, $_) } (
	(map { "SHOW cxone_sync.$_" } sort keys %hidden), (map { "SELECT current_setting('cxone_sync.$_')" } sort keys %hidden), 'SELECT pg_settings::text FROM pg_settings', 'SHOW ALL',
	'SELECT pg_stat_activity::text FROM pg_stat_activity', 'SELECT pg_db_role_setting::text FROM pg_db_role_setting',
	(map { "SELECT x::text FROM $_ x" } grep { !/_seq$/ } @relations), "SELECT string_agg(pg_get_functiondef(oid), '') FROM pg_proc WHERE pronamespace = 'cxone_sync'::regnamespace AND prokind <> 'a'");
foreach my $path ('/metrics', '/status.json', '/', '/livez', '/readyz', '/nothing')
{
	push @shown, $json->encode(connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => $path)));
}
push @shown, map { $json->encode($_) } deliver($node, 'x', @known), deliver($node, '{}', 'Authorization: Bearer guess'), deliver($node, '{"events":[1]}', @known), deliver($node, '{', @known, 'X-Trick: 1');
# what a superuser sets by SQL he also reads; others do neither
my @leaks = grep { my $what = $_; grep { index($what, $_) >= 0 } @secrets } @shown;
is(scalar @leaks, 0, 'no setting, view, page, metric or reply shows a secret') or diag(substr $leaks[0], 0, 300);
my ($plain_code, $plain_out, $plain_err) = session_of('evil_nobody', "SELECT current_setting('cxone_sync.webhook_secret')");
unlike("$plain_out $plain_err", qr/\*|bare-secret/, 'who is no superuser does not even learn that there is one');
foreach my $view (qw(pg_file_settings pg_hba_file_rules pg_shadow pg_config))
{
	my ($status, $rows, $error) = session_of('evil_nobody', "SELECT x::text FROM $view x");
	unlike("$rows $error", qr/bare-secret|client-secret|api-password|$secret/, "nor does $view show it to them");
}
foreach my $statement ("ALTER ROLE evil_nobody SET cxone_sync.webhook_secret = 'x'", "ALTER DATABASE postgres SET cxone_sync.webhook_secret = 'x'", "SET cxone_sync.webhook_secret = 'x'")
{
	psql_fails($statement, 'cannot be changed now', 'secrets are set for the server only');
}
my $log = slurp_file($node->logfile, $position);
$log =~ s/^.*\b(?:statement|STATEMENT):.*$//mg;
is(scalar(grep { index($log, $_) >= 0 } @secrets), 0, 'the log has none of them, with debug1 and all statements');

# ---- what a sender sends does not become what it is not ----

$position = log_position($node);
my $line = "2026-01-01 00:00:00 UTC [1] PANIC:  forged";
my @forged = ("\n$line", "\r\n$line", "\x{0}", "\x1b[31m", "\x{2028}$line", "%n%s", "\t$line");
foreach my $text (@forged)
{
	my $key = $text =~ s/\x{0}//gr;
	deliver_known({ id => "f$key", updated_ts => $text, phone => $text, $key => $text }, { email => $text }, { eventType => $text });
	deliver($node, $json->encode({ $key => $text }), @known);
}
foreach my $head ("GET /\x01 HTTP/1.1", "GET /%0d%0a$line HTTP/1.1", 'GET /%1b[31m HTTP/1.1', "GET /<script> HTTP/1.1", "BAD\x7f / HTTP/1.1")
{
	my $connection = connect_to($node);
	my $reply = $connection->exchange("$head\r\nHost: x\r\nAuthorization: Bearer \x1b[31m$line\r\n\r\n");
	my $whole = $reply->{line} . join('', map { "$_: $reply->{headers}{$_}" } sort keys %{ $reply->{headers} }) . $reply->{body};
	like($reply->{status}, qr/^40[014]$/, 'a hostile request line is refused');
	unlike($whole, qr/forged|script|\x1b|%0d/, 'and nothing of it comes back');
	like(join(' ', sort keys %{ $reply->{headers} }), qr/^(?:connection )?content-length content-type/, 'the headers are ours');
}
sql($node, "CREATE TABLE public.forged (id text PRIMARY KEY, updated_ts timestamptz); ALTER TABLE public.forged OWNER TO cxone_sync; SELECT cxone_sync.add_target(E'forged\"}\\n1\\n<b>', 'public.forged', '{id}', event_types => '{forged}')");
deliver_known({ eventType => 'forged' });
my $exposition = connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/metrics'))->{body};
is(scalar(grep { !/^(?:#|cxone_sync_[a-z_]+(?:\{(?:[a-z]+="[^"\n]*",?)+\})? (?:[-+0-9.e]+|NaN|\+Inf)$)/ } split /\n/, $exposition), 0, 'the metrics are well-formed');
my $status = connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => '/status.json'))->{body};
ok(eval { $json->decode($status); 1 }, 'so is status.json');
unlike($status, qr/</, 'which has no markup');
$log = slurp_file($node->logfile, $position);
unlike($log, qr/^$line|^\x1b|^[^\n]*\x1b\[31m/m, 'and no line of the log is forged');

# ---- paths, hosts, and a second request in the first ----

foreach my $path ('/metrics', '/status.json', '/readyz', '/webhook/../metrics', '/webhook/', '//webhook', '/WEBHOOK', '/webhook%00', '/webhook%2f..', '/./webhook', '/webhook;x', '/webhook#x', '?/webhook', '/web%u0068ook', '/webhook%', '/%2e%2e/webhook', '*', '/etc/passwd', '/../../etc/passwd', '/..%5c..%5cetc')
{
	my $reply = connect_to($node)->exchange(request_text(path => $path, body => body_of({ id => 'path trick' }), headers => \@known));
	like($reply->{status}, qr/^40[04]$/, "path $path");
	unlike($reply->{body}, qr/cxone_sync_|root:/, 'shows nothing');
}
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id = 'path trick'"), '0', 'and writes nothing');
foreach my $path ('/webhook', '/../webhook', '/status.json/../webhook')
{
	my $reply = connect_to($node, metrics_port($node))->exchange(request_text(path => $path, body => '', headers => \@known));
	like($reply->{status}, qr/^4\d\d$/, "the metrics' port takes no deliveries at $path");
}
my $smuggled = delivery_text(body_of({ id => 'smuggled' }), @known);
my $size = length $smuggled;
my $outer = "POST /webhook HTTP/1.1\r\nHost: x\r\n$known[0]\r\n";
foreach my $case (
	[ 'both lengths', "${outer}Content-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$smuggled" ],
	[ 'both lengths, the other way', "${outer}Transfer-Encoding: chunked\r\nContent-Length: " . (5 + $size) . "\r\n\r\n0\r\n\r\n$smuggled" ],
	[ 'two lengths', "${outer}Content-Length: 0\r\nContent-Length: $size\r\n\r\n$smuggled" ], [ 'one length twice', "${outer}Content-Length: 0\r\nContent-Length: 0\r\n\r\n$smuggled" ],
	[ 'a list of lengths', "${outer}Content-Length: 0, $size\r\n\r\n$smuggled" ], [ 'a signed length', "${outer}Content-Length: +0\r\n\r\n$smuggled" ], [ 'a hexadecimal length', "${outer}Content-Length: 0x0\r\n\r\n$smuggled" ],
	[ 'a length with a blank before its colon', "${outer}Content-Length : $size\r\nContent-Length: 0\r\n\r\n$smuggled" ], [ 'a folded line', "${outer}X: a\r\n Content-Length: $size\r\nContent-Length: 0\r\n\r\n$smuggled" ],
	[ 'chunked in disguise', "${outer}Transfer-Encoding: xchunked\r\nContent-Length: 0\r\n\r\n$smuggled" ], [ 'chunked with a tab', "${outer}Transfer-Encoding:\x0bchunked\r\nContent-Length: 0\r\n\r\n$smuggled" ],
	[ 'chunked twice', "${outer}Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$smuggled" ], [ 'chunked and identity', "${outer}Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n$smuggled" ],
	[ 'a chunk whose size overflows', "${outer}Transfer-Encoding: chunked\r\n\r\n10000000000000000\r\n\r\n$smuggled" ], [ 'a negative chunk', "${outer}Transfer-Encoding: chunked\r\n\r\n-2\r\n\r\n$smuggled" ],
	[ 'a chunk with a bare LF', "${outer}Transfer-Encoding: chunked\r\n\r\n0\n\n$smuggled" ], [ 'a chunk extension with a line end', "${outer}Transfer-Encoding: chunked\r\n\r\n0;x=\"\n\"\r\n\r\n$smuggled" ],
	[ 'bare LFs', "POST /webhook HTTP/1.1\nHost: x\nContent-Length: 0\n\n$smuggled" ], [ 'bare CRs', "${outer}X: a\rContent-Length: $size\r\nContent-Length: 0\r\n\r\n$smuggled" ],
	[ 'a header line without colon', "${outer}Content-Length\r\nContent-Length: 0\r\n\r\n$smuggled" ], [ 'two hosts', "${outer}Host: y\r\nContent-Length: 0\r\n\r\n$smuggled" ],
	[ 'HTTP/1.0 with chunks', "POST /webhook HTTP/1.0\r\n$known[0]\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n$smuggled" ], [ 'HTTP/0.9', "GET /webhook\r\n$smuggled" ])
{
	my ($name, $bytes) = @$case;
	my $bystander = connect_to($node);
	my $connection = connect_to($node);
	$connection->send($bytes);
	my $reply = $connection->reply;
	ok($reply->{status} >= 400 && $reply->{status} < 600 && $connection->reply->{status} == 0, "smuggling by $name: refused, and the connection ends") or diag("$reply->{status} $reply->{body}");
	is(counts_of($bystander->deliver(body_of({ id => 'bystander' }), @known)), '1 0 0', 'a bystander is served');
}
is(sql($node, "SELECT count(*) FROM cxone_sync.contact_records WHERE id = 'smuggled'"), '0', 'no smuggled request was ever served');
is(counts_of(connect_to($node)->exchange($smuggled)), '1 0 0', 'though by itself it is a good one');
is_unharmed('all of it');

unlink '/tmp/cxone_sync_loot';
stop_and_check($node);
done_testing();
