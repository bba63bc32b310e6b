"""The training and test pipelines: two processes on the CPU against one, and a training that a signal stops."""
from __future__ import annotations

import multiprocessing
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from contextlib import redirect_stderr, redirect_stdout
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
from basicsr_snn.pipeline import stopping
from basicsr_snn.pipeline.run import exit_on_user_error

REPOSITORY = Path(__file__).resolve().parents[2]
two_processes = pytest.mark.skipif(torch.cuda.is_available(), reason='two processes would ask for two GPUs')
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


def one_of_two(rank: int, port: int, root: Path, arguments: list[str]) -> None:
    """What torchrun starts, with its output in ``<rank>.out``."""
    os.environ.update(RANK=str(rank), LOCAL_RANK=str(rank), WORLD_SIZE='2', MASTER_ADDR='127.0.0.1',
                      MASTER_PORT=str(port))
    os.chdir(root)
    torch.set_num_threads(1)
    with open(f'{rank}.out', 'w') as out, redirect_stdout(out), redirect_stderr(out):
        snn_train.main([*arguments, '--launcher', 'pytorch'])


def trained_by_two(root: Path, opt: dict, *arguments: str) -> None:
    """A training by two processes, forked from a server that has imported everything: seconds less than torchrun."""
    context = multiprocessing.get_context('forkserver')
    context.set_forkserver_preload(['basicsr_snn'])
    port, arguments = free_port(), ['-opt', written(root, opt), *arguments]
    processes = [context.Process(target=one_of_two, args=(rank, port, root, arguments)) for rank in range(2)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(timeout=120)
        process.kill()
    assert [process.exitcode for process in processes] == [0, 0], (root / '0.out').read_text()


def distilling(root: Path) -> dict:
    """Blocks that turn the training into a distillation: a spiking student, a teacher, a hint with an adapter."""
    teacher = {'type': 'DnCNN', 'in_nc': 3, 'out_nc': 3, 'nc': 6, 'nb': 3}
    torch.manual_seed(3)
    torch.save(build_network(dict(teacher)).state_dict(), root / 'teacher.pth')
    return {'model_type': 'ANNSNNDistillModel',
            'network_g': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]},
            'distill': {'teacher': {'network': teacher, 'path': 'teacher.pth'}, 'output': {'type': 'L1Loss'},
                        'hints': [{'name': 'dec', 'teacher': 'model.2', 'student': 'decoder.0'}]}}


@pytest.mark.slow
@two_processes
def test_torchrun_trains_like_one_process_with_twice_the_batch(root):
    process = torchrun(root, options(root) | {'name': 'two'}, '--force_yml', 'logger:save_checkpoint_freq=4')
    try:
        log = process.communicate(timeout=300)[0]
    finally:
        process.kill()
    assert process.returncode == 0, log
    assert 'RuntimeWarning' not in log  # runpy's, when a module is imported twice
    assert log.count('# psnr') == 3
    assert {file.name for file in (root / 'experiments/two').rglob('*.*')} >= {'net_g_4.pth', '4.state'}
    one = trained(root, options(root, batch_size_per_gpu=2))
    torch.testing.assert_close(saved(root, 'two'), one, rtol=1e-5, atol=1e-7)


def denoising(root: Path, name: str, batch_size: int) -> dict:
    """A distillation on random crops and noise: three iterations an epoch, checkpoints within epochs."""
    opt = options(root) | distilling(root) | {'name': name}
    data = {'type': 'GaussianDenoisingDataset', 'dataroot_gt': str(root / 'photos'), 'sigma': 25}
    opt['datasets'] = {'train': {'name': 't', **data, 'sigma': None, 'sigma_range': [0, 55], 'gt_size': 16,
                                 'dataset_enlarge_ratio': 2, 'batch_size_per_gpu': batch_size,
                                 'num_worker_per_gpu': 0},
                       'val': {'name': 'v', **data}}
    opt['train'] |= {'grad_clip': 1.0, 'optim_g': {'type': 'SGD', 'lr': 0.1, 'momentum': 0.9}, 'total_iter': 7,
                     'fft_opt': {'type': 'FFTLoss', 'loss_weight': 0.1}}
    opt['distill']['schedule'] = {'type': 'linear', 'end_iter': 7}
    opt['val']['val_freq'] = 100
    opt['logger']['save_checkpoint_freq'] = 4
    return opt


@pytest.fixture(scope='module')
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one training by one process (``one``), and the same by two with half the batch (``two``)."""
    root = tmp_path_factory.mktemp('runs')
    (root / 'photos').mkdir()
    random = np.random.RandomState(0)
    for i in range(5):
        rough = cv2.resize(random.rand(6, 6, 3), (24, 20), interpolation=cv2.INTER_LINEAR)
        cv2.imwrite(str(root / f'photos/{i}.png'), (rough * 255).round().astype(np.uint8))
    kept = os.getcwd()
    os.chdir(root)
    try:
        trained(root, denoising(root, 'one', batch_size=4))
    finally:
        os.chdir(kept)
    trained_by_two(root, denoising(root, 'two', batch_size=2))
    return root


def networks(root: Path, name: str) -> dict:
    """Weights, moving average and adapters at the end of a training."""
    adapters = torch.load(root / f'experiments/{name}/models/net_adapters_latest.pth')['params']
    return saved(root, name) | {f'adapters.{key}': value for key, value in adapters.items()}


def loss_curves(root: Path, name: str) -> np.ndarray:
    """l_pix, l_fft, l_hint_dec, l_kd by iteration, as logged (four digits)."""
    log = ''.join(file.read_text() for file in sorted((root / 'experiments' / name).glob('*.log')))
    lines = re.findall(r'iter: +(\d+).* l_pix: (\S+) l_fft: (\S+) l_hint_dec: (\S+) l_kd: (\S+)', log)
    return np.array(lines, dtype=float)


@two_processes
def test_two_processes_distil_like_one_on_random_crops(runs):
    """Loss curves, student, moving average and adapters; two epochs and a bit, with clipping and a schedule."""
    one, two = loss_curves(runs, 'one'), loss_curves(runs, 'two')
    assert one[:, 0].tolist() == list(range(1, 8))
    np.testing.assert_allclose(two, one, rtol=2e-4)
    torch.testing.assert_close(networks(runs, 'two'), networks(runs, 'one'), rtol=1e-4, atol=1e-6)


@two_processes
def test_only_the_first_process_writes(runs):
    files = {str(file.relative_to(runs / 'experiments/two')) for file in (runs / 'experiments/two').rglob('*.*')
             if file.suffix != '.log'}
    assert files == {'two.yml', 'training_states/4.state', 'training_states/7.state', *(
        f'models/net_{kind}_{iteration}.pth' for kind in ('g', 'adapters') for iteration in ('4', '7', 'latest'))}
    assert len(list((runs / 'experiments/two').glob('*.log'))) == 1
    assert 'iter:' not in (runs / '1.out').read_text()


@two_processes
@pytest.mark.parametrize(('begun', 'resumed'), [('one', 'two'), ('two', 'one')])
def test_resumed_by_another_number_of_processes(runs, tmp_path, monkeypatch, begun, resumed):
    """A checkpoint in the middle of an epoch: what follows is the unbroken run's, its samples included."""
    shutil.copytree(runs, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    for file in [*tmp_path.rglob('*_latest.pth'), *tmp_path.rglob('*_7.pth'), *tmp_path.rglob('7.state'),
                 *tmp_path.rglob('*.log')]:
        file.unlink()
    train, batch_size = (trained, 4) if resumed == 'one' else (trained_by_two, 2)
    train(tmp_path, denoising(tmp_path, begun, batch_size), '--auto_resume')
    torch.testing.assert_close(networks(tmp_path, begun), networks(runs, resumed), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(loss_curves(tmp_path, begun), loss_curves(runs, resumed)[4:], rtol=2e-4)


@two_processes
@pytest.mark.parametrize('kind', ['GradientRewiring', 'MagnitudePruning'])
def test_two_processes_prune_like_one(root, kind):
    def pruning(name: str, batch_size: int) -> dict:
        opt = options(root, batch_size_per_gpu=batch_size) | {'name': name, 'model_type': 'SNNModel'}
        opt['network_g'] = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1],
                            'neuron': {'type': 'relu'}}  # a spike more or less would hide what is compared
        opt['train']['pruning'] = {'type': kind, 'sparsity': 0.5, 'end_iter': 3, 'keep': ['stem', 'head']}
        return opt

    one = trained(root, pruning('one', 2))
    trained_by_two(root, pruning('two', 1))
    two = saved(root, 'two')
    torch.testing.assert_close(two, one, rtol=1e-4, atol=1e-6)
    weight = two['params.decoder.0.0.body.0.conv.weight']
    assert 0.45 < float((weight == 0).float().mean()) < 0.55


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
    handlers = [signal.getsignal(number) for number in stopping.STOP_SIGNALS]
    signal_at(number, iteration=3)
    with pytest.raises(SystemExit) as stopped:
        trained(root, options(root, batch_size_per_gpu=4))
    assert stopped.value.code == 128 + number
    assert [signal.getsignal(number) for number in stopping.STOP_SIGNALS] == handlers
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
    request, answers = stopping.StopRequest(), []
    request.sampler = SimpleNamespace(epoch=7)
    model = SimpleNamespace(opt={'dist': True}, device='cpu', optimize_parameters=lambda current_iter: None,
                            update_learning_rate=lambda: None, test=lambda: None, saves=[])
    model.save = lambda *arguments: model.saves.append(arguments)
    request.watch(model)
    monkeypatch.setattr(torch.distributed, 'all_reduce', lambda value, _: value.clamp_(min=answers.pop(0)()))
    return request, model, answers


def test_a_process_stops_with_the_others(watched):
    _, model, answers = watched
    answers += [lambda: 0, lambda: signal.SIGTERM]
    for iteration in range(stopping.ASK_EVERY, 2 * stopping.ASK_EVERY):
        model.optimize_parameters(iteration)
    assert len(answers) == 1, 'the others are asked too often'
    with pytest.raises(SystemExit, match='143'):
        model.optimize_parameters(2 * stopping.ASK_EVERY)
    assert model.saves == [(7, 2 * stopping.ASK_EVERY)]


def test_a_signal_during_the_agreement_is_not_lost(watched):
    request, model, answers = watched
    answers += [lambda: request.receive(signal.SIGINT, None) or 0, lambda: 0]
    model.optimize_parameters(stopping.ASK_EVERY)
    with pytest.raises(SystemExit, match='130'):
        model.optimize_parameters(2 * stopping.ASK_EVERY)
    assert model.saves == [(7, 2 * stopping.ASK_EVERY)]


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


def test_the_option_file_of_a_training_is_tested_on_what_it_validates_on(root, capfd):
    """BasicSR tests on the training crops, too, and where they are fewer than a batch it fails."""
    opt = options(root, batch_size_per_gpu=8)
    snn_test.main(['-opt', written(root, opt)])
    log = capfd.readouterr()
    assert 'Testing v...' in log.out + log.err
    assert 'Testing t...' not in log.out + log.err


def test_a_training_without_a_validation_set_has_nothing_to_test_on(root):
    opt = options(root)
    del opt['datasets']['val'], opt['val']
    with pytest.raises(UserError, match=r'pictures to train on only; add a val: or test_1: block'):
        snn_test.main(['-opt', written(root, opt)])


@pytest.mark.parametrize('main', [snn_train.main, snn_test.main])
def test_user_errors(tmp_path, main, capsys):
    kept = sys.argv
    with pytest.raises(UserError, match='no such file'):
        main(['-opt', str(tmp_path / 'no.yml')])
    assert sys.argv is kept
    with pytest.raises(SystemExit) as stopped:
        exit_on_user_error(lambda: main(['-opt', str(tmp_path / 'no.yml')]))
    assert stopped.value.code == 2
    assert capsys.readouterr().err.count('\n') == 1


@two_processes
def test_two_processes_train_layers_that_do_not_spike_yet(root):
    def tandem(name, batch_size):
        opt = options(root, batch_size_per_gpu=batch_size) | {
            'name': name, 'model_type': 'SNNModel',
            'network_g': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}}
        opt['train']['tandem'] = {'every': 2, 'groups': 2}
        return opt

    trained_by_two(root, tandem('two', 1))
    torch.testing.assert_close(saved(root, 'two'), trained(root, tandem('one', 2)), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(('launcher', 'block', 'sentence'), [
    ('pytorch', {'port': 29500}, 'dist_params, which is not read with --launcher pytorch'),
    ('pytorch', {'backend': 'gloo'}, 'take it out: torchrun itself takes --master_port'),
    ('slurm', {'port': 29500}, 'a process that slurm did not start'),
])
def test_dist_params_that_nobody_reads_are_refused(root, monkeypatch, launcher, block, sentence):
    monkeypatch.delenv('SLURM_PROCID', raising=False)
    with pytest.raises(UserError, match=sentence):
        trained(root, options(root) | {'dist_params': block}, '--launcher', launcher)


def test_dist_params_without_a_launcher_are_left_for_slurm(root):
    with pytest.warns(UserWarning, match='leave it for trainings by slurm'):
        trained(root, options(root) | {'dist_params': {'port': 29500}})
