"""The scripts behind the pages: what they read from logs, and the start weights that they make."""
from __future__ import annotations

import math
from pathlib import Path

import compare
import conversion
import draw
import page
import pytest
import torch
import trials
import yaml
from interventions import counts_at, scale_branches, set_counts, share_blocks
from scores import Score
from side_by_side import PROBE_STEPS, probe_of, seconds_a_step, steps_in, with_length

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.bench.training_log import TrainingLog, read_training_log
from basicsr_snn.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent
LOG = """2026-11-25 10:00:00,000 INFO: Start training
2026-11-25 10:00:10,000 INFO: [x..][epoch:  0, iter:     500, lr:(1e-3,)] l_pix: 1e-2
2026-11-25 10:00:20,000 INFO: [x..][epoch:  0, iter:   1,000, lr:(1e-3,)] l_pix: 1e-2
2026-11-25 10:00:50,000 INFO: Validation V
\t # psnr: 29.5000\tBest: 29.5000 @ 1000 iter

2026-11-25 10:00:50,500 INFO: Cost on V (2 pictures counted)
\t # SynOps: 12,345 ACs/px, 300 MACs/px

2026-11-25 10:01:00,500 INFO: [x..][epoch:  0, iter:   1,500, lr:(1e-3,)] l_pix: 1e-2
"""
RESUMED = """2026-11-25 12:00:00,000 INFO: Resuming
2026-11-25 12:00:30,000 INFO: [x..][epoch:  0, iter:   2,000, lr:(1e-3,)] l_pix: 1e-2
2026-11-25 12:00:50,000 INFO: Validation V
\t # psnr: 30.2500\tBest: 30.2500 @ 2001 iter

2026-11-25 12:00:50,500 INFO: Cost on V (2 pictures counted)
\t # SynOps: 23,456 ACs/px, 300 MACs/px
"""


@pytest.fixture
def experiment(tmp_path):
    (tmp_path / 'train_x_1.log').write_text(LOG)
    (tmp_path / 'train_x_2.log').write_text(RESUMED)
    return tmp_path


def test_logs_of_a_training_add_up_the_hours_of_all_runs_and_keep_the_curve(experiment):
    log = read_training_log(experiment)
    assert log.hours * 3600 == pytest.approx(60.5 + 50.5)
    assert log.curve == [(1000, 29.5), (2000, 30.25)]


def test_the_pace_leaves_out_validations_and_what_was_slowed(experiment):
    assert read_training_log(experiment).seconds(1000) == pytest.approx(20)
    (experiment / 'train_x_1.log').write_text(LOG.replace('10:01:00,500', '10:03:00,500'))
    assert read_training_log(experiment).seconds(1000) == pytest.approx(20)


def test_a_folder_without_logs_has_no_pace(tmp_path):
    log = read_training_log(tmp_path)
    assert (log.hours, log.curve) == (0, [])
    assert math.isnan(log.seconds(1))


def test_each_phase_of_a_training_has_its_own_pace():
    log = TrainingLog(0, [(100, 0.2), (200, 0.3), (300, 0.1), (400, 0.1)], [])
    assert log.seconds(400) == pytest.approx(40)
    assert log.seconds(400, [200]) == pytest.approx(200 * 0.2 + 200 * 0.1)
    assert log.seconds(150, [200]) == pytest.approx(150 * 0.2)
    assert compare.phases_of({'train': {'tandem': {'every': 300, 'groups': 2}}}) == [300, 600]
    assert compare.phases_of({'train': {}, 'distill': {'until': 600}}) == [600]


def test_steps_to_the_controls_final_quality_are_of_the_same_seed_and_length(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, 'HERE', tmp_path)
    points = [('control', 0, 10, 29.0), ('control', 0, 20, 30.0), ('hkd', 0, 10, 30.1), ('hkd', 0, 20, 30.2),
              ('tna', 0, 20, 29.9), ('hkd', 1, 10, 31.0)]
    compare.write(tmp_path / 'curves.csv', compare.CURVE_COLUMNS, [
        {'method': m, 'seed': s, 'steps': 20, 'step': step, 'seconds': 1, 'val_psnr': db} for m, s, step, db in points])
    rows = [{'method': m, 'seed': s, 'steps': 20} for m, s in (('control', 0), ('hkd', 0), ('tna', 0), ('hkd', 1))]
    assert [row['steps_to_control'] for row in compare.with_speed(rows)] == [20, 10, '', '']


@pytest.mark.parametrize('method', compare.METHODS)
def test_runs_of_the_comparison_differ_in_length_seed_and_weight_only(method, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    own = compare.read_options(compare.OPTIONS / f'{method}.yml')
    options = compare.options_of(method, 5, compare.STEPS, weight=3.0)
    changed = {key for key in own if own[key] != options[key]}
    assert changed <= {'name', 'manual_seed', 'datasets', 'train', 'distill', 'val', 'logger'}
    assert (own['train']['total_iter'], own['train']['warmup_iter']) == (10000, options['train']['warmup_iter'])
    assert options['train']['ema_decay'] == pytest.approx(own['train']['ema_decay'])
    assert options['datasets']['train'] == own['datasets']['train']
    terms = [(old, new) for part in ('hints', 'tails')
             for old, new in zip(*(one.get('distill', {}).get(part, []) for one in (own, options)), strict=True)]
    assert all(new == {**old, 'weight': 3.0} for old, new in terms)
    short = compare.options_of(method, 0, compare.SHORT_STEPS)
    assert short['train']['scheduler']['periods'] == [3000]
    assert short.get('distill', {}).get('schedule', {'end_iter': 3000})['end_iter'] == 3000
    assert short.get('distill', {}).get('until', 600) == 600


def test_the_table_of_methods_gives_gains_over_the_control_of_the_same_seed():
    def row(method, seed, psnr, seconds, reached):
        return {'method': method, 'seed': seed, 'steps': '3000', 'seconds': seconds, 'val_psnr': psnr,
                'cbsd68_psnr': '30.5', 'acs_per_px': '40000', 'steps_to_control': reached}

    table = draw.table([row('control', '0', '30.0', '100', '3000'), row('control', '1', '30.2', '100', '3000'),
                        row('hkd', '1', '30.1', '150', ''), row('tna', '0', '30.1', '200', '2700'),
                        row('tna', '1', '30.4', '200', '2400')])
    lines = [[cell.strip() for cell in line.split('|')[1:-1]] for line in table.splitlines()[2:]]
    assert [line[0] for line in lines] == ['control', 'hkd', 'tna']
    assert [line[3] for line in lines] == ['+0.000', '-0.100', '+0.150']
    assert lines[2][4:] == ['0.300', '30.500', '40,000', '2.00', '2700, 2400']
    assert lines[1][-1] == 'never'


def test_a_longer_control_stands_beside_the_length_that_it_is_compared_with():
    rows = [{'method': method, 'steps': steps} for method, steps in
            (('control', '3000'), ('hkd', '3000'), ('control', '5400'), ('control', '10000'), ('tna', '10000'))]
    assert draw.lengths(rows) == [3000, 10000]
    beside = draw.compared_at(3000, rows)
    assert draw.names(beside)[:3] == ['control', 'control, 5,400 steps', 'hkd']
    assert [row['method'] for row in beside] == ['control', 'hkd', 'control, 5,400 steps']
    assert [row['method'] for row in draw.compared_at(10000, rows)] == ['control', 'tna']


def test_the_converted_network_tends_to_the_ann_with_its_steps():
    torch.manual_seed(0)
    net = SpikerIR(size='tiny', neuron={'type': 'relu'}).eval()
    picture = torch.rand(1, 3, 24, 32)
    with torch.no_grad():
        residual = net(picture) - picture
        plain = conversion.PlainResidual(net).eval()
        assert torch.allclose(plain(picture), residual, atol=1e-6)
        snn = conversion.converted(plain, [picture], 'max')
        total, error = torch.zeros_like(picture), {}
        for step in range(1, 65):
            total += snn(picture)
            error[step] = ((total / step - residual).abs().mean() / residual.abs().mean()).item()
    assert error[64] < 0.02 < error[4] / 2


def test_the_table_of_results_sorts_references_students_teachers():
    def score(name: str, psnr: str, **more: str) -> Score:
        return Score(**{'set': 'CBSD68', 'sigma': 25, 'name': name, 'weights': '', 'pictures': 68, 'psnr': psnr,
                        'ssim': '0.9', 'params': '1000', 'macs_per_px': '', 'acs_per_px': '', 'events_per_neuron': '',
                        'nj_per_px': '5.0', **more})

    table = page._table([score('ffdnet_color', '31.2'), score('spikerir_small_color25', '30.9'),
                         score('spikerir_tiny_color25', '30.4'), score('noisy', '20.5', params='')],
                        ('CBSD68', 'Kodak24'))
    names = [line.split('|')[1].strip() for line in table.splitlines()[2:]]
    assert names == ['noisy', 'spikerir_tiny_color25', 'spikerir_small_color25', 'ffdnet_color']
    assert 'CBSD68 (68)' in table
    assert 'Kodak24' not in table
    assert '| noisy | - |' in table


def test_interventions_change_what_they_say_and_nothing_else():
    options = {'channels': [4, 4], 'blocks': [2, 2], 'hidden': {'lowest': 0}}
    torch.manual_seed(0)
    plain = SpikerIR(**options)
    torch.manual_seed(0)
    net = SpikerIR(**options)
    scale_branches(net, 0.5)
    set_counts(net, 8)
    changed = {name for name, weight in net.named_parameters() if not torch.equal(weight, plain.get_parameter(name))}
    assert {name for name in changed if 'threshold' not in name} == {
        f'{level}.{block}.body.1.conv.weight' for level in ('encoder.0', 'middle', 'decoder.0') for block in (0, 1)}
    body = net.middle[0].body
    assert [(part.neuron.lowest, part.neuron.D) for part in body] == [(-8, 8), (0, 8)]
    assert torch.allclose(8 * body[0].neuron.amplitude, 4 * plain.middle[0].body[0].neuron.amplitude)
    share_blocks(net)
    assert sum(p.numel() for p in net.middle.parameters()) == sum(p.numel() for p in plain.middle[0].parameters())
    assert [counts_at(step, {0: 32, 300: 16, 600: 8}) for step in (0, 299, 300, 999)] == [32, 32, 16, 8]


def test_trainings_side_by_side_are_as_long_as_their_paces_allow():
    assert seconds_a_step(TrainingLog(0, [(20, 9.0), (40, 0.03), (60, 0.02), (80, 0.04)], [])) == pytest.approx(0.03)
    assert steps_in(400, 0.03) == 12_600
    assert steps_in(-5, 0.03) == 100


def test_a_probe_changes_neither_the_options_nor_what_is_trained():
    options = {'name': 'x', 'train': {'total_iter': 7, 'scheduler': {'periods': [7]}, 'lr': 1}, 'val': {'val_freq': 3},
               'logger': {'print_freq': 100, 'save_checkpoint_freq': 3}}
    fitted = with_length(options, 800)
    assert fitted['train'] == {'total_iter': 800, 'scheduler': {'periods': [800]}, 'lr': 1}
    assert (fitted['val']['val_freq'], fitted['logger']['save_checkpoint_freq']) == (400, 100)
    assert probe_of(options)['train']['total_iter'] == PROBE_STEPS
    assert probe_of(options)['name'] != options['name'] == 'x'
    assert options['train']['total_iter'] == 7


def test_the_list_of_trials_runs_what_the_table_lacks(tmp_path):
    network = {'channels': [4, 4], 'blocks': [1, 1]}
    variants = [{'name': 'done', 'network': network, 'recipe': {'steps': 7}},
                {'name': 'new', 'network': network, 'seed': 1, 'recipe': {'lr': 0.1}}]
    table = tmp_path / 'trials.csv'
    trials.append(table, {**dict.fromkeys(trials.COLUMNS, ''), 'name': 'done', 'seed': 0, 'steps': 7})
    (trial,) = trials.planned(variants, table, pictures=None)
    assert (trial.name, trial.seed, trial.recipe) == ('new', 1, {**trials.RECIPE, 'lr': 0.1})
    with pytest.raises(UserError, match='the recipe of trial x has slack; it may have steps, batch'):
        next(trials.planned([{'name': 'x', 'recipe': {'slack': 1.0}}], table, pictures=None))


def test_every_trial_of_the_list_can_be_built():
    variants = yaml.safe_load((REPOSITORY / 'studies/design/variants.yml').read_text())
    assert len(list(trials.planned(variants, REPOSITORY / 'none.csv', pictures=None))) == len(variants) > 50
