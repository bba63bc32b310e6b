"""What teaches a student beside the truth: one interface for frozen teachers and for a twin that trains along."""
from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from basicsr_snn.data.batch import Batch
from basicsr_snn.distill.feature_hooks import FeatureHooks


@dataclass(frozen=True)
class Lesson:
    """What the student made of one batch, for its teachers to judge.

    Attributes:
        batch: The pictures, with their truth where it is known.
        restored: What the student made of them, (N, C, H, W), or (T*N, C, H, W) one step after the other.
        features: The student's features by module path, those that :meth:`Teaching.watch` kept.
        iteration: Current iteration of the training.
        image_losses: The training's own losses of restored pictures against the truth, by log key.
        own_losses: What they, and a budget, gave for the student, by log key.
    """

    batch: Batch
    restored: Tensor
    features: Mapping[str, Tensor]
    iteration: int
    image_losses: Callable[[Tensor], Mapping[str, Tensor]]
    own_losses: Mapping[str, Tensor] = field(default_factory=dict)


class Teaching(ABC):
    """The ``distill:`` block at work.

    Attributes:
        trained: The networks that train beside the student and are never part of its file, by the name under which
            they are saved and resumed. The model may replace them by their data-parallel wrappers. Empty: none.
        adapter_lr: Learning rate of these, where the optimiser of the student steps them; neutral: that of the student.
        every: Teaches at each step that is a multiple of this; neutral: at all.
        reads_first_batch: Whether the first step sets something; neutral: nothing.
    """

    trained: dict[str, nn.Module]
    adapter_lr: float | None = None
    every: int = 1
    reads_first_batch: bool = False

    @abstractmethod
    def watch(self, student: nn.Module) -> FeatureHooks:
        """Context in which the student's features are kept as it runs, those that the losses need."""

    @abstractmethod
    def losses(self, lesson: Lesson) -> dict[str, Tensor]:
        """Weighted loss terms of one step, by log key."""

    @abstractmethod
    def optimizer_options(self, of_student: Mapping[str, Any]) -> Mapping[str, Any] | None:
        """Options of the optimiser of :attr:`trained`, given the student's; None: the student's optimiser steps them
        too."""

    @abstractmethod
    def describe(self) -> list[str]:
        """What is taught, a line each."""
