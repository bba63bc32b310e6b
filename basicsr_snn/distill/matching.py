"""Which features of a student tell of which features of a teacher: taps chosen by measurement, not by name.

What counts is how much of a teacher's feature a linear map finds in the student's, on pictures that the map was not
made from. The map is that of a hint's adapter with ``resize: unshuffle`` and ``picture: true``.
"""
from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.distill.adapters import reduce_time
from basicsr_snn.distill.alignment import Alignment, Cell, CellMeasure, UnalignedError
from basicsr_snn.distill.feature_hooks import features_of, first_layer
from basicsr_snn.distill.feature_maps import probed_shapes
from basicsr_snn.distill.least_squares import as_rows, explained, linear_map
from basicsr_snn.distill.taught_pictures import PICTURE, RESIDUAL, shown
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer

COARSEST = 8
"""Largest side of a grid's cell in pixels of the finer map: beyond it a map has more channels than pictures tell."""


@dataclass(frozen=True)
class Taps:
    """Features of one network for a batch of pictures, by path, with the cells of their maps."""

    features: Mapping[str, Tensor]
    cells: Mapping[str, Cell]


@dataclass(frozen=True)
class Match:
    """How much of each teacher's feature is found in each student's.

    Attributes:
        alone: By teacher's path, in the noisy picture alone.
        pairs: By teacher's and student's path, in the student's feature and the noisy picture; a pair is missing whose
            maps have no common grid.
    """

    alone: Mapping[str, float]
    pairs: Mapping[tuple[str, str], float]


def stages(net: nn.Module) -> Iterator[str]:
    """Paths of a network's stages: what containers hold, and sequences themselves, but nothing inside other modules."""
    def below(module: nn.Module, path: str) -> Iterator[str]:
        for name, child in module.named_children():
            inner = f'{path}.{name}' if path else name
            if not isinstance(child, nn.ModuleList | nn.ModuleDict):
                yield inner
            if isinstance(child, nn.Sequential | nn.ModuleList | nn.ModuleDict):
                yield from below(child, inner)

    return below(net, '')


def taps_of(net: Restorer, role: str, noisy: Tensor) -> Taps:
    """Features at the stages of a network that hints can name, each once, of pictures (N, C, H, H).

    Of a network with time the mean over its steps.
    """
    probe = torch.zeros_like(noisy[:1])
    shapes = probed_shapes(net, role, probe)
    paths = [path for path in stages(net.network) if len(shapes.get(path, ())) in (4, 5)]
    measure = CellMeasure(net, paths, probe, first_layer(net.network, shapes))
    cells: dict[str, Cell] = {}
    for path in paths:
        try:
            cells[path] = measure.cell(path)
        except UnalignedError:
            continue
    known = {path: cell for path, cell in cells.items() if cell is not None}
    if not known:
        raise UserError(f'The {role} {type(net.network).__name__} has no stage that a hint can name; list all '
                        f'paths with basicsr-snn check --paths {role}.')
    features = {path: reduce_time(feature, 'mean', len(noisy))
                for path, feature in features_of(net, known, noisy).items()}
    features = _each_once({path: features[path] for path in known})
    return Taps(features, {path: known[path] for path in features})


def _each_once(features: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Without those that repeat what a shorter path before them gives: the last module of a sequence."""
    kept: dict[str, Tensor] = {}
    for path, feature in features.items():
        if not any(other.shape == feature.shape and torch.equal(other, feature) for other in kept.values()):
            kept[path] = feature
    return kept


def pictures_as_taps(restored: Tensor, noisy: Tensor) -> Taps:
    """The teacher's picture and, at scale 1, what it takes away, which hints can name, too."""
    paths = (PICTURE, RESIDUAL) if restored.shape == noisy.shape else (PICTURE,)
    features = {path: shown(path, restored, noisy) for path in paths}
    return Taps(features, dict.fromkeys(features, Fraction(noisy.shape[-1], restored.shape[-1])))


def match(student: Taps, teacher: Taps, noisy: Tensor) -> Match:
    """Measure all pairs; the first half of the pictures makes the maps, the other half tells how good they are."""
    alone, pairs = {}, {}
    for path, feature in teacher.features.items():
        rows = _found(feature, teacher.cells[path], None, None, noisy)
        if rows is not None:
            alone[path] = rows
        for name, mine in student.features.items():
            share = _found(feature, teacher.cells[path], mine, student.cells[name], noisy)
            if share is not None:
                pairs[path, name] = share
    return Match(alone, pairs)


def _found(theirs: Tensor, cell: Cell, mine: Tensor | None, of_mine: Cell, noisy: Tensor) -> float | None:
    """R2 of the teacher's feature in the student's, if there is one, and the noisy picture; None without a common grid.
    """
    alignment = Alignment(of_mine, cell)
    maps = [alignment.cut_teacher(theirs, noisy), alignment.cut_picture(noisy)]
    maps += [] if mine is None else [alignment.cut_student(mine, noisy)]
    grid = min(one.shape[-1] for one in maps[:1] + maps[2:])
    if any(one.shape[-1] % grid or one.shape[-1] // grid > COARSEST for one in maps):
        return None
    wanted, *read = (F.pixel_unshuffle(one, one.shape[-1] // grid) for one in maps)
    return held_out(torch.cat(read, 1), wanted)


def held_out(values: Tensor, wanted: Tensor) -> float:
    """R2 of a linear map from (N, K, H, W) to (N, C, H, W) that is made of the first half of the pictures, on the
    others."""
    half = len(values) // 2
    weights, bias = linear_map(as_rows(values[:half]), as_rows(wanted[:half]))
    return explained(as_rows(values[half:]).double() @ weights + bias, as_rows(wanted[half:]))


