"""What the steps expect of an objective."""

from typing import Any, NamedTuple, Protocol, runtime_checkable

from jaxtyping import Array, Float, Key, PyTree

from gan_jax.ema import EMA
from gan_jax.state import TrainState

Batch = dict[str, Array]
Scalar = Float[Array, ""]


class Aux(NamedTuple):
    """What a loss returns beside its value."""

    collections: dict[str, PyTree]
    """The trained network's non-parameter variables after this step."""
    metrics: dict[str, Scalar]
    """What is worth logging."""
    outputs: dict[str, Array] = {}  # noqa: RUF012 - it is never changed
    """What the discriminator returned, for objectives that add something to another one: `real` and
    `fake`, the logits of the whole batch; and `classes`, where it returns class logits beside them,
    of those examples whose class the loss is about. The steps ignore it."""


@runtime_checkable
class Objective(Protocol):
    """What two networks minimise. A new kind of GAN is a new objective; the steps stay as they are.

    Make it a pytree (a `gan_jax.Node`): its numbers are leaves, so that they can be
    traced, scheduled and vmapped, and its functions are static. What it has to remember from one
    update to the next goes into the collections of the state that is updated, under
    `gan_jax.state.OBJECTIVE`; their network never sees it.

    Whatever is random comes from `key`, and what is drawn for an example from its global index
    (`gan_jax.parallel.per_example`). If `axis_name` is given, the batch is one member's part of a
    larger one: losses and metrics are then those of the part, and the steps average them.
    """

    @property
    def ema(self) -> EMA | None:
        """The moving average of the generator, if it has one."""
        ...

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """The initial variables of both networks, `(d_variables, g_variables)`: each
        `{"params": …}`, with other collections beside it.

        `generator` and `discriminator` have `init` and `apply`, as Linen modules do; of `batch`,
        only shapes and dtypes count.
        """
        ...

    def d_loss(
        self,
        d_params: PyTree,
        d: TrainState,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """What the discriminator minimises, with `d_params` in place of the parameters of `d`.

        No gradient may reach `g`.
        """
        ...

    def g_loss(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """What the generator minimises, with `g_params` in place of the parameters of `g`."""
        ...
