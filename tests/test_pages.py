"""The pages: what they name exists, their tables are what was measured, what they tell you to type is understood."""
from __future__ import annotations

import argparse
import functools
import inspect
import itertools
import re
import shlex
import textwrap
from pathlib import Path

import commands_page
import page
import pytest
from docstring_roles import to_markdown
from scores import read_table

from basicsr_snn import zoo
from basicsr_snn.archs.spikerir_arch import SIZES, SpikerIR
from basicsr_snn.cli.main import VERBS
from basicsr_snn.losses.hint_loss import CRITERIA
from basicsr_snn.pipeline.option_blocks.datasets import GaussianDenoisingDataset
from basicsr_snn.pipeline.option_blocks.distillation import Hint, Teacher
from basicsr_snn.spiking.neurons import NEURONS

REPOSITORY = Path(__file__).resolve().parent.parent
DOCS = REPOSITORY / 'docs'
PAGES = sorted(page for pattern in ('*.md', 'docs/**/*.md', 'datasets/**/*.md', 'benchmarks/*.md', 'studies/*.md')
               for page in REPOSITORY.glob(pattern))
README = (REPOSITORY / 'README.md').read_text(encoding='utf-8')
LONGEST = 120
of_each_page = pytest.mark.parametrize('page', PAGES, ids=lambda page: str(page.relative_to(REPOSITORY)))


def expand(pattern: str) -> list[str]:
    """``a{1,2}`` to ``a1``, ``a2``."""
    parts = [part.strip('{}').split(',') for part in re.split(r'(\{[^}]*\})', pattern)]
    return [''.join(choice) for choice in itertools.product(*parts)]


def without_code(text: str) -> str:
    return re.sub(r'^ *```.*?^ *```$', '', text, flags=re.DOTALL | re.MULTILINE)


def anchors(page: Path) -> set[str]:
    """The anchors of the headings, as GitHub and the site make them."""
    headings = re.findall(r'^#+ (.+)$', without_code(page.read_text(encoding='utf-8')), re.MULTILINE)
    return {re.sub(r'[^\w -]', '', heading.lower()).strip().replace(' ', '-') for heading in headings}


def shell_lines(page: Path) -> list[str]:
    """What the ``sh`` blocks of a page tell to type, lines joined that end in a backslash."""
    blocks = re.findall(r'^ *```sh\n(.*?)^ *```$', page.read_text(encoding='utf-8'), re.DOTALL | re.MULTILINE)
    return [line.strip() for block in blocks for line in block.replace('\\\n', ' ').splitlines() if line.strip()]


def python_blocks(page: Path) -> str:
    """All ``python`` blocks of a page after one another, as one program."""
    blocks = re.findall(r'^ *```python\n(.*?)^ *```$', page.read_text(encoding='utf-8'), re.DOTALL | re.MULTILINE)
    return '\n'.join(map(textwrap.dedent, blocks))


@functools.cache
def parsers() -> dict[str, argparse.ArgumentParser]:
    return commands_page.parsers()


def typed(line: str) -> list[str]:
    """The words of the first command of a line, without its comment, as the shell hands them on."""
    return list(itertools.takewhile(lambda word: word not in ('&&', '|', ';'), shlex.split(line, comments=True)))


@of_each_page
def test_local_links_lead_to_files_and_headings_that_exist(page):
    text = without_code(page.read_text(encoding='utf-8'))
    missing = []
    for link in re.findall(r'\]\(([^)\s]+)\)', text):
        path, _, anchor = link.partition('#')
        target = page.parent / path if path else page
        if '://' not in link and (not target.exists() or (anchor and anchor not in anchors(target))):
            missing.append(link)
    assert missing == []


@of_each_page
def test_pages_of_the_site_link_within_the_site(page):
    """A link from docs/ to a file outside works on GitHub, but not in the site."""
    links = re.findall(r'\]\(([^)\s#]+)[^)]*\)', without_code(page.read_text(encoding='utf-8')))
    leaves = [link for link in links if '://' not in link and DOCS not in (page.parent / link).resolve().parents]
    assert DOCS not in page.parents or leaves == []


@of_each_page
def test_option_files_and_scripts_exist(page):
    text = page.read_text(encoding='utf-8')
    named = [path for pattern in re.findall(r'options/[\w/{},]+\.yml', text) for path in expand(pattern)]
    named += re.findall(r'\b(?:python|pytest) ((?:benchmarks|scripts|tests|tools|studies|examples)/[\w/]+\.py)', text)
    assert [path for path in named if not (REPOSITORY / path).exists()] == []


@of_each_page
def test_lines_are_short(page):
    lines = without_code(page.read_text(encoding='utf-8')).splitlines()
    assert [line for line in lines if len(line) > LONGEST and not line.lstrip().startswith('|')] == []


@of_each_page
def test_lists_and_tables_begin_after_an_empty_line(page):
    """Else the site shows them as part of the paragraph."""
    lines = without_code(page.read_text(encoding='utf-8')).splitlines()
    begins = re.compile(r'([-*] |1\. |\|)')
    inside = re.compile(r'\s*([-*] |\d+\. |\||<!--|#|$)|\s+\S')
    assert [line for before, line in itertools.pairwise(lines) if begins.match(line) and not inside.match(before)] == []


@of_each_page
def test_commands_are_understood(page):
    for line in shell_lines(page):
        words = typed(line)
        if commands_page.PROGRAM in words:
            verb, *arguments = words[words.index(commands_page.PROGRAM) + 1:]
        elif words and words[0] == 'torchrun':
            verb, arguments = 'train', words[words.index('basicsr_snn.train') + 1:]
        else:
            continue
        try:
            parsers()[verb].parse_args(arguments)
        except SystemExit:
            pytest.fail(f'this is not understood: {line}')


@pytest.mark.parametrize('name', ['README.md', 'docs/reference/api.md', 'docs/explanation/phase-coding.md'])
def test_python_runs(name, capsys):
    program = python_blocks(REPOSITORY / name)
    assert 'import' in program
    exec(compile(program, name, 'exec'), {})


def test_the_pages_have_commands():
    """The reading above finds what it is made for."""
    lines = [line for page in PAGES for line in shell_lines(page)]
    assert sum(line.startswith('basicsr-snn ') for line in lines) > 50
    assert any(line.startswith('torchrun ') for line in lines)


def test_a_wrong_command_is_found(tmp_path):
    wrong = tmp_path / 'page.md'
    wrong.write_text('# x\n\n```sh\nbasicsr-snn denoise -i a \\\n  -o b --nosie 25    # typo\n```\n')
    with pytest.raises(pytest.fail.Exception, match='not understood'):
        test_commands_are_understood(wrong)


@pytest.mark.parametrize('relative', page.pages(), ids=str)
def test_tables_are_those_of_the_scores(relative):
    assert page.written(relative, read_table()) == relative.read_text(encoding='utf-8')


def test_every_shipped_network_has_a_card():
    assert {card.stem for card in (DOCS / 'results' / 'cards').glob('*.md')} == {row.name for row in zoo.rows()}


def test_tables_of_distillation_are_those_of_the_scripts():
    shown = (DOCS / 'results' / 'distillation.md').read_text(encoding='utf-8').splitlines()
    measured = [line for name in ('results', 'any_time', 'conversion', 'noise_immunity') for line in
                (REPOSITORY / f'studies/distillation/{name}.md').read_text(encoding='utf-8').splitlines()]
    assert [line for line in measured if line.startswith('|') and line not in shown] == []


def test_commands_page_is_that_of_the_parsers():
    assert commands_page.page() == commands_page.PAGE.read_text(encoding='utf-8')


def test_pages_name_every_key_neuron_and_verb():
    pages = '\n'.join(page.read_text(encoding='utf-8') for page in DOCS.rglob('*.md'))
    names = [*inspect.signature(SpikerIR).parameters, *SIZES, *NEURONS, *CRITERIA,
             *GaussianDenoisingDataset.__struct_fields__, *Hint.__struct_fields__, *Teacher.__struct_fields__]
    absent = [name for name in names if not re.search(rf'\b{name}\b', pages) and name != 'io_backend']
    assert absent == []
    assert [verb for verb in VERBS if f'basicsr-snn {verb}' not in README and verb != 'prepare'] == []


def test_readme_begins_with_what_it_is_two_commands_a_picture_and_a_table():
    first_screen = README[:README.index('## Install')]
    assert first_screen.count('\nmake ') == 2
    assert '![' in first_screen
    assert first_screen.count('\n|') >= 4
    assert len(README.splitlines()) <= 130


def test_roles_and_directives_of_docstrings_become_markdown():
    text = ('See :class:`~a.b.C` and :mod:`a.b`.\n\n.. math::\n    x = 1\n\n    y\n\n.. code-block:: yaml\n\n'
            '    T: 4\n\n.. math:: z = 2\n\nEnd.')
    assert to_markdown(text) == ('See `C` and `a.b`.\n\n```tex\nx = 1\n\ny\n```\n\n```yaml\nT: 4\n```\n\n'
                                 '```tex\nz = 2\n```\n\nEnd.')
