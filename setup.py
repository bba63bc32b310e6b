"""Packaging of basicsr_snn. Everything is static: no git call, no import of the package, no download."""
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent

setup(
    name='basicsr_snn',
    version='0.1.0',
    description='Spiking neural networks for BasicSR: distil an ANN denoiser into a spiking one, count what it costs',
    long_description=(HERE / 'README.md').read_text(encoding='utf-8'),
    long_description_content_type='text/markdown',
    license='Apache-2.0',
    keywords='spiking neural networks, image restoration, denoising, knowledge distillation, BasicSR',
    packages=find_packages(include=['basicsr_snn', 'basicsr_snn.*']),
    package_data={'basicsr_snn.report': ['*.css', '*.jinja'],
                  'basicsr_snn.zoo': ['*.yml', '*.pth', '*.safetensors', 'LICENSE*']},
    python_requires='>=3.11',
    install_requires=[
        'torch>=2.6',
        'torchvision',
        'basicsr==1.4.2',  # patched by name in compat/, hence exact
        'spikingjelly>=2.0.0',
        'lmdb',
        'numpy',
        'opencv-python',
        'pillow',
        'pyyaml',
        'rich',
        'tb-nightly',
        'tqdm',
    ],
    extras_require={
        'dev': ['hypothesis', 'jinja2', 'matplotlib', 'nir', 'nirtorch', 'onnx', 'onnxruntime', 'onnxscript', 'pytest',
                'pytest-benchmark', 'ruff', 'safetensors', 'scikit-image', 'spandrel'],
        'teachers': ['spandrel'],
        'bench': ['bm3d', 'matplotlib'],  # bm3d's licence allows non-commercial use only
        'report': ['jinja2', 'matplotlib'],
        'export': ['nir', 'nirtorch', 'onnx', 'onnxruntime', 'onnxscript', 'safetensors'],
    },
    entry_points={'console_scripts': ['basicsr-snn = basicsr_snn.cli.main:main']},
    classifiers=[
        'License :: OSI Approved :: Apache Software License',
        'Programming Language :: Python :: 3.11',
        'Topic :: Scientific/Engineering :: Image Processing',
    ],
)
