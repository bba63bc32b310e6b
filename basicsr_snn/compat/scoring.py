"""Repair of what a validation makes of a network's answer."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import NotFiniteError
from basicsr_snn.finite import not_finite_in


@replaces('tensor2img', 'basicsr.models.sr_model')
def refuse_pictures_of_nan(upstream: Callable[..., Any], tensor: Any, *args: Any, **kwargs: Any) -> Any:
    """NaN and infinity became grey values, which were saved and scored like any other picture."""
    if not_finite_in(tensor):
        raise NotFiniteError('The network answers a picture with NaN or infinity, so that no score is given; take the '
                             'weights of an earlier checkpoint.')
    return upstream(tensor, *args, **kwargs)
