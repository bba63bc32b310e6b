"""What engines are called; light to import, as commands list them in their help."""
from __future__ import annotations

ENGINES = ('auto', 'torch', 'openvino', 'onnxruntime')
EXTRA = 'pip install "basicsr_snn[fast]"'
