"""Transformations of gradients and updates, to be chained with an optimiser of optax."""

from collections.abc import Collection

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

Weight = float | Float[Array, ""]


def clip_weights(limit: float) -> optax.GradientTransformation:
    """Keeps every parameter in [−limit, limit]: the critic of the original Wasserstein GAN.

    Chain it last: `optax.chain(optax.rmsprop(5e-5), clip_weights(0.01))`. It changes the update so
    that the updated parameters are the clipped ones, up to rounding in the last place.

    Source: Arjovsky et al., "Wasserstein GAN", 2017, algorithm 1, line 7 (limit = 0.01).

    Raises:
        ValueError: if `limit` is not positive, or `update` is called without parameters.
    """
    if limit <= 0:
        raise ValueError(f"clip_weights needs a positive limit, not {limit}")

    def update(updates, state, params=None):
        if params is None:
            raise ValueError("clip_weights needs the parameters: tx.update(grads, state, params)")
        clipped = jax.tree.map(lambda p, u: jnp.clip(p + u, -limit, limit) - p, params, updates)
        return clipped, state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)


def freeze(layers: Collection[str]) -> optax.GradientTransformation:
    """Lets layers stay as they are while the rest of a network learns. They are given by the names
    under which the parameters hold them. Chain it last.

    `optax.freeze` does the same by a mask instead of names. Its state has another structure, which
    checkpoints of ours would not fit.

    Source: the layers near the images of a discriminator, in Mo et al., "Freeze the Discriminator:
    a Simple Baseline for Fine-Tuning GANs", 2020.

    Raises (on `init`):
        ValueError: the network has no such layer.
    """
    layers = frozenset(layers)

    def init(params):
        unknown = layers - params.keys()
        if unknown:
            raise ValueError(
                f"there is no layer {', '.join(sorted(unknown))} to freeze, only "
                f"{', '.join(sorted(params))}"
            )
        return optax.EmptyState()

    def update(updates, state, params=None):
        still = {
            name: jax.tree.map(jnp.zeros_like, update) if name in layers else update
            for name, update in updates.items()
        }
        return still, state

    return optax.GradientTransformation(init, update)


def lazy_adam(learning_rate: float, b1: float, b2: float, every: int) -> tuple[float, float, float]:
    """Adam's learning rate and decays for a player whose penalty comes in one of every `every`
    updates: as if, of `every` + 1 steps, all but one were along the loss.

    Source: Karras et al., "Analyzing and Improving the Image Quality of StyleGAN", 2020,
    appendix B: λ′ = c·λ, β′ = β^c with c = k/(k + 1).
    """
    c = every / (every + 1)
    return c * learning_rate, b1**c, b2**c


def orthogonal_penalty(
    params: PyTree, weight: Weight = 1e-4, exclude: tuple[str, ...] = ("embedding",)
) -> Float[Array, ""]:
    """β Σ ‖WᵀW ⊙ (1 − I)‖²_F over all kernels W, as matrices with the outputs as columns: outputs
    of a layer should differ in direction, whatever their size.

    Kernels are the parameters with two axes or more, the last of which is the outputs. Those named
    in `exclude` do not count: embeddings, whose columns are no outputs.

    Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image
    Synthesis", 2019, §3.1, eq. 3 (β = 1e-4, in the generator). Its gradient is
    4β·W(WᵀW ⊙ (1 − I)); the authors' PyTorch code applies half of that.
    """
    penalty = jnp.zeros(())
    for path, leaf in jax.tree.leaves_with_path(params):
        if leaf.ndim < 2 or jax.tree_util.keystr(path[-1:], simple=True) in exclude:
            continue
        kernel = leaf.reshape(-1, leaf.shape[-1])
        products = kernel.T @ kernel
        penalty += jnp.sum(jnp.square(products - jnp.diag(jnp.diag(products))))
    return weight * penalty


def orthogonal_regularization(
    weight: Weight = 1e-4, exclude: tuple[str, ...] = ("embedding",)
) -> optax.GradientTransformation:
    """Adds the gradient of `orthogonal_penalty` to the gradients.

    Chain it before the optimiser: `optax.chain(orthogonal_regularization(), optax.adam(5e-5))`.

    Raises:
        ValueError: if `update` is called without parameters.
    """

    def update(updates, state, params=None):
        if params is None:
            raise ValueError(
                "orthogonal_regularization needs the parameters: tx.update(grads, state, params)"
            )
        gradients = jax.grad(orthogonal_penalty)(params, weight, exclude)
        return jax.tree.map(jnp.add, updates, gradients), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)
