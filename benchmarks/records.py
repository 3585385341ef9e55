"""Do packed images read faster than the folder they were taken from?

    python -m benchmarks.records FOLDER --out benchmarks/results/NAME.json

Both are read alternately in this run, from a warm cache of the file system and from one that has
let go of their content, in a random order by as many threads as a run streams with: decoded, as
training sees them, and their bytes alone. Opening counts too: what is looked at before the first
image.
"""

import dataclasses
import itertools
import json
import os
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import tyro

from benchmarks.throughput import environment
from gan_jax.data import Data, load, pack, sources
from gan_jax.data.files import content

THREADS = 16
"""Of `gan_jax.data.Feed`."""


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures reading a folder against reading what it was packed into."""

    folder: Annotated[Path, tyro.conf.Positional]
    """Of images."""
    resolution: int = 64
    """Side that they are brought to, in pixels."""
    rounds: int = 5
    """Times that each is measured."""
    out: Path | None = None
    """Where to write the figures, as JSON."""


Rates = dict[str, dict[str, list[float]]]
"""Images per second in each round, of a folder and of records, by what was measured."""


def measure(options: Options, packed: Path) -> Rates:
    names = {"folder": f"folder:{options.folder}", "records": f"records:{packed}"}
    kept = {"folder": options.folder, "records": packed}
    rates: Rates = {}
    for state, (what, prepared), _ in itertools.product(
        ("warm", "cold"), WORK.items(), range(options.rounds)
    ):
        for name, source in names.items():
            images, run = prepared(source, options.resolution)
            if state == "cold":
                let_go(kept[name])
            begun = time.perf_counter()
            run()
            rate = images / (time.perf_counter() - begun)
            rates.setdefault(f"{what}, {state}", {}).setdefault(name, []).append(rate)
    return rates


def ratios(rates: dict[str, list[float]]) -> list[float]:
    """How many times as fast records are, in each round."""
    return [r / f for f, r in zip(rates["folder"], rates["records"], strict=True)]


def let_go(folder: Path) -> None:
    """Drops the content of its files from the cache of the file system."""
    for path in folder.rglob("*"):
        if path.is_file():
            file = os.open(path, os.O_RDONLY)
            os.fsync(file)
            os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(file)


def _opened(source: str, resolution: int) -> Any:
    return load(Data(source=source, resolution=resolution), budget_bytes=0)


def _in_threads(read: Callable[[int], Any], images: int) -> None:
    with ThreadPoolExecutor(THREADS) as pool:
        for _ in pool.map(read, np.random.default_rng(0).permutation(images).tolist()):
            pass


def opening(source: str, resolution: int) -> tuple[int, Callable[[], Any]]:
    """All that is looked at before the first image."""
    images = _opened(source, resolution).description.examples
    return images, lambda: _opened(source, resolution)


def decoded(source: str, resolution: int) -> tuple[int, Callable[[], Any]]:
    """Images as training sees them."""
    opened = _opened(source, resolution)
    images = opened.description.examples
    return images, lambda: _in_threads(opened.read, images)


def bytes_alone(source: str, resolution: int) -> tuple[int, Callable[[], Any]]:
    """Without decoding them."""
    kind, argument = sources.find(source)
    assert kind.store is not None
    store = kind.store(sources.Request(argument))
    files = store.scan().files
    return len(files), lambda: _in_threads(lambda i: content(store.open(files[i])), len(files))


WORK = {"opening": opening, "decoded": decoded, "bytes alone": bytes_alone}


def table(found: Rates) -> str:
    lines = ["| images per second | folder | records | ratio |", "| --- | --- | --- | --- |"]
    for what, rates in found.items():
        folder, records = (statistics.median(rates[name]) for name in ("folder", "records"))
        ratio = ratios(rates)
        spread = f"{statistics.median(ratio):.2f} ({min(ratio):.2f}–{max(ratio):.2f})"
        lines.append(f"| {what} | {folder:,.0f} | {records:,.0f} | {spread} |")
    return "\n".join(lines)


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    with tempfile.TemporaryDirectory() as folder:
        packed = pack(f"folder:{options.folder}", Path(folder) / "packed")
        found = measure(options, packed.folder)
    if options.out is not None:
        figures = {"images": len(packed.names), "bytes": sum(packed.sizes), "rates": found}
        text = json.dumps({"environment": environment(), **figures}, indent=1)
        options.out.parent.mkdir(parents=True, exist_ok=True)
        options.out.write_text(text + "\n", "utf-8")
    print(table(found))


if __name__ == "__main__":
    main()
