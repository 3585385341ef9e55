"""From noise to data: the adversarial game of Goodfellow et al., 2014."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import struct
from jax import lax
from jaxtyping import Array, Float, Key, PyTree

from gan_jax import parallel
from gan_jax.ema import EMA
from gan_jax.losses import Loss, class_loss
from gan_jax.objectives.base import Aux
from gan_jax.state import OBJECTIVE, TrainState

Batch = dict[str, Array]
Scalar = Float[Array, ""]

# Streams of a key whose examples have keys of their own: beyond any example's index.
_NETWORK, _AUGMENTATION, _UNROLLING, _PATHS = range(2**32 - 1, 2**32 - 5, -1)


class Adversarial(struct.PyTreeNode):
    """Two players, a loss for each, and penalties on the discriminator.

    Latents are standard normal, drawn afresh in every update of either player. For a conditional
    model the batch's labels condition the generated examples too, index by index.

    A regulariser that remembers something (it has a method `initial`) is called with its memory as
    a fifth argument, and returns it after the scalar. What is remembered is kept in the states.

    Raises (when traced):
        ValueError: a penalty on a discriminator with batch norm, whose input gradients are not per
            example; an adaptive probability without an augmentation that has one, or with a loss
            for which the level of a logit means nothing; an auxiliary classifier's loss for a
            discriminator that does not classify.
    """

    loss: Loss = struct.field(pytree_node=False)
    latent_dim: int = struct.field(pytree_node=False)
    regularizers: tuple[Callable[..., Scalar], ...] = ()
    label_smoothing: float | Scalar | None = None
    """One-sided: how far the discriminator's target for real examples lies below 1."""
    ema: EMA | None = EMA()
    augmentation: Callable[..., Array] | None = None
    """Of all that the discriminator judges, in the updates of both players. Penalties still take
    their gradients with respect to the examples themselves."""
    adaptive: Any = None
    """Controls the augmentation's probability, such as `augment.AdaptiveProbability`."""
    auxiliary: float | Scalar | None = None
    """Weight of the classification of real and generated examples (AC-GAN), for discriminators that
    return class logits [B, classes] beside the logits."""
    path_length: Any = None
    """A `PathLength` penalty on the generator, for networks that take a `style_offset`."""
    style_shape: tuple[int, ...] = struct.field(pytree_node=False, default=())
    """Of one example's offset, for that: (layers, features)."""
    path_length_every: int = struct.field(pytree_node=False, default=1)
    """Apply it in every so manieth generator update, that much stronger."""
    unroll: int = struct.field(pytree_node=False, default=0)
    """The generator faces the discriminator as it would be this many updates ahead, and
    differentiates through them (Metz et al., "Unrolled Generative Adversarial Networks", 2017,
    eq. 5). They are on the batch at hand, and by the discriminator's own optimiser, which must be
    differentiable at zero gradients: Adam needs an `eps_root` above 0."""
    together: bool = struct.field(pytree_node=False, default=True)
    """Let the discriminator judge real and generated examples in one batch, where nothing else
    speaks against it: penalties, or collections (other than spectral norm's) that may hold
    statistics. False is for discriminators that compare the examples of a batch without keeping
    anything, as by minibatch standard deviation."""

    def __post_init__(self):
        # A function is a leaf, and no array; Partial makes it a pytree without leaves.
        regularizers = tuple(
            jax.tree_util.Partial(r) if callable(r) and jax.tree_util.all_leaves([r]) else r
            for r in self.regularizers
        )
        object.__setattr__(self, "regularizers", regularizers)

    def init(
        self, key: Key[Array, ""], *, generator: Any, discriminator: Any, batch: Batch
    ) -> tuple[dict[str, PyTree], dict[str, PyTree]]:
        """Initial variables of both networks."""
        d_key, g_key = jax.random.split(key)
        real, label = batch["real"][:1], batch.get("label")
        label = None if label is None else label[:1]
        z = jnp.zeros((1, self.latent_dim), jnp.float32)
        d_variables = discriminator.init(d_key, real, label, train=True)
        g_variables = generator.init(g_key, z, label, train=True)
        d_memory = {
            str(i): regularizer.initial()
            for i, regularizer in enumerate(self.regularizers)
            if hasattr(regularizer, "initial")
        }
        if self.adaptive is not None:
            d_memory["augmentation"] = self.adaptive.initial()
        g_memory = {} if self.path_length is None else {"path_length": jnp.zeros(())}
        return (
            d_variables | ({OBJECTIVE: d_memory} if d_memory else {}),
            g_variables | ({OBJECTIVE: g_memory} if g_memory else {}),
        )

    def d_loss(
        self,
        d_params: PyTree,
        d: TrainState,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss and penalties on real examples and as many generated ones."""
        self._check(d)
        fake_key, penalty_key = jax.random.split(key)
        fake, _ = self._generate(g.params, g, batch, fake_key, axis_name)
        return self._d_loss(d_params, d, lax.stop_gradient(fake), batch, penalty_key, axis_name)

    def g_loss(
        self,
        g_params: PyTree,
        g: TrainState,
        d: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None = None,
    ) -> tuple[Scalar, Aux]:
        """The generator's loss. The discriminator sees its batches as in training (batch statistics
        of the batch at hand), but what it would remember of them is dropped."""
        fake, collections = self._generate(g_params, g, batch, key, axis_name)
        for i in range(self.unroll):
            unrolling = jax.random.fold_in(jax.random.fold_in(key, _UNROLLING), i)
            d = self._unrolled(d, fake, batch, unrolling, axis_name)
        critic = self._critic(d, d.params, batch, jax.random.fold_in(key, _AUGMENTATION), axis_name)
        fake_logits, real_logits = critic.logits(fake), critic.logits(batch["real"])
        loss = self.loss.generator(
            parallel.gather(real_logits, axis_name), parallel.gather(fake_logits, axis_name)
        )
        metrics = {"loss": loss}
        if self.auxiliary is not None:
            metrics["class_loss"] = critic.class_loss(of=1)  # the generated ones, judged first
            loss = loss + self.auxiliary * metrics["class_loss"]
        if self.path_length is not None:
            penalty, memory = self._path_penalty(g_params, g, batch, key, axis_name)
            metrics["penalty"] = penalty
            loss, collections = loss + penalty, collections | {OBJECTIVE: memory}
        return loss, Aux(collections, metrics)

    def _check(self, d: TrainState) -> None:
        apart = any(getattr(r, "examples_apart", True) for r in self.regularizers)
        if apart and "batch_stats" in d.collections:
            raise ValueError(
                "penalties need a discriminator without batch norm: with it, logit and gradient "
                "at one example depend on the others (use norm='none' or 'spectral')"
            )
        if self.adaptive is not None and not hasattr(self.augmentation, "probability"):
            raise ValueError("an adaptive probability needs an augmentation that has one")
        if self.adaptive is not None and self.loss.threshold is None:
            raise ValueError(
                "an adaptive augmentation goes by the sign of real examples' logits, which means "
                "nothing for relativistic and Wasserstein losses: schedule its probability instead"
            )

    def _d_loss(
        self,
        d_params: PyTree,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> tuple[Scalar, Aux]:
        """The discriminator's loss where the generated examples are these."""
        real = batch["real"]
        critic = self._critic(d, d_params, batch, jax.random.fold_in(key, _AUGMENTATION), axis_name)
        together = self.together and d.collections.keys() <= {"spectral", OBJECTIVE}
        if together and not self.regularizers and self.augmentation is None:
            real_logits, fake_logits = critic.judge_together(real, fake)
        else:
            real_logits, fake_logits = critic.judge(real), critic.judge(fake)

        real_logits = parallel.gather(real_logits, axis_name)
        fake_logits = parallel.gather(fake_logits, axis_name)
        smoothing = (
            {} if self.label_smoothing is None else {"label_smoothing": self.label_smoothing}
        )
        loss = self.loss.discriminator(real_logits, fake_logits, **smoothing)
        metrics = {"loss": loss, **_judgement(self.loss, real_logits, fake_logits)}
        if self.auxiliary is not None:
            metrics["class_loss"] = critic.class_loss()
            loss = loss + self.auxiliary * metrics["class_loss"]

        memory = dict(d.collections.get(OBJECTIVE, {}))
        for i, regularizer in enumerate(self.regularizers):
            arguments = (critic, real, fake, jax.random.fold_in(key, i))
            if str(i) in memory:
                penalty, memory[str(i)] = regularizer(*arguments, memory[str(i)])
            else:
                penalty = regularizer(*arguments)
            metrics["penalty"] = metrics.get("penalty", 0.0) + penalty
            loss = loss + penalty
        if self.adaptive is not None:
            margins = real_logits - self.loss.threshold
            memory["augmentation"] = self.adaptive.update(
                memory["augmentation"], margins, len(real) * parallel.size(axis_name)
            )
            metrics["augmentation"] = memory["augmentation"]["probability"]
        collections = critic.collections | ({OBJECTIVE: memory} if memory else {})
        return loss, Aux(lax.stop_gradient(collections), metrics)

    def _critic(
        self,
        d: TrainState,
        d_params: PyTree,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> "_Critic":
        augmentation = self.augmentation
        if self.adaptive is not None:
            probability = d.collections[OBJECTIVE]["augmentation"]["probability"]
            augmentation = augmentation.replace(probability=probability)
        return _Critic(d, d_params, batch.get("label"), augmentation, key, axis_name)

    def _generate(
        self,
        g_params: PyTree,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
        **options: Any,
    ) -> tuple[Array, dict[str, PyTree]]:
        n = batch["real"].shape[0]
        z = parallel.per_example(
            lambda k: jax.random.normal(k, (self.latent_dim,)), key, n, axis_name
        )
        network_key = jax.random.fold_in(key, _NETWORK)
        return g.apply(
            g_params, z, batch.get("label"),
            train=True, axis_name=axis_name, key=network_key, **options,
        )  # fmt: skip

    def _unrolled(
        self,
        d: TrainState,
        fake: Array,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> TrainState:
        """The discriminator after one more update, as a differentiable function of `fake`."""
        gradients, aux = jax.grad(self._d_loss, has_aux=True)(
            d.params, d, fake, batch, key, axis_name
        )
        gradients, collections = parallel.mean((gradients, aux.collections), axis_name)
        return d.updated(gradients, collections)

    def _path_penalty(
        self,
        g_params: PyTree,
        g: TrainState,
        batch: Batch,
        key: Key[Array, ""],
        axis_name: str | None,
    ) -> tuple[Scalar, dict[str, PyTree]]:
        key, direction_key = jax.random.split(jax.random.fold_in(key, _PATHS))
        shape, every = (len(batch["real"]), *self.style_shape), self.path_length_every

        def pictures(style_offset: Array) -> Array:
            return self._generate(g_params, g, batch, key, axis_name, style_offset=style_offset)[0]

        def penalize(mean: Scalar) -> tuple[Scalar, Scalar]:
            penalty, mean = self.path_length(pictures, shape, direction_key, mean, axis_name)
            return every * penalty, mean

        mean = g.collections[OBJECTIVE]["path_length"]
        if every == 1:
            penalty, mean = penalize(mean)
        else:
            due = g.step % every == 0
            idle = parallel.varying(jnp.zeros(()), axis_name)
            penalty, mean = lax.cond(due, penalize, lambda mean: (idle, mean), mean)
        return penalty, {"path_length": lax.stop_gradient(mean)}


class _Critic:
    """The discriminator in one update of either player, as a function of its input alone.

    It first judges the examples at hand, as in training; penalties then see it with its collections
    held fixed. What they most often ask for, its logits and input gradients at those same examples,
    comes from the pass that judged them: then one backward pass serves both the loss and the
    penalty.

    What it is shown is augmented first, anew each time; gradients are with respect to what it was
    shown.
    """

    def __init__(
        self,
        d: TrainState,
        params: PyTree,
        label: Array | None,
        augmentation: Callable[..., Array] | None,
        key: Key[Array, ""],
        axis_name: str | None,
    ):
        self.axis_name = axis_name
        self.step = d.step
        self._d, self._params, self._label = d, params, label
        self._augmentation, self._key, self._shown = augmentation, key, 0
        self._judged: list[tuple[Array, Array, Callable[..., tuple[Array]]]] = []
        self._class_logits: list[Array] = []

    @property
    def collections(self) -> dict[str, PyTree]:
        """The discriminator's, after what it has judged."""
        return self._d.collections

    def judge(self, x: Array) -> Float[Array, " b"]:
        """Logits of examples in a batch of their own."""
        logits, pull_back, (classes, collections) = jax.vjp(self._apply, x, has_aux=True)
        self._d = self._d.replace(collections=collections)
        self._judged.append((x, logits, lambda: pull_back(jnp.ones_like(logits))))
        self._class_logits.append(classes)
        return logits

    def judge_together(self, real: Array, fake: Array) -> tuple[Array, Array]:
        """Logits of both, in one batch: half as many, larger products. For discriminators that
        treat examples apart."""
        logits, (classes, collections) = self._apply(jnp.concatenate([real, fake]))
        self._d = self._d.replace(collections=collections)
        self._class_logits.append(classes)
        return tuple(jnp.split(logits, 2))

    def logits(self, x: Array) -> Float[Array, " b"]:
        """As in training, without keeping anything of it."""
        logits, (classes, _) = self._apply(x)
        self._class_logits.append(classes)
        return logits

    def class_loss(self, of: int | None = None) -> Scalar:
        """Of the examples judged so far, or of the first `of` batches."""
        classes = self._class_logits[:of]
        if classes[0] is None:
            raise ValueError(
                "an auxiliary classifier's loss needs a discriminator that returns class logits"
            )
        n = sum(len(c) for c in classes) // len(self._label)
        return class_loss(jnp.concatenate(classes), jnp.tile(self._label, n))

    def __call__(self, x: Array) -> Float[Array, " b"]:
        return self._apply(x, train=False)[0]

    def known_logits(self, x: Array) -> Array | None:
        """Its logits, if it has judged these examples."""
        return next((logits for judged, logits, _ in self._judged if x is judged), None)

    def known_gradients(self, x: Array) -> Array | None:
        """∇ₓ of the sum of logits, if it has judged these examples: a row for every logit."""
        for judged, logits, gradients in self._judged:
            if x is judged:
                return gradients()[0].reshape(len(logits), -1)
        return None

    def _apply(self, x: Array, *, train: bool = True):
        """Logits, and beside them class logits and collections."""
        n = len(x) // len(self._label) if self._label is not None else 1
        label = jnp.concatenate([self._label] * n) if n > 1 else self._label
        key = jax.random.fold_in(self._key, self._shown)
        self._shown += 1
        if self._augmentation is not None:
            x = self._augmentation(x, key, self.axis_name)
        network_key = jax.random.fold_in(key, _NETWORK) if train else None
        output, collections = self._d.apply(
            self._params, x, label, train=train, axis_name=self.axis_name, key=network_key
        )
        logits, classes = output if isinstance(output, tuple) else (output, None)
        return logits, (classes, collections)


def _judgement(
    loss: Loss, real_logits: Float[Array, " b"], fake_logits: Float[Array, " b"]
) -> dict[str, Scalar]:
    """How well the discriminator tells the two apart.

    `accuracy` is the share of examples on the right side of the loss's threshold; for losses
    without one, the share of pairs whose real example has the larger logit. Ties count half.
    """
    real, fake = real_logits.astype(jnp.float32), fake_logits.astype(jnp.float32)

    def share_positive(margins):
        return jnp.mean(0.5 * (1 + jnp.sign(margins)))

    metrics = {"real_logit": jnp.mean(real), "fake_logit": jnp.mean(fake)}
    if loss.threshold is None:
        return metrics | {"accuracy": share_positive(real - fake)}
    on_real = share_positive(real - loss.threshold)
    on_fake = share_positive(loss.threshold - fake)
    return metrics | {
        "accuracy": 0.5 * (on_real + on_fake),
        "accuracy_real": on_real,
        "accuracy_fake": on_fake,
    }
