"""Every method of distillation on one student, one schedule, the same batches: ``studies/distillation/compare.py``.

Each option file of options/train/distillation is trained with ``basicsr-snn train`` for the same number of steps from
the same seeds, and goes on from its last checkpoint if it was stopped. ``results.csv`` has a row for each method and
seed; ``curves.csv`` validation PSNR by step and second. Methods may be spread over processes, one ``--methods`` each.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import Any

from runs import HERE, OPTIONS, read, rewrite, run_command, set_length, set_weight, train_to_the_end

# isort: split
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.bench.measuring import measure
from basicsr_snn.bench.row import Row
from basicsr_snn.bench.training_log import read_training_log
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import TrainedNetwork

CBSD68 = Path('datasets/CBSD68')
METHODS = ('control', 'hkd', 'hkd_pooled', 'kdsnn_response', 'kdsnn_feature', 'lasnn', 'bkdsnn', 'hybrid', 'tna',
           'ternary', 'tna_ternary', 'rate', 'tandem', 'decoupled', 'dsr', 'several', 'pair', 'early', 'dncnn_response',
           'twin_response', 'twin_hints')
COLUMNS = ('method', 'seed', 'steps', 'seconds', 'val_psnr', 'cbsd68_psnr', 'acs_per_px', 'steps_to_control')
CURVE_COLUMNS = ('method', 'seed', 'steps', 'step', 'seconds', 'val_psnr')
STEPS, SHORT_STEPS, VALIDATIONS = 10_000, 3_000, 10
SHORT_BATCH = 4
"""Crops a step of runs of fewer than :data:`STEPS` steps, in place of the 8 of the option files."""
WATCHED = [400, 408]
"""Pictures scored along a run, of those of the option files' validation, which are all scored at its end."""


def run_name(method: str, seed: int, steps: int, weight: float | None = None) -> str:
    return f'distillation_{method}_seed{seed}_{steps}' + ('' if weight is None else f'_weight{weight:g}')


def options_of(method: str, seed: int, steps: int, weight: float | None = None) -> dict[str, Any]:
    """Options of a run: those of the method's file with its length and, if given, another weight of its loss."""
    options = read_options(OPTIONS / f'{method}.yml')
    options.update(name=run_name(method, seed, steps, weight), manual_seed=seed)
    if steps < STEPS:
        options['datasets']['train']['batch_size_per_gpu'] = SHORT_BATCH
    options['datasets']['val']['subset'] = WATCHED
    set_length(options, steps)
    if weight is not None:
        set_weight(options.get('distill', {}), weight)
    told = options['logger']['print_freq']  # by whose lines a validation's step is known
    options['val']['val_freq'] = max(300, steps // VALIDATIONS // told * told)
    options['logger'].update(use_tb_logger=False, save_checkpoint_freq=500)
    return options


def phases_of(options: dict[str, Any]) -> list[int]:
    """Steps after which a step of a training costs something else than before."""
    tandem = options['train'].get('tandem', {'every': 0, 'groups': 0})
    until = options.get('distill', {}).get('until')
    return [*(tandem['every'] * group for group in range(1, tandem['groups'] + 1)), *([until] if until else [])]


def train(method: str, seed: int, steps: int, weight: float | None = None) -> Path:
    """Train one method to the end and return the folder of its experiment."""
    return train_to_the_end(options_of(method, seed, steps, weight), run_command, {'GOMP_SPINCOUNT': '0'})


def score(method: str, folder: Path, block: dict[str, Any]) -> Row:
    """The moving average of the last step on a dataset."""
    network = read_options(OPTIONS / f'{method}.yml')['network_g']
    candidate = TrainedNetwork(method, network, folder / 'models' / 'net_g_latest.pth', 'params_ema')
    return measure(candidate, EvaluationSet({'test': block}))


def validation(method: str, folder: Path) -> Row:
    return score(method, folder, read_options(OPTIONS / f'{method}.yml')['datasets']['val'])


def record(method: str, seed: int, steps: int, folder: Path) -> None:
    """Put a finished run into both tables, in place of an earlier one."""
    log, val = read_training_log(folder), validation(method, folder)
    test = score(method, folder, block_of_folder(CBSD68, 25, 3)['test_1'])
    phases = phases_of(options_of(method, seed, steps))
    row = {'method': method, 'seed': seed, 'steps': steps, 'seconds': round(log.seconds(steps, phases)),
           'val_psnr': f'{val.psnr:.3f}', 'cbsd68_psnr': f'{test.psnr:.3f}', 'acs_per_px': round(val.acs_per_px or 0),
           'steps_to_control': ''}
    key = (method, str(seed), str(steps))
    curves = [{'method': method, 'seed': seed, 'steps': steps, 'step': step,
                'seconds': round(log.seconds(step, phases)), 'val_psnr': f'{psnr:.3f}'} for step, psnr in log.curve]

    def without_it(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
        return [old for old in rows if (old['method'], old['seed'], old['steps']) != key]

    rewrite(HERE / 'curves.csv', CURVE_COLUMNS, lambda rows: [*without_it(rows), *curves])
    rewrite(HERE / 'results.csv', COLUMNS, lambda rows: with_speed([*without_it(rows), row]))


def with_speed(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Rows with the first watched step at which each reached the control's last PSNR of its seed; empty: never."""
    curves = read(HERE / 'curves.csv')

    def points(method: str, row: dict[str, Any]) -> list[tuple[int, float]]:
        return [(int(point['step']), float(point['val_psnr'])) for point in curves
                if (point['method'], point['seed'], point['steps']) == (method, str(row['seed']), str(row['steps']))]

    for row in rows:
        _, goal = max(points('control', row), default=(0, math.inf))
        row['steps_to_control'] = min((step for step, psnr in points(row['method'], row) if psnr >= goal), default='')
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--methods', nargs='+', choices=METHODS, default=METHODS)
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1])
    parser.add_argument('--short', action='store_const', dest='steps', const=SHORT_STEPS, default=STEPS,
                        help=f'--steps {SHORT_STEPS}')
    parser.add_argument('--steps', type=int, default=STEPS,
                        help=f'length of the runs, of 8 crops a step, or of {SHORT_BATCH} below {STEPS} steps; a '
                             'longer control stands for equal time (default: %(default)s)')
    args = parser.parse_args()
    done = {(row['method'], row['seed'], row['steps']) for row in read(HERE / 'results.csv')}
    for seed in args.seeds:
        for method in args.methods:
            if (method, str(seed), str(args.steps)) not in done:
                print(f'{method}, seed {seed}, {args.steps} steps', flush=True)
                record(method, seed, args.steps, train(method, seed, args.steps))
    rewrite(HERE / 'results.csv', COLUMNS, with_speed)


if __name__ == '__main__':
    main()
