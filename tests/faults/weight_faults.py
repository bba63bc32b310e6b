"""Weight files that are broken, made to do harm, or of another network; threads that share a network."""
from __future__ import annotations

import copy
import time
import zipfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from random import Random
from typing import Any

import torch
from fault import fault

from basicsr_snn import load, zoo
from basicsr_snn.errors import UserError
from basicsr_snn.inference.calling import deployed
from basicsr_snn.spiking.neurons import NEURONS
from basicsr_snn.weight_files.card import Card
from basicsr_snn.weight_files.checksum import safetensors_with_checksum
from basicsr_snn.zoo.weights import load_weights

NETWORK: dict[str, Any] = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1],
                           'neuron': {'type': 'SignedILIF', 'D': 16}}


def make_file(name: str = 'net.pth', network: dict[str, Any] | None = None) -> Path:
    network = network or NETWORK
    torch.manual_seed(0)
    torch.save({'params': zoo.build(network).state_dict(), **Card(network).entries()}, name)
    return Path(name)


def sentence_of(attempt: Callable[[], Any]) -> str | None:
    """What refuses it; None: nothing does."""
    try:
        attempt()
    except UserError as error:
        return str(error)
    return None


def sentences_of(file: Path) -> list[str | None]:
    """What refuses a file, by itself and for a network that is there."""
    found = [sentence_of(lambda: load(file)), sentence_of(lambda: load_weights(zoo.build(NETWORK), file))]
    assert all(sentence is None or '\n' not in sentence for sentence in found), found
    return found


def refused(file: Path, seconds: float = 5) -> str:
    """The sentence that refuses a file, in time."""
    start = time.monotonic()
    found = sentences_of(file)
    assert time.monotonic() - start < seconds, 'took too long'
    assert None not in found, found
    return str(found[1])


@fault('is loaded as it was or refused in a sentence', tries=20)
def weight_file_is_damaged(random: Random, folder: Path) -> None:
    """Bytes cut off, turned over or put between, anywhere in a ``.pth`` or ``.safetensors``."""
    file = make_file()
    whole = torch.load(file, weights_only=True)['params']
    if random.random() < 0.5:
        file = Path('net.safetensors')
        file.write_bytes(safetensors_with_checksum(whole, Card(NETWORK).header()))
    content = file.read_bytes()
    for _ in range(random.choice([1, 1, 8])):
        content = damaged(content, random)
    file.write_bytes(content)
    if sentences_of(file)[1] is None:
        net = zoo.build(NETWORK)
        load_weights(net, file)
        assert all(torch.equal(tensor, whole[name]) for name, tensor in net.state_dict().items()), 'other numbers'


def damaged(content: bytes, random: Random) -> bytes:
    """One damage."""
    place = random.randrange(len(content) + 1)
    before, after = content[:place], content[place:]
    return random.choice((before + after[random.randint(1, 9):], before + random.randbytes(1) + after[1:],
                          before + random.randbytes(9) + after, before))


class Touch:
    def __init__(self, function: Callable, *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple:
        return self.call


@fault('nothing runs, the file is refused in a sentence', tries=5)
def weight_file_carries_code(random: Random, folder: Path) -> None:
    import os
    import subprocess

    harm = random.choice((Touch(os.system, 'touch executed'), Touch(eval, "open('executed', 'w')"),
                          Touch(Path.touch, Path('executed')), Touch(subprocess.run, ['touch', 'executed']),
                          Touch(exec, "import pathlib; pathlib.Path('executed').touch()")))
    content: dict[str, Any] = torch.load(make_file(), weights_only=True)
    place = random.choice(('value', 'entry', 'card', 'beside', 'all'))
    if place == 'value':
        content['params']['stem.weight'] = harm
    elif place == 'card':
        content['network_g']['neuron'] = harm
    elif place != 'all':
        content['params' if place == 'entry' else 'beside'] = harm
    torch.save(harm if place == 'all' else content, 'net.pth',
               _use_new_zipfile_serialization=random.random() < 0.7)
    sentence = refused(Path('net.pth'))
    assert 'read safely' in sentence
    assert not Path('executed').exists()


def unpack_to_zeros(file: Path, count: int) -> None:
    with zipfile.ZipFile(file) as archive:
        records = {record.filename: archive.read(record) for record in archive.infolist()}
    with zipfile.ZipFile(file, 'w', zipfile.ZIP_DEFLATED) as archive:
        for name, data in records.items():
            archive.writestr(name, bytes(count) if name.endswith('data/0') else data)


@fault('is refused in a sentence within five seconds', tries=8)
def weight_file_is_a_bomb(random: Random, folder: Path) -> None:
    file, huge = make_file(), 10 ** random.randint(10, 17)
    kind = random.choice(('zip', 'sparse file', 'card', 'view', 'sparse tensor'))
    content = torch.load(file, weights_only=True)
    if kind == 'zip':
        unpack_to_zeros(file, random.randint(60, 100) * 1_000_000)
    elif kind == 'sparse file':
        with file.open('r+b') as opened:
            opened.truncate(random.randint(5, 5000) * 1_000_000_000)
    elif kind == 'card':
        random.choice((content['network_g']['channels'], content['network_g']['blocks']))[0] = huge
        torch.save(content, file)
    elif kind == 'view':
        content['params']['stem.weight'] = torch.zeros(1).expand(huge)
        torch.save(content, file)
    else:
        indices = torch.zeros(1, 1, dtype=torch.long)
        content['params']['stem.weight'] = torch.sparse_coo_tensor(indices, torch.ones(1), (huge,))
        torch.save(content, file)
    refused(file)


OTHER: dict[str, Callable[[Random], Any]] = {
    'T': lambda random: random.randint(2, 8), 'D': lambda random: random.randint(1, 15),
    'lowest': lambda random: random.randint(-15, 0), 'decay': lambda random: random.choice((0.0, 0.5, 1.0))}


@fault('is refused with both values', tries=8)
def weights_are_of_another_network(random: Random, folder: Path) -> None:
    key = random.choice(list(OTHER))
    here = copy.deepcopy(NETWORK)
    (here if key == 'T' else here['neuron'])[key] = OTHER[key](random)
    value = (here if key == 'T' else here['neuron'])[key]
    file = make_file()
    sentence = sentence_of(lambda: load_weights(zoo.build(here), file))
    assert f'{key} is {value} here and ' in str(sentence), (key, value, sentence)


@fault('each thread gets the picture that it would get alone', tries=3)
def threads_share_a_network(random: Random, folder: Path) -> None:
    name = random.choice(list(NEURONS))
    steps = 4 if name in ('PhaseIF', 'FirstSpikeIF') else random.randint(2, 6)
    torch.manual_seed(random.getrandbits(32))
    net = deployed(zoo.build({**NETWORK, 'T': steps, 'neuron': {'type': name}}))
    pictures = [torch.rand(1, 3, random.randint(8, 40), random.randint(8, 40)) for _ in range(4)]

    def restore(picture: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():
            return net(picture)

    alone = [restore(picture) for picture in pictures]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(restore, pictures * 6))
    assert all(map(torch.equal, together, alone * 6)), name
