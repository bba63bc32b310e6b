"""Runs of a study: options of one length and weight, a training to its end by ``basicsr-snn train``, tables in CSV."""
from __future__ import annotations

import csv
import fcntl
import os
import subprocess
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
import yaml
from basicsr.utils.options import ordered_yaml
from torch import Tensor

from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.images.scoring import eight_bits, psnr

HERE, EXPERIMENTS = Path(__file__).parent, Path('experiments')
OPTIONS = Path('options/train/distillation')
ONE_THREAD = {'GOMP_SPINCOUNT': '0', 'OMP_NUM_THREADS': '1'}
"""What keeps trainings beside each other out of each other's way."""
Start = Callable[[list[str], Mapping[str, str], Path], None]
"""Runs a command to its end, with these variables and its messages in this file; an error where it fails."""


def set_length(options: dict[str, Any], steps: int) -> None:
    """Make a training as long as ``steps``, and with it all that ends or begins at a share of its length."""
    train, distill = options['train'], options.get('distill', {})
    train['total_iter'], train['scheduler']['periods'] = steps, [steps]
    train['warmup_iter'] = max(100, 3 * steps // 100)
    train['ema_decay'] = 1 - 10 / steps
    if 'tandem' in train:
        train['tandem']['every'] = steps // 10
    if 'until' in distill:
        distill['until'] = steps // 5
    if 'schedule' in distill:
        distill['schedule']['end_iter'] = steps


def set_weight(distill: dict[str, Any], weight: float) -> None:
    """Give all terms of a ``distill:`` block another weight."""
    for term in (*distill.get('hints', ()), *distill.get('tails', ())):
        term['weight'] = weight
    if 'output' in distill:
        distill['output']['loss_weight'] = weight


def train_to_the_end(options: Mapping[str, Any], start: Start, variables: Mapping[str, str]) -> Path:
    """Train, from the last checkpoint on if there is one, and return the folder of the experiment."""
    folder = EXPERIMENTS / options['name']
    if not (folder / 'models' / 'net_g_latest.pth').exists():
        command = [sys.executable, '-m', 'basicsr_snn.train', '-opt', str(write_options(options)), '--auto_resume']
        start(command, {**os.environ, **variables}, EXPERIMENTS / f'{options["name"]}.err')
    return folder


def write_options(options: Mapping[str, Any]) -> Path:
    """The option file of a run, beside its experiment."""
    file = EXPERIMENTS / f'{options["name"]}.yml'
    file.parent.mkdir(exist_ok=True)
    file.write_text(yaml.dump(options, Dumper=ordered_yaml()[1]), encoding='utf-8')
    return file


def run_command(command: list[str], variables: Mapping[str, str], messages: Path) -> None:
    with messages.open('w', encoding='utf-8') as file:
        subprocess.run(command, check=True, env=variables, stdout=subprocess.DEVNULL, stderr=file)


@torch.inference_mode()
def mean_psnr(restorer: Callable[[Tensor, Tensor | None], Tensor], pictures: EvaluationSet) -> float:
    """Mean PSNR of 8-bit pictures, without the other figures of ``basicsr-snn bench``."""
    return sum(psnr(eight_bits(restorer(given, sigma)), eight_bits(clean)) for given, clean, sigma in pictures
               ) / len(pictures)


def read(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline='') as rows:
        return list(csv.DictReader(rows))


def write(table: Path, columns: Iterable[str], rows: list[dict[str, Any]]) -> None:
    """Replace a table at once, so that whoever is stopped meanwhile leaves the old one or the new one."""
    new = table.with_name(f'{table.name}.new')
    with new.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(columns), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    new.replace(table)


def rewrite(table: Path, columns: Iterable[str],
            change: Callable[[list[dict[str, str]]], list[dict[str, Any]]]) -> None:
    """Replace a table by what ``change`` makes of its rows; other processes that do so wait for each other."""
    EXPERIMENTS.mkdir(exist_ok=True)
    with (EXPERIMENTS / f'{table.stem}.lock').open('w') as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        write(table, columns, change(read(table)))
