"""Activity of neurons: hand-made rates, potentials by reference equations, what TensorBoard gets."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from basicsr_snn import activity
from basicsr_snn.activity import ActivityWatch, LayerActivity, dead_share, saturated_share, watch
from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.energy import OperationCounter
from basicsr_snn.spiking.base import Neuron
from basicsr_snn.spiking.neurons import build_neuron
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF


def watched(net: nn.Module, *inputs: torch.Tensor) -> tuple[LayerActivity, ...]:
    with ActivityWatch(net) as seen, torch.inference_mode():
        for x in inputs:
            net(x)
    return seen.layers()


def four_channels() -> torch.Tensor:
    """(1, 1, 4, 6, 8) in units of 0.1: a silent channel, two beyond a limit of 2, one that fires once at every second
    column."""
    x = torch.zeros(1, 1, 4, 6, 8)
    x[:, :, 1], x[:, :, 2] = 10, -10
    x[..., 3, :, ::2] = 1
    return 0.1 * x


@pytest.mark.parametrize('layout', [torch.contiguous_format, torch.channels_last])
def test_rates_and_dead_and_saturated_channels_by_hand(layout):
    x = four_channels()[0].contiguous(memory_format=layout)[None]
    layer, = watched(nn.Sequential(SignedILIF(4, D=2)), x)
    assert (layer.name, layer.kind, layer.limit) == ('0', 'SignedILIF', 2)
    assert layer.channel_rates.tolist() == [0, 2, 2, 0.5]
    assert layer.firing_rate == 4.5 / 4
    assert layer.dead.tolist() == [True, False, False, False]
    assert layer.saturated.tolist() == [False, True, True, False]
    assert (dead_share([layer]), saturated_share([layer])) == (0.25, 0.5)
    assert layer.counts[[0, 4]].tolist() == [layer.counts.sum() / 4] * 2


def test_shares_are_of_all_channels_of_all_layers():
    layers = [LayerActivity('a', 'X', 1, np.array([0.0, 1.0]), np.empty(0), np.zeros(3)),
              LayerActivity('b', 'X', 4, np.array([0.0, 0.0, 0.0, 4.0, 3.9, 0.1]), np.empty(0), np.zeros(9))]
    assert (dead_share(layers), saturated_share(layers)) == (4 / 8, 2 / 8)
    assert (dead_share([]), saturated_share([])) == (0, 0)


def test_one_spike_more_or_less_in_another_picture_ends_it():
    quiet, full = torch.zeros(1, 1, 1, 4, 4), torch.ones(1, 1, 1, 4, 4)
    net = SignedILIF(1, D=2)
    assert watched(net, quiet, quiet)[0].dead.all()
    assert watched(net, full, full)[0].saturated.all()
    layer, = watched(net, quiet, full)
    assert (layer.channel_rates, layer.dead.any(), layer.saturated.any()) == ([1.0], False, False)


def test_sums_are_exact_beyond_the_integers_of_float32():
    x = torch.ones(1, 1, 1, 2100, 2100)
    x[..., 7, 7] = 0.3  # 3 spikes, where all others are 4: 17,639,999 in all, which float32 rounds
    assert not watched(SignedILIF(1, D=4), x)[0].saturated.any()


def reference(kind: str, x: np.ndarray, options: dict) -> tuple[np.ndarray, np.ndarray]:
    """Potentials before the spike in thresholds, and spikes, of (T, P, C), by the equations of the docstrings."""
    limit, theta = options.get('D', 4), options.get('v_threshold', options.get('threshold', 0.1))
    tau, hard = options.get('tau', 2.0 if kind == 'LIFNode' else 4 / 3), options.get('v_reset', 0.0) is not None
    v, potentials, spikes = np.zeros_like(x[0]), [], []
    for current in x:
        if kind == 'SignedILIF':
            h = 0.25 * v + current
        elif kind == 'IFNode':
            h = v + current
        else:
            h = v + (current - v) / tau if options.get('decay_input') else v - v / tau + current
        lowest = {'SignedILIF': -limit, 'ILIFNode': 0}.get(kind)
        count = (h >= theta).astype(float) if lowest is None else np.clip(h / theta, lowest, limit).round()
        v = np.where(count > 0, 0, h) if lowest is None and hard else h - theta * count
        potentials.append(h / theta)
        spikes.append(count)
    return np.stack(potentials), np.stack(spikes)


@settings(max_examples=40, deadline=None)
@given(st.sampled_from([('SignedILIF', {'D': 2}), ('ILIFNode', {'D': 3, 'v_threshold': 0.2}),
                        ('LIFNode', {'v_threshold': 0.15}), ('LIFNode', {'v_threshold': 0.3, 'v_reset': None}),
                        ('LIFNode', {'v_threshold': 0.3, 'tau': 3.0, 'decay_input': True}),
                        ('IFNode', {'v_threshold': 0.15}), ('ParametricLIFNode', {'v_threshold': 0.15})]),
       st.integers(1, 4), st.integers(0, 1000))
def test_potentials_are_those_of_the_equations(neuron, steps, seed):
    kind, options = neuron
    x = np.random.RandomState(seed).normal(0, 0.3, (steps, 5, 3))
    layer = build_neuron({'type': kind, **options}, 3).double().eval()
    tensor = torch.from_numpy(x)
    with torch.no_grad():
        spikes = layer(tensor[..., None, None])[..., 0, 0]
        rest = (None,) if kind == 'SignedILIF' else (0.0,)
        potentials = layer.potentials(tensor, spikes, rest)
    expected, counts = reference('LIFNode' if kind == 'ParametricLIFNode' else kind, x, options)
    assert np.allclose(spikes, counts)
    assert np.allclose(potentials, expected, atol=1e-5)


def test_a_neuron_without_known_equations_has_no_potentials():
    class Odd(SignedILIF):
        pass

    class Other(Neuron, nn.Module):
        def reset(self):
            pass

    x = torch.ones(1, 2, 3)
    assert Odd(3).potentials(x, x, (None,)) is not None
    assert Other().potentials(x, x, (None,)) is None


def test_sampled_potentials_of_one_step_are_the_input_in_thresholds():
    x = four_channels()
    x[:, :, 3] = torch.linspace(-1, 1, 48).view(6, 8)
    layer, = watched(SignedILIF(4, threshold=0.2), x)
    known = np.unique((x / 0.2).numpy().round(4))
    assert layer.potentials.size == 4 * 48
    assert np.isin(layer.potentials.round(4), known).all()
    assert len(np.unique(layer.potentials)) > 25


@pytest.mark.parametrize('neuron', [{'type': 'SignedILIF'}, {'type': 'LIFNode'}])
def test_steps_that_come_one_by_one_continue_the_potential(neuron):
    torch.manual_seed(0)
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], T=3, neuron=neuron).eval()
    picture = torch.rand(1, 3, 12, 12)
    at_once = watched(net, picture)
    net.exit_tolerance = 1e-12
    one_by_one = watched(net, picture)
    assert [layer.name for layer in at_once] == [layer.name for layer in one_by_one]
    for a, b in zip(at_once, one_by_one, strict=True):
        assert np.allclose(np.sort(a.potentials), np.sort(b.potentials), atol=1e-4)
        assert np.array_equal(a.counts, b.counts)
        assert a.channel_rates == pytest.approx(b.channel_rates)


def test_kept_potentials_are_bounded_and_of_all_calls_alike(monkeypatch):
    monkeypatch.setattr(watch, 'SAMPLED', 64)
    monkeypatch.setattr(watch, 'KEPT', 256)
    net = SignedILIF(2, threshold=1.0)
    layer, = watched(net, *(torch.full((1, 1, 2, 8, 8), float(value)) for value in range(16)))
    values, numbers = np.unique(layer.potentials, return_counts=True)
    assert 128 <= layer.potentials.size <= 256
    assert len(values) == 16
    assert numbers.min() == numbers.max()
    assert layer.counts.sum() == 16 * 64


@pytest.mark.parametrize('watch_first', [True, False])
def test_watching_changes_neither_outputs_nor_counts(watch_first):
    torch.manual_seed(0)
    net, picture = SpikerIR(size='tiny', T=2).eval().fold(), torch.rand(1, 3, 18, 17)
    with torch.inference_mode():
        with OperationCounter(net) as alone:
            plain = net(picture)
        counter, seen = OperationCounter(net), ActivityWatch(net)
        first, second = (seen, counter) if watch_first else (counter, seen)
        with first, second:
            assert torch.equal(net(picture), plain)
    assert counter.report() == alone.report()
    assert all(not module._forward_hooks and not module._forward_pre_hooks for module in net.modules())
    rates = {neuron.name: neuron.firing_rate for neuron in alone.report().neurons}
    assert {layer.name: layer.firing_rate for layer in seen.layers()} == pytest.approx(rates)


def test_an_ann_has_no_activity():
    net = SpikerIR(size='tiny', neuron={'type': 'relu'}).eval()
    assert watched(net, torch.rand(1, 3, 8, 8)) == ()
    assert activity.dead_share(()) == 0
