"""Do noisy pictures without a truth help, where a teacher shows what they hold? Three trainings alike, two seeds each.

    python studies/real_noise/without_truth.py

``truth``: real pairs of one camera. ``teacher``: noisy pictures of four cameras, without their truth, under FFDNet.
``both``: the pairs of the one camera, the noisy pictures of the others, and FFDNet on all. The option files are in
``options/train/without_truth``. A run that was stopped goes on from its last checkpoint; ``without_truth.csv`` has a
row for each that ended. The mean of many exposures of a scene is looked at in ``truth`` and ``both`` only.
"""
from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import yaml
from basicsr.utils.options import ordered_yaml

from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.bench.measuring import measure
from basicsr_snn.bench.training_log import read_training_log
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import TrainedNetwork

OPTIONS, TABLE = Path('options/train/without_truth'), Path(__file__).parent / 'without_truth.csv'
ARMS = ('truth', 'teacher', 'both')
COLUMNS = ('arm', 'seed', 'steps', 'hours', 'polyu_psnr', 'camera_psnr')
STEPS = 3000


def options_of(arm: str, seed: int, steps: int) -> dict[str, Any]:
    """The options of a run."""
    options = read_options(OPTIONS / f'{arm}.yml')
    options.update(name=f'without_truth_{arm}_seed{seed}_{steps}', manual_seed=seed)
    train = options['train']
    train['total_iter'], train['scheduler']['periods'] = steps, [steps]
    train['ema_decay'] = 1 - 10 / steps
    options['val']['val_freq'] = max(1, steps // 3)
    options['logger'].update(use_tb_logger=False, save_checkpoint_freq=max(1, steps // 6))
    return options


def train(options: Mapping[str, Any]) -> Path:
    """Train to the end, or go on to it, and return the folder of the experiment."""
    folder = Path('experiments') / options['name']
    if not (folder / 'models' / 'net_g_latest.pth').exists():
        file = folder.with_suffix('.yml')
        file.parent.mkdir(exist_ok=True)
        file.write_text(yaml.dump(dict(options), Dumper=ordered_yaml()[1]), encoding='utf-8')
        command = [sys.executable, '-m', 'basicsr_snn.train', '-opt', str(file), '--auto_resume']
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL,
                       env={'OMP_NUM_THREADS': '1', 'GOMP_SPINCOUNT': '0', **os.environ})
    return folder


def scored(options: Mapping[str, Any], folder: Path) -> dict[str, str]:
    """PSNR of the moving average of the last step: real pairs, and noise as CameraNoiseDataset makes it."""
    candidate = TrainedNetwork(options['name'], options['network_g'], folder / 'models/net_g_latest.pth', 'params_ema')
    found = {block['name']: measure(candidate, EvaluationSet({phase: block})).psnr
             for phase, block in options['datasets'].items() if phase != 'train'}
    return {'polyu_psnr': f'{found["PolyU"]:.3f}', 'camera_psnr': f'{found["camera"]:.3f}'}


def read_rows() -> list[dict[str, str]]:
    if not TABLE.exists():
        return []
    with TABLE.open(newline='') as file:
        return list(csv.DictReader(file))


def write_rows(rows: Sequence[Mapping[str, str]]) -> None:
    with TABLE.open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arms', nargs='+', choices=ARMS, default=ARMS)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1])
    parser.add_argument('--steps', type=int, default=STEPS)
    args = parser.parse_args(arguments)
    done = {(row['arm'], row['seed'], row['steps']) for row in read_rows()}
    for seed in args.seeds:
        for arm in args.arms:
            key = arm, str(seed), str(args.steps)
            if key in done:
                continue
            print(f'{arm}, seed {seed}, {args.steps} steps', flush=True)
            options = options_of(arm, seed, args.steps)
            folder = train(options)
            row = {**dict(zip(COLUMNS, key, strict=False)), 'hours': f'{read_training_log(folder).hours:.2f}',
                   **scored(options, folder)}
            write_rows([*read_rows(), row])
            print(row, flush=True)


if __name__ == '__main__':
    main()
