"""The machinery of bench: what is compared, on what, how it is measured, kept and shown."""
from __future__ import annotations

import csv
import json
import math
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.metrics import calculate_psnr, calculate_ssim
from torch import nn

from basicsr_snn import zoo
from basicsr_snn.bench import candidates, measuring, plotting, tables
from basicsr_snn.bench.candidates import with_own_names
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder, blocks_of_options
from basicsr_snn.bench.row import COLUMNS, Row
from basicsr_snn.bench.row_cache import RowCache
from basicsr_snn.errors import NotFiniteError, UserError
from basicsr_snn.inference.contract import as_restorer
from basicsr_snn.pipeline.option_files import network_of_option_file
from basicsr_snn.zoo.trained_network import NetworkRestorer, TrainedNetwork

TINY = {'type': 'SpikerIR', 'size': 'tiny'}
TWIN = {**TINY, 'neuron': {'type': 'relu'}}


@pytest.fixture
def folder(tmp_path):
    """Two colour pictures of different sizes."""
    pixels = np.random.RandomState(0).randint(0, 256, (2, 24, 20, 3), dtype=np.uint8)
    (tmp_path / 'clean').mkdir()
    for index, picture in enumerate((pixels[0], pixels[1][:16])):
        cv2.imwrite(str(tmp_path / 'clean' / f'{index}.png'), cv2.GaussianBlur(picture, (0, 0), 2))
    return tmp_path / 'clean'


@pytest.fixture
def pictures(folder):
    return EvaluationSet(block_of_folder(folder, 25, 3))


def candidate(tmp_path: Path, network: dict, name: str = 'net', seed: int = 0) -> TrainedNetwork:
    torch.manual_seed(seed)
    file = tmp_path / f'{name}.pth'
    torch.save(zoo.build(network).state_dict(), file)
    return TrainedNetwork(name, network, file)


def option_file(tmp_path: Path, name: str, **changes) -> Path:
    options = {
        'name': name, 'model_type': 'SNNModel', 'num_gpu': 'auto', 'manual_seed': 0,
        'datasets': {'test_1': {'name': 'first', **block_of_folder(tmp_path / 'clean', 25, 3)['test_1']},
                     'test_2': {**block_of_folder(tmp_path / 'clean', 50, 3)['test_1'], 'name': 'second'}},
        'network_g': TINY, 'path': {'pretrain_network_g': str(tmp_path / 'net.pth'), 'param_key_g': None},
        'val': {'save_img': False, 'suffix': None}, **changes}
    file = tmp_path / f'{name}.yml'
    file.write_text(yaml.safe_dump(options))
    return file


def test_scores_are_basicsr_s_on_8_bit_pictures(tmp_path, pictures):
    row = measuring.measure(candidate(tmp_path, TINY), pictures)
    net = zoo.build(TINY)
    net.load_state_dict(torch.load(tmp_path / 'net.pth'))
    psnr, ssim = [], []
    for noisy, clean, _ in pictures:
        with torch.no_grad():
            restored = net.eval()(noisy)
        restored, clean = (np.rint(one[0].clamp(0, 1).permute(1, 2, 0).numpy() * 255) for one in (restored, clean))
        psnr.append(calculate_psnr(restored, clean, crop_border=0))
        ssim.append(calculate_ssim(restored, clean, crop_border=0))
    assert row.psnr == pytest.approx(np.mean(psnr), abs=1e-3)  # folding may turn a rounding
    assert row.ssim == pytest.approx(np.mean(ssim), abs=1e-4)


def test_row_of_a_spiking_network_and_of_its_twin(tmp_path, pictures):
    seen = []
    student = measuring.measure(candidate(tmp_path, TINY, 'student'), pictures, lambda: seen.append(1))
    twin = measuring.measure(candidate(tmp_path, TWIN, 'twin'), pictures)
    assert len(seen) == len(pictures) == 2
    assert (student.spiking, student.T, student.D, twin.spiking, twin.T, twin.D) == (True, 1, 4, False, None, None)
    assert student.params == sum(p.numel() for p in zoo.build(TINY).parameters())
    assert (twin.acs_per_px, twin.firing_rate, student.macs_per_px) == (0, None, 12 * 27)
    assert student.energy_nj_px_fp32 == pytest.approx((4.6 * student.macs_per_px + 0.9 * student.acs_per_px) / 1000)
    assert student.energy_nj_px_int8 == pytest.approx((0.23 * student.macs_per_px + 0.03 * student.acs_per_px) / 1000)
    assert student.energy_nj_px_neuromorphic == pytest.approx(
        (4.6 * student.macs_per_px + 0.077 * student.acs_per_px) / 1000)
    assert student.details['twin_macs_per_px'] == twin.macs_per_px
    assert student.details['twin_nj_px_fp32'] == pytest.approx(twin.energy_nj_px_fp32)
    assert student.details['quantised_bits'] == 3
    assert student.s_per_mpx > 0
    assert 'quantised_bits' not in twin.details


def test_peak_memory_by_hand():
    net = NetworkRestorer(as_restorer(nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 3, 1)).eval()))
    with torch.inference_mode():
        peak = measuring.peak_megabytes(net, torch.rand(1, 3, 100, 100).to(memory_format=torch.channels_last), None)
    assert peak == pytest.approx((8 + 3) * 100 * 100 * 4 / 1e6, rel=0.05)  # both results live at once


def test_answers_of_another_size_or_nan_are_refused(tmp_path, pictures):
    larger = candidate(tmp_path, {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 4, 'num_block': 1,
                                  'upscale': 2})
    with pytest.raises(UserError, match='answers 3x48x40 where the clean picture is 3x24x20'):
        measuring.measure(larger, pictures)
    broken = candidate(tmp_path, TINY)
    weights = torch.load(broken.weights)
    torch.save({name: value * math.nan for name, value in weights.items()}, broken.weights)
    with pytest.raises(NotFiniteError, match=r'holds NaN or infinity in .* and \d+ more; take the weights of'):
        measuring.measure(broken, pictures)
    with pytest.raises(NotFiniteError, match='it answers a picture with NaN or infinity, so that no score is given'):
        measuring.check_answer(torch.full((1, 3, 4, 4), math.inf), torch.zeros(1, 3, 4, 4))


def test_networks_in_windows_take_any_size(tmp_path, pictures):
    swin = {'type': 'SwinIR', 'img_size': 8, 'window_size': 8, 'depths': [2], 'embed_dim': 8, 'num_heads': [2],
            'upscale': 1, 'upsampler': '', 'img_range': 1.0}
    made = candidate(tmp_path, swin)
    picture = torch.rand(1, 3, 16, 20)
    with torch.no_grad():
        expected = made.build().net.network(nn.functional.pad(picture, (0, 4, 0, 0), mode='reflect'))[..., :20]
        assert torch.equal(made.build()(picture, None), expected)
    row = measuring.measure(made, pictures)  # 24x20 and 16x20
    assert any('_softmax' in warning for warning in row.details['warnings'])


def test_weights_that_are_missing(tmp_path):
    with pytest.raises(UserError, match='weight file .*nowhere.pth does not exist; train the network first'):
        TrainedNetwork('x', TINY, tmp_path / 'nowhere.pth').build()


def test_untrained_network_has_costs_and_no_scores(pictures):
    untrained = TrainedNetwork('x', TINY, None)
    before = torch.random.get_rng_state()
    row = measuring.measure(untrained, pictures)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert (row.psnr, row.ssim) == (None, None)
    assert row.macs_per_px == 12 * 27
    assert row.acs_per_px == measuring.measure(untrained, pictures).acs_per_px > 0


def test_candidate_of_an_option_file(tmp_path, folder):
    made = network_of_option_file(option_file(tmp_path, 'mine'))
    assert (made.name, made.arch, made.weights, made.param_key) == ('mine', 'SpikerIR', tmp_path / 'net.pth', None)
    with pytest.raises(UserError, match='unknown key "sise"'):
        network_of_option_file(option_file(tmp_path, 'typo', network_g={'type': 'SpikerIR', 'sise': 'tiny'}))


def test_equal_names_are_numbered(tmp_path):
    one = TrainedNetwork('a', TINY, None)
    assert [made.name for made in with_own_names([one, one, replace(one, name='b'), one])] == ['a', 'a (2)', 'b',
                                                                                              'a (3)']


def test_first_dataset_or_those_named(tmp_path, folder):
    file = option_file(tmp_path, 'mine')
    assert [block['name'] for block in blocks_of_options(file).values()] == ['clean']
    assert EvaluationSet(blocks_of_options(file, ['second', 'clean']), 1).describe() == \
        'second (1 picture) and clean (1 picture)'
    with pytest.raises(UserError, match='did you mean second'):
        blocks_of_options(file, ['secnd'])
    with pytest.raises(UserError, match='no test or validation dataset; add -i FOLDER --noise 25'):
        blocks_of_options(option_file(tmp_path, 'none', datasets={'train': {'name': 'x', 'type': 'y'}}))


def test_datasets_that_cannot_be_opened_are_one_sentence(tmp_path):
    with pytest.raises(UserError, match='the dataset x of type PairedImageDataset cannot be opened'):
        EvaluationSet({'test': {'name': 'x', 'type': 'PairedImageDataset'}})


def test_pictures_are_the_same_at_each_pass(folder, pictures):
    assert pictures.fingerprint() == pictures.fingerprint()
    others = [EvaluationSet(block_of_folder(folder, 15, 3)), EvaluationSet(block_of_folder(folder, 25, 3), 1),
              EvaluationSet(block_of_folder(folder, 25, 1))]
    assert len({one.fingerprint() for one in (pictures, *others)}) == 4


def test_cache_answers_for_equal_content_only(tmp_path):
    one = candidate(tmp_path, TINY)
    row = Row('net', 'SpikerIR', psnr=30.0, details={'quantised_bits': 3})
    cache = RowCache(tmp_path / 'cache', 'pictures')
    assert cache.find(one) is None
    cache.keep(one, row)
    assert cache.find(one) == row
    assert cache.find(replace(one, name='other')) == replace(row, name='other')
    assert RowCache(tmp_path / 'cache', 'other pictures').find(one) is None
    assert cache.find(replace(one, network={**TINY, 'T': 2})) is None
    assert RowCache(None, 'pictures').find(one) is None
    candidate(tmp_path, TINY, seed=1)  # other weights in the same file
    assert cache.find(one) is None


def test_cache_forgets_rows_of_another_version_failures_and_damage(tmp_path, monkeypatch):
    one, row = candidate(tmp_path, TINY), Row('net', 'SpikerIR', psnr=30.0)
    cache = RowCache(tmp_path / 'cache', 'pictures')
    cache.keep(one, replace(row, error='failed'))
    assert not (tmp_path / 'cache').exists()
    cache.keep(one, row)
    with monkeypatch.context() as patch:
        patch.setattr('basicsr_snn.bench.row_cache.__version__', '99')
        assert cache.find(one) is None
    assert cache.find(one) == row
    (file,) = (tmp_path / 'cache').iterdir()
    file.write_text('{"name": ')
    assert cache.find(one) is None


ROWS = [
    Row('student', 'SpikerIR', True, 82067, 328268, 1, 4, 30.2166, 0.8365, 434.0, 51763.04, 1.5117, 48.58, 1.6527, 5.98,
        7.0, 56.5, details={'twin_nj_px_fp32': 160.8, 'quantised_bits': 3, 'quantised_nj_px_int8': 3.73,
                            'warnings': ['softmax ran 1 times and is not counted.']}),
    Row('ann|one', 'FFDNet', False, 852108, 3408432, psnr=31.2, ssim=0.88, macs_per_px=213867.0, acs_per_px=0.0,
        energy_nj_px_fp32=983.8, energy_nj_px_int8=49.2, energy_nj_px_neuromorphic=983.8, s_per_mpx=30.0, peak_mb=38.0),
    Row('BM3D', 'BM3D', False, psnr=30.7, ssim=0.87, s_per_mpx=50.0),
    Row('broken', 'EDSR', error='weight file x.pth does not exist; correct it, please.'),
]


def test_csv_has_the_columns_of_the_contract():
    text = tables.csv_text(ROWS, '')
    assert text.splitlines()[0] == (
        'name,arch,spiking,params,footprint_bytes,T,D,psnr,ssim,macs_per_px,acs_per_px,firing_rate,energy_nj_px_fp32,'
        'energy_nj_px_int8,energy_nj_px_neuromorphic,s_per_mpx,peak_mb,error')
    read = list(csv.DictReader(text.splitlines()))
    assert [row['name'] for row in read] == ['student', 'ann|one', 'BM3D', 'broken']
    assert [read[0][key] for key in ('spiking', 'params', 'T', 'acs_per_px')] == ['true', '82067', '1', '51763']
    assert (read[1]['spiking'], read[1]['T'], read[1]['firing_rate']) == ('false', '', '')
    assert (read[3]['spiking'], read[3]['error']) == ('', ROWS[3].error)
    assert tuple(read[0]) == COLUMNS


def test_json_holds_everything():
    content = json.loads(tables.json_text([*ROWS, Row('perfect', 'x', psnr=math.inf)], 'CBSD68 (68 pictures)'))
    assert content['pictures'] == 'CBSD68 (68 pictures)'
    assert content['rows'][0]['details']['quantised_bits'] == 3
    assert content['rows'][4]['psnr'] is None
    assert content['measured_with']['threads'] == torch.get_num_threads()


def test_markdown_shows_baselines_failures_and_warnings():
    text = tables.markdown(ROWS, 'CBSD68 (68 pictures)')
    assert '| student | SpikerIR | yes | 30.22 | 0.8365 | 82,067 | 1 | 4 | 434 | 51,763 | 1.512 | 48.6 |' in text
    assert '| ann/one |' in text
    assert '| student | 1.512 | 48.6 | 1.65 | 160.8 | 3 | 3.73 |' in text
    assert '- broken failed: weight file x.pth does not exist' in text
    assert '- student: softmax ran 1 times' in text
    lines = [line for line in text.splitlines() if line.startswith('|')]
    assert len({line.count('|') for line in lines[:6]}) == 1


def test_pareto_front_by_hand():
    def row(energy, psnr):
        return Row(f'{energy}', 'x', psnr=psnr, energy_nj_px_fp32=energy)

    rows = [row(10.0, 30.0), row(5.0, 29.0), row(7.0, 28.0), row(10.0, 31.0), row(20.0, 31.0)]
    assert [(one.energy_nj_px_fp32, one.psnr) for one in plotting.pareto_front(rows)] == [(5.0, 29.0), (10.0, 31.0)]


@pytest.mark.parametrize('suffix', ['.png', '.svg'])
def test_plot_is_drawn(suffix, tmp_path):
    plotting.draw(ROWS, 'CBSD68', tmp_path / f'plot{suffix}')
    content = (tmp_path / f'plot{suffix}').read_bytes()
    if suffix == '.png':
        assert cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_COLOR).shape == (780, 1200, 3)
    else:
        assert content.count(b'<!-- BM3D -->') == 1


def test_labels_cover_neither_bubbles_nor_each_other(tmp_path, monkeypatch):
    boxes = []
    place = plotting._best_offset

    def remember(box, bubble, taken, inside, pixels):
        offset = place(box, bubble, taken, inside, pixels)
        centre = (bubble.x0 + bubble.x1) / 2, (bubble.y0 + bubble.y1) / 2
        boxes.append((box.translated(offset[0] * pixels, offset[1] * pixels), list(taken), inside, centre))
        return offset

    monkeypatch.setattr(plotting, '_best_offset', remember)
    crowd = [Row(f'network_number_{i}', 'x', i % 2 == 0, 10_000 * (i + 1), psnr=30 + 0.02 * i,
                 energy_nj_px_fp32=40.0 + 4 * i) for i in range(5)]
    plotting.draw(crowd, 'crowd', tmp_path / 'plot.png')
    assert len(boxes) == 5
    for box, taken, inside, _ in boxes:
        assert sum(plotting._overlap(box, other) for other in taken) == 0
        assert plotting._overlap(box, inside) == pytest.approx(box.width * box.height)


def test_plot_without_a_point_is_refused(tmp_path):
    with pytest.raises(UserError, match='no network has both a PSNR and an energy'):
        plotting.draw(ROWS[2:], '', tmp_path / 'plot.png')


def test_bm3d_needs_its_package(monkeypatch):
    monkeypatch.setattr(candidates.importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='package bm3d, which is not installed; type: pip install bm3d'):
        candidates.BM3DCandidate()


@pytest.mark.parametrize('channels', [1, 3])
def test_bm3d_is_told_sigma_and_layout(channels, monkeypatch):
    """With a stand-in for the package, which need not be there: what it receives and what becomes of its answer."""
    received = []

    class Package:
        @staticmethod
        def bm3d(pixels, deviation):
            received.append((pixels.shape, deviation))
            return pixels.astype(np.float64) / 2

        bm3d_rgb = bm3d

    monkeypatch.setitem(__import__('sys').modules, 'bm3d', Package)
    picture = torch.rand(1, channels, 5, 7)
    restored = candidates.BM3DRestorer()(picture, torch.tensor([51.0]))
    assert received == [((5, 7) if channels == 1 else (5, 7, 3), pytest.approx(0.2))]
    assert torch.allclose(restored, picture / 2)
    with pytest.raises(UserError, match='BM3D needs the noise level'):
        candidates.BM3DRestorer()(picture, None)
