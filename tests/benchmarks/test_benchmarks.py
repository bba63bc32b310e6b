"""The benchmarks: each task that they time runs, and trainings side by side are as long as their paces allow."""
from __future__ import annotations

import early_exit
import pytest
import speed
import torch
import training_steps
from conftest import REPOSITORY
from side_by_side import PROBE_STEPS, probe_of, seconds_a_step, steps_in, with_length

from basicsr_snn.archs.spikerir_arch import SpikerIR
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.bench.training_log import TrainingLog
from basicsr_snn.spiking.neurons import NEURONS, build_neuron


@pytest.mark.parametrize('make', [
    training_steps.spiking_step, training_steps.twin_step, training_steps.distilling_step,
    lambda: training_steps.distilling_step('model.14'), lambda: training_steps.binary_step(micro_batches=4)],
    ids=['spiking', 'twin', 'hkd', 'hkd_inner', 'binary'])
def test_a_timed_training_step_moves_the_weights(make, monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    models = []
    build = training_steps.trained_model
    monkeypatch.setattr(training_steps, 'trained_model',
                        lambda options, **neuron: models.append(build(options, (4, 3, 16, 16), **neuron)) or models[0])
    step = make()
    before = {name: value.clone() for name, value in models[0].net_g.state_dict().items()}
    step()
    after = models[0].net_g.state_dict()
    assert sum(not torch.equal(after[name], value) for name, value in before.items()) > len(before) / 2


@pytest.mark.parametrize('name', NEURONS)
@pytest.mark.parametrize('backward', [False, True])
def test_a_timed_neuron_runs(name, backward, monkeypatch):
    monkeypatch.setattr(speed, 'NEURON_SHAPE', (4, 2, 3, 8, 8))
    layer = build_neuron({'type': name}, 3)
    task = speed.neuron_step(layer, backward)
    task()
    task()
    gradients = [parameter.grad for parameter in layer.parameters()]
    assert not backward or all(gradient is not None for gradient in gradients)


def test_early_exit_tells_how_many_steps_a_tolerance_leaves(work):
    torch.manual_seed(0)
    net = SpikerIR(channels=[4, 4], blocks=[1, 1], T=4, neuron={'type': 'SignedILIF', 'D': 1, 'lowest': 0}).eval()
    pictures = EvaluationSet(block_of_folder(work / 'pictures', 25, 3), 2)
    points = [early_exit.measured(net, pictures, tolerance) for tolerance in (0.0, 1e-9, 1.0)]
    assert [point.steps for point in points] == [4, 4, 2]
    assert points[0].psnr == pytest.approx(points[1].psnr, abs=1e-4)
    assert early_exit.markdown(points, 'note').count('\n| ') == 3


def test_trainings_side_by_side_are_as_long_as_their_paces_allow():
    assert seconds_a_step(TrainingLog(0, [(20, 9.0), (40, 0.03), (60, 0.02), (80, 0.04)], [])) == pytest.approx(0.03)
    assert steps_in(400, 0.03) == 12_600
    assert steps_in(-5, 0.03) == 100


def test_a_probe_changes_neither_the_options_nor_what_is_trained():
    options = {'name': 'x', 'train': {'total_iter': 7, 'scheduler': {'periods': [7]}, 'lr': 1}, 'val': {'val_freq': 3},
               'logger': {'print_freq': 100, 'save_checkpoint_freq': 3}}
    fitted = with_length(options, 800)
    assert fitted['train'] == {'total_iter': 800, 'scheduler': {'periods': [800]}, 'lr': 1}
    assert (fitted['val']['val_freq'], fitted['logger']['save_checkpoint_freq']) == (400, 100)
    assert probe_of(options)['train']['total_iter'] == PROBE_STEPS
    assert probe_of(options)['name'] != options['name'] == 'x'
    assert options['train']['total_iter'] == 7
