"""safetensors: the weights as this package loads them, their card in the header."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from basicsr_snn import zoo
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.spiking.ternary import packed_state
from basicsr_snn.weight_files.card import Card
from basicsr_snn.weight_files.checksum import safetensors_with_checksum
from basicsr_snn.zoo.trained_network import network_of_weight_file


def write(net: nn.Module, network: Mapping[str, Any], file: Path, about: Mapping[str, str] | None = None) -> str:
    """Write the weights, ternary ones as two bits each; ``-n FILE`` reads them everywhere.

    Args:
        net: In its training form.
        network: Its block; goes into the header as JSON under ``network_g``.
        file: Where to.
        about: What else goes into the header (:mod:`basicsr_snn.weight_files.card`).
    """
    if zoo.weights_in(network):
        raise UserError(f'{network["type"]} reads the file of another project, whose form this one does not know; '
                        'convert that file itself, or type --format onnx.')
    weights = {name: tensor.contiguous() for name, tensor in packed_state(net.state_dict(), net).items()}
    header = {'format': 'pt', **(about or {}), **Card(network).header()}
    file.write_bytes(safetensors_with_checksum(weights, header))
    again = network_of_weight_file(file).loaded()
    picture = torch.rand(1, as_restorer(net).in_ch, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        same = torch.equal(again.eval()(picture), net(picture))
    if not same:
        raise UserError(f'{network["type"]} gives other pictures when read back, so nothing was written; its state is '
                        'not all in its state dict.')
    return 'read back, it gives the same pictures'
