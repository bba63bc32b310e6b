"""Fixtures shared by all tests."""
from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

import basicsr_snn.compat

basicsr_snn.compat.apply()

REPOSITORY = Path(__file__).resolve().parent.parent
DATA_VARIABLE = 'BASICSR_SNN_DATA'


@pytest.fixture(scope='session')
def shared_data() -> Path:
    """The folder of standard sets (CBSD68, BSD432, ...) and teacher weights, or a skip where it is not at hand."""
    folder = Path(os.environ.get(DATA_VARIABLE, REPOSITORY.parent / 'shared' / 'data'))
    if not folder.is_dir():
        pytest.skip(f'standard sets not found: set {DATA_VARIABLE} to a folder that holds CBSD68, BSD432, weights, ...')
    return folder


@pytest.fixture(autouse=True)
def log_anew():
    """BasicSR sets its log up once in a process, on the standard error of that moment, which is a test's own."""
    yield
    from basicsr.utils import logger

    for handler in list(logging.getLogger('basicsr').handlers):
        logging.getLogger('basicsr').removeHandler(handler)
    logger.initialized_logger.pop('basicsr', None)


@pytest.fixture(autouse=True)
def gpu_for_marked_tests_only(request, monkeypatch):
    """Tests compare with what a CPU computes, unless they are marked ``cuda``."""
    import torch

    if request.node.get_closest_marker('cuda') is None and torch.cuda.is_available():
        monkeypatch.setenv('CUDA_VISIBLE_DEVICES', '')  # for the processes that they start
        monkeypatch.setattr(torch.cuda, 'is_available', lambda: False)


@pytest.fixture
def work(tmp_path, monkeypatch) -> Path:
    """A working folder with four small photographs-like pictures and a teacher."""
    import cv2
    import numpy as np
    import torch
    from basicsr.archs import build_network
    from trainings import TEACHER

    monkeypatch.chdir(tmp_path)
    (tmp_path / 'pictures').mkdir()
    rng = np.random.default_rng(0)
    for index in range(4):
        smooth = cv2.resize(rng.random((6, 7, 3), dtype=np.float32), (40, 36), interpolation=cv2.INTER_CUBIC)
        cv2.imwrite(f'pictures/{index}.png', (smooth.clip(0, 1) * 255).round().astype(np.uint8))
    torch.manual_seed(1)
    torch.save(build_network(dict(TEACHER)).state_dict(), 'teacher.pth')
    return tmp_path


@pytest.fixture
def own_code(monkeypatch, tmp_path):
    """What a test writes, imports and registers is gone after it: BasicSR's registries, ``sys.path``, modules of its
    folder. Libraries that it was the first to import stay, since some break when they are imported twice."""
    import sys

    from basicsr_snn.plugins import installed, own_modules
    from basicsr_snn.plugins.importing import REGISTRIES

    kept = [dict(registry._obj_map) for registry in REGISTRIES]
    monkeypatch.setattr(sys, 'path', list(sys.path))
    monkeypatch.setattr(own_modules, '_imported', {})
    installed.import_plugins.cache_clear()
    yield
    for registry, before in zip(REGISTRIES, kept, strict=True):
        registry._obj_map = before
    for name, module in list(sys.modules.items()):
        if Path(getattr(module, '__file__', None) or '/').is_relative_to(tmp_path):
            del sys.modules[name]
    installed.import_plugins.cache_clear()


@pytest.fixture
def inside(tmp_path, monkeypatch) -> Path:
    """A fresh folder, in which the test works."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def zoo_of(inside, monkeypatch):
    """Ships other networks, see :func:`own_zoo.ship`."""
    from own_zoo import ship

    from basicsr_snn import zoo
    from basicsr_snn.zoo import shipped

    folder = inside / 'zoo'
    folder.mkdir()

    def ship_here(**networks: tuple[dict, dict]) -> None:
        ship(folder, **networks)
        monkeypatch.setattr(shipped, 'FOLDER', folder)
        zoo.rows.cache_clear()

    yield ship_here
    monkeypatch.undo()
    zoo.rows.cache_clear()


@pytest.fixture
def small(tmp_path) -> tuple[str, ...]:
    """Arguments of a command that name a small colour network."""
    from denoising import SMALL, option_file

    options = option_file(tmp_path, {**SMALL, 'in_nc': 3, 'out_nc': 3})
    return '-opt', str(options), '--weights', str(tmp_path / 'net.pth')
