"""Real examples: where they come from, in which order, and how they reach the devices."""

from gan_jax.data.config import Data, check_variety, load, look, standardized, within
from gan_jax.data.domains import Described, Domains
from gan_jax.data.feed import Feed
from gan_jax.data.held_out import hold_out, hold_out_each
from gan_jax.data.images import BadImageError
from gan_jax.data.order import Order, longest
from gan_jax.data.packing import pack
from gan_jax.data.preparation import prepare
from gan_jax.data.sources import Description, Examples, Source
from gan_jax.data.sources.kinds import Looks
from gan_jax.data.streams import Stream, check_pairs

__all__ = [
    "BadImageError",
    "Data",
    "Described",
    "Description",
    "Domains",
    "Examples",
    "Feed",
    "Looks",
    "Order",
    "Source",
    "Stream",
    "check_pairs",
    "check_variety",
    "hold_out",
    "hold_out_each",
    "load",
    "longest",
    "look",
    "pack",
    "prepare",
    "standardized",
    "within",
]
