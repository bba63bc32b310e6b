"""Pictures enlarged by bicubic interpolation: what super-resolution begins from."""
from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import numpy as np
import torch
from basicsr.utils.matlab_functions import cubic
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.images.files import to_float, to_integers

REACH = 2
"""How many pixels to either side an interpolated one depends on."""


class BicubicEnlargement(nn.Module):
    """Pictures in ``scale`` times their size, (N, C, H, W) to (N, C, scale * H, scale * W).

    The kernel is MATLAB's, which the field's bicubic pictures and scores come from (a = -0.5; torch's own has -0.75).
    Pixels are cells: of each come scale x scale new ones, whose common centre is its own. Rows and columns beyond the
    picture repeat its last ones. Computed as two fixed convolutions, one along each side, so that whatever counts,
    exports or runs convolutions knows them: 5 * scale * (1 + scale) multiply-accumulates for each pixel and channel.

    Args:
        scale: A whole number >= 1.
    """

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.across, self.down = WidthEnlargement(scale), WidthEnlargement(scale)

    def forward(self, picture: Tensor) -> Tensor:
        with _full_precision(picture.device.type):
            return self.down(self.across(picture).transpose(2, 3)).transpose(2, 3)


class WidthEnlargement(nn.Module):
    """Pictures in ``scale`` times their width, (N, C, H, W) to (N, C, H, scale * W).

    Attributes:
        kernel: Weights of the pixels from two before to two behind, for each of the new ones, (scale, 5).
    """

    kernel: Tensor

    def __init__(self, scale: int) -> None:
        super().__init__()
        self.scale = scale
        places = (torch.arange(scale) + 0.5) / scale - 0.5
        taps = torch.arange(-REACH, REACH + 1)
        self.register_buffer('kernel', cubic(taps - places.view(-1, 1)), persistent=False)

    def forward(self, picture: Tensor) -> Tensor:
        channels = picture.shape[1]
        weight = self.kernel.to(picture.dtype).repeat(channels, 1).view(-1, 1, 1, self.kernel.shape[1])
        padded = F.pad(picture, (REACH, REACH, 0, 0), mode='replicate')
        phases = F.conv2d(padded, weight, groups=channels).unflatten(1, (channels, self.scale))
        return phases.movedim(2, -1).flatten(3)


def _full_precision(device: str) -> AbstractContextManager:
    """Context in which autocast leaves a convolution alone: a picture in bfloat16 would have 8 bits in all."""
    return torch.autocast(device, enabled=False) if torch.is_autocast_enabled(device) else nullcontext()


def enlarged(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Pixels (H, W, C), of uint8, uint16 or float32 in 0..1, in ``scale`` times the size, of the same type."""
    if scale == 1:
        return pixels
    picture = torch.from_numpy(to_float(pixels)).permute(2, 0, 1).unsqueeze(0)
    larger = BicubicEnlargement(scale)(picture)[0].permute(1, 2, 0).numpy()
    return larger if np.issubdtype(pixels.dtype, np.floating) else to_integers(larger, 8 * pixels.dtype.itemsize)


def factor_between(given: Tensor, clean: Tensor) -> int:
    """By how much a clean picture is larger than the one that was given, both (1, C, H, W): a whole number >= 1."""
    return max(1, clean.shape[-1] // given.shape[-1])


def at_size_of(picture: Tensor, clean: Tensor) -> Tensor:
    """A degraded picture (1, C, H, W) at the size of the clean one: as it is, or enlarged by a whole factor."""
    scale = factor_between(picture, clean)
    return picture if scale == 1 else BicubicEnlargement(scale)(picture)
