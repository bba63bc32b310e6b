"""``check`` takes steps and validates as a training does, so that what it calls good does not die of what it saw."""
from __future__ import annotations

import re
import shutil
from pathlib import Path

import cv2
import pytest
from basicsr.losses.basic_loss import L1Loss
from basicsr.utils.registry import LOSS_REGISTRY
from trainings import TEACHER, distilling, log_of, set_values, train, training, write

from basicsr_snn.cli.main import main
from basicsr_snn.pipeline import dry_run

WINDOWED = {'type': 'SwinIR', 'img_size': 16, 'window_size': 8, 'embed_dim': 12, 'depths': [2], 'num_heads': [2],
            'upscale': 1, 'upsampler': '', 'resi_connection': '1conv'}


def check(options: dict, *arguments: str) -> int:
    return main(['check', '-opt', write(options), *arguments])


def test_a_training_is_tried_with_losses_teacher_and_metrics_and_nothing_is_written(work, capsys):
    assert check(distilling()) == 0
    lines = dict(line.split('  ', 1) for line in capsys.readouterr().out.splitlines() if '  ' in line)
    step = lines['training step'].strip()
    assert step.startswith('2 crops of 3x16x16: l_pix ')
    assert {'l_fft', 'l_hint_dec', 'l_kd'} < set(step.replace(',', '').split())
    assert lines['validation: val'].strip().startswith('1 picture, psnr ')
    assert {path.name for path in work.iterdir()} == {'pictures', 'teacher.pth', 'options.yml'}


def test_a_test_file_is_tried_on_a_picture_of_every_set(work, capsys):
    options = training()
    del options['train'], options['logger'], options['datasets']['train'], options['val']['val_freq']
    options['datasets'] = {'test_1': options['datasets'].pop('val')}
    options['datasets']['test_2'] = {**options['datasets']['test_1'], 'name': 'W', 'subset': [1, 3]}
    assert check(options) == 0
    printed = capsys.readouterr().out
    assert 'validation: test_1  1 picture, psnr ' in printed
    assert 'validation: test_2  1 picture, psnr ' in printed
    assert 'training step' not in printed


def test_nobody_teaches_in_a_test_file(work, capsys):
    options = distilling()
    del options['train'], options['logger'], options['datasets']['train'], options['val']['val_freq']
    options['datasets'] = {'test': options['datasets'].pop('val')}
    code = check(options)
    told = capsys.readouterr()
    assert code == 0, told.err
    assert 'Traceback' not in told.err


@pytest.fixture
def last_picture(work):
    """The last picture of the validation set, which is no other's."""
    shutil.copytree('pictures', 'shown')
    return sorted(Path('shown').iterdir())[-1]


def check_shown(capsys, **changes) -> str:
    """What is said of a training whose validation set is `shown`."""
    options = training()
    options['datasets']['val'] |= {'dataroot_gt': 'shown', **changes}
    code = check(options)
    told = capsys.readouterr()
    assert (code == 0) == (not told.err)
    return told.err or told.out


@pytest.mark.parametrize('in_ch', [1, 3])
@pytest.mark.parametrize('spoil', [lambda content: content[:-60], lambda content: b'', lambda content: b'GIF89a' * 9])
def test_a_broken_picture_far_on_in_a_validation_set_is_named(last_picture, capsys, spoil, in_ch):
    last_picture.write_bytes(spoil(last_picture.read_bytes()))
    options = training()
    options['datasets']['val']['dataroot_gt'] = 'shown'
    options['network_g']['in_ch'] = options['datasets']['val']['in_ch'] = options['datasets']['train']['in_ch'] = in_ch
    assert check(options) == 2
    assert f'{last_picture} is no readable picture' in capsys.readouterr().err


def test_headers_are_read_also_where_there_is_no_time_for_pictures(last_picture, capsys, monkeypatch):
    monkeypatch.setattr(dry_run, 'READ_FOR_S', 0.0)
    assert '; 1 of 4 read' in check_shown(capsys)
    last_picture.write_bytes(last_picture.read_bytes()[:-60])
    assert '; 1 of 4 read' in check_shown(capsys)
    last_picture.write_bytes(b'')
    assert f'{last_picture} is no readable picture' in check_shown(capsys)


def test_all_pictures_are_read_where_there_is_time(last_picture, capsys):
    assert '; 4 of 4 read' in check_shown(capsys)


@pytest.mark.parametrize('kind', ['SingleImageDataset', 'NoisyPicturesDataset'])
@pytest.mark.parametrize('model', ['SNNModel', 'SRModel'])
def test_a_set_without_truth_is_validated_without_a_score(last_picture, capsys, kind, model):
    io_backend = {'io_backend': {'type': 'disk'}} if kind == 'SingleImageDataset' else {}
    options = training(model_type=model)
    options['datasets']['val'] = {'name': 'V', 'type': kind, 'dataroot_lq': 'shown', **io_backend}
    if model == 'SRModel':
        options['network_g'] = dict(TEACHER)
        for key in ('grad_clip', 'fft_opt'):
            del options['train'][key]
    assert check(options) == 0
    assert re.search(r'validation: val +1 picture, [\d.]+ s; 4 of 4 read', capsys.readouterr().out)


def test_a_pair_far_on_that_does_not_fit_is_named(last_picture, capsys):
    shutil.copytree('shown', 'degraded')
    cv2.imwrite(str(last_picture), cv2.imread(str(last_picture))[1:])
    options = training(scale=1)
    options['datasets']['val'] = {'name': 'V', 'type': 'PairedImageDataset', 'dataroot_gt': 'shown',
                                  'dataroot_lq': 'degraded', 'io_backend': {'type': 'disk'}}
    assert check(options) == 2
    assert f'{last_picture} and its degraded picture have ' in capsys.readouterr().err


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'train:micro_batches': 3}, 'micro_batches is 3, but the batch of 2 pictures has no 3 equal parts'),
    ({'train:pixel_opt:loss_weight': 1e39}, 'l_pix is not finite'),
])
def test_steps_that_a_training_would_die_of_are_seen(work, capsys, changes, sentence):
    options = set_values(training(), changes, ':')
    assert check(options) == 2
    assert sentence in capsys.readouterr().err


def test_an_answer_that_is_not_finite_before_any_step_is_not_blamed_on_the_rate(work, capsys):
    assert check(set_values(training(), {'network_g:stages': {'head': {'threshold': 1e308}}}, ':')) == 1
    assert 'no step was taken before, so the rate is not the cause; look at network_g' in capsys.readouterr().err


def test_a_hint_on_a_layer_that_does_not_run_at_first_is_seen(work, capsys):
    options = set_values(distilling(), {'distill:hints:0:student': 'decoder.0.0.body.1.neuron'}, ':')
    options['train']['tandem'] = {'every': 1, 'groups': 2}
    assert check(options) == 2
    assert 'did not run, as a layer that train: tandem does not let spike yet' in capsys.readouterr().err


def test_what_begins_late_is_tried_too(work, capsys, monkeypatch):
    """The twin is matched from the third iteration on only, by a loss that dies."""
    class DyingLoss(L1Loss):
        def forward(self, pred, target, weight=None, **kwargs):
            raise RuntimeError('Boolean value of Tensor')

    monkeypatch.setitem(LOSS_REGISTRY._obj_map, 'DyingLoss', DyingLoss)
    options = distilling()
    options['distill'] = {'teacher': {'network': options['distill']['teacher']['network'], 'trainable': True,
                                      'start_iter': 3}, 'output': {'type': 'DyingLoss'}}
    assert check(options) == 2
    said = capsys.readouterr().err
    assert 'A training step fails with RuntimeError: Boolean value of Tensor' in said
    assert re.search(r'test_dry_run.py:\d+\); correct that line, or what the option file says of it', said)


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'val:metrics:psnr:crop_border': 18},
     'calculate_psnr leaves nothing of a picture of 40x36 pixels with crop_border: 18; write crop_border: 0'),
    ({'val:metrics:psnr:crop_border': 13, 'val:metrics:psnr:type': 'calculate_ssim'},
     'calculate_ssim gives no number as the score of a picture of 40x36 pixels'),
    ({'val:metrics:psnr:type': 'calculate_niqe'},
     'calculate_niqe gives no score of a picture of 40x36 pixels (RuntimeError: min()'),
    ({'path:resume_state': 'experiments/tiny/training_states/2.state'}, '2.state, which cannot be resumed'),
    ({'datasets:val': {'name': 'E', 'type': 'SingleImageDataset', 'dataroot_lq': 'empty',
                       'io_backend': {'type': 'disk'}}},
     'the dataset E found no pictures in empty: give a folder that holds some'),
    ({'datasets:val:dataroot_gt': 'mixed'}, 'b.png is a grey picture where colour was asked for'),
    ({'datasets:train:dataroot_gt': 'mixed', 'datasets:train:cache': False}, 'b.png is a grey picture'),
    ({'train:pixel_opt:type': 'GANLoss'}, 'train: pixel_opt: type is GANLoss, which does not compare two pictures'),
    ({'train:scheduler:eta_min': 0.1}, 'eta_min is 0.1, but the learning rate falls to it from optim_g: lr: 0.01'),
])
def test_what_a_training_would_die_of_later_is_a_sentence(work, capsys, changes, sentence):
    Path('empty').mkdir()
    Path('mixed').mkdir()
    picture = cv2.imread('pictures/0.png')
    cv2.imwrite('mixed/a.png', picture)
    cv2.imwrite('mixed/b.png', picture[:, :, 0])
    assert check(set_values(training(), changes, ':')) == 2
    assert sentence in capsys.readouterr().err


def test_a_resume_is_tried(work, capsys):
    options = training()
    train(options)
    options['path']['resume_state'] = 'experiments/tiny/training_states/4.state'
    options['train']['total_iter'] = 6
    assert check(options) == 0
    options['train']['optim_g']['type'] = 'Adam'
    assert check(options) == 2
    assert 'optim_g: type is Adam, but the checkpoint of iteration 4 was trained by AdamW' in capsys.readouterr().err


def test_an_error_of_any_code_is_a_sentence(work, capsys, monkeypatch):
    def broken(metric_data, opt):
        raise RuntimeError('a metric\nof two lines')

    monkeypatch.setattr('basicsr.models.sr_model.calculate_metric', broken)
    assert check(training()) == 2
    assert re.fullmatch(r'basicsr-snn: Validating a picture of V fails with RuntimeError: a metric of two lines '
                        r'\(.*test_dry_run.py:\d+\); correct that line, or what the option file says of it.\n',
                        capsys.readouterr().err)


def test_a_network_with_windows_is_padded_in_check_and_in_training(work, capsys):
    """Pictures of 36x40 pixels are no multiple of 8 high."""
    options = training('windowed', network_g=WINDOWED)
    assert check(options) == 0
    assert 'validation: val  1 picture, psnr ' in capsys.readouterr().out
    train(options)
    assert 'psnr' in log_of('windowed')


def test_a_teacher_with_windows_is_padded_and_compared_at_the_same_places(work, capsys):
    import torch
    from basicsr.archs import build_network

    torch.save(build_network(dict(WINDOWED)).state_dict(), 'windowed.pth')
    options = distilling('taught')
    options['datasets']['train']['gt_size'] = 20
    options['distill']['teacher'] = {'network': WINDOWED, 'path': 'windowed.pth'}
    options['distill']['hints'][0]['teacher'] = 'conv_after_body'
    assert check(options) == 0
    assert '1x(4x20x20) -> teacher conv_after_body 12x24x24 (20x20 of it compared)' in capsys.readouterr().out
    options['distill']['hints'][0]['teacher'] = 'layers.0.residual_group.blocks.0.attn.softmax'
    assert check(options) == 2
    assert 'hint at another module, of those that basicsr-snn check --paths teacher lists' in capsys.readouterr().err


def test_stock_models_are_tried_too(work, capsys):
    options = training(model_type='SRModel')
    options['train'] = {'optim_g': {'type': 'Adam', 'lr': 0.001}, 'total_iter': 4, 'pixel_opt': {'type': 'L1Loss'},
                        'scheduler': {'type': 'MultiStepLR', 'milestones': [2], 'gamma': 0.5}}
    assert check(options) == 0
    printed = capsys.readouterr().out
    assert 'training step    2 crops of 3x16x16: l_pix ' in printed
    assert 'validation: val  1 picture, psnr ' in printed


def test_paths_of_both_networks_are_listed_even_where_the_hints_are_wrong(work, capsys):
    options = set_values(distilling(), {'distill:hints:0:teacher': 'modl.2'}, ':')
    assert check(options, '--paths', 'teacher') == 2
    rows = {row[0]: row for row in map(str.split, capsys.readouterr().out.splitlines()) if len(row) > 1}
    assert rows['model.2'] == ['model.2', 'Conv2d', '8x16x16', '1', 'px', 'a', 'cell']
    assert check(distilling(), '--paths', 'student') == 0
    printed = capsys.readouterr().out
    assert printed.startswith('student: SpikerIR, for crops of 16x16 pixels\n')
    rows = {row[0]: row for row in map(str.split, printed.splitlines()) if len(row) > 1}
    assert rows['decoder.0'][2:] == ['1x(4x16x16)', '1', 'px', 'a', 'cell']
    assert rows['middle'][2:] == ['1x(4x8x8)', '2', 'px', 'a', 'cell']


def test_paths_of_a_teacher_that_is_not_there(work, capsys):
    assert check(training(), '--paths', 'teacher') == 2
    assert 'has no distill: block with a teacher; write one, or --paths student' in capsys.readouterr().err
    assert not Path('experiments').exists()
