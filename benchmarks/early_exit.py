"""Quality and time when inference stops before T steps: ``python benchmarks/early_exit.py --markdown F.md``.

Of a shipped student of several time steps, with ``-n``, or of a trained one, with ``-opt X.yml --weights W``.
"""
from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr, which it repairs

# isort: split
import matplotlib
import torch
from measuring import machine
from rich.console import Console
from rich.progress import track

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.cli.network_arguments import add_network_arguments, check_network_arguments, trained_network
from basicsr_snn.errors import UserError
from basicsr_snn.images.scoring import eight_bits, psnr
from basicsr_snn.inference.calling import deployed

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

NETWORK, SIGMA = 'spikerir_small_color25_binary_rate', 25
TOLERANCES = (0.0, 0.01, 0.02, 0.03, 0.05, 0.1)


@dataclass(frozen=True)
class Point:
    """Means over the pictures at one tolerance."""

    tolerance: float
    psnr: float
    steps: float
    cpu_s_per_mpx: float


@torch.inference_mode()
def measured(net: SpikerIR, pictures: EvaluationSet, tolerance: float) -> Point:
    net.exit_tolerance = tolerance
    scores, steps, speeds = [], [], []
    for given, clean, _ in pictures:
        start = time.process_time()
        restored = net(given)
        speeds.append((time.process_time() - start) / given[0, 0].numel() * 1e6)
        scores.append(psnr(eight_bits(restored), eight_bits(clean)))
        steps.append(net.steps if tolerance else net.T)
    return Point(tolerance, statistics.fmean(scores), statistics.fmean(steps), statistics.median(speeds))


def markdown(points: list[Point], note: str) -> str:
    lines = ['| tolerance | PSNR dB | steps | CPU s/Mpx | time |', '|---|---|---|---|---|']
    lines += [f'| {point.tolerance:g} | {point.psnr:.2f} | {point.steps:.2f} | {point.cpu_s_per_mpx:.2f} | '
              f'{point.cpu_s_per_mpx / points[0].cpu_s_per_mpx:.2f} |' for point in points]
    return '\n'.join([*lines, '', note, ''])


def draw(points: list[Point], file: Path) -> None:
    figure, axis = plt.subplots(figsize=(5, 3.4))
    axis.plot([point.cpu_s_per_mpx for point in points], [point.psnr for point in points], marker='o')
    for point in points:
        axis.annotate(f'{point.tolerance:g}: {point.steps:.1f} steps', (point.cpu_s_per_mpx, point.psnr), fontsize=8,
                      textcoords='offset points', xytext=(6, -10))
    axis.set(xlabel='CPU seconds a megapixel', ylabel='PSNR dB', title='early exit by tolerance')
    axis.margins(x=0.25, y=0.15)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_network_arguments(parser, 'its network_g')
    parser.add_argument('-i', '--input', type=Path, default=Path('datasets/CBSD68'), metavar='DIR',
                        help='clean pictures (default: %(default)s)')
    parser.add_argument('--pictures', type=int, default=8, help='how many of them (default: %(default)s)')
    parser.add_argument('--plot', type=Path, metavar='F')
    parser.add_argument('--markdown', type=Path, metavar='F')
    args = parser.parse_args()
    if not args.opt and not args.name:
        args.name = NETWORK
    check_network_arguments(args)
    trained = trained_network(args)
    net = deployed(trained.loaded())
    if not isinstance(net, SpikerIR) or net.T == 1:
        raise UserError(f'{trained.name} has no time steps to leave out; give a SpikerIR with T: 2 or more.')
    measured(net, EvaluationSet(block_of_folder(args.input, SIGMA, 3), 1), 0.0)
    pictures = EvaluationSet(block_of_folder(args.input, SIGMA, 3), args.pictures)
    points = [measured(net, pictures, tolerance) for tolerance in track(TOLERANCES, transient=True)]
    table = markdown(points, f'{trained.name} on {pictures.describe()}, sigma {SIGMA}, T = {net.T}, {machine()}.')
    Console().print(table, markup=False, soft_wrap=True)
    if args.markdown:
        args.markdown.write_text(table, encoding='utf-8')
    if args.plot:
        draw(points, args.plot)


if __name__ == '__main__':
    main()
