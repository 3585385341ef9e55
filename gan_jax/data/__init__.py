"""Real examples: where they come from, in which order, and how they reach the devices."""

from gan_jax.data.feed import Feed, make_feed
from gan_jax.data.order import Order
from gan_jax.data.sources import Description, Examples, Source, load

__all__ = ["Description", "Examples", "Feed", "Order", "Source", "load", "make_feed"]
