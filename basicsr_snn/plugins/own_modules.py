"""``import: [my_arch.py]`` at the top of an option file: the import registers what the modules hold.

This runs code, by design, and so does the option file that names it. A name is one of Python's or that of a ``.py``
file, and each module is imported once in a process.
"""
from __future__ import annotations

import importlib
import importlib.util
import keyword
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from basicsr_snn.errors import UserError, near_matches
from basicsr_snn.plugins.importing import import_errors_in_sentences, registered_by

KEY = 'import'
SUFFIX = '.py'


@dataclass(frozen=True)
class OwnModule:
    """A module that was imported.

    Attributes:
        name: What Python calls it.
        file: Its file; empty for a package without one.
    """

    name: str
    file: str

    def __str__(self) -> str:
        return f'{self.file or self.name}: {", ".join(registered_by(self.name)) or "registers nothing"}'


_imported: dict[str, OwnModule] = {}


def import_own_modules(options: Any, option_file: str | Path) -> list[OwnModule]:
    """Import what ``import:`` of an option file names, in its order.

    Args:
        options: What the file holds.
        option_file: The file. Other files are looked for beside it, then in the current folder.

    Returns:
        All that was named, whether it was imported now or before.

    Raises:
        UserError: A name that is none, a module that is missing, fails, or has the name of another; something that it
            registers has a name that is taken.
    """
    names = options.get(KEY) if isinstance(options, Mapping) else None
    if names is None:
        return []
    if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
        raise UserError(f'{KEY} is {names!r}, but must be a list of modules or of {SUFFIX} files; write {KEY}: '
                        '[my_arch.py].')
    folders = list(dict.fromkeys([Path(option_file).resolve().parent, Path.cwd()]))
    return [_import(name, folders) for name in names]


def imported_modules() -> tuple[OwnModule, ...]:
    """All modules that option files have named in this process."""
    return tuple(_imported.values())


def import_again(modules: Iterable[OwnModule]) -> None:
    """Import in another process what option files have named in the first."""
    for module in modules:
        if module.file.endswith(SUFFIX) and '.' not in module.name:
            _import_file(Path(module.file))
        else:
            importlib.import_module(module.name)
        _imported[module.name] = module


def _import(name: str, folders: Sequence[Path]) -> OwnModule:
    file = _find_file(name, folders)
    with import_errors_in_sentences(f'{KEY}: {name}', f'repair it, or take it out of {KEY}:'):
        module = _import_file(file) if file else _import_by_name(name, folders)
    own = OwnModule(module.__name__, str(vars(module).get('__file__') or ''))
    return _imported.setdefault(own.name, own)


def _find_file(name: str, folders: Sequence[Path]) -> Path | None:
    """The file that a name means; None for a module that Python finds."""
    path = Path(name).expanduser()
    if not name.endswith(SUFFIX):
        if not all(part.isidentifier() and not keyword.iskeyword(part) for part in name.split('.')):
            raise UserError(f'{KEY} names {name!r}, which is neither a module nor a {SUFFIX} file; write for example '
                            f'{KEY}: [my_arch.py].')
        path = Path(f'{name}{SUFFIX}')
    elif not path.stem.isidentifier() or keyword.iskeyword(path.stem):
        raise UserError(f'{KEY} names {name}, but a module has a name of letters, digits and _; rename the file, for '
                        f'example to my_arch{SUFFIX}.')
    found = next((folder / path for folder in folders if (folder / path).is_file()), None)
    if found is None and name.endswith(SUFFIX):
        there = [file.name for folder in folders for file in (folder / path).parent.glob(f'*{SUFFIX}')]
        meant = f'did you mean {" or ".join(near_matches(path.name, there))}?' if there else 'correct its path.'
        raise UserError(f'{KEY} names {name}, but there is no such file{_seen_from(folders)}; {meant}')
    return found and found.resolve()


def _seen_from(folders: Sequence[Path]) -> str:
    return f', seen from {" or ".join(map(str, folders))}'


def _import_by_name(name: str, folders: Sequence[Path]) -> ModuleType:
    for folder in folders:
        _look_in(folder)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f'{name}.'.startswith(f'{error.name}.'):
            raise  # it is there, and lacks another
        raise UserError(f'there is no module of this name, installed or beside the option file, and no {name}{SUFFIX}'
                        f'{_seen_from(folders)}') from error


def _import_file(file: Path) -> ModuleType:
    """Import a file under its own name, so that other modules and data workers mean the same; once."""
    for module in list(sys.modules.values()):
        if isinstance(module, ModuleType) and _is_file(vars(module).get('__file__'), file):
            return module
    name = file.stem
    if name in sys.modules or name in sys.stdlib_module_names:
        other = vars(sys.modules[name]).get('__file__') if name in sys.modules else None
        raise UserError(f'Python has another module "{name}" ({other or "its own"}), so this file needs another name')
    _look_in(file.parent)
    spec = importlib.util.spec_from_file_location(name, file)
    if spec is None or spec.loader is None:
        raise UserError(f'{file} is no source of Python')
    module = sys.modules[name] = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _is_file(given: Any, file: Path) -> bool:
    return isinstance(given, str) and given.endswith(file.name) and Path(given).resolve() == file


def _look_in(folder: Path) -> None:
    """Let a module import its neighbours; what is installed comes first."""
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
