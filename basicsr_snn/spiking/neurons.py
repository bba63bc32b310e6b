"""Neurons by YAML: SpikingJelly's, ours, and ``relu`` and ``linear`` for ANN twins."""
from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from spikingjelly.activation_based import base, neuron, surrogate
from torch import nn

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.spiking.compiling import compile_wanted
from basicsr_snn.spiking.dsr import DSRIFNode
from basicsr_snn.spiking.leaky import IFNode, LeakyNode, LIFNode
from basicsr_snn.spiking.phase import PhaseIF
from basicsr_snn.spiking.signed_ilif import SignedILIF

SURROGATES: dict[str, Callable[[], nn.Module]] = {
    'atan': surrogate.ATan,
    'sigmoid': surrogate.Sigmoid,
    'piecewise_quadratic': surrogate.PiecewiseQuadratic,
    'rect': surrogate.Rect,
}
"""Surrogate gradients of binary neurons, by name."""


def _binary(node: type[neuron.BaseNode], **defaults: Any) -> Callable[..., nn.Module]:
    def build(channels: int, surrogate: str = 'atan', **options: Any) -> nn.Module:
        return node(surrogate_function=_surrogate(surrogate), step_mode='m', **{**defaults, **options})

    build.options = {'surrogate', *inspect.signature(node.__init__).parameters} - _FIXED
    return build


def _fusable(node: type[LeakyNode], **defaults: Any) -> Callable[..., nn.Module]:
    plain = _binary(node, **defaults)

    def build(channels: int, compile: bool = False, **options: Any) -> nn.Module:
        layer = plain(channels, **options)
        layer.compiled = compile_wanted(compile)
        return layer

    build.options = {*plain.options, 'compile'}
    return build


def _surrogate(name: str) -> nn.Module:
    if name not in SURROGATES:
        raise UserError(f'Surrogate "{name}" is not known; use one of {", ".join(SURROGATES)}.')
    return SURROGATES[name]()


def _integer(channels: int, D: int = 4, v_threshold: float = 0.1, **options: Any) -> nn.Module:  # noqa: N803
    node = neuron.ILIFNode(v_threshold=v_threshold, surrogate_function=surrogate.MultiLevelSpikeCount(D), step_mode='m',
                           **options)
    node.register_buffer('amplitude', torch.full((channels,), v_threshold), persistent=False)
    return node


class LinearNode(nn.Identity):
    """Passes the membrane potential on as it is: what a signed neuron counts, before it counts."""


def _relu(channels: int) -> nn.Module:
    return nn.ReLU()


def _linear(channels: int) -> nn.Module:
    return LinearNode()


_FIXED = {'self', 'surrogate_function', 'step_mode', 'store_v_seq', 'args', 'kwargs'}
_integer.options = {'D', *inspect.signature(neuron.ILIFNode.__init__).parameters} - _FIXED
_relu.options = _linear.options = set()

NEURONS: dict[str, Callable[..., nn.Module]] = {
    'SignedILIF': SignedILIF,
    'ILIFNode': _integer,
    'LIFNode': _fusable(LIFNode, decay_input=False, v_threshold=0.15),
    'IFNode': _fusable(IFNode, v_threshold=0.15),
    'ParametricLIFNode': _binary(neuron.ParametricLIFNode, decay_input=False, v_threshold=0.15),
    'DSRIFNode': DSRIFNode,
    'PhaseIF': PhaseIF,
    'relu': _relu,
    'linear': _linear,
}
"""Builders of neurons by name.

``LIFNode``, ``IFNode`` and ``ParametricLIFNode`` take SpikingJelly's arguments and a ``surrogate`` by name. Their
threshold of 0.15 and ``decay_input: false`` are ESDNet's setting (arXiv 2405.06277). ``ILIFNode`` counts 0..D (arXiv
2407.20708); its threshold of 0.1 suits streams without normalisation, and one spike is worth the threshold to the next
convolution, as in :class:`SignedILIF` (our choice). ``compile: true`` runs the sequence of ``SignedILIF``, ``LIFNode``
and ``IFNode`` in one fused loop (:mod:`basicsr_snn.spiking.sequences`).

``DSRIFNode`` is trained by differentiation on spike representation (:mod:`basicsr_snn.spiking.dsr`). ``PhaseIF`` tells
the count of a ``SignedILIF`` digit by digit (:mod:`basicsr_snn.spiking.phase`).

``relu`` and ``linear`` do not spike. ``{type: relu}`` everywhere makes the ANN twin of a student; of one with ``hidden:
{lowest: 0}`` the closer twin is ``neuron: {type: linear}, hidden: {type: relu}``: each count before it is rounded.
"""

FLOAT_LAYERS = nn.ReLU | LinearNode
"""What stands in the place of a neuron in an ANN."""

WHOLE_SEQUENCE = DSRIFNode | PhaseIF
"""Neurons that are defined over all steps at once."""


def _allowed_options(name: str) -> set[str]:
    builder = NEURONS[name]
    if isinstance(builder, type):
        return set(inspect.signature(builder).parameters) - {'channels'}
    return builder.options


def build_neuron(spec: Mapping[str, Any], channels: int) -> nn.Module:
    """Build one neuron layer.

    Args:
        spec: The ``neuron:`` block of the options: ``type`` (a name of :data:`NEURONS`) and that neuron's options.
        channels: Number of channels C of the layer.

    Returns:
        A module that maps membrane input (T, N, C, H, W) to spikes of the same shape, many steps a call.

    Raises:
        UserError: Unknown type or option.
    """
    options = dict(spec)
    name = options.pop('type', 'SignedILIF')
    if name not in NEURONS:
        raise UserError(f'Neuron type "{name}" is not known; did you mean {" or ".join(near_matches(name, NEURONS))}? '
                        f'Known: {", ".join(NEURONS)}.')
    allowed = _allowed_options(name)
    for key in options:
        if key not in allowed:
            raise UserError(f'Neuron {name} has no option "{key}"; it takes {", ".join(sorted(allowed)) or "none"}.')
    return NEURONS[name](channels, **options)


def count_limit(layer: nn.Module) -> int:
    """Largest spike count D of one step of a neuron layer: 1 for binary neurons, 0 for one that does not spike."""
    if isinstance(layer, FLOAT_LAYERS):
        return 0
    if isinstance(layer, neuron.ILIFNode):
        return layer.surrogate_function.max_spike_count
    return getattr(layer, 'D', 1)


def count_in_digits(layer: nn.Module) -> int:
    """Largest count that the steps of a phase-coded layer tell together; 0 where all steps are worth the same."""
    return layer.highest if isinstance(layer, PhaseIF) else 0


def is_neuron(layer: nn.Module) -> bool:
    """Whether a module is a neuron layer of :data:`NEURONS` (``relu`` and ``linear`` included)."""
    return isinstance(layer, SignedILIF | WHOLE_SEQUENCE | neuron.BaseNode | FLOAT_LAYERS)


def is_spiking(layer: nn.Module) -> bool:
    """Whether a module is a neuron layer that emits spikes."""
    return is_neuron(layer) and not isinstance(layer, FLOAT_LAYERS)


def phase_coded(net: nn.Module, steps: int) -> bool:
    """Whether the neurons of ``net``, which runs so many time steps, tell their counts digit by digit.

    Raises:
        UserError: Some do and others do not, so that a sequence means two things; they have another number of digits.
    """
    layers = [module for module in net.modules() if is_neuron(module)]
    phased = [isinstance(layer, PhaseIF) for layer in layers]
    if any(phased) and not all(phased):
        other = type(layers[phased.index(False)]).__name__
        raise UserError(f'PhaseIF was given beside {other}, but steps are worth 8, 4, 2, 1 to the one and the same to '
                        'the other; choose PhaseIF for all neurons or none.')
    for layer in layers if any(phased) else ():
        layer.check_steps(steps)
    return any(phased)


def reset_to_rest(net: nn.Module) -> None:
    """Forget the membrane potentials of all neurons in ``net``, and with them the graph they hold."""
    for module in net.modules():
        if isinstance(module, SignedILIF | base.MemoryModule):
            module.reset()


@contextmanager
def carried_state(net: nn.Module) -> Iterator[None]:
    """Context in which the neurons of ``net`` go on, call by call, from where they are; it starts and ends at rest.

    Raises:
        UserError: ``net`` has neurons that are defined over all steps at once.
    """
    for module in net.modules():
        if isinstance(module, WHOLE_SEQUENCE):
            raise UserError(f'exit_tolerance was given, but {type(module).__name__} runs all steps at once; leave '
                            'exit_tolerance out, or choose another neuron.')
    neurons = [module for module in net.modules() if isinstance(module, SignedILIF | LeakyNode)]
    reset_to_rest(net)
    try:
        for module in neurons:
            module.carries_state = True
        yield
    finally:
        for module in neurons:
            module.carries_state = False
        reset_to_rest(net)
