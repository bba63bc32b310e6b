"""NaN and infinity: no step, no checkpoint, no score and no file is made of them, and what the message says works."""
from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
from basicsr.models.base_model import BaseModel
from trainings import batch, built, checkpoint, distilling, set_values, train, training, without_extras, write

import basicsr_snn.test
from basicsr_snn.cli.main import main
from basicsr_snn.compat.going_on import advise
from basicsr_snn.errors import NotFiniteError, UserError
from basicsr_snn.finite import is_finite, not_finite_in
from basicsr_snn.inference.calling import deployed
from basicsr_snn.models import divergence
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.pipeline.run import exit_on_user_error

NAN = float('nan')
NAMES = ['pictures/0.png', 'pictures/1.png']


def quick(**values) -> dict:
    options = training(train={**training()['train'], 'optim_g': {'type': 'SGD', 'lr': 0.01}, 'warmup_iter': -1})
    return set_values(without_extras(options), values, '.')


def weights(model) -> list[torch.Tensor]:
    return [p.detach().clone() for net in (model.net_g, model.net_g_ema) for p in net.parameters()]


@pytest.mark.parametrize('broken', [NAN, float('inf')])
def test_a_step_that_is_not_finite_changes_no_weight_and_is_told_before_anything_is_kept(work, broken):
    model = built(quick())
    before = weights(model)
    model.feed_data({**batch(), 'gt': torch.full((2, 3, 16, 16), broken), 'lq_path': NAMES})
    model.optimize_parameters(7)
    assert all(map(torch.equal, weights(model), before))
    told = (r'l_pix and l_fft are not finite any more at iteration 7 \(pictures pictures/0.png, pictures/1.png; '
            r'sigma 25, 25\); lower train.optim_g.lr \(0.01 now\), or set train.grad_clip: 0.1, and begin again')
    for keep in (model.get_current_log, lambda: model.save(0, 7), lambda: model.optimize_parameters(8),
                 lambda: model.nondist_validation(None, 7, None, False)):
        with pytest.raises(UserError, match=told):
            keep()


def test_a_gradient_alone_that_is_not_finite_is_noticed(work):
    model = built(quick())
    model.feed_data(batch())
    model.net_g.stem.weight.register_hook(lambda gradient: gradient * NAN)
    model.optimize_parameters(1)
    with pytest.raises(UserError, match='the gradient is not finite any more at iteration 1'):
        model.get_current_log()


def test_a_gpu_is_not_waited_for_but_nothing_is_saved(work, monkeypatch):
    """Steps go on; the first that broke is told, at the latest after so many steps."""
    monkeypatch.setattr(divergence, 'READ_EVERY', 5)
    model = built(quick())
    model.divergence._at_once = False
    for iteration in range(1, 6):
        truth = torch.full((2, 3, 16, 16), NAN if iteration == 3 else 0.5)
        model.feed_data({**batch(), 'gt': truth, 'lq_path': [f'{iteration}.png']})
        model.optimize_parameters(iteration)
    for keep in (lambda: model.save(0, 5), lambda: model.optimize_parameters(6)):
        with pytest.raises(UserError, match=r'l_pix and l_fft are not finite any more at iteration 3 \(pictures 3.png'):
            keep()


def test_weights_that_break_in_the_last_step_are_not_saved(work):
    model = built(set_values(quick(), {'path.models': '.'}, '.'))
    with torch.no_grad():
        model.net_g_ema.stem.weight[0, 0, 0, 0] = NAN
    with pytest.raises(NotFiniteError, match='net_g holds NaN or infinity in stem.weight at iteration 5, so that no'):
        model.save(0, 5)
    assert not list(work.glob('*net_g*'))


def test_moments_that_are_not_finite_are_not_saved(work):
    model = built(set_values(quick(), {'path.models': '.', 'path.training_states': '.',
                                       'train.optim_g': {'type': 'AdamW', 'lr': 0.01}}, '.'))
    model.feed_data(batch())
    model.optimize_parameters(1)
    next(iter(model.optimizer_g.state.values()))['exp_avg_sq'].fill_(float('inf'))
    with pytest.raises(NotFiniteError, match='the optimiser holds NaN'):
        model.save(0, 1)
    assert not list(work.glob('*.state'))


@pytest.mark.filterwarnings('ignore:Later checkpoints')
def test_a_diverging_training_keeps_sound_checkpoints_and_its_advice_works(work, capsys):
    """The rate explodes at iteration 4; checkpoint 3 is finite, and the loss of iteration 4 broke on its weights."""
    options = quick(**{'logger.save_checkpoint_freq': 1, 'logger.print_freq': 100, 'val.val_freq': 100,
                       'train.total_iter': 6, 'train.grad_clip': None,
                       'train.scheduler': {'type': 'MultiStepLR', 'milestones': [2], 'gamma': 1e32}})
    assert main(['train', '-opt', write(options)]) == 2
    told = capsys.readouterr().err
    assert re.search(r'not finite any more at iteration 4 \(pictures pictures/\d.png at \d+,\d+, pictures/', told)
    assert 'go on from checkpoint 2 with path: resume_state: ' in told
    for file in Path('experiments/tiny').rglob('net_g_*.pth'):
        assert not_finite_in(torch.load(file, weights_only=True)) == []
    state = told.rpartition('resume_state: ')[2].partition(',')[0]
    options = set_values(options, {'path.resume_state': state, 'train.scheduler.gamma': 0.5}, '.')
    assert main(['train', '-opt', write(options)]) == 0
    assert not_finite_in(checkpoint('tiny', 'net_g_6.pth')) == []


@pytest.mark.parametrize('verb', ['check', 'train'])
def test_a_teacher_that_answers_with_infinity_is_not_taken_for_a_rate_too_high(work, capsys, verb):
    """Its weights are finite."""
    teacher = torch.load('teacher.pth', weights_only=True)
    torch.save({key: value.abs() * 1e20 for key, value in teacher.items()}, 'teacher.pth')
    assert main([verb, '-opt', write(without_extras(distilling()))]) == 2
    told = capsys.readouterr().err
    assert 'l_hint_dec and l_kd are not finite any more at iteration' in told
    assert 'so the rate is not the cause; look at network_g, at the weights that it begins with' in told
    assert not list(Path('experiments').rglob('*.pth'))


def test_advice_names_the_newest_checkpoint_when_it_is_sound(tmp_path):
    opt = {'path': {'training_states': str(tmp_path)}, 'train': {'optim_g': {'lr': 0.1}, 'grad_clip': 5}}
    assert advise(opt, 3).endswith('begin again, since no sound checkpoint was saved.')
    for iteration in (100, 200):
        (tmp_path / f'{iteration}.state').touch()
    assert advise(opt, 250) == ('lower train.optim_g.lr (0.1 now), or set train.grad_clip: 1.0, and go on from '
                                'checkpoint 200 with --auto_resume.')
    assert 'go on from checkpoint 100 with path: resume_state' in advise(opt, 201)


@pytest.fixture
def broken_file(work):
    """Weights of a student, one of them NaN."""
    model = built(quick())
    with torch.no_grad():
        model.net_g.stem.weight[0, 0, 0, 0] = NAN
    torch.save({'params': model.net_g.state_dict()}, 'broken.pth')
    return 'broken.pth'


def scored(file: str | None, **changes) -> dict:
    options = training(**changes)
    options['datasets'] = {'test_1': options['datasets']['val']}
    return {**{key: value for key, value in options.items() if key not in ('train', 'logger')},
            'path': {'pretrain_network_g': file}}


@pytest.mark.parametrize('command', [['test'], ['export', '--format', 'safetensors', '-o', 'a.safetensors'],
                                     ['export', '--format', 'onnx', '-o', 'a.onnx'],
                                     ['denoise', '-i', 'pictures/0.png', '-o', 'out'], ['check']], ids=' '.join)
def test_a_broken_weight_file_is_neither_scored_nor_exported(broken_file, command, capsys):
    assert main([*command, '-opt', write(scored(broken_file))]) == 1
    told = capsys.readouterr()
    assert 'broken.pth holds NaN or infinity in stem.weight; take the weights of an earlier checkpoint.' in told.err
    assert 'psnr:' not in told.out
    assert not list(Path().glob('a.*'))


def overflowing(work) -> str:
    """Finite weights whose network answers with infinity."""
    model = built(quick())
    with torch.no_grad():
        model.net_g.head.conv.bias.fill_(3e38)
        model.net_g.head.conv.weight.fill_(3e38)
    torch.save({'params': model.net_g.state_dict()}, 'huge.pth')
    return 'huge.pth'


def test_a_broken_answer_is_neither_scored_nor_exported(work, capsys, monkeypatch):
    file = overflowing(work)
    assert main(['test', '-opt', write(scored(file))]) == 1
    assert '0.png with NaN or infinity, so that no score is given; take the weights' in capsys.readouterr().err
    assert main(['export', '-opt', write(scored(file)), '--format', 'safetensors', '-o', 'a.safetensors']) == 1
    assert not list(Path().glob('a.*'))
    monkeypatch.setattr('sys.argv', ['test', '-opt', write(scored(file))])
    with pytest.raises(SystemExit) as ended:
        exit_on_user_error(basicsr_snn.test.main)
    assert ended.value.code == 1


def test_a_broken_answer_ends_a_training_with_advice(work, monkeypatch):
    net = deployed(built(quick()).net_g)
    torch.nn.init.constant_(net.head.conv.bias, 3e38)
    torch.nn.init.constant_(net.head.conv.weight, 3e38)
    monkeypatch.setattr(SNNModel, 'network_to_deploy', lambda model: net)
    with pytest.raises(UserError, match='0.png with NaN or infinity, .*lower train.optim_g.lr'):
        train(quick(**{'val.val_freq': 2}))


def test_stock_models_neither_save_nor_score_what_is_not_finite(work):
    options = scored(overflowing(work), model_type='SRModel')
    with pytest.raises(NotFiniteError, match='answers a picture with NaN or infinity'):
        basicsr_snn.test.main(['-opt', write(options)])
    net, model = torch.nn.Linear(2, 1), BaseModel({'num_gpu': 0, 'is_train': True})
    torch.nn.init.constant_(net.bias, NAN)
    with pytest.raises(NotFiniteError, match='net_g holds NaN or infinity in bias at the end, so that no'):
        model.save_network([net, net], 'net_g', -1)


def test_models_of_other_options_save_and_are_told(tmp_path):
    net, model = torch.nn.Linear(2, 1), BaseModel({'num_gpu': 0, 'is_train': True, 'train': {'total_iter': 9},
                                                   'path': {'models': str(tmp_path)}})
    model.save_network(net, 'net_g', 3)
    assert (tmp_path / 'net_g_3.pth').is_file()
    torch.nn.init.constant_(net.bias, NAN)
    with pytest.raises(NotFiniteError, match='at iteration 4, .* lower train.optim_g.lr, or set .* begin again, since'):
        model.save_network(net, 'net_g', 4)


def test_masks_and_whole_numbers_are_finite():
    mask = torch.tensor([0.0, -float('inf')])
    assert is_finite(mask)
    assert is_finite(torch.tensor([1, 2]))
    assert not is_finite(-mask)
    assert not is_finite(torch.tensor([1.0, -float('inf')]))
    assert not is_finite(torch.tensor([NAN + 1j]))
    for form in (torch.Tensor.to_sparse, torch.Tensor.to_sparse_csr, lambda dense: dense.to(torch.float8_e5m2),
                 lambda dense: dense[:, 1:].expand(10 ** 6, 10 ** 6)):
        assert not is_finite(form(torch.tensor([[0.0, NAN]])))
        assert is_finite(form(torch.tensor([[0.0, 1.0]])))
    assert not_finite_in({'a': [mask, {'b': -mask}], 'c': 'nan', 'd': NAN}) == ['a.1.b']
