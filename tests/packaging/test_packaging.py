"""What a user gets: sdist and wheel, built here and installed into an environment where this clone is unknown."""
from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import cv2
import pytest

from basicsr_snn import zoo
from basicsr_snn.cli import init
from basicsr_snn.version import __version__

REPOSITORY = Path(__file__).resolve().parents[2]
NOT_SOURCE = ('.*', '__pycache__', '*.egg-info')
WRITTEN_AT_WORK = ('build', 'dist', 'datasets', 'experiments', 'results', 'tb_logger')
FEW_ITERATIONS = ('train:total_iter=4', 'train:scheduler:periods=[4]', 'val:val_freq=4', 'logger:print_freq=2',
                  'logger:save_checkpoint_freq=4')
pytestmark = pytest.mark.slow


def run(*command: str | Path, cwd: Path) -> str:
    """Output of a command that must succeed; the clone is not on its path."""
    environment = {name: value for name, value in os.environ.items() if name != 'PYTHONPATH'}
    environment |= {'OMP_NUM_THREADS': '1', 'GOMP_SPINCOUNT': '0'}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=environment, text=True, timeout=300,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope='module')
def built(tmp_path_factory) -> Path:
    """The folder of the sdist and of the wheel that was built from it, without a network."""
    folder = tmp_path_factory.mktemp('built')
    source = folder / 'source'
    ignore = shutil.ignore_patterns(*NOT_SOURCE)
    source.mkdir()
    for path in REPOSITORY.iterdir():
        if path.is_file():
            shutil.copy(path, source)
        elif path.name not in WRITTEN_AT_WORK and path.name not in ignore(REPOSITORY, [path.name]):
            shutil.copytree(path, source / path.name, ignore=ignore)
    shutil.copytree(REPOSITORY / 'datasets' / 'demo', source / 'datasets' / 'demo')
    shutil.copy(REPOSITORY / 'datasets' / 'README.md', source / 'datasets')
    run(sys.executable, '-m', 'build', '--no-isolation', '--outdir', folder, source, cwd=folder)
    return folder


@pytest.fixture(scope='module')
def sdist(built) -> Path:
    """The sdist, unpacked."""
    with tarfile.open(next(built.glob('*.tar.gz'))) as archive:
        archive.extractall(built, filter='data')
    return built / f'basicsr_snn-{__version__}'


@pytest.fixture(scope='module')
def wheel(built) -> Path:
    return next(built.glob('*.whl'))


@pytest.fixture(scope='module')
def installed(wheel, tmp_path_factory) -> tuple[Path, Path]:
    """The command of a fresh environment with the wheel in it, and the folder that ``init`` laid out."""
    folder = tmp_path_factory.mktemp('installed')
    venv.create(folder / 'fresh', with_pip=False)
    python = folder / 'fresh' / 'bin' / 'python'
    own = Path(run(python, '-c', 'import sysconfig; print(sysconfig.get_path("purelib"))', cwd=folder).strip())
    # All else comes from the environment of the tests; its .pth files, this clone's among them, are not read.
    (own / 'requirements.pth').write_text(sysconfig.get_path('purelib') + '\n')
    run(sys.executable, '-m', 'pip', '--python', python, 'install', '--no-deps', '--no-index', wheel, cwd=folder)
    command = folder / 'fresh' / 'bin' / 'basicsr-snn'
    run(command, 'init', folder / 'work', cwd=folder)
    found = 'import importlib.util; print(importlib.util.find_spec("basicsr_snn").origin)'
    assert run(python, '-c', found, cwd=folder / 'work') == f'{own}/basicsr_snn/__init__.py\n'
    return command, folder / 'work'


def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith('.dist-info/METADATA'))
        return message_from_string(archive.read(name).decode())


def source_files(folder: Path) -> set[str]:
    """Files of the package and what is laid out beside it, by their names in the repository."""
    places = [folder / name for name in ('basicsr_snn', *init.LAID_OUT)]
    found = [file for place in places for file in (place, *place.rglob('*'))]
    names = {file.relative_to(folder).as_posix() for file in found if file.is_file()}
    return {name for name in names if '__pycache__' not in name}


def test_the_sdist_holds_all_of_the_source(sdist):
    assert source_files(sdist) == source_files(REPOSITORY)
    for name in ('setup.py', 'pyproject.toml', 'Makefile', 'constraints.txt', 'LICENSE', 'tests/conftest.py'):
        assert (sdist / name).read_bytes() == (REPOSITORY / name).read_bytes()


def test_the_wheel_holds_the_package_and_its_shared_files_and_nothing_else(wheel):
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if '.dist-info/' not in name}
    package = {name for name in source_files(REPOSITORY) if name.startswith('basicsr_snn/')}
    shared = {f'basicsr_snn/share/{name}' for name in source_files(REPOSITORY) - package}
    assert names == package | shared
    assert 'basicsr_snn/py.typed' in names


def test_there_is_one_version(wheel):
    assert metadata(wheel)['Version'] == __version__


def test_python_is_bounded_as_basicsr_needs(wheel):
    assert set(metadata(wheel)['Requires-Python'].split(',')) == {'>=3.11', '<3.13'}


def test_list_names_every_network(installed):
    command, work = installed
    shown = run(command, 'list', cwd=work)
    assert all(row.name in shown for row in zoo.rows())


def test_denoise_gains_on_a_demo_picture(installed):
    command, work = installed
    shown = run(command, 'denoise', '-i', 'datasets/demo/val/pagoda.png', '-o', 'clean', '--noise', '25', '--gt',
                cwd=work)
    noisy, restored = (float(value) for value in re.findall(r'\b(\d\d\.\d\d)\b', shown)[:2])
    assert noisy < 21
    assert restored > 29
    pictures = list((work / 'clean').iterdir())
    assert [cv2.imread(str(picture)).shape for picture in pictures] == [
        cv2.imread(str(work / 'datasets/demo/val/pagoda.png')).shape]


def test_the_demo_trains(installed):
    command, work = installed
    log = run(command, 'train', '-opt', 'options/train/demo.yml', '--force_yml', *FEW_ITERATIONS, cwd=work)
    assert 'iter:       4' in log
    assert '# psnr:' in log
    assert (work / 'experiments' / 'demo' / 'models' / 'net_g_4.pth').is_file()
