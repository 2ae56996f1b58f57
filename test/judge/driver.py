"""Runs a case against the extension, and compares what it leaves with what the model says, after each batch."""

import itertools
import json
import socket
import time
from datetime import datetime

import psycopg2

from model import ARRIVAL, Model, canonical
from schema import RESET, SCHEMA
from stream import CHANGES, Case, Group, Replay, mended

# Later than every time that events carry: the clock's.
CLOCK = 1_600_000_000_000_000


class Difference(Exception):
    """What the extension left is none of the outcomes that the rules allow."""

    def __init__(self, step, kind, text):
        super().__init__(text)
        self.step, self.kind = step, kind


def microseconds(text):
    moment = datetime.fromisoformat(text)
    return int(moment.timestamp()) * 1_000_000 + moment.microsecond


class Session:
    """A connection of a superuser's, and what it knows of the extension."""

    def __init__(self, dsn, port=None, workers=0):
        self.dsn, self.port, self.workers = dsn, port, workers
        self.connection = psycopg2.connect(dsn)
        self.connection.autocommit = True
        self.cursor = self.connection.cursor()
        self.run(['SET client_min_messages = error'])

    def run(self, statements):
        self.cursor.execute(';\n'.join(statements))

    def value(self, sql, *arguments):
        self.cursor.execute(sql, arguments)
        return self.cursor.fetchone()[0]

    def rows(self, sql, *arguments):
        self.cursor.execute(sql, arguments)
        return self.cursor.fetchall()


class Observed:
    """What the database holds, in the model's terms."""

    def __init__(self, schema, value):
        self.rows, self.versions, self.field_times = {}, {}, {}
        for table in schema.tables:
            self.rows[table.name] = {}
            for row in value['rows'][table.name] or []:
                self.take_row(table, row)
        self.tombstones = {}
        for stone in value['tombstones'] or []:
            columns = tuple(stone['key_columns'])
            self.tombstones[stone['relation'].split('.')[-1], columns, stone['key']] = microseconds(stone['deleted_ts'])
        self.letters = value['letters'] or []

    def take_row(self, table, row):
        key = tuple(row[name] for name in table.key_names())
        self.versions[table.name, key] = row.pop('#version')
        self.field_times[table.name, key] = row.pop('field_times', None)
        for name, value in row.items():
            is_time = name == 'updated_ts' or name != 'extra' and table.column(name).type == 'time'
            if is_time and value is not None:
                row[name] = microseconds(value)
        self.rows[table.name][key] = row


def state_sql(schema):
    """One statement that reads everything."""
    tables = ', '.join("'%s', (SELECT jsonb_agg(to_jsonb(t) || jsonb_build_object('#version', xmin::text)) FROM %s.%s t)" %
                       (table.name, SCHEMA, table.name) for table in schema.tables)
    return ("SELECT jsonb_build_object('rows', jsonb_build_object(%s), "
            "'tombstones', (SELECT jsonb_agg(to_jsonb(t) || jsonb_build_object('key_columns', ARRAY("
            'SELECT coalesce(n.column_name, k) FROM unnest(t.key_columns) WITH ORDINALITY AS u(k, place) '
            'LEFT JOIN cxone_sync.lasting_names n ON n.relation = t.relation AND n.lasting_name = k ORDER BY place))) '
            'FROM cxone_sync.tombstones t), '
            "'letters', (SELECT jsonb_agg(jsonb_build_array(id, target, sqlstate, payload, attempts, message, received_at) ORDER BY id) "
            'FROM cxone_sync.dead_letters))' % tables)


class Clock:
    """Which of the database's times stands for which arrival. The same arrival has one time, and later ones have later times."""

    def __init__(self):
        self.known = {}

    def copy(self):
        other = Clock()
        other.known = dict(self.known)
        return other

    def is_same(self, modelled, observed):
        if modelled < ARRIVAL:
            return modelled == observed
        if observed is None or observed < CLOCK:
            return False
        known = self.known.setdefault(modelled, observed)
        return known == observed and all(a == modelled or (a < modelled, a > modelled) == (b < observed, b > observed)
                                         for a, b in self.known.items())


class Comparison:
    """Says how an outcome and what was observed differ: a list of texts, empty if they do not."""

    def __init__(self, schema, clock):
        self.schema, self.clock = schema, clock

    def differences(self, state, observed):
        found = []
        for table in self.schema.tables:
            self.compare_rows(table, state.rows[table.name], observed.rows[table.name], found)
        self.compare_tombstones(state, observed, found)
        self.compare_letters(state, observed, found)
        return found

    def compare_rows(self, table, modelled, observed, found):
        for key in sorted(set(modelled) | set(observed), key=str):
            if key not in observed:
                found.append(('rows', '%s %s is missing' % (table.name, key)))
            elif key not in modelled:
                found.append(('rows', '%s %s should not be there: %s' % (table.name, key, observed[key])))
            else:
                self.compare_row(table, key, modelled[key], observed[key], found)

    def compare_row(self, table, key, modelled, observed, found):
        for column in table.key + table.columns:
            self.compare_value(table, key, column, modelled.values[column.name], observed[column.name], found)
        if not self.clock.is_same(modelled.order(), observed['updated_ts']):
            found.append(('rows', '%s %s updated_ts is %s, should be %s' % (table.name, key, observed['updated_ts'], modelled.order())))
        if table.extra and (observed['extra'] or {}) != modelled.extra:
            found.append(('rows', '%s %s extra is %s, should be %s' % (table.name, key, observed['extra'], modelled.extra)))

    def compare_value(self, table, key, column, modelled, observed, found):
        if column.type == 'serial':
            same = isinstance(observed, int)
        elif column.type == 'time' and modelled is not None:
            same = self.clock.is_same(modelled, observed)
        else:
            same = modelled == observed and isinstance(modelled, bool) == isinstance(observed, bool)
        if not same:
            found.append(('rows', '%s %s %s is %r, should be %r' % (table.name, key, column.name, observed, modelled)))

    def compare_tombstones(self, state, observed, found):
        modelled, seen = {}, {}
        for (table, columns, key), time in state.tombstones.items():
            texts = [str(value).lower() if isinstance(value, bool) else str(value) for value in key]
            modelled[table, columns, texts[0] if len(texts) == 1 else '{%s}' % ','.join(texts)] = time
        for (table, columns, key), time in observed.tombstones.items():
            # a key that the table's trigger lowers is the same key
            if self.schema.table(table).has_trigger('lower'):
                first, comma, rest = key.partition(',')
                key = first.lower() + comma + rest
            seen[table, columns, key] = max(time, seen.get((table, columns, key), time))
        for name in sorted(set(modelled) | set(seen)):
            if name not in seen or name not in modelled or not self.clock.is_same(modelled[name], seen[name]):
                found.append(('tombstones', 'tombstone of %s is %s, should be %s' % (name, seen.get(name), modelled.get(name))))

    def compare_letters(self, state, observed, found):
        """As sets: which event, which target, of which class, how often tried, and when it came, by which a replay goes."""
        rest = [(target, sqlstate[:2], canonical(json.loads(payload)), attempts, message, microseconds(received))
                for _, target, sqlstate, payload, attempts, message, received in observed.letters]
        for letter in sorted(state.letters, key=lambda letter: letter.time):
            matches = [one for one in rest if one[0] == letter.target and letter.sqlstate in (None, one[1]) and
                       one[2] == canonical(letter.event) and one[3] == letter.attempts]
            if not matches:
                found.append(('letters', 'no dead letter %r' % letter))
                continue
            # of several that are alike the first has come first
            match = min(matches, key=lambda one: one[5])
            rest.remove(match)
            if not self.clock.is_same(letter.time, match[5]):
                found.append(('letters', 'dead letter %r has come at %s, which is not the event\'s arrival' % (letter, match[5])))
        found += [('letters', 'a dead letter too many: %s %s %s (%s)' % (one[0], one[1], one[2], one[4])) for one in rest]


def count(results):
    return {'received': len(results), 'applied': results.count('applied'), 'skipped': results.count('skipped'),
            'dead_lettered': results.count('dead_lettered')}


class Run:
    """One case, from an empty schema on."""

    def __init__(self, session, case, ignored=()):
        self.session, self.ignored, self.case, self.schema = session, set(ignored), case, case.schema.copy()
        self.model, self.clock = Model(self.schema), Clock()
        self.sql = state_sql(case.schema)
        self.setup = self.statements()
        self.log = []               # what was run, for the script

    def go(self):
        self.session.run(RESET)
        try:
            self.session.run(self.setup[len(RESET):])
        except psycopg2.Error as error:
            raise Difference(-1, 'schema', 'schema refused: %s' % error) from None
        self.observed = Observed(self.schema, self.session.value(self.sql))
        for number, step in enumerate(self.case.steps):
            if isinstance(step, Replay):
                self.replay(number, step)
            elif isinstance(step, CHANGES):
                self.change(number, step)
            else:
                self.group(number, step)

    def statements(self):
        return RESET + self.schema.sql()

    def group(self, number, step):
        """Each delivery is a batch."""
        for delivery in step.deliveries:
            text = json.dumps({'events': delivery})
            self.log.append("SELECT cxone_sync.ingest('%s');" % text.replace("'", "''"))
            events = [(event, self.model.arrive()) for event in delivery]
            try:
                reply = self.session.value('SELECT cxone_sync.ingest(%s)', text)
            except psycopg2.Error as error:
                raise Difference(number, 'error', 'ingest failed: %s' % error) from None
            self.judge(number, self.model.outcomes(events), lambda results, reply=reply: self.compare_reply(reply, results))

    @staticmethod
    def compare_reply(reply, results):
        wanted = count(results)
        unknown = len(results) - wanted['applied'] - wanted['skipped'] - wanted['dead_lettered']
        if unknown:
            applied = min(max(reply['applied'], wanted['applied']), wanted['applied'] + unknown)
            wanted.update(applied=applied, skipped=wanted['skipped'] + wanted['applied'] + unknown - applied)
        return [] if wanted == reply else [('counts', 'reply %s, should be %s' % (json.dumps(reply), json.dumps(wanted)))]

    def judge(self, number, outcomes, compare_results):
        """Finds the outcome that is observed, and goes on from there."""
        before, self.observed = self.observed, Observed(self.schema, self.session.value(self.sql))
        first = None
        for outcome in outcomes:
            clock = self.clock.copy()
            found = Comparison(self.schema, clock).differences(outcome.state, self.observed)
            found += compare_results(outcome.results)
            found += self.compare_versions(outcome.state, before)
            found = [(kind, text) for kind, text in found if kind not in self.ignored]
            first = first if first is not None else found
            if not found:
                self.model.state, self.clock = outcome.state, clock
                self.model.state.written = set()
                return
        kinds = '+'.join(sorted({kind for kind, _ in first}))
        raise Difference(number, kinds, '\n'.join(text for _, text in first))

    def compare_versions(self, state, before):
        """A row that no event of the batch changes is not touched."""
        return [('touched', '%s %s was written, though nothing changed' % name)
                for name, version in self.observed.versions.items()
                if name in before.versions and version != before.versions[name] and name not in state.written]

    def change(self, number, step):
        self.model.change(step)
        statements = step.sql(self.schema)
        self.log += [statement + ';' for statement in statements]
        try:
            self.session.run(statements)
        except psycopg2.Error as error:
            raise Difference(number, 'change', 'change refused: %s' % error) from None
        self.observed = Observed(self.schema, self.session.value(self.sql))

    def replay(self, number, step):
        if step.mend:
            self.mend()
        self.log.append('SELECT * FROM cxone_sync.replay_dead_letters();')
        try:
            self.session.rows('SELECT * FROM cxone_sync.replay_dead_letters()')
        except psycopg2.Error as error:
            raise Difference(number, 'error', 'replay failed: %s' % error) from None
        self.judge(number, self.model.replays(), lambda results: [])

    def mend(self):
        for letter in self.session.rows('SELECT id, payload FROM cxone_sync.dead_letters'):
            event = json.loads(letter[1])
            if mended(event) != event:
                self.session.rows('UPDATE cxone_sync.dead_letters SET payload = %s WHERE id = %s RETURNING id',
                                  json.dumps(mended(event)), letter[0])
                self.log.append("UPDATE cxone_sync.dead_letters SET payload = '%s' WHERE payload::jsonb = '%s';" %
                                (json.dumps(mended(event)).replace("'", "''"), json.dumps(event).replace("'", "''")))
        for letter in self.model.state.letters:
            letter_event = mended(letter.event)
            letter.event = letter_event


class Connection:
    """A connection to the endpoint on which requests follow each other."""

    def __init__(self, port):
        self.socket = socket.create_connection(('127.0.0.1', port), 60)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.file = self.socket.makefile('rb')

    def send(self, body):
        head = 'POST /webhook HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n' % len(body)
        self.socket.sendall(head.encode() + body)

    def reply(self):
        """The status and the body."""
        line = self.file.readline()
        if not line:
            raise ConnectionError('closed without a reply')
        status = int(line.split()[1])
        length = 0
        for line in iter(self.file.readline, b'\r\n'):
            name, _, value = line.partition(b':')
            if name.lower() == b'content-length':
                length = int(value)
        return status, json.loads(self.file.read(length))


def cut(step):
    """Two deliveries of up to three events."""
    return Group([delivery[:3] for delivery in step.deliveries[:2]]) if isinstance(step, Group) else step


class HttpRun(Run):
    """The deliveries of a group come over HTTP, on connections of their own: one batch of one worker, or several workers' batches."""

    connections = []

    def __init__(self, session, case, ignored=()):
        super().__init__(session, case, ignored)
        self.workers = session.workers
        if self.workers > 1:
            # few enough for every order in which two workers may write them to be looked at
            self.case = case = Case(case.schema, [cut(step) for step in case.steps])
        if not self.connections:
            # each worker is handed connections in turn
            self.connections.extend(Connection(session.port) for _ in range(4))

    def group(self, number, step):
        self.log.append('-- over HTTP, %s:' % ('in one batch' if self.workers == 1 else 'at once, to %d workers' % self.workers))
        for delivery in step.deliveries:
            self.log.append("SELECT cxone_sync.ingest('%s');" % json.dumps({'events': delivery}).replace("'", "''"))
        # the only worker waits for flush_interval: what is sent within it makes one batch
        for connection, delivery in zip(self.connections, step.deliveries):
            connection.send(json.dumps({'events': delivery}).encode())
        replies = [connection.reply() for connection, _ in zip(self.connections, step.deliveries)]
        for status, reply in replies:
            if status != 200:
                raise Difference(number, 'status', 'reply %d: %s' % (status, reply))
        arrived = [[(event, self.model.arrive()) for event in delivery] for delivery in step.deliveries]
        if self.workers == 1:
            outcomes = self.model.outcomes([pair for delivery in arrived for pair in delivery])
        else:
            outcomes = self.model.concurrent_outcomes(arrived)
        self.judge(number, outcomes, lambda results: self.compare_replies(step, replies, results))

    def compare_replies(self, step, replies, results):
        found, rest = [], iter(results)
        for delivery, (_, reply) in zip(step.deliveries, replies):
            found += self.compare_reply(reply, list(itertools.islice(rest, len(delivery))))
        return found


def run_case(session, case, ignored=(), http=False):
    """None, or the Difference; and the run."""
    run = (HttpRun if http else Run)(session, case, ignored)
    try:
        run.go()
    except Difference as difference:
        return difference, run
    except ConnectionError as error:
        HttpRun.connections.clear()
        return Difference(-1, 'connection', 'connection: %s' % error), run
    return None, run
