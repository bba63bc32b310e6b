"""Phase coding: digits by hand and by hypothesis, the same pictures as whole counts, fewer events."""
from __future__ import annotations

import itertools

import pytest
import torch
import yaml
from coded_networks import check_gradients, reports_of_equal_pictures
from hypothesis import given
from hypothesis import strategies as st

from basicsr_snn import zoo
from basicsr_snn.archs.esdnet_arch import ESDNet
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.spiking.neurons import build_neuron
from basicsr_snn.spiking.neurons.phase import PhaseIF, digits, largest_count, phase_form, phase_mean
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF

COUNTING = {'type': 'SpikerIR', 'size': 'tiny', 'neuron': {'type': 'SignedILIF', 'D': 16}, 'hidden': {'lowest': 0},
            'stages': {'head': {'type': 'SignedILIF', 'D': 32, 'threshold': 0.03}}}


def worth(told: torch.Tensor) -> torch.Tensor:
    powers = 2.0 ** torch.arange(len(told) - 1, -1, -1)
    return torch.tensordot(powers, told, 1)


def test_digits_by_hand():
    assert digits(torch.tensor([11.0, 0.0, 15.0]), 4, signed=False).T.tolist() == [[1, 0, 1, 1], [0] * 4, [1] * 4]
    assert digits(torch.tensor([7.0, -3.0, -10.0]), 4, signed=True).T.tolist() == \
        [[1, 0, 0, -1], [0, -1, 0, 1], [-1, 0, -1, 0]]


@given(steps=st.integers(1, 7), signed=st.booleans())
def test_digits_tell_every_count_up_to_the_largest_and_no_more(steps, signed):
    limit = largest_count(steps, signed)
    counts = torch.arange(-limit if signed else 0, limit + 1, dtype=torch.float32)
    told = digits(counts, steps, signed)
    assert torch.equal(worth(told), counts)
    assert set(told.unique().tolist()) <= {-1.0, 0.0, 1.0}
    assert not torch.equal(worth(digits(torch.tensor([limit + 1.0]), steps, signed)), torch.tensor([limit + 1.0]))


def test_no_signed_digits_are_fewer():
    counts = torch.arange(-10.0, 11.0)
    fewest = dict.fromkeys(counts.tolist(), 9)
    for spelling in itertools.product((-1, 0, 1), repeat=4):
        count = float(worth(torch.tensor(spelling, dtype=torch.float32)))
        if count in fewest:
            fewest[count] = min(fewest[count], sum(map(abs, spelling)))
    assert digits(counts, 4, signed=True).abs().sum(0).tolist() == list(fewest.values())


def test_neuron_follows_the_trace_computed_by_hand():
    layer = build_neuron({'type': 'PhaseIF', 'steps': 3, 'threshold': 0.5}, 1).eval()
    # potential doubles: 1.0 | 2.0 + 2.4 = 4.4 | 8.8 + 6.2 = 15; over 7: 2.142857; 4.29 thresholds: count 4 = 100
    assert layer(torch.tensor([1.0, 2.4, 6.2]).view(3, 1, 1, 1, 1)).flatten().tolist() == [1, 0, 0]
    assert layer.amplitude.item() == pytest.approx(0.5 * 7)  # told: 4 * 3.5 / 7 = 2.0 = 4 thresholds
    assert layer(torch.tensor([9.0, 9.0, 9.0]).view(3, 1, 1, 1, 1)).flatten().tolist() == [1, 1, 1]  # 18, cut at 7


def test_bias_current_lets_counts_from_zero_tell_negative_potentials():
    layer = PhaseIF(1, steps=4, threshold=0.1, bias=True).eval()
    with torch.no_grad():
        layer.bias.fill_(0.75)
    x = torch.tensor([-0.75, -0.32, 0.0, 0.31, 2.0]).view(1, 1, 1, 1, 5).expand(4, 1, 1, 1, 5)
    assert worth(layer(x)[:, 0, 0, 0]).tolist() == [0, 4, 8, 11, 15]
    counting = SignedILIF(1, D=15, lowest=0, threshold=0.1, bias=True)
    counting.load_state_dict(layer.state_dict())
    assert torch.equal(counting(x[:1])[0, 0, 0, 0], worth(layer(x)[:, 0, 0, 0]))


@pytest.mark.parametrize('lowest', [-5, 0])
def test_gradients_in_training_are_those_of_the_count(lowest):
    check_gradients(PhaseIF(2, 4, lowest, 5), SignedILIF(2, 5, lowest=lowest))


@pytest.mark.parametrize('fused', [False, True])
def test_weights_of_a_counting_student_give_the_same_picture_with_fewer_events(fused):
    torch.manual_seed(0)
    counting = zoo.build(COUNTING)
    phased = zoo.build(phase_form(COUNTING))
    phased.load_state_dict(counting.state_dict())
    assert (phased.T, phased.head.neuron.highest, phased.encoder[0][0].body[1].neuron.lowest) == (6, 32, 0)
    _, report = reports_of_equal_pictures(counting, phased, torch.rand(1, 3, 37, 50).double(), fused)
    assert (report.T, report.D) == (6, 1)


def test_training_mode_is_the_same_function_in_one_step():
    torch.manual_seed(0)
    net = SpikerIR(size='tiny', T=4, neuron={'type': 'PhaseIF', 'steps': 4, 'bias': True}).double()
    picture = torch.rand(2, 3, 24, 20).double()
    with torch.no_grad():
        trained = net.train()(picture)
        assert (net.eval()(picture) - trained).abs().max() < 1e-9
        assert (trained - picture).abs().max() > 1e-3


def test_a_whole_network_by_horners_scheme_written_anew():
    """One block of 1x1 convolutions, digit by digit in Python numbers."""
    net = SpikerIR(in_ch=1, channels=[1], blocks=[1], T=3, neuron={'type': 'PhaseIF', 'steps': 3}).double().eval()
    with torch.no_grad():
        for parameter in net.parameters():
            parameter.zero_()
        for conv, weight, bias in ((net.stem, 1.0, 0.02), (net.middle[0].body[0].conv, 0.7, 0.1),
                                   (net.middle[0].body[1].conv, 0.9, -0.05), (net.head.conv, 0.5, 0.01)):
            conv.weight[..., 1, 1], conv.bias[:] = weight, bias
        for layer in (net.middle[0].body[0], net.middle[0].body[1], net.head):
            layer.neuron.log_threshold.fill_(torch.tensor(0.13).log())

    def told(currents):
        potential = 0.0
        for current in currents:
            potential = 2 * potential + current
        count = min(max(round(potential / 7 / 0.13), 0), 7)
        return [count >> 2 & 1, count >> 1 & 1, count & 1]

    def conv(spikes, weight, bias):
        return [weight * 0.13 * 7 * spike + bias for spike in spikes]

    for given_value in (0.1, 0.44, 0.9):
        stream = [given_value + 0.02] * 3
        added = conv(told(conv(told(stream), 0.7, 0.1)), 0.9, -0.05)
        out = conv(told([a + b for a, b in zip(stream, added, strict=True)]), 0.5, 0.01)
        expected = given_value + (4 * out[0] + 2 * out[1] + out[2]) / 7
        picture = torch.full((1, 1, 1, 1), given_value, dtype=torch.float64)
        assert net(picture).item() == pytest.approx(expected, abs=1e-6)


def test_phase_mean_weighs_the_first_step_most():
    assert phase_mean(torch.tensor([[1.0], [2.0], [4.0]])).item() == pytest.approx((4 * 1 + 2 * 2 + 4) / 7)


def test_the_yaml_of_the_docstring_builds():
    options = yaml.safe_load(PhaseIF.__doc__.split('code-block:: yaml')[1])
    assert SpikerIR(size='tiny', **options).eval()(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 0}}, 'steps: 1 to 7'),
    ({'T': 4, 'neuron': {'type': 'PhaseIF', 'highest': 16}}, 'counts of at most 15'),
    ({'T': 4, 'neuron': {'type': 'PhaseIF', 'lowest': -11}}, 'counts of at most 10'),
    ({'T': 4, 'neuron': {'type': 'PhaseIF'}, 'stages': {'head': {'type': 'SignedILIF'}}}, 'beside SignedILIF'),
    ({'T': 3, 'neuron': {'type': 'PhaseIF'}}, 'write the same number twice'),
    ({'T': 4, 'neuron': {'type': 'PhaseIF'}, 'exit_tolerance': 0.01}, 'runs all steps at once'),
])
def test_mistakes_get_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        SpikerIR(size='tiny', **options).eval()(torch.rand(1, 3, 8, 8))


def test_steps_changed_on_a_built_network_are_refused():
    net = SpikerIR(size='tiny', T=4, neuron={'type': 'PhaseIF'}).eval()
    net.T = 3
    with pytest.raises(UserError, match='given 3 time steps'):
        net(torch.rand(1, 3, 8, 8))


def test_networks_that_weigh_steps_by_themselves_refuse_it():
    with pytest.raises(UserError, match='take another neuron'):
        ESDNet(dim=16, T=4, neuron={'type': 'PhaseIF'})
    with pytest.raises(UserError, match='T: 1 and SignedILIF'):
        phase_form({**COUNTING, 'T': 2})
    with pytest.raises(UserError, match='T: 1 and SignedILIF'):
        phase_form({**COUNTING, 'neuron': {'type': 'LIFNode'}})
