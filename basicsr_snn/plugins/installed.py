"""Plugins: installed packages that announce modules under the entry point group ``basicsr_snn.plugins``."""
from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points

from basicsr_snn.plugins.importing import import_errors_in_sentences, registered_by

GROUP = 'basicsr_snn.plugins'


@dataclass(frozen=True)
class Plugin:
    """A module that an installed package announces.

    Attributes:
        package: The distribution, with its version.
        module: What was imported.
    """

    package: str
    module: str

    def __str__(self) -> str:
        return f'{self.module} of {self.package}: {", ".join(registered_by(self.module)) or "registers nothing"}'


@functools.cache
def import_plugins() -> tuple[Plugin, ...]:
    """Import the modules of all plugins, once in a process.

    Raises:
        UserError: One cannot be imported, or registers a name that is taken; the sentence names its package.
    """
    return tuple(_import(point) for point in sorted(set(entry_points(group=GROUP)), key=_module_of))


def _import(point: EntryPoint) -> Plugin:
    name, version = (point.dist.name, point.dist.version) if point.dist else (point.name, '')
    with import_errors_in_sentences(f'the plugin {point.name} ({point.module}) of the installed package {name}',
                                    f'repair or update it, or remove it: pip uninstall {name}'):
        importlib.import_module(point.module)
    return Plugin(f'{name} {version}'.strip(), point.module)


def _module_of(point: EntryPoint) -> str:
    return point.module
