"""Distillation of one teacher into a student: hints between features, and the teacher's output."""
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from basicsr.archs import build_network
from basicsr.losses import build_loss
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from basicsr_snn.distill.adapters import Adapters, check_time
from basicsr_snn.distill.schedules import build_schedule
from basicsr_snn.distill.taps import FeatureTaps, feature_shapes, format_shape, shape_of_hint
from basicsr_snn.errors import UserError
from basicsr_snn.restoring import restore
from basicsr_snn.weights import load_weights

PROBE_SIZE = 32
"""Side in pixels of the picture on which feature shapes are found."""


@dataclass(frozen=True)
class Hint:
    """One pair of features to bring together.

    Attributes:
        name: Name in the log: ``l_hint_<name>``.
        teacher: Module path in the teacher.
        student: Module path in the student.
        loss: Distance of the adapted student feature to the teacher's.
        weight: Factor on the loss before the schedule.
        time: Reduction over the student's time steps.
    """

    name: str
    teacher: str
    student: str
    loss: nn.Module
    weight: float
    time: str


def build_hint(options: Mapping[str, Any]) -> Hint:
    """Build one entry of ``distill.hints``; a ``UserError`` names what is missing.

    Weight 0.12 and mean squared error are H-KD's (arXiv 2504.01755); the mean over time is our choice.
    """
    missing = [key for key in ('name', 'teacher', 'student') if not options.get(key)]
    if missing:
        raise UserError(f'A hint of the distill: block lacks {", ".join(missing)}; write {{name: dec, teacher: PATH, '
                        'student: PATH}.')
    if '.' in options['name']:
        raise UserError(f'Hint name "{options["name"]}" holds a dot; write a plain word, such as '
                        f'{options["name"].replace(".", "_")}.')
    return Hint(name=options['name'], teacher=options['teacher'], student=options['student'],
                loss=build_loss(dict(options.get('loss') or {'type': 'FeatureHintLoss'})),
                weight=float(options.get('weight', 0.12)),
                time=check_time(options.get('time', 'mean'), options['name']))


class Distillation:
    """The ``distill:`` block at work: frozen teacher, taps on both networks, adapters, loss terms.

    Args:
        options: The ``distill:`` block (see the model class for its YAML).
        student: The bare student network.
        in_ch: Channels of the pictures, for the probe.
        device: Where to put teacher and adapters.

    Raises:
        UserError: Wrong hint path (with the nearest paths and their shapes), missing or unfit teacher weights,
            no hint and no output term.
    """

    def __init__(self, options: Mapping[str, Any], student: nn.Module, in_ch: int, device: torch.device) -> None:
        self.teacher = build_teacher(options['teacher'], device)
        self.hints = [build_hint(hint) for hint in options.get('hints') or []]
        self.output_loss = build_loss(dict(options['output'])).to(device) if options.get('output') else None
        if not self.hints and self.output_loss is None:
            raise UserError('The distill: block has neither hints nor output, so nothing would be distilled; add one.')
        names = [hint.name for hint in self.hints]
        if len(set(names)) < len(names):
            raise UserError(f'Hints need names of their own, but distill.hints has {", ".join(names)}.')
        self.schedule = build_schedule(options.get('schedule'))
        self.pairings: list[str] = []
        self.adapters = self._build_adapters(student, torch.zeros(1, in_ch, PROBE_SIZE, PROBE_SIZE, device=device))
        self.adapters.to(device)
        for line in self.describe():
            get_root_logger().info(f'Distillation: {line}.')

    def _build_adapters(self, student: nn.Module, probe: Tensor) -> Adapters:
        student_shapes, teacher_shapes = _probed(student, 'student', probe), _probed(self.teacher, 'teacher', probe)
        channels: dict[str, tuple[int, int | None]] = {}
        for hint in self.hints:
            mine = shape_of_hint(student_shapes, hint.student, f'student {type(student).__name__}')
            theirs = shape_of_hint(teacher_shapes, hint.teacher, f'teacher {type(self.teacher).__name__}')
            channels[hint.name] = mine[-3], theirs[-3] if getattr(hint.loss, 'matches_channels', True) else None
            self.pairings.append(f'hint {hint.name}: student {hint.student} {format_shape(mine)} -> teacher '
                                 f'{hint.teacher} {format_shape(theirs)}, weight {hint.weight}, time {hint.time}')
        return Adapters(channels, {hint.name: hint.time for hint in self.hints})

    def describe(self) -> list[str]:
        """What is distilled, a line each: the hints with the shapes of both sides, and the output term."""
        output = [] if self.output_loss is None else [f'output: {type(self.output_loss).__name__}']
        return [*self.pairings, *output]

    def student_taps(self, student: nn.Module) -> FeatureTaps:
        """Context in which the student's hinted features are kept as it runs."""
        return FeatureTaps(student, {hint.student for hint in self.hints})

    def losses(self, adapters: nn.Module, picture: Tensor, sigma: Tensor | None, student_features: Mapping[str, Tensor],
               student_output: Tensor, iteration: int) -> dict[str, Tensor]:
        """Loss terms of one step.

        Args:
            adapters: ``self.adapters``, or its data-parallel wrapper.
            picture: Noisy pictures (N, C, H, W).
            sigma: Noise levels (N,) on the 0..255 scale for a teacher that takes them.
            student_features: What the student's taps kept.
            student_output: Student's restored pictures (N, C, H, W).
            iteration: Current iteration, for the schedule.

        Returns:
            ``l_hint_<name>`` for each hint and ``l_kd`` for the output term, weighted, in this order.
        """
        hints_only = self.output_loss is None  # then the teacher runs only as deep as its last hint
        with torch.no_grad(), FeatureTaps(self.teacher, {hint.teacher for hint in self.hints}, stop=hints_only) as taps:
            teacher_output = restore(self.teacher, picture, sigma)
        factor = self.schedule(iteration)
        terms: dict[str, Tensor] = {}
        if self.hints:
            pairs = adapters({hint.name: student_features[hint.student] for hint in self.hints},
                             {hint.name: taps.features[hint.teacher] for hint in self.hints})
            for hint in self.hints:
                terms[f'l_hint_{hint.name}'] = factor * hint.weight * hint.loss(*pairs[hint.name])
        if self.output_loss is not None:
            terms['l_kd'] = self.output_loss(student_output, teacher_output)
        return terms


def _probed(net: nn.Module, role: str, probe: Tensor) -> dict[str, tuple[int, ...]]:
    try:
        return feature_shapes(net, probe)
    except RuntimeError as error:
        raise UserError(f'The {role} {type(net).__name__} cannot read pictures of {probe.shape[1]} channels '
                        f'({str(error).splitlines()[0]}); choose a {role} for in_ch: {probe.shape[1]} of the training '
                        'set.') from error


def build_teacher(options: Mapping[str, Any], device: torch.device) -> nn.Module:
    """Build the frozen teacher of ``distill.teacher``: ``{network: {type: ...}, path: FILE, param_key: ~}``."""
    teacher = build_network(dict(options['network']))
    if options.get('path') is None:
        raise UserError('distill.teacher has no path: an untrained teacher teaches nothing; write path: FILE.pth.')
    load_weights(teacher, options['path'], options.get('param_key'))
    return teacher.to(device, memory_format=torch.channels_last).requires_grad_(False).eval()
