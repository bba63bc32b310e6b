"""Networks with their weights: those that ship, and those of option files and weight files."""
from basicsr_snn.zoo.building import build, weights_in
from basicsr_snn.zoo.shipped import FOLDER, Row, default_name, default_of_task, row, rows, students_of_task
from basicsr_snn.zoo.weights import sha256_of

__all__ = ['FOLDER', 'Row', 'build', 'default_name', 'default_of_task', 'row', 'rows', 'sha256_of', 'students_of_task',
           'weights_in']
