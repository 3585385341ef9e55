"""A run's directory is one process's at a time."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from gan_jax.errors import InputError

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in this directory meanwhile, where it can be locked. A
    process that dies lets go of it.

    Raises:
        InputError: one is training there, or the directory cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror}") from error
    if fcntl is None:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(f"another process is training in {directory}") from error
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(descriptor)
