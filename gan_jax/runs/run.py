"""A run on disk: its directory, and what can be made of it.

config.json     what was run
data.json       what it was run on: shape, classes, number of examples, fingerprint
metrics.jsonl   one line per log interval
health.jsonl    one line per check: what was measured, the diagnosis and why
evaluations.jsonl  one line per score
best.json       the best checkpoint: its iteration and score
rollbacks.json  where the run went back to an earlier checkpoint, if it did
events.out.*    the same for TensorBoard
samples/        previews at each interval, always of the same latents or inputs
checkpoints/    both train states, the latest ones
best/           both train states of the best checkpoint
fork.json       of a forked run: from which checkpoint
initial.json    of a run that began with the networks of another one: from which checkpoint
"""

import contextlib
import dataclasses
import json
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Float

from gan_jax import config
from gan_jax.config import Config
from gan_jax.errors import InputError
from gan_jax.evaluation.best import Best
from gan_jax.evaluation.metric import Score, higher_is_better
from gan_jax.inference.converter import Converter
from gan_jax.runs import logs
from gan_jax.runs.checkpoints import Checkpoints
from gan_jax.state import TrainState
from gan_jax.tasks.base import ImageTask, Task, shapes
from gan_jax.tasks.generation import Generation


@dataclasses.dataclass(frozen=True)
class Origin:
    """The checkpoint that a run began from."""

    directory: str
    iteration: int


@dataclasses.dataclass(frozen=True)
class Rollback:
    """A failure after which a run went on from an earlier checkpoint, with smaller steps."""

    iteration: int
    """At which it was found."""
    to: int
    state: str


@dataclasses.dataclass(frozen=True)
class Run:
    """A run directory.

    >>> run = Run.open("runs/digits")
    >>> pictures = run.sample(64, seed=0)
    """

    directory: Path
    task: Task

    @property
    def config(self) -> Any:
        """What was run."""
        return self.task.config

    @property
    def data(self) -> Any:
        """The description of what it was run on."""
        return self.task.data

    @classmethod
    def open(cls, directory: str | Path) -> "Run":
        """A run that exists.

        Raises:
            InputError: there is none in this directory.
        """
        directory = Path(directory)
        if not exists(directory):
            raise InputError(f"{directory} holds no run: it has no config.json and data.json")
        try:
            settings: Any = config.from_json(Config, (directory / "config.json").read_text("utf-8"))
            data = config.from_json(
                settings.description_type, (directory / "data.json").read_text("utf-8")
            )
            return cls(directory, settings.build(data))
        except json.JSONDecodeError as error:
            raise InputError(f"the config.json or data.json in {directory} is no JSON") from error

    @classmethod
    def create(
        cls,
        directory: Path,
        task: Task,
        origin: Origin | None = None,
        initial: Origin | None = None,
    ) -> "Run":
        """A new run, or the same one with another length or other intervals.

        Raises:
            InputError: the directory cannot be written.
        """
        run = cls(directory, task)
        try:
            if not run.begun():  # the best of one that failed before its first checkpoint
                (directory / "best.json").unlink(missing_ok=True)
                shutil.rmtree(directory / "best", ignore_errors=True)
            directory.mkdir(parents=True, exist_ok=True)
            if origin is not None:
                write(directory / "fork.json", config.to_json(origin))
            elif not exists(directory):
                (directory / "fork.json").unlink(missing_ok=True)  # of one that never began
            if initial is not None:
                write(directory / "initial.json", config.to_json(initial))
            elif not exists(directory):
                (directory / "initial.json").unlink(missing_ok=True)
            write(directory / "config.json", config.to_json(task.config))
            write(directory / "data.json", config.to_json(task.data))
        except OSError as error:
            raise InputError(f"cannot write to {directory}: {error.strerror}") from error
        return run

    def begun(self) -> bool:
        """Whether there is something to go on from: a checkpoint here, one that it began from, or
        the record of going back to the beginning."""
        return bool(self.kept() or self.origin() or self.initial() or self.rollbacks())

    def origin(self) -> Origin | None:
        """What it was forked from, if it was."""
        return self._read_origin("fork.json")

    def initial(self) -> Origin | None:
        """Whose networks it began with, if not with new ones."""
        return self._read_origin("initial.json")

    def _read_origin(self, name: str) -> Origin | None:
        path = self.directory / name
        return config.from_json(Origin, path.read_text("utf-8")) if path.is_file() else None

    def checkpoints(self) -> Checkpoints:
        """Its checkpoints, to be added to, with the retention its configuration asks for."""
        return Checkpoints(
            self.directory / "checkpoints",
            keep_last=self.config.keep_last,
            keep_every=self.config.keep_every,
        )

    def best(self) -> Best | None:
        """Its best checkpoint so far, by the score that its configuration names."""
        path = self.directory / "best.json"
        best = Best(**json.loads(path.read_text("utf-8"))) if path.is_file() else None
        # The checkpoint appears when it is whole.
        return best if best and (self.directory / "best" / str(best.iteration)).is_dir() else None

    def best_checkpoints(self) -> Checkpoints:
        """The best checkpoint, to be replaced by a better one."""
        return Checkpoints(self.directory / "best", keep_last=1)

    def set_best(self, best: Best) -> None:
        """Says which checkpoint is the best."""
        write(self.directory / "best.json", json.dumps(best._asdict(), indent=2) + "\n")

    def kept(self) -> list[int]:
        """The iterations of its checkpoints."""
        names = [path.name for path in (self.directory / "checkpoints").glob("*")]
        return sorted(int(name) for name in names if name.isdigit())

    def rollbacks(self) -> list[Rollback]:
        """Where it went back, in order."""
        path = self.directory / "rollbacks.json"
        records = json.loads(path.read_text("utf-8")) if path.is_file() else []
        return [Rollback(**record) for record in records]

    def roll_back(self, rollback: Rollback) -> None:
        """Drops the checkpoints after `rollback.to`, and records why."""
        for iteration in self.kept():
            if iteration > rollback.to:
                shutil.rmtree(self.directory / "checkpoints" / str(iteration))
        records = [dataclasses.asdict(r) for r in [*self.rollbacks(), rollback]]
        write(self.directory / "rollbacks.json", json.dumps(records, indent=2) + "\n")

    def health(self, until: int | None = None) -> list[dict[str, Any]]:
        """Its checks so far: `iteration`, `signals`, `state`, `evidence`, `suggestion`."""
        return logs.read(self.directory / "health.jsonl", until=until)

    def evaluations(self, until: int | None = None) -> dict[int, list[Score]]:
        """Its scores so far, by iteration."""
        found: dict[int, list[Score]] = {}
        for line in logs.read(self.directory / "evaluations.jsonl", until=until):
            found.setdefault(line["iteration"], []).extend(
                Score(name, value, line["conventions"], higher_is_better(name))
                for name, value in line["scores"].items()
            )
        return found

    @contextlib.contextmanager
    def _kept(self) -> Iterator[Checkpoints]:
        """Its checkpoints, of which there is one at least, to be read."""
        directory = self.directory / "checkpoints"
        if directory.is_dir():
            with Checkpoints(directory, read_only=True) as checkpoints:
                if checkpoints.latest() is not None:
                    yield checkpoints
                    return
        raise InputError(f"{self.directory} has no checkpoint yet")

    def latest(self) -> int:
        """The iteration of its latest checkpoint.

        Raises:
            InputError: there is none yet.
        """
        with self._kept() as checkpoints:
            return checkpoints.all()[-1]

    def states(
        self, iteration: int | None = None, like: tuple[TrainState, TrainState] | None = None
    ) -> tuple[TrainState, TrainState]:
        """Both states at a checkpoint, by default the latest: `(d, g)`, as host arrays.

        `like` gives their structure where it is not that of this run's own configuration.

        Raises:
            InputError: there is no such checkpoint, or it is of another architecture.
        """
        d, g = like or shapes(self.task)
        best = self.best()
        if best is not None and best.iteration == iteration:
            with Checkpoints(self.directory / "best", read_only=True) as checkpoints:
                return checkpoints.restore(best.iteration, d, g)
        with self._kept() as checkpoints:
            kept = checkpoints.all()
            iteration = kept[-1] if iteration is None else iteration
            if iteration not in kept:
                raise InputError(f"{self.directory} has no checkpoint {iteration}: only {kept}")
            return checkpoints.restore(iteration, d, g)

    def generation(self, what: str) -> Generation:
        """Its task, if that is to generate.

        Raises:
            InputError: it is another one, and so there is not `what` is asked for.
        """
        if not isinstance(self.task, Generation):
            raise InputError(f"{self.directory} learns {self.task.config.kind}: it has no {what}")
        return self.task

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: int | str | None = None,
        iteration: int | None = None,
        truncation: float | None = None,
        condition: Mapping[str, float] | None = None,
    ) -> Float[np.ndarray, "n ..."]:
        """`n` samples from the generator's moving average: images in [−1, 1], or points.

        A model that is told classes takes `label`, a class's name or number, or all of them in
        turn; one that is told numbers takes some of these by name, as `{"age": 30}`, and otherwise
        has those of real examples in turn.
        `truncation` draws a StyleGAN2's styles towards their mean, all the way at 0; above 1, away
        from it.

        Raises:
            InputError: a class or number that does not exist, truncation below 0 or of another kind
                of network, or a run that does not learn to generate.
        """
        task = self.generation("samples")
        task.check_truncation(truncation)
        labels = task.labels(n, label, condition)
        _, g = self.states(iteration)
        return task.sample(g, jax.random.key(seed), n, labels, truncation)

    def converter(self, direction: str | None = None, iteration: int | None = None) -> Converter:
        """What makes images of images, of any size: a function of arrays [h, w, c] in [−1, 1], by
        the generator's moving average.

        Args:
            direction: a2b or b2a, of a run between two domains.
            iteration: Of the checkpoint, by default the latest.

        Raises:
            InputError: a direction that does not exist, or a run that does not learn this.
        """
        if not isinstance(self.task, ImageTask):
            raise InputError(f"{self.directory} learns {self.task.config.kind}, not from images")
        convert = self.task.converter(direction)  # refused before a checkpoint is read
        _, g = self.states(iteration)
        return convert(g)

    def interpolate(
        self,
        paths: int,
        steps: int,
        seed: int = 0,
        label: int | str | None = None,
        iteration: int | None = None,
        condition: Mapping[str, float] | None = None,
        vary: str | None = None,
    ) -> Float[np.ndarray, "paths steps ..."]:
        """Walks between random latents: `paths` of `steps` samples each. With `vary`, latents stay,
        and the number of that name goes from where a twentieth of the examples are below it to
        where a twentieth are above.

        Raises:
            InputError: a class or number that does not exist, or one that is to vary and to stay,
                or a run that does not learn to generate.
        """
        task = self.generation("latents to walk between")
        labels = task.labels(paths, label, condition)
        key = jax.random.key(seed)
        if vary is not None and vary in (condition or {}):
            raise InputError(f"{vary} is to vary, and cannot be set, too")
        varied = None if vary is None else task.varied(labels, vary, steps)
        _, g = self.states(iteration)
        if varied is not None:
            return task.each_latent(g, key, varied)
        return task.interpolate(g, key, paths, steps, labels)


def exists(directory: Path) -> bool:
    """Whether a run was started here."""
    return (directory / "config.json").is_file() and (directory / "data.json").is_file()


def check_whole(directory: Path) -> None:
    """
    Raises:
        InputError: there are checkpoints, and nothing says what they are of.
    """
    missing = [n for n in ("config.json", "data.json") if not (directory / n).is_file()]
    if missing and any((directory / "checkpoints").glob("[0-9]*")):
        raise InputError(
            f"{directory} holds checkpoints, but no {' and no '.join(missing)}, without which "
            "nobody knows how they were trained: put that back, or give another --out"
        )


def write(path: Path, text: str) -> None:
    """Writes a file, whole or not at all."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text, "utf-8")
    partial.rename(path)
