"""Keeping both networks at the same pace."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gan_jax.program import Pace

AHEAD = 0.85
"""Above this the discriminator is too far ahead to be of much use."""
BEHIND = 0.4
"""Below this it has fallen for the generator."""
_SLOWEST = 3  # doublings


def pace(history: Sequence[Mapping[str, float]]) -> "Pace":
    """How often to update each network after these checks.

    The signal is `auc_held_out` (or `auc` where nothing is held out). At every check where it is
    above AHEAD the discriminator is updated half as often as before, or, if the generator had been
    slowed down, that one twice as often; below BEHIND the other way round; in between, one step
    back towards as many updates of both. Neither gets slower than every eighth iteration.
    """
    from gan_jax.program import Pace

    level = 0
    for check in history:
        judged = check.get("auc_held_out", check["auc"])
        if judged > AHEAD:
            level += 1
        elif judged < BEHIND:
            level -= 1
        elif level:
            level -= 1 if level > 0 else -1
        level = max(-_SLOWEST, min(_SLOWEST, level))
    return Pace(d_every=2 ** max(level, 0), g_every=2 ** max(-level, 0))
