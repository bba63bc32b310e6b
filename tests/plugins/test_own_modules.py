"""``import:`` of an option file: modules are found, imported once, known in workers, and their faults are sentences."""
from __future__ import annotations

import copy
import multiprocessing
import pickle
import re
import sys
from pathlib import Path

import pytest
import torch
import yaml
from basicsr.utils.registry import ARCH_REGISTRY, DATASET_REGISTRY
from torch.utils.data import DataLoader
from trainings import training

from basicsr_snn.cli.main import main
from basicsr_snn.data import workers
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_files import read_and_import
from basicsr_snn.plugins import own_modules
from basicsr_snn.plugins.own_modules import OwnModule

pytestmark = pytest.mark.usefixtures('own_code')

ARCH = """
from basicsr.utils.registry import ARCH_REGISTRY
from torch import nn

@ARCH_REGISTRY.register()
class {name}(nn.Module):
    def __init__(self, width: int = 3):
        super().__init__()
        self.layer = nn.Conv2d(3, 3, width, padding=width // 2)

    def forward(self, picture):
        return picture + 0.01 * self.layer(picture)
"""
DATASET = """
import torch
from basicsr.utils.registry import DATASET_REGISTRY
from torch.utils.data import Dataset

@DATASET_REGISTRY.register()
class OwnData(Dataset):
    def __len__(self):
        return 2

    def __getitem__(self, index):
        return torch.full((1,), float(index))
"""


def option_file(folder: Path, *names: str, **changes) -> str:
    folder.mkdir(exist_ok=True)
    file = folder / 'mine.yml'
    options = {'import': list(names), **training(network_g={'type': 'OwnArch'}, **changes)}
    file.write_text(yaml.safe_dump(options, sort_keys=False))
    return str(file)


def refused(folder: Path, *names: str) -> str:
    with pytest.raises(UserError) as error:
        read_and_import(option_file(folder, *names))
    assert '\n' not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize('name', ['own_arch.py', 'own_arch', './own_arch.py'])
def test_the_file_beside_the_option_file_comes_before_that_of_the_current_folder(work, name):
    file = option_file(work / 'options', name)
    Path('own_arch.py').write_text(ARCH.format(name='FromCurrentFolder'))
    Path('options/own_arch.py').write_text(ARCH.format(name='OwnArch'))
    read_and_import(file)
    assert 'OwnArch' in ARCH_REGISTRY
    assert 'FromCurrentFolder' not in ARCH_REGISTRY


def test_modules_of_packages_and_neighbours_are_found(work):
    (work / 'package').mkdir()
    Path('package/inner.py').write_text(ARCH.format(name='OwnArch'))
    Path('own_model.py').write_text('from neighbour import VALUE\n')
    Path('neighbour.py').write_text('VALUE = 1\n')
    read_and_import(option_file(work / 'options', 'package.inner', 'own_model.py', 'json'))
    assert 'OwnArch' in ARCH_REGISTRY
    assert [module.name for module in own_modules.imported_modules()] == ['package.inner', 'own_model', 'json']


def test_a_file_is_imported_once_by_whatever_name(work):
    Path('own_arch.py').write_text(ARCH.format(name='OwnArch'))
    sys.path.append(str(work))
    import own_arch

    for name in ('own_arch', 'own_arch.py', str(work / 'own_arch.py'), 'options/../own_arch.py'):
        read_and_import(option_file(work / 'options', name))
    assert ARCH_REGISTRY.get('OwnArch') is own_arch.OwnArch


@pytest.mark.parametrize(('name', 'content', 'sentence'), [
    ('own_arhc.py', None, r'no such file, seen from .*options or .*; did you mean own_arch\.py\?'),
    ('no_such_module', None, r'no module of this name, installed or beside the option file, and no no_such_module\.py'),
    ('basicsr.no_such', None, r'import: basicsr\.no_such: there is no module of this name'),
    ('http://x.org/a.py', None, r'no such file'),
    ('my arch', None, r"'my arch', which is neither a module nor a \.py file"),
    ('os; print(1)', None, r'neither a module nor a \.py file'),
    ('', None, r'neither a module nor a \.py file'),
    ('../up/arch.pyc', None, r'neither a module nor a \.py file'),
    ('my-arch.py', '', r'my-arch\.py, but a module has a name of letters, digits and _'),
    ('class.py', '', r'rename the file, for example to my_arch\.py'),
    ('json.py', '', r'Python has another module "json"'),
    ('own.py', 'x = 1\ny = x / 0\n', r'import: own\.py cannot be imported: ZeroDivisionError: .* \(.*own\.py:2\)'),
    ('own.py', 'x = (\n', r"SyntaxError: '\(' was never closed \(.*own\.py:1\)"),
    ('own.py', '\nimport not_installed_at_all\n', r"ModuleNotFoundError: No module named 'not_in\w+' \(.*own\.py:2\)"),
    ('own', '\nimport not_installed_at_all\n', r"ModuleNotFoundError: No module named 'not_in\w+' \(.*own\.py:2\)"),
    ('own.py', 'import sys\nsys.exit("usage")\n', r'SystemExit: usage \(.*own\.py:2\); repair it, or take it out'),
    ('own.py', 'import torch\n\ntorch.zeros(1).view(7)\n', r'RuntimeError: shape .* \(.*own\.py:3\)'),
])
def test_what_cannot_be_imported_is_one_sentence(work, name, content, sentence):
    folder = work / 'options'
    folder.mkdir()
    (folder / 'own_arch.py').write_text('')
    if content is not None:
        (folder / f'{name.removesuffix(".py")}.py').write_text(content)
    assert re.search(sentence, refused(folder, name))


@pytest.mark.parametrize('given', ['own_arch.py', [1], {'own': 1}])
def test_what_is_no_list_of_names_is_refused(work, given):
    Path('x.yml').write_text(yaml.safe_dump({'import': given, **training()}))
    with pytest.raises(UserError, match=r'must be a list of modules or of \.py files; write import: \[my_arch\.py\]'):
        read_and_import('x.yml')


def test_a_name_that_is_taken_names_both_and_leaves_nothing(work):
    code = ARCH.format(name='Other') + ARCH.format(name='SpikerIR')
    Path('own_arch.py').write_text(code)
    ours = ARCH_REGISTRY.get('SpikerIR')
    sentence = refused(work, 'own_arch.py')
    assert re.search(r'import: own_arch\.py registers the arch SpikerIR \(.*own_arch\.py:\d+\), but that name belongs '
                     r'to basicsr_snn\.archs\.spikerir_arch\.SpikerIR \(.*spikerir_arch\.py:\d+\); give yours another',
                     sentence)
    assert ARCH_REGISTRY.get('SpikerIR') is ours
    assert 'Other' not in ARCH_REGISTRY
    Path('own_arch.py').write_text(code.replace('SpikerIR', 'OwnArchitecture'))  # mended, in the same process
    read_and_import(option_file(work, 'own_arch.py'))
    assert {'Other', 'OwnArchitecture'} <= set(ARCH_REGISTRY.keys())


def test_two_files_of_one_name_are_refused_by_name(work):
    for folder in ('a', 'b'):
        Path(folder).mkdir()
        Path(folder, 'own_arch.py').write_text(ARCH.format(name=f'Own{folder}'))
    read_and_import(option_file(work / 'a', 'own_arch.py'))
    assert 'another module "own_arch" (' in refused(work / 'b', 'own_arch.py')


def test_what_a_started_worker_gets_imports_them(work):
    Path('own_arch.py').write_text(ARCH.format(name='OwnArch'))
    read_and_import(option_file(work, 'own_arch.py', 'json'))
    sent = pickle.dumps(workers._OwnModules())
    named = own_modules.imported_modules()
    own_modules._imported.clear()
    del ARCH_REGISTRY._obj_map['OwnArch'], sys.modules['own_arch']
    pickle.loads(sent)
    assert 'OwnArch' in ARCH_REGISTRY
    assert own_modules.imported_modules() == named


@pytest.mark.slow
def test_a_process_that_does_not_fork_from_this_one_imports_them(work):
    """Two files of one folder: the data set's, and one that the data set's file does not import."""
    Path('deep').mkdir()
    Path('deep/own_data.py').write_text(DATASET)
    Path('deep/noted.py').write_text('from pathlib import Path\nPath("noted.txt").open("a").write("x")\n')
    read_and_import(option_file(work, 'deep/own_data.py', 'deep/noted.py'))
    sys.path.remove(str(work / 'deep'))  # they are found all the same
    context = copy.copy(multiprocessing.get_context('spawn'))
    context.Process = workers._WORKERS['spawn']
    loader = DataLoader(DATASET_REGISTRY.get('OwnData')(), num_workers=1, multiprocessing_context=context)
    assert torch.cat(list(loader)).tolist() == [[0], [1]]
    assert Path('noted.txt').read_text() == 'xx'


def test_every_command_knows_them(work, capsys):
    """One's own network is checked, trained, resumed, tested, benched and restores; its weights alone are refused."""
    Path('own_arch.py').write_text(ARCH.format(name='OwnArch'))
    file = option_file(work, 'own_arch.py')
    weights = 'experiments/tiny/models/net_g_4.pth'
    assert main(['check', '-opt', file]) == 0
    assert re.search(r'import +/.*own_arch\.py: arch OwnArch\n', capsys.readouterr().out)
    assert main(['train', '-opt', file]) == 0
    assert main(['train', '-opt', file, '--auto_resume', '--force_yml', 'train:total_iter=6']) == 0
    own = ['-opt', file, '--weights', weights]
    assert main(['denoise', *own, '-i', 'pictures/0.png', '-o', 'restored.png']) == 0
    assert main(['bench', '-opt', file, '-n', weights, '--pictures', '1']) == 0
    assert main(['test', '-opt', file, '-n', weights, '--force_yml', 'name=tested']) == 0
    capsys.readouterr()
    own_modules._imported.clear()
    del ARCH_REGISTRY._obj_map['OwnArch'], sys.modules['own_arch']
    assert main(['denoise', '-n', weights, '-i', 'pictures/0.png', '-o', 'other.png']) == 2
    assert re.fullmatch(r'basicsr-snn: .*net_g_4\.pth holds weights of the architecture "OwnArch", which is not known '
                        r'here; if it is your own, write -opt X\.yml --weights W with an option file whose import: .*'
                        r'entry point basicsr_snn\.plugins\.\n', capsys.readouterr().err)


def test_modules_named_on_the_command_line_are_imported_too(work):
    Path('own_arch.py').write_text(ARCH.format(name='OwnArch'))
    assert main(['check', '-opt', option_file(work), '--force_yml', 'import=[own_arch.py]']) == 0


def test_a_module_tells_what_it_registers(work):
    Path('own_arch.py').write_text(ARCH.format(name='OwnArch'))
    Path('silent.py').write_text('')
    read_and_import(option_file(work, 'own_arch.py', 'silent.py'))
    assert list(map(str, own_modules.imported_modules())) == [f'{work}/own_arch.py: arch OwnArch',
                                                              f'{work}/silent.py: registers nothing']
    assert str(OwnModule('nothing', '')) == 'nothing: registers nothing'


def test_annotations_for_type_checkers_only_are_no_fault(work):
    code = ARCH.format(name='OwnArch').replace('width: int = 3', "width: 'Width' = 3")
    Path('own_arch.py').write_text(f'from __future__ import annotations\n{code}')
    assert main(['check', '-opt', option_file(work, 'own_arch.py')]) == 0
