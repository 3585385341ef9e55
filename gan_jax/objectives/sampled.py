"""What objectives that sample have in common, and how one is wrapped in another."""

import abc
from typing import Any

from jax import lax, random
from jaxtyping import Array, Key, PyTree

from gan_jax.ema import EMA
from gan_jax.losses import Loss
from gan_jax.nodes import Node
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.state import OBJECTIVE, TrainState, remember


class Sampled(Node, abc.ABC):
    """An objective whose losses are about examples that the generator makes of noise.

    A subclass says how these are generated, and what each player's loss is where they are given.
    """

    @abc.abstractmethod
    def generate(
        self,
        g_params: PyTree,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
        **options: Any,
    ) -> tuple[Array, dict[str, PyTree]]:
        """As many generated examples as the batch has real ones, and the generator's collections
        after that. Its network takes the `options`."""

    @abc.abstractmethod
    def d_loss_given_fake(
        self,
        d_params: PyTree,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss where the generated examples are `fake`."""

    @abc.abstractmethod
    def g_loss_given_fake(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The generator's loss where it has made `fake`. Of collections, what is given is no more
        than what the objective remembers."""

    def d_loss(
        self,
        d_params: PyTree,
        d: TrainState,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss on real examples and as many generated ones."""
        fake_key, key = random.split(key)
        fake, _ = self.generate(g.params, g, batch, fake_key, axis_name)
        fake = lax.stop_gradient(fake)
        return self.d_loss_given_fake(d_params, d, fake, batch, key, axis_name)

    def g_loss(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The generator's loss on as many examples as the batch has."""
        fake, collections = self.generate(g_params, g, batch, key, axis_name)
        loss, aux = self.g_loss_given_fake(g_params, g, d, fake, batch, key, axis_name)
        memory = aux.collections.get(OBJECTIVE, {})
        return loss, aux._replace(collections=remember(collections, memory))


class Wrapper(Sampled):
    """An objective with something added: by itself, nothing. A subclass overrides what it changes,
    and calls `self.objective` for the rest."""

    objective: Any
    """Another `Sampled` one."""

    @property
    def ema(self) -> EMA | None:
        return self.objective.ema

    @property
    def loss(self) -> Loss:
        return self.objective.loss

    @property
    def latent_dim(self) -> int:
        return self.objective.latent_dim

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of both networks."""
        return self.objective.init(
            key, generator=generator, discriminator=discriminator, batch=batch
        )

    def generate(self, *arguments: Any, **options: Any) -> tuple[Array, dict[str, PyTree]]:
        return self.objective.generate(*arguments, **options)

    def d_loss_given_fake(self, *arguments: Any, **options: Any) -> tuple[Scalar, Aux]:
        return self.objective.d_loss_given_fake(*arguments, **options)

    def g_loss_given_fake(self, *arguments: Any, **options: Any) -> tuple[Scalar, Aux]:
        return self.objective.g_loss_given_fake(*arguments, **options)
