"""Repair of BasicSR's registries: of two objects with one name, both are named."""
from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import UserError


class NameTakenError(UserError):
    """A class or function is registered under a name that another one has."""


@replaces('_do_register', 'basicsr.utils.registry:Registry')
def name_both_of_a_clash(upstream: Callable[..., None], registry: Any, name: str, obj: Any,
                         suffix: str | None = None) -> None:
    """A name that was registered twice ended in an AssertionError that told of neither module."""
    full = f'{name}_{suffix}' if isinstance(suffix, str) else name
    taken = registry._obj_map.get(full)
    if taken is not None:
        raise NameTakenError(f'registers the {registry._name} {full} ({_place(obj)}), but that name belongs to '
                             f'{taken.__module__}.{taken.__qualname__} ({_place(taken)}); give yours another name')
    upstream(registry, name, obj, suffix)


def _place(obj: Any) -> str:
    """File and line of a class or function; its module where its source is not at hand."""
    try:
        return f'{inspect.getsourcefile(obj)}:{inspect.getsourcelines(obj)[1]}'
    except (OSError, TypeError):
        return str(obj.__module__)


def register_in_place(registry: Any) -> Callable[[type], type]:
    """Let a subclass of one of BasicSR's classes stand under its name in a registry: the decorator of that class."""
    def enter(cls: type) -> type:
        registry._obj_map[cls.__name__] = cls
        return cls

    return enter
