"""Repair of the choice of optimizers."""
from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import UserError, near_matches

OPTIMIZERS = ('Adam', 'AdamW', 'Adamax', 'SGD', 'ASGD', 'RMSprop', 'Rprop', 'RAdam', 'NAdam', 'Adagrad')


@replaces('get_optimizer', 'basicsr.models.base_model:BaseModel')
def accept_more_optimizers(upstream: Callable[..., Any], model: Any, optim_type: str, params: Any, lr: float,
                           **kwargs: Any) -> torch.optim.Optimizer:
    """The release knows Adam only."""
    if optim_type in OPTIMIZERS:
        return getattr(torch.optim, optim_type)(params, lr, **kwargs)
    try:
        return upstream(model, optim_type, params, lr, **kwargs)
    except NotImplementedError as error:
        raise UserError(f'The optimizer type is {optim_type}; allowed are {", ".join(OPTIMIZERS)}: type '
                        f'{" or ".join(near_matches(optim_type, OPTIMIZERS))}.') from error
