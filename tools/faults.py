"""Try every kind of fault for as long as you like, and write what was survived into ``docs/reliability.md``.

    python tools/faults.py --minutes 60
    python tools/faults.py --minutes 1 --only 'picture' --seed 7

The kinds are those of ``tests/faults``. They take turns; a try has a seed of its own, printed where it is lost, and
``--only NAME --seed SEED --tries 1`` brings the same fault about again. Without ``--only`` the table is written.
"""
from __future__ import annotations

import argparse
import contextlib
import csv
import io
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from random import Random

import pytest

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(REPOSITORY / 'tests'), str(REPOSITORY / 'tests' / 'faults')]

from fault import Fault, import_faults  # noqa: E402
from page import FAULTS, RELIABILITY, written  # noqa: E402


@dataclass
class Outcome:
    """What became of the tries of one kind of fault; a line of the table."""

    fault: str
    survives: str
    tries: int = 0
    lost: int = 0
    seconds: float = field(default=0.0)

    def add(self, survived: bool, seconds: float) -> None:
        self.tries += 1
        self.lost += not survived
        self.seconds += seconds


def try_fault(kind: Fault, seed: str) -> bool:
    """Bring ``kind`` about in an empty folder; whether it was survived. Prints seed and reason where it was not."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder), _quiet() as output:
        try:
            kind.bring_about(Random(seed), Path(folder))
            return True
        except (Exception, pytest.fail.Exception):  # what was not raised is lost, too
            reason = traceback.format_exc()
    print(f'LOST: {kind.name}, --seed {seed!r}\n{output.getvalue()[-2000:]}\n{reason}', flush=True)
    return False


@contextlib.contextmanager
def _quiet() -> Iterator[io.StringIO]:
    output = io.StringIO()
    with contextlib.redirect_stdout(output), contextlib.redirect_stderr(output):
        yield output


def try_in_turns(kinds: Sequence[Fault], seed: str, minutes: float, tries: int | None) -> list[Outcome]:
    """Every kind in turns until ``minutes`` are over or each had ``tries``; every kind is tried at least once."""
    outcomes = {kind.name: Outcome(kind.name, kind.survives) for kind in kinds}
    end, turn = time.monotonic() + 60 * minutes, 0
    while turn == 0 or (time.monotonic() < end and turn != tries):
        for kind in kinds:
            if turn and time.monotonic() >= end:
                break
            start = time.monotonic()
            survived = try_fault(kind, seed if tries == 1 else f'{seed} {turn}')
            outcomes[kind.name].add(survived, time.monotonic() - start)
        turn += 1
        lost = sum(outcome.lost for outcome in outcomes.values())
        print(f'turn {turn}: {sum(outcome.tries for outcome in outcomes.values())} tries, {lost} lost', flush=True)
    return list(outcomes.values())


def write_table(outcomes: Sequence[Outcome]) -> None:
    """Write the outcomes as a CSV file."""
    with FAULTS.open('w', newline='', encoding='utf-8') as file:
        writer = csv.DictWriter(file, list(asdict(outcomes[0])))
        writer.writeheader()
        writer.writerows({**asdict(outcome), 'seconds': f'{outcome.seconds:.0f}'} for outcome in outcomes)


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code is 1 where a try was lost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--minutes', type=float, default=60, help='default: 60')
    parser.add_argument('--only', default='', help='kinds whose name holds this word')
    parser.add_argument('--seed', default='0', help='default: 0')
    parser.add_argument('--tries', type=int, help='of each kind, at most; default: as many as the minutes allow')
    options = parser.parse_args(arguments)
    os.environ['GOMP_SPINCOUNT'] = '0'
    kinds = [kind for name, kind in import_faults().items() if options.only in name]
    if not kinds:
        parser.error(f'no kind of fault has {options.only!r} in its name; there are: {", ".join(import_faults())}')
    outcomes = try_in_turns(kinds, options.seed, options.minutes, options.tries)
    if not options.only:
        write_table(outcomes)
        RELIABILITY.write_text(written(RELIABILITY, ()), encoding='utf-8')
    for outcome in outcomes:
        print(f'{outcome.fault:50} {outcome.tries:6} tries {outcome.lost:4} lost')
    return int(any(outcome.lost for outcome in outcomes))


if __name__ == '__main__':
    raise SystemExit(main())
