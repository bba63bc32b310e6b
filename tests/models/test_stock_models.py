"""BasicSR's own models train our student, on its own data sets, metrics and lists of pictures."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_ssim
from trainings import built, log_of, train, training, write

import basicsr_snn.test
from basicsr_snn import zoo
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError

WINDOWS = {'type': 'SwinIR', 'img_size': 8, 'window_size': 8, 'depths': [2], 'embed_dim': 8, 'num_heads': [2],
           'upscale': 1}
OPTIMIZER = {'type': 'Adam', 'lr': 1e-3}


@pytest.fixture
def folders(work) -> Path:
    """Clean pictures in ``pictures`` and degraded ones in ``given``, 36 x 40, and the names of two in ``names.txt``."""
    Path('given').mkdir()
    for file in Path('pictures').iterdir():
        noise = np.random.default_rng(0).normal(0, 25, (36, 40, 3))
        cv2.imwrite(f'given/{file.name}', (cv2.imread(str(file)) + noise).clip(0, 255).astype(np.uint8))
    Path('names.txt').write_text('0.png (36,40,3)\n2.png (36,40,3)\n')
    return work


def pairs(name: str, **more) -> dict:
    return {'name': name, 'type': 'PairedImageDataset', 'dataroot_gt': 'pictures', 'dataroot_lq': 'given',
            'io_backend': {'type': 'disk'}, **more}


def stock(name: str, model: str, **changes) -> dict:
    """A training of BasicSR's own model on pairs, with two validation sets."""
    options = training(name, model_type=model, scale=1)
    options['datasets'] = {
        'train': pairs('T', gt_size=16, use_hflip=True, use_rot=True, batch_size_per_gpu=2, num_worker_per_gpu=0,
                       dataset_enlarge_ratio=10),
        'val': pairs('V'), 'val_2': pairs('W', meta_info_file='names.txt')}
    options['train'] = {'optim_g': dict(OPTIMIZER), 'scheduler': options['train']['scheduler'], 'total_iter': 4,
                        'pixel_opt': {'type': 'L1Loss'}, **changes.pop('train', {})}
    options['val']['metrics'] = {'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True},
                                 'ssim': {'type': 'calculate_ssim', 'crop_border': 0}}
    options['logger']['use_tb_logger'] = False
    return {**options, **changes}


GAN = {'network_d': {'type': 'UNetDiscriminatorSN', 'num_in_ch': 3, 'num_feat': 4}, 'train': {
    'optim_d': dict(OPTIMIZER), 'gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla', 'loss_weight': 0.1},
    'net_d_iters': 1, 'net_d_init_iters': 0}}


@pytest.mark.parametrize(('model', 'changes'), [('SRModel', {}), ('SwinIRModel', {}), ('SRGANModel', GAN)])
def test_a_stock_model_trains_our_student(model, changes, folders, capsys):
    options = stock(model, model, **changes)
    train(options)
    log = log_of(model)
    assert 'iter:       4' in log
    assert log.count('Validation V\n') == log.count('Validation W\n') == 2
    assert torch.load(f'experiments/{model}/models/net_g_4.pth', weights_only=True)['params']
    options = stock(f'{model}_checked', model, **changes)
    assert main(['check', '-opt', write(options)]) == 0
    assert 'training step' in capsys.readouterr().out


@pytest.mark.parametrize('model', ['SRModel', 'SwinIRModel', 'SNNModel'])
def test_networks_in_windows_validate_any_size(model, folders):
    options = stock('windows', model, network_g=dict(WINDOWS))
    train(options)
    assert 'Validation V\n\t # psnr: ' in log_of('windows')


def test_stock_models_pad_as_ours_do(folders):
    answers = []
    for model in ('SRModel', 'SwinIRModel', 'SNNModel'):
        torch.manual_seed(0)
        made = built(stock('same', model, network_g=dict(WINDOWS)))
        made.net_g.eval()
        made.feed_data({'lq': torch.rand(1, 3, 5, 9, generator=torch.Generator().manual_seed(1))})
        made.test()
        assert made.lq.shape == made.output.shape == (1, 3, 5, 9)
        answers.append(made.output)
    assert all(torch.allclose(answer, answers[0], atol=1e-6) for answer in answers)


@pytest.mark.parametrize('model', ['SRModel', 'SNNModel'])
def test_a_second_training_set_is_refused_in_words(model, folders):
    options = stock('two', model)
    options['datasets']['train_2'] = dict(options['datasets']['train'], name='T2')
    with pytest.raises(UserError, match=r'datasets: train_2 is no phase .* has one training set; write .*MixedDataset'):
        train(options)


@pytest.mark.parametrize(('change', 'sentence'), [
    ({'dataroot_lq': 'nowhere'}, 'dataroot_lq: the folder nowhere does not exist'),
    ({'meta_info_file': 'no_names.txt'}, r"cannot be opened \(FileNotFoundError: .*no_names\.txt"),
    ({'dataroot_lq': 'few'}, 'pictures holds 1.png, but few holds no 1.png'),
])
@pytest.mark.parametrize('model', ['SRModel', 'SNNModel'])
def test_what_is_wrong_with_pairs_is_said_by_training_and_test(model, change, sentence, folders):
    Path('few').mkdir()
    Path('few/0.png').write_bytes(Path('given/0.png').read_bytes())
    options = stock('wrong', model)
    options['datasets']['val'].update(change)
    with pytest.raises(UserError, match=sentence):
        train(options)


@pytest.mark.parametrize('entry', ['params', None], ids=['of BasicSR', 'plain, as those that ship'])
def test_basicsrs_model_begins_with_weights_of_either_kind(entry, folders):
    options = stock('begun', 'SRModel')
    net = zoo.build(options['network_g'])
    torch.save({entry: net.state_dict()} if entry else net.state_dict(), 'first.pth')
    options['path']['pretrain_network_g'] = 'first.pth'
    options['train'].update(ema_decay=0.9, total_iter=1)
    options['train']['optim_g']['lr'] = 0.0
    options['logger']['save_checkpoint_freq'] = 1
    train(options)
    trained = torch.load('experiments/begun/models/net_g_1.pth')['params_ema']
    for name, value in net.named_parameters():
        torch.testing.assert_close(trained[name], value.detach())


@pytest.mark.parametrize(('file', 'sentence'), [
    ('none.pth', 'weight file none.pth does not exist'), ('other.pth', 'other.pth does not fit the network SpikerIR')])
def test_weights_that_basicsrs_model_cannot_load_are_refused_in_a_sentence(file, sentence, folders):
    torch.save({'params': zoo.build({'type': 'SpikerIR', 'size': 'tiny'}).state_dict()}, 'other.pth')
    options = stock('begun', 'SRModel')
    options['path']['pretrain_network_g'] = file
    with pytest.raises(UserError, match=sentence):
        train(options)


def single(**more) -> dict:
    """A test on pictures without truth."""
    options = {key: value for key, value in stock('single', 'SNNModel').items() if key not in ('train', 'logger')}
    options['datasets'] = {'test_1': {'name': 'S', 'type': 'SingleImageDataset', 'dataroot_lq': 'given',
                                      'io_backend': {'type': 'disk'}, **more}}
    options['val'] = {**options['val'], 'save_img': True}
    return options


@pytest.mark.parametrize('io_backend', [{'type': 'disk'}, None])
def test_pictures_without_truth_are_restored(io_backend, folders, capsys):
    basicsr_snn.test.main(['-opt', write(single(meta_info_file='names.txt', io_backend=io_backend))])
    saved = sorted(file.name for file in Path('results/single/visualization/S').iterdir())
    assert saved == ['0_single.png', '2_single.png']
    assert 'S has no clean pictures, and psnr, ssim cannot be had without' in capsys.readouterr().err


def test_a_mistyped_key_of_single_pictures_is_named(folders, capsys):
    assert main(['test', '-opt', write(single(dataroot_lr='given'))]) == 2
    assert 'test_1 has an unknown key "dataroot_lr"; did you mean dataroot_lq' in capsys.readouterr().err


def of_pairs(model: str = 'SNNModel', **path) -> dict:
    """A test on pairs."""
    options = {key: value for key, value in stock('tested', model).items() if key not in ('train', 'logger')}
    options['datasets'] = {'test_1': pairs('V')}
    options['path'] = {**options['path'], **path}
    return options


@pytest.mark.parametrize('model', ['SNNModel', 'SRModel'])
def test_a_test_of_pairs_scores_their_input_and_says_what_is_untrained(model, folders, capsys):
    options = of_pairs(model)
    basicsr_snn.test.main(['-opt', write(options)])
    said = capsys.readouterr().err
    assert 'WARNING: Weights: none: the network is untrained, with random weights' in said
    assert 'Input of V, before it is restored\n\t # psnr: ' in said
    assert 'Validation V\n\t # psnr: ' in said
    assert 'Best' not in said
    scores = [calculate_ssim(*(cv2.imread(f'{folder}/{index}.png') for folder in ('given', 'pictures')), 0)
              for index in range(4)]
    assert f'\t # ssim: {np.mean(scores):.4f}' in said.partition('Input of V')[2]


def test_a_trained_network_and_noise_on_clean_pictures_are_tested_as_before(folders, capsys):
    options = of_pairs()
    torch.save(built(stock('net', 'SRModel')).net_g.state_dict(), 'net.pth')
    options['path']['pretrain_network_g'] = 'net.pth'
    options['datasets'] = {'test_1': training()['datasets']['val']}
    basicsr_snn.test.main(['-opt', write(options)])
    said = capsys.readouterr().err
    assert 'untrained' not in said
    assert 'Input of' not in said


def test_the_input_of_an_enlarging_network_is_interpolated(folders, capsys):
    Path('half').mkdir()
    for file in Path('pictures').iterdir():
        cv2.imwrite(f'half/{file.name}', cv2.resize(cv2.imread(str(file)), (20, 18), interpolation=cv2.INTER_AREA))
    options = of_pairs()
    options.update(scale=2, network_g={'type': 'SRVGGNetCompact', 'num_feat': 4, 'num_conv': 1, 'upscale': 2})
    options['datasets']['test_1']['dataroot_lq'] = 'half'
    basicsr_snn.test.main(['-opt', write(options)])
    given = float(capsys.readouterr().err.partition('Input of V, enlarged by bicubic')[2].split('psnr: ')[1].split()[0])
    assert given > 20
