"""SpikingJelly's neurons under our contract: binary ones with a fused form of their whole sequence, integer ones."""
from __future__ import annotations

import math
from collections.abc import Callable
from copy import copy
from typing import Annotated, Any, Literal

import msgspec
import torch
from spikingjelly.activation_based import neuron, surrogate
from torch import Tensor, nn

from basicsr_snn.errors import UserError
from basicsr_snn.spiking.base import Neuron, State, register_neuron
from basicsr_snn.spiking.compiling import compile_wanted
from basicsr_snn.spiking.sequences import SURROGATE_GRADIENTS, LeakySequence

Surrogate = Literal['atan', 'sigmoid', 'piecewise_quadratic', 'rect']
Positive = Annotated[float, msgspec.Meta(gt=0)]
TimeConstant = Annotated[float, msgspec.Meta(gt=1)]
Count = Annotated[int, msgspec.Meta(ge=1)]

SURROGATES: dict[str, Callable[[], nn.Module]] = {
    'atan': surrogate.ATan,
    'sigmoid': surrogate.Sigmoid,
    'piecewise_quadratic': surrogate.PiecewiseQuadratic,
    'rect': surrogate.Rect,
}
"""Surrogate gradients of binary neurons, by name."""

UNREACHABLE = 1e30
"""A threshold that nothing reaches: a neuron that has it keeps the potential that it would have fired from."""


def surrogate_of(name: str) -> nn.Module:
    """The surrogate gradient of a name; a ``UserError`` names all where there is none."""
    if name not in SURROGATES:
        raise UserError(f'Surrogate "{name}" is not known; use one of {", ".join(SURROGATES)}.')
    return SURROGATES[name]()


class SpikingJellyNeuron(Neuron):
    """The contract of a neuron of SpikingJelly's, told by the neuron ``node`` itself or from outside."""

    @property
    def node(self) -> neuron.BaseNode:
        """SpikingJelly's neuron that the contract speaks of."""
        raise NotImplementedError

    @property
    def rest(self) -> float:
        return self.node.v_reset or 0.0

    @property
    def initial_threshold(self) -> float | None:
        return float(self.node.v_threshold)

    def state(self) -> State:
        return tuple(self.node._memories.values())

    @property
    def takes_sequences(self) -> bool:
        return self.node.step_mode == 'm'

    def potentials(self, x: Tensor, spikes: Tensor, state: tuple[Any, ...]) -> Tensor | None:
        node = self.node
        if not isinstance(node.v_threshold, float):
            return None
        silent = copy(node)
        silent.v_threshold = UNREACHABLE
        state = node.materialize_states((x[0],), state, 's')
        potentials = []
        for current in x:
            potentials.append(silent.single_step_functional_forward((current,), state)[1][0] / node.v_threshold)
            state = node.single_step_functional_forward((current,), state)[1]
        return torch.stack(potentials)


class ForeignNeuron(SpikingJellyNeuron):
    """The contract of a neuron of SpikingJelly's in a network that is not ours.

    Args:
        node: The neuron, which stays as it is.
    """

    def __init__(self, node: neuron.BaseNode) -> None:
        self._node = node
        self.leaks = not isinstance(node, neuron.IFNode)
        if isinstance(node, neuron.ILIFNode):
            self.max_count = node.surrogate_function.max_spike_count

    @property
    def node(self) -> neuron.BaseNode:
        return self._node

    def reset(self) -> None:
        self._node.reset()


class OwnedNode(SpikingJellyNeuron, neuron.BaseNode):
    """A neuron of SpikingJelly's that tells its contract itself."""

    @property
    def node(self) -> neuron.BaseNode:
        return self

    def state(self) -> State:
        return self.carried or tuple(self._memories.values())

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        """SpikingJelly's, by a copy that holds the membrane potential of this call alone."""
        if self.store_v_seq:  # somebody looks at the potential that is kept on the layer
            return super().multi_step_forward(x_seq)
        call = copy(self)
        call._memories = dict(zip(self._memories, self.state(), strict=True))
        spikes = super(OwnedNode, call).multi_step_forward(x_seq)
        self.carry(tuple(call._memories.values()))
        return spikes

    def reset(self) -> None:
        neuron.BaseNode.reset(self)
        self.carry(None)


class FusableNode(OwnedNode):
    """Runs a sequence from rest by the fused kernels where ``compiled`` asks for it; anything else is SpikingJelly's.

    Spikes and gradients are the same in either form. On CUDA SpikingJelly has kernels of its own, which stay in use.
    """

    compiled = False

    def dynamics(self) -> tuple[float, float, float, bool, bool]:
        """What :class:`LeakySequence` takes: time constant, threshold, reset, whether the input decays, hard reset."""
        raise NotImplementedError

    def multi_step_forward(self, x_seq: Tensor) -> Tensor:
        if not self._fuses(x_seq):
            return super().multi_step_forward(x_seq)
        kind, alpha = type(self.surrogate_function).__name__, self.surrogate_function.alpha
        gradient = self.detach_reset, kind, alpha
        return LeakySequence.apply(x_seq, self.dynamics(), gradient)

    def _fuses(self, x_seq: Tensor) -> bool:
        at_rest = not self.carries_state and not isinstance(self.v, Tensor)
        return (self.compiled and at_rest and x_seq.dim() == 5 and x_seq.device.type == 'cpu' and not self.store_v_seq
                and type(self.surrogate_function).__name__ in SURROGATE_GRADIENTS)


@register_neuron('LIFNode')
class LIFNode(FusableNode, neuron.LIFNode):
    """SpikingJelly's ``LIFNode``, with its arguments; the defaults are ESDNet's setting (arXiv 2405.06277).

    Args:
        channels: Channels C of the layer.
        surrogate: Surrogate gradient of a spike, one of :data:`SURROGATES`.
        compile: Run the time steps in one compiled loop (:mod:`basicsr_snn.spiking.sequences`).
        tau: Time constant of the leak, in time steps, > 1.
        decay_input: Whether the input decays with the potential.
        v_threshold: Membrane potential from which on it fires, > 0.
        v_reset: Potential after a spike; None: the threshold is subtracted.
        detach_reset: Leave the reset out of the gradient.

    .. code-block:: yaml

        neuron: {type: LIFNode, tau: 2.0, v_threshold: 0.15, surrogate: atan}
    """

    def __init__(self, channels: int, surrogate: Surrogate = 'atan', compile: bool = False, tau: TimeConstant = 2.0,
                 decay_input: bool = False, v_threshold: Positive = 0.15, v_reset: float | None = 0.0,
                 detach_reset: bool = False) -> None:
        super().__init__(tau=tau, decay_input=decay_input, v_threshold=v_threshold, v_reset=v_reset,
                         surrogate_function=surrogate_of(surrogate), detach_reset=detach_reset, step_mode='m')
        self.compiled = compile_wanted(compile)

    def dynamics(self) -> tuple[float, float, float, bool, bool]:
        return self.tau, self.v_threshold, self.rest, self.decay_input, self.v_reset is not None


@register_neuron('IFNode')
class IFNode(FusableNode, neuron.IFNode):
    """SpikingJelly's ``IFNode``: no leak, which is an infinite time constant.

    Args:
        channels: Channels C of the layer.
        surrogate: Surrogate gradient of a spike, one of :data:`SURROGATES`.
        compile: Run the time steps in one compiled loop (:mod:`basicsr_snn.spiking.sequences`).
        v_threshold: Membrane potential from which on it fires, > 0.
        v_reset: Potential after a spike; None: the threshold is subtracted.
        detach_reset: Leave the reset out of the gradient.

    .. code-block:: yaml

        neuron: {type: IFNode, v_threshold: 0.15, surrogate: atan}
    """

    leaks = False

    def __init__(self, channels: int, surrogate: Surrogate = 'atan', compile: bool = False,
                 v_threshold: Positive = 0.15, v_reset: float | None = 0.0, detach_reset: bool = False) -> None:
        super().__init__(v_threshold=v_threshold, v_reset=v_reset, surrogate_function=surrogate_of(surrogate),
                         detach_reset=detach_reset, step_mode='m')
        self.compiled = compile_wanted(compile)

    def dynamics(self) -> tuple[float, float, float, bool, bool]:
        return math.inf, self.v_threshold, self.rest, False, self.v_reset is not None


@register_neuron('ParametricLIFNode')
class ParametricLIFNode(OwnedNode, neuron.ParametricLIFNode):
    """SpikingJelly's ``ParametricLIFNode``: the time constant is learnt.

    Args:
        channels: Channels C of the layer.
        surrogate: Surrogate gradient of a spike, one of :data:`SURROGATES`.
        init_tau: First value of the time constant, in time steps, > 1.
        decay_input: Whether the input decays with the potential.
        v_threshold: Membrane potential from which on it fires, > 0.
        v_reset: Potential after a spike; None: the threshold is subtracted.
        detach_reset: Leave the reset out of the gradient.

    .. code-block:: yaml

        neuron: {type: ParametricLIFNode, init_tau: 2.0, v_threshold: 0.15}
    """

    def __init__(self, channels: int, surrogate: Surrogate = 'atan', init_tau: TimeConstant = 2.0,
                 decay_input: bool = False, v_threshold: Positive = 0.15, v_reset: float | None = 0.0,
                 detach_reset: bool = False) -> None:
        super().__init__(init_tau=init_tau, decay_input=decay_input, v_threshold=v_threshold, v_reset=v_reset,
                         surrogate_function=surrogate_of(surrogate), detach_reset=detach_reset, step_mode='m')


@register_neuron('ILIFNode')
class ILIFNode(OwnedNode, neuron.ILIFNode):
    """SpikingJelly's ``ILIFNode``, counts 0..D (arXiv 2407.20708).

    One spike is worth the threshold to the next convolution, as in ``SignedILIF``; a threshold of 0.1 suits streams
    without normalisation (both our choice).

    Args:
        channels: Channels C of the layer.
        D: Largest count, >= 1.
        v_threshold: Membrane potential of one unit of the count, > 0.
        tau: Time constant of the leak, in time steps, > 1.
        detach_reset: Leave the reset out of the gradient.

    .. code-block:: yaml

        neuron: {type: ILIFNode, D: 4, v_threshold: 0.1}
    """

    def __init__(self, channels: int, D: Count = 4, v_threshold: Positive = 0.1, tau: TimeConstant = 4 / 3,  # noqa: N803
                 detach_reset: bool = False) -> None:
        super().__init__(v_threshold=v_threshold, tau=tau, detach_reset=detach_reset, step_mode='m',
                         surrogate_function=surrogate.MultiLevelSpikeCount(D))
        self.D = self.max_count = D
        self.register_buffer('worth', torch.full((channels,), v_threshold), persistent=False)

    @property
    def amplitude(self) -> Tensor:
        return self.worth
