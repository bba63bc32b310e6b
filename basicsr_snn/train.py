"""BasicSR's training pipeline with this package registered: ``python -m basicsr_snn.train -opt X.yml``.

The current folder is the root: ``experiments/`` and ``tb_logger/`` are made there. SIGINT or SIGTERM ends a training
after its current iteration, with a checkpoint.
"""
from basicsr_snn.pipeline.run import exit_on_user_error as run
from basicsr_snn.pipeline.run import run_training as main

if __name__ == '__main__':
    run(main)
