# Asks PostgreSQL what it makes of the texts for which test/unit/timestamp_corpus says what parse_timestamp makes
# of them. What is accepted must have PostgreSQL's value, and what is refused although PostgreSQL takes it must
# be refused for one of the reasons below. Needs a server and the corpus program, but not the extension.

use strict;
use warnings;

use File::Basename qw(dirname);
use File::Spec;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $root = File::Spec->rel2abs(dirname(__FILE__) . '/../..');
my $build = $ENV{CXONE_SYNC_BUILD} || "$root/build/unit";
my $corpus = PostgreSQL::Test::Utils::tempdir() . '/corpus.tsv';

# What a text of our form is allowed to be refused for although PostgreSQL takes it: an hour that is only good as
# 24:00:00, and lengths between our limit and PostgreSQL's 149 characters.
my %stricter_about_values = map { $_ => 1 } ('has an hour outside 00-23', 'is longer than 128 characters');

# PostgreSQL's input is made for people and guesses; what a sender means by these is not for us to guess.
my %stricter_about_form = (
	'does not begin with a date of the form YYYY-MM-DD' => 'now, infinity, 12/06/2024, 20240612T100000Z, a leading blank',
	'has a day that its month does not have' => 'a day of three digits',
	'has no time of day' => 'midnight in the zone of the session',
	'has neither a T nor a blank after the date' => 'a date with an offset, a day of three digits, other separators',
	'has no time of the form hh:mm:ss' => 'no seconds, no colons, one digit, two blanks',
	'has an hour outside 00-23' => '24:00:00 without an offset, a name of a zone',
	'has no digits after the decimal point' => 'a bare point',
	'has no offset from UTC' => 'the zone of the session',
	'has neither a fraction nor an offset from UTC after the seconds' => 'a blank before the offset, names of zones',
	'has an offset from UTC that is neither Z nor of the form +hh:mm or +hhmm' => '+1, +01, +01:0',
	'has an offset from UTC outside -15:59 to +15:59' => 'an offset of five digits',
	'has text after the offset from UTC' => 'an offset with seconds, a trailing blank, BC');

my $our_form = '^\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d([.]\d+)?([Zz]|[+-]\d\d:?\d\d)$';

sub write_corpus
{
	my $program = "$build/timestamp_corpus";
	BAIL_OUT("$program is missing: build it with make -C test/unit") unless -x $program;
	system("'$program' > '$corpus'") == 0 or BAIL_OUT("$program failed");
	return;
}

# timestamptz_send is the exact number of microseconds in every version of PostgreSQL.
sub load_corpus
{
	my $node = shift;
	$node->safe_psql('postgres', <<"SQL");
CREATE TABLE corpus (text text NOT NULL, ours text NOT NULL, reason text NOT NULL);
\\copy corpus FROM '$corpus'
CREATE FUNCTION postgres_value(input text) RETURNS bigint LANGUAGE plpgsql AS \$\$
BEGIN
    RETURN ('x' || encode(timestamptz_send(input::timestamptz), 'hex'))::bit(64)::bigint;
EXCEPTION WHEN invalid_datetime_format OR datetime_field_overflow OR invalid_parameter_value
            OR invalid_time_zone_displacement_value THEN
    RETURN NULL;
END
\$\$;
SQL
	return;
}

sub differences
{
	my ($node, $settings) = @_;
	return $node->safe_psql('postgres', "$settings
		SELECT format('%s: ours %s, PostgreSQL %s', text, ours, theirs)
		FROM (SELECT text, ours::bigint, postgres_value(text) AS theirs FROM corpus WHERE reason = '') c
		WHERE ours IS DISTINCT FROM theirs LIMIT 20");
}

write_corpus();
my $node = PostgreSQL::Test::Cluster->new('timestamp');
$node->init;
$node->start;
load_corpus($node);

my ($accepted, $refused) = split /\|/, $node->safe_psql('postgres', "
	SELECT count(*) FILTER (WHERE reason = ''), count(*) FILTER (WHERE reason <> '') FROM corpus");
cmp_ok($accepted, '>=', 200_000, "$accepted accepted texts to compare");
cmp_ok($refused, '>=', 200_000, "$refused refused texts to compare");

# An offset leaves nothing to the session, so nothing of the session may matter.
is(differences($node, 'SET datestyle = "ISO, YMD"; SET timezone = "UTC";'),
	'', 'every accepted text has the value that PostgreSQL gives it');
is(differences($node, 'SET datestyle = "SQL, DMY"; SET timezone = "America/New_York";'),
	'', 'and in a session of another date style and zone');

my $found = $node->safe_psql('postgres', "
	SELECT reason, of_our_form, count(*), count(theirs), coalesce(min(text) FILTER (WHERE theirs IS NOT NULL), '')
	FROM (SELECT text, reason, text ~ '$our_form' AS of_our_form, postgres_value(text) AS theirs
	      FROM corpus WHERE reason <> '') c
	GROUP BY reason, of_our_form ORDER BY of_our_form DESC, reason");
foreach my $line (split /\n/, $found)
{
	my ($reason, $of_our_form, $texts, $taken, $example) = split /\|/, $line, 5;
	my $known = $of_our_form eq 't' ? \%stricter_about_values : \%stricter_about_form;
	my $form = $of_our_form eq 't' ? 'our form' : 'another form';
	note("PostgreSQL takes $taken of $texts" . ($taken ? ", such as '$example'" : ''));
	ok($taken == 0 || $known->{$reason}, "a text of $form refused as it $reason");
}
is($node->safe_psql('postgres', "
	SELECT count(*) FROM corpus WHERE reason = 'has an hour outside 00-23' AND text ~ '$our_form'
	AND text !~ '24:00:00' AND postgres_value(text) IS NOT NULL"), '0', 'of hours from 24 on, PostgreSQL takes 24:00:00 only');

$node->stop;
unlike(slurp_file($node->logfile), qr/terminated by signal/, 'no process was ended by a signal');

done_testing();
