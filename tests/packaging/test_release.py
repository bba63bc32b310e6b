"""What the files beside the code say of a release: one version, the papers to cite, the licences of what ships."""
from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest
import yaml

from basicsr_snn import zoo
from basicsr_snn.version import __version__

REPOSITORY = Path(__file__).resolve().parents[2]


def read(name: str) -> str:
    return (REPOSITORY / name).read_text(encoding='utf-8')


PROJECT = tomllib.loads(read('pyproject.toml'))['project']
CITATION = yaml.safe_load(read('CITATION.cff'))


def test_every_file_tells_the_same_version():
    released = re.findall(r'^## \[(\d+\.\d+\.\d+)\] - \d{4}-\d\d-\d\d$', read('CHANGELOG.md'), re.M)
    assert CITATION['version'] == __version__
    assert f'version = {{{__version__}}}' in read('docs/citation.md')
    assert released[:1] == [__version__] or '## [Unreleased]' in read('CHANGELOG.md')


def test_both_citations_name_the_same_paper():
    paper = CITATION['references'][0]
    bibtex = read('docs/citation.md')
    assert ' and '.join(f'{author["family-names"]}, {author["given-names"]}' for author in paper['authors']) in bibtex
    assert paper['title'] in re.sub(r'[{}]', '', bibtex)
    assert f'{{{paper["identifiers"][0]["value"].removeprefix("arXiv:")}}}' in bibtex
    assert CITATION['title'] in re.sub(r'[{}]', '', bibtex)


def test_licences_agree():
    assert CITATION['license'] == PROJECT['license'] == 'Apache-2.0'
    assert read('LICENSE').split()[:2] == ['Apache', 'License']


@pytest.mark.parametrize('row', zoo.rows(), ids=lambda row: row.name)
def test_every_shipped_network_has_its_licence_on_the_page(row):
    entries = read('docs/licences.md').split('\n- ')
    licence = row.licence.split(',')[0].split(';')[0]
    family = row.name if row.role == 'teacher' else 'spikerir_*'
    assert any(f'`{family}`' in entry and licence in entry for entry in entries)
    assert ('BSD432' in row.licence) == bool(row.training)


def test_every_required_package_has_its_licence_on_the_page():
    page = read('docs/licences.md')
    extras = PROJECT['optional-dependencies']
    wanted = [*PROJECT['dependencies'], *(name for extra in ('teachers', 'bench', 'report', 'export')
                                          for name in extras[extra])]
    names = [re.match(r'[\w-]+', requirement)[0] for requirement in wanted]
    assert [name for name in names if not re.search(rf'\b{name}\b', page)] == []


def test_no_extra_for_developers_brings_a_non_commercial_package():
    assert 'bm3d' not in ' '.join(PROJECT['optional-dependencies']['dev'])
    assert 'bench' not in PROJECT['optional-dependencies']['dev'][0]


def test_releasing_takes_nine_steps():
    steps = re.findall(r'^(\d+)\. ', read('RELEASING.md'), re.M)
    assert steps == [str(number) for number in range(1, 10)]
