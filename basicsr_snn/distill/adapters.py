"""Adapters: from a spiking student's feature to the shape of a teacher's."""
from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.errors import UserError

TIME_REDUCTIONS = ('mean', 'last', 'all')
"""How a feature over time meets a teacher's: its mean over T, its last step, or every step by itself."""


def reduce_time(feature: Tensor, time: str, batch: int) -> Tensor:
    """Bring a feature to pictures: (T, N, C, H, W) to (N, C, H, W), or to (T*N, C, H, W) for ``all``.

    Time that is folded into the batch, (T*N, C, H, W), is told by ``batch`` (N); a feature without time stays as it is.
    """
    if feature.dim() == 4:
        if feature.shape[0] == batch:
            return feature
        feature = feature.unflatten(0, (-1, batch))
    if time == 'mean':
        return feature.mean(0)
    if time == 'last':
        return feature[-1]
    return feature.flatten(0, 1)


class Adapter(nn.Module):
    """1x1 convolution of the student's channels to the teacher's, and a resize to the teacher's size.

    H-KD (arXiv 2504.01755) does not say how features of different shape meet; a linear projection of the student as in
    KDSNN (arXiv 2304.05627) is our choice, and so is averaging over areas (bilinear where the teacher is the larger
    one). It resizes before it projects where that is cheaper.

    Args:
        student_channels: Channels of the student's feature.
        teacher_channels: Channels of the teacher's feature, or ``None`` where the loss needs no equal channels.
        tail: Trained layers of a loss, behind all this.

    Shape:
        (N, student_channels, H, W) and a target size (H', W') to (N, teacher_channels, H', W').
    """

    def __init__(self, student_channels: int, teacher_channels: int | None, tail: nn.Module | None = None) -> None:
        super().__init__()
        self.project = nn.Identity() if teacher_channels is None else nn.Conv2d(student_channels, teacher_channels, 1)
        self.tail = nn.Identity() if tail is None else tail

    def forward(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        if feature.shape[-2] > size[0]:
            return self.tail(self.project(_resize(feature, size)))
        return self.tail(_resize(self.project(feature), size))


def _resize(feature: Tensor, size: Sequence[int]) -> Tensor:
    height, width = size
    if feature.shape[-2:] == (height, width):
        return feature
    if feature.shape[-2] > height:
        return F.adaptive_avg_pool2d(feature, (height, width))
    return F.interpolate(feature, size=(height, width), mode='bilinear', align_corners=False)


class Adapters(nn.Module):
    """The adapters of all hints, one module so that they train, synchronise and save together.

    Args:
        shapes: For each hint name: student's channels and teacher's channels (``None``: leave the channels).
        times: For each hint name: time reduction, one of :data:`TIME_REDUCTIONS`.
        tails: Trained layers of the losses that have some, by hint name.
    """

    def __init__(self, shapes: Mapping[str, tuple[int, int | None]], times: Mapping[str, str],
                 tails: Mapping[str, nn.Module] | None = None) -> None:
        super().__init__()
        self.times = dict(times)
        tails = tails or {}
        self.adapters = nn.ModuleDict({name: Adapter(*channels, tails.get(name)) for name, channels in shapes.items()})

    def forward(self, features: Mapping[str, Tensor],
                teacher: Mapping[str, Tensor]) -> dict[str, tuple[Tensor, Tensor]]:
        """Bring the features of every hint to one shape.

        Args:
            features: Student's feature for each hint name, (T, N, C, H, W), (T*N, C, H, W) or (N, C, H, W).
            teacher: Teacher's feature for each hint name, (N, C', H', W').

        Returns:
            For each hint name the pair to compare, both (N, C', H', W') or, for time ``all``, (T*N, C', H', W').
        """
        pairs = {}
        for name, adapter in self.adapters.items():
            target = teacher[name]
            student = reduce_time(features[name], self.times[name], target.shape[0])
            steps = student.shape[0] // target.shape[0]
            pairs[name] = adapter(student, target.shape[-2:]), target.repeat(steps, 1, 1, 1) if steps > 1 else target
        return pairs


def check_time(time: str, hint: str) -> str:
    """Return a valid time reduction, or raise a ``UserError`` that names the hint."""
    if time not in TIME_REDUCTIONS:
        raise UserError(f'Hint "{hint}" was given time: {time}; write one of {", ".join(TIME_REDUCTIONS)}.')
    return time
