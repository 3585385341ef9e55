"""The trainer as a clock: when hooks act, in which order, and on what."""

import contextlib
import types

import numpy as np
import pytest

from gan_jax.errors import DivergedError, InputError
from gan_jax.steps import Pace, Tally
from gan_jax.training import trainer
from gan_jax.training.hooks import Averages, Hook, Profile
from gan_jax.training.trainer import Trainer

pytestmark = pytest.mark.usefixtures("unchecked")  # what stands in here is of other types


class Recorder(Hook):
    """Writes down what the trainer calls, under a name."""

    def __init__(self, name, events, every, *, at_end=False, rests=False):
        self.name, self.events = name, events
        self.every, self.at_end, self.rests = every, at_end, rests
        self.saved = None

    def start(self, iteration, d, g):
        self.events.append(f"start {self.name} {iteration}")
        return iteration

    def finish(self, iteration, started):
        assert started == iteration
        self.events.append(f"finish {self.name} {iteration}")

    def act(self, iteration, d, g):
        if self.saved != iteration:
            self.events.append(f"act {self.name} {iteration}")
        self.saved = iteration

    def last(self):
        return "nothing is saved"


class Awaited:
    """−1, once it was waited for as long as so many iterations take."""

    def __init__(self, wait, count):
        self.wait, self.count = wait, count

    def __array__(self, dtype=None, copy=None):
        self.wait(self.count)
        return np.array(-1)


def run(
    hooks, events, *, end=6, capacity=100, first=0, fails=None, stops_at=None, wait=None, **options
):
    """Trains by a program that only counts; gives the iterations at which its calls ended."""
    ends = []
    interruption = types.SimpleNamespace(asked=False)

    def call(d, g, start, count, pace, stop):
        if count == 0:
            return d, g, tally(-1), False
        if fails == "data" and ends:
            raise InputError("an image cannot be read")
        ends.append(start + count)
        events.append(f"call {start}-{start + count}")
        interruption.asked = stops_at is not None and start + count >= stops_at
        diverged = start if fails == "numbers" else -1
        return d + count, g, tally(diverged if wait is None else Awaited(wait, count)), stop

    def tally(diverged):
        return Tally({"d": {"loss": np.float32(1)}}, {"d": np.int32(1)}, {"d": diverged})

    *others, checkpoint = hooks
    trainer = Trainer(
        call=call,
        boundary=lambda iteration: iteration + capacity,
        hooks=others,
        checkpoint=checkpoint,
        pace=Pace,
        end=end,
        interruption=interruption,
        **options,
    )
    d, _, reached = trainer.train(first, 0, first)
    assert d == reached
    return ends


def test_calls_end_where_the_next_hook_is_due():
    hooks = [Recorder("a", [], 2), Recorder("b", [], 3), Recorder("save", [], None)]
    assert run(hooks, [], end=7) == [2, 3, 4, 6, 7]
    assert run(hooks, [], end=7, capacity=1) == [1, 2, 3, 4, 5, 6, 7]
    assert run(hooks, [], end=7, first=5) == [6, 7]


def test_the_order_of_hooks():
    """What a hook starts is on its way before the next call, and finished while that one runs, in
    the order of the hooks; what needs the states at rest waits for everything else."""
    events = []
    check, log = Recorder("check", events, 2), Recorder("log", events, 2, at_end=True)
    score = Recorder("score", events, 4, rests=True)
    run([check, log, score, Recorder("save", events, 4, rests=True)], events, end=5)
    assert events == [
        "call 0-2", "start check 2", "start log 2",
        "call 2-4", "finish check 2", "finish log 2",
        "start check 4", "start log 4", "start score 4", "start save 4",
        "finish check 4", "finish log 4", "finish score 4", "finish save 4",
        "act check 4", "act log 4", "act score 4", "act save 4",
        "call 4-5", "start log 5", "finish log 5", "act save 5",
    ]  # fmt: skip


def test_nothing_is_finished_scored_or_saved_that_is_not_finite():
    events = []
    hooks = [Recorder("log", events, 2), Recorder("save", events, 2, rests=True)]
    with pytest.raises(DivergedError, match=r"discriminator's .* at iteration 0; nothing is saved"):
        run(hooks, events, fails="numbers")
    assert events == ["call 0-2", "start log 2", "start save 2"]


def test_what_was_trained_before_bad_data_is_saved():
    events = []
    with pytest.raises(InputError, match="cannot be read"):
        run([Recorder("log", events, 2), Recorder("save", events, None)], events, fails="data")
    assert events[-2:] == ["finish log 2", "act save 2"]


def test_an_interruption_ends_after_the_call_in_flight_and_saves():
    events = []
    ends = run([Recorder("log", events, 2), Recorder("save", events, None)], events, stops_at=4)
    assert ends == [2, 4]
    assert events[-1] == "act save 4"


def test_a_profile_adds_its_edges():
    profile = Profile(3, 5, "nowhere")
    assert [profile.next(i) for i in (0, 3, 4, 5)] == [3, 5, 5, None]


def test_averages_are_over_the_updates():
    averages = Averages(0)
    for loss, updated in ((6.0, 2), (3.0, 1)):
        averages.add(Tally({"d": {"loss": loss}, "g": {"loss": 0.0}}, {"d": updated, "g": 0}, {}))
    assert averages.values() == {"d/loss": 3.0}


@pytest.mark.parametrize(
    ("seconds", "end"), [(0.001, 20_000), (0.3, 500), (1.5, 100), (10.0, 20)], ids=str
)
def test_calls_last_about_two_seconds_however_long_an_iteration_takes(monkeypatch, seconds, end):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(trainer.time, "monotonic", lambda: clock.now)

    def wait(count):
        clock.now += seconds * count

    hooks = [Recorder("log", [], None), Recorder("save", [], None)]
    ends = run(hooks, [], end=end, capacity=10_000, stride=trainer.Stride(), wait=wait)
    sizes = np.diff([0, *ends])
    assert (ends[-1], sizes[0]) == (end, 1)
    assert sizes.max() * seconds <= max(trainer.Stride.SECONDS, seconds)
    assert sizes.max() * seconds >= 0.5 * trainer.Stride.SECONDS


def test_what_is_drawn_at_the_start_is_drawn_before_anything_is_compiled():
    events = []

    @contextlib.contextmanager
    def compiling():
        events.append("compiling")
        yield

    preview = Recorder("preview", events, 4)
    preview.at_start = True
    run([preview, Recorder("save", events, None)], events, end=1, compiling=compiling)
    assert events[:4] == ["start preview 0", "finish preview 0", "compiling", "call 0-1"]
    events.clear()
    run([preview, Recorder("save", events, None)], events, first=2, end=3, compiling=compiling)
    assert events[:2] == ["compiling", "call 2-3"]
