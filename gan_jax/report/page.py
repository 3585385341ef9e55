"""All that the page says of one run."""

import contextlib
from dataclasses import dataclass

import numpy as np

from gan_jax.config import to_json
from gan_jax.errors import InputError
from gan_jax.report import answer, curves, images, memory, states
from gan_jax.report.charts import Chart
from gan_jax.report.history import History, read
from gan_jax.report.images import Samples, Shown, Varied
from gan_jax.runs import Run
from gan_jax.tasks.generation import Generation


@dataclass(frozen=True)
class Page:
    """One run. Where something is missing, a sentence says why."""

    run: Run
    name: str
    """That of its folder, which tells it from others beside it."""
    history: History
    score: answer.Standing | None
    """How the score went that decides."""
    spans: list[states.Span]
    charts: list[Chart]
    sheets: list[Shown]
    samples: dict[str, Samples]
    """Of the `best` checkpoint, if one is known, and of the `last`, or of the one that is `best and
    last`."""
    samples_missing: str
    neighbors: memory.Neighbors | None
    neighbors_missing: str
    """Empty for points, too, which need no neighbours to be compared."""
    walks: Shown | None
    varied: list[Varied]
    brief: bool
    """Whether it is one of several, and leaves out neighbors, walks and what numbers do."""

    @property
    def title(self) -> str:
        """The run's name, and its folder's where that says more; of several runs, the folder's."""
        name = self.run.config.name
        return self.name if self.brief or self.name == name else f"{name} ({self.name})"

    @property
    def advice(self) -> answer.Advice:
        """Whether it is done."""
        return answer.advise(self.run, self.history, self.score, self.state)

    @property
    def last(self) -> Shown | None:
        """What it makes at the end, if that is known."""
        drawn = [samples.together for samples in self.samples.values()]
        return next(reversed([*self.sheets, *drawn]), None)

    @property
    def state(self) -> states.State | None:
        """At the last check."""
        return self.spans[-1].state if self.spans else None

    @property
    def legend(self) -> list[states.State]:
        """The states that occurred."""
        return states.legend(self.spans)

    @property
    def shown(self) -> str:
        """What the sheets show, in words."""
        return self.run.task.shown

    @property
    def data(self) -> str:
        """What it was trained on, in words."""
        found = self.run.data
        named = getattr(found, "class_names", None)
        classes = f" · {found.classes_in_words}" if named else ""
        return f"{self.run.task.data_name}: {found}{classes}"

    @property
    def config(self) -> str:
        return to_json(self.run.config)

    @property
    def description(self) -> str:
        return to_json(self.run.data)


def of_run(run: Run, name: str, data_dir: str | None, *, brief: bool) -> Page:
    """Reads the logs of a run, and draws samples from its checkpoints."""
    history = read(run)
    spans = states.spans(history.checks)
    real, real_missing = None, ""
    task = run.task
    samples_from_noise = isinstance(task, Generation)
    is_points = isinstance(task, Generation) and not task.is_images
    if samples_from_noise and (is_points or not brief):
        try:
            real = memory.real_examples(run, data_dir)
        except InputError as error:
            real_missing = f"The real examples cannot be shown: {error}."
    samples, missing = {}, ""
    if samples_from_noise:
        samples, missing = _samples(run, real if is_points else None, brief)
    neighbors, walks, varied, neighbors_missing = None, None, [], ""
    if samples and not (is_points or brief):
        shown = next(iter(samples.values()))  # the best ones, where these are known
        with contextlib.suppress(InputError):  # not all generators have latents to walk between
            walks = images.interpolation(run, shown.iteration)
            varied = images.varied(run, shown.iteration)
        neighbors_missing = real_missing
        if real is not None:
            try:
                neighbors = memory.neighbors(shown.examples, real, shown.names)
            except InputError as error:
                neighbors_missing = f"They cannot be compared: {error}."
    return Page(
        run=run,
        name=name,
        history=history,
        score=answer.chosen(run, history),
        spans=spans,
        charts=curves.of_run(history, spans),
        sheets=images.sheets(run),
        samples=samples,
        samples_missing=missing,
        neighbors=neighbors,
        neighbors_missing=neighbors_missing,
        walks=walks,
        varied=varied,
        brief=brief,
    )


def _samples(run: Run, real: np.ndarray | None, brief: bool) -> tuple[dict[str, Samples], str]:
    """Those of the best and the last checkpoint; or none, and why."""
    try:
        last = run.latest()
        best = None if brief else run.best()
        wanted = {"best": best.iteration, "last": last} if best else {"last": last}
        if best and best.iteration == last:
            wanted = {"best and last": last}
        return {what: images.draw(run, i, real) for what, i in wanted.items()}, ""
    except InputError as error:
        return {}, f"There are no samples: {error}."


def duration(seconds: float) -> str:
    """In words, to two units at most."""
    if seconds < 59.5:
        return f"{seconds:.2g} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
