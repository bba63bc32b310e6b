"""Networks of state dicts that other programs read: only the names and numbers, and what is known of them, are left."""
from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from basicsr_snn.inference.calling import deployed
from basicsr_snn.inference.contract import Restorer
from basicsr_snn.weight_files.card import Card
from basicsr_snn.zoo.building import build, window_of
from basicsr_snn.zoo.shipped import Row, rows
from basicsr_snn.zoo.trained_network import check_known
from basicsr_snn.zoo.weights import load_tensors, most_elements, read_weights

THE_WEIGHTS = Path('the weights')
"""What messages call a state dict whose file nobody knows."""


def card_of_state(state: Mapping[str, Any]) -> Card | None:
    """What is known of a state dict: what it carries itself, else what is known of the shipped network whose numbers
    it holds; None: nothing."""
    return Card.of_content(state) or _card_of_shipped_numbers(state)


def network_of_state(state: Mapping[str, Tensor], card: Card) -> Restorer:
    """The network of a state dict in the form that ships, as :func:`basicsr_snn.load` gives it.

    Args:
        state: Tensors by the names of a file; they may be anybody's.
        card: What is known of them.

    Raises:
        UserError: The network cannot be built here, is none for pictures, or the tensors do not fit it.
        NotFiniteError: They hold NaN or infinity.
    """
    check_known(card, most_elements(state), THE_WEIGHTS)
    with torch.random.fork_rng(devices=[]):
        net = build(card.network_g)
    load_tensors(net, state, THE_WEIGHTS, card)
    restorer = deployed(net, window_of(card.network_g))
    restorer.require_pictures()
    return restorer


def _card_of_shipped_numbers(state: Mapping[str, Any]) -> Card | None:
    return next((row.card for row, shipped in _shipped_states() if _are_equal(state, shipped)), None)


@cache
def _shipped_states() -> list[tuple[Row, Mapping[str, Tensor]]]:
    return [(row, read_weights(row.path)) for row in rows() if row.path.is_file()]


def _are_equal(state: Mapping[str, Any], shipped: Mapping[str, Tensor]) -> bool:
    return state.keys() == shipped.keys() and all(
        isinstance(tensor, Tensor) and torch.equal(tensor.cpu(), shipped[name]) for name, tensor in state.items())
