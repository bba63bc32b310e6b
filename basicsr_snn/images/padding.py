"""Pictures padded at their ends, so that a network with strides can read any size."""
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.fx.experimental.symbolic_shapes import statically_known_true
from torch.nn import functional as F

from basicsr_snn.recorded import serves_all_sizes


def pad_to_multiple(picture: Tensor, multiple: int) -> Tensor:
    """Pad (N, C, H, W) at the right and the bottom up to a multiple, as :func:`pad_at_end` does."""
    height, width = picture.shape[-2:]
    bottom, right = ((side + multiple - 1) // multiple * multiple - side for side in (height, width))
    return pad_at_end(picture, bottom, right)


def pad_at_end(picture: Tensor, bottom: int, right: int) -> Tensor:
    """Pad (N, C, H, W) by rows at the bottom and columns at the right; mirrored, or replicated where H or W is too
    small."""
    if serves_all_sizes():
        return _pad_in_any_size(picture, bottom, right)
    height, width = picture.shape[-2:]
    if not (bottom or right):
        return picture
    mode = 'reflect' if bottom < height and right < width else 'replicate'
    return F.pad(picture, (0, right, 0, bottom), mode=mode)


def _pad_in_any_size(picture: Tensor, bottom: int, right: int) -> Tensor:
    """The same without a decision that a recording would keep for pictures of all sizes."""
    if _is_surely(bottom, 0) and _is_surely(right, 0):
        return picture
    height, width = picture.shape[-2:]
    fits = ((torch.scalar_tensor(bottom, device=picture.device) < height)
            & (torch.scalar_tensor(right, device=picture.device) < width))
    for axis, side, more in ((-2, height, bottom), (-1, width, right)):
        places = torch.arange(side + more, device=picture.device)
        mirrored = (side - 1) - (places - (side - 1)).abs()
        picture = picture.index_select(axis, torch.where(fits, mirrored, places.clamp(max=side - 1)))
    return picture


def cut(picture: Tensor, height: int, width: int) -> Tensor:
    """The first rows and columns of (N, C, H, W), without what was padded at the ends."""
    if not serves_all_sizes():
        return picture[..., :height, :width]
    for axis, side in ((-2, height), (-1, width)):
        if not _is_surely(side, picture.shape[axis]):  # a view would tie the recording to the sides of its example
            picture = picture.index_select(axis, torch.arange(side, device=picture.device))
    return picture


def _is_surely(side: int, other: int) -> bool:
    """Whether two sides are equal in every picture that what is recorded may be given."""
    return not torch.jit.is_tracing() and statically_known_true(side == other)


def restored_on_multiple(restorer: Callable[[Tensor], Tensor], picture: Tensor, multiple: int) -> Tensor:
    """What ``restorer`` makes of pictures (N, C, H, W) padded at their ends to a multiple, cut to H and W times its
    scale."""
    padded = pad_to_multiple(picture, multiple)
    restored = restorer(padded)
    height, width = (side * (restored.shape[-1] // padded.shape[-1]) for side in picture.shape[-2:])
    return cut(restored, height, width)
