"""Import of all modules of a package that carry BasicSR's file suffix: the import is the registration."""
from __future__ import annotations

import importlib
import pkgutil


def import_modules_with_suffix(package: str, search_path: list[str], suffix: str) -> None:
    """Import every module of ``package`` whose name ends on ``suffix`` (``_arch``, ``_model``, ``_dataset``,
    ``_loss``)."""
    for module in pkgutil.iter_modules(search_path):
        if module.name.endswith(suffix):
            importlib.import_module(f'{package}.{module.name}')
