"""Our weights in programs of others: damaged, incomplete, or said to be of another network."""
from __future__ import annotations

from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from fault import fault
from own_zoo import network

from basicsr_snn.errors import UserError
from basicsr_snn.weight_files.card import Card


def _drawn(random: Random) -> tuple[dict[str, Any], torch.nn.Module]:
    neuron = random.choice([{'type': 'SignedILIF', 'D': 16}, {'type': 'LIFNode'}, {'type': 'relu'}])
    return network(scale=random.choice([1, 2]), neuron=neuron, weights=random.choice(['float', 'ternary']))


@fault('spandrel refuses them in a sentence, and loads what is right', tries=6)
def weights_in_spandrel_are_not_those_of_their_card(random: Random, folder: Path) -> None:
    spandrel = pytest.importorskip('spandrel')
    from basicsr_snn.elsewhere.spandrel_architecture import install_in

    registry = spandrel.MAIN_REGISTRY.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(spandrel.ModelLoader, 'load_state_dict_from_file',
                      spandrel.ModelLoader.load_state_dict_from_file)
        install_in(registry)
        loader = spandrel.ModelLoader(registry=registry)
        block, net = _drawn(random)
        state = dict(net.state_dict())
        torch.save({'params': Card(block).on(state)}, 'right.pth')
        assert loader.load_from_file('right.pth').scale == block['scale']
        name = random.choice([key for key, tensor in state.items() if tensor.is_floating_point()])
        wrong = {'missing': {key: tensor for key, tensor in state.items() if key != name},
                 'shape': {**state, name: state[name].flatten()[:1].repeat(7)},
                 'nan': {**state, name: torch.full_like(state[name], float('nan'))},
                 'unknown': {**state, f'{name}x': state[name]}, 'card': state, 'silent': state}
        kind = random.choice(list(wrong))
        said = {**block, **random.choice([{'channels': [4, 6]}, {'in_ch': 2}, {'type': 'NoSuchNet'}, {'scale': 4},
                                          {'width': 9}, {'channels': [9000, 9000]}])} if kind == 'card' else block
        torch.save({'params': wrong[kind] if kind == 'silent' else Card(said).on(wrong[kind])}, 'wrong.pth')
        with pytest.raises((UserError, spandrel.UnsupportedModelError)) as refused:
            loader.load_from_file('wrong.pth')
        assert '\n' not in str(refused.value)
