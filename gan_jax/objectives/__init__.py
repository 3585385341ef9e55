"""What the two players minimise. A new kind of GAN is a new objective; the steps stay as they are.

An objective is a pytree (numbers are leaves, functions are static) with

- `d_loss(d_params, d, g, batch, key, axis_name=None) -> (scalar, Aux)`,
- `g_loss(g_params, g, d, batch, key, axis_name=None) -> (scalar, Aux)`,
- `init(key, *, generator, discriminator, batch) -> (d_variables, g_variables)`,
- `ema`, an `EMA` or None.
"""

from gan_jax.objectives.adversarial import Adversarial
from gan_jax.objectives.base import Aux

__all__ = ["Adversarial", "Aux"]
