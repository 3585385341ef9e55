"""Two networks of one state, one for each of two domains."""

from typing import Any

import flax.linen as nn
from jaxtyping import Array, Float, Key

from gan_jax.state import takes

DOMAINS = ("a", "b")


def other(domain: str) -> str:
    """The one of the two domains that this is not."""
    return DOMAINS[1 - DOMAINS.index(domain)]


class Domains(nn.Module):
    """A network for each domain: discriminators of its examples, or generators that make them of
    the other's. Parameters and all other collections are dicts by domain.

    >>> generator = Domains(a=cyclegan.Translator(), b=cyclegan.Translator())
    >>> winter = generator.apply(variables, summer, domain="b")
    """

    a: nn.Module
    b: nn.Module

    def __call__(
        self,
        x: Float[Array, "n ..."],
        label: None = None,
        *,
        domain: str,
        train: bool = False,
        axis_name: str | None = None,
        key: Key[Array, ""] | None = None,
    ) -> Array:
        network: Any = {"a": self.a, "b": self.b}[domain]
        options: dict[str, Any] = {"train": train}
        for name, value in (("axis_name", axis_name), ("key", key)):
            if value is not None and takes(type(network).__call__, name):
                options[name] = value
        return network(x, None, **options)
