"""Repair of BasicSR's logger for Weights & Biases."""
from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any

from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.errors import UserError, first_line


@replaces('init_wandb_logger', 'basicsr.utils.logger', 'basicsr.utils', 'basicsr.train')
def begin_a_run_of_wandb(upstream: Callable[[dict[str, Any]], None], opt: dict[str, Any]) -> None:
    """BasicSR makes the name of a run by `wandb.util.generate_id`, which wandb no longer has; no account was a
    traceback."""
    wandb = module('wandb')
    vars(wandb.util).setdefault('generate_id', _new_id)
    try:
        upstream(opt)
    except wandb.Error as error:
        raise UserError(f'logger: wandb has a project, but no run can begin there ({first_line(error)}); type wandb '
                        'login, set WANDB_MODE=offline to keep the run on this machine, or write project: ~.'
                        ) from error


def _new_id() -> str:
    """Eight characters, as wandb's own."""
    return secrets.token_hex(4)
