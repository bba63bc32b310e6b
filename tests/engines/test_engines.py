"""Networks on OpenVINO and ONNX Runtime: pictures of the 8-bit form in torch, choices, refusals, kept files."""
from __future__ import annotations

import threading

import pytest
import torch

from basicsr_snn import load, zoo
from basicsr_snn.engines import graph_file, placing
from basicsr_snn.engines.names import ENGINES
from basicsr_snn.engines.placing import place
from basicsr_snn.errors import UserError
from basicsr_snn.exporting.photographs import photographs_to_round
from basicsr_snn.images.files import read_picture, to_float, to_tensor
from basicsr_snn.images.noise import add_gaussian_noise
from basicsr_snn.images.scoring import eight_bits, psnr
from basicsr_snn.inference.calling import deployed
from basicsr_snn.inference.tiling import tiled_forward
from basicsr_snn.installation import shared_files
from basicsr_snn.spiking.int8 import has_int8_form, to_int8
from basicsr_snn.zoo.trained_network import TrainedNetwork, shipped_network

SMALL = TrainedNetwork('small', {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}, None)
GRAPHS = ('openvino', 'onnxruntime')


@pytest.fixture(scope='module')
def cache(tmp_path_factory):
    """A cache folder for this module, so that the graph is written once."""
    folder = tmp_path_factory.mktemp('cache')
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(graph_file.CACHE, str(folder))
        yield folder


def on(engine: str):
    pytest.importorskip(engine)
    pytest.importorskip('onnxscript')
    return place(SMALL, engine)


def pictures(*shape: int) -> torch.Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


@pytest.mark.slow
@pytest.mark.parametrize('engine', GRAPHS)
def test_pictures_are_those_of_the_8_bit_form_in_torch(engine, cache):
    placed, in_torch = on(engine), to_int8(deployed(SMALL.loaded()), photographs_to_round(3))
    assert (placed.engine, placed.int8) == (engine, True)
    for shape in ((1, 3, 20, 24), (3, 3, 13, 9), (1, 3, 1, 1)):
        answer = placed.net(pictures(*shape))
        assert answer.shape == shape
        with torch.no_grad():
            # a sum rounded otherwise may tip a single count, hence not all pixels
            assert ((answer - in_torch(pictures(*shape))).abs() < 1e-5).float().mean() > 0.99
    assert placed.net.receptive_field == in_torch.receptive_field
    assert placed.net.multiple_of == in_torch.multiple_of
    assert len(list((cache / 'graphs').iterdir())) == 1


@pytest.mark.slow
def test_openvino_compiles_each_size_of_tile_once(cache):
    net = on('openvino').net
    for height, width in ((70, 90), (64, 130), (100, 66)):
        tiled_forward(net, pictures(1, 3, height, width), 16, 8)
    assert len(net._compiled) == 1
    tiled_forward(net, pictures(1, 3, 71, 91), 16, 8)
    assert len(net._compiled) == 4
    for side in range(20, 40):
        net(pictures(1, 3, side, 20))
    assert len(net._compiled) == 8


@pytest.mark.slow
@pytest.mark.parametrize('engine', GRAPHS)
def test_threads_share_a_graph(engine, cache):
    net, given = on(engine).net, pictures(4, 3, 24, 24)
    alone = [net(one[None]) for one in given]
    answers: dict[int, torch.Tensor] = {}
    threads = [threading.Thread(target=lambda place: answers.update({place: net(given[place][None])}), args=(place,))
               for place in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert all(torch.equal(answers[place], alone[place]) for place in range(4))


def test_all_graphs_share_one_core_since_a_second_one_may_crash_the_process(monkeypatch):
    openvino = pytest.importorskip('openvino')
    load('spikerir_tiny_color25', 'openvino')
    monkeypatch.setattr(openvino, 'Core', None)
    assert load('spikerir_tiny_color25', 'openvino')(pictures(1, 3, 8, 8)).shape == (1, 3, 8, 8)


def test_torch_runs_what_load_gives():
    placed = place(shipped_network('spikerir_tiny_color25'), 'torch')
    assert placed.describe() == 'torch'
    with torch.no_grad():
        assert torch.equal(placed.net(pictures(1, 3, 8, 8)), load('spikerir_tiny_color25')(pictures(1, 3, 8, 8)))


@pytest.mark.parametrize('name', ['ffdnet_color', 'spikerir_small_color25_twin'])
def test_auto_is_torch_for_a_network_without_8_bit_form(name):
    assert place(shipped_network(name), 'auto').engine == 'torch'


def test_auto_is_torch_where_openvino_is_not_installed(monkeypatch):
    monkeypatch.setattr(placing, 'is_installed', lambda package: False)
    assert place(shipped_network('spikerir_small_color25'), 'auto').engine == 'torch'
    with pytest.raises(UserError, match='--engine openvino needs the package openvino.*pip install'):
        place(SMALL, 'openvino')


def test_a_network_that_is_told_a_level_stays_in_torch():
    pytest.importorskip('onnxruntime')
    with pytest.raises(UserError, match='FFDNet is told the noise level, which only --engine torch does'):
        place(shipped_network('ffdnet_color'), 'onnxruntime')


@pytest.mark.parametrize('row', [row for row in zoo.rows() if row.int8_file], ids=lambda row: row.name)
def test_8_bit_files_that_ship_are_of_the_weights_that_ship(row):
    onnx = pytest.importorskip('onnx')
    told = {one.key: one.value for one in onnx.load(row.int8_file).metadata_props}
    assert told['weights_sha256'] == row.sha256, 'run tools/write_int8.py'


def test_every_network_with_an_8_bit_form_ships_it():
    without = [row.name for row in zoo.rows() if row.int8_file is None and has_int8_form(zoo.build(row.network))]
    assert without == []


@pytest.mark.parametrize('engine', GRAPHS)
def test_a_shipped_network_restores_as_in_torch(engine):
    pytest.importorskip(engine)
    net = load('spikerir_tiny_color25', engine)
    clean = read_picture(shared_files() / 'datasets/demo/val/dogs.png').stored[:96, :130]
    noisy = to_tensor(add_gaussian_noise(to_float(clean), 25))[None]
    here, there = (eight_bits(one(noisy)) for one in (load('spikerir_tiny_color25'), net))
    assert psnr(there, here) > 45
    assert abs(psnr(there, clean) - psnr(here, clean)) < 0.01


def test_other_weights_leave_the_shipped_file(tmp_path):
    shipped = shipped_network('spikerir_tiny_color25')
    assert graph_file.graph_of(shipped, True) == shipped.int8_file
    assert shipped.with_weights(tmp_path / 'w.pth').int8_file is None


def test_unknown_engines_are_refused():
    with pytest.raises(UserError, match=f"engine 'tensorrt' is not known; write one of {', '.join(ENGINES)}"):
        place(SMALL, 'tensorrt')


def test_a_cache_that_cannot_be_made_is_one_sentence(monkeypatch, tmp_path):
    (tmp_path / 'file').touch()
    monkeypatch.setenv(graph_file.CACHE, str(tmp_path / 'file'))
    with pytest.raises(UserError, match=f'cannot be made.*set {graph_file.CACHE} to a folder'):
        graph_file.graph_of(SMALL, True)


def test_graphs_of_other_weights_have_other_files():
    shipped = shipped_network('spikerir_tiny_color25')
    told = {graph_file._fingerprint(one, form) for one in (SMALL, shipped) for form in (True, False)}
    assert len(told) == 4
