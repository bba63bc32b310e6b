"""Methods of distillation beyond plain hints: values against formulas written out, and a few steps of training."""
from __future__ import annotations

import pytest
import torch
from basicsr.archs import build_network
from torch import nn
from trainings import TEACHER, batch, built, checkpoint, distilling, log_of, train, training

from basicsr_snn.archs.spikerir_arch import SpikerIR, running_mean
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed
from basicsr_snn.losses.blurred_hint_loss import BlurAndRestore, BlurredHintLoss
from basicsr_snn.models.ann_snn_distill_model import ANNSNNDistillModel
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.models.tandem import Tandem
from basicsr_snn.spiking.blocks import SpikingConv
from basicsr_snn.spiking.neurons import build_neuron
from basicsr_snn.zoo.weights import read_card

TWIN = {'network': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'norm': 'bn'}, 'trainable': True}


def distilled(work, **distill) -> ANNSNNDistillModel:
    """A model whose distill: block is ``distill``, by default with the teacher of :func:`distilling`, and a batch."""
    options = distilling()
    options['distill'] = {'teacher': options['distill']['teacher'], **distill}
    if 'teachers' in distill:
        del options['distill']['teacher']
    model = built(options)
    model.feed_data(batch())
    return model


def test_a_twin_has_weights_and_an_optimiser_of_its_own(work):
    twin = {**TWIN, 'network': {**TWIN['network'], 'norm': 'none'}, 'optim': {'type': 'SGD', 'lr': 0.5}}
    options = {**distilling(), 'distill': {'teacher': twin, 'output': {'type': 'MSELoss'}}}
    options['network_g'] = dict(twin['network'])
    model = built(options)
    assert isinstance(model.optimizers[1], torch.optim.SGD)
    assert not torch.equal(model.teaching.trained['net_twin'].stem.weight, model.net_g.stem.weight)
    options['distill']['teacher'].pop('optim')
    assert type(built(options).optimizers[1]) is type(model.optimizers[0])


def test_blur_drops_whole_channels_of_each_picture_anew():
    layer = BlurAndRestore(40, drop=0.5)
    layer.restore = nn.Identity()
    feature = torch.ones(6, 40, 3, 3)
    torch.manual_seed(0)
    first, second = layer(feature), layer(feature)
    kept = first.mean((2, 3))
    assert set(kept.unique().tolist()) == {0.0, 1.0}
    assert 0.35 < kept.mean() < 0.65
    assert not torch.equal(first[0], first[1])
    assert not torch.equal(first, second)
    assert torch.equal(layer.eval()(feature), feature)


def test_blurred_hint_is_the_mean_square_behind_its_restoring_block(work):
    hint = {'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 2.0,
            'loss': {'type': 'BlurredHintLoss', 'drop': 0.0}}
    model = distilled(work, hints=[hint])
    term = model.compute_losses(model.batch, 1)['l_hint_dec']
    adapter = model.teaching.adapters.adapters['dec']
    with model.teaching.watch(model.net_g) as hooks:
        model.net_g(model.lq)
    student = adapter.tail.restore(adapter.project(hooks.features['decoder.0'].mean(0)))
    teacher = model.teaching.teachers['teacher'].model[:3](model.lq)
    assert term.item() == pytest.approx(2 * (student - teacher).square().mean().item(), rel=1e-4)
    model.optimize_parameters(1)
    assert all(parameter.grad is not None for parameter in adapter.parameters())


def test_blurred_hints_refuse_to_drop_everything():
    with pytest.raises(UserError, match='a probability below 1'):
        BlurredHintLoss(drop=1.0)


def test_tail_runs_the_students_feature_through_the_rest_of_the_teacher(work):
    tail = {'name': 'mid', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 0.5}
    model = distilled(work, tails=[tail])
    term = model.compute_losses(model.batch, 1)['l_tail_mid']
    with model.teaching.watch(model.net_g) as hooks:
        model.net_g(model.lq)
    feature = model.teaching.adapters.adapters['mid'].project(hooks.features['decoder.0'].mean(0))
    teacher = model.teaching.teachers['teacher']
    picture = model.lq - teacher.model[3:](feature)  # DnCNN predicts the noise
    assert term.item() == pytest.approx(0.5 * (picture - model.gt).abs().mean().item(), rel=1e-4)
    term.backward()
    assert model.net_g.stem.weight.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in teacher.parameters())
    assert not any(module._forward_hooks for module in teacher.modules())


def test_the_ann_twin_may_teach_by_hints_and_by_its_tail(work):
    network = {'type': 'SpikerIR', 'channels': [4, 6], 'blocks': [1, 1], 'neuron': {'type': 'relu'}}
    torch.save(build_network(dict(network)).state_dict(), 'twin.pth')
    model = distilled(work, teachers=[{'name': 'twin', 'network': network, 'path': 'twin.pth'}],
                      hints=[{'name': 'dec', 'teacher': 'decoder.0', 'student': 'decoder.0', 'weight': 2.0}],
                      tails=[{'name': 'mid', 'teacher': 'middle', 'student': 'middle'}])
    terms = model.compute_losses(model.batch, 1)
    twin, adapters = model.teaching.teachers['twin'], model.teaching.adapters.adapters
    with model.teaching.watch(model.net_g) as hooks:
        model.net_g(model.lq)
    with model.teaching.watch(twin) as of_twin:
        twin(model.lq)
    mine = adapters['dec'].project(hooks.features['decoder.0'].mean(0))
    assert terms['l_hint_dec'].item() == pytest.approx(
        2 * (mine - of_twin.features['decoder.0'][0]).square().mean().item(), rel=1e-4)
    x = twin.up[0](adapters['mid'].project(hooks.features['middle'].mean(0))[None])
    x = twin.decoder[0](x + twin.encoder[0](twin.stem(model.lq)[None]))
    picture = model.lq + twin.head(x)[0]
    assert terms['l_tail_mid'].item() == pytest.approx((picture - model.gt).abs().mean().item(), rel=1e-4)


def test_several_teachers_give_hints_by_name_and_a_mean_picture(work):
    other = {'type': 'FFDNet', 'in_nc': 3, 'out_nc': 3, 'nc': 8, 'nb': 3}
    torch.save(build_network(dict(other)).state_dict(), 'other.pth')
    model = distilled(
        work, teachers=[{'name': 'full', 'network': dict(TEACHER), 'path': 'teacher.pth'},
                        {'name': 'half', 'network': other, 'path': 'other.pth'}],
        hints=[{'name': 'a', 'teacher': 'model.2', 'student': 'decoder.0'},
               {'name': 'b', 'of': 'half', 'teacher': 'model.2', 'student': 'decoder.0'}],
        output={'type': 'MSELoss', 'loss_weight': 3.0})
    terms = model.compute_losses(model.batch, 1)
    assert {'l_hint_a', 'l_hint_b', 'l_kd'} <= set(terms)
    teachers = model.teaching.teachers
    mean = (teachers['full'](model.lq) + teachers['half'](model.lq, sigma=model.sigma)) / 2
    assert terms['l_kd'].item() == pytest.approx(3 * (model.net_g(model.lq) - mean).square().mean().item(), rel=1e-4)


@pytest.mark.parametrize(('distill', 'sentence'), [
    ({'teachers': [{'name': 'a', 'network': TEACHER, 'path': 'teacher.pth'}] * 2}, 'names of their own'),
    ({'hints': [{'name': 'x', 'of': 'b', 'teacher': 'model.2', 'student': 'decoder.0'}]}, 'of teacher "b"'),
    ({'teacher': TWIN}, 'matched by its picture alone'),
])
def test_mistakes_in_the_block_get_one_sentence(work, distill, sentence):
    with pytest.raises(UserError, match=sentence):
        distilled(work, **distill)


def test_twin_and_base_learn_the_task_and_are_drawn_together(work):
    model = distilled(work, teacher=TWIN, output={'type': 'MSELoss', 'loss_weight': 5.0})
    assert not torch.equal(model.teaching.trained['net_twin'].stem.weight, model.net_g.stem.weight)
    terms = model.compute_losses(model.batch, 1)
    twin = model.teaching.trained['net_twin'](model.lq)
    assert terms['l_kd'].item() == pytest.approx(5 * (model.net_g(model.lq) - twin).square().mean().item(), rel=1e-4)
    assert terms['l_twin'].item() == pytest.approx(
        (twin - model.gt).abs().mean().item() + model.cri_fft(twin, model.gt).item(), rel=1e-4)
    terms['l_kd'].backward()
    assert model.net_g.stem.weight.grad.abs().sum() > 0
    assert model.teaching.trained['net_twin'].stem.weight.grad.abs().sum() > 0
    assert len(model.optimizers) == 2
    before = model.teaching.trained['net_twin'].stem.weight.detach().clone()
    model.optimize_parameters(1)
    assert not torch.equal(before, model.teaching.trained['net_twin'].stem.weight)


def test_matching_may_start_late(work):
    model = distilled(work, teacher={**TWIN, 'start_iter': 3}, output={'type': 'MSELoss'})
    assert 'l_kd' not in model.compute_losses(model.batch, 2)
    assert 'l_kd' in model.compute_losses(model.batch, 3)


def test_twin_is_resumed_and_no_part_of_the_students_file(work):
    options = distilling('twins')
    options['distill'] = {'teacher': TWIN, 'output': {'type': 'MSELoss', 'loss_weight': 1.0}}
    train(options, '--force_yml', 'train:total_iter=2')
    broken = checkpoint('twins', 'net_twin_2.pth')['params']
    train(options, '--auto_resume')
    resumed = checkpoint('twins', 'net_g_4.pth')['params']
    train({**options, 'name': 'unbroken'})
    for file, key in (('net_g_4.pth', 'params'), ('net_twin_4.pth', 'params')):
        a, b = checkpoint('twins', file)[key], checkpoint('unbroken', file)[key]
        assert all(torch.allclose(a[name], b[name], atol=1e-6) for name in a)
    assert set(resumed) == set(SpikerIR(channels=[4, 4], blocks=[1, 1], norm='bn').state_dict())
    assert set(broken) == set(resumed)
    assert 'l_twin: ' in log_of('twins')
    assert read_card('experiments/twins/models/net_twin_4.pth')[0].network_g == TWIN['network']


def test_losses_at_every_step_are_those_of_the_running_mean(work):
    steps = torch.tensor([[1.0], [3.0], [8.0]])
    assert running_mean(steps).flatten().tolist() == [1.0, 2.0, 4.0]
    network = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 3, 'neuron': {'type': 'LIFNode'}}
    model = built(training(network_g=network, train={**training()['train'], 'every_step': True}))
    model.feed_data(batch())
    terms = model.compute_losses(model.batch, 1)
    net = model.net_g.eval()
    by_steps = []
    for steps in (1, 2, 3):
        net.T = steps
        by_steps.append((net(model.lq) - model.gt).abs().mean().item())
    assert terms['l_pix'].item() == pytest.approx(sum(by_steps) / 3, rel=1e-4)
    net.T = 3
    assert net(model.lq).shape == model.lq.shape


def test_every_step_needs_a_network_that_answers_so(work):
    with pytest.raises(UserError, match='DnCNN answers after its last step only'):
        built(training(network_g=dict(TEACHER), train={**training()['train'], 'every_step': True}))


def test_tandem_layers_become_spiking_in_order_and_end_as_the_plain_network():
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'SignedILIF', 'D': 8}, hidden={'lowest': 0})
    layers = [module for module in net.modules() if isinstance(module, SpikingConv)]
    tandem = Tandem({'every': 10, 'groups': 2})
    assert [tandem.apply(net, iteration) for iteration in (0, 9, 10, 19)] == [0, 0, len(layers) // 2, len(layers) // 2]
    assert [layer.stand_in is None for layer in layers] == [i < len(layers) // 2 for i in range(len(layers))]
    x = torch.rand(1, 3, 8, 8)
    half = net(x)
    assert tandem.apply(net, 20) == len(layers)
    plain = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'SignedILIF', 'D': 8}, hidden={'lowest': 0})
    plain.load_state_dict(net.state_dict())
    assert torch.equal(net(x), plain(x))
    assert not torch.equal(half, plain(x))


def test_tandem_never_puts_a_spiking_layer_behind_one_that_does_not_spike_yet():
    net = SpikerIR(channels=[4, 4, 4], blocks=[1, 2, 1])
    order = []
    for layer in net.modules():
        if isinstance(layer, SpikingConv):
            layer.register_forward_hook(lambda layer, *_: order.append(layer.stand_in is None))
    tandem = Tandem({'every': 10, 'groups': 5})
    for iteration in (10, 20, 30, 40):
        spiking = tandem.apply(net, iteration)
        order.clear()
        net(torch.rand(1, 3, 8, 8))
        assert order == [place < spiking for place in range(len(order))]


@pytest.mark.parametrize('norm', ['none', 'bn'])
@pytest.mark.parametrize('iteration', [0, 10, 20])
def test_tandem_network_folds_to_the_same_pictures_at_every_stage(iteration, norm):
    torch.manual_seed(0)
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], norm=norm, neuron={'type': 'SignedILIF', 'D': 8}).eval()
    Tandem({'every': 10, 'groups': 2}).apply(net, iteration)
    x = torch.rand(1, 3, 8, 8)
    with torch.no_grad():
        torch.testing.assert_close(deployed(net)(x), net(x), atol=1e-5, rtol=0)


@pytest.mark.parametrize('distill', [{'output': {'type': 'L1Loss'}}, {'teacher': TWIN, 'output': {'type': 'MSELoss'}}])
def test_a_teacher_is_not_asked_any_more_after_its_last_iteration(work, distill):
    model = distilled(work, **distill, until=2)
    teacher = model.teaching.trained.get('net_twin') or model.teaching.teachers['teacher']
    asked = []
    teacher.register_forward_hook(lambda *_: asked.append(step))
    for step in (1, 2, 3, 4):
        model.optimize_parameters(step)
        assert ('l_kd' in model.loss_terms) == (step <= 2)
    assert asked == [1, 2]
    model.compute_losses(model.batch, 5)['l_pix'].backward()


def test_tandem_begins_as_the_ann_twin():
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'SignedILIF', 'D': 8}, hidden={'lowest': 0})
    Tandem({'every': 10, 'groups': 2}).apply(net, 0)
    twin = SpikerIR(channels=[4, 4], blocks=[1, 1], neuron={'type': 'linear'}, hidden={'type': 'relu'})
    twin.load_state_dict({key: value for key, value in net.state_dict().items() if 'log_threshold' not in key})
    x = torch.rand(1, 3, 8, 8)
    assert torch.allclose(net(x), twin(x), atol=1e-6)


def test_tandem_training_validates_the_network_of_the_moment(work):
    options = training('tandem', train={**training()['train'], 'tandem': {'every': 2, 'groups': 2}})
    train(options)
    model: SNNModel = built(options)
    model.feed_data(batch())
    model.optimize_parameters(1)
    stand_ins = [module.stand_in for module in deployed(model.net_g_ema).modules() if isinstance(module, SpikingConv)]
    assert all(stand_in is not None for stand_in in stand_ins)


@pytest.mark.parametrize('options', [{'every': 0, 'groups': 2}, {'every': 5, 'groups': 0}])
def test_tandem_needs_positive_numbers(options):
    with pytest.raises(UserError, match='write {every: 500, groups: 6}'):
        Tandem(options)


def test_dsr_neuron_fires_as_integrate_and_fire_and_learns_by_its_mean():
    layer = build_neuron({'type': 'DSRIFNode', 'v_threshold': 1.0}, 1)
    currents = torch.tensor([0.4, 0.4, 0.9, -0.3]).view(4, 1, 1, 1, 1).requires_grad_()
    spikes = layer(currents)
    # potentials 0.4; 0.8 -> fires, -0.2; 0.7 -> fires, -0.3; -0.6
    assert spikes.flatten().tolist() == [0, 1, 1, 0]
    (spikes * torch.tensor([1.0, 2.0, 3.0, 6.0]).view(4, 1, 1, 1, 1)).sum().backward()
    assert currents.grad.flatten().tolist() == pytest.approx([3.0] * 4)  # mean input inside 0..1: mean gradient
    outside = torch.full((4, 1, 1, 1, 1), -0.5, requires_grad=True)
    layer(outside).sum().backward()
    assert outside.grad.abs().sum() == 0


def test_dsr_threshold_is_trained_by_what_lies_above_it():
    layer = build_neuron({'type': 'DSRIFNode', 'v_threshold': 0.5}, 3)
    assert layer.amplitude.tolist() == pytest.approx([0.5] * 3)
    x = torch.full((2, 1, 3, 1, 1), 2.0)
    (layer(x) * layer.amplitude.view(-1, 1, 1)).sum().backward()
    assert layer.node.v_threshold.grad.item() == pytest.approx(2 * 3)  # 2 steps, 3 channels


def test_hybrid_network_takes_a_neuron_for_each_part():
    net = SpikerIR(channels=[4, 4, 4], blocks=[1, 1, 1],
                   stages={'encoder': {'type': 'relu'}, 'encoder.1': {'type': 'linear'}, 'head': {'type': 'LIFNode'}})
    kinds = {name: type(module.neuron).__name__ for name, module in net.named_modules()
             if isinstance(module, SpikingConv)}
    assert {kind for name, kind in kinds.items() if name.startswith('encoder.0')} == {'ReLU'}
    assert {kind for name, kind in kinds.items() if name.startswith('encoder.1')} == {'Linear'}
    assert {kind for name, kind in kinds.items() if name.startswith(('decoder', 'middle', 'up', 'down'))} == {
        'SignedILIF'}
    assert kinds['head'] == 'LIFNode'
    with pytest.raises(UserError, match='no part "decodr"'):
        SpikerIR(stages={'decodr': {'type': 'relu'}})
