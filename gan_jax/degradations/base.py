"""What degradations have in common."""

import abc
import dataclasses
import functools
from typing import Protocol, runtime_checkable

import jax.numpy as jnp
from jax import lax
from jaxtyping import Array, Float, Key, Real

from gan_jax.errors import InputError
from gan_jax.nodes import Node
from gan_jax.sections import Kind

Images = Float[Array, "b h w c"]
Number = float | Real[Array, ""]

# On GPUs and TPUs, products would otherwise be rounded to less than float32.
product = functools.partial(jnp.einsum, precision=lax.Precision.HIGHEST)


@runtime_checkable
class Degradation(Protocol):
    """What makes an input of an image: a pytree that is called like a function.

    It is given images [B, H, W, C] in [−1, 1], whose sides are multiples of `scale`, and gives
    inputs [B, H / scale, W / scale, channels(C)] in [−1, 1]. What it draws for an example is keyed
    by the example's global index (`gan_jax.parallel.per_example`, with this `key` and `axis_name`).
    It works under `jit` with a traced key.
    """

    @property
    def scale(self) -> int:
        """How many times smaller an input is than its image, along each side."""
        ...

    def channels(self, c: int, /) -> int:
        """The channels of inputs that are made of images with `c` channels."""
        ...

    def __call__(
        self, images: Images, key: Key[Array, ""], axis_name: str | None = None, /
    ) -> Float[Array, "b h_out w_out c_out"]:
        """The inputs."""
        ...


class SameSize(Node):
    """A degradation that keeps the size of images."""

    @property
    def scale(self) -> int:
        return 1


@dataclasses.dataclass(frozen=True)
class DegradationSection(Kind, abc.ABC, package="gan_jax.degradations"):
    """What is done to an image to make the input that a network learns to undo.

    A kind of degradation is declared in its own file, by a subclass.
    """

    @property
    def scale(self) -> int:
        """How many times smaller an input is than its image, along each side."""
        return 1

    @property
    def fills(self) -> bool:
        """Whether the last channel of inputs is a mask of what is missing."""
        return False

    @abc.abstractmethod
    def build(self) -> Degradation:
        """The degradation."""

    def check(self, shape: tuple[int, int, int], where: str) -> None:
        """Refuses images (height, width, channels) that cannot be degraded so. `where` is this
        section's name in the configuration.

        Raises:
            InputError: naming the flag to change.
        """
        h, w, _ = shape
        if h % self.scale or w % self.scale:
            raise InputError(
                f"images of {h}×{w} pixels cannot be made {self.scale} times smaller: set "
                f"{where}.scale to a divisor of their sides, or data.resolution to a multiple of "
                f"{self.scale}"
            )


def check_colors(kind: str, shape: tuple[int, int, int], where: str) -> None:
    """
    Raises:
        InputError: images of this shape are neither grey nor RGB, as `kind` needs them.
    """
    if shape[2] not in (1, 3):
        raise InputError(
            f"{kind} inputs are made of images with 1 (grey) or 3 (RGB) channels, not {shape[2]}: "
            f"set {where}.kind to another"
        )


def check_range(
    name: str, values: tuple[float, float], least: float, most: float | None = None
) -> None:
    """
    Raises:
        InputError: `values` are no two numbers in order, or are out of these bounds.
    """
    if (
        len(values) != 2
        or not least <= values[0] <= values[1]
        or (most is not None and values[1] > most)
    ):
        upper = "" if most is None else f" and at most {most:g}"
        raise InputError(
            f"{name} is two numbers, the lower one first, of at least {least:g}{upper}, not "
            f"{' '.join(map(str, values))}"
        )


def each(values: Array) -> Array:
    """Values [B] as [B, 1, 1, 1]: one for each image."""
    return values[:, None, None, None]
