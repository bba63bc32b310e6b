"""How many outputs each input of an operator reaches, at the real borders: the fan-out of an event."""
from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import torch
from torch import Tensor


@lru_cache(maxsize=1024)
def reach(inputs: int, outputs: int, kernel: int, stride: int, padding: int, dilation: int,
          transposed: bool) -> Tensor:
    """Outputs that each input position reaches along one side of a convolution.

    Args:
        inputs: Length of the input along this side, >= 1.
        outputs: Length of the output.
        kernel: Kernel size; ``stride``, ``padding`` and ``dilation`` as in ``torch.nn.Conv2d``.
        transposed: Whether it is a transposed convolution.

    Returns:
        (inputs,) float64 on the CPU, whole numbers from 0 to ``kernel``. Not to be changed: the next call gets it too.
    """
    scattering, gathering = (inputs, outputs) if transposed else (outputs, inputs)
    taps = (torch.arange(scattering)[:, None] * stride - padding + torch.arange(kernel) * dilation)
    inside = (taps >= 0) & (taps < gathering)
    if transposed:
        return inside.sum(1).double()
    return torch.bincount(taps[inside], minlength=inputs).double()


def convolution_reach(received: Tensor, output: Tensor, kernel: Sequence[int], stride: Sequence[int],
                      padding: Sequence[int], dilation: Sequence[int], transposed: bool) -> list[Tensor]:
    """:func:`reach` along each side of a convolution from ``received`` (N, C, ...) to ``output`` (N, C', ...)."""
    sides = range(len(kernel))
    stride, padding, dilation = (list(given) * (len(kernel) if len(given) == 1 else 1)
                                 for given in (stride, padding, dilation))
    return [reach(received.shape[2 + i], output.shape[2 + i], kernel[i], stride[i], padding[i], dilation[i], transposed)
            for i in sides]


def weighted_sum(per_position: Tensor, reaches: Sequence[Tensor]) -> float:
    """Sum over all positions of what lies there times the outputs that it reaches.

    Args:
        per_position: One number for each position, shape (L,), (H, W) or (D, H, W).
        reaches: Outputs reached along each side.
    """
    summed = per_position.double()
    for reached in reversed(reaches):
        summed = summed @ reached.to(summed.device)
    return float(summed)
