"""How far a network looks: the distance beyond which no input pixel has a part in an output pixel."""
from __future__ import annotations

import torch
from torch import Tensor, nn

from basicsr_snn.archs.dncnn_arch import DnCNN
from basicsr_snn.archs.ffdnet_arch import FFDNet
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.inference.self_ensemble import SelfEnsemble
from basicsr_snn.spiking.blocks import SpikeConv2d, SpikingBlock, SpikingConv, SpikingUpsample
from basicsr_snn.spiking.neurons import is_neuron
from basicsr_snn.spiking.ternary import TernaryConv2d

_LOCAL = (nn.Conv2d, nn.BatchNorm2d, nn.Identity, nn.Sequential, nn.ModuleList, SpikeConv2d, TernaryConv2d,
          SpikingConv, SpikingBlock, SpikingUpsample, SpikerIR, DnCNN, FFDNet)
"""Modules that look at neighbours by convolutions only; their subclasses may not."""


def reach_of(net: nn.Module, channels: int) -> int | None:
    """Reach of a network in pixels, an upper bound, or None where it can't be told.

    A network may declare it as ``reach``. Else it is counted where every module is known to be local, from one forward:
    a k x k convolution at 1/s of the picture's size looks (k - 1) / 2 * s pixels farther, and a pixel of the coarsest
    size (``multiple_of``) may be seen from its far side. Branches count as if they followed each other.

    Args:
        net: In eval mode.
        channels: Channels of the pictures that it reads.
    """
    if isinstance(net, SelfEnsemble):
        net = net.net
    declared = getattr(net, 'reach', None)
    if declared is not None:
        return int(declared)
    neurons = {part for module in net.modules() if is_neuron(module) for part in module.modules()}
    if not all(type(module) in _LOCAL or module in neurons for module in net.modules()):
        return None
    return _counted(net, channels)


@torch.inference_mode()
def _counted(net: nn.Module, channels: int) -> int:
    multiple = getattr(net, 'multiple_of', 1)
    side = 8 * multiple
    seen: list[int] = []

    def count(convolution: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
        spans = zip(convolution.kernel_size, convolution.dilation, strict=True)
        scale = side // inputs[0].shape[-1]
        seen.append(scale * max(kernel // 2 * dilation for kernel, dilation in spans))

    hooks = [module.register_forward_pre_hook(count) for module in net.modules() if isinstance(module, nn.Conv2d)]
    try:
        net(torch.zeros(1, channels, side, side, device=next(net.parameters()).device))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(seen) + multiple - 1
