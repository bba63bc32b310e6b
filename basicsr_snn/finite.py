"""What is finite: numbers without NaN and infinity, and the sentences about what is not."""
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from basicsr_snn.errors import NotFiniteError, some

EARLIER = 'take the weights of an earlier checkpoint'
"""What to do about a network that broke, where nothing more is known."""


def is_finite(tensor: Tensor) -> bool:
    """Whether a tensor holds neither NaN nor infinity; a mask of 0 and minus infinity alone is as it
    should be."""
    if not (tensor.is_floating_point() or tensor.is_complex()) or tensor.is_meta or tensor.is_nested:
        return True
    tensor = _stored(tensor)
    if tensor.itemsize == 1:
        tensor = tensor.float()  # of 8-bit floats torch compares few kinds
    broken = ~torch.isfinite(tensor)
    if not broken.any():
        return True
    return not tensor.is_complex() and bool((torch.isneginf(tensor) | (tensor == 0)).all())


def _stored(tensor: Tensor) -> Tensor:
    """The numbers that are there, of a sparse tensor or of one whose shape repeats them."""
    if tensor.layout != torch.strided:
        return tensor._values() if tensor.layout == torch.sparse_coo else tensor.values()
    storage = tensor.untyped_storage()
    there = storage.nbytes() // tensor.itemsize
    return tensor if tensor.numel() <= there else tensor.new_empty(0).set_(storage)


def not_finite_in(content: Any, path: str = '') -> list[str]:
    """Where tensors of nested mappings and lists are not finite, as paths such as ``params.stem.weight``."""
    if isinstance(content, Tensor):
        return [] if is_finite(content) else [path]
    items = (content.items() if isinstance(content, Mapping) else
             enumerate(content) if isinstance(content, list | tuple) else ())
    return [place for key, value in items for place in not_finite_in(value, f'{path}.{key}' if path else str(key))]


def check_answer(answer: Tensor, pictures: str = 'a picture', consequence: str = 'no score is given',
                 advice: str = EARLIER, who: str = 'the network') -> None:
    """Refuse what a network made of a picture if it is not finite.

    Args:
        answer: What it made.
        pictures: Of what.
        consequence: What is not done with it.
        advice: What to type instead.
        who: The subject of the sentence.

    Raises:
        NotFiniteError: It holds NaN or infinity.
    """
    if not torch.isfinite(answer).all():
        raise NotFiniteError(f'{who} answers {pictures} with NaN or infinity, so that {consequence}; {advice}.')


def what_is_broken(content: Any, what: str) -> str | None:
    """The beginning of a sentence about nested mappings and lists of tensors, such as weights, of which one is not
    finite; None: all are."""
    broken = not_finite_in(content)
    return f'{what} holds NaN or infinity in {some(broken)}' if broken else None


def check_numbers(content: Any, what: str, consequence: str = '', advice: str = EARLIER) -> None:
    """Refuse what :func:`what_is_broken` finds; ``consequence`` goes on behind it, ``advice`` is what to do instead.

    Raises:
        NotFiniteError: A tensor holds NaN or infinity.
    """
    if told := what_is_broken(content, what):
        raise NotFiniteError(f'{told}{consequence}; {advice}.')
