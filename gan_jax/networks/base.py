"""Networks as sections of a configuration: what a kind of network says about itself.

A kind is declared in the file of its networks, by a subclass of each of the two families below:

    @dataclasses.dataclass(frozen=True)
    class GeneratorSection(base.GeneratorSection, kind="toy"):
        depth: int = 2

        def build(self, form: Form) -> nn.Module:
            return Generator(form.resolution, depth=self.depth, **self.options(form))

Its fields are its settings: others cannot be set for it.
"""

import abc
import dataclasses
import functools
from typing import Any, ClassVar, Literal, get_args

import flax.linen as nn
import jax.numpy as jnp

from gan_jax.errors import InputError
from gan_jax.resolutions import Growth, Resolution, growth, in_words, nearest, resolution_of
from gan_jax.sections import Kind

Norm = Literal["batch", "spectral", "none"]
"""Of DCGANs and ResNets: batch norm, spectral norm (Miyato et al., 2018), or no norm."""
NORMS: tuple[str, ...] = get_args(Norm)


def check_norm(norm: str) -> None:
    """
    Raises:
        ValueError: there is no such norm.
    """
    if norm not in NORMS:
        raise ValueError(f"unknown norm {norm!r}: one of {', '.join(NORMS)}")


def grown(subject: str, resolution: Resolution, doublings: range) -> Growth:
    """The grid that images of this resolution grow from, and in how many doublings.

    Raises:
        ValueError: there is none, or it takes more or less doublings than this network has.
    """
    found = growth(resolution)
    if found is None or found.doublings not in doublings:
        able = " or ".join(map(in_words, nearest(resolution, doublings)))
        raise ValueError(
            f"{subject} not for images of {in_words(resolution)} pixels, but of {able}"
        )
    return found


@dataclasses.dataclass(frozen=True)
class Form:
    """What networks have to fit."""

    shape: tuple[int, ...]
    """Of one example: (height, width, channels) of an image, or (features,) of a point."""
    num_classes: int | None = None
    """Of conditional models; of such as are told the numbers of a condition in place of a class,
    how many numbers that is. None for unconditional ones."""
    latent_dim: int = 0
    """Of a generator's noise."""
    auxiliary: bool = False
    """Whether the discriminator is to classify, instead of being told the class."""
    scale: int = 1
    """How many times larger a translator's images are than what it makes them of."""

    @property
    def resolution(self) -> Resolution:
        """Of images."""
        height, width, _ = self.shape
        return resolution_of(height, width)

    @property
    def channels(self) -> int:
        """Of images."""
        return self.shape[-1]


@dataclasses.dataclass(frozen=True)
class NetworkSection(Kind, abc.ABC):
    """What the sections of all networks have in common."""

    points: ClassVar[bool] = False
    """Whether it is for points; otherwise it is for images."""
    doublings: ClassVar[range | None] = None
    """How often both sides may double from a grid to the resolution, if they have to."""

    dtype: Literal["float32", "bfloat16"] = "float32"
    """What it computes in: float32 or bfloat16. Parameters are always float32."""

    @abc.abstractmethod
    def build(self, form: Form) -> nn.Module:
        """The network for examples of this form."""

    def check(self, form: Form, where: str) -> None:
        """
        Raises:
            InputError: networks of this kind are not for examples of this form.
        """
        if self.points != (len(form.shape) == 1):
            what, other = ("points", "mlp") if len(form.shape) == 1 else ("images", "dcgan")
            raise InputError(
                f"the data are {what}, and {self.kind} networks are not for these: set "
                f"generator.kind and discriminator.kind to {other}, say"
            )
        if self.doublings is not None:
            try:
                grown(f"{self.kind} networks are", form.resolution, self.doublings)
            except ValueError as error:
                raise InputError(f"{error}: set data.resolution (and data.fit)") from error

    def options(self, form: Form) -> dict[str, Any]:
        """What the modules of all kinds take."""
        return {"num_classes": form.num_classes, "dtype": jnp.dtype(self.dtype)}


@functools.cache
def built(section: NetworkSection, form: Form) -> nn.Module:
    """The network of a section: the same module for equal sections, so that what was compiled for
    one serves all."""
    return section.build(form)


@dataclasses.dataclass(frozen=True)
class GeneratorSection(NetworkSection, package="gan_jax.networks"):
    """A generator: from noise [B, latent_dim] to examples."""

    truncates: ClassVar[bool] = False
    """Whether it takes a `truncation` when it is sampled."""

    def style_shape(self, form: Form) -> tuple[int, ...] | None:
        """Of one example's styles, for generators that take a `style_offset`; None for others."""
        return None


@dataclasses.dataclass(frozen=True)
class TranslatorSection(NetworkSection, package="gan_jax.networks"):
    """A generator of another kind: from images [B, h, w, c] to images.

    The form it is built for is that of the images it makes.
    """

    least: ClassVar[int] = 1
    """The smallest side of what it makes them of."""
    scales: ClassVar[tuple[int, ...]] = (1,)
    """How many times larger its images can be than what it makes them of."""

    def multiple_of(self, form: Form) -> int:
        """The sides of what it makes images of are multiples of so many pixels."""
        return 1

    def check(self, form: Form, where: str) -> None:
        super().check(form, where)
        if form.scale not in self.scales:
            able = [k for k, t in TranslatorSection.kinds().items() if form.scale in t.scales]
            change = f"set {where}.kind to {' or '.join(able)}" if able else "this no kind can do"
            raise InputError(
                f"{self.kind} {where}s do not make images {form.scale} times as large: {change}"
            )
        multiple = self.multiple_of(form)
        height, width = (side // form.scale for side in form.shape[:2])
        if height % multiple or width % multiple or min(height, width) < self.least:
            raise InputError(
                f"{self.kind} {where}s take images whose sides are multiples of {multiple} from "
                f"{max(multiple, self.least)} on: set data.resolution to one of these, not "
                f"{in_words(resolution_of(height, width))}"
            )


@dataclasses.dataclass(frozen=True)
class DiscriminatorSection(NetworkSection, package="gan_jax.networks"):
    """A discriminator: from examples to logits [B]."""

    classifies: ClassVar[bool] = False
    """Whether it can have an auxiliary classifier."""
    compares: ClassVar[bool] = False
    """Whether it compares the examples of a batch, which then have to be of one kind."""

    @property
    def batch_norm(self) -> bool:
        """Whether logits depend on the batch by its statistics."""
        return False
