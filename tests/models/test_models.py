"""The models inside BasicSR's own pipelines: train, kill, resume, validate, test, on disk and lmdb."""
from __future__ import annotations

import copy
import os
import re
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from torch import nn
from trainings import (
    TEACHER,
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

import basicsr_snn.test
import basicsr_snn.train
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import restore
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.models.ann_snn_distill_model import ANNSNNDistillModel
from basicsr_snn.models.snn_model import SNNModel, ema_decay_at


@pytest.mark.parametrize('options', [training, distilling])
def test_pipeline_trains_validates_and_saves(work, options):
    train(options('run'))
    log = log_of('run')
    assert re.search(r'iter:\s+4, .*l_pix: .*l_fft: .*firing_rate: .*acs_per_px: ', log)
    assert ('l_hint_dec: ' in log) == ('l_kd: ' in log) == (options is distilling)
    assert re.search(r'# psnr: \d+\.\d+', log)
    assert re.search(r'# SynOps: [\d,]+ ACs/px, [\d,]+ MACs/px', log)
    saved = checkpoint('run', 'net_g_4.pth')
    assert set(saved) == {'params', 'params_ema'}
    assert not any('adapter' in key for key in saved['params'])
    assert (Path('experiments/run/models/net_adapters_4.pth')).is_file() == (options is distilling)
    assert any(Path('tb_logger/run').glob('events.*'))


@pytest.mark.parametrize('options', [training, distilling])
def test_a_resumed_training_ends_like_an_unbroken_one(work, options):
    make_first_picture_square()
    train(repeating(options('whole'), 4))
    train(repeating(options('broken'), 2))
    train(repeating(options('broken'), 4), '--auto_resume')
    assert 'Resuming training from epoch: 0, iter: 2' in log_of('broken')
    for file in ('net_g_4.pth', *(['net_adapters_4.pth'] if options is distilling else [])):
        whole, broken = checkpoint('whole', file), checkpoint('broken', file)
        for key in whole:
            for name, tensor in whole[key].items():
                assert torch.allclose(tensor, broken[key][name], atol=1e-6), f'{file} {key} {name}'


def test_resume_brings_back_adapters_and_keeps_the_teacher(work):
    train(distilling('run', ))
    options = distilling('run')
    options['train']['total_iter'] = 6
    train(options, '--auto_resume')
    before, after = (checkpoint('run', f'net_adapters_{step}.pth')['params'] for step in (4, 6))
    assert all(not torch.equal(before[key], after[key]) for key in before)
    teacher = torch.load('teacher.pth', weights_only=True)
    model = built(distilling())
    model.feed_data(batch())
    model.optimize_parameters(1)
    model.opt['path'].update(models='experiments/run/models')
    state = torch.load('experiments/run/training_states/4.state', weights_only=True)
    model.resume_training(state)
    saved = checkpoint('run', 'net_adapters_4.pth')['params']
    assert all(torch.equal(saved[key], tensor) for key, tensor in model.teaching.adapters.state_dict().items())
    kept = model.teaching.teachers['teacher'].state_dict()
    assert all(torch.equal(teacher[key], tensor) for key, tensor in kept.items())


def test_pipeline_on_lmdb_with_workers_and_one_set_for_train_and_val(work):
    assert main(['prepare', '-i', 'pictures', '-o', 'pictures.lmdb', '--lmdb']) == 0
    options = training('run')
    for dataset in options['datasets'].values():
        dataset.update(dataroot_gt='pictures.lmdb', io_backend={'type': 'lmdb'})
    options['datasets']['train'].update(num_worker_per_gpu=1, dataset_enlarge_ratio=1, cache=False)
    options['val']['val_freq'] = 2
    train(options)
    assert log_of('run').count('# psnr') == 3


def test_test_pipeline_reports_quality_and_cost_of_the_folded_network(work, capsys):
    train(training('run'))
    options = training('run')
    options['datasets'] = {'test_1': options['datasets']['val']}
    options['path'] = {'pretrain_network_g': 'experiments/run/models/net_g_4.pth', 'param_key_g': 'params_ema'}
    for key in ('train', 'logger'):
        options.pop(key)
    basicsr_snn.test.main(['-opt', write(options, 'test.yml')])
    tested = next(Path('results/run').glob('*.log')).read_text()
    validated = re.findall(r'# psnr: (\d+\.\d+)', log_of('run'))[0]
    assert re.findall(r'# psnr: (\d+\.\d+)', tested) == [validated]
    assert 'firing rate' in tested
    assert 'nJ/px (45nm-fp32' in tested


def test_moving_average_follows_parameters_and_copies_buffers(work):
    model = built(training())
    before = {name: p.clone() for name, p in model.net_g_ema.named_parameters()}
    with torch.no_grad():
        for tensor in (*model.net_g.parameters(), *model.net_g.buffers()):
            tensor.add_(1)
    model.model_ema(0.75)
    net = dict(model.net_g.named_parameters())
    for name, averaged in model.net_g_ema.named_parameters():
        assert torch.allclose(averaged, 0.75 * before[name] + 0.25 * net[name], atol=1e-6)
    for averaged, buffer in zip(model.net_g_ema.buffers(), model.net_g.buffers(), strict=True):
        assert torch.equal(averaged, buffer)


def test_moving_average_forgets_the_initial_weights_after_few_iterations(work):
    """A constant decay of 0.999 would still hold 0.999^20 = 98 % of them."""
    options = training()
    options['train']['ema_decay'] = 0.999
    model = built(options)
    weight, averaged = model.net_g.stem.weight, model.net_g_ema.stem.weight
    with torch.no_grad():
        weight.fill_(1.0)
        averaged.fill_(0.0)
    model.feed_data(batch())
    for group in model.optimizer_g.param_groups:
        group['lr'] = 0.0
    for iteration in range(1, 21):
        model.optimize_parameters(iteration)
    kept = np.prod([(1 + i) / (10 + i) for i in range(1, 21)])
    assert averaged.mean().item() == pytest.approx(1 - kept, rel=1e-4)
    assert kept < 1e-3
    assert ema_decay_at(10 ** 6, 0.999) == 0.999


def test_thresholds_and_biases_have_no_weight_decay(work):
    model = built(distilling())
    decayed, kept = model.optimizer_g.param_groups
    assert (decayed['weight_decay'], kept['weight_decay']) == (0.1, 0.0)
    assert all(p.dim() > 1 for p in decayed['params'])
    assert all(p.dim() <= 1 for p in kept['params'])
    trained = sum(p.numel() for net in (model.net_g, model.teaching.adapters) for p in net.parameters())
    assert sum(p.numel() for group in model.optimizer_g.param_groups for p in group['params']) == trained


def test_gradient_clipping_limits_the_norm_over_all_parameters(work, monkeypatch):
    options = training()
    options['train'].update(grad_clip=1e-3, optim_g={'type': 'SGD', 'lr': 1.0})
    model = built(options)
    start = [p.detach().clone() for p in model.net_g.parameters()]
    model.feed_data(batch())
    model.optimize_parameters(1)
    moved = sum((a - b).square().sum() for a, b in zip(model.net_g.parameters(), start, strict=True)).sqrt()
    assert moved.item() == pytest.approx(1e-3, rel=1e-3)


def test_loss_terms_are_those_of_the_formulas(work):
    model = built(training())
    model.feed_data(batch())
    restored, terms = model.student_losses(model.batch)
    spectrum = torch.view_as_real(torch.fft.rfft2(restored - model.gt, norm='ortho'))
    assert terms['l_pix'].item() == pytest.approx((restored - model.gt).abs().mean().item())
    assert terms['l_fft'].item() == pytest.approx(0.1 * spectrum.abs().mean().item(), rel=1e-5)


def test_a_broken_loss_stops_the_training_with_advice(work):
    model = built(training())
    model.feed_data({**batch(), 'gt': torch.full((2, 3, 16, 16), float('nan'))})
    model.optimize_parameters(2)
    with pytest.raises(UserError, match='l_pix and l_fft are not finite .* lower train.optim_g.lr'):
        model.get_current_log()


def test_tiles_in_validation_give_the_picture_of_the_whole(work):
    model = built(training())
    model.feed_data(batch(96))
    model.test()
    whole, seen = model.output, []
    model.opt['val'].update(tile=16, tile_pad=24)
    handle = nn.modules.module.register_module_forward_pre_hook(
        lambda module, inputs: seen.append(inputs[0].shape[-1]) if isinstance(module, nn.Conv2d) else None)
    model.test()
    handle.remove()
    assert (model.output - whole).abs().max() < 1e-4
    assert 0 < max(seen) < 96, 'no tile was cut'


def test_teachers_noise_level_comes_from_the_dataset(work):
    options = training(network_g={'type': 'FFDNet', 'in_nc': 3, 'out_nc': 3, 'nc': 8, 'nb': 3})
    model = built(options)
    model.feed_data({**batch(), 'sigma': torch.tensor([10.0, 50.0])})
    model.test()
    net = model.network_to_deploy()
    with torch.no_grad():
        alone = [net(model.lq[i:i + 1], sigma=sigma) for i, sigma in enumerate((10.0, 50.0))]
    assert torch.allclose(model.output, torch.cat(alone), atol=1e-6)


def test_weights_that_are_missing_or_do_not_fit_get_one_sentence(work, capsys):
    options = training('run', path={'pretrain_network_g': 'teachr.pth'})
    assert main(['train', '-opt', write(options)]) == 2
    options['path']['pretrain_network_g'] = 'teacher.pth'
    assert main(['train', '-opt', write(options)]) == 2
    errors = capsys.readouterr().err
    assert 'weight file teachr.pth does not exist; did you mean teacher.pth' in errors
    assert 'teacher.pth does not fit the network SpikerIR' in errors
    assert 'Traceback' not in errors


def test_a_plain_weight_file_starts_network_and_moving_average(work):
    weights = torch.load('teacher.pth', weights_only=True)
    model = built(training(network_g=dict(TEACHER), path={'pretrain_network_g': 'teacher.pth'}))
    for loaded in (model.net_g, model.net_g_ema):
        for name, tensor in loaded.state_dict().items():
            assert torch.equal(tensor, weights[name])


def test_noise_level_reaches_a_network_inside_a_data_parallel_wrapper():
    net = build_network({'type': 'FFDNet', 'in_nc': 3, 'out_nc': 3, 'nc': 8, 'nb': 3})
    picture = torch.rand(1, 3, 8, 8)
    wrapped = as_restorer(torch.nn.DataParallel(net))
    assert torch.equal(restore(wrapped, picture, 50.0), net(picture, sigma=50.0))
    assert not torch.equal(restore(wrapped, picture, 50.0), net(picture))


def test_distillation_without_its_block_or_with_wrong_paths_gets_one_sentence(work, capsys):
    assert main(['train', '-opt', write({**distilling(), 'distill': None})]) == 2
    options = distilling()
    options['datasets']['train']['gt_size'] = 32
    options['distill']['hints'][0]['student'] = 'decoder.1'
    assert main(['train', '-opt', write(options)]) == 2
    errors = capsys.readouterr().err
    assert 'Traceback' not in errors
    assert re.search(r'"decoder.1" does not exist .* decoder\.0 1x\(4x32x32\)', errors)


@pytest.mark.parametrize('cls', [SNNModel, ANNSNNDistillModel])
def test_docstring_yaml_builds(work, cls):
    blocks = yaml.safe_load(cls.__doc__.split('.. code-block:: yaml')[1].replace('1e-', '1.0e-'))
    os.makedirs('pretrained')
    torch.save(build_network({'type': 'FFDNet', 'in_nc': 3, 'out_nc': 3, 'nc': 96, 'nb': 12}).state_dict(),
               'pretrained/ffdnet_color.pth')
    options = {**training(), **blocks}
    assert type(built(options)) is cls


def step_of(options: dict) -> tuple[dict, dict[str, torch.Tensor]]:
    """Loss terms and parameters after one training step."""
    torch.manual_seed(0)
    model = built(options)
    model.feed_data(batch())
    model.optimize_parameters(1)
    return model.get_current_log(), dict(model.net_g.named_parameters())


@pytest.mark.parametrize('options', [training, distilling])
def test_micro_batches_make_the_same_step(work, options):
    network = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}  # batch normalisation would see the parts
    whole = options(network_g=network)
    parts = copy.deepcopy(whole)
    parts['train']['micro_batches'] = 2
    (log, parameters), (log_of_parts, parameters_of_parts) = step_of(whole), step_of(parts)
    assert log_of_parts.keys() >= {'l_pix', 'l_fft'}
    for key in [key for key in log if key.startswith('l_')]:
        assert log_of_parts[key] == pytest.approx(log[key], rel=1e-5), key
    for name, parameter in parameters.items():
        torch.testing.assert_close(parameters_of_parts[name], parameter, rtol=0, atol=1e-5)


def test_micro_batches_that_do_not_divide_the_batch(work):
    options = training()
    options['train']['micro_batches'] = 3
    with pytest.raises(UserError, match='micro_batches is 3, but the batch of 2 pictures has no 3 equal parts; write a '
                                        'divisor of 2'):
        step_of(options)


@pytest.mark.parametrize('options', [training, distilling])
def test_bfloat16_training_stays_close_and_keeps_float32_weights(work, options):
    plain = options()
    mixed = copy.deepcopy(plain)
    mixed['train']['amp'] = True
    (log, _), (mixed_log, parameters) = step_of(plain), step_of(mixed)
    assert mixed_log['l_pix'] == pytest.approx(log['l_pix'], rel=0.02)
    assert mixed_log['l_pix'] != log['l_pix'], 'bfloat16 was not used'
    assert {parameter.dtype for parameter in parameters.values()} == {torch.float32}


def test_optimiser_is_fused_unless_the_options_say_otherwise(work):
    options = training()
    assert built(options).optimizer_g.defaults['fused'] is True
    options['train']['optim_g']['fused'] = False
    assert built(options).optimizer_g.defaults['fused'] is False
