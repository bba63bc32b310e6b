"""What was counted, and what it costs."""
from __future__ import annotations

from dataclasses import dataclass

from basicsr_snn.energy.memory import Overhead
from basicsr_snn.energy.presets import DEFAULT_PRESET, EnergyPreset, preset_of


@dataclass(frozen=True)
class LayerCount:
    """Operations of one layer over all counted pictures.

    Attributes:
        name: Path of the module that ran the operator, as in ``named_modules()``; ``(network)`` for the network itself.
        op: ``convolution``, ``matmul`` or ``attention``.
        calls: Executions.
        reads_spikes: Whether it read integers only, in every execution.
        macs: Multiply-accumulates if it reads floats, else 0: every weight at every output, padding included.
        acs: Accumulations if it reads spikes, else 0: unit events times outputs reached.
        effective_acs: Part of ``acs`` that does not add a zero weight.
        effective_macs: Part of ``macs`` that does not multiply by a zero input, a zero weight or padding.
        twin_macs: Multiply-accumulates of the same layer in the ANN twin, which runs each layer once.
        inputs: Elements read.
        events: Unit events read, 0 if it reads floats.
        events_overhead: Memory traffic and addressing of what grows with the events; of all if it reads floats.
        fixed_overhead: Memory traffic that no event causes (bias).
        twin_overhead: The same of the layer in the ANN twin.
    """

    name: str
    op: str
    calls: int
    reads_spikes: bool
    macs: float
    acs: float
    effective_acs: float
    effective_macs: float
    twin_macs: float
    inputs: int
    events: float
    events_overhead: Overhead
    fixed_overhead: Overhead
    twin_overhead: Overhead


@dataclass(frozen=True)
class NeuronCount:
    """Spikes of one neuron layer over all counted pictures.

    Attributes:
        name: Module path.
        updates: Neurons times time steps.
        events: Unit spikes, sum of |count|.
        active: Neurons times time steps that emitted anything.
        max_count: Largest |count| of one neuron in one step.
        limit: The largest that it may emit, D.
        fixed_overhead: Memory traffic of the membrane potentials.
        events_overhead: Memory traffic of the spikes.
    """

    name: str
    updates: int
    events: float
    active: int
    max_count: float
    limit: int
    fixed_overhead: Overhead
    events_overhead: Overhead

    @property
    def firing_rate(self) -> float:
        """Mean |count| of a neuron and step."""
        return self.events / self.updates


@dataclass(frozen=True)
class UncountedOperator:
    """An operator that computes and is in no figure of the report.

    Attributes:
        op: Its name.
        layer: Path of the first module that ran it.
        calls: Executions.
        elements: Elements of its results.
        light: Whether it is element-wise, a reduction or a pooling: about one operation for each element, which the
            field leaves out.
    """

    op: str
    layer: str
    calls: int
    elements: int
    light: bool


@dataclass(frozen=True)
class EnergyReport:
    """Counted cost of a network on given pictures.

    Attributes:
        params: Number of parameters, ``numel`` of the counted network.
        footprint_bytes: Bytes of parameters and buffers.
        pictures: Number of pictures.
        pixels: Number of input pixels (H*W) of all pictures together.
        T: Time steps; 1 for an ANN.
        D: Largest count of a neuron in one step; 0 for an ANN.
        largest: Largest count that all steps of a neuron tell together, T * D but for phase coding; 0 for an ANN.
        layers: Operations by layer, in order of first execution.
        neurons: Spikes by neuron layer, in order of first execution.
        uncounted: Operators that are in no figure.
        mixed: Layers that read integers in some executions and floats in others, counted as reading floats.
    """

    params: int
    footprint_bytes: int
    pictures: int
    pixels: int
    T: int
    D: int
    largest: int
    layers: tuple[LayerCount, ...]
    neurons: tuple[NeuronCount, ...] = ()
    uncounted: tuple[UncountedOperator, ...] = ()
    mixed: tuple[str, ...] = ()

    @property
    def spiking(self) -> bool:
        """Whether the network has spiking neurons, or a layer that reads spikes."""
        return bool(self.neurons) or any(layer.acs for layer in self.layers)

    @property
    def macs_per_px(self) -> float:
        """Multiply-accumulates for each input pixel."""
        return sum(layer.macs for layer in self.layers) / self.pixels

    @property
    def acs_per_px(self) -> float:
        """Accumulations caused by spikes for each input pixel."""
        return sum(layer.acs for layer in self.layers) / self.pixels

    @property
    def effective_macs_per_px(self) -> float:
        """Multiply-accumulates of a non-zero input and a non-zero weight for each input pixel: what hardware that skips
        zeros runs."""
        return sum(layer.effective_macs for layer in self.layers) / self.pixels

    @property
    def effective_acs_per_px(self) -> float:
        """Accumulations of a non-zero weight for each input pixel: what hardware runs that stores no zeros."""
        return sum(layer.effective_acs for layer in self.layers) / self.pixels

    @property
    def events(self) -> float:
        """Unit spikes emitted by all neurons."""
        return sum(neuron.events for neuron in self.neurons)

    @property
    def neuron_updates(self) -> int:
        """Neurons times time steps."""
        return sum(neuron.updates for neuron in self.neurons)

    @property
    def firing_rate(self) -> float:
        """Unit spikes for each neuron and time step; may exceed 1 for integer counts, 0 for a network without
        neurons."""
        return self.events / self.neuron_updates if self.neuron_updates else 0.0

    @property
    def max_count(self) -> float:
        """Largest |count| of one neuron in one step."""
        return max((neuron.max_count for neuron in self.neurons), default=0.0)

    @property
    def float_layers(self) -> tuple[str, ...]:
        """Names of the layers that read floats."""
        return tuple(layer.name for layer in self.layers if not layer.reads_spikes)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the figures leave out or had to decide, one sentence each."""
        left_out = [f'{one.op} ran {one.calls} times (first in {one.layer}, {one.elements:,d} results in all) and is '
                    'not counted.' for one in self.uncounted if not one.light]
        return (*left_out, *(f'{name} read whole numbers in some calls and floats in others; all are counted as MACs.'
                             for name in self.mixed))

    def energy_nj_px(self, preset: str | EnergyPreset = DEFAULT_PRESET, memory: bool = False) -> float:
        """Energy in nJ for each input pixel.

        Args:
            preset: A name of :data:`ENERGY_PRESETS`, or own numbers.
            memory: Whether memory traffic, addressing and neuron updates are added (:mod:`basicsr_snn.energy.memory`);
                by default arithmetic of the counted layers only, as the field reports it. Without effect where the
                preset's figures hold the memory access already.

        Raises:
            UserError: No preset has this name.
        """
        preset = preset_of(preset)
        pj = sum(self.layer_pj(layer, preset, memory) for layer in self.layers)
        if memory:
            pj += sum((neuron.fixed_overhead + neuron.events_overhead).pj(preset) for neuron in self.neurons)
        return pj / self.pixels / 1000

    def sparse_energy_nj_px(self, preset: str | EnergyPreset = DEFAULT_PRESET) -> float:
        """Energy in nJ for each input pixel on hardware that skips zero inputs and zero weights; arithmetic only."""
        preset = preset_of(preset)
        return (preset.mac_pj * self.effective_macs_per_px + preset.ac_pj * self.effective_acs_per_px) / 1000

    def energy_uj_picture(self, preset: str | EnergyPreset = DEFAULT_PRESET, memory: bool = False) -> float:
        """Mean energy in uJ for each picture; see :meth:`energy_nj_px`."""
        return self.energy_nj_px(preset, memory) * self.pixels / self.pictures / 1000

    @staticmethod
    def layer_pj(layer: LayerCount, preset: str | EnergyPreset = DEFAULT_PRESET, memory: bool = False) -> float:
        """Energy in pJ of one layer over all pictures; see :meth:`energy_nj_px`."""
        preset = preset_of(preset)
        arithmetic = preset.mac_pj * layer.macs + preset.ac_pj * layer.acs
        return arithmetic + ((layer.events_overhead + layer.fixed_overhead).pj(preset) if memory else 0.0)
