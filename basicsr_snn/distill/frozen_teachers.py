"""Distillation of frozen teachers into a student: hints between features, teachers' tails, teachers' pictures."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from basicsr_snn.data.batch import Batch
from basicsr_snn.distill.adapters import Adapters
from basicsr_snn.distill.feature_hooks import FeatureHooks, feature_shapes, format_shape, probe_picture, shape_of_hint
from basicsr_snn.distill.hints import Hint, build_hint
from basicsr_snn.distill.schedules import build_schedule
from basicsr_snn.distill.teachers import build_teachers, replaced_feature, run_teacher
from basicsr_snn.distill.teaching import Lesson, Teaching
from basicsr_snn.errors import UserError, first_line
from basicsr_snn.inference.calling import restore

ADAPTERS = 'net_adapters'
"""Under what name adapters are saved."""


class FrozenTeachers(Teaching):
    """Frozen teachers, feature hooks on all networks, adapters between their features, loss terms.

    Args:
        options: The ``distill:`` block (see the model class for its YAML).
        student: The bare student network.
        in_ch: Channels of the pictures, for the probe.
        device: Where to put teachers and adapters.

    Raises:
        UserError: Wrong hint path (with the nearest paths and their shapes), missing or unfit teacher weights,
            no hint, no tail and no output term.
    """

    def __init__(self, options: Mapping[str, Any], student: nn.Module, in_ch: int, device: torch.device) -> None:
        self.teachers = build_teachers(options, device)
        self.hints = [*(build_hint(hint, self.teachers) for hint in options.get('hints') or []),
                      *(build_hint(tail, self.teachers, tail=True) for tail in options.get('tails') or [])]
        self.output_loss = build_loss(dict(options['output'])).to(device) if options.get('output') else None
        if not self.hints and self.output_loss is None:
            raise UserError('The distill: block has no hints, no tails and no output, so nothing would be distilled; '
                            'add one.')
        names = [hint.name for hint in self.hints]
        if len(set(names)) < len(names):
            raise UserError(f'Hints and tails need names of their own, but distill: has {", ".join(names)}.')
        self.schedule = build_schedule(options.get('schedule'))
        self.pairings: list[str] = []
        self.adapters = self._build_adapters(student, probe_picture(in_ch, device))
        self.adapters.to(device)
        self.trained = {ADAPTERS: self.adapters} if any(True for _ in self.adapters.parameters()) else {}
        for line in self.describe():
            get_root_logger().info(f'Distillation: {line}.')

    def _build_adapters(self, student: nn.Module, probe: Tensor) -> Adapters:
        student_shapes = _probed(student, 'student', probe)
        teacher_shapes = {name: _probed(teacher.network, 'teacher', probe) for name, teacher in self.teachers.items()}
        channels: dict[str, tuple[int, int | None]] = {}
        tails: dict[str, nn.Module] = {}
        for hint in self.hints:
            mine = shape_of_hint(student_shapes, hint.student, f'student {type(student).__name__}')
            theirs = shape_of_hint(teacher_shapes[hint.of], hint.teacher,
                                   f'teacher {type(self.teachers[hint.of].network).__name__}')
            channels[hint.name] = mine[-3], theirs[-3] if hint.matches_channels else None
            loss: Any = hint.loss
            if hasattr(loss, 'adapter_tail'):
                tails[hint.name] = loss.adapter_tail(theirs[-3])
            self.pairings.append(f'{"tail" if hint.tail else "hint"} {hint.name}: student {hint.student} '
                                 f'{format_shape(mine)} -> {hint.of} {hint.teacher} {format_shape(theirs)}, weight '
                                 f'{hint.weight}, time {hint.time}')
        return Adapters(channels, {hint.name: hint.time for hint in self.hints}, tails)

    def describe(self) -> list[str]:
        """The hints with the shapes of both sides, and the output term."""
        output = [] if self.output_loss is None else [f'output: {type(self.output_loss).__name__}']
        return [*self.pairings, *output]

    def watch(self, student: nn.Module) -> FeatureHooks:
        return FeatureHooks(student, {hint.student for hint in self.hints})

    def optimizer_options(self, of_student: Mapping[str, Any]) -> None:
        return None

    def losses(self, lesson: Lesson) -> dict[str, Tensor]:
        """``l_hint_<name>`` and ``l_tail_<name>`` for hints and tails and ``l_kd`` for the output term, weighted.

        Raises:
            UserError: A hinted layer of the student did not run.
        """
        if lacking := [hint.student for hint in self.hints if hint.student not in lesson.features]:
            raise UserError(f'Hint path "{lacking[0]}" did not run, as a layer that train: tandem does not let spike '
                            'yet has no neuron; write the path of the block around it.')
        features, pictures = self._run_teachers(lesson.batch)
        terms = self._hint_losses(lesson, features) if self.hints else {}
        if self.output_loss is not None:
            mean = torch.stack(pictures).mean(0)
            steps = len(lesson.restored) // len(mean)
            terms['l_kd'] = self.output_loss(lesson.restored, mean.repeat(steps, 1, 1, 1))
        return terms

    def _run_teachers(self, batch: Batch) -> tuple[dict[str, Tensor], list[Tensor]]:
        """The teachers' features by hint and, where an output term asks for them, their pictures; otherwise each runs
        only as deep as its last hint."""
        features: dict[str, Tensor] = {}
        pictures: list[Tensor] = []
        for name, teacher in self.teachers.items():
            of_teacher = [hint for hint in self.hints if hint.of == name]
            kept, picture = run_teacher(teacher, {hint.teacher for hint in of_teacher}, batch.lq, batch.sigma,
                                        to_the_end=self.output_loss is not None)
            features.update({hint.name: kept[hint.teacher] for hint in of_teacher})
            if picture is not None:
                pictures.append(picture)
        return features, pictures

    def _hint_losses(self, lesson: Lesson, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        adapters = self.trained.get(ADAPTERS, self.adapters)
        pairs = adapters({hint.name: lesson.features[hint.student] for hint in self.hints}, features)
        factor = self.schedule(lesson.iteration)
        terms = {}
        for hint in self.hints:
            mine, theirs = self._finish(hint, pairs[hint.name][0], lesson.batch) if hint.tail else pairs[hint.name]
            terms[hint.key] = factor * hint.weight * hint.loss(mine, theirs)
        return terms

    def _finish(self, hint: Hint, feature: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The picture that a teacher's tail makes of the student's adapted feature, and the clean one."""
        steps = len(feature) // len(batch.lq)
        levels = None if batch.sigma is None else batch.sigma.repeat(steps)
        with replaced_feature(self.teachers[hint.of].network, hint.teacher, feature):
            restored = restore(self.teachers[hint.of], batch.lq.repeat(steps, 1, 1, 1), levels)
        return restored, batch.truth.repeat(steps, 1, 1, 1)


def _probed(net: nn.Module, role: str, probe: Tensor) -> dict[str, tuple[int, ...]]:
    try:
        return feature_shapes(net, probe)
    except RuntimeError as error:
        raise UserError(f'The {role} {type(net).__name__} cannot read pictures of {probe.shape[1]} channels '
                        f'({first_line(error, 160)}); choose a {role} for in_ch: {probe.shape[1]} of the training '
                        'set.') from error
