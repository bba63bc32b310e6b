"""How much of each teacher's feature is found in each feature of a student, for an option file."""
from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from basicsr.data import build_dataset

from basicsr_snn.data.batch import Batch
from basicsr_snn.data.draws import Draw, follow_draws
from basicsr_snn.data.loaders import require_pictures
from basicsr_snn.distill.matching import Match, Taps, match, pictures_as_taps, taps_of
from basicsr_snn.distill.teachers import build_teachers
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.pipeline.hint_paths import without_hints
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.pipeline.option_files import read_forced_options
from basicsr_snn.zoo.building import window_of
from basicsr_snn.zoo.trained_network import network_of_options

CROPS = 24
"""Crops of training pictures: half of them make the linear maps, the others, of other pictures, judge these."""


def hint_matches(file: str | Path, weights: str | Path | None = None,
                 force: Iterable[str] = ()) -> dict[str, list[list[str]]]:
    """Held-out R2 of every pair of stages, in a table for each teacher.

    Args:
        file: Option file of a training with a teacher; its hints may be wrong or missing.
        weights: Weights of a trained student; None: those that the training begins with.
        force: Entries ``key:key=value`` that replace options of the file.

    Returns:
        By a title that names teacher and student, rows of cells; the first row is the heading.

    Raises:
        UserError: The file cannot be read, has mistakes elsewhere, no teacher, or no training pictures.
    """
    options = read_forced_options(file, force)
    check_options(without_hints(options))
    distill = options.get('distill') or {}
    if not (distill.get('teacher') or distill.get('teachers')) or 'train' not in options:
        raise UserError(f'--match compares a student with its teachers, but {file} has no training with a distill: '
                        'block; write one.')
    if (distill.get('teacher') or {}).get('trainable'):
        raise UserError(f'--match was given, but the teacher of {file} is trained along, so that its features are not '
                        'there yet; give an option file with a trained teacher.')
    batch = _crops(options)
    trained = network_of_options(file, options, 'student')
    trained = trained if weights is None else replace(trained, weights=Path(weights).expanduser(), strict=True)
    student = as_restorer(trained.loaded(), window_of(options['network_g'])).eval()
    told = f'student {options["network_g"]["type"]}' + ('' if trained.trained else ' (untrained)')
    mine = taps_of(student, 'student', batch.lq)
    return {f'{name} {type(teacher.network).__name__}, {told}': _rows(match(mine, _taps(teacher, batch), batch.lq))
            for name, teacher in build_teachers(distill, torch.device('cpu')).items()}


def _crops(options: Mapping[str, Any]) -> Batch:
    """Noisy crops as the training draws them, always the same."""
    block = dict(options['datasets']['train'])
    dataset = follow_draws(build_dataset({**block, 'phase': 'train', 'scale': options.get('scale', 1)}))
    require_pictures(dataset)
    items = [dataset[Draw(place * len(dataset) // CROPS, place)] for place in range(CROPS)]
    sigma = torch.stack([item['sigma'] for item in items]) if 'sigma' in items[0] else None
    return Batch(torch.stack([item['lq'] for item in items]), sigma=sigma)


def _taps(teacher: Restorer, batch: Batch) -> Taps:
    """The stages of a teacher and its pictures."""
    stages = taps_of(teacher, 'teacher', batch.lq)
    with torch.no_grad():
        pictures = pictures_as_taps(restore(teacher, batch.lq, batch.sigma), batch.lq)
    return Taps({**stages.features, **pictures.features}, {**stages.cells, **pictures.cells})


def _rows(found: Match) -> list[list[str]]:
    students = list(dict.fromkeys(name for _, name in found.pairs))
    rows = [['teacher', 'picture alone', *students]]
    for path, alone in found.alone.items():
        shares = [found.pairs.get((path, name)) for name in students]
        rows.append([path, f'{alone:.2f}', *('-' if share is None else f'{share:.2f}' for share in shares)])
    return rows
