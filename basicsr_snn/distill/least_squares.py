"""The linear map from one set of values to another that is right on average: how adapters begin, and how taps are
judged."""
from __future__ import annotations

import torch
from torch import Tensor

from basicsr_snn.losses.rate_loss import mean_over_processes

RIDGE = 1e-3
"""Pull of the weights towards 0, as a share of the mean square of what is read: it keeps a solution of few, or of
dependent, values small."""


def linear_map(values: Tensor, wanted: Tensor) -> tuple[Tensor, Tensor]:
    """Weights (K, C) and bias (C,) that predict ``wanted`` (M, C) from ``values`` (M, K) with the least squared error.

    Where several processes train, the answer is that of all their values, the same in each.
    """
    values, wanted = values.double(), wanted.double()
    means = mean_over_processes(values.mean(0)), mean_over_processes(wanted.mean(0))
    values, wanted = values - means[0], wanted - means[1]
    gram = mean_over_processes(values.T @ values / len(values))
    cross = mean_over_processes(values.T @ wanted / len(values))
    pull = RIDGE * gram.diagonal().mean().clamp_min(torch.finfo(torch.float32).tiny)
    weights = torch.linalg.solve(gram + pull * torch.eye(len(gram), dtype=gram.dtype, device=gram.device), cross)
    return weights, means[1] - means[0] @ weights


def explained(predicted: Tensor, wanted: Tensor) -> float:
    """R2: the share of the variance of ``wanted`` (M, C) that ``predicted`` explains, all channels alike; 1 is all,
    0 no more than their means, less is worse than these. Channels that never change are left out."""
    wanted, predicted = wanted.double(), predicted.double()
    variance = wanted.var(0, correction=0)
    changing = variance > torch.finfo(torch.float32).tiny
    if not changing.any():
        return 0.0
    errors = (wanted - predicted).square().mean(0)[changing] / variance[changing]
    return 1 - float(errors.mean())


def as_rows(feature: Tensor) -> Tensor:
    """(N, C, H, W) as (N*H*W, C)."""
    return feature.movedim(1, -1).flatten(0, -2)
