"""Errors that are the caller's to mend."""


class InputError(ValueError):
    """Something asked for cannot be done as asked: one line that says what to change.

    The command line prints it and exits with status 2.
    """


class DivergedError(RuntimeError):
    """Training produced a loss or gradient that is not finite."""


class FailedError(RuntimeError):
    """A check found a failure, and the run was to stop at one."""
