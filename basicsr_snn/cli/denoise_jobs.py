"""Which pictures ``basicsr-snn denoise`` reads, and where each result goes."""
from __future__ import annotations

import argparse
import glob
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from basicsr_snn.cli.denoise_existing import are_skipped
from basicsr_snn.errors import UserError, near_matches

AUTO_EXTENSION = 'auto'


@dataclass(frozen=True)
class Job:
    """One picture and the file of its result."""

    source: Path
    target: Path


@dataclass
class Plan:
    """What a run has to do.

    Attributes:
        jobs: Pictures to restore.
        skipped: Pictures whose results exist and are kept.
        left_out: Sentences about what of the inputs is no picture.
    """

    jobs: list[Job] = field(default_factory=list)
    skipped: list[Job] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class _Source:
    """A picture, and the folder from which on sub-folders are kept."""

    path: Path
    root: Path


def plan(args: argparse.Namespace) -> Plan:
    """Pairs of input file and result file.

    Raises:
        UserError: No such input, no pictures, an unknown extension, or a result that would overwrite an input, another
            result or, without ``--overwrite``, what exists.
    """
    made = Plan()
    sources = _distinct(_sources(args, made))
    extension = _extension(args.ext)
    if Path(args.suffix).name != args.suffix:
        raise UserError(f'--suffix {args.suffix} would leave the folder; write a plain word, and the folder as -o.')
    if _names_a_picture(args, sources):
        jobs = [Job(sources[0].path, args.output)]
    else:
        jobs = [Job(source.path, _target(source, args.output, args.suffix, extension)) for source in sources]
    _refuse_overwriting(jobs)
    existing = [job for job in jobs if job.target.exists()]
    made.skipped = existing if are_skipped([job.target for job in existing], len(jobs), args) else []
    made.jobs = [job for job in jobs if job not in made.skipped]
    return made


def _extension(given: str) -> str:
    from basicsr_snn.images.encoding import EXTENSIONS

    extension = given if given == AUTO_EXTENSION else '.' + given.lower().removeprefix('.')
    if extension not in (AUTO_EXTENSION, *EXTENSIONS):
        raise UserError(f'--ext {extension} is not known; write auto or one of {" ".join(EXTENSIONS)}.')
    return extension


def _target(source: _Source, output: Path, suffix: str, extension: str) -> Path:
    path = source.path
    name = f'{path.stem}_{suffix}' if suffix else path.stem
    inside = path.parent.relative_to(source.root)
    return output / inside / f'{name}{path.suffix if extension == AUTO_EXTENSION else extension}'


def _names_a_picture(args: argparse.Namespace, sources: list[_Source]) -> bool:
    """Whether ``-o`` is the file of the one result.

    Raises:
        UserError: It looks like a file, but there is more than one picture, or other arguments name the result too.
    """
    from basicsr_snn.images.encoding import EXTENSIONS

    output = args.output
    if output.is_dir() or not (output.exists() or output.suffix.lower() in EXTENSIONS):
        return False
    one = len(sources) == 1 and len(args.input) == 1 and args.input[0].is_file()
    if not one or output.suffix.lower() not in EXTENSIONS:
        what = 'is a file' if output.exists() else 'names a picture'
        raise UserError(f'-o {output} {what}, but results go to a folder; write -o {output.parent}.')
    if args.suffix or args.ext != AUTO_EXTENSION:
        raise UserError(f'-o {output} names the result already; leave out --suffix and --ext, or write '
                        f'-o {output.parent}.')
    return True


def _sources(args: argparse.Namespace, made: Plan) -> Iterator[_Source]:
    for given in args.input:
        if given.is_dir():
            yield from _of_folder(given, args, made)
        elif given.exists():
            yield from _of_file(given, len(args.input) > 1, made)
        elif glob.has_magic(str(given)):
            yield from _of_pattern(given, args.output, made)
        else:
            near = near_matches(given.name, sorted(path.name for path in given.parent.glob('*')))
            instead = f'did you mean {" or ".join(near)} in {given.parent}?' if near else 'give a picture or a folder.'
            raise UserError(f'-i {given} does not exist (seen from {Path.cwd()}); {instead}')


def _of_folder(given: Path, args: argparse.Namespace, made: Plan) -> Iterator[_Source]:
    from basicsr_snn.images.listing import find_pictures, real_path

    listing = find_pictures(given, args.recursive)
    results = real_path(args.output)
    if real_path(given) in results.parents and not results.is_file():
        listing = listing.without(results)
    left_out = listing.what_is_left_out()
    made.left_out += [left_out] if left_out else []
    if not listing.pictures:
        raise UserError(f'-i {given} holds no pictures but those of -o {args.output}; give the folder of the inputs.')
    yield from (_Source(path, given) for path in listing.pictures)


def _of_file(given: Path, beside_others: bool, made: Plan) -> Iterator[_Source]:
    """The file itself; among others, as a shell's pattern gives them, what is no picture is left out."""
    from basicsr_snn.images.encoding import EXTENSIONS

    if beside_others and given.suffix.lower() not in EXTENSIONS:
        made.left_out.append(f'{given} left out (no extension of a picture).')
    else:
        yield _Source(given, given.parent)


def _of_pattern(given: Path, output: Path, made: Plan) -> Iterator[_Source]:
    """Files that a pattern meets, but for what lies in the folder of the results; ``**`` goes into sub-folders."""
    from basicsr_snn.images.encoding import EXTENSIONS
    from basicsr_snn.images.listing import real_path

    fixed = [part for part in given.parts if not glob.has_magic(part)]
    plain = next(number for number, part in enumerate(given.parts) if glob.has_magic(part))
    root = Path(*fixed[:plain])
    results = real_path(output)
    met = [path for path in map(Path, sorted(glob.glob(str(given), recursive=True)))
           if results not in real_path(path).parents]
    pictures = [path for path in met if path.is_file() and path.suffix.lower() in EXTENSIONS]
    if not pictures:
        raise UserError(f'-i {given} meets no picture (seen from {Path.cwd()}); give a picture, a folder, or another '
                        f'pattern; known extensions are {" ".join(EXTENSIONS)}.')
    others = len([path for path in met if path.is_file()]) - len(pictures)
    if others:
        made.left_out.append(f'{others} files that {given} meets left out (no extension of a picture).')
    yield from (_Source(path, root) for path in pictures)


def _distinct(sources: Iterator[_Source]) -> list[_Source]:
    """Each picture once, by its path; at least one."""
    found: dict[str, _Source] = {}
    for source in sources:
        found.setdefault(os.path.abspath(source.path), source)
    if not found:
        raise UserError('none of the files behind -i has the extension of a picture; give pictures or folders.')
    return list(found.values())


def _refuse_overwriting(jobs: list[Job]) -> None:
    from basicsr_snn.images.listing import real_path

    inputs = {real_path(job.source) for job in jobs}
    made: dict[Path, Path] = {}
    for job in jobs:
        resolved = real_path(job.target)
        if resolved in inputs or job.target.exists() and job.target.samefile(job.source):
            raise UserError(f'{job.target} would overwrite an input; choose another folder with -o, or other names '
                            'with --suffix.')
        if resolved in made:
            raise UserError(f'{made[resolved]} and {job.source} would both be written to {job.target}; leave out '
                            '--ext, or restore them one by one into different folders.')
        made[resolved] = job.source
