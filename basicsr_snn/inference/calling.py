"""Calling a restorer: the noise level where it takes one, the form in which it ships."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import TypeVar

import torch
from torch import Tensor, nn

from basicsr_snn.inference.contract import Restorer, as_restorer
from basicsr_snn.spiking.thread_memory import separate_threads

Net = TypeVar('Net', bound=nn.Module)


def restore(net: Restorer, picture: Tensor, sigma: Tensor | float | None = None) -> Tensor:
    """Restore pictures.

    Args:
        net: A restorer, spiking or not.
        picture: Degraded pictures (N, C, H, W) in 0..1.
        sigma: Noise level on the 0..255 scale, a number or (N,); ``None`` leaves it to the network's own default. It is
            passed on only to a network that takes one.
    """
    return net(picture, sigma=sigma) if net.takes_sigma and sigma is not None else net(picture)


def usual_device() -> str:
    """Where networks run that are told no device: the GPU where there is one."""
    return 'cuda' if torch.cuda.is_available() else 'cpu'


def compute_in_full() -> None:
    """Let torch multiply all digits of its floats on a GPU, in this process: with the 10 bits of TF32, which it takes
    for convolutions by default, counts of spikes tip over."""
    torch.backends.cudnn.allow_tf32 = False


@contextmanager
def computing_in_full() -> Iterator[None]:
    """Context of :func:`compute_in_full`, for programs of others."""
    before = torch.backends.cudnn.allow_tf32
    compute_in_full()
    try:
        yield
    finally:
        torch.backends.cudnn.allow_tf32 = before


def to_channels_last(net: Net, device: torch.device | None = None) -> Net:
    """The network itself with its weights in channels_last memory, on ``device`` (None: where it is)."""
    net.to(device)
    for tensor in (*net.parameters(), *net.buffers()):
        if tensor.dim() == 4:  # torch's own way to say so fails on weights of three dimensions in space
            tensor.data = tensor.data.contiguous(memory_format=torch.channels_last)
    return net


def deployed(net: nn.Module, window: int = 1) -> Restorer:
    """The form of a network that ships: a folded copy in eval mode, without gradients, that threads may share.

    Args:
        net: Any network; one that does not state the contract is wrapped.
        window: See :func:`basicsr_snn.inference.contract.as_restorer`.
    """
    copy = to_channels_last(deepcopy(net)).eval().requires_grad_(False)
    separate_threads(copy)
    return as_restorer(copy, window).fold()
