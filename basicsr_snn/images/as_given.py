"""The degraded picture itself as an answer: what a restored one is compared with."""
from __future__ import annotations

from basicsr.utils.matlab_functions import imresize
from torch import Tensor


def at_size_of(picture: Tensor, clean: Tensor) -> Tensor:
    """A degraded picture (1, C, H, W) at the size of the clean one: as it is, or enlarged by a whole factor.

    The field's bicubic interpolation (MATLAB's), by BasicSR.
    """
    scale = clean.shape[-1] // picture.shape[-1]
    return picture if scale <= 1 else imresize(picture[0], scale)[None]
