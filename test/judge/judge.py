"""Generates cases, runs them, and reports what differs from the model. See README; test/judge/run starts a server for it."""

import argparse
import random
import sys
import time

import schema
import stream
from driver import Session, run_case
from shrink import script, shrink


def make_case(seed, features):
    source = random.Random(seed)
    made = schema.Generator(source, features).schema()
    return stream.Generator(source, features, made).case()


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--dsn', required=True)
    parser.add_argument('--seed', default='1')
    parser.add_argument('--cases', type=int, default=1000)
    parser.add_argument('--seconds', type=float, help='until then, instead of a number of cases')
    parser.add_argument('--case', help='only this one')
    parser.add_argument('--most', type=int, default=10, help='stop after so many differences')
    parser.add_argument('--without', default='', help='features to leave out, of: ' + ', '.join(schema.FEATURES))
    parser.add_argument('--ignore', default='', help='kinds of differences to pass over: counts, tombstones, touched, letters, rows')
    parser.add_argument('--no-shrink', action='store_true')
    options = parser.parse_args()
    features = [feature for feature in schema.FEATURES if feature not in options.without.split(',')]
    ignored = options.ignore.split(',')
    session = Session(options.dsn)
    start, failed, number = time.monotonic(), 0, 0
    while failed < options.most:
        if options.case and number or options.seconds and time.monotonic() - start > options.seconds or \
                not options.seconds and number >= options.cases:
            break
        seed = options.case or '%s/%d' % (options.seed, number)
        case = make_case(seed, features)
        difference, run = run_case(session, case, ignored)
        number += 1
        if not difference:
            continue
        failed += 1
        print('---- case %s, step %d: %s' % (seed, difference.step, difference.kind))
        if not options.no_shrink:
            case, difference = shrink(session, case, difference, ignored)
            difference, run = run_case(session, case, ignored)
        print(script(case, run, difference) if difference else 'does not happen again')
        sys.stdout.flush()
    print('%d passed, %d failed' % (number - failed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
