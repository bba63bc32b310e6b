"""Image loss in the frequency domain."""
from __future__ import annotations

import torch
from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor, nn

from basicsr_snn.errors import UserError


@LOSS_REGISTRY.register()
class FFTLoss(nn.Module):
    """Mean absolute difference of the two-dimensional spectra, real and imaginary parts alike.

    H-KD (arXiv 2504.01755) adds it to L1 with weight 0.1; the orthonormal scaling, which keeps the loss independent
    of the patch size, is our choice.

    Args:
        loss_weight: Factor on the loss.
        reduction: ``mean`` or ``sum`` over all coefficients.

    Shape:
        ``pred`` and ``target`` (N, C, H, W) float to a scalar.

    .. code-block:: yaml

        fft_opt: {type: FFTLoss, loss_weight: 0.1}
    """

    def __init__(self, loss_weight: float = 1.0, reduction: str = 'mean') -> None:
        super().__init__()
        if reduction not in ('mean', 'sum'):
            raise UserError(f'FFTLoss was given reduction: {reduction}; write mean or sum.')
        self.loss_weight = loss_weight
        self.reduction = reduction

    def forward(self, pred: Tensor, target: Tensor) -> Tensor:
        difference = torch.view_as_real(torch.fft.rfft2(pred.float() - target.float(), norm='ortho')).abs()
        return self.loss_weight * (difference.mean() if self.reduction == 'mean' else difference.sum())
