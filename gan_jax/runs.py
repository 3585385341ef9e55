"""A run on disk: its directory, and what can be made of it.

config.json     what was run
data.json       what it was run on: shape, classes, number of examples, fingerprint
metrics.jsonl   one line per log interval
health.jsonl    one line per check: what was measured, the diagnosis and why
evaluations.jsonl  one line per score
best.json       the best checkpoint: its iteration and score
rollbacks.json  where the run went back to an earlier checkpoint, if it did
events.out.*    the same for TensorBoard
samples/        pictures at each interval, always of the same latents
checkpoints/    both train states, the latest ones
best/           both train states of the best checkpoint
fork.json       of a forked run: from which checkpoint
initial.json    of a run that began with the networks of another one: from which checkpoint
"""

import contextlib
import dataclasses
import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from gan_jax import build, config, logs, sampling
from gan_jax.checkpoint import Checkpoints
from gan_jax.config import Config
from gan_jax.data.sources import Description
from gan_jax.errors import InputError
from gan_jax.evaluation.best import Best
from gan_jax.state import TrainState

try:
    import fcntl
except ImportError:  # on Windows
    fcntl = None


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
    config: Config
    data: Description

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
            return cls(
                directory,
                config.from_json(Config, (directory / "config.json").read_text()),
                config.from_json(Description, (directory / "data.json").read_text()),
            )
        except json.JSONDecodeError as error:
            raise InputError(f"the config.json or data.json in {directory} is no JSON") from error

    @classmethod
    def create(
        cls,
        directory: Path,
        settings: Config,
        data: Description,
        origin: Origin | None = None,
        initial: Origin | None = None,
    ) -> "Run":
        """A new run, or the same one with another length or other intervals.

        Raises:
            InputError: the directory cannot be written.
        """
        run = cls(directory, settings, data)
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
            write(directory / "config.json", config.to_json(settings))
            write(directory / "data.json", config.to_json(data))
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
        return config.from_json(Origin, path.read_text()) if path.is_file() else None

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
        best = Best(**json.loads(path.read_text())) if path.is_file() else None
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
        records = json.loads(path.read_text()) if path.is_file() else []
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
            return checkpoints.latest()

    def states(
        self, iteration: int | None = None, like: tuple[TrainState, TrainState] | None = None
    ) -> tuple[TrainState, TrainState]:
        """Both players at a checkpoint, by default the latest: `(d, g)`, as host arrays.

        `like` gives their structure where it is not that of this run's own configuration.

        Raises:
            InputError: there is no such checkpoint, or it is of another architecture.
        """
        like = like or jax.eval_shape(lambda: build.states(self.config, self.data))
        best = self.best()
        if best is not None and iteration == best.iteration:
            with Checkpoints(self.directory / "best", read_only=True) as checkpoints:
                return checkpoints.restore(iteration, *like)
        with self._kept() as checkpoints:
            kept = checkpoints.all()
            iteration = kept[-1] if iteration is None else iteration
            if iteration not in kept:
                raise InputError(f"{self.directory} has no checkpoint {iteration}: only {kept}")
            return checkpoints.restore(iteration, *like)

    @property
    def classes(self) -> tuple[int, ...] | None:
        """The classes it was trained on; None if it is unconditional."""
        if not self.config.objective.conditional:
            return None
        return tuple(sorted(set(self.config.data.classes))) or tuple(range(self.data.num_classes))

    def labels(self, n: int, label: int | None = None) -> Int[Array, " n"] | None:
        """Classes for `n` samples: `label`, or all that it was trained on in turn; None if
        unconditional.

        Raises:
            InputError: a class that does not exist, or any class for an unconditional model.
        """
        if self.classes is None:
            if label is not None:
                raise InputError(f"{self.directory} is unconditional: it takes no label")
            return None
        if label is None:
            return jnp.resize(jnp.array(self.classes), n)
        if not 0 <= label < self.data.num_classes:
            raise InputError(
                f"label {label} is none of the classes 0 to {self.data.num_classes - 1}"
            )
        return jnp.full(n, label)

    def sample(
        self,
        n: int,
        seed: int = 0,
        label: int | None = None,
        iteration: int | None = None,
        truncation: float | None = None,
    ) -> Float[np.ndarray, "n ..."]:
        """`n` samples from the generator's moving average: pictures in [−1, 1], or points.

        A conditional model takes `label`, or all classes in turn. `truncation` draws a StyleGAN2's
        styles towards their mean, all the way at 0; above 1, away from it.

        Raises:
            InputError: a class that does not exist, truncation below 0 or of another kind of
                network.
        """
        if truncation is not None and self.config.generator.kind != "stylegan2":
            raise InputError(f"truncation is for stylegan2, not {self.config.generator.kind}")
        if truncation is not None and truncation < 0:
            raise InputError(f"truncation is at least 0, not {truncation}")
        labels = self.labels(n, label)
        _, g = self.states(iteration)
        latent_dim = self.config.objective.latent_dim
        key = jax.random.key(seed)
        return np.asarray(
            sampling.sample(g, key, n, latent_dim=latent_dim, label=labels, truncation=truncation)
        )

    def interpolate(
        self,
        paths: int,
        steps: int,
        seed: int = 0,
        label: int | None = None,
        iteration: int | None = None,
    ) -> Float[np.ndarray, "paths steps ..."]:
        """Walks between random latents: `paths` of `steps` samples each."""
        labels = self.labels(paths, label)
        _, g = self.states(iteration)
        return np.asarray(
            sampling.interpolate(
                g,
                jax.random.key(seed),
                paths=paths,
                steps=steps,
                latent_dim=self.config.objective.latent_dim,
                label=labels,
            )
        )


def exists(directory: Path) -> bool:
    """Whether a run was started here."""
    return (directory / "config.json").is_file() and (directory / "data.json").is_file()


@contextlib.contextmanager
def alone(directory: Path) -> Iterator[None]:
    """Keeps other processes from training in this directory meanwhile, where it can be locked. A
    process that dies lets go of it.

    Raises:
        InputError: one is training there, or the directory cannot be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(f"cannot write to {directory}: {error.strerror}") from error
    if fcntl is None:
        yield
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise InputError(f"another process is training in {directory}") from error
    except OSError:  # a file system without locks
        pass
    try:
        yield
    finally:
        os.close(descriptor)


def write(path: Path, text: str) -> None:
    """Writes a file, whole or not at all."""
    partial = path.with_name(path.name + ".tmp")
    partial.write_text(text)
    partial.rename(path)
