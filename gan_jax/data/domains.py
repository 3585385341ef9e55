"""Images of two domains: the section of a configuration, and their loading."""

import dataclasses
from pathlib import Path
from typing import Annotated

from typing_extensions import Doc

from gan_jax.data import sources
from gan_jax.data.config import Data, load, within
from gan_jax.data.held_out import hold_out_each
from gan_jax.data.sources import Description
from gan_jax.data.streams import Stream
from gan_jax.errors import InputError
from gan_jax.sections import Section, number

_MARGIN = 286 / 256  # as published


@dataclasses.dataclass(frozen=True)
class Described:
    """What is known of the images of both domains."""

    a: Description
    b: Description
    """As they are stored: larger than the networks see them."""

    @property
    def examples(self) -> int:
        """An epoch ends by the longer one."""
        return max(self.a.examples, self.b.examples)

    def __str__(self) -> str:
        shape = "×".join(map(str, self.a.shape))
        return f"{self.a.examples:,} and {self.b.examples:,} examples of {shape}"


@dataclasses.dataclass(frozen=True)
class Domains(Section):
    """Where the images of both domains, a and b, come from."""

    source: Annotated[
        str,
        Doc(
            "Of both, tfds:NAME with the splits trainA and trainB, or folder:PATH with folders of "
            f"these names; or of a alone (see source-b), {', '.join(sources.USAGES[:-1])} or "
            f"{sources.USAGES[-1]}."
        ),
    ] = "tfds:cycle_gan/summer2winter_yosemite"
    source_b: str | None = None
    """Of b alone, if the two do not lie together: folder:PATH, say."""
    split: str = "train"
    """Which part: train reads trainA and trainB."""
    resolution: int = number(64, least=16)
    """Side of the square images that the networks see, in pixels."""
    scaled_to: int | None = number(None, least=16)
    """Side that images are brought to before a square of the resolution is cut out anywhere, anew
    each time. None: 1.117 times the resolution, as published."""
    channels: int | None = None
    """1 to make every image grey, 3 to make it RGB. None: as they are, if they agree."""
    flip: bool = True
    """Mirror half of the images left to right, at random, anew each time."""
    held_out: int | None = None
    """Images of each domain kept from training, which checks and scores are of. None: a tenth, at
    most 512."""
    limit: int | None = number(None, least=1)
    """Only so many images of each domain, chosen at random (the same ones for every seed)."""
    budget_gib: float | None = number(None, least=0, metadata={"free": True})
    """Up to this, data live on the device, else they stream. None: ¼ of its memory, CPU: 2."""

    def validate(self, where: str) -> None:
        super().validate(where)
        if self.channels not in (None, 1, 3):
            raise InputError(f"{where}.channels is 1 (grey) or 3 (RGB), not {self.channels}")
        if self.side < self.resolution:
            raise InputError(
                f"{where}.scaled_to {self.scaled_to} leaves nothing to cut {self.resolution} "
                f"pixels out of: set it to {where}.resolution or more"
            )

    @property
    def side(self) -> int:
        """Of the square images that are stored, which crops are cut out of."""
        return round(_MARGIN * self.resolution) if self.scaled_to is None else self.scaled_to

    def each(self, split: str | None = None, side: int | None = None) -> tuple[Data, Data]:
        """The sections of a and of b, of this split and side, or those configured.

        Raises:
            InputError: there is but one domain, a folder is missing, or there are no splits.
        """
        split, side = split or self.split, side or self.side
        kind, argument = sources.find(self.source)
        options = {"resolution": side, "channels": self.channels, "limit": self.limit}
        if self.source_b is not None:
            names, splits = [self.source, self.source_b], [split] * 2
            if split != Data.split:
                for name in names:
                    sources.check_splits(name)
        elif kind.name == "folder":
            paths = [Path(argument).expanduser() / f"{split}{domain}" for domain in "AB"]
            for path in paths:
                if not path.is_dir():
                    raise InputError(
                        f"there is no folder {path}: lay the images of both domains out as "
                        f"{split}A and {split}B, or name the folders apart by data.source and "
                        "data.source_b"
                    )
            names, splits = [f"folder:{path}" for path in paths], [Data.split] * 2
        elif kind.name == "tfds":
            names, splits = [self.source] * 2, [f"{split}A", f"{split}B"]
        else:
            raise InputError(f"{self.source} is one domain: name the other one by data.source_b")
        a, b = (Data(name, s, **options) for name, s in zip(names, splits, strict=True))
        return a, b

    def load(
        self,
        *,
        split: str | None = None,
        side: int | None = None,
        data_dir: str | None = None,
        skip_bad_images: bool = False,
        budget_bytes: float = 0,
    ) -> tuple[Stream, Stream]:
        """The images of a and of b, each in an order of its own.

        Raises:
            InputError: they are missing, cannot be read, or are of different channels.
        """
        budget_bytes = within(self.budget_gib, budget_bytes)
        a, b = (
            load(
                data,
                data_dir=data_dir,
                skip_bad_images=skip_bad_images,
                budget_bytes=budget_bytes / 2,
            )
            for data in self.each(split, side)
        )
        if a.description.shape != b.description.shape:
            raise InputError(
                f"the domains differ: {a.description.shape} and {b.description.shape}; set "
                "data.channels to 1 or 3"
            )
        if len(a.description.shape) != 3:
            raise InputError(f"{self.source} holds points, and domains are of images")
        return Stream(a, "a", number=0), Stream(b, "b", number=1)

    def split_off(
        self, streams: tuple[Stream, Stream]
    ) -> tuple[tuple[Stream, ...], tuple[Stream, ...]]:
        """What to train on, and what is held out."""
        return hold_out_each(streams, self.held_out)
