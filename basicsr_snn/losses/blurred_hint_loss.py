"""Hints that the student answers with channels missing."""
from __future__ import annotations

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError
from basicsr_snn.losses.hint_contract import HintLoss


class BlurAndRestore(nn.Module):
    """Drops whole channels of (N, C, H, W) at random, anew for each picture and call, and restores them.

    conv3-ReLU-conv3 with C channels throughout. In eval mode nothing is dropped.
    """

    def __init__(self, channels: int, drop: float) -> None:
        super().__init__()
        self.drop = drop
        self.restore = nn.Sequential(nn.Conv2d(channels, channels, 3, padding=1), nn.ReLU(),
                                     nn.Conv2d(channels, channels, 3, padding=1))

    def forward(self, feature: Tensor) -> Tensor:
        if self.training:
            kept = torch.rand(*feature.shape[:2], 1, 1, device=feature.device) >= self.drop
            feature = feature * kept
        return self.restore(feature)


@LOSS_REGISTRY.register()
class BlurredHintLoss(HintLoss):
    r"""Blurred knowledge distillation (BKDSNN, arXiv 2407.09083) for features of restoration networks.

    .. math:: \mathrm{mean}\,(G(m \odot A(F_S)) - F_T)^2

    with the student's feature :math:`F_S` in the teacher's shape by the adapter A, a mask m that drops each channel
    with probability 0.15 and a restoring block G, both as in the paper. Ours: the mean instead of ``7e-5 * sum / N``,
    whose size depends on the patch, and no rescaling of the teacher by maxima, as these features are dense and signed.
    G is trained and saved with the hint's adapter and is no part of the student.

    Args:
        drop: Probability of a channel to be dropped, 0..1.
        loss_weight: Factor on the loss, beside the hint's own ``weight``.

    Shape:
        ``student`` (restored) and ``teacher`` (N, C, H, W) float to a scalar.

    Raises:
        UserError: ``drop`` out of range.

    .. code-block:: yaml

        loss: {type: BlurredHintLoss, drop: 0.15}
    """

    def __init__(self, drop: float = 0.15, loss_weight: float = 1.0) -> None:
        super().__init__()
        if not 0 <= drop < 1:
            raise UserError(f'BlurredHintLoss was given drop: {drop}; write a probability below 1, such as 0.15.')
        self.drop = drop
        self.loss_weight = loss_weight

    def adapter_tail(self, channels: int) -> nn.Module:
        return BlurAndRestore(channels, self.drop)

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.loss_weight * F.mse_loss(student, teacher)
