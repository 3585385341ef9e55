"""How the states of a run look on the page, and when a run was in which."""

from typing import NamedTuple

from gan_jax.health import diagnosis
from gan_jax.report.history import Check


class State(NamedTuple):
    """How a state looks on the page."""

    name: str
    title: str
    meaning: str
    """In a sentence; empty if it is not known."""
    color: str
    shaded: bool
    """Whether it is shown behind curves: what is well needs no mark."""

    @property
    def ink(self) -> str:
        """Of text on its color."""
        red, green, blue = (int(self.color[i : i + 2], 16) for i in (1, 3, 5))
        return "#000" if 0.299 * red + 0.587 * green + 0.114 * blue > 120 else "#fff"


def state(name: str) -> State:
    """The state of this name; one that is not known here is gray."""
    known = diagnosis.get(name)
    if known is None:
        return State(name, name.replace("_", " "), "", "#777777", True)
    return State(name, known.title, known.meaning, known.color, shaded=not known.good)


class Span(NamedTuple):
    """A stretch of a run in one state."""

    start: int
    end: int
    state: State
    evidence: str
    """Of the first check that found it."""


def spans(checks: list[Check]) -> list[Span]:
    """When a run was in which state. A check speaks for the time since the one before."""
    found: list[Span] = []
    before = 0
    for check in checks:
        if found and found[-1].state.name == check.state:
            found[-1] = found[-1]._replace(end=check.iteration)
        else:
            found.append(Span(before, check.iteration, state(check.state), check.evidence))
        before = check.iteration
    return found


def legend(stretches: list[Span]) -> list[State]:
    """The states that occurred, in order of appearance."""
    return list(dict.fromkeys(span.state for span in stretches))
