"""Distillation of frozen teachers into a student: hints between features, teachers' tails, teachers' pictures."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from basicsr_snn.data.batch import Batch
from basicsr_snn.distill.adapters import Adapter, Adapters, Meeting
from basicsr_snn.distill.alignment import Alignment
from basicsr_snn.distill.feature_hooks import PROBE_SIZE, FeatureHooks, probe_picture
from basicsr_snn.distill.feature_maps import FeatureMap, format_part, hinted_maps
from basicsr_snn.distill.hints import Hint, build_hint
from basicsr_snn.distill.relative_weights import share_of_gradient
from basicsr_snn.distill.schedules import build_schedule
from basicsr_snn.distill.taught_pictures import is_picture, picture_map, shown
from basicsr_snn.distill.teachers import build_teachers, replaced_feature, run_teacher, told_levels
from basicsr_snn.distill.teaching import Lesson, Teaching
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import Restorer, as_restorer

ADAPTERS = 'net_adapters'
"""Under what name adapters are saved."""


class FrozenTeachers(Teaching):
    """Frozen teachers, feature hooks on all networks, adapters between their features, loss terms.

    Args:
        options: The ``distill:`` block (see the model class for its YAML).
        student: The bare student network, or the contract around it.
        in_ch: Channels of the pictures, for the probe.
        device: Where to put teachers and adapters.
        crop: Side of the training's crops.

    Raises:
        UserError: Wrong hint path (with the nearest paths and their shapes), missing or unfit teacher weights,
            features that can't be compared at the same places, no hint, no tail and no output term.
    """

    def __init__(self, options: Mapping[str, Any], student: nn.Module, in_ch: int, device: torch.device,
                 crop: int = PROBE_SIZE) -> None:
        self.teachers = build_teachers(options, device)
        self.levels = told_levels(options, self.teachers)
        self.hints = [*(build_hint(hint, self.teachers) for hint in options.get('hints') or []),
                      *(build_hint(tail, self.teachers, tail=True) for tail in options.get('tails') or [])]
        self.output_loss = build_loss(dict(options['output'])).to(device) if options.get('output') else None
        if not self.hints and self.output_loss is None:
            raise UserError('The distill: block has no hints, no tails and no output, so nothing would be distilled; '
                            'add one.')
        for name, teacher in self.teachers.items():
            if self.output_loss or any(hint.tail and hint.of == name for hint in self.hints):
                teacher.require_pictures()
        names = [hint.name for hint in self.hints]
        if len(set(names)) < len(names):
            raise UserError(f'Hints and tails need names of their own, but distill: has {", ".join(names)}.')
        self.schedule = build_schedule(options.get('schedule'))
        self.adapter_lr = options.get('adapter_lr')
        self.every = options.get('every', 1)
        self.reads_first_batch = any(hint.adapter.reads_first_batch for hint in self.hints)
        self.pairings: list[str] = []
        for hint in self.hints:
            hint.loss.to(device)
        self.alignments: dict[str, Alignment] = {}
        self.adapters = self._build_adapters(as_restorer(student), probe_picture(in_ch, device, crop))
        self.adapters.to(device)
        self.trained = {ADAPTERS: self.adapters} if any(True for _ in self.adapters.parameters()) else {}
        for line in self.describe():
            get_root_logger().info(f'Distillation: {line}.')

    def _build_adapters(self, student: Restorer, probe: Tensor) -> Adapters:
        """The adapters for the real shapes; fills :attr:`alignments` and :attr:`pairings`, too."""
        of_student = hinted_maps(student, 'student', {hint.student for hint in self.hints}, probe)
        of_teachers = {name: hinted_maps(teacher, 'teacher', self._modules_hinted_at(name), probe)
                       for name, teacher in self.teachers.items()}
        adapters = {}
        for hint in self.hints:
            theirs = (picture_map(hint.teacher, student, probe) if self._is_picture(hint)
                      else of_teachers[hint.of][hint.teacher])
            adapters[hint.name] = self._pair(hint, of_student[hint.student], theirs, probe)
        return Adapters(adapters, {hint.name: hint.time for hint in self.hints})

    def _pair(self, hint: Hint, mine: FeatureMap, theirs: FeatureMap, probe: Tensor) -> Adapter:
        self.alignments[hint.name] = alignment = Alignment(mine.cell, theirs.cell)
        side = probe.shape[-1]
        cells = alignment.cells(side)
        rows = [shape[-1] if count is None else count
                for shape, count in zip((mine.shape, theirs.shape), cells, strict=True)]
        parts = [format_part(shape, count) for shape, count in zip((mine.shape, theirs.shape), cells, strict=True)]
        self.pairings.append(f'{"tail" if hint.tail else "hint"} {hint.name}: student {hint.student} {parts[0]} -> '
                             f'{hint.of} {hint.teacher} {parts[1]}, weight {hint.weight}'
                             f'{" of the gradient" if hint.relative else ""}, time {hint.time}')
        meeting = Meeting((mine.shape[-3], rows[0]), (theirs.shape[-3] if hint.matches_channels else None, rows[1]),
                          (probe.shape[1], alignment.pixels(side)))
        try:
            return meeting.adapter(hint.adapter, hint.loss.adapter_tail(theirs.shape[-3]))
        except UserError as error:
            raise UserError(f'Hint "{hint.name}": {error}') from error

    def _is_picture(self, hint: Hint) -> bool:
        """Whether a hint is at a picture in place of a module. The truth has no modules."""
        if hint.of not in self.teachers:
            return True
        return not hint.tail and is_picture(hint.teacher, self.teachers[hint.of].network)

    def _modules_hinted_at(self, name: str) -> set[str]:
        return {hint.teacher for hint in self.hints if hint.of == name and not self._is_picture(hint)}

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
        features = {hint.name: shown(hint.teacher, batch.whole_truth(), batch.lq) for hint in self.hints
                    if hint.of not in self.teachers}
        pictures: list[Tensor] = []
        for name, teacher in self.teachers.items():
            at_picture = [hint for hint in self.hints if hint.of == name and self._is_picture(hint)]
            kept, picture = run_teacher(teacher, self._modules_hinted_at(name), batch.lq,
                                        self._level(name, batch),
                                        to_the_end=self.output_loss is not None or bool(at_picture))
            features.update({hint.name: kept[hint.teacher] for hint in self.hints
                             if hint.of == name and hint.teacher in kept})
            if picture is not None:
                features.update({hint.name: shown(hint.teacher, picture, batch.lq) for hint in at_picture})
                pictures.append(picture)
        return features, pictures

    def _level(self, teacher: str, batch: Batch) -> Tensor | float | None:
        """The noise level that a teacher is told."""
        level = self.levels[teacher]
        return batch.sigma if level is None else level

    def _hint_losses(self, lesson: Lesson, features: Mapping[str, Tensor]) -> dict[str, Tensor]:
        adapters, picture = self.trained.get(ADAPTERS, self.adapters), lesson.batch.lq
        pairs = adapters({hint.name: self.alignments[hint.name].cut_student(lesson.features[hint.student], picture)
                          for hint in self.hints},
                         {name: self.alignments[name].cut_teacher(feature, picture)
                          for name, feature in features.items()},
                         {hint.name: self.alignments[hint.name].cut_picture(picture) for hint in self.hints
                          if hint.adapter.picture})
        factor = self.schedule(lesson.iteration)
        terms = {}
        for hint in self.hints:
            mine, theirs = self._finish(hint, pairs[hint.name][0], lesson.batch) if hint.tail else pairs[hint.name]
            distance = hint.loss(mine, theirs)
            if hint.relative:
                distance = distance * share_of_gradient(lesson, distance, lesson.features[hint.student])
            terms[hint.key] = factor * hint.weight * distance
        return terms

    def _finish(self, hint: Hint, feature: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The picture that a teacher's tail makes of the student's adapted feature, and the clean one."""
        steps = len(feature) // len(batch.lq)
        level = self._level(hint.of, batch)
        levels = level.repeat(steps) if isinstance(level, Tensor) else level
        with replaced_feature(self.teachers[hint.of].network, hint.teacher, feature):
            restored = restore(self.teachers[hint.of], batch.lq.repeat(steps, 1, 1, 1), levels)
        return restored, batch.truth_for(restored)

