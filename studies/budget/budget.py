"""Quality against energy: the student of sigma 25 trained on under several budgets of accumulations.

``python studies/budget/budget.py`` trains ``frugal_color25.yml`` for each target (5 minutes each on a CPU core;
those that are finished are not trained again) and writes ``budget.csv`` and docs/images/budget.png.
"""
from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
from pathlib import Path

import matplotlib

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

HERE, PLOT = Path(__file__).parent, Path('docs/images/budget.png')
OPTIONS = Path('options/train/SpikerIR/frugal_color25.yml')
COLUMNS = ('target', 'acs_per_px', 'events_per_neuron', 'nj_per_px', 'val_psnr')


def train(target: int) -> Path:
    """Train under one budget and return the folder of the experiment."""
    name = f'SpikerIR_small_budget{target}_color25'
    folder = Path('experiments') / name
    if not (folder / 'models' / 'net_g_latest.pth').exists():
        command = [sys.executable, '-m', 'basicsr_snn.train', '-opt', str(OPTIONS), '--auto_resume', '--force_yml',
                   f'name={name}', f'train:rate_opt:target={target}', 'val:val_freq=1000']
        subprocess.run(command, check=True, env={**os.environ, 'GOMP_SPINCOUNT': '0'}, stdout=subprocess.DEVNULL)
    return folder


def last_validation(target: int, folder: Path) -> dict[str, float]:
    """What the last validation of a training logged."""
    text = '\n'.join(file.read_text(encoding='utf-8') for file in sorted(folder.glob('train_*.log')))

    def last(pattern: str) -> float:
        return float(re.findall(pattern, text)[-1].replace(',', ''))

    return {'target': target, 'acs_per_px': last(r'# SynOps: ([\d,]+) ACs/px'),
            'events_per_neuron': last(r'# firing rate: ([\d.]+)'), 'nj_per_px': last(r'# energy: ([\d.]+) nJ/px'),
            'val_psnr': last(r'# psnr: ([\d.]+)')}


def draw(rows: list[dict[str, float]]) -> None:
    figure, axes = plt.subplots(figsize=(6.5, 4))
    axes.plot([row['events_per_neuron'] for row in rows], [row['val_psnr'] for row in rows], marker='o')
    for row in rows:
        axes.annotate(f'{row["nj_per_px"]:.1f} nJ/px', (row['events_per_neuron'], row['val_psnr']),
                      textcoords='offset points', xytext=(6, -10), fontsize=8)
    axes.set(xlabel='unit events a neuron', ylabel='validation PSNR, dB')
    axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(PLOT, dpi=100)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--targets', type=int, nargs='+', default=[10000, 19000, 30000])
    args = parser.parse_args()
    rows = [last_validation(target, train(target)) for target in sorted(args.targets)]
    with (HERE / 'budget.csv').open('w', newline='') as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)
    draw(rows)


if __name__ == '__main__':
    main()
