"""Makes a case that differs as small as it gets, and shows it as a script."""

import copy

from stream import Case, Group


def smaller_cases(case):
    """Cases with something less, the greatest steps first."""
    for number in range(len(case.steps)):
        yield Case(case.schema, case.steps[:number] + case.steps[number + 1:])
    for number, step in enumerate(case.steps):
        if isinstance(step, Group):
            yield from ((Case(case.schema, case.steps[:number] + ([group] if group.deliveries else []) + case.steps[number + 1:]))
                        for group in smaller_groups(step))
    yield from (Case(schema, case.steps) for schema in smaller_schemas(case.schema))


def smaller_groups(group):
    for number, delivery in enumerate(group.deliveries):
        rest = group.deliveries[:number], group.deliveries[number + 1:]
        yield Group(rest[0] + rest[1])
        for event in range(len(delivery)):
            less = delivery[:event] + delivery[event + 1:]
            if less:
                yield Group(rest[0] + [less] + rest[1])
        for event, members in enumerate(delivery):
            for less in smaller_events(members):
                yield Group(rest[0] + [delivery[:event] + [less] + delivery[event + 1:]] + rest[1])


def smaller_events(event):
    for name, value in event.items():
        yield {other: event[other] for other in event if other != name}
        if isinstance(value, dict):
            for less in smaller_events(value):
                yield {**event, name: less}


def smaller_schemas(schema):
    for target in schema.targets:
        less = schema.copy()
        less.targets = [each for each in less.targets if each.name != target.name]
        used = {each.table for each in less.targets}
        used |= {foreign.parent for table in less.tables if table.name in used for foreign in table.foreigns}
        less.tables = [table for table in less.tables if table.name in used]
        if less.targets:
            yield less
    for number, table in enumerate(schema.tables):
        for part in ('triggers', 'foreigns', 'uniques', 'columns'):
            for index in range(len(getattr(table, part))):
                # a trigger that names a column needs it
                if part == 'columns' and any(trigger.column == table.columns[index].name for trigger in table.triggers):
                    continue
                less = schema.copy()
                del getattr(less.tables[number], part)[index]
                yield less
        for part in ('extra', 'field_order', 'partitioned'):
            if getattr(table, part):
                less = schema.copy()
                setattr(less.tables[number], part, False)
                yield less
        for index in range(len(table.columns)):
            for part, plain in (('not_null', False), ('default', None), ('check', None)):
                if getattr(table.columns[index], part) != plain:
                    less = schema.copy()
                    setattr(less.tables[number].columns[index], part, plain)
                    yield less
    for number, target in enumerate(schema.targets):
        for part, plain in (('deletes', None), ('mark', None), ('kept', []), ('paths', {})):
            if getattr(target, part) not in (plain, None):
                less = schema.copy()
                setattr(less.targets[number], part, copy.copy(plain))
                yield less


def shrink(run_again, case, difference, most=600):
    """Takes away what is not needed for a difference of the same kind. run_again(case) returns it and the run."""
    tries = 0
    progress = True
    while progress and tries < most:
        progress = False
        for less in smaller_cases(case):
            tries += 1
            try:
                found, _ = run_again(less)
            except Exception:       # a schema without what something in it needs
                continue
            if found and found.kind == difference.kind:
                case, difference, progress = less, found, True
                break
            if tries >= most:
                break
    return case, difference


def script(case, run, difference):
    """A self-contained script that reproduces the difference in a database that has the extension."""
    lines = ['-- %s' % line for line in str(difference).splitlines()]
    lines += [statement + ';' for statement in run.setup]
    lines += run.log
    lines += ['SELECT * FROM judge.%s;' % table.name for table in case.schema.tables]
    lines += ['SELECT relation, key, deleted_ts FROM cxone_sync.tombstones;',
              'SELECT target, event_key, sqlstate, message, payload FROM cxone_sync.dead_letters ORDER BY id;']
    return '\n'.join(lines) + '\n'
