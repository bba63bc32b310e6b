"""The exceptions that are told in one sentence, and what such a sentence is made of: others' words, near matches."""
from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(ValueError):
    """A mistake in what the user gave: options, paths, pictures.

    The message is one sentence in three parts: what was given, what is allowed, what to type instead. The commands
    print it without a traceback and exit with its status.
    """

    exit_status = 2


class NotFiniteError(UserError):
    """A network whose weights or answers hold NaN or infinity: it is neither scored nor exported nor trained on."""

    exit_status = 1


class DataError(UserError):
    """A picture or data set that cannot be read, or not any more: where a training runs, it saves before it ends."""


class MissingPackageError(UserError, ImportError):
    """A module of this package that needs a package which is not installed."""


class MachineError(OSError):
    """What the machine did not give: room on a disk, memory, an answer of another process.

    The message is one sentence that names the file or the resource. The commands print it without a traceback and exit
    with its status.
    """

    exit_status = 1


class WorkerError(MachineError):
    """A worker process that reads pictures is lost: the training saves before it ends."""


def first_line(error: BaseException, longest: int = 120) -> str:
    """What an error says, in its first line and at most ``longest`` characters, for the middle of a sentence."""
    return (str(error).strip() or type(error).__name__).splitlines()[0][:longest]


def one_line(error: Exception) -> str:
    """All that an error says, on one line."""
    return ' '.join(str(error).split()) or type(error).__name__


SHOWN = 3


def some(names: Iterable[str], between: str = ', ') -> str:
    """The first three of several names, and how many there are beside."""
    names = list(names)
    more = f' and {len(names) - SHOWN} more' if len(names) > SHOWN else ''
    return between.join(names[:SHOWN]) + more


def are(names: Sequence[str]) -> str:
    """Names as the subject of a sentence with its verb: ``a is``, ``a and b are``."""
    *others, last = names
    return f'{", ".join(others)} and {last} are' if others else f'{last} is'


def near_matches(given: str, allowed: Iterable[str], count: int = 3) -> list[str]:
    """The ``count`` names of ``allowed`` closest to ``given``, best first; all of them in order when none is close."""
    names = {str(name).lower(): str(name) for name in allowed}
    close = difflib.get_close_matches(str(given).lower(), names, n=count, cutoff=0.5)
    return [names[name] for name in close] or list(names.values())[:count]
