"""What both networks of a conditional model are told of each example."""

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

Label = Int[Array, " b"] | Float[Array, "b k"]
"""Of the examples of a batch: their classes, or the numbers of their conditions."""


def is_condition(label: Label) -> bool:
    """Whether these are conditions, and not classes."""
    return jnp.issubdtype(label.dtype, jnp.floating)


def told(batch: dict[str, Array]) -> Array | None:
    """The `label` of each example of a batch, int32 [B], or its `condition`, float [B, k]. None: it
    has neither.

    Raises:
        ValueError: the batch has both.
    """
    if "label" in batch and "condition" in batch:
        raise ValueError("a batch has labels or conditions, not both")
    return batch.get("label", batch.get("condition"))
