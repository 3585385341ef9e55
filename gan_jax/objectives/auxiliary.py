"""AC-GAN's auxiliary classifier."""

import jax.numpy as jnp
from jaxtyping import Array, Key, PyTree

from gan_jax.losses import class_loss
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.objectives.sampled import Wrapper
from gan_jax.schedules import Scheduled
from gan_jax.state import TrainState


class AuxiliaryClassifier(Wrapper):
    """Adds the classification of real and generated examples to both losses. It is for
    discriminators that return class logits [B, classes] beside the logits.

    The discriminator's is the mean over real and generated examples: half of the paper's L_C, which
    is the sum of both kinds' means. A `weight` of 2 is the paper's.

    Source: Odena et al., "Conditional Image Synthesis with Auxiliary Classifier GANs", 2017.

    Raises (when traced):
        ValueError: the discriminator does not classify, or there are no labels.
    """

    weight: Scheduled = 1.0

    def d_loss_given_fake(
        self,
        d_params: PyTree,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss, and how well it classifies both kinds of examples."""
        loss, aux = self.objective.d_loss_given_fake(d_params, d, fake, batch, key, axis_name)
        return self._with_classes(loss, aux, batch)

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
        """The generator's loss, and how well its examples are classified."""
        loss, aux = self.objective.g_loss_given_fake(g_params, g, d, fake, batch, key, axis_name)
        return self._with_classes(loss, aux, batch)

    def _with_classes(self, loss: Scalar, aux: Aux, batch: Batch) -> tuple[Scalar, Aux]:
        if "label" not in batch:
            raise ValueError("an auxiliary classifier's loss needs labels in the batch")
        if "classes" not in aux.outputs:
            raise ValueError(
                "an auxiliary classifier's loss needs a discriminator that returns class logits"
            )
        classes = aux.outputs["classes"]
        label = batch["label"]
        value = class_loss(classes, jnp.tile(label, len(classes) // len(label)))
        metrics = aux.metrics | {"class_loss": value}
        return loss + self.weight * value, aux._replace(metrics=metrics)
