"""The context that watches the neurons of a network while it runs."""
from __future__ import annotations

from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import _disable_current_modes

from basicsr_snn.activity.layer import LayerActivity
from basicsr_snn.spiking.base import Neuron
from basicsr_snn.spiking.neurons import neuron_of

SAMPLED = 4096
"""Neurons of a layer whose potentials and counts are looked at in each call, times the time steps of the call."""

KEPT = 16 * SAMPLED
"""Potentials of a layer that are kept over all calls."""


EXACT_SUM = 2 ** 20
"""Counts up to 16 that float32, which is faster than float64, adds up without rounding."""


class ActivityWatch:
    """Context that looks at what goes into the neurons of a network and what comes out; outputs stay untouched.

    Rates of channels, and with them silent and saturated ones, are those of all neurons. Counts and potentials are
    those of :data:`SAMPLED` neurons of a call, at random places that are the same in every run. ReLUs are not watched,
    so an ANN has no activity. The context may be entered again, to go on watching, and may stand inside or around
    an ``OperationCounter``.

    .. code-block:: python

        with ActivityWatch(net) as watch, torch.inference_mode():
            net(picture)
        layers = watch.layers()
    """

    def __init__(self, net: nn.Module) -> None:
        self._neurons = {name: (module, neuron) for name, module in net.named_modules()
                         if (neuron := neuron_of(module)) is not None and neuron.is_spiking}
        self._tallies: dict[str, _Tally] = {}
        self._handles: list[Any] = []

    def __enter__(self) -> ActivityWatch:
        for name, (module, neuron) in self._neurons.items():
            states: list[tuple[Any, ...]] = []
            self._handles.append(module.register_forward_pre_hook(_state_keeper(neuron, states)))
            self._handles.append(module.register_forward_hook(self._looker(name, neuron, states)))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _looker(self, name: str, neuron: Neuron, states: list[tuple[Any, ...]]) -> Callable[..., None]:
        @torch.no_grad()
        def look(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            before = states.pop()
            states.clear()
            spikes = output[0] if isinstance(output, tuple) else output
            with _disable_current_modes():  # what is computed here is no operation of the network
                x, spikes = (_with_time(neuron, tensor.detach()) for tensor in (args[0], spikes))
                tally = self._tallies.setdefault(name, _Tally(type(module).__name__, neuron.max_count))
                tally.add(neuron, x, spikes, before)

        return look

    def layers(self) -> tuple[LayerActivity, ...]:
        """What was seen so far, in order of first execution."""
        return tuple(tally.layer(name) for name, tally in self._tallies.items())


class _Tally:
    """Running sums of one neuron layer."""

    def __init__(self, kind: str, limit: int) -> None:
        self.kind = kind
        self.limit = limit
        self.updates = 0
        self.events = torch.zeros((), dtype=torch.float64)
        self.counts = np.zeros(2 * limit + 1, np.int64)
        self.potentials: list[np.ndarray] = []
        self.thinning = 1

    def add(self, neuron: Neuron, x: Tensor, spikes: Tensor, states: tuple[Any, ...]) -> None:
        """Add one call: input and spikes (T, N, C, ...), state before it."""
        self.updates += spikes.numel() // spikes.shape[2]
        self.events = self.events + _events_of_channels(spikes)
        places = _places(spikes)
        seen = _at(spikes, places)
        self.counts += _histogram(seen.cpu().numpy(), self.limit)
        sampled = tuple(_at(one[None], places)[0] if isinstance(one, Tensor) and one.shape == x.shape[1:] else
                        _at_rest(neuron, one) for one in states)
        potentials = neuron.potentials(_at(x, places), seen, sampled)
        if potentials is not None:
            self._keep(potentials.movedim(1, 0).float().cpu().numpy())

    def _keep(self, potentials: np.ndarray) -> None:
        """Keep potentials (P, T, C); once they are too many, every second neuron of each call alike."""
        self.potentials.append(potentials[::self.thinning])
        while sum(one.size for one in self.potentials) > KEPT and any(len(one) > 1 for one in self.potentials):
            self.potentials = [one[::2] for one in self.potentials]
            self.thinning *= 2

    def layer(self, name: str) -> LayerActivity:
        """The layer's figures."""
        kept = np.concatenate([np.empty(0, np.float32), *(one.reshape(-1) for one in self.potentials)])
        return LayerActivity(name, self.kind, self.limit, (self.events / self.updates).cpu().numpy(),
                             kept[np.isfinite(kept)], self.counts)


def _state_keeper(neuron: Neuron, states: list[tuple[Any, ...]]) -> Callable[..., None]:
    def keep(module: nn.Module, args: tuple[Any, ...]) -> None:
        states.append(neuron.state())

    return keep


def _with_time(neuron: Neuron, tensor: Tensor) -> Tensor:
    """(T, N, C, ...), of a layer that is called with all steps at once or step by step."""
    return tensor if neuron.takes_sequences else tensor[None]


def _events_of_channels(spikes: Tensor) -> Tensor:
    """Unit events of each channel of (T, N, C, ...), (C,) float64; exact, so that a saturated channel shows."""
    rows = spikes.abs().movedim(2, 0).flatten(3)
    parts = [part.sum(-1, dtype=torch.float32) for part in rows.split(EXACT_SUM, -1)]
    return torch.stack(parts).sum((0, 2, 3), dtype=torch.float64)


def _histogram(counts: np.ndarray, limit: int) -> np.ndarray:
    """How often each count of -limit..limit occurs; NaN, which a diverged network emits, is left out."""
    known = counts[np.abs(counts) <= limit].astype(np.int64)
    return np.bincount(known + limit, minlength=2 * limit + 1)


def _places(spikes: Tensor) -> tuple[Tensor, ...]:
    """Indices into (T, N, C, ...) but for time and channels: at most :data:`SAMPLED` neurons over all channels."""
    shape = (spikes.shape[1], *spikes.shape[3:])
    wanted = min(max(1, SAMPLED // spikes.shape[2]), int(np.prod(shape)))
    flat = np.random.RandomState(0).randint(0, int(np.prod(shape)), wanted)
    return tuple(torch.from_numpy(index).to(spikes.device) for index in np.unravel_index(flat, shape))


def _at(tensor: Tensor, places: tuple[Tensor, ...]) -> Tensor:
    """Neurons of (T, N, C, ...) at the given places, all channels: (T, P, C)."""
    all_steps: tuple[Any, ...] = (slice(None), *places)
    return tensor.movedim(2, -1)[all_steps]


def _at_rest(neuron: Neuron, state: Any) -> Any:
    """A state of another shape starts anew, as SpikingJelly's neurons do."""
    return neuron.rest if isinstance(state, Tensor) else state
