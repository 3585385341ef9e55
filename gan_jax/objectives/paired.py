"""From inputs to the targets that belong to them: pix2pix, and super-resolution."""

import functools
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Key, PyTree

from gan_jax import losses, parallel
from gan_jax.ema import EMA
from gan_jax.losses import Loss
from gan_jax.metrics.perceptual import perceptual_distance
from gan_jax.nodes import Node
from gan_jax.objectives.critic import Discriminator
from gan_jax.objectives.discrimination import (
    discriminate,
    first_memory,
    settled,
    takes_examples_apart,
)
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.objectives.streams import NETWORK
from gan_jax.schedules import Scheduled
from gan_jax.state import OBJECTIVE, TrainState, remember


class Paired(Node):
    """A discriminator that tells targets from what a generator makes of their inputs, and distances
    between the two.

    With G from input to target, the generator minimises

        adversarial · loss(D(G(x))) + pixel · mean |G(x) − y| + perceptual · distance(G(x), y).

    Batches hold `input` and `target`. pix2pix's discriminator is `conditional`: it sees the input
    in front of what it judges, as further channels. Super-resolution's is not.

    Source: Isola et al., "Image-to-Image Translation with Conditional Adversarial Networks", 2017,
    eq. 4 (pixel = 100); Wang et al., "ESRGAN: Enhanced Super-Resolution Generative Adversarial
    Networks", 2018, eq. 3 (perceptual = 1, adversarial = .005, pixel = .01).

    Raises:
        TypeError: a loss that is none.
        ValueError (when traced): a penalty on a discriminator with batch norm; a conditional
            discriminator where inputs and targets have different sizes; a weight of a perceptual
            distance without `features`.
    """

    loss: Loss = struct.field(pytree_node=False, default=losses.non_saturating)
    adversarial: Scheduled | None = 1.0
    """Weight of the generator's loss. None: it learns from the distances alone, and the
    discriminator has no say."""
    pixel: Scheduled = 100.0
    """Weight of the mean absolute difference of pixels, in [−1, 1]."""
    perceptual: Scheduled | None = None
    """Weight of the difference of `features`; None: it is not computed."""
    features: Any = None
    """From images in [−1, 1] to feature maps, a tuple of [b, h, w, c]: a `jax.tree_util.Partial`,
    whose weights are leaves, or another pytree that can be called."""
    conditional: bool = struct.field(pytree_node=False, default=True)
    """Whether the discriminator sees the inputs."""
    regularizers: tuple[Any, ...] = ()
    """Penalties on the discriminator, as of `Adversarial`."""
    ema: EMA | None = EMA()
    """The moving average of the generator."""
    together: bool = struct.field(pytree_node=False, default=True)
    """Let the discriminator judge real and generated images in one batch, as of `Adversarial`."""

    def __post_init__(self):
        object.__setattr__(self, "regularizers", settled(self.loss, self.regularizers))

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of both networks."""
        d_key, g_key = jax.random.split(key)
        given, target = batch["input"][:1], batch["target"][:1]
        shown = beside(given, target) if self.conditional else target
        d_variables = discriminator.init(d_key, shown, train=True)
        g_variables = generator.init(g_key, given, train=True)
        return remember(d_variables, first_memory(self.regularizers)), g_variables

    def d_loss(
        self,
        d_params: PyTree,
        d: TrainState,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss and penalties on targets and on what is made of their inputs."""
        fake, _ = self._make(g, g.params, batch, key, axis_name)
        discriminator = self._discriminator(d, d_params, batch, key, axis_name)
        judgment = discriminate(
            discriminator,
            batch["target"],
            lax.stop_gradient(fake),
            key,
            loss=self.loss,
            regularizers=self.regularizers,
            memory=d.collections.get(OBJECTIVE, {}),
            step=d.step,
            together=self.together and takes_examples_apart(d),
            axis_name=axis_name,
        )
        collections = lax.stop_gradient(remember(discriminator.collections, judgment.memory))
        return judgment.loss, Aux(collections, judgment.metrics)

    def g_loss(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The generator's loss and its distances to the targets."""
        fake, collections = self._make(g, g_params, batch, key, axis_name)
        target = batch["target"]
        metrics = {"pixel": jnp.mean(jnp.abs(fake.astype(jnp.float32) - target))}
        total = self.pixel * metrics["pixel"]
        if self.perceptual is not None:
            if self.features is None:
                raise ValueError("a perceptual distance takes features")
            distances = perceptual_distance(self.features(fake), self.features(target))
            metrics["perceptual"] = jnp.mean(distances)
            total = total + self.perceptual * metrics["perceptual"]
        if self.adversarial is not None:
            discriminator = self._discriminator(d, d.params, batch, key, axis_name)
            real_logits, fake_logits = (
                parallel.gather(discriminator.logits(x), axis_name) for x in (target, fake)
            )
            metrics["adversarial"] = self.loss.generator(real_logits, fake_logits)
            total = total + self.adversarial * metrics["adversarial"]
        return total, Aux(collections, metrics | {"loss": total})

    def _make(
        self,
        g: TrainState,
        g_params: PyTree,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> tuple[Array, dict[str, PyTree]]:
        """What is made of the inputs, and the generator's collections after that."""
        own = jax.random.fold_in(key, NETWORK)
        return g.apply(g_params, batch["input"], train=True, axis_name=axis_name, key=own)

    def _discriminator(
        self,
        d: TrainState,
        d_params: PyTree,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> Discriminator:
        # Not by another `apply_fn`: those are remembered (`gan_jax.state.takes`), with the inputs.
        shown = functools.partial(beside, batch["input"]) if self.conditional else None
        return Discriminator(d, d_params, None, shown, key, axis_name)


def beside(given: Array, x: Array, key: Any = None, axis_name: str | None = None) -> Array:
    """Inputs and images as channels of one image; of several batches of images, each with them.
    Nothing is drawn by the key."""
    if given.shape[1:3] != x.shape[1:3]:
        raise ValueError(
            f"a conditional discriminator takes inputs of the targets' size, not {given.shape[1:3]}"
            f" and {x.shape[1:3]}"
        )
    return jnp.concatenate([jnp.tile(given, (len(x) // len(given), 1, 1, 1)), x], axis=-1)
