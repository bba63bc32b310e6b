"""The page on other tasks: its option file is checked, trains and restores a picture; its script lays out pairs."""
from __future__ import annotations

import re
import runpy
import shlex
import sys
import textwrap
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from conftest import REPOSITORY
from PIL import Image
from trainings import log_of, write

from basicsr_snn.cli.main import main

PAGE = (REPOSITORY / 'docs/how-to/other-tasks.md').read_text(encoding='utf-8')


def blocks(language: str) -> list[str]:
    found = re.findall(rf'^ *```{language}\n(.*?)^ *```$', PAGE, re.DOTALL | re.MULTILINE)
    return list(map(textwrap.dedent, found))


def commands_on_pairs() -> list[list[str]]:
    """What the page tells to type with the option file that it shows, in its order."""
    lines = next(block for block in blocks('sh') if 'my_rain.yml' in block).replace('\\\n', ' ').splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines]


@pytest.fixture
def rain(tmp_path, monkeypatch) -> Path:
    """The folders of the page, with small pairs, in the folder where the commands are typed."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for place, names in (('train', ('0001', '0002')), ('val', ('0801',)), ('new', ('window',))):
        for name in names:
            clean = cv2.resize(rng.random((6, 7, 3), dtype=np.float32), (70, 66), interpolation=cv2.INTER_CUBIC)
            rainy = clean + 0.6 * (rng.random((1, 70, 1)) > 0.8)
            for folder, picture in ((f'rain/{place}/clean', clean), (f'rain/{place}/rainy', rainy)):
                folder = 'rain/new' if place == 'new' else folder
                Path(folder).mkdir(parents=True, exist_ok=True)
                cv2.imwrite(f'{folder}/{name}.png', np.rint(255 * picture.clip(0, 1)).astype(np.uint8))
    return tmp_path


def written_options(**changes: object) -> None:
    """The option file of the page, of which only the length of the training is changed."""
    options = yaml.safe_load(blocks('yaml')[0])
    options['train'] |= {'total_iter': 2, 'scheduler': {**options['train']['scheduler'], 'periods': [2]}}
    options['val']['val_freq'] = 2
    options['datasets']['train'] |= {'num_worker_per_gpu': 0, **changes}
    write(options, 'my_rain.yml')


def test_from_a_folder_of_pairs_to_a_restored_picture(rain, capsys):
    written_options()
    check, train, test, denoise = commands_on_pairs()
    assert main(check) == 0
    assert 'datasets: train  2 pictures' in capsys.readouterr().out
    assert main(train) == 0
    assert re.search(r'# psnr: \d+', log_of('my_rain'))
    assert main(test) == 0
    assert main(denoise) == 0
    (restored,) = Path('restored').glob('window*.png')
    given, answer = (cv2.imread(str(file)) for file in ('rain/new/window.png', restored))
    assert answer.shape == given.shape
    assert not np.array_equal(answer, given)


def test_pairs_mixed_with_rain_that_is_made(rain, capsys):
    mixed = yaml.safe_load(blocks('yaml')[1])['train']
    mixed['sets'][1]['dataroot_gt'] = 'rain/train/clean'
    options = yaml.safe_load(blocks('yaml')[0])
    options['datasets']['train'] = {**mixed, 'num_worker_per_gpu': 0}
    assert main(['check', '-opt', write(options)]) == 0
    assert 'datasets: train  4 pictures' in capsys.readouterr().out


def test_the_script_lays_out_pairs_of_one_name_and_size(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for folder, names, size in (('haze', ('1_1_0.9', '1_2_0.8', '2_1_0.7'), (20, 16)), ('gt', ('1', '2'), (40, 36))):
        Path(folder).mkdir()
        for name in names:
            Image.new('RGB', size, tuple(int(digit) for digit in name[:1] * 3)).save(f'{folder}/{name}.png')
    script = next(block for block in blocks('python') if block.startswith('# reside_pairs.py'))
    Path('reside_pairs.py').write_text(script)
    monkeypatch.setattr(sys, 'argv', ['reside_pairs.py', 'haze', 'gt', 'datasets/RESIDE/val'])
    runpy.run_path('reside_pairs.py')
    hazy, clear = (sorted(Path('datasets/RESIDE/val', folder).iterdir()) for folder in ('hazy', 'clear'))
    names = ['1_1_0.9.png', '1_2_0.8.png', '2_1_0.7.png']
    assert [file.name for file in hazy] == [file.name for file in clear] == names
    assert all(np.array_equal(Image.open(one), Image.open(other)) for one, other in zip(hazy, clear, strict=True))
