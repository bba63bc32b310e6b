"""Weight files know their network: another one is refused with both values."""
from __future__ import annotations

import logging
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch

from basicsr_snn import load, zoo
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.neurons import NEURONS
from basicsr_snn.spiking.neurons.phase import phase_form
from basicsr_snn.weight_files.card import Card
from basicsr_snn.zoo.same_network import built_for_comparison, differences
from basicsr_snn.zoo.weights import load_weights

SMALL = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1], 'neuron': {'type': 'SignedILIF', 'D': 16}}
ENOUGH = 10 ** 7


def saved(network: dict, file: str = 'a.pth') -> Path:
    torch.manual_seed(0)
    torch.save({'params': zoo.build(network).state_dict(), **Card(network).entries()}, file)
    return Path(file)


def changed(**options) -> dict:
    return {**SMALL, **options}


def neuron(name: str, **options) -> dict:
    return changed(neuron={'type': name, **options})


@pytest.mark.parametrize(('of_file', 'here', 'sentence'), [
    (SMALL, neuron('SignedILIF', D=4), 'D is 4 here and 16 in the file (head.neuron and'),
    (SMALL, changed(T=4), 'T is 4 here and 1 in the file'),
    (SMALL, changed(hidden={'lowest': 0}), 'lowest is 0 here and -16 in the file'),
    (SMALL, neuron('SignedILIF', D=16, decay=1.0), 'decay is 1.0 here and 0.25 in the file'),
    (SMALL, changed(stages={'head': {'D': 32}}), 'D is 32 here and 16 in the file (head.neuron)'),
    (neuron('LIFNode'), neuron('IFNode'), 'a layer is IFNode here and LIFNode in the file'),
    (neuron('LIFNode'), neuron('LIFNode', v_threshold=0.3), 'v_threshold is 0.3 here and 0.15 in the file'),
    (neuron('LIFNode'), neuron('LIFNode', v_reset=None), 'v_reset is None here and 0.0 in the file'),
    (neuron('LIFNode'), neuron('LIFNode', tau=3.0), 'tau is 3.0 here and 2.0 in the file'),
    (neuron('IFNode'), neuron('ILIFNode'), 'a layer is ILIFNode here and IFNode in the file'),
    (neuron('ILIFNode'), neuron('ILIFNode', D=2), 'D is 2 here and 4 in the file'),
    (neuron('DSRIFNode'), neuron('DSRIFNode', alpha=0.25), 'alpha is 0.25 here and 0.5 in the file'),
    (neuron('relu'), neuron('linear'), 'a layer is Linear here and ReLU in the file'),
    (SMALL, changed(weights='ternary'), 'a layer is TernaryConv2d here and SpikeConv2d in the file'),
    ({**SMALL, 'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4}},
     {**SMALL, 'T': 4, 'neuron': {'type': 'PhaseIF', 'steps': 4, 'highest': 7}}, 'highest is 7 here and 15 in the'),
    ({'type': 'DnCNN', 'nc': 4, 'nb': 3}, {'type': 'FFDNet', 'nc': 4, 'nb': 3}, 'type is FFDNet here and DnCNN in'),
    ({'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': 4, 'num_feat': 4, 'num_block': 1, 'num_grow_ch': 4},
     {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'scale': 2, 'num_feat': 4, 'num_block': 1, 'num_grow_ch': 4},
     'scale is 2 here and 4 in the file'),
])
def test_another_network_is_refused_with_both_values(of_file, here, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = saved(of_file)
    load_weights(zoo.build(of_file), file)
    with pytest.raises(UserError) as caught:
        load_weights(zoo.build(here), file)
    assert sentence in str(caught.value)
    assert 'strict_load_g: false' in str(caught.value)


@pytest.mark.parametrize(('of_file', 'here'), [
    (SMALL, changed(exit_tolerance=0.001)),
    (neuron('SignedILIF', D=16, threshold=0.3), SMALL),
    (neuron('SignedILIF', D=16, lowest=-16), SMALL),
    (neuron('LIFNode', surrogate='rect', detach_reset=True), neuron('LIFNode', compile=True)),
    (neuron('ParametricLIFNode', init_tau=3.0), neuron('ParametricLIFNode')),
    (SMALL, phase_form(SMALL)),
    ({'type': 'FFDNet', 'nc': 4, 'nb': 3, 'sigma': 15}, {'type': 'FFDNet', 'nc': 4, 'nb': 3, 'sigma': 50}),
])
def test_what_the_answer_does_not_hang_on_may_differ(of_file, here, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    load_weights(zoo.build(here), saved(of_file))


@pytest.mark.parametrize('name', NEURONS)
def test_every_neuron_is_the_same_as_itself(name):
    network = {**neuron(name), 'T': 4}
    assert differences(network, zoo.build(network), ENOUGH) == []


def test_without_strict_both_values_are_said_and_the_weights_loaded(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    logging.getLogger('basicsr').addHandler(caplog.handler)
    try:
        net = zoo.build(changed(T=4))
        load_weights(net, saved(SMALL), strict=False)
    finally:
        logging.getLogger('basicsr').removeHandler(caplog.handler)
    assert 'T is 4 here and 1 in the file; loaded all the same' in caplog.text
    assert torch.equal(net.stem.weight, torch.load('a.pth')['params']['stem.weight'])


def test_shipped_files_are_known_though_they_are_older_than_cards(tmp_path):
    row = zoo.row('spikerir_tiny_color25')
    copy = tmp_path / 'copy.pth'
    copy.write_bytes(row.path.read_bytes())
    options = {**row.network, 'neuron': {**row.network['neuron'], 'D': 4}}
    with pytest.raises(UserError, match='D is 4 here and 16 in the file'):
        load_weights(zoo.build(options), copy)
    picture = torch.rand(1, 3, 12, 12)
    assert torch.equal(load(copy)(picture), load(row.name)(picture))


def test_a_network_is_loaded_from_its_file_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    saved(SMALL, 'net.pth')
    picture = torch.rand(1, 3, 12, 12)
    torch.manual_seed(0)
    assert torch.equal(load('net.pth')(picture), deployed(zoo.build(SMALL))(picture))
    torch.save(zoo.build(SMALL).state_dict(), 'plain.pth')
    with pytest.raises(UserError, match=r'plain\.pth does not say which network it is of.*write -opt X\.yml --weights'):
        load('plain.pth')
    with pytest.raises(UserError, match=r'weight file nett\.pth does not exist; did you mean net\.pth'):
        load('nett.pth')


@pytest.mark.parametrize(('block', 'sentence'), [
    ({'type': 'SpikerIR', 'channels': [10 ** 6, 4], 'blocks': [1, 1]}, 'more than the [0-9,]* numbers of the file'),
    ({'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [10 ** 9, 1]}, 'more than the [0-9,]* numbers of the file'),
    ({'type': 'SpikerIR', 'channels': [4, 4], 'blocks': 3}, 'cannot be built here'),
    ({'type': 'SpikerIR', 'later': True}, 'cannot be built here'),
    ({'type': 'Unheard'}, 'holds weights of the architecture "Unheard", which is not known here'),
    ({'type': 'PretrainedANN', 'path': 'other.pth'}, 'would read another weight file'),
])
def test_a_card_from_anywhere_takes_no_memory_and_opens_no_other_file(block, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save({'params': zoo.build(SMALL).state_dict(), 'network_g': block}, 'a.pth')
    with pytest.raises(UserError, match=sentence):
        load('a.pth')
    with pytest.raises(UserError, match=f'{sentence}|type is SpikerIR here'):
        load_weights(zoo.build(SMALL), 'a.pth')


def test_networks_that_cannot_be_built_without_numbers_are_built_with_them():
    swin = {'type': 'SwinIR', 'img_size': 8, 'window_size': 8, 'depths': [2], 'embed_dim': 8, 'num_heads': [2],
            'upscale': 1, 'upsampler': '', 'img_range': 1.0}
    assert differences(swin, zoo.build(swin), ENOUGH) == []
    assert any('img_range is 1.0 here and 255.0' in one
               for one in differences({**swin, 'img_range': 255.0}, zoo.build(swin), ENOUGH))
    state = torch.random.get_rng_state()
    built_for_comparison(swin, ENOUGH)
    assert torch.equal(state, torch.random.get_rng_state())


def test_threads_that_build_at_once_do_not_count_each_others_numbers():
    """One network per thread, of as many numbers as its file holds; a barrier makes them build together."""
    count = sum(p.numel() for p in zoo.build(SMALL).parameters())
    together = threading.Barrier(4)

    def compare(_) -> list[str]:
        together.wait()
        return [told for _ in range(20) for told in differences(SMALL, net, count)]

    net = zoo.build(SMALL)
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(compare, range(4))) == [[]] * 4
