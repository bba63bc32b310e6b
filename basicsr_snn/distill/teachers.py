"""The frozen networks that teach: built from their options, run as deep as a step needs."""
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from basicsr.archs import build_network
from torch import Tensor, nn

from basicsr_snn.distill.adapters import reduce_time
from basicsr_snn.distill.feature_hooks import FeatureHooks, find_module
from basicsr_snn.errors import UserError
from basicsr_snn.images.padding import pad_at_end
from basicsr_snn.inference.calling import restore, to_channels_last
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.zoo.building import window_of
from basicsr_snn.zoo.weights import load_weights

ONLY = 'teacher'
"""Name of the teacher of a block that has one, under ``teacher:``."""


def build_teachers(options: Mapping[str, Any], device: torch.device) -> dict[str, Restorer]:
    """Build the teachers of a ``distill:`` block by name.

    Args:
        options: ``{teacher: {...}}``, or ``{teachers: [{name: NAME, ...}, ...]}``, each with ``network``, ``path`` and
            ``param_key`` (``level`` is read by :func:`told_levels`).
        device: Where to put them.

    Raises:
        UserError: None or both kinds of block, a teacher without a name of its own or without weights, unfit weights.
    """
    one, several = options.get('teacher'), options.get('teachers') or []
    if bool(one) == bool(several):
        raise UserError('The distill: block needs either teacher: {network, path} or teachers: [{name, network, path}, '
                        '...]; write one of them.')
    if one:
        return {ONLY: build_teacher(one, device)}
    names = [teacher.get('name') for teacher in several]
    if None in names or len(set(names)) < len(names):
        raise UserError(f'distill.teachers need names of their own, but have {", ".join(map(str, names))}; write name: '
                        'ffdnet for each.')
    return {teacher['name']: build_teacher(teacher, device) for teacher in several}


def build_teacher(options: Mapping[str, Any], device: torch.device) -> Restorer:
    """Build a frozen teacher: ``{network: {type: ...}, path: FILE, param_key: ~}``; a network that is built with its
    weights, such as ``PretrainedANN``, needs no path."""
    teacher = as_restorer(build_network(dict(options['network'])), window_of(options['network']))
    if options.get('path') is not None:
        load_weights(teacher.network, options['path'], options.get('param_key'))
    elif not teacher.carries_weights:
        raise UserError('distill.teacher has no path: an untrained teacher teaches nothing; write path: FILE.pth.')
    return to_channels_last(teacher, device).requires_grad_(False).eval()


def run_teacher(teacher: Restorer, paths: Iterable[str], picture: Tensor,
                sigma: Tensor | float | None, to_the_end: bool) -> tuple[dict[str, Tensor], Tensor | None]:
    """Features (N, C, H, W) of a teacher at ``paths`` and, if it is run to the end, its picture; without gradients.

    Of a teacher that has time, such as the ANN twin of a student, the mean over its steps.
    """
    paths = set(paths)
    if not paths and not to_the_end:
        return {}, None
    output = None
    with torch.no_grad(), FeatureHooks(teacher.network, paths, stop=not to_the_end) as hooks:
        output = restore(teacher, picture, sigma)
    return {path: reduce_time(feature, 'mean', len(picture)) for path, feature in hooks.features.items()}, output


def told_levels(options: Mapping[str, Any], teachers: Mapping[str, Restorer]) -> dict[str, float | None]:
    """Noise levels that the teachers of a ``distill:`` block are told of every picture, by name; None: that of each.

    Raises:
        UserError: A level for a teacher that takes none.
    """
    blocks = options.get('teachers') or [{**(options.get('teacher') or {}), 'name': ONLY}]
    told = {block['name']: block.get('level') for block in blocks}
    levels = {name: told.get(name) for name in teachers}
    for name, level in levels.items():
        if level is not None and not teachers[name].takes_sigma:
            raise UserError(f'distill: the teacher {type(teachers[name].network).__name__} has level: {level}, but '
                            'takes no noise level; leave it out, or take a teacher that does, such as FFDNet.')
    return levels


@contextmanager
def replaced_feature(net: nn.Module, path: str, feature: Tensor) -> Iterator[None]:
    """Context in which the module at ``path`` answers with ``feature`` (N, C, H, W), at each step of a network that has
    time, so that only what follows it is the net's. What the net pads inside is padded to the feature."""
    def replace(module: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> Tensor:
        bottom, right = (wanted - given for wanted, given in zip(output.shape[-2:], feature.shape[-2:], strict=True))
        padded = pad_at_end(feature, bottom, right)
        return padded.expand(output.shape[0], *padded.shape) if output.dim() == 5 else padded

    handle = find_module(net, path).register_forward_hook(replace)
    try:
        yield
    finally:
        handle.remove()
