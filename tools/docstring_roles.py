"""Extension of griffe: the reStructuredText of the docstrings (roles, ``math``, ``code-block``) as Markdown."""
from __future__ import annotations

import re
import textwrap
from typing import Any

import griffe

ROLE = re.compile(r':\w+:`(~?)([^`]+)`')
DIRECTIVE = re.compile(r'^( *)\.\. (math|code-block)::(?: *(\S.*))?(?:\n|$)((?:\n|\1 +.*(?:\n|$))*)', re.MULTILINE)


class DocstringRoles(griffe.Extension):
    """Rewrites each docstring before the site renders it."""

    def on_object(self, *, obj: griffe.Object, **_: Any) -> None:
        if obj.docstring is not None:
            obj.docstring.value = to_markdown(obj.docstring.value)


def to_markdown(text: str) -> str:
    """``:class:`~a.B``` becomes `` `B` ``; blocks of ``math`` and ``code-block`` become fenced blocks."""
    text = ROLE.sub(lambda role: f'`{role[2].rpartition(".")[2] if role[1] else role[2]}`', text)
    return DIRECTIVE.sub(_fenced, text)


def _fenced(directive: re.Match[str]) -> str:
    indent, kind, argument, body = directive.groups()
    language, first = ('tex', argument or '') if kind == 'math' else (argument or '', '')
    text = '\n'.join(filter(None, (first, textwrap.dedent(body).strip())))
    fence = f'```{language}\n{text}\n```\n'
    return textwrap.indent(fence, indent) + '\n'
