"""Options of training that meet: time steps, tandem, twins, teachers, phase coding, mixed precision."""
from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from trainings import TEACHER, batch, built, distilling, training

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.distill.feature_hooks import FeatureHooks
from basicsr_snn.distill.teachers import run_teacher
from basicsr_snn.errors import UserError
from basicsr_snn.models.ann_snn_distill_model import ANNSNNDistillModel
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.spiking.neurons import is_spiking

NETWORK = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}
PHASE = {**NETWORK, 'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4}}


def model_of(network: dict, distill: dict | None = None, **train) -> ANNSNNDistillModel:
    """A model with a batch; ``distill`` replaces keys of the block of :func:`distilling`."""
    options = training() if distill is None else distilling()
    options['network_g'] = dict(network)
    options['train'] = {**options['train'], **train}
    if distill:
        options['distill'] = {'teacher': options['distill']['teacher'], **distill}
    model = built(options)
    model.feed_data(batch())
    return model


def test_a_twin_is_matched_at_every_step_of_the_student(work):
    network = {**NETWORK, 'T': 3, 'neuron': {'type': 'LIFNode'}}
    twin = {'teacher': {'network': {**NETWORK}, 'trainable': True}, 'output': {'type': 'MSELoss'}}
    model = model_of(network, twin, every_step=True)
    term = model.compute_losses(model.batch, 1)['l_kd']
    steps = model.net_g(model.lq)
    assert steps.shape[:2] == (3, 2)
    expected = (steps - model.teaching.trained['net_twin'](model.lq)[None]).square().mean()
    assert term.item() == pytest.approx(expected.item(), rel=1e-4)


def test_a_tail_may_read_every_step_of_the_student(work):
    tail = {'name': 'mid', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 1.0, 'time': 'all'}
    model = model_of({**NETWORK, 'T': 3, 'neuron': {'type': 'LIFNode'}}, {'tails': [tail]})
    term = model.compute_losses(model.batch, 1)['l_tail_mid']
    with model.teaching.watch(model.net_g) as hooks:
        model.net_g(model.lq)
    rest = model.teaching.teachers['teacher'].model[3:]
    project = model.teaching.adapters.adapters['mid'].project
    expected = [(model.lq - rest(project(step)) - model.gt).abs().mean() for step in hooks.features['decoder.0']]
    assert term.item() == pytest.approx(sum(expected).item() / 3, rel=1e-4)


def test_layers_that_work_in_place_do_not_change_what_was_kept():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(inplace=True), nn.Conv2d(4, 3, 3))
    x = torch.randn(1, 3, 8, 8)
    with torch.no_grad(), FeatureHooks(net, ['0']) as hooks:
        net(x)
    assert torch.equal(hooks.features['0'], net[0](x))
    assert hooks.features['0'].min() < 0


def test_a_spiking_teacher_starts_from_rest_after_a_forward_that_ended_early():
    torch.manual_seed(0)
    teacher = SpikerIR(channels=[4, 4], blocks=[1, 1], T=2, neuron={'type': 'LIFNode', 'v_threshold': 0.05}).eval()
    picture = torch.rand(2, 3, 8, 8)
    first, _ = run_teacher(teacher, ['decoder.0', 'middle.0.body.0.conv'], picture, None, to_the_end=False)
    second, _ = run_teacher(teacher, ['decoder.0', 'middle.0.body.0.conv'], picture, None, to_the_end=False)
    assert all(torch.equal(first[path], second[path]) for path in first)
    assert {len(feature) for feature in first.values()} == {2}  # the mean over time of two pictures


@pytest.mark.parametrize('network', [NETWORK, {'type': 'ESDNet', 'dim': 16, 'encoder_blocks': [1, 1, 1],
                                               'decoder_blocks': [1, 1, 1], 'T': 2}])
def test_neurons_get_float32_under_mixed_precision(work, network):
    model = model_of(network, amp=True)
    received = set()
    for module in model.net_g.modules():
        if is_spiking(module):
            module.register_forward_pre_hook(lambda module, inputs: received.add(inputs[0].dtype))
    model.optimize_parameters(1)
    assert received == {torch.float32}


@pytest.mark.parametrize('train', [{'every_step': True}, {'rate_opt': {'type': 'SpikeRateLoss', 'target': 100}}])
def test_phase_coding_has_no_single_steps_and_no_budget(work, train):
    with pytest.raises(UserError, match='whole counts of one step; take it out'):
        model_of(PHASE, **train)


def test_a_hint_at_a_neuron_that_does_not_spike_yet_is_explained(work):
    hint = {'name': 1, 'teacher': 'model.2', 'student': 'middle.0.body.0.neuron'}
    model = model_of(NETWORK, {'hints': [hint]}, tandem={'every': 5, 'groups': 1})
    with pytest.raises(UserError, match='write the path of the block around it'):
        model.optimize_parameters(1)
    model.optimize_parameters(5)
    assert 'l_hint_1' in model.loss_terms


@pytest.mark.parametrize(('distill', 'sentence'), [
    ({'output': {'type': 'PerceptualLoss', 'layer_weights': {}}}, 'PerceptualLoss, which does not compare two'),
    ({'teachers': [{'name': 'a', 'network': TEACHER, 'trainable': True}]}, 'a twin stands alone'),
    ({'until': 0}, 'until is 0, but must be a number of at least 1'),
])
def test_blocks_that_cannot_work_are_refused(distill, sentence):
    options = copy.deepcopy(distilling())
    options['distill'].update(distill)
    with pytest.raises(UserError, match=sentence):
        check_options(options)
