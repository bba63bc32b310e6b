"""Pictures made smaller by bicubic interpolation as MATLAB does it: where super-resolution's tests come from."""
from __future__ import annotations

from functools import lru_cache

import numpy as np
import torch
from basicsr.utils.matlab_functions import calculate_weights_indices
from torch import Tensor
from torch.nn import functional as F


def reach_of(scale: int) -> int:
    """How many pixels beyond its own a smaller pixel takes a share of, at most; a multiple of ``scale``."""
    return 2 * scale


def shrunk(pixels: np.ndarray, scale: int) -> np.ndarray:
    """Pixels (H, W, C) float32 in 1 / ``scale`` of their size, H and W multiples of it; not clipped.

    BasicSR's ``imresize``, which is MATLAB's with antialiasing, to float32's rounding. By a whole factor all pixels
    have the same weights, so it is a convolution with a stride, which takes a hundredth of the time.
    """
    kernel, before = _kernel(scale)
    after = len(kernel) - scale - before
    padded = np.pad(pixels, ((before, after), (before, after), (0, 0)), mode='symmetric')
    picture = torch.from_numpy(padded.transpose(2, 0, 1)).unsqueeze(1)
    fewer_rows = F.conv2d(picture, kernel.view(1, 1, -1, 1), stride=(scale, 1))
    smaller = F.conv2d(fewer_rows, kernel.view(1, 1, 1, -1), stride=(1, scale))
    return np.ascontiguousarray(smaller[:, 0].permute(1, 2, 0).numpy())


@lru_cache
def _kernel(scale: int) -> tuple[Tensor, int]:
    """The shares that a smaller pixel takes, and how many pixels before the picture the first one begins."""
    weights, _, before, _ = calculate_weights_indices(8 * scale, 8, 1 / scale, 'cubic', 4, True)
    return weights[0].clone(), before
