"""Kernels that torch.compile fuses: the switch, one compilation for all sizes, what happens without a compiler."""
from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

import torch
from basicsr.utils import get_root_logger

from basicsr_snn.errors import UserError

SWITCH = 'BASICSR_SNN_COMPILE'
"""Environment variable: 1 compiles the kernels of all neurons, 0 of none, whatever the option file says."""


def compile_wanted(option: bool) -> bool:
    """Whether to compile: what the environment says, else the option ``neuron: {compile: ...}``.

    Raises:
        UserError: The environment variable is neither 0 nor 1.
    """
    said = os.environ.get(SWITCH, '')
    if said not in ('', '0', '1'):
        raise UserError(f'{SWITCH} is {said!r}; write {SWITCH}=1 to compile neurons, {SWITCH}=0 not to.')
    return bool(option) if said == '' else said == '1'


class Kernel:
    """A pure function of tensors and numbers: compiled at its first call, or run as it is where compiling fails.

    One compilation serves all sizes; another number of dimensions, of time steps or another flag compiles anew. torch
    keeps the machine code in its own cache (``TORCHINDUCTOR_CACHE_DIR``), so that a second process starts in seconds.
    """

    broken = False
    """Compiling failed once in this process: no kernel tries again."""

    def __init__(self, function: Callable) -> None:
        self.plain = function
        self._compiled = torch.compile(function, dynamic=True, fullgraph=True)

    def __call__(self, *args: object) -> Any:
        if not Kernel.broken:
            try:
                return self._compiled(*args)
            except Exception as error:  # no compiler, an unknown platform: anything; the plain form shows real mistakes
                Kernel.broken = True
                reason = next(iter(str(error).splitlines()), type(error).__name__)
                get_root_logger().warning(f'Neurons run uncompiled: {self.plain.__name__} did not compile ({reason}).')
        return self.plain(*args)
