"""The untrained rival: SpikingJelly's ann2snn on an ANN twin, PSNR against time steps.

``python benchmarks/distillation/conversion.py -opt X.yml --weights W`` takes a ``SpikerIR`` with ``neuron: {type:
relu}``, calibrates rates on training pictures and scores the converted network on pictures of the validation split
after each of 1, 2, 4, ... steps. Rectifiers become integrate-and-fire neurons with soft reset; everything between them
is linear.
"""
from __future__ import annotations

import argparse
from pathlib import Path

import basicsr_snn  # noqa: F401 - before spikingjelly and basicsr

# isort: split
import torch
from rich.console import Console
from rich.table import Table
from spikingjelly.activation_based import ann2snn, functional
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.archs.spikerir_arch import SpikerIR, pad_to_multiple
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.errors import UserError
from basicsr_snn.options import read_options
from basicsr_snn.scoring import eight_bits, psnr
from basicsr_snn.weights import load_weights

CALIBRATION_PICTURES = 16
CROP = 128


class Residual(nn.Module):
    """The part of a student that fx can trace: padded picture (N, C, H, W) to residual of the same size."""

    def __init__(self, net: SpikerIR) -> None:
        super().__init__()
        self.net = net

    def forward(self, picture: Tensor) -> Tensor:
        return self.net._residuals(self.net.stem(picture).unsqueeze(0)).squeeze(0)


def converted(net: SpikerIR, calibration: EvaluationSet, mode: str) -> nn.Module:
    """The network of integrate-and-fire neurons, one time step a call.

    Args:
        net: Student with ``relu`` neurons.
        calibration: Pictures whose activations set the thresholds.
        mode: ``max``, or a percentile such as ``99.9%``, of the activations of each channel.
    """
    crops = [(given[..., :CROP, :CROP], 0) for given, _, _ in calibration]
    recipe = ann2snn.RateCodingRecipe(crops, mode=mode, channel_wise=True, channel_dim=2, half_threshold=True)
    return ann2snn.Converter(recipe)(Residual(net))


@torch.inference_mode()
def quality(snn: nn.Module, pictures: EvaluationSet, steps: list[int], multiple: int) -> dict[int, float]:
    """Mean PSNR of the running mean after each number of steps."""
    totals = dict.fromkeys(steps, 0.0)
    for given, clean, _ in pictures:
        height, width = given.shape[-2:]
        padded, truth = pad_to_multiple(given, multiple), eight_bits(clean)
        functional.reset_net(snn)
        total = torch.zeros_like(padded)
        for step in range(1, max(steps) + 1):
            total += snn(padded)
            if step in totals:
                restored = given + (total / step)[..., :height, :width]
                totals[step] += psnr(eight_bits(restored), truth) / len(pictures)
    return totals


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', type=Path, required=True)
    parser.add_argument('--weights', type=Path, required=True)
    parser.add_argument('--pictures', type=int, default=8, help='of the validation split (default: %(default)s)')
    parser.add_argument('--steps', type=int, nargs='+', default=[1, 2, 4, 8, 16, 32, 64])
    parser.add_argument('--mode', default='99.9%', help='max, or a percentile (default: %(default)s)')
    args = parser.parse_args()
    options = read_options(args.opt)
    if options['network_g'].get('neuron', {}).get('type') != 'relu':
        raise UserError(f'{args.opt} has no network_g with neuron: {{type: relu}}; ann2snn converts rectifiers only.')
    net = zoo.build(options['network_g'])
    load_weights(net, args.weights)
    net.eval()
    blocks = {'val_1': dict(options['datasets']['val'])}
    training = {'val_1': {**blocks['val_1'], 'subset': options['datasets']['train']['subset']}}
    snn = converted(net, EvaluationSet(training, CALIBRATION_PICTURES), args.mode)
    pictures = EvaluationSet(blocks, args.pictures)
    table = Table('time steps', 'PSNR dB', title=f'{args.opt.stem} by ann2snn, {pictures.describe()}')
    for step, decibels in quality(snn, pictures, args.steps, net.multiple_of).items():
        table.add_row(str(step), f'{decibels:.2f}')
    with torch.inference_mode():
        ann = sum(psnr(eight_bits(net(given)), eight_bits(clean)) for given, clean, _ in pictures) / len(pictures)
    table.add_row('the ANN', f'{ann:.2f}')
    Console().print(table)


if __name__ == '__main__':
    main()
