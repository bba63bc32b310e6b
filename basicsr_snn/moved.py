"""Modules under their former names, for programs that import them: each warns and gives what now lies elsewhere."""
from __future__ import annotations

import importlib
import sys
import types
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from typing import Any

MOVED = {
    'basicsr_snn.checking': ('basicsr_snn.pipeline.dry_run',),
    'basicsr_snn.options': ('basicsr_snn.pipeline.option_files', 'basicsr_snn.pipeline.option_checks'),
    'basicsr_snn.denoising': ('basicsr_snn.inference.denoising',),
    'basicsr_snn.tiling': ('basicsr_snn.inference.tiling',),
    'basicsr_snn.scoring': ('basicsr_snn.images.scoring',),
    'basicsr_snn.weights': ('basicsr_snn.zoo.weights',),
    'basicsr_snn.views': ('basicsr_snn.inference.self_ensemble',),
    'basicsr_snn.data.pictures': ('basicsr_snn.images.files', 'basicsr_snn.images.listing'),
    'basicsr_snn.data.noise': ('basicsr_snn.images.noise',),
}
"""Where the functions of each former module are."""


class FormerNames(MetaPathFinder, Loader):
    """Finds the former modules, each of which looks its names up where they are now."""

    def find_spec(self, fullname: str, path: Sequence[str] | None, target: Any = None) -> ModuleSpec | None:
        return ModuleSpec(fullname, self) if fullname in MOVED else None

    def exec_module(self, module: types.ModuleType) -> None:
        places = MOVED[module.__name__]
        warnings.warn(f'{module.__name__} is now {" and ".join(places)}; import from there.', DeprecationWarning,
                      stacklevel=2)

        def look_up(name: str) -> Any:
            for place in map(importlib.import_module, places):
                if name in vars(place):
                    return vars(place)[name]
            raise AttributeError(f'{" and ".join(places)} have no {name}')

        vars(module)['__getattr__'] = look_up


def keep_former_names() -> None:
    """Let former names be imported, where no module has them."""
    if not any(isinstance(finder, FormerNames) for finder in sys.meta_path):
        sys.meta_path.append(FormerNames())
