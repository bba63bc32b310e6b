"""``train: cuda_graph``: the step that a GPU replays is the plain step; what it keeps, any training goes on with."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
from interruption import forget_after
from trainings import batch, built, checkpoint, distilling, repeating, train, training

from basicsr_snn.errors import UserError
from basicsr_snn.models import replayed_step
from basicsr_snn.models.replayed_step import ReplayedStep
from basicsr_snn.models.snn_model import SNNModel

PLAIN, GRAPH = False, True


@pytest.fixture
def replaying(monkeypatch):
    """Let trainings on the CPU take the path of ``cuda_graph``, which captures nothing there."""
    monkeypatch.setattr(SNNModel, 'reason_against_replaying', lambda self: '')


def options_with(graph: bool, options=training, **train_options):
    settings = options()
    settings['train'].update(train_options, cuda_graph=graph)
    settings['logger']['print_freq'] = 3  # that step is counted, and runs plainly
    settings['network_g'].pop('norm')  # before it biases have no gradient but rounding, of which Adam makes whole steps
    return settings


def model_of(settings):
    torch.manual_seed(0)
    return built(settings)


RATE = {'type': 'SpikeRateLoss', 'target': 1.0}


@pytest.mark.parametrize(('options', 'more'), [(training, {}), (training, {'micro_batches': 2}),
                                               (training, {'rate_opt': RATE, 'warmup_iter': 3}), (distilling, {})])
def test_steps_are_the_plain_ones(work, replaying, options, more):
    models = [model_of(options_with(graph, options, **more)) for graph in (PLAIN, GRAPH)]
    for iteration in range(1, 6):
        for model in models:
            model.update_learning_rate(iteration, warmup_iter=more.get('warmup_iter', -1))
            model.feed_data(batch(16))
            model.optimize_parameters(iteration)
        plain, graph = (model.get_current_log() for model in models)
        assert [graph[key] for key in plain if key.startswith('l_')] == pytest.approx(
            [plain[key] for key in plain if key.startswith('l_')], rel=1e-4)
        assert models[1].get_current_learning_rate() == pytest.approx(models[0].get_current_learning_rate())
    assert isinstance(models[1].replayed, ReplayedStep)
    for net in ('net_g', 'net_g_ema'):
        for one, other in zip(*(getattr(model, net).parameters() for model in models), strict=True):
            torch.testing.assert_close(other, one, rtol=1e-3, atol=1e-5)


def test_what_is_saved_goes_on_with_and_without(work, replaying):
    train(repeating(options_with(GRAPH) | {'name': 'run'}, 2))
    group = torch.load('experiments/run/training_states/2.state')['optimizers'][0]['param_groups'][0]
    assert isinstance(group['lr'], float)
    assert group['capturable'] is False
    ends = []
    for graph in (PLAIN, GRAPH):
        forget_after(Path('experiments/run'), 2)
        train(repeating(options_with(graph) | {'name': 'run'}, 4), '--auto_resume')
        ends.append(checkpoint('run', 'net_g_4.pth')['params'])
    for name, tensor in ends[0].items():
        torch.testing.assert_close(ends[1][name], tensor, rtol=1e-3, atol=1e-5)


def test_a_step_that_breaks_is_told(work, replaying):
    model = model_of(options_with(GRAPH))
    data = batch(16)
    data['lq'] = torch.full_like(data['lq'], torch.nan)
    model.feed_data(data)
    model.optimize_parameters(1)
    with pytest.raises(UserError, match='not finite any more at iteration 1'):
        model.get_current_log()


def test_where_it_has_no_effect_the_log_says_why(work, caplog):
    model_of(options_with(GRAPH))
    assert 'train: cuda_graph has no effect: there is no GPU.' in caplog.text


@pytest.mark.parametrize(('changes', 'reason'), [
    ({'optim_g': {'type': 'SGD', 'lr': 0.1}}, 'SGD reads its state on the host'),
    ({'tandem': {'every': 2, 'groups': 2}}, 'tandem changes the network on the way')])
def test_what_cannot_be_captured(work, changes, reason):
    settings = options_with(PLAIN, **changes)
    model = model_of(settings)
    model.device = torch.device('cuda')
    assert reason in model.reason_against_replaying()


def test_a_falling_weight_of_hints_is_not_captured(work):
    settings = options_with(PLAIN, distilling)
    settings['distill']['schedule'] = {'type': 'linear', 'end_iter': 10}
    assert 'what the teacher weighs changes' in model_of(settings).reason_against_replaying()


def test_an_average_moves_as_with_lerp():
    net, average = torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)
    expected = [torch.lerp(one, other, 0.25) for one, other in zip(average.parameters(), net.parameters(), strict=True)]
    replayed_step.move_average(average, net, torch.tensor(0.75))
    for one, other in zip(average.parameters(), expected, strict=True):
        torch.testing.assert_close(one, other)
