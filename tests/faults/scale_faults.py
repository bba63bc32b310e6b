"""Networks, tiles and tasks whose factors and sizes do not fit, drawn at random."""
from __future__ import annotations

from pathlib import Path
from random import Random

import cv2
import numpy as np
import torch
from fault import fault

from basicsr_snn import zoo
from basicsr_snn.cli.main import main
from basicsr_snn.inference.defaults import FACTORS, TASKS
from basicsr_snn.inference.tiling import tiled_forward
from basicsr_snn.weight_files.card import Card


def drawn_network(random: Random) -> dict:
    levels = random.randint(1, 3)
    return {'type': 'SpikerIR', 'channels': [random.randint(1, 5) for _ in range(levels)],
            'blocks': [random.randint(0, 2) for _ in range(levels)], 'scale': random.randint(1, 4)}


@fault('the picture has the size that the factor says, in tiles as a whole', tries=12)
def tiles_of_an_enlarged_picture(random: Random, folder: Path) -> None:
    torch.manual_seed(random.getrandbits(32))
    in_ch, out_ch = random.choice([(3, 3), (1, 1), (4, 3), (1, 3)])
    net = zoo.build({**drawn_network(random), 'in_ch': in_ch, 'out_ch': out_ch, 'neuron': {'type': 'relu'}}).eval()
    height, width = random.randint(1, 70), random.randint(1, 70)
    picture = torch.rand(1, in_ch, height, width)
    with torch.no_grad():
        whole = net(picture)
    tiled = tiled_forward(net, picture, random.randint(1, 24), net.receptive_field, random.randint(1, 3))
    assert whole.shape == tiled.shape == (1, out_ch, net.scale * height, net.scale * width)
    assert (whole - tiled).abs().max() < 1e-4, f'{net.scale} times {width}x{height}'


@fault('one sentence and exit status 2, or a picture of the size that the task says', tries=6)
def network_does_not_fit_the_task(random: Random, folder: Path) -> None:
    torch.manual_seed(random.getrandbits(32))
    network, told = drawn_network(random), random.choice([None, *TASKS])
    net = zoo.build(network)
    torch.save({'params': Card(network, task=told).on(net.state_dict())}, folder / 'net.pth')
    height, width = random.randint(1, 40), random.randint(1, 40)
    cv2.imwrite(str(folder / 'a.png'), np.random.RandomState(0).randint(0, 256, (height, width, 3), np.uint8))
    task = random.choice(TASKS)
    status = main(['restore', '--task', task, '-n', str(folder / 'net.pth'), '-i', str(folder / 'a.png'), '-o',
                   str(folder / 'out')])
    fits = told in (None, task) and network['scale'] == FACTORS.get(task, 1)
    assert status == (0 if fits else 2), f'{network} told {told}, asked {task}: {status}'
    if fits:
        factor = network['scale']
        assert cv2.imread(str(folder / 'out/a.png')).shape == (factor * height, factor * width, 3)
    else:
        assert not (folder / 'out').exists()
