"""Whether a student of counts is the same function run step by step with spikes of -1, 0 and 1, and what that takes.

``python benchmarks/step_by_step.py -n spikerir_small_color25 -i datasets/CBSD68 --pictures 2`` restores the pictures
by whole counts and step by step (:mod:`basicsr_snn.spiking.step_by_step`), compares every count and every 8-bit value,
and prints a line for each code of the counts. ``--double`` computes in double precision, where rounding plays no part.
"""
from __future__ import annotations

import argparse
import copy
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from rich.console import Console
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.blocks import spiking_convs
from basicsr_snn.spiking.neurons.coded_counts import count_form
from basicsr_snn.spiking.step_by_step import Code, run_step_by_step
from basicsr_snn.zoo.weights import load_weights

CODES: tuple[Code, ...] = ('phase', 'ttfs', 'units')


@dataclass
class Comparison:
    """Sums over pictures.

    Attributes:
        steps: Time steps one after the other for a picture.
        pixels, values, neurons: How many there were.
        spikes, updates: As :class:`basicsr_snn.spiking.step_by_step.Steps` has them.
        counts_apart: Counts that were told differently.
        by_one, by_more: 8-bit values of the pictures that differ.
    """

    steps: int = 0
    pixels: int = 0
    values: int = 0
    neurons: int = 0
    spikes: float = 0.0
    updates: int = 0
    counts_apart: int = 0
    by_one: int = 0
    by_more: int = 0

    def line(self, name: str) -> str:
        cells = [name, f'{self.steps}', f'{self.spikes / self.neurons:.2f}', f'{self.spikes / self.pixels:.0f}',
                 f'{self.updates / self.pixels:,.0f}', f'{self.counts_apart:,} of {self.neurons:,}',
                 f'{self.by_one / self.values:.2%}', f'{self.by_more / self.values:.4%}']
        return f'| {" | ".join(cells)} |'


HEADER = ('| network | steps | spikes/neuron | spikes/px | updates/px | counts apart | values apart by 1 | by more |\n'
          '|---|---|---|---|---|---|---|---|')


def student_of_counts(name: str) -> nn.Module:
    """A shipped student, folded, in the form of whole counts."""
    row = zoo.row(name)
    net, counting = zoo.build(row.network), zoo.build(count_form(row.network))
    load_weights(net, row.path)
    counting.load_state_dict(net.state_dict())
    return deployed(counting)


@torch.inference_mode()
def compare(net: nn.Module, pictures: Iterable[Tensor], code: Code) -> Comparison:
    """Restore pictures (1, C, H, W) both ways."""
    found = Comparison()
    whole, counts = copy.deepcopy(net), list[Tensor]()
    for layer in spiking_convs(whole):
        layer.neuron.register_forward_hook(lambda neuron, inputs, emitted: counts.append(emitted[0]))
    stepped = copy.deepcopy(net)
    steps = run_step_by_step(stepped, code)
    for picture in pictures:
        counts.clear()
        steps.counts.clear()
        steps.latency = 0
        apart = (eight_bits(whole(picture)) - eight_bits(stepped(picture))).abs()
        found.steps = steps.latency
        found.pixels += picture[0, 0].numel()
        found.values += picture.numel()
        found.neurons += sum(count.numel() for count in counts)
        found.counts_apart += sum(int((one != other).sum()) for one, other in zip(counts, steps.counts, strict=True))
        found.by_one += int((apart == 1).sum())
        found.by_more += int((apart > 1).sum())
    found.spikes, found.updates = steps.spikes, steps.updates
    return found


def eight_bits(picture: Tensor) -> Tensor:
    return picture.clamp(0, 1).mul(255).round()


def noisy_pictures(folder: Path, sigma: int, channels: int, count: int, dtype: torch.dtype) -> Iterator[Tensor]:
    for given, _, _ in EvaluationSet(block_of_folder(folder, sigma, channels), count):
        yield given.to(dtype)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-n', nargs='+', default=['spikerir_small_color25'], help='students (default: %(default)s)')
    parser.add_argument('-i', type=Path, default=Path('datasets/CBSD68'), help='clean pictures (default: %(default)s)')
    parser.add_argument('--noise', type=int, default=25)
    parser.add_argument('--pictures', type=int, default=2)
    parser.add_argument('--codes', nargs='+', choices=CODES, default=list(CODES))
    parser.add_argument('--double', action='store_true')
    args = parser.parse_args()
    console, dtype = Console(width=200), torch.float64 if args.double else torch.float32
    console.print(HEADER, markup=False)
    for name in args.n:
        net = student_of_counts(name).to(dtype)
        pictures = list(noisy_pictures(args.i, args.noise, zoo.row(name).network['in_ch'], args.pictures, dtype))
        for code in args.codes:
            console.print(compare(net, pictures, code).line(f'{name}, {code}'), markup=False)


if __name__ == '__main__':
    main()
