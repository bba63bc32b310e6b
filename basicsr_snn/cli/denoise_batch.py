"""One run of ``basicsr-snn restore`` or ``denoise`` over many pictures: one by one, what is said, and the report."""
from __future__ import annotations

import argparse
import json
import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from basicsr_snn.cli.denoise_jobs import Job, Plan
from basicsr_snn.cli.progress_bars import progress_bars
from basicsr_snn.errors import one_line
from basicsr_snn.inference.defaults import AUTO_LEVEL, JPEG

if TYPE_CHECKING:
    import numpy as np
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from basicsr_snn.images.carried import Carried
    from basicsr_snn.images.files import Picture
    from basicsr_snn.images.noise import NoiseStream
    from basicsr_snn.images.scoring import Score
    from basicsr_snn.inference.denoising import Denoiser

WRITTEN, SKIPPED, FAILED = 'written', 'skipped', 'failed'

@dataclass(frozen=True)
class Chosen:
    """The network for a picture.

    Attributes:
        denoiser: Ready for inference.
        name: What it is called, with the contrast that it gets; empty where the arguments name it.
        engine: Where it runs, in words; empty for torch.
        task: What it was trained for; None: nobody knows.
    """

    denoiser: Denoiser
    name: str
    engine: str
    task: str | None = None

    def describe(self) -> str:
        """The end of a sentence that begins with pictures that are restored; empty where nothing needs saying."""
        return ' '.join([*(['by', self.name] if self.name else []), *(['on', self.engine] if self.engine else [])])


Chooser = Callable[[int, float | None], Chosen]
"""From the channels of a picture, and its noise level where that is estimated, to the network."""


@dataclass
class Outcome:
    """What became of one picture, as ``--json`` tells it."""

    input: str
    output: str
    status: str
    reason: str | None = None
    network: str | None = None
    engine: str | None = None
    sigma: float | None = None
    width: int | None = None
    height: int | None = None
    channels: int | None = None
    bits: int | None = None
    scale: int | None = None
    strength: float | None = None
    seconds: float | None = None
    left_out: list[str] = field(default_factory=list)
    scores: dict[str, float | None] | None = None

    def told(self) -> str:
        """Why it failed, with the name of the picture once."""
        reason = self.reason or ''
        return reason if reason.startswith(self.input) else f'{self.input}: {reason}'


@dataclass
class Batch:
    """The pictures of a run."""

    choose: Chooser
    args: argparse.Namespace
    console: Console
    outcomes: list[Outcome] = field(default_factory=list)
    scores: list[tuple[str, Score]] = field(default_factory=list)
    interrupted: bool = False
    said: set[str] = field(default_factory=set)

    def restore(self, plan: Plan) -> None:
        """Restore all pictures; go on after one that fails, stop after the picture before Ctrl-C."""
        self.outcomes += [Outcome(str(job.source), str(job.target), SKIPPED, 'the result exists')
                          for job in plan.skipped]
        with progress_bars(self.console) as bars:
            task = bars.add_task(self.args.task or 'restore', total=len(plan.jobs))
            try:
                for job in plan.jobs:
                    self._try(job, bars)
                    bars.advance(task)
            except KeyboardInterrupt:
                self.interrupted = True

    def of(self, status: str) -> list[Outcome]:
        """What became of the pictures that share a status."""
        return [outcome for outcome in self.outcomes if outcome.status == status]

    def report(self) -> str:
        """One JSON object."""
        counts = {status: len(self.of(status)) for status in (WRITTEN, SKIPPED, FAILED)}
        return json.dumps({**counts, 'interrupted': self.interrupted,
                           'pictures': [asdict(outcome) for outcome in self.outcomes]}, indent=2, allow_nan=False)

    def _try(self, job: Job, bars: Progress) -> None:
        outcome = Outcome(str(job.source), str(job.target), FAILED)
        start = time.monotonic()
        try:
            self._restore_one(job, outcome, bars)
            outcome.status = WRITTEN
        except Exception as error:  # one bad file must not cost the others; it is reported and sets the status
            outcome.reason = one_line(error)
        outcome.seconds = round(time.monotonic() - start, 3)
        self.outcomes.append(outcome)

    def _restore_one(self, job: Job, outcome: Outcome, bars: Progress) -> None:
        from basicsr_snn.images.files import format_for, read_picture, write_picture
        from basicsr_snn.images.limits import check_pixels
        from basicsr_snn.images.noise import NoiseStream
        from basicsr_snn.images.scoring import score
        from basicsr_snn.inference.denoising import restore_picture

        picture = read_picture(job.source, carried=True)
        picture.refuse_inks()
        bits = self.args.bits or picture.bits
        outcome.height, outcome.width, outcome.channels = picture.stored.shape
        outcome.bits = bits
        format_for(job.target, bits, picture.alpha is not None)
        level = self._estimated(job.source, picture) if self.args.sigma == AUTO_LEVEL else None
        chosen = self.choose(outcome.channels, level)
        denoiser = chosen.denoiser
        outcome.network, outcome.sigma = chosen.name or None, denoiser.sigma
        outcome.engine = chosen.engine or 'torch'
        outcome.scale = denoiser.net.scale
        check_pixels(outcome.scale * outcome.width, outcome.scale * outcome.height, f'the result for {job.source}')
        self._announce(job.source, chosen.describe(), denoiser, *picture.stored.shape)
        with self._watched(job.source, denoiser, picture, bars) as after_tile:
            restored, compared, strength = restore_picture(denoiser, picture, self._noise(NoiseStream), bits,
                                                           self.args.gt, after_tile)
        outcome.strength = round(strength, 3)
        scored = score(compared.clean, compared.noisy, compared.restored) if compared else None
        alpha, carried = _beside(picture, outcome.scale)
        if chosen.task == JPEG:  # the tables of the input would put back what was taken away
            carried = replace(carried, jpeg=None)
        del picture, compared  # encoding needs as much memory again
        left_out = write_picture(job.target, restored, alpha=alpha, carried=carried, quality=self.args.quality)
        if left_out:
            outcome.left_out = list(left_out)
            self._say_once(f'{job.source}: the result is without {", ".join(left_out)}')
        if scored:
            self.scores.append((job.source.name, scored))
            outcome.scores = {key: value if math.isfinite(value) else None for key, value in asdict(scored).items()}

    def _noise(self, stream: type[NoiseStream]) -> NoiseStream | None:
        return None if self.args.noise is None else stream(self.args.noise, self.args.seed)

    def _estimated(self, source: Path, picture: Picture) -> float:
        """The noise level of a picture, with the noise that is added to it."""
        from basicsr_snn.images.files import to_float
        from basicsr_snn.images.noise import NoiseStream
        from basicsr_snn.images.noise_level import estimate_noise_level, middle

        part, noise = to_float(middle(picture.stored)), self._noise(NoiseStream)
        level = estimate_noise_level(noise.add_to(part) if noise else part)
        self._say_once(f'{source}: noise level estimated as {level:.3g}')
        return level

    def _announce(self, source: Path, how: str, denoiser: Denoiser, height: int, width: int, channels: int) -> None:
        if how:
            self._say_once(f'{"colour" if channels == 3 else "grey"} pictures are restored {how}'
                           if self.args.sigma != AUTO_LEVEL else f'{source}: restored {how}')
        if channels > denoiser.channels:
            self._say_once('colour pictures go through this grey network channel by channel')
        tile = denoiser.tile_for(height, width)
        if tile:
            self._say_once(f'{source}: {width}x{height} pixels, in tiles of {tile} + 2 x {denoiser.tile_pad}')

    @contextmanager
    def _watched(self, source: Path, denoiser: Denoiser, picture: Picture,
                 bars: Progress) -> Iterator[Callable[[int], None] | None]:
        """A second bar, for the tiles of a picture that has many."""
        count = denoiser.tile_count(*picture.stored.shape)
        if count < 2:
            yield None
            return
        task = bars.add_task(source.name, total=count)
        try:
            yield lambda tiles: bars.advance(task, tiles)
        finally:
            bars.remove_task(task)

    def _say_once(self, message: str) -> None:
        if message not in self.said:
            self.said.add(message)
            self.console.print(message, markup=False, highlight=False, soft_wrap=True)


def _beside(picture: Picture, scale: int) -> tuple[np.ndarray | None, Carried]:
    """Alpha of a picture and what its file carries, for a result that is larger."""
    from basicsr_snn.images.carried import of_size
    from basicsr_snn.images.enlarging import enlarged

    if scale == 1:
        return picture.alpha, picture.carried
    height, width = (scale * side for side in picture.stored.shape[:2])
    alpha = None if picture.alpha is None else enlarged(picture.alpha[:, :, None], scale)[:, :, 0]
    return alpha, of_size(picture.carried, width, height)


def score_table(scores: list[tuple[str, Score]]) -> Table:
    """Scores before and after, picture by picture, and their means."""
    import numpy as np
    from rich.markup import escape
    from rich.table import Table

    table = Table('picture', title='Scores against the clean pictures (PSNR in dB)')
    for column in ('noisy PSNR', 'denoised PSNR', 'noisy SSIM', 'denoised SSIM'):
        table.add_column(column, justify='right')
    values = np.array([[one.noisy_psnr, one.psnr, one.noisy_ssim, one.ssim] for _, one in scores])
    means = [column[~np.isnan(column)].mean() if not np.isnan(column).all() else math.nan for column in values.T]
    for name, row in zip([escape(name) for name, _ in scores], values, strict=True):
        table.add_row(name, *_cells(row))
    table.add_section()
    table.add_row('mean', *_cells(means))
    return table


def _cells(values: np.ndarray | list[float]) -> list[str]:
    return ['-' if math.isnan(value) else f'{value:.{digits}f}'
            for value, digits in zip(values, (2, 2, 4, 4), strict=True)]
