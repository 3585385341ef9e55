"""What a run trains, as the rest of the program sees it."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree, UInt8

from gan_jax.config import Evaluation
from gan_jax.data import Source, Stream
from gan_jax.data.sources import check_splits
from gan_jax.degradations.given import holds_pairs
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import Scorer
from gan_jax.health.checks import Checks
from gan_jax.inference.converter import Converter
from gan_jax.objectives import Objective
from gan_jax.state import TrainState

# The random streams of a run, each folded into the root key of its seed.
INITIALIZATION, TRAINING, PREVIEWS, CHECKS = range(4)


def stream_key(seed: int, stream: int) -> Key[Array, ""]:
    """The key of one of a run's random streams."""
    return jax.random.fold_in(jax.random.key(seed), stream)


@runtime_checkable
class Description(Protocol):
    """What is known of a run's data when they are not at hand: a frozen dataclass, kept as
    `data.json`. It is all that networks and later readers depend on."""

    @property
    def examples(self) -> int:
        """In an epoch."""
        ...

    def __str__(self) -> str:
        """In words: `1,618 examples of 8×8×1`."""
        ...


class Dataset(NamedTuple):
    """The real examples of a run."""

    streams: tuple[Stream, ...]
    """What it trains on: where each array of a batch comes from."""
    held_out: tuple[Stream, ...]
    """What it does not train on, of those streams where something is held out."""
    description: Any
    """Of what it trains on: a `Description`."""

    @property
    def notes(self) -> tuple[str, ...]:
        """What there is to say about how the data were taken, each in a line."""
        return tuple(dict.fromkeys(note for s in self.streams for note in s.source.notes))


@runtime_checkable
class Task(Protocol):
    """One thing that can be trained: for a configuration, and data of a description.

    A task is a frozen dataclass of these two, so that equal ones share what was compiled. The
    training program, the trainer, checkpoints, checks, scores and the report know what they train
    through this protocol only. A new task is a file in `gan_jax/tasks` with a task and its
    configuration, a subclass of `gan_jax.config.Config` with a `kind`, which has the methods of
    `TaskConfig`.
    """

    commands: ClassVar[frozenset[str]]
    """Which of the `gan-jax` commands about trained models apply: sample, interpolate, …"""

    @property
    def config(self) -> Any:
        """The run's configuration."""
        ...

    @property
    def data(self) -> Any:
        """The description of its data."""
        ...

    @property
    def data_name(self) -> str:
        """What people call the data."""
        ...

    @property
    def shown(self) -> str:
        """What previews show, in a sentence."""
        ...

    @property
    def objective(self) -> Objective:
        """What both networks minimise."""
        ...

    def check(self) -> None:
        """
        Raises:
            InputError: these data cannot be trained on, or not be scored, as configured.
        """
        ...

    def essence(self) -> "Task":
        """The task without what makes no difference to the states' structure and to how batches are
        prepared: tasks of the same essence share what is compiled for these."""
        ...

    def create(self, key: Key[Array, ""], *, traced: bool = False) -> tuple[TrainState, TrainState]:
        """Both train states at the start, `(d, g)`; traceable. Learning rates may be `traced`: see
        `gan_jax.config.Optimizer.build`."""
        ...

    def prepare(
        self, examples: dict[str, Array], key: Key[Array, ""], axis_name: str | None
    ) -> dict[str, Array]:
        """The batches [batches, examples, …] that the steps see, of examples as they are stored;
        a pure function of arrays, traced into the training program."""
        ...

    def preview(self, g: TrainState, dataset: Dataset) -> PyTree:
        """What shows how far the generator is: arrays, computed on the device and not waited for,
        which do not hold on to `g`. Always of the same latents or inputs."""
        ...

    def draw(self, preview: PyTree, dataset: Dataset) -> UInt8[np.ndarray, "height width c"]:
        """The preview, fetched to the host, as an image for people."""
        ...

    def checks(self, dataset: Dataset) -> Checks:
        """What is measured at checks."""
        ...

    def evaluator(
        self,
        dataset: Dataset,
        settings: Evaluation | None = None,
        *,
        split: str | None = None,
        data_dir: str | None = None,
        weights: Path | None = None,
    ) -> Scorer:
        """What scores the generator.

        Args:
            dataset: What it trains on.
            settings: How, by default as the configuration's section `evaluation` says.
            split: The real examples to compare with, if others than those that it trains on.
            data_dir: Where TFDS datasets are prepared.
            weights: Of the extractor, instead of those published.

        Raises:
            InputError: there is no such split, or it cannot be scored so.
        """
        ...


@runtime_checkable
class ImageTask(Protocol):
    """A task whose generators make images of images: what `gan-jax translate` and `upscale` use."""

    directions: ClassVar[tuple[str, ...]]
    """In which it can; empty if there is but one."""

    def converter(self, direction: str | None) -> Callable[[TrainState], Converter]:
        """What makes images of images of any size, given the generators.

        Raises:
            InputError: there is no such direction.
        """
        ...


@runtime_checkable
class TaskConfig(Protocol):
    """What the configuration of a task has beside the fields of every run."""

    description_type: ClassVar[type[Any]]
    """Of `data.json`."""

    def validate(self, where: str = "") -> None:
        """See `gan_jax.config.Config`."""
        ...

    def check_devices(self, devices: int) -> None:
        """
        Raises:
            InputError: so many devices do not divide the batch.
        """
        ...

    def load(
        self,
        *,
        data_dir: str | None = None,
        skip_bad_images: bool = False,
        budget_bytes: float = 0,
    ) -> Dataset:
        """The real examples. Up to so many bytes are read whole, unless the configuration says
        how many.

        Raises:
            InputError: they are missing, or do not fit.
        """
        ...

    def build(self, data: Any) -> Task:
        """The task for data of this description."""
        ...


def check_batch(batch: int, examples: int, of: str) -> None:
    """
    Raises:
        InputError: a batch is larger than so many examples; what they are `of`, in words.
    """
    if batch > examples:
        raise InputError(
            f"a batch of {batch} is larger than {of}: set --batch-size to {examples} at most"
        )


def refuse_pairs(shape: tuple[int, ...], data_name: str) -> None:
    """
    Raises:
        InputError: what has this shape is an input and its target.
    """
    if holds_pairs(shape):
        raise InputError(
            f"{data_name} holds pairs, which restoration learns from: see experiments/pairs.py"
        )


def source_of(config: Any, split: str, data_dir: str | None) -> Source:
    """The examples of another split than a configuration, whose `data` are of one source, trains
    on.

    Raises:
        InputError: there is none.
    """
    check_splits(config.data.source)
    data = dataclasses.replace(config.data, split=split, held_out=0)
    return dataclasses.replace(config, data=data).load(data_dir=data_dir).streams[0].source


def initial_states(task: Task, *, traced: bool = False) -> tuple[TrainState, TrainState]:
    """Both train states at the start of a task's run."""
    key = stream_key(task.config.seed, INITIALIZATION)
    return _creation(task.essence(), traced)(key)


def shapes(task: Task) -> tuple[TrainState, TrainState]:
    """The structure of both train states, with shapes in place of arrays."""
    return jax.eval_shape(lambda: initial_states(task))


@functools.cache
def _creation(task: Task, traced: bool) -> Any:
    return jax.jit(functools.partial(task.create, traced=traced))
