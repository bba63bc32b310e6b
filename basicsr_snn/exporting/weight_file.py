"""safetensors: the weights as this package loads them, ``network_g`` in the header."""
from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from basicsr_snn import zoo
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.spiking.ternary import packed_state
from basicsr_snn.zoo.weights import load_weights


def write(net: nn.Module, network: Mapping[str, Any], file: Path) -> str:
    """Write the weights, ternary ones as two bits each; ``-opt X.yml --weights FILE`` reads them everywhere.

    Args:
        net: In its training form.
        network: Its block; goes into the header as JSON under ``network_g``.
        file: Where to.
    """
    if zoo.weights_in(network):
        raise UserError(f'{network["type"]} reads the file of another project, whose form this one does not know; '
                        'convert that file itself, or type --format onnx.')
    weights = {name: tensor.contiguous() for name, tensor in packed_state(net.state_dict(), net).items()}
    save_file(weights, file, metadata={'format': 'pt', 'network_g': json.dumps(network)})
    with safe_open(file, 'pt') as content:
        again = zoo.build(json.loads(content.metadata()['network_g']))
    load_weights(again, file)
    picture = torch.rand(1, as_restorer(net).in_ch, 32, 48, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        same = torch.equal(again.eval()(picture), net(picture))
    if not same:
        raise UserError(f'{network["type"]} gives other pictures when read back, so nothing was written; its state is '
                        'not all in its state dict.')
    return 'read back, it gives the same pictures'
