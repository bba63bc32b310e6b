"""The page on other programs: its Python runs as written; what needs a package that is not required is skipped."""
from __future__ import annotations

import re

import pytest
import torch
from conftest import REPOSITORY

PAGE = (REPOSITORY / 'docs/how-to/other-programs.md').read_text(encoding='utf-8')
SNIPPETS = re.findall(r'^```python\n(.*?)^```$', PAGE, re.DOTALL | re.MULTILINE)


def snippet(word: str) -> str:
    return next(code for code in SNIPPETS if word in code)


def run(code: str, names: dict | None = None) -> dict:
    names = {} if names is None else names
    exec(compile(code, 'other-programs.md', 'exec'), names)
    return names


@pytest.fixture(autouse=True)
def in_the_root(monkeypatch):
    monkeypatch.chdir(REPOSITORY)


def test_spandrel_loads_the_file_that_the_page_names(monkeypatch, capsys):
    spandrel = pytest.importorskip('spandrel')
    registry, loader = spandrel.MAIN_REGISTRY, spandrel.ModelLoader
    monkeypatch.setattr(loader, 'load_state_dict_from_file', loader.load_state_dict_from_file)
    for kept in ('_architectures', '_ordered', '_by_id'):
        monkeypatch.setattr(registry, kept, getattr(registry, kept))
    run(snippet('spandrel.install()'))
    assert capsys.readouterr().out.startswith("basicsr_snn ['SpikerIR', 'small', 'SignedILIF', 'T=1'")


def test_deepinv_restores_as_the_page_says(capsys):
    pytest.importorskip('deepinv', reason='deepinv is not installed (pip install deepinv)')
    torch.manual_seed(0)
    run(snippet('import deepinv'))
    blurred, restored = map(float, re.findall(r'([\d.]+) dB', capsys.readouterr().out))
    assert blurred + 5 < restored
    assert f'{restored:.1f}' == f'{33.33:.1f}'


@pytest.mark.slow
def test_students_are_traced_and_exported_as_the_page_says():
    run(snippet('free = '), run(snippet('torch.jit.trace')))


def test_a_class_of_three_lines_is_kept_by_the_hub(tmp_path):
    pytest.importorskip('huggingface_hub', reason='huggingface_hub is not installed (pip install huggingface_hub)')
    made = run(snippet('PyTorchModelHubMixin'))['HubSpikerIR']
    net = made(size='tiny', neuron={'type': 'SignedILIF', 'D': 16}, scale=2).eval()
    net.save_pretrained(tmp_path)
    again = made.from_pretrained(tmp_path).eval()
    noisy = torch.rand(1, 3, 21, 22)
    assert torch.equal(again(noisy), net(noisy))
    assert again.head.neuron.D == 16
