"""Start weights of a spiking student from its trained ANN twin: its weights, and thresholds that fit its streams.

``python studies/design/twin_start.py -opt STUDENT.yml TWIN.pth OUT.pth`` sets the threshold of each channel to a
share of the standard deviation of what the neuron receives on training pictures, layer by layer, so that a layer is
fitted to the counts of those before it. A signed count of 0.4 standard deviations emits two events a neuron on Gaussian
input. The head's counts are finer: their rounding enters the picture unfiltered (docs/design-log.md, no. 37).
"""
from __future__ import annotations

import argparse
from collections.abc import Collection
from pathlib import Path
from typing import Any

import basicsr_snn  # noqa: F401 - before basicsr

# isort: split
import torch
from torch import Tensor, nn

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.blocks import SpikingConv
from basicsr_snn.zoo.weights import load_weights

PICTURES, CROP, SMALLEST = 16, 128, 1e-3


@torch.no_grad()
def fit_thresholds(net: nn.Module, noisy: Tensor, share: float, share_of_head: float,
                   layers: Collection[SpikingConv] | None = None) -> None:
    """Set each threshold of ``net``, or of these ``layers``, to ``share`` of the standard deviation of its channel, in
    order of execution.

    A neuron with a bias current counts from 0 on: the mean of its channel is put in the middle of its counts, and the
    convolution that reads them is told so by its bias.
    """
    def fit(layer: SpikingConv, inputs: tuple[Tensor]) -> None:
        neuron, potential = layer.neuron, inputs[0]
        part = share_of_head if layer is net.head else share
        neuron.log_threshold.copy_((part * potential.std((0, 1, 3, 4))).clamp_min(SMALLEST).log())
        if neuron.bias is not None:
            middle = getattr(neuron, 'highest', neuron.D) / 2 * neuron.log_threshold.exp()
            neuron.bias.copy_(middle - potential.mean((0, 1, 3, 4)))
            layer.conv.bias.sub_(layer.conv.weight.sum((2, 3)) @ neuron.bias)

    if layers is None:
        layers = [module for module in net.modules() if isinstance(module, SpikingConv)]
    handles = [layer.register_forward_pre_hook(fit) for layer in layers]
    net.train()(noisy)
    for handle in handles:
        handle.remove()


def training_crops(options: dict[str, Any]) -> Tensor:
    block = {**options['datasets']['val'], 'subset': options['datasets']['train']['subset']}
    pictures = EvaluationSet({'val_1': block}, PICTURES)
    return torch.cat([given[..., :CROP, :CROP] for given, _, _ in pictures])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('-opt', type=Path, required=True, help='option file of the student')
    parser.add_argument('twin', type=Path)
    parser.add_argument('target', type=Path)
    parser.add_argument('--share', type=float, default=0.4, help='default: %(default)s')
    parser.add_argument('--head', type=float, default=0.1, help='the same for the head (default: %(default)s)')
    args = parser.parse_args()
    options = read_options(args.opt)
    net = zoo.build(options['network_g'])
    load_weights(net, args.twin, strict=False)
    fit_thresholds(net, training_crops(options), args.share, args.head)
    torch.save({'params': net.state_dict()}, args.target)


if __name__ == '__main__':
    main()
