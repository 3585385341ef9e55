"""Scores of a translator, both ways, and the share that a classifier takes for the target."""

from types import SimpleNamespace

import numpy as np
import pytest

from gan_jax.evaluation.best import by_conventions, deciding
from gan_jax.evaluation.directions import Directions
from gan_jax.evaluation.metric import Score, Setting, higher_is_better, metrics
from gan_jax.evaluation.subject import Subject

WHERE = {"a2b": "winter-cnn, train, 866/123", "b2a": "winter-cnn, train, 1.1k/96"}


def fake(direction, kid, target, calls=None):
    """What scores one direction, whatever the generator."""

    def score(g):
        if calls is not None:
            calls.append((direction, g))
        where = WHERE[direction]
        return [Score("KID", kid, where, False), Score("target", target, where, True)]

    return score


pytestmark = pytest.mark.usefixtures("unchecked")  # what stands in here is of other types


@pytest.fixture
def calls():
    return []


@pytest.fixture
def directions(calls):
    return Directions(
        {"a2b": fake("a2b", 2.0, 0.5), "b2a": fake("b2a", 4.0, 0.8)},
        {"a2b": fake("a2b", 10.0, 0.1, calls), "b2a": fake("b2a", 20.0, 0.2, calls)},
    )


def test_scores_of_both_directions_and_of_doing_nothing(directions):
    found = [(s.name, s.conventions, s.value, s.higher_is_better) for s in directions("g")]
    one, other = WHERE["a2b"], WHERE["b2a"]
    assert found == [
        ("KID", "winter-cnn, train, both ways", 3.0, False),
        ("target", "winter-cnn, train, both ways", 0.65, True),
        ("KID", f"{one}, a2b", 2.0, False),
        ("target", f"{one}, a2b", 0.5, True),
        ("KID", f"{other}, b2a", 4.0, False),
        ("target", f"{other}, b2a", 0.8, True),
        ("KID", f"{one}, a2b not translated", 10.0, False),
        ("target", f"{one}, a2b not translated", 0.1, True),
        ("KID", f"{other}, b2a not translated", 20.0, False),
        ("target", f"{other}, b2a not translated", 0.2, True),
    ]


def test_one_direction_has_no_mean_and_needs_no_name():
    scores = {"": fake("a2b", 2.0, 0.5)}
    found = Directions(scores, {"": fake("a2b", 5.0, 0.1)}, "interpolated")("g")
    where, other = WHERE["a2b"], f"{WHERE['a2b']}, interpolated"
    expected = [(2.0, where), (0.5, where), (5.0, other), (0.1, other)]
    assert [(s.value, s.conventions) for s in found] == expected


def test_the_mean_decides_which_is_best(directions):
    scores = directions("g")
    assert deciding(scores, None) == scores[0]
    assert deciding(scores, "TARGET").value == 0.65
    groups = dict(by_conventions(scores))
    assert len(groups) == 5  # none hides another one
    assert groups["winter-cnn, train, both ways"] == {"KID": 3.0, "target": 0.65}


def test_doing_nothing_is_scored_once(directions, calls):
    first, second = directions("one"), directions("another")
    assert first[6:] == second[6:]
    assert calls == [("a2b", "one"), ("b2a", "one")]


def test_a_score_that_is_not_finite_has_no_finite_mean(calls):
    directions = Directions(
        {"a2b": fake("a2b", np.nan, 0.5), "b2a": fake("b2a", 4.0, 0.8)},
        {"a2b": fake("a2b", 1.0, 0.1), "b2a": fake("b2a", 1.0, 0.1)},
    )
    assert np.isnan(directions("g")[0].value)


# ---- the share that a classifier takes for the target domain ----

TARGET = metrics()["target"]


@pytest.mark.parametrize(("target", "share"), [(0, 0.25), (1, 0.75)])
def test_the_target_share_by_hand(target, share):
    logits = np.array([[0.0, 1.0], [3.0, 2.0], [-1.0, 0.0], [0.0, 9.0]])
    comparison = SimpleNamespace(
        subject=SimpleNamespace(target=target), logits=logits, fake=np.zeros((4, 2, 2, 3))
    )
    values, real, generated = TARGET.measure(comparison)
    assert values == {"target": share}
    assert (real, generated) == (0, 4)
    assert higher_is_better("target")


@pytest.mark.parametrize(
    ("target", "logits", "needs"),
    [
        (1, "classes", ""),
        (None, "classes", "a model that translates"),
        (1, "none", "the extractor classifier"),
        (1, "other", "the extractor classifier"),
    ],
)
def test_what_the_target_share_needs(target, logits, needs):
    subject = Subject(lambda g, n, labels: None, target=target)
    setting = Setting(subject, images=True, logits=logits)
    assert TARGET.needs(setting) == needs
    assert TARGET.default(setting) == (not needs)
