"""The contract of a neuron layer: what it maps, and what it tells of itself to the rest of the package."""
from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import torch
from torch import Tensor

State = tuple[Any, ...]
"""Membrane state of a layer: (N, C, ...) tensors, or numbers at rest."""

_CARRIED: ContextVar[dict[Neuron, State | None]] = ContextVar('carried', default={})  # noqa: B039 - never written to
"""State of the layers that go on from call to call; None: at rest. It belongs to who calls, not to the network, so that
threads may share one."""


@contextmanager
def carrying(layers: Iterable[Neuron]) -> Iterator[None]:
    """Context in which these layers go on, call by call, from where the caller's last call left them."""
    token = _CARRIED.set({**_CARRIED.get(), **dict.fromkeys(layers)})
    try:
        yield
    finally:
        _CARRIED.reset(token)


class Neuron:
    """A neuron layer: membrane input (T, N, C, H, W) to spikes of the same shape, from rest at every call.

    A neuron layer is an ``nn.Module`` that inherits from this class, too. Whatever reads spikes, folds them, counts
    them or draws them asks these attributes only; the values given here are neutral, those of a binary neuron whose
    spikes are worth 1 and that runs step by step.

    Attributes:
        is_spiking: Whether it emits spikes. False: the activation of an ANN, which emits floats.
        max_count: Largest magnitude of an answer of one step, D. 1: binary or ternary spikes. Guaranteed to be >= 1
            where it spikes, 0 where it does not.
        digit_limit: Largest count that the T answers tell together where each is worth half of the one before. 0: all
            steps are worth the same.
        is_signed: Whether its answers stand for membrane potentials of both signs: by negative spikes, or by a bias
            that puts the mean of the potential into the middle of the counts.
        leaks: Whether the potential decays from step to step, which costs a multiplication a neuron and step.
        whole_sequence: Whether it is defined over all steps at once, so that it can't go on step by step.
        takes_sequences: Whether a call holds all time steps, as its first dimension; else it is called step by step.
        carries_state: Whether a call goes on from the membrane potential of the caller's last one until :meth:`reset`:
            within :func:`basicsr_snn.spiking.neurons.carried_state`. It then begins from ``carried`` and leaves its
            state by :meth:`carry`; nothing of it is kept on the layer, so that threads may share a network.
        carried: State that the caller's last call left; None: rest.
        rest: Membrane potential at rest.
        amplitude: What one spike adds to the membranes behind it, for each channel, (C,); None: 1. The next convolution
            scales its input channels by it and folds it into its weights for inference.
    """

    is_spiking = True
    max_count = 1
    digit_limit = 0
    is_signed = False
    leaks = True
    whole_sequence = False

    if TYPE_CHECKING:
        def __call__(self, x: Tensor) -> Tensor: ...

    @property
    def takes_sequences(self) -> bool:
        return True

    @property
    def carries_state(self) -> bool:
        return self in _CARRIED.get()

    @property
    def carried(self) -> State | None:
        return _CARRIED.get().get(self)

    def carry(self, state: State | None) -> None:
        """Leave ``state`` to the caller's next call, if it goes on from this one."""
        if self.carries_state:
            _CARRIED.get()[self] = state

    @property
    def rest(self) -> float:
        return 0.0

    @property
    def amplitude(self) -> Tensor | None:
        return None

    def reset(self) -> None:
        """Forget the membrane potential, and with it the graph that it holds."""
        self.carry(None)

    @property
    def initial_threshold(self) -> float | None:
        """Membrane potential from which it fires at the start of a training, the mean over channels; None: it has no
        threshold."""
        return None if self.amplitude is None else float(self.amplitude.detach().mean())

    def membrane_values(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """What the spikes of one step (1, N, C, H, W) add to membranes, of that shape, and how many there are.

        Asked only of the neurons of a training by ``tools/captured_step.py``.
        """
        raise NotImplementedError

    def state(self) -> State:
        """Its membrane state before a call, numbers or None at rest."""
        return self.carried or (None,)

    def potentials(self, x: Tensor, spikes: Tensor, state: State) -> Tensor | None:
        """Membrane potential of each step before it spikes, in units of the threshold.

        Neurons do not know their neighbours, so that some of a layer can be looked at alone. At T = 1 from rest this is
        the input over the threshold; later steps follow from the neuron's own equations.

        Args:
            x: Membrane input (T, P, C) of P neurons of each channel.
            spikes: What they emitted, of the same shape.
            state: Their :meth:`state` before the call: (P, C) tensors, or numbers at rest.

        Returns:
            (T, P, C); None for a neuron whose equations can't be run step by step, which is the neutral answer.
        """
        return None


class Activation(Neuron):
    """What stands in the place of a neuron in an ANN; it has no state."""

    is_spiking = False
    max_count = 0


def potentials_of_soft_reset(x: Tensor, spikes: Tensor, threshold: Tensor, decay: float,
                             v: Tensor | float | None = None) -> Tensor:
    """:meth:`Neuron.potentials` of a neuron that subtracts ``threshold * spikes`` and leaks by ``decay``."""
    potentials = []
    v = 0.0 if v is None else v
    for current, count in zip(x, spikes, strict=True):
        h = decay * v + current
        potentials.append(h / threshold)
        v = h - threshold * count
    return torch.stack(potentials)


DEFAULT_NEURON = 'SignedILIF'

NeuronOptions = Annotated[Mapping[str, Any], 'neuron']
"""A ``neuron:`` block: ``type``, by default :data:`DEFAULT_NEURON`, and the options of that neuron."""

HiddenNeuronOptions = Annotated[Mapping[str, Any], 'hidden_neuron']
"""What differs from the ``neuron:`` block beside it."""

NEURONS: dict[str, Callable[..., Neuron]] = {}
"""Neuron layers by the name that options give them; each is built from the channels of the layer and its options."""

Kind = TypeVar('Kind', bound=type[Neuron])


def register_neuron(name: str) -> Callable[[Kind], Kind]:
    """Class decorator: give a neuron layer its name in ``neuron: {type: NAME}``.

    The constructor takes ``channels`` first; its other parameters, by their names, are the options.
    """
    def register(kind: Kind) -> Kind:
        NEURONS[name] = kind
        return kind

    return register
