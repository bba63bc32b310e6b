"""Items a second of the training dataset against what a step takes. ``python benchmarks/data_loading.py --markdown F``.

One process reads whole batches of the dataset as the option files set it (crop 64, flips and turns, noise): decoded
once (cached), from files, from an lmdb; beside it the student's training step on one batch of 8. All take turns.
"""
from __future__ import annotations

import argparse
import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from basicsr.data import build_dataset
from measuring import machine, median_times
from rich.console import Console
from torch.utils.data import Dataset, default_collate

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.cli.main import main as run_command
from basicsr_snn.data.draws import Draw
from basicsr_snn.images.listing import list_pictures

BATCH = 8
PICTURES = 100
OPTIONS = {'name': 'benchmark', 'type': 'GaussianDenoisingDataset', 'phase': 'train', 'sigma': 25, 'gt_size': 64}


def reading(dataset: Dataset) -> Callable[[], None]:
    """A task that reads one batch as a data worker does."""
    draws = (Draw(number % len(dataset), number) for number in itertools.count())

    def run() -> None:
        default_collate([dataset[draw] for draw in itertools.islice(draws, BATCH)])

    return run


def training(dataset: Dataset) -> Callable[[], None]:
    """A task that takes one step of the small student on a ready batch, on the GPU where there is one."""
    device = torch.device('cuda' if torch.cuda.is_available() else 'cpu')
    torch.manual_seed(0)
    net = SpikerIR().to(device, memory_format=torch.channels_last).train()
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-4)
    batch = default_collate([dataset[index] for index in range(BATCH)])
    noisy, clean = batch['lq'].to(device, memory_format=torch.channels_last), batch['gt'].to(device)

    def run() -> None:
        optimizer.zero_grad()
        (net(noisy) - clean).abs().mean().backward()
        optimizer.step()
        if device.type == 'cuda':
            torch.cuda.synchronize()

    return run


def measure(pictures: Path, rounds: int) -> dict[str, float]:
    """Seconds for one batch: from memory, files and an lmdb, and for the step that uses it."""
    with tempfile.TemporaryDirectory() as folder:
        some, lmdb = Path(folder, 'pictures'), f'{folder}/pictures.lmdb'
        some.mkdir()
        for picture in list_pictures(pictures)[:PICTURES]:
            Path(some, picture.name).symlink_to(picture.resolve())
        if run_command(['prepare', '-i', str(some), '-o', lmdb, '--lmdb']):
            raise SystemExit(1)
        cached, files, stored = (build_dataset({**OPTIONS, 'dataroot_gt': root, 'cache': cache})
                                 for root, cache in ((str(some), True), (str(some), False), (lmdb, False)))
        return median_times({'cached': reading(cached), 'files': reading(files), 'lmdb': reading(stored),
                             'step': training(cached)}, rounds)


def markdown(times: dict[str, float], rounds: int) -> str:
    """A row for each source: items a second of one process, and its share of a step's time."""
    lines = ['| source | ms a batch | items a second | share of a step |', '|---|---|---|---|']
    lines += [f'| {name} | {1e3 * times[name]:.2f} | {BATCH / times[name]:.0f} | {times[name] / times["step"]:.1%} |'
              for name in ('cached', 'files', 'lmdb')]
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else f'{torch.get_num_threads()} threads'
    note = (f'A step of the small student on {BATCH} crops takes {1e3 * times["step"]:.1f} ms ({device}): it '
            f'uses {BATCH / times["step"]:.0f} items a second. Medians of {rounds} alternating rounds, {machine()}.')
    return '\n'.join([*lines, '', note, ''])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--pictures', type=Path, default=Path('datasets/BSD432'), metavar='DIR',
                        help='colour pictures, of which 100 are read (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=50, help='measured rounds (default: %(default)s)')
    parser.add_argument('--markdown', type=Path, metavar='F', help='also write the table to this file')
    args = parser.parse_args()
    table = markdown(measure(args.pictures, args.rounds), args.rounds)
    Console().print(table, markup=False, soft_wrap=True)
    if args.markdown:
        args.markdown.write_text(table, encoding='utf-8')


if __name__ == '__main__':
    main()
