"""What a class refuses of its options is a sentence before anything is made of them; names are plain words."""
from __future__ import annotations

import copy
import time
from typing import Any

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY, METRIC_REGISTRY
from torch import nn
from trainings import set_values, training

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.zoo.size_limit import VARIABLE, try_to_build

SWINIR = {'type': 'SwinIR', 'img_size': 16, 'window_size': 8, 'embed_dim': 12, 'depths': [2], 'num_heads': [2]}
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv5_4': 1}}


def changed(changes: dict[str, Any], **blocks: Any) -> dict:
    return set_values(training(**blocks), changes, '.')


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'train.optim_g.betas': [0.9, 5]}, r'train: optim_g: AdamW does not work .*Invalid beta parameter at index 1: 5'),
    ({'train.optim_g': {'type': 'SGD', 'lr': 1, 'nesterov': True}}, 'train: optim_g: SGD does not work .*momentum'),
    ({'train.optim_g': {'type': 'Adam'}}, 'train: optim_g lacks lr'),
    ({'train.optim_g.type': 'LBFGS'}, 'type is "LBFGS", which is not known; did you mean Adam'),
    ({'network_g.channels': [-4, 4]}, r'network_g: SpikerIR does not work with its options \(RuntimeError.*negative'),
    ({'network_g.channels': [4, 0]}, 'network_g: a layer without channels was asked for'),
    ({'network_g.channels': [4]}, 'network_g: SpikerIR was given 1 channels .* and 2 blocks'),
    ({'network_g.neuron': {'type': 'SignedILIF', 'D': 0}}, 'network_g: neuron: .*D'),
    ({'network_g': {**SWINIR, 'window_size': 7}}, r"network_g: SwinIR does not work .*shape '\[.*is invalid"),
    ({'val.metrics.psnr.type': 'calculate_psnr_pt'}, 'psnr: calculate_psnr_pt computes no score of 8-bit pictures'),
    ({'val.metrics.psnr.crop_border': -1}, 'crop_border is -1, but must be a number of at least 0'),
    ({'val.metrics.psnr.input_order': 'WHC'}, 'psnr: calculate_psnr does not work .*Wrong input_order WHC'),
    ({'train.perceptual_opt': {**PERCEPTUAL, 'layer_weights': {'conv5': 1}}}, 'vgg19 lacks; did you mean conv5_4'),
    ({'train.perceptual_opt': {**PERCEPTUAL, 'vgg_type': 'vgg12'}}, "vgg_type is 'vgg12', but must be one of vgg11"),
    ({'train.perceptual_opt': {**PERCEPTUAL, 'criterion': 'l2'}}, "criterion is 'l2', but must be l1 or fro"),
    ({'train.pixel_opt': PERCEPTUAL}, 'pixel_opt: type is PerceptualLoss, which does not compare two pictures'),
    ({'network_g.T': 10 ** 9}, 'network_g: T is 1000000000, but at most 1000 time steps are allowed; write T: 4'),
    ({'datasets.train.num_worker_per_gpu': 10 ** 6}, 'num_worker_per_gpu is 1000000, but must be at most 256'),
    ({'datasets.train.dataset_enlarge_ratio': 1e9}, 'dataset_enlarge_ratio is .* but must be at most 100,000'),
    ({'path.models': '/elsewhere'}, 'path has an unknown key "models"'),
    ({'is_train': False}, 'The option file has an unknown key "is_train"'),
])
def test_what_a_class_refuses_is_a_sentence(changes, sentence):
    check_options(changed({}))
    with pytest.raises(UserError, match=sentence) as error:
        check_options(changed(changes))
    assert len(str(error.value).splitlines()) == 1


def test_a_mistake_in_ones_own_metric_is_shown_where_it_is(monkeypatch):
    def own_metric(img, img2, **kwargs):
        return (img - img2).foo()

    monkeypatch.setitem(METRIC_REGISTRY._obj_map, 'own_metric', own_metric)
    with pytest.raises(UserError, match=r"no attribute 'foo' \(.*test_trials.py:\d+\); correct that line"):
        check_options(changed({'val.metrics.own': {'type': 'own_metric'}}))


@pytest.mark.parametrize('changes', [
    {'network_g': SWINIR}, {'train.perceptual_opt': PERCEPTUAL},
    {'val.metrics.niqe': {'type': 'calculate_niqe', 'crop_border': 0, 'better': 'lower'}},
    {'val.metrics.psnr.crop_border': 500}, {'network_g.neuron': {'type': 'PhaseIF', 'steps': 3}, 'network_g.T': 3},
], ids=str)
def test_what_a_class_takes_is_good(changes):
    check_options(changed(changes))


def test_a_teacher_of_other_channels_is_refused():
    options = training(model_type='ANNSNNDistillModel', distill={'teacher': {
        'network': {'type': 'DnCNN', 'in_nc': 1, 'out_nc': 1}, 'path': 'teacher.pth'}})
    with pytest.raises(UserError, match='distill: teacher: network: in_nc is 1, but datasets: train has in_ch: 3'):
        check_options(options)


@pytest.mark.parametrize('network', [
    {'type': 'SpikerIR', 'channels': [100_000, 100_000], 'blocks': [1, 1]},
    {'type': 'SpikerIR', 'channels': [12, 16], 'blocks': [10 ** 6, 1]},
    {'type': 'SpikerIR', 'channels': [12] * 3000, 'blocks': [1] * 3000},
    {'type': 'FFDNet', 'nc': 10 ** 7},
    {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 10 ** 7},
    {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_block': 10 ** 7},
    {**SWINIR, 'embed_dim': 10 ** 7},
], ids=lambda network: str(network)[:50])
def test_networks_that_no_machine_holds_are_counted_before_they_take_memory(network):
    start = time.process_time()
    with pytest.raises(UserError, match='network_g: more than .* were asked for, but no more are allowed; take fewer '):
        check_options(changed({'network_g': network}))
    assert time.process_time() - start < 20  # counted, not built: what is built takes minutes


def test_the_limit_can_be_moved(monkeypatch, tmp_path, capsys):
    monkeypatch.chdir(tmp_path)
    options = changed({'network_g': {'type': 'DnCNN', 'nc': 64, 'nb': 4}})
    monkeypatch.setenv(VARIABLE, '50000')
    with pytest.raises(UserError, match=f'more than 50,000 parameters .*--max_parameters N .*{VARIABLE}=N'):
        check_options(options)
    monkeypatch.setenv(VARIABLE, '2e9')
    check_options(options)
    monkeypatch.setenv(VARIABLE, 'many')
    with pytest.raises(UserError, match=f"{VARIABLE} is 'many', but a number of parameters above 0 is allowed"):
        check_options(options)
    (tmp_path / 'options.yml').write_text('model_type: SNNModel')
    assert main(['check', '-opt', 'options.yml', '--max_parameters', '-1']) == 2
    assert "--max_parameters is '-1', but a number" in capsys.readouterr().err


def test_a_trial_leaves_the_random_state_alone_and_takes_no_memory():
    class Large(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(10_000, 10_000)
            assert self.layer.weight.device.type == 'meta'
            self.layer.weight.numpy()  # no network to be refused: only the trial has no memory

    before = torch.get_rng_state()
    try_to_build(Large, {})
    try_to_build(ARCH_REGISTRY.get('DnCNN'), {'nc': 8, 'nb': 3})
    assert torch.equal(torch.get_rng_state(), before)
    assert nn.Linear(200, 200).weight.device.type == 'cpu'


NO_WORDS = ('../../victim', '', '.', '..', 'a/b', '/tmp/x', 'x' * 300, 'a b', '-x', 'a\n', '~root', 'ü', 'a\\b',
            'a.', 'a..b', 'a\u2028b')


@pytest.mark.parametrize('name', NO_WORDS)
@pytest.mark.parametrize('key', ['name', 'datasets.train.name', 'datasets.val.name', 'val.suffix'])
def test_a_name_that_becomes_a_path_is_one_plain_word(key, name):
    where = key.replace('.', ': ')
    with pytest.raises(UserError, match=f'{where} is .*, but must be one plain word of letters, digits and'):
        check_options(changed({key: name}))


@pytest.mark.parametrize('name', NO_WORDS)
def test_names_of_hints_and_metrics_are_plain_words_too(name):
    hint = {'name': name, 'teacher': 'model.2', 'student': 'decoder.0'}
    teacher = {'network': {'type': 'DnCNN', 'nc': 4, 'nb': 3}, 'path': 'x.pth'}
    for distill, where in (({'teacher': teacher, 'hints': [hint]}, 'distill: hints: 0: name is'),
                           ({'teachers': [{'name': name, **teacher}]}, 'distill: teachers: 0: name is')):
        with pytest.raises(UserError, match=f'{where} .*, but must be one plain word'):
            check_options(training(model_type='ANNSNNDistillModel', distill=distill))
    with pytest.raises(UserError, match='a name in val: metrics is .*, but must be one plain word'):
        check_options(changed({'val.metrics': {name: {'type': 'calculate_psnr', 'crop_border': 0}}}))


@pytest.mark.parametrize('name', ['101_EDSR_Mx2_f64b16_DIV2K_300k_B16G1', 'a', 'x' * 100, 'v1.2+amp'])
def test_honest_names_are_good(name):
    check_options(changed({'name': name, 'datasets.val.name': name, 'val.suffix': name}))


STOCK = {'name': 'x', 'model_type': 'SRModel', 'num_gpu': 0, 'scale': 1, 'path': {'pretrain_network_g': None},
         'datasets': {'val': {'name': 'a', 'type': 'PairedImageDataset', 'dataroot_gt': 'x', 'dataroot_lq': 'y',
                              'io_backend': {'type': 'disk'}}},
         'network_g': {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3},
         'train': {'total_iter': 8, 'optim_g': {'type': 'Adam', 'lr': 1e-4, 'betas': [0.9, 0.99]},
                   'scheduler': {'type': 'MultiStepLR', 'milestones': [4]}, 'pixel_opt': {'type': 'L1Loss'}},
         'val': {'val_freq': 4, 'save_img': False, 'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}},
         'logger': {'print_freq': 2, 'save_checkpoint_freq': 4, 'use_tb_logger': False, 'wandb': {'project': None}},
         'dist_params': {'backend': 'nccl', 'port': 29500}}


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'train.grad_clp': 1.0}, 'train has an unknown key "grad_clp"'),
    ({'train.ema_deca': 0.9}, 'train has an unknown key "ema_deca"; did you mean ema_decay'),
    ({'train.ema_decay': float('nan')}, 'train: ema_decay is nan'),
    ({'val.val_frq': 4}, 'val has an unknown key "val_frq"; did you mean val_freq'),
    ({'val.metrics.psnr.test_y_chanel': True}, 'unknown key "test_y_chanel"'),
    ({'logger.print_freq': 0}, 'logger: print_freq is 0'),
    ({'logger.wandb': {'projct': 'x'}}, 'logger: wandb has an unknown key "projct"'),
    ({'dist_params.prt': 1}, 'dist_params has an unknown key "prt"'),
    ({'path.pretrain_networkg': 'x'}, 'path has an unknown key "pretrain_networkg"'),
    ({'network_g.num_fat': 8}, 'network_g has an unknown key "num_fat"; did you mean num_feat'),
    ({'network_d': {'type': 'Nothing'}}, 'network_d: type is "Nothing", which is not known'),
    ({'datasets.val.dataroot_lg': 'x'}, 'datasets: val has an unknown key "dataroot_lg"'),
    ({'manual_sed': 0}, 'The option file has an unknown key "manual_sed"; did you mean manual_seed'),
    ({'name': '../x'}, 'name is .*, but must be one plain word'),
    ({'train': []}, r'train is \[\], but must be a block of keys'),
])
@pytest.mark.parametrize('model', ['SRModel', 'SwinIRModel'])
def test_the_blocks_of_basicsr_own_models_are_known(model, changes, sentence):
    options = set_values({**copy.deepcopy(STOCK), 'model_type': model}, changes, '.')
    with pytest.raises(UserError, match=sentence):
        check_options(options)


@pytest.mark.parametrize(('model', 'changes'), [
    ('SRModel', {'some_other_plugin': 1}), ('SwinIRModel', {}),
    ('ESRGANModel', {'train.net_d_iters': 1, 'train.net_d_init_iters': 0, 'train.optim_d': {'type': 'Adam', 'lr': 1},
                     'train.gan_opt': {'type': 'GANLoss', 'gan_type': 'vanilla'}, 'path.pretrain_network_d': None,
                     'network_d': {'type': 'VGGStyleDiscriminator', 'num_in_ch': 3, 'num_feat': 8}}),
    ('VideoRecurrentModel', {'train.fix_flow': 5, 'train.flow_lr_mul': 0.1}),
])
def test_option_files_of_basicsr_own_models_are_good(model, changes):
    check_options(set_values({**copy.deepcopy(STOCK), 'model_type': model}, changes, '.'))
