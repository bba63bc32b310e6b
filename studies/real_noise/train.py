"""``python studies/real_noise/train.py -opt studies/real_noise/colorreal.yml [--auto_resume]``, from the repository."""
from __future__ import annotations

import camera_noise_dataset  # noqa: F401 - registers
import mixed_dataset  # noqa: F401 - registers
import real_pairs_dataset  # noqa: F401 - registers

from basicsr_snn import train

if __name__ == '__main__':
    train.main()
