"""Table and plot of the comparison, from ``results.csv`` and ``curves.csv``: ``benchmarks/distillation/draw.py``."""
from __future__ import annotations

import statistics
from pathlib import Path

import matplotlib
from compare import HERE, METHODS, read

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

TABLE, PLOT = HERE / 'results.md', Path('docs/images/distillation.png')


def table() -> str:
    """A line a method: means over seeds, and the largest difference between seeds."""
    rows = read(HERE / 'results.csv')
    header = ['method', 'seeds', 'steps', 'val PSNR', 'spread', 'CBSD68 PSNR', 'ACs/px', 's a step / control',
              'seconds', 'steps to control']
    lines = [header, ['---'] * len(header)]
    of_control = [float(row['seconds']) for row in rows if row['method'] == 'control']
    for method in METHODS:
        mine = [row for row in rows if row['method'] == method]
        if not mine:
            continue

        def mean(key: str, mine: list[dict[str, str]] = mine) -> float:
            return statistics.fmean(float(row[key]) for row in mine)

        val = [float(row['val_psnr']) for row in mine]
        slower = mean('seconds') / statistics.fmean(of_control) if of_control else float('nan')
        reached = [row['steps_to_control'] or 'never' for row in mine]
        lines.append([method, str(len(mine)), mine[0]['steps'], f'{mean("val_psnr"):.3f}', f'{max(val) - min(val):.3f}',
                      f'{mean("cbsd68_psnr"):.3f}', f'{mean("acs_per_px"):,.0f}', f'{slower:.2f}',
                      f'{mean("seconds"):,.0f}', ', '.join(reached)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'


def draw() -> None:
    """Validation PSNR against steps and against seconds, a line a method, mean over seeds."""
    figure, panels = plt.subplots(1, 2, figsize=(13, 5), sharey=True)
    points = read(HERE / 'curves.csv')
    for place, method in enumerate(METHODS):
        mine = [point for point in points if point['method'] == method]
        steps = sorted({int(point['step']) for point in mine})
        if not steps:
            continue
        by_step = [[point for point in mine if int(point['step']) == step] for step in steps]
        psnr = [statistics.fmean(float(one['val_psnr']) for one in group) for group in by_step]
        seconds = [statistics.fmean(float(one['seconds']) for one in group) for group in by_step]
        style = {'color': 'black', 'linewidth': 2.5} if method == 'control' else {'color': f'C{place % 10}'}
        for axes, x in zip(panels, (steps, seconds), strict=True):
            axes.plot(x, psnr, label=method, linestyle='--' if place > 10 else '-', **style)
    panels[0].set(xlabel='optimiser step', ylabel='validation PSNR, dB')
    panels[1].set(xlabel='seconds of training')
    panels[1].legend(fontsize=8, bbox_to_anchor=(1.01, 1), loc='upper left')
    for axes in panels:
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(PLOT, dpi=100)
    plt.close(figure)


if __name__ == '__main__':
    TABLE.write_text(table(), encoding='utf-8')
    draw()
