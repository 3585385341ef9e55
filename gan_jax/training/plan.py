"""What has to be true before a run starts. Nothing here writes anything."""

import dataclasses
import hashlib
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from gan_jax.config import Config, differences, to_json
from gan_jax.data import BadImageError
from gan_jax.errors import InputError
from gan_jax.runs import run as runs
from gan_jax.runs.run import Origin, Run
from gan_jax.tasks.base import Dataset, Task, shapes
from gan_jax.training.transfer import transfer_both

_CPU_BUDGET = 2 * 2**30


@dataclasses.dataclass(frozen=True)
class Plan:
    """A run that can be started."""

    directory: Path
    task: Task
    dataset: Dataset
    origin: Origin | None
    """What a fork that has not begun begins from."""
    initial: Origin | None
    """Whose networks a run of its own begins with."""
    taken: str | None
    """What one that has not begun takes of these, in words."""
    first: int = 0
    """The iteration that it goes on from."""


def make_plan(
    config: Any,
    *,
    out: str | Path | None = None,
    fork: str | Path | None = None,
    init_from: str | Path | None = None,
    data_dir: str | None = None,
    skip_bad_images: bool = False,
    dry: bool = False,
) -> Plan:
    """Looks at all that a run depends on. The arguments are those of `gan_jax.train`. A `dry` plan
    is not to be started: images are not read whole, which is quick, and a run that is in the
    directory already is in nobody's way.

    Raises:
        InputError: something has to change.
    """
    config.validate()
    config.check_devices(jax.device_count())
    directory = Path(out) if out is not None else Path("runs") / config.name
    forked, origin, taken = None, None, None
    if fork is not None:
        forked, directory = Run.open(directory), Path(fork)
        if directory.resolve() == forked.directory.resolve():
            raise InputError(f"a fork needs a directory of its own, not {directory}")
    if fork is not None and init_from is not None:
        raise InputError("a fork goes on with its own networks: give --fork or --init-from")
    if not dry:
        runs.check_whole(directory)
    begun = Run.open(directory) if runs.exists(directory) and not dry else None
    if begun is not None and not begun.begun():
        begun = None  # it failed before its first checkpoint, and is in nobody's way
    initial = _initial(begun, init_from)
    if begun is not None:
        _check_resumable(begun, config)

    budget = 0 if dry else _budget()
    dataset = load(config, data_dir, skip_bad_images, budget_bytes=budget)
    task = config.build(dataset.description)
    task.check()
    try:
        like = shapes(task)
    except ValueError as error:  # of a network or optimiser, about its settings
        raise InputError(str(error)) from error
    if begun is not None:
        _check_same_data(begun, dataset.description, skip_bad_images)
    elif forked is not None:
        if _told(forked.task) != _told(task):
            raise InputError(
                f"{forked.directory} is told {_in_words(forked.task)}, and the fork "
                f"{_in_words(task)}: their networks mean something else by it (--init-from takes "
                "what it can)"
            )
        origin = Origin(str(forked.directory.resolve()), forked.latest())
        forked.states(origin.iteration, like)  # refused here, before anything is written
    if initial is not None and (begun is None or not begun.kept()):
        trained = Run.open(initial.directory)
        theirs = shapes(trained.task)
        _, taken = transfer_both(like, theirs, initial.directory)
        if _told(trained.task) != _told(task):
            taken += f"; they were told {_in_words(trained.task)}, not {_in_words(task)}"
    return Plan(directory, task, dataset, origin, initial, taken, _first(begun, origin))


def _told(task: Task) -> tuple[str, ...]:
    """The numbers that networks are told, in order."""
    conditions = getattr(task, "conditions", None)
    return () if conditions is None else conditions.names


def _in_words(task: Task) -> str:
    return ", ".join(_told(task)) or "no numbers"


def load(
    config: Any, data_dir: str | None, skip_bad_images: bool, *, budget_bytes: float = 0
) -> Dataset:
    """The real examples of a configuration: see `gan_jax.tasks.base.TaskConfig`.

    Raises:
        InputError: they are missing, or do not fit; of images that cannot be decoded it says how to
            leave them out.
    """
    try:
        return config.load(
            data_dir=data_dir, skip_bad_images=skip_bad_images, budget_bytes=budget_bytes
        )
    except BadImageError as error:
        if skip_bad_images:
            raise
        raise InputError(f"{error}; --skip-bad-images leaves such files out") from error


def _first(begun: Run | None, origin: Origin | None) -> int:
    if begun is not None:
        if kept := begun.kept():
            return kept[-1]
        origin = begun.origin()
    return 0 if origin is None else origin.iteration


def agree(error: InputError | None, plan: Plan | None) -> None:
    """All processes go on together, or none does.

    Raises:
        InputError: this process's own, or that another process has one, or that the processes were
            not started alike.
    """
    if jax.process_count() > 1:
        facts = []
        if plan is not None:
            facts = [to_json(plan.task.config), to_json(plan.task.data), _kept(plan)]
        digest = hashlib.sha256(repr(facts).encode()).digest()[:4]
        mine = np.array([error is not None, int.from_bytes(digest[:3])], np.int32)
        everyones = np.asarray(multihost_utils.process_allgather(mine))
        if error is None and everyones[:, 0].any():
            raise InputError("another process could not start: see its message")
        if error is None and len(np.unique(everyones[:, 1])) > 1:
            raise InputError(
                "the processes were not started alike: give all of them the same flags, data and "
                "run directory"
            )
    if error is not None:
        raise error


def _kept(plan: Plan) -> list[str]:
    return sorted(path.name for path in plan.directory.glob("checkpoints/*"))


def _initial(begun: Run | None, init_from: str | Path | None) -> Origin | None:
    """Whose networks to begin with; what a run began with stays."""
    known = begun.initial() if begun is not None else None
    if init_from is None:
        return known
    trained = Run.open(init_from)
    directory = str(trained.directory.resolve())
    if begun is None:
        return Origin(directory, trained.latest())
    if known is None or known.directory != directory:
        began = f"with the networks of {known.directory}" if known else "with new networks"
        raise InputError(
            f"{begun.directory} began {began}: give another --out, or --init-from as then"
        )
    return known


def _check_resumable(run: Run, config: Config) -> None:
    changed = differences(run.config, config)
    if changed:
        raise InputError(
            f"{run.directory} holds a run of another configuration ({'; '.join(changed)}): give "
            "another --out, or --fork NEW_DIR to start a new run from its checkpoint"
        )


def _check_same_data(run: Run, data: Any, skip_bad_images: bool) -> None:
    if run.data == data:
        return
    then, now = run.data.examples, data.examples
    what = f"{then} examples then, {now} now" if then != now else "as many examples, but others"
    change = "give another --out, or --fork NEW_DIR to start a new run from its checkpoint"
    if now < then and skip_bad_images:
        # Of fewer examples, the order is another one, also of those that it has seen.
        change = (
            "if only --skip-bad-images leaves files out that were there then, a new run can go on "
            f"from its checkpoint: gan-jax train {run.directory} --out {run.directory} --fork "
            "NEW_DIR --skip-bad-images"
        )
    elif now > then and not skip_bad_images:
        change = f"if it was begun with --skip-bad-images, give that again; else {change}"
    raise InputError(f"the data have changed since {run.directory} was begun ({what}): {change}")


def _budget() -> float:
    """Bytes of data that may live on a device, if the configuration does not say."""
    memory = (jax.local_devices()[0].memory_stats() or {}).get("bytes_limit")
    if jax.default_backend() == "cpu" or not memory:
        return _CPU_BUDGET
    return memory / 4
