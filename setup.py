"""What pyproject.toml cannot say: a wheel carries the option files and the demo pictures as ``basicsr_snn/share``."""
import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARED = ('options', 'datasets/demo', 'datasets/README.md')


class BuildWithSharedFiles(build_py):
    """Copies :data:`SHARED` beside the modules; an editable installation reads them where they are."""

    def run(self) -> None:
        super().run()
        if self.editable_mode:
            return
        share = Path(self.build_lib, 'basicsr_snn', 'share')
        shutil.rmtree(share, ignore_errors=True)
        for source in map(Path, SHARED):
            files = [source] if source.is_file() else [file for file in source.rglob('*') if file.is_file()]
            for file in files:
                (share / file).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(file, share / file)


setup(cmdclass={'build_py': BuildWithSharedFiles})
