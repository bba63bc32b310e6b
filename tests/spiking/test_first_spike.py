"""Times to first spikes: spikes by hand, the same pictures as whole counts, a spike for each count that is not 0."""
from __future__ import annotations

import pytest
import torch
import yaml
from coded_networks import check_gradients, reports_of_equal_pictures
from hypothesis import given
from hypothesis import strategies as st
from trainings import batch, built, distilling, training

from basicsr_snn import zoo
from basicsr_snn.archs.esdnet_arch import ESDNet
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.spiking.neurons import build_neuron, neurons_in
from basicsr_snn.spiking.neurons.coded_counts import count_form
from basicsr_snn.spiking.neurons.first_spike import FirstSpikeIF, ramp_mean, ttfs_form
from basicsr_snn.spiking.neurons.phase import phase_form
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF
from basicsr_snn.zoo.same_network import differences

COUNTING = {'type': 'SpikerIR', 'size': 'tiny', 'neuron': {'type': 'SignedILIF', 'D': 8}, 'hidden': {'lowest': 0},
            'stages': {'head': {'type': 'SignedILIF', 'D': 16, 'threshold': 0.03}}}


def test_the_spike_comes_the_earlier_the_larger_the_count():
    told = FirstSpikeIF(1, steps=4, lowest=-4).tell(torch.tensor([4.0, -3.0, 1.0, 0.0]))
    assert told.T.tolist() == [[1, 0, 0, 0], [0, -1, 0, 0], [0, 0, 0, 1], [0, 0, 0, 0]]


@given(steps=st.integers(1, 64), signed=st.booleans())
def test_every_count_is_told_by_one_spike_at_most(steps, signed):
    counts = torch.arange(-steps if signed else 0, steps + 1, dtype=torch.float32)
    told = FirstSpikeIF(1, steps, -steps if signed else 0).tell(counts)
    torch.testing.assert_close(ramp_mean(told) * FirstSpikeIF.total_worth(steps), counts)
    assert torch.equal(told.abs().sum(0), (counts != 0).float())


def test_neuron_follows_the_trace_computed_by_hand():
    layer = build_neuron({'type': 'FirstSpikeIF', 'steps': 3, 'threshold': 0.5}, 1).eval()
    # current 1.0 | 3.4 | 0.4; potential 1.0 | 4.4 | 4.8; over 3 + 2 + 1: 0.8; 1.6 thresholds: count 2, the second step
    assert layer(torch.tensor([1.0, 2.4, -3.0]).view(3, 1, 1, 1, 1)).flatten().tolist() == [0, 1, 0]
    assert layer.amplitude.item() == pytest.approx(0.5 * 6)  # told: (2 * 3.0) / 6 = 1.0 = 2 thresholds
    assert layer(torch.full((3, 1, 1, 1, 1), 9.0)).flatten().tolist() == [1, 0, 0]  # 18, cut at 3


@pytest.mark.parametrize('fused', [False, True])
def test_weights_of_a_counting_student_give_the_same_picture_with_a_spike_a_count(fused):
    torch.manual_seed(0)
    counting, timed = zoo.build(COUNTING), zoo.build(ttfs_form(COUNTING))
    timed.load_state_dict(counting.state_dict())
    assert (timed.T, timed.head.neuron.highest, timed.encoder[0][0].body[1].neuron.lowest) == (16, 16, 0)
    counted, report = reports_of_equal_pictures(counting, timed, torch.rand(1, 3, 21, 18).double(), fused)
    told = sum(neuron.active for neuron in counted.neurons)
    assert report.events == told < counted.events
    assert (report.T, report.D, report.largest) == (16, 1, 16)
    assert report.float_layers == counted.float_layers == ('stem',)


@pytest.mark.parametrize('lowest', [-5, 0])
def test_gradients_in_training_are_those_of_the_count(lowest):
    check_gradients(FirstSpikeIF(2, 5, lowest, 5), SignedILIF(2, 5, lowest=lowest))


def test_forms_lead_back_to_the_counts_and_are_the_same_network():
    for form in (ttfs_form, phase_form):
        assert {type(neuron) for neuron in neurons_in(zoo.build(count_form(form(COUNTING))))} == {SignedILIF}
        assert differences(COUNTING, zoo.build(form(COUNTING)), 10**6) == []
    assert differences(COUNTING, zoo.build(ttfs_form({**COUNTING, 'neuron': {'type': 'SignedILIF', 'D': 7}})), 10**6)


def test_a_student_of_first_spikes_trains_under_a_teacher_by_options(work):
    student = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 8,
               'neuron': {'type': 'FirstSpikeIF', 'steps': 8, 'lowest': -8}, 'hidden': {'lowest': 0}}
    model = built(distilling(network_g=student))
    before = [parameter.detach().clone() for parameter in model.net_g.parameters()]
    model.feed_data(batch())
    model.optimize_parameters(1)
    assert {'l_pix', 'l_hint_dec', 'l_kd'} <= model.loss_terms.keys()
    assert any(not torch.equal(*pair) for pair in zip(before, model.net_g.parameters(), strict=True))
    model.test()
    assert model.output.isfinite().all()
    assert all(set(one.unique().tolist()) <= {-1.0, 0.0, 1.0} for one in spikes_of(model.net_g.eval()))


def spikes_of(net) -> list[torch.Tensor]:
    found = []
    for neuron in neurons_in(net):
        neuron.register_forward_hook(lambda module, inputs, output: found.append(output))
    net(torch.rand(1, 3, 8, 8))
    return found


def test_the_yaml_of_the_docstring_builds():
    options = yaml.safe_load(FirstSpikeIF.__doc__.split('code-block:: yaml')[1])
    assert SpikerIR(size='tiny', **options).eval()(torch.rand(1, 3, 8, 8)).shape == (1, 3, 8, 8)


@pytest.mark.parametrize(('options', 'sentence'), [
    ({'T': 16, 'neuron': {'type': 'FirstSpikeIF', 'steps': 65}}, 'steps: 1 to 64'),
    ({'T': 4, 'neuron': {'type': 'FirstSpikeIF', 'lowest': -5}}, 'counts of at most 4'),
    ({'T': 4, 'neuron': {'type': 'FirstSpikeIF'}, 'stages': {'head': {'type': 'PhaseIF'}}}, 'beside PhaseIF'),
    ({'T': 3, 'neuron': {'type': 'FirstSpikeIF'}}, 'write the same number twice: T: 4 and neuron: {type: First'),
    ({'T': 4, 'neuron': {'type': 'FirstSpikeIF'}, 'exit_tolerance': 0.01}, 'runs all steps at once'),
])
def test_mistakes_get_one_sentence(options, sentence):
    with pytest.raises(UserError, match=sentence):
        SpikerIR(size='tiny', **options).eval()(torch.rand(1, 3, 8, 8))


def test_what_cannot_be_told_so_is_refused(work):
    with pytest.raises(UserError, match='take another neuron, or FirstSpikeIF in SpikerIR'):
        ESDNet(dim=16, T=4, neuron={'type': 'FirstSpikeIF'})
    with pytest.raises(UserError, match='T: 1 and SignedILIF'):
        ttfs_form({**COUNTING, 'T': 2})
    with pytest.raises(UserError, match='counts up to 100; its 64 steps tell at most 64'):
        ttfs_form({**COUNTING, 'neuron': {'type': 'SignedILIF', 'D': 100}})
    options = training(network_g={'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 4,
                                  'neuron': {'type': 'FirstSpikeIF'}})
    options['train']['rate_opt'] = {'type': 'SpikeRateLoss', 'target': 1000}
    with pytest.raises(UserError, match='rate_opt was given to a network of FirstSpikeIF'):
        built(options)
