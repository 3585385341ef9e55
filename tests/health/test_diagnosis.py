"""What is said of histories written by hand."""

import gzip
import json
import math

import numpy as np
import pytest

from evidence.diagnosis import RESULTS, judge
from evidence.provocations import PROVOCATIONS
from gan_jax.health import diagnosis
from gan_jax.health.diagnosis import (
    GOOD,
    STATES,
    WINDOW,
    Scored,
    State,
    diagnose,
    diagnose_each,
    signals_of,
)
from gan_jax.report import states

HEALTHY = {
    "auc": 0.6,
    "auc_held_out": 0.59,
    "recognition": 0.51,
    "feedback": 0.5,
    "diversity": 1.0,
    "missing": 0.0,
    "duplicates": 0.0,
    "distance": 0.2,
    "movement": 0.12,
    "d/loss": 1.3,
    "d/update_ratio": 0.01,
    "g/update_ratio": 0.01,
}


def history(n=30, **signals):
    """`n` checks. A signal is one number, or a list of the last ones, or a function of the check's
    index."""
    checks = []
    for i in range(n):
        check = {"iteration": 100 * (i + 1)} | HEALTHY | {"distance": 2 / (i + 2)}
        for name, value in signals.items():
            if callable(value):
                check[name] = value(i)
            elif isinstance(value, list):
                back = n - i
                check[name] = value[-back] if back <= len(value) else check[name]
            else:
                check[name] = value
        checks.append(check)
    return checks


def state(**signals):
    return diagnose(history(**signals)).state


def test_a_run_that_gets_nearer_is_healthy():
    found = diagnose(history())
    assert found.state == "healthy"
    assert not found.failing
    assert found.suggestion == ""


def test_converged():
    assert state(n=60, distance=lambda i: 0.05 + 0.5**i) == "converged"
    assert state(n=60, distance=0.4) == "healthy"  # stable and far away


def fid(*values):
    return [Scored("FID", value) for value in values]


@pytest.mark.parametrize(
    ("scores", "expected"),
    [
        ((), "converged"),  # there is nothing that could say more
        ((14.4, 13.3, 13.0, 12.0), "healthy"),  # as on digits, when the checks stood still
        ((14.4, 13.3, 13.0), "healthy"),  # too few to tell
        ((14.4, 12.0, 12.1, 11.9, 12.0), "converged"),
        ((14.4, 12.0, 13.0, 14.0, 15.0), "converged"),
        ((14.4, 12.0, 12.1, 11.5, 12.0), "healthy"),
        ((-0.5, -0.6, -0.6, -0.59, -0.6), "converged"),  # a recall
        ((-0.5, -0.6, -0.6, -0.63, -0.6), "healthy"),
        ((math.nan, math.nan, 12.0, 12.0), "healthy"),
    ],
)
def test_converged_are_runs_whose_scores_stand_still(scores, expected):
    still = history(n=60, distance=lambda i: 0.05 + 0.5**i)
    found = diagnose(still, fid(*scores))
    assert found.state == expected
    assert ("(FID) are hardly better" in found.evidence) == (
        expected == "converged" and scores != ()
    )


@pytest.mark.parametrize(
    ("covered", "expected"), [(0.01, "early"), (0.2, "healthy"), (math.nan, "healthy")]
)
def test_it_is_early_where_samples_do_little_of_what_real_examples_do(covered, expected):
    found = diagnose(history(), [Scored("FID", 90.0, 0.3), Scored("FID", 80.0, covered)])
    assert found.state == expected
    assert ("Samples do 1.0% of what real examples do" in found.evidence) == (expected == "early")


def test_scores_of_other_conventions_are_not_compared():
    """As where a run goes on by another extractor, whose numbers are larger."""
    still = history(n=60, distance=lambda i: 0.05 + 0.5**i)
    before = [Scored("FID[pixels]", value) for value in (3.0, 2.0, 2.0, 2.0, 2.0)]
    falling = [Scored("FID[efficientnet]", value) for value in (520.0, 400.0, 300.0, 250.0)]
    assert diagnose(still, before).state == "converged"
    assert diagnose(still, before + falling).state == "healthy"


def test_late_in_a_run_little_coverage_is_no_sign_of_a_beginning():
    scores = [Scored("FID", 80.0, 0.01)] * 5
    assert diagnose(history(n=10), scores).state == "early"
    found = diagnose(history(n=60), scores)
    assert found.state == "healthy"
    assert found.evidence.endswith("Samples do 1.0% of what real examples do, by the last scores.")


def test_scores_make_no_failure_and_mend_none():
    """Where training depends on failures, processes that do not score have to find the same."""
    for signals in ({"recognition": 0.8}, {"missing": 0.5, "distance": 0.4}):
        alone = diagnose(history(**signals))
        assert alone.failing
        for scored in (fid(9.0, 9.0, 9.0, 9.0), [Scored("FID", 9.0, 0.0)]):
            assert diagnose(history(**signals), scored) == alone


def test_d_overpowers_where_its_gradient_vanishes():
    assert state(auc=0.999, feedback=lambda i: 0.7**i, distance=1.0) == "d_overpowers"


def test_d_overpowers_where_the_generator_stays_far_away():
    assert state(auc=0.999, distance=1.0) == "d_overpowers"


def test_a_perfect_discriminator_is_healthy_while_the_generator_learns():
    assert state(n=10, auc=1.0, distance=lambda i: 0.9**i) == "healthy"
    assert state(auc=0.999, distance=0.2) == "healthy"


def test_g_overpowers_where_fakes_are_rated_higher():
    assert state(auc=0.02, distance=1.0) == "g_overpowers"


def test_g_overpowers_where_the_discriminator_has_nothing_to_say():
    assert state(auc=0.5, distance=1.0, feedback=1e-4) == "g_overpowers"


@pytest.mark.parametrize("sign", [{"duplicates": 0.8}, {"diversity": 0.2}, {"missing": 0.5}])
def test_mode_collapse(sign):
    assert state(**sign, distance=0.4) == "mode_collapse"


def test_untrained_generators_that_learn_have_not_collapsed():
    assert state(n=6, duplicates=1.0, diversity=0.1, distance=lambda i: 0.9**i) == "healthy"


def test_junk_feedback():
    fallen = [0.2, 0.3, 0.4, 0.5, 0.5]
    assert state(auc=0.5, distance=fallen) == "junk_feedback"
    assert state(auc=0.9, distance=fallen) == "healthy"  # the discriminator still sees it


def test_d_overfits():
    found = diagnose(history(recognition=0.8))
    assert found.state == "d_overfits"
    assert "80%" in found.evidence


def test_oscillating():
    swings = {"auc": lambda i: 0.2 if i % 2 else 0.9, "movement": 0.8, "distance": 1.0}
    assert state(**swings) == "oscillating"
    assert state(**swings | {"movement": 0.1}) != "oscillating"


@pytest.mark.parametrize(
    "sign",
    [
        {"distance": [math.nan]},
        {"feedback": 1e6},
        {"d/loss": -1e6},
        {"g/update_ratio": [2.0]},
    ],
)
def test_diverged(sign):
    assert state(**sign) == "diverged"


def test_divergence_is_seen_at_the_first_check():
    assert diagnose([{"iteration": 100, "auc": math.nan}]).state == "diverged"


def test_it_is_too_early_to_tell_anything_else():
    early = history(n=WINDOW - 1, auc=0.0, distance=5.0, duplicates=1.0)
    assert diagnose(early).state == "early"
    assert "early" in diagnose(early).evidence
    assert not diagnose(early).failing
    assert diagnose(history(n=WINDOW)).state == "healthy"


def test_signals_that_are_missing_are_evidence_of_nothing():
    bare = [{"iteration": c["iteration"], "auc": 0.6, "distance": 0.3} for c in history()]
    assert diagnose(bare).state == "healthy"


def test_one_bad_check_is_no_failure():
    for sign in ({"auc": [0.0]}, {"duplicates": [1.0]}, {"recognition": [0.9]}, {"auc": [1.0]}):
        assert state(**sign) in GOOD


def test_every_failure_comes_with_a_suggestion_and_reads_well():
    seen = {}
    for signals in (
        {"auc": 0.999, "distance": 1.0},
        {"auc": 0.02, "distance": 1.0},
        {"missing": 0.5, "distance": 0.4},
        {"auc": 0.5, "distance": [0.2, 0.3, 0.4, 0.5, 0.5]},
        {"recognition": 0.8},
        {"auc": lambda i: 0.2 if i % 2 else 0.9, "movement": 0.8, "distance": 1.0},
        {"feedback": 1e6},
    ):
        found = diagnose(history(**signals))
        seen[found.state] = found
        assert found.failing
        assert found.evidence.endswith(".")
        assert found.suggestion.endswith(".")
    assert set(seen) == set(STATES) - set(GOOD)


@pytest.mark.parametrize("n", range(6))
def test_running_medians(n):
    recent = diagnosis.Recent([{"distance": x} for x in (5.0, 1.0, 4.0, 9.0, 10.0)[:n]])
    np.testing.assert_array_equal(recent.smooth("distance"), [5, 3, 4, 4, 9][:n])


def test_recorded_runs_are_told_as_the_readme_says():
    """Some of the runs that no threshold was chosen on, one of each provocation."""
    with gzip.open(RESULTS / "unseen.jsonl.gz", "rt") as file:
        records = [json.loads(line) for line in file]
    first = {(r["state"], r["name"], r["game"]): r for r in reversed(records)}
    verdicts = [judge(record) for record in first.values()]
    assert len(verdicts) == len(PROVOCATIONS)
    assert all(v.right for v in verdicts if v.state in GOOD)
    assert sum(v.right for v in verdicts) / len(verdicts) > 0.9


def test_the_states_have_kept_their_names():
    """They are in files: health.jsonl and rollbacks.json."""
    assert set(STATES) == {
        "healthy", "converged", "d_overpowers", "g_overpowers", "mode_collapse", "junk_feedback",
        "d_overfits", "oscillating", "diverged", "early",
    }  # fmt: skip
    assert GOOD == ("healthy", "converged", "early")
    assert STATES[:3] == GOOD
    for name in STATES:
        state = diagnosis.get(name)
        assert state.meaning.endswith(".")
        assert bool(state.suggestion) == (name != "healthy")


def test_a_state_is_added_in_one_place(monkeypatch):
    bored = State(
        "bored",
        "nothing happens",
        "Losses stand still.",
        lambda r: "It yawns." if r.now("yawns") > 0.5 else "",
        "#123456",
        "Try something else.",
    )
    monkeypatch.setattr(diagnosis, "KNOWN", (bored, *diagnosis.KNOWN))
    found = diagnose(history(yawns=1.0, recognition=0.9))
    assert found == ("bored", "It yawns.", "Try something else.")
    assert found.failing
    assert diagnose(history(yawns=0.0)).state == "healthy"
    once = history(yawns=lambda i: float(i >= 27))  # the median of five is high for the first time
    assert diagnose(once).state == "healthy"
    shown = states.state("bored")
    assert shown == ("bored", "nothing happens", "Losses stand still.", "#123456", True)


# ---- several generators ----

PARTS = ("a2b", "b2a")
OF_STEPS = ("iteration", "d/loss", "d/update_ratio", "g/update_ratio")


def both(a2b, b2a):
    """The history of a training of two generators, from that of each."""
    return [
        {name: one[name] for name in OF_STEPS}
        | {f"a2b/{name}": x for name, x in one.items() if name not in OF_STEPS}
        | {f"b2a/{name}": x for name, x in other.items() if name not in OF_STEPS}
        for one, other in zip(a2b, b2a, strict=True)
    ]


def test_signals_of_a_part_are_its_own_and_those_of_all():
    check = {"iteration": 100, "d/loss": 1.5, "a2b/auc": 0.6, "b2a/auc": 0.8, "b2a/missing": 0.1}
    common = {"iteration": 100, "d/loss": 1.5}
    assert signals_of(check, "a2b", PARTS) == common | {"auc": 0.6}
    assert signals_of(check, "b2a", PARTS) == common | {"auc": 0.8, "missing": 0.1}
    assert signals_of(common, "", ()) == common


def test_without_parts_it_is_one_training():
    for one in (history(), history(recognition=0.8)):
        assert diagnose_each(one, ()) == diagnose(one)


def test_each_generator_is_diagnosed_by_itself():
    for first, second, expected in (
        (history(), history(), "healthy"),
        (history(recognition=0.8), history(), "d_overfits"),
        (history(), history(missing=0.5, distance=0.4), "mode_collapse"),
    ):
        found = diagnose_each(both(first, second), PARTS)
        assert found.state == expected
        evidence = [diagnose(one).evidence for one in (first, second)]
        assert found.evidence == f"a2b: {evidence[0]} b2a: {evidence[1]}"
        assert found.suggestion == diagnosis.get(expected).suggestion
        assert found.failing == (expected != "healthy")


def test_of_two_failures_the_one_that_brings_others_about_is_named():
    worse, bad = history(recognition=0.8), history(auc=0.999, distance=1.0)
    assert diagnose(bad).state == "d_overpowers"
    for pair in ((worse, bad), (bad, worse)):
        assert diagnose_each(both(*pair), PARTS).state == "d_overfits"


def test_converged_are_all_or_none():
    converged = history(n=60, distance=lambda i: 0.05 + 0.5**i)
    assert diagnose_each(both(converged, converged), PARTS).state == "converged"
    for pair in ((converged, history(n=60)), (history(n=60), converged)):
        assert diagnose_each(both(*pair), PARTS).state == "healthy"
    first = history(n=WINDOW - 1)
    assert diagnose_each(both(first, first), PARTS).state == "early"


def test_what_the_steps_measure_is_of_all_parts():
    for signals in ({"d/loss": 1e6}, {"g/update_ratio": [2.0]}):
        found = diagnose_each(both(history(**signals), history()), PARTS)
        assert found.state == "diverged"
    last = both(history(distance=[math.nan]), history())
    assert diagnose_each(last, PARTS).evidence.startswith("a2b: distance of the last check")
