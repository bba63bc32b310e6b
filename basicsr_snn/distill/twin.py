"""A twin that is trained beside the student from another initialisation, each drawn to the other's pictures."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.zoo.weights import load_weights

SEED_OFFSET = 1
"""The twin's weights are drawn with the training's seed plus this."""


class CotrainedTwin:
    """The options of a trainable teacher (TNA, arXiv 2409.15849) and its loss.

    Base and twin both learn the task, and the squared error between their outputs goes, weighted, into both. The paper
    adds logits' errors up; the mean over pixels, which does not depend on the patch, is our choice, and so is the
    weight. Each has its own optimiser; only the base is kept in the end. Matching may start late, as in the paper's
    sequel. The paper's twin is a spiking network like the base; any other, such as the ANN twin, will do.

    Args:
        options: The ``distill:`` block, with ``teacher: {network, path, trainable: true, optim, start_iter}`` and an
            ``output`` loss. ``optim`` is the student's where it is missing, ``path`` may be empty.
        seed: The training's ``manual_seed``.

    Raises:
        UserError: No output loss, or hints, which need a teacher that stays as it is.
    """

    def __init__(self, options: Mapping[str, Any], seed: int | None) -> None:
        teacher = options['teacher']
        if not options.get('output') or options.get('hints') or options.get('tails'):
            raise UserError('distill.teacher is trainable, so that it is matched by its picture alone; write output: '
                            '{type: MSELoss, loss_weight: 1.0}, and take hints and tails out.')
        self.loss = build_loss(dict(options['output']))
        self.optim: Mapping[str, Any] | None = teacher.get('optim')
        self.start_iter = int(teacher.get('start_iter', 0))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((seed or 0) + SEED_OFFSET)
            self.net: nn.Module = build_network(dict(teacher['network']))
        if teacher.get('path'):
            load_weights(self.net, teacher['path'], teacher.get('param_key'))

    def match(self, base: Tensor, twin: Tensor, iteration: int) -> dict[str, Tensor]:
        """``l_kd`` between the pictures of both, from ``start_iter`` on; gradients go into both."""
        return {'l_kd': self.loss(base, twin)} if iteration >= self.start_iter else {}

    def describe(self) -> list[str]:
        """What is distilled, in a line."""
        return [f'twin {type(self.net).__name__}, trained beside the student, output: {type(self.loss).__name__} from '
                f'iteration {self.start_iter} on']
