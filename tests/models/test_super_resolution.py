"""Networks that enlarge, ours and BasicSR's, in training, validation, distillation, test, bench and check."""
from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from basicsr.archs import build_network
from basicsr.metrics import calculate_psnr, calculate_ssim
from trainings import built, log_of, train, training, write

from basicsr_snn.bench.evaluation_set import EvaluationSet, blocks_of_options
from basicsr_snn.bench.measuring import measure
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.images.enlarging import enlarged
from basicsr_snn.images.scoring import eight_bits, quality
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.weight_files.card import card_of_options
from basicsr_snn.zoo.trained_network import TrainedNetwork
from basicsr_snn.zoo.weights import read_card

EDSR = {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1, 'upscale': 2}
METRICS = {'psnr': {'type': 'calculate_psnr', 'crop_border': 2, 'test_y_channel': True}}


def enlarging(scale: int = 2, **changes: object) -> dict:
    dataset = {'name': 'P', 'type': 'SuperResolutionDataset', 'dataroot_gt': 'pictures'}
    options = training('larger', task=f'sr{scale}', scale=scale, **changes)
    options['datasets'] = {'train': {**dataset, 'gt_size': 16, 'batch_size_per_gpu': 2, 'num_worker_per_gpu': 0,
                                     'dataset_enlarge_ratio': 10},
                           'val': {**dataset, 'name': 'V'}}
    options.setdefault('network_g', {})
    if 'network_g' not in changes:
        options['network_g'] = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'scale': scale}
    options['val'] = {**options['val'], 'metrics': METRICS}
    return options


def test_a_student_is_trained_validated_in_tiles_and_tells_its_task(work):
    options = enlarging()
    options['val'].update(tile=16, tile_pad=8)
    train(options)
    log = log_of('larger')
    assert re.search(r'psnr: [\d.]+', log)
    energy, larger = map(float, re.search(r'energy: ([\d.]+) nJ/px .*; ([\d.]+) nJ for each pixel of the enlarged',
                                          log).groups())
    assert larger == pytest.approx(energy / 4, abs=0.01)
    card = read_card(Path('experiments/larger/models/net_g_latest.pth'))[0]
    assert (card.task, card.scale, card.network_g['scale']) == ('sr2', 2, 2)
    assert main(['restore', '-n', 'experiments/larger/models/net_g_latest.pth', '-i', 'pictures/0.png', '-o', 'r']) == 0
    assert cv2.imread('r/0.png').shape[0] == 2 * cv2.imread('pictures/0.png').shape[0]


def test_it_learns_from_a_teacher_of_basicsr(work):
    torch.save({'params': build_network(dict(EDSR)).state_dict()}, 'edsr.pth')
    hint = {'name': 'body', 'teacher': 'conv_after_body', 'student': 'decoder.0', 'weight': 0.1,
            'loss': {'type': 'FeatureHintLoss', 'criterion': 'attention'}}
    options = enlarging(model_type='ANNSNNDistillModel', distill={
        'teacher': {'network': dict(EDSR), 'path': 'edsr.pth'}, 'hints': [hint],
        'output': {'type': 'L1Loss', 'loss_weight': 0.5}})
    train(options)
    assert all(f'{term}: ' in log_of('larger') for term in ('l_pix', 'l_hint_body', 'l_kd'))


def test_a_network_of_basicsr_is_trained_and_tested_in_tiles(work):
    options = enlarging(network_g=dict(EDSR))
    options['val'].update(tile=16, tile_pad=8)
    train(options)
    assert re.search(r'psnr: [\d.]+', log_of('larger'))
    assert main(['check', '-opt', write(options)]) == 0


def test_pairs_of_stored_pictures_train_at_the_factor_of_the_file(work):
    Path('small').mkdir()
    for file in Path('pictures').iterdir():
        sharp = cv2.imread(str(file))
        cv2.imwrite(f'small/{file.name}', cv2.resize(sharp[:sharp.shape[0] // 2 * 2, :sharp.shape[1] // 2 * 2], None,
                                                     fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA))
    options = enlarging()
    pairs = {'type': 'PairedImageDataset', 'dataroot_lq': 'small', 'io_backend': {'type': 'disk'}}
    for phase, block in options['datasets'].items():
        block.update(pairs)
        if phase == 'train':
            block.update(use_hflip=True, use_rot=True)
    train(options)
    assert re.search(r'psnr: [\d.]+', log_of('larger'))


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'scale': 4}, 'network_g: scale is 2, but that of the pictures, at the top of the option file, is 4; write'),
    ({'scale': 1}, 'is a SuperResolutionDataset, which reads scale; add `scale: 2` at the top of the option file'),
    ({'task': 'sr3'}, "task is 'sr3', but must be denoise or sr2 or sr4 or derain or jpeg or deblur; write task: sr2"),
])
def test_factors_that_do_not_fit_are_named(changes, sentence):
    check_options(enlarging())
    with pytest.raises(UserError, match=sentence):
        check_options({**enlarging(), **changes})


def test_the_answer_of_another_size_is_named_for_networks_that_do_not_tell(work):
    options = enlarging(network_g={**EDSR, 'upscale': 4})
    model = built(options)
    model.feed_data({'lq': torch.rand(2, 3, 8, 8), 'gt': torch.rand(2, 3, 16, 16)})
    with pytest.raises(UserError, match='answers with 32x32 pixels where the clean crop has 16x16; write the same'):
        model.optimize_parameters(1)


def test_bench_scores_the_luminance_without_a_border(work):
    options = enlarging()
    torch.save(build_network(dict(options['network_g'])).state_dict(), 'net.pth')
    row = measure(TrainedNetwork('n', options['network_g'], Path('net.pth')),
                  EvaluationSet(blocks_of_options(write(options)), 1))
    given, clean, _ = next(iter(EvaluationSet(blocks_of_options('options.yml'), 1)))
    with torch.no_grad():
        restored = TrainedNetwork('n', options['network_g'], Path('net.pth')).deployed()(given)
    pixels, truth = (np.ascontiguousarray(eight_bits(one)[..., ::-1]) for one in (restored, clean))
    assert row.psnr == pytest.approx(calculate_psnr(pixels, truth, 2, test_y_channel=True), abs=1e-6)
    assert row.ssim == pytest.approx(calculate_ssim(pixels, truth, 2, test_y_channel=True), abs=1e-6)
    stem = next(layer for layer in row.details['layers'] if layer['name'] == 'stem')
    assert stem['macs_per_px'] == 3 * 4 * 9  # for each pixel that is read
    bicubic = enlarged(eight_bits(given), 2)
    assert quality(bicubic, eight_bits(clean), 2)[0] > quality(bicubic[::-1], eight_bits(clean), 2)[0]


def test_the_report_shows_enlarged_pictures(work):
    options = enlarging()
    torch.save(build_network(dict(options['network_g'])).state_dict(), 'net.pth')
    options['path']['pretrain_network_g'] = 'net.pth'
    del options['train'], options['logger'], options['datasets']['train']
    assert main(['report', '-opt', write(options), '-o', 'report', '--pictures', '2']) == 0
    page = next(Path('report').glob('*.html')).read_text()
    assert 'luminance, 2 pixels cut off at each side, degraded pictures enlarged by bicubic interpolation' in page


def test_the_card_of_options_tells_the_task():
    assert card_of_options(enlarging()).task == 'sr2'
    assert card_of_options(training()).task is None
