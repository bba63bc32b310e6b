"""One row of a comparison."""
from __future__ import annotations

import math
from dataclasses import dataclass, field, fields
from typing import Any

from basicsr_snn.energy import (
    EnergyReport,
    break_even_rate,
    integer_mac_pj,
    quantised_bits,
    quantised_nj_px,
    spiking_share,
    twin_macs_per_px,
    twin_nj_px,
)


@dataclass(frozen=True)
class Row:
    """What is known of one candidate; None where it has no such figure.

    Attributes:
        name: What it is called.
        arch: Architecture.
        spiking: Whether it has spiking neurons.
        params: ``sum(p.numel())`` of the network as it runs, folded.
        footprint_bytes: Bytes of its parameters and buffers.
        T: Time steps.
        D: Largest count of one step.
        psnr: Mean PSNR in dB.
        ssim: Mean SSIM.
        macs_per_px, acs_per_px: Operations for each input pixel.
        firing_rate: Unit spikes for each neuron and step.
        energy_nj_px_fp32, energy_nj_px_int8, energy_nj_px_neuromorphic: Energy for each input pixel in nJ under the
            presets ``45nm-fp32``, ``45nm-int8`` and ``neuromorphic-sop``, arithmetic only.
        s_per_mpx: Seconds for a million input pixels.
        peak_mb: Largest sum of tensors that lived at once while the first picture was restored, in 10^6 bytes,
            parameters not among them.
        error: Why it failed.
        details: Figures beyond the table, in JSON's types; see :func:`cost_details`.
    """

    name: str
    arch: str
    spiking: bool | None = None
    params: int | None = None
    footprint_bytes: int | None = None
    T: int | None = None
    D: int | None = None
    psnr: float | None = None
    ssim: float | None = None
    macs_per_px: float | None = None
    acs_per_px: float | None = None
    firing_rate: float | None = None
    energy_nj_px_fp32: float | None = None
    energy_nj_px_int8: float | None = None
    energy_nj_px_neuromorphic: float | None = None
    s_per_mpx: float | None = None
    peak_mb: float | None = None
    error: str = ''
    details: dict[str, Any] = field(default_factory=dict)


COLUMNS = tuple(one.name for one in fields(Row) if one.name != 'details')
"""Columns of the CSV file, in order."""


def cost_columns(report: EnergyReport) -> dict[str, Any]:
    """The columns that come from counted operations."""
    return {
        'spiking': report.spiking, 'params': report.params, 'footprint_bytes': report.footprint_bytes,
        'T': report.T if report.neurons else None, 'D': report.D if report.neurons else None,
        'macs_per_px': report.macs_per_px, 'acs_per_px': report.acs_per_px,
        'firing_rate': report.firing_rate if report.neurons else None,
        'energy_nj_px_fp32': report.energy_nj_px('45nm-fp32'), 'energy_nj_px_int8': report.energy_nj_px('45nm-int8'),
        'energy_nj_px_neuromorphic': report.energy_nj_px('neuromorphic-sop'),
    }


def cost_details(report: EnergyReport) -> dict[str, Any]:
    """Figures beyond the table: energy with memory, layers, and for spiking networks the baselines beside them.

    ``*_memory`` figures add memory traffic and addressing (:mod:`basicsr_snn.energy.memory`).
    """
    details = {
        'effective_macs_per_px': report.effective_macs_per_px,
        'effective_acs_per_px': report.effective_acs_per_px,
        'sparse_energy_nj_px_fp32': report.sparse_energy_nj_px(),
        'energy_uj_picture_fp32': report.energy_uj_picture(),
        'energy_nj_px_fp32_memory': report.energy_nj_px('45nm-fp32', memory=True),
        'energy_nj_px_int8_memory': report.energy_nj_px('45nm-int8', memory=True),
        'layers': [{'name': layer.name, 'op': layer.op, 'reads_spikes': layer.reads_spikes,
                    'macs_per_px': layer.macs / report.pixels, 'acs_per_px': layer.acs / report.pixels}
                   for layer in report.layers],
        'warnings': list(report.warnings),
    }
    return {**details, **_baselines(report)} if report.neurons else details


def _baselines(report: EnergyReport) -> dict[str, Any]:
    bits = quantised_bits(report)
    rates = {
        'fp32': break_even_rate(report),
        'fp32_memory': break_even_rate(report, memory=True),
        'quantised': break_even_rate(report, '45nm-int8', mac_pj=integer_mac_pj(bits)),
        'quantised_memory': break_even_rate(report, '45nm-int8', memory=True, mac_pj=integer_mac_pj(bits)),
    }
    return {
        'max_count': report.max_count,
        'float_layers': list(report.float_layers),
        'neurons': [{'name': one.name, 'firing_rate': one.firing_rate, 'active': one.active / one.updates,
                     'max_count': one.max_count} for one in report.neurons],
        'spiking_share_fp32': spiking_share(report),
        'twin_macs_per_px': twin_macs_per_px(report),
        'twin_nj_px_fp32': twin_nj_px(report), 'twin_nj_px_fp32_memory': twin_nj_px(report, memory=True),
        'twin_nj_px_int8': twin_nj_px(report, '45nm-int8'),
        'quantised_bits': bits, 'quantised_nj_px_int8': quantised_nj_px(report),
        'quantised_nj_px_int8_memory': quantised_nj_px(report, memory=True),
        **{f'break_even_rate_{name}': None if math.isnan(rate) else rate for name, rate in rates.items()},
    }
