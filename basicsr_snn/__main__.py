"""``python -m basicsr_snn``: the command ``basicsr-snn``."""
import sys

from basicsr_snn.cli.main import main

if __name__ == '__main__':
    sys.exit(main())
