# pg_dump and restore keep the rows and what numbers them, into a database without the extension and into one that has
# it; the upgrade from the first version ends at the same catalog as a fresh installation.

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
	schema_versions => 'SELECT * FROM cxone_sync.schema_versions ORDER BY version');

sub contents_of
{
	my ($server, $database) = @_;
	return { map { $_ => sql($server, "SET timezone = 'UTC'; $contents{$_}", $database) } keys %contents };
}

is(counts_of(deliver($node, events_json((map { { id => "c$_", email => "c$_\@example.org", timestamp => '2026-01-02T03:04:05.678901Z' } } 1 .. 20),
				{ id => "\xc3\xa9\\t", firstName => "tab\there, line\nthere, \\N" }, { id => 'bad', timestamp => 'never' }, {}, '"text"'))),
	'21 0 3', 'rows and dead letters');
sql($node, "UPDATE cxone_sync.contact_records SET sync_status = 'done' WHERE id = 'c1'");
sql($node, "UPDATE cxone_sync.schema_versions SET applied_at = '2020-02-02T02:02:02Z' WHERE version = 1");
my $original = contents_of($node, 'postgres');
my $last_letter = sql($node, 'SELECT max(id) FROM cxone_sync.dead_letters');

# ---- into a new database, a new cluster, and one format after the other ----

run_ok('pg_dump', 'pg_dump', '-Fc', '-f', "$directory/dump", $node->connstr('postgres'));
sql($node, 'CREATE DATABASE fresh');
run_ok('pg_restore into a new database', 'pg_restore', '--exit-on-error', '-d', $node->connstr('fresh'), "$directory/dump");
is_deeply(contents_of($node, 'fresh'), $original, 'has the same rows');
is(sql($node, q(SELECT cxone_sync.ingest('{"events":[{}]}')->>'dead_lettered'), 'fresh'), '1', 'one more dead letter');
cmp_ok(sql($node, 'SELECT max(id) FROM cxone_sync.dead_letters', 'fresh'), '>', $last_letter, 'goes on numbering');
is(sql($node, q(SELECT cxone_sync.ingest('{"events":[{"id":"c1","email":"old","timestamp":"2025-01-01T00:00:00Z"},
	{"id":"c2","email":"new","timestamp":"2026-02-01T00:00:00Z"}]}')), 'fresh'),
	'{"applied": 1, "skipped": 1, "received": 2, "dead_lettered": 0}', 'events go on in the order of their time');

# a dump of what was restored is the same again
run_ok('pg_dump of the restored database', 'pg_dump', '-f', "$directory/again.sql", $node->connstr('fresh'));
sql($node, 'CREATE DATABASE again');
run_ok('psql of a plain dump', 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('again'), '-f', "$directory/again.sql");
is_deeply(contents_of($node, 'again'), contents_of($node, 'fresh'), 'has the same rows once more');

# a table with columns of the user's own: as the README says, the data only, after CREATE EXTENSION and ALTER TABLE
sql($node, 'ALTER TABLE cxone_sync.contact_records ADD phone text, ADD details jsonb');
is(counts_of(deliver($node, events_json({ id => 'own', phone => '1', details => { a => [1] } }))), '1 0 0', 'columns of your own');
run_ok('pg_dump of the data', 'pg_dump', '-Fc', '--data-only', '-f', "$directory/data", $node->connstr('postgres'));
sql($node, 'CREATE DATABASE own');
sql($node, 'CREATE EXTENSION cxone_sync; ALTER TABLE cxone_sync.contact_records ADD phone text, ADD details jsonb', 'own');
run_ok('pg_restore of the data', 'pg_restore', '--exit-on-error', '-d', $node->connstr('own'), "$directory/data");
is_deeply(contents_of($node, 'own'), contents_of($node, 'postgres'), 'has the same rows and columns');

# another cluster, with pg_dumpall, whose worker then takes deliveries
sql($node, "DROP DATABASE $_") foreach qw(fresh again own);
sql($node, 'ALTER TABLE cxone_sync.contact_records DROP phone, DROP details');
$original = contents_of($node, 'postgres');
run_ok('pg_dumpall', 'pg_dumpall', '-f', "$directory/all.sql", '-d', $node->connstr('postgres'));
my $other = new_node('other');
$other->start;
# the superuser is there already, and that is the only error
my ($result, $stdout, $stderr) = $other->psql('postgres', "\\i $directory/all.sql", on_error_stop => 0);
is(join("\n", grep { /ERROR/ && !/role ".*" already exists/ } split /\n/, $stderr), '', 'restored in another cluster');
is_deeply(contents_of($other, 'postgres'), $original, 'has the same rows');
wait_for_state($other, 'running');
is(counts_of(deliver($other, events_json({ id => 'c1', email => 'after' }, {}))), '1 0 1', 'its worker takes deliveries');
is(sql($other, "SELECT email, sync_status FROM cxone_sync.contact_records WHERE id = 'c1'"), 'after|done', 'and updates what was restored');

# ---- the upgrade ----

# Everything that the extension's objects are, without oids. Column numbers show a wrong order.
my $catalog = <<'SQL';
WITH members AS (
    SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON d.refobjid = e.oid AND d.refclassid = 'pg_extension'::regclass
    WHERE e.extname = 'cxone_sync' AND d.deptype = 'e'
), relations AS (SELECT c.* FROM members m JOIN pg_class c ON m.classid = 'pg_class'::regclass AND m.objid = c.oid)
SELECT line FROM (
    SELECT 'extension ' || extversion || ' ' || extrelocatable || ' ' || extconfig::regclass[]::text || ' ' || extcondition::text FROM pg_extension WHERE extname = 'cxone_sync'
    UNION ALL SELECT 'member ' || pg_describe_object(classid, objid, 0) || ': ' || coalesce(obj_description(objid, (SELECT relname FROM pg_class WHERE oid = classid)), 'no comment') FROM members
    UNION ALL SELECT format('relation %s %s %s %s %s', relname, relkind, relowner::regrole, relacl, reloptions) FROM relations
    UNION ALL SELECT format('column %s.%s %s %s %s %s %s %s: %s', r.relname, a.attnum, a.attname, format_type(atttypid, atttypmod), attnotnull, attidentity, attacl,
        pg_get_expr(adbin, adrelid), col_description(r.oid, attnum))
        FROM relations r JOIN pg_attribute a ON attrelid = r.oid AND attnum > 0 LEFT JOIN pg_attrdef d ON adrelid = attrelid AND adnum = attnum
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
sql($node, "INSERT INTO cxone_sync.contact_records (id, email) VALUES ('kept', 'k')", 'upgraded');
my @hops = split /\n/, sql($node, "SELECT version FROM pg_available_extension_versions WHERE name = 'cxone_sync' ORDER BY string_to_array(version, '.')::int[]");
cmp_ok(scalar @hops, '>=', 2, 'versions: ' . join(', ', @hops));
foreach my $hop (@hops[ 1 .. $#hops ])
{
	sql($node, "ALTER EXTENSION cxone_sync UPDATE TO '$hop'", 'upgraded');
	is(sql($node, "SELECT extversion FROM pg_extension WHERE extname = 'cxone_sync'", 'upgraded'), $hop, "ALTER EXTENSION UPDATE TO '$hop'");
}
is($hops[-1], $default, 'the newest version is what CREATE EXTENSION installs');
is(sql($node, $catalog, 'upgraded'), sql($node, $catalog, 'fresh'), 'an upgraded extension is the same as a fresh one');
is(sql($node, "SELECT id, email, sync_status FROM cxone_sync.contact_records", 'upgraded'), 'kept|k|pending', 'its rows are kept');
is(sql($node, q(SELECT cxone_sync.ingest('{"events":[{"id":"kept","firstName":"f"}, {}]}')), 'upgraded'),
	'{"applied": 1, "skipped": 0, "received": 2, "dead_lettered": 1}', 'and events go in');

# a restored one as well
run_ok('pg_dump of the upgraded database', 'pg_dump', '-Fc', '-f', "$directory/upgraded", $node->connstr('upgraded'));
run_ok('pg_restore', 'pg_restore', '--exit-on-error', '-d', $node->connstr('restored'), "$directory/upgraded");
is(sql($node, $catalog, 'restored'), sql($node, $catalog, 'fresh'), 'a restored extension is the same as a fresh one');
is_deeply(contents_of($node, 'restored'), contents_of($node, 'upgraded'), 'with the rows of the upgraded one');

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
