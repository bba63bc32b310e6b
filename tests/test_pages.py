"""What the pages name exists: option files, local links, YAML keys, commands, registered names."""
from __future__ import annotations

import inspect
import itertools
import re
from pathlib import Path

import pytest

from basicsr_snn.archs.spikerir_arch import SIZES, SpikerIR
from basicsr_snn.cli.main import VERBS
from basicsr_snn.data.gaussian_denoising_dataset import OPTION_KEYS
from basicsr_snn.losses.hint_loss import CRITERIA
from basicsr_snn.pipeline.option_checks import HINT_KEYS, TEACHER_KEYS
from basicsr_snn.spiking.neurons import NEURONS

REPOSITORY = Path(__file__).resolve().parent.parent
PAGES = sorted(page for folder in ('', 'docs/', 'datasets/', 'datasets/demo/', 'benchmarks/', 'studies/')
               for page in REPOSITORY.glob(f'{folder}*.md'))
README = (REPOSITORY / 'README.md').read_text(encoding='utf-8')


def expand(pattern: str) -> list[str]:
    """``a{1,2}`` to ``a1``, ``a2``."""
    parts = [part.strip('{}').split(',') for part in re.split(r'(\{[^}]*\})', pattern)]
    return [''.join(choice) for choice in itertools.product(*parts)]


@pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))
def test_local_links_and_option_files_exist(page):
    text = page.read_text(encoding='utf-8')
    links = [link.split('#')[0] for link in re.findall(r'\]\(([^)]+)\)', text) if '://' not in link]
    missing = [link for link in links if link and not (page.parent / link).exists()]
    named = [path for pattern in re.findall(r'options/[\w/{},]+\.yml', text) for path in expand(pattern)]
    missing += [path for path in named if not (REPOSITORY / path).exists()]
    assert missing == []


def test_readme_names_every_key_neuron_and_verb():
    names = [*inspect.signature(SpikerIR).parameters, *SIZES, *NEURONS, *OPTION_KEYS, *HINT_KEYS, *TEACHER_KEYS,
             *CRITERIA]
    absent = [name for name in names if not re.search(rf'\b{name}\b', README) and name != 'io_backend']
    assert absent == []
    assert [verb for verb in VERBS if f'basicsr-snn {verb}' not in README and verb != 'prepare'] == []


def test_readme_begins_with_what_it_is_two_commands_a_picture_and_a_table():
    first_screen = README[:README.index('## Install')]
    assert first_screen.count('\nmake ') == 2
    assert '![' in first_screen
    assert first_screen.count('\n|') >= 4
