"""Calling a restoration network for inference: noise level where it takes one, folded form where it has one."""
from __future__ import annotations

from copy import deepcopy

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError


def restore(net: nn.Module, picture: Tensor, sigma: Tensor | float | None = None) -> Tensor:
    """Restore pictures (N, C, H, W) in 0..1.

    Args:
        net: A network, spiking or not; ``sigma`` is passed on only to one whose class says ``takes_sigma = True``.
        picture: Degraded pictures.
        sigma: Noise level on the 0..255 scale, a number or (N,); ``None`` leaves it to the network's own default.
    """
    bare = getattr(net, 'module', net)  # data-parallel wrappers hide the attribute
    if sigma is not None and getattr(bare, 'takes_sigma', False):
        return net(picture, sigma=sigma)
    return net(picture)


def deployed(net: nn.Module) -> nn.Module:
    """The form of a network that ships: a copy in eval mode, folded where the network can fold (``fuse``)."""
    copy = deepcopy(net).to(memory_format=torch.channels_last).eval().requires_grad_(False)
    return copy.fuse() if hasattr(copy, 'fuse') else copy


def channels_of(net: nn.Module) -> int:
    """Channels of the pictures that a network restores, by trying it: architectures name that option in many ways.

    Raises:
        UserError: It turns neither colour nor grey pictures into some of the same size.
    """
    device = next(net.parameters()).device
    for channels in (3, 1):
        probe = torch.zeros(1, channels, 64, 64, device=device)
        try:
            with torch.no_grad():
                answer = net(probe)
        except (RuntimeError, ValueError):
            continue
        if answer.shape == probe.shape:
            return channels
    raise UserError(f'{type(net).__name__} does not turn a colour or grey picture into one of the same size; give a '
                    'network for restoration at scale 1.')
