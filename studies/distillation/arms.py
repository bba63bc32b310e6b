"""The option files of a folder, trained alike with several seeds and scored on each set that they validate on.

    python studies/distillation/arms.py options/train/without_truth --table studies/real_noise/without_truth.csv
    python studies/distillation/arms.py options/train/wider_teacher --also datasets/Kodak24

The table, by default ``<folder>.csv`` beside this file, has a row for each run that ended: PSNR of the moving average
of the last step. Such a run is not trained again, and one that was stopped goes on from its last checkpoint.
"""
from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from runs import HERE, ONE_THREAD, read, rewrite, run_command, set_length, train_to_the_end

# isort: split
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.bench.measuring import measure
from basicsr_snn.bench.training_log import read_training_log
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import TrainedNetwork

COLUMNS = ('arm', 'seed', 'steps', 'hours')
"""Before the PSNR of each set."""


def options_of(file: Path, seed: int, steps: int | None = None) -> dict[str, Any]:
    """The options of a run of an option file, of another length than its own where ``steps`` says so."""
    options = read_options(file)
    set_length(options, steps or options['train']['total_iter'])
    length = options['train']['total_iter']
    options.update(name=f'{file.parent.name}_{file.stem}_seed{seed}_{length}', manual_seed=seed)
    options['val']['val_freq'] = max(1, length // 3)
    options['logger'].update(use_tb_logger=False, save_checkpoint_freq=max(1, length // 6))
    return options


def scored_on(options: Mapping[str, Any], also: Sequence[Path]) -> Iterator[tuple[str, EvaluationSet]]:
    """The sets that a run is scored on, by their names: those that it validates on, and folders of clean pictures."""
    blocks = {phase: {'scale': options.get('scale', 1), **block} for phase, block in options['datasets'].items()
              if phase != 'train'}
    for phase, block in blocks.items():
        yield block['name'], EvaluationSet({phase: block})
    first = {key: value for key, value in next(iter(blocks.values())).items() if key != 'subset'}
    for folder in also:
        yield folder.name, EvaluationSet({'val': {**first, 'name': folder.name, 'dataroot_gt': str(folder)}})


def train(options: Mapping[str, Any]) -> Path:
    return train_to_the_end(options, run_command, ONE_THREAD)


def scores(options: Mapping[str, Any], folder: Path, also: Sequence[Path]) -> dict[str, str]:
    """PSNR in dB of each set, by its name."""
    candidate = TrainedNetwork(options['name'], options['network_g'], folder / 'models/net_g_latest.pth', 'params_ema')
    return {name: f'{measure(candidate, pictures).psnr:.3f}' for name, pictures in scored_on(options, also)}


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('folder', type=Path, help='of option files, each of them an arm')
    parser.add_argument('--table', type=Path, help='default: the name of the folder, beside this file')
    parser.add_argument('--arms', nargs='+', help='names of option files; default: all')
    parser.add_argument('--seeds', nargs='+', type=int, default=[0, 1])
    parser.add_argument('--steps', type=int, help='default: what the option files say')
    parser.add_argument('--also', nargs='+', type=Path, default=[], metavar='FOLDER', help='of clean pictures')
    args = parser.parse_args(arguments)
    table = args.table or HERE / f'{args.folder.name}.csv'
    files = [args.folder / f'{arm}.yml' for arm in args.arms] if args.arms else sorted(args.folder.glob('*.yml'))
    for seed in args.seeds:
        for file in files:
            options = options_of(file, seed, args.steps)
            key = dict(zip(COLUMNS, (file.stem, str(seed), str(options['train']['total_iter'])), strict=False))
            if any(key.items() <= row.items() for row in read(table)):
                continue
            print(', '.join(key.values()), flush=True)
            folder = train(options)
            row = {**key, 'hours': f'{read_training_log(folder).hours:.2f}', **scores(options, folder, args.also)}
            rewrite(table, row, lambda rows, row=row: [*rows, row])
            print(row, flush=True)


if __name__ == '__main__':
    main()
