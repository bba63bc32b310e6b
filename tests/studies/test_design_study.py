"""The design trials: which are run, and what is tried on their networks."""
from __future__ import annotations

import pytest
import torch
import trials
import yaml
from conftest import REPOSITORY
from interventions import (
    CHANGES,
    NOISE,
    counts_at,
    scale_branches,
    set_counts,
    share_blocks,
    similar_mean,
    without_branches,
)

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed


def test_interventions_change_what_they_say_and_nothing_else():
    options = {'channels': [4, 4], 'blocks': [2, 2], 'hidden': {'lowest': 0}}
    torch.manual_seed(0)
    plain = SpikerIR(**options)
    torch.manual_seed(0)
    net = SpikerIR(**options)
    scale_branches(net, 0.5)
    set_counts(net, 8)
    changed = {name for name, weight in net.named_parameters() if not torch.equal(weight, plain.get_parameter(name))}
    assert {name for name in changed if 'threshold' not in name} == {
        f'{level}.{block}.body.1.conv.weight' for level in ('encoder.0', 'middle', 'decoder.0') for block in (0, 1)}
    body = net.middle[0].body
    assert [(part.neuron.lowest, part.neuron.D) for part in body] == [(-8, 8), (0, 8)]
    assert torch.allclose(8 * body[0].neuron.amplitude, 4 * plain.middle[0].body[0].neuron.amplitude)
    share_blocks(net)
    assert sum(p.numel() for p in net.middle.parameters()) == sum(p.numel() for p in plain.middle[0].parameters())
    assert [counts_at(step, {0: 32, 300: 16, 600: 8}) for step in (0, 299, 300, 999)] == [32, 32, 16, 8]


def test_the_list_of_trials_runs_what_the_table_lacks(tmp_path):
    network = {'channels': [4, 4], 'blocks': [1, 1]}
    variants = [{'name': 'done', 'network': network, 'recipe': {'steps': 7}},
                {'name': 'new', 'network': network, 'seed': 1, 'recipe': {'lr': 0.1}}]
    table = tmp_path / 'trials.csv'
    trials.append(table, {**dict.fromkeys(trials.COLUMNS, ''), 'name': 'done', 'seed': 0, 'steps': 7})
    (trial,) = trials.planned(variants, table, pictures=None)
    assert (trial.name, trial.seed, trial.recipe) == ('new', 1, {**trials.RECIPE, 'lr': 0.1})
    with pytest.raises(UserError, match='the recipe of trial x has slack; it may have steps, batch'):
        next(trials.planned([{'name': 'x', 'recipe': {'slack': 1.0}}], table, pictures=None))


def test_every_trial_of_the_list_can_be_built():
    variants = yaml.safe_load((REPOSITORY / 'studies/design/variants.yml').read_text())
    assert len(list(trials.planned(variants, REPOSITORY / 'none.csv', pictures=None))) == len(variants) > 50


def test_the_mean_of_what_is_similar_takes_noise_away_and_keeps_edges():
    clean = torch.full((1, 3, 24, 24), 0.2)
    clean[..., 12:] = 0.8
    noisy = clean + NOISE * torch.randn(clean.shape, generator=torch.Generator().manual_seed(0))
    mean = similar_mean(noisy)
    assert (mean - clean).square().mean() < 0.1 * NOISE ** 2
    assert torch.allclose(similar_mean(clean), clean, atol=1e-3)


@pytest.mark.parametrize('change', CHANGES)
def test_a_changed_network_restores_and_learns_in_all_its_parts(change):
    torch.manual_seed(0)
    net = SpikerIR(channels=[4, 4], blocks=[1, 1])
    plain, picture = sum(p.numel() for p in net.parameters()), torch.rand(1, 3, 16, 20)
    CHANGES[change](net)
    net(picture).square().mean().backward()
    assert all(p.grad is not None for p in net.parameters())
    folded = without_branches(net)
    parameters = sum(p.numel() for p in folded.parameters())
    assert parameters - plain == {'similar': 3 * 4 * 9, 'haar': 4 * 4 * (4 - 9)}.get(change, 0)
    with torch.no_grad():
        assert torch.allclose(deployed(folded)(picture), net.eval()(picture), atol=1e-4)
