"""How the weight of all hints changes over training."""
from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from basicsr_snn.errors import UserError, near_matches


def _constant(progress: float) -> float:
    return 1.0


def _linear(progress: float) -> float:
    return 1.0 - progress


def _cosine(progress: float) -> float:
    return 0.5 * (1.0 + math.cos(math.pi * progress))


def _step(progress: float) -> float:
    return 1.0 if progress < 1.0 else 0.0


SHAPES: dict[str, Callable[[float], float]] = {
    'constant': _constant, 'linear': _linear, 'cosine': _cosine, 'step': _step}
"""Fall from 1 at the start to 0 at ``end_iter`` by name; ``step`` ends the hints at once, as after the first of
FitNets' two stages, but with the task's loss from the start."""


def build_schedule(options: Mapping[str, Any] | None) -> Callable[[int], float]:
    """Build the factor on all hint weights as a function of the iteration.

    H-KD (arXiv 2504.01755) speaks of a schedule without giving its form; constant is the default, the rest is our
    choice.

    Args:
        options: ``{type, end_iter, end_weight}``, or ``None`` for a constant factor of 1.

    Returns:
        A function from the iteration (1, 2, ...) to the factor, 1 at the start and ``end_weight`` from ``end_iter`` on.

    Raises:
        UserError: Unknown type, or no ``end_iter`` where the type needs one.

    .. code-block:: yaml

        schedule: {type: cosine, end_iter: 60000, end_weight: 0.0}
    """
    options = dict(options or {'type': 'constant'})
    name = options.get('type', 'constant')
    if name not in SHAPES:
        raise UserError(f'Hint schedule "{name}" is not known; did you mean {" or ".join(near_matches(name, SHAPES))}? '
                        f'Known: {", ".join(SHAPES)}.')
    if name == 'constant':
        return lambda iteration: 1.0
    end_iter = options.get('end_iter')
    if not isinstance(end_iter, int) or end_iter < 1:
        raise UserError(f'Hint schedule {name} was given end_iter: {end_iter}; write the iteration at which it ends.')
    end_weight = float(options.get('end_weight', 0.0))

    def factor(iteration: int) -> float:
        progress = min(max(iteration / end_iter, 0.0), 1.0)
        return end_weight + (1.0 - end_weight) * SHAPES[name](progress)

    return factor
