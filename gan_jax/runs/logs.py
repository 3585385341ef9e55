"""What a run says while it runs: JSON lines, TensorBoard, and a progress bar."""

import contextlib
import json
import math
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import UInt8
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Column

from gan_jax.runs.blocks import blocks, can_show

_LONG = 2.0  # seconds


class Lines:
    """A file of JSON lines about a run that goes on from iteration `start`. Lines about later
    iterations are dropped: those are about to happen again."""

    def __init__(self, path: Path, *, start: int):
        truncate(path, start)
        self._file = path.open("a", encoding="utf-8")

    def write(self, iteration: int, **values: Any) -> None:
        self._file.write(json.dumps({"iteration": iteration, **values}, ensure_ascii=False) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Terminal(Console):
    """A console whose reader may go away, while what it says something about goes on."""

    def on_broken_pipe(self) -> None:
        self.quiet = True
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Log:
    """The log of a run that goes on from iteration `start`.

    What an earlier attempt logged after `start` is dropped: it is about to happen again.
    """

    def __init__(self, directory: Path, *, start: int, iterations: int):
        from tensorboardX import SummaryWriter  # slow where it finds PyTorch, which it imports

        self._console = _Terminal()
        self._lines = Lines(directory / "metrics.jsonl", start=start)
        self._events = SummaryWriter(str(directory), purge_step=start + 1)
        # What matters most stands on the left, since narrow terminals cut the rest off.
        self._progress = Progress(
            TextColumn("{task.completed:,.0f}/{task.total:,.0f}", table_column=_whole()),
            BarColumn(bar_width=10, table_column=_whole()),
            TimeRemainingColumn(table_column=_whole()),
            TextColumn("{task.description}", table_column=_cut()),
            console=self._console,
            expand=True,
            disable=not self._console.is_terminal or self._console.is_dumb_terminal,
        )
        self._task = self._progress.add_task("starting …", total=iterations, completed=start)
        self._begun: float | None = None
        self._progress.start()

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        """Something that takes time while nothing is trained: it is named while it lasts, and if
        that was long, it is said how long."""
        before, began = self._progress.tasks[0].description, time.monotonic()
        self._progress.update(self._task, description=f"{name} …")
        try:
            yield
        finally:
            self._progress.update(self._task, description=before)
        seconds = time.monotonic() - began
        if seconds >= _LONG:
            self.say(f"{name} took {seconds:.0f} s")

    def begin(self) -> None:
        """Iterations begin: they are named so until the first entry says how they go."""
        self._progress.update(self._task, description="first iterations …")
        self._begun = time.monotonic()

    def reached(self, iteration: int) -> None:
        """Moves the bar."""
        self._progress.update(self._task, completed=iteration)

    def entry(self, iteration: int, values: dict[str, float]) -> None:
        """One line of numbers."""
        self._say_how_long_it_took_to_begin()
        self._lines.write(iteration, **values)
        for name, value in values.items():
            self._events.add_scalar(name, value, iteration)
        text = _summary(values)
        self._progress.update(self._task, completed=iteration, description=text)
        if self._progress.disable:
            self._console.print(f"iteration {iteration:>7,}  {text}", soft_wrap=True)

    def _say_how_long_it_took_to_begin(self) -> None:
        if self._begun is not None:
            seconds = time.monotonic() - self._begun
            self._begun = None
            if seconds >= _LONG:
                self.say(f"the first iterations took {seconds:.0f} s")

    def scalar(self, name: str, iteration: int, value: float) -> None:
        """A number for TensorBoard alone, which takes finite ones."""
        if math.isfinite(value):
            self._events.add_scalar(name, value, iteration)

    def image(self, iteration: int, array: UInt8[np.ndarray, "h w c"]) -> None:
        """An image for TensorBoard."""
        self._events.add_image("samples", array, iteration, dataformats="HWC")

    @property
    def shows_images(self) -> bool:
        """Whether the terminal can."""
        return can_show(self._console)

    def show(self, array: UInt8[np.ndarray, "h w c"], *, cut: bool) -> None:
        """An image for the person at the terminal, above the bar: see `blocks`."""
        self._console.print(blocks(array, self._console, cut=cut))

    def say(self, text: str) -> None:
        """A line for the person at the terminal."""
        self._console.print(text, highlight=False, markup=False, soft_wrap=True)

    def close(self) -> None:
        self._progress.stop()
        self._events.close()
        self._lines.close()


def _whole() -> Column:
    return Column(no_wrap=True)


def _cut() -> Column:
    return Column(no_wrap=True, overflow="ellipsis", ratio=1)


def _summary(values: dict[str, float]) -> str:
    parts = []
    for name, label in (("d/loss", "D loss"), ("g/loss", "G loss")):
        if name in values:
            parts.append(f"{label} {values[name]:.3f}")
    if "d/accuracy" in values:
        parts.append(f"D accuracy {values['d/accuracy']:.0%}")
    parts.append(f"{values['images_per_second']:,.0f} images/s")
    return "  ".join(parts)


def read(path: Path, *, until: int | None = None) -> list[dict[str, Any]]:
    """The whole lines of a file of JSON lines, up to an iteration; none if there is no file."""
    lines = []
    for line in path.read_text("utf-8").splitlines() if path.exists() else []:
        try:
            value = json.loads(line)
            if until is None or value["iteration"] <= until:
                lines.append(value)
        except (json.JSONDecodeError, KeyError):
            break  # cut short when the process was killed
    return lines


def truncate(path: Path, iteration: int) -> None:
    """Keeps the whole lines up to `iteration`."""
    if not path.exists():
        return
    kept = [json.dumps(line, ensure_ascii=False) + "\n" for line in read(path, until=iteration)]
    partial = path.with_suffix(".tmp")
    partial.write_text("".join(kept), "utf-8")
    partial.rename(path)
