"""Whether what is computed is recorded, by an exporter, a compiler or a tracer, instead of being computed."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import torch

_example_decides: ContextVar[bool] = ContextVar('example_decides', default=False)


def is_recorded() -> bool:
    """Whether ``torch.export``, ``torch.compile`` or ``torch.jit.trace`` follows what is done: values and addresses of
    tensors are then not to be asked for."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()


def serves_all_sizes() -> bool:
    """Whether what is recorded will be used as it is for pictures of other sizes, so that nothing may be decided by the
    sides of the example: by ``torch.export`` and ``torch.jit.trace``. What ``torch.compile`` makes is compiled anew
    where such a decision falls otherwise."""
    exported = torch.compiler.is_compiling() and not torch.compiler.is_dynamo_compiling()
    return (exported or torch.jit.is_tracing()) and not _example_decides.get()


@contextmanager
def example_decides() -> Iterator[None]:
    """Context in which the sides of the example stand for those of all pictures: all are multiples, as they are."""
    token = _example_decides.set(True)
    try:
        yield
    finally:
        _example_decides.reset(token)
