"""Start weights of a student from a trained one of other widths or fewer blocks.

``python studies/design/grown_start.py -opt STUDENT.yml TRAINED.pth OUT.pth``. Channels that both networks have keep
their weights. Blocks that the trained one lacks begin as identity: their second convolution is 0, and their thresholds
fit what they receive, as in ``twin_start.py``.
"""
from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from torch import Tensor, nn
from twin_start import fit_thresholds, training_crops

from basicsr_snn import zoo
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.blocks import SpikingBlock, SpikingConv
from basicsr_snn.zoo.weights import read_weights


@torch.no_grad()
def copy_common_channels(net: nn.Module, trained: Mapping[str, Tensor]) -> None:
    for name, tensor in net.state_dict().items():
        if name in trained:
            common = tuple(slice(min(sizes)) for sizes in zip(tensor.shape, trained[name].shape, strict=True))
            tensor[common] = trained[name][common]


def begin_as_identity(net: nn.Module, trained: Mapping[str, Tensor]) -> list[SpikingConv]:
    """Silence the blocks of ``net`` that the trained network lacks; their layers."""
    new = [block for name, block in net.named_modules()
           if isinstance(block, SpikingBlock) and f'{name}.body.0.conv.weight' not in trained]
    for block in new:
        nn.init.zeros_(block.body[1].conv.weight)
        nn.init.zeros_(block.body[1].conv.bias)
    return [layer for block in new for layer in block.body]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', type=Path, required=True, help='option file of the student')
    parser.add_argument('trained', type=Path)
    parser.add_argument('target', type=Path)
    parser.add_argument('--share', type=float, default=0.4, help='of standard deviations (default: %(default)s)')
    args = parser.parse_args()
    options = read_options(args.opt)
    net = zoo.build(options['network_g'])
    trained = read_weights(args.trained)
    copy_common_channels(net, trained)
    fit_thresholds(net, training_crops(options), args.share, args.share, begin_as_identity(net, trained))
    torch.save({'params': net.state_dict()}, args.target)


if __name__ == '__main__':
    main()
