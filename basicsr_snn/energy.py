"""What a network costs, counted from executed operations: MACs, accumulations, firing rates, energy.

Counting rules (45 nm figures: Horowitz, ISSCC 2014): a convolution or linear layer whose input holds integers only
reads spikes, and costs one accumulation (AC) for each unit event and each output that the event reaches, at the real
borders; an integer count k is |k| events. Any other input costs the dense number of multiply-accumulates (MACs).
Bias, normalisation, neuron updates and memory traffic are not part of the energy figure.
"""
from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from basicsr_snn.spiking.neurons import is_neuron

ENERGY_PRESETS: dict[str, tuple[float, float]] = {
    '45nm-fp32': (4.6, 0.9),
    '45nm-int8': (0.23, 0.03),
    'neuromorphic-sop': (4.6, 0.077),
}
"""Energy in pJ of one MAC and of one AC. ``neuromorphic-sop`` takes 77 fJ a synaptic operation, and leaves float layers
to 45 nm arithmetic (our choice)."""

DEFAULT_PRESET = '45nm-fp32'


@dataclass(frozen=True)
class LayerCount:
    """Operations of one layer over all counted pictures."""

    name: str
    reads_spikes: bool
    macs: float
    acs: float


@dataclass(frozen=True)
class EnergyReport:
    """Counted cost of a network on given pictures.

    Attributes:
        params: Number of parameters, ``numel`` of the counted network.
        footprint_bytes: Bytes of parameters and buffers.
        pictures: Number of pictures.
        pixels: Number of input pixels (H*W) of all pictures together.
        events: Unit spikes emitted by all neurons.
        neuron_updates: Neurons times time steps.
        layers: Operations by layer, in order of first execution.
    """

    params: int
    footprint_bytes: int
    pictures: int
    pixels: int
    events: float
    neuron_updates: float
    layers: tuple[LayerCount, ...]

    @property
    def macs_per_px(self) -> float:
        """Multiply-accumulates for each input pixel."""
        return sum(layer.macs for layer in self.layers) / self.pixels

    @property
    def acs_per_px(self) -> float:
        """Accumulations caused by spikes for each input pixel."""
        return sum(layer.acs for layer in self.layers) / self.pixels

    @property
    def firing_rate(self) -> float:
        """Unit spikes for each neuron and time step; may exceed 1 for integer counts, 0 for a network without
        neurons."""
        return self.events / self.neuron_updates if self.neuron_updates else 0.0

    def energy_nj_px(self, preset: str = DEFAULT_PRESET) -> float:
        """Energy in nJ for each input pixel under a preset of :data:`ENERGY_PRESETS`, arithmetic only."""
        mac_pj, ac_pj = ENERGY_PRESETS[preset]
        return (mac_pj * self.macs_per_px + ac_pj * self.acs_per_px) / 1000

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> EnergyReport:
        fields = json.loads(text)
        fields['layers'] = tuple(LayerCount(**layer) for layer in fields['layers'])
        return cls(**fields)


class OperationCounter:
    """Context that counts the operations of a network as it runs; outputs and gradients stay untouched.

    .. code-block:: python

        with OperationCounter(net) as counter:
            net(picture)
        report = counter.report()
    """

    def __init__(self, net: nn.Module) -> None:
        self._net = net
        self._handles: list[Any] = []
        self._macs: dict[str, float] = {}
        self._acs: dict[str, float] = {}
        self._spiking: dict[str, bool] = {}
        self._pictures = self._pixels = 0
        self._events = self._updates = 0.0

    def __enter__(self) -> OperationCounter:
        self._handles.append(self._net.register_forward_pre_hook(self._count_pixels))
        for name, module in self._net.named_modules():
            if isinstance(module, nn.Conv1d | nn.Conv2d | nn.ConvTranspose2d | nn.Linear):
                self._handles.append(module.register_forward_hook(self._layer_hook(name)))
            elif is_neuron(module) and not isinstance(module, nn.ReLU):
                self._handles.append(module.register_forward_hook(self._count_spikes))
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:
        while self._handles:
            self._handles.pop().remove()

    def _count_pixels(self, net: nn.Module, inputs: tuple[Any, ...]) -> None:
        picture = inputs[0]
        self._pictures += picture.shape[0]
        self._pixels += picture.shape[0] * picture.shape[-2] * picture.shape[-1]

    def _count_spikes(self, neuron: nn.Module, inputs: tuple[Any, ...], spikes: Tensor) -> None:
        self._events += float(spikes.detach().abs().sum(dtype=torch.float64))
        self._updates += spikes.numel()

    def _layer_hook(self, name: str) -> Any:
        def hook(layer: nn.Module, inputs: tuple[Any, ...], output: Tensor) -> None:
            received = inputs[0].detach()
            spiking = bool((received == received.round()).all())
            self._spiking[name] = self._spiking.get(name, True) and spiking
            counts = self._acs if spiking else self._macs
            operations = spike_operations(layer, received) if spiking else dense_operations(layer, received, output)
            counts[name] = counts.get(name, 0.0) + operations

        return hook

    def report(self) -> EnergyReport:
        """What was counted so far; raises ``ValueError`` before any picture ran."""
        if not self._pictures:
            raise ValueError('Nothing was counted: run the network inside the context first.')
        layers = tuple(LayerCount(name, spiking, self._macs.get(name, 0.0), self._acs.get(name, 0.0))
                       for name, spiking in self._spiking.items())
        tensors = [*self._net.parameters(), *self._net.buffers()]
        return EnergyReport(params=sum(p.numel() for p in self._net.parameters()),
                            footprint_bytes=sum(t.numel() * t.element_size() for t in tensors),
                            pictures=self._pictures, pixels=self._pixels, events=self._events,
                            neuron_updates=self._updates, layers=layers)


def dense_operations(layer: nn.Module, received: Tensor, output: Tensor) -> float:
    """MACs of a layer that reads floats: every weight at every output, padding included."""
    if isinstance(layer, nn.Linear):
        return output.numel() * layer.in_features
    weights_per_input = layer.weight[0].numel()
    if isinstance(layer, nn.ConvTranspose2d):
        return received.numel() * weights_per_input
    return output.numel() * weights_per_input


@torch.no_grad()
def spike_operations(layer: nn.Module, spikes: Tensor) -> float:
    """ACs of a layer that reads integer spike counts: unit events times the outputs that each of them reaches."""
    events = spikes.abs()
    if isinstance(layer, nn.Linear):
        return float(events.sum(dtype=torch.float64)) * layer.out_features
    events = events.sum(1, keepdim=True)
    kernel = torch.ones(1, 1, *layer.kernel_size, dtype=events.dtype, device=events.device)
    spread = {'stride': layer.stride, 'padding': layer.padding, 'dilation': layer.dilation}
    if isinstance(layer, nn.ConvTranspose2d):
        reached = F.conv_transpose2d(events, kernel, output_padding=layer.output_padding, **spread)
    else:
        reached = (F.conv1d if isinstance(layer, nn.Conv1d) else F.conv2d)(events, kernel, **spread)
    return float(reached.sum(dtype=torch.float64)) * (layer.out_channels // layer.groups)
