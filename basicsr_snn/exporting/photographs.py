"""Noisy photographs of the demo: what weights are rounded on, and what an exported file is compared on."""
from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from basicsr_snn.images.files import read_picture, to_channels, to_float, to_tensor
from basicsr_snn.images.noise import add_gaussian_noise
from basicsr_snn.installation import shared_files

SIGMA = 25
"""Standard deviation of the noise, on the scale of 0..255."""

TO_COMPARE = 'datasets/demo/val/dogs.png'
TO_ROUND = 'datasets/demo/train'
SIDE = 192


def photographs_to_compare(channels: int) -> list[Tensor]:
    """Two batches (N, C, H, W), one of two pictures, sides that are odd and sides that are not."""
    noisy = _noisy(shared_files() / TO_COMPARE, channels)
    return [noisy[..., 40:167, 60:149], torch.cat([noisy[..., :96, :128], noisy[..., 96:192, 128:256]])]


def photographs_to_round(channels: int) -> list[Tensor]:
    """The middle (1, C, 192, 192) of every training photograph, in sorted order."""
    return [_middle(_noisy(file, channels)) for file in sorted((shared_files() / TO_ROUND).glob('*.jpg'))]


def _noisy(file: Path, channels: int) -> Tensor:
    """A photograph (1, C, H, W); more than three channels repeat its colours."""
    photograph = read_picture(file).stored
    stored = to_channels(photograph, 1) if channels == 1 else photograph[..., np.arange(channels) % 3]
    return to_tensor(add_gaussian_noise(to_float(stored), SIGMA)).unsqueeze(0)


def _middle(picture: Tensor) -> Tensor:
    top, left = ((side - SIDE) // 2 for side in picture.shape[-2:])
    return picture[..., top:top + SIDE, left:left + SIDE]
