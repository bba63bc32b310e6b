"""Weight files: cards, declared sizes, and contents that are refused in a sentence."""
from __future__ import annotations

import json
import zipfile
from collections import OrderedDict
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file

from basicsr_snn.errors import UserError
from basicsr_snn.version import __version__
from basicsr_snn.weight_files.card import Card, card_of_options
from basicsr_snn.weight_files.checksum import safetensors_with_checksum
from basicsr_snn.weight_files.declared_size import LIMIT, check_declared_size
from basicsr_snn.weight_files.reading import read_weight_file

OPTIONS = {'network_g': OrderedDict(type='SpikerIR', T=2, neuron=OrderedDict(D=16), channels=(4, 8)), 'scale': 1,
           'licence': 'CC0', 'datasets': {'train': {'sigma_range': [0, 50]}}}
CARD = Card({'type': 'SpikerIR', 'T': 2, 'neuron': {'D': 16}, 'channels': [4, 8]}, [0, 50], 1, 'CC0', __version__)
WEIGHTS = {'a.weight': torch.arange(4.0)}


def test_the_card_of_options_is_plain():
    assert card_of_options(OPTIONS) == CARD
    assert type(card_of_options(OPTIONS).network_g['neuron']) is dict
    assert card_of_options({'datasets': {}}) is None
    assert card_of_options({'network_g': {'type': 'X'}, 'datasets': {'train': {'sigma': 25}}}).noise == 25
    for sets, noise in (([{'sigma': 25}, {'sigma': 25, 'share': 2}], 25), ([{'sigma': 25}, {'sigma': 15}], None),
                        ([{'sigma_range': [0, 55]}], [0, 55]), ([{'sigma': 25}, {}], None)):
        options = {'network_g': {'type': 'X'}, 'datasets': {'train': {'sets': sets}}}
        assert card_of_options(options).noise == noise
    assert card_of_options(OPTIONS, 'network_d') is None
    assert card_of_options({**OPTIONS, 'network_d': {'type': 'D'}}, 'network_d').network_g == {'type': 'D'}


@pytest.mark.parametrize(('kinds', 'noise'), [
    (['CameraNoiseDataset'], 'camera'), (['RealPairsDataset', 'CameraNoiseDataset'], 'camera'),
    (['GaussianDenoisingDataset', 'NoisyPicturesDataset'], 'camera'),
    (['GaussianDenoisingDataset', 'GaussianDenoisingDataset'], 25),
    (['GaussianDenoisingDataset', 'PairedImageDataset'], None), (['RainDataset'], None)])
def test_the_card_tells_the_noise_of_cameras(kinds, noise):
    sets = [{'type': kind, **({'sigma': 25} if kind.startswith('Gaussian') else {})} for kind in kinds]
    training = sets[0] if len(sets) == 1 else {'type': 'MixedDataset', 'sets': sets}
    assert card_of_options({**OPTIONS, 'datasets': {'train': training}}).noise == noise


def test_the_card_goes_through_both_kinds_of_files(tmp_path):
    torch.save({'params': WEIGHTS, **CARD.entries()}, tmp_path / 'entries.pth')
    torch.save({'epoch': 3, 'params': CARD.on(WEIGHTS)}, tmp_path / 'a.pth')
    torch.save(CARD.on(WEIGHTS), tmp_path / 'plain.pth')
    torch.save({'state_dict': torch.load(tmp_path / 'a.pth')['params']}, tmp_path / 'moved.pth')
    save_file(WEIGHTS, tmp_path / 'a.safetensors', metadata=CARD.header())
    for name in ('entries.pth', 'a.pth', 'plain.pth', 'moved.pth', 'a.safetensors'):
        assert read_weight_file(tmp_path / name)[1] == CARD
    assert torch.load(tmp_path / 'a.pth', weights_only=True)['params'].keys() == WEIGHTS.keys()
    with safe_open(tmp_path / 'a.safetensors', 'pt') as file:
        assert json.loads(file.metadata()['network_g']) == CARD.network_g


@pytest.mark.parametrize('content', [WEIGHTS, {'params': WEIGHTS}, {'params': WEIGHTS, 'network_g': WEIGHTS},
                                     {'params': WEIGHTS, 'network_g': 'SpikerIR'}])
def test_files_without_a_card_have_none(tmp_path, content):
    torch.save(content, tmp_path / 'a.pth')
    assert read_weight_file(tmp_path / 'a.pth')[1] is None


@pytest.mark.parametrize('block', [{'a': torch.ones(1)}, {'a': b'x'}])
def test_a_card_of_other_things_is_refused(tmp_path, block):
    torch.save({'params': WEIGHTS, 'network_g': {'type': 'X', **block}}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='may hold words, numbers and at most 8 levels'):
        read_weight_file(tmp_path / 'a.pth')


def test_a_card_without_end_is_refused(tmp_path):
    block: dict = {'type': 'X'}
    block['self'] = [block]
    torch.save({'params': WEIGHTS, 'network_g': block}, tmp_path / 'a.pth')
    with pytest.raises(UserError, match='may hold words, numbers and at most 8 levels'):
        read_weight_file(tmp_path / 'a.pth')


def test_the_content_tells_the_kind_of_a_file_not_its_name(tmp_path):
    save_file(WEIGHTS, tmp_path / 'a.pth')
    assert torch.equal(read_weight_file(tmp_path / 'a.pth')[0]['a.weight'], WEIGHTS['a.weight'])


def test_numbers_of_numpy_beside_the_weights_do_no_harm(tmp_path):
    torch.save({'params': WEIGHTS, 'best': np.float64(30), 'at': np.int64(8)}, tmp_path / 'a.pth')
    assert read_weight_file(tmp_path / 'a.pth')[0]['best'] == 30


def compressed(source: Path, target: Path, zeros: int) -> None:
    """The archive again, with ``zeros`` bytes of 0, packed into next to nothing, in place of its tensor."""
    with zipfile.ZipFile(source) as before, zipfile.ZipFile(target, 'w', zipfile.ZIP_DEFLATED) as after:
        for record in before.infolist():
            data = record.filename.endswith('data/0')
            after.writestr(record.filename, bytes(zeros) if data else before.read(record))


def test_archives_that_unpack_to_a_multiple_are_refused_unless_told_otherwise(tmp_path, monkeypatch):
    torch.save(WEIGHTS, tmp_path / 'a.pth')
    compressed(tmp_path / 'a.pth', tmp_path / 'bomb.pth', 60_000_000)
    with pytest.raises(UserError, match=rf'bomb\.pth has .* and declares 0\.06 GB of weights.* write {LIMIT}=1 before'):
        read_weight_file(tmp_path / 'bomb.pth')
    monkeypatch.setenv(LIMIT, '1')
    check_declared_size(tmp_path / 'bomb.pth')
    compressed(tmp_path / 'a.pth', tmp_path / 'packed.pth', 16)
    assert torch.equal(read_weight_file(tmp_path / 'packed.pth')[0]['a.weight'], torch.zeros(4))


@pytest.mark.parametrize('name', ['a.pth', 'a.safetensors'])
def test_sizes_that_no_memory_holds_are_refused(tmp_path, name, monkeypatch):
    with (tmp_path / name).open('wb') as file:
        file.truncate(10 ** 13)
    with pytest.raises(UserError, match=r'declares 10,000\.00 GB of weights, but .* at most 4 GB'):
        read_weight_file(tmp_path / name)
    monkeypatch.setenv(LIMIT, 'much')
    with pytest.raises(UserError, match=f"{LIMIT} is 'much'; write a number of gigabytes"):
        read_weight_file(tmp_path / name)


@pytest.mark.parametrize('legacy', [False, True])
def test_a_tensor_that_declares_more_than_the_file_holds_is_refused(tmp_path, legacy):
    """In the pickle, where the size of the archive does not tell it."""
    torch.save({'a': torch.zeros(77)}, tmp_path / 'a.pth', _use_new_zipfile_serialization=not legacy)
    content = (tmp_path / 'a.pth').read_bytes()
    honest, lie = b'cpuq\x06KM', b'cpuq\x06\x8a\x08' + (10 ** 12).to_bytes(8, 'little')
    if legacy:
        assert content.count(honest) == 1
        (tmp_path / 'b.pth').write_bytes(content.replace(honest, lie))
    else:
        with zipfile.ZipFile(tmp_path / 'a.pth') as before, zipfile.ZipFile(tmp_path / 'b.pth', 'w') as after:
            for record in before.infolist():
                after.writestr(record.filename, before.read(record).replace(honest, lie))
    with pytest.raises(UserError, match='is not a weight file that can be read safely'):
        read_weight_file(tmp_path / 'b.pth')


def test_torch_does_not_get_to_advise_unsafe_reading(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / 'a.pth')
    with pytest.raises(UserError, match=r'read safely \(Unsupported global: GLOBAL torch\.nn\.') as caught:
        read_weight_file(tmp_path / 'a.pth')
    assert 'weights_only' not in str(caught.value)


def test_what_is_no_file_is_named(tmp_path):
    with pytest.raises(UserError, match='is no file; give the path of a file'):
        read_weight_file(tmp_path)


@pytest.mark.parametrize('suffix', ['.pth', '.safetensors'])
def test_a_bit_that_flipped_is_noticed(tmp_path, suffix):
    file, weights = tmp_path / f'net{suffix}', {'a.weight': torch.arange(5000.0)}
    if suffix == '.pth':
        torch.save({'params': weights}, file)
    else:
        file.write_bytes(safetensors_with_checksum(weights, CARD.header()))
    assert 'params' in read_weight_file(file)[0] or 'a.weight' in read_weight_file(file)[0]
    content = bytearray(file.read_bytes())
    content[-3000 if suffix == '.pth' else -1000] ^= 1
    file.write_bytes(content)
    with pytest.raises(UserError, match='damaged since it was written .checksum.; give another copy'):
        read_weight_file(file)


def test_a_file_without_checksums_is_read(tmp_path):
    file = tmp_path / 'net.pth'
    torch.serialization.set_crc32_options(False)
    try:
        torch.save({'params': WEIGHTS}, file)
    finally:
        torch.serialization.set_crc32_options(True)
    assert torch.equal(read_weight_file(file)[0]['params']['a.weight'], WEIGHTS['a.weight'])
