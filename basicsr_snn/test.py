"""BasicSR's test pipeline with this package registered: ``python -m basicsr_snn.test -opt X.yml``.

The current folder is the root: ``results/`` is made there.
"""
from basicsr_snn.pipeline.run import exit_on_user_error as run
from basicsr_snn.pipeline.run import run_test as main

if __name__ == '__main__':
    run(main)
