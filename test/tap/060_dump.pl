# pg_dump and restore keep all: rows and what numbers them, the user's own columns, indexes and triggers, targets of their
# own and all that is configured. The upgrade from each version ends at the same catalog as a fresh installation, and keeps
# the same.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_node('dump');
my $directory = PostgreSQL::Test::Utils::tempdir();

sub run_ok
{
	my ($name, @command) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	return $node->command_ok(\@command, $name);
}

# What a dump has to keep.
my %contents = (
	contact_records => 'SELECT * FROM cxone_sync.contact_records ORDER BY id',
	dead_letters => 'SELECT * FROM cxone_sync.dead_letters ORDER BY id',
	schema_versions => 'SELECT * FROM cxone_sync.schema_versions ORDER BY version',
	targets => q(SELECT to_jsonb(t) - 'warning' FROM cxone_sync.targets AS t), # which tells of a database that no worker writes
	field_map => 'SELECT * FROM cxone_sync.field_map ORDER BY target, column_name',
	tombstones => 'SELECT * FROM cxone_sync.tombstones ORDER BY relation::text, key',
	lasting_names => 'SELECT * FROM cxone_sync.lasting_names ORDER BY relation::text, column_name',
	cases => 'SELECT * FROM crm.cases ORDER BY id',
	definition => q(SELECT a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull, pg_get_expr(d.adbin, d.adrelid), col_description(a.attrelid, a.attnum)
		FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
		WHERE a.attrelid = 'cxone_sync.contact_records'::regclass AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
	around => q(SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'cxone_sync.contact_records'::regclass
		UNION ALL SELECT pg_get_triggerdef(oid) FROM pg_trigger WHERE tgrelid = 'cxone_sync.contact_records'::regclass AND NOT tgisinternal
		UNION ALL SELECT pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'cxone_sync.contact_records'::regclass
		UNION ALL SELECT concat_ws(' ', relowner::regrole, relacl, reloptions) FROM pg_class WHERE oid = 'cxone_sync.contact_records'::regclass ORDER BY 1));

sub contents_of
{
	my ($server, $database, @names) = @_;
	return { map { $_ => sql($server, "SET timezone = 'UTC'; $contents{$_}", $database) } @names ? @names : keys %contents };
}

is(counts_of(deliver($node, events_json((map { { id => "c$_", email => "c$_\@example.org", timestamp => '2026-01-02T03:04:05.678901Z' } } 1 .. 20),
				{ id => "\xc3\xa9\\t", firstName => "tab\there, line\nthere, \\N" }, { id => 'bad', timestamp => 'never' }, {}, '"text"'))),
	'21 0 3', 'rows and dead letters');
sql($node, <<'SQL');
CREATE ROLE crm; CREATE ROLE reader;
CREATE SCHEMA crm AUTHORIZATION crm;
CREATE TABLE crm.cases (id bigint PRIMARY KEY, status text, extra jsonb, updated_ts timestamptz, field_times jsonb);
ALTER TABLE crm.cases OWNER TO crm;
SELECT cxone_sync.add_target('cases', 'crm.cases', '{id}', event_types => '{Case}', root_path => '/data', delete_types => '{Gone}');
SELECT cxone_sync.map_field('cases', 'status', '/data/state', '/state');
ALTER TABLE cxone_sync.contact_records ADD phone text NOT NULL DEFAULT 'none', ADD details jsonb CHECK (jsonb_typeof(details) = 'object');
SELECT cxone_sync.change_target('contact_records', event_types => '{Contact}', kept_columns => '{sync_status,phone}');
COMMENT ON COLUMN cxone_sync.contact_records.phone IS 'our own';
CREATE INDEX by_email ON cxone_sync.contact_records (lower(email));
CREATE FUNCTION crm.stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.phone := lower(NEW.phone); RETURN NEW; END';
CREATE TRIGGER stamp BEFORE INSERT OR UPDATE ON cxone_sync.contact_records FOR EACH ROW EXECUTE FUNCTION crm.stamp();
GRANT SELECT ON cxone_sync.contact_records TO reader;
SQL
is(counts_of(deliver($node, events_json({ eventType => 'Contact', id => 'own', details => { a => [1] }, odd => 1 }, (map { { eventType => 'Case', data => { id => $_, state => 'open', odd => $_ } } } 1 .. 3), { eventType => 'Gone', data => { id => 2 } }))), '5 0 0', 'targets of our own');
sql($node, "UPDATE cxone_sync.contact_records SET sync_status = 'done' WHERE id = 'c1'");
sql($node, 'ALTER TABLE crm.cases ADD COLUMN note text; ALTER TABLE crm.cases RENAME note TO notes; ALTER TABLE crm.cases DROP COLUMN notes');
is(sql($node, 'SELECT count(*) FROM cxone_sync.lasting_names'), '2', 'names of columns');
sql($node, "UPDATE cxone_sync.schema_versions SET applied_at = '2020-02-02T02:02:02Z' WHERE version = 1");
my $original = contents_of($node, 'postgres');
my $last_letter = sql($node, 'SELECT max(id) FROM cxone_sync.dead_letters');

# What speaks of tables that are gone would be restored as numbers, which may be other tables' there: it is not in a dump.
# Such tombstones are left where event triggers were off when the table was dropped.
sql($node, <<'SQL');
CREATE TABLE crm.gone (id bigint PRIMARY KEY, note text, updated_ts timestamptz);
ALTER TABLE crm.gone OWNER TO crm;
SELECT cxone_sync.add_target('gone', 'crm.gone', '{id}', event_types => '{Went}');
SELECT cxone_sync.map_field('gone', 'note', '/text');
INSERT INTO cxone_sync.tombstones VALUES ('crm.gone', '{id}', '1', now());
ALTER EVENT TRIGGER cxone_sync_tables DISABLE;
DROP TABLE crm.gone;
ALTER EVENT TRIGGER cxone_sync_tables ENABLE ALWAYS;
SQL
is(sql($node, 'SELECT (SELECT count(*) FROM cxone_sync.tombstones), (SELECT count(*) FROM cxone_sync.targets), (SELECT count(*) FROM cxone_sync.field_map)'), '2|3|2', 'a table that is gone, with what is known of it');

# ---- into a new database, a new cluster, and one format after the other ----

run_ok('pg_dump', 'pg_dump', '-Fc', '-f', "$directory/dump", $node->connstr('postgres'));
sql($node, 'CREATE DATABASE fresh');
run_ok('pg_restore into a new database', 'pg_restore', '--exit-on-error', '-d', $node->connstr('fresh'), "$directory/dump");
is_deeply(contents_of($node, 'fresh'), $original, 'has the same rows');
is(sql($node, q(SELECT cxone_sync.ingest('{"events":[{}]}')->>'dead_lettered'), 'fresh'), '1', 'one more dead letter');
cmp_ok(sql($node, 'SELECT max(id) FROM cxone_sync.dead_letters', 'fresh'), '>', $last_letter, 'goes on numbering');
is(sql($node, q(SELECT cxone_sync.ingest('{"events":[{"eventType":"Contact","id":"c1","email":"old","timestamp":"2025-01-01T00:00:00Z"},
	{"eventType":"Contact","id":"c2","email":"new","timestamp":"2026-02-01T00:00:00Z"},{"eventType":"Case","data":{"id":2,"state":"late"},"timestamp":"2025-01-01T00:00:00Z"},
	{"eventType":"Case","data":{"id":4},"state":"new"}]}')), 'fresh'),
	'{"applied": 3, "skipped": 1, "received": 4, "dead_lettered": 0}', 'events go on, by the same configuration, and what was deleted stays so');
is(sql($node, "SELECT email, updated_ts = '2026-01-02T03:04:05.678901Z', extra->>'eventType' FROM cxone_sync.contact_records WHERE id = 'c1'", 'fresh'), 'c1@example.org|t|Contact', 'in the order of the time of their fields');
is(sql($node, 'SELECT status FROM crm.cases WHERE id = 4', 'fresh'), 'new', 'by the same mapping');

# a dump of what was restored is the same again
run_ok('pg_dump of the restored database', 'pg_dump', '-f', "$directory/again.sql", $node->connstr('fresh'));
sql($node, 'CREATE DATABASE again');
run_ok('psql of a plain dump', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('again'), '-f', "$directory/again.sql");
is_deeply(contents_of($node, 'again'), contents_of($node, 'fresh'), 'has the same rows once more');

# in one transaction, in several processes, and the data alone
sql($node, "CREATE DATABASE $_") foreach qw(single parallel data);
run_ok('pg_restore --single-transaction', 'pg_restore', '--single-transaction', '-d', $node->connstr('single'), "$directory/dump");
is_deeply(contents_of($node, 'single'), $original, 'has the same rows');
run_ok('pg_restore --jobs', 'pg_restore', '--exit-on-error', '--jobs=4', '-d', $node->connstr('parallel'), "$directory/dump");
is_deeply(contents_of($node, 'parallel'), $original, 'has the same rows');
run_ok('pg_restore of the definitions', 'pg_restore', '--exit-on-error', '--schema-only', '-d', $node->connstr('data'), "$directory/dump");
isnt($node->psql('data', q(SELECT cxone_sync.ingest('{"events":[]}'))), 0, 'before the data are there nothing is taken');
run_ok('pg_restore of the data', 'pg_restore', '--exit-on-error', '--data-only', '-d', $node->connstr('data'), "$directory/dump");
is_deeply(contents_of($node, 'data'), $original, 'has the same rows');

# another cluster, with pg_dumpall, whose worker then takes deliveries
sql($node, "DROP DATABASE $_") foreach qw(fresh again single parallel data);
run_ok('pg_dumpall', 'pg_dumpall', '-f', "$directory/all.sql", '-d', $node->connstr('postgres'));
my $other = new_node('other');
$other->start;
# the superuser is there already, and that is the only error
my ($result, $stdout, $stderr) = $other->psql('postgres', "\\i $directory/all.sql", on_error_stop => 0);
is(join("\n", grep { /ERROR/ && !/role ".*" already exists/ } split /\n/, $stderr), '', 'restored in another cluster');
is_deeply(contents_of($other, 'postgres'), $original, 'has the same rows');
wait_for_state($other, 'running');
is(counts_of(deliver($other, events_json({ eventType => 'Contact', id => 'c1', email => 'after' }, {}))), '1 0 1', 'its worker takes deliveries');
is(sql($other, "SELECT email, sync_status FROM cxone_sync.contact_records WHERE id = 'c1'"), 'after|done', 'and updates what was restored');

# ---- the upgrade ----

# Everything that the extension's objects are, without oids. Numbers show a wrong order of columns.
my $catalog = <<'SQL';
WITH members AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND d.refclassid = 'pg_extension'::regclass
    WHERE e.extname = 'cxone_sync' AND d.deptype = 'e'
    UNION ALL SELECT 'pg_class'::regclass, to_regclass('cxone_sync.contact_records') -- made by it, and yet the user's
), relations AS (SELECT c.* FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid)
SELECT line FROM (
    SELECT 'extension ' || extversion || ' ' || extrelocatable || ' ' || extconfig::regclass[]::text || ' ' || extcondition::text FROM pg_extension WHERE extname = 'cxone_sync'
    UNION ALL SELECT 'member ' || pg_describe_object(classid, objid, 0) || ': ' || coalesce(obj_description(objid, (SELECT relname FROM pg_class WHERE oid = classid)), 'no comment') FROM members
    UNION ALL SELECT format('relation %s %s %s %s %s', relname, relkind, relowner::regrole, relacl, reloptions) FROM relations
    UNION ALL SELECT format('column %s.%s %s %s %s %s %s %s: %s', r.relname, row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum), a.attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attacl,
        pg_get_expr(adbin, adrelid), col_description(r.oid, attnum))
        FROM relations r JOIN pg_attribute a ON attrelid = r.oid AND attnum > 0 AND NOT attisdropped LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
    UNION ALL SELECT format('constraint %s %s %s', r.relname, conname, pg_get_constraintdef(c.oid)) FROM relations r JOIN pg_constraint c ON conrelid = r.oid
    UNION ALL SELECT format('index %s', pg_get_indexdef(indexrelid)) FROM relations r JOIN pg_index ON indrelid = r.oid
    UNION ALL SELECT format('trigger %s: %s', pg_get_triggerdef(t.oid), obj_description(t.oid, 'pg_trigger')) FROM relations r JOIN pg_trigger t ON tgrelid = r.oid AND NOT tgisinternal
    UNION ALL SELECT format('view %s %s', relname, pg_get_viewdef(r.oid)) FROM relations r WHERE relkind = 'v'
    UNION ALL SELECT format('function %s %s %s %s', p.oid::regprocedure, proowner::regrole, proacl, pg_get_functiondef(p.oid)) FROM members m JOIN pg_proc p ON m.classid = 'pg_proc'::regclass AND m.objid = p.oid
    UNION ALL SELECT format('schema %s %s', nspacl, nspowner::regrole) FROM pg_namespace WHERE nspname = 'cxone_sync'
    UNION ALL SELECT 'version ' || version FROM cxone_sync.schema_versions
) AS lines(line) ORDER BY line COLLATE "C"
SQL

my ($first, $default) = split /\|/, sql($node, "SELECT '1.0', default_version FROM pg_available_extensions WHERE name = 'cxone_sync'");
sql($node, "CREATE DATABASE $_") foreach qw(fresh upgraded restored);
sql($node, 'CREATE EXTENSION cxone_sync', 'fresh');
sql($node, "CREATE EXTENSION cxone_sync VERSION '$first'", 'upgraded');
isnt(sql($node, $catalog, 'upgraded'), sql($node, $catalog, 'fresh'), 'the first version differs');
sql($node, <<'SQL', 'upgraded');
INSERT INTO cxone_sync.contact_records (id, email) VALUES ('kept', 'k');
ALTER TABLE cxone_sync.contact_records ADD phone text DEFAULT 'none';
CREATE INDEX by_phone ON cxone_sync.contact_records (phone);
SQL
my $rows = 'SELECT id, email, phone FROM cxone_sync.contact_records';
my $kept = sql($node, $rows, 'upgraded');
my $around = sql($node, $contents{around}, 'upgraded');
my @hops = split /\n/, sql($node, "SELECT version FROM pg_available_extension_versions WHERE name = 'cxone_sync' ORDER BY string_to_array(version, '.')::int[]");
cmp_ok(scalar @hops, '>=', 2, 'versions: ' . join(', ', @hops));
foreach my $hop (@hops[ 1 .. $#hops ])
{
	sql($node, "ALTER EXTENSION cxone_sync UPDATE TO '$hop'", 'upgraded');
	is(sql($node, "SELECT extversion FROM pg_extension WHERE extname = 'cxone_sync'", 'upgraded'), $hop, "ALTER EXTENSION UPDATE TO '$hop'");
	is(sql($node, $rows, 'upgraded') . sql($node, $contents{around}, 'upgraded'), $kept . $around, 'rows, columns and indexes are kept');
}
is($hops[-1], $default, 'the newest version is what CREATE EXTENSION installs');
is(sql($node, "SELECT string_agg(source, ',' ORDER BY source) FROM pg_extension_update_paths('cxone_sync') WHERE target = '$default' AND path IS NOT NULL"),
	join(',', sort @hops[ 0 .. $#hops - 1 ]), 'and it can be reached from every other');
my $restored_as = contents_of($node, 'upgraded', qw(contact_records definition around schema_versions));
run_ok('pg_dump of the upgraded database', 'pg_dump', '-Fc', '-f', "$directory/upgraded", $node->connstr('upgraded'));
run_ok('pg_restore', 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$directory/upgraded");
is_deeply(contents_of($node, 'restored', keys %$restored_as), $restored_as, 'with all that the user has added');
sql($node, 'DROP INDEX cxone_sync.by_phone; ALTER TABLE cxone_sync.contact_records DROP phone', $_) foreach qw(upgraded restored);
is(sql($node, $catalog, 'upgraded'), sql($node, $catalog, 'fresh'), 'an upgraded extension is the same as a fresh one');
is(sql($node, $catalog, 'restored'), sql($node, $catalog, 'fresh'), 'and so is a restored one');
is(sql($node, "SELECT id, email, sync_status FROM cxone_sync.contact_records", 'upgraded'), 'kept|k|pending', 'its rows are kept');
is(sql($node, q(SELECT cxone_sync.ingest('{"events":[{"id":"kept","firstName":"f"}, {}]}')), 'upgraded'),
	'{"applied": 1, "skipped": 0, "received": 2, "dead_lettered": 1}', 'and events go in');

# what a user may do, in each of them
foreach my $database (qw(fresh upgraded restored))
{
	sql($node, "DROP ROLE IF EXISTS nobody; DROP ROLE IF EXISTS watcher; CREATE ROLE nobody; CREATE ROLE watcher IN ROLE pg_monitor");
	is(sql($node, "SELECT string_agg(r || ' ' || o || ' ' || has_table_privilege(r, 'cxone_sync.' || o, 'SELECT'), ',' ORDER BY r, o)
		FROM unnest(ARRAY['nobody', 'watcher']) r, unnest(ARRAY['contact_records', 'dead_letters', 'sync_status']) o", $database),
		'nobody contact_records false,nobody dead_letters false,nobody sync_status false,'
		. 'watcher contact_records false,watcher dead_letters false,watcher sync_status true', "$database: who may read what");
	is(sql($node, "SELECT has_function_privilege('nobody', 'cxone_sync.ingest(jsonb)', 'EXECUTE')", $database), 'f', "$database: who may call ingest");
}

stop_and_check($_) foreach $node, $other;
done_testing();
