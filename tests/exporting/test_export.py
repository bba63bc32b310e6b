"""``basicsr-snn export``: files that other readers turn into the same pictures, and refusals in one sentence."""
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY
from spikingjelly.activation_based import functional, neuron
from torch import nn

from basicsr_snn import load, zoo
from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.exporting import WRITERS, export
from basicsr_snn.exporting.photographs import photographs_to_round
from basicsr_snn.images.padding import pad_to_multiple
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.int8 import to_int8
from basicsr_snn.spiking.ternary import TernaryConv2d

SMALL = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [0, 1]}
AXIS_OF_TIME = {'Reshape', 'Unsqueeze', 'ReduceMean', 'Expand'}
"""Operators that only graphs of several steps need."""


class Stepwise(nn.Sequential):
    """A network of layers that NIR knows."""

    def __init__(self, v_reset: float | None = 0.0) -> None:
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), neuron.IFNode(v_threshold=0.2, v_reset=v_reset),
                         nn.Conv2d(4, 3, 3, padding=1))


@pytest.fixture
def stepwise():
    ARCH_REGISTRY.register(Stepwise)
    yield {'type': 'Stepwise'}
    ARCH_REGISTRY._obj_map.pop('Stepwise')


def built(network: dict) -> nn.Module:
    torch.manual_seed(0)
    return zoo.build(network)


def kinds_in(graph: Any) -> list[str]:
    return [node.op_type for node in graph.graph.node]


def test_safetensors_holds_the_network_and_ternary_weights_in_two_bits(tmp_path):
    safetensors = pytest.importorskip('safetensors')
    network = {**SMALL, 'weights': 'ternary'}
    net, file = built(network), tmp_path / 'a.safetensors'
    assert 'the same pictures' in export(net, network, 'safetensors', file)
    other = tmp_path / 'other'
    other.touch()
    assert file.stat().st_mode == other.stat().st_mode, 'read by whoever reads other files'
    other.unlink()
    with safetensors.safe_open(file, 'pt') as content:
        assert json.loads(content.metadata()['network_g']) == network
        codes = [name for name in content.keys() if name.endswith('codes')]  # noqa: SIM118 - no mapping
        assert all(content.get_tensor(name).dtype == torch.uint8 for name in codes)
    assert len(codes) == sum(isinstance(module, TernaryConv2d) for module in net.modules()) > 0
    assert list(tmp_path.iterdir()) == [file]


def test_the_command_writes_weights_that_the_others_read(tmp_path, monkeypatch, capsys):
    import cv2
    import numpy as np

    monkeypatch.chdir(tmp_path)
    cv2.imwrite('a.png', np.full((16, 20, 3), 128, dtype=np.uint8))
    assert main(['export', '-n', 'spikerir_tiny_color25', '--format', 'safetensors', '-o', 'out/t.safetensors']) == 0
    assert 'spikerir_tiny_color25 written to out/t.safetensors (' in capsys.readouterr().out
    options = zoo.FOLDER.parent.parent / 'options/train/SpikerIR/tiny_color25.yml'
    assert main(['denoise', '-i', 'a.png', '-o', 'd', '-opt', str(options), '--weights', 'out/t.safetensors']) == 0
    assert main(['denoise', '-i', 'a.png', '-o', 'e', '-n', 'spikerir_tiny_color25', '--engine', 'torch']) == 0
    first, second = (cv2.imread(str(next((tmp_path / folder).iterdir()))) for folder in 'de')
    assert np.array_equal(first, second)


def test_a_file_that_exists_is_replaced_only_if_asked(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    command = ['export', '-n', 'spikerir_tiny_color25', '--format', 'safetensors', '-o', 'net.safetensors']
    Path('net.safetensors').write_bytes(b'weights of a week')
    assert main(command) == 2
    assert 'net.safetensors exists; add --overwrite' in capsys.readouterr().err
    assert Path('net.safetensors').read_bytes() == b'weights of a week'
    assert main([*command, '--overwrite']) == 0
    assert Path('net.safetensors').stat().st_size > 1000


@pytest.mark.slow
@pytest.mark.parametrize('network', [
    {**SMALL, 'weights': 'ternary', 'neuron': {'type': 'SignedILIF', 'D': 4}},
    {**SMALL, 'T': 2, 'norm': 'bn', 'neuron': {'type': 'LIFNode'}},
    {'type': 'FFDNet', 'nc': 4, 'nb': 3},
], ids=['ternary', 'two steps', 'FFDNet'])
def test_onnx_graph_runs_at_sizes_it_was_not_made_with(network, tmp_path):
    onnx = pytest.importorskip('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    net, file = built(network), tmp_path / 'a.onnx'
    assert 'of any size' in export(net, network, 'onnx', file)
    assert ('ReduceMean' in kinds_in(onnx.load(file))) == ('T' in network)
    assert 'T' in network or network['type'] == 'FFDNet' or not AXIS_OF_TIME.intersection(kinds_in(onnx.load(file)))
    session = onnxruntime.InferenceSession(file)
    for shape in ((3, 3, 22, 14), (1, 3, 13, 1), (2, 3, 1, 7)):
        picture = torch.rand(shape)
        theirs, = session.run(None, {'degraded': picture.numpy()})
        with torch.no_grad():
            mine = net.eval()(picture)
        assert theirs.shape == shape
        assert (torch.from_numpy(theirs) - mine).square().mean() < 1e-6
    known = session.get_modelmeta().custom_metadata_map
    assert json.loads(known['network_g']) == network
    assert (known['range'], known['channels'], known['precision']) == ('0..1', '3', 'float32')


@pytest.mark.slow
def test_int8_graph_has_bytes_between_its_convolutions(tmp_path):
    onnx = pytest.importorskip('onnx')
    pytest.importorskip('onnxscript')
    onnxruntime = pytest.importorskip('onnxruntime')
    network = {**SMALL, 'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4, 'lowest': -10}}
    net, file = built(network), tmp_path / 'a.onnx'
    export(net, network, 'onnx', file, int8=True, about={'licence': 'Apache-2.0'})
    kinds = kinds_in(onnx.load(file))
    assert not AXIS_OF_TIME.intersection(kinds)  # it counts in one step
    convolutions = kinds.count('Conv')
    assert kinds.count('QuantizeLinear') == convolutions - 1  # all but the stem
    assert kinds.count('DequantizeLinear') == 2 * (convolutions - 1)
    from basicsr_snn.exporting.onnx_graph import in_counts

    session = onnxruntime.InferenceSession(file)
    picture = torch.rand(1, 3, 17, 30)
    theirs, = session.run(None, {'degraded': picture.numpy()})
    with torch.no_grad():
        mine = to_int8(deployed(in_counts(net, network)), photographs_to_round(3))(picture)
    assert (torch.from_numpy(theirs) - mine).square().mean() < 1e-6
    known = session.get_modelmeta().custom_metadata_map
    assert known['licence'] == 'Apache-2.0'
    assert known['precision'].startswith('int8')


def test_int8_of_an_ann_is_refused(tmp_path):
    pytest.importorskip('onnxruntime')
    pytest.importorskip('onnxscript')
    network = {'type': 'FFDNet', 'nc': 4, 'nb': 3}
    with pytest.raises(UserError, match='8-bit form'):
        export(built(network), network, 'onnx', tmp_path / 'a.onnx', int8=True)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize('mirrors', [True, False])
def test_pictures_are_padded_in_the_graph_as_the_network_pads_them(mirrors):
    pytest.importorskip('onnx')
    onnxruntime = pytest.importorskip('onnxruntime')
    from basicsr_snn.exporting.any_size import pad_graph

    graph = pad_graph(ir_version=10, opset=20, channels=3, multiple=4, mirrors=int(mirrors))
    session = onnxruntime.InferenceSession(graph.SerializeToString())
    for height in range(1, 10):
        for width in (1, 2, 3, 5, 8):
            picture = torch.rand(2, 3, height, width)
            padded, size = session.run(None, {'degraded': picture.numpy()})
            bottom, right = -height % 4, -width % 4
            expected = (pad_to_multiple(picture, 4) if mirrors else
                        nn.functional.pad(picture, (0, right, 0, bottom), mode='replicate'))
            assert torch.equal(torch.from_numpy(padded), expected)
            assert size.tolist() == [height, width]


def test_onnx_refuses_a_number_of_steps_that_depends_on_the_picture(tmp_path):
    pytest.importorskip('onnxruntime')
    network = {**SMALL, 'T': 4, 'exit_tolerance': 0.01}
    with pytest.raises(UserError, match='write exit_tolerance: 0'):
        export(built(network), network, 'onnx', tmp_path / 'a.onnx')
    assert not list(tmp_path.iterdir())


def test_nir_takes_a_network_of_its_own_nodes(tmp_path, stepwise):
    pytest.importorskip('nirtorch')
    nir = pytest.importorskip('nir')
    net = built(stepwise)
    assert '32 x 32' in export(net, stepwise, 'nir', tmp_path / 'a.nir')
    kinds = {type(node).__name__ for node in nir.read(tmp_path / 'a.nir').nodes.values()}
    assert kinds == {'Input', 'Conv2d', 'IF', 'Output'}
    functional.reset_net(net)


@pytest.mark.parametrize(('network', 'named'), [
    ({'type': 'Stepwise', 'v_reset': None}, 'IFNode with soft reset, of which Stepwise is made'),
    (SMALL, 'SignedILIF, SpikeConv2d, of which SpikerIR is made'),
    ({**SMALL, 'scale': 2}, 'SignedILIF, SpikeConv2d, WidthEnlargement, of which'),
    ({**SMALL, 'blocks': [1, 1], 'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4}}, 'PhaseIF, SpikeConv2d, of which'),
    ({'type': 'DnCNN', 'nc': 4, 'nb': 3}, 'ReLU'),
])
def test_nir_names_the_layers_that_it_lacks(network, named, tmp_path, stepwise):
    pytest.importorskip('nirtorch')
    with pytest.raises(UserError, match=f'NIR has no node for .*{named}'):
        export(built(network), network, 'nir', tmp_path / 'a.nir')
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(('arguments', 'sentence'), [
    (['-n', 'spikerir_tiny_color25', '--format', 'onnx', '-o', 'a.bin'], 'write -o a.onnx'),
    (['-n', 'spikerir_tiny_colour25', '--format', 'onnx', '-o', 'a.onnx'], 'did you mean spikerir_tiny_color25'),
    (['--format', 'onnx', '-o', 'a.onnx'], 'no network was given'),
    (['-n', 'spikerir_tiny_color25', '--format', 'onnx', '-o', 'a_file/a.onnx'], 'cannot be written'),
])
def test_mistakes_are_one_sentence_and_status_2(arguments, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'a_file').touch()
    assert main(['export', *arguments]) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert error.count('\n') == 1


@pytest.mark.parametrize('form', WRITERS)
def test_missing_packages_are_named(form, tmp_path, monkeypatch):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match=f'needs the package {WRITERS[form][1][0]}.*pip install'):
        export(load('spikerir_tiny_color25'), {}, form, tmp_path / f'a.{form}')


def test_a_graph_of_other_pictures_is_not_kept(tmp_path, monkeypatch):
    onnx_graph = pytest.importorskip('basicsr_snn.exporting.onnx_graph', exc_type=ImportError)
    monkeypatch.setattr(onnx_graph, '_agreement', lambda *_: 30.0)
    with pytest.raises(UserError, match='agrees with the network to 30.0 dB only, .* so nothing was written'):
        export(built(SMALL), SMALL, 'onnx', tmp_path / 'a.onnx')
    assert not list(tmp_path.iterdir())


def test_the_graph_of_a_coded_network_gives_its_pictures(tmp_path):
    """It is made of the form in one step."""
    network = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'T': 4,
               'neuron': {'type': 'PhaseIF', 'steps': 4, 'lowest': -10, 'highest': 10, 'bias': True},
               'stages': {'head': {'type': 'PhaseIF', 'steps': 4}}}
    onnxruntime = pytest.importorskip('onnxruntime')
    net, picture = built(network), torch.rand(1, 3, 16, 20)
    export(net, network, 'onnx', tmp_path / 'a.onnx')
    session = onnxruntime.InferenceSession(tmp_path / 'a.onnx', providers=['CPUExecutionProvider'])
    theirs, = session.run(None, {'degraded': picture.numpy()})
    torch.testing.assert_close(torch.from_numpy(theirs), deployed(net)(picture), atol=1e-4, rtol=0)
