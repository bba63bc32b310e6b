"""The training and test pipelines: two processes on the CPU against one, and a training that a signal stops."""
from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from basicsr.models.sr_model import SRModel

from basicsr_snn import test as snn_test
from basicsr_snn import train as snn_train
from basicsr_snn.errors import UserError

REPOSITORY = Path(__file__).resolve().parent.parent
ONE_THREAD = {'OMP_NUM_THREADS': '1', 'GOMP_SPINCOUNT': '0', 'PYTHONPATH': str(REPOSITORY)}


def options(root: Path, **train):
    """Four whole 8x8 pictures without augmentation: what a batch holds depends on the sampler's seed only."""
    data = {'type': 'PairedImageDataset', 'dataroot_gt': str(root / 'gt'), 'dataroot_lq': str(root / 'lq'),
            'io_backend': {'type': 'disk'}}
    return {
        'name': 'tiny', 'model_type': 'SRModel', 'scale': 1, 'num_gpu': 'auto', 'manual_seed': 0,
        'datasets': {'train': {'name': 't', 'gt_size': 8, 'use_hflip': False, 'use_rot': False, 'num_worker_per_gpu': 0,
                               'batch_size_per_gpu': 1, **data, **train},
                     'val': {'name': 'v', **data}},
        'network_g': {'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 1, 'act_type': 'relu'},
        'path': {'pretrain_network_g': None, 'resume_state': None},
        'train': {'ema_decay': 0.9, 'optim_g': {'type': 'SGD', 'lr': 0.1}, 'total_iter': 4,
                  'scheduler': {'type': 'MultiStepLR', 'milestones': [2], 'gamma': 0.5},
                  'pixel_opt': {'type': 'L1Loss', 'loss_weight': 1.0, 'reduction': 'mean'}},
        'val': {'val_freq': 2, 'save_img': False, 'suffix': None, 'metrics': {
            'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}},
        'logger': {'print_freq': 1, 'save_checkpoint_freq': 100, 'use_tb_logger': False},
    }


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A folder with generated pairs, made the current one."""
    random = np.random.RandomState(0)
    for folder in ('gt', 'lq'):
        (tmp_path / folder).mkdir()
        for i in range(4):
            cv2.imwrite(str(tmp_path / folder / f'{i}.png'), random.randint(0, 256, (8, 8, 3), np.uint8))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def written(root, opt):
    file = root / f'{opt["name"]}.yml'
    file.write_text(yaml.safe_dump(opt))
    return str(file)


def trained(root, opt, *arguments):
    """The parameters and their moving average after a training in this process."""
    snn_train.main(['-opt', written(root, opt), *arguments])
    return saved(root, opt['name'])


def saved(root, name, iteration='latest'):
    file = torch.load(root / 'experiments' / name / 'models' / f'net_g_{iteration}.pth')
    return {f'{kind}.{key}': value for kind, values in file.items() for key, value in values.items()}


def free_port():
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        return listener.getsockname()[1]


def torchrun(root, opt, *arguments):
    return subprocess.Popen(
        [sys.executable, '-m', 'torch.distributed.run', '--nproc_per_node=2', '--master_addr=127.0.0.1',
         f'--master_port={free_port()}', '-m', 'basicsr_snn.train', '-opt', written(root, opt), '--launcher', 'pytorch',
         *arguments],
        cwd=root, env={**os.environ, **ONE_THREAD}, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)


def distilling(root: Path) -> dict:
    """Blocks that turn the training into a distillation: a spiking student, a teacher, a hint with an adapter."""
    teacher = {'type': 'DnCNN', 'in_nc': 3, 'out_nc': 3, 'nc': 6, 'nb': 3}
    torch.manual_seed(3)
    torch.save(build_network(dict(teacher)).state_dict(), root / 'teacher.pth')
    return {'model_type': 'ANNSNNDistillModel',
            'network_g': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]},
            'distill': {'teacher': {'network': teacher, 'path': 'teacher.pth'}, 'output': {'type': 'L1Loss'},
                        'hints': [{'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0'}]}}


@pytest.mark.skipif(torch.cuda.is_available(), reason='two processes would ask for two GPUs')
@pytest.mark.parametrize('blocks', [lambda root: {}, distilling], ids=['plain', 'distilling'])
def test_two_processes_train_like_one_with_twice_the_batch(root, blocks):
    process = torchrun(root, options(root) | {'name': 'two'} | blocks(root), '--force_yml',
                       'logger:save_checkpoint_freq=4')
    try:
        log = process.communicate(timeout=300)[0]
    finally:
        process.kill()
    assert process.returncode == 0, log
    assert 'RuntimeWarning' not in log  # runpy's, when a module is imported twice
    assert log.count('# psnr') == 3
    assert {file.name for file in (root / 'experiments/two').rglob('*.*')} >= {'net_g_4.pth', '4.state'}
    one = trained(root, options(root, batch_size_per_gpu=2) | blocks(root))
    torch.testing.assert_close(saved(root, 'two'), one, rtol=1e-5, atol=1e-7)
    adapters = [torch.load(file) for file in sorted(root.rglob('net_adapters_latest.pth'))]
    assert len(adapters) == (2 if blocks is distilling else 0)
    if adapters:
        torch.testing.assert_close(*adapters, rtol=1e-5, atol=1e-7)


@pytest.fixture
def signal_at(monkeypatch):
    """Send this process a signal in the middle of an iteration (optimiser stepped, average not yet updated)."""

    def send(number, iteration):
        upstream = SRModel.optimize_parameters

        def optimize_parameters(model, current_iter):
            model.current = current_iter
            upstream(model, current_iter)

        def model_ema(model, decay=0.999, average=SRModel.model_ema):
            if getattr(model, 'current', None) == iteration:
                signal.raise_signal(number)
            average(model, decay)

        monkeypatch.setattr(SRModel, 'optimize_parameters', optimize_parameters)
        monkeypatch.setattr(SRModel, 'model_ema', model_ema)

    return send


@pytest.mark.parametrize('number', [signal.SIGINT, signal.SIGTERM])
def test_stopped_and_resumed_training_equals_an_uninterrupted_one(root, signal_at, number):
    whole = trained(root, options(root, batch_size_per_gpu=4) | {'name': 'whole'})
    handlers = [signal.getsignal(number) for number in snn_train.STOP_SIGNALS]
    signal_at(number, iteration=3)
    with pytest.raises(SystemExit) as stopped:
        trained(root, options(root, batch_size_per_gpu=4))
    assert stopped.value.code == 128 + number
    assert [signal.getsignal(number) for number in snn_train.STOP_SIGNALS] == handlers
    assert [file.name for file in (root / 'experiments/tiny/training_states').iterdir()] == ['3.state']
    signal_at(number, iteration=-1)
    resumed = trained(root, options(root, batch_size_per_gpu=4), '--auto_resume')
    torch.testing.assert_close(resumed, whole, rtol=1e-5, atol=1e-7)


def test_validation_is_stopped(root, monkeypatch):
    tested = []
    monkeypatch.setattr(SRModel, 'test', lambda model: (tested.append(1), signal.raise_signal(signal.SIGTERM),
                                                        setattr(model, 'output', model.lq)))
    with pytest.raises(SystemExit):
        trained(root, options(root))
    assert len(tested) == 1
    assert saved(root, 'tiny', iteration=2)


@pytest.fixture
def watched(monkeypatch):
    """A stop request of a process among others, its model (which records its saves) and what the others answer."""
    request, answers = snn_train.StopRequest(), []
    request.sampler = SimpleNamespace(epoch=7)
    model = SimpleNamespace(opt={'dist': True}, device='cpu', optimize_parameters=lambda current_iter: None,
                            test=lambda: None, saves=[])
    model.save = lambda *arguments: model.saves.append(arguments)
    request.watch(model)
    monkeypatch.setattr(torch.distributed, 'all_reduce', lambda value, _: value.clamp_(min=answers.pop(0)()))
    return request, model, answers


def test_a_process_stops_with_the_others(watched):
    _, model, answers = watched
    answers += [lambda: 0, lambda: signal.SIGTERM]
    model.optimize_parameters(11)
    with pytest.raises(SystemExit, match='143'):
        model.optimize_parameters(12)
    assert model.saves == [(7, 12)]


def test_a_signal_during_the_agreement_is_not_lost(watched):
    request, model, answers = watched
    answers += [lambda: request.receive(signal.SIGINT, None) or 0, lambda: 0]
    model.optimize_parameters(11)
    with pytest.raises(SystemExit, match='130'):
        model.optimize_parameters(12)
    assert model.saves == [(7, 12)]


def test_test_pipeline_scores_the_trained_network(root, monkeypatch):
    scores = []
    monkeypatch.setattr(SRModel, '_log_validation_metric_values', lambda model, *_: scores.append(model.metric_results))
    trained(root, options(root))
    opt = options(root)
    opt['datasets'] = {'test_1': opt['datasets']['val']}
    weights = str(root / 'experiments/tiny/models/net_g_latest.pth')
    opt['path'] = {'pretrain_network_g': weights, 'param_key_g': 'params_ema'}
    snn_test.main(['-opt', written(root, opt)])
    assert scores[-1] == scores[-2] != scores[0]
    assert (root / 'results/tiny').is_dir()


@pytest.mark.parametrize('main', [snn_train.main, snn_test.main])
def test_user_errors(tmp_path, main, capsys):
    kept = sys.argv
    with pytest.raises(UserError, match='no such file'):
        main(['-opt', str(tmp_path / 'no.yml')])
    assert sys.argv is kept
    with pytest.raises(SystemExit) as stopped:
        snn_train.run(lambda: main(['-opt', str(tmp_path / 'no.yml')]))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count('\n') == 1
