"""Where this installation keeps what ships beside the code: weights inside the package; option files and demo pictures
inside a package that was installed from a wheel, around it in a clone.
"""
from __future__ import annotations

from importlib.resources import files
from pathlib import Path

from basicsr_snn.errors import UserError

WEIGHTS = Path('basicsr_snn', 'zoo')
"""How option files name the folder of the shipped weights: as seen from the repository."""

FIRST_OPTIONS = 'options/train/demo.yml'


def package_folder() -> Path:
    return Path(str(files('basicsr_snn')))


def find_weight_file(path: str | Path) -> Path:
    """Where a weight file is that an option file names.

    Option files name shipped weights as ``basicsr_snn/zoo/NAME.pth``. Where the current folder has no such file, that
    is the file of the installed package; any other path stays as it is.
    """
    path = Path(path)
    if path.parent == WEIGHTS and not path.exists():
        return package_folder() / 'zoo' / path.name
    return path


def shared_files() -> Path:
    """The folder that holds ``options/`` and ``datasets/demo/``.

    Raises:
        UserError: This installation has none.
    """
    package = package_folder()
    for folder in (package / 'share', package.parent):
        if (folder / FIRST_OPTIONS).is_file():
            return folder
    raise UserError(f'the installation in {package} lacks the option files; install basicsr_snn again, from a wheel or '
                    'from a clone.')
