"""The budget of accumulations in a training: reached, and refused where nothing spikes."""
from __future__ import annotations

import pytest
import torch
from trainings import batch, built, training

from basicsr_snn.errors import UserError
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.spiking.events import SpikeTaps

NETWORK = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}


def trained(steps: int = 100, **rate_opt) -> SNNModel:
    options = {**training()['train'], 'optim_g': {'type': 'Adam', 'lr': 0.003}, 'ema_decay': 0, **rate_opt}
    model = built(training(network_g=NETWORK, train=options))
    model.feed_data(batch())
    for step in range(1, steps + 1):
        model.optimize_parameters(step)
    return model


@pytest.mark.slow
def test_rate_opt_brings_accumulations_to_the_budget(work):
    without = trained()
    budget = accumulations(without) / 2
    kept = trained(rate_opt={'type': 'SpikeRateLoss', 'target': budget, 'loss_weight': 0.1})
    assert 'l_rate' in kept.loss_terms
    assert 'l_rate' not in without.loss_terms
    assert 0 < accumulations(kept) <= 1.05 * budget


def accumulations(model: SNNModel) -> float:
    """Accumulations a pixel on the model's batch, each event reaching all outputs of an interior one."""
    with SpikeTaps(model.net_g) as taps, torch.no_grad():
        model.net_g(model.lq)
    total = sum(float(s.abs().sum()) * f for s, f in zip(taps.spikes, taps.fan_outs, strict=True))
    return total / model.lq[:, 0].numel()


def test_rate_opt_on_a_network_without_spikes_is_refused(work):
    model = built(training(network_g={'type': 'SpikerIR', 'size': 'tiny', 'neuron': {'type': 'relu'}},
                           train={**training()['train'], 'rate_opt': {'type': 'SpikeRateLoss', 'target': 100}}))
    model.feed_data(batch())
    with pytest.raises(UserError, match='SpikerIR has no spiking convolution; take rate_opt out'):
        model.optimize_parameters(1)
