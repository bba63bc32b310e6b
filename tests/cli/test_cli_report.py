"""``basicsr-snn report`` from arguments to the page and exit status."""
from __future__ import annotations

import datetime

import cv2
import numpy as np
import pytest
import torch
import yaml

from basicsr_snn.cli.main import main
from basicsr_snn.weight_files.card import Card
from basicsr_snn.zoo import build

NETWORK = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}


@pytest.fixture
def work(tmp_path, monkeypatch):
    """Current folder with two small pictures in clean/, an option file mine.yml and its weights net.pth."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'clean').mkdir()
    for name in 'ab':
        pixels = np.random.RandomState(ord(name)).randint(0, 256, (16, 20, 3), dtype=np.uint8)
        cv2.imwrite(f'clean/{name}.png', cv2.GaussianBlur(pixels, (0, 0), 3))
    torch.manual_seed(0)
    torch.save({'params': build(NETWORK).state_dict()}, 'net.pth')
    options = {'name': 'my_net', 'model_type': 'SNNModel', 'num_gpu': 'auto', 'manual_seed': 0,
               'datasets': {f'test_{sigma}': {'name': f'own{sigma}', 'type': 'GaussianDenoisingDataset',
                                              'dataroot_gt': 'clean', 'sigma': sigma} for sigma in (15, 50)},
               'network_g': NETWORK, 'path': {'param_key_g': 'params_ema'}, 'val': {'save_img': False, 'suffix': None}}
    (tmp_path / 'mine.yml').write_text(yaml.safe_dump(options))
    return tmp_path


def test_a_network_of_an_option_file(work, capsys):
    assert main(['report', '-opt', 'mine.yml', '--weights', 'net.pth', '-o', 'out/deep']) == 0
    page = (work / 'out/deep/my_net.html').read_text()
    assert '<title>my_net: report</title>' in page
    assert 'on own15 (2 pictures)' in page
    assert 'my_net on own15 (2 pictures): ' in capsys.readouterr().out


def test_other_sets_and_fewer_pictures(work):
    assert main(['report', '-opt', 'mine.yml', '--weights', 'net.pth', '-o', 'out', '--sets', 'own50', 'own15',
                 '--pictures', '1']) == 0
    page = (work / 'out/my_net.html').read_text()
    assert 'on own50 (1 picture) and own15 (1 picture)' in page
    assert 'standard deviation 15, 50 on' in page


@pytest.mark.slow
def test_a_shipped_network_on_a_folder_and_on_the_pictures_of_an_option_file(work):
    assert main(['report', '-n', 'spikerir_small_color25', '-i', 'clean', '--noise', '25', '-o', 'one']) == 0
    assert main(['report', '-n', 'spikerir_small_color25', '-opt', 'mine.yml', '-o', 'two']) == 0
    one, two = ((work / folder / 'spikerir_small_color25.html').read_text() for folder in ('one', 'two'))
    assert '82,935 parameters, on clean (2 pictures)' in one
    assert '82,935 parameters, on own15 (2 pictures)' in two


def test_a_grey_network_gets_grey_pictures(work):
    options = yaml.safe_load((work / 'mine.yml').read_text())
    options['network_g'] = {**NETWORK, 'in_ch': 1}
    (work / 'grey.yml').write_text(yaml.safe_dump(options))
    torch.save(build(options['network_g']).state_dict(), 'grey.pth')
    assert main(['report', '-opt', 'grey.yml', '--weights', 'grey.pth', '-i', 'clean', '--noise', '25',
                 '-o', 'out']) == 0
    assert (work / 'out/my_net.html').is_file()


def test_pictures_of_other_channels_are_refused(work, capsys):
    assert main(['report', '-n', 'spikerir_small_gray25', '-opt', 'mine.yml', '-o', 'out']) == 2
    assert 'reads pictures of 1 channels, but a was given with 3; write in_ch: 1' in capsys.readouterr().err


@pytest.mark.parametrize(('arguments', 'sentence'), [
    ([], 'no network was given; add -opt X.yml, or -n NAME'),
    (['-n', 'ffdnet_color'], 'no pictures were given; add -i FOLDER --noise 25'),
    (['-n', 'ffdnet_colour', '-i', 'clean', '--noise', '25'], 'did you mean ffdnet_color'),
    (['-n', 'ffdnet_color', '-i', 'clean'], '-i and --noise go together'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '300'], '--noise 300 is no noise level'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '25', '--pictures', '0'], '--pictures 0 leaves none'),
    (['-n', 'ffdnet_color', '-i', 'clean', '--noise', '25', '--sets', 'x'], '-i takes a folder instead'),
    (['-n', 'ffdnet_color', '-i', 'nowhere', '--noise', '25'], 'nowhere'),
    (['-n', 'ffdnet_color', '-opt', 'mine.yml', '--weights', 'net.pth'], 'write -opt X.yml --weights W, without -n'),
    (['-opt', 'mine.yml'], 'names no weights (path: pretrain_network_g); add --weights FILE'),
    (['-opt', 'mine.yml', '--weights', 'nett.pth'], 'weight file nett.pth does not exist'),
    (['-opt', 'mine.yml', '--weights', 'net.pth', '--sets', 'own25'], 'did you mean own50 or own15'),
    (['-opt', 'mine.yml', '--weights', 'clean/a.png'], 'clean/a.png is not a weight file'),
])
def test_mistakes_are_one_sentence_and_status_2(arguments, sentence, work, capsys):
    assert main(['report', *arguments, '-o', 'out']) == 2
    error = capsys.readouterr().err
    assert sentence in error
    assert 'Traceback' not in error
    assert not list(work.glob('out/*'))


def test_a_folder_that_is_a_file_is_refused_before_the_work(work, monkeypatch, capsys):
    monkeypatch.setattr('basicsr_snn.report.findings.examine', lambda *_: pytest.fail('worked'))
    assert main(['report', '-opt', 'mine.yml', '--weights', 'net.pth', '-o', 'net.pth']) == 2
    assert '-o net.pth cannot be made' in capsys.readouterr().err


def test_missing_packages_are_named(work, monkeypatch, capsys):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert main(['report', '-opt', 'mine.yml', '--weights', 'net.pth', '-o', 'out']) == 2
    assert 'needs the package matplotlib, which is not installed; type: pip install matplotlib' in \
        capsys.readouterr().err


@pytest.mark.parametrize('licence', [None, 'LICENSE.txt'])
def test_the_page_tells_command_date_and_licences(work, licence):
    card = Card(NETWORK, licence='CC0')
    torch.save({'params': build(NETWORK).state_dict(), **card.entries()}, 'my net.pth')
    if licence:
        (work / licence).touch()
    assert main(['report', '-opt', 'mine.yml', '--weights', 'my net.pth', '-o', 'out']) == 0
    page = (work / 'out/my_net.html').read_text()
    assert '<code>basicsr-snn report -opt mine.yml --weights &#39;my net.pth&#39; -o out</code>' in page
    assert f'<dt>Date</dt><dd>{datetime.date.today().isoformat()}</dd>' in page
    assert '<dt>Licence of the weights</dt><dd>CC0</dd>' in page
    told = 'as LICENSE.txt beside them says' if licence else 'not stated beside them'
    assert f'<dt>Licence of own15</dt><dd>{told}</dd>' in page
