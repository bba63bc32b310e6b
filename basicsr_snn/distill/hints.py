"""Pairs of features to bring together, as the options name them."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from basicsr.losses import build_loss
from torch import nn

from basicsr_snn.distill.adapters import RESIZES, AdapterForm, check_time
from basicsr_snn.distill.taught_pictures import TRUTH
from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.losses.hint_contract import HintLoss, as_hint_loss


@dataclass(frozen=True)
class Hint:
    """One feature of the student and the teacher's feature that it meets.

    Attributes:
        name: Name in the log.
        of: Name of the teacher; ``truth``: the clean picture.
        teacher: Module path in the teacher, or ``picture`` or ``residual``.
        student: Module path in the student.
        loss: Of a hint, the distance of the adapted student feature to the teacher's; of a tail, the distance of the
            picture that the teacher makes of the adapted student feature to the clean one.
        weight: Factor on the loss before the schedule.
        time: Reduction over the student's time steps.
        adapter: How the student's feature is brought to the teacher's shape.
        relative: Whether the weight is a share of the gradient that the picture's own losses have at the feature.
        tail: Whether the student's feature goes on through the teacher (block-wise replacement).
    """

    name: str
    of: str
    teacher: str
    student: str
    loss: HintLoss
    weight: float
    time: str
    adapter: AdapterForm = AdapterForm()
    relative: bool = False
    tail: bool = False

    @property
    def key(self) -> str:
        """Name in the log of losses."""
        return f'l_{"tail" if self.tail else "hint"}_{self.name}'

    @property
    def matches_channels(self) -> bool:
        """Whether an adapter has to bring the student's feature to the teacher's channels."""
        return self.tail or self.loss.matches_channels


def build_hint(options: Mapping[str, Any], teachers: Iterable[str], tail: bool = False) -> Hint:
    """Build one entry of ``distill.hints``, or of ``distill.tails``.

    Weight 0.12 and mean squared error are H-KD's (arXiv 2504.01755); the mean over time is our choice. Tails have
    weight 1 and L1 (our choice).

    Args:
        options: ``{name, teacher, student, loss, weight, time, of, adapter, relative}``.
        teachers: Names of the teachers; the first is meant where ``of`` is missing.
        tail: Whether it is an entry of ``tails``.

    Raises:
        UserError: Something is missing, a name with a dot, an unknown teacher.
    """
    where = 'tail' if tail else 'hint'
    missing = [key for key in ('name', 'teacher', 'student') if not options.get(key)]
    if missing:
        raise UserError(f'A {where} of the distill: block lacks {", ".join(missing)}; write {{name: dec, teacher: '
                        'PATH, student: PATH}.')
    options = {**options, 'name': str(options['name'])}
    if '.' in options['name']:
        raise UserError(f'{where.capitalize()} name "{options["name"]}" holds a dot; write a plain word, such as '
                        f'{options["name"].replace(".", "_")}.')
    if hasattr(nn.ModuleDict, options['name']):
        raise UserError(f'{where.capitalize()} name "{options["name"]}" is taken by torch; write another, such as '
                        f'{options["name"]}_feature.')
    teachers = list(teachers)
    of, known = options.get('of') or teachers[0], [*teachers, *(() if tail else (TRUTH,))]
    if of not in known:
        raise UserError(f'{where.capitalize()} "{options["name"]}" is of teacher "{of}", which is not there; did you '
                        f'mean {" or ".join(near_matches(of, known))}?')
    default_loss = {'type': 'L1Loss'} if tail else {'type': 'FeatureHintLoss'}
    return Hint(name=options['name'], of=of, teacher=options['teacher'], student=options['student'],
                loss=as_hint_loss(build_loss(dict(options.get('loss') or default_loss))),
                weight=float(options.get('weight', 1.0 if tail else 0.12)),
                time=check_time(options.get('time', 'mean'), options['name']),
                adapter=_form(options.get('adapter') or {}, f'{where} "{options["name"]}"', tail),
                relative=bool(options.get('relative', False)), tail=tail)


def _form(options: Mapping[str, Any], owner: str, tail: bool) -> AdapterForm:
    """The form of an adapter from ``{resize, picture, unit, fit}``."""
    form = AdapterForm(**options)
    if form.resize not in RESIZES:
        raise UserError(f'The adapter of {owner} has resize: {form.resize}; write one of {", ".join(RESIZES)}.')
    if tail and form.unit:
        raise UserError(f'The adapter of {owner} has unit: true, but the teacher goes on from a feature of its own '
                        'scale; take it out.')
    return form
