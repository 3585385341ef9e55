"""What runs are called side by side: by their folders."""

from collections.abc import Sequence
from pathlib import Path


def names(directories: Sequence[Path]) -> list[str]:
    """The shortest ends of their paths that tell them apart: `a/digits`, `b/digits`, `rings`. A
    directory that comes twice has the same name twice."""
    paths = [directory.resolve() for directory in directories]
    return [_shortest(path, [other for other in paths if other != path]) for path in paths]


def _shortest(path: Path, others: Sequence[Path]) -> str:
    for n in range(1, len(path.parts)):
        end = path.parts[-n:]
        if all(other.parts[-n:] != end for other in others):
            return "/".join(end)
    return path.as_posix()
