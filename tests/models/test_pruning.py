"""Pruning: steps by hand, the course of the sparsity, zeros in all that is kept, the teacher beside it."""
from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from trainings import batch, built, checkpoint, distilling, log_of, train, training

from basicsr_snn.errors import UserError
from basicsr_snn.models.pruning import Course, GradientRewiring, MagnitudePruning, Pruning, build_pruning

HALF = {'type': 'GradientRewiring', 'sparsity': 0.5, 'end_iter': 2}


def layer_of(*weights: float) -> nn.Linear:
    layer = nn.Linear(len(weights), 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([weights]))
    return layer


def take(pruning: Pruning, optimizer: torch.optim.Optimizer, layer: nn.Linear, gradient: list[float],
         iteration: int = 1) -> list[float]:
    """A step with this gradient; the weights after it."""
    layer.weight.grad = torch.tensor([gradient], dtype=torch.float32)
    with pruning.around_step(optimizer, iteration):
        optimizer.step()
    return [round(value, 6) for value in layer.weight[0].tolist()]


def test_a_connection_goes_and_comes_again_by_hand():
    layer = layer_of(0.5, -0.4, 0.3)
    pruning = GradientRewiring(layer, (), Course(0.4, 0, 1))  # one of three
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    assert take(pruning, optimizer, layer, [0, 0, 0]) == [0.2, -0.1, 0]            # all lose what the weakest has
    assert take(pruning, optimizer, layer, [0, 0, 2]) == [0.2, -0.1, 0]            # 0 - 0.2: no force is needed
    assert take(pruning, optimizer, layer, [0, 0, -1]) == [0.2, -0.1, 0]           # -0.2 + 0.1
    assert take(pruning, optimizer, layer, [0, 0, -4]) == [0.1, 0, 0.2]            # 0.3: the second is the weakest now
    assert take(pruning, optimizer, layer, [4, 0, 0]) == [0, 0, 0.2]               # 0.1 - 0.4 is not -0.3
    assert pruning.zeros == pytest.approx(2 / 3)


def test_with_a_penalty_strengths_move_as_the_paper_says():
    torch.manual_seed(0)
    layer, rate, penalty, sparsity = layer_of(*torch.randn(20).tolist()), 0.05, 0.5, 0.8
    pruning = GradientRewiring(layer, (), Course(sparsity, 0, 1), penalty)
    optimizer = torch.optim.AdamW(layer.parameters(), lr=rate, weight_decay=0)
    sign = layer.weight.detach().sign()
    hidden = nn.Parameter(layer.weight.detach().clone())  # sign * strength, moved by the gradient at the pruned weights
    reference = torch.optim.AdamW([hidden], lr=rate, weight_decay=0)
    for step in range(1, 30):
        gradient = torch.randn(1, 20)
        hidden.grad = gradient
        reference.step()
        with torch.no_grad():
            strength = hidden * sign
            hidden.sub_(rate * penalty * sign * (strength - math.log(2 - 2 * sparsity) / penalty).sign())
        take(pruning, optimizer, layer, gradient[0].tolist(), step)
        torch.testing.assert_close(layer.weight.detach(), (hidden * sign).clamp_min(0).detach() * sign)
    assert 0.2 < pruning.zeros < 1


def test_the_smallest_weights_go_for_good():
    layer = layer_of(0.5, -0.4, 0.3, -0.1)
    pruning = MagnitudePruning(layer, (), Course(0.5, 0, 2))
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1, momentum=0.9)
    assert take(pruning, optimizer, layer, [0, 0, 0, 0], 1) == [0.5, -0.4, 0, 0]  # 0.4375 of four
    assert take(pruning, optimizer, layer, [0, 0, -9, 0], 2) == [0.5, -0.4, 0, 0]
    assert take(pruning, optimizer, layer, [0, 0, 0, 0], 3) == [0.5, -0.4, 0, 0]


def test_a_weight_that_begins_as_zero_may_grow():
    layer = layer_of(0.5, 0.0)
    optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
    assert take(GradientRewiring(layer, (), Course(0.1, 0, 9)), optimizer, layer, [0, -1]) == [0.5, 0.1]


def test_the_sparsity_rises_steeply_first_and_is_kept():
    course = Course(0.8, 100, 300)
    assert [course.at(step) for step in (1, 100, 200, 300, 900)] == pytest.approx([0, 0, 0.7, 0.8, 0.8])


@pytest.mark.parametrize('kind', ['GradientRewiring', 'MagnitudePruning'])
def test_what_is_saved_has_its_zeros_in_each_layer_but_those_that_are_kept(work, kind):
    options = training(network_g={'type': 'SpikerIR', 'channels': [8, 8], 'blocks': [1, 1]})
    options['train']['pruning'] = {**HALF, 'type': kind, 'end_iter': 3, 'keep': ['stem', 'head']}
    train(options)
    weights = checkpoint('tiny', 'net_g_4.pth')
    for entry in ('params', 'params_ema'):
        for name, tensor in weights[entry].items():
            zeros = float((tensor == 0).float().mean())
            if name.startswith(('stem', 'head')) or tensor.dim() < 4:
                assert zeros == 0 or tensor.dim() < 4
            else:
                assert 0.5 - 1 / tensor.numel() <= zeros < 0.56
    log = log_of('tiny')
    assert 'sparsity: 4.' in log
    assert 'SynOps of weights that are not 0: ' in log


def test_a_pruned_student_under_a_teacher(work):
    model = built(distilling() | {'train': {**training()['train'], 'pruning': HALF}})
    for iteration in (1, 2):
        model.feed_data(batch())
        model.optimize_parameters(iteration)
    assert model.pruning.zeros >= 0.49
    assert {'l_hint_dec', 'l_kd'} <= model.loss_terms.keys()
    assert all((weight != 0).all() for net in model.teaching.trained.values() for weight in net.parameters()
               if weight.dim() > 1)  # adapters are not pruned


def test_every_optimiser_begins_as_ever(work):
    for kind in ('Adagrad', 'ASGD', 'NAdam', 'RMSprop', 'Rprop', 'SGD'):
        options = training()
        options['train'].update(pruning=HALF, optim_g={'type': kind, 'lr': 0.01}, ema_decay=0)
        model = built(options)
        model.feed_data(batch())
        model.optimize_parameters(2)
        assert model.pruning.zeros >= 0.49


@pytest.mark.parametrize(('options', 'sentence'), [
    ({**HALF, 'keep': ['stam']}, 'keep names "stam", which the network does not have; did you mean stem'),
    ({**HALF, 'keep': ['stem', 'encoder', 'down', 'middle', 'up', 'decoder', 'head']}, 'leaves nothing to prune'),
    ({**HALF, 'end_iter': 5}, 'end_iter: 5 in a training of 4 iterations; write end_iter: 2'),
    ({**HALF, 'end_iter': None}, 'end_iter: none in a training'),
    ({**HALF, 'start_iter': 3}, 'start_iter: 3 and end_iter: 2'),
    ({**HALF, 'penalty': 0.1}, 'follows no course'),
    ({'type': 'GradientRewiring', 'sparsity': 0.4, 'penalty': 0.1}, 'a sparsity of at least 0.5'),
    ({'type': 'MagnitudePruning', 'sparsity': 0.8, 'penalty': 0.1}, 'constant force of GradientRewiring'),
])
def test_mistakes_get_one_sentence(options, sentence):
    from basicsr_snn.archs.spikerir_arch import SpikerIR

    with pytest.raises(UserError, match=sentence):
        build_pruning(options, SpikerIR(size='tiny'), 4)
