"""Adapters: from a spiking student's feature to the shape of a teacher's."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.distill.least_squares import as_rows, linear_map
from basicsr_snn.errors import UserError
from basicsr_snn.losses.rate_loss import mean_over_processes

TIME_REDUCTIONS = ('mean', 'last', 'all')
"""How a feature over time meets a teacher's: its mean over T, its last step, or every step by itself."""

RESIZES = ('pool', 'unshuffle')
"""How features of other sizes meet: averaged over areas, or with the pixels of each area as channels."""


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


@dataclass(frozen=True)
class AdapterForm:
    """How an adapter is made; as :class:`Adapter` explains. The values given here are H-KD's, as far as it tells.

    Attributes:
        resize: One of :data:`RESIZES`.
        picture: Whether the adapter reads the noisy picture, too.
        unit: Whether the teacher's channels are brought to mean 0 and variance 1.
        fit: Whether it begins as the best linear map of the first batch.
    """

    resize: str = 'pool'
    picture: bool = False
    unit: bool = False
    fit: bool = False

    @property
    def reads_first_batch(self) -> bool:
        """Whether the first batch sets something."""
        return self.unit or self.fit


@dataclass(frozen=True)
class Meeting:
    """What an adapter brings together: channels and rows of the maps, as far as they show the same.

    Attributes:
        student: Of the student's feature.
        teacher: Of the teacher's feature; no channels where the loss needs no equal ones.
        picture: Of the picture.
    """

    student: tuple[int, int]
    teacher: tuple[int | None, int]
    picture: tuple[int, int]

    def adapter(self, form: AdapterForm, tail: nn.Module | None = None) -> Adapter:
        """An adapter for maps of these sizes.

        Raises:
            UserError: Sizes that don't divide, for ``unshuffle``; a form for a loss that needs no projection.
        """
        (channels, side), (wanted, wanted_side), (of_picture, picture_side) = self.student, self.teacher, self.picture
        grid = min(side, wanted_side)
        if wanted is None and form != AdapterForm(form.resize):
            raise UserError('picture, unit and fit were given to the adapter of a loss that compares no channels; take '
                            'them out, or take another criterion.')
        reads = channels * _cells(side, grid, form)
        reads += of_picture * _cells(picture_side, grid, form) if form.picture else 0
        return Adapter(reads, wanted, tail, form, _cells(wanted_side, grid, form))


def _cells(side: int, grid: int, form: AdapterForm) -> int:
    """How many channels one becomes on a coarser grid."""
    if form.resize == 'pool':
        return 1
    if side % grid:
        raise UserError(f'resize: unshuffle was given to maps of {side} and {grid} cells, of which one is no multiple '
                        'of the other; write resize: pool, or hint at other modules.')
    return (side // grid) ** 2


class Adapter(nn.Module):
    """1x1 convolution of the student's channels to the teacher's, and a resize to the teacher's size.

    H-KD (arXiv 2504.01755) does not say how features of different shape meet; a linear projection of the student as in
    KDSNN (arXiv 2304.05627) is our choice, and so is averaging over areas (bilinear where the teacher is the larger
    one). It projects on the coarser of both grids, which is cheaper.

    A student's feature holds more than its averages tell. With ``resize: unshuffle`` the pixels of an area become
    channels of the coarser grid, and nothing is lost. With ``picture`` the noisy picture stands beside the student's
    feature, so that a student that makes a residual can be compared with a teacher that makes a picture: what the
    teacher takes from its input need not come from the student. With ``unit`` each channel of the teacher has mean 0
    and variance 1, those of the first batch, so that a weight does not depend on the teacher's scale. With ``fit`` the
    convolution begins as the best linear map of the first batch, and the student is not led astray by a random one.
    What the first batch set is saved and resumed with the adapter. All four are our choice.

    Args:
        reads: Channels that are projected: the student's, with those of the picture.
        teacher_channels: Channels of the teacher's feature, or ``None`` where the loss needs no equal channels.
        tail: Trained layers of a loss, behind all this.
        form: How they meet.
        enlarged: Of a teacher with the finer grid, and ``unshuffle``: its cells in one cell of the student.

    Shape:
        (N, C, H, W), a target size (H', W') and the picture (N, C'', H'', W'') to (N, teacher_channels, H', W').
    """

    fitted: Tensor
    mean: Tensor
    deviation: Tensor

    def __init__(self, reads: int, teacher_channels: int | None, tail: nn.Module | None = None,
                 form: AdapterForm | None = None, enlarged: int = 1) -> None:
        super().__init__()
        self.form = form or AdapterForm()
        self.project = nn.Identity() if teacher_channels is None else nn.Conv2d(reads, teacher_channels * enlarged, 1)
        self.tail = nn.Identity() if tail is None else tail
        if self.form.unit:
            self.register_buffer('mean', torch.zeros(teacher_channels or 0, 1, 1))
            self.register_buffer('deviation', torch.ones(teacher_channels or 0, 1, 1))
        if self.form.reads_first_batch:
            self.register_buffer('fitted', torch.tensor(False))
        self._is_fitted = not self.form.reads_first_batch

    def forward(self, feature: Tensor, size: Sequence[int], picture: Tensor | None = None) -> Tensor:
        return self.tail(self._up(self.project(self._values(feature, size, picture)), size))

    def target(self, teacher: Tensor) -> Tensor:
        """What the student's feature is compared with, given the teacher's (N, C', H', W')."""
        return (teacher - self.mean) / self.deviation if self.form.unit else teacher

    @torch.no_grad()
    def read_first_batch(self, feature: Tensor, teacher: Tensor, picture: Tensor | None = None) -> None:
        """Let the first batch of a training, all processes together, set what it shall; later ones change nothing."""
        if self._is_fitted:
            return
        if not bool(self.fitted):  # else this is a training that goes on
            self._set_unit(teacher)
            if self.form.fit and isinstance(self.project, nn.Conv2d):
                values = self._values(feature, teacher.shape[-2:], picture)
                wanted = self._down(self.target(teacher), values.shape[-2:])
                weights, bias = linear_map(as_rows(values), as_rows(wanted))
                self.project.weight.copy_(weights.T[..., None, None])
                self.project.bias.copy_(bias)  # type: ignore[union-attr]  # it is built with one
            self.fitted.fill_(True)
        self._is_fitted = True

    def _set_unit(self, teacher: Tensor) -> None:
        if self.form.unit:
            self.mean.copy_(mean_over_processes(teacher.mean((0, 2, 3))).view(-1, 1, 1))
            variance = mean_over_processes((teacher - self.mean).square().mean((0, 2, 3))).view(-1, 1, 1)
            self.deviation.copy_(torch.where(variance > 0, variance.sqrt(), 1.0))

    def _values(self, feature: Tensor, size: Sequence[int], picture: Tensor | None) -> Tensor:
        """What is projected, on the coarser grid."""
        grid = size if feature.shape[-2] > size[0] else feature.shape[-2:]
        values = self._down(feature, grid)
        if not self.form.picture or picture is None:
            return values
        return torch.cat([values, self._down(picture, grid).to(values.dtype)], 1)

    def _down(self, feature: Tensor, grid: Sequence[int]) -> Tensor:
        if self.form.resize == 'pool' or feature.shape[-2:] == tuple(grid):
            return _resize(feature, grid)
        return F.pixel_unshuffle(feature, feature.shape[-2] // grid[0])

    def _up(self, feature: Tensor, size: Sequence[int]) -> Tensor:
        if self.form.resize == 'pool' or feature.shape[-2:] == tuple(size):
            return _resize(feature, size)
        return F.pixel_shuffle(feature, size[0] // feature.shape[-2])


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
        adapters: Adapter of each hint, by its name.
        times: For each hint name: time reduction, one of :data:`TIME_REDUCTIONS`.
    """

    def __init__(self, adapters: Mapping[str, Adapter], times: Mapping[str, str]) -> None:
        super().__init__()
        self.times = dict(times)
        self.adapters = nn.ModuleDict(dict(adapters))

    def forward(self, features: Mapping[str, Tensor], teacher: Mapping[str, Tensor],
                pictures: Mapping[str, Tensor] | None = None) -> dict[str, tuple[Tensor, Tensor]]:
        """Bring the features of every hint to one shape.

        Args:
            features: Student's feature for each hint name, (T, N, C, H, W), (T*N, C, H, W) or (N, C, H, W).
            teacher: Teacher's feature for each hint name, (N, C', H', W').
            pictures: The part of the noisy picture (N, C'', H'', W'') that both show, for the hints whose adapters
                read it.

        Returns:
            For each hint name the pair to compare, both (N, C', H', W') or, for time ``all``, (T*N, C', H', W').
        """
        pairs = {}
        for name, adapter in self.adapters.items():
            student = reduce_time(features[name], self.times[name], teacher[name].shape[0])
            pairs[name] = self._pair(cast('Adapter', adapter), student, teacher[name], (pictures or {}).get(name))
        return pairs

    def _pair(self, adapter: Adapter, student: Tensor, teacher: Tensor,
              picture: Tensor | None) -> tuple[Tensor, Tensor]:
        steps = student.shape[0] // teacher.shape[0]
        if steps > 1:
            teacher = teacher.repeat(steps, 1, 1, 1)
            picture = None if picture is None else picture.repeat(steps, 1, 1, 1)
        if self.training:
            adapter.read_first_batch(student, teacher, picture)
        return adapter(student, teacher.shape[-2:], picture), adapter.target(teacher)


def check_time(time: str, hint: str) -> str:
    """Return a valid time reduction, or raise a ``UserError`` that names the hint."""
    if time not in TIME_REDUCTIONS:
        raise UserError(f'Hint "{hint}" was given time: {time}; write one of {", ".join(TIME_REDUCTIONS)}.')
    return time
