"""Our files in spandrel: recognised, described and restoring bit for bit as ours; refused where they say too little."""
from __future__ import annotations

import importlib.util
from collections import OrderedDict
from pathlib import Path

import pytest
import torch
from own_zoo import network
from safetensors.torch import load_file, save_file

import basicsr_snn.spandrel
from basicsr_snn import load, zoo
from basicsr_snn.errors import UserError
from basicsr_snn.exporting import export
from basicsr_snn.inference.calling import deployed
from basicsr_snn.weight_files.card import Card

spandrel = pytest.importorskip('spandrel')

EVERY_KIND = ('spikerir_tiny_color25', 'spikerir_small_color25_binary', 'spikerir_small_color25_ternary',
              'spikerir_small_color25_twin', 'spikerir_fine_gray25', 'ffdnet_color')


@pytest.fixture(autouse=True)
def installed(monkeypatch):
    """Installed for a test only: its registry is a copy, and reading files is as it was behind it."""
    monkeypatch.setattr(spandrel.ModelLoader, 'load_state_dict_from_file',
                        spandrel.ModelLoader.load_state_dict_from_file)
    registry = spandrel.MAIN_REGISTRY.copy()
    basicsr_snn.spandrel.install(registry)
    monkeypatch.setattr(spandrel.ModelLoader.__init__, '__defaults__', (None, registry))
    return registry


def loaded(file: Path | str) -> spandrel.ImageModelDescriptor:
    return spandrel.ModelLoader().load_from_file(file)


def assert_same_pictures(found: spandrel.ImageModelDescriptor, net: torch.nn.Module) -> None:
    picture = torch.rand(1, found.input_channels, 37, 42, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        assert torch.equal(found(picture), net(picture).clamp(0, 1))


@pytest.mark.parametrize('name', EVERY_KIND)
def test_every_kind_of_file_that_ships_restores_as_ours(name):
    row = zoo.row(name)
    found = loaded(row.path)
    assert_same_pictures(found, load(name))
    assert (found.purpose, found.scale, found.architecture.id) == ('Restoration', 1, 'basicsr_snn')
    assert found.input_channels == found.output_channels == row.network.get('in_ch', 3)
    assert found.tags[0] == row.network['type']


@pytest.mark.parametrize(('options', 'form'), [
    ({'scale': 2}, '.pth'), ({'in_ch': 1, 'out_ch': 3, 'scale': 3}, '.safetensors'), ({'T': 3}, '.ckpt'),
    ({'channels': [4], 'blocks': [1]}, '.pth'), ({'blocks': [0, 0], 'T': 2}, '.safetensors'),
    *(({'weights': 'ternary', 'neuron': {'type': 'LIFNode', 'tau': 3.0}}, form) for form in ('.pth', '.safetensors'))])
def test_networks_of_ones_own_are_the_ones_that_their_files_name(inside, options, form):
    block, net = network(**options)
    file = inside / f'net{form}'
    if form == '.safetensors':
        export(net, block, 'safetensors', file)
    else:
        torch.save({'params': Card(block).on(net.state_dict())}, file)
    found = loaded(file)
    assert_same_pictures(found, deployed(net))
    assert found.scale == options.get('scale', 1)
    assert found.purpose == ('SR' if found.scale > 1 else 'Restoration')
    assert (found.input_channels, found.output_channels) == (options.get('in_ch', 3), options.get('out_ch', 3))


def test_a_card_is_found_wherever_it_is_in_the_file(inside):
    block, net = network()
    state = net.state_dict()
    torch.save(Card(block).on(state), 'plain.pth')
    torch.save({'params_ema': Card(block).on(state), 'params': Card(block).on(state)}, 'two.pth')
    torch.save({'params': dict(state), **Card(block).entries()}, 'beside.pth')
    torch.save({'params': Card(block).on({f'module.{name}': one for name, one in state.items()})}, 'parallel.pth')
    for file in ('plain.pth', 'two.pth', 'beside.pth', 'parallel.pth'):
        assert_same_pictures(loaded(file), deployed(net))


def test_other_architectures_with_a_card_are_loaded_and_those_of_basicsr_are_left_to_spandrel(inside):
    esdnet = {'type': 'ESDNet', 'dim': 16, 'encoder_blocks': [1, 1, 1], 'decoder_blocks': [1, 1, 1], 'T': 2}
    rrdbnet = {'type': 'RRDBNet', 'num_in_ch': 3, 'num_out_ch': 3, 'num_feat': 8, 'num_block': 1}
    for block, arch in ((esdnet, 'basicsr_snn'), (rrdbnet, 'ESRGAN')):
        net = zoo.build(block)
        torch.save({'params': Card(block).on(net.state_dict())}, 'net.pth')
        found = loaded('net.pth')
        assert found.architecture.id == arch
        if arch == 'basicsr_snn':
            assert_same_pictures(found, deployed(net))


def test_a_network_of_basicsr_that_spandrel_lacks_is_loaded():
    found = loaded(zoo.row('edsr_sr2').path)
    assert_same_pictures(found, load('edsr_sr2'))
    assert (found.purpose, found.scale) == ('SR', 2)


def test_a_grey_network_takes_the_channels_of_a_colour_picture_one_by_one():
    """ComfyUI gives three channels to every network."""
    found, net = loaded(zoo.row('spikerir_small_gray25').path), load('spikerir_small_gray25')
    picture = torch.rand(1, 3, 21, 26)
    with torch.inference_mode():
        channels = [net(channel).clamp(0, 1) for channel in picture.split(1, 1)]
        assert torch.equal(found(picture), torch.cat(channels, 1))


def test_networks_compute_with_all_digits_and_leave_torch_as_it_was(monkeypatch):
    monkeypatch.setattr(torch.backends.cudnn, 'allow_tf32', True)
    found, seen = loaded(zoo.row('spikerir_tiny_color25').path), []
    found.model.register_forward_hook(lambda *_: seen.append(torch.backends.cudnn.allow_tf32))
    found(torch.rand(1, 3, 8, 8))
    assert (seen, torch.backends.cudnn.allow_tf32) == ([False], True)


def test_weights_can_be_saved_by_safetensors(inside):
    save_file(loaded(zoo.row('spikerir_tiny_color25').path).model.state_dict(), 'net.safetensors')
    assert load_file('net.safetensors')['stem.weight'].is_contiguous()


def test_programs_that_hand_on_a_bare_state_dict_have_what_ships(inside):
    """ComfyUI reads files itself, so that the header of a .safetensors is lost."""
    name = 'spikerir_small_color25_ternary'
    save_file(zoo.state_dicts.read_weights(zoo.row(name).path), 'net.safetensors')
    assert_same_pictures(spandrel.ModelLoader().load_from_state_dict(load_file('net.safetensors')), load(name))


def test_numbers_that_do_not_say_their_network_are_refused_and_not_guessed(inside):
    for options in ({}, {'weights': 'ternary'}, {'channels': [4], 'blocks': [1]}, {'blocks': [0, 0]}):
        _, net = network(**options)
        with pytest.raises(spandrel.UnsupportedModelError, match='say neither its neuron nor its time steps'):
            spandrel.ModelLoader().load_from_state_dict(dict(net.state_dict()))
    with pytest.raises(spandrel.UnsupportedModelError):
        spandrel.ModelLoader().load_from_state_dict({'stem.weight': torch.zeros(3)})


@pytest.mark.parametrize(('block', 'sentence'), [
    ({'T': 2, 'neuron': {'type': 'relu'}}, 'does not fit'),
    ({'channels': [4, 8]}, 'does not fit'),
    ({'size': 'gigantic', 'channels': None}, 'SpikerIR has no size "gigantic"'),
    ({'channels': [4000, 4000]}, 'cannot be built here'),
])
def test_a_card_that_does_not_fit_the_numbers_is_refused_in_a_sentence(inside, block, sentence):
    own, net = network()
    torch.save({'params': Card({**own, **block}).on(net.state_dict())}, 'net.pth')
    with pytest.raises(UserError, match=sentence):
        loaded('net.pth')


def test_to_install_twice_does_no_harm(installed):
    before, count = spandrel.ModelLoader.load_state_dict_from_file, len(installed)
    basicsr_snn.spandrel.install(installed)
    assert spandrel.ModelLoader.load_state_dict_from_file is before
    assert len(installed) == count
    assert installed.architectures('detection')[0].architecture.id == 'basicsr_snn'


def test_files_of_others_are_read_as_before(inside):
    state = OrderedDict(a=torch.ones(2))
    torch.save(state, 'a.pth')
    save_file(dict(state), 'a.safetensors')
    for file in ('a.pth', 'a.safetensors'):
        with pytest.raises(spandrel.UnsupportedModelError):
            loaded(file)
        assert torch.equal(spandrel.ModelLoader().load_state_dict_from_file(file)['a'], torch.ones(2))


def test_without_spandrel_there_is_one_sentence(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='spandrel is not installed; type: pip install spandrel'):
        basicsr_snn.spandrel.install()
