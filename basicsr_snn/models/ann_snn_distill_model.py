"""Training of a spiking student under an ANN teacher."""
from __future__ import annotations

import math
from collections import OrderedDict
from pathlib import Path
from typing import Any

from basicsr.utils.registry import MODEL_REGISTRY
from torch import Tensor, nn

from basicsr_snn.distill.distillation import Distillation
from basicsr_snn.distill.twin import CotrainedTwin
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore
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
    (:class:`basicsr_snn.distill.twin.CotrainedTwin`). After the iteration ``until`` no teacher and no twin is run any
    more, and a step costs what it costs without (our choice).

    The teacher lives in a block of its own, so that BasicSR's resume code cannot redirect its path. Taps are module
    paths of the unmodified networks. Adapters are made from the real feature shapes, trained beside the student,
    saved as ``models/net_adapters_<iter>.pth``, resumed, and never part of the student's file. The paper gives hints
    on decoder features with mean squared error, weight 0.12, and L1 + 0.1 FFT on the picture; 1x1 adapters, the mean
    over time and constant weights are our choice, since it does not say.

    Raises:
        UserError: No ``distill:`` block, wrong hint paths, unfit teacher weights; see
            :class:`basicsr_snn.distill.distillation.Distillation`.

    .. code-block:: yaml

        model_type: ANNSNNDistillModel
        network_g: {type: SpikerIR, size: small}
        distill:
          teacher:
            network: {type: FFDNet, in_nc: 3, out_nc: 3, nc: 96, nb: 12}
            path: pretrained/ffdnet_color.pth
          hints:
            - {name: dec, teacher: model.20, student: decoder.0, loss: {type: FeatureHintLoss, criterion: mse},
            weight: 0.12}
          tails:
            - {name: mid, teacher: model.12, student: middle, loss: {type: L1Loss}, weight: 0.5}
          output: {type: L1Loss, loss_weight: 0.5}
          schedule: {type: cosine, end_iter: 60000, end_weight: 0.0}
          until: 60000
    """

    distillation: Distillation | CotrainedTwin
    net_twin: nn.Module | None = None
    has_adapters = False
    until = math.inf

    def init_training_settings(self) -> None:
        options = self.opt.get('distill')
        if not options or not (options.get('teacher') or options.get('teachers')):
            raise UserError('model_type: ANNSNNDistillModel needs a distill: block with a teacher; without one, write '
                            'model_type: SNNModel.')
        self.until = options.get('until') or math.inf
        if (options.get('teacher') or {}).get('trainable'):
            self.distillation = CotrainedTwin(options, self.opt.get('manual_seed'))
            self.net_twin = self.model_to_device(self.distillation.net)
        else:
            self._build_distillation(options)
        super().init_training_settings()

    def _build_distillation(self, options: dict[str, Any]) -> None:
        in_ch = self.opt['datasets']['train'].get('in_ch', 3)
        self.distillation = Distillation(options, self.get_bare_model(self.net_g), in_ch, self.device)
        self.has_adapters = any(True for _ in self.distillation.adapters.parameters())
        self.net_adapters = self.distillation.adapters
        if self.has_adapters:
            self.net_adapters = self.model_to_device(self.net_adapters)

    def parameter_groups(self) -> list[dict[str, Any]]:
        return groups_by_decay([self.net_g] if self.net_twin else [self.net_g, self.net_adapters])

    def setup_optimizers(self) -> None:
        super().setup_optimizers()
        if self.net_twin:
            options = self.distillation.optim or self.opt['train']['optim_g']
            self.add_optimizer(options, groups_by_decay([self.net_twin]))

    def compute_losses(self, current_iter: int) -> OrderedDict[str, Tensor]:
        if current_iter > self.until:
            return super().compute_losses(current_iter)
        if self.net_twin:
            return self._losses_beside_twin(current_iter)
        with self.distillation.student_hooks(self.get_bare_model(self.net_g)) as hooks:
            terms = super().compute_losses(current_iter)
        terms.update(self.distillation.losses(self.net_adapters, self.lq, self.sigma, hooks.features, self.output,
                                              current_iter, self.gt))
        return terms

    def _losses_beside_twin(self, current_iter: int) -> OrderedDict[str, Tensor]:
        terms = super().compute_losses(current_iter)
        twin = restore(self.net_twin, self.lq, self.sigma)
        terms['l_twin'] = sum(self.image_losses(twin).values())
        at_every_step = twin.repeat(len(self.output) // len(twin), 1, 1, 1)
        terms.update(self.distillation.match(self.output, at_every_step, current_iter))
        return terms

    def save(self, epoch: int, current_iter: int) -> None:
        if self.has_adapters:
            self.save_network(self.net_adapters, 'net_adapters', current_iter)
        if self.net_twin:
            self.save_network(self.net_twin, 'net_twin', current_iter)
        super().save(epoch, current_iter)

    def resume_training(self, resume_state: dict[str, Any]) -> None:
        super().resume_training(resume_state)
        beside = {'net_adapters': self.net_adapters if self.has_adapters else None, 'net_twin': self.net_twin}
        for name, net in beside.items():
            if net:
                file = Path(self.opt['path']['models']) / f'{name}_{resume_state["iter"]}.pth'
                load_weights(self.get_bare_model(net), file, 'params')
