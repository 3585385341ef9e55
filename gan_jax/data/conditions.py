"""Numbers that examples have in place of a class: the conditions of a model."""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
from jaxtyping import Float

from gan_jax.data.standardization import Scaling, scaling_of
from gan_jax.errors import InputError

_KEPT = 256
"""Examples whose numbers are kept, to draw from where the data are not at hand."""


@dataclasses.dataclass(frozen=True)
class Conditions:
    """Which numbers each example has."""

    names: tuple[str, ...]
    scaling: Scaling
    """By which they are brought to unit scale for the networks."""
    seen: tuple[tuple[float, ...], ...] = dataclasses.field(compare=False)
    """Those of some examples from all over, as the data have them."""

    def __str__(self) -> str:
        """As `age 3 to 90, smile 0 to 1`."""
        return in_words(self.names, np.array(self.seen))

    def drawn(self, n: int, fixed: Mapping[str, float] | None = None) -> Float[np.ndarray, "n k"]:
        """Those of `n` real examples, in turn, and of these some set to one value.

        Raises:
            InputError: there is no number of that name, or the value is none.
        """
        values = np.array(self.seen, np.float32)[np.arange(n) % len(self.seen)]
        for name, value in (fixed or {}).items():
            if not np.isfinite(value):
                raise InputError(f"the condition {name} is a number, not {value}")
            values[:, self.place(name)] = value
        return values

    def place(self, name: str) -> int:
        """Which of the numbers is called so.

        Raises:
            InputError: none is.
        """
        if name not in self.names:
            raise InputError(f"there is no condition {name}: only {', '.join(self.names)}")
        return self.names.index(name)

    def range_of(self, name: str) -> tuple[float, float]:
        """Between which values nine of ten of the examples are."""
        low, high = np.quantile(np.array(self.seen)[:, self.place(name)], (0.05, 0.95))
        return float(low), float(high)


def conditions_of(names: Sequence[str], values: Float[np.ndarray, "n k"]) -> Conditions:
    """What there is to know of the numbers of all examples."""
    chosen = np.random.default_rng(0).permutation(len(values))[:_KEPT]
    # In as few digits as tell float32 apart, for the file that they are kept in.
    seen = tuple(tuple(float(str(x)) for x in row) for row in values[chosen].astype(np.float32))
    return Conditions(tuple(names), scaling_of(values), seen)


def in_words(names: Sequence[str], values: Float[np.ndarray, "n k"]) -> str:
    """As `age 3 to 90, smile 0 to 1`."""
    ranges = zip(names, values.min(axis=0), values.max(axis=0), strict=True)
    return ", ".join(f"{name} {low:.4g} to {high:.4g}" for name, low, high in ranges)


def chosen(names: Sequence[str], wanted: Sequence[str], where: object) -> list[int]:
    """The places of the numbers that are wanted among those there are; if none are named, of all.

    Raises:
        InputError: there is none of a name that is wanted.
    """
    missing = [name for name in wanted if name not in names]
    if missing:
        has = ", ".join(names) or "none"
        raise InputError(f"{where} has no numbers {', '.join(missing)} to condition on: {has}")
    return [names.index(name) for name in wanted] or list(range(len(names)))
