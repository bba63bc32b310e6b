"""Membrane potentials of SpikingJelly's neurons in networks that are not ours: one set for each thread."""
from __future__ import annotations

import threading
from collections import UserDict
from collections.abc import Mapping
from typing import Any

from spikingjelly.activation_based.base import MemoryModule
from torch import nn


class ThreadMemory(UserDict):
    """The memories of a neuron by name; each thread reads and writes its own.

    Args:
        first: What every thread begins with.
    """

    def __init__(self, first: Mapping[str, Any]) -> None:
        self._first = dict(first)
        self._own = threading.local()

    @property
    def data(self) -> dict[str, Any]:  # type: ignore[override]  # where UserDict keeps what it holds
        return vars(self._own).setdefault('data', dict(self._first))

    def copy(self) -> dict[str, Any]:  # type: ignore[override]
        return dict(self.data)

    def __reduce__(self) -> tuple[type[ThreadMemory], tuple[dict[str, Any]]]:
        return ThreadMemory, (self._first,)


def separate_threads(net: nn.Module) -> None:
    """Let threads share ``net``: its neurons of SpikingJelly's keep a membrane potential for each thread.

    Ours keep none on the layer and need nothing.
    """
    for module in net.modules():
        if isinstance(module, MemoryModule):
            module._memories = ThreadMemory(module._memories)
