"""What the neurons of a network do on given pictures: rates, silent and saturated channels, membrane potentials."""
from basicsr_snn.activity.layer import LayerActivity, dead_share, saturated_share
from basicsr_snn.activity.watch import ActivityWatch

__all__ = ['ActivityWatch', 'LayerActivity', 'dead_share', 'saturated_share']
