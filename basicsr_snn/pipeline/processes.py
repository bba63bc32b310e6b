"""Several processes that train one network: a lost one ends the others, a long validation does not."""
from __future__ import annotations

import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from functools import partial
from typing import Any

from basicsr.utils.dist_util import get_dist_info
from torch.distributed import PrefixStore, Store, TCPStore

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.errors import first_line
from basicsr_snn.pipeline.second_signal import end_at_once

BEAT_EVERY_S = 5.0
LOST_AFTER_BEATS = 6
"""Beats that a process may miss, or in which the store may be silent: half a minute."""
END_AFTER_S = 15.0
"""Seconds that a process has to save, once another is lost, before it is ended."""
ASK_EVERY_S = 0.2
ERROR = 'error'
"""Key of the store with the sentence that a process left which ended the others."""
LEFT = 1 << 40
"""More than all beats: that of a process that has come to its end."""


@contextmanager
def watched_processes() -> Iterator[None]:
    """Context in which BasicSR's processes watch each other, from the moment in which they find each other."""
    watches: list[ProcessWatch] = []

    @replaces('init_dist', 'basicsr.utils.options')
    def init_watched(upstream: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """A process that froze kept the others waiting for ten minutes with NCCL, for thirty with gloo."""
        upstream(*args, **kwargs)
        watches.append(ProcessWatch(*get_dist_info()))

    @replaces('validation', 'basicsr.models.base_model:BaseModel')
    def validate_while_others_wait(upstream: Callable[..., None], *args: Any, **kwargs: Any) -> None:
        """The others waited for process 0 in their next collective operation, which gives up after some minutes."""
        validation = partial(upstream, *args, **kwargs)
        if watches:
            watches[0].wait_for_first(validation)
        else:
            validation()

    with init_watched, validate_while_others_wait:
        try:
            yield
        except Exception as error:
            for watch in watches:
                watch.leave(error)
            raise
        finally:
            for watch in watches:
                watch.leave()


class ProcessWatch:
    """Tells the other processes that this one lives, and ends it where another does not any more.

    Each process counts its beats in the store by which they found each other. Process 0 reads the counts of all the
    others; these read its count, and the sentence that any process left that ended by an error. Rounds are counted, not
    seconds: processes that were all stopped and go on together have not lost each other.
    """

    def __init__(self, rank: int, world_size: int) -> None:
        self.rank = rank
        self.beats = dict.fromkeys(range(1, world_size) if rank == 0 else (0,), -1)
        self.misses = dict.fromkeys(self.beats, 0)
        self.silent_rounds, self.works = 0, 0
        self.left, self.given_up = threading.Event(), threading.Event()
        self.store = connect()
        self.store.set(f'place of {rank}', f'pid {os.getpid()} on {socket.gethostname()}')
        for work in (self._beat_and_read, self._notice_silence):
            threading.Thread(target=work, daemon=True).start()

    def wait_for_first(self, work: Callable[[], None]) -> None:
        """Do ``work``, of which process 0 may do more; the others wait for it, and end where it was told to end."""
        self.works += 1
        key = f'exit code of work {self.works}'
        if self.rank == 0:
            try:
                work()
            except SystemExit as stop:
                self.store.set(key, str(stop.code))
                raise
            self.store.set(key, '0')
            return
        work()
        while not self.store.check([key]):
            time.sleep(ASK_EVERY_S)
        if code := int(self.store.get(key)):
            raise SystemExit(code)

    def leave(self, error: Exception | None = None) -> None:
        """Say that this process has come to its end, and of which error; process 0, the store's, is the last to go."""
        if self.left.is_set():
            return
        self.left.set()
        with suppress(RuntimeError):  # the store is gone with another process
            if error is not None:
                self.store.set(ERROR, f'process {self.rank} ended by an error ({first_line(error)})')
                return
            self.store.add(f'beats of {self.rank}', LEFT)
            end = time.monotonic() + LOST_AFTER_BEATS * BEAT_EVERY_S
            while self.rank == 0 and not self.given_up.is_set() and time.monotonic() < end:
                if all(self.store.add(f'beats of {other}', 0) >= LEFT for other in self.beats):
                    return
                time.sleep(ASK_EVERY_S)

    def _beat_and_read(self) -> None:
        try:
            while not self.left.wait(BEAT_EVERY_S):
                self.store.add(f'beats of {self.rank}', 1)
                self._read()
                self.silent_rounds = 0
        except RuntimeError as error:
            if not self.left.is_set():
                self._give_up(f'the first process or the launcher is gone ({first_line(error)})')

    def _read(self) -> None:
        if self.store.check([ERROR]):
            self._give_up(self.store.get(ERROR).decode())
        for other, before in self.beats.items():
            self.beats[other] = self.store.add(f'beats of {other}', 0)
            self.misses[other] = 0 if self.beats[other] != before or before >= LEFT else self.misses[other] + 1
            if self.misses[other] >= LOST_AFTER_BEATS:
                place = self.store.get(f'place of {other}').decode()
                sentence = f'process {other} ({place}) was killed or is frozen'
                self.store.set(ERROR, sentence)
                self._give_up(sentence)

    def _notice_silence(self) -> None:
        while not self.left.wait(BEAT_EVERY_S):
            self.silent_rounds += 1
            if self.silent_rounds >= LOST_AFTER_BEATS:
                self._give_up('the first process was killed or is frozen')

    def _give_up(self, sentence: str) -> None:
        """End this process: by a signal, which saves where it can, or at once where that does not come to an end."""
        if self.given_up.is_set() or self.left.is_set():
            return
        self.given_up.set()
        sys.stderr.write(f'{sentence[0].upper()}{sentence[1:]}, and so this one, process {self.rank}, ends; go on with '
                         '--auto_resume from the last checkpoint, which is kept.\n')
        os.kill(os.getpid(), signal.SIGTERM)
        if not self.left.wait(END_AFTER_S):
            end_at_once(1, f'Process {self.rank} ended without a new checkpoint.')


def connect() -> Store:
    """A connection of our own to the store of the process group: others may wait in theirs."""
    address, port = os.environ['MASTER_ADDR'], int(os.environ['MASTER_PORT'])
    store = TCPStore(address, port, is_master=False, wait_for_workers=False, timeout=timedelta(seconds=30))
    return PrefixStore(f'basicsr_snn {os.environ.get("TORCHELASTIC_RESTART_COUNT", 0)}', store)
