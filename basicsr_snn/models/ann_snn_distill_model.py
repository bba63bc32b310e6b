"""Training of a spiking student under an ANN teacher."""
from __future__ import annotations

import math
from collections import OrderedDict
from functools import partial
from pathlib import Path
from typing import Any

from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor

from basicsr_snn.compat.resuming import instead_of_resuming
from basicsr_snn.data.batch import Batch
from basicsr_snn.distill.cotrained_twin import CotrainedTwin
from basicsr_snn.distill.feature_maps import crop_of
from basicsr_snn.distill.frozen_teachers import FrozenTeachers
from basicsr_snn.distill.teaching import Lesson, Teaching
from basicsr_snn.errors import UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.models.snn_model import SNNModel, groups_by_decay
from basicsr_snn.zoo.weights import load_weights


@MODEL_REGISTRY.register()
class ANNSNNDistillModel(SNNModel):
    """Heterogeneous distillation (H-KD, arXiv 2504.01755): a frozen ANN teacher hints at features of the student.

    Beside hints (any criterion: KDSNN's feature form, LaSNN's attention, BKDSNN's blurred hints) a student's feature
    may go on through the teacher, whose picture is then compared with the clean one (``tails``: the block-wise
    replacement of arXiv 2503.16572, seen from the student), and the teacher's picture may be a target of its own
    (``output``: KDSNN's response form, arXiv 2304.05627, without a temperature, which a regression has no use for).
    Several teachers stand under ``teachers:``, each with a ``name`` that hints refer to by ``of``; their pictures are
    averaged. A teacher with ``trainable: true`` is a twin trained beside the student
    (:class:`basicsr_snn.distill.cotrained_twin.CotrainedTwin`). After the iteration ``until`` no teacher and no twin is
    run any more, and a step costs what it costs without; with ``every: 4`` it teaches at each fourth step only (both
    our choice).

    The teacher lives in a block of its own, so that BasicSR's resume code cannot redirect its path. Feature hooks
    name module paths of the unmodified networks. Adapters are made from the real feature shapes, trained beside the
    student, saved as ``models/net_adapters_<iter>.pth``, resumed, and never part of the student's file. The paper gives
    hints on decoder features with mean squared error, weight 0.12, and L1 + 0.1 FFT on the picture; 1x1 adapters, the
    mean over time and constant weights are our choice, since it does not say.

    A hint can be posed better than that (all ours): ``adapter`` tells how a feature is brought to the teacher's shape
    (:class:`basicsr_snn.distill.adapters.Adapter`), ``adapter_lr`` gives adapters a rate of their own, and with
    ``relative: true`` a weight is a share of the gradient that the picture's own losses have at the student's feature,
    whatever the scale of the teacher's. In the place of a module a hint may name the teacher's ``picture``, or the
    ``residual`` that it takes away from the noisy one, which is what the features of a student tell that adds to its
    input. ``of: truth`` puts the clean picture into the teacher's place: what a hint gains beyond that is the
    teacher's. ``basicsr-snn check --match`` measures which features tell of each other.

    Raises:
        UserError: No ``distill:`` block, wrong hint paths, unfit teacher weights; see
            :class:`basicsr_snn.distill.frozen_teachers.FrozenTeachers`.

    .. code-block:: yaml

        model_type: ANNSNNDistillModel
        network_g: {type: SpikerIR, size: small}
        distill:
          teacher:
            network: {type: FFDNet, in_nc: 3, out_nc: 3, nc: 96, nb: 12}
            path: pretrained/ffdnet_color.pth
          hints:
            - {name: mid, teacher: model.14, student: decoder.0, loss: {type: FeatureHintLoss, criterion: mse},
               weight: 0.12}
            - {name: dec, teacher: model.20, student: decoder.1, weight: 0.3, relative: true,
               adapter: {resize: unshuffle, picture: true, unit: true, fit: true}}
          adapter_lr: 1.0e-3
          every: 4
          tails:
            - {name: rest, teacher: model.12, student: middle, loss: {type: L1Loss}, weight: 0.5}
          output: {type: L1Loss, loss_weight: 0.5}
          schedule: {type: cosine, end_iter: 60000, end_weight: 0.0}
          until: 60000
    """

    teaching: Teaching
    until = math.inf

    def init_training_settings(self) -> None:
        options = self.opt.get('distill')
        if not options or not (options.get('teacher') or options.get('teachers')):
            raise UserError('model_type: ANNSNNDistillModel needs a distill: block with a teacher; without one, write '
                            'model_type: SNNModel.')
        self.until = options.get('until') or math.inf
        self.teaching = self._build_teaching(options)
        for name, net in self.teaching.trained.items():
            self.teaching.trained[name] = self.model_to_device(net)
        super().init_training_settings()

    def _build_teaching(self, options: dict[str, Any]) -> Teaching:
        if (options.get('teacher') or {}).get('trainable'):
            return CotrainedTwin(options, self.opt.get('manual_seed'))
        data = self.opt['datasets']['train']
        student = as_restorer(self.get_bare_model(self.net_g), self.window)
        return FrozenTeachers(options, student, data.get('in_ch', 3), self.device, crop_of(data))

    def setup_optimizers(self) -> None:
        of_student, rate = self.opt['train']['optim_g'], self.teaching.adapter_lr
        trained = list(self.teaching.trained.values())
        own = self.teaching.optimizer_options(of_student)
        if own is not None:
            super().setup_optimizers()
            self.add_optimizer(own, groups_by_decay(trained))
        elif rate is None:
            self.optimizer_g = self.add_optimizer(of_student, groups_by_decay([self.net_g, *trained]))
        else:
            of_adapters = [{**group, 'lr': rate} for group in groups_by_decay(trained)]
            self.optimizer_g = self.add_optimizer(of_student, [*self.parameter_groups(), *of_adapters])

    def reason_against_replaying(self) -> str:
        falls = (self.opt['distill'].get('schedule') or {}).get('type', 'constant') != 'constant'
        if falls or self.until < math.inf or self.teaching.every > 1 or isinstance(self.teaching, CotrainedTwin):
            return 'what the teacher weighs changes on the way'
        if self.teaching.reads_first_batch:
            return 'the first batch sets the adapters'
        return super().reason_against_replaying()

    def compute_losses(self, batch: Batch, current_iter: int) -> OrderedDict[str, Tensor]:
        if current_iter > self.until or current_iter % self.teaching.every:
            return super().compute_losses(batch, current_iter)
        with self.teaching.watch(self.get_bare_model(self.net_g)) as hooks:
            restored, terms = self.student_losses(batch)
        lesson = Lesson(batch, restored, hooks.features, current_iter, partial(self.image_losses, batch=batch),
                        dict(terms))
        terms.update(self.teaching.losses(lesson))
        return terms

    def save(self, epoch: int, current_iter: int) -> None:
        self.divergence.refuse()
        for name, net in self.teaching.trained.items():
            self.save_network(net, name, current_iter)
        super().save(epoch, current_iter)

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        super().resume_training(resume_state)
        for name, net in self.teaching.trained.items():
            file = Path(self.opt['path']['models']) / f'{name}_{resume_state["iter"]}.pth'
            try:
                load_weights(self.get_bare_model(net), file, 'params')
            except UserError as error:
                raise UserError(f'{str(error).rstrip(".")}, {instead_of_resuming(self.opt, resume_state["iter"])}'
                                ) from error
