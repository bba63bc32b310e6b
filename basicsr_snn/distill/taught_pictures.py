"""What hints can name in the place of a teacher's module: its picture, or what it takes away; and the truth as teacher.
"""
from __future__ import annotations

from fractions import Fraction

from torch import Tensor, nn

from basicsr_snn.distill.feature_maps import FeatureMap
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import Restorer

PICTURE, RESIDUAL = 'picture', 'residual'
"""Paths that stand for no module: the restored picture, and the noisy picture minus this one."""

TRUTH = 'truth'
"""Name of the teacher that nobody trained: the clean pictures."""


def is_picture(path: str, teacher: nn.Module | None) -> bool:
    """Whether a hint's path stands for a picture; a module of that name goes first. ``None``: the truth teaches."""
    return path in (PICTURE, RESIDUAL) and (teacher is None or path not in dict(teacher.named_modules()))


def picture_map(path: str, student: Restorer, probe: Tensor) -> FeatureMap:
    """The map of a picture, as if it were a feature.

    Args:
        path: ``picture`` or ``residual``, else there is a ``UserError``: the truth has no modules.
        student: Whose scale the pictures have.
        probe: A picture (1, C, H, W) of the size of the training's crops.
    """
    if path not in (PICTURE, RESIDUAL):
        raise UserError(f'A hint is of the {TRUTH}, but its teacher is "{path}", and clean pictures have no modules; '
                        f'write teacher: {PICTURE} or teacher: {RESIDUAL}.')
    if path == RESIDUAL and student.scale != 1:
        raise UserError(f'A hint has teacher: {RESIDUAL}, the noisy picture minus the restored one, but at scale '
                        f'{student.scale} these differ in size; write teacher: {PICTURE}.')
    *outer, height, width = probe.shape
    return FeatureMap((*outer, height * student.scale, width * student.scale), Fraction(1, student.scale))


def shown(path: str, restored: Tensor, noisy: Tensor) -> Tensor:
    """What a path of :data:`PICTURE` or :data:`RESIDUAL` stands for in a batch."""
    return restored if path == PICTURE else noisy - restored
