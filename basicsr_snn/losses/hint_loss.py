"""How far a student's feature is from a teacher's."""
from __future__ import annotations

from collections.abc import Callable

from basicsr.utils.registry import LOSS_REGISTRY
from torch import Tensor
from torch.nn import functional as F

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.losses.hint_contract import HintLoss


def cosine_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over pixels of 1 - cosine of the angle between the channel vectors of (N, C, H, W) features; 0..2."""
    return (1 - F.cosine_similarity(student, teacher, dim=1, eps=1e-6)).mean()


def attention_map(feature: Tensor) -> Tensor:
    """Spatial attention of (N, C, H, W): channel mean of squares, flattened, of unit length; (N, H*W)."""
    return F.normalize(feature.square().mean(1).flatten(1), dim=1)


def attention_distance(student: Tensor, teacher: Tensor) -> Tensor:
    """Mean over the batch of the squared distance of attention maps (arXiv 1612.03928); 0..2. Channels may differ."""
    return (attention_map(student) - attention_map(teacher)).square().sum(1).mean()


CRITERIA: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    'mse': F.mse_loss,
    'l1': F.l1_loss,
    'cosine': cosine_distance,
    'attention': attention_distance,
}
"""Distances between features by name. All are means, so that a weight does not depend on patch or batch size."""


@LOSS_REGISTRY.register()
class FeatureHintLoss(HintLoss):
    """Distance of a student's adapted feature to a teacher's feature (hint, FitNets arXiv 1412.6550).

    ``mse`` is H-KD's (arXiv 2504.01755); ``attention`` compares where the energy lies and needs no equal channel counts
    (attention transfer, arXiv 1612.03928; the reading of LaSNN, arXiv 2304.09101, that needs no projection); ``l1`` and
    ``cosine`` are our additions.

    Args:
        criterion: ``mse``, ``l1``, ``cosine`` or ``attention``.
        loss_weight: Factor on the loss, beside the hint's own ``weight``.

    Shape:
        ``student`` and ``teacher`` (N, C, H, W) float to a scalar.

    Raises:
        UserError: Unknown criterion.

    .. code-block:: yaml

        loss: {type: FeatureHintLoss, criterion: mse}
    """

    def __init__(self, criterion: str = 'mse', loss_weight: float = 1.0) -> None:
        super().__init__()
        if criterion not in CRITERIA:
            raise UserError(f'FeatureHintLoss has no criterion "{criterion}"; did you mean '
                            f'{" or ".join(near_matches(criterion, CRITERIA))}? Known: {", ".join(CRITERIA)}.')
        self.criterion = criterion
        self.loss_weight = loss_weight
        self.matches_channels = criterion != 'attention'

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.loss_weight * CRITERIA[self.criterion](student, teacher)
