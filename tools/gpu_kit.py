"""All that a GPU should do in a few minutes: time the step, run the tests by name, train the students of a list.

``python tools/gpu_kit.py --minutes 9 --data BSD432:32 IN797:40 -o OUT`` trains the students of ``gpu_trainings.yml``
side by side, each in its own stream, by captured steps (``captured_step.py``), and brings weights,
log and tables back in OUT. The schedule follows the clock, so that all end when the minutes do.
``--list tools/gpu_tasks.yml`` trains the networks for other tasks and for photographs, on crops that the datasets of
their option files draw first.
"""
from __future__ import annotations

import argparse
import json
import math
import os
import shlex
import subprocess
import sys
import time
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
import yaml
from kit_training import DenoiserTraining, Sets, TaskTraining, Training, read_sets
from rich.console import Console

LIST = Path(__file__).with_name('gpu_trainings.yml')
REPORTS = 4
"""Times that all are scored and saved on the way."""


def pace(trainings: list[Training], rounds: int) -> float:
    """Seconds of a round of one step each."""
    wait()
    began = time.perf_counter()
    for _ in range(rounds):
        for training in trainings:
            training.run(1e-3, 1.0)
    wait()
    return (time.perf_counter() - began) / rounds


def rounds_to_time() -> int:
    return 50 if torch.cuda.is_available() else 1


def wait() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def prepare(plans: list[dict[str, Any]], folders: Mapping[Path, int], args: argparse.Namespace,
            tell: Any) -> Iterator[Training]:
    @cache
    def pictures(channels: int, validation: bool) -> Sets:
        sets = read_sets(folders, channels, validation)
        tell(f'pictures read: {[len(one) for one in sets]}')
        return sets

    for plan in plans:
        training: Training
        if 'options' in plan:
            training = TaskTraining(plan, args.batch, not args.plain, args.seed, os.cpu_count() or 1)
        else:
            in_ch = plan.get('in_ch', 3)
            training = DenoiserTraining(plan, pictures(in_ch, False), pictures(in_ch, True), args.side, args.batch,
                                        not args.plain, args.seed)
        capture(training, tell)
        seconds = pace([training], rounds_to_time())
        tell(f'{plan["name"]}: captured, {1e3 * seconds:.2f} ms a step')
        yield training


def capture(training: Training, tell: Any) -> None:
    try:
        training.step.capture()
    except Exception:  # the minutes are paid for: train uncaptured, and tell why
        tell(f'{training.plan["name"]} runs uncaptured: {traceback.format_exc()}')
        training.step.graph = None


def train(trainings: list[Training], seconds: float, steps: float, mse_from: float, tell: Any, folder: Path) -> None:
    """Train until the seconds are over or ``steps`` rounds are done, whichever comes first."""
    began, told, rounds = time.monotonic(), 0, 0
    while (progress := max((time.monotonic() - began) / seconds, rounds / steps)) < 1:
        for training in trainings:
            if rounds % training.plan.get('every', 1) == 0:
                training.run(progress, mse_from)
        rounds += 1
        if rounds % 20 == 0:
            wait()
        if progress > (told + 1) / REPORTS:
            told += 1
            for training in trainings:
                log = training.step.read_log()
                tell(f'{progress:.2f} {training.plan["name"]} {training.step.steps} steps '
                     f'{json.dumps({key: round(value, 5) for key, value in log.items()})} few {training.score(4)}')
                training.save(folder)


def parse_arguments(plan_file: Path) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--minutes', type=float, required=True, help='in all, preparation included')
    parser.add_argument('--list', type=Path, nargs='+', default=[plan_file], help='of trainings (default: %(default)s)')
    parser.add_argument('--data', nargs='+', default=[], metavar='DIR:HELD_OUT', help='pictures of denoisers')
    parser.add_argument('-o', type=Path, required=True)
    parser.add_argument('--names', nargs='+', help='of the list of trainings; default: all')
    parser.add_argument('--steps', type=float, default=math.inf, help='end after so many, if the minutes allow them')
    parser.add_argument('--least-steps', type=int, default=20_000)
    parser.add_argument('--side', type=int, default=64)
    parser.add_argument('--batch', type=int, default=32)
    parser.add_argument('--mse-from', type=float, default=0.75)
    parser.add_argument('--seed', type=int, default=0)
    parser.add_argument('--plain', action='store_true', help='neurons uncompiled')
    parser.add_argument('--tests', help='arguments of pytest, which runs beside the training')
    parser.add_argument('--end-seconds', type=float, default=25, help='kept for the last validation')
    return parser.parse_args()


def keep_what_fits(trainings: list[Training], seconds: float, least_steps: int, tell: Any) -> None:
    """Leave out the last trainings of the list, until the others take so many steps in the seconds."""
    rounds = rounds_to_time()
    while True:
        of_a_round = pace(trainings, rounds)
        tell(f'{len(trainings)} trainings: {1e3 * of_a_round:.2f} ms a round')
        if len(trainings) == 1 or seconds / of_a_round >= least_steps:
            return
        tell(f'without {trainings.pop().plan["name"]}')


@contextmanager
def tests_beside(arguments: str | None, folder: Path) -> Iterator[None]:
    """Context beside which pytest runs, if it is given arguments; it is ended with it."""
    if arguments is None:
        yield
        return
    command = [sys.executable, '-m', 'pytest', *shlex.split(arguments)]
    with (folder / 'tests.txt').open('w') as report, subprocess.Popen(command, stdout=report,
                                                                      stderr=subprocess.STDOUT) as tests:
        try:
            yield
        finally:
            tests.kill()


def main(plan_file: Path = LIST) -> None:
    args = parse_arguments(plan_file)
    args.o.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    log_file = (args.o / 'log.txt').open('a')

    def tell(line: str) -> None:
        line = f'[{time.monotonic() - began:6.1f}] {line}'
        for console in (Console(file=log_file, width=1000), Console(width=1000)):
            console.print(line, markup=False, highlight=False)

    def seconds_left() -> float:
        return 60 * args.minutes - (time.monotonic() - began) - args.end_seconds

    torch.backends.cudnn.benchmark = True
    torch.backends.cudnn.allow_tf32 = True
    tell(f'{torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"}, torch {torch.__version__}, '
         f'batch {args.batch}x{args.side}x{args.side}')
    folders = {Path(folder): int(held_out) for folder, held_out in (one.rsplit(':', 1) for one in args.data)}
    plans = [plan for file in args.list for plan in yaml.safe_load(file.read_text(encoding='utf-8'))
             if not args.names or plan['name'] in args.names]
    trainings = list(prepare(plans, folders, args, tell))
    keep_what_fits(trainings, seconds_left(), args.least_steps, tell)
    with tests_beside(args.tests, args.o):
        try:
            train(trainings, seconds_left(), args.steps, args.mse_from, tell, args.o)
        finally:
            for training in trainings:
                training.save(args.o)
        for training in trainings:
            tell(f'end {training.plan["name"]} {training.step.steps} steps {json.dumps(training.step.read_log())} '
                 f'validation {training.score(12)}')


if __name__ == '__main__':
    main()
