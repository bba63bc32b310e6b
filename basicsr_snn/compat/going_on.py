"""What to do about a training whose numbers are not finite any more: where it can go on, and with what changed."""
from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from basicsr_snn.finite import EARLIER

AT_FIRST = ('no step was taken before, so the rate is not the cause; look at network_g, at the weights that it begins '
            'with (path: pretrain_network_g, and path of the teachers), at the weights of its losses, and at these '
            'pictures.')
"""What to do about a training whose network, or first step, is not finite."""


def advise(opt: Mapping[str, Any], iteration: int) -> str:
    """What to do about a network that broke at an iteration: another rate, from the newest checkpoint known as sound.

    Of a test: other weights. Before the first step no rate has changed anything.
    """
    train = opt.get('train')
    if not train:
        return f'{EARLIER}.'
    if iteration <= 1:
        return AT_FIRST
    rate, clip = (train.get('optim_g') or {}).get('lr'), train.get('grad_clip')
    now = '' if rate is None else f' ({rate:g} now)'
    other = f'or set train.grad_clip: {1.0 if not clip or clip > 1 else clip / 10}'
    return (f'lower train.optim_g.lr{now}, {other}, and '
            f'{_where_to_go_on(opt["path"].get("training_states"), iteration)}')


def _where_to_go_on(folder: str | None, iteration: int) -> str:
    """A checkpoint is sound if a later step than the next one was finite: the next one's loss is of its weights."""
    saved = sorted(int(file.stem) for file in Path(folder).glob('*.state') if file.stem.isdigit()) if folder else []
    sound = [one for one in saved if one < iteration - 1]
    if not sound:
        return 'begin again, since no sound checkpoint was saved.'
    if sound[-1] == saved[-1]:
        return f'go on from checkpoint {sound[-1]} with --auto_resume.'
    return (f'go on from checkpoint {sound[-1]} with path: resume_state: {folder}/{sound[-1]}.state, without '
            '--auto_resume, which would take a later one.')
