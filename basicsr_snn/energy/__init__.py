"""What a network costs, counted from executed operations: MACs, accumulations, firing rates, energy.

Counting rule: an operator whose input holds integers only reads spikes, and costs one accumulation (AC) for each unit
event and each output that the event reaches, at the real borders; an integer count k is |k| events. Any other input
costs the dense number of multiply-accumulates (MACs). What is not counted is named by ``EnergyReport.warnings``.
"""
from basicsr_snn.energy.baselines import (
    INTEGER_PRESET,
    break_even_rate,
    quantised_bits,
    quantised_nj_px,
    spiking_share,
    twin_macs_per_px,
    twin_nj_px,
)
from basicsr_snn.energy.counter import OperationCounter
from basicsr_snn.energy.presets import DEFAULT_PRESET, ENERGY_PRESETS, EnergyPreset, integer_mac_pj
from basicsr_snn.energy.report import EnergyReport, LayerCount, NeuronCount, UncountedOperator

__all__ = ['DEFAULT_PRESET', 'ENERGY_PRESETS', 'INTEGER_PRESET', 'EnergyPreset', 'EnergyReport', 'LayerCount',
           'NeuronCount', 'OperationCounter', 'UncountedOperator', 'break_even_rate', 'integer_mac_pj',
           'quantised_bits', 'quantised_nj_px', 'spiking_share', 'twin_macs_per_px', 'twin_nj_px']
