"""Distillation of frozen teachers into a student: hints between features, teachers' tails, teachers' pictures."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from basicsr_snn.distill.adapters import Adapters
from basicsr_snn.distill.feature_hooks import FeatureHooks, feature_shapes, format_shape, probe_picture, shape_of_hint
from basicsr_snn.distill.hints import build_hint
from basicsr_snn.distill.schedules import build_schedule
from basicsr_snn.distill.teachers import build_teachers, replaced_feature, taught
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore


class Distillation:
    """The ``distill:`` block at work: frozen teachers, feature hooks on all networks, adapters, loss terms.

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
        for line in self.describe():
            get_root_logger().info(f'Distillation: {line}.')

    def _build_adapters(self, student: nn.Module, probe: Tensor) -> Adapters:
        student_shapes = _probed(student, 'student', probe)
        teacher_shapes = {name: _probed(teacher, 'teacher', probe) for name, teacher in self.teachers.items()}
        channels: dict[str, tuple[int, int | None]] = {}
        tails: dict[str, nn.Module] = {}
        for hint in self.hints:
            mine = shape_of_hint(student_shapes, hint.student, f'student {type(student).__name__}')
            theirs = shape_of_hint(teacher_shapes[hint.of], hint.teacher,
                                   f'teacher {type(self.teachers[hint.of]).__name__}')
            channels[hint.name] = mine[-3], theirs[-3] if hint.matches_channels else None
            if hasattr(hint.loss, 'adapter_tail'):
                tails[hint.name] = hint.loss.adapter_tail(theirs[-3])
            self.pairings.append(f'{"tail" if hint.tail else "hint"} {hint.name}: student {hint.student} '
                                 f'{format_shape(mine)} -> {hint.of} {hint.teacher} {format_shape(theirs)}, weight '
                                 f'{hint.weight}, time {hint.time}')
        return Adapters(channels, {hint.name: hint.time for hint in self.hints}, tails)

    def describe(self) -> list[str]:
        """What is distilled, a line each: the hints with the shapes of both sides, and the output term."""
        output = [] if self.output_loss is None else [f'output: {type(self.output_loss).__name__}']
        return [*self.pairings, *output]

    def student_hooks(self, student: nn.Module) -> FeatureHooks:
        """Context in which the student's hinted features are kept as it runs."""
        return FeatureHooks(student, {hint.student for hint in self.hints})

    def losses(self, adapters: nn.Module, picture: Tensor, sigma: Tensor | None, student_features: Mapping[str, Tensor],
               student_output: Tensor, iteration: int, clean: Tensor | None = None) -> dict[str, Tensor]:
        """Loss terms of one step.

        Args:
            adapters: ``self.adapters``, or its data-parallel wrapper.
            picture: Noisy pictures (N, C, H, W).
            sigma: Noise levels (N,) on the 0..255 scale for a teacher that takes them.
            student_features: What the student's hooks kept.
            student_output: Student's restored pictures (N, C, H, W), or one after the other after each step,
                (T*N, C, H, W).
            iteration: Current iteration, for the schedule.
            clean: Clean pictures (N, C, H, W), for tails.

        Returns:
            ``l_hint_<name>`` and ``l_tail_<name>`` for hints and tails and ``l_kd`` for the output term, weighted.
        """
        if lacking := [hint.student for hint in self.hints if hint.student not in student_features]:
            raise UserError(f'Hint path "{lacking[0]}" did not run, as a layer that train: tandem does not let spike '
                            'yet has no neuron; write the path of the block around it.')
        features, outputs = {}, []
        for name, teacher in self.teachers.items():  # without an output term each runs only as deep as its last hint
            of_teacher = [hint for hint in self.hints if hint.of == name]
            kept, output = taught(teacher, {hint.teacher for hint in of_teacher}, picture, sigma,
                                  to_the_end=self.output_loss is not None)
            features.update({hint.name: kept[hint.teacher] for hint in of_teacher})
            outputs.append(output)
        factor = self.schedule(iteration)
        terms: dict[str, Tensor] = {}
        if self.hints:
            pairs = adapters({hint.name: student_features[hint.student] for hint in self.hints}, features)
            for hint in self.hints:
                mine, theirs = pairs[hint.name]
                if hint.tail:
                    steps = len(mine) // len(picture)
                    levels = None if sigma is None else sigma.repeat(steps)
                    with replaced_feature(self.teachers[hint.of], hint.teacher, mine):
                        mine = restore(self.teachers[hint.of], picture.repeat(steps, 1, 1, 1), levels)
                    theirs = clean.repeat(steps, 1, 1, 1)
                terms[hint.key] = factor * hint.weight * hint.loss(mine, theirs)
        if self.output_loss is not None:
            mean = torch.stack(outputs).mean(0)
            terms['l_kd'] = self.output_loss(student_output, mean.repeat(len(student_output) // len(mean), 1, 1, 1))
        return terms


def _probed(net: nn.Module, role: str, probe: Tensor) -> dict[str, tuple[int, ...]]:
    try:
        return feature_shapes(net, probe)
    except RuntimeError as error:
        raise UserError(f'The {role} {type(net).__name__} cannot read pictures of {probe.shape[1]} channels '
                        f'({str(error).splitlines()[0]}); choose a {role} for in_ch: {probe.shape[1]} of the training '
                        'set.') from error
