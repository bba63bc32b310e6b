"""The plan of a comparison in the regime of binary spikes: its runs, what each trains, its tables."""
from __future__ import annotations

import math
from dataclasses import replace

import draw_regime
import numpy as np
import plan as plans
import pytest
import regime
import runs
import yaml
from conftest import REPOSITORY
from plan import FIELDS, Plan, Run

from basicsr_snn.activity import LayerActivity
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_checks import check_options

PLAN = REPOSITORY / 'studies/distillation/binary.yml'


@pytest.fixture
def plan(monkeypatch) -> Plan:
    monkeypatch.chdir(REPOSITORY)
    return Plan(PLAN)


def test_runs_come_in_order_of_value_each_once_and_after_its_twin(plan):
    all_runs = plan.runs()
    assert len(set(all_runs)) == len(all_runs) == len({run.name for run in all_runs})
    assert [run.arm for run in all_runs[:2]] == ['control', 'hkd']
    for run in all_runs:
        twin = plan.needed(run)
        assert twin is None or all_runs.index(twin) < all_runs.index(run)
    assert {run.seed for run in all_runs[:6]} == {0}


def test_every_arm_of_the_plan_is_a_good_option_file(plan):
    some = {(run.arm, run.neuron, run.size): run for run in plan.runs()}
    for run in some.values():
        options = plan.options(run)
        check_options(options)
        network = options['network_g']
        assert (network['size'], options['train']['total_iter'], options['name']) == (run.size, run.steps, run.name)
        schedule = options.get('distill', {}).get('schedule')
        assert schedule is None or schedule['end_iter'] == run.steps


def test_what_the_plot_of_gains_tells_is_of_the_plan(plan):
    assert plan.content['told'].keys() <= plan.content['arms'].keys()
    assert plan.content['words'].keys() <= plan.content['neurons'].keys()


def test_factors_of_a_run_are_what_it_trains_with(plan):
    run = replace(plan.runs()[1], fft=True, average=True, clip=False, pictures=20, weight=0.5, lr=0.01, seed=3)
    options = plan.options(run)
    assert options['train']['fft_opt']['loss_weight'] == 0.1
    assert options['train']['ema_decay'] == pytest.approx(1 - 10 / 1200)
    assert 'grad_clip' not in options['train']
    assert options['datasets']['train']['subset'] == [0, 20]
    assert [hint['weight'] for hint in options['distill']['hints']] == [0.5]
    assert (options['train']['optim_g']['lr'], options['manual_seed']) == (0.01, 3)
    plain = plan.options(replace(run, fft=False, average=False, clip=True))
    assert 'fft_opt' not in plain['train']
    assert (plain['train']['ema_decay'], plain['train']['grad_clip']) == (0, 1.0)


def test_a_student_that_begins_as_its_twin_reads_its_start_and_is_taught_by_the_twins_weights(plan):
    run = next(run for run in plan.runs() if run.arm == 'from_twin_twin_hints')
    options, twin = plan.options(run), plan.needed(run)
    assert options['path']['pretrain_network_g'] == f'experiments/{run.name}_start.pth'
    assert options['distill']['teacher']['path'] == f'experiments/{twin.name}/models/net_g_latest.pth'
    assert options['distill']['teacher']['network'] == plan.options(twin)['network_g']
    assert 'distill' not in plan.options(twin)


def test_a_twin_trains_at_the_default_rate_for_as_long_as_its_arm_says(plan):
    for arm, steps in (('from_twin', 3000), ('from_long_twin', 20000)):
        run = replace(next(run for run in plan.runs() if run.arm == arm), lr=0.012)
        twin = plan.needed(run)
        assert (twin.steps, twin.lr, twin.pictures) == (steps, 0.006, run.pictures)
        assert not {'start', 'twin_steps'} & plan.options(run).keys()


def test_a_spiking_twin_trains_beside_a_student_and_its_weights_are_whole(plan):
    run = next(run for run in plan.runs() if (run.arm, run.neuron) == ('tna', 'if_ternary_weights'))
    options = plan.options(run)
    teacher = options['distill']['teacher']
    assert options['network_g']['weights'] == 'ternary'
    assert teacher['network'] == {key: value for key, value in options['network_g'].items() if key != 'weights'}
    assert teacher['trainable'] is True
    assert plan.needed(run) is None


@pytest.mark.parametrize(('block', 'sentence'), [
    ({'arm': ['contrl']}, 'no arm "contrl"; did you mean control'),
    ({'arm': ['control'], 'sedes': [1]}, 'a block of the plan has sedes; it may have arm'),
])
def test_mistakes_of_a_plan_are_sentences(tmp_path, block, sentence):
    content = yaml.safe_load(PLAN.read_text())
    file = tmp_path / 'mine.yml'
    file.write_text(yaml.safe_dump({**content, 'blocks': [block]}))
    with pytest.raises(UserError, match=sentence):
        Plan(file)


def test_runs_of_the_table_are_not_run_again_but_a_twin_whose_weights_are_gone(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(plans, 'EXPERIMENTS', tmp_path)
    runner = regime.Runner(plan, tmp_path)
    done = [run for run in plan.runs() if run.arm in ('control', 'twin')]
    rows = [{**dict(zip(FIELDS, run.key(), strict=True)), 'val_psnr': '1'} for run in done]
    runs.write(runner.table, regime.RESULT_COLUMNS, rows)
    missing = runner.missing()
    assert not any(run.arm == 'control' for run in missing)
    assert {run for run in missing if run.arm == 'twin'} == {run for run in done if run.arm == 'twin'}
    assert {run.arm for run in runner.missing('_posed_inner_')} == {'posed_inner'}


def test_a_run_waits_for_its_twin_and_failures_are_told(plan, tmp_path, monkeypatch):
    monkeypatch.setattr(plans, 'EXPERIMENTS', tmp_path)
    runner = regime.Runner(plan, tmp_path)
    some = [run for run in plan.runs() if run.arm in ('twin', 'from_twin', 'control')][:6]
    begun = []

    def train(options, start, variables):
        begun.append(options['name'])
        if 'control' in options['name']:
            raise RuntimeError('ended with 2')
        return tmp_path

    monkeypatch.setattr(regime, 'train_to_the_end', train)
    monkeypatch.setattr(runner, '_record', lambda run, options, folder: 'done')
    monkeypatch.setattr(runner, '_start_from_twin', lambda run, options: begun.append(f'start of {run.name}'))
    failed = runner.run_all(some, 2)
    assert len(failed) == sum(run.arm == 'control' for run in some)
    assert all(': ended with 2' in sentence for sentence in failed)
    twin, first = (next(run for run in some if run.arm == arm) for arm in ('twin', 'from_twin'))
    assert begun.index(twin.name) < begun.index(f'start of {first.name}') < begun.index(first.name)


def test_the_density_is_the_share_of_potentials_beyond_half_a_threshold():
    def layer(*potentials: float) -> LayerActivity:
        return LayerActivity('n', 'LIFNode', 1, np.array([0.5, 0.1]), np.array(potentials, np.float32), np.zeros(3))

    layers = (layer(0.0, 0.4, -0.6, 2.0), layer(0.1, 0.2), layer())
    assert regime.density(layers) == pytest.approx((0.5 + 0.0) / 2)
    assert regime.mean_rate(layers) == pytest.approx(0.3)
    assert math.isnan(regime.density(()))


def result(arm: str, seed: int, psnr: float, seconds: float) -> dict[str, str]:
    run = Run(arm, 'lif', 'tiny', 1200, 100, False, False, True, 0.006, None, seed)
    return {**dict(zip(FIELDS, run.key(), strict=True)), 'val_psnr': f'{psnr}', 'seconds': f'{seconds}',
            'firing_rate': '0.2'}


def points(arm: str, seed: int, psnrs: list[float], seconds: float) -> list[dict[str, str]]:
    row = result(arm, seed, 0, 0)
    return [{**row, 'step': str(400 * place), 'val_psnr': f'{psnr}', 'seconds': f'{seconds * place}',
             'membrane_density': '0.1'} for place, psnr in enumerate(psnrs, 1)]


def test_gains_speed_and_cost_are_against_the_control_of_the_same_seed(tmp_path):
    rows = [result('control', 0, 27.0, 100), result('control', 1, 28.0, 100), result('hkd', 0, 27.5, 150),
            result('hkd', 1, 28.3, 150), result('twin', 0, 29.0, 1)]
    curves = [*points('control', 0, [25, 26, 27], 30), *points('control', 1, [25, 26, 28], 30),
              *points('hkd', 0, [26.0, 28.0, 28.0], 45), *points('hkd', 1, [26, 27, 27.5], 45)]
    (key, arms), = draw_regime.settings(rows, curves).items()
    assert draw_regime.title(key) == 'lif, tiny, 1,200 steps, 100 photographs, L1, rate 0.006'
    lines = [[cell.strip() for cell in line.split('|')[1:-1]] for line in draw_regime.table(arms).splitlines()[2:]]
    assert [line[0] for line in lines] == ['control', 'hkd']
    of_hkd = dict(zip(draw_regime.HEADER, lines[1], strict=True))
    assert (of_hkd['gain'], of_hkd['seconds a step / control']) == ('+0.400', '1.50')
    assert of_hkd['steps to the end of the control'] == '50 % (1 of 2 never)'  # halfway between steps 400 and 800
    assert of_hkd['seconds to it'] == '75 % (1 of 2 never)'
    draw_regime.draw(arms, 'x', tmp_path / 'x.png')
    assert (tmp_path / 'x.png').stat().st_size > 1000


def test_gains_of_several_weights_are_drawn_with_the_own_one_of_the_plan(tmp_path, monkeypatch):
    drawn = []
    monkeypatch.setattr('matplotlib.axes.Axes.plot', lambda axes, x, y, *args, **how: drawn.append((x, y, how)))
    rows = [result('control', 0, 27.0, 1), result('hkd', 0, 27.5, 1), {**result('hkd', 0, 26.0, 1), 'weight': '3.0'}]
    (_, arms), = draw_regime.settings(rows, []).items()
    own = draw_regime.own_weights({'control': {}, 'hkd': {'distill': {'hints': [{'weight': 0.12}]}},
                                   'response': {'distill': {'output': {'loss_weight': 1.0}}}})
    assert own == {'hkd': 0.12, 'response': 1.0}
    draw_regime.draw_weights(arms, own, 'x', tmp_path / 'x.png')
    assert drawn[-1][:2] == ([0.12, 3.0], [0.5, -1.0])


def test_gains_are_drawn_at_the_rate_of_the_plan_by_neuron_and_length(plan, tmp_path, monkeypatch):
    bars = []
    monkeypatch.setattr('matplotlib.axes.Axes.bar', lambda axes, x, height, *args, **how: bars.append((x, height)))
    rows = [{**row, 'lr': lr, 'neuron': neuron, 'steps': steps} for lr, neuron, steps in
            (('0.006', 'ternary', '1200'), ('0.006', 'lif', '1200'), ('0.006', 'lif', '600'), ('0.002', 'lif', '1200'))
            for row in (result('control', 0, 27.0, 1), result('from_twin', 0, {'600': 28.0}.get(steps, 27.5), 1))]
    two_arms = {**plan.content, 'told': {'hkd': 'a hint', 'from_twin': 'the twin'}}
    draw_regime.draw_gains(draw_regime.settings(rows, []), two_arms, tmp_path / 'x.png')
    assert bars == [(pytest.approx(place + 0.2), gain) for place, gain in enumerate((1.0, 0.5, 0.5))]
    draw_regime.draw_gains({}, plan.content, tmp_path / 'none.png')
    assert not (tmp_path / 'none.png').exists()


def test_students_under_a_budget_have_one_and_others_none(plan):
    budgets = {run.neuron: plan.options(run)['train'].get('rate_opt', {}).get('target') for run in plan.runs()}
    assert budgets.pop('frugal') == 8500
    assert set(budgets.values()) == {None}
