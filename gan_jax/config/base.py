"""The configuration of a run, of whatever it trains."""

import dataclasses
from collections.abc import Iterator
from typing import Any, ClassVar, Literal, TypeVar

from gan_jax.config.annealing import Annealing, Average
from gan_jax.config.evaluation import Evaluation
from gan_jax.config.optimizer import Optimizer
from gan_jax.errors import InputError, all_at_once, refuse
from gan_jax.sections import Kind, Section, number
from gan_jax.steps import Alternation

C = TypeVar("C", bound="Config")

FREE = {"free": True}
"""Metadata of fields that may differ when a run is resumed: they do not change what is trained."""


@dataclasses.dataclass(frozen=True)
class Config(Kind, package="gan_jax.tasks"):
    """Everything that determines a run.

    A run is a function of its configuration alone. Where it is kept, where its data lie and how
    many devices compute it are no part of it. What it trains is its `task`: each task has a
    configuration of its own, with these fields and those that say what its data, networks and
    objective are.
    """

    selector: ClassVar[str] = "task"

    name: str = dataclasses.field(default="run", metadata=FREE)
    """Names the run's directory unless --out does."""
    seed: int = number(0, least=0, below=2**32)
    """All that is random follows from it."""
    iterations: int = number(1000, least=1, metadata=FREE)
    """How many times both networks are updated (see alternation)."""
    batch_size: int = number(64, least=1)
    """Examples in a batch, over all devices."""
    alternation: Alternation = Alternation()
    g_optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    d_optimizer: Optimizer = dataclasses.field(default_factory=Optimizer)
    average: Average = Average()
    annealing: Annealing = Annealing()
    evaluation: Evaluation = dataclasses.field(default=Evaluation(), metadata=FREE)
    balance: bool = False
    """Keep the networks at the same pace: update either less often as it gets ahead."""
    check_every: int = number(100, least=1, metadata=FREE)
    """Iterations between checks of how the training goes."""
    on_failure: Literal["warn", "stop", "rollback"] = dataclasses.field(
        default="warn", metadata=FREE
    )
    """When a check finds a failure: warn; stop; or rollback to the last healthy checkpoint and go
    on from there at half the learning rates."""
    log_every: int = number(100, least=1, metadata=FREE)
    """Iterations between log entries."""
    sample_every: int = number(500, least=1, metadata=FREE)
    """Iterations between previews of what the generator makes."""
    checkpoint_every: int = number(500, least=1, metadata=FREE)
    """Iterations between checkpoints."""
    keep_last: int = number(3, least=1, metadata=FREE)
    """Checkpoints kept, the latest ones."""
    keep_every: int | None = number(None, least=1, metadata=FREE)
    """Beside those, keep the checkpoints at multiples of this many iterations."""

    def validate(self, where: str = "") -> None:
        """Checks what can be checked without data or devices: all sections by themselves, and if
        these are right, how they go together.

        Raises:
            InputError: naming the fields and what they may be.
        """
        with all_at_once() as apart:
            with apart():
                super().validate(where)
            for field in dataclasses.fields(self):
                value = getattr(self, field.name)
                if isinstance(value, Section):
                    with apart():
                        value.validate(field.name)
        refuse(self._clashes())

    def _clashes(self) -> Iterator[str]:
        """What does not go together, in words."""
        for name, optimizer in (("g", self.g_optimizer), ("d", self.d_optimizer)):
            if self.annealing.b2 is not None and "b2" not in optimizer.options:
                yield f"annealing.b2 needs a b2 to start from in {name}_optimizer.options"
        if self.balance and self.alternation != Alternation():
            yield "balance sets the ratio of updates itself: leave alternation as it is"

    def check_devices(self, devices: int) -> None:
        """
        Raises:
            InputError: so many devices do not divide the batch.
        """
        if self.batch_size % devices:
            raise InputError(
                f"a batch of {self.batch_size} does not divide into {devices} devices: set "
                f"batch_size to a multiple of {devices}"
            )

    @property
    def images_per_update(self) -> tuple[float, float]:
        """Real examples that a run sees from one update of the discriminator to its next, and of
        the generator. Both learning rates end together, however often either is updated."""
        periods = self.alternation
        if periods.d_epochs is not None and periods.g_epochs is not None:
            updates = (periods.d_epochs, periods.g_epochs)
            batches = periods.d_epochs + periods.g_epochs
        else:
            updates, batches = (periods.d_steps, periods.g_steps), periods.batches
        d, g = (self.batch_size * batches / max(n, 1) for n in updates)
        return d, g

    @property
    def penalties_every(self) -> tuple[int, int]:
        """Of how many updates of each network, discriminator and generator, one has a penalty."""
        return 1, 1

    @property
    def learning_rates(self) -> tuple[float, float]:
        """At the start, of the discriminator and of the generator."""
        d_every, g_every = self.penalties_every
        return (
            self.d_optimizer.lazily(d_every).learning_rate,
            self.g_optimizer.lazily(g_every).learning_rate,
        )

    def slowed(self: C, factor: float) -> C:
        """The same with all learning rates multiplied by `factor`."""
        return dataclasses.replace(
            self,
            g_optimizer=self.g_optimizer.slowed(factor),
            d_optimizer=self.d_optimizer.slowed(factor),
        )

    def essence(self: C) -> C:
        """What programs are compiled for: the configuration without its seed, and without the
        fields that are no part of training."""
        plain: dict[str, Any] = {
            field.name: field.default
            for field in dataclasses.fields(self)
            if field.metadata.get("free") or field.name == "seed"
        }
        return dataclasses.replace(self, **plain)
