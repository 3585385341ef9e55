"""Images with a hole, to be filled."""

import dataclasses

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from gan_jax import parallel
from gan_jax.degradations.base import DegradationSection, Images, Number, SameSize
from gan_jax.errors import InputError
from gan_jax.sections import number


class Masked(SameSize):
    """A rectangle of each image is painted mid-grey, and a last channel is the mask, 1 inside the
    rectangle and −1 outside: the input of inpainting.

    The rectangle's sides are `share` of the image's, in whole pixels, at least one. Each place
    entirely inside the image is as likely.

    Source: Pathak et al., "Context Encoders: Feature Learning by Inpainting", 2016, §3.3, whose
    central square this is at a random place; Iizuka et al., "Globally and Locally Consistent Image
    Completion", 2017, §3.2, for the mask as a channel.
    """

    share: Number = 0.5
    """Of the image's sides, above 0 and at most 1."""

    def channels(self, c: int) -> int:
        return c + 1

    def __call__(
        self, images: Images, key: Key[Array, ""], axis_name: str | None = None
    ) -> Float[Array, "b h w c+1"]:
        n, h, w, _ = images.shape
        sides = jnp.array([h, w])
        sizes = jnp.clip(jnp.round(self.share * sides).astype(jnp.int32), 1, sides)

        def draw(key: Key[Array, ""]) -> Int[Array, "2"]:
            return jax.random.randint(key, (2,), 0, sides - sizes + 1)

        start = parallel.per_example(draw, key, n, axis_name)
        rows, columns = (
            (jnp.arange(side) >= start[:, i, None])
            & (jnp.arange(side) < start[:, i, None] + sizes[i])
            for i, side in enumerate((h, w))
        )
        inside = (rows[:, :, None] & columns[:, None, :])[..., None]
        mask = jnp.where(inside, 1, -1).astype(images.dtype)
        return jnp.concatenate([jnp.where(inside, 0, images), mask], axis=3)


@dataclasses.dataclass(frozen=True)
class MaskedSection(DegradationSection, kind="masked"):
    """Missing parts are learned: a rectangle of each input is painted over."""

    share: float = number(0.5, above=0, below=1)
    """The sides of the rectangle that is painted over, as a share of the image's sides."""

    @property
    def fills(self) -> bool:
        return True

    def build(self) -> Masked:
        return Masked(self.share)

    def check(self, shape: tuple[int, int, int], where: str) -> None:
        super().check(shape, where)
        for side in shape[:2]:
            if not 1 <= round(self.share * side) < side:
                what = "all" if self.share > 0.5 else "none"
                raise InputError(
                    f"{where}.share {self.share:g} of {side} pixels is {what} of them: set "
                    f"{where}.share nearer to 0.5"
                )
