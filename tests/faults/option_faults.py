"""Option files of strangers and of tired people: hostile YAML, mistyped keys, values of any other kind."""
from __future__ import annotations

import contextlib
import copy
import io
import math
import time
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import torch
import yaml
from basicsr.archs import build_network
from fault import fault
from process_faults import make_pictures
from trainings import TEACHER, distilling, set_values, write

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.pipeline.option_files import read_options

MUTANTS = 40
"""Of one try; all are checked in this process."""

OTHER_VALUES = (None, '', 'abc', -1, 0, 1, 10 ** 9, 10 ** 30, -10 ** 9, 1.5, math.nan, math.inf, True, False, [], {},
                [1, 2], ['a'], [None], [[1]], {'a': 1}, {'type': 'x'}, '1e3', '../..', '/dev/null', 'x' * 4000, 'ü☃',
                '~nobody', '%s{}', '[red]', 'a\nb', 1e-300, 1e308, 'true', ' ')
NAMED_FREELY = ('metrics',)
"""Blocks whose keys are names that the user chooses."""

CODE = ("!!python/object/apply:os.system ['touch made_by_yaml']",
        "!!python/object/new:os.system ['touch made_by_yaml']", '!!python/name:os.system ', '!!python/module:os ',
        '!own word', '!!binary "!!!"', '!!set {a, b}', '!!int "abc"', '9' * 5000, '0x' + 'f' * 5000, '1' + ':59' * 300,
        '2020-13-45', '*nothing', '&a [*a]', '&a {b: *a}', '"\\ud800"', '"\\0"', '[' * 5000, '{a: ' * 5000,
        '[' + '1, ' * 50_000 + ']')


def options_of_a_training() -> dict[str, Any]:
    """A training under a teacher, with every block that our models read; 4 steps of a tiny network."""
    return set_values(distilling(name='mutant'), {
        'distill.schedule': {'type': 'linear', 'end_iter': 3}, 'datasets.train.dataset_enlarge_ratio': 1,
        'datasets.train.io_backend': {'type': 'disk'}, 'val.tile': 24, 'dist_params': {'port': 29500},
        'logger.wandb': {'project': None}, 'logger.use_tb_logger': False}, '.')


def places(block: Any, path: tuple = ()) -> Iterator[tuple]:
    """The path of every value."""
    for key, value in block.items() if isinstance(block, dict) else enumerate(block):
        yield (*path, key)
        if isinstance(value, dict | list):
            yield from places(value, (*path, key))


def at(block: Any, path: tuple) -> Any:
    for key in path:
        block = block[key]
    return block


def misspelt(word: str, random: Random) -> str:
    """A word with a letter too few, too many, or two exchanged."""
    place = random.randrange(len(word) - 1)
    first, second = word[place:place + 2]
    return random.choice([word[:place] + second + word[place + 2:], word[:place] + second + first + word[place + 2:],
                          word[:place] + first + word[place:]])


def change(options: dict[str, Any], random: Random) -> None:
    """One value taken out, replaced, wrapped, scaled, or put elsewhere."""
    path = random.choice(list(places(options)))
    block, key = at(options, path[:-1]), path[-1]
    value = block[key]
    kind = random.choice(['delete', 'replace', 'replace', 'wrap', 'scale', 'move'])
    if kind == 'delete':
        del block[key]
    elif kind == 'wrap':
        block[key] = [value]
    elif kind == 'scale' and isinstance(value, int | float):
        block[key] = random.choice([-value, value * 10 ** 6, str(value), value + 0.5])
    elif kind == 'move':
        elsewhere = [other for other in places(options)
                     if isinstance(at(options, other), dict) and other[:len(path)] != path]
        at(options, random.choice(elsewhere))[str(key)] = copy.deepcopy(value)
        del block[key]
    else:
        block[key] = copy.deepcopy(random.choice(OTHER_VALUES))


def make_training(random: Random) -> None:
    """Pictures and the teacher's weights, in the current folder."""
    make_pictures(random)
    torch.save(build_network(dict(TEACHER)).state_dict(), 'teacher.pth')


def status_of(*arguments: str) -> tuple[int, str]:
    """Exit status of a command that runs in this process, and what it printed."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = main(arguments)
    return status, out.getvalue() + err.getvalue()


@fault('`check` refuses it in a sentence, or the training runs to its end')
def option_file_has_other_values(random: Random, folder: Path) -> None:
    make_training(random)
    good = []
    for _ in range(MUTANTS):
        options = options_of_a_training()
        for _ in range(random.choice([1, 1, 2, 3])):
            change(options, random)
        file = write(options)
        with contextlib.suppress(UserError):
            check_options(read_options(file))
            good.append(options)
    for options in good[:2]:
        file = write(options)
        status, printed = status_of('check', '-opt', file)
        assert status in (0, 2), printed
        if status == 0:
            status, printed = status_of('train' if 'train' in options else 'test', '-opt', file)
            assert status == 0 or 'not finite' in printed, printed


@fault('`check` names the key and what it is like')
def option_file_has_a_mistyped_key(random: Random, folder: Path) -> None:
    for _ in range(MUTANTS):
        options = options_of_a_training()
        keys = [path for path in places(options) if isinstance(path[-1], str) and len(path[-1]) > 2
                and not set(NAMED_FREELY) & set(path[-2:-1])]
        *parents, key = random.choice(keys)
        block = at(options, tuple(parents))
        wrong = misspelt(key, random)
        if wrong in block or wrong == key:
            continue
        block[wrong] = block.pop(key)
        status, printed = status_of('check', '-opt', write(options))
        assert status == 2, f'{wrong} instead of {key} was ignored'
        assert wrong in printed or key in printed, f'{wrong}: {printed}'


@fault('it is refused with its line within a second, and nothing runs')
def option_file_is_hostile(random: Random, folder: Path) -> None:
    good = yaml.safe_dump(options_of_a_training(), sort_keys=False)
    for _ in range(MUTANTS):
        lines = good.splitlines(keepends=True)
        hostile = f'{random.choice(["name", "scale", "unknown"])}: {random.choice(CODE)}\n'
        lines.insert(random.choice([index for index, line in enumerate(lines) if line[0].isalpha()]), hostile)
        content = ''.join(lines).encode()
        kind = random.choice(['as it is', 'as it is', 'cut', 'bytes', 'utf-16', 'repeated'])
        if kind == 'cut':
            content = good.encode()[:random.randrange(len(good))] + b'\nlast: [1, 2'
        elif kind == 'bytes':
            place = random.randrange(len(good))
            content = good.encode()[:place] + bytes([0, 255, random.randrange(256)]) + good.encode()[place:]
        elif kind == 'utf-16':
            content = good.encode('utf-16')
        elif kind == 'repeated':
            content = content * (1 + 300_000 // len(content))
        Path('hostile.yml').write_bytes(content)
        start = time.process_time()
        status, printed = status_of('check', '-opt', 'hostile.yml')
        seconds = time.process_time() - start
        assert status == 2, printed
        assert ' line ' in printed or 'larger than an option file' in printed or ' lines ' in printed, printed
        assert seconds < 1, f'{seconds:.1f} s: {printed}'
        assert [file.name for file in folder.iterdir()] == ['hostile.yml']
