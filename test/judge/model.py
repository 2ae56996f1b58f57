"""The reference model: what events do, applied one at a time in the order of arrival, each in a transaction of its own.

Written from the rules (README.md, and the design's section "What an event means"), never from the code of the extension. It is
naive on purpose: rows are dictionaries, a transaction is a copy of everything, a constraint is looked at over all rows.

Times are microseconds since 1970. An arrival is ARRIVAL plus a number that counts arrivals: later than every time that events
carry, and the driver knows that such a time stands for the database's clock.
"""

import itertools
import json
import re
from datetime import datetime, timezone
from decimal import Decimal, InvalidOperation

from stream import AddColumn, RenameColumn

ARRIVAL = 4_000_000_000_000_000
FUTURE = 2_000_000_000_000_000    # later than any clock of a test, earlier than the times that are too far ahead
NEVER = -1                          # the time of a field that no event has set

APPLIED, SKIPPED, DEAD = 'applied', 'skipped', 'dead_lettered'
# a late event whose only news may be a tie that is not known here
UNKNOWN = 'applied or skipped'


class Refused(Exception):
    """The event becomes a dead letter; sqlstate is its class, or None where the rules name none."""

    def __init__(self, sqlstate, why):
        super().__init__(why)
        self.sqlstate = sqlstate


class Row:
    """values by column, times by field (in field order), and the same for the members of extra."""

    def __init__(self, values):
        self.values = values
        self.times = {}
        self.extra = {}
        self.extra_times = {}
        self.letter_time = NEVER    # of the last dead letter that the replay under way has applied to it

    def order(self):
        return self.values['updated_ts']

    def copy(self):
        row = Row(dict(self.values))
        row.times, row.extra, row.extra_times = dict(self.times), dict(self.extra), dict(self.extra_times)
        row.letter_time = self.letter_time
        return row


class State:
    """All that a batch may change."""

    def __init__(self, schema):
        self.rows = {table.name: {} for table in schema.tables}
        self.tombstones = {}        # (table, key columns, key) -> time
        self.letters = []
        self.written = set()        # (table, key) of rows that were written since the caller last cleared it

    def copy(self):
        other = State.__new__(State)
        other.rows = {name: {key: row.copy() for key, row in rows.items()} for name, rows in self.rows.items()}
        other.tombstones, other.letters, other.written = dict(self.tombstones), list(self.letters), set(self.written)
        return other


class Letter:
    def __init__(self, target, event, time, sqlstate, attempts=1):
        self.target, self.event, self.time, self.sqlstate, self.attempts = target, event, time, sqlstate, attempts

    def __repr__(self):
        return '%s %s %s' % (self.target, self.sqlstate, canonical(self.event))


class Either:
    """One of several values, which the rules do not tell apart."""

    def __init__(self, *values):
        self.values = [each for value in values for each in (value.values if isinstance(value, Either) else [value])]

    def __eq__(self, other):
        return self.values == other.values if isinstance(other, Either) else other in self.values

    def __add__(self, number):
        return Either(*(value + number for value in self.values))

    def __repr__(self):
        return ' or '.join(map(repr, self.values))


class Unit:
    """One event for one target: what is applied or refused as a whole."""

    def __init__(self, number, event, arrival, target, letter=None):
        self.number, self.event, self.arrival, self.target, self.letter = number, event, arrival, target, letter
        self.attempts = letter.attempts if letter else 0
        # a letter that no target takes any more keeps its target's name and its reason
        self.addressee = target.name if target else letter and letter.target
        self.reason = letter.sqlstate if letter and letter.target and not target else None

    def name(self):
        return self.number, self.addressee


class Outcome:
    """What a batch leaves: a state, and for each event what the reply counts it as."""

    def __init__(self, state, results, refused):
        self.state, self.results, self.refused = state, results, refused


def canonical(event):
    """A text that is the same for the same event, whatever the order of its members: ingest() takes jsonb, which sorts them."""
    return json.dumps(event, sort_keys=True, default=str)


def absent(value):
    return value is ABSENT


ABSENT = object()


def pointer(value, path):
    """The value at a JSON pointer, or ABSENT."""
    for step in path.split('/')[1:]:
        if not isinstance(value, dict) or step not in value:
            return ABSENT
        value = value[step]
    return value


def camel(name):
    """first_name -> firstName"""
    return re.sub('_([a-z0-9])', lambda match: match.group(1).upper(), name)


def read_time(value):
    """RFC 3339 with an offset; everything else that streams contain is refused."""
    if isinstance(value, str) and re.match(r'\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(Z|[+-]\d\d:\d\d)$', value):
        moment = datetime.fromisoformat(value.replace('Z', '+00:00'))
        return int(moment.timestamp()) * 1_000_000
    raise Refused('22', 'no time: %r' % (value,))


def written(moment):
    return datetime.fromtimestamp(moment // 1_000_000, timezone.utc).isoformat()


def read_value(column, value):
    """A member's value as its column takes it."""
    if value is None:
        return None
    if column.type == 'text':
        if isinstance(value, str):
            return value
        return json.dumps(value)
    if column.type in ('int', 'small', 'serial'):
        return read_integer(column, value)
    if column.type == 'bool':
        return read_boolean(value)
    if column.type == 'time':
        return read_time(value)
    return value


def read_integer(column, value):
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise Refused('22', 'no integer: %r' % (value,))
    try:
        # a text is read as PostgreSQL does, a number by its value: 5.0 is 5
        number = int(value) if isinstance(value, str) else Decimal(str(value))
    except (ValueError, InvalidOperation):
        raise Refused('22', 'no integer: %r' % (value,)) from None
    if number != int(number):
        raise Refused('22', 'no integer: %r' % (value,))
    if column.type == 'small' and number >= 8:
        raise Refused('23', 'domain')
    return int(number)


def read_boolean(value):
    text = str(value).lower()
    if text in ('true', 't', 'yes', 'on', '1'):
        return True
    if text in ('false', 'f', 'no', 'off', '0'):
        return False
    raise Refused('22', 'no boolean: %r' % (value,))


class Reading:
    """What a target reads in an event: key, time, columns, the rest."""

    def __init__(self, table, target, event, arrival):
        root = pointer(event, target.root)
        taken = set()
        if not isinstance(root, dict):
            # nothing is at the root, so the event has no key
            root = {}
        self.refusals = set()
        self.key = {name: self.read(self.read_key, table.column(name), self.member(target, event, root, name, taken))
                    for name in target.key or table.key_names()}
        self.time = self.read(self.read_event_time, target, event, root, arrival, taken)
        self.is_deletion = target.deletes is not None and event.get('eventType') in target.deletes
        self.carried, self.rest = {}, {}
        # a deletion says which row and when, and whatever else it carries concerns nobody
        if self.is_deletion and not target.mark:
            return
        for column in table.key + table.columns:
            if column.name in self.key or column.name in target.kept or column.name == target.mark:
                continue
            value = self.member(target, event, root, column.name, taken)
            if not absent(value):
                self.carried[column.name] = self.read(read_value, column, value)
        self.rest = {name: value for name, value in root.items() if name not in taken}

    def read(self, function, *arguments):
        try:
            return function(*arguments)
        except Refused as error:
            self.refusals.add(error.sqlstate)

    def check(self):
        """Of several refusals no rule says which is the one that the letter tells."""
        if self.refusals:
            raise Refused(self.refusals.pop() if len(self.refusals) == 1 else None, 'it cannot be read')

    @staticmethod
    def member(target, event, root, name, taken):
        """Mapped: the first that is there and not null. Otherwise the root's member of the name, else of its camelCase form."""
        if name in target.paths:
            found = [(path, value) for path, value in ((path, pointer(event, path)) for path in target.paths[name]) if not absent(value)]
            path, value = next((pair for pair in found if pair[1] is not None), found[0] if found else ('', ABSENT))
            # a value that has lost to another path is a member that no column takes; a null has nothing to lose
            below = target.root + '/'
            taken.update(other[len(below):] for other, lost in found if other.startswith(below) and (other == path or lost is None))
            return value
        for form in (name, camel(name)):
            if form in root:
                taken.add(form)
                return root[form]
        return ABSENT

    @staticmethod
    def read_key(column, value):
        if absent(value) or value is None or value == '':
            raise Refused(None, 'key %s is missing or empty' % column.name)
        # true and false are the values of a boolean key
        if not isinstance(value, (str, int, float)) or isinstance(value, bool) and column.type != 'bool':
            raise Refused(None, 'key %s is neither string nor number' % column.name)
        return read_value(column, value)

    def read_event_time(self, target, event, root, arrival, taken):
        """What the order column is fed from, else timestamp of the root, else of the event, else its arrival."""
        value = self.member(target, event, root, 'updated_ts', taken)
        for place in (root, event):
            if (absent(value) or value is None) and 'timestamp' in place:
                value = place['timestamp']
                if place is root:
                    taken.add('timestamp')
        if absent(value) or value is None:
            return arrival
        time = read_time(value)
        if time > FUTURE:
            raise Refused(None, 'too far ahead')
        return time


def feeding(target, column):
    """The members of the root that feed a column: none do a mark."""
    if column == target.mark:
        return []
    if column not in target.paths:
        return [column, camel(column)]
    below = [path[len(target.root) + 1:] for path in target.paths[column] if path.startswith(target.root + '/')]
    return [name for name in below if '/' not in name]


def in_order(deliveries, order):
    """All their events as (delivery, place), those of one delivery after those of another."""
    return [(number, place) for number in order for place in range(len(deliveries[number]))]


def arrivals(deliveries):
    """When their events may have come, as numbers by (delivery, place). An event counts as a microsecond later than the one before it in
    its delivery, so deliveries that come at once may be mixed. Those in which they are not are the first."""
    events = in_order(deliveries, range(len(deliveries)))
    found = []
    for begins in itertools.product(range(len(events)), repeat=len(deliveries)):
        numbers = [begins[number] + place for number, place in events]
        if set(numbers) == set(range(len(set(numbers)))):
            found.append(dict(zip(events, numbers)))
    return sorted(found, key=lambda arrival: -len(set(arrival.values())))


def keeps_rows_in_order(deliveries, merged):
    """Whether events of one delivery that name the same row come in its order."""
    last = {}
    for number, place in merged:
        event = deliveries[number][place][0]
        name = number, canonical(event.get('data', event).get('id'))
        if last.get(name, -1) > place:
            return False
        last[name] = place
    return True


def interleavings(deliveries):
    """Every order of all their events in which those of a delivery keep their own: as lists of (delivery, place)."""
    def merge(places):
        if all(place == len(events) for place, events in zip(places, deliveries)):
            yield []
        for number, place in enumerate(places):
            if place < len(deliveries[number]):
                for rest in merge(places[:number] + (place + 1,) + places[number + 1:]):
                    yield [(number, place)] + rest
    return merge((0,) * len(deliveries))


class Model:
    """Applies batches to a state. lenient is for the exception of rule 1: references and unique values are looked at afterwards."""

    def __init__(self, schema):
        self.schema = schema
        self.state = State(schema)
        self.arrivals = 0
        self.lenient = self.has_lenient = False
        self.known_violations = set()
        # whether a letter takes a row that has its time for that of a letter of another target of the table
        self.takes_for_letters = False
        self.letter_times = set()

    # -- changes between batches

    def change(self, change):
        """Somebody alters a table or a target."""
        change.change(self.schema)
        if isinstance(change, AddColumn):
            for row in self.state.rows[change.table].values():
                row.values[change.column.name] = change.column.default
                # a default counts as old as the row, unless extra holds what would feed the column; where nothing is, nothing has been set
                if change.column.default is not None and not self.holds_value(change, row):
                    row.times[change.column.name] = row.order()
        if isinstance(change, RenameColumn):
            self.rename(change)

    def holds_value(self, change, row):
        return any(name in row.extra for target in self.schema.targets if target.table == change.table
                   for name in feeding(target, change.column.name))

    def rename(self, change):
        for row in self.state.rows[change.table].values():
            row.values[change.new] = row.values.pop(change.old)
            if change.old in row.times:
                row.times[change.new] = row.times.pop(change.old)
        for name in [name for name in self.state.tombstones if name[0] == change.table and change.old in name[1]]:
            key = tuple(change.new if column == change.old else column for column in name[1])
            self.state.tombstones[name[0], key, name[2]] = self.state.tombstones.pop(name)

    # -- batches

    def arrive(self):
        self.arrivals += 1
        return ARRIVAL + self.arrivals

    def targets_of(self, event):
        """Those that name the event's type; if none does, those that name none (rule 12)."""
        kind = event.get('eventType')
        named = [target for target in self.schema.targets
                 if kind is not None and kind in (target.types or []) + (target.deletes or [])]
        return named or [target for target in self.schema.targets if target.types is None]

    def units(self, events):
        """The units of each event, in the order of arrival. One that no target takes is refused as a whole."""
        return [[Unit(number, event, arrival, target) for target in self.targets_of(event) or [None]]
                for number, (event, arrival) in enumerate(events)]

    def outcomes(self, events):
        """Every outcome that the rules allow for a batch of (event, arrival), the sequential one first."""
        return self.outcomes_of_units(self.state, self.units(events), 4)

    def outcomes_of_units(self, start, units, most=4):
        """Up to so many that wait are tried in every mixture of places; None: only the sequential outcome."""
        first = self.run(start, units, {})
        yield first
        # only constraints can be satisfied by another event
        waiting = [name for name, sqlstate in sorted(first.refused.items(), key=str) if sqlstate == '23']
        if not waiting or len(units) < 2 or most is None:
            return
        # few are tried in every combination; of many only that all do the same, or that some are applied at the end
        choices = ('end', 'early', 'in place')
        if len(waiting) <= most:
            strategies = itertools.product(choices + ('letter',), repeat=len(waiting))
        else:
            strategies = [[choice] * len(waiting) for choice in choices]
            strategies += [['letter' if name in left_out else 'in place' for name in waiting]
                           for size in (1, 2) for left_out in itertools.combinations(waiting, size)]
            if len(waiting) <= 8:
                strategies += itertools.product(('end', 'letter'), repeat=len(waiting))
        for strategy in strategies:
            outcome = self.run(start, units, dict(zip(waiting, strategy)))
            # the exception is in the user's favour: it costs no other event its place
            if outcome and set(outcome.refused) <= set(first.refused):
                yield outcome

    def concurrent_outcomes(self, deliveries):
        """The same for deliveries that several workers write at once: one after the other, or mixed; only events of one row keep
        the order of their delivery, since the order of rows is nobody's business. When they arrived is not known
        either. Results are in the order of sending.
        """
        orders = [in_order(deliveries, order) for order in itertools.permutations(range(len(deliveries)))]
        for merged, arrival in itertools.product(orders, arrivals(deliveries)):
            yield from self.merged_outcomes(deliveries, merged, arrival, 2)
        for merged, arrival in itertools.product(interleavings(deliveries), arrivals(deliveries)):
            yield from self.merged_outcomes(deliveries, merged, arrival, 2)
        for merged in itertools.permutations(in_order(deliveries, range(len(deliveries)))):
            if keeps_rows_in_order(deliveries, merged):
                for arrival in arrivals(deliveries):
                    yield from self.merged_outcomes(deliveries, merged, arrival, None)

    def merged_outcomes(self, deliveries, merged, arrival, most):
        times = sorted(time for events in deliveries for _, time in events)
        events = [(deliveries[number][place][0], times[arrival[number, place]]) for number, place in merged]
        # there are many orders: in each, those that were refused are only tried all in the same way
        for outcome in self.outcomes_of_units(self.state, self.units(events), most):
            results = dict(zip(merged, outcome.results))
            sent = in_order(deliveries, range(len(deliveries)))
            yield Outcome(outcome.state, [results[name] for name in sent], outcome.refused)

    def run(self, start, units, strategy):
        """One outcome: for each unit that a constraint refuses, strategy says what becomes of it. None: not possible."""
        kept, self.state = self.state, start.copy()
        self.letter_times = set()
        self.has_lenient = 'in place' in strategy.values()
        results, refused, early, end = {}, {}, [], []
        for units_of_event in units:
            self.settle(units_of_event, strategy, results, refused, early, end)
            self.retry(early, results)
        self.retry(end, results)
        self.retry(early, results)
        for unit, error in sorted(early + end, key=lambda pair: pair[0].number):
            self.refuse(unit, error, results, refused)
        possible = 'in place' not in strategy.values() or not self.violations()
        outcome = Outcome(self.state, self.count(len(units), results), refused) if possible else None
        self.state = kept
        return outcome

    def settle(self, units, strategy, results, refused, early, end):
        """The units of one event: their order is nobody's business, so those that are refused are tried again after the others."""
        pending = [(unit, None) for unit in units]
        self.retry(pending, results, strategy)
        for unit, error in pending:
            choice = strategy.get(unit.name(), 'letter') if error.sqlstate == '23' else 'letter'
            if choice in ('letter', 'in place'):
                self.refuse(unit, error, results, refused)
            else:
                (early if choice == 'early' else end).append((unit, error))

    def retry(self, pending, results, strategy=None):
        """Tries all of pending, until none of them can be applied."""
        progress = True
        while progress and pending:
            progress = False
            for pair in list(pending):
                unit = pair[0]
                self.lenient = bool(strategy) and strategy.get(unit.name()) == 'in place'
                try:
                    results[unit.name()] = self.apply(unit)
                    pending.remove(pair)
                    progress = True
                except Refused as error:
                    pending[pending.index(pair)] = (unit, error)
                finally:
                    self.lenient = False

    def refuse(self, unit, error, results, refused):
        # of several targets that refuse a letter one has it, and the others one of their own
        attempts = Either(1, unit.attempts + 1) if unit.letter and unit.letter.target != unit.addressee else unit.attempts + 1
        sqlstate = unit.reason or error.sqlstate
        self.state.letters.append(Letter(unit.addressee, unit.event, unit.arrival, sqlstate, attempts))
        results[unit.name()] = DEAD
        refused[unit.name()] = error.sqlstate

    @staticmethod
    def count(events, results):
        """An event counts once: as a dead letter if a target refused it, else as applied if one applied it."""
        counted = []
        for number in range(events):
            mine = {result for (event, _), result in results.items() if event == number}
            counted.append(next(result for result in (DEAD, APPLIED, UNKNOWN, SKIPPED) if result in mine))
        return counted

    # -- one event

    def apply(self, unit):
        """In a transaction of its own: applied, skipped, or Refused and nothing changed."""
        if unit.target is None:
            raise Refused('02', 'no target takes it')
        kept = self.state.copy()
        # only what stands where it may not, for the end of the batch, can be wrong already
        self.known_violations = self.violations() if self.has_lenient else set()
        try:
            table = self.schema.table(unit.target.table)
            reading = Reading(table, unit.target, unit.event, unit.arrival)
            reading.check()
            return self.apply_reading(table, unit.target, reading, unit.letter is not None)
        except Refused:
            self.state = kept
            raise

    def apply_reading(self, table, target, reading, is_letter):
        key = self.find_key(table, target, reading)
        if reading.is_deletion and not target.mark:
            return self.delete(table, target, reading, key)
        if self.is_deleted(table, reading):
            return SKIPPED
        carried = dict(reading.carried)
        if target.mark:
            # a deletion that marks is an event like any other, and so is its mark a field
            carried[target.mark] = reading.time if reading.is_deletion else None
        result = self.write(table, target, reading, key, carried, is_letter)
        if is_letter and result == APPLIED:
            key = self.find_key(table, target, reading)
            self.state.rows[table.name][key].letter_time = reading.time
            self.letter_times.add((table.name, target.name, reading.time))
        return result

    @staticmethod
    def identity(table, reading):
        """The values of the key's columns, as the table's own trigger would have them."""
        lowers = table.has_trigger('lower')
        return {name: value.lower() if lowers and isinstance(value, str) and name == 'id' else value
                for name, value in reading.key.items()}

    def tombstone(self, table, target, reading):
        identity = self.identity(table, reading)
        names = [column.name for column in table.key + table.columns if column.name in identity]
        return table.name, tuple(names), tuple(identity[name] for name in names)

    def is_deleted(self, table, reading):
        """Whether a deletion that is not older names the row, by any key of which the event carries all columns."""
        said = {**reading.carried, **self.identity(table, reading)}
        return any(name == table.name and reading.time <= time and
                   all(said.get(column) is not None and said[column] == value for column, value in zip(columns, key))
                   for (name, columns, key), time in self.state.tombstones.items())

    def find_key(self, table, target, reading):
        """The primary key of the row that has the target's key, or None."""
        identity = self.identity(table, reading)
        return next((key for key, row in self.state.rows[table.name].items()
                     if all(row.values[name] == value for name, value in identity.items())), None)

    def loses_tie(self, table, target, reading, row):
        """Of a dead letter: whatever gave the row that time came later, unless it was a letter that the same replay has applied."""
        if reading.is_deletion or row.letter_time == reading.time:
            return False
        return not (self.takes_for_letters and any((table.name, other.name, reading.time) in self.letter_times
                                                   for other in self.schema.targets if other.name != target.name))

    def write(self, table, target, reading, key, carried, is_letter):
        if key is None:
            return self.insert(table, target, reading, carried)
        row = self.state.rows[table.name][key]
        if not table.field_order:
            if reading.time < row.order():
                return SKIPPED
            if is_letter and reading.time == row.order() and self.loses_tie(table, target, reading, row):
                return SKIPPED
            # of equal times the deletion wins
            if target.mark and not reading.is_deletion and row.values[target.mark] == reading.time == row.order():
                return SKIPPED
        new = row.copy()
        news = self.merge(table, target, new, reading, carried)
        # something newer is there: or, of equal times, the deletion that has set the mark
        lost_to_mark = target.mark and not reading.is_deletion and row.values[target.mark] == reading.time
        superseded = reading.time < row.order() or lost_to_mark
        if superseded and news is False:
            return SKIPPED
        new.values['updated_ts'] = max(row.order(), reading.time)
        self.update(table, key, new)
        if news is None:
            self.state.written.add((table.name, key))
        return UNKNOWN if superseded and news is None else APPLIED

    def merge(self, table, target, row, reading, carried):
        """What the event sets, field by field or as a whole; whether anything in it was news, None if that is not known."""
        news = unknown = False
        if table.extra and not table.field_order:
            # what an event feeds has overtaken what else would feed it
            for name in {form for column in carried for form in feeding(target, column)} - set(reading.rest):
                row.extra.pop(name, None)
                row.extra_times.pop(name, None)
        for name, value in carried.items():
            if self.wins(table, target, name, reading.time, row.times.get(name, NEVER), value, row.values[name]):
                row.values[name], row.times[name] = value, reading.time
                news = True
        for name, value in (reading.rest if table.extra else {}).items():
            old, old_time = row.extra.get(name), row.extra_times.get(name, NEVER)
            if table.field_order and reading.time == old_time and None not in (value, old) and (isinstance(old, Either) or value != old):
                # of equal times the greater bytes win, and what bytes jsonb has is not known here
                row.extra[name] = Either(old, value)
                unknown = True
            elif self.wins(table, target, None, reading.time, old_time, value, old):
                row.extra[name], row.extra_times[name] = value, reading.time
                news = True
        return news or (None if unknown else False)

    @staticmethod
    def wins(table, target, name, time, old_time, value, old):
        if not table.field_order or time != old_time:
            return not table.field_order or time > old_time
        if name is not None and name == target.mark:
            return value is not None and value != old
        # of equal times null wins, else what is greater
        return old is not None and (value is None or value > old)

    def insert(self, table, target, reading, carried):
        values = {column.name: column.default for column in table.key + table.columns}
        values.update({column.name: 'serial' for column in table.columns if column.type == 'serial'})
        values.update(carried)
        values.update(reading.key)
        values['updated_ts'] = reading.time
        row = Row(values)
        row.times = {name: reading.time for name in carried}
        if table.extra:
            row.extra = dict(reading.rest)
            row.extra_times = {name: reading.time for name in row.extra}
        self.fire(table, 'INSERT', row)
        key = tuple(row.values[name] for name in table.key_names())
        if None in key:
            raise Refused('23', 'a column of the primary key is null')
        if key in self.state.rows[table.name]:
            raise Refused('23', 'the primary key is there')
        self.state.rows[table.name][key] = row
        self.state.written.add((table.name, key))
        self.check_row(table, row)
        self.check_relations()
        return APPLIED

    def update(self, table, key, new):
        old = self.state.rows[table.name][key]
        if self.is_same(old, new):
            self.state.rows[table.name][key] = new
            return
        self.fire(table, 'UPDATE', new)
        new_key = tuple(new.values[name] for name in table.key_names())
        # a target whose key is another one may change the primary key
        if new_key != key:
            if new_key in self.state.rows[table.name] or None in new_key:
                raise Refused('23', 'the primary key is there, or null')
            del self.state.rows[table.name][key]
        self.state.rows[table.name][new_key] = new
        self.state.written |= {(table.name, key), (table.name, new_key)}
        self.check_row(table, new)
        self.check_relations()

    @staticmethod
    def is_same(old, new):
        return (old.values, old.extra, old.times, old.extra_times) == (new.values, new.extra, new.times, new.extra_times)

    # -- deletions

    def delete(self, table, target, reading, key):
        tombstone = self.tombstone(table, target, reading)
        known = self.state.tombstones.get(tombstone, NEVER)
        result = APPLIED if reading.time >= known else SKIPPED
        if key is not None:
            row = self.state.rows[table.name][key]
            if row.order() <= reading.time:
                self.remove(table, key)
                self.check_relations()
            elif not table.field_order:
                result = SKIPPED
            elif reading.time >= known:
                self.reset(table, target, key, reading.time)
        self.state.tombstones[tombstone] = max(known, reading.time)
        return result

    def reset(self, table, target, key, time):
        """A row that has something newer than its deletion keeps just that."""
        new = self.state.rows[table.name][key].copy()
        for column in table.columns:
            if new.times.get(column.name, NEVER) <= time and column.name not in target.kept:
                new.values[column.name] = 'serial' if column.type == 'serial' else column.default
                new.times.pop(column.name, None)
        for name in [name for name, set_at in new.extra_times.items() if set_at <= time]:
            del new.extra[name], new.extra_times[name]
        self.update(table, key, new)

    def remove(self, table, key):
        """Deletes a row, and does to the rows that refer to it what their foreign keys say. What dangles is looked at after all that."""
        row = self.state.rows[table.name][key]
        self.fire(table, 'DELETE', row)
        del self.state.rows[table.name][key]
        self.state.written.add((table.name, key))
        for child in self.schema.tables:
            for foreign in child.foreigns:
                if foreign.parent == table.name and foreign.on_delete != 'NO ACTION':
                    self.follow(child, foreign, key[0])

    def follow(self, child, foreign, value):
        rows = self.state.rows[child.name]
        for key in [key for key, row in rows.items() if row.values[foreign.column] == value]:
            if foreign.on_delete == 'CASCADE':
                if key in rows:
                    self.remove(child, key)
                continue
            new = rows[key].copy()
            new.values[foreign.column] = None
            self.fire(child, 'UPDATE', new)
            rows[key] = new
            self.state.written.add((child.name, key))
            self.check_row(child, new)

    # -- what a table refuses

    @staticmethod
    def fire(table, operation, row):
        """The table's triggers before an operation on a row."""
        for trigger in table.triggers:
            if trigger.operation != operation:
                continue
            value = row.values[trigger.column]
            if trigger.kind == 'lower':
                row.values[trigger.column] = value and value.lower()
            elif value == trigger.value:
                raise Refused('P0' if trigger.kind == 'raise' else None, 'trigger %s' % trigger.kind)

    @staticmethod
    def check_row(table, row):
        for column in table.key + table.columns:
            value = row.values[column.name]
            if value is None and column.not_null:
                raise Refused('23', '%s is null' % column.name)
            if value is not None and value == column.check:
                raise Refused('23', 'check of %s' % column.name)

    def check_relations(self):
        """What between rows is wrong now and was not before: what another event has left so is for the end of the batch to judge."""
        if not self.lenient and self.violations() - self.known_violations:
            raise Refused('23', 'a unique value or a reference')

    def violations(self):
        found = set()
        for table in self.schema.tables:
            rows = self.state.rows[table.name]
            for unique in table.uniques:
                values = [row.values[unique.column] for row in rows.values() if row.values[unique.column] is not None]
                if len(values) != len(set(values)):
                    found |= {(table.name, unique.column, value) for value in values if values.count(value) > 1}
            for foreign in table.foreigns:
                parents = self.state.rows[foreign.parent]
                found |= {(table.name, foreign.column, key) for key, row in rows.items()
                          if row.values[foreign.column] is not None and (row.values[foreign.column],) not in parents}
        return found

    # -- dead letters

    def replays(self):
        """The outcomes of a replay of all letters, in the order of their arrival: each for its own target, or for all that take it
        now if that takes it no more. Which row another target of a table means is not known by its key, so of equal times either
        may win then."""
        letters = sorted(self.state.letters, key=lambda letter: letter.time)
        units = []
        for number, letter in enumerate(letters):
            takers = self.targets_of(letter.event)
            own = [target for target in takers if target.name == letter.target]
            units.append([Unit(number, letter.event, letter.time, target, letter) for target in own or takers or [None]])
        start = self.state.copy()
        start.letters = []
        for rows in start.rows.values():
            for row in rows.values():
                row.letter_time = NEVER
        for self.takes_for_letters in False, True:
            yield from self.outcomes_of_units(start, units)
