"""A resume brings back what was learnt, does what the option file says from there on, and refuses what it cannot do."""
from __future__ import annotations

import copy
import re
from pathlib import Path

import pytest
import torch
from basicsr.utils.registry import DATASET_REGISTRY, LOSS_REGISTRY
from interruption import (
    DISTILLATIONS,
    HINT,
    SETS,
    TRAIN,
    WITHOUT_TRUTH,
    assert_resumes_exactly,
    forget_after,
    mix,
    pair_up,
    types_in,
)
from trainings import batch, built, checkpoint, distilling, log_of, set_values, train, training, without_extras, write

import basicsr_snn.train
from basicsr_snn.cli.main import main
from basicsr_snn.compat.checkpoints import best_metrics
from basicsr_snn.errors import UserError
from basicsr_snn.losses.hint_loss import CRITERIA
from basicsr_snn.pipeline.option_blocks.training import Train

COMBINATIONS = {
    'losses that draw and remember': {
        'train.pixel_opt': {'type': 'DrawnLoss'}, 'train.micro_batches': 2, 'manual_seed': None,
        'train.rate_opt': {'type': 'SpikeRateLoss', 'target': 1000, 'loss_weight': 0.1},
        'model_type': 'ANNSNNDistillModel', 'distill': DISTILLATIONS[1]},
    'hints well posed': {
        'train.micro_batches': 2, 'model_type': 'ANNSNNDistillModel', 'distill': DISTILLATIONS[5],
        'network_g': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 2, 'neuron': {'type': 'LIFNode'}}},
    'connections that go and come again, under a teacher': {
        'train.pruning': {'type': 'GradientRewiring', 'sparsity': 0.6, 'end_iter': 3},
        'model_type': 'ANNSNNDistillModel', 'distill': DISTILLATIONS[1]},
    'another optimiser and schedule, a twin': {
        'train.optim_g': {'type': 'Adam', 'lr': 0.01, 'amsgrad': True}, 'train.warmup_iter': 3,
        'train.scheduler': {'type': 'MultiStepLR', 'milestones': [1, 3]}, 'train.tandem': {'every': 1, 'groups': 3},
        'model_type': 'ANNSNNDistillModel', 'distill': DISTILLATIONS[4]},
}


@pytest.mark.parametrize('values', COMBINATIONS.values(), ids=COMBINATIONS)
def test_killed_and_resumed_is_uninterrupted_bit_for_bit(work, values):
    options = set_values(saving_each_step(), copy.deepcopy(values), '.')
    assert_resumes_exactly(options)


def test_every_data_set_resumes_exactly(work):
    options = set_values(saving_each_step(), {'model_type': 'ANNSNNDistillModel', 'distill': DISTILLATIONS[2]}, '.')
    options['datasets']['train'].update(batch_size_per_gpu=6, dataset_enlarge_ratio=1)
    mix(options, WITHOUT_TRUTH)
    assert_resumes_exactly(options)


@pytest.mark.parametrize('changes', [{'type': 'SuperResolutionDataset', 'sigma': None}, {'on_device': True}])
def test_what_a_mixture_does_not_hold_resumes_exactly(work, changes):
    options = saving_each_step()
    block = options['datasets']['train'] | changes
    options['datasets']['train'] = {key: value for key, value in block.items() if value is not None}
    if 'type' in changes:
        options['datasets']['val'] = {'name': 'V', 'type': changes['type'], 'dataroot_gt': 'pictures'}
        options['network_g']['scale'] = options['scale'] = 2
    assert_resumes_exactly(options)


def test_nothing_of_ours_that_draws_or_remembers_is_left_out():
    """A new loss, data set or option has a place among what the property of an exact resume is tried with."""
    ours = {name for registry in (LOSS_REGISTRY, DATASET_REGISTRY) for name, kind in registry
            if kind.__module__.startswith('basicsr_snn.')}
    tried = types_in([*DISTILLATIONS, *TRAIN.values(), *SETS, WITHOUT_TRUTH])
    assert ours - tried == {'MixedDataset', 'SuperResolutionDataset', 'PerceptualLoss'}  # tested above; see below
    assert set(CRITERIA) <= {hint['loss'].get('criterion') for block in DISTILLATIONS if block
                             for hint in block.get('hints', []) if 'loss' in hint}
    left_out = set(Train.__struct_fields__) - TRAIN.keys()
    assert left_out == {'total_iter', 'perceptual_opt', 'cuda_graph'}  # VGG neither draws nor learns; needs a GPU


def test_basicsr_own_dataset_resumes_exactly(work):
    options = saving_each_step()
    pair_up(options)
    options['datasets']['train']['dataset_enlarge_ratio'] = 1  # the second epoch begins behind the checkpoint
    assert_resumes_exactly(options, at=3)


def saving_each_step() -> dict:
    options = without_extras(training())
    options['logger']['save_checkpoint_freq'] = 1
    options['val']['val_freq'] = 2
    return options


@pytest.fixture
def saved_state(work):
    """Of a student under a teacher, after two iterations."""
    model = model_in(distilling())
    for iteration in (1, 2):
        model.update_learning_rate(iteration, warmup_iter=2)
        model.feed_data(batch())
        model.optimize_parameters(iteration)
    model.save(0, 2)
    return torch.load('experiments/2.state', weights_only=True)


def model_in(options: dict):
    """A model that saves into the folder ``experiments``."""
    Path('experiments').mkdir(exist_ok=True)
    return built(set_values(options, {'path.models': 'experiments', 'path.training_states': 'experiments'}, '.'))


@pytest.mark.filterwarnings('ignore:Detected call of')
def test_what_the_option_file_says_of_the_optimiser_takes_effect(saved_state):
    changes = {'train.optim_g.lr': 0.5, 'train.optim_g.weight_decay': 0.3, 'train.optim_g.betas': [0.5, 0.6],
               'train.scheduler.periods': [10], 'train.scheduler.eta_min': 0.1, 'train.warmup_iter': -1}
    resumed, fresh = (model_in(set_values(distilling(), changes, '.')) for _ in range(2))
    resumed.resume_training(saved_state)
    for iteration in (1, 2):
        fresh.update_learning_rate(iteration)
    for model in (resumed, fresh):
        model.update_learning_rate(3)
    assert resumed.get_current_learning_rate() == fresh.get_current_learning_rate()
    assert 0.4 < resumed.get_current_learning_rate()[0] < 0.5
    for got, wanted in zip(resumed.optimizer_g.param_groups, fresh.optimizer_g.param_groups, strict=True):
        assert {key: got[key] for key in wanted if key != 'params'} == {
            key: wanted[key] for key in wanted if key != 'params'}
    assert got['weight_decay'] == 0.0  # of biases
    assert all(state['step'] == 2 for state in resumed.optimizer_g.state.values())


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'train.optim_g': {'type': 'SGD', 'lr': 0.1}}, 'type is SGD, but .* trained by AdamW; write type: AdamW'),
    ({'train.optim_g.amsgrad': True}, 'AdamW now needs max_exp_avg_sq, which the checkpoint of iteration 2 lacks'),
    ({'train.total_iter': 1}, 'total_iter is 1, but the checkpoint of iteration 2 .* at least total_iter: 2'),
    ({'distill.hints': []}, 'networks that are trained are not those'),
    ({'distill.hints': [HINT, {**HINT, 'name': 'more'}]}, 'networks that are trained are not those'),
    ({'distill.hints': [{**HINT, 'teacher': 'model.4'}]}, 'networks that are trained are not those'),
    ({'distill.hints': [{**HINT, 'name': 'renamed'}]}, 'net_adapters_2.pth does not fit'),
    ({'distill': DISTILLATIONS[4]}, 'type is AdamW, SGD, but .* trained by AdamW'),
    ({'network_g.channels': [4, 8]}, 'networks that are trained are not those'),
])
def test_what_cannot_take_effect_is_refused_with_the_way_to_begin_from_the_weights(saved_state, changes, sentence):
    model = model_in(set_values(distilling(), copy.deepcopy(changes), '.'))
    with pytest.raises(UserError, match=f'{sentence}.*begin from its weights: .*g: experiments/net_g_2.pth'):
        model.resume_training(saved_state)


def test_another_model_type_is_refused(saved_state):
    with pytest.raises(UserError, match='model_type is SNNModel, but .* of ANNSNNDistillModel; write model_type: ANN'):
        model_in(training()).resume_training(saved_state)


def test_states_of_before_are_resumed(saved_state):
    old = {key: saved_state[key] for key in ('epoch', 'iter', 'optimizers', 'schedulers')}
    model_in(distilling()).resume_training(old)
    with pytest.raises(UserError, match='networks that are trained are not those'):
        model_in(training()).resume_training(old)


def test_advice_to_begin_from_the_weights_works_when_followed(work):
    """The weights, and the teacher, lie in the folder that is put aside as the training of the same name begins."""
    options = without_extras(distilling('again'))
    train(options)
    Path('teacher.pth').rename('experiments/again/teacher.pth')
    options['distill']['teacher']['path'] = 'experiments/again/teacher.pth'
    options['train']['optim_g'] = {'type': 'SGD', 'lr': 1e-9}
    with pytest.raises(UserError) as refused:
        train({**options, 'distill': {**options['distill']}}, '--auto_resume')
    told = re.search('pretrain_network_g: (.*).$', str(refused.value))[1]
    trained = checkpoint('again', 'net_g_4.pth')['params']
    train(set_values(options, {'path.pretrain_network_g': told}, '.'))
    again = checkpoint('again', 'net_g_latest.pth')['params']
    assert torch.allclose(again['stem.weight'], trained['stem.weight'], atol=1e-6)


def test_an_option_file_inside_its_experiment_resumes_and_restarts(work, monkeypatch):
    """Also twice in one second, and never over what was there."""
    monkeypatch.setattr('basicsr.utils.misc.get_time_str', lambda: 'now')
    train(without_extras(training('home')))
    inside = 'experiments/home/options.yml'
    basicsr_snn.train.main(['-opt', inside, '--auto_resume'])
    assert 'Resuming training from epoch: 0, iter: 4' in log_of('home')
    for number in ('', '_2'):
        basicsr_snn.train.main(['-opt', inside])
        assert Path(inside).is_file()
        assert Path(f'experiments/home_archived_now{number}/models/net_g_4.pth').is_file()


def test_a_file_of_an_earlier_archive_is_no_stand_in(work):
    train(without_extras(training('home')))
    Path('experiments/home').rename('experiments/home_archived_20260101_000000')
    Path('experiments/home/models').mkdir(parents=True)
    options = training('other', path={'pretrain_network_g': 'experiments/home/models/net_g_2.pth'})
    with pytest.raises(UserError, match='experiments/home/models/net_g_2.pth does not exist'):
        train(options)


def test_best_metrics_survive(work):
    options = saving_each_step()
    train(options)
    state = torch.load('experiments/tiny/training_states/2.state', weights_only=True)
    assert state['best_metric_results']['V']['psnr']['iter'] == 2  # validated after it was saved
    forget_after(Path('experiments/tiny'), 2)
    file = Path('experiments/tiny/training_states/2.state')
    state['best_metric_results']['V']['psnr']['val'] = 99.0
    torch.save(state, file)
    train(options, '--auto_resume')
    assert 'Best: 99.0000 @ 2 iter' in log_of('tiny')


def test_best_of_a_metric_that_is_new_or_has_turned_round_begins_anew(saved_state):
    saved = {'V': {'psnr': {'better': 'higher', 'val': 30.0, 'iter': 2}}}
    metrics = {'psnr': {'type': 'calculate_psnr', 'better': 'lower'}, 'ssim': {'type': 'calculate_ssim'}}
    for found, kept in (({'psnr': {'type': 'calculate_psnr'}, **metrics}, float('inf')),
                        ({'psnr': {'type': 'calculate_psnr'}, 'ssim': metrics['ssim']}, 30.0)):
        model = model_in(set_values(distilling(), {'val.metrics': found}, '.'))
        model.resume_training({**saved_state, 'best_metric_results': saved})
        best = best_metrics(model)['V']
        assert (best['psnr']['val'], best['ssim']['val']) == (kept, float('-inf'))


def test_the_command_says_how_it_resumes(work, capsys):
    options = without_extras(training('said'))
    options['path']['resume_state'] = str(work / 'experiments/said/training_states/2.state')
    train({**options, 'path': {}})
    with pytest.warns(UserWarning, match='goes on from .*4.state.* and not from path: resume_state, .*2.state; leave'):
        train(options, '--auto_resume')
    with pytest.warns(UserWarning, match=r'Later checkpoints than 2.state are kept \(4.state\)'):
        train(options)
    forget_after(Path('experiments/said'), 0)
    assert main(['train', '-opt', write(options), '--auto_resume']) == 2
    assert re.search('resume_state is .*2.state, which cannot be resumed.*No such file', capsys.readouterr().err)
