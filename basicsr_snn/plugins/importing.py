"""Import of code that is not this package's: what goes wrong in it becomes one sentence, and nothing stays of it."""
from __future__ import annotations

import sys
import sysconfig
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from basicsr.utils import registry

from basicsr_snn.compat.registering import NameTakenError
from basicsr_snn.errors import UserError

REGISTRIES = (registry.ARCH_REGISTRY, registry.MODEL_REGISTRY, registry.DATASET_REGISTRY, registry.LOSS_REGISTRY,
              registry.METRIC_REGISTRY)
LIBRARIES = tuple({sysconfig.get_path(name) for name in ('stdlib', 'purelib', 'platlib')})
PACKAGE = str(Path(__file__).resolve().parent.parent)


@contextmanager
def import_errors_in_sentences(who: str, instead: str) -> Iterator[None]:
    """Context of one import, which registers all that the module has, or nothing.

    Args:
        who: Who names the module, and which: the beginning of the sentence.
        instead: What to do about it: its end.

    Raises:
        UserError: The import fails, or registers a name that is taken.
    """
    try:
        yield
    except NameTakenError as error:
        _forget_what_is_gone()
        raise UserError(f'{who} {error}.') from error
    except UserError as error:
        _forget_what_is_gone()
        raise UserError(f'{who}: {error}; {instead}.') from error
    except (Exception, SystemExit) as error:  # anybody's code raises anything, and a script may end the program
        _forget_what_is_gone()
        told = traceback.format_exception_only(error)[-1].strip()
        raise UserError(f'{who} cannot be imported: {told} ({_place(error)}); {instead}.') from error


def registered_by(module: str) -> list[str]:
    """What a module, or a package with its modules, has registered with BasicSR: ``arch MyArch``."""
    return [f'{registry._name} {name}' for registry in REGISTRIES for name, entry in registry
            if entry.__module__ == module or entry.__module__.startswith(f'{module}.')]


def _forget_what_is_gone() -> None:
    """Take out of the registries what belongs to no module: Python has dropped one that failed."""
    for each in REGISTRIES:
        for name, entry in list(each):
            if entry.__module__ not in sys.modules:
                del each._obj_map[name]


def place_in_own_code(error: BaseException) -> str | None:
    """File and line of what failed in the user's own code, or None where no line of it has a part in that."""
    if isinstance(error, SyntaxError) and error.filename:
        return f'{error.filename}:{error.lineno}'
    own = [frame for frame in traceback.extract_tb(error.__traceback__)
           if not frame.filename.startswith(('<', PACKAGE, *LIBRARIES))]
    return f'{own[-1].filename}:{own[-1].lineno}' if own else None


def _place(error: BaseException) -> str:
    """File and line of what failed: in the code of the user rather than in a library that it calls."""
    frames = traceback.extract_tb(error.__traceback__)
    others = [frame for frame in frames if not frame.filename.startswith(('<', PACKAGE))]
    frame = (others or frames)[-1]
    return place_in_own_code(error) or f'{frame.filename}:{frame.lineno}'
