"""Generates cases, runs them, and reports what differs from the model. See README; test/judge/run starts servers for it."""

import argparse
import functools
import multiprocessing
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


def arguments():
    parser = argparse.ArgumentParser(prog='test/judge/run', description=__doc__, usage=argparse.SUPPRESS)
    parser.add_argument('--server', action='append', default=[], metavar='DSN/PORT/WORKERS',
                        help='a server; cases are dealt out to all, and each second one goes over HTTP to its workers')
    parser.add_argument('--seed', default='1')
    parser.add_argument('--cases', type=int, default=3000)
    parser.add_argument('--seconds', type=float, help='go on so long, instead of for a number of cases')
    parser.add_argument('--case', type=int, help='only the case of this number')
    parser.add_argument('--repeat', type=int, default=1, help='run it so often')
    parser.add_argument('--most', type=int, default=10, help='stop after so many differences')
    parser.add_argument('--without', default='', help='features to leave out, of: ' + ', '.join(schema.FEATURES))
    parser.add_argument('--ignore', default='', help='kinds of differences to pass over: counts, tombstones, touched, letters, rows')
    parser.add_argument('--no-http', action='store_true', help='all through ingest()')
    parser.add_argument('--single', action='store_true', help='each event is a delivery and a batch of its own')
    parser.add_argument('--no-shrink', action='store_true', help='show differences as they are')
    return parser.parse_args()


class Judge:
    """The cases of one server: those whose number, divided by the number of servers, leaves its own."""

    def __init__(self, options, server):
        self.options, self.share, self.index = options, len(options.server), server
        dsn, port, workers = options.server[server].split('/')
        self.session = Session(dsn.replace('%2F', '/'), int(port), int(workers))
        self.features = [feature for feature in schema.FEATURES if feature not in options.without.split(',')]
        self.passed = self.failed = 0

    def numbers(self):
        options, start = self.options, time.monotonic()
        if options.case is not None:
            yield from [options.case] * (options.repeat if options.case % self.share == self.index else 0)
            return
        number = self.index
        while self.failed < options.most and \
                (time.monotonic() - start < options.seconds if options.seconds else number < options.cases):
            yield number
            number += self.share

    def run(self):
        for number in self.numbers():
            if self.judge_case(number):
                self.passed += 1
            else:
                self.failed += 1
        return self.passed, self.failed

    def judge_case(self, number):
        case = make_case('%s/%d' % (self.options.seed, number), self.features)
        if self.options.single:
            stream.make_single(case)
        http = not self.options.single and not self.options.no_http and number // self.share % 2 == 1
        again = functools.partial(run_case, self.session, ignored=self.options.ignore.split(','), http=http)
        difference, run = again(case)
        if not difference:
            return True
        text = '---- seed %s, case %d, step %d, %s: %s\n' % (self.options.seed, number, difference.step,
                                                           'over HTTP' if http else 'ingest', difference.kind)
        shown = script(case, run, difference)
        if not self.options.no_shrink:
            case, difference = shrink(again, case, difference)
            difference, run = again(case)
            # what depends on how workers meet is shown as it was seen
            shown = script(case, run, difference) if difference else '-- It did not happen again.\n' + shown
        print(text + shown)
        sys.stdout.flush()
        return False


def judge(options, server):
    try:
        return Judge(options, server).run()
    except StopIteration as error:
        # the pool would take it for the end of its own work
        raise RuntimeError('something was not found') from error


def main():
    options = arguments()
    print('seed %s' % options.seed)
    sys.stdout.flush()
    with multiprocessing.Pool(len(options.server)) as pool:
        results = pool.starmap(judge, [(options, server) for server in range(len(options.server))])
    passed, failed = (sum(numbers) for numbers in zip(*results))
    print('%d passed, %d failed' % (passed, failed))
    return failed > 0


if __name__ == '__main__':
    sys.exit(main())
