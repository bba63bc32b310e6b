"""Follows what a thread builds, part by part. torch's hooks are called for the networks of every thread."""
from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

Part = Tensor | nn.Module | None
"""A parameter, a buffer or a module; None where a module says that it has none."""


@contextmanager
def followed(see: Callable[[Part], None], *registrations: Callable[..., Any]) -> Iterator[None]:
    """Context in which ``see`` is called with each part that this thread registers with a module.

    Args:
        see: What it raises breaks the building off.
        registrations: Of torch's ``register_module_..._registration_hook``, those of the kinds of parts to follow.
    """
    builder = threading.get_ident()

    def hook(module: nn.Module, name: str, part: Part) -> None:
        if threading.get_ident() == builder:
            see(part)

    handles = [register(hook) for register in registrations]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
