"""Several trainings at once on one machine, each as long as the minutes allow: ``benchmarks/side_by_side.py``.

``python benchmarks/side_by_side.py --minutes 9 -opt A.yml B.yml`` runs all of them for a while to learn their pace
beside each other, then trains each from its start for the steps that fit: ``total_iter`` and a period of that length.
The options that were trained stay in ``experiments/NAME.yml``. A GPU that waits for the launches of one small network
(``benchmarks/gpu_step.py``) has room for the others.
"""
from __future__ import annotations

import argparse
import copy
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import yaml
from basicsr.utils.options import ordered_yaml
from rich.console import Console
from rich.table import Table

from basicsr_snn.bench.training_log import TrainingLog, read_training_log
from basicsr_snn.pipeline.option_files import read_options

EXPERIMENTS = Path('experiments')
PROBE_STEPS = 1_000_000
START_SECONDS, END_SECONDS = 15, 15
"""What a training takes to import and to decode its pictures, and for its last validation."""
SHARE = 0.95
"""Of the time that is left, what is planned: paces vary."""


def with_length(options: Mapping[str, Any], steps: int) -> dict[str, Any]:
    """Options of the same training over ``steps`` steps, validated half-way and at its end."""
    options = copy.deepcopy(dict(options))
    options['train']['total_iter'], options['train']['scheduler']['periods'] = steps, [steps]
    options['val']['val_freq'] = max(1, steps // 2)
    options['logger']['save_checkpoint_freq'] = max(1, steps // 8)
    return options


def probe_of(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options that only tell the pace: their logs are deleted."""
    options = with_length(options, PROBE_STEPS)
    options['name'] = f'pace_of_{options["name"]}'
    options['logger'].update(print_freq=20, use_tb_logger=False)
    return options


def launch(options: Mapping[str, Any]) -> subprocess.Popen:
    EXPERIMENTS.mkdir(exist_ok=True)
    file = EXPERIMENTS / f'{options["name"]}.yml'
    file.write_text(yaml.dump(options, Dumper=ordered_yaml()[1]), encoding='utf-8')
    output = (EXPERIMENTS / f'{options["name"]}.out').open('w', encoding='utf-8')
    return subprocess.Popen([sys.executable, '-m', 'basicsr_snn.train', '-opt', str(file)], stdout=output,
                            stderr=subprocess.STDOUT, env={**os.environ, 'GOMP_SPINCOUNT': '0', 'OMP_NUM_THREADS': '1'})


def log_of(options: Mapping[str, Any]) -> TrainingLog:
    return read_training_log(EXPERIMENTS / options['name'])


def seconds_a_step(log: TrainingLog) -> float:
    """Median pace of the later half of what a log tells."""
    return statistics.median(pace for _, pace in log.paces[len(log.paces) // 2:])


def steps_in(seconds: float, pace: float) -> int:
    """Whole hundreds of steps that fit into the time, at least 100."""
    return max(100, int(SHARE * seconds / pace) // 100 * 100)


@contextmanager
def running(trainings: list[dict[str, Any]]) -> Iterator[Callable[[], bool]]:
    """Context in which all of them run: a call tells, a second later, whether any still does; all end with it.

    A training that ended in an error ends the script, with the last lines that it wrote.
    """
    processes = [launch(options) for options in trainings]

    def still() -> bool:
        time.sleep(1)
        for options, process in zip(trainings, processes, strict=True):
            if process.poll():
                lines = (EXPERIMENTS / f'{options["name"]}.out').read_text(encoding='utf-8').splitlines()
                sys.exit('\n'.join([f'{options["name"]} ended with exit code {process.returncode}:', *lines[-10:]]))
        return any(process.poll() is None for process in processes)

    try:
        yield still
    finally:
        for process in processes:
            process.kill()
            process.wait()


def measured_paces(trainings: list[dict[str, Any]], seconds: float) -> list[float]:
    """Seconds a step of each training beside the others, from a probe of all that is thrown away."""
    probes = [probe_of(options) for options in trainings]
    try:
        with running(probes) as still:
            while still() and not all(log_of(options).paces for options in probes):
                pass
            all_run = time.monotonic()
            while still() and time.monotonic() < all_run + seconds:
                pass
        return [seconds_a_step(log_of(options)) for options in probes]
    finally:
        for options in probes:
            shutil.rmtree(EXPERIMENTS / options['name'], ignore_errors=True)
            for suffix in ('yml', 'out'):
                (EXPERIMENTS / f'{options["name"]}.{suffix}').unlink(missing_ok=True)


def train_all(trainings: list[dict[str, Any]], console: Console) -> None:
    """Train all at once to their ends; tells every minute how far they are."""
    told = time.monotonic()
    with running(trainings) as still:
        while still():
            if time.monotonic() - told > 60:
                told = time.monotonic()
                console.print(', '.join(f'{options["name"]} {(log_of(options).paces or [(0, 0)])[-1][0]:,}'
                                        for options in trainings))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', required=True, nargs='+', type=Path, metavar='X.yml')
    parser.add_argument('--minutes', type=float, required=True, help='in all, probe included')
    parser.add_argument('--probe', type=float, default=25, help='seconds of the probe (default: %(default)s)')
    args = parser.parse_args()
    began, console = time.monotonic(), Console()
    trainings = [read_options(file) for file in args.opt]
    paces = measured_paces(trainings, args.probe)
    left = 60 * args.minutes - (time.monotonic() - began) - START_SECONDS - END_SECONDS
    trainings = [with_length(options, steps_in(left, pace)) for options, pace in zip(trainings, paces, strict=True)]
    train_all(trainings, console)
    table = Table('training', 'steps', 'ms a step', 'validation PSNR, dB')
    for options in trainings:
        log = log_of(options)
        table.add_row(options['name'], f'{options["train"]["total_iter"]:,}', f'{1e3 * seconds_a_step(log):.1f}',
                      ', '.join(f'{psnr:.3f}' for _, psnr in log.curve))
    console.print(table)


if __name__ == '__main__':
    main()
