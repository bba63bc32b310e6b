"""A second SIGINT or SIGTERM ends the process at once, whatever it is doing."""
from __future__ import annotations

import os
import signal
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

from basicsr_snn.data.workers import STOP_SIGNALS, end_workers

ECHO_S = 0.3
"""Signals so soon after the first are the same wish: ``timeout`` sends each to the process and to its group."""
ECHO_OF_LAUNCHER_S = 3.0
"""torchrun passes on to its processes what the group has got already."""


@contextmanager
def second_signal_ends_at_once() -> Iterator[None]:
    """Context in which a second signal kills the data workers and ends the process with 128 plus its number.

    Handlers of Python run between two of its instructions, which a thread that waits for a frozen process, or computes
    for a minute, does not reach. What is told here of every signal is a thread of its own. Main thread only.
    """
    ours, told = socket.socketpair()
    told.setblocking(False)
    kept = signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
    threading.Thread(target=_end_at_second, args=(ours,), daemon=True).start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(kept)
        told.close()  # which ends the thread


def _end_at_second(signals: socket.socket) -> None:
    echo = ECHO_OF_LAUNCHER_S if 'TORCHELASTIC_RUN_ID' in os.environ else ECHO_S
    first = None
    with signals:
        while numbers := signals.recv(1):
            if numbers[0] not in STOP_SIGNALS:
                continue
            if first is None:
                first = time.monotonic()
            elif time.monotonic() - first > echo:
                end_at_once(128 + numbers[0], 'Stopped at once, by a second signal: nothing was saved.')


def end_at_once(code: int, sentence: str) -> None:
    """End this process and its workers from any thread."""
    os.write(2, f'{sentence}\n'.encode())
    end_workers()
    os._exit(code)
