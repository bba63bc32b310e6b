"""``train: cuda_graph``: a training step that a GPU replays as one CUDA graph, without waiting for its launches."""
from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from basicsr.utils import get_root_logger
from torch import Tensor, nn

from basicsr_snn.data.batch import Batch
from basicsr_snn.errors import first_line

WARM_UP = 3
"""Steps that run as ever before the capture: kernels are compiled and convolution algorithms chosen in them."""


@dataclass(frozen=True)
class Taken:
    """What a step tells of itself.

    Attributes:
        terms: Its loss terms by log key.
        norms: The norm of the gradients of each optimiser's parameters.
    """

    terms: OrderedDict[str, Tensor]
    norms: list[Tensor]

    def clone(self) -> Taken:
        return Taken(OrderedDict((key, term.clone()) for key, term in self.terms.items()),
                     [norm.clone() for norm in self.norms])


class ReplayedStep:
    """Steps of a training, captured once and replayed; what the host changes from step to step lies in tensors.

    The first :data:`WARM_UP` steps run as ever, and so does every step on a CPU, on a batch of another shape, and after
    a capture that failed, of which the log tells.

    Args:
        take: One whole step on a batch, with a decay of the moving average: gradients, clipping, optimisers, average.
            It must not read a tensor on the host.
        optimizers: What ``take`` steps with; their learning rates become tensors.
        device: Where the training runs.
    """

    def __init__(self, take: Callable[[Batch, Tensor], Taken], optimizers: Sequence[torch.optim.Optimizer],
                 device: torch.device) -> None:
        self._take, self._device = take, device
        self._decay = torch.zeros((), device=device)
        self._graph: Any = None
        self._given: Batch | None = None
        self._taken: Taken | None = None
        self._warm, self._gave_up = 0, device.type != 'cuda'
        for optimizer in optimizers:
            hold_rates_in_tensors(optimizer, device)

    def __call__(self, batch: Batch, decay: float) -> Taken:
        """Take a step; what it returns stays as it is."""
        self._decay.fill_(decay)
        if self._gave_up or self._given is not None and _shapes(batch) != _shapes(self._given):
            return self._take(batch, self._decay)
        if self._warm < WARM_UP:
            return self._warmed_up(batch)
        if self._graph is None and not self._capture(batch):
            return self._take(batch, self._decay)
        return self._replay(batch)

    def _warmed_up(self, batch: Batch) -> Taken:
        self._warm += 1
        stream = torch.cuda.Stream(self._device)
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            taken = self._take(batch, self._decay)
        torch.cuda.current_stream().wait_stream(stream)
        return taken

    def _capture(self, batch: Batch) -> bool:
        """Record a step; whether that went well. Nothing is computed yet."""
        given = Batch(*(None if one is None else one.clone() for one in _tensors(batch)))  # type: ignore[arg-type]
        graph = torch.cuda.CUDAGraph()
        try:
            with torch.cuda.graph(graph, capture_error_mode='thread_local'):
                self._taken = self._take(given, self._decay)
        except RuntimeError as error:
            self._gave_up = True
            get_root_logger().warning(f'train: cuda_graph: this step cannot be captured ({first_line(error)}); the '
                                      'training goes on without.')
            return False
        self._graph, self._given = graph, given
        return True

    def _replay(self, batch: Batch) -> Taken:
        assert self._given is not None
        assert self._taken is not None
        for held, one in zip(_tensors(self._given), _tensors(batch), strict=True):
            if held is not None and one is not None:
                held.copy_(one, non_blocking=True)
        self._graph.replay()
        return self._taken.clone()


def _tensors(batch: Batch) -> tuple[Tensor | None, ...]:
    return batch.lq, batch.gt, batch.sigma, batch.known


def _shapes(batch: Batch) -> list[torch.Size | None]:
    return [None if one is None else one.shape for one in _tensors(batch)]


def hold_rates_in_tensors(optimizer: torch.optim.Optimizer, device: torch.device) -> None:
    """Let a captured step read the learning rates that the host sets."""
    for group in optimizer.param_groups:
        group['lr'] = torch.tensor(float(group['lr']), device=device)
        if 'capturable' in group:
            group['capturable'] = device.type == 'cuda'


@contextmanager
def rates_as_numbers(optimizers: Sequence[torch.optim.Optimizer]) -> Iterator[None]:
    """Context in which the groups of optimisers are as without a captured step, for a state that any training reads."""
    groups = [group for optimizer in optimizers for group in optimizer.param_groups]
    held: list[dict[str, Any]] = [{key: group[key] for key in ('lr', 'capturable') if key in group} for group in groups]
    for group in groups:
        if isinstance(group['lr'], Tensor):
            group['lr'] = group['lr'].item()
            if 'capturable' in group:
                group['capturable'] = False
    try:
        yield
    finally:
        for group, before in zip(groups, held, strict=True):
            group.update(before)


@torch.no_grad()
def move_average(average: nn.Module, net: nn.Module, decay: Tensor) -> None:
    """Move an average towards a network by ``1 - decay``, which may change after a capture; buffers are copied."""
    averaged: list[Tensor] = list(average.parameters())
    current: list[Tensor] = list(net.parameters())
    moved = torch._foreach_sub(current, averaged)
    torch._foreach_mul_(moved, 1 - decay)
    torch._foreach_add_(averaged, moved)
    for kept, buffer in zip(average.buffers(), net.buffers(), strict=True):
        kept.copy_(buffer)
