"""The progress bars of the commands: what is done, how much of it, and the time that is left."""
from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def progress_bars(console: Console) -> Progress:
    """Bars that are drawn within ``with``, one for each ``add_task(description, total=...)``."""
    from rich import progress

    return progress.Progress(progress.TextColumn('{task.description}', markup=False), progress.BarColumn(),
                             progress.MofNCompleteColumn(), progress.TimeRemainingColumn(), console=console)
