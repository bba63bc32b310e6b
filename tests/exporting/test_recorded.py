"""Networks recorded by ``torch.jit.trace`` and ``torch.export`` without ``no_grad``: the same pictures, of any size."""
from __future__ import annotations

import warnings

import pytest
import torch
from own_zoo import network

from basicsr_snn import load
from basicsr_snn.images.padding import pad_to_multiple
from basicsr_snn.zoo.trained_network import shipped_network

SIZES = ((33, 46), (40, 37), (48, 64), (5, 4), (1, 1), (3, 2))
KINDS = ({}, {'scale': 2}, {'neuron': {'type': 'relu'}}, {'T': 3}, {'weights': 'ternary'},
         {'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4}}, {'in_ch': 1, 'out_ch': 3, 'channels': [4, 4, 4],
                                                               'blocks': [0, 1, 0]})


def picture(net: torch.nn.Module, height: int, width: int, pictures: int = 1) -> torch.Tensor:
    return torch.rand(pictures, net.in_ch, height, width, generator=torch.Generator().manual_seed(height))


def traced(net: torch.nn.Module) -> torch.nn.Module:
    with warnings.catch_warnings():
        warnings.simplefilter('ignore', torch.jit.TracerWarning)
        return torch.jit.trace(net, (picture(net, 33, 46),), check_trace=False)


def exported(net: torch.nn.Module, free: bool) -> torch.nn.Module:
    sides = {0: torch.export.Dim.DYNAMIC, 2: torch.export.Dim.DYNAMIC, 3: torch.export.Dim.DYNAMIC}
    return torch.export.export(net, (picture(net, 33, 46, 2),), strict=False,
                               dynamic_shapes=(sides,) if free else None).module()


def assert_same(recorded: torch.nn.Module, net: torch.nn.Module, height: int, width: int, pictures: int = 1) -> None:
    given = picture(net, height, width, pictures)
    torch.testing.assert_close(recorded(given), net(given), atol=0, rtol=0)


@pytest.mark.parametrize('options', KINDS)
def test_a_trace_serves_every_size(options):
    net = network(**options)[1].eval()  # its weights want gradients
    recorded = traced(net)
    for size in SIZES:
        assert_same(recorded, net, *size)


@pytest.mark.parametrize('options', [KINDS[0], *(pytest.param(one, marks=pytest.mark.slow) for one in KINDS[1:3])])
def test_an_exported_program_serves_the_sides_that_are_free(options):
    net = network(**options)[1].eval()
    recorded = exported(net, free=True)
    for size in SIZES[:4]:
        assert_same(recorded, net, *size, pictures=3)


@pytest.mark.parametrize('name', ['spikerir_tiny_color25',
                                  pytest.param('spikerir_small_color25_ternary', marks=pytest.mark.slow)])
def test_shipped_students_are_traced_and_exported(name):
    net = load(name)
    recorded = traced(net)
    for size in SIZES[:2]:
        assert_same(recorded, net, *size)
    assert_same(exported(net, free=False), net, 33, 46, pictures=2)


@pytest.mark.slow
@pytest.mark.parametrize('name', ['spikerir_small_color25', 'spikerir_small_color25_binary',
                                  'spikerir_fine_color25_twin', 'spikerir_small_gray25'])
def test_more_students_in_the_form_that_trains_too(name):
    for net in (load(name), shipped_network(name).loaded().eval()):
        assert_same(traced(net), net, 40, 37)
        assert_same(exported(net, free=False), net, 33, 46, pictures=2)


@pytest.mark.parametrize('size', SIZES)
def test_what_is_recorded_pads_as_what_is_computed(size):
    def padded(given: torch.Tensor) -> torch.Tensor:
        return pad_to_multiple(given, 4)

    given = torch.rand(1, 3, *size)
    recorded = torch.jit.trace(padded, (torch.rand(1, 3, 7, 9),), check_trace=False)
    assert torch.equal(recorded(given), padded(given))
