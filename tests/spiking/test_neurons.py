"""Neurons: hand-computed membrane traces, equality with SpikingJelly, gradients, options."""
from __future__ import annotations

import subprocess
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron as sj
from spikingjelly.activation_based import surrogate
from spikingjelly.activation_based.layer import SpikeCountToBinary

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.spiking.neurons import NEURONS, build_neuron, is_spiking, neuron_of, reset_to_rest
from basicsr_snn.spiking.neurons.signed_ilif import SignedCounts, SignedILIF, signed_counts_step_by_step


def drive(layer: torch.nn.Module, currents: list[float]) -> list[float]:
    """Output of a one-channel neuron layer for a sequence of input currents."""
    out = layer(torch.tensor(currents).view(-1, 1, 1, 1, 1))
    return [round(value, 6) for value in out.flatten().tolist()]


def test_signed_ilif_follows_the_membrane_trace_computed_by_hand():
    layer = SignedILIF(1, D=2, decay=0.5, threshold=1.0)
    # h: 0.7 -> k 1, v -0.3 | -0.15 + 0.4 = 0.25 -> 0, v 0.25 | 0.125 - 1.9 = -1.775 -> -2, v 0.225
    # 0.1125 + 5 = 5.1125 -> clipped to 2, v 3.1125 | 1.55625 + 0 -> round 2, v -0.44375
    assert drive(layer, [0.7, 0.4, -1.9, 5.0, 0.0]) == [1, 0, -2, 2, 2]


def test_lif_follows_the_membrane_trace_computed_by_hand():
    layer = build_neuron({'type': 'LIFNode', 'tau': 2.0, 'v_threshold': 1.0, 'v_reset': 0.0, 'decay_input': False}, 1)
    # h: 0.6 | 0.3 + 0.6 = 0.9 | 0.45 + 0.6 = 1.05 spike, to 0 | 0.6 | 0.3 + 0.9 = 1.2 spike
    assert drive(layer, [0.6, 0.6, 0.6, 0.6, 0.9]) == [0, 0, 1, 0, 1]


def test_integrate_and_fire_follows_the_membrane_trace_computed_by_hand():
    layer = build_neuron({'type': 'IFNode', 'v_threshold': 1.0, 'v_reset': None}, 1)
    # soft reset: 0.4 | 0.8 | 1.2 spike, 0.2 | 1.7 spike, 0.7 | 0.7
    assert drive(layer, [0.4, 0.4, 0.4, 1.5, 0.0]) == [0, 0, 1, 1, 0]


def test_ilif_follows_the_membrane_trace_computed_by_hand():
    layer = build_neuron({'type': 'ILIFNode', 'D': 3, 'tau': 2.0, 'v_threshold': 1.0}, 1)
    # h: 2.4 -> 2, v 0.4 | 0.2 - 1 = -0.8 -> 0 | -0.4 + 9 = 8.6 -> 3, v 5.6 | 2.8 -> 3, v -0.2
    assert drive(layer, [2.4, -1.0, 9.0, 0.0]) == [2, 0, 3, 3]


@pytest.mark.parametrize(('name', 'reference'), [
    ('LIFNode', lambda: sj.LIFNode(decay_input=False, v_threshold=0.15, surrogate_function=surrogate.ATan(),
                                   step_mode='m')),
    ('IFNode', lambda: sj.IFNode(v_threshold=0.15, surrogate_function=surrogate.ATan(), step_mode='m')),
    ('ParametricLIFNode', lambda: sj.ParametricLIFNode(decay_input=False, v_threshold=0.15,
                                                       surrogate_function=surrogate.ATan(), step_mode='m')),
    ('ILIFNode', lambda: sj.ILIFNode(v_threshold=0.1, surrogate_function=surrogate.MultiLevelSpikeCount(4),
                                     step_mode='m')),
])
def test_named_neurons_equal_spikingjelly_in_spikes_and_gradients(name, reference):
    x = torch.randn(4, 2, 3, 5, 6)
    outputs, gradients = [], []
    for layer in (build_neuron({'type': name}, 3), reference()):
        leaf = x.clone().requires_grad_()
        spikes = layer(leaf)
        (spikes * torch.arange(6.0)).sum().backward()
        outputs.append(spikes.detach())
        gradients.append(leaf.grad)
    assert outputs[0].abs().sum() > 0
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(gradients[0], gradients[1])


@settings(max_examples=20, deadline=None)
@given(steps=st.integers(1, 5), limit=st.integers(1, 6), decay=st.floats(0, 1), seed=st.integers(0, 1000))
def test_signed_ilif_equals_spikingjelly_ilif_where_currents_are_positive(steps, limit, decay, seed):
    """Without negative currents and counts above D/2 the sign never shows, and SpikingJelly's ILIFNode is the
    reference."""
    x = torch.rand(steps, 2, 3, 4, 4, generator=torch.Generator().manual_seed(seed)) * limit + 0.5
    tau = 1 / (1 - decay) if decay < 1 else float('inf')
    ours = SignedILIF(3, D=limit, decay=decay, threshold=1.0)(x)
    theirs = sj.ILIFNode(tau=tau, surrogate_function=surrogate.MultiLevelSpikeCount(limit), step_mode='m')(x) \
        if 1 < tau < float('inf') else _plain_ilif(x, decay, limit)
    assert (ours - theirs).abs().max() <= 1e-6 or (ours != theirs).float().mean() < 0.01  # ties of float rounding


def _plain_ilif(x, decay, limit):
    v, counts = torch.zeros_like(x[0]), []
    for current in x:
        h = decay * v + current
        counts.append(h.clamp(-limit, limit).round())
        v = h - counts[-1]
    return torch.stack(counts)


@settings(max_examples=25, deadline=None)
@given(steps=st.integers(1, 5), limit=st.integers(1, 6), signed=st.booleans(),
       decay=st.sampled_from([0.0, 0.25, 0.9, 1.0]), channels_last=st.booleans(), seed=st.integers(0, 1000))
def test_written_out_gradient_equals_automatic_differentiation(steps, limit, signed, decay, channels_last, seed):
    lowest = -limit if signed else 0
    torch.manual_seed(seed)
    x = torch.randn(steps * 2, 3, 4, 5, dtype=torch.float64)
    x = x.to(memory_format=torch.channels_last if channels_last else torch.contiguous_format).unflatten(0, (steps, 2))
    threshold = torch.rand(3, dtype=torch.float64) * 0.5 + 0.05
    towards = torch.randn_like(x)
    results = []
    for function in (SignedCounts.apply, lambda *inputs: signed_counts_step_by_step(*inputs)[0]):
        leaves = x.clone().requires_grad_(), threshold.clone().requires_grad_()
        counts = function(*leaves, lowest, limit, decay)
        results.append((counts.detach(), *torch.autograd.grad((counts * towards).sum(), leaves)))
    assert torch.equal(results[0][0], results[1][0])
    with torch.no_grad():
        assert torch.equal(SignedCounts.apply(x, threshold, lowest, limit, decay), results[1][0])
    for fast, reference in zip(results[0][1:], results[1][1:], strict=True):
        assert (fast - reference).abs().max() <= 1e-9 * max(1.0, reference.abs().max().item())


@pytest.mark.parametrize('steps', [1, 3])
def test_signed_ilif_gradient_is_straight_through_in_range_and_zero_outside(steps):
    layer = SignedILIF(1, D=2, decay=0.0, threshold=0.5)
    x = torch.tensor([0.3, -0.9, 1.4, -5.0]).repeat(steps, 1).view(steps, 1, 1, 1, 4).requires_grad_()
    layer(x).sum().backward()
    assert x.grad[0].flatten().tolist() == pytest.approx([2.0, 2.0, 0.0, 0.0])


def test_signed_ilif_threshold_gradient_matches_learned_step_size():
    """d(theta * k)/d(theta) is k - h/theta inside the range and +-D outside (arXiv 1902.08153)."""
    layer = SignedILIF(1, D=2, threshold=0.5)
    x = torch.tensor([0.3, -0.9, 1.4, -5.0]).view(1, 1, 1, 1, 4)
    (layer(x) * layer.amplitude).sum().backward()
    expected = (1 - 0.6) + (-2 + 1.8) + 2 - 2
    assert layer.log_threshold.grad.item() == pytest.approx(expected * 0.5, abs=1e-5)  # d(theta)/d(log theta) = 0.5


def test_thresholds_are_of_each_channel():
    layer = SignedILIF(2, D=8, threshold=1.0)
    with torch.no_grad():
        layer.log_threshold.copy_(torch.tensor([1.0, 0.5]).log())
    counts = layer(torch.full((1, 1, 2, 1, 1), 3.0))
    assert counts.flatten().tolist() == [3.0, 6.0]


def test_unsigned_counts_expand_to_binary_slots_that_give_the_same_current():
    counts = build_neuron({'type': 'ILIFNode', 'D': 4}, 3)(torch.randn(2, 2, 3, 8, 8) * 3)
    expand = SpikeCountToBinary(4).eval()
    slots = expand(counts)
    weight = torch.randn(5, 3, 3, 3)
    by_slots = torch.nn.functional.conv2d(slots.flatten(0, 1), weight).unflatten(0, slots.shape[:2])
    by_counts = torch.nn.functional.conv2d(counts.flatten(0, 1), weight).unflatten(0, counts.shape[:2])
    assert set(slots.unique().tolist()) == {0.0, 1.0}
    assert torch.allclose(by_slots.unflatten(0, (2, 4)).sum(1), by_counts, atol=1e-4)


@pytest.mark.parametrize('name', NEURONS)
def test_every_neuron_keeps_the_shape_spikes_within_its_limit_and_forgets(name):
    layer = build_neuron({'type': name}, 3).eval()
    x = torch.randn(4, 2, 3, 4, 5) * 2
    first = layer(x)
    reset_to_rest(layer)
    assert first.shape == x.shape
    assert torch.equal(layer(x), first)
    if layer.max_count:
        assert torch.equal(first, first.round())
        assert 0 < first.abs().max() <= layer.max_count


FIRST_CALL = """
import torch
import basicsr_snn
from basicsr_snn.spiking.neurons import build_neuron
build_neuron({'type': 'LIFNode'}, 3)(torch.ones(2, 1, 3, 4, 4))
"""


@pytest.mark.slow
@pytest.mark.skipif(torch.cuda.is_available(), reason='a missing triton is worth a warning beside CUDA')
def test_import_and_first_call_say_nothing_of_triton_on_a_cpu_machine():
    done = subprocess.run([sys.executable, '-c', FIRST_CALL], capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout, done.stderr) == (0, '', '')


def test_unknown_names_and_options_get_one_sentence():
    with pytest.raises(UserError, match='did you mean SignedILIF'):
        build_neuron({'type': 'SignedLIF'}, 3)
    with pytest.raises(UserError, match='has no option "tua"; it takes .*tau'):
        build_neuron({'type': 'LIFNode', 'tua': 2.0}, 3)
    with pytest.raises(UserError, match='atan, sigmoid'):
        build_neuron({'type': 'IFNode', 'surrogate': 'arctan'}, 3)
    with pytest.raises(UserError, match='D >= 1'):
        build_neuron({'type': 'SignedILIF', 'D': 0}, 3)


def test_what_stands_for_a_neuron_in_an_ann_does_not_spike():
    for name in NEURONS:
        layer = build_neuron({'type': name}, 2)
        assert neuron_of(layer) is layer
        assert is_spiking(layer) == (name not in ('relu', 'linear'))
    x = torch.randn(1, 1, 2, 3, 3)
    assert torch.equal(build_neuron({'type': 'linear'}, 2)(x), x)


def test_the_linear_twin_is_the_student_with_counts_too_fine_to_round():
    """A signed count before it is rounded is linear, an unsigned one a rectifier."""
    student = SpikerIR(size='tiny', neuron={'type': 'SignedILIF', 'D': 10 ** 6, 'threshold': 1e-4},
                       hidden={'lowest': 0}).double()
    twin = SpikerIR(size='tiny', neuron={'type': 'linear'}, hidden={'type': 'relu'}).double()
    twin.load_state_dict({k: v for k, v in student.state_dict().items() if 'log_threshold' not in k})
    x = torch.rand(1, 3, 16, 16, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(student(x), twin(x), atol=1e-4)
