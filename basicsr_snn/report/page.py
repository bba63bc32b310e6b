"""Findings as one HTML page that needs nothing else: pictures and style inside, no script, no network."""
from __future__ import annotations

import base64
import math
from collections.abc import Mapping
from typing import Any

import cv2
import numpy as np
import torch
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined, select_autoescape
from markupsafe import Markup

from basicsr_snn.activity import dead_share, saturated_share
from basicsr_snn.energy import DEFAULT_PRESET, quantised_bits, twin_macs_per_px
from basicsr_snn.report import figures
from basicsr_snn.report.findings import CROP, Findings
from basicsr_snn.report.origin import Origin
from basicsr_snn.report.tables import energy_rows, layer_rows
from basicsr_snn.version import __version__
from basicsr_snn.weight_files.card import plain

MISSING = '–'


def render(found: Findings, origin: Origin | None = None) -> str:
    """The page, as the text of an HTML file; ``origin`` is told at its end."""
    loader = PackageLoader('basicsr_snn.report', '.')
    environment = Environment(loader=loader, undefined=StrictUndefined,
                              autoescape=select_autoescape(('html', 'jinja')), trim_blocks=True, lstrip_blocks=True)
    environment.filters.update(fixed=fixed, short=short, whole=whole, percent=percent, flow=flow)
    style, _, _ = loader.get_source(environment, 'page.css')
    names = dict.fromkeys(one.dataset for one in found.scores)
    datasets = [{'name': name, 'count': sum(one.dataset == name for one in found.scores)} for name in names]
    energies = energy_rows(found.cost)
    return environment.get_template('page.html.jinja').render(
        found=found, origin=origin, cost=found.cost, style=Markup(style), datasets=datasets, sigmas=_sigmas(found),
        examples=[_example(one) for one in found.examples], crop=CROP,
        bits=quantised_bits(found.cost), twin_macs=twin_macs_per_px(found.cost), energies=energies,
        of_twin={row.memory: row.own / row.twin for row in energies if row.preset == DEFAULT_PRESET and row.twin},
        layers=layer_rows(found.cost, found.activity), figures=_figures(found),
        dead=dead_share(found.activity), saturated=saturated_share(found.activity),
        kinds=', '.join(dict.fromkeys(layer.kind for layer in found.activity)),
        channels=sum(len(layer.channel_rates) for layer in found.activity), default_preset=DEFAULT_PRESET,
        most_layers=figures.MOST_LAYERS,
        made_with=f'basicsr_snn {__version__} (Apache-2.0), torch {torch.__version__}')


def _figures(found: Findings) -> Mapping[str, Markup | None]:
    drawn: dict[str, str | None] = {'energies': figures.energies(found.cost)}
    if found.activity:
        known = any(layer.potentials.size for layer in found.activity)
        drawn.update(rates=figures.firing_rates(found.activity), counts=figures.counts(found.activity),
                     potentials=figures.potentials(found.activity) if known else None)
    return {name: None if svg is None else Markup(svg) for name, svg in drawn.items()}


def _example(example: Any) -> dict[str, Any]:
    pictures = {kind: data_uri(getattr(example, kind)) for kind in ('degraded', 'restored', 'clean')}
    return {'name': example.scored.name, 'score': example.scored.score, **pictures}


def data_uri(pixels: np.ndarray) -> str:
    """A picture (H, W, C) uint8, RGB or grey, as the address of an embedded PNG."""
    encoded = cv2.imencode('.png', pixels[..., ::-1] if pixels.shape[-1] == 3 else pixels)[1]
    return f'data:image/png;base64,{base64.b64encode(encoded.data).decode()}'


def _sigmas(found: Findings) -> str:
    levels = sorted({one.sigma for one in found.scores if one.sigma})
    return ', '.join(f'{level:g}' for level in levels)


def fixed(value: float | None, digits: int) -> str:
    """A number with so many digits after the point; a dash where there is none."""
    return MISSING if _is_missing(value) else f'{value:,.{digits}f}'


def short(value: float | None) -> str:
    """A number with three significant digits, or all before the point."""
    if _is_missing(value):
        return MISSING
    return f'{value:,.0f}' if not value or abs(value) >= 99.95 else f'{value:#.3g}'


def whole(value: float | None) -> str:
    """A number rounded to an integer, thousands apart."""
    return fixed(value, 0)


def percent(value: float | None) -> str:
    """A share of 0..1 in per cent."""
    return MISSING if value is None or _is_missing(value) else f'{short(100 * value)} %'


def flow(network: Mapping[str, Any]) -> str:
    """A ``network_g`` block as one line of YAML."""
    return yaml.safe_dump(plain(network), default_flow_style=True, sort_keys=False, width=10 ** 6).strip()


def _is_missing(value: float | None) -> bool:
    return value is None or math.isnan(value)
