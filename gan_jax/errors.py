"""Errors that are the caller's to mend."""

import contextlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager


class InputError(ValueError):
    """Something asked for cannot be done as asked: one line that says what to change, or of several
    problems one each.

    The command line prints them and exits with status 2.
    """

    def __init__(self, *problems: str):
        super().__init__(*problems)
        self.problems = problems
        """Each in a line."""

    def __str__(self) -> str:
        return "\n".join(self.problems)


def refuse(problems: Iterable[str]) -> None:
    """
    Raises:
        InputError: there are some.
    """
    if said := tuple(problems):
        raise InputError(*said)


@contextlib.contextmanager
def all_at_once() -> Iterator[Callable[[], AbstractContextManager[None]]]:
    """Checks that do not depend on each other: each is made, whatever the others find.

    >>> with all_at_once() as apart:
    ...     with apart():
    ...         check_one_thing()
    ...     with apart():
    ...         check_another()

    Raises:
        InputError: at the end, with all the problems that they found.
    """
    found: list[InputError] = []

    @contextlib.contextmanager
    def apart() -> Iterator[None]:
        try:
            yield
        except InputError as error:
            found.append(error)

    yield apart
    if len(found) == 1:
        raise found[0]
    if found:
        raise InputError(*dict.fromkeys(p for error in found for p in error.problems))


class DivergedError(RuntimeError):
    """Training produced a loss or gradient that is not finite."""


class FailedError(RuntimeError):
    """A check found a failure, and the run was to stop at one."""
