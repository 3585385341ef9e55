"""Everything there is to measure on a GPU or TPU, in one command, most important first.

    TFDS_DATA_DIR=DIR python -m benchmarks.accelerator --out benchmarks/results/NAME.json

Does it run at all, and are tests and both forms of convolutions right there, and is
resuming exact; throughput against PyTorch in float32 (TF32 allowed on both sides) and bfloat16;
what calls of the program cost, and whether it repeats itself bit for bit; images per second of the
published presets; and, in the time that is left, one training. Figures are written as they come,
and what the file has already is not measured again, unless it failed. Each part runs in a process
of its own and may take so long: one that hangs or fails leaves its last words, and the next goes
on.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import tyro

from benchmarks.accelerator_parts import PRESETS
from benchmarks.throughput import compiles, environment
from benchmarks.workloads import WORKLOADS
from gan_jax.runs.run import write

ROOT = Path(__file__).parents[1]
DTYPES = ("float32", "bfloat16")
_RESERVE = 6.0  # seconds at the end, for the table and the last words of a part


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures what an accelerator can tell."""

    out: Path
    """Where to write the figures, as JSON; the last samples of the training go beside it."""
    minutes: float = 30.0
    """How long all of it may take."""
    sections: tuple[str, ...] = ("runs", "throughput", "program", "presets", "training")
    """Which, in this order."""
    only: tuple[str, ...] = ()
    """Parts whose names begin so: throughput/mlp, presets/r3gan, … None given: all."""
    torch_python: str = sys.executable
    """The Python that has PyTorch, if it is not this one."""
    small: bool = False
    """Little of everything, to see that it runs, on a CPU too."""


@dataclasses.dataclass(frozen=True)
class Part:
    """What runs in a process of its own."""

    name: str
    limit: float
    """Seconds that it may take."""
    least: float = 10.0
    """Seconds without which it is not worth beginning."""


_ORDER = ("dcgan32", "r3gan16", "sngan32", "dcgan64", "mlp")
"""Workloads, most telling first."""

Group = tuple[Part, ...]
"""Parts that may run at the same time, since nothing in them is timed, or not before all of them
have compiled."""


def plan(options: Options) -> list[Group]:
    """All parts, in order."""
    names, presets, programs = list(_ORDER), list(PRESETS), ["dcgan32", "r3gan16"]
    pairs = [(name, dtype) for dtype in DTYPES for name in names]
    if options.small:  # bfloat16 compiles slowly on a CPU
        presets, programs = ["dcgan-cifar10"], ["mlp"]
        pairs = [("dcgan32", "float32"), ("mlp", "bfloat16")]
    tried = [p for p in pairs if compiles(WORKLOADS[p[0]]) and p[0] == "dcgan32"]
    checks = [Part("tests", 75), Part("forms", 75), Part("resume/kept", 75)]
    if not options.small:
        checks.append(Part("resume/deterministic", 75))
        checks += [Part(f"warmed/{name}/{dtype}", 75) for name, dtype in tried]
    sections = {
        "runs": [(Part("device", 45),), (Part("digits", 60),), tuple(checks)],
        "throughput": [
            *(
                (Part(f"throughput/{name}/{dtype}", 60 if "dcgan" in name else 120),)
                for name, dtype in pairs
            ),
            *((Part(f"compiled/{name}/{dtype}", 45),) for name, dtype in tried),
        ],
        "program": [
            *((Part(f"dispatch/{name}", 40),) for name in programs[:1]),
            *((Part(f"determinism/{name}", 50),) for name in programs),
        ],
        # The first takes nearly all of a card's memory, and as long to compile as the others do
        # side by side.
        "presets": [
            tuple(Part(f"presets/{name}", 240) for name in group)
            for group in (presets[:1], presets[1:])
        ],
        "training": [
            (
                Part(
                    "training/cifar10",
                    20 if options.small else 1800,
                    least=20 if options.small else 90,
                ),
            )
        ],
    }
    groups = [group for section in options.sections for group in sections[section]]
    if options.only:
        groups = [tuple(p for p in g if p.name.startswith(options.only)) for g in groups]
    if options.small:  # on few cores, one after another and with more time
        longer = [dataclasses.replace(part, limit=4 * part.limit) for g in groups for part in g]
        return [(part,) for part in longer]
    return [group for group in groups if group]


class Results:
    """The file of results, written whole after every change."""

    def __init__(self, path: Path):
        self.path, self._lock = path, threading.Lock()
        self.content: dict[str, Any] = {"environment": environment(), "parts": {}}
        if path.exists():
            self.content = json.loads(path.read_text())
        path.parent.mkdir(parents=True, exist_ok=True)

    @property
    def parts(self) -> dict[str, dict]:
        return self.content["parts"]

    def done(self, name: str) -> bool:
        """Whether a part was measured to its end."""
        known = self.parts.get(name)
        return known is not None and "error" not in known and not known.get("unfinished")

    def put(self, name: str, figures: dict) -> None:
        with self._lock:
            self.parts[name] = figures
            write(self.path, json.dumps(self.content, indent=1) + "\n")


class Process:
    """A part that has started up and waits until it may begin."""

    def __init__(self, command: list[str], directory: Path):
        self.figures, self._words = directory / "figures.json", directory / "words"
        path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._words.open("w") as words:
            self._process = subprocess.Popen(
                [*command, "--out", str(self.figures), "--wait"],
                cwd=ROOT,
                env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"},
                stdin=subprocess.PIPE,
                stdout=words,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # so that all that it starts can be ended with it
            )

    def go(self, seconds: float) -> None:
        """It may begin, and take so long."""
        with contextlib.suppress(BrokenPipeError):  # it has failed already
            self._process.stdin.write(f"{seconds:.1f}\n".encode())
            self._process.stdin.close()

    def ended(self, within: float) -> bool:
        try:
            self._process.wait(within)
        except subprocess.TimeoutExpired:
            return False
        return True

    @property
    def status(self) -> int | None:
        return self._process.poll()

    def found(self) -> dict:
        """What it has measured by now."""
        return json.loads(self.figures.read_text()) if self.figures.exists() else {}

    def words(self) -> str:
        """The last lines that it printed."""
        lines = self._words.read_text(errors="replace").strip().splitlines()
        return "\n".join(lines[-25:])[-3000:]

    def end(self) -> None:
        """Ends it and all that it has started; one that runs says where it is."""
        if self.status is None:
            self._process.send_signal(signal.SIGUSR1)
            time.sleep(0.5)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


class Driver:
    """Runs parts one after another until the time is over."""

    def __init__(self, options: Options, results: Results, command: Callable[[str], list[str]]):
        self._results, self._command = results, command
        self._until = time.monotonic() + 60 * options.minutes - _RESERVE
        # The next one imports while one is measured, if there are cores to spare.
        self._ahead = (os.cpu_count() or 1) >= 8
        self._started: dict[str, Process] = {}
        self._folder = tempfile.TemporaryDirectory(ignore_cleanup_errors=True)

    def stop(self) -> None:
        """Ends what runs, and begins nothing more."""
        self._until = 0.0

    def left(self) -> float:
        """Seconds."""
        return self._until - time.monotonic()

    def run(self, groups: list[Group]) -> None:
        groups = [
            tuple(part for part in group if not self._results.done(part.name)) for group in groups
        ]
        groups = [group for group in groups if group]
        try:
            for at, group in enumerate(groups):
                following = groups[at + 1] if at + 1 < len(groups) else ()
                with concurrent.futures.ThreadPoolExecutor(len(group)) as pool:
                    measured = {part.name: pool.submit(self._measure, part) for part in group}
                    if self._ahead and len(following) == 1 and self.left() > following[0].least:
                        self._start(following[0])
                for name, done in measured.items():
                    if done.exception() is not None:  # whatever it is, the next one goes on
                        self._results.put(name, {"error": repr(done.exception())})
                        print(f"{name}: {done.exception()!r}", flush=True)
        finally:
            for process in self._started.values():
                process.end()
            self._folder.cleanup()

    def _start(self, part: Part) -> None:
        if part.name not in self._started:
            directory = Path(self._folder.name) / part.name.replace("/", "-")
            directory.mkdir()
            self._started[part.name] = Process(self._command(part.name), directory)

    def _measure(self, part: Part) -> None:
        if self.left() < part.least:
            print(f"{part.name}: no time left", flush=True)
            return
        self._start(part)
        process = self._started[part.name]
        began, limit = time.monotonic(), min(part.limit, self.left())
        process.go(limit)
        seen: dict = {}
        while not process.ended(within=0.5):
            if time.monotonic() - began > limit or self.left() < 0:
                break
            if process.found() != seen:
                seen = process.found()
                self._results.put(part.name, seen | {"unfinished": True})
        seconds, status = time.monotonic() - began, process.status
        process.end()
        del self._started[part.name]
        figures = process.found() | {"seconds": round(seconds, 1)}
        if status is None:
            figures["error"] = f"stopped after {seconds:.0f} s; last lines:\n{process.words()}"
        elif status:
            figures["error"] = process.words() or f"exit status {status}"
        self._results.put(part.name, figures)
        print(f"{part.name}: {_in_short(figures)}", flush=True)


def _in_short(figures: dict) -> str:
    """Its own numbers, in a line."""
    if "error" in figures:
        return f"FAILED after {figures['seconds']} s: {figures['error'].splitlines()[-1][:200]}"
    numbers = [(k, v) for k, v in _flat(figures) if isinstance(v, int | float)]
    text = ", ".join(f"{k} {_number(v)}" for k, v in numbers if not k.startswith("workload"))
    return text if len(text) < 400 else f"{text[:400]} …"


def _flat(figures: dict, prefix: str = "") -> list[tuple[str, Any]]:
    found = []
    for name, value in figures.items():
        if isinstance(value, dict):
            found += _flat(value, f"{prefix}{name}.")
        else:
            found.append((prefix + name, value))
    return found


def _number(value: Any) -> str:
    return str(value) if isinstance(value, bool | int | str) else f"{value:.4g}"


def table(parts: dict[str, dict]) -> str:
    """All figures as Markdown tables."""
    blocks = [_checks(parts), _throughput(parts), _program(parts), _presets(parts)]
    blocks += [_training(parts), _failures(parts)]
    return "\n\n".join("\n".join(block) for block in blocks if block)


def _of(parts: dict[str, dict], kind: str) -> dict[str, dict]:
    """Parts of a kind that have what they were to measure, by the rest of their names."""
    return {
        name.partition("/")[2]: figures
        for name, figures in parts.items()
        if name.partition("/")[0] == kind and "error" not in figures
    }


def _rows(title: str, rows: list[str]) -> list[str]:
    columns = title.count("|") - 1
    return [title, "|" + " --- |" * columns, *rows] if rows else []


def _checks(parts: dict[str, dict]) -> list[str]:
    rows = []
    for kind in ("device", "digits", "tests", "forms", "resume"):
        for rest, figures in _of(parts, kind).items():
            text = ", ".join(
                f"{key.replace('_', ' ')} {_number(value)}"
                for key, value in figures.items()
                if isinstance(value, int | float | str)
            )
            rows.append(f"| {' '.join(filter(None, (kind, rest)))} | {text} |")
    return _rows("| check | found |", rows)


def _throughput(parts: dict[str, dict]) -> list[str]:
    rows, compiled = [], _of(parts, "compiled")
    for name, figures in _of(parts, "throughput").items():
        if "jax" not in figures:
            continue
        j, t, c = figures["jax"], figures.get("torch"), compiled.get(name, {}).get("ms")
        eager = t and t["ms"]
        theirs = min((ms for ms in (eager, c) if ms), default=None)
        ratio = f"**{theirs / j['ms']:.2f}**" if theirs else "—"
        memory = f"{j['peak_gib']:.1f}" + (f" / {t['peak_gib']:.1f}" if t else "")
        rows.append(
            f"| {name} | {j['ms']:.4g} | {j['images_per_s']:,.0f} | {j['gflops']:,.0f} | "
            f"{j['of_matmul']:.3f} | {_or_dash(eager)} | {_or_dash(c)} | {ratio} | {memory} | "
            f"{j['compile_s']:.1f} |"
        )
    return _rows(
        "| workload | ms | images/s | GFLOP/s | of matmul | PyTorch ms | compiled | **ratio** | "
        "GiB | compile s |",
        rows,
    )


def _or_dash(value: float | None) -> str:
    return f"{value:.4g}" if value else "—"


def _program(parts: dict[str, dict]) -> list[str]:
    rows = []
    for name, f in _of(parts, "dispatch").items():
        rows.append(
            f"| {name}: ms of an iteration, 64 in a call, one in a call, the host's share | "
            f"{f['of_64']['ms']:.4g}, {f['of_1']['ms']:.4g}, "
            f"{f['host_share_of_single_calls']:.1%} |"
        )
    for name, f in _of(parts, "determinism").items():
        rows.append(
            f"| {name}: two processes agree bit for bit, as it is, deterministic, its cost | "
            f"{f['plain_equal']}, {f['deterministic_equal']}, {f['cost']:+.1%} |"
        )
    return _rows("| program | found |", rows)


def _presets(parts: dict[str, dict]) -> list[str]:
    rows = []
    for name, figures in _of(parts, "presets").items():
        if "bfloat16" not in figures:  # it has not come so far
            continue
        f = figures["bfloat16"]
        halved = f["batch_size"] < figures["published_batch_size"]
        batch = f"{f['batch_size']}" + (" (halved: memory)" if halved else "")
        rows.append(
            f"| {name} | {batch} | {f['ms']:.4g} | {f['images_per_s']:,.0f} | "
            f"{f['hours']:.1f} | {f['memory_gib']:.1f} | {f['compile_s']:.0f} |"
        )
    return _rows("| preset | batch | ms | images/s | hours | GiB | compile s |", rows)


def _training(parts: dict[str, dict]) -> list[str]:
    rows = []
    for name, f in _of(parts, "training").items():
        if "skipped" in f:
            rows.append(f"| {name} | {f['skipped']} |")
            continue
        rows.append(
            f"| {name} | {f['iterations']:,} iterations, {f['images']:,} images, "
            f"{f['images_per_s']:,.0f} a second |"
        )
        for score in f.get("scores", []):
            values = ", ".join(f"{k} {v:.4g}" for k, v in score["scores"].items())
            rows.append(f"| iteration {score['iteration']:,} | {values} [{score['conventions']}] |")
    return _rows("| training | found |", rows)


def _failures(parts: dict[str, dict]) -> list[str]:
    rows = [
        f"| {name} | {figures['error'].splitlines()[-1][:160].replace('|', '/')} |"
        for name, figures in parts.items()
        if "error" in figures
    ]
    failures = parts.get("tests", {}).get("failures", {})
    rows += [f"| {test} | {why[:160].replace('|', '/')} |" for test, why in failures.items()]
    return _rows("| failed | why |", rows)


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    results = Results(options.out.absolute())
    images = options.out.absolute().with_name(f"{options.out.stem}-cifar10.png")

    def command(part: str) -> list[str]:
        return [
            sys.executable, "-m", "benchmarks.accelerator_parts", part,
            "--torch-python", options.torch_python,
            "--images", str(images), *(["--small"] if options.small else []),
        ]  # fmt: skip

    driver = Driver(options, results, command)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: driver.stop())
    driver.run(plan(options))
    print("\n" + table(results.parts), flush=True)


if __name__ == "__main__":
    main()
