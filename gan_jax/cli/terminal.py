"""What is said at a terminal, of whatever kind that is."""

import codecs
import contextlib
import io
import os
import sys
import unicodedata
from collections.abc import Iterator

from gan_jax.errors import DivergedError, FailedError, InputError

_ALIKE = {
    "×": "x", "−": "-", "–": "-", "→": "->", "↔": "<->", "…": "...", "±": "+/-", "·": "*",
    "α": "alpha", "β": "beta", "γ": "gamma", "ε": "eps", "σ": "sigma",
    "“": '"', "”": '"', "‘": "'", "’": "'",
}  # fmt: skip
"""For terminals that cannot show a character. Others lose what letters have above and below."""


@contextlib.contextmanager
def errors_in_one_line() -> Iterator[None]:
    """While this lasts, whatever is printed can be shown; afterwards the program ends: with status
    2 where the input has to change, with 1 where training failed, each said in one line.
    Several problems of the input are said in a line each."""
    codecs.register_error("alike", _alike)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # or it is captured
            stream.reconfigure(errors="alike")
    # Of a notebook that this is started from. No figure is shown here.
    os.environ.pop("MPLBACKEND", None)
    try:
        yield
    except InputError as error:
        for problem in error.problems:
            print(f"error: {' '.join(problem.split())}", file=sys.stderr)
        sys.exit(2)
    except (DivergedError, FailedError) as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(1)
    except BrokenPipeError:  # nobody reads on: | head
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)


def _alike(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    characters = error.object[error.start : error.end]
    return "".join(map(_character, characters)), error.end


def _character(character: str) -> str:
    plain = unicodedata.normalize("NFKD", character).encode("ascii", "ignore").decode()
    return _ALIKE.get(character, plain or "?")
