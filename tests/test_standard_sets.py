"""Published figures, reproduced through the user's own command where the standard sets are at hand."""
from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio

import basicsr_snn
from basicsr_snn.cli.main import main

REPOSITORY = Path(__file__).resolve().parent.parent
PICTURES = 10


def psnr_by_scikit_image(folder: Path) -> float:
    """Mean PSNR of FFDNet at sigma 25, with noise, network call and measure written out apart from the project."""
    net = basicsr_snn.load('ffdnet_color')
    decibels = []
    for file in sorted(folder.glob('*.png'))[:PICTURES]:
        clean = cv2.cvtColor(cv2.imread(str(file)), cv2.COLOR_BGR2RGB)
        np.random.seed(0)
        noisy = clean / 255 + np.random.normal(0, 25 / 255, clean.shape)
        with torch.no_grad():
            out = net(torch.from_numpy(noisy.transpose(2, 0, 1)[None]).float())[0]
        restored = (out.numpy().transpose(1, 2, 0).clip(0, 1) * 255).round().astype(np.uint8)
        decibels.append(peak_signal_noise_ratio(clean, restored))
    return float(np.mean(decibels))


@pytest.mark.slow
def test_ffdnet_on_the_first_ten_pictures_of_cbsd68(shared_data, tmp_path, monkeypatch):
    """All 68 give 31.20 dB (31.21 in the FFDNet paper); ten of them keep the test short."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / 'datasets').symlink_to(shared_data)
    (tmp_path / 'basicsr_snn').symlink_to(REPOSITORY / 'basicsr_snn')
    options = str(REPOSITORY / 'options/test/FFDNet/color25.yml')
    assert main(['test', '-opt', options, '--sets', 'CBSD68', '--force_yml', f'datasets:test_1:subset=[0,{PICTURES}]',
                 'val:energy=1']) == 0
    log = next((tmp_path / 'results/FFDNet_color25').glob('*.log')).read_text()
    printed = float(re.search(r'# psnr: (\d+\.\d+)', log).group(1))
    assert printed == pytest.approx(psnr_by_scikit_image(shared_data / 'CBSD68'), abs=0.01)
    assert printed == pytest.approx(31.25, abs=0.02)
    assert '# params: 852,108' in log
