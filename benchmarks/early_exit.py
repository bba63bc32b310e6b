"""Quality and time when inference stops before T steps: ``early_exit.py -opt X.yml --weights W --markdown F.md``."""
from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr, which it repairs

# isort: split
import matplotlib
import torch
from basicsr.archs import build_network
from basicsr.data import build_dataset
from basicsr.metrics import calculate_psnr
from basicsr.utils import tensor2img
from measuring import machine
from rich.console import Console
from rich.progress import track
from torch import nn

from basicsr_snn.inference.calling import deployed, restore
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.weights import load_weights

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

TOLERANCES = (0.0, 0.01, 0.015, 0.02, 0.03)


@dataclass(frozen=True)
class Point:
    """Means over the pictures at one tolerance."""

    tolerance: float
    psnr: float
    steps: float
    s_per_mpx: float


def trained(options: dict, weights: Path) -> nn.Module:
    net = build_network(dict(options['network_g']))
    load_weights(net, weights, 'params_ema')
    return deployed(net)


@torch.inference_mode()
def measured(net: nn.Module, pictures: list[dict], tolerance: float) -> Point:
    net.exit_tolerance = tolerance
    scores, steps, speeds = [], [], []
    for picture in pictures:
        start = time.perf_counter()
        restored = restore(net, picture['lq'][None])
        speeds.append((time.perf_counter() - start) / picture['lq'][0].numel() * 1e6)
        scores.append(float(calculate_psnr(tensor2img(restored), tensor2img(picture['gt']), crop_border=0)))
        steps.append(net.steps if tolerance else net.T)
    return Point(tolerance, statistics.fmean(scores), statistics.fmean(steps), statistics.median(speeds))


def markdown(points: list[Point], note: str) -> str:
    lines = ['| tolerance | PSNR dB | steps | s/Mpx | time |', '|---|---|---|---|---|']
    lines += [f'| {point.tolerance:g} | {point.psnr:.2f} | {point.steps:.2f} | {point.s_per_mpx:.2f} | '
              f'{point.s_per_mpx / points[0].s_per_mpx:.2f} |' for point in points]
    return '\n'.join([*lines, '', note, ''])


def draw(points: list[Point], file: Path) -> None:
    figure, axis = plt.subplots(figsize=(5, 3.4))
    axis.plot([point.s_per_mpx for point in points], [point.psnr for point in points], marker='o')
    for point in points:
        axis.annotate(f'{point.tolerance:g}: {point.steps:.1f} steps', (point.s_per_mpx, point.psnr), fontsize=8,
                      textcoords='offset points', xytext=(6, -10))
    axis.set(xlabel='seconds a megapixel', ylabel='PSNR dB', title='early exit by tolerance')
    axis.margins(x=0.25, y=0.15)
    figure.tight_layout()
    figure.savefig(file, dpi=110)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', type=Path, required=True, metavar='X.yml', help='option file of the training')
    parser.add_argument('--weights', type=Path, required=True, metavar='W')
    parser.add_argument('--pictures', type=int, default=8, help='validation pictures (default: %(default)s)')
    parser.add_argument('--plot', type=Path, metavar='F')
    parser.add_argument('--markdown', type=Path, metavar='F')
    args = parser.parse_args()
    options = read_options(args.opt)
    dataset = build_dataset({**options['datasets']['val'], 'phase': 'val'})
    pictures = list(islice(dataset, args.pictures))
    net = trained(options, args.weights)
    measured(net, pictures[:1], 0.0)
    points = [measured(net, pictures, tolerance) for tolerance in track(TOLERANCES, transient=True)]
    table = markdown(points, f'{len(pictures)} pictures of {dataset.opt["name"]}, T = {net.T}, {machine()}.')
    Console().print(table, markup=False)
    if args.markdown:
        args.markdown.write_text(table, encoding='utf-8')
    if args.plot:
        draw(points, args.plot)


if __name__ == '__main__':
    main()
