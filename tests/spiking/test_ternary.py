"""Ternary weights: the rule written out, packing, and a network that ships small and loads back exactly."""
from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.energy import OperationCounter
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.ternary import (
    TernaryConv2d,
    TernaryWeight,
    pack,
    packed_state,
    parameters_of,
    ternarise,
    unpack,
    unpacked_state,
)
from basicsr_snn.zoo.weights import load_weights


def test_codes_and_scale_are_those_of_the_rule():
    weight = torch.tensor([[0.9, -0.1, 0.5, -0.6, 0.0, 0.3], [9.0, -1.0, 5.0, -6.0, 0.0, 2.0]])
    codes, scale = ternarise(weight)  # mean magnitudes 0.4 and 3.83, thresholds 0.28 and 2.68
    assert codes.tolist() == [[1, 0, 1, -1, 0, 1], [1, 0, 1, -1, 0, 0]]
    assert scale.flatten().tolist() == pytest.approx([(0.9 + 0.5 + 0.6 + 0.3) / 4, (9 + 5 + 6) / 3])


def test_ternary_weights_stay_as_they_are():
    codes, scale = ternarise(torch.randn(20, 7, 3, 3))
    again, scale_again = ternarise(codes.float() * scale)
    assert torch.equal(again, codes)
    assert torch.equal(scale_again, scale)


def test_files_with_one_scale_a_layer_give_the_same_weights():
    net = SpikerIR(size='tiny', weights='ternary')
    state, layer = packed_state(net.state_dict(), net), 'encoder.0.0.body.0.conv'
    state[f'{layer}.scale'] = torch.tensor(0.03)
    kept = unpack(state[f'{layer}.codes'], net.get_submodule(layer).weight_shape).float() * 0.03
    net.load_state_dict(unpacked_state(state, net))
    deployed(net)
    codes, scale = ternarise(net.get_submodule(layer).weight)
    assert torch.equal(codes * scale, kept)


def test_an_empty_layer_is_no_division_by_zero():
    codes, scale = ternarise(torch.zeros(3, 3))
    assert codes.abs().sum() == 0
    assert scale.abs().sum() == 0


def test_gradient_goes_straight_through():
    weight = torch.randn(4, 5, requires_grad=True)
    factor = torch.randn(4, 5)
    (TernaryWeight.apply(weight) * factor).sum().backward()
    assert torch.equal(weight.grad, factor)


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=40))
def test_packing_takes_a_quarter_of_a_byte_each_and_loses_nothing(values):
    codes = torch.tensor(values, dtype=torch.int8)
    packed = pack(codes)
    assert packed.dtype == torch.uint8
    assert len(packed) == -(-len(values) // 4)
    assert unpack(packed, codes.shape).tolist() == values


def test_convolution_is_that_of_the_ternary_weights():
    conv = TernaryConv2d(3, 5, 3, padding=1)
    codes, scale = ternarise(conv.weight)
    spikes = torch.randint(-2, 3, (2, 3, 6, 7)).float()
    expected = torch.nn.functional.conv2d(spikes, codes.float() * scale, conv.bias, padding=1)
    with torch.no_grad():
        assert torch.equal(conv(spikes), expected)
        conv.pack_weights()
        assert torch.equal(conv(spikes), expected)


def test_a_shipped_ternary_network_is_small_and_loads_back_exactly(tmp_path):
    torch.manual_seed(0)
    net = SpikerIR(size='small', weights='ternary')
    packed = deployed(net)
    torch.save(packed_state(net.state_dict(), net), tmp_path / 'net.pth')
    assert (tmp_path / 'net.pth').stat().st_size < 60_000  # of 332 kB as floats; names and shapes take 20 kB
    loaded = SpikerIR(size='small', weights='ternary')
    load_weights(loaded, tmp_path / 'net.pth')
    loaded = deployed(loaded)
    picture = torch.rand(1, 3, 20, 24)
    with torch.no_grad(), OperationCounter(packed) as counter:
        restored = packed(picture)
    with torch.no_grad():
        assert torch.equal(loaded(picture), restored)
        assert torch.allclose(net.eval()(picture), restored, atol=1e-6)
    report = counter.report()
    floats = sum(p.numel() for p in SpikerIR(size='small').parameters())
    assert parameters_of(packed) == report.params == floats
    assert report.footprint_bytes < 4 * floats / 8
    assert all(layer.reads_spikes for layer in report.layers if layer.name != 'stem')
    quantised = [module for module in packed.modules() if isinstance(module, TernaryConv2d)]
    assert packed.head.conv not in quantised
    assert {str(tensor.dtype) for module in quantised for name, tensor in module.named_buffers()
            if name == 'codes'} == {'torch.uint8'}
    assert np.array_equal(np.unique(unpack(quantised[0].codes, quantised[0].weight_shape).numpy()), [-1, 0, 1])


def test_ternary_weights_and_a_norm_do_not_go_together():
    with pytest.raises(UserError, match='ternary with norm: none'):
        SpikerIR(weights='ternary', norm='bn')
