"""Does time grow in proportion to pixels, time steps and batch? ``linearity.py --plot F.png --markdown F.md``."""
from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import basicsr_snn  # before basicsr, which it repairs

# isort: split
import matplotlib
import numpy as np
import torch
from measuring import machine, median_times
from rich.console import Console

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.images.files import Picture
from basicsr_snn.inference.calling import deployed
from basicsr_snn.inference.denoising import Denoiser

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

NETWORK = 'spikerir_small_color25'
MEGAPIXELS = (0.1, 0.3, 1.0, 3.0, 10.0)
STEPS = (1, 2, 4, 8)
STEP_SIDE = 256
BATCHES = (1, 2, 4, 8, 16)
PATCH_SIDE = 64


@dataclass(frozen=True)
class Series:
    """Median seconds against one quantity, and the line through them.

    Attributes:
        quantity: What grows, with its unit.
        amounts: How much of it.
        seconds: Median time at each.
    """

    quantity: str
    amounts: tuple[float, ...]
    seconds: tuple[float, ...]

    @property
    def line(self) -> tuple[float, float]:
        """Slope and intercept of the straight line with the least squared relative deviations."""
        slope, intercept = np.polyfit(self.amounts, self.seconds, 1, w=1 / np.array(self.seconds))
        return float(slope), float(intercept)

    @property
    def deviations(self) -> np.ndarray:
        """Relative deviation of each time from the line."""
        return np.array(self.seconds) / np.polyval(self.line, self.amounts) - 1


def measured(quantity: str, tasks: dict[float, Callable[[], None]], rounds: int,
             clock: Callable[[], float]) -> Series:
    times = median_times({f'{amount:g} {quantity}': task for amount, task in tasks.items()}, rounds, clock)
    return Series(quantity, tuple(tasks), tuple(times.values()))


def picture_task(denoiser: Denoiser, megapixels: float) -> Callable[[], None]:
    """Restore a picture of 3:2 as the command ``denoise`` does, without its files."""
    height = round((megapixels * 1e6 / 1.5) ** 0.5)
    stored = np.random.default_rng(0).integers(0, 256, (height, round(1.5 * height), 3), dtype=np.uint8)
    picture = Picture(stored, None, Path('random.png'))

    def run() -> None:
        for _ in denoiser.bands(picture):
            pass

    return run


def forward_task(net: torch.nn.Module, batch: int, side: int) -> Callable[[], None]:
    pictures = torch.rand(batch, 3, side, side)

    @torch.inference_mode()
    def run() -> None:
        net(pictures)

    return run


def all_series(rounds: int, clock: Callable[[], float]) -> list[Series]:
    net = basicsr_snn.load(NETWORK)
    denoiser = Denoiser(net, 3)
    torch.manual_seed(0)
    stepped = {steps: deployed(SpikerIR(T=steps, neuron={'type': 'LIFNode'})) for steps in STEPS}
    return [
        measured('megapixels', {mpx: picture_task(denoiser, mpx) for mpx in MEGAPIXELS}, rounds, clock),
        measured('time steps', {steps: forward_task(one, 1, STEP_SIDE) for steps, one in stepped.items()}, rounds,
                 clock),
        measured('patches', {batch: forward_task(net, batch, PATCH_SIDE) for batch in BATCHES}, rounds, clock),
    ]


def markdown(series: list[Series], rounds: int, clock: str) -> str:
    lines = ['| what | amount | s | s each | deviation from the line |', '|---|---|---|---|---|']
    lines += [f'| {one.quantity} | {amount:g} | {seconds:.4f} | {seconds / amount:.4f} | {100 * deviation:+.1f} % |'
              for one in series
              for amount, seconds, deviation in zip(one.amounts, one.seconds, one.deviations, strict=True)]
    note = (f'Deployed `{NETWORK}`, {clock} time. Megapixels: as `denoise` does, tiles included; time steps: SpikerIR '
            f'small with LIFNode on {STEP_SIDE}x{STEP_SIDE}; patches: a batch of {PATCH_SIDE}x{PATCH_SIDE}. The line '
            f'has the least squared relative deviations. Medians of {rounds} alternating rounds, {machine()}.')
    return '\n'.join([*lines, '', note, ''])


def draw(series: list[Series], file: Path) -> None:
    figure, axes = plt.subplots(1, len(series), figsize=(4.2 * len(series), 3.4))
    for axis, one in zip(axes, series, strict=True):
        reach = np.linspace(0, max(one.amounts), 2)
        axis.plot(reach, np.polyval(one.line, reach), color='grey', linestyle='--', label='straight line')
        axis.plot(one.amounts, one.seconds, marker='o', linestyle='', label='measured')
        axis.set(xlabel=one.quantity, ylabel='s', title=f'largest deviation {100 * abs(one.deviations).max():.1f} %')
        axis.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('--rounds', type=int, default=5, help='measured rounds (default: %(default)s)')
    parser.add_argument('--clock', choices=['wall', 'cpu'], default='wall',
                        help='cpu: time of all threads on the processor, for a machine that others use too')
    parser.add_argument('--plot', type=Path, metavar='F', help='also draw the times to this picture')
    parser.add_argument('--markdown', type=Path, metavar='F', help='also write the table to this file')
    args = parser.parse_args()
    series = all_series(args.rounds, {'wall': time.perf_counter, 'cpu': time.process_time}[args.clock])
    table = markdown(series, args.rounds, args.clock)
    Console().print(table, markup=False)
    if args.markdown:
        args.markdown.write_text(table, encoding='utf-8')
    if args.plot:
        draw(series, args.plot)


if __name__ == '__main__':
    main()
