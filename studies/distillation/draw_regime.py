"""Tables and plot of a plan's runs: ``studies/distillation/draw_regime.py [binary.yml]``, also while they train.

A table for each setting, that is for all runs that differ in arm and seed alone. Gains are against the control of the
same seed; p is that of a paired t test over the seeds.
"""
from __future__ import annotations

import argparse
import statistics
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from plan import FIELDS, TWIN_ARM, Plan
from runs import HERE, read
from scipy.stats import ttest_rel

CONTROL = 'control'
AT = ' at '
SETTING = tuple(field for field in FIELDS if field not in ('arm', 'weight', 'seed'))
Row = dict[str, str]
Key = tuple[str, ...]
HEADER = ('arm', 'seeds', 'val PSNR', 'spread', 'gain', 'p', 'steps to the end of the control', 'seconds to it',
          'seconds a step / control', 'firing rate')


@dataclass(frozen=True)
class Arm:
    """The runs of one arm, at one weight, in one setting.

    Attributes:
        name: With the weight, where it is not the arm's own.
        rows: Rows of the table of results, by seed.
        curves: Points by seed, in order of steps.
    """

    name: str
    rows: dict[str, Row]
    curves: dict[str, list[Row]]

    def scores(self, seeds: Iterable[str]) -> list[float]:
        return [float(self.rows[seed]['val_psnr']) for seed in seeds]


def setting_of(row: Row) -> Key:
    return tuple(row[field] for field in SETTING)


def settings(rows: Sequence[Row], points: Sequence[Row]) -> dict[Key, dict[str, Arm]]:
    """Arms by setting, those of one that has a control, in the order in which they were trained first."""
    found: dict[Key, dict[str, Arm]] = defaultdict(dict)
    for row in rows:
        if row['arm'] != TWIN_ARM:
            found[setting_of(row)].setdefault(_name(row), Arm(_name(row), {}, {})).rows[row['seed']] = row
    for point in points:
        arm = found.get(setting_of(point), {}).get(_name(point))
        if arm is not None:
            arm.curves.setdefault(point['seed'], []).append(point)
    return {key: dict(sorted(arms.items(), key=lambda item: item[0] != CONTROL)) for key, arms in found.items()
            if CONTROL in arms}


def _name(row: Row) -> str:
    return row['arm'] + (f'{AT}{row["weight"]}' if row['weight'] else '')


def weight_of(arm: Arm) -> str:
    """The weight of an arm, where it is not its own."""
    return arm.name.partition(AT)[2]


def gains_of(arm: Arm, control: Arm) -> list[float]:
    """Gain over the control of the same seed, in dB, of each seed that both have."""
    seeds = sorted(arm.rows.keys() & control.rows.keys(), key=int)
    return [one - other for one, other in zip(arm.scores(seeds), control.scores(seeds), strict=True)]


def reached(curve: Sequence[Row], goal: float, of: str) -> float | None:
    """At what ``step`` or after how many ``seconds`` a curve reaches a PSNR, between its points by a straight line;
    None: never."""
    before = None
    for point in curve:
        psnr = float(point['val_psnr'])
        if psnr >= goal:
            if before is None:
                return float(point[of])
            share = (goal - float(before['val_psnr'])) / (psnr - float(before['val_psnr']))
            return float(before[of]) + share * (float(point[of]) - float(before[of]))
        before = point
    return None


def line(arm: Arm, control: Arm) -> list[str]:
    """A line of the table."""
    seeds = sorted(arm.rows.keys() & control.rows.keys(), key=int)
    mine = arm.scores(arm.rows)
    spread = f'{statistics.stdev(mine):.3f}' if len(mine) > 1 else '-'
    cells = [arm.name, str(len(mine)), f'{statistics.fmean(mine):.3f}', spread, *_against(arm, control, seeds)]
    rates = [float(row['firing_rate']) for row in arm.rows.values()]
    return [*cells, f'{statistics.fmean(rates):.3f}']


def _against(arm: Arm, control: Arm, seeds: Sequence[str]) -> list[str]:
    if arm.name == CONTROL or not seeds:
        return ['-'] * 5
    gains = gains_of(arm, control)
    p = ttest_rel(arm.scores(seeds), control.scores(seeds)).pvalue if len(seeds) > 1 else None
    pace = statistics.fmean(float(arm.rows[seed]['seconds']) / float(control.rows[seed]['seconds']) for seed in seeds)
    return [f'{statistics.fmean(gains):+.3f}', '-' if p is None else f'{p:.3f}',
            _speed(arm, control, seeds, 'step'), _speed(arm, control, seeds, 'seconds'), f'{pace:.2f}']


def _speed(arm: Arm, control: Arm, seeds: Sequence[str], of: str) -> str:
    """Mean over seeds of the share of the control's steps, or seconds, after which its last PSNR was reached."""
    shares = []
    for seed in seeds:
        last = control.curves[seed][-1]
        found = reached(arm.curves[seed], float(last['val_psnr']), of)
        shares += [] if found is None else [found / float(last[of])]
    if not shares:
        return 'never'
    never = len(seeds) - len(shares)
    return f'{statistics.fmean(shares):.0%}'.replace('%', ' %') + (f' ({never} of {len(seeds)} never)' if never else '')


def table(arms: dict[str, Arm]) -> str:
    lines = [list(HEADER), ['---'] * len(HEADER), *(line(arm, arms[CONTROL]) for arm in arms.values())]
    return '\n'.join(f'| {" | ".join(cells)} |' for cells in lines) + '\n'


def title(key: Key) -> str:
    """A setting in words."""
    of = dict(zip(SETTING, key, strict=True))
    parts = [f'{of["neuron"]}, {of["size"]}, {int(of["steps"]):,} steps, {of["pictures"]} photographs']
    parts += ['L1 + 0.1 FFT' if of['fft'] == 'True' else 'L1']
    parts += ['moving average'] if of['average'] == 'True' else []
    parts += [] if of['clip'] == 'True' else ['no clipping']
    return ', '.join([*parts, f'rate {of["lr"]}'])


def draw(arms: dict[str, Arm], heading: str, file: Path) -> None:
    """PSNR, firing rate and density of the potentials against steps, of arms at their own weights: mean over seeds, and
    where the seeds lie."""
    figure = Figure(figsize=(15, 4.5))
    panels = figure.subplots(1, 3)
    for place, arm in enumerate(arm for arm in arms.values() if not weight_of(arm)):
        colour = 'black' if arm.name == CONTROL else f'C{place - 1}'
        for axes, of in zip(panels, ('val_psnr', 'firing_rate', 'membrane_density'), strict=True):
            _draw_line(axes, arm, of, colour)
    labels = ('validation PSNR, dB', 'spikes a neuron and step', 'share of potentials above half a threshold')
    for axes, label in zip(panels, labels, strict=True):
        axes.set(xlabel='optimiser step', ylabel=label)
        axes.grid(alpha=0.3)
    panels[0].legend(fontsize=8, loc='lower right')
    figure.suptitle(heading, fontsize=10)
    figure.tight_layout()
    figure.savefig(file, dpi=100)


def _draw_line(axes: Axes, arm: Arm, of: str, colour: str) -> None:
    by_step: dict[int, list[float]] = defaultdict(list)
    for curve in arm.curves.values():
        for point in curve:
            by_step[int(point['step'])].append(float(point[of]))
    steps = sorted(by_step)
    axes.plot(steps, [statistics.fmean(by_step[step]) for step in steps], label=arm.name, color=colour,
              linewidth=2.5 if arm.name == CONTROL else 1.5)
    axes.fill_between(steps, [min(by_step[step]) for step in steps], [max(by_step[step]) for step in steps],
                      color=colour, alpha=0.1, linewidth=0)


def draw_weights(arms: dict[str, Arm], own: Mapping[str, float], heading: str, file: Path) -> None:
    """Gain over the control against the weight, of each arm that was trained at several: mean, and each seed."""
    figure = Figure(figsize=(7, 4.5))
    axes = figure.subplots()
    for place, name in enumerate(dict.fromkeys(arm.name.partition(AT)[0] for arm in arms.values() if weight_of(arm))):
        of_weight: dict[float, list[float]] = defaultdict(list)
        for arm in arms.values():
            if arm.name.partition(AT)[0] == name:
                of_weight[float(weight_of(arm) or own[name])] += gains_of(arm, arms[CONTROL])
        weights = sorted(of_weight)
        for weight in weights:
            axes.plot([weight] * len(of_weight[weight]), of_weight[weight], '.', color=f'C{place}', alpha=0.4)
        axes.plot(weights, [statistics.fmean(of_weight[weight]) for weight in weights], color=f'C{place}', label=name)
    axes.axhline(0, color='black', linewidth=1)
    axes.set(xscale='log', ylim=(-1, 0.4), xlabel='weight of the hint, or of the teacher\'s picture',
             ylabel='gain over the control of the same seed, dB')
    axes.set_title(heading, fontsize=9)
    axes.grid(alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(file, dpi=100)


def draw_gains(found: Mapping[Key, dict[str, Arm]], plan: Mapping[str, Any], file: Path) -> None:
    """Gain over the control of the same seed, of the arms that the plan tells of, by neuron and length: mean, and each
    seed. Of settings that differ from the plan's defaults in nothing else; without any, nothing is drawn."""
    groups = [(f'{plan["words"][of["neuron"]]},\n{int(of["steps"]):,} steps', arms)
              for of, arms in _told_settings(found, plan) if arms.keys() & plan['told'].keys()]
    if not groups:
        return
    figure = Figure(figsize=(1.6 + 1.25 * len(groups), 4.5))
    axes = figure.subplots()
    for number, arm in enumerate(plan['told']):
        _draw_bars(axes, [arms for _, arms in groups], arm, number, 0.8 / len(plan['told']))
    axes.axhline(0, color='black', linewidth=1)
    axes.set_xticks(range(len(groups)), [name for name, _ in groups], fontsize=8)
    axes.set_ylabel('gain over the control of the same seed, dB')
    axes.grid(axis='y', alpha=0.3)
    axes.legend([Patch(color=f'C{number}', alpha=0.7) for number in range(len(plan['told']))], plan['told'].values(),
                fontsize=9)
    figure.tight_layout()
    figure.savefig(file, dpi=100)


def _draw_bars(axes: Axes, groups: Sequence[Mapping[str, Arm]], arm: str, number: int, width: float) -> None:
    """The bars of one arm, the ``number``-th of those that share a group's place, with a dot for each seed."""
    for place, arms in enumerate(groups):
        if arm in arms:
            gains, x = gains_of(arms[arm], arms[CONTROL]), place - 0.4 + (number + 0.5) * width
            axes.bar(x, statistics.fmean(gains), width, color=f'C{number}', alpha=0.7)
            axes.plot([x] * len(gains), gains, '.', color='black', markersize=4)


def _told_settings(found: Mapping[Key, dict[str, Arm]], plan: Mapping[str, Any]) -> list[tuple[Row, dict[str, Arm]]]:
    """Settings of default size, photographs, losses and rate, by neuron in the plan's order, and by length."""
    usual = {key: str(value) for key, value in plan['defaults'].items() if key in SETTING}
    named = [(dict(zip(SETTING, key, strict=True)), arms) for key, arms in found.items()]
    alike = [(of, arms) for of, arms in named
             if all(of[key] == value for key, value in usual.items() if key not in ('neuron', 'steps'))
             and of['neuron'] in plan['words']]
    order = list(plan['words'])
    return sorted(alike, key=lambda item: (order.index(item[0]['neuron']), int(item[0]['steps'])))


def own_weights(arms: Mapping[str, Any]) -> dict[str, float]:
    """The weight of the first hint, or of the teacher's picture, of each arm of a plan that has one."""
    found = {}
    for name, arm in arms.items():
        distill = arm.get('distill', {})
        hint = next(iter(distill.get('hints', [])), {'weight': distill.get('output', {}).get('loss_weight')})
        if hint['weight'] is not None:
            found[name] = float(hint['weight'])
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument('plan', type=Path, nargs='?', default=HERE / 'binary.yml', help='default: %(default)s')
    parser.add_argument('--images', type=Path, default=Path('docs/images'), help='default: %(default)s')
    args = parser.parse_args()
    name = args.plan.stem
    found = settings(read(HERE / f'{name}.csv'), read(HERE / f'{name}_curves.csv'))
    parts = [f'# Arms of {args.plan.name} compared\n']
    for key, arms in found.items():
        parts += [f'## {title(key)}\n', table(arms)]
    if found:
        key, arms = next(iter(found.items()))  # the setting that the plan begins with
        plot = args.images / f'distillation_{name}.png'
        draw(arms, title(key), plot)
        parts.insert(1, f'![{title(key)}](../../{plot})\n')
        draw_gains(found, Plan(args.plan).content, args.images / f'distillation_{name}_gains.png')
        if any(map(weight_of, arms.values())):
            draw_weights(arms, own_weights(Plan(args.plan).content['arms']), title(key),
                         args.images / f'distillation_{name}_weights.png')
    (HERE / f'{name}.md').write_text('\n'.join(parts), encoding='utf-8')
    print('\n'.join(parts))


if __name__ == '__main__':
    main()
