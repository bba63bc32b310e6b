"""Rounding the weights of a layer together: what one weight loses by rounding, its neighbours make up for."""
from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.spiking.blocks import spiking_convs

Sides = tuple[int, int]

DAMPING = 0.01
"""Share of the mean square of an input that is added to each: inputs that never fire would leave the solution open."""

SHARES = [1 - 0.025 * step for step in range(11)]
"""Tried scales, as shares of the one that just holds the largest weight; equal errors leave the first."""


class InputProducts:
    """Forward pre-hook of a convolution: mean products of the values that meet under its kernel.

    Attributes:
        total: Sum of the products, float64 (C k k, C k k).
        places: How many places of pictures were summed.
    """

    def __init__(self) -> None:
        self.total: Tensor | float = 0.0
        self.places = 0

    def __call__(self, conv: nn.Conv2d, inputs: tuple[Tensor, ...]) -> None:
        patches = F.unfold(inputs[0], conv.kernel_size, padding=cast(Sides, conv.padding), stride=conv.stride)
        rows = patches.transpose(1, 2).flatten(0, 1).double()
        self.total = self.total + rows.T @ rows
        self.places += len(rows)

    def mean(self) -> Tensor:
        return torch.as_tensor(self.total) / self.places


@torch.no_grad()
def watch_input_products(net: nn.Module, pictures: Sequence[Tensor]) -> list[Tensor]:
    """Mean products of the spikes that meet under each kernel, float64 (C k k, C k k), in the order of
    :func:`~basicsr_snn.spiking.blocks.spiking_convs`.

    Args:
        net: Folded, on the CPU.
        pictures: Typical inputs, each (N, C, H, W) in 0..1.
    """
    convs = [layer.conv for layer in spiking_convs(net)]
    products = [InputProducts() for _ in convs]
    with ExitStack() as hooks:
        for conv, product in zip(convs, products, strict=True):
            hooks.callback(conv.register_forward_pre_hook(product).remove)
        for picture in pictures:
            net(picture)
    return [product.mean() for product in products]


def round_together(weight: Tensor, products: Tensor, largest: int) -> tuple[Tensor, Tensor]:
    """Codes of weights and what one unit of them is worth, chosen so that the layer's answers change least.

    Of some scales for each output channel, from that which just holds the largest weight down to three quarters of it,
    the one is taken whose rounded weights answer best.

    Args:
        weight: (C', C, k, k).
        products: Mean products of the inputs, (C k k, C k k).
        largest: Magnitude of the largest code.

    Returns:
        Whole numbers in -largest..largest, float32 (C', C, k, k), and scales, (C',).
    """
    rows = weight.detach().flatten(1).double()
    widest = rows.abs().amax(1, keepdim=True).clamp_min(torch.finfo(torch.float32).tiny) / largest
    units = torch.cat([widest * share for share in SHARES])
    wanted = rows.repeat(len(SHARES), 1)
    codes = _rounded_in_turn(wanted, units, products, largest)
    change = codes * units - wanted
    errors = (change @ products * change).sum(1).view(len(SHARES), len(rows))
    best = errors.argmin(0) * len(rows) + torch.arange(len(rows))
    return codes[best].float().view_as(weight), units[best].float().flatten()


def _rounded_in_turn(rows: Tensor, unit: Tensor, products: Tensor, largest: int) -> Tensor:
    """GPTQ (Frantar et al., arXiv 2210.17323): weights are rounded one after the other, and what a weight loses is made
    up for by those that are still floats, as far as their inputs go together."""
    damped = products + torch.eye(len(products), dtype=torch.float64) * (DAMPING * products.diagonal().mean() + 1e-12)
    factor = torch.linalg.cholesky(torch.linalg.inv(damped), upper=True)
    left, codes = rows.clone(), torch.zeros_like(rows)
    for place in range(left.shape[1]):
        column = left[:, place:place + 1]
        code = (column / unit).round().clamp(-largest, largest)
        codes[:, place:place + 1] = code
        left[:, place:] -= (column - code * unit) / factor[place, place] * factor[place, place:]
    return codes
