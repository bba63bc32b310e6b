"""The same on a GPU as on the CPU: training steps, validation, denoising, resuming.

TF32 is off: its 10 bits would tip counts of spikes that float32 does not, and hide real differences among those.
"""
from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.data import build_dataset
from torch.utils.data import DataLoader
from trainings import (
    batch,
    built,
    checkpoint,
    distilling,
    log_of,
    make_first_picture_square,
    repeating,
    train,
    training,
    write,
)

from basicsr_snn.cli.main import main

pytestmark = [pytest.mark.cuda, pytest.mark.skipif(not torch.cuda.is_available(), reason='needs a CUDA GPU')]
CPU, GPU = 0, 1
SMALL = {'type': 'SpikerIR', 'size': 'small'}
SGD = {'type': 'SGD', 'lr': 0.01, 'momentum': 0.9}
PICTURE = Path(__file__).resolve().parents[2] / 'datasets' / 'demo' / 'val' / 'pagoda.png'


@pytest.fixture(autouse=True)
def full_precision(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', False)


def on(device: int, options: dict) -> dict:
    """Options for the CPU (0 GPUs) or for one GPU."""
    return {**options, 'num_gpu': device}


def model_on(device: int, options: dict):
    """The model with weights that do not depend on the device."""
    torch.manual_seed(0)
    return built(on(device, options))


def assert_close(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor], tolerance: float = 1e-4) -> None:
    assert one.keys() == other.keys()
    for name, tensor in one.items():
        difference = (tensor.cpu() - other[name].cpu()).abs().max()
        assert difference < tolerance, f'{name} differs by {difference:.1e}'


@pytest.mark.parametrize('options', [training, distilling])
def test_training_steps_equal_those_of_the_cpu(work, options):
    settings = options(network_g=SMALL)
    settings['train']['optim_g'] = SGD  # Adam would make whole steps of gradients that are zero but for rounding
    models = [model_on(device, settings) for device in (CPU, GPU)]
    assert [model.device.type for model in models] == ['cpu', 'cuda']
    for iteration in range(1, 6):
        for model in models:
            model.feed_data(batch(32))
            model.optimize_parameters(iteration)
        cpu, gpu = (model.get_current_log() for model in models)
        assert cpu.keys() == gpu.keys()
        assert [gpu[name] for name in cpu if name.startswith('l_')] == pytest.approx(
            [cpu[name] for name in cpu if name.startswith('l_')], abs=1e-4)
    assert_close(*(model.net_g.state_dict() for model in models))
    assert_close(*(model.net_g_ema.state_dict() for model in models))


@pytest.mark.parametrize('options', [training, distilling])
def test_a_captured_step_is_the_plain_step(work, options):
    models = []
    for graph in (False, True):
        settings = options(network_g=SMALL)
        settings['train']['cuda_graph'] = graph
        settings['logger']['print_freq'] = 4
        models.append(model_on(GPU, settings))
    for iteration in range(1, 10):
        for model in models:
            model.update_learning_rate(iteration)
            model.feed_data(batch(32))
            model.optimize_parameters(iteration)
    plain, graph = (model.get_current_log() for model in models)
    assert models[1].replayed._graph is not None
    assert [graph[key] for key in plain if key.startswith('l_')] == pytest.approx(
        [plain[key] for key in plain if key.startswith('l_')], abs=1e-3)
    assert_close(*(model.net_g_ema.state_dict() for model in models), tolerance=1e-2)


def test_a_step_that_cannot_be_captured_is_told_and_taken(work, caplog, monkeypatch):
    settings = training(network_g=SMALL)
    settings['train']['cuda_graph'] = True
    settings['logger']['print_freq'] = 100
    model = model_on(GPU, settings)
    plain = model.student_losses

    def waiting(given):
        restored, terms = plain(given)
        float(terms['l_pix'])
        return restored, terms

    monkeypatch.setattr(model, 'student_losses', waiting)
    for iteration in range(1, 7):
        model.feed_data(batch(32))
        model.optimize_parameters(iteration)
    assert 'this step cannot be captured' in caplog.text
    assert model.get_current_log()['l_pix'] > 0


def test_mixed_precision_trains(work):
    settings = training(network_g=SMALL)
    settings['train']['amp'] = 'bf16'
    model = model_on(GPU, settings)
    losses = []
    for iteration in range(1, 31):
        model.feed_data(batch(32))
        model.optimize_parameters(iteration)
        losses.append(model.get_current_log()['l_pix'])
    assert np.isfinite(losses).all()
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_validation_equals_that_of_the_cpu(work):
    options = training(network_g=SMALL)
    options['val']['energy'] = 2
    dataset = build_dataset({**options['datasets']['val'], 'phase': 'val'})
    models = [model_on(device, options) for device in (CPU, GPU)]
    for model in models:
        model.nondist_validation(DataLoader(dataset), 1, None, False)
    cpu, gpu = models
    assert gpu.metric_results['psnr'] == pytest.approx(cpu.metric_results['psnr'], abs=0.01)
    assert gpu.energy_report.macs_per_px == cpu.energy_report.macs_per_px
    assert gpu.energy_report.acs_per_px == pytest.approx(cpu.energy_report.acs_per_px, rel=1e-3)


@pytest.mark.parametrize(('name', 'levels'), [
    ('spikerir_small_color25', 0.0255), ('ffdnet_color', 0.0255),
    ('spikerir_small_color25_binary', 0.1),  # 0.053 on an H200
])
def test_denoise_gives_the_picture_of_the_cpu_but_for_counts_that_tip_over(name, levels, tmp_path, monkeypatch):
    """The mean difference, in levels of 8 bits."""
    cv2.imwrite(str(tmp_path / 'part.png'), cv2.imread(str(PICTURE))[:160, :160])
    arguments = ['denoise', '-i', str(tmp_path / 'part.png'), '-n', name, '--noise', '25']
    assert main([*arguments, '-o', str(tmp_path / 'gpu')]) == 0
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)
    assert main([*arguments, '-o', str(tmp_path / 'cpu')]) == 0
    gpu, cpu = (cv2.imread(str(next((tmp_path / device).iterdir()))).astype(np.float64) for device in ('gpu', 'cpu'))
    assert gpu.shape == (160, 160, 3)
    assert np.abs(gpu - cpu).mean() < levels


@pytest.mark.parametrize('options', [training, distilling])
def test_a_resumed_training_ends_like_an_unbroken_one(work, options):
    make_first_picture_square()
    train(on(GPU, repeating(options('whole'), 4)))
    train(on(GPU, repeating(options('broken'), 2)))
    train(on(GPU, repeating(options('broken'), 4)), '--auto_resume')
    assert 'Resuming training from epoch: 0, iter: 2' in log_of('broken')
    for file in ('net_g_4.pth', *(['net_adapters_4.pth'] if options is distilling else [])):
        whole, broken = checkpoint('whole', file), checkpoint('broken', file)
        for entry in whole:
            assert_close(whole[entry], broken[entry])


def test_a_checkpoint_of_a_gpu_goes_on_on_the_cpu(work):
    train(on(GPU, training('run')))
    assert {tensor.device.type for tensor in checkpoint('run', 'net_g_4.pth')['params'].values()} == {'cpu'}
    options = on(CPU, training('run'))
    options['train']['total_iter'] = 6
    train(options, '--auto_resume')
    assert re.search(r'iter:\s+6, ', log_of('run'))


def test_prefetching_to_the_gpu_trains_and_checks(work):
    options = on(GPU, training('run'))
    options['datasets']['train'].update(prefetch_mode='cuda', pin_memory=True)
    assert main(['check', '-opt', write(options)]) == 0
    train(options)
    assert re.search(r'# psnr: \d+\.\d+', log_of('run'))
