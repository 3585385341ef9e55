"""`gan-jax report`."""

import os
from pathlib import Path
from typing import Annotated

import tyro

from gan_jax.cli.running import open_run, writing
from gan_jax.errors import InputError


def report(
    runs: Annotated[
        tuple[Path, ...],
        tyro.conf.Positional,
        tyro.conf.arg(metavar="RUN", help_behavior_hint="(one at least)"),
    ],
    out: Path | None = None,
    data_dir: str | None = None,
) -> None:
    """Write one HTML page about a run, or a comparison of several.

    Args:
        runs: Directories of the runs.
        out: The file to write. Default: report.html in the run's directory, or, of several runs,
            comparison.html beside the first of them.
        data_dir: Where TFDS datasets are prepared.
    """
    from gan_jax import report as pages

    if not runs:
        raise InputError("a report takes one run at least")
    out = out or _place(runs)
    opened = [open_run(run, "report") for run in runs]
    with writing(out):
        pages.write(opened, out, data_dir=data_dir)
    print(f"report: {out}")


def _place(runs: tuple[Path, ...]) -> Path:
    """Where the page is written if nothing else is said."""
    if len(runs) == 1:
        return runs[0] / "report.html"
    return Path(os.path.normpath(runs[0] / "..")) / "comparison.html"


COMMAND = report
