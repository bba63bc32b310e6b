"""What a network that does not state the contract of a restorer turns out to be, by trying it once.

Architectures name their channels and their scale in many ways, and few say which sizes of pictures they read.
"""
from __future__ import annotations

from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

SIDE = 64
"""Least side of the pictures that a network is tried on: deep ones have no answer to smaller ones."""

FACTORS = (1, 2, 4, 8, 16, 32, 64, 128)
CHANNELS = (3, 1)


@dataclass(frozen=True)
class Found:
    """A network for pictures.

    Attributes:
        channels: Channels that it reads and writes.
        scale: Factor by which its answer is larger than its input.
        multiple: Sides of its input must be multiples of this.
    """

    channels: int
    scale: int
    multiple: int


_found: WeakKeyDictionary[nn.Module, dict[int, Found | None]] = WeakKeyDictionary()


def probe(net: nn.Module, window: int = 1) -> Found | None:
    """What a network is, tried once and then remembered; None: it is none for pictures.

    Args:
        net: The network; it stays as it is.
        window: What the sides must be a multiple of in any case.
    """
    known = _found.setdefault(net, {})
    if window not in known:
        known[window] = _try(net, window)
    return known[window]


def _try(net: nn.Module, window: int) -> Found | None:
    """Shapes are tried without numbers, which costs next to nothing, and with them where a network computes with some.
    """
    try:
        copy = deepcopy(net).to('meta').eval()
    except Exception:  # of anybody's class
        return _first_fitting(net, window)[0]
    found, sure = _first_fitting(copy, window)
    return found if sure else _first_fitting(net, window)[0]


def _first_fitting(net: nn.Module, window: int) -> tuple[Found | None, bool]:
    """The first channels and multiple at which a network restores, and whether that can be relied on."""
    sure = True
    device = next((tensor.device for tensor in net.parameters()), torch.device('cpu'))
    training = net.training
    net.eval()
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for channels, multiple in _candidates(window):
                picture = torch.zeros(1, channels, *_sides(multiple), device=device)
                try:
                    scale = _scale(picture, net(picture))
                except Exception as error:  # of anybody's class; without numbers some fail that are good
                    sure &= not (isinstance(error, NotImplementedError) or 'meta' in str(error))
                    continue
                if scale:
                    return Found(channels, scale, multiple), True
    finally:
        net.train(training)
    return None, sure


def _candidates(window: int) -> Iterator[tuple[int, int]]:
    return ((channels, window * factor) for channels in CHANNELS for factor in FACTORS)


def _sides(multiple: int) -> tuple[int, int]:
    """Height and width that are multiples of this and, the first two apart, of no other factor of :data:`FACTORS`."""
    odd = -(-SIDE // multiple) | 1
    return odd * multiple, (odd + 2) * multiple


def _scale(picture: Tensor, answer: object) -> int:
    """By what whole number an answer is larger than a picture; 0: it is another kind of answer."""
    if not isinstance(answer, Tensor) or answer.dim() != 4 or answer.shape[:2] != picture.shape[:2]:
        return 0
    (height, width), (new_height, new_width) = picture.shape[-2:], answer.shape[-2:]
    scale = new_height // height
    return scale if (new_height, new_width) == (scale * height, scale * width) else 0
