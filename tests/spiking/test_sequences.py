"""Fused neurons against their plain forms, compiled and not: spikes equal, gradients within 1e-6; the switch."""
from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from spikingjelly.activation_based import neuron as sj

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.spiking import compiling
from basicsr_snn.spiking.compiling import SWITCH, Kernel
from basicsr_snn.spiking.neurons import build_neuron, carried_state, reset_to_rest
from basicsr_snn.spiking.neurons.signed_ilif import SignedCounts, signed_counts_step_by_step
from basicsr_snn.spiking.neurons.spikingjelly_nodes import SURROGATES

SHAPE = (2, 3, 4, 6)


@pytest.fixture
def uncompiled(monkeypatch):
    """Kernels as plain Python: their arithmetic without a compiler's time."""
    monkeypatch.setattr(Kernel, 'broken', True)


def sequence(steps, seed=0, layout=torch.channels_last):
    torch.manual_seed(seed)
    return torch.randn(steps * SHAPE[0], *SHAPE[1:]).contiguous(memory_format=layout).unflatten(0, (steps, SHAPE[0]))


def spikes_and_gradients(neuron, x, *parameters):
    leaves = [leaf.detach().clone().requires_grad_() for leaf in (x, *parameters)]
    torch.manual_seed(1)
    spikes = neuron(*leaves)
    return spikes.detach(), *torch.autograd.grad((spikes * torch.randn(spikes.shape)).sum(), leaves)


def assert_same(fast, reference):
    assert torch.equal(fast[0], reference[0]), 'spikes differ'
    for ours, theirs in zip(fast[1:], reference[1:], strict=True):
        assert (ours - theirs).abs().max() <= 1e-6 * max(1.0, theirs.abs().max().item())


def compare_signed(x, lowest, limit, decay):
    threshold = torch.rand(SHAPE[1], dtype=x.dtype, generator=torch.Generator().manual_seed(2)) * 0.5 + 0.05

    def fused(*leaves):
        return SignedCounts.apply(*leaves, lowest, limit, decay, True)

    def plain(*leaves):
        return signed_counts_step_by_step(*leaves, lowest, limit, decay)[0]

    assert_same(spikes_and_gradients(fused, x, threshold), spikes_and_gradients(plain, x, threshold))


def compare_leaky(x, **options):
    """The fused node against SpikingJelly's own of the same options."""
    fused = build_neuron({'compile': True, **options}, SHAPE[1])
    assert fused._fuses(x)
    plain = {'LIFNode': sj.LIFNode, 'IFNode': sj.IFNode}[options['type']](
        surrogate_function=fused.surrogate_function, step_mode='m',
        **{key: getattr(fused, key) for key in ('tau', 'decay_input') if hasattr(fused, key)},
        v_threshold=fused.v_threshold, v_reset=fused.v_reset, detach_reset=fused.detach_reset)
    assert_same(spikes_and_gradients(fused, x), spikes_and_gradients(plain, x))


@settings(max_examples=25, deadline=None)
@given(steps=st.integers(1, 5), limit=st.integers(1, 6), signed=st.booleans(), decay=st.sampled_from([0.0, 0.25, 1.0]),
       layout=st.sampled_from([torch.channels_last, torch.contiguous_format]), seed=st.integers(0, 1000))
def test_signed_sequence_is_the_step_by_step_neuron(steps, limit, signed, decay, layout, seed):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Kernel, 'broken', True)
        x = sequence(steps, seed, layout).double()  # sums of the thresholds' gradients cancel
        compare_signed(x, -limit if signed else 0, limit, decay)


@pytest.mark.parametrize('surrogate', SURROGATES)
@pytest.mark.parametrize('v_reset', [0.0, 0.05, None])
@pytest.mark.parametrize('decay_input', [False, True])
@pytest.mark.parametrize('detach_reset', [False, True])
def test_fused_lif_is_spikingjellys(uncompiled, surrogate, v_reset, decay_input, detach_reset):
    compare_leaky(sequence(4), type='LIFNode', tau=1.7, surrogate=surrogate, v_reset=v_reset, decay_input=decay_input,
                  detach_reset=detach_reset)


@pytest.mark.parametrize('v_reset', [0.0, None])
def test_fused_if_is_spikingjellys(uncompiled, v_reset):
    compare_leaky(sequence(3, layout=torch.contiguous_format), type='IFNode', v_reset=v_reset)


@pytest.mark.slow
def test_compiled_kernels_are_exact(monkeypatch):
    """With a real compiler, for several sizes, and for an input that is the same at every step (stride 0)."""
    monkeypatch.delenv(SWITCH, raising=False)
    if Kernel.broken:
        pytest.skip('torch.compile does not work here; the fallback is tested')
    compare_signed(sequence(2).double(), -4, 4, 0.25)
    compare_signed(sequence(1).double(), -4, 4, 0.25)
    compare_leaky(sequence(2), type='LIFNode')
    compare_leaky(sequence(1).expand(2, *SHAPE), type='LIFNode')
    if Kernel.broken:
        pytest.skip('torch.compile does not work here; the fallback is tested')
    larger = torch.randn(2 * 2, 3, 10, 8).contiguous(memory_format=torch.channels_last).unflatten(0, (2, 2))
    compare_signed(larger.double(), -4, 4, 0.25)
    compare_leaky(larger, type='LIFNode')


def test_a_failed_compilation_is_said_once_and_the_result_is_right(monkeypatch):
    said = []

    def double(x):
        return 2 * x

    def no_compiler(function, **_):
        def fail(*args):
            raise RuntimeError('no C++ compiler\nat all')
        return fail

    monkeypatch.setattr(Kernel, 'broken', False)
    monkeypatch.setattr(compiling.torch, 'compile', no_compiler)
    monkeypatch.setattr(compiling, 'get_root_logger', lambda: SimpleNamespace(warning=said.append))
    kernels = Kernel(double), Kernel(double)
    assert [kernel(torch.tensor(3)).item() for kernel in (*kernels, kernels[0])] == [6, 6, 6]
    assert said == ['Neurons run uncompiled: double did not compile (no C++ compiler).']


@pytest.mark.parametrize(('said', 'option', 'compiled'), [('', True, True), ('', False, False), ('0', True, False),
                                                          ('1', False, True)])
@pytest.mark.parametrize('name', ['SignedILIF', 'LIFNode', 'IFNode'])
def test_environment_overrides_the_option(monkeypatch, name, said, option, compiled):
    monkeypatch.setenv(SWITCH, said)
    assert build_neuron({'type': name, 'compile': option}, 2).compiled is compiled


def test_a_wrong_switch_gets_a_sentence(monkeypatch):
    monkeypatch.setenv(SWITCH, 'yes')
    with pytest.raises(UserError, match=f"{SWITCH} is 'yes'; write {SWITCH}=1"):
        build_neuron({'type': 'SignedILIF'}, 2)


@pytest.mark.parametrize('name', ['SignedILIF', 'LIFNode', 'IFNode', 'ParametricLIFNode', 'ILIFNode'])
@pytest.mark.parametrize('compiled', [False, True])
def test_carried_state_continues_the_sequence(uncompiled, name, compiled):
    options = {'type': name} | ({'compile': compiled} if name in ('SignedILIF', 'LIFNode', 'IFNode') else {})
    layer = torch.nn.Sequential(build_neuron(options, SHAPE[1]))
    x = sequence(3)
    with torch.no_grad():
        whole = layer(x)
        reset_to_rest(layer)
        with carried_state(layer):
            stepwise = torch.cat([layer(step[None]) for step in x])
        again = layer(x)
        reset_to_rest(layer)
    assert torch.equal(stepwise, whole)
    assert torch.equal(again, whole)
    assert whole.abs().sum() > 0


@pytest.mark.parametrize('name', ['SignedILIF', 'LIFNode'])
def test_network_is_the_same_with_compiled_neurons(uncompiled, name):
    pictures = torch.rand(2, 3, 12, 12)
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        net = SpikerIR(channels=(4, 8), blocks=(1, 1), T=2, neuron={'type': name, 'compile': compiled})
        loss = (net(pictures) - 0.5).abs().mean()
        results.append((loss, *torch.autograd.grad(loss, tuple(net.parameters()))))
    for fused, plain in zip(*results, strict=True):
        assert (fused - plain).abs().max() <= 1e-6


@pytest.mark.parametrize('name', ['SignedILIF', 'LIFNode'])
def test_spikes_kept_as_bytes_leave_gradients_as_they_are(monkeypatch, name):
    pictures = torch.rand(1, 3, 8, 8)
    gradients = []
    for fits in (True, False):
        torch.manual_seed(0)
        net = SpikerIR(channels=(4, 8), blocks=(1, 1), T=2, neuron={'type': name})
        for module in net.modules():
            if hasattr(module, 'fits_bytes'):
                assert module.fits_bytes
                module.fits_bytes = fits
        gradients.append(torch.autograd.grad((net(pictures) - 0.5).abs().mean(), tuple(net.parameters())))
    assert all(torch.equal(bytes_, floats) for bytes_, floats in zip(*gradients, strict=True))


def test_relu_outputs_are_never_kept_as_bytes():
    net = SpikerIR(channels=(4, 8), blocks=(1, 1), neuron={'type': 'relu'})
    assert not any(getattr(module, 'fits_bytes', False) for module in net.modules())
