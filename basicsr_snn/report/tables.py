"""The tables of a report as rows of numbers; the page formats them."""
from __future__ import annotations

from dataclasses import dataclass

from basicsr_snn.activity import LayerActivity, dead_share, saturated_share
from basicsr_snn.energy import (
    ENERGY_PRESETS,
    INTEGER_PRESET,
    EnergyReport,
    LayerCount,
    NeuronCount,
    break_even_rate,
    integer_mac_pj,
    quantised_bits,
    quantised_nj_px,
    twin_nj_px,
)


@dataclass(frozen=True)
class EnergyRow:
    """Energy under one preset in nJ for each input pixel.

    Attributes:
        preset: Name of the preset.
        memory: Whether memory traffic, addressing and neuron updates are in it.
        own: Of the network.
        twin: Of its ANN twin; None for an ANN.
        quantised: Of its quantised twin; None where the preset is not one of integers.
        break_even: Firing rate at which its spiking layers cost what they cost in the twin.
        break_even_quantised: The same against the quantised twin.
    """

    preset: str
    memory: bool
    own: float
    twin: float | None = None
    quantised: float | None = None
    break_even: float | None = None
    break_even_quantised: float | None = None


def energy_rows(cost: EnergyReport) -> tuple[EnergyRow, ...]:
    """Every preset, without and (where its figures do not hold it already) with memory traffic."""
    return tuple(_energy_row(cost, name, memory) for memory in (False, True) for name, preset in ENERGY_PRESETS.items()
                 if not memory or preset.word_bytes is not None)


def _energy_row(cost: EnergyReport, preset: str, memory: bool) -> EnergyRow:
    own = cost.energy_nj_px(preset, memory)
    if not cost.neurons:
        return EnergyRow(preset, memory, own)
    row = EnergyRow(preset, memory, own, twin_nj_px(cost, preset, memory),
                    break_even=break_even_rate(cost, preset, memory))
    if preset != INTEGER_PRESET:
        return row
    against = break_even_rate(cost, preset, memory, integer_mac_pj(quantised_bits(cost)))
    return EnergyRow(preset, memory, own, row.twin, quantised_nj_px(cost, memory=memory), row.break_even, against)


@dataclass(frozen=True)
class LayerRow:
    """One layer, and the neurons whose output it reads.

    Attributes:
        name: Module path of the layer, or of neurons whose output no counted layer reads as it is.
        op: ``convolution``, ``matmul``, ``attention``; empty for neurons alone.
        reads: ``spikes``, ``floats``, or empty.
        macs_per_px, acs_per_px: Operations for each input pixel.
        nj_px: Energy of its arithmetic for each input pixel, 45 nm fp32.
        firing_rate: Mean |count| of what it reads; None if it reads floats.
        channels: Channels of the neurons; None where there are none.
        dead, saturated: Shares of these channels, 0..1.
    """

    name: str
    op: str
    reads: str
    macs_per_px: float
    acs_per_px: float
    nj_px: float
    firing_rate: float | None
    channels: int | None
    dead: float | None
    saturated: float | None


def layer_rows(cost: EnergyReport, activity: tuple[LayerActivity, ...]) -> tuple[LayerRow, ...]:
    """Every counted layer in order of execution, then neurons that could not be matched with one.

    A layer reads the neurons that emitted as many values and as many events as it read, the first of them that no
    layer before it has.
    """
    by_name = {layer.name: layer for layer in activity}
    free = list(cost.neurons)
    rows = []
    for layer in cost.layers:
        match = next((one for one in free if _is_read_by(one, layer)), None)
        if match:
            free.remove(match)
        rows.append(_layer_row(cost, layer, by_name.get(match.name) if match else None))
    return (*rows, *(_neuron_row(by_name[one.name]) for one in free if one.name in by_name))


def _is_read_by(neuron: NeuronCount, layer: LayerCount) -> bool:
    return layer.reads_spikes and (neuron.updates, neuron.events) == (layer.inputs, layer.events)


def _layer_row(cost: EnergyReport, layer: LayerCount, neurons: LayerActivity | None) -> LayerRow:
    rate = layer.events / layer.inputs if layer.reads_spikes and layer.inputs else None
    return LayerRow(layer.name, layer.op, 'spikes' if layer.reads_spikes else 'floats', layer.macs / cost.pixels,
                    layer.acs / cost.pixels, cost.layer_pj(layer) / cost.pixels / 1000, rate, *_channels(neurons))


def _neuron_row(neurons: LayerActivity) -> LayerRow:
    return LayerRow(neurons.name, '', '', 0.0, 0.0, 0.0, neurons.firing_rate, *_channels(neurons))


def _channels(neurons: LayerActivity | None) -> tuple[int | None, float | None, float | None]:
    if neurons is None:
        return None, None, None
    return len(neurons.channel_rates), dead_share([neurons]), saturated_share([neurons])
