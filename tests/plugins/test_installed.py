"""Plugins: modules that installed packages announce are known to every command; a broken one is named."""
from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
import torch
from basicsr.utils.registry import ARCH_REGISTRY

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.plugins.installed import import_plugins
from basicsr_snn.zoo import build

pytestmark = pytest.mark.usefixtures('own_code')

CODE = """
import basicsr_snn
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

@ARCH_REGISTRY.register()
class {name}(nn.Conv2d):
    def __init__(self):
        super().__init__(3, 3, 1)
"""


@pytest.fixture
def install(tmp_path, monkeypatch):
    """Install a package with one module, and its announcement, where Python finds it."""
    site = tmp_path / 'site'
    monkeypatch.syspath_prepend(str(site))

    def install_package(code: str, module: str = 'spiky_plugin') -> None:
        information = site / 'spiky_denoisers-1.2.dist-info'
        information.mkdir(parents=True)
        (information / 'METADATA').write_text('Metadata-Version: 2.1\nName: spiky-denoisers\nVersion: 1.2\n')
        (information / 'entry_points.txt').write_text(f'[basicsr_snn.plugins]\nspiky = {module}\n')
        (site / 'spiky_plugin.py').write_text(code)

    return install_package


def test_a_plugin_is_known_without_an_option_file(install, capsys, monkeypatch, tmp_path):
    install(CODE.format(name='SpikyNet'))
    assert 'SpikyNet' not in ARCH_REGISTRY
    assert isinstance(build({'type': 'SpikyNet'}), torch.nn.Conv2d)
    assert import_plugins() is import_plugins()
    assert main(['list', '--json']) == 0
    assert json.loads(capsys.readouterr().out)['plugins'] == ['spiky_plugin of spiky-denoisers 1.2: arch SpikyNet']


@pytest.mark.parametrize(('code', 'module', 'sentence'), [
    ('x = 1 / 0\n', 'spiky_plugin', r'cannot be imported: ZeroDivisionError: .* \(.*spiky_plugin\.py:1\); repair'),
    (CODE.format(name='EDSR'), 'spiky_plugin', r'registers the arch EDSR \(.*\), but that name belongs to '
                                               r'basicsr\.archs\.edsr_arch\.EDSR'),
    ('', 'spiky_plugni', r"cannot be imported: ModuleNotFoundError: No module named 'spiky_plugni'"),
])
def test_a_broken_plugin_is_named_with_its_package(install, tmp_path, code, module, sentence):
    install(code, module)
    for _ in range(2):  # not only the first command of a process
        with pytest.raises(UserError, match=sentence) as error:
            import_plugins()
        assert f'the plugin spiky ({module}) of the installed package spiky-denoisers' in str(error.value)
    assert 'spiky_plugin' not in sys.modules


def test_commands_tell_of_a_broken_plugin_and_how_to_remove_it(install, tmp_path, capsys):
    install('raise RuntimeError("too old")\n')
    file = Path(tmp_path / 'x.yml')
    file.write_text('network_g: {type: SpikerIR}\n')
    assert main(['export', '-opt', str(file), '--weights', 'w.pth', '--format', 'onnx', '-o', 'x.onnx']) == 2
    assert re.search(r'RuntimeError: too old .*pip uninstall spiky-denoisers\.\n', capsys.readouterr().err)
