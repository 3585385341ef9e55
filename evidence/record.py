"""Measurements on disk: `results/NAME.json`, row by row as they are made."""

import contextlib
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jax

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "evidence" / "results"
_PACKAGES = ("jax", "flax", "optax")


class Record:
    """The rows of one table. A row that is there already is not measured again, so that what was
    interrupted goes on where it stopped."""

    def __init__(self, name: str, directory: Path = RESULTS):
        self.name, self.directory = name, directory
        self._path = directory / f"{name}.json"
        self.rows: dict[str, dict[str, Any]] = {}
        if self._path.exists():
            self.rows = json.loads(self._path.read_text())

    def row(self, key: str, measure: Callable[[], Mapping[str, Any]]) -> dict[str, Any]:
        """What `measure` gives, beside the command, commit, versions, hardware and seconds."""
        if key in self.rows:
            return self.rows[key]
        print(f"{self.name}: {key}", flush=True)
        origin, began = provenance(f"python -m evidence {self.name}"), time.monotonic()
        values = dict(measure())
        self.rows[key] = origin | {"seconds": round(time.monotonic() - began, 1)} | values
        self._path.parent.mkdir(parents=True, exist_ok=True)
        beside = self._path.with_suffix(".tmp")
        beside.write_text(json.dumps(self.rows, indent=1, ensure_ascii=False) + "\n")
        beside.replace(self._path)
        return self.rows[key]

    @property
    def runs(self) -> Path:
        """Where what this table trains is kept."""
        return Path("runs") / "evidence" / self.name

    def image(self, key: str) -> Path:
        """Where an image of this row belongs."""
        path = self.directory / self.name / f"{key.replace(' ', '_').replace('/', '-')}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


def provenance(command: str) -> dict[str, Any]:
    """Where a measurement comes from: this command, and commit, versions and hardware."""
    return {
        "command": command,
        "commit": _commit(),
        "python": platform.python_version(),
        **{package: version(package) for package in _PACKAGES},
        "hardware": hardware(),
    }


def hardware() -> str:
    """What it runs on: "2 x86_64 cores", or the accelerator's kind."""
    if jax.default_backend() == "cpu":
        return f"{os.cpu_count()} {platform.machine()} cores"
    devices = jax.devices()
    return f"{len(devices)} {devices[0].device_kind}"


def _commit() -> str:
    """In short; "-dirty" after it, if anything but results differs from it."""
    commit = _git("rev-parse", "--short", "HEAD")
    tracked = ("--porcelain", "--untracked-files=no")
    changed = _git("status", *tracked, "--", ".", f":!{RESULTS.relative_to(ROOT)}")
    return commit + "-dirty" * bool(changed and commit != "unknown")


def _git(*arguments: str) -> str:
    with contextlib.suppress(OSError, subprocess.CalledProcessError):
        return subprocess.run(
            ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout.strip()
    return "unknown"


def spread(values: list[float]) -> str:
    """Mean ± standard deviation over seeds (N − 1)."""
    mean = statistics.fmean(values)
    if len(values) == 1:
        return f"{mean:.4g}"
    return f"{mean:.4g} ± {statistics.stdev(values):.2g}"


def table(header: list[str], rows: Iterator[list[str]] | list[list[str]]) -> str:
    """In Markdown."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)
