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
    ranges: tuple[tuple[float, float], ...] = dataclasses.field(compare=False)
    """Between which values of each nine of ten examples are; if that is one value, all."""
    seen: tuple[tuple[float, ...], ...] = dataclasses.field(compare=False)
    """Those of some examples from all over, as the data have them."""

    def drawn(self, n: int, fixed: Mapping[str, float] | None = None) -> Float[np.ndarray, "n k"]:
        """Those of `n` real examples, in turn, and of these some set to one value.

        Raises:
            InputError: there is no number of that name, or the value is none.
        """
        values = np.array(self.seen, np.float32)[np.arange(n) % len(self.seen)]
        for name, value in (fixed or {}).items():
            if not abs(value) <= float(np.finfo(np.float32).max):
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
        """Between which values nine of ten examples are; if that is one value, all."""
        return self.ranges[self.place(name)]


def conditions_of(names: Sequence[str], values: Float[np.ndarray, "n k"]) -> Conditions:
    """What there is to know of the numbers of all examples.

    Raises:
        InputError: two of them have one name.
    """
    if len({*names}) < len(names):
        raise InputError(f"two of the numbers to condition on have one name: {', '.join(names)}")
    chosen = np.random.default_rng(0).permutation(len(values))[:_KEPT]
    # In as few digits as tell float32 apart, for the file that they are kept in.
    seen = tuple(tuple(float(str(x)) for x in row) for row in values[chosen].astype(np.float32))
    ranges = tuple(_range(column) for column in values.T)
    return Conditions(tuple(names), scaling_of(values), ranges, seen)


def _range(column: Float[np.ndarray, " n"]) -> tuple[float, float]:
    low, high = np.quantile(column, (0.05, 0.95))
    if low == high:
        low, high = column.min(), column.max()
    return float(low), float(high)


def in_float32(names: Sequence[str], values: Float[np.ndarray, "n k"]) -> Float[np.ndarray, "n k"]:
    """Numbers of all examples in less precision.

    Raises:
        InputError: their differences would be lost, as those of the times of a day since 1970.
    """
    rounded = values.astype(np.float32)
    spread = values.std(axis=0)
    lost = (spread > 0) & (np.abs(rounded - values).max(axis=0) > 1e-3 * spread)
    if lost.any():
        which = ", ".join(name for name, is_lost in zip(names, lost, strict=True) if is_lost)
        raise InputError(
            f"the numbers {which} are so large that their differences would be lost in float32: "
            "subtract from each what they have in common"
        )
    return rounded


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
