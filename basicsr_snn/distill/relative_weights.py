"""Weights of hints that say how loud a hint is beside the truth, whatever the scale of a feature."""
from __future__ import annotations

import torch
from torch import Tensor

from basicsr_snn.distill.teaching import Lesson
from basicsr_snn.losses.rate_loss import mean_over_processes


def share_of_gradient(lesson: Lesson, distance: Tensor, feature: Tensor) -> Tensor:
    """The factor by which a hint's gradient at its feature gets the norm of that of the training's own losses there.

    Both are known without a pass through the layers before the feature, and nothing has to be remembered from step to
    step. The mean over the processes of a training.

    Args:
        lesson: What the student made of a batch.
        distance: The hint's loss, a scalar.
        feature: The student's feature that the hint reads, of which its picture is made.
    """
    truth = torch.stack(list(lesson.own_losses.values())).sum()
    of_truth, of_hint = (mean_over_processes(_norm(loss, feature)) for loss in (truth, distance))
    return torch.where(of_hint > 0, of_truth / of_hint, 0.0)


def _norm(loss: Tensor, feature: Tensor) -> Tensor:
    gradient, = torch.autograd.grad(loss, feature, retain_graph=True, allow_unused=True)
    return loss.new_zeros(()) if gradient is None else gradient.detach().float().norm()
