"""Keeping both networks at the same pace."""

from collections.abc import Mapping, Sequence

from gan_jax.health.diagnosis import signals_of
from gan_jax.steps import Pace

AHEAD = 0.85
"""Above this the discriminator is too far ahead to be of much use."""
BEHIND = 0.4
"""Below this it has fallen for the generator."""
_SLOWEST = 3  # doublings


def pace(history: Sequence[Mapping[str, float]], parts: Sequence[str] = ()) -> Pace:
    """How often to update each network after these checks.

    The signal is `auc_held_out` (or `auc` where nothing is held out), of several `parts` its mean.
    At every check where it is above AHEAD the discriminator is updated half as often as before, or,
    if the generator had been slowed down, that one twice as often; below BEHIND the other way
    round; in between, one step back towards as many updates of both. Neither gets slower than every
    eighth iteration.
    """
    level = 0
    for check in history:
        each = [signals_of(check, part, parts) for part in parts or ("",)]
        judged = sum(own.get("auc_held_out", own["auc"]) for own in each) / len(each)
        if judged > AHEAD:
            level += 1
        elif judged < BEHIND:
            level -= 1
        elif level:
            level -= 1 if level > 0 else -1
        level = max(-_SLOWEST, min(_SLOWEST, level))
    return Pace(d_every=2 ** max(level, 0), g_every=2 ** max(-level, 0))
