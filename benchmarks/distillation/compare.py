"""Every method of distillation on one student, one schedule, the same batches: ``benchmarks/distillation/compare.py``.

Each option file of options/train/distillation is trained with ``basicsr-snn train`` for the same number of steps from
the same seeds, and goes on from its last checkpoint if it was stopped. ``results.csv`` has a row for each method and
seed; ``curves.csv`` validation PSNR by step and second. Methods may be spread over processes, one ``--methods`` each.
"""
from __future__ import annotations

import argparse
import csv
import os
import re
import subprocess
import sys
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
OPTIONS = Path('options/train/distillation')
METHODS = ('control', 'hkd', 'kdsnn_response', 'kdsnn_feature', 'lasnn', 'bkdsnn', 'hybrid', 'tna', 'ternary',
           'tna_ternary', 'rate', 'tandem', 'decoupled', 'dsr', 'several')
COLUMNS = ('method', 'seed', 'steps', 'seconds', 'val_psnr', 'cbsd68_psnr', 'acs_per_px', 'steps_to_control')
CURVE_COLUMNS = ('method', 'seed', 'step', 'seconds', 'val_psnr')
STEPS, SHORT_STEPS, VALIDATIONS = 10_000, 3_000, 10
STAMP = re.compile(r'^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d),\d+ INFO: (.*)')


def run_name(method: str, seed: int, steps: int) -> str:
    return f'distillation_{method}_seed{seed}_{steps}'


def train(method: str, seed: int, steps: int) -> Path:
    """Train one method to the end and return the folder of its experiment."""
    name = run_name(method, seed, steps)
    changes = [f'name={name}', f'manual_seed={seed}', f'train:total_iter={steps}',
               f'train:scheduler:periods=[{steps}]', f'val:val_freq={steps // VALIDATIONS}',
               'logger:use_tb_logger=false', 'logger:save_checkpoint_freq=500']
    if method in ('hkd', 'hkd_paper'):
        changes.append(f'distill:schedule:end_iter={steps}')
    if method == 'tandem':
        changes.append(f'train:tandem:every={steps // 10}')
    folder = Path('experiments') / name
    if not (folder / 'models' / 'net_g_latest.pth').exists():
        command = [sys.executable, '-m', 'basicsr_snn.train', '-opt', str(OPTIONS / f'{method}.yml'), '--auto_resume',
                   '--force_yml', *changes]
        subprocess.run(command, check=True, env={**os.environ, 'GOMP_SPINCOUNT': '0'}, stdout=subprocess.DEVNULL)
    return folder


def curve(folder: Path) -> list[tuple[int, float, float]]:
    """(step, seconds of training until then without validations, validation PSNR) of an experiment, resumed or not."""
    points: dict[int, tuple[float, float]] = {}
    spent = 0.0
    for file in sorted(folder.glob('train_*.log')):
        step, last = 0, None
        for line in file.read_text(encoding='utf-8').splitlines():
            if stamp := STAMP.match(line):
                when = datetime.fromisoformat(stamp[1])
                found = re.search(r'iter:\s*([\d,]+),', stamp[2])
                if found:
                    spent += (when - last).total_seconds() if last else 0.0
                    step = int(found[1].replace(',', ''))
                if found or stamp[2].startswith('Cost on'):  # the line that ends a validation
                    last = when
            elif found := re.search(r'# psnr: ([\d.]+)', line):
                points[step] = spent, float(found[1])
    return [(step, seconds, psnr) for step, (seconds, psnr) in sorted(points.items())]


def accumulations(folder: Path) -> float:
    """ACs a pixel of the last validation."""
    text = '\n'.join(file.read_text(encoding='utf-8') for file in sorted(folder.glob('train_*.log')))
    return float(re.findall(r'# SynOps: ([\d,]+) ACs/px', text)[-1].replace(',', ''))


def cbsd68(method: str, folder: Path) -> float:
    """PSNR on the test set, once, of the moving average of the last step."""
    import basicsr_snn  # noqa: F401 - before basicsr
    from basicsr_snn.bench.contenders import NetworkContender
    from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
    from basicsr_snn.bench.measuring import measure
    from basicsr_snn.options import read_options

    network = read_options(OPTIONS / f'{method}.yml')['network_g']
    contender = NetworkContender(method, network, folder / 'models' / 'net_g_latest.pth', 'params_ema')
    return float(measure(contender, EvaluationSet(block_of_folder(Path('datasets/CBSD68'), 25, 3))).psnr)


def read(table: Path) -> list[dict[str, str]]:
    if not table.exists():
        return []
    with table.open(newline='') as rows:
        return list(csv.DictReader(rows))


def write(table: Path, columns: Iterable[str], rows: list[dict[str, Any]]) -> None:
    with table.open('w', newline='') as file:
        writer = csv.DictWriter(file, list(columns), lineterminator='\n')
        writer.writeheader()
        writer.writerows(rows)


def record(method: str, seed: int, steps: int, folder: Path) -> None:
    """Put a finished run into both tables, in place of an earlier one."""
    points = curve(folder)
    row = {'method': method, 'seed': seed, 'steps': steps, 'seconds': round(points[-1][1]),
           'val_psnr': f'{points[-1][2]:.3f}', 'cbsd68_psnr': f'{cbsd68(method, folder):.3f}',
           'acs_per_px': round(accumulations(folder)), 'steps_to_control': ''}
    key = (method, str(seed), str(steps))
    results = [old for old in read(HERE / 'results.csv') if (old['method'], old['seed'], old['steps']) != key]
    write(HERE / 'results.csv', COLUMNS, with_speed([*results, row]))
    curves = [old for old in read(HERE / 'curves.csv') if (old['method'], old['seed']) != key[:2]]
    curves += [{'method': method, 'seed': seed, 'step': step, 'seconds': round(seconds), 'val_psnr': f'{psnr:.3f}'}
               for step, seconds, psnr in points]
    write(HERE / 'curves.csv', CURVE_COLUMNS, curves)


def with_speed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the first validated step at which each reached the control's final PSNR of its seed; empty: never."""
    curves = read(HERE / 'curves.csv')
    for row in rows:
        goal = next((float(one['val_psnr']) for one in rows if one['method'] == 'control'
                     and str(one['seed']) == str(row['seed']) and str(one['steps']) == str(row['steps'])), None)
        reached = [int(point['step']) for point in curves if point['method'] == row['method']
                   and point['seed'] == str(row['seed']) and goal is not None and float(point['val_psnr']) >= goal]
        row['steps_to_control'] = min(reached, default='')
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=METHODS)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1])
    parser.add_argument('--short', action='store_true', help=f'{SHORT_STEPS} steps instead of {STEPS}')
    args = parser.parse_args()
    steps = SHORT_STEPS if args.short else STEPS
    done = {(row['method'], row['seed'], row['steps']) for row in read(HERE / 'results.csv')}
    for seed in args.seeds:
        for method in args.methods:
            if (method, str(seed), str(steps)) not in done:
                print(f'{method}, seed {seed}, {steps} steps', flush=True)
                record(method, seed, steps, train(method, seed, steps))
    write(HERE / 'results.csv', COLUMNS, with_speed(read(HERE / 'results.csv')))


if __name__ == '__main__':
    main()
