"""Stopping a run by a signal, at a place where it can go on later."""

import signal
import sys
from typing import Any


class Interruption:
    """While this lasts, the first SIGINT or SIGTERM only sets `asked`, and a second one does what
    it usually does."""

    def __init__(self):
        self.asked = False
        self._previous: dict[int, Any] = {}

    def __enter__(self) -> "Interruption":
        def ask(number, frame):
            self.asked = True
            print(
                "\nstopping once this is computed and saved; once more to stop at once",
                file=sys.stderr,
            )
            self.__exit__()

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._previous[number] = signal.signal(number, ask)
            except ValueError:  # not in the main thread: signals are somebody else's
                break
        return self

    def __exit__(self, *_) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)
        self._previous = {}
