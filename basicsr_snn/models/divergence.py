"""Losses and gradients that are not finite: noticed before the optimiser steps, told before anything is kept."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from basicsr_snn.errors import UserError, are
from basicsr_snn.finite import check_answer

READ_EVERY = 100
"""Steps after which a GPU is asked at the latest. Each time it is waited for, and the next steps are not yet there."""

NEVER = torch.iinfo(torch.int64).max


@dataclass(frozen=True)
class Step:
    """What a sentence about one step needs: names of the batch's pictures, noise levels, loss terms by log key, and row
    and column of each crop, where the data set tells them."""

    pictures: Sequence[str]
    sigma: Tensor | None
    terms: Mapping[str, Tensor]
    corners: Tensor | None = None

    def broken(self) -> str:
        """What is not finite, as the subject of a sentence."""
        keys = [key for key, term in self.terms.items() if not torch.isfinite(term).all()]
        return are(keys or ['the gradient'])

    def shown(self) -> str:
        """Pictures, with row and column of their crops, and noise levels."""
        pictures = self.pictures
        if self.corners is not None:
            pictures = [f'{picture} at {row},{column}'
                        for picture, (row, column) in zip(pictures, self.corners.tolist(), strict=True)]
        parts = [f'pictures {", ".join(dict.fromkeys(pictures))}'] if pictures else []
        if self.sigma is not None:
            parts.append(f'sigma {", ".join(f"{level:g}" for level in self.sigma.flatten().tolist())}')
        return f' ({"; ".join(parts)})' if parts else ''


class Divergence:
    """Watches the steps of a training.

    On a CPU an answer costs nothing, and a step with a loss or a gradient that is not finite is not taken. A GPU would
    have to be waited for, so that it notes the first such step by itself, and goes on; whoever logs, saves or validates
    calls :meth:`refuse` before.

    Args:
        device: Where the training runs.
        advice: Returns what to do about it, the end of the sentence, given the iteration that broke.

    Attributes:
        latest: The last iteration that began.
    """

    def __init__(self, device: torch.device, advice: Callable[[int], str]) -> None:
        self.latest = 0
        self.first = torch.full((), NEVER, dtype=torch.int64, device=device)
        self.advice = advice
        self._at_once = device.type == 'cpu'
        self._steps: dict[int, Step] = {}

    def begin(self, iteration: int) -> None:
        """Called before a step: tell of an earlier one, if that is known without waiting or is due."""
        self.latest = iteration
        if self._at_once or len(self._steps) >= READ_EVERY:
            self.refuse()

    def allows(self, iteration: int, step: Step, norms: Iterable[Tensor]) -> bool:
        """Whether to take a step, given its losses and the norms of its gradients. Always on a GPU, which notes it."""
        total = sum([*(term.detach().sum() for term in step.terms.values()), *norms], torch.zeros_like(self.first))
        self.first = torch.where(torch.isfinite(total), self.first, self.first.clamp_max(iteration))
        self._steps[iteration] = step
        return not self._at_once or int(self.first) == NEVER

    def refuse(self) -> None:
        """Raise a ``UserError`` if any step so far was not finite. Waits for the device."""
        first = int(self.first)
        if first != NEVER:
            step = self._steps[first]
            raise UserError(f'{step.broken()} not finite any more at iteration {first}{step.shown()}; '
                            f'{self.advice(first)}')
        self._steps.clear()

    def check_answer(self, answer: Tensor, pictures: Sequence[str]) -> None:
        """Raise a ``NotFiniteError`` if the network's answer to pictures of a validation or test is not finite."""
        if not torch.isfinite(answer).all():  # else the advice, which looks for checkpoints, is not needed
            check_answer(answer, ', '.join(pictures) or 'a picture', advice=self.advice(self.latest).rstrip('.'))


def gradient_norm(parameters: Iterable[nn.Parameter], limit: float | None) -> Tensor:
    """A number that is finite if the gradients of an optimiser's parameters are: their norm, which is
    clipped to ``limit``, or without a limit the sum of each parameter's norm."""
    parameters = list(parameters)
    if limit:
        return nn.utils.clip_grad_norm_(parameters, limit)
    norms = torch._foreach_norm([p.grad for p in parameters if p.grad is not None])
    return torch.stack(norms).sum() if norms else torch.zeros(())
