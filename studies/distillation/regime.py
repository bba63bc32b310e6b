"""Arms of a comparison trained one after the other or side by side: ``studies/distillation/regime.py binary.yml``.

The plan lists trainings in order of value. A run that ``<plan>.csv`` has is skipped, one that was stopped goes on from
its last checkpoint, and whatever is done can be drawn meanwhile (``draw_regime.py``). Each run takes one thread.
``<plan>.csv`` has a row for each run, ``<plan>_curves.csv`` one for each validation: PSNR, seconds, firing rate, and
how dense the membrane potentials are.
"""
from __future__ import annotations

import argparse
import logging
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import Any

from plan import FIELDS, Plan, Run, start_weights, trained_weights
from runs import EXPERIMENTS, HERE, ONE_THREAD, mean_psnr, read, rewrite, train_to_the_end, write_options

# isort: split
import numpy as np
import torch
from basicsr.utils import get_root_logger

from basicsr_snn.activity import ActivityWatch, LayerActivity, dead_share
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.bench.training_log import TrainingLog, read_training_log
from basicsr_snn.zoo.trained_network import TrainedNetwork

RESULT_COLUMNS = (*FIELDS, 'seconds', 'val_psnr', 'last_psnr', 'firing_rate')
CURVE_COLUMNS = (*FIELDS, 'step', 'seconds', 'val_psnr', 'firing_rate', 'membrane_density', 'silent_channels')
DENSE = 0.5
"""Share of the threshold from which on a membrane potential counts as one that is not at rest."""
WATCHED, WATCHED_SIDE = 2, 128
"""Pictures, and side of their upper left crops, on which neurons are looked at."""


class Runner:
    """Trains the runs of a plan and keeps its tables.

    Args:
        plan: The plan.
        folder: Where the tables lie.
    """

    def __init__(self, plan: Plan, folder: Path = HERE) -> None:
        self.plan = plan
        self.table, self.curves = folder / f'{plan.name}.csv', folder / f'{plan.name}_curves.csv'
        self._lock = threading.Lock()
        self._at_work: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def missing(self, only: str = '') -> list[Run]:
        """The runs that the table lacks whose name holds ``only``, and the twins that these need and whose weights are
        gone."""
        done = {tuple(row[key] for key in FIELDS) for row in read(self.table)}
        lacking = {run for run in self.plan.runs() if run.key() not in done and only in run.name}
        needed = {twin for run in lacking if (twin := self.plan.needed(run)) and not trained_weights(twin).exists()}
        return [run for run in self.plan.runs() if run in lacking | needed]

    def run_all(self, runs: list[Run], jobs: int) -> list[str]:
        """Train runs, ``jobs`` at a time; returns a sentence for each that failed."""
        failed, futures = [], {}
        with ThreadPoolExecutor(jobs) as pool:
            try:
                for run in runs:  # a twin comes before what needs it, so nobody waits for what does not begin
                    futures[run] = pool.submit(self._run_after, run, futures.get(self.plan.needed(run)))
                names = {future: run.name for run, future in futures.items()}
                for number, future in enumerate(as_completed(names), 1):
                    error = future.exception()
                    print(f'{number}/{len(runs)} {names[future]}: {error or future.result()}', flush=True)
                    failed += [f'{names[future]}: {error}'] if error else []
            finally:
                self._stop()
                pool.shutdown(wait=True, cancel_futures=True)
        return failed

    def _run_after(self, run: Run, needed: Future | None) -> str:
        if needed is not None:
            needed.result()
        torch.set_num_threads(1)
        options = self.plan.options(run)
        if self.plan.begins_as_twin(run) and not start_weights(run).exists():
            self._start_from_twin(run, options)
        folder = train_to_the_end(options, self._command, ONE_THREAD)
        return self._record(run, options, folder)

    def _start_from_twin(self, run: Run, options: Mapping[str, Any]) -> None:
        """Make the weights that a run begins with; they get their name when they are complete."""
        made = start_weights(run).with_suffix('.new.pth')
        made.unlink(missing_ok=True)
        self._command([sys.executable, '-m', 'basicsr_snn', 'start', '-opt', str(write_options(options)),
                       '--from-twin', str(trained_weights(self.plan.needed(run))), '-o', str(made),
                       *self.plan.content['starts'][run.neuron]],
                      {**os.environ, **ONE_THREAD}, EXPERIMENTS / f'{run.name}.err')
        made.rename(start_weights(run))

    def _command(self, command: list[str], variables: Mapping[str, str], messages: Path) -> None:
        """Run a command to its end, or until this runner is stopped."""
        with messages.open('w', encoding='utf-8') as file:
            with self._lock:
                if self._stopped:
                    raise RuntimeError('stopped')
                process = subprocess.Popen(command, env=dict(variables), stdout=subprocess.DEVNULL, stderr=file)
                self._at_work.add(process)
            code = process.wait()
        with self._lock:
            self._at_work.discard(process)
        if code:
            raise RuntimeError(f'ended with {code}; its messages are in {messages}')

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._at_work:
                process.terminate()  # a training saves a checkpoint and ends

    def _record(self, run: Run, options: Mapping[str, Any], folder: Path) -> str:
        log, key = read_training_log(folder), asdict(run)
        points = [{**key, **point} for point in curve_of(options, folder, log)]
        block = {**options['datasets']['val'], 'subset': self.plan.content['scored_on']}
        psnr = mean_psnr(network(options, folder, 'latest').build(), EvaluationSet({'val': block}))
        row = {**key, 'seconds': round(log.seconds(run.steps), 1), 'val_psnr': f'{psnr:.3f}',
               'last_psnr': points[-1]['val_psnr'], 'firing_rate': points[-1]['firing_rate']}
        with self._lock:
            replace_rows(self.curves, CURVE_COLUMNS, run, points)
            replace_rows(self.table, RESULT_COLUMNS, run, [row])
        return f'{psnr:.3f} dB'


def replace_rows(table: Path, columns: tuple[str, ...], run: Run, rows: list[dict[str, Any]]) -> None:
    rewrite(table, columns, lambda found: [
        *(row for row in found if tuple(row[key] for key in FIELDS) != run.key()), *rows])


def network(options: Mapping[str, Any], folder: Path, step: int | str) -> TrainedNetwork:
    """The network of a run as it was after a step, with the weights that are validated."""
    entry = 'params_ema' if options['train']['ema_decay'] else 'params'
    return TrainedNetwork(folder.name, options['network_g'], folder / 'models' / f'net_g_{step}.pth', entry)


def curve_of(options: Mapping[str, Any], folder: Path, log: TrainingLog) -> list[dict[str, Any]]:
    """What each validation of a run found, and what the neurons did at that time."""
    points = []
    for step, psnr in log.curve:
        layers = activity(network(options, folder, step))
        points.append({'step': step, 'seconds': round(log.seconds(step), 1), 'val_psnr': f'{psnr:.3f}',
                       'firing_rate': f'{mean_rate(layers):.4f}', 'membrane_density': f'{density(layers):.4f}',
                       'silent_channels': f'{dead_share(layers):.4f}'})
    return points


@torch.inference_mode()
def activity(trained: TrainedNetwork) -> tuple[LayerActivity, ...]:
    """What the neurons of a network do on noisy crops, the same for all runs; nothing for an ANN."""
    pictures = EvaluationSet({'val': {'name': 'watched', 'type': 'GaussianDenoisingDataset', 'in_ch': 3, 'sigma': 25,
                                      'dataroot_gt': 'datasets/BSD432', 'subset': [400, 400 + WATCHED]}})
    net = trained.loaded().eval()
    with ActivityWatch(net) as watch:
        for noisy, _, _ in pictures:
            net(noisy[..., :WATCHED_SIDE, :WATCHED_SIDE])
    return watch.layers()


def mean_rate(layers: tuple[LayerActivity, ...]) -> float:
    """Mean |count| of a channel and step over all channels of all layers; 0 for an ANN."""
    return float(np.concatenate([layer.channel_rates for layer in layers]).mean()) if layers else 0.0


def density(layers: tuple[LayerActivity, ...]) -> float:
    """Mean over layers of the share of membrane potentials, before the spike, of at least :data:`DENSE` thresholds in
    magnitude; NaN where no layer tells its potentials."""
    shares = [float((np.abs(layer.potentials) >= DENSE).mean()) for layer in layers if layer.potentials.size]
    return float(np.mean(shares)) if shares else float('nan')


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('plan', type=Path, nargs='?', default=HERE / 'binary.yml', help='default: %(default)s')
    parser.add_argument('--jobs', type=int, default=1, help='trainings side by side (default: %(default)s)')
    parser.add_argument('--blocks', type=int, help='only so many blocks of the plan, from the first')
    parser.add_argument('--only', default='', help='runs whose name holds this; --dry-run lists the names')
    parser.add_argument('--dry-run', action='store_true', help='list what is missing, train nothing')
    args = parser.parse_args()
    plan = Plan(args.plan)
    plan.blocks = plan.blocks[:args.blocks]
    runner = Runner(plan)
    missing = runner.missing(args.only)
    print(f'{len(missing)} runs are missing', flush=True)
    if args.dry_run:
        print('\n'.join(run.name for run in missing))
        return 0
    get_root_logger().setLevel(logging.ERROR)  # what is read for each row is no news
    signal.signal(signal.SIGTERM, _leave)
    failed = runner.run_all(missing, args.jobs)
    print('\n'.join(['failed:', *failed]) if failed else 'all done')
    return 1 if failed else 0


def _leave(number: int, frame: FrameType | None) -> None:
    sys.exit(128 + number)


if __name__ == '__main__':
    sys.exit(main())
