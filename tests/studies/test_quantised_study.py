"""The quantised rivals: their values by hand, what they learn, and that the kit can train them."""
from __future__ import annotations

from pathlib import Path

import kit_training
import numpy as np
import pytest
import rivals
import torch
import yaml
from conftest import REPOSITORY
from lsq import LSQ

from basicsr_snn import zoo
from basicsr_snn.errors import UserError
from basicsr_snn.spiking.neurons import NEURONS

PLANS = yaml.safe_load(Path(REPOSITORY / 'studies/quantised/trainings.yml').read_text(encoding='utf-8'))


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(NEURONS, 'LSQ', LSQ)


def test_values_are_multiples_of_the_step_by_hand():
    x = torch.tensor([-9.0, -0.26, 0.0, 0.74, 9.0]).view(1, 1, 1, 1, 5)
    assert LSQ(1, bits=3, step=0.5)(x).flatten().tolist() == pytest.approx([-2.0, -0.5, 0.0, 0.5, 1.5])
    assert LSQ(1, bits=2, signed=False, step=0.5)(x).flatten().tolist() == pytest.approx([0.0, 0.0, 0.0, 0.5, 1.5])


def test_gradients_are_those_of_the_paper():
    layer, x = LSQ(1, bits=3, step=0.5), torch.tensor([0.7, 9.0]).view(1, 1, 1, 1, 2).requires_grad_()
    layer(x).sum().backward()
    assert x.grad.flatten().tolist() == [1.0, 0.0]
    of_step = (round(0.7 / 0.5) - 0.7 / 0.5) + 3  # inside: round(v) - v; above: the largest level
    assert layer.log_step.grad.item() == pytest.approx(of_step * 0.5, abs=1e-6)


def test_other_bits_are_refused():
    with pytest.raises(UserError, match='bits: 2 to 8'):
        LSQ(1, bits=1)


@pytest.mark.parametrize('plan', PLANS, ids=lambda plan: plan['name'])
@pytest.mark.usefixtures('registered')
def test_the_kit_trains_a_rival(plan):
    pictures = [[np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)]]
    training = kit_training.DenoiserTraining({**plan, 'channels': [4, 4], 'blocks': [1, 1]}, pictures, pictures, 16, 2,
                                             False, 0)
    before = {name: value.clone() for name, value in training.step.net.state_dict().items()}
    for _ in range(2):
        training.run(0.5, 1.0)
    changed = [name for name, value in training.step.net.state_dict().items() if not torch.equal(value, before[name])]
    assert any('log_step' in name for name in changed)
    assert training.step.read_log()['broken_steps'] == 0


@pytest.mark.usefixtures('registered')
def test_rivals_have_the_layers_of_the_twin():
    twin = zoo.build(zoo.row('spikerir_fine_color25_twin').network)
    rival = zoo.build(kit_training.network_of(PLANS[0]))
    weights = {name: value.shape for name, value in rival.state_dict().items() if 'neuron' not in name}
    assert weights == {name: value.shape for name, value in twin.state_dict().items()}
    assert {(n.lowest, n.highest) for n in rival.modules() if isinstance(n, LSQ)} == {(-32, 31), (0, 63)}


@pytest.mark.usefixtures('registered')
def test_rivals_are_priced_by_their_bits_and_those_that_ship_have_their_scores(tmp_path):
    networks = {network.name: price for network, price in rivals.candidates(tmp_path)}
    assert networks['twin, 6 bits (LSQ)'] > networks['twin, 5 bits (LSQ)'] > networks['twin, 4 bits (LSQ)'] > 0
    assert networks[rivals.TWIN] == pytest.approx(0.2)
    assert len(rivals.known_scores(rivals.TWIN)) == len(rivals.SETS)
    assert rivals.known_scores('twin, 6 bits (LSQ)') == []


def test_the_table_is_drawn(tmp_path):
    lines = rivals.read_table()
    assert {rivals.STUDENT, rivals.TWIN, 'twin, 6 bits (LSQ)'} <= {line.name for line in lines}
    assert all(float(line.skipping) <= float(line.dense) for line in lines)
    rivals.draw(lines, tmp_path / 'x.png')
    assert (tmp_path / 'x.png').stat().st_size > 1000
