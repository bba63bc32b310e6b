"""A twin that is trained beside the student from another initialisation, each drawn to the other's pictures."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from torch import Tensor, nn

from basicsr_snn.distill.feature_hooks import FeatureHooks
from basicsr_snn.distill.teaching import Lesson, Teaching
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.weight_files.card import TWIN
from basicsr_snn.zoo.building import window_of
from basicsr_snn.zoo.weights import load_weights

SEED_OFFSET = 1
"""The twin's weights are drawn with the training's seed plus this."""


class CotrainedTwin(Teaching):
    """A trainable teacher (TNA, arXiv 2409.15849) that learns the task beside the student.

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
        if options.get('every', 1) > 1 or options.get('adapter_lr') is not None:
            raise UserError('distill.teacher is trainable, so that it learns at every step and has no adapters; take '
                            'every and adapter_lr out.')
        if teacher.get('level') is not None:
            raise UserError(f'distill.teacher is trainable and has level: {teacher["level"]}, but a twin is told what '
                            'the student is told; take `level` out.')
        self.loss = build_loss(dict(options['output']))
        self.optim: Mapping[str, Any] | None = teacher.get('optim')
        self.start_iter = int(teacher.get('start_iter', 0))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed((seed or 0) + SEED_OFFSET)
            net: nn.Module = build_network(dict(teacher['network']))
        self._window = window_of(teacher['network'])
        if teacher.get('path'):
            load_weights(net, teacher['path'], teacher.get('param_key'))
        self.trained = {TWIN: net}
        self._type = type(net).__name__

    def watch(self, student: nn.Module) -> FeatureHooks:
        return FeatureHooks(student, ())

    def optimizer_options(self, of_student: Mapping[str, Any]) -> Mapping[str, Any]:
        return self.optim or of_student

    def losses(self, lesson: Lesson) -> dict[str, Tensor]:
        """``l_twin``, the twin's own losses, and ``l_kd`` between the pictures of both, from ``start_iter`` on; its
        gradients go into both."""
        restored = restore(as_restorer(self.trained[TWIN], self._window), lesson.batch.lq, lesson.batch.sigma)
        terms = {'l_twin': torch.stack(list(lesson.image_losses(restored).values())).sum()}
        if lesson.iteration >= self.start_iter:
            at_every_step = restored.repeat(len(lesson.restored) // len(restored), 1, 1, 1)
            terms['l_kd'] = self.loss(lesson.restored, at_every_step)
        return terms

    def describe(self) -> list[str]:
        return [f'twin {self._type}, trained beside the student, output: {type(self.loss).__name__} from iteration '
                f'{self.start_iter} on']
