"""The untrained rival: SpikingJelly's ann2snn on the student's network with rectifiers, PSNR against time steps.

``python studies/distillation/conversion.py`` trains ``relu.yml`` as the comparison trains its methods, sets the
thresholds by the rates on training crops, and scores the converted network after each of 1, 2, 4, ... steps on pictures
of the validation split. Rectifiers become integrate-and-fire neurons with soft reset; all between them is linear.
"""
from __future__ import annotations

import argparse
from pathlib import Path
from unittest.mock import patch

from compare import OPTIONS, SHORT_STEPS, train

# isort: split
import torch
from rich.console import Console
from rich.progress import track
from spikingjelly.activation_based import ann2snn, functional
from spikingjelly.activation_based.ann2snn.recipes import rate_coding
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.images.padding import pad_to_multiple
from basicsr_snn.images.scoring import eight_bits, psnr
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.blocks import SpikingBlock, SpikingConv
from basicsr_snn.zoo.weights import load_weights

CALIBRATION_PICTURES, CROP = 16, 128


class PlainResidual(nn.Module):
    """What a student of rectifiers adds to a padded picture (N, C, H, W), built of torch's own layers without time, as
    the converter needs it."""

    def __init__(self, net: SpikerIR) -> None:
        super().__init__()
        self.stem, self.head = net.stem, _plain(net.head)
        self.encoder, self.down = _plain_levels(net.encoder), nn.ModuleList(map(_plain, net.down))
        self.middle = _plain_level(net.middle)
        self.up = nn.ModuleList(nn.Sequential(_plain(up.expand), nn.PixelShuffle(2)) for up in net.up)
        self.decoder = _plain_levels(net.decoder)

    def forward(self, picture: Tensor) -> Tensor:
        x, skips = self.stem(picture), []
        for blocks, down in zip(self.encoder, self.down, strict=True):
            skips.append(blocks(x))
            x = down(skips[-1])
        x = self.middle(x)
        for up, blocks in zip(self.up, self.decoder, strict=True):
            x = blocks(up(x) + skips.pop())
        return self.head(x)


class PlainBlock(nn.Module):
    def __init__(self, block: SpikingBlock) -> None:
        super().__init__()
        self.body = nn.Sequential(*map(_plain, block.body))

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


def _plain(layer: SpikingConv) -> nn.Sequential:
    old = layer.conv
    conv = nn.Conv2d(old.in_channels, old.out_channels, old.kernel_size, old.stride, old.padding)
    conv.load_state_dict(old.state_dict())
    return nn.Sequential(nn.ReLU(), conv)


def _plain_level(blocks: nn.Sequential) -> nn.Sequential:
    return nn.Sequential(*map(PlainBlock, blocks))


def _plain_levels(levels: nn.ModuleList) -> nn.ModuleList:
    return nn.ModuleList(map(_plain_level, levels))


def converted(net: nn.Module, crops: list[Tensor], mode: str) -> nn.Module:
    """The network of integrate-and-fire neurons, one time step a call.

    Args:
        net: Network of torch's own layers.
        crops: Pictures (N, C, H, W) whose activations set the thresholds.
        mode: ``max``, or a percentile such as ``99.9%``, of the activations of each channel.
    """
    recipe = ann2snn.RateCodingRecipe([(crop, 0) for crop in crops], mode=mode, channel_wise=True)
    known = rate_coding._RATE_CODING_SAFE_MODULE_TYPES    # a sub-pixel shuffle has no state either, but is not named
    with patch.object(rate_coding, '_RATE_CODING_SAFE_MODULE_TYPES', (*known, nn.PixelShuffle)):
        return ann2snn.Converter(recipe).convert(net)


@torch.inference_mode()
def quality(snn: nn.Module, pictures: EvaluationSet, steps: list[int], multiple: int) -> dict[int, float]:
    """Mean PSNR of the running mean after each number of steps."""
    totals = dict.fromkeys(steps, 0.0)
    for given, clean, _ in track(pictures, total=len(pictures), console=Console(stderr=True)):
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
    parser.add_argument('--pictures', type=int, default=4, help='of the validation split (default: %(default)s)')
    parser.add_argument('--steps', type=int, nargs='+', default=[1, 2, 4, 8, 16, 32, 64, 128])
    parser.add_argument('--mode', default='99.9%', help='max, or a percentile (default: %(default)s)')
    parser.add_argument('--markdown', type=Path, default=Path(__file__).with_name('conversion.md'))
    args = parser.parse_args()
    options = read_options(OPTIONS / 'relu.yml')
    net = zoo.build(options['network_g'])
    load_weights(net, train('relu', 0, SHORT_STEPS) / 'models' / 'net_g_latest.pth', 'params_ema')
    net.eval()
    block = options['datasets']['val']
    training = EvaluationSet({'val': {**block, 'subset': options['datasets']['train']['subset']}}, CALIBRATION_PICTURES)
    pictures = EvaluationSet({'val': block}, args.pictures)
    snn = converted(PlainResidual(net).eval(), [given[..., :CROP, :CROP] for given, _, _ in training], args.mode)
    lines = ['| time steps | PSNR dB |', '|---|---|']
    lines += [f'| {step} | {decibels:.2f} |'
              for step, decibels in quality(snn, pictures, args.steps, net.multiple_of).items()]
    with torch.inference_mode():
        ann = sum(psnr(eight_bits(net(given)), eight_bits(clean)) for given, clean, _ in pictures) / len(pictures)
    lines.append(f'| the ANN | {ann:.2f} |')
    text = '\n'.join(lines) + f'\n\n{pictures.describe()}, thresholds at {args.mode} of the activations.\n'
    args.markdown.write_text(text, encoding='utf-8')
    print(text)


if __name__ == '__main__':
    main()
