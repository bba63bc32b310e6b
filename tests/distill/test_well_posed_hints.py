"""Hints posed anew: adapters that lose nothing and begin well, weights relative to the truth, teachers now and then."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F
from trainings import batch, built, distilling

from basicsr_snn.distill.adapters import Adapter, AdapterForm, Adapters, Meeting
from basicsr_snn.distill.alignment import Alignment
from basicsr_snn.distill.least_squares import explained, linear_map
from basicsr_snn.errors import UserError
from basicsr_snn.models.ann_snn_distill_model import ANNSNNDistillModel

ALL = {'resize': 'unshuffle', 'picture': True, 'unit': True, 'fit': True}
HINT = {'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0', 'weight': 0.5}


def distilled(*hints: dict, **distill) -> ANNSNNDistillModel:
    options = distilling()
    options['distill'] = {'teacher': options['distill']['teacher'], 'hints': list(hints), **distill}
    model = built(options)
    model.feed_data(batch())
    return model


def test_the_linear_map_is_that_of_numpy():
    rng = np.random.default_rng(0)
    values, wanted = rng.normal(3, 2, (500, 4)), rng.normal(size=(500, 2))
    wanted[:, 0] += values @ [1, -2, 0.5, 0]
    weights, bias = linear_map(torch.from_numpy(values), torch.from_numpy(wanted))
    expected = np.linalg.lstsq(np.c_[values, np.ones(500)], wanted, rcond=None)[0]
    assert np.allclose(np.r_[weights.numpy(), bias.numpy()[None]], expected, atol=5e-3)
    found = explained(torch.from_numpy(values) @ weights + bias, torch.from_numpy(wanted))
    errors = wanted - np.c_[values, np.ones(500)] @ expected
    assert found == pytest.approx(1 - (errors.var(0) / wanted.var(0)).mean(), abs=1e-3)


def test_nothing_is_explained_of_what_never_changes():
    assert explained(torch.randn(9, 2), torch.ones(9, 2)) == 0.0


@pytest.mark.parametrize(('student', 'teacher'), [((3, 8), (5, 4)), ((3, 4), (5, 8)), ((3, 4), (5, 4))])
def test_pixels_become_channels_on_the_coarser_grid(student, teacher):
    form = AdapterForm(resize='unshuffle', picture=True)
    adapter = Meeting(student, teacher, (3, 8)).adapter(form)
    feature, picture = torch.randn(2, student[0], student[1], student[1]), torch.randn(2, 3, 8, 8)
    grid = min(student[1], teacher[1])
    read = torch.cat([F.pixel_unshuffle(one, one.shape[-1] // grid) for one in (feature, picture)], 1)
    expected = F.pixel_shuffle(adapter.project(read), teacher[1] // grid)
    assert torch.equal(adapter(feature, (teacher[1], teacher[1]), picture), expected)


def test_an_adapter_begins_as_the_best_linear_map_of_the_first_batch_in_units_of_the_teacher():
    torch.manual_seed(0)
    mixing = nn.Conv2d(3 * 4 + 3 * 4, 5, 1)
    feature, picture = torch.randn(4, 3, 16, 16), torch.rand(4, 3, 16, 16)
    with torch.no_grad():
        teacher = 50 * mixing(torch.cat([F.pixel_unshuffle(one, 2) for one in (feature, picture)], 1)) + 7
    adapters = Adapters({'dec': Meeting((3, 16), (5, 8), (3, 16)).adapter(AdapterForm(**ALL))}, {'dec': 'mean'})
    mine, theirs = adapters({'dec': feature}, {'dec': teacher}, {'dec': picture})['dec']
    assert torch.allclose(theirs.mean((0, 2, 3)), torch.zeros(5), atol=1e-4)
    assert torch.allclose(theirs.var((0, 2, 3), correction=0), torch.ones(5), atol=1e-3)
    assert (mine - theirs).square().mean() < 1e-4
    before = {name: value.clone() for name, value in adapters.state_dict().items()}
    adapters({'dec': -feature}, {'dec': 3 * teacher}, {'dec': picture})
    assert all(torch.equal(before[name], value) for name, value in adapters.state_dict().items())


def test_an_adapter_that_goes_on_is_not_fitted_anew():
    adapter = Meeting((3, 8), (5, 4), (3, 8)).adapter(AdapterForm(**ALL))
    adapter.fitted.fill_(True)
    before = adapter.project.weight.clone()
    adapter.read_first_batch(torch.randn(2, 3, 8, 8), torch.randn(2, 5, 4, 4), torch.rand(2, 3, 8, 8))
    assert torch.equal(adapter.project.weight, before)


def test_a_channel_that_never_changes_stays_finite():
    adapter = Meeting((3, 8), (5, 8), (3, 8)).adapter(AdapterForm(unit=True, fit=True))
    teacher = torch.randn(2, 5, 8, 8)
    teacher[:, 1] = 4.0
    adapter.read_first_batch(torch.zeros(2, 3, 8, 8), teacher)
    assert torch.isfinite(adapter.target(teacher)).all()
    assert torch.isfinite(adapter.project.weight).all()


@pytest.mark.parametrize(('meeting', 'form', 'sentence'), [
    (Meeting((3, 9), (5, 4), (3, 9)), {'resize': 'unshuffle'}, 'maps of 9 and 4 cells, .* write resize: pool'),
    (Meeting((3, 8), (None, 8), (3, 8)), {'fit': True}, 'compares no channels; take them out'),
])
def test_forms_that_do_not_fit_are_refused(meeting, form, sentence):
    with pytest.raises(UserError, match=sentence):
        meeting.adapter(AdapterForm(**form))


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'adapter': {'resize': 'crop'}}, 'resize: crop; write one of pool, unshuffle'),
    ({'of': 'truth'}, 'clean pictures have no modules; write teacher: picture or teacher: residual'),
    ({'of': 'thruth', 'teacher': 'picture'}, 'is not there; did you mean truth'),
    ({'adapter': {'fit': True}, 'loss': {'type': 'FeatureHintLoss', 'criterion': 'attention'}}, 'Hint "dec": picture'),
])
def test_hints_that_cannot_be_are_refused(work, changes, sentence):
    with pytest.raises(UserError, match=sentence):
        distilled({**HINT, **changes})


def test_a_tail_goes_on_in_the_scale_of_its_teacher(work):
    with pytest.raises(UserError, match='unit: true, but the teacher goes on from a feature of its own scale'):
        distilled(tails=[{**HINT, 'adapter': {'unit': True}}])
    model = distilled(tails=[{**HINT, 'adapter': {'fit': True, 'picture': True}}])
    assert torch.isfinite(model.compute_losses(model.batch, 1)['l_tail_dec'])


def test_the_picture_that_both_maps_show_is_cut_alike():
    from fractions import Fraction

    picture = torch.zeros(1, 3, 50, 50)
    alignment = Alignment(Fraction(1), Fraction(8))
    assert alignment.cut_picture(picture).shape[-1] == 48
    assert alignment.cut_student(picture, picture).shape[-1] == 48
    assert Alignment(None, None).cut_picture(picture).shape[-1] == 50


@pytest.mark.parametrize('path', ['picture', 'residual'])
@pytest.mark.parametrize('of', ['teacher', 'truth'])
def test_pictures_in_the_place_of_a_module(work, of, path):
    model = distilled({**HINT, 'of': of, 'teacher': path})
    term = model.compute_losses(model.batch, 1)['l_hint_dec']
    with model.teaching.watch(model.net_g) as hooks:
        model.net_g(model.lq)
    shown = model.gt if of == 'truth' else model.teaching.teachers['teacher'](model.lq)
    shown = shown if path == 'picture' else model.lq - shown
    projected = model.teaching.adapters.adapters['dec'].project(hooks.features['decoder.0'].mean(0))
    assert term.item() == pytest.approx(0.5 * (projected - shown).square().mean().item(), rel=1e-4)


def test_a_module_of_that_name_goes_before_the_picture(work, monkeypatch):
    from basicsr_snn.distill.taught_pictures import is_picture

    net = nn.Sequential()
    assert is_picture('residual', net)
    net.add_module('residual', nn.Identity())
    assert not is_picture('residual', net)
    assert is_picture('residual', None)


@pytest.mark.parametrize('scale', [1.0, 1000.0])
def test_a_relative_weight_is_the_share_of_the_truths_gradient_at_the_feature(work, scale):
    loss = {'type': 'FeatureHintLoss', 'loss_weight': scale}
    model = distilled({**HINT, 'relative': True, 'loss': loss})
    with model.teaching.watch(model.net_g) as hooks:
        terms = model.compute_losses(model.batch, 1)
    feature = hooks.features['decoder.0']
    own = terms['l_pix'] + terms['l_fft']
    of_truth, of_hint = (torch.autograd.grad(term, feature, retain_graph=True)[0].norm()
                         for term in (own, terms['l_hint_dec']))
    assert of_hint.item() == pytest.approx(0.5 * of_truth.item(), rel=1e-3)


def test_a_hint_without_gradient_stays_silent(work):
    model = distilled({**HINT, 'relative': True, 'loss': {'type': 'FeatureHintLoss', 'loss_weight': 0.0}})
    assert model.compute_losses(model.batch, 1)['l_hint_dec'] == 0


def test_the_teacher_teaches_at_every_other_step_only(work, monkeypatch):
    model = distilled(HINT, every=2)
    asked = []
    monkeypatch.setattr(model.teaching, '_run_teachers', lambda batch, run=model.teaching._run_teachers: (
        asked.append(model.divergence.latest), run(batch))[1])
    seen = []
    for iteration in range(1, 5):
        model.optimize_parameters(iteration)
        seen.append('l_hint_dec' in model.loss_terms)
    assert (asked, seen) == ([2, 4], [False, True, False, True])


def test_adapters_learn_at_a_rate_of_their_own(work):
    model = distilled(HINT, adapter_lr=0.25)
    rates = {id(p): group['lr'] for group in model.optimizer_g.param_groups for p in group['params']}
    assert {rates[id(p)] for p in model.teaching.adapters.parameters()} == {0.25}
    assert {rates[id(p)] for p in model.net_g.parameters()} == {0.01}
    model.update_learning_rate(1, warmup_iter=2)
    rates = [group['lr'] for group in model.optimizer_g.param_groups]
    assert rates[-1] / rates[0] == pytest.approx(25)  # warm-up and schedule are those of the student


def test_a_twin_that_trains_along_teaches_at_every_step(work):
    options = distilling()
    options['distill'] = {'teacher': {'network': options['network_g'], 'trainable': True}, 'every': 2,
                          'output': {'type': 'MSELoss'}}
    with pytest.raises(UserError, match='learns at every step and has no adapters; take every and adapter_lr out'):
        built(options)


def test_what_is_kept_of_a_layer_is_what_later_layers_read():
    from basicsr_snn.distill.feature_hooks import FeatureHooks

    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.ReLU(inplace=True))
    with FeatureHooks(net, ['0']) as hooks:
        answer = net(torch.randn(1, 3, 4, 4))
    assert (hooks.features['0'] < 0).any()
    gradient, = torch.autograd.grad(answer.sum(), hooks.features['0'])
    assert torch.equal(gradient, (hooks.features['0'] > 0).float())


def test_an_adapter_of_averages_has_the_parameters_that_it_always_had():
    assert list(Adapter(3, 5).state_dict()) == ['project.weight', 'project.bias']
