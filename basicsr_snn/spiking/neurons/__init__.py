"""Neurons by YAML. Each file of this folder holds one kind, or one family, registered under its name."""
from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from contextlib import contextmanager

from spikingjelly.activation_based import neuron
from torch import nn

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.spiking.base import DEFAULT_NEURON, NEURONS, Neuron, NeuronOptions, carrying
from basicsr_snn.spiking.neurons import signed_ilif  # noqa: F401 - the default comes first

for _module in pkgutil.iter_modules(__path__):
    importlib.import_module(f'{__name__}.{_module.name}')

from basicsr_snn.spiking.neurons.coded_counts import CodedCounts  # noqa: E402
from basicsr_snn.spiking.neurons.spikingjelly_nodes import ForeignNeuron  # noqa: E402


def build_neuron(spec: NeuronOptions, channels: int) -> Neuron:
    """Build one neuron layer.

    Args:
        spec: The ``neuron:`` block of the options: ``type`` (a name of :data:`NEURONS`) and that neuron's options.
        channels: Number of channels C of the layer.

    Returns:
        A module under the contract of :class:`basicsr_snn.spiking.base.Neuron`.

    Raises:
        UserError: Unknown type or option.
    """
    options = dict(spec)
    name = options.pop('type', DEFAULT_NEURON)
    if name not in NEURONS:
        raise UserError(f'Neuron type "{name}" is not known; did you mean {" or ".join(near_matches(name, NEURONS))}? '
                        f'Known: {", ".join(NEURONS)}.')
    allowed = options_of(name)
    for key in options:
        if key not in allowed:
            raise UserError(f'Neuron {name} has no option "{key}"; it takes {", ".join(sorted(allowed)) or "none"}.')
    return NEURONS[name](channels, **options)


def options_of(name: str) -> set[str]:
    """The options that a neuron of :data:`NEURONS` takes."""
    return set(inspect.signature(NEURONS[name]).parameters) - {'channels'}


def neuron_of(module: nn.Module | Neuron) -> Neuron | None:
    """The contract of a module: its own, that of a neuron of SpikingJelly's told from outside, or none."""
    if isinstance(module, Neuron):
        return module
    return ForeignNeuron(module) if isinstance(module, neuron.BaseNode) else None


def is_spiking(module: nn.Module | Neuron) -> bool:
    """Whether a module is a neuron layer that emits spikes."""
    found = neuron_of(module)
    return found is not None and found.is_spiking


def neurons_in(net: nn.Module) -> list[Neuron]:
    """The contracts of all neuron layers of a network, activations included, in order of definition."""
    return [found for module in net.modules() if (found := neuron_of(module)) is not None]


def code_of(net: nn.Module, steps: int) -> type[CodedCounts] | None:
    """The code in which the neurons of ``net``, which runs so many time steps, tell their counts; None: in none, all
    steps are worth the same.

    Raises:
        UserError: They have several, so that a sequence means two things; they have another number of steps.
    """
    layers = [module for module in net.modules() if neuron_of(module) is not None]
    coded = [layer for layer in layers if isinstance(layer, CodedCounts)]
    if not coded:
        return None
    kind = type(coded[0])
    others = [layer for layer in layers if type(layer) is not kind]
    if others:
        raise UserError(f'{kind.__name__} was given beside {type(others[0]).__name__}, but a spike of a step is not '
                        f'worth the same to both; choose {kind.__name__} for all neurons or none.')
    for layer in coded:
        layer.check_steps(steps)
    return kind


def reset_to_rest(net: nn.Module) -> None:
    """Forget the membrane potentials of all neurons in ``net``, and with them the graph they hold."""
    for layer in neurons_in(net):
        layer.reset()


@contextmanager
def carried_state(net: nn.Module) -> Iterator[None]:
    """Context in which the neurons of ``net`` go on, call by call of this caller; it starts and ends at rest.

    Raises:
        UserError: ``net`` has neurons that are defined over all steps at once.
    """
    layers = neurons_in(net)
    for layer in layers:
        if layer.whole_sequence:
            raise UserError(f'exit_tolerance was given, but {type(layer).__name__} runs all steps at once; leave '
                            'exit_tolerance out, or choose another neuron.')
    reset_to_rest(net)
    try:
        with carrying(layers):
            yield
    finally:
        reset_to_rest(net)
