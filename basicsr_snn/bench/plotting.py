"""Rows as a picture: PSNR against energy, size as area, and the front that no other network beats."""
from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product
from pathlib import Path
from typing import cast

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg, RendererAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from matplotlib.ticker import FuncFormatter, NullFormatter
from matplotlib.transforms import Bbox

from basicsr_snn.bench.row import Row
from basicsr_snn.errors import UserError

SPIKING, ANN, CLASSICAL = '#0072b2', '#d55e00', '#555555'  # told apart under colour blindness; shapes differ as well
LARGEST_AREA, SMALLEST_AREA = 1600.0, 45.0


def draw(rows: Sequence[Row], pictures: str, file: Path) -> None:
    """Draw PSNR (dB) against energy (nJ/px, 45 nm fp32, logarithmic).

    Spiking networks are triangles, others circles; the area is the number of parameters. The line joins the networks
    than which none is both better and cheaper. What has a score but no energy (BM3D) is a horizontal line.

    Raises:
        UserError: No row has both figures.
    """
    points = [row for row in rows if row.psnr is not None and row.energy_nj_px_fp32]
    if not points:
        raise UserError('there is nothing to plot, since no network has both a PSNR and an energy; see the errors '
                        'above, or leave --plot out.')
    figure = Figure(figsize=(8, 5.2), dpi=150, layout='constrained')
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    axes.set(xscale='log', xlabel='energy, nJ for each pixel (45 nm fp32, arithmetic only)', ylabel='PSNR, dB',
             title=pictures)
    _set_limits(axes, rows, points)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda energy, _: f'{energy:,g}'))
    axes.xaxis.set_minor_formatter(NullFormatter())
    axes.grid(alpha=0.25, which='both')
    _draw_front(axes, points)
    largest = max(row.params or 1 for row in points)
    for row in points:
        axes.scatter(*_place(row), s=_area(row, largest), marker='^' if row.spiking else 'o',
                     color=SPIKING if row.spiking else ANN, alpha=0.75, edgecolors='black', linewidths=0.8, zorder=3)
    for row in rows:
        if row.psnr is not None and not row.energy_nj_px_fp32:
            axes.axhline(row.psnr, color=CLASSICAL, linestyle=':', zorder=1)
    _draw_legend(figure)
    canvas.draw()
    _place_labels(axes, rows, points, largest, canvas.get_renderer())
    figure.savefig(file)


def _place(row: Row) -> tuple[float, float]:
    """Energy and PSNR of a row that has both."""
    return cast('float', row.energy_nj_px_fp32), cast('float', row.psnr)


def pareto_front(points: Sequence[Row]) -> list[Row]:
    """Rows than which no other is both at least as good and at most as costly, from the cheapest on."""
    front: list[Row] = []
    for row in sorted(points, key=lambda row: (_place(row)[0], -_place(row)[1])):
        if not front or _place(row)[1] > _place(front[-1])[1]:
            front.append(row)
    return front


def _area(row: Row, largest: int) -> float:
    return max(SMALLEST_AREA, LARGEST_AREA * (row.params or 0) / largest)


def _set_limits(axes: Axes, rows: Sequence[Row], points: Sequence[Row]) -> None:
    energies = [math.log10(_place(row)[0]) for row in points]
    scores = [row.psnr for row in rows if row.psnr is not None]
    wide, high = max(max(energies) - min(energies), 1.5), max(max(scores) - min(scores), 0.4)
    axes.set_xlim(10 ** (min(energies) - 0.3 * wide), 10 ** (max(energies) + 0.3 * wide))
    axes.set_ylim(min(scores) - 0.25 * high, max(scores) + 0.3 * high)


def _draw_front(axes: Axes, points: Sequence[Row]) -> None:
    front = pareto_front(points)
    energies, scores = zip(*map(_place, front), strict=True)
    axes.plot(energies, scores, color='black', linestyle='--', linewidth=1, zorder=2)


def _draw_legend(figure: Figure) -> None:
    def marker(shape: str, colour: str, label: str) -> Line2D:
        return Line2D([], [], linestyle='', marker=shape, color=colour, markeredgecolor='black', markersize=8,
                      label=label)

    handles = [marker('^', SPIKING, 'spiking'), marker('o', ANN, 'ANN'),
               Line2D([], [], color='black', linestyle='--', linewidth=1, label='Pareto front')]
    figure.legend(handles=handles, loc='outside lower center', ncols=4, frameon=False,
                         title='area: number of parameters', title_fontsize='small')


def _place_labels(axes: Axes, rows: Sequence[Row], points: Sequence[Row], largest: int,
                  renderer: RendererAgg) -> None:
    """Put each name where it covers no bubble and no other name, as near to its bubble as that allows."""
    pixels = axes.figure.dpi / 72
    taken = [_bubble(axes, row, largest, pixels) for row in points]
    inside = axes.get_window_extent()
    for row in rows:
        if row.psnr is not None and not row.energy_nj_px_fp32:
            label = axes.annotate(row.name, (axes.get_xlim()[0], row.psnr), (4, 2), textcoords='offset points',
                                  color=CLASSICAL, fontsize=8)
            taken.append(label.get_window_extent(renderer))
    for row, bubble in zip(points, tuple(taken), strict=False):
        text = f'{row.name}\n{row.params:,d}' if row.params else row.name
        label = axes.annotate(text, _place(row), (0, 0), textcoords='offset points', fontsize=8, ha='center',
                              va='center', path_effects=[withStroke(linewidth=3, foreground='white')],
                              zorder=4)
        box = label.get_window_extent(renderer)
        label.set_position(_best_offset(box, bubble, taken, inside, pixels))
        taken.append(label.get_window_extent(renderer))


def _bubble(axes: Axes, row: Row, largest: int, pixels: float) -> Bbox:
    x, y = axes.transData.transform(_place(row))
    radius = math.sqrt(_area(row, largest)) / 2 * pixels
    return Bbox.from_extents(x - radius, y - radius, x + radius, y + radius)


def _best_offset(box: Bbox, bubble: Bbox, taken: Sequence[Bbox], inside: Bbox, pixels: float) -> tuple[float, float]:
    """Offset in points of a label's centre from its bubble's: the nearest of many places that covers the least."""
    best, least = (0.0, 0.0), math.inf
    for gap, angle in product((3, 8, 16, 28, 44), (-90, 90, 0, 180, -45, 45, -135, 135)):
        away = math.cos(math.radians(angle)), math.sin(math.radians(angle))
        x = away[0] * ((bubble.width + box.width) / 2 + gap * pixels)
        y = away[1] * ((bubble.height + box.height) / 2 + gap * pixels)
        placed = box.translated(x, y)
        outside = placed.width * placed.height - _overlap(placed, inside)
        cost = gap + sum(_overlap(placed, one) for one in taken) + 10 * outside
        if cost < least:
            best, least = (x / pixels, y / pixels), cost
    return best


def _overlap(one: Bbox, other: Bbox) -> float:
    common = Bbox.intersection(one, other)
    return 0.0 if common is None else common.width * common.height
