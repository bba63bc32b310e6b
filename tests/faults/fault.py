"""Faults that users, machines and strangers bring about, each a function that tries one of its kind at random.

``test_faults.py`` tries each a few times with a fixed seed; ``tools/faults.py --minutes M`` tries them for as long as
it is told and writes the table of ``docs/reliability.md``.
"""
from __future__ import annotations

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random


@dataclass(frozen=True)
class Fault:
    """One kind of fault.

    ``survives`` says in a few words what is right. ``bring_about(random, folder)`` draws one fault of the kind, brings
    it about in the empty ``folder`` and raises ``AssertionError`` where it was not survived. ``tries`` is how often
    the tests try it; together they may take 90 seconds.
    """

    name: str
    survives: str
    bring_about: Callable[[Random, Path], None]
    tries: int = 1


FAULTS: dict[str, Fault] = {}
"""All faults by name, in the order in which their modules are imported."""


def fault(survives: str, tries: int = 1) -> Callable[[Callable[[Random, Path], None]], Callable[[Random, Path], None]]:
    """Enter the decorated function into ``FAULTS`` under its own name, with spaces.

    Raises ``ValueError`` for a second fault of a name.
    """
    def enter(bring_about: Callable[[Random, Path], None]) -> Callable[[Random, Path], None]:
        name = bring_about.__name__.replace('_', ' ')
        if name in FAULTS:
            raise ValueError(f'There are two faults named {name!r}.')
        FAULTS[name] = Fault(name, survives, bring_about, tries)
        return bring_about
    return enter


def import_faults() -> dict[str, Fault]:
    """``FAULTS`` of all modules ``*_faults.py`` beside this one."""
    for module in sorted(Path(__file__).parent.glob('*_faults.py')):
        importlib.import_module(module.stem)
    return FAULTS
