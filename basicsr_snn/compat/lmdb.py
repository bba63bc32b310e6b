"""Repair of LMDB datasets: one environment is opened once in a process, and a file that was cut is refused."""
from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Any

from basicsr_snn.compat.replacing import module, replaces
from basicsr_snn.errors import UserError, first_line


class SharedEnvironment:
    """One LMDB, opened once in each process that reads it.

    After a fork lmdb still counts the parent's handle as open, so the child closes its copy before it opens its own.
    """

    opening = threading.Lock()

    def __init__(self, path: str, options: dict[str, Any]) -> None:
        self.path, self.options = path, options
        self.environment: Any = None
        self.process: int | None = None
        self.whole_size = 0

    def begin(self, **kwargs: Any) -> Any:
        try:
            with SharedEnvironment.opening:
                if self.process != os.getpid():
                    self.close()
                    self.environment = module('lmdb').open(self.path, **self.options)
                    self.process = os.getpid()
                    pages = self.environment.info()['last_pgno'] + 1
                    self.whole_size = pages * self.environment.stat()['psize']
            self._refuse_cut_file()
            return self.environment.begin(**kwargs)
        except (module('lmdb').Error, OSError) as error:
            raise UserError(f'{self.path} cannot be opened ({first_line(error)}): make the lmdb anew with '
                            f'`basicsr-snn prepare -i PICTURES -o {self.path} --lmdb`.') from error

    def _refuse_cut_file(self) -> None:
        """What is read behind the end of a mapped file ends the process, without a word."""
        file = os.path.join(self.path, 'data.mdb') if os.path.isdir(self.path) else self.path
        size = os.stat(file).st_size
        if size < self.whole_size:
            raise UserError(f'{file} has {size:,d} bytes of {self.whole_size:,d}, so it was cut short: copy it '
                            f'again, or make it anew with `basicsr-snn prepare -i PICTURES -o {self.path} --lmdb`.')

    def close(self) -> None:
        if self.environment is not None:
            self.environment.close()

    __del__ = close


_environments: weakref.WeakValueDictionary[tuple, SharedEnvironment] = weakref.WeakValueDictionary()
if hasattr(os, 'register_at_fork'):  # a fork can copy the lock while another thread holds it
    os.register_at_fork(after_in_child=lambda: setattr(SharedEnvironment, 'opening', threading.Lock()))


@replaces('__init__', 'basicsr.utils.file_client:LmdbBackend')
def share_lmdb_environments(upstream: Callable[..., None], backend: Any, db_paths: str | list[str],
                            client_keys: str | list[str] = 'default', **options: Any) -> None:
    """lmdb 3 refuses a second open of one environment in a process, also when the first one came over a fork."""
    paths = db_paths if isinstance(db_paths, list) else [db_paths]
    names = client_keys if isinstance(client_keys, list) else [client_keys]
    if len(paths) != len(names):
        raise UserError(f'io_backend has {len(paths)} db_paths and {len(names)} client_keys; there is one key for each '
                        'path: type as many.')
    options = {'readonly': True, 'lock': False, 'readahead': False, **options}
    backend.db_paths = [str(path) for path in paths]
    backend._client = {}
    for name, path in zip(names, backend.db_paths, strict=True):
        key = (os.path.realpath(path), *sorted(options.items()))
        backend._client[name] = _environments.setdefault(key, SharedEnvironment(path, options))
