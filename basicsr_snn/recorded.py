"""Whether what is computed is recorded, by an exporter, a compiler or a tracer, instead of being computed."""
from __future__ import annotations

import torch


def is_recorded() -> bool:
    """Whether ``torch.export``, ``torch.compile`` or ``torch.jit.trace`` follows what is done: values and addresses of
    tensors are then not to be asked for."""
    return torch.compiler.is_compiling() or torch.jit.is_tracing()
