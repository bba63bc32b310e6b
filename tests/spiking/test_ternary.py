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
    ternary_codes,
    twn_scale,
    unpack,
    unpacked_state,
)
from basicsr_snn.zoo.weights import load_weights


def test_codes_and_scales_begin_as_those_of_twn():
    weight = torch.tensor([[0.9, -0.1, 0.5, -0.6, 0.0, 0.3], [9.0, -1.0, 5.0, -6.0, 0.0, 2.0]])
    scale = twn_scale(weight)  # mean magnitudes 0.4 and 3.83, thresholds 0.28 and 2.68
    assert scale.flatten().tolist() == pytest.approx([(0.9 + 0.5 + 0.6 + 0.3) / 4, (9 + 5 + 6) / 3])
    assert ternary_codes(weight, scale).tolist() == [[1, 0, 1, -1, 0, 1], [1, 0, 1, -1, 0, 0]]


def test_ternary_weights_stay_as_they_are():
    weight = torch.randn(20, 7, 3, 3)
    scale = twn_scale(weight)
    kept = ternary_codes(weight, scale) * scale
    assert torch.equal(twn_scale(kept), scale)
    assert torch.equal(ternary_codes(kept, scale) * scale, kept)


def test_files_with_one_scale_a_layer_give_the_same_weights():
    net = SpikerIR(size='tiny', weights='ternary')
    state, layer = packed_state(net.state_dict(), net), 'encoder.0.0.body.0.conv'
    state[f'{layer}.scale'] = torch.tensor(0.03)
    kept = unpack(state[f'{layer}.codes'], net.get_submodule(layer).weight_shape).float() * 0.03
    net.load_state_dict(unpacked_state(state, net))
    assert torch.equal(deployed(net).get_submodule(layer).unpacked_weight(), kept)


def test_float_weights_begin_with_the_scales_of_twn():
    floats = SpikerIR(size='tiny').state_dict()
    net = SpikerIR(size='tiny', weights='ternary')
    net.load_state_dict(unpacked_state(floats, net))
    layer = 'encoder.0.0.body.0.conv'
    assert torch.equal(net.get_submodule(layer).scale, twn_scale(floats[f'{layer}.weight']))


def test_initial_weights_made_smaller_are_not_all_zero():
    net = SpikerIR(size='tiny', weights='ternary')
    assert all(float(ternary_codes(module.weight, module.scale).abs().float().mean()) > 0.2
               for module in net.modules() if isinstance(module, TernaryConv2d))


def test_an_empty_layer_is_no_division_by_zero():
    conv = TernaryConv2d(3, 5, 3, bias=False)
    torch.nn.init.zeros_(conv.weight)
    conv.fit_scales()
    spikes = torch.ones(1, 3, 4, 4)
    assert torch.equal(conv(spikes), torch.zeros(1, 5, 2, 2))
    conv.pack_weights()
    assert torch.equal(conv(spikes), torch.zeros(1, 5, 2, 2))


def test_gradients_are_those_of_lsq():
    weight = torch.tensor([[0.9, -0.1, 0.3, -2.0]], requires_grad=True)
    scale, factor = torch.tensor([[0.5]], requires_grad=True), torch.tensor([[1.0, 2.0, 3.0, 4.0]])
    (TernaryWeight.apply(weight, scale) * factor).sum().backward()
    assert weight.grad.tolist() == [[0.0, 2.0, 3.0, 0.0]]  # straight through within the scale
    moved = 1 * 1.0 + 2 * 0.2 + 3 * (1 - 0.6) - 4 * 1.0  # codes - weight / scale, or the limit
    assert scale.grad.item() == pytest.approx(moved / 2)


@given(st.lists(st.integers(-1, 1), min_size=1, max_size=40))
def test_packing_takes_a_quarter_of_a_byte_each_and_loses_nothing(values):
    codes = torch.tensor(values, dtype=torch.int8)
    packed = pack(codes)
    assert packed.dtype == torch.uint8
    assert len(packed) == -(-len(values) // 4)
    assert unpack(packed, codes.shape).tolist() == values


def test_convolution_is_that_of_the_ternary_weights():
    conv = TernaryConv2d(3, 5, 3, padding=1)
    scale = twn_scale(conv.weight)
    codes = ternary_codes(conv.weight, scale)
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
    scales = sum(m.out_channels for m in net.modules() if isinstance(m, TernaryConv2d))
    assert parameters_of(packed) == parameters_of(net) == report.params == floats + scales
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
