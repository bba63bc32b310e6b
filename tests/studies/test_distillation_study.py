"""The comparison of methods of distillation: its runs, its table, conversion beside it."""
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import compare
import conversion
import draw
import pytest
import torch
from conftest import REPOSITORY
from runs import read, rewrite, write

from basicsr_snn.archs.spikerir_arch import SpikerIR


def test_tandem_and_early_teachers_change_the_cost_of_a_step():
    assert compare.phases_of({'train': {'tandem': {'every': 300, 'groups': 2}}}) == [300, 600]
    assert compare.phases_of({'train': {}, 'distill': {'until': 600}}) == [600]


def test_steps_to_the_controls_final_quality_are_of_the_same_seed_and_length(tmp_path, monkeypatch):
    monkeypatch.setattr(compare, 'HERE', tmp_path)
    points = [('control', 0, 10, 29.0), ('control', 0, 20, 30.0), ('hkd', 0, 10, 30.1), ('hkd', 0, 20, 30.2),
              ('tna', 0, 20, 29.9), ('hkd', 1, 10, 31.0)]
    write(tmp_path / 'curves.csv', compare.CURVE_COLUMNS, [
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


def test_several_that_rewrite_a_table_lose_no_row(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda n: rewrite(tmp_path / 'a.csv', ['n'], lambda rows: [*rows, {'n': n}]), range(60)))
    assert sorted(int(row['n']) for row in read(tmp_path / 'a.csv')) == list(range(60))
