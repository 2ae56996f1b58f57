"""What a case runs on: tables, targets and the SQL that makes them.

A schema is plain data, so that the model can read it, the shrinker can take parts away, and a script can show it.
"""

import copy
from dataclasses import dataclass, field
from typing import Optional

SCHEMA = 'judge'

SQL_TYPES = {'text': 'text', 'int': 'integer', 'bool': 'boolean', 'time': 'timestamptz', 'json': 'jsonb',
             'small': SCHEMA + '.small', 'serial': 'serial'}

# What a schema may have beside tables with a text key in row order. Each can be left out by --without.
FEATURES = ('unique', 'notnull', 'check', 'domain', 'foreign', 'composite', 'deletes', 'mark', 'extra', 'field', 'shared', 'types',
            'map', 'root', 'kept', 'serial', 'partition', 'lower', 'raise', 'swallow', 'notime', 'bad', 'numbers', 'boolkey', 'default', 'multi', 'all',
            'replay', 'change', 'altkey', 'timemap', 'timecolumn', 'future', 'late')


@dataclass
class Column:
    """A column that is neither key, order, extra nor field_times."""
    name: str
    type: str
    not_null: bool = False
    default: Optional[object] = None
    check: Optional[str] = None     # a value that the column does not take

    def sql(self):
        parts = [self.name, SQL_TYPES[self.type]]
        if self.not_null:
            parts.append('NOT NULL')
        if self.default is not None:
            parts.append('DEFAULT ' + literal(self.default))
        if self.check is not None:
            parts.append('CHECK (%s <> %s)' % (self.name, literal(self.check)))
        return ' '.join(parts)


@dataclass
class Unique:
    column: str
    deferrable: str = ''            # or 'DEFERRABLE', 'DEFERRABLE INITIALLY DEFERRED'


@dataclass
class ForeignKey:
    column: str
    parent: str                     # a table with one key column
    on_delete: str = 'NO ACTION'    # or 'CASCADE', 'SET NULL'
    deferrable: str = ''


@dataclass
class Trigger:
    """kind: lower (the key, before an insertion), raise or swallow (a row whose column has a value, before an operation)"""
    kind: str
    operation: str                  # INSERT, UPDATE or DELETE
    column: str
    value: Optional[str] = None


@dataclass
class Table:
    name: str
    key: list                       # of Column
    columns: list                   # of Column
    uniques: list = field(default_factory=list)
    foreigns: list = field(default_factory=list)
    triggers: list = field(default_factory=list)
    partitioned: bool = False
    extra: bool = False
    field_order: bool = False
    alternative: Optional[str] = None   # a column that can be a target's key as well

    def key_names(self):
        return [column.name for column in self.key]

    def column(self, name):
        return next(column for column in self.key + self.columns if column.name == name)

    def has_trigger(self, kind):
        return any(trigger.kind == kind for trigger in self.triggers)

    def sql(self):
        name = '%s.%s' % (SCHEMA, self.name)
        parts = [column.sql() for column in self.key + self.columns] + ['updated_ts timestamptz']
        parts += ['extra jsonb'] * self.extra + ['field_times jsonb'] * self.field_order
        parts.append('PRIMARY KEY (%s)' % ', '.join(self.key_names()))
        parts += ['CONSTRAINT %s_%s_key UNIQUE (%s) %s' % (self.name, unique.column, unique.column, unique.deferrable)
                  for unique in self.uniques]
        lines = ['CREATE TABLE %s (%s)' % (name, ', '.join(part.strip() for part in parts))]
        if self.partitioned:
            lines[0] += ' PARTITION BY HASH (%s)' % self.key[0].name
            lines += ['CREATE TABLE %s_%d PARTITION OF %s FOR VALUES WITH (MODULUS 2, REMAINDER %d)' % (name, i, name, i) for i in (0, 1)]
        lines += [self.trigger_sql(number, trigger) for number, trigger in enumerate(self.triggers)]
        lines.append('ALTER TABLE %s OWNER TO cxone_sync' % name)
        if self.partitioned:
            lines += ['ALTER TABLE %s_%d OWNER TO cxone_sync' % (name, i) for i in (0, 1)]
        return lines

    def trigger_sql(self, number, trigger):
        row = 'OLD' if trigger.operation == 'DELETE' else 'NEW'
        body = {'lower': 'NEW.%s := lower(NEW.%s); RETURN NEW;' % (trigger.column, trigger.column),
                'raise': "IF %s.%s = '%s' THEN RAISE 'refused'; END IF; RETURN %s;" % (row, trigger.column, trigger.value, row),
                'swallow': "IF %s.%s = '%s' THEN RETURN NULL; END IF; RETURN %s;" % (row, trigger.column, trigger.value, row)}
        name = '%s_trigger_%d' % (self.name, number)
        return ("CREATE FUNCTION %s.%s() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN %s END';\n"
                'CREATE TRIGGER %s BEFORE %s ON %s.%s FOR EACH ROW EXECUTE FUNCTION %s.%s()' %
                (SCHEMA, name, body[trigger.kind].replace("'", "''"), name, trigger.operation, SCHEMA, self.name, SCHEMA, name))

    def foreign_sql(self):
        """Apart from the table: its parent may come later."""
        return ['ALTER TABLE %s.%s ADD FOREIGN KEY (%s) REFERENCES %s.%s ON DELETE %s %s' %
                (SCHEMA, self.name, foreign.column, SCHEMA, foreign.parent, foreign.on_delete, foreign.deferrable)
                for foreign in self.foreigns]


@dataclass
class Target:
    name: str
    table: str
    types: Optional[list] = None
    deletes: Optional[list] = None
    mark: Optional[str] = None
    root: str = ''
    kept: list = field(default_factory=list)
    paths: dict = field(default_factory=dict)       # column -> JSON pointers
    key: Optional[list] = None      # names; the table's primary key unless given

    def sql(self, schema):
        table = schema.table(self.table)
        arguments = ["'%s', '%s.%s'" % (self.name, SCHEMA, self.table),
                     'key_columns => %s' % array(self.key or table.key_names())]
        if self.types is not None:
            arguments.append('event_types => ' + array(self.types))
        if self.deletes is not None:
            arguments.append('delete_types => ' + array(self.deletes))
        if self.mark:
            arguments.append("mark_column => '%s'" % self.mark)
        if self.root:
            arguments.append("root_path => '%s'" % self.root)
        if self.kept:
            arguments.append('kept_columns => ' + array(self.kept))
        lines = ['SELECT cxone_sync.add_target(%s)' % ', '.join(arguments)]
        lines += ["SELECT cxone_sync.map_field('%s', '%s', %s)" % (self.name, column, ', '.join(literal(path) for path in paths))
                  for column, paths in sorted(self.paths.items())]
        return lines


@dataclass
class Schema:
    tables: list
    targets: list

    def table(self, name):
        return next(table for table in self.tables if table.name == name)

    def target(self, name):
        return next(target for target in self.targets if target.name == name)

    def sql(self):
        lines = ['CREATE SCHEMA %s' % SCHEMA, 'GRANT USAGE ON SCHEMA %s TO cxone_sync' % SCHEMA,
                 'CREATE DOMAIN %s.small AS integer CHECK (VALUE < 8)' % SCHEMA]
        for table in self.tables:
            lines += table.sql()
        for table in self.tables:
            lines += table.foreign_sql()
        # one that only clears marks comes after one that sets them
        for target in sorted(self.targets, key=lambda each: bool(each.mark) and not each.deletes):
            lines += target.sql(self)
        return lines

    def copy(self):
        return copy.deepcopy(self)


# Before a schema: what an earlier one left goes away, and so does the default target, which would take all types.
RESET = ["SELECT cxone_sync.remove_target(name) FROM cxone_sync.targets",
         'DROP SCHEMA IF EXISTS %s CASCADE' % SCHEMA,
         'DELETE FROM cxone_sync.dead_letters', 'DELETE FROM cxone_sync.tombstones']


def literal(value):
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int):
        return str(value)
    return "'%s'" % str(value).replace("'", "''")


def array(names):
    return "'{%s}'" % ','.join(names)


class Generator:
    """Random schemas from a seeded random.Random, of the features that are allowed."""

    def __init__(self, random, features):
        self.random = random
        self.features = set(features)

    def may(self, feature, chance):
        # the number is drawn in any case: without a feature the rest of the case stays what it is
        return self.random.random() < chance and feature in self.features

    def schema(self):
        tables = [self.table('t%d' % i) for i in range(self.random.choice((1, 1, 2, 2, 3)))]
        for table in tables:
            if self.may('foreign', 0.4):
                self.add_foreign(table, tables)
        schema = Schema(tables, self.targets(tables))
        marks = {target.table: target.mark for target in schema.targets if target.mark}
        for target in schema.targets:
            # add_target() refuses targets of one table with different marks
            target.mark = marks.get(target.table)
            self.make_possible(schema.table(target.table), target)
            if schema.table(target.table).field_order:
                # add_target() refuses targets that keep different columns: the times of all fields are known, or those of none
                target.kept = next(other for other in schema.targets if other.table == target.table).kept
                target.paths = {name: paths for name, paths in target.paths.items() if name not in target.kept}
        return schema

    @staticmethod
    def make_possible(table, target):
        """What add_target() refuses, since it cannot work: a late deletion that could not reset a column."""
        if table.field_order:
            # the time of a primary key that is another target's field is nothing that the rules speak of
            target.key = None
        if table.field_order and target.deletes and not target.mark:
            for column in table.columns:
                column.not_null = column.not_null and column.default is not None

    def table(self, name):
        key = [Column('id', self.random.choice(('text', 'text', 'int')))]
        if self.may('composite', 0.25):
            key.append(Column('k2', self.random.choice(('text', 'int', 'bool'))))
            if key[1].type == 'bool' and 'boolkey' not in self.features:
                key[1].type = 'int'
        columns = [self.column('c%d' % i) for i in range(self.random.randint(1, 4))]
        if self.may('serial', 0.15):
            columns.append(Column('s', 'serial'))
        table = Table(name, key, columns)
        table.extra = self.may('extra', 0.4)
        table.field_order = self.may('field', 0.4)
        table.partitioned = self.may('partition', 0.15)
        if not table.partitioned:
            table.uniques = [Unique(column.name, self.random.choice(('', '', 'DEFERRABLE', 'DEFERRABLE INITIALLY DEFERRED')))
                             for column in columns if column.type in ('text', 'int') and self.may('unique', 0.3)]
        # one to one with the primary key, which no event changes then
        if self.may('altkey', 0.25) and not table.partitioned and len(key) == 1:
            table.alternative = 'ref'
            table.columns.append(Column('ref', self.random.choice(('text', 'int')), not_null=True))
            table.uniques.append(Unique('ref'))
        self.add_triggers(table)
        return table

    def column(self, name):
        column = Column(name, self.random.choice(('text', 'text', 'int', 'int', 'bool', 'small', 'time')))
        if column.type == 'small' and 'domain' not in self.features:
            column.type = 'int'
        column.not_null = self.may('notnull', 0.25)
        if self.may('default', 0.3) and column.type != 'time':
            column.default = {'text': 'dddd', 'int': 6, 'small': 6, 'bool': False}[column.type]
        if self.may('check', 0.15) and column.type in ('text', 'int'):
            column.check = {'text': 'bbbb', 'int': 3}[column.type]
        return column

    def add_foreign(self, table, tables):
        parents = [parent for parent in tables if len(parent.key) == 1 and not parent.has_trigger('lower')]
        if not parents:
            return
        parent = self.random.choice(parents)
        action = self.random.choice(('NO ACTION', 'NO ACTION', 'CASCADE', 'SET NULL'))
        # a trigger that keeps a row from being deleted breaks a cascade, which no rule speaks of
        if any(trigger.operation in ('DELETE', 'UPDATE') for trigger in table.triggers):
            action = 'NO ACTION'
        table.columns.append(Column('p', parent.key[0].type, not_null=self.may('notnull', 0.3)))
        table.foreigns.append(ForeignKey('p', parent.name, action, self.random.choice(('', '', 'DEFERRABLE'))))

    def add_triggers(self, table):
        if table.key[0].type == 'text' and self.may('lower', 0.1):
            table.triggers.append(Trigger('lower', 'INSERT', 'id'))
        texts = [column for column in table.columns if column.type == 'text' and column.name != table.alternative]
        for kind, value in (('raise', 'boom'), ('swallow', 'void')):
            if self.may(kind, 0.12) and texts:
                operation = self.random.choice(('INSERT', 'UPDATE', 'DELETE'))
                table.triggers.append(Trigger(kind, operation, self.random.choice(texts).name, value))

    def targets(self, tables):
        targets = []
        for table in tables:
            targets.append(self.target('g%d' % len(targets), table, 0.5))
            if self.may('shared', 0.2):
                targets.append(self.target('g%d' % len(targets), table, 0.1))
        for target in targets:
            target.types = ['T' + target.name] + self.may('types', 0.3) * ['U' + target.name]
        # one type that several targets take, each of another table
        if self.may('multi', 0.4):
            for table in tables:
                if self.random.random() < 0.7:
                    next(target for target in targets if target.table == table.name).types.append('Multi')
        if self.may('all', 0.2):
            # two targets of one table must not share types
            target = self.random.choice(targets)
            if sum(other.table == target.table for other in targets) == 1:
                target.types = None
        return targets

    def target(self, name, table, delete_chance):
        target = Target(name, table.name)
        if self.may('deletes', delete_chance) and self.deletable(table):
            target.deletes = ['D' + name]
            if self.may('mark', 0.3):
                target.mark = 'gone_' + name
                table.columns.append(Column(target.mark, 'time'))
        # in field order the type must not be a member of the root: ties between types would have to be ordered by stored bytes
        if table.field_order or self.may('root', 0.3):
            target.root = '/data'
        plain = [column.name for column in table.columns
                 if column.type != 'serial' and not column.name.startswith('gone_') and column.name != table.alternative]
        if self.may('map', 0.2) and plain:
            target.paths[self.random.choice(plain)] = ['/x/y', '/z']
        if self.may('timemap', 0.15):
            target.paths['updated_ts'] = ['/at']
            # the member feeds a column as well
            if self.may('timecolumn', 0.4):
                target.paths['updated_ts'] = [target.root + '/at']
                if 'at' not in [column.name for column in table.columns]:
                    table.columns.append(Column('at', 'time'))
        if table.alternative and self.random.random() < 0.3:
            target.key = [table.alternative]
        if self.may('kept', 0.1) and plain:
            target.kept = [self.random.choice(plain)]
            target.paths.pop(target.kept[0], None)
        return target

    @staticmethod
    def deletable(table):
        return all(column.type in ('text', 'int') for column in table.key)
