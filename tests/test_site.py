"""The site builds without a warning and without a network, and fetches nothing when it is read."""
from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip('mkdocs', reason='pip install ".[docs]"')
pytestmark = pytest.mark.xdist_group('site')  # built once
REPOSITORY = Path(__file__).resolve().parent.parent
NOWHERE = 'http://127.0.0.1:9'


@pytest.fixture(scope='module')
def site(tmp_path_factory):
    folder = tmp_path_factory.mktemp('site')
    offline = dict.fromkeys(('http_proxy', 'https_proxy', 'HTTP_PROXY', 'HTTPS_PROXY'), NOWHERE)
    built = subprocess.run([sys.executable, '-m', 'mkdocs', 'build', '--strict', '--site-dir', str(folder)],
                           cwd=REPOSITORY, env={**os.environ, **offline, 'NO_MKDOCS_2_WARNING': '1'},
                           capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    return folder


def test_every_page_is_in_the_site(site):
    pages = {page.relative_to(REPOSITORY / 'docs').with_suffix('.html') for page in (REPOSITORY / 'docs').rglob('*.md')}
    assert pages <= {page.relative_to(site) for page in site.rglob('*.html')}


def test_nothing_is_fetched_from_elsewhere(site):
    tags = re.compile(r'<(?:script|img|iframe|link)\b[^>]*>')
    foreign = re.compile(r'(?:src|href)="(?:https?:)?//')
    for page in site.rglob('*.html'):
        assert [tag for tag in tags.findall(page.read_text(encoding='utf-8')) if foreign.search(tag)] == [], page


def test_docstrings_are_read_as_markdown(site):
    """No role or directive of reStructuredText is left in the reference."""
    reference = (site / 'reference' / 'api.html').read_text(encoding='utf-8')
    assert 'SignedILIF' in reference
    assert re.findall(r':(?:class|mod|func|meth):|\.\. (?:math|code-block)::', reference) == []
