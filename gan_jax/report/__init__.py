"""What became of one run or several, as one HTML page that needs nothing else: no network, no
files beside it."""

import importlib.metadata
from collections.abc import Sequence
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from gan_jax.report import comparison, naming, page
from gan_jax.runs import Run

__all__ = ["write"]


def write(runs: Sequence[Run], out: Path, *, data_dir: str | None = None) -> None:
    """Writes the report of one run, or a comparison of several, whole or not at all.

    What a run lacks (checks, evaluations, checkpoints, its data) is left out, and the page says so.
    `data_dir` is where TFDS datasets are prepared.

    Raises:
        ValueError: for no runs.
        OSError: `out` cannot be written.
    """
    if not runs:
        raise ValueError("a report is of one run at least")
    environment = Environment(
        loader=PackageLoader("gan_jax.report"),
        autoescape=True,  # names and labels are whatever people chose
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["duration"] = page.duration
    names = naming.names([run.directory for run in runs])
    pages = [
        page.of_run(run, name, data_dir, brief=len(runs) > 1)
        for run, name in zip(runs, names, strict=True)
    ]
    text = environment.get_template("report.html.j2").render(
        pages=pages,
        comparison=comparison.of_pages(pages) if len(pages) > 1 else None,
        versions={name: _version(name) for name in ("gan-jax", "jax", "flax")},
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".tmp")
    partial.write_text(text, encoding="utf-8")
    partial.rename(out)


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"
