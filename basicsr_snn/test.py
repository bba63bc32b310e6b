"""BasicSR's test pipeline with this package registered: ``python -m basicsr_snn.test -opt X.yml``.

The current folder is the root: ``results/`` is made there.
"""
from __future__ import annotations

import os

from basicsr import test as basicsr_test

from basicsr_snn.options import parse_checked_options
from basicsr_snn.train import pipeline_arguments, run

basicsr_test.parse_options = parse_checked_options


def main(argv: list[str] | None = None) -> None:
    """Test as the option file says.

    Args:
        argv: ``-opt X.yml [--launcher pytorch] [--force_yml k:k=v ...]``; ``None``: the command line.

    Raises:
        UserError: An option or path cannot be used.
    """
    with pipeline_arguments(argv):
        basicsr_test.test_pipeline(os.getcwd())


if __name__ == '__main__':
    run(main)
