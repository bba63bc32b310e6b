"""What is finite: numbers without NaN and infinity."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity; a mask of 0 and minus infinity alone is as it
    should be."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_meta or tensor.is_nested:
        return True
    tensor = _stored(tensor)
    if tensor.itemsize == 1:
        tensor = tensor.float()  # of 8-bit floats torch compares few kinds
    broken = ~torch.isfinite(tensor)
    if not broken.any():
        return True
    return not tensor.is_complex() and bool((torch.isneginf(tensor) | (tensor == 0)).all())


def _stored(tensor: Tensor) -> Tensor:
    """The numbers that are there, of a sparse tensor or of one whose shape repeats them."""
    if tensor.layout != torch.strided:
        return tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()
    storage = tensor.untyped_storage()
    there = storage.nbytes() // tensor.itemsize
    return tensor if tensor.numel() <= there else tensor.new_empty(0).set_(storage)


def not_finite_in(content: Any, path: str = '') -> list[str]:
    """Where tensors of nested mappings and lists are not finite, as paths such as ``params.stem.weight``."""
    if isinstance(content, Tensor):
        return [] if is_finite(content) else [path]
    items = (content.items() if isinstance(content, Mapping) else
             enumerate(content) if isinstance(content, list | tuple) else ())
    return [place for key, value in items for place in not_finite_in(value, f'{path}.{key}' if path else str(key))]
