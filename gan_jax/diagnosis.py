"""Is this run healthy, and if not, what is wrong with it?

`diagnose` looks at the signals of all checks so far (see `gan_jax.signals`) and names one state:

- `healthy`: none of what follows.
- `converged`: the discriminator is near chance, and quality is good and stable.
- `d_overpowers`: the discriminator is near perfect, and the generator does not catch up: its
  gradient vanishes, or its samples stay as far from real examples as they were.
- `g_overpowers`: the discriminator rates generated examples above real ones, or cannot tell apart
  what is far apart.
- `mode_collapse`: samples are near copies of each other, or leave out part of the data.
- `junk_feedback`: the discriminator is at chance while quality falls: the generator follows noise.
- `d_overfits`: the discriminator tells the examples it trained on from others that are as real.
- `oscillating`: what the generator makes changes altogether from check to check, without getting
  nearer to the data.
- `diverged`: numbers are not finite, or grow out of all proportion.

The thresholds were chosen on one half of the runs of `benchmarks.diagnosis`, and measured on the
other.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

STATES = (
    "healthy",
    "converged",
    "d_overpowers",
    "g_overpowers",
    "mode_collapse",
    "junk_feedback",
    "d_overfits",
    "oscillating",
    "diverged",
)
GOOD = ("healthy", "converged")

WINDOW = 5  # checks
_SETTLED = 20  # checks, before which nothing is called converged
_HUGE = 1e4
_REPLACED = 0.3
_RECOGNIZED = 0.62
_PERFECT = 0.97
_VANISHED = 0.1
_FAR = 0.5
_FOOLED = 0.2
_CHANCE = 0.65
_SILENT = 0.05
_COPIES = 0.5
_NARROW = 0.4
_MISSING = 0.3
_FALLEN = 0.1
_HOPPING = 0.5
_SWING = 0.15
_NEAR = 0.15
_STABLE = 0.9
_PROGRESS = 0.85

History = Sequence[Mapping[str, float]]


class Diagnosis(NamedTuple):
    """The state of a run, why, and what to do about it."""

    state: str
    """One of STATES."""
    evidence: str
    suggestion: str
    """Empty if there is nothing to do."""

    def __str__(self) -> str:
        return f"{self.state}: {self.evidence} {self.suggestion}".strip()

    @property
    def failing(self) -> bool:
        return self.state not in GOOD


_SUGGESTIONS = {
    "healthy": "",
    "converged": "Stop, or lower the learning rates; take the best checkpoint.",
    "d_overpowers": (
        "Lower the discriminator's learning rate or its steps, add a penalty (objective.r1), or "
        "use a loss that does not saturate."
    ),
    "g_overpowers": (
        "Give the discriminator more width, a higher learning rate, or more steps "
        "(alternation.d_steps); check that it trains at all."
    ),
    "mode_collapse": (
        "Use relativistic_pairing with r1 and r2, or raise their weights; give the generator a "
        "lower learning rate, or more latent dimensions."
    ),
    "junk_feedback": "Stop and take the best checkpoint: what follows it is training on noise.",
    "d_overfits": (
        "Get more data or mirror them (data.flip), raise r1, or make the discriminator smaller; "
        "take the best checkpoint."
    ),
    "oscillating": (
        "Lower both learning rates or their momentum (b1=0), and add r1 and r2: penalties damp the "
        "swings."
    ),
    "diverged": "Lower the learning rates; a Wasserstein critic needs wgan_gp or clip_weights.",
}


def diagnose(history: History) -> Diagnosis:
    """The state after the last of these checks, each with its `iteration` and signals.

    The first checks are too early to tell anything but divergence. Signals that a check lacks
    (there are no held-out examples, or the game has no such number) are evidence of nothing.
    """
    state, evidence = _state(_Recent(history))
    return Diagnosis(state, evidence, _SUGGESTIONS[state])


class _Recent:
    """Medians over the last checks, and what came before."""

    def __init__(self, history: History):
        self.history = history

    def __len__(self) -> int:
        return len(self.history)

    def all(self, name: str) -> np.ndarray:
        return np.array([check.get(name, np.nan) for check in self.history], np.float64)

    def now(self, name: str, window: int = WINDOW) -> float:
        """NaN if there is no such signal, and comparisons with it are false."""
        values = self.all(name)[-window:]
        values = values[~np.isnan(values)]
        return float(np.median(values)) if len(values) else float("nan")

    def smooth(self, name: str) -> np.ndarray:
        """Running medians, one per check."""
        values = self.all(name)
        return np.array([np.median(values[max(0, i - 2) : i + 1]) for i in range(len(values))])


def _state(r: _Recent) -> tuple[str, str]:
    """The first of these that the signals show, in this order: what makes others meaningless comes
    first."""
    for state, finding in (
        ("diverged", _diverged),
        ("d_overfits", _d_overfits),
        ("oscillating", _oscillating),
        ("d_overpowers", _d_overpowers),
        ("g_overpowers", _g_overpowers),
        ("mode_collapse", _mode_collapse),
        ("junk_feedback", _junk_feedback),
        ("converged", _converged),
    ):
        if len(r) >= (1 if state == "diverged" else WINDOW) and (evidence := finding(r)):
            return state, evidence
    if len(r) < WINDOW:
        return "healthy", "It is too early to tell."
    return "healthy", (
        f"The discriminator is right about {r.now('auc'):.0%} of pairs, and samples are at "
        f"distance {r.now('distance'):.2g} from real examples{', and nearing' * _nearing(r)}."
    )


def _diverged(r: _Recent) -> str:
    last = r.history[-1]
    bad = [name for name, value in last.items() if not np.isfinite(value)]
    if bad:
        return f"{', '.join(bad)} of the last check are not finite."
    for name, most in (("feedback", _HUGE), ("d/loss", _HUGE)):
        if abs(r.now(name, 2)) > most:
            return f"{name} is at {r.now(name, 2):.2g}."
    for name in ("d/update_ratio", "g/update_ratio"):
        if last.get(name, 0) > _REPLACED:
            return f"An update changes the parameters by {last[name]:.0%} ({name})."
    return ""


def _d_overfits(r: _Recent) -> str:
    if r.now("recognition") > _RECOGNIZED:
        return (
            f"The discriminator rates a real example that it trained on above one it did not in "
            f"{r.now('recognition'):.0%} of pairs."
        )
    return ""


def _d_overpowers(r: _Recent) -> str:
    if not r.now("auc") > _PERFECT or _nearing(r):
        return ""
    certain = f"The discriminator is right about {r.now('auc'):.1%} of pairs"
    peak = np.nanmax(r.all("feedback"))
    if r.now("feedback") < _VANISHED * peak:
        share = r.now("feedback") / peak
        return f"{certain}, and its gradient has shrunk to {share:.1g} of what it was."
    if r.now("distance") > _FAR and not r.now("duplicates") > _COPIES:
        return (
            f"{certain}, and samples stay at distance {r.now('distance'):.2g} from real examples."
        )
    return ""


def _g_overpowers(r: _Recent) -> str:
    if r.now("auc", 3) < _FOOLED and not _nearing(r):
        return (
            f"The discriminator rates generated examples above real ones in "
            f"{1 - r.now('auc', 3):.0%} of pairs."
        )
    says_nothing = r.now("feedback") < _SILENT * r.now("distance")
    if r.now("auc") < _CHANCE and r.now("distance") > _FAR and says_nothing:
        return (
            f"The discriminator is right about {r.now('auc'):.0%} of pairs and gives no gradient, "
            f"with samples at distance {r.now('distance'):.2g} from real examples."
        )
    return ""


def _mode_collapse(r: _Recent) -> str:
    if _nearing(r):
        return ""
    if r.now("duplicates") > _COPIES:
        return f"{r.now('duplicates'):.0%} of samples are near copies of others."
    if r.now("diversity") < _NARROW:
        return f"Samples vary {r.now('diversity'):.0%} as much as real examples."
    if r.now("missing") > _MISSING:
        return f"Samples leave out {r.now('missing'):.0%} of the data."
    return ""


def _junk_feedback(r: _Recent) -> str:
    best = np.nanmin(r.smooth("distance"))
    now = r.now("distance", 3)
    at_chance = r.now("auc", 2) > _FOOLED and r.now("auc") < _CHANCE
    if at_chance and now > best + _FALLEN and now > 2 * best:
        return (
            f"The discriminator is right about {r.now('auc'):.0%} of pairs, while samples went "
            f"from distance {best:.2g} to {now:.2g} from real examples."
        )
    return ""


def _oscillating(r: _Recent) -> str:
    judged = r.all("auc")[-WINDOW - 1 :]
    swing = np.median(np.abs(np.diff(judged)))
    low, high = np.min(judged), np.max(judged)
    if swing > _SWING and low < 0.5 < high and r.now("movement") > _HOPPING:
        return (
            f"The discriminator swings between {low:.0%} and {high:.0%}, and from one check to the "
            f"next {r.now('movement'):.0%} of what the generator makes changes."
        )
    return ""


def _converged(r: _Recent) -> str:
    if len(r) < _SETTLED or not abs(r.now("auc") - 0.5) < _CHANCE - 0.5:
        return ""
    distance = r.smooth("distance")
    now, before = (
        np.median(distance[-_SETTLED // 2 :]),
        np.median(distance[-_SETTLED : -_SETTLED // 2]),
    )
    if now < _NEAR and now > _STABLE * before:
        return (
            f"The discriminator is right about {r.now('auc'):.0%} of pairs, and samples stay at "
            f"distance {now:.2g} from real examples."
        )
    return ""


def _nearing(r: _Recent) -> bool:
    """Whether samples get nearer to real examples."""
    distance = r.smooth("distance")
    return bool(distance[-1] < _PROGRESS * distance[-WINDOW])
