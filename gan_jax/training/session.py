"""What does not change while a run goes on."""

import dataclasses

import jax

from gan_jax.runs.run import Run
from gan_jax.tasks.base import Dataset, Task


@dataclasses.dataclass(frozen=True)
class Session:
    """One process's part in a run, from its start or resumption to its end or failure."""

    run: Run
    task: Task
    """With the learning rates of now: they are halved at every rollback."""
    dataset: Dataset
    rollbacks: int
    """So far."""

    @property
    def main(self) -> bool:
        """Whether this process is the one that writes."""
        return jax.process_index() == 0
