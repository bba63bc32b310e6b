"""What a loaded network is given: refused in a sentence where it is no picture in 0..1."""
from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.recorded import is_recorded

Net = TypeVar('Net', bound=nn.Module)

LOWEST, HIGHEST = -9.0, 10.0
"""Between these lies a picture in 0..1 with any noise, and of those in 0..255 only what is all but black."""


def refuse_what_is_no_picture(net: Net) -> Net:
    """The network itself, which from now on raises a ``UserError`` where it is called with something else than a float
    tensor (N, C, H, W) in 0..1: other types and shapes, values of 0..255, NaN and infinity.

    Looking at the values takes a thousandth of what restoring them takes. Whoever only follows what the network does,
    to export or to compile it, is not in the way.
    """
    net.register_forward_pre_hook(_check, with_kwargs=True)
    return net


def _check(net: nn.Module, arguments: tuple[Any, ...], named: dict[str, Any]) -> None:
    picture = next(iter((*arguments, *named.values())), None)
    if isinstance(picture, np.ndarray):
        raise UserError('a network was given an array of NumPy; give a float tensor (N, C, H, W) in 0..1, or call '
                        'basicsr_snn.denoise(array).')
    if isinstance(picture, Tensor) and not _is_followed(picture):
        _check_form(picture)
        _check_values(picture)


def _is_followed(picture: Tensor) -> bool:
    """Whether an exporter, a compiler or a CUDA graph records what is done with the picture."""
    return (is_recorded() or picture.is_cuda and torch.cuda.is_current_stream_capturing())


def _check_form(picture: Tensor) -> None:
    kind, shape = str(picture.dtype).removeprefix('torch.'), tuple(picture.shape)
    if not picture.is_floating_point():
        raise UserError(f'a tensor of {kind} was given; give floats in 0..1, for example picture.float() / '
                        f'{65535 if "16" in kind else 255}.')
    if picture.dim() != 4:
        instead = ', for example picture[None]' if picture.dim() == 3 else ''
        raise UserError(f'a tensor of shape {shape} was given; give pictures as (N, C, H, W){instead}.')
    if picture.shape[1] not in (1, 3) and picture.shape[3] in (1, 3):
        raise UserError(f'a tensor of shape {shape} was given, but channels come second; give '
                        'picture.permute(0, 3, 1, 2).')


def _check_values(picture: Tensor) -> None:
    try:
        lowest, highest = (float(value) for value in torch.aminmax(picture.detach()))
    except RuntimeError:  # there are no values, or nobody may see them: torch.vmap, meta tensors, empty ones
        return
    if not (math.isfinite(lowest) and math.isfinite(highest)):
        raise UserError('a picture with NaN or infinity was given; give finite values in 0..1.')
    if lowest < LOWEST or highest > HIGHEST:
        raise UserError(f'a picture with values from {lowest:g} to {highest:g} was given, but 0..1 is meant; divide it '
                        'by its white, for example picture / 255.')
