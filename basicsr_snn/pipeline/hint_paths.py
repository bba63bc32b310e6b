"""The paths that hints of an option file can name, in its student or its teachers."""
from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import torch

from basicsr_snn.distill.alignment import CellMeasure, UnalignedError
from basicsr_snn.distill.feature_hooks import first_layer, format_shape, probe_picture
from basicsr_snn.distill.feature_maps import crop_of, probed_shapes
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.pipeline.option_files import read_forced_options
from basicsr_snn.zoo.building import build, window_of

Role = Literal['student', 'teacher']
Row = tuple[str, str, str, str]
"""Path, kind of layer, shape at the training's crops, and how many pixels a cell covers or why no hint can be there."""


def hint_paths(file: str | Path, role: Role, force: Iterable[str] = ()) -> dict[str, list[Row]]:
    """The feature maps of a network, in order of execution.

    The hints of the file may be wrong or missing: whoever asks is about to write them.

    Args:
        file: Option file of a training.
        role: Whether the student's are wanted or the teachers'.
        force: Entries ``key:key=value`` that replace options of the file.

    Returns:
        A row for each feature map, under a title for each network.

    Raises:
        UserError: The file cannot be read, has mistakes elsewhere, or has no such network.
    """
    options = read_forced_options(file, force)
    check_options(without_hints(options))
    data = {'scale': options.get('scale'), **((options.get('datasets') or {}).get('train') or {})}
    probe = probe_picture(data.get('in_ch', 3), torch.device('cpu'), crop_of(data))
    return {_title(name, network, probe): _rows(network, role, probe)
            for name, network in _networks(options, role).items()}


def without_hints(options: dict[str, Any]) -> dict[str, Any]:
    """The options for checking all but the hints, which are about to be written."""
    options = copy.deepcopy(options)
    if isinstance(distill := options.get('distill'), dict):
        for key in ('hints', 'tails'):
            distill.pop(key, None)
    return options


def _networks(options: Mapping[str, Any], role: Role) -> dict[str, Mapping[str, Any]]:
    if role == 'student':
        return {role: options['network_g']}
    distill = options.get('distill') or {}
    several = distill.get('teachers') or ([{'name': role, **distill['teacher']}] if distill.get('teacher') else [])
    if not several:
        raise UserError('--paths teacher was given, but the option file has no distill: block with a teacher; write '
                        'one, or --paths student.')
    return {str(teacher['name']): teacher['network'] for teacher in several}


def _title(name: str, network: Mapping[str, Any], probe: torch.Tensor) -> str:
    return f'{name}: {network["type"]}, for crops of {probe.shape[-1]}x{probe.shape[-1]} pixels'


def _rows(network: Mapping[str, Any], role: Role, probe: torch.Tensor) -> list[Row]:
    net = as_restorer(build(network), window_of(network)).eval()
    shapes = {path: shape for path, shape in probed_shapes(net, role, probe).items() if len(shape) in (4, 5)}
    modules = dict(net.network.named_modules())
    measure = CellMeasure(net, shapes, probe, first_layer(net.network, shapes))
    rows = []
    for path, shape in shapes.items():
        try:
            cell = measure.cell(path)
            note = 'whole picture' if cell is None else f'{cell} px a cell'
        except UnalignedError as error:
            note = f'no hint: {error}'
        rows.append((path, type(modules[path]).__name__, format_shape(shape), note))
    return rows
