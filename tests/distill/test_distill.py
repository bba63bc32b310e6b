"""Feature hooks, adapters, schedules and their sentences."""
from __future__ import annotations

import math

import pytest
import torch
from torch import nn

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.data.batch import Batch
from basicsr_snn.distill.adapters import Adapter, Adapters, check_time, reduce_time
from basicsr_snn.distill.feature_hooks import FeatureHooks, feature_shapes, find_module, format_shape, shape_of_hint
from basicsr_snn.distill.frozen_teachers import FrozenTeachers
from basicsr_snn.distill.hints import build_hint
from basicsr_snn.distill.schedules import build_schedule
from basicsr_snn.distill.teaching import Lesson
from basicsr_snn.errors import UserError

TEACHER = {'network': {'type': 'DnCNN', 'in_nc': 3, 'out_nc': 3, 'nc': 8, 'nb': 3}}


def teacher_options(tmp_path) -> dict:
    from basicsr.archs import build_network

    torch.manual_seed(5)
    torch.save(build_network(dict(TEACHER['network'])).state_dict(), tmp_path / 'teacher.pth')
    return {**TEACHER, 'path': str(tmp_path / 'teacher.pth')}


def no_image_losses(restored):
    return {}


def distillation(tmp_path, student, **options) -> FrozenTeachers:
    hints = [{'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 0.5}]
    options = {'teacher': teacher_options(tmp_path), 'hints': hints, **options}
    return FrozenTeachers(options, student, 3, torch.device('cpu'))


def test_hooks_keep_what_the_modules_put_out_and_are_gone_afterwards():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    x = torch.randn(1, 3, 8, 8)
    with FeatureHooks(net, ['0', '1']) as hooks:
        net(x)
    assert torch.equal(hooks.features['0'], net[0](x))
    assert torch.equal(hooks.features['1'], net[1](net[0](x)))
    assert all(not module._forward_hooks for module in net.modules())


def test_hooks_are_removed_after_an_error():
    net = nn.Sequential(nn.Conv2d(3, 4, 3))
    with pytest.raises(RuntimeError), FeatureHooks(net, ['0']):
        net(torch.randn(1, 2, 8, 8))
    assert not net[0]._forward_hooks


def test_hooks_may_end_the_forward_when_all_have_run():
    net = nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Conv2d(4, 5, 3))
    x = torch.randn(1, 3, 8, 8)
    ran = []
    net[2].register_forward_hook(lambda *_: ran.append('last'))
    with FeatureHooks(net, ['1', '0'], stop=True) as hooks:
        net(x)
        ran.append('never reached')
    assert ran == []
    assert torch.equal(hooks.features['1'], net[1](net[0](x)))
    assert not net[0]._forward_hooks


def test_teacher_runs_only_as_deep_as_its_last_hint(tmp_path):
    student = SpikerIR(size='tiny')
    picture = torch.rand(1, 3, 16, 16)
    depths = {}
    for name, options in (('hints', {}), ('output too', {'output': {'type': 'L1Loss'}})):
        distill = distillation(tmp_path, student, **options)
        layers = []
        for module in distill.teachers['teacher'].model:
            module.register_forward_hook(lambda *_, layers=layers: layers.append(1))
        with distill.watch(student) as hooks:
            output = student(picture)
        terms = distill.losses(Lesson(Batch(picture), output, hooks.features, 1, no_image_losses))
        depths[name] = len(layers)
        assert ('l_kd' in terms) == bool(options)
    assert depths == {'hints': 3, 'output too': 5}


def test_wrong_paths_list_the_nearest_with_shapes():
    student = SpikerIR(size='tiny', T=2)
    with pytest.raises(UserError, match=r'"decodr.0" does not exist.*decoder\.0'):
        find_module(student, 'decodr.0')
    with pytest.raises(UserError, match='is a list of modules'):
        find_module(student, 'decoder')
    shapes = feature_shapes(student, torch.zeros(1, 3, 32, 32))
    assert student.training
    assert shapes['decoder.0'] == (2, 1, 12, 32, 32)
    assert format_shape(shapes['decoder.0']) == '2x(12x32x32)'
    with pytest.raises(UserError, match=r'"decoder\.1" does not exist or does not run in the student.*'
                                        r'decoder\.0 2x\(12x32x32\)'):
        shape_of_hint(shapes, 'decoder.1', 'student SpikerIR')


def test_time_reductions():
    feature = torch.arange(2 * 3 * 1 * 1 * 1.0).view(2, 3, 1, 1, 1)
    assert reduce_time(feature, 'mean', 3).flatten().tolist() == [1.5, 2.5, 3.5]
    assert reduce_time(feature, 'last', 3).flatten().tolist() == [3, 4, 5]
    assert reduce_time(feature, 'all', 3).flatten().tolist() == [0, 1, 2, 3, 4, 5]
    folded = feature.flatten(0, 1)
    assert reduce_time(folded, 'mean', 3).flatten().tolist() == [1.5, 2.5, 3.5]
    assert reduce_time(folded, 'mean', 6) is folded
    with pytest.raises(UserError, match='write one of mean, last, all'):
        check_time('sum', 'dec')


@pytest.mark.parametrize(('size', 'target'), [((8, 8), (4, 4)), ((4, 4), (8, 8)), ((6, 6), (6, 6))])
def test_adapter_is_the_projection_and_the_resize(size, target):
    adapter = Adapter(3, 5)
    feature = torch.randn(2, 3, *size)
    mode = {'mode': 'area'} if size > target else {'mode': 'bilinear', 'align_corners': False}
    expected = adapter.project(nn.functional.interpolate(feature, size=target, **mode))
    assert torch.allclose(adapter(feature, target), expected, atol=1e-5)  # a 1x1 convolution commutes with a resize


def test_adapters_pair_every_step_with_the_teacher():
    adapters = Adapters({'dec': Adapter(3, 5)}, {'dec': 'all'})
    teacher = torch.randn(2, 5, 4, 4)
    student, target = adapters({'dec': torch.randn(3, 2, 3, 8, 8)}, {'dec': teacher})['dec']
    assert student.shape == (6, 5, 4, 4)
    assert torch.equal(target, torch.cat([teacher] * 3))


def test_schedules_against_their_formulas():
    assert build_schedule(None)(123) == 1.0
    cosine = build_schedule({'type': 'cosine', 'end_iter': 100, 'end_weight': 0.2})
    assert cosine(25) == pytest.approx(0.2 + 0.8 * 0.5 * (1 + math.cos(math.pi / 4)))
    assert (cosine(0), cosine(100), cosine(500)) == (1.0, pytest.approx(0.2), pytest.approx(0.2))
    assert build_schedule({'type': 'linear', 'end_iter': 10})(4) == pytest.approx(0.6)
    step = build_schedule({'type': 'step', 'end_iter': 10})
    assert (step(9), step(10)) == (1.0, 0.0)
    with pytest.raises(UserError, match='did you mean cosine'):
        build_schedule({'type': 'cosin', 'end_iter': 3})
    with pytest.raises(UserError, match='end_iter: None'):
        build_schedule({'type': 'linear'})


@pytest.mark.parametrize('time', ['mean', 'last', 'all'])
@pytest.mark.parametrize('steps', [1, 3])
def test_loss_terms_equal_the_formula(tmp_path, time, steps):
    torch.manual_seed(0)
    student = SpikerIR(size='tiny', T=steps, neuron={'type': 'LIFNode'})
    hints = [{'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 0.5, 'time': time}]
    distill = distillation(tmp_path, student, hints=hints, output={'type': 'L1Loss', 'loss_weight': 0.25},
                           schedule={'type': 'linear', 'end_iter': 10})
    picture = torch.rand(2, 3, 12, 12)
    with distill.watch(student) as hooks:
        output = student(picture)
    terms = distill.losses(Lesson(Batch(picture), output, hooks.features, 4, no_image_losses))
    feature = hooks.features['decoder.0']
    teacher_feature = distill.teachers['teacher'].model[:3](picture)
    project = distill.adapters.adapters['dec'].project
    steps_to_match = {'mean': [feature.mean(0)], 'last': [feature[-1]], 'all': list(feature)}[time]
    distance = sum((project(f) - teacher_feature).square().mean() for f in steps_to_match) / len(steps_to_match)
    assert terms['l_hint_dec'].item() == pytest.approx(0.6 * 0.5 * distance.item(), rel=1e-4)
    distance = (output - distill.teachers['teacher'](picture)).abs().mean()
    assert terms['l_kd'].item() == pytest.approx(0.25 * distance.item(), rel=1e-4)


def test_teacher_is_frozen_and_student_and_adapter_learn(tmp_path):
    student = SpikerIR(size='tiny')
    distill = distillation(tmp_path, student)
    picture = torch.rand(2, 3, 16, 16)
    with distill.watch(student) as hooks:
        output = student(picture)
    terms = distill.losses(Lesson(Batch(picture), output, hooks.features, 1, no_image_losses))
    terms['l_hint_dec'].backward()
    assert all(p.grad is None and not p.requires_grad for p in distill.teachers['teacher'].parameters())
    assert student.stem.weight.grad.abs().sum() > 0
    assert distill.adapters.adapters['dec'].project.weight.grad.abs().sum() > 0


def test_several_hints_and_attention_without_projection(tmp_path):
    student = SpikerIR(size='tiny')
    hints = [{'name': 'mid', 'teacher': 'model.1', 'student': 'middle', 'loss': {'type': 'FeatureHintLoss',
                                                                                'criterion': 'attention'}},
             {'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0.0.body.1'}]
    distill = distillation(tmp_path, student, hints=hints)
    assert isinstance(distill.adapters.adapters['mid'].project, nn.Identity)
    picture = torch.rand(2, 3, 16, 16)
    with distill.watch(student) as hooks:
        output = student(picture)
    terms = distill.losses(Lesson(Batch(picture), output, hooks.features, 1, no_image_losses))
    assert list(terms) == ['l_hint_mid', 'l_hint_dec']
    assert all(torch.isfinite(term) and term > 0 for term in terms.values())


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'hints': []}, 'no hints, no tails and no output'),
    ({'hints': [{'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.9'}]}, r'"decoder.9" .* nearest paths with'),
    ({'hints': [{'name': 'dec', 'teacher': 'modl.2', 'student': 'decoder.0'}]}, r'teacher DnCNN; .*model.2 8x32x32'),
    ({'hints': [{'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0'}] * 2}, 'names of their own'),
])
def test_mistakes_get_one_sentence(tmp_path, options, sentence):
    with pytest.raises(UserError, match=sentence):
        distillation(tmp_path, SpikerIR(size='tiny'), **options)


def test_teacher_of_other_channels_and_unusable_hint_names(tmp_path):
    options = {'teacher': teacher_options(tmp_path), 'output': {'type': 'L1Loss'}}
    with pytest.raises(UserError, match='teacher DnCNN cannot read pictures of 1 channels .*for in_ch: 1'):
        FrozenTeachers(options, SpikerIR(in_ch=1, size='tiny'), 1, torch.device('cpu'))
    with pytest.raises(UserError, match='holds a dot; write a plain word, such as dec_0'):
        build_hint({'name': 'dec.0', 'teacher': 'model.2', 'student': 'decoder.0'}, ['teacher'])


def test_a_hint_name_that_torch_uses_itself():
    with pytest.raises(UserError, match='"half" is taken by torch; write another, such as half_feature'):
        build_hint({'name': 'half', 'teacher': 'model.2', 'student': 'decoder.0'}, ['teacher'])


def test_incomplete_hint_and_untrained_teacher():
    with pytest.raises(UserError, match='lacks teacher, student'):
        build_hint({'name': 'dec'}, ['teacher'])
    with pytest.raises(UserError, match='an untrained teacher teaches nothing'):
        FrozenTeachers({'teacher': TEACHER, 'hints': []}, SpikerIR(size='tiny'), 3, torch.device('cpu'))
