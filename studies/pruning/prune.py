"""What is left of a student whose weights become zero? Two ways of pruning at four sparsities, two seeds each.

    python studies/pruning/prune.py                              # all rows, in order of value
    python studies/pruning/prune.py --arms gradient_rewiring --sparsities 0.8 --seeds 0      # one of them
    python studies/pruning/prune.py --table                      # train nothing; write the table of the page

``whole`` trains the shipped ``small`` on with all of its weights, ``gradient_rewiring`` and ``magnitude`` prune it on
the way: ``options/train/pruning``. A run that was stopped goes on from its last checkpoint; ``results.csv`` has a row
for each that ended, and ``docs/results/pruning.md`` their means.
"""
from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / 'distillation'))
sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))
from page import PRUNING, write_pages  # brings basicsr_snn before basicsr

# isort: split
from runs import ONE_THREAD, mean_psnr, read, rewrite, run_command, set_length, train_to_the_end
from scores import read_table

from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.bench.measuring import measure
from basicsr_snn.bench.training_log import read_training_log
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import TrainedNetwork
from basicsr_snn.zoo.weights import read_weights

OPTIONS, CBSD68 = Path('options/train/pruning'), Path('datasets/CBSD68')
WHOLE, ARMS = 'whole', ('gradient_rewiring', 'magnitude')
SPARSITIES = (0.8, 0.5, 0.9, 0.7)
"""In order of value."""
STEPS, REACHED_AFTER = 3000, 0.6
COUNTED = 4
"""Pictures of CBSD68 whose operations are counted."""
COLUMNS = ('arm', 'sparsity', 'seed', 'steps', 'seconds', 'zeros', 'val_psnr', 'cbsd68_psnr', 'acs_per_px',
           'effective_acs_per_px', 'nj_per_px', 'sparse_nj_per_px')
Run = tuple[str, float, int]
"""Arm, sparsity (0 of the whole student), seed."""


def planned(arms: Sequence[str], sparsities: Sequence[float], seeds: Sequence[int]) -> list[Run]:
    """The runs in the order in which they are trained."""
    runs: list[Run] = []
    for seed in seeds:
        runs += [(WHOLE, 0.0, seed)] if WHOLE in arms else []
        runs += [(arm, sparsity, seed) for sparsity in sparsities for arm in arms if arm != WHOLE]
    return runs


def options_of(run: Run, steps: int) -> dict[str, Any]:
    """The options of a run."""
    arm, sparsity, seed = run
    options = read_options(OPTIONS / f'{arm}.yml')
    share = '' if arm == WHOLE else f'_{sparsity:g}'
    options.update(name=f'pruning_{arm}{share}_seed{seed}_{steps}', manual_seed=seed)
    set_length(options, steps)
    if arm != WHOLE:
        options['train']['pruning'].update(sparsity=sparsity, end_iter=max(1, round(REACHED_AFTER * steps)))
    options['val']['val_freq'] = steps  # scored at the end, below
    options['logger'].update(use_tb_logger=False, save_checkpoint_freq=max(1, steps // 6))
    options['datasets']['val']['subset'] = [400, 404]  # along the run; all of them at its end
    return options


def scored(run: Run, folder: Path) -> dict[str, str]:
    """Quality and cost of the moving average of the last step: validation pictures, CBSD68."""
    options = read_options(OPTIONS / f'{run[0]}.yml')
    weights = folder / 'models' / 'net_g_latest.pth'
    candidate = TrainedNetwork(folder.name, options['network_g'], weights, 'params_ema')
    restorer = candidate.build()
    val = mean_psnr(restorer, EvaluationSet({'val': options['datasets']['val']}))
    test = mean_psnr(restorer, EvaluationSet(block_of_folder(CBSD68, 25, 3)))
    cost = measure(candidate, EvaluationSet(block_of_folder(CBSD68, 25, 3), COUNTED))
    return {'zeros': f'{share_of_zeros(weights):.4f}', 'val_psnr': f'{val:.3f}', 'cbsd68_psnr': f'{test:.3f}',
            'acs_per_px': f'{cost.acs_per_px:.0f}',
            'effective_acs_per_px': f'{cost.details["effective_acs_per_px"]:.0f}',
            'nj_per_px': f'{cost.energy_nj_px_fp32:.2f}',
            'sparse_nj_per_px': f'{cost.details["sparse_energy_nj_px_fp32"]:.2f}'}


def share_of_zeros(weights: Path) -> float:
    """Share of zeros among all weights of a network, those of the layers that stay whole included."""
    tensors = [tensor for tensor in read_weights(weights, 'params_ema').values() if tensor.dim() > 1]
    return sum(int((tensor == 0).sum()) for tensor in tensors) / sum(tensor.numel() for tensor in tensors)


def key_of(row: Mapping[str, str]) -> tuple[str, ...]:
    return tuple(row[column] for column in COLUMNS[:4])


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--arms', nargs='+', choices=(WHOLE, *ARMS), default=(WHOLE, *ARMS))
    parser.add_argument('--sparsities', nargs='+', type=float, default=SPARSITIES, metavar='S')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1])
    parser.add_argument('--steps', type=int, default=STEPS)
    parser.add_argument('--table', action='store_true', help='train nothing; write the table of the page')
    args = parser.parse_args(arguments)
    for run in [] if args.table else planned(args.arms, args.sparsities, args.seeds):
        key = tuple(map(str, (*run, args.steps)))
        if key in map(key_of, read(PRUNING)):
            continue
        print(', '.join(key), flush=True)
        options = options_of(run, args.steps)
        folder = train_to_the_end(options, run_command, ONE_THREAD)
        seconds = read_training_log(folder).seconds(args.steps)
        row = {**dict(zip(COLUMNS, key, strict=False)), 'seconds': f'{seconds:.0f}', **scored(run, folder)}
        rewrite(PRUNING, COLUMNS, lambda rows, row=row: [*rows, row])
        print(row, flush=True)
        write_pages(read_table())
    if args.table:
        write_pages(read_table())


if __name__ == '__main__':
    main()
