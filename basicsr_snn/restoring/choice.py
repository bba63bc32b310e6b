"""Which network suits a picture: by its noise level, where that is estimated, and by what is to be done."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from basicsr_snn import zoo
from basicsr_snn.errors import UserError
from basicsr_snn.inference.defaults import FACTORS
from basicsr_snn.weight_files.card import CAMERA
from basicsr_snn.zoo.trained_network import TrainedNetwork

NEARLY = 0.125
"""How far an estimated level may be from that of a student, as a share: the estimate is no better."""


def level_of_a_student(channels: int, level: float) -> float:
    """An estimated level, or that of the colour student which is trained for nearly as much noise.

    It is rounded to whole numbers, so that few networks are kept at a time.
    """
    if channels == 3:
        single = [row.noise for row in zoo.rows() if isinstance(row.noise, int | float)]
        trained = [noise for noise in single if _is_the_default_at(noise)]
        near = [noise for noise in trained if abs(noise - level) <= NEARLY * noise]
        if near:
            return min(near, key=lambda noise: abs(noise - level))
    return max(1.0, round(level))


def _is_the_default_at(noise: float) -> bool:
    return zoo.row(zoo.default_name(3, noise)).noise == noise


def usual_strength(noise: Any) -> float | None:
    """How much of its change a network makes that was trained for a kind or level of noise, when nothing is said: all,
    or None, as much as there is noise."""
    return None if noise == CAMERA else 1.0


def refuse_other_task(task: str | None, trained: TrainedNetwork, scale: int, named: Callable[[str], str],
                      instead: Callable[[str | None], str]) -> None:
    """Refuse a network that says it was trained for another task, or enlarges otherwise than the task does.

    Args:
        task: That was asked for; None: any.
        trained: The network.
        scale: By how much it enlarges.
        named: How a task is written where the user asked for it.
        instead: What to write there for another task, or for None.

    Raises:
        UserError: It is for another task.
    """
    told = trained.known_card().task or (trained.card.task if trained.card else None)
    if task is not None and told not in (None, task):
        raise UserError(f'{trained.name} was trained for {named(told)}, but {task} was asked for; {instead(told)}, or '
                        'choose another network.')
    factor = FACTORS.get(task or '', 1)
    if task is not None and scale != factor:
        does = 'keeps the size of pictures' if scale == 1 else f'enlarges pictures {scale} times'
        raise UserError(f'{trained.name} {does}, but {named(task)} asks for a network for '
                        f'restoration at scale {factor}; choose another one, or {instead(None)}.')
