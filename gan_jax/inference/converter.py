"""What a trained run makes of images of any size."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32

from gan_jax.degradations.grey import LUMA
from gan_jax.errors import InputError
from gan_jax.inference import tiles
from gan_jax.inference.files import ImageFile, resized_alpha


@dataclass(frozen=True)
class Converter:
    """From an image in [−1, 1] of any size to another, `scale` times as large.

    >>> winter = run.converter("a2b")(summer)  # float32 [h, w, 3]
    """

    function: Callable[[Float32[np.ndarray, "1 h w c"]], Any]
    """The network, on a batch of one image whose sides are multiples of `multiple`."""
    channels: int
    """Of color that it takes: 1 (grey) or 3 (RGB)."""
    multiple: int = 1
    least: int = 1
    """The smallest side that it takes."""
    scale: int = 1
    fills: bool = False
    """Whether it takes a further channel, a mask, and fills in what that marks."""

    def __call__(
        self,
        image: Float32[np.ndarray, "h w c"],
        *,
        tile: int | None = None,
        overlap: int = 32,
        progress: Callable[[int, int], None] | None = None,
    ) -> Float32[np.ndarray, "h2 w2 d"]:
        """The image, grey or RGB, made into another. Where it `fills`, the image has a last channel
        that is positive where it is to be filled in; all else stays as it is.

        Images of more than a million pixels are taken in tiles of 512 pixels that overlap. Networks
        that normalise each image by its own statistics make something else of each of these.

        Args:
            tile: Side of the tiles. None: whole, or 512 for large images.
            overlap: How many pixels tiles have in common with their neighbors.
            progress: Called after each tile with how many are done, and of how many.

        Raises:
            InputError: tiles that do not fit the network, or are too small for their overlap; or
                an image without a mask where one is needed.
        """
        height, width = image.shape[:2]
        if tile is not None and tile < self.least:
            raise InputError(f"this network takes tiles of {self.least} pixels or more, not {tile}")
        if tile is None:
            tile = tiles.choose(height, width, multiple=self.multiple)
        shown, known = self._shown(image)
        # Beyond its edges an image goes on as its reflection.
        short = [(0, max(0, self.least - side)) for side in (height, width)]
        padded = np.pad(shown, (*short, (0, 0)), mode="symmetric")
        made = tiles.apply(
            self.function,
            padded,
            multiple=self.multiple,
            scale=self.scale,
            tile=tile,
            overlap=overlap,
            progress=progress,
        )
        made = made[: height * self.scale, : width * self.scale]
        return made if known is None else np.where(known, self._fitted(image[..., :-1]), made)

    def convert(self, image: ImageFile, **options: Any) -> ImageFile:
        """A file's image made into another: with its opacity, of as many bits, and grey if what
        the network makes is. Where it `fills`, what is more transparent than not is filled in, and
        nothing is transparent then.

        Raises:
            InputError: as above; or nothing is transparent.
        """
        color, alpha = image.color, image.alpha
        if self.fills:
            if alpha is None or not (alpha < 0.5).any():
                raise InputError("nothing of this image is transparent, and so to be filled in")
            marked = np.where(alpha < 0.5, 1, -1)[..., None].astype(np.float32)
            color, alpha = np.concatenate([color, marked], axis=-1), None
        made = self(color, **options)
        gray = made.shape[-1] == 1
        alpha = resized_alpha(alpha, *made.shape[:2])
        color = np.broadcast_to(made, (*made.shape[:2], 3)).astype(np.float32)
        return ImageFile(color, alpha, image.bits, gray, image.profile)

    def _shown(
        self, image: Float32[np.ndarray, "h w c"]
    ) -> tuple[Float32[np.ndarray, "h w d"], Bool[np.ndarray, "h w 1"] | None]:
        """What the network sees, and which pixels are known if it fills in the others."""
        if not self.fills:
            return self._fitted(image), None
        if image.shape[-1] not in (2, 4):
            raise InputError(
                "this network fills images in, and takes a mask as their last channel: of "
                f"{image.shape[-1]} channels none is one"
            )
        known = image[..., -1:] <= 0
        mask = np.where(known, -1, 1).astype(np.float32)
        color = np.where(known, self._fitted(image[..., :-1]), np.float32(0))
        return np.concatenate([color, mask], axis=-1), known

    def _fitted(self, image: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w d"]:
        if image.shape[-1] == self.channels:
            return image
        if self.channels == 1:
            return (image @ LUMA)[..., None]
        return np.repeat(image, self.channels, axis=-1)
