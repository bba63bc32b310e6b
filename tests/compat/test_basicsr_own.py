"""BasicSR's own tests pass with the plugin wherever they pass without it.

The release has no tests: the environment variable below names a checkout of XPixelGroup/BasicSR to take them from.
"""
from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import lmdb
import pytest

from basicsr_snn import compat

CHECKOUT_VARIABLE = 'BASICSR_CHECKOUT'
WITHOUT_PLUGIN = """
import sys, types
package = types.ModuleType('basicsr_snn')
package.__path__ = [{package!r}]
sys.modules['basicsr_snn'] = package  # without its __init__
from basicsr_snn import compat
for repair in compat.BEFORE_IMPORT:  # without these two nothing of BasicSR can be imported
    repair()
"""
WITH_PLUGIN = """
import sys
sys.path.insert(0, {parent!r})
import basicsr_snn
"""


@pytest.fixture(scope='module')
def own_tests(tmp_path_factory):
    """A copy of the checkout's tests alone: its ``basicsr`` folder must not hide the installed release."""
    if CHECKOUT_VARIABLE not in os.environ:
        pytest.skip(f'{CHECKOUT_VARIABLE} does not name a checkout of XPixelGroup/BasicSR')
    folder = tmp_path_factory.mktemp('basicsr_own')
    shutil.copytree(Path(os.environ[CHECKOUT_VARIABLE]) / 'tests', folder / 'tests')
    for name in ('gt', 'lq'):
        extract_pictures(folder / 'tests' / 'data' / name)
    return folder


def extract_pictures(folder: Path) -> None:
    """Write the PNG files that the data tests read and the checkout has only inside ``folder``.lmdb."""
    folder.mkdir(exist_ok=True)
    with lmdb.open(f'{folder}.lmdb', readonly=True, lock=False) as environment, environment.begin() as transaction:
        for key, content in transaction.cursor():
            (folder / f'{key.decode()}.png').write_bytes(content)


def passed(folder: Path, preparation: str) -> set[str]:
    """The names of the tests that pass after ``preparation`` ran in the same process."""
    package = Path(compat.__file__).parent.parent
    code = preparation.format(package=str(package), parent=str(package.parent))
    report = folder / 'report.xml'
    report.unlink(missing_ok=True)
    code += f'import pytest\npytest.main(["tests", "-q", "--rootdir", ".", "--junitxml", {str(report)!r}])\n'
    done = subprocess.run([sys.executable, '-c', code], cwd=folder, capture_output=True, text=True, timeout=600)
    assert report.is_file(), done.stdout + done.stderr
    cases = list(ElementTree.parse(report).iter('testcase'))
    assert cases, done.stdout
    return {f'{case.get("classname")}.{case.get("name")}' for case in cases if len(case) == 0}


def test_nothing_that_passes_alone_fails_with_the_plugin(own_tests):
    without = passed(own_tests, WITHOUT_PLUGIN)
    with_plugin = passed(own_tests, WITH_PLUGIN)
    assert len(without) >= 8  # losses, metrics, two datasets: these need no GPU
    assert without <= with_plugin
