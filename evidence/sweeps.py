"""A search over two hyperparameters: what it finds, what of that holds for other seeds, and that
trials compile nothing."""

import dataclasses

from evidence.record import Record, spread, table
from experiments import sweep

SEARCH = sweep.Sweep(
    "digits",
    vary=("g_optimizer.learning_rate=1e-4..1e-2", "objective.penalties.r1=0.01..10"),
    trials=24,
    seeds=3,
    iterations=500,
    confirm=5,
)
_SHOWN = 5


def reproduce(record: Record) -> str:
    """The best and the worst of the trials."""
    row = record.row("digits", lambda: _search(record))
    trials = row["trials"]
    places = [*range(_SHOWN), *range(len(trials) - _SHOWN, len(trials))]
    lines = []
    for place in places:
        trial = trials[place]
        values = [f"{value:.3g}" for value in trial["values"].values()]
        again = row["confirmed"][place : place + 1]
        scores = [spread(trial["scores"]), spread(again[0]) if again else ""]
        lines.append([str(place + 1), *values, *scores])
    header = ["place", *trials[0]["values"], row["score"], "with other seeds"]
    return table(header, lines)


def _search(record: Record) -> dict:
    outcome = sweep.run(dataclasses.replace(SEARCH, out=record.runs / "digits"))
    sweep.draw(outcome, record.image("digits"))
    return {
        "seeds": list(range(SEARCH.seeds)),
        "iterations": SEARCH.iterations,
        "score": outcome.score,
        "compiled programs": outcome.compiled,
        "confirmed": outcome.confirmed,
        "trials": [{"values": dict(trial), "scores": scores} for trial, scores in outcome.ranking],
    }
