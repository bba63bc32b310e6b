"""Repairs of how BasicSR puts an earlier run of the same name aside: what the options name inside it is found there."""
from __future__ import annotations

import itertools
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from basicsr_snn.compat.distributed import on_first_process
from basicsr_snn.compat.replacing import module, replaces

OWN_FOLDERS = ('experiments_root', 'models', 'training_states', 'results_root', 'log', 'visualization')

_put_aside: dict[Path, Path] = {}
"""Where the folder of the present run's name was, and where it is now; empty where there was none."""

_of_this_run: list[tuple[Path, Path]] = []
"""The same for all folders that this process has put aside for a run that has not begun."""


@replaces('mkdir_and_rename', 'basicsr.utils.misc', 'basicsr.utils', 'basicsr.train')
def archive_under_a_free_name(upstream: Callable[[str], None], path: str) -> None:
    """Two runs of one second were put aside under one name, which failed."""
    put_aside(Path(path))
    os.makedirs(path, exist_ok=True)


def put_aside(folder: Path) -> Path | None:
    """Rename a folder to ``<name>_archived_<date>``, with a number where that is taken; None: it is not there."""
    if not folder.exists():
        return None
    plain = f'{folder}_archived_{module("basicsr.utils.misc").get_time_str()}'
    names = itertools.chain([plain], (f'{plain}_{number}' for number in itertools.count(2)))
    archived = next(name for name in names if not os.path.lexists(name))
    print(f'Path already exists. Rename it to {archived}', flush=True)  # noqa: T201 - as BasicSR says it
    os.rename(folder, archived)
    _of_this_run.append((folder, Path(archived)))
    return Path(archived)


@contextmanager
def put_back_if_refused() -> Iterator[None]:
    """Context of a run: one that ends before its model is built, however it ends, leaves the folders of an earlier run
    of its name where they were, and nothing of its own in their place."""
    _of_this_run.clear()

    @replaces('build_model', 'basicsr.train', 'basicsr.test')
    def keep_put_aside(build_model: Callable[[dict[str, Any]], Any], opt: dict[str, Any]) -> Any:
        """A built model begins: what it leaves is worth as much as what was there before."""
        model = build_model(opt)
        _of_this_run.clear()
        return model

    with keep_put_aside:
        try:
            yield
        finally:
            _put_back()


def _put_back() -> None:
    while _of_this_run:
        folder, archived = _of_this_run.pop()
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(archived, folder)
        print(f'{folder} is back, as it was', flush=True)  # noqa: T201 - as it was said that it went


@replaces('make_exp_dirs', 'basicsr.utils.misc', 'basicsr.utils', 'basicsr.train', 'basicsr.test')
def make_own_folders_only(upstream: Callable[[dict], None], opt: dict[str, Any]) -> None:
    """`make_exp_dirs` made a folder of every unknown `path:` key, died on one without a value, and put the folder aside
    from which weights or pictures were about to be read."""
    folders = {key: folder for key, folder in opt['path'].items() if key in OWN_FOLDERS and folder is not None}
    root = Path(folders['experiments_root' if opt['is_train'] else 'results_root'])
    archived = on_first_process(opt, lambda: put_aside(root))
    on_first_process(opt, lambda: upstream({**opt, 'path': folders}))
    _put_aside.clear()
    if archived:
        _put_aside[root.absolute()] = archived
        opt['path'].update(_found({key: value for key, value in opt['path'].items() if key not in folders}))
        opt.update(_found({key: value for key, value in opt.items() if key != 'path'}))


def _found(value: Any) -> Any:
    """Options with every path into the folder that was put aside replaced by where it now is."""
    if isinstance(value, Mapping):
        return type(value)((key, _found(one)) for key, one in value.items())  # type: ignore[call-arg]
    if isinstance(value, list):
        return [_found(one) for one in value]
    return present_place(value) if isinstance(value, str) else value


def present_place(path: str) -> str:
    """The path itself, or where it is now if it was inside the folder that the present run has put aside."""
    absolute = Path(path).expanduser().absolute()
    for before, now in _put_aside.items():
        if absolute.is_relative_to(before) and (place := now / absolute.relative_to(before)).exists():
            return str(place)
    return path


@replaces('copy_opt_file', 'basicsr.train')
def copy_options_from_anywhere(upstream: Callable[[str, str], None], opt_file: str, experiments_root: str) -> None:
    """An option file inside its own experiment was copied onto itself, or was gone when the folder was put aside."""
    source, copy = Path(present_place(opt_file)), Path(experiments_root, Path(opt_file).name)
    if not (copy.exists() and source.samefile(copy)):
        os.makedirs(experiments_root, exist_ok=True)
        upstream(str(source), experiments_root)
