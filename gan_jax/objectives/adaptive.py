"""Adaptive augmentation: as much of it as the discriminator overfits."""

from typing import Any

from jax import lax
from jaxtyping import Array, Key, PyTree

from gan_jax import parallel
from gan_jax.augment import AdaptiveProbability, Controllable
from gan_jax.objectives.adversarial import Adversarial
from gan_jax.objectives.protocols import Aux, Batch, Scalar
from gan_jax.objectives.sampled import Wrapper
from gan_jax.state import OBJECTIVE, TrainState, remember


class AdaptiveAugmentation(Wrapper):
    """Controls the probability of an `Adversarial` objective's augmentation, in the updates of both
    players. The discriminator's state remembers it.

    Source: Karras et al., "Training Generative Adversarial Networks with Limited Data", 2020.

    Raises:
        ValueError: the objective has no augmentation with a probability, or a loss for which the
            level of a logit means nothing.
    """

    objective: Adversarial
    control: AdaptiveProbability = AdaptiveProbability()

    def __post_init__(self):
        if not isinstance(self.objective.augmentation, Controllable):
            raise ValueError("an adaptive probability needs an augmentation that has one")
        if self.objective.loss.threshold is None:
            raise ValueError(
                "an adaptive augmentation goes by the sign of real examples' logits, which means "
                "nothing for relativistic and Wasserstein losses: schedule its probability instead"
            )

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of both networks, and the probability's beginning."""
        d_variables, g_variables = self.objective.init(
            key, generator=generator, discriminator=discriminator, batch=batch
        )
        return remember(d_variables, {"augmentation": self.control.initial()}), g_variables

    def d_loss_given_fake(
        self,
        d_params: PyTree,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss under the augmentation as it is now, and what follows for it
        from the logits of real examples."""
        objective, undecided = self._at_present(d), self.objective.loss.threshold
        assert undecided is not None
        loss, aux = objective.d_loss_given_fake(d_params, d, fake, batch, key, axis_name)
        memory = self.control.update(
            d.collections[OBJECTIVE]["augmentation"],
            aux.outputs["real"] - undecided,
            len(batch["real"]) * parallel.size(axis_name),
        )
        memory = lax.stop_gradient(memory)
        return loss, aux._replace(
            collections=remember(aux.collections, {"augmentation": memory}),
            metrics=aux.metrics | {"augmentation": memory["probability"]},
        )

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
        """The generator's loss under the augmentation as it is now."""
        return self._at_present(d).g_loss_given_fake(g_params, g, d, fake, batch, key, axis_name)

    def _at_present(self, d: TrainState) -> Adversarial:
        probability = d.collections[OBJECTIVE]["augmentation"]["probability"]
        augmentation = self.objective.augmentation
        assert isinstance(augmentation, Controllable)
        return self.objective.replace(augmentation=augmentation.with_probability(probability))
