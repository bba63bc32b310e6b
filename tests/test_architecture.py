"""The rooms of the package: which may import from which. A file that reaches up fails here by name."""
from __future__ import annotations

import ast
from pathlib import Path

import basicsr_snn

PACKAGE = Path(basicsr_snn.__file__).parent

LAYERS = (
    ('errors', 'version'),
    ('compat', 'registration', 'images', 'installation'),
    ('spiking', 'inference'),
    ('archs', 'data', 'losses'),
    ('activity', 'energy'),
    ('zoo',),
    ('distill', 'exporting'),
    ('models',),
    ('pipeline',),
    ('bench',),
    ('report',),
    ('cli', 'train', 'test', '__main__'),
)
"""From the bottom to the top. A room imports from those below it and, if there is no circle, from its neighbours."""

ENTRY = '__init__'
"""The package itself, which registers what the rooms hold and gives ``load`` away."""


def room_of(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix('.py')


def imported_rooms(path: Path) -> set[str]:
    """The rooms that a file imports from, also inside functions."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding='utf-8'))):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module == 'basicsr_snn':
            names = [f'basicsr_snn.{alias.name}' for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f'{path} imports by a relative path'
            names = [node.module]
        else:
            continue
        found |= {name.split('.')[1] for name in names if name.startswith('basicsr_snn.')}
    return found - {room_of(path), 'load'}


def test_every_room_stands_in_a_layer():
    rooms = {room_of(path) for path in PACKAGE.rglob('*.py')} - {ENTRY}
    assert rooms == {room for layer in LAYERS for room in layer}


def test_no_file_imports_from_a_room_above_it():
    height = {room: number for number, layer in enumerate(LAYERS) for room in layer}
    upward = [f'{path.relative_to(PACKAGE)} imports {room}' for path in sorted(PACKAGE.rglob('*.py'))
              if room_of(path) != ENTRY
              for room in sorted(imported_rooms(path)) if height[room] > height[room_of(path)]]
    assert upward == []


def test_neighbouring_rooms_form_no_circle():
    arrows = {(room_of(path), room) for path in PACKAGE.rglob('*.py') for room in imported_rooms(path)}
    assert [pair for pair in sorted(arrows) if pair[::-1] in arrows and ENTRY not in pair] == []


def test_architectures_know_nothing_of_models():
    assert not any('models' in imported_rooms(path) for path in (PACKAGE / 'archs').glob('*.py'))


def test_spikingjelly_is_imported_where_neurons_and_graphs_are_made_only():
    users = {room_of(path) for path in PACKAGE.rglob('*.py') if 'spikingjelly' in path.read_text(encoding='utf-8')
             and any(isinstance(node, ast.ImportFrom | ast.Import)
                     and 'spikingjelly' in ast.unparse(node) for node in ast.walk(ast.parse(path.read_text())))}
    assert users <= {'spiking', 'energy', 'exporting', 'activity'}
