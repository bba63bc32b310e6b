"""The feature maps of a network: their shapes at a training's crops, and how large their cells are."""
from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from basicsr_snn.distill.alignment import Cell, CellMeasure, UnalignedError
from basicsr_snn.distill.feature_hooks import PROBE_SIZE, feature_shapes, first_layer, format_shape, shape_of_hint
from basicsr_snn.errors import UserError, first_line
from basicsr_snn.inference.contract import Restorer


@dataclass(frozen=True)
class FeatureMap:
    """A feature map of a network.

    Attributes:
        shape: (N, C, H, W) or (T, N, C, H, W), of one picture.
        cell: Side of its cells in pixels; None where one value stands for the whole picture.
    """

    shape: tuple[int, ...]
    cell: Cell


def hinted_maps(net: Restorer, role: str, paths: Collection[str], probe: Tensor) -> dict[str, FeatureMap]:
    """The feature maps at these paths.

    Args:
        net: Student or teacher.
        role: Which of the two, for the sentences.
        paths: Module paths in ``net.network``.
        probe: A square picture (1, C, H, H) of the size of the training's crops.

    Raises:
        UserError: A network that cannot read the picture, a path that gives no feature map, a map that can't be
            compared with another at the same places.
    """
    shapes = probed_shapes(net, role, probe)
    owner = f'{role} {type(net.network).__name__}'
    for path in paths:
        shape_of_hint(shapes, path, owner)
    if not paths:
        return {}
    measure = CellMeasure(net, paths, probe, first_layer(net.network, shapes))
    found = {}
    for path in paths:
        try:
            found[path] = FeatureMap(shapes[path], measure.cell(path))
        except UnalignedError as error:
            raise UserError(f'Hint path "{path}" of the {owner} gives {format_shape(shapes[path])} for a crop of '
                            f'{probe.shape[-1]} pixels, of which it can\'t be told what part of the picture they show: '
                            f'{error}; hint at another module, of those that basicsr-snn check --paths {role} '
                            'lists.') from error
    return found


def probed_shapes(net: Restorer, role: str, probe: Tensor) -> dict[str, tuple[int, ...]]:
    """Shapes of what all modules give for a picture (1, C, H, W), by path.

    Raises:
        UserError: The network cannot read it.
    """
    try:
        return feature_shapes(net, probe)
    except (RuntimeError, ValueError, AssertionError) as error:
        channels, size = probe.shape[1], probe.shape[-1]
        raise UserError(f'The {role} {type(net.network).__name__} cannot read pictures of {channels} channels and '
                        f'{size}x{size} pixels ({first_line(error, 160)}); choose a {role} for in_ch: {channels} and '
                        f'gt_size: {size} of the training set.') from error


def crop_of(data: Mapping[str, Any]) -> int:
    """Side of what the network reads in training, by the ``datasets: train:`` block; 32 where crops have no size."""
    return data['gt_size'] // (data.get('scale') or 1) if data.get('gt_size') else PROBE_SIZE


def format_part(shape: tuple[int, ...], cells: int | None) -> str:
    """A shape, and of how much of it a hint is, where that is not all: ``64x64x64 (48x48 of it compared)``."""
    part = '' if cells is None or cells >= shape[-1] else f' ({cells}x{cells} of it compared)'
    return format_shape(shape) + part
