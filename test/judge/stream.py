"""What happens in a case: a stream of steps on a schema.

A delivery is a list of events; a group is a list of deliveries that arrive together; a repair changes a letter's event; a replay
tries all letters again.
"""

from dataclasses import dataclass, field


@dataclass
class Group:
    """Deliveries that are sent at once, in this order. Through ingest() each is a batch of its own."""
    deliveries: list

    def events(self):
        return [event for delivery in self.deliveries for event in delivery]


@dataclass
class Replay:
    """All dead letters are tried again, after the values that cannot be read have been mended in them."""
    mend: bool = True


@dataclass
class Case:
    schema: object
    steps: list = field(default_factory=list)


KEYS = {'text': ['k1', 'k2', 'k3', 'K1'], 'int': [1, 2, 3], 'bool': [True, False]}
VALUES = {'text': ['aaaa', 'bbbb', 'cccc', 'boom', 'void'], 'int': [0, 1, 2, 3, 4], 'small': [0, 1, 2, 3],
          'bool': [True, False, 'True', 'no'], 'time': ['2020-02-01T00:00:00Z', '2020-02-02T00:00:00+01:00']}
# forms that say the same as a plain value, or that no column of the type takes
ODD = {'text': [7777, True], 'int': ['2', 3.0], 'small': [9, '1'], 'bool': ['false'], 'time': ['2020-02-03T01:00:00+01:00']}
BAD = {'int': ['bad', 1.5, True], 'small': ['bad', 'x'], 'bool': ['maybe'], 'time': ['infinity', 'now', '']}
# what a replay puts in the place of a value that cannot be read
MENDED = 4


class Generator:
    def __init__(self, random, features, schema):
        self.random, self.features, self.schema = random, set(features), schema

    def may(self, feature, chance):
        return self.random.random() < chance and feature in self.features

    def case(self):
        return Case(self.schema, [self.step(number) for number in range(self.random.randint(2, 5))])

    def step(self, number):
        if number > 0 and self.may('replay', 0.15):
            return Replay(self.random.random() < 0.6)
        return Group([[self.event() for _ in range(self.random.choice((1, 1, 2, 3, 4, 5)))]
                      for _ in range(self.random.choice((1, 1, 2, 3)))])

    def event(self):
        """Flat or below a root, for one of the targets; in other columns' names its members are for nobody, or for extra."""
        target = self.random.choice(self.schema.targets)
        table = self.schema.table(target.table)
        types = (target.types or ['Other']) + (target.deletes or []) * 2
        kind = self.random.choice(types)
        if self.may('types', 0.03):
            kind = self.random.choice(['Unknown', None])
        tables = [self.schema.table(each.table) for each in self.schema.targets if kind in (each.types or [])] if kind == 'Multi' else [table]
        members = self.members(tables, target)
        day = self.random.choice((1, 2, 3, 4, 5, 6, 7, 8))
        event = {} if kind is None else {'eventType': kind}
        if not self.may('notime', 0.15):
            event['timestamp'] = self.time(day)
        if self.may('extra', 0.3):
            # of equal times the values are equal: which jsonb is greater is not what is judged here
            members['more%d' % self.random.choice((1, 2))] = day if 'timestamp' in event else 'arrived'
        if self.may('map', 0.5) and target.paths:
            for path in self.random.choice(list(target.paths.values())):
                if self.random.random() < 0.6:
                    self.put(event, path, self.value(table.column(next(iter(target.paths)))))
        roots = {each.root for each in self.schema.targets if each.table in [one.name for one in tables]}
        for root in roots:
            self.root(event, root).update(members)
        return event

    def time(self, day):
        if self.random.random() < 0.2:
            return '2020-01-%02dT01:00:00+01:00' % day
        return '2020-01-%02dT00:00:00Z' % day

    def members(self, tables, target):
        members = {}
        for table in tables:
            for column in table.key:
                members[column.name] = self.random.choice(KEYS[column.type])
                if self.random.random() < 0.02:
                    members[column.name] = self.random.choice(['', None])
            for column in table.columns:
                if column.type == 'serial' or column.name.startswith('gone_'):
                    continue
                foreign = next((each for each in table.foreigns if each.column == column.name), None)
                if self.random.random() < 0.45:
                    members[column.name] = self.random.choice(KEYS[column.type]) if foreign else self.value(column)
        if self.random.random() < 0.02:
            members.pop('id', None)
        return members

    def value(self, column):
        draw = self.random.random()
        if draw < 0.12:
            return None
        if draw < 0.17 and 'bad' in self.features and column.type in BAD:
            return self.random.choice(BAD[column.type])
        if draw < 0.27 and column.type in ODD:
            value = self.random.choice(ODD[column.type])
            return 3 if isinstance(value, float) and 'numbers' not in self.features else value
        return self.random.choice(VALUES[column.type])

    @staticmethod
    def root(event, path):
        for step in path.split('/')[1:]:
            event = event.setdefault(step, {})
        return event

    def put(self, event, path, value):
        steps = path.split('/')[1:]
        for step in steps[:-1]:
            event = event.setdefault(step, {})
        event[steps[-1]] = value


def is_bad(value):
    return any(value is bad or type(value) is type(bad) and value == bad for values in BAD.values() for bad in values if bad != '')


def mended(event):
    """The event with values in the place of those that no column takes."""
    if isinstance(event, dict):
        return {name: mended(value) for name, value in event.items()}
    return MENDED if is_bad(event) else event
