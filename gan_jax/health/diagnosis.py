"""Is this run healthy, and if not, what is wrong with it?

`diagnose` looks at the signals of all checks so far (see `gan_jax.health.signals`) and names one
state. All of them are in `KNOWN`, at the end of this file: what each means, how it is told, what to
do about it and how it looks in a report. Nothing else has a list of them.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from gan_jax.health.thresholds import (
    ABOVE,
    BARELY,
    CHANCE,
    CHANGING,
    CONFIRMING,
    COPIES,
    FALLEN,
    FAR,
    FOOLED,
    GAINED,
    HOPPING,
    HUGE,
    LEARNING,
    MISSING,
    NARROW,
    NEAR,
    NOISE,
    PERFECT,
    PROGRESS,
    RECOGNIZED,
    REPLACED,
    SETTLED,
    SILENT,
    STABLE,
    STILL,
    STUCK,
    SWING,
    VANISHED,
    WINDOW,
)

History = Sequence[Mapping[str, float]]


class Scored(NamedTuple):
    """One evaluation of the generator by a metric, beside the checks."""

    name: str
    """Of the score that decides which checkpoint is the best, with its conventions: values under
    different names are not compared."""
    value: float
    """Of that score: the lower, the better; what is better the higher it is, with its sign changed.
    """
    covered: float = float("nan")
    """The share of what real examples do that samples do too (recall or coverage), from 0 to 1; NaN
    where it was not measured."""


@dataclasses.dataclass(frozen=True)
class State:
    """A state that a run can be in."""

    name: str
    title: str
    """What people call it."""
    meaning: str
    find: "Callable[[Recent], str]"
    """The evidence for it in these checks; empty if there is none."""
    color: str
    """In reports: of Paul Tol's muted scheme, made to be told apart by the color-blind."""
    suggestion: str = ""
    """What to do about it; empty if there is nothing to do."""
    good: bool = False
    sudden: bool = False
    """One check is enough to tell; for others it takes some, and two in a row that agree."""


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
        known = get(self.state)
        return known is None or not known.good


def get(name: str) -> State | None:
    """The state of this name, if it is known."""
    return next((state for state in KNOWN if state.name == name), None)


def diagnose(history: History, scored: Sequence[Scored] = ()) -> Diagnosis:
    """The state after the last of these checks, each with its `iteration` and signals, and after
    the evaluations before it.

    The first checks are too early to tell anything but divergence. Signals that a check lacks
    (there are no held-out examples, or this training has no such number) are evidence of nothing.
    Evaluations tell which good state it is: failures are told by the checks alone.
    """
    now = Recent(history, scored)
    found = [_find(now), *(_find(now.before(back)) for back in range(1, CONFIRMING))]
    state, evidence = found[0]
    if not (state.sudden or state.good):
        if any(other.good for other, _ in found):
            state, evidence = _well(now)
        else:
            # Signs of different failures come together; what causes the others comes first.
            order = [known.name for known in KNOWN]
            state, evidence = min(found, key=lambda pair: order.index(pair[0].name))
    return Diagnosis(state.name, evidence, state.suggestion)


def diagnose_each(
    history: History, parts: Sequence[str], scored: Sequence[Scored] = ()
) -> Diagnosis:
    """Of a training of several generators, whose signals are named `part/name`: the worst of their
    states, and how each of them stands. Without parts, as `diagnose`."""
    if not parts:
        return diagnose(history, scored)
    each = {
        part: diagnose([signals_of(check, part, parts) for check in history], scored)
        for part in parts
    }
    order = [known.name for known in KNOWN]
    failing = [found for found in each.values() if found.failing]
    # Of good ones, it is early if one of them is, and converged if all of them are.
    early = [found for found in each.values() if found.state == _EARLY.name]
    worst = (min if failing else max)(
        failing or early or each.values(), key=lambda found: order.index(found.state)
    )
    evidence = " ".join(f"{part}: {found.evidence}" for part, found in each.items())
    return Diagnosis(worst.state, evidence, worst.suggestion)


def signals_of(
    check: Mapping[str, float], part: str, parts: Sequence[str] = ()
) -> dict[str, float]:
    """The signals of one part of a check: its own, and those that are not of any of the parts."""
    others = tuple(f"{name}/" for name in parts)
    own = f"{part}/"
    common = {name: value for name, value in check.items() if not name.startswith(others)}
    return common | {
        name.removeprefix(own): value for name, value in check.items() if name.startswith(own)
    }


class Recent:
    """The checks so far: medians over the last ones, and what came before; and the evaluations."""

    def __init__(self, history: History, scored: Sequence[Scored] = ()):
        self.history, self.scored = history, scored

    def before(self, checks: int) -> "Recent":
        """Without the last so many checks."""
        return Recent(self.history[: len(self.history) - checks], self.scored)

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
        """Running medians of up to three checks, one per check."""
        values = self.all(name)
        begun = [np.median(values[:n]) for n in range(1, min(len(values), 2) + 1)]
        return np.array([*begun, *np.median([values[:-2], values[1:-1], values[2:]], axis=0)])


def _find(r: Recent) -> tuple[State, str]:
    """The first state that the signals show, and the evidence for it."""
    for state in KNOWN:
        if len(r) >= (1 if state.sudden else WINDOW) and (evidence := state.find(r)):
            return state, evidence
    return _well(r)


def _well(r: Recent) -> tuple[State, str]:
    """The state where no failure shows, and it has not converged."""
    return (_EARLY, evidence) if (evidence := _early(r)) else (_HEALTHY, _standing(r))


def _early(r: Recent) -> str:
    if len(r) < WINDOW:
        return "It is too early to tell."
    # Later, and where it gets no better, it is what the generator does.
    begun = len(r) >= SETTLED and _stands(r)
    return "" if begun else _barely(r)


def _barely(r: Recent) -> str:
    covered = r.scored[-1].covered if r.scored else float("nan")
    if covered < BARELY:
        return f"Samples do {covered:.1%} of what real examples do, by the last scores."
    return ""


def _standing(r: Recent) -> str:
    return (
        f"The discriminator is right about {r.now('auc'):.0%} of pairs, and samples are at "
        f"distance {r.now('distance'):.2g} from real examples{', and nearing' * _nearing(r)}. "
        f"{_barely(r)}"
    ).strip()


def _diverged(r: Recent) -> str:
    last = r.history[-1]
    bad = [name for name, value in last.items() if not np.isfinite(value)]
    if bad:
        return f"{', '.join(bad)} of the last check are not finite."
    for name, most in (("feedback", HUGE), ("d/loss", HUGE)):
        if abs(r.now(name, 2)) > most:
            return f"{name} is at {r.now(name, 2):.2g}."
    for name in ("d/update_ratio", "g/update_ratio"):
        if last.get(name, 0) > REPLACED:
            return f"An update changes the parameters by {last[name]:.0%} ({name})."
    return ""


def _d_overfits(r: Recent) -> str:
    if r.now("recognition", 3) > RECOGNIZED:
        return (
            f"The discriminator rates a real example that it trained on above one it did not in "
            f"{r.now('recognition', 3):.0%} of pairs."
        )
    return ""


def _d_overpowers(r: Recent) -> str:
    if not r.now("auc") > PERFECT or _nearing(r):
        return ""
    certain = f"The discriminator is right about {r.now('auc'):.1%} of pairs"
    peak = np.nanmax(r.all("feedback"))
    share = r.now("feedback", 3) / peak
    if share < VANISHED:
        return f"{certain}, and its gradient has shrunk to {share:.1g} of what it was."
    stuck = r.now("g/update_ratio") < STUCK * r.now("d/update_ratio")
    if len(r) >= LEARNING and r.now("distance") > FAR and (stuck or not _collapsed(r)):
        return (
            f"{certain}, and samples stay at distance {r.now('distance'):.2g} from real examples."
        )
    return ""


def _silent(r: Recent) -> str:
    says_nothing = r.now("feedback") < SILENT * r.now("distance")
    worst = np.min(r.all("auc")[-WINDOW:])
    if worst < CHANCE and r.now("distance") > FAR and says_nothing:
        return (
            f"The discriminator gives no gradient and is right about no more than {worst:.0%} of "
            f"pairs, with samples at distance {r.now('distance'):.2g} from real examples."
        )
    return ""


def _fooled(r: Recent) -> str:
    if r.now("auc") < FOOLED and not _nearing(r):
        return (
            f"The discriminator rates generated examples above real ones in "
            f"{1 - r.now('auc'):.0%} of pairs."
        )
    return ""


def _mode_collapse(r: Recent) -> str:
    return "" if _nearing(r) or len(r) < LEARNING else _collapsed(r)


def _collapsed(r: Recent) -> str:
    if r.now("duplicates") > COPIES:
        return f"{r.now('duplicates'):.0%} of samples are near copies of others."
    if r.now("diversity") < NARROW:
        return f"Samples vary {r.now('diversity'):.0%} as much as real examples."
    if r.now("missing") > MISSING:
        return f"Samples leave out {r.now('missing'):.0%} of the data."
    return ""


def _junk_feedback(r: Recent) -> str:
    best = np.nanmin(r.smooth("distance"))
    now = r.now("distance", 3)
    at_chance = r.now("auc", 2) > FOOLED and r.now("auc") < CHANCE
    if at_chance and now > best + FALLEN and now > 2 * best:
        return (
            f"The discriminator is right about {r.now('auc'):.0%} of pairs, while samples went "
            f"from distance {best:.2g} to {now:.2g} from real examples."
        )
    return ""


def _oscillating(r: Recent) -> str:
    judged, movement = r.all("auc")[-WINDOW - 1 :], r.now("movement")
    swing = np.median(np.abs(np.diff(judged)))
    low, high = np.min(judged), np.max(judged)
    if swing > SWING and low < 1 - ABOVE and high > ABOVE and movement > CHANGING:
        return (
            f"The discriminator swings between {low:.0%} and {high:.0%}, and from one check to the "
            f"next {movement:.0%} of what the generator makes changes."
        )
    if movement > HOPPING and r.now("diversity") < NARROW:
        return (
            f"Samples are much alike ({r.now('diversity'):.0%} of the variation of real examples), "
            f"and others at every check."
        )
    return ""


def _converged(r: Recent) -> str:
    half = SETTLED // 2
    if len(r) < SETTLED or not abs(r.now("auc", half) - 0.5) < CHANCE - 0.5:
        return ""
    distance = r.smooth("distance")
    now, before = np.median(distance[-half:]), np.median(distance[-SETTLED:-half])
    if now < NEAR and now > STABLE * before - NOISE and (stands := _stands(r)):
        return (
            f"The discriminator is right about {r.now('auc', half):.0%} of pairs, samples stay "
            f"at distance {now:.2g} from real examples, {stands}."
        )
    return ""


def _stands(r: Recent) -> str:
    """That the score stands still, or that there is none; empty where it does not."""
    if not r.scored:
        return "and there are no scores that could say more"
    name = r.scored[-1].name
    values = [s.value for s in r.scored if s.name == name and np.isfinite(s.value)]
    if len(values) <= STILL:
        return ""
    best, last = min(values[:-STILL]), min(values[-STILL:])
    if best - last > (1 - GAINED) * abs(best):
        return ""
    return f"and the last {STILL} scores ({name.partition('[')[0]}) are hardly better than before"


def _nearing(r: Recent) -> bool:
    """Whether samples get nearer to real examples."""
    distance = r.smooth("distance")
    return bool(distance[-1] < PROGRESS * distance[-WINDOW])


_EARLY = State(
    "early",
    "early",
    "It has only begun: no failure shows, and nothing else can be told yet.",
    _early,
    "#DDDDDD",
    "Train on; should it be done, train for longer.",
    good=True,
    sudden=True,
)
_HEALTHY = State(
    "healthy",
    "healthy",
    "No known failure shows.",
    _standing,
    "#117733",
    good=True,
    sudden=True,
)
_G_OVERPOWERS = State(
    "g_overpowers",
    "generator overpowers",
    "The discriminator rates generated examples above real ones, or cannot tell apart what is far "
    "apart.",
    _silent,
    "#88CCEE",
    "Give the discriminator more width, a higher learning rate, or more steps "
    "(alternation.d_steps); check that it trains at all.",
)

# What makes others meaningless, or brings them about, comes first.
KNOWN: tuple[State, ...] = (
    State(
        "diverged",
        "diverged",
        "Numbers are not finite, or grow out of all proportion.",
        _diverged,
        "#882255",
        "Lower the learning rates; a Wasserstein critic needs wgan_gp or clip_weights.",
        sudden=True,
    ),
    State(
        "d_overfits",
        "discriminator overfits",
        "The discriminator tells the examples it trained on from others that are as real.",
        _d_overfits,
        "#332288",
        "Get more data, augment them (augmentation.kind, data.flip) or begin with a run on others "
        "(--init-from), raise r1, or make the discriminator smaller; take the best checkpoint.",
    ),
    _G_OVERPOWERS,
    State(
        "oscillating",
        "oscillating",
        "What the generator makes changes altogether from check to check, without getting nearer "
        "to the data.",
        _oscillating,
        "#CC6677",
        "Lower both learning rates or their momentum (b1=0), and add r1 and r2: penalties damp the "
        "swings.",
    ),
    State(
        "d_overpowers",
        "discriminator overpowers",
        "The discriminator is near perfect, and the generator does not catch up: its gradient "
        "vanishes, or its samples stay as far from real examples as they were.",
        _d_overpowers,
        "#DDCC77",
        "Lower the discriminator's learning rate or its steps, add a penalty (objective.penalties "
        "r1=1), or use a loss that does not saturate.",
    ),
    State(
        "junk_feedback",
        "junk feedback",
        "The discriminator is at chance while quality falls: the generator follows noise.",
        _junk_feedback,
        "#999933",
        "Stop and take the best checkpoint: what follows it is training on noise.",
    ),
    dataclasses.replace(_G_OVERPOWERS, find=_fooled),  # where nothing above explains it
    State(
        "mode_collapse",
        "mode collapse",
        "Samples are near copies of each other, or leave out part of the data.",
        _mode_collapse,
        "#AA4499",
        "Use relativistic_pairing with r1 and r2, or raise their weights; give the generator a "
        "lower learning rate, or more latent dimensions.",
    ),
    _EARLY,
    State(
        "converged",
        "converged",
        "The discriminator is near chance, quality is good and stable, and so are the scores.",
        _converged,
        "#44AA99",
        "Stop or lower the learning rates; take the best checkpoint.",
        good=True,
    ),
    _HEALTHY,
)

STATES = tuple(dict.fromkeys(state.name for state in reversed(KNOWN)))
"""Their names, the good ones first."""
GOOD = tuple(name for name in STATES if not Diagnosis(name, "", "").failing)
