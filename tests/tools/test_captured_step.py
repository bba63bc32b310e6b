"""The training step that a CUDA graph captures, run plainly on the CPU: the same step as torch's own parts make."""
from __future__ import annotations

from copy import deepcopy

import pytest
import torch
from captured_step import MSE_SCALE, CapturedStep, send_values

from basicsr_snn import zoo
from basicsr_snn.errors import UserError
from basicsr_snn.losses.fft_loss import FFTLoss

STUDENT = {'type': 'SpikerIR', 'channels': [8, 8], 'blocks': [1, 1]}
TWIN = {**STUDENT, 'neuron': {'type': 'relu'}}


def training(network, noisy=None, **options):
    torch.manual_seed(0)
    net = zoo.build(network).to(memory_format=torch.channels_last).train()
    clean = torch.rand(2, 3, 16, 16)
    noisy = clean + 0.1 * torch.randn_like(clean) if noisy is None else noisy
    return CapturedStep(net, lambda: (noisy, clean), torch.Generator(), fused=False, **options), noisy, clean


@pytest.mark.parametrize('network', [STUDENT, TWIN])
@pytest.mark.parametrize('share', [0.0, 1.0])
def test_steps_are_those_of_torch(network, share):
    step, noisy, clean = training(network)
    net, average = deepcopy(step.net), deepcopy(step.net)
    send_values(net, fused=False)
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0)
    for _ in range(3):
        step.run(1e-3, 0.5, share)
        difference = (restored := net(noisy)) - clean
        absolute = difference.abs().mean() + FFTLoss(0.1)(restored, clean)
        loss = MSE_SCALE * difference.square().mean() if share else absolute
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for kept, current in zip(average.parameters(), net.parameters(), strict=True):
                kept.lerp_(current, 0.5)
    for one, other in ((step.net, net), (step.average, average)):
        for given, expected in zip(one.parameters(), other.parameters(), strict=True):
            torch.testing.assert_close(given, expected, rtol=1e-4, atol=1e-5)
    log = step.read_log()
    assert log['broken_steps'] == 0
    assert 0.05 < log['l_pix'] < 1
    assert step.steps == 3


def test_a_step_that_is_not_finite_changes_nothing_and_is_counted():
    broken = torch.full((2, 3, 16, 16), float('nan'))
    step, _, _ = training(STUDENT, noisy=broken)
    before = deepcopy(step.net.state_dict())
    step.run(1e-3, 0.5, 0.0)
    assert all(torch.equal(value, before[name]) for name, value in step.net.state_dict().items())
    assert step.read_log()['broken_steps'] == 1


def test_the_budget_of_accumulations_binds_above_it_only():
    free, noisy, _ = training(STUDENT)
    ample, _, _ = training(STUDENT, rate={'target': 1e9, 'loss_weight': 0.1})
    tight, _, _ = training(STUDENT, rate={'target': 1.0, 'loss_weight': 1e-4})
    for step in (free, ample, tight):
        step.run(1e-3, 0.5, 0.0)
    same = [torch.equal(one, other) for one, other in zip(free.net.parameters(), ample.net.parameters(), strict=True)]
    assert all(same)
    for _ in range(40):
        free.run(1e-3, 0.5, 0.0)
        tight.run(1e-3, 0.5, 0.0)
    events = [sum(conv.events.item() * fan_out for conv, fan_out in step.convs) for step in (free, tight)]
    assert events[1] < 0.9 * events[0]


def test_what_cannot_be_captured_is_refused():
    for network in (TWIN, {**STUDENT, 'T': 2}):
        with pytest.raises(UserError, match='a network that does not send counts in one time step; leave it out'):
            training(network, rate={'target': 100.0})


def test_spikes_of_several_time_steps_are_trained_as_they_are():
    step, noisy, clean = training({**STUDENT, 'T': 2})
    net = deepcopy(step.net)
    with torch.no_grad():
        loss = (net(noisy) - clean).abs().mean().item()
    step.run(1e-3, 0.5, 0.0)
    assert step.convs == []
    assert step.read_log()['l_pix'] == pytest.approx(loss, rel=1e-5)
