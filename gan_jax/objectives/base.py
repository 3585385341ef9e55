"""What a loss returns beside its value."""

from typing import NamedTuple

from jaxtyping import Array, Float, PyTree


class Aux(NamedTuple):
    """What a loss returns beside its value."""

    collections: dict[str, PyTree]
    """The trained network's non-parameter variables after this step."""
    metrics: dict[str, Float[Array, ""]]
