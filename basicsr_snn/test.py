"""BasicSR's test pipeline with this package registered: ``python -m basicsr_snn.test -opt X.yml``.

The current folder is the root: ``results/`` is made there.
"""
from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from basicsr import test as basicsr_test

from basicsr_snn.options import keep_datasets, parse_checked_options
from basicsr_snn.train import pipeline_arguments, run


def main(argv: list[str] | None = None, sets: Sequence[str] = ()) -> None:
    """Test as the option file says.

    Args:
        argv: ``-opt X.yml [--launcher pytorch] [--force_yml k:k=v ...]``; ``None``: the command line.
        sets: Names of the datasets to test on; empty for all of the option file.

    Raises:
        UserError: An option or path cannot be used.
    """

    def parse(root_path: str, is_train: bool) -> tuple[dict[str, Any], Any]:
        options, arguments = parse_checked_options(root_path, is_train)
        if sets:
            keep_datasets(options, sets)
        return options, arguments

    basicsr_test.parse_options = parse
    with pipeline_arguments(argv):
        basicsr_test.test_pipeline(os.getcwd())


if __name__ == '__main__':
    run(main)
