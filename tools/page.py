"""The tables of the pages, written from ``scores.csv``, ``faults.csv`` and the zoo's rows: README.md, docs/results, the
model cards, docs/reliability.md.

A page keeps its sentences; only what stands between ``<!-- table: NAME -->`` and ``<!-- end of table -->`` is written.
"""
from __future__ import annotations

import csv
import itertools
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import task_score

from basicsr_snn import zoo
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.neurons.phase import phase_form
from basicsr_snn.spiking.ternary import parameters_of

if TYPE_CHECKING:
    from score_row import Score

README, RESULTS = Path('README.md'), Path('docs/results')
CARDS = RESULTS / 'cards'
RELIABILITY, FAULTS = Path('docs/reliability.md'), Path(__file__).parent / 'results' / 'faults.csv'
BLOCK = re.compile(r'(<!-- table: ([^>]+) -->\n).*?(<!-- end of table -->)', re.DOTALL)
COLOUR, GREY = ('CBSD68', 'Kodak24', 'Urban100', 'McMaster'), ('Set12', 'BSD68')
README_ROWS = {'tiny': 'spikerir_tiny_color25', 'small': 'spikerir_small_color25', 'fine': 'spikerir_fine_color25',
               'base': 'spikerir_base_color25', 'twin of fine': 'spikerir_fine_color25_twin', 'FFDNet': 'ffdnet_color'}
NUMBER = re.compile(r'-|[\d,./]+( / [\d.]+| \([\d/]+\))?')
"""A cell that is a number, or two as in ``31.03 / 0.8777`` and ``1/21 (1/50)``, or missing."""
README_SET, README_SIGMA, RIVAL = 'CBSD68', 25, 'ffdnet_color'
STUDIES = Path(__file__).parents[1] / 'studies'
PRUNING, SEARCH = STUDIES / 'pruning/results.csv', STUDIES / 'search/results.csv'
TRIALS_SHOWN = 8
REAL_NOISE = {'real pairs': 'pairs', 'grey pairs': 'grey pairs', 'pictures that need nothing': ''}
"""Tables of ``tools/real_noise.py``, and the part of its lines that each shows; the last shows all others."""
PHASE, VIEWS = ', phase-coded', re.compile(r', (\d) views$')
FIRING_RATE = 'firing rate'
"""Heading of the column of unit spikes for each neuron and picture, over all time steps."""


def pages() -> list[Path]:
    """The pages with tables, relative to the repository."""
    return [README, RELIABILITY, *sorted(RESULTS.glob('*.md')), *sorted(CARDS.glob('*.md'))]


def written(page: Path, scores: Sequence[Score]) -> str:
    """The text of ``page`` with its tables as ``scores`` say."""
    return BLOCK.sub(lambda block: f'{block[1]}\n{table(block[2], scores)}\n\n{block[3]}',
                     page.read_text(encoding='utf-8'))


def write_pages(scores: Sequence[Score]) -> None:
    """Write the tables of all pages; ``scores`` in any order."""
    for page in pages():
        page.write_text(written(page, scores), encoding='utf-8')


def table(name: str, scores: Sequence[Score]) -> str:
    """The Markdown of one table by the name that a page gives it.

    ``README``; ``faults``; ``models``; ``task sr2``; ``pruning``; ``search``; ``real pairs``, ``pictures that need
    nothing``; ``Colour, sigma 25`` or ``Grey, sigma 25``; ``card NAME``, ``scores of NAME``.
    """
    if name == 'README':
        return _readme_table(scores)
    if name == 'models':
        return _models_table(scores)
    if name == 'faults':
        return _faults_table()
    if name.startswith('task '):
        return _task_table(name.removeprefix('task '))
    if name == 'pruning':
        return _pruning_table()
    if name == 'search':
        return _search_table()
    if name in REAL_NOISE:
        return _real_noise_table(name)
    if name.startswith('card '):
        return _card_table(zoo.row(name.removeprefix('card ')))
    if name.startswith('scores of '):
        return _scores_table(name.removeprefix('scores of '), scores)
    title, sigma = name.split(', sigma ')
    sets = {'Colour': COLOUR, 'Grey': GREY}[title]
    return _table([score for score in scores if score.sigma == int(sigma) and score.set in sets], sets)


def _markdown(header: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    """A table; columns of numbers are set flush right."""
    lines = list(lines)
    rules = ['---:' if all(map(NUMBER.fullmatch, column)) else '---' for column in zip(*lines, strict=True)]
    return '\n'.join(f'| {" | ".join(line)} |' for line in (header, rules, *lines))


def _table(scores: Iterable[Score], sets: Sequence[str]) -> str:
    """A line a network, a column a set that was measured; costs are those on the first set."""
    by_name: dict[str, dict[str, Score]] = {}
    for score in scores:
        by_name.setdefault(score.name, {})[score.set] = score
    sets = [name for name in sets if any(name in of for of in by_name.values())]
    counts = {name: next((f' ({of[name].pictures})' for of in by_name.values() if name in of), '') for name in sets}
    lines = []
    for name, of in sorted(by_name.items(), key=lambda item: _place(item[0], item[1])):
        any_row = next(iter(of.values()))
        cost = next((of[one] for one in sets if one in of), any_row)
        lines.append([_shown(name), f'{int(any_row.params):,}' if any_row.params else '-', cost.nj_per_px or '-',
                      _firing_rate(cost), *(_quality(of[one]) if one in of else '-' for one in sets)])
    return _markdown(['network', 'params', 'nJ/px', FIRING_RATE, *(f'{name}{counts[name]}' for name in sets)],
                     lines)


def _place(name: str, of: Mapping[str, Score]) -> tuple[int, float]:
    """noisy, BM3D, students by quality, others by quality."""
    kind = 0 if name == 'noisy' else 1 if name == 'BM3D' else 2 if name.startswith('spikerir') else 3
    return kind, float(next(iter(of.values())).psnr)


def _shown(name: str) -> str:
    return VIEWS.sub(r', self-ensemble of \1', name)


def _form(name: str) -> str:
    return _shown(name).partition(', ')[2] or 'as it is'


def _quality(score: Score) -> str:
    return f'{float(score.psnr):.2f} / {float(score.ssim):.4f}'


def _firing_rate(score: Score) -> str:
    """Unit spikes for each neuron and picture, ``-`` for an ANN."""
    return f'{float(score.events_per_neuron) * _steps(score.name):.2f}' if score.events_per_neuron else '-'


def _steps(name: str) -> int:
    """Time steps that a network spends on a picture, those of each view of a self-ensemble included."""
    views = VIEWS.search(name)
    row = zoo.row(VIEWS.sub('', name).removesuffix(PHASE))
    steps = phase_form(row.network)['T'] if name.endswith(PHASE) else row.T
    return (steps or 1) * int(views[1] if views else 1)


def _readme_table(scores: Sequence[Score]) -> str:
    of = {score.name: score for score in scores if (score.set, score.sigma) == (README_SET, README_SIGMA)}

    def share(name: str) -> str:
        times = float(of[RIVAL].nj_per_px) / float(of[name].nj_per_px)
        return f'1/{times:.0f}' if name != RIVAL else '1'

    def energy(name: str) -> str:
        return f'{share(name)} ({share(name + PHASE)})' if name + PHASE in of else share(name)

    return _markdown(['network', 'params', 'PSNR', 'energy (phase-coded)'],
                     [[shown, f'{int(of[name].params):,}', f'{float(of[name].psnr):.2f}', energy(name)]
                      for shown, name in README_ROWS.items()])


def _faults_table() -> str:
    """What ``tools/faults.py`` tried: a line a kind of fault."""
    with FAULTS.open(encoding='utf-8') as file:
        lines = [[line['fault'], line['survives'], f'{int(line["tries"]):,}',
                  f'{int(line["tries"]) - int(line["lost"]):,}', f'{int(line["lost"]):,}']
                 for line in csv.DictReader(file)]
    return _markdown(['fault', 'what is right', 'tries', 'survived', 'lost'], lines)


def _pruning_table() -> str:
    """What ``studies/pruning/prune.py`` measured: a line a way of pruning and sparsity, means over the seeds."""
    if not PRUNING.exists():
        return 'No run has ended yet.'
    with PRUNING.open(encoding='utf-8') as file:
        rows = list(csv.DictReader(file))
    whole = {(row['seed'], row['steps']): float(row['val_psnr']) for row in rows if row['arm'] == 'whole'}
    of: dict[tuple[str, str, str], list[dict[str, str]]] = {}
    for row in sorted(rows, key=lambda row: (int(row['steps']), float(row['sparsity']), row['arm'])):
        of.setdefault((row['steps'], row['sparsity'], row['arm']), []).append(row)

    def mean(key: str, rows: Sequence[Mapping[str, str]], digits: int) -> str:
        return f'{statistics.mean(float(row[key]) for row in rows):,.{digits}f}'

    def loss(rows: Sequence[Mapping[str, str]]) -> str:
        lost = [float(row['val_psnr']) - whole[row['seed'], row['steps']] for row in rows
                if (row['seed'], row['steps']) in whole]
        return f'{statistics.mean(lost):+.3f}' if lost else '-'

    return _markdown(['pruned by', 'sparsity', 'steps', 'seeds', 'zeros, %', 'val PSNR', 'against whole', 'CBSD68 PSNR',
                      'ACs/px, all weights', 'ACs/px, weights not 0', 'nJ/px', 'nJ/px, zeros skipped'],
                     [[arm.replace('_', ' '), f'{float(sparsity):.0%}', f'{int(steps):,}', str(len(rows)),
                       f'{100 * statistics.mean(float(row["zeros"]) for row in rows):.1f}', mean('val_psnr', rows, 3),
                       loss(rows), mean('cbsd68_psnr', rows, 3), mean('acs_per_px', rows, 0),
                       mean('effective_acs_per_px', rows, 0), mean('nj_per_px', rows, 1),
                       mean('sparse_nj_per_px', rows, 1)] for (steps, sparsity, arm), rows in of.items()])


def _search_table() -> str:
    """What ``studies/search/within_budget.py`` found: the best trials of each study, trained ones only."""
    if not SEARCH.exists():
        return 'No trial has ended yet.'
    with SEARCH.open(encoding='utf-8') as file:
        rows = [row for row in csv.DictReader(file) if row['val_psnr']]
    rows.sort(key=lambda row: (row['study'], -float(row['val_psnr'])))
    best = [row for _, group in itertools.groupby(rows, key=lambda row: row['study'])
            for row in itertools.islice(group, TRIALS_SHOWN)]
    return _markdown(['study', 'trial', 'channels', 'blocks', 'D', 'T', 'params', 'nJ/px untrained', 'nJ/px',
                      'val PSNR'],
                     [[row['study'], row['trial'], row['channels'], row['blocks'], row['D'], row['T'],
                       f'{int(row["params"]):,}', row['nj_untrained'], row['nj_per_px'], row['val_psnr']]
                      for row in best])


def _real_noise_table(name: str) -> str:
    """What ``tools/real_noise.py`` measured: a line a restorer."""
    with (FAULTS.parent / 'real_noise.csv').open(encoding='utf-8') as file:
        part = REAL_NOISE[name]
        lines = [line for line in csv.DictReader(file)
                 if (line['part'] == part if part else line['part'] not in REAL_NOISE.values())]
    if part:
        return _markdown(['restorer', 'pairs', 'PSNR', 'worst change', 'pictures that lost more than 0.05'],
                         [[line['name'], line['pictures'], line['psnr'], line['least_gain'], line['worse']]
                          for line in lines])
    return _markdown(['pictures', 'restorer', 'how many', 'PSNR', 'least, or worst change'],
                     [[line['part'], line['name'], line['pictures'], line['psnr'], line['least_gain']]
                      for line in lines])


def _task_table(protocol: str) -> str:
    """What ``tools/tasks.py`` measured: a line a network, the sets side by side."""
    scores = [score for score in task_score.read_table() if score.protocol == protocol]
    if not scores:
        return 'Not measured yet.'
    sets = list(dict.fromkeys(score.set for score in scores))
    by_name: dict[str, dict[str, task_score.TaskScore]] = {}
    for score in scores:
        by_name.setdefault(score.name, {})[score.set] = score
    lines = []
    for name, of in by_name.items():
        cost = next((score for score in of.values() if score.params), None)
        lines.append([name, *(f'{int(cost.params):,}' if cost else '-', cost.nj_per_px if cost else '-'),
                      *(cell for one in sets for cell in _task_cells(of.get(one)))])
    heads = [head for one in sets for head in _task_heads(next(score for score in scores if score.set == one))]
    return _markdown(['network', 'params', 'nJ/px', *heads], lines)


def _task_heads(score: task_score.TaskScore) -> list[str]:
    return [f'{score.set} ({score.pictures})', *([f'{score.set}, luminance'] if score.psnr_y else [])]


def _task_cells(score: task_score.TaskScore | None) -> list[str]:
    if score is None:
        return ['-']
    pairs = [(score.psnr, score.ssim), *([(score.psnr_y, score.ssim_y)] if score.psnr_y else [])]
    return [f'{float(psnr):.2f} / {float(ssim):.4f}' for psnr, ssim in pairs]


def _models_table(scores: Sequence[Score]) -> str:
    """All shipped networks, each with its task and one score: of a denoiser that of sigma 25 on the first set where
    there is one, of another network that on the first set of its task."""
    of_tasks = {score.name: score for score in reversed(task_score.read_table())}
    lines = []
    for row in zoo.rows():
        mine = next((score for sigma in (README_SIGMA, 15, 50) for one in (*COLOUR, *GREY) for score in scores
                     if (score.name, score.set, score.sigma) == (row.name, one, sigma)), None)
        costs = mine or of_tasks.get(row.name)
        where = f'{costs.set}, {mine.sigma}' if costs and mine else costs.set if costs else ''
        params = f'{int(costs.params) if costs else parameters_of(deployed(zoo.build(row.network))):,}'
        told = [params, *((f'{float(costs.psnr):.2f} ({where})', costs.nj_per_px) if costs else '--')]
        lines.append([f'[{row.name}](cards/{row.name}.md)', row.task, *told])
    return _markdown(['network', 'task', 'params', 'PSNR, dB (set, sigma)', 'nJ/px'], lines)


def _card_table(row: zoo.Row) -> str:
    """What the zoo knows of one network, a line a fact."""
    facts = {'weights': f'`basicsr_snn/zoo/{row.file}`', 'SHA-256 begins': f'`{row.sha256[:8]}`',
             'neuron': f'`{row.neuron}`' + (f', T = {row.T}, counts up to {row.D}' if row.T else ', an ANN'),
             'licence of the weights': row.licence.split(';')[0]}
    if row.training:
        card = row.training
        facts |= {'last training': f'`{card["options"]}`', 'pictures': f'`{card["data"]}`',
                  'steps, batch, seed': f'{card["steps"]:,} of {card["batch"]}, seed {card["seed"]}',
                  'time': f'{card["hours"]:.2f} h on {card["hardware"]}',
                  'validation PSNR': f'{card["val_psnr"]:.2f} dB',
                  'started from': f'`{card["starts_from"]}`' if card.get('starts_from') else 'nothing'}
    else:
        facts['source'] = row.source
    return _markdown(['task', row.task], facts.items())


def _scores_table(name: str, scores: Sequence[Score]) -> str:
    """All scores of one network and of its other forms."""
    mine = [score for score in scores if VIEWS.sub('', score.name).removesuffix(PHASE) == name]
    mine.sort(key=lambda score: (score.sigma, [*COLOUR, *GREY].index(score.set), score.name))
    return _markdown(['set, sigma', 'form', 'PSNR / SSIM', 'nJ/px', FIRING_RATE],
                     [[f'{score.set}, {score.sigma}', _form(score.name), _quality(score), score.nj_per_px,
                       _firing_rate(score)] for score in mine])
