"""Figures of a report as inline SVG, in the colours of the page around them."""
from __future__ import annotations

import io
import re
from collections.abc import Callable, Sequence
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from basicsr_snn.activity import LayerActivity
from basicsr_snn.energy import DEFAULT_PRESET, ENERGY_PRESETS, EnergyReport, LayerCount

SPIKES, FLOATS, TWIN = '#0072b2', '#d55e00', '#8a8a8a'  # told apart under colour blindness, on white and on black
TEXT = '#010203'
"""Stands for the text colour of the page, light or dark."""

WIDTH = 5.0
"""In inches. On the width of a phone letters are then still large enough to read."""

MOST_TICKS = 9
"""Labels on the axis of counts, of which a layer may have 65."""

MOST_LAYERS = 40
"""Layers in the figure of energies."""

STYLE: dict[Any, Any] = {
    'svg.fonttype': 'none', 'text.color': TEXT, 'axes.labelcolor': TEXT, 'axes.edgecolor': TEXT,
    'xtick.color': TEXT, 'ytick.color': TEXT, 'font.size': 9, 'axes.spines.top': False,
    'axes.spines.right': False, 'axes.axisbelow': True}


def firing_rates(layers: Sequence[LayerActivity]) -> str:
    """Bar for each neuron layer: its firing rate; line: from its most silent to its most active channel."""

    def draw(axes: Axes) -> None:
        places, rates = np.arange(len(layers)), [layer.firing_rate for layer in layers]
        axes.barh(places, rates, color=SPIKES, height=0.7)
        axes.hlines(places, [layer.channel_rates.min() for layer in layers],
                    [layer.channel_rates.max() for layer in layers], color=TEXT, linewidth=1)
        axes.set(xlabel='unit spikes for each neuron and step', xlim=(0, None))
        _name_rows(axes, [layer.name for layer in layers])

    return _svg('rates', draw, _height(len(layers)))


def energies(cost: EnergyReport) -> str:
    """Bar for each of the costliest layers: energy of its arithmetic in nJ for each pixel; mark: in the ANN twin."""
    layers = costliest(cost)

    def draw(axes: Axes) -> None:
        places = np.arange(len(layers))
        values = np.array([cost.layer_pj(layer) for layer in layers]) / cost.pixels / 1000
        spikes = np.array([layer.reads_spikes for layer in layers])
        for chosen, colour, label in ((spikes, SPIKES, 'reads spikes'), (~spikes, FLOATS, 'reads floats')):
            if chosen.any():
                axes.barh(places[chosen], values[chosen], color=colour, height=0.7, label=label)
        if cost.neurons:
            pj = ENERGY_PRESETS[DEFAULT_PRESET].mac_pj
            twin = [pj * layer.twin_macs / cost.pixels / 1000 for layer in layers]
            axes.plot(twin, places, linestyle='', marker='|', markersize=9, markeredgewidth=2, color=TWIN,
                      label='in the ANN twin')
        axes.set(xlabel=f'nJ for each pixel ({DEFAULT_PRESET}, arithmetic only)', xlim=(0, None))
        axes.legend(frameon=False, loc='lower right', bbox_to_anchor=(1, 1), ncols=3, handlelength=1.2,
                    columnspacing=1.0)
        _name_rows(axes, [layer.name for layer in layers])

    return _svg('energies', draw, _height(len(layers)))


def costliest(cost: EnergyReport) -> list[LayerCount]:
    """The :data:`MOST_LAYERS` layers of most energy, in order of execution."""
    order = sorted(range(len(cost.layers)), key=lambda index: -cost.layer_pj(cost.layers[index]))
    return [cost.layers[index] for index in sorted(order[:MOST_LAYERS])]


def counts(layers: Sequence[LayerActivity]) -> str:
    """Share of sampled neurons and steps that emitted each count."""

    def draw(axes: Axes) -> None:
        values, shares = count_shares(layers)
        axes.bar(values, shares, color=SPIKES, width=0.8)
        axes.set(xlabel='spikes of one neuron in one step', ylabel='% of neurons and steps')
        axes.xaxis.set_major_locator(MaxNLocator(MOST_TICKS, integer=True))

    return _svg('counts', draw, 2.8)


def count_shares(layers: Sequence[LayerActivity]) -> tuple[np.ndarray, np.ndarray]:
    """Counts that neurons may emit, and the percentage of each; negative ones only where some were emitted."""
    limit = max(layer.limit for layer in layers)
    total = np.zeros(2 * limit + 1)
    for layer in layers:
        total[limit - layer.limit:limit + layer.limit + 1] += layer.counts / max(1, layer.counts.sum())
    values = np.arange(-limit, limit + 1)
    shown = values >= (-limit if total[:limit].any() else 0)
    return values[shown], 100 * total[shown] / len(layers)


def potentials(layers: Sequence[LayerActivity]) -> str:
    """Density of membrane potentials before the spike, in thresholds; dashed: what D spikes stand for."""

    def draw(axes: Axes) -> None:
        known = [layer for layer in layers if layer.potentials.size]
        limit = max(layer.limit for layer in known)
        edges = potential_edges(limit)
        densities = np.array([potential_density(layer, edges) for layer in known])
        for density in densities:
            axes.stairs(density, edges, color=TWIN, alpha=0.4, linewidth=0.7)
        axes.stairs(densities.mean(0), edges, color=SPIKES, linewidth=2)
        signed = any(layer.counts[:layer.limit].any() for layer in known)
        for place in (limit, -limit) if signed else (limit,):
            axes.axvline(place, color=TEXT, linestyle='--', linewidth=1)
        axes.set(xlabel='membrane potential before the spike, in thresholds', ylabel='density', ylim=(0, None))

    return _svg('potentials', draw, 3.0)


def potential_edges(limit: int) -> np.ndarray:
    """Edges of the bins of potentials, a quarter of a threshold apart, to twice the limit on both sides."""
    reach = 2 * limit + 2
    return np.linspace(-reach, reach, 8 * reach + 1)


def potential_density(layer: LayerActivity, edges: np.ndarray) -> np.ndarray:
    """Density of a layer's potentials; those beyond the edges are in the outermost bins."""
    return np.histogram(np.clip(layer.potentials, edges[0], edges[-1]), edges, density=True)[0]


def _name_rows(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(np.arange(len(names)), names, fontsize=7)
    axes.tick_params(axis='y', length=0)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.grid(axis='x', color=TEXT, alpha=0.15)


def _height(rows: int) -> float:
    return 0.9 + 0.19 * rows


def _svg(name: str, draw: Callable[[Axes], None], height: float) -> str:
    """Draw into a figure of :data:`WIDTH` by ``height`` inches, and return its SVG for use inside HTML."""
    with matplotlib.rc_context({**STYLE, 'svg.hashsalt': name}):
        figure = Figure(figsize=(WIDTH, height), layout='constrained')
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        text = io.StringIO()
        figure.savefig(text, format='svg', transparent=True,
                       metadata=dict.fromkeys(('Creator', 'Date', 'Format', 'Type')))
    return inlined(text.getvalue(), name)


def inlined(svg: str, name: str) -> str:
    """An SVG file as a part of a page: no namespaces, ids of its own, the page's text colour, scaled to its place."""
    svg = svg[svg.index('<svg'):]
    svg = re.sub(r'<style.*?</style>', '', svg, flags=re.DOTALL)
    svg = re.sub(r' xmlns(:\w+)?="[^"]*"', '', svg).replace('xlink:href', 'href')
    svg = re.sub(r'<svg [^>]*?viewBox="([^"]*)"[^>]*>', r'<svg viewBox="\1" role="img">', svg, count=1)
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf'\g<1>{name}-', svg)
    return svg.replace(TEXT, 'currentColor').strip()
