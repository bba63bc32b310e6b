"""docs/results.md and the table of the README, written from ``scores.csv`` and the rows of the zoo."""
from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn import zoo

if TYPE_CHECKING:
    from scores import Score

PAGE, README = Path('docs/results.md'), Path('README.md')
BEGIN, END = '<!-- results: written by tools/scores.py -->\n', '<!-- end of results -->\n'
README_SIGMA = 25
COLOUR, GREY = ('CBSD68', 'Kodak24', 'Urban100'), ('Set12', 'BSD68')
INTRODUCTION = """# Results

Gaussian noise, seed 0 for each picture, added in RGB or grey and not clipped; BasicSR's PSNR in dB and SSIM of 8-bit
pictures, no border cut off, mean over the pictures ([protocol](../datasets/README.md#protocol-of-the-tests)). The
networks that ship, in the folded form that ships; nothing was trained or chosen on these sets. nJ/px: 45 nm fp32,
4.6 pJ a MAC and 0.9 pJ an AC, arithmetic only, on the first set of a table ([what is counted](energy.md)).
"Phase-coded": the weights of the line with that name, counts told digit by digit in six steps
([how](energy.md#phase-coding-the-same-picture-from-fewer-spikes)). "2 views", "8 views": their mean answer on a picture
turned by half and on all its flips and turns (`denoise --views 8`), each in the costs. "-": not measured. The page is
written by

```sh
python tools/scores.py --bm3d     # what tools/results/scores.csv lacks; --fresh: everything
python tools/figures.py           # the pictures below
```
"""
FIGURES = """
## Pictures

![crops: noisy, student, twin, teacher, clean](images/results.png)

![validation PSNR against events a neuron](images/budget.png)

The student of from_twin_color25.yml trained on for 2,000 steps under budgets of accumulations
(`studies/budget/budget.py`).

![validation PSNR against steps](images/training.png)

Training of the shipped students of sigma 25 on BSD432[0:400], PSNR of the moving average on BSD432[400:432]; a training
that goes on from another counts on from it (`tools/results/curves.csv`).
"""
CARDS = """
## Model cards

```sh
basicsr-snn train -opt options/train/SpikerIR/twin_color25.yml            # the ANN twin, 30,000 steps
O=options/train/SpikerIR/from_twin_color25.yml
M=experiments/SpikerIR_small_twin_color25/models
basicsr-snn start -opt $O --from-twin $M/net_g_13000.pth
basicsr-snn train -opt $O                                                 # small, from the twin's 13,000th step
L=options/train/SpikerIR/long_small_color25.yml
basicsr-snn train -opt $L                                                 # and on, larger batches, made for a GPU
python tools/ship.py -opt $L --name spikerir_small_color25 --task "colour denoising, sigma 25" --goes-on
```

and so on, each with the option file of its row. All are trained on crops of BSD432[0:400] with fresh noise and
validated on BSD432[400:432]. The photographs of BSDS500 are released for non-commercial research and education; whether
that binds weights is not settled, so ask a lawyer before you sell. `hours` are wall-clock, on one core of a shared
2-core machine or beside four other trainings on one NVIDIA H200. Trainings before the `long_*.yml` and
those of `binary` and `ternary` started from the students that shipped up to commit 9311583.
"""


def write_page(scores: Sequence[Score]) -> None:
    """Write the page; ``scores`` in any order."""
    parts = [INTRODUCTION]
    sigmas = sorted({score.sigma for score in scores})
    for title, sets in (('Colour', COLOUR), ('Grey', GREY)):
        for sigma in sigmas:
            chosen = [score for score in scores if score.sigma == sigma and score.set in sets]
            if any(score.params for score in chosen):
                parts.append(f'\n## {title}, sigma {sigma}\n\n{_table(chosen, sets)}')
    parts += [FIGURES, CARDS, _cards()]
    PAGE.write_text('\n'.join(parts).rstrip() + '\n', encoding='utf-8')
    readme = README.read_text(encoding='utf-8')
    before, rest = readme.split(BEGIN)
    table = _table([score for score in scores if score.sigma == README_SIGMA and score.set in COLOUR], COLOUR)
    README.write_text(f'{before}{BEGIN}\n{table}\n\n{END}{rest.split(END)[1]}', encoding='utf-8')


def _table(scores: Iterable[Score], sets: Sequence[str]) -> str:
    by_name: dict[str, dict[str, Score]] = {}
    for score in scores:
        by_name.setdefault(score.name, {})[score.set] = score
    sets = [name for name in sets if any(name in of for of in by_name.values())]
    counts = {name: next(of[name].pictures for of in by_name.values() if name in of) for name in sets}
    header = ['network', 'params', 'nJ/px', 'events a neuron and step', *(f'{name} ({counts[name]})' for name in sets)]
    lines = [header, ['---'] * len(header)]
    for name, of in sorted(by_name.items(), key=lambda item: _place(item[0], item[1])):
        any_row = next(iter(of.values()))
        cost = next((of[one] for one in sets if one in of), any_row)
        lines.append([name, f'{int(any_row.params):,}' if any_row.params else '-', cost.nj_per_px or '-',
                      cost.events_per_neuron or '-',
                      *(f'{float(of[one].psnr):.2f} / {float(of[one].ssim):.4f}' if one in of else '-'
                        for one in sets)])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)


def _place(name: str, of: dict[str, Score]) -> tuple[int, float]:
    """noisy, BM3D, students by quality, others by quality."""
    kind = 0 if name == 'noisy' else 1 if name == 'BM3D' else 2 if name.startswith('spikerir') else 3
    return kind, float(next(iter(of.values())).psnr)


def _cards() -> str:
    header = ['network', 'options/train/', 'steps', 'batch', 'seed', 'hours', 'on', 'validation PSNR', 'starts from',
              'sha256']
    lines = [header, ['---'] * len(header)]
    for row in zoo.rows():
        if row.training:
            card = row.training
            lines.append([row.name, f'`{card["options"].removeprefix("options/train/")}`', f'{card["steps"]:,}',
                          card['batch'], str(card['seed']), f'{card["hours"]:.2f}', card['hardware'],
                          f'{card["val_psnr"]:.2f}',
                          f'`{card["starts_from"]}`' if card.get('starts_from') else '-', f'`{row.sha256[:8]}`'])
    return '\n'.join(f'| {" | ".join(line)} |' for line in lines)
