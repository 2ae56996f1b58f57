# What Prometheus makes of the metrics: both formats to the letter, a real Prometheus that scrapes them, and what
# doc/monitoring has for it: rules, dashboard and configuration.

use strict;
use warnings;

use FindBin;
use lib "$FindBin::RealBin/lib";
use CxoneSync;
use CxoneSync::Service;
use HTTP::Tiny;
use IPC::Run ();
use JSON::PP ();
use PostgreSQL::Test::Utils;
use Test::More;

my $doc = "$FindBin::RealBin/../../doc/monitoring";
my $dir = $PostgreSQL::Test::Utils::tmp_check;

# What a command says to an input, and how it ends.
sub run
{
	my ($input, @command) = @_;
	my $output = '';
	IPC::Run::run(\@command, '<', \$input, '>&', \$output);
	return ($? == 0, $output);
}

sub runs
{
	my ($name, @command) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my ($ok, $output) = run('', @command);
	ok($ok, $name) or diag($output);
	return;
}

# ---- the rules by themselves ----

runs('the rules are well-formed', 'promtool', 'check', 'rules', "$doc/alerts.yml");
runs("each alert fires when it should, and only then ($_)", 'promtool', 'test', 'rules', "$FindBin::RealBin/../monitoring/$_")
  foreach qw(alerts_test.yml alerts_week_test.yml);

# ---- traffic ----

my $node = start_node('prometheus', max_body_size => '64kB', lock_timeout => '10ms');
my $number = 0;
my $now = sql($node, q{SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC' - interval '3 s', 'YYYY-MM-DD"T"HH24:MI:SS"Z"')});

sub good { return { id => 'c' . ++$number, email => 'a@b.c', timestamp => $now }; }
sub bad { return { id => 'c' . ++$number, timestamp => 'now' }; }

applied_is(deliver($node, events_json(good(), good(), { id => 'c1', timestamp => '2020-01-01T00:00:00Z' }, bad())), '2 1 1', 'a delivery');

# ---- the exposition ----

sub get
{
	my ($path, @headers) = @_;
	return connect_to($node, metrics_port($node))->exchange(request_text(method => 'GET', path => $path, headers => \@headers));
}

# Each sample's name with its labels => its value.
sub samples { my $text = shift; return map { /^([^#\s]\S*) (\S+)$/ ? ($1 => $2) : () } split /\n/, $text; }
sub series { my %samples = samples(get('/metrics')->{body}); return join "\n", sort keys %samples; }

my $few_series = series();
my ($ok, $output) = run(get('/metrics')->{body}, 'promtool', 'check', 'metrics');
ok($ok, 'promtool takes the text');
is($output, '', 'and has no complaint');

# strict, as OpenMetrics wants it; shows each sample as the text would
my $parser = <<'END';
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.documentation and family.type != "unknown", family
    for sample in family.samples:
        assert sample.timestamp is None and sample.exemplar is None, sample
        labels = ",".join(f'{name}="{value}"' for name, value in sample.labels.items())
        print(sample.name + ("{" + labels + "}" if labels else ""))
END
my $reply = get('/metrics', 'Accept: application/openmetrics-text; version=1.0.0');
like($reply->{headers}{'content-type'}, qr{^application/openmetrics-text; version=1\.0\.0;}, 'OpenMetrics, if asked for');
($ok, $output) = run($reply->{body}, '/usr/bin/python3', '-c', $parser);
ok($ok, 'a strict parser takes it') or diag($output);
is(join("\n", sort split /\n/, $output), $few_series, 'and finds the same series as in the text');

# ---- traffic of every other kind ----

is(deliver($node, '{"events":')->{status}, 400, 'broken JSON') foreach 1 .. 3;
is(deliver($node, '{"events":[]}', 'Content-Encoding: br')->{status}, 415, 'an encoding that is not read');
is(deliver($node, 'x' x 65_537)->{status}, 413, 'a large body');
is(connect_to($node)->exchange(request_text(path => '/scan"<me>\\', body => '{}'))->{status}, 404, 'a path of another kind');
is(connect_to($node)->exchange(request_text(method => 'PUT', body => '{}'))->{status}, 405, 'a method');
is(connect_to($node)->exchange("nonsense\r\n\r\n")->{status}, 400, 'no HTTP');
sql($node, q{CREATE TABLE others (id text PRIMARY KEY, n integer CHECK (n < 10), updated_ts timestamptz); ALTER TABLE others OWNER TO cxone_sync;
	GRANT USAGE ON SCHEMA public TO cxone_sync; SELECT cxone_sync.add_target('others "x"', 'others', '{id}', event_types => '{Other}')});
deliver($node, events_json(good(), { %{ good() }, eventType => 'Other', n => 1 }, { %{ good() }, eventType => 'Other', n => 10 },
		{ %{ good() }, "unknown\\\"\n" => 1 }, { %{ good() }, eventType => "odd\n\"type" }, { email => 'no@key' }, '7'));
my $blocker = open_session($node);
$blocker->run('BEGIN; LOCK cxone_sync.contact_records');
retry_is(deliver($node, events_json(good())), 'a table that is locked');
$blocker->run('ROLLBACK');
$blocker->close;
poll(sub { return deliver($node, events_json(map { good() } 1 .. 40))->{status} == 200; }, 'taken again');

is(series(), $few_series, 'the number of series is fixed, and no label comes from data');
my $count = () = $few_series =~ /^/mg;
cmp_ok($count, '<', 200, "there are few ($count)");

# ---- a real Prometheus, configured as the documentation says ----

my $readme = slurp_file("$doc/README.md");
my ($config) = $readme =~ /^```yaml\n(.*?)^```$/ms;
my $target = '127.0.0.1:' . metrics_port($node);
$config =~ s/'localhost:9090'/'$target'/ or fail('a target in the README');
$config =~ s{/etc/prometheus/cxone_sync_alerts\.yml}{$doc/alerts.yml} or fail('a place for the rules in the README');
$config =~ s/scrape_interval: 15s/scrape_interval: 1s/ or fail('an interval in the README');
open my $out, '>', "$dir/prometheus.yml" or die "prometheus.yml: $!";
print $out "global:\n  evaluation_interval: 1s\n", $config;
close $out;
runs("the README's configuration is well-formed", 'promtool', 'check', 'config', "$dir/prometheus.yml");
my $prometheus = CxoneSync::Service->start("$FindBin::RealBin/../monitoring/prometheus", {}, "$dir/prometheus.yml", "$dir/prometheus");

# The series that a query finds; dies if the query fails.
sub query
{
	my $query = shift;
	return @{ $prometheus->get('/api/v1/query?' . HTTP::Tiny->new->www_form_urlencode({ query => $query }))->{data}{result} };
}

# The value of a query that finds one series.
sub value
{
	my $query = shift;
	my @result = query($query);
	return @result == 1 ? $result[0]{value}[1] : scalar(@result) . ' series';
}

my $address = "{job=\"cxone_sync\",instance=\"$target\"}";
poll(sub { return value("up$address") eq '1'; }, 'Prometheus scrapes');
is(value("up$address"), 1, 'Prometheus takes the metrics');
is(value("count({instance=\"$target\", __name__=~\"cxone_sync_.+\"})"), $count, 'all of them');

# ---- SQL and Prometheus say the same ----

sub close_to
{
	my ($query, $expected, $tolerance, $name) = @_;
	local $Test::Builder::Level = $Test::Builder::Level + 1;
	my $value = value($query);
	return ok($value =~ /^[\d.e+-]+$/ && abs($value - $expected) <= $tolerance, $name) || diag("  $value, wanted $expected");
}

my $counters = sql($node, q{SELECT string_agg(concat_ws('|', counter, outcome, reason, total), E'\n' ORDER BY counter, outcome, reason) FROM cxone_sync.sync_counters});
my ($committed) = $counters =~ /^deliveries\|committed\|(\d+)$/m;
poll(sub { return value('cxone_sync_deliveries_total{outcome="committed"}') eq $committed; }, 'Prometheus has scraped the last delivery');
foreach (split /\n/, $counters)
{
	my ($name, @rest) = split /\|/;
	my $total = pop @rest;
	my $labels = join ',', (@rest > 0 ? qq(outcome="$rest[0]") : ()), (@rest > 1 ? qq(reason="$rest[1]") : ());
	is(value("cxone_sync_${name}_total{$labels}"), $total, join(' ', $name, @rest));
}
foreach my $status (qw(success failure))
{
	foreach ([ 'lag', 'sync_lag' ], [ 'intake_lag', 'intake_lag' ])
	{
		my ($metric, $view) = @$_;
		my ($events, $sum, $p95, $last) = split /\|/, sql($node,
			"SELECT events, extract(epoch FROM mean) * events, extract(epoch FROM p95), extract(epoch FROM last_commit) FROM cxone_sync.$view WHERE status = '$status'");
		my $name = "cxone_sync_${metric}_seconds";
		is(value("${name}_count{status=\"$status\"}"), $events, "$metric, $status: as many events");
		cmp_ok($events, '>', 0, 'and some');
		is(value("${name}_bucket{status=\"$status\",le=\"+Inf\"}"), $events, 'all of them in the last bucket');
		close_to("${name}_sum{status=\"$status\"}", $sum, 1e-6 * ($events + $sum), 'the same sum');
		# a bucket is twice as wide as the one below
		my $quantile = value("histogram_quantile(0.95, ${name}_bucket{status=\"$status\"})");
		ok($quantile >= $p95 / 2.2 && $quantile <= 2.2 * $p95 || ($quantile <= 0.003125 && $p95 < 0.0034), 'a similar p95')
		  or diag("  $quantile, $p95");
		close_to("cxone_sync_last_commit_timestamp_seconds{status=\"$status\"}", $last, 1e-5, 'the same last commit');
	}
}
my $letters = sql($node, 'SELECT count(*) FROM cxone_sync.dead_letters');
cmp_ok($letters, '>=', 4, 'there are dead letters');
poll(sub { return value('sum(cxone_sync_dead_letters_open)') eq $letters; }, 'the dead letters are counted');
foreach (split /\n/, sql($node, 'SELECT reason, letters FROM cxone_sync.dead_letters_open'))
{
	my ($reason, $open) = split /\|/;
	is(value("cxone_sync_dead_letters_open{reason=\"$reason\"}"), $open, "dead letters: $reason");
}
is(value('cxone_sync_ready'), 1, 'ready');
is(value('cxone_sync_worker_up'), 1, 'the worker is up');
is(value('cxone_sync_registration_state == 1'), 1, 'one state of the registration');
close_to('cxone_sync_worker_start_time_seconds', sql($node, "SELECT extract(epoch FROM backend_start) FROM pg_stat_activity WHERE backend_type = 'cxone_sync'"),
	10, 'the time of its start');
is(value('cxone_sync_queue_limit_bytes'), 32 * 1024 * 1024, 'the limit of the queue');

# ---- the rules ----

my @rules;
poll(sub {
		@rules = map { @{ $_->{rules} } } @{ $prometheus->get('/api/v1/rules')->{data}{groups} };
		return @rules && !grep { $_->{health} eq 'unknown' } @rules;
	}, 'the rules are evaluated');
my @alerts = slurp_file("$doc/alerts.yml") =~ /^ *- alert: (\w+)$/mg;
is(join(' ', map { $_->{name} } @rules), join(' ', @alerts), 'all alerts are loaded');
is(join("\n", map { "$_->{name}: $_->{health} " . ($_->{lastError} || '') } grep { $_->{health} ne 'ok' || $_->{lastError} } @rules), '', 'and healthy');
foreach my $rule (@rules)
{
	my ($name, $annotations) = @{$rule}{qw(name annotations)};
	ok($rule->{labels}{severity} =~ /^(critical|warning)$/ && $rule->{duration} > 0 && $annotations->{summary} && $annotations->{description}, "$name: complete");
	ok(eval { query($rule->{query}); 1; }, "$name: its expression can be evaluated") or diag($@);
	like($readme, qr/^\| `$name` \($rule->{labels}{severity}\) \| /m, "$name: documented");
}
is(join(' ', $readme =~ /^\| `(\w+)` \((?:critical|warning)\)/mg), join(' ', @alerts), 'no other alert is documented');
my @active;
poll(sub {
		@active = @{ $prometheus->get('/api/v1/alerts')->{data}{alerts} };
		return grep { $_->{labels}{alertname} eq 'CxoneSyncDeadLetters' } @active;
	}, 'the dead letters raise an alert');
is((map { $_->{annotations}{summary} } grep { $_->{labels}{alertname} eq 'CxoneSyncDeadLetters' } @active)[0],
	"$letters dead letters are open on $target", 'in words');

# ---- the dashboard ----

my $dashboard = JSON::PP::decode_json(slurp_file("$doc/dashboard.json"));
my (%ids, %cells);
foreach my $panel (@{ $dashboard->{panels} })
{
	my ($title, $place) = @{$panel}{qw(title gridPos)};
	ok(!$ids{ $panel->{id} }++, "panel $title: an id of its own");
	my @cells = map { my $x = $_; map { "$x $_" } $place->{y} .. $place->{y} + $place->{h} - 1 } $place->{x} .. $place->{x} + $place->{w} - 1;
	ok($place->{x} + $place->{w} <= 24 && !(grep { $cells{$_}++ } @cells), "panel $title: a place of its own");
	next if $panel->{type} eq 'row';
	ok($panel->{description}, "panel $title: with a description");
	is($panel->{datasource}{uid}, '${DS_PROMETHEUS}', "panel $title: from the data source that is chosen");
	foreach my $expression (map { $_->{expr} } @{ $panel->{targets} })
	{
		my $query = $expression =~ s/\$instance/$target/gr =~ s/\$__rate_interval/30s/gr;
		# a rate takes a second scrape
		ok(poll(sub { return scalar query($query); }, $query), "panel $title: shows something") or diag($expression);
	}
}
foreach my $annotation (@{ $dashboard->{annotations}{list} })
{
	my $query = $annotation->{expr} =~ s/\$instance/$target/gr;
	is(scalar(() = query($query)), 1, "annotation $annotation->{name}");
}

my %known = map { /^(\w+)/ ? ($1 => 1) : () } split /\n/, $few_series;
foreach my $file (qw(alerts.yml dashboard.json README.md))
{
	my @names = grep { $_ ne 'cxone_sync_alerts' } slurp_file("$doc/$file") =~ /\b(cxone_sync_\w+)/g;
	is(join(' ', grep { !$known{$_} } @names), '', "$file mentions no metric that is not there");
	cmp_ok(scalar @names, '>', 0, 'but others');
}

# ---- the end of the server is seen ----

stop_and_check($node);
poll(sub { return value("up$address") eq '0'; }, 'Prometheus sees that nobody answers');
poll(sub { return grep { $_->{labels}{alertname} eq 'CxoneSyncDown' } @{ $prometheus->get('/api/v1/alerts')->{data}{alerts} }; }, 'and prepares an alert');
is(value("up$address"), 0, 'a server that is down is seen');
$prometheus->stop;
done_testing();
