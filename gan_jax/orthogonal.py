"""Orthogonal regularisation: outputs of a layer should differ in direction, whatever their size.

Source: Brock, Donahue and Simonyan, "Large Scale GAN Training for High Fidelity Natural Image
Synthesis", 2019, §3.1, eq. 3 (β = 1e-4, in the generator). Its gradient is 4β·W(WᵀW ⊙ (1 − I)); the
authors' PyTorch code applies half of that.
"""

import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PyTree

Weight = float | Float[Array, ""]


def orthogonal_penalty(
    params: PyTree, weight: Weight = 1e-4, exclude: tuple[str, ...] = ("embedding",)
) -> Float[Array, ""]:
    """β Σ ‖WᵀW ⊙ (1 − I)‖²_F over all kernels W, as matrices with the outputs as columns.

    Kernels are the parameters with two axes or more, the last of which is the outputs. Those named
    in `exclude` do not count: embeddings, whose columns are no outputs.
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
