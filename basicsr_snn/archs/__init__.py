"""Registered networks: every ``*_arch.py`` of this folder."""
from basicsr_snn.registration import import_modules_with_suffix

import_modules_with_suffix(__name__, __path__, '_arch')
