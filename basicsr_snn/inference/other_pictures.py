"""Pictures of other channels, or of another contrast, than those that a network was trained on."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

MID_GREY = 0.5


def through_channels(restored: Callable[[Tensor], Tensor], channels: int, pictures: Tensor) -> Tensor:
    """Restore grey pictures with a network for colour, by the mean of its answers to three equal channels, or colour
    pictures with one for grey, channel by channel.

    Args:
        restored: Calls the network.
        channels: How many it reads.
        pictures: (N, C, H, W), with C = 1, or any number where the network reads as many or 1.
    """
    given = pictures.shape[1]
    if given == channels:
        return restored(pictures)
    if given < channels:
        return restored(pictures.expand(-1, channels, -1, -1)).mean(1, keepdim=True)
    return torch.cat([restored(channel) for channel in pictures.split(1, 1)], dim=1)


def with_contrast(pixels: Tensor, factor: float | Tensor) -> Tensor:
    """Pictures with ``factor`` times their distance from mid-grey, and so with ``factor`` times the noise."""
    return pixels if isinstance(factor, float) and factor == 1 else (pixels - MID_GREY) * factor + MID_GREY
