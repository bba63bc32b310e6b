"""The rooms of the package: which may import from which. A file that reaches up fails here by name."""
from __future__ import annotations

import ast
import graphlib
import importlib.util
from pathlib import Path

import pytest

import basicsr_snn

PACKAGE = Path(basicsr_snn.__file__).parent

LAYERS = (
    ('asked', 'errors', 'finite', 'recorded', 'tensorboard_start', 'version', 'yaml_files'),
    ('compat', 'registration', 'images', 'installation', 'weight_files'),
    ('plugins',),
    ('spiking', 'inference'),
    ('archs', 'data', 'losses'),
    ('activity', 'energy'),
    ('zoo',),
    ('distill', 'exporting'),
    ('engines',),
    ('restoring', 'elsewhere'),
    ('spandrel', 'deepinv'),
    ('models',),
    ('pipeline',),
    ('bench',),
    ('report',),
    ('moved', 'registered'),
    ('cli', 'train', 'test', '__main__'),
)
"""From the bottom to the top. A room imports from those below it and, if there is no circle, from its neighbours."""

ENTRY = '__init__'
"""The package itself, which registers what the rooms hold and gives ``load`` away: it stands above all, no room imports
it."""

HEIGHT = {room: number for number, layer in enumerate(LAYERS) for room in layer} | {ENTRY: len(LAYERS)}
IMPORTERS = ('import_module', '__import__', 'module')
"""Functions that import the module whose name they are given as a string."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports from, also inside functions, for types only and by a name in a string."""
    return rooms_in(path.read_text(encoding='utf-8')) - {room_of(path)}


def rooms_in(source: str) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source)):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == 'basicsr_snn':
            names = [f'basicsr_snn.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'line {node.lineno} imports by a relative path'
            names = [node.module]
        elif isinstance(node, ast.Call) and node.args and isinstance(node.args[0], ast.Constant):
            function = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, 'id', None)
            names = [str(node.args[0].value)] if function in IMPORTERS else []
        parts = [name.split('.') for name in names]
        found |= {([*below, ENTRY])[0] for package, *below in parts if package == 'basicsr_snn'}
    return {room if room in HEIGHT else ENTRY for room in found}


def test_every_room_stands_in_a_layer():
    rooms = {room_of(path) for path in PACKAGE.rglob('*.py')} - {ENTRY}
    assert rooms == {room for layer in LAYERS for room in layer}


def test_no_file_imports_from_a_room_above_it():
    upward = [f'{path.relative_to(PACKAGE)} imports {room}' for path in sorted(PACKAGE.rglob('*.py'))
              if room_of(path) != ENTRY
              for room in sorted(imported_rooms(path)) if HEIGHT[room] > HEIGHT[room_of(path)]]
    assert upward == []


def test_neighbouring_rooms_form_no_circle():
    graph = {room: set() for room in HEIGHT}
    for path in PACKAGE.rglob('*.py'):
        graph[room_of(path)] |= imported_rooms(path)
    list(graphlib.TopologicalSorter(graph).static_order())  # a CycleError names the rooms of a circle


@pytest.mark.parametrize(('source', 'rooms'), [
    ('from basicsr_snn.archs.dncnn_arch import DnCNN', {'archs'}),
    ('def late():\n    from basicsr_snn import bench, zoo', {'bench', 'zoo'}),
    ("module('basicsr_snn.data.loaders'), importlib.import_module('basicsr_snn.cli')", {'data', 'cli'}),
    ('import basicsr_snn.losses.fft_loss', {'losses'}),
    ('import basicsr_snn', {ENTRY}),
    ('from basicsr_snn import load', {ENTRY}),
    ("import torch\nmodule('basicsr.train')", set()),
])
def test_every_way_to_import_is_seen(source, rooms):
    assert rooms_in(source) == rooms


def test_architectures_know_nothing_of_models():
    assert not any('models' in imported_rooms(path) for path in (PACKAGE / 'archs').glob('*.py'))


def test_spikingjelly_is_imported_where_neurons_and_graphs_are_made_only():
    users = {room_of(path) for path in PACKAGE.rglob('*.py') if 'spikingjelly' in path.read_text(encoding='utf-8')
             and any(isinstance(node, ast.ImportFrom | ast.Import)
                     and 'spikingjelly' in ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())))}
    assert users <= {'spiking', 'energy', 'exporting', 'activity'}


REPOSITORY = PACKAGE.parent
SCRIPTS = sorted(file for folder in ('benchmarks', 'examples', 'scripts', 'studies', 'tools')
                 for file in REPOSITORY.glob(f'{folder}/**/*.py'))


@pytest.mark.parametrize('script', SCRIPTS, ids=lambda script: str(script.relative_to(REPOSITORY)))
def test_scripts_import_what_the_package_has(script):
    taken = [(node.module, alias.name) for node in ast.walk(ast.parse(script.read_text(encoding='utf-8')))
             if isinstance(node, ast.ImportFrom) and (node.module or '').split('.')[0] == 'basicsr_snn'
             for alias in node.names]
    missing = [f'{module}.{name}' for module, name in taken
               if not hasattr(importlib.import_module(module), name)
               and importlib.util.find_spec(f'{module}.{name}') is None]
    assert missing == []
