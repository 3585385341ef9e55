"""A search over two hyperparameters: what it finds, how sure that is, and that trials compile
nothing."""

import dataclasses

import sweep

from evidence.record import Record, table

SEARCH = sweep.Sweep(
    "digits",
    vary=("g_optimizer.learning_rate=1e-4..1e-2", "objective.r1=0.01..10"),
    trials=24,
    seeds=3,
    iterations=500,
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
        mean, half = sweep.interval(trial["scores"])
        values = [f"{value:.3g}" for value in trial["values"].values()]
        lines.append([str(place + 1), *values, f"{mean:.3g} ± {half:.2g}"])
    header = ["place", *trials[0]["values"], f"{row['score']}, 95 % interval"]
    return table(header, lines)


def _search(record: Record) -> dict:
    outcome = sweep.run(dataclasses.replace(SEARCH, out=record.runs / "digits"))
    sweep.draw(outcome, record.picture("digits"))
    return {
        "seeds": list(range(SEARCH.seeds)),
        "iterations": SEARCH.iterations,
        "score": outcome.score,
        "compiled programs": outcome.compiled,
        "trials": [{"values": dict(trial), "scores": scores} for trial, scores in outcome.ranking],
    }
