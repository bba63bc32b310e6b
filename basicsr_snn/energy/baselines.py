"""What a spiking network is compared with: its ANN twin, its quantised twin, and the firing rate where it breaks even.

All are computed from the counts of the spiking network itself, so they hold for the same layers on the same pictures.
"""
from __future__ import annotations

import math

from basicsr_snn.energy.presets import DEFAULT_PRESET, ENERGY_PRESETS, EnergyPreset, integer_mac_pj, preset_of
from basicsr_snn.energy.report import EnergyReport, LayerCount, NeuronCount

INTEGER_PRESET = '45nm-int8'


def twin_macs_per_px(report: EnergyReport) -> float:
    """MACs of the ANN twin for each input pixel: every counted layer dense, and once instead of T times."""
    return sum(layer.twin_macs for layer in report.layers) / report.pixels


def twin_nj_px(report: EnergyReport, preset: str | EnergyPreset = DEFAULT_PRESET, memory: bool = False) -> float:
    """Energy of the ANN twin in nJ for each input pixel; ``memory`` as in :meth:`EnergyReport.energy_nj_px`."""
    preset = preset_of(preset)
    return sum(_twin_pj(layer, preset, preset.mac_pj, memory) for layer in report.layers) / report.pixels / 1000


def quantised_bits(report: EnergyReport) -> int:
    """Bits of the activations of the quantised twin, ``ceil(log2(T * D + 1))``; of phase coding those of its counts.

    Yan et al. (arXiv 2409.08290) pair a rate-coded network of T steps with ceil(log2(T + 1)) bits, since T steps tell
    T + 1 numbers apart; with counts up to D, T * D + 1. The twin ends in ReLUs, so a sign costs it no bit. An ANN has
    no quantised twin: 0.
    """
    return math.ceil(math.log2(report.largest + 1))


def quantised_nj_px(report: EnergyReport, weight_bits: int = 8, memory: bool = False) -> float:
    """Energy of the quantised twin in nJ for each input pixel, integer arithmetic in 45 nm.

    To be compared with the spiking network under ``45nm-int8``. Layers that read spikes cost
    :func:`integer_mac_pj` of :func:`quantised_bits` by ``weight_bits``; layers that read floats stay at 8 by 8 bits.
    With ``memory``, weights and activations are bytes.
    """
    preset = ENERGY_PRESETS[INTEGER_PRESET]
    narrow = integer_mac_pj(quantised_bits(report), weight_bits)
    return sum(_twin_pj(layer, preset, narrow if layer.reads_spikes else integer_mac_pj(8, weight_bits), memory)
               for layer in report.layers) / report.pixels / 1000


def spiking_share(report: EnergyReport, preset: str | EnergyPreset = DEFAULT_PRESET, memory: bool = False) -> float:
    """Part of the energy, 0..1, that layers which read spikes (and neurons, with ``memory``) take."""
    total = report.energy_nj_px(preset, memory) * report.pixels * 1000
    read_floats = sum(report.layer_pj(layer, preset, memory) for layer in report.layers if not layer.reads_spikes)
    return max(0.0, total - read_floats) / total if total else 0.0


def break_even_rate(report: EnergyReport, preset: str | EnergyPreset = DEFAULT_PRESET, memory: bool = False,
                    mac_pj: float | None = None) -> float:
    r"""Firing rate at which the layers that read spikes cost what they cost in the ANN twin.

    Their energy is linear in the firing rate r: accumulations, messages and accesses to potentials grow with it, the
    update of the potentials does not. From the measured rate :math:`r_0` and energies,

    .. math:: r^* = r_0\, (E_{twin} - E_{fixed}) / E_{events}(r_0)

    For arithmetic only and away from the borders that is :math:`e_{MAC} / (T e_{AC})`, 5.1 / T at 45 nm fp32, which
    any network stays below: by that rule spiking always wins. The question of a break-even rate, and that data movement
    moves it, is from Yan et al. (arXiv 2409.08290), who find 5.7 % at T = 5 with a memory hierarchy of their own; the
    formula is ours. All rates are assumed to change together.

    Args:
        report: Counts of a spiking network.
        preset: Energy figures; those of the quantised twin are under ``45nm-int8``.
        memory: Whether memory traffic counts.
        mac_pj: Energy of a MAC of the twin, for example :func:`integer_mac_pj` of the quantised twin; the preset's by
            default.

    Returns:
        Unit spikes for each neuron and step; 0 where the twin is cheaper at any rate, NaN for a network without
        spikes.
    """
    preset = preset_of(preset)
    layers = [layer for layer in report.layers if layer.reads_spikes]
    twin = sum(_twin_pj(layer, preset, preset.mac_pj if mac_pj is None else mac_pj, memory) for layer in layers)
    events = sum(preset.ac_pj * layer.acs for layer in layers)
    fixed = 0.0
    if memory:
        counted: list[LayerCount | NeuronCount] = [*layers, *report.neurons]
        events += sum(one.events_overhead.pj(preset) for one in counted)
        fixed = sum(one.fixed_overhead.pj(preset) for one in counted)
    return max(0.0, report.firing_rate * (twin - fixed) / events) if events else math.nan


def _twin_pj(layer: LayerCount, preset: EnergyPreset, mac_pj: float, memory: bool) -> float:
    return mac_pj * layer.twin_macs + (layer.twin_overhead.pj(preset) if memory else 0.0)
