"""What happens in a case: a stream of steps on a schema.

A delivery is a list of events; a group is a list of deliveries that arrive together; a repair changes a letter's event; a replay
tries all letters again.
"""

import copy
from dataclasses import dataclass, field

import schema


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
class AddColumn:
    """A column that did not exist before; the next event fills it."""
    table: str
    column: schema.Column

    def sql(self, _):
        return ['ALTER TABLE %s.%s ADD COLUMN %s' % (schema.SCHEMA, self.table, self.column.sql())]

    def change(self, changed):
        # a copy: what changes it later must not change this step
        changed.table(self.table).columns.append(copy.deepcopy(self.column))


@dataclass
class RenameColumn:
    """What is known of a column goes with it, and targets that name it do; events call it by its new name."""
    table: str
    old: str
    new: str

    def sql(self, changed):
        return ['ALTER TABLE %s.%s RENAME COLUMN %s TO %s' % (schema.SCHEMA, self.table, self.old, self.new)]

    def change(self, changed):
        table = changed.table(self.table)
        table.column(self.old).name = self.new
        for constraint in table.uniques + table.foreigns:
            constraint.column = self.new if constraint.column == self.old else constraint.column
        for target in changed.targets:
            if target.table == self.table:
                self.follow(target)

    def follow(self, target):
        def names(old):
            return old and [self.new if name == self.old else name for name in old]
        target.key, target.kept = names(target.key), names(target.kept)
        target.mark = self.new if target.mark == self.old else target.mark
        target.paths = {self.new if name == self.old else name: paths for name, paths in target.paths.items()}


@dataclass
class Retarget:
    """The target is removed and made anew, with other types, key or places."""
    target: schema.Target

    def sql(self, changed):
        return ["SELECT cxone_sync.remove_target('%s')" % self.target.name] + self.target.sql(changed)

    def change(self, changed):
        changed.targets[[target.name for target in changed.targets].index(self.target.name)] = \
            copy.deepcopy(self.target)


CHANGES = AddColumn, RenameColumn, Retarget


@dataclass
class Case:
    schema: object
    steps: list = field(default_factory=list)


KEYS = {'text': ['k1', 'k2', 'k3', 'K1'], 'int': [1, 2, 3], 'bool': [True, False]}
VALUES = {'text': ['aaaa', 'bbbb', 'cccc', 'boom', 'void'], 'int': [0, 1, 2, 3, 4], 'small': [0, 1, 2, 3],
          'bool': [True, False, 'True', 'no'], 'time': ['2020-02-01T00:00:00Z', '2020-02-02T00:00:00+01:00']}
# further ahead than max_future_skew: it would win for ever
FUTURE = '2099-01-01T00:00:00Z'
# forms that say the same as a plain value, or that no column of the type takes
ODD = {'text': [7777, True], 'int': ['2', 3.0], 'small': [9, '1'], 'bool': ['false'], 'time': ['2020-02-03T01:00:00+01:00']}
BAD = {'int': ['bad', 1.5, True], 'small': ['bad', 'x'], 'bool': ['maybe'], 'time': ['infinity', 'now', '']}
# what a replay puts in the place of a value that cannot be read
MENDED = 4


class Generator:
    def __init__(self, random, features, made):
        self.events = 0
        # changes are made to what events are generated for; the case begins with what was there before
        self.random, self.features, self.first, self.schema = random, set(features), made, made.copy()

    def may(self, feature, chance):
        return self.random.random() < chance and feature in self.features

    def case(self):
        return Case(self.first, [self.step(number) for number in range(self.random.randint(2, 5))])

    def step(self, number):
        if number > 0 and self.may('replay', 0.15):
            return Replay(self.random.random() < 0.6)
        if number > 0 and self.may('change', 0.2):
            change = self.change(number)
            if change:
                change.change(self.schema)
                return change
        return Group([[self.event() for _ in range(self.random.choice((1, 1, 2, 3, 4, 5)))]
                      for _ in range(self.random.choice((1, 1, 2, 3)))])

    def change(self, number):
        """One that the extension takes, or None if the one that was thought of is not possible."""
        table = self.random.choice(self.schema.tables)
        draw = self.random.random()
        if draw < 0.3:
            kind = self.random.choice(('text', 'int'))
            default = self.random.choice((None, {'text': 'dddd', 'int': 6}[kind]))
            return AddColumn(table.name, schema.Column('n%d' % number, kind, default=default))
        if draw < 0.5:
            column = self.random.choice(table.key + table.columns)
            if self.is_plain(table, column.name):
                return RenameColumn(table.name, column.name, 'r%d' % number)
            return None
        return Retarget(self.other_target(copy.deepcopy(self.random.choice(self.schema.targets))))

    def is_plain(self, table, name):
        """Whether nothing names the column that would not follow it: a trigger, a key that others refer to."""
        return not (any(trigger.column == name for trigger in table.triggers) or
                    any(foreign.parent == table.name for each in self.schema.tables for foreign in each.foreigns) or
                    table.partitioned or name == table.alternative)

    def other_target(self, target):
        """With one thing changed."""
        table = self.schema.table(target.table)
        draw = self.random.random()
        if draw < 0.35 and target.types:
            target.types = [self.random.choice(target.types)]
        elif draw < 0.6 and target.deletes and not target.mark:
            target.deletes = None
        elif draw < 0.6 and not table.field_order and 'deletes' in self.features and schema.Generator.deletable(table) and \
                not any(each.mark for each in self.schema.targets if each.table == table.name):
            target.deletes = ['D' + target.name]
        elif draw < 0.75 and table.alternative and not table.field_order:
            target.key = None if target.key else [table.alternative]
        elif not table.field_order:
            target.root = '' if target.root else '/data'
        return target

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
        self.events += 1
        day = self.random.choice((1, 2, 3, 4, 5, 6, 7, 8)) if 'late' in self.features else min(1 + self.events // 2, 28)
        event = {} if kind is None else {'eventType': kind}
        if not self.may('notime', 0.15):
            event['timestamp'] = self.time(day)
        elif self.may('future', 0.1):
            event['timestamp'] = FUTURE
        if self.may('extra', 0.3):
            # of equal times the values are equal: which jsonb is greater is not what is judged here
            members['more%d' % self.random.choice((1, 2))] = day if 'timestamp' in event else 'arrived'
        if self.may('map', 0.5) and target.paths:
            for path in self.random.choice(list(target.paths.values())):
                if self.random.random() < 0.6:
                    self.put(event, path, self.mapped_value(table, target, path))
        roots = {each.root for each in self.schema.targets if each.table in [one.name for one in tables]}
        for root in roots:
            self.root(event, root).update(members)
        return event

    def mapped_value(self, table, target, path):
        column = next(name for name, paths in target.paths.items() if path in paths)
        if column == 'updated_ts':
            return self.time(self.random.choice((1, 3, 5, 7))) if self.random.random() < 0.8 else None
        return self.value(table.column(column))

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
            self.pair(table, members)
        if self.random.random() < 0.02:
            members.pop('id', None)
        return members

    @staticmethod
    def pair(table, members):
        """The other key of a table goes with its primary key."""
        key = members.get(table.key[0].name)
        values = KEYS[table.key[0].type]
        if table.alternative and key in values:
            members[table.alternative] = VALUES[table.column(table.alternative).type][values.index(key)]

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


def make_single(case):
    """Each event becomes a delivery."""
    for step in case.steps:
        if isinstance(step, Group):
            step.deliveries = [[event] for event in step.events()]
