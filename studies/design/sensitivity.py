"""Which part of a student loses most by counting: PSNR of the ANN twin's weights with all counts, and with one part as
floats. ``python studies/design/sensitivity.py -opt STUDENT.yml TWIN.pth``; nothing is trained.
"""
from __future__ import annotations

import argparse
import math
from pathlib import Path

import basicsr_snn  # noqa: F401 - before spikingjelly and basicsr

# isort: split
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table
from torch import nn

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet, training_crops
from basicsr_snn.energy import OperationCounter
from basicsr_snn.images.scoring import eight_bits, psnr
from basicsr_snn.inference.calling import deployed
from basicsr_snn.models.starting import SHARE, SHARE_OF_HEAD, start_from_twin
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.blocks import SpikingConv
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF
from basicsr_snn.zoo.weights import read_weights

PARTS = ('encoder.0', 'down', 'encoder.1', 'middle', 'up', 'decoder.0', 'decoder.1', 'head')
FINE = 1000
"""Factor by which the counts of a part that is left as floats are finer."""


@torch.no_grad()
def leave_as_floats(net: nn.Module, part: str) -> None:
    """Counts so fine and so large in ``part`` that rounding and clipping are lost in float32."""
    for name, module in net.named_modules():
        if isinstance(module, SignedILIF) and name.startswith(part):
            module.D, module.lowest = FINE ** 2, -FINE ** 2 if module.lowest else 0
            module.log_threshold.sub_(math.log(FINE))
        if isinstance(module, SpikingConv):
            module.fits_bytes = False


@torch.inference_mode()
def measured(net: nn.Module, pictures: EvaluationSet) -> tuple[float, float]:
    """Mean PSNR, and ACs a pixel."""
    folded = deployed(net)
    with OperationCounter(folded) as counter:
        scores = [psnr(eight_bits(folded(given)), eight_bits(clean)) for given, clean, _ in pictures]
    return sum(scores) / len(scores), counter.report().acs_per_px


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', type=Path, required=True, help='option file of the student')
    parser.add_argument('twin', type=Path)
    parser.add_argument('--share', type=float, default=SHARE, help='threshold in standard deviations')
    parser.add_argument('--head', type=float, default=SHARE_OF_HEAD, help='the same for the head')
    parser.add_argument('--pictures', type=int, default=6, help='of the validation split (default: %(default)s)')
    args = parser.parse_args()
    options = read_options(args.opt)
    crops, pictures = training_crops(options), EvaluationSet({'val_1': dict(options['datasets']['val'])}, args.pictures)
    table = Table('left as floats', 'PSNR dB', 'ACs/px', title=f'{args.opt.stem}, {pictures.describe()}, not trained')
    for part in track(('nothing', *PARTS, ''), console=Console(stderr=True)):
        net = zoo.build(options['network_g'])
        start_from_twin(net, read_weights(args.twin), crops, args.share, args.head)
        if part != 'nothing':
            leave_as_floats(net, part)
        decibels, operations = measured(net, pictures)
        table.add_row(part or 'everything', f'{decibels:.3f}', f'{operations:,.0f}' if part == 'nothing' else '-')
    Console().print(table)


if __name__ == '__main__':
    main()
