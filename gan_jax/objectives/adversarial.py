"""From noise to data: the losses of Goodfellow et al., "Generative Adversarial Nets", 2014."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Key, PyTree

from gan_jax import parallel
from gan_jax.conditioning import told
from gan_jax.ema import EMA
from gan_jax.losses import Loss
from gan_jax.objectives.critic import Discriminator
from gan_jax.objectives.discrimination import (
    discriminate,
    first_memory,
    settled,
    takes_examples_apart,
)
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.objectives.sampled import Sampled
from gan_jax.objectives.streams import AUGMENTATION, NETWORK
from gan_jax.schedules import Scheduled
from gan_jax.state import OBJECTIVE, TrainState, remember


class Adversarial(Sampled):
    """A loss for each of two networks, and penalties on the discriminator.

    Latents are standard normal, drawn afresh in every update of either player. For a conditional
    model the batch's labels, or conditions, condition the generated examples too, index by index.

    Raises:
        TypeError: a loss that is none.
        ValueError (when traced): a generator whose examples have not the shape of real ones, or a
            penalty on a discriminator with batch norm, whose input gradients are not per example.
    """

    loss: Loss = struct.field(pytree_node=False)
    latent_dim: int = struct.field(pytree_node=False)
    regularizers: tuple[Any, ...] = ()
    """Each a `Regularizer`: penalties of `gan_jax.regularizers`, or any function of
    `(critic, real, fake, key)`."""
    label_smoothing: Scheduled | None = None
    """One-sided: how far the discriminator's target for real examples lies below 1."""
    ema: EMA | None = EMA()
    """The moving average of the generator."""
    augmentation: Callable[..., Array] | None = None
    """Of all that the discriminator judges, in the updates of both players. Penalties still take
    their gradients with respect to the examples themselves."""
    together: bool = struct.field(pytree_node=False, default=True)
    """Let the discriminator judge real and generated examples in one batch, where nothing else
    speaks against it: penalties, or collections (other than spectral norm's) that may hold
    statistics. False is for discriminators that compare the examples of a batch without keeping
    anything, as by minibatch standard deviation."""

    def __post_init__(self):
        object.__setattr__(self, "regularizers", settled(self.loss, self.regularizers))

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of both networks."""
        d_key, g_key = jax.random.split(key)
        real, label = batch["real"][:1], told(batch)
        label = None if label is None else label[:1]
        z = jnp.zeros((1, self.latent_dim), jnp.float32)
        d_variables = discriminator.init(d_key, real, label, train=True)
        g_variables = generator.init(g_key, z, label, train=True)
        return remember(d_variables, first_memory(self.regularizers)), g_variables

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
        z = parallel.per_example(
            lambda k: jax.random.normal(k, (self.latent_dim,)), key, len(batch["real"]), axis_name
        )
        fake, collections = g.apply(
            g_params, z, told(batch),
            train=True, axis_name=axis_name, key=jax.random.fold_in(key, NETWORK), **options,
        )  # fmt: skip
        if fake.shape != batch["real"].shape:
            made, real = (list(x.shape[1:]) for x in (fake, batch["real"]))
            raise ValueError(f"the generator makes examples of {made}, the batch's are of {real}")
        return fake, collections

    def d_loss_given_fake(
        self,
        d_params: PyTree,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss and penalties on real examples and these generated ones."""
        real = batch["real"]
        discriminator = self._discriminator(d, d_params, batch, key, axis_name)
        smoothing = (
            {} if self.label_smoothing is None else {"label_smoothing": self.label_smoothing}
        )
        judgment = discriminate(
            discriminator,
            real,
            fake,
            key,
            loss=self.loss,
            regularizers=self.regularizers,
            memory=d.collections.get(OBJECTIVE, {}),
            step=d.step,
            together=self.together and self.augmentation is None and takes_examples_apart(d),
            axis_name=axis_name,
            **smoothing,
        )
        collections = lax.stop_gradient(remember(discriminator.collections, judgment.memory))
        outputs = {"real": judgment.real, "fake": judgment.fake} | _classes(discriminator.classes)
        return judgment.loss, Aux(collections, judgment.metrics, outputs)

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
        """The generator's loss. The discriminator sees its batches as in training (batch statistics
        of the batch at hand), but what it would remember of them is dropped."""
        discriminator = self._discriminator(d, d.params, batch, key, axis_name)
        fake_logits = discriminator.logits(fake)
        classes = _classes(discriminator.classes)
        real_logits = parallel.gather(discriminator.logits(batch["real"]), axis_name)
        fake_logits = parallel.gather(fake_logits, axis_name)
        loss = self.loss.generator(real_logits, fake_logits)
        outputs = {"real": real_logits, "fake": fake_logits}
        return loss, Aux({}, {"loss": loss}, outputs | classes)

    def _discriminator(
        self,
        d: TrainState,
        d_params: PyTree,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> Discriminator:
        key = jax.random.fold_in(key, AUGMENTATION)
        return Discriminator(d, d_params, told(batch), self.augmentation, key, axis_name)


def _classes(batches: list[Array]) -> dict[str, Array]:
    return {"classes": jnp.concatenate(batches)} if batches else {}
