"""Table and plots of the comparison, from ``results.csv`` and ``curves.csv``: ``studies/distillation/draw.py``."""
from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from pathlib import Path

import matplotlib
from compare import HERE, METHODS, read

matplotlib.use('Agg')
import matplotlib.pyplot as plt  # the backend comes first

TABLE, IMAGES = HERE / 'results.md', Path('docs/images')
OUTDATED = ('twin_response',)
"""Methods whose teacher was replaced by another network since they were run: not drawn until they are run again."""
Rows = Sequence[dict[str, str]]


def lengths(rows: Rows) -> list[int]:
    """The lengths in steps at which methods are compared; other lengths are of controls that trained for longer."""
    return sorted({int(row['steps']) for row in rows if row['method'] != 'control'})


def compared_at(steps: int, rows: Rows) -> Rows:
    """Rows of one length, and those of controls that trained for longer, named by their length."""
    longer = min((length for length in lengths(rows) if length > steps), default=math.inf)
    return [row if int(row['steps']) == steps else {**row, 'method': f'control, {int(row["steps"]):,} steps'}
            for row in rows if steps <= int(row['steps']) < longer]


def names(rows: Rows) -> list[str]:
    """Names of the lines, in the order of :data:`METHODS`, longer controls after the control."""
    longer = sorted({row['method'] for row in rows} - set(METHODS))
    control, *others = METHODS
    return [control, *longer, *others]


def table(rows: Rows) -> str:
    """A line a method, of runs of one length: means over seeds, and the largest difference between seeds."""
    header = ['method', 'seeds', 'val PSNR', 'against control', 'spread', 'CBSD68 PSNR', 'ACs/px',
              'seconds / control', 'steps to control']
    lines = [header, ['---'] * len(header)]
    control = _of(rows, 'control')
    for method in names(rows):
        mine = _of(rows, method)
        if not mine:
            continue
        val = [float(row['val_psnr']) for row in mine]
        gains = [float(row['val_psnr']) - float(other['val_psnr']) for row in mine for other in control
                 if other['seed'] == row['seed']]
        slower = f'{_mean(mine, "seconds") / _mean(control, "seconds"):.2f}' if control else '-'
        reached = ', '.join(row['steps_to_control'] or 'never' for row in mine) if method in METHODS else '-'
        lines.append([method, str(len(mine)), f'{_mean(mine, "val_psnr"):.3f}',
                      f'{statistics.fmean(gains):+.3f}' if gains else '-', f'{max(val) - min(val):.3f}',
                      f'{_mean(mine, "cbsd68_psnr"):.3f}', f'{_mean(mine, "acs_per_px"):,.0f}',
                      slower, reached])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines) + '\n'


def _of(rows: Rows, method: str) -> Rows:
    return [row for row in rows if row['method'] == method]


def _mean(rows: Rows, key: str) -> float:
    return statistics.fmean(float(row[key]) for row in rows)


def draw(points: Rows, file: Path) -> None:
    """Validation PSNR against steps and against seconds, a line a method, mean over seeds."""
    figure, panels = plt.subplots(1, 2, figsize=(13, 5), sharey=True)
    for place, method in enumerate(names(points)):
        mine = _of(points, method)
        steps = sorted({int(point['step']) for point in mine})
        if not steps:
            continue
        by_step = [[point for point in mine if int(point['step']) == step] for step in steps]
        psnr, seconds = ([_mean(group, key) for group in by_step] for key in ('val_psnr', 'seconds'))
        style = {'color': f'C{place % 10}'}
        if method.startswith('control'):
            style = {'color': 'black', 'linewidth': 2.5 if method == 'control' else 1}
        for axes, x in zip(panels, (steps, seconds), strict=True):
            axes.plot(x, psnr, label=method, linestyle='--' if place > 10 else '-', **style)
    panels[0].set(xlabel='optimiser step', ylabel='validation PSNR, dB')
    panels[1].set(xlabel='seconds of training')
    panels[1].legend(fontsize=8, bbox_to_anchor=(1.01, 1), loc='upper left')
    for axes in panels:
        axes.grid(alpha=0.3)
    figure.tight_layout()
    figure.savefig(file, dpi=100)
    plt.close(figure)


def main() -> None:
    rows, points = ([row for row in read(HERE / name) if row['method'] not in OUTDATED]
                    for name in ('results.csv', 'curves.csv'))
    parts = ['# Methods of distillation compared\n']
    for steps in lengths(rows):
        plot = IMAGES / f'distillation_{steps}.png'
        draw(compared_at(steps, points), plot)
        parts += [f'## {steps:,} steps\n', table(compared_at(steps, rows)),
                  f'![validation PSNR against steps and seconds](../../{plot})\n']
    TABLE.write_text('\n'.join(parts), encoding='utf-8')


if __name__ == '__main__':
    main()
