"""Which widths, blocks, counts and time steps are best under an energy budget? A search by short trainings.

    pip install optuna
    python studies/search/within_budget.py --budget 20 --trials 40         # 20 nJ a pixel; from the last trial on
    python studies/search/within_budget.py --budget 20 --trials 40 --opt options/train/distillation/kdsnn_response.yml
    python studies/search/within_budget.py --budget 20 --write best.yml    # the best as an option file

The second command searches under a teacher, FFDNet. The idea is LitE-SNN's (arXiv 2401.14652): widths and time steps
are searched together, under a limit on what they cost. It learns them by gradient in one supernetwork; here Optuna
proposes them (TPE, which prefers what keeps the budget) and each is trained for itself, which is ours. A proposal is
counted before it is trained, by the package's own counter, and left out if it has too many parameters or costs over
three times the budget as it is built. The training holds it to the budget (``rate_opt``); what it costs afterwards,
over the budget, is Optuna's constraint.

Trials are kept in ``search.db`` beside this file, one study for each budget, option file and length. A trial that was
stopped is tried again from its last checkpoint. ``results.csv`` has a row for each trial that ended.
"""
from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parents[1] / 'distillation'))
sys.path.insert(0, str(Path(__file__).parents[2] / 'tools'))
from page import SEARCH, write_pages  # brings basicsr_snn before basicsr

# isort: split
import yaml
from basicsr.utils.options import ordered_yaml
from runs import ONE_THREAD, mean_psnr, read, rewrite, run_command, set_length, train_to_the_end
from scores import read_table

from basicsr_snn import zoo
from basicsr_snn.bench.evaluation_set import EvaluationSet
from basicsr_snn.bench.measuring import measure
from basicsr_snn.energy import DEFAULT_PRESET, ENERGY_PRESETS
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.zoo.trained_network import TrainedNetwork

if TYPE_CHECKING:
    import optuna

HERE = Path(__file__).parent
OPTIONS = Path('options/train/distillation/control.yml')
STEPS, LEAST_STEPS, BATCH, SCORED_ON, COUNTED = 1000, 20, 4, [400, 408], 2
MOST_PARAMETERS = 87_038
"""Of ``small``, 1/300 of Restormer's."""
SURPLUS = 3.0
"""How far an untrained network may be above the budget, in which training can still bring it."""
OVER, SEEN = 'over_budget', 'row'
"""User attributes of a trial: nJ a pixel above the budget, and its row of the table."""
COLUMNS = ('study', 'trial', 'state', 'channels', 'blocks', 'D', 'T', 'params', 'steps', 'nj_untrained', 'nj_per_px',
           'val_psnr')


def proposed(trial: optuna.Trial) -> dict[str, Any]:
    """The ``network_g:`` block that a trial proposes."""
    width, growth = trial.suggest_int('width', 8, 24, step=4), trial.suggest_categorical('growth', [1.0, 1.5, 2.0])
    levels = trial.suggest_int('levels', 2, 3)
    blocks = [trial.suggest_int('fine_blocks', 1, 6), *[trial.suggest_int('coarse_blocks', 1, 2)] * (levels - 1)]
    most = trial.suggest_categorical('D', [1, 2, 4, 8, 16])
    return network_of([round(width * growth ** level) for level in range(levels)], blocks, most,
                      trial.suggest_categorical('T', [1, 2, 4]))


def network_of(channels: Sequence[int], blocks: Sequence[int], most: int, steps: int) -> dict[str, Any]:
    """A student whose neurons count up to ``most`` in each of its time steps, and up to twice that in its head."""
    neuron = {'type': 'SignedILIF', 'D': most, 'decay': 1.0}
    return {'type': 'SpikerIR', 'in_ch': 3, 'channels': list(channels), 'blocks': list(blocks), 'T': steps,
            'neuron': neuron, 'hidden': {'lowest': 0}, 'stages': {'head': {**neuron, 'D': 2 * most, 'threshold': 0.03}}}


def options_of(base: Path, network: Mapping[str, Any], target: float, steps: int, seed: int) -> dict[str, Any]:
    """Options of the training of a network: those of a file, its teacher included, with a budget of accumulations."""
    options = read_options(base)
    told = json.dumps([str(base), network, round(target), steps, seed], sort_keys=True)
    options.update(name=f'search_{hashlib.sha256(told.encode()).hexdigest()[:12]}', manual_seed=seed,
                   network_g=dict(network))
    set_length(options, steps)
    options['train']['rate_opt'] = {'type': 'SpikeRateLoss', 'target': round(target)}
    data = options['datasets']
    data['train']['batch_size_per_gpu'], data['val']['subset'] = BATCH, SCORED_ON
    options['val'].update(val_freq=steps, energy=0)
    options['logger'].update(use_tb_logger=False, save_checkpoint_freq=max(1, steps // 4))
    return options


def cost(candidate: TrainedNetwork, pictures: EvaluationSet) -> tuple[float, float]:
    """nJ a pixel, and the part of it that floats take."""
    row = measure(candidate, pictures)
    return row.energy_nj_px_fp32 or 0.0, (row.macs_per_px or 0.0) * ENERGY_PRESETS[DEFAULT_PRESET].mac_pj / 1000


class Search:
    """Trials under a budget of ``budget`` nJ a pixel."""

    def __init__(self, base: Path, budget: float, steps: int, seed: int) -> None:
        self.base, self.budget, self.steps, self.seed = base, budget, steps, seed
        self.name = f'{base.stem}, {budget:g} nJ/px, {steps} steps, seed {seed}'
        self.scored = {**read_options(base)['datasets']['val'], 'subset': SCORED_ON}

    def pictures(self, limit: int | None = None) -> EvaluationSet:
        return EvaluationSet({'val': self.scored}, limit)

    def try_out(self, trial: optuna.Trial) -> float:
        """Count, train, count and score what a trial proposes; its validation PSNR."""
        import optuna

        network = proposed(trial)
        params = sum(parameter.numel() for parameter in zoo.build(network).parameters())
        row: dict[str, Any] = {'study': self.name, 'trial': trial.number, 'channels': network['channels'],
                               'blocks': network['blocks'], 'D': network['neuron']['D'], 'T': network['T'],
                               'params': params, 'steps': self.steps}
        spent, floats = (self.budget, 0.0) if params > MOST_PARAMETERS else cost(
            TrainedNetwork('untrained', network, None), self.pictures(COUNTED))
        row['nj_untrained'] = '' if params > MOST_PARAMETERS else f'{spent:.2f}'
        if params > MOST_PARAMETERS or spent > SURPLUS * self.budget or floats >= self.budget:
            excess = max(params / MOST_PARAMETERS - 1, spent / self.budget - 1) * self.budget
            self.note(trial, row, 'left out', excess)
            raise optuna.TrialPruned
        target = (self.budget - floats) * 1000 / ENERGY_PRESETS[DEFAULT_PRESET].ac_pj
        folder = train_to_the_end(options_of(self.base, network, target, self.steps, self.seed), run_command,
                                  ONE_THREAD)
        candidate = TrainedNetwork('trained', network, folder / 'models' / 'net_g_latest.pth', 'params_ema')
        spent, _ = cost(candidate, self.pictures(COUNTED))
        psnr = float(mean_psnr(candidate.build(), self.pictures()))
        row.update(nj_per_px=f'{spent:.2f}', val_psnr=f'{psnr:.3f}')
        self.note(trial, row, 'trained', spent - self.budget)
        return psnr

    @staticmethod
    def note(trial: optuna.Trial, row: Mapping[str, Any], state: str, over: float) -> None:
        trial.set_user_attr(OVER, over)
        trial.set_user_attr(SEEN, {key: str(value) for key, value in {**row, 'state': state}.items()})

    def study(self, storage: str) -> optuna.Study:
        """The study so far; what was stopped in the middle is tried again first."""
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        study = optuna.create_study(storage=storage, study_name=self.name, direction='maximize', load_if_exists=True)
        study.sampler = optuna.samplers.TPESampler(
            seed=self.seed + len(study.trials), constraints_func=lambda trial: [trial.user_attrs.get(OVER, 0.0)])
        for trial in study.get_trials(deepcopy=False, states=[optuna.trial.TrialState.RUNNING]):
            study.enqueue_trial(trial.params)
            study.tell(trial.number, state=optuna.trial.TrialState.FAIL)
        return study


def ended(study: optuna.Study) -> list[dict[str, str]]:
    """The rows of the trials that ended."""
    return [trial.user_attrs[SEEN] for trial in study.get_trials(deepcopy=False)
            if trial.state.is_finished() and SEEN in trial.user_attrs]


def best_within(study: optuna.Study) -> optuna.trial.FrozenTrial:
    """The best trained trial that keeps the budget, within the 3 % to which a training keeps it.

    Raises:
        UserError: There is none yet.
    """
    found = [trial for trial in study.get_trials(deepcopy=False) if trial.value is not None
             and float(trial.user_attrs[SEEN]['nj_per_px']) <= 1.03 * (
                 float(trial.user_attrs[SEEN]['nj_per_px']) - trial.user_attrs[OVER])]
    if not found:
        raise UserError('no trial keeps the budget yet; search on, with --trials 20 or a larger --budget.')
    return max(found, key=lambda trial: trial.value or 0.0)


def write_best(search: Search, study: optuna.Study, file: Path) -> None:
    """The option file of the whole training of the best: the options of the base with its network."""
    row = best_within(study).user_attrs[SEEN]
    network = network_of(json.loads(row['channels']), json.loads(row['blocks']), int(row['D']), int(row['T']))
    options = {**read_options(search.base), 'name': f'searched_{search.budget:g}', 'network_g': network}
    file.write_text(yaml.dump(options, Dumper=ordered_yaml()[1]), encoding='utf-8')


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--budget', type=float, required=True, help='nJ a pixel, 45 nm, arithmetic only')
    parser.add_argument('--trials', type=int, default=0, help='trials beside those that ended (default: %(default)s)')
    parser.add_argument('--steps', type=int, default=STEPS, help='of a training (default: %(default)s)')
    parser.add_argument('--seed', type=int, default=0, help='of the proposals and trainings (default: %(default)s)')
    parser.add_argument('--opt', type=Path, default=OPTIONS, help='what is trained otherwise (default: %(default)s)')
    parser.add_argument('--write', type=Path, metavar='FILE', help='write the best within the budget as an option file')
    parser.add_argument('--db', type=Path, default=HERE / 'search.db', help='default: %(default)s')
    args = parser.parse_args(arguments)
    if args.steps < LEAST_STEPS:
        parser.error(f'--steps {args.steps} was given; allowed are {LEAST_STEPS} and more')
    search = Search(args.opt, args.budget, args.steps, args.seed)
    study = search.study(f'sqlite:///{args.db}')
    if args.trials and not ended(study) and any(row['study'] == search.name for row in read(SEARCH)):
        parser.error(f'{SEARCH} has trials of this study, which {args.db} does not know: it would begin anew and '
                     'replace them; give another --seed, or remove these rows first')
    for _ in range(args.trials):
        study.optimize(search.try_out, n_trials=1)
        rewrite(SEARCH, COLUMNS, lambda rows: [*(row for row in rows if row['study'] != search.name), *ended(study)])
        write_pages(read_table())
        print(ended(study)[-1], flush=True)
    if args.write:
        write_best(search, study, args.write)


if __name__ == '__main__':
    main()
