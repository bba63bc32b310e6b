"""NIR (arXiv 2311.14641): networks whose every layer the format knows, through SpikingJelly's exchange."""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import torch
from spikingjelly.activation_based import functional, neuron
from spikingjelly.activation_based.nir_exchange import export_to_nir, import_from_nir
from torch import nn

from basicsr_snn.errors import UserError, first_line
from basicsr_snn.inference.contract import as_restorer

KNOWN = (nn.Conv2d, nn.Linear, nn.AvgPool2d, nn.Flatten, neuron.IFNode, neuron.LIFNode, neuron.ParametricLIFNode)
"""What NIR has a node for; the neurons with hard reset only."""

SIZE = 32
"""Side in pixels of the picture that the graph is for: NIR's convolutions and neurons have fixed sizes."""


def write(net: nn.Module, network: Mapping[str, Any], file: Path) -> str:
    """Write a network of layers that NIR knows, for pictures of ``SIZE`` x ``SIZE``.

    Args:
        net: Maps (N, C, H, W) step by step.
        network: Its block.
        file: Where to.
    """
    if unknown := sorted(set(_unknown(net))):
        raise UserError(f'NIR has no node for {", ".join(unknown)}, of which {network["type"]} is made; type --format '
                        'onnx, or --format safetensors.')
    net = deepcopy(net)
    picture = torch.rand(1, as_restorer(net).in_ch, SIZE, SIZE, generator=torch.Generator().manual_seed(0))
    functional.reset_net(net)
    try:
        export_to_nir(net, picture, file)
        again = import_from_nir(file)
    except (NotImplementedError, RuntimeError, TypeError, ValueError, KeyError) as error:
        raise UserError(f'{network["type"]} has no NIR form ({first_line(error, 160)}); type --format onnx, or '
                        '--format safetensors.') from error
    with torch.no_grad():
        answer, _state = again(picture)
        difference = float((answer - net(picture)).abs().max())
    if difference > 1e-5:
        raise UserError(f'{network["type"]} read back from NIR differs by {difference:.2g}, so nothing was written; '
                        'type --format onnx, or --format safetensors.')
    return f'read back by SpikingJelly, it gives the same answers; for pictures of {SIZE} x {SIZE}'


def _unknown(module: nn.Module) -> Iterator[str]:
    """Names of the layers of a network that NIR has no node for."""
    if type(module) in KNOWN and getattr(module, 'v_reset', 0.0) is not None or isinstance(module, nn.Identity):
        return
    children = list(module.children())
    if isinstance(module, neuron.BaseNode) or not children:
        yield type(module).__name__ + (' with soft reset' if type(module) in KNOWN else '')
    else:
        for child in children:
            yield from _unknown(child)
