"""The contract of a hint loss: what a distance between features tells of itself."""
from __future__ import annotations

from abc import ABC, abstractmethod

from torch import Tensor, nn


class HintLoss(nn.Module, ABC):
    """A distance of a student's adapted feature to a teacher's, both (N, C, H, W), to a scalar.

    The values given here are neutral: those of a loss that compares value by value and trains nothing, such as
    BasicSR's ``L1Loss``. A loss that does not inherit from this class is wrapped once, by :func:`as_hint_loss`.

    Attributes:
        matches_channels: Whether it compares channel by channel, so that an adapter has to bring the student's feature
            to the teacher's number of them; neutral: true.
    """

    matches_channels: bool = True

    def adapter_tail(self, channels: int) -> nn.Module:
        """What the hint's adapter ends with: layers between the student's feature and this loss, which are trained and
        saved with the adapter. Neutral: nothing.

        Args:
            channels: Channels of the teacher's feature.
        """
        return nn.Identity()

    @abstractmethod
    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        """The distance, a scalar."""


class WrappedLoss(HintLoss):
    """The contract around a loss that does not state it."""

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, student: Tensor, teacher: Tensor) -> Tensor:
        return self.loss(student, teacher)


def as_hint_loss(loss: nn.Module) -> HintLoss:
    """The loss itself where it states the contract, else the contract around it."""
    return loss if isinstance(loss, HintLoss) else WrappedLoss(loss)
