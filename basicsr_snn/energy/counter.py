"""The context that counts a network while it runs."""
from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from statistics import mode
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from basicsr_snn.energy.operators import RULES, Executed, is_free, is_light
from basicsr_snn.energy.report import EnergyReport
from basicsr_snn.energy.tally import LayerTally, NeuronTally, UncountedTally
from basicsr_snn.spiking.base import Neuron
from basicsr_snn.spiking.neurons import neuron_of
from basicsr_snn.spiking.ternary import footprint_of, parameters_of

NETWORK = '(network)'
COMPOSITE = torch._C.DispatchKey.CompositeImplicitAutograd


class OperationCounter:
    """Context that counts the operations of a network as it runs; outputs and gradients stay untouched.

    Operators are seen where torch dispatches them, so functional calls and attention count as modules do. Neurons are
    seen by their modules alone: what they run inside (custom gradients, compiled kernels) is one update a neuron and
    step. The context may be entered again, to go on counting.

    .. code-block:: python

        with OperationCounter(net) as counter:
            net(picture)
        report = counter.report()
    """

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._handles: list[Any] = []
        self._mode = _OperatorWatch(self._seen)
        self._path: list[str] = []
        self._inside_neurons = 0
        self._weights: set[int] = set()
        self._batch = self._pictures = self._pixels = 0
        self._layers: dict[tuple[str, str], LayerTally] = defaultdict(LayerTally)
        self._neurons: dict[str, NeuronTally] = {}
        self._uncounted: dict[str, UncountedTally] = {}

    def __enter__(self) -> OperationCounter:
        self._weights = {tensor.untyped_storage().data_ptr()
                         for tensor in (*self._net.parameters(), *self._net.buffers())}
        for name, module in self._net.named_modules():
            before: Callable[..., None] = self._begin_module(name or NETWORK)
            after: Callable[..., None] = self._end_module
            if module is self._net:
                before, after = self._begin_network, self._end_network
            elif (neuron := neuron_of(module)) is not None and neuron.is_spiking:
                before, after = self._begin_neuron, self._end_neuron(name, neuron)
            self._handles.append(module.register_forward_pre_hook(before, with_kwargs=True))
            self._handles.append(module.register_forward_hook(after, always_call=True))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _begin_network(self, net: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        picture = next(value for value in (*args, *kwargs.values()) if isinstance(value, Tensor))
        self._batch = picture.shape[0]
        self._pictures += picture.shape[0]
        self._pixels += picture.shape[0] * picture.shape[-2] * picture.shape[-1]
        self._path, self._inside_neurons = [NETWORK], 0
        self._mode.watch()

    def _end_network(self, net: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._mode.unwatch()

    def _begin_module(self, name: str) -> Callable[..., None]:
        return lambda module, args, kwargs: self._path.append(name)

    def _end_module(self, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        self._path.pop()

    def _begin_neuron(self, module: nn.Module, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._inside_neurons += 1
        self._mode.unwatch()  # not only ignored: torch.compile falls back to eager code under any such mode

    def _end_neuron(self, name: str, neuron: Neuron) -> Callable[..., None]:
        def count(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            self._inside_neurons -= 1
            if self._inside_neurons:
                return
            spikes = output[0] if isinstance(output, tuple) else output
            if isinstance(spikes, Tensor):
                tally = self._neurons.setdefault(name, NeuronTally(neuron.max_count, neuron.leaks, neuron.digit_limit))
                steps = spikes.shape[0] if neuron.takes_sequences else 1
                tally.add(spikes.detach(), steps * self._batch)
            self._mode.watch()

        return count

    def _seen(self, operator: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any], output: Any) -> None:
        layer = self._path[-1]
        rule = RULES.get(operator.overloadpacket)
        if rule is not None:
            result = output[0] if isinstance(output, tuple) else output
            executed: Executed = rule(args, result, self._is_weight)
            self._layers[layer, executed.op].add(executed)
            if executed.op == 'attention':
                self._note('softmax of attention', layer, result.numel(), light=False)
        elif not is_free(operator):
            elements = sum(one.numel() for one in (output if isinstance(output, tuple | list) else (output,))
                           if isinstance(one, Tensor))
            self._note(operator.overloadpacket.__name__.rstrip('_') if operator.namespace == 'aten' else str(operator),
                       layer, elements, is_light(operator))

    def _note(self, name: str, layer: str, elements: int, light: bool) -> None:
        self._uncounted.setdefault(name, UncountedTally(layer, light)).add(elements)

    def _is_weight(self, tensor: Tensor) -> bool:
        return tensor.untyped_storage().data_ptr() in self._weights

    def report(self) -> EnergyReport:
        """What was counted so far; raises ``ValueError`` before any picture ran."""
        if not self._pictures:
            raise ValueError('Nothing was counted: run the network inside the context first.')
        steps = mode(tally.steps(self._pictures) for tally in self._neurons.values()) if self._neurons else 1
        return EnergyReport(
            params=parameters_of(self._net),
            footprint_bytes=footprint_of(self._net),
            pictures=self._pictures, pixels=self._pixels, T=steps,
            D=max((tally.limit for tally in self._neurons.values()), default=0),
            largest=max((tally.largest(steps) for tally in self._neurons.values()), default=0),
            layers=tuple(tally.count(name, op, self._pictures, steps, bool(self._neurons))
                         for (name, op), tally in self._layers.items()),
            neurons=tuple(tally.count(name) for name, tally in self._neurons.items()),
            uncounted=tuple(tally.count(name) for name, tally in self._uncounted.items()),
            mixed=tuple(name for (name, _), tally in self._layers.items() if tally.mixed))


class _OperatorWatch(TorchDispatchMode):
    """Tells of every operator that torch dispatches while it is watching."""

    def __init__(self, seen: Callable[[Any, tuple[Any, ...], Mapping[str, Any], Any], None]) -> None:
        super().__init__()
        self._seen = seen
        self._watching = False

    def watch(self) -> None:
        if not self._watching:
            self.__enter__()
            self._watching = True

    def unwatch(self) -> None:
        if self._watching:
            self._watching = False
            self.__exit__(None, None, None)

    def __torch_dispatch__(self, func: Any, types: Any, args: tuple[Any, ...] = (),
                           kwargs: Mapping[str, Any] | None = None) -> Any:
        kwargs = kwargs or {}
        if func.overloadpacket not in RULES and _is_composite(func):
            with self:  # under inference_mode these come whole, and what they are made of has to be seen
                return func._op_dk(COMPOSITE, *args, **kwargs)
        output = func(*args, **kwargs)
        self._seen(func, args, kwargs, output)
        return output


_composite: dict[Any, bool] = {}


def _is_composite(operator: Any) -> bool:
    if operator not in _composite:
        _composite[operator] = torch._C._dispatch_has_kernel_for_dispatch_key(operator.name(), COMPOSITE)
    return _composite[operator]
