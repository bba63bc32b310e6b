"""The one way in which this package changes BasicSR: an attribute is replaced by name, for good or for a while."""
from __future__ import annotations

import functools
import importlib
import inspect
import types
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any


def module(name: str) -> types.ModuleType:
    """Import on use: at the top of these files ``basicsr`` cannot be imported yet."""
    return importlib.import_module(name)


def _owner(path: str) -> Any:
    """The module ``package.module`` or the class ``package.module:Class``."""
    name, *inside = path.split(':')
    return functools.reduce(getattr, inside, module(name))


@contextmanager
def replaced(attribute: str, stand_in: Any, *owners: str) -> Iterator[None]:
    """Context in which ``stand_in`` is the ``attribute`` of all ``owners``, written as in :func:`replaces`."""
    holders = [_owner(path) for path in owners]
    kept = [getattr(holder, attribute) for holder in holders]
    try:
        for holder in holders:
            setattr(holder, attribute, stand_in)
        yield
    finally:
        for holder, value in zip(holders, kept, strict=True):
            setattr(holder, attribute, value)


class Replacement:
    """A function that is called as ``function(upstream, *args)`` in place of an attribute of BasicSR.

    :meth:`install` replaces for good, ``with replacement:`` for a while. See :func:`replaces`.

    Attributes:
        reason: Why BasicSR is changed, in one line: the function's docstring.
    """

    def __init__(self, function: Callable[..., Any], attribute: str, owners: tuple[str, ...]) -> None:
        functools.update_wrapper(self, function)
        self._function, self._attribute, self._owners = function, attribute, owners
        self._installed = False
        self._context = ExitStack()
        self.reason = (inspect.getdoc(function) or '').partition('\n')[0]
        if not self.reason:
            raise TypeError(f'{function.__qualname__} replaces {attribute} without a reason; give it a docstring.')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The bare function, ``upstream`` first."""
        return self._function(*args, **kwargs)

    def install(self) -> None:
        """Replace for good, once; later calls do nothing."""
        if not self._installed:
            self._installed = True
            stand_in = self._stand_in()
            for path in self._owners:
                setattr(_owner(path), self._attribute, stand_in)

    def __enter__(self) -> Replacement:
        self._context.enter_context(replaced(self._attribute, self._stand_in(), *self._owners))
        return self

    def __exit__(self, *_error: object) -> None:
        self._context.close()

    def _stand_in(self) -> Callable[..., Any]:
        function, upstream = self._function, getattr(_owner(self._owners[0]), self._attribute)

        @functools.wraps(upstream, updated=())
        def replacement(*args: Any, **kwargs: Any) -> Any:
            return function(upstream, *args, **kwargs)

        return replacement


def replaces(attribute: str, *owners: str) -> Callable[[Callable[..., Any]], Replacement]:
    """Make a function the :class:`Replacement` of ``attribute``; its docstring says in one line why.

    ``owners`` are all modules (``package.module``) or classes (``package.module:Class``) that hold the attribute: a
    module that imported it by name has its own reference. The first of them gives ``upstream``.
    """
    return lambda function: Replacement(function, attribute, owners)
