"""What can be measured of two networks at one moment, to tell how their training goes.

The steps measure what they see of one batch each; here both networks face the same examples at
every check: `seen` ones that the discriminator trains on, `held_out` ones that it never sees, and
as many generated ones. Nothing depends on the level of a logit, which means nothing to relativistic
and Wasserstein critics: only on which of two logits is the larger.

`compare` takes generated examples, wherever they come from; `measure` is for generators that make
them of noise.
"""

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import struct
from jax.tree_util import Partial
from jaxtyping import Array, Float, Key, Shaped

from gan_jax import sampling
from gan_jax.critic import of_examples
from gan_jax.losses import Loss
from gan_jax.metrics.frechet import Gaussian, fit, frechet_distance
from gan_jax.metrics.pixels import Components, principal_components
from gan_jax.state import TrainState

EXAMPLES = 512  # of each kind
BINS = 20
SAMPLE = 2048  # real examples that the reference is made of
_NEAR = 0.25  # of the median distance between neighbours
_RARE = 0.1  # of the share that real examples have

Examples = Float[Array, "n ..."]
Condition = Shaped[Array, "n ..."]
"""What networks are told of each example: its class, or for pairs the input that it belongs to."""
Logits = Float[Array, " n"]
Judge = Callable[[Examples, Condition | None], Logits]
"""From examples, and what is known of each, to the discriminator's logits."""


class Reference(struct.PyTreeNode):
    """Real examples that the networks are measured against, and what is known of them."""

    seen: Examples
    seen_condition: Condition | None
    held_out: Float[Array, "m ..."] | None
    held_out_condition: Shaped[Array, "m ..."] | None
    bins: Float[Array, "k d"]
    """Centers of clusters of the real features."""
    shares: Float[Array, " k"]
    """Of real examples in each cluster."""
    reaches: Float[Array, " k"]
    """How far from its center a generated example may lie to stand for a cluster."""
    neighbor: Float[Array, ""]
    """Median distance from a real example to the nearest of the first ones, in features."""
    spread: Float[Array, ""]
    """Root mean square distance of real examples from their mean, as the networks see them."""
    features: Callable[[Array], Array]
    """From examples as the networks see them to features [n, d]."""


class Target(NamedTuple):
    """The features of real examples, on the host."""

    gaussian: Gaussian
    floor: float
    """`distance` of other real examples, as many as are generated: nothing is nearer."""


class Moments(NamedTuple):
    """Of the features of samples from the moving average."""

    mean: Float[Array, " d"]
    covariance: Float[Array, "d d"]


class Measured(NamedTuple):
    """What `compare` and `measure` give, on the device."""

    scalars: dict[str, Float[Array, ""]]
    counts: Float[Array, " k"]
    """Of generated examples that stand for each bin: one may stand for several."""
    moments: Moments


def features_of(real: np.ndarray) -> Callable[[Array], Array]:
    """From examples as the networks see them to features: points as they are, images by their
    principal components in these real ones, uint8 [n, h, w, c]. It is a pytree."""
    if real.ndim == 2:
        return Partial(_as_they_are)
    return Partial(_components, principal_components(real[:SAMPLE]))


def _as_they_are(x: Any) -> Any:
    return x


def _components(components: Components, x: Any) -> Array:
    return components((x + 1) * 127.5)


def make_reference(
    seen: np.ndarray,
    seen_condition: np.ndarray | None,
    held_out: np.ndarray | None,
    held_out_condition: np.ndarray | None,
    features: Callable[[Any], Array],
    *,
    examples: int = EXAMPLES,
) -> tuple[Reference, Target]:
    """From real examples as the networks see them, [n, …], the more the better up to 2,048, and
    what is known of each.

    Of the seen ones the first `examples` are shown to the discriminator at every check.
    """
    from scipy.cluster.vq import kmeans2

    both = seen if held_out is None else np.concatenate([seen[:SAMPLE], held_out])
    both = both[:SAMPLE]
    parts = [both[i : i + EXAMPLES] for i in range(0, len(both), EXAMPLES)]
    real = np.concatenate([np.asarray(features(part)) for part in parts]).astype(np.float64)
    k = min(BINS, len(real) // 10 + 1, len(np.unique(real, axis=0)))
    bins, members = kmeans2(real, k, seed=0, minit="++")  # pyright: ignore[reportCallIssue]
    shares = np.bincount(members, minlength=k) / len(real)
    reaches = np.array([_reach(real[members == i] - bins[i]) for i in range(k)])
    bins, shares, reaches = (x[shares > 0] for x in (bins, shares, reaches))
    first, rest = real[:examples], real[examples:]
    gaussian = fit(real)
    floor = 0.0
    if len(rest) >= examples:
        floor = _relative_distance(gaussian, fit(rest[:examples]))
    flat = both.reshape(len(both), -1)
    reference = Reference(
        seen=first_of(seen, examples),
        seen_condition=None if seen_condition is None else first_of(seen_condition, examples),
        held_out=None if held_out is None else first_of(held_out, examples),
        held_out_condition=(
            None if held_out_condition is None else first_of(held_out_condition, examples)
        ),
        bins=jnp.asarray(bins, jnp.float32),
        shares=jnp.asarray(shares, jnp.float32),
        reaches=jnp.asarray(reaches, jnp.float32),
        neighbor=jnp.median(_nearest_distances(jnp.asarray(first, jnp.float32))),
        spread=jnp.sqrt(jnp.asarray(flat.var(axis=0).sum(), jnp.float32)),
        features=features if isinstance(features, Partial) else Partial(features),
    )
    return reference, Target(gaussian, floor)


def _reach(deviations: Float[np.ndarray, "n d"]) -> float:
    """The root mean square distance from a cluster's center, and in few dimensions, where the
    distances vary much, more: a factor of 1 + 2/dimensions, these counted by participation."""
    if len(deviations) < 2:
        return 0.0
    spectrum = np.linalg.eigvalsh(deviations.T @ deviations / len(deviations))
    dimensions = spectrum.sum() ** 2 / max((spectrum**2).sum(), 1e-30)
    return float(np.sqrt(spectrum.sum()) * (1 + 2 / max(dimensions, 1)))


def first_of(x: np.ndarray, examples: int) -> Array:
    """The first of them, over and over if there are not as many."""
    return jnp.asarray(np.resize(x, (examples, *x.shape[1:])))


def compare(
    reference: Reference,
    fake: Examples,
    averaged: Examples | None,
    *,
    judge: Judge,
    generator_loss: Callable[[Logits, Logits], Float[Array, ""]],
) -> Measured:
    """Generated examples against the reference, of which they are as many.

    `fake` are made by the parameters under training, and `averaged` by their moving average, if
    there is one; both for the conditions of `reference.seen`. `generator_loss` is of real and
    generated logits. The scalars are

    - `auc`: the probability that the discriminator rates a real example above a generated one.
      ½ is chance, 1 perfect. (Ties count half, here and below.)
    - `auc_held_out`: the same for real examples that it never trained on.
    - `recognition`: the probability that it rates a real example it trained on above one that it
      did not. ½, unless it knows its training examples by heart.
    - `feedback`: how far the generator's loss of one example would fall along its gradient with
      respect to the example, over the distance of a typical real example from the mean. 0 when the
      discriminator tells the generator nothing.
    - `diversity`: standard deviation of generated features over that of real ones, all directions
      together.
    - `missing`: the share of real examples in those clusters of the reference in which, or within
      whose reach, the generator puts less than a tenth of what belongs there.
    - `duplicates`: the share of generated examples that have another one nearer than a quarter of
      the distance at which real ones have a neighbor.

    `missing` counts cluster by cluster as Richardson and Weiss, "On GANs and GMMs", 2018, do.
    """
    n = len(reference.seen)
    condition = reference.seen_condition
    real_logits = judge(reference.seen, condition)

    def g_loss(x: Array) -> tuple[Array, Array]:
        logits = judge(x, condition)
        return n * generator_loss(real_logits, logits), logits

    gradients, fake_logits = jax.grad(g_loss, has_aux=True)(fake)
    steepness = jnp.linalg.norm(gradients.reshape(n, -1).astype(jnp.float32), axis=1)
    features = reference.features(fake)
    distances = jnp.sqrt(_squared_distances(features, reference.bins))
    nearest = jax.nn.one_hot(jnp.argmin(distances, axis=1), len(reference.bins))
    standing = jnp.maximum(nearest, distances <= reference.reaches)
    rare = jnp.mean(standing, axis=0) < _RARE * reference.shares
    scalars = {
        "auc": _auc(real_logits, fake_logits),
        "feedback": jnp.mean(steepness) * reference.spread,
        "diversity": jnp.sqrt(_variance(features) / _variance(reference.features(reference.seen))),
        "missing": jnp.sum(jnp.where(rare, reference.shares, 0.0)),
        "duplicates": jnp.mean(_nearest_distances(features) < _NEAR * reference.neighbor),
    }
    if reference.held_out is not None:
        held_out_logits = judge(reference.held_out, reference.held_out_condition)
        scalars["auc_held_out"] = _auc(held_out_logits, fake_logits)
        scalars["recognition"] = _auc(real_logits, held_out_logits)
    shown = features if averaged is None else reference.features(averaged)
    center = jnp.mean(shown, axis=0)
    covariance = (shown - center).T @ (shown - center) / (n - 1)
    return Measured(scalars, jnp.sum(standing, axis=0), Moments(center, covariance))


@functools.partial(jax.jit, static_argnames=("loss", "latent_dim"))
def measure(
    d: TrainState,
    g: TrainState,
    reference: Reference,
    key: Key[Array, ""],
    *,
    loss: Loss,
    latent_dim: int,
) -> Measured:
    """A generator of noise and its discriminator against the reference: see `compare`."""
    z = sampling.latents(key, len(reference.seen), latent_dim)
    condition = reference.seen_condition
    # As in training: the discriminator has batch statistics of one kind of example.
    fake, _ = g.apply(g.params, z, condition, train=True)
    averaged = None if g.ema_params is None else sampling.generate(g, z, condition)
    judge = functools.partial(judge_by, d)
    measured = compare(reference, fake, averaged, judge=judge, generator_loss=loss.generator)
    return measured._replace(scalars=measured.scalars | drift(g))


def drift(g: TrainState) -> dict[str, Float[Array, ""]]:
    """The distance between a generator's parameters and their moving average, relative to the
    former's norm, under the name `drift`; nothing where there is no average."""
    if g.ema_params is None:
        return {}
    gap = jax.tree.map(jnp.subtract, g.params, g.ema_params)
    return {"drift": optax.tree.norm(gap) / optax.tree.norm(g.params)}


def assess(
    g: TrainState,
    reference: Reference,
    inputs: Array,
    *,
    judge: Judge,
    loss: Loss,
    **options: Any,
) -> Measured:
    """A generator that makes its examples of `inputs`, as many as there are seen ones, against the
    reference: see `compare`. Its network takes the `options`."""
    fake, _ = g.apply(g.params, inputs, train=True, **options)
    averaged = None
    if g.ema_params is not None:
        averaging = g.averaged()
        averaged, _ = averaging.apply(averaging.params, inputs, train=False, **options)
    measured = compare(reference, fake, averaged, judge=judge, generator_loss=loss.generator)
    return measured._replace(scalars=measured.scalars | drift(g))


def judge_by(d: TrainState, x: Array, condition: Array | None, **options: Any) -> Logits:
    """The logits of a discriminator, as in training. Its network takes the `options`."""
    output, _ = d.apply(d.params, x, condition, train=True, **options)
    logits = output[0] if isinstance(output, tuple) else output  # beside them, classes
    return of_examples(logits).astype(jnp.float32)


def finish(
    measured: Measured, target: Target, before: list[float] | None
) -> tuple[dict[str, float], list[float]]:
    """All signals as numbers, and the generator's share of each bin.

    Beside those of `compare`, and `drift`:

    - `distance`: Fréchet distance between the features of real examples and of samples from the
      moving average, over the variance of the real ones; what other real examples would have is
      taken off. 0 is perfect, 1 is as far as one single sample at the mean.
    - `movement`: total variation between the bins' shares now and at the check `before`: 0 if the
      generator makes what it made then, 1 if it makes nothing of it any more.
    """
    signals = {name: float(value) for name, value in measured.scalars.items()}
    counts = np.asarray(measured.counts, np.float64)
    shares = (counts / counts.sum()).round(6).tolist()
    mean, covariance = (np.asarray(x, np.float64) for x in measured.moments)
    if np.isfinite(mean).all() and np.isfinite(covariance).all():
        fake = Gaussian(mean, covariance, EXAMPLES)
        # Several threads would wait for cores that train at this moment.
        with _blas().limit(limits=1):
            signals["distance"] = _relative_distance(target.gaussian, fake) - target.floor
    else:
        signals["distance"] = float("nan")
    if before is not None:
        signals["movement"] = 0.5 * float(np.abs(np.subtract(shares, before)).sum())
    return signals, shares


@functools.cache
def _blas() -> Any:
    """NumPy's linear algebra, whose number of threads can be limited."""
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController().select(user_api="blas")


def _relative_distance(real: Gaussian, fake: Gaussian) -> float:
    return frechet_distance(real, fake, warn=False) / float(np.trace(real.covariance))


def _auc(above: Logits, below: Logits) -> Float[Array, ""]:
    """Mann and Whitney's U over the number of pairs: the area under the ROC curve."""
    return jnp.mean(0.5 * (1 + jnp.sign(above[:, None] - below[None, :])))


def _variance(features: Float[Array, "n d"]) -> Float[Array, ""]:
    return jnp.sum(jnp.var(features, axis=0))


def _squared_distances(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> Float[Array, "n m"]:
    center = jnp.mean(b, axis=0)  # keeps the squares small, and with them their rounding
    a, b = a - center, b - center
    squares = jnp.sum(a**2, axis=1)[:, None] + jnp.sum(b**2, axis=1)[None, :]
    return jnp.maximum(squares - 2 * jnp.matmul(a, b.T, precision="highest"), 0)


def _nearest_distances(features: Float[Array, "n d"]) -> Float[Array, " n"]:
    """To each example's nearest neighbor."""
    squared = _squared_distances(features, features)
    return jnp.sqrt(jnp.min(squared.at[jnp.diag_indices(len(features))].set(jnp.inf), axis=1))
