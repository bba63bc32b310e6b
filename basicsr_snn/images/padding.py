"""Pictures padded at their ends, so that a network with strides can read any size."""
from __future__ import annotations

from collections.abc import Callable

from torch import Tensor
from torch.nn import functional as F


def pad_to_multiple(picture: Tensor, multiple: int) -> Tensor:
    """Pad (N, C, H, W) at the right and the bottom up to a multiple, as :func:`pad_at_end` does."""
    height, width = picture.shape[-2:]
    return pad_at_end(picture, -height % multiple, -width % multiple)


def pad_at_end(picture: Tensor, bottom: int, right: int) -> Tensor:
    """Pad (N, C, H, W) by rows at the bottom and columns at the right; mirrored, or replicated where H or W is too
    small."""
    height, width = picture.shape[-2:]
    if not (bottom or right):
        return picture
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    return F.pad(picture, (0, right, 0, bottom), mode=mode)


def restored_on_multiple(restorer: Callable[[Tensor], Tensor], picture: Tensor, multiple: int) -> Tensor:
    """What ``restorer`` makes of pictures (N, C, H, W) padded at their ends to a multiple, cut to H and W times its
    scale."""
    padded = pad_to_multiple(picture, multiple)
    restored = restorer(padded)
    height, width = (side * (restored.shape[-1] // padded.shape[-1]) for side in picture.shape[-2:])
    return restored[..., :height, :width]
