"""What the loop does about the health and the scores of a run."""

import dataclasses
import json

import pytest
from helpers import assert_same, largest_difference

import gan_jax
from gan_jax.config import Evaluation
from gan_jax.data import Data
from gan_jax.errors import FailedError, InputError
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.metric import Score
from gan_jax.health.diagnosis import Diagnosis
from gan_jax.networks import mlp
from gan_jax.runs import Rollback, Run
from gan_jax.steps import Pace
from gan_jax.tasks.generation import Config, Objective
from gan_jax.training import hooks, monitor

CONFIG = Config(
    name="points",
    iterations=12,
    batch_size=16,
    data=Data(source="ring"),
    objective=Objective(latent_dim=2, penalties={"r1": 0.1}),
    generator=mlp.GeneratorSection(width=8, depth=2),
    discriminator=mlp.DiscriminatorSection(width=8, depth=2),
    evaluation=Evaluation(every=0),
    check_every=2,
    log_every=12,
    sample_every=12,
    checkpoint_every=4,
)


def changed(**fields) -> Config:
    return dataclasses.replace(CONFIG, **fields)


@pytest.fixture
def diagnoses(monkeypatch):
    """Lets a test say which iterations fail, once; gives the scores that each check knew of."""

    def script(**states):
        waiting, seen = dict(states), {}

        def diagnose(history, parts, scored):
            seen[history[-1]["iteration"]] = [evaluation.value for evaluation in scored]
            state = waiting.pop(f"at_{history[-1]['iteration']}", "healthy")
            return Diagnosis(state, "It was so decided.", "")

        monkeypatch.setattr(monitor, "diagnose_each", diagnose)
        return seen

    return script


@pytest.fixture
def scores(monkeypatch):
    """Lets a test say what successive evaluations give, or raise."""

    def script(*values):
        waiting = list(values)

        def call(self, g):
            value = waiting.pop(0)
            if isinstance(value, Exception):
                raise value
            return [Score("SWD", value, "points, train, 10k/20", higher_is_better=False)]

        monkeypatch.setattr(Evaluator, "__call__", call)

    return script


def test_every_check_is_written_down(tmp_path, capsys, diagnoses):
    diagnoses(at_8="mode_collapse")
    gan_jax.train(changed(log_every=1), out=tmp_path)
    checks = Run.open(tmp_path).health()
    assert [c["iteration"] for c in checks] == [2, 4, 6, 8, 10, 12]
    assert [c["state"] for c in checks].index("mode_collapse") == 3
    expected = {"auc", "auc_held_out", "feedback", "distance", "d/loss", "g/update_ratio"}
    assert expected <= checks[0]["signals"].keys()
    assert "movement" in checks[1]["signals"]
    # Of what the steps measure, the average since the check before.
    lines = (tmp_path / "metrics.jsonl").read_text().splitlines()
    mean = (json.loads(lines[2])["d/loss"] + json.loads(lines[3])["d/loss"]) / 2
    assert checks[1]["signals"]["d/loss"] == pytest.approx(mean, rel=1e-6)
    said = capsys.readouterr().out
    assert "iteration 8: mode_collapse: It was so decided." in said
    assert "iteration 10: healthy" in said


def test_checks_know_the_scores_before_them_in_a_resumed_run_too(tmp_path, diagnoses, scores):
    seen = diagnoses()
    scores(5.0, 4.0, 3.0)
    config = changed(evaluation=Evaluation(every=4))
    gan_jax.train(config, out=tmp_path / "whole")
    whole = {2: [], 4: [], 6: [5.0], 8: [5.0], 10: [5.0, 4.0], 12: [5.0, 4.0]}
    assert seen == whole
    seen.clear()
    scores(5.0, 4.0)
    gan_jax.train(dataclasses.replace(config, iterations=8), out=tmp_path / "cut")
    scores(3.0)
    gan_jax.train(config, out=tmp_path / "cut")
    assert seen == whole


def test_a_run_goes_on_with_other_scores(tmp_path):
    """Evaluations of before have no score of that name, nor has one that was interrupted."""
    config = changed(evaluation=Evaluation(every=4), check_every=4)
    gan_jax.train(dataclasses.replace(config, iterations=8), out=tmp_path)
    other = Evaluation(every=4, metrics=("swd", "modes"), best="modes")
    gan_jax.train(dataclasses.replace(config, evaluation=other), out=tmp_path)
    path = tmp_path / "evaluations.jsonl"
    whole = path.read_text().splitlines(keepends=True)
    assert {name for line in whole for name in json.loads(line)["scores"]} >= {"SWD", "modes"}
    cut = [line for line in whole if "modes" not in json.loads(line)["scores"]]
    path.write_text("".join(cut))
    longer = dataclasses.replace(config, evaluation=other, iterations=16)
    assert gan_jax.train(longer, out=tmp_path).d.step == 16


def test_checks_change_nothing_that_is_trained(tmp_path):
    with_checks = gan_jax.train(CONFIG, out=tmp_path / "a")
    without = gan_jax.train(changed(check_every=100), out=tmp_path / "b")
    assert_same(with_checks[:2], without[:2])


def test_a_run_can_stop_at_a_failure(tmp_path, diagnoses):
    diagnoses(at_8="d_overfits")
    with pytest.raises(FailedError, match="iteration 8: d_overfits"):
        gan_jax.train(changed(on_failure="stop"), out=tmp_path)
    assert Run.open(tmp_path).kept() == [4]


def test_a_rollback_goes_on_from_a_healthy_checkpoint_at_half_the_rates(tmp_path, diagnoses):
    diagnoses(at_10="oscillating")
    config = changed(on_failure="rollback")
    gan_jax.train(dataclasses.replace(config, iterations=10), out=tmp_path / "run")
    run = Run.open(tmp_path / "run")
    assert run.rollbacks() == [Rollback(iteration=10, to=4, state="oscillating")]
    assert [c["iteration"] for c in run.health()] == [2, 4, 6, 8, 10]
    assert {c["state"] for c in run.health()} == {"healthy"}  # the failure did not happen again
    resumed = gan_jax.train(config, out=tmp_path / "run")  # which knows of the rollback

    # The same by hand: four iterations, then the rest at half the rates.
    gan_jax.train(changed(iterations=4), out=tmp_path / "first")
    half = {
        name: dataclasses.replace(getattr(CONFIG, name), learning_rate=1e-4)
        for name in ("d_optimizer", "g_optimizer")
    }
    by_hand = gan_jax.train(changed(**half), out=tmp_path / "first", fork=tmp_path / "fork")
    assert_same(resumed[:2], by_hand[:2])


def test_after_some_rollbacks_it_stops(tmp_path, monkeypatch):
    monkeypatch.setattr("gan_jax.training.train._ROLLBACKS", 1)
    failed = Diagnosis("g_overpowers", "It never ends.", "")
    monkeypatch.setattr(monitor, "diagnose_each", lambda history, parts, scored: failed)
    with pytest.raises(FailedError, match="It never ends"):
        gan_jax.train(changed(on_failure="rollback"), out=tmp_path)
    assert [r.to for r in Run.open(tmp_path).rollbacks()] == [0]


def test_balance_slows_the_network_that_is_ahead(tmp_path, monkeypatch):
    monkeypatch.setattr("gan_jax.training.hooks.pace", lambda *_: Pace(d_every=4, g_every=1))
    config = changed(balance=True, iterations=6, check_every=2)
    result = gan_jax.train(config, out=tmp_path)
    assert int(result.d.step) == 2  # at iterations 0 and 4
    assert int(result.g.step) == 6


def test_balance_with_equal_turns_is_training_as_usual(tmp_path, monkeypatch):
    monkeypatch.setattr("gan_jax.training.hooks.pace", lambda *_: Pace())
    balanced = gan_jax.train(changed(balance=True), out=tmp_path / "a")
    usual = gan_jax.train(CONFIG, out=tmp_path / "b")
    assert largest_difference(balanced[:2], usual[:2]) < 1e-5


def test_a_balanced_run_resumes_exactly(tmp_path, monkeypatch):
    """The pace is a function of the checks, which a resumed run reads."""
    # A band in which every check slows one of the networks.
    monkeypatch.setattr("gan_jax.health.balance.AHEAD", 0.5)
    monkeypatch.setattr("gan_jax.health.balance.BEHIND", 0.5)
    whole = gan_jax.train(changed(balance=True), out=tmp_path / "whole")
    gan_jax.train(changed(balance=True, iterations=7), out=tmp_path / "cut")
    resumed = gan_jax.train(changed(balance=True), out=tmp_path / "cut")
    assert_same(whole[:2], resumed[:2])
    assert min(int(whole.d.step), int(whole.g.step)) < 12  # somebody was slowed


def test_the_best_checkpoint_is_kept(tmp_path, scores):
    scores(5.0, 1.0, 3.0, float("nan"), 2.0, 4.0)
    config = changed(evaluation=Evaluation(every=2), keep_last=1)
    gan_jax.train(config, out=tmp_path)
    run = Run.open(tmp_path)
    assert run.best()._asdict() == {
        "iteration": 4, "name": "SWD", "conventions": "points, train, 10k/20", "value": 1.0,
    }  # fmt: skip
    assert run.kept() == [12]
    d, g = run.states(4)  # long after retention has dropped it
    assert int(d.step) == int(g.step) == 4
    lines = [json.loads(s) for s in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    assert lines[1] == {
        "iteration": 4, "conventions": "points, train, 10k/20", "scores": {"SWD": 1.0},
    }  # fmt: skip


def test_evaluations_resume_and_scores_of_other_conventions_do_not_compete(tmp_path, scores):
    config = changed(evaluation=Evaluation(every=2))
    scores(1.0, 1.0, 1.0)
    gan_jax.train(dataclasses.replace(config, iterations=6), out=tmp_path)
    best = json.loads((tmp_path / "best.json").read_text()) | {"conventions": "points, test, 5/5"}
    (tmp_path / "best.json").write_text(json.dumps(best))
    scores(7.0, 6.0, 8.0)
    gan_jax.train(config, out=tmp_path)
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [2, 4, 6, 8, 10, 12]
    assert (Run.open(tmp_path).best().value, Run.open(tmp_path).best().iteration) == (6.0, 10)


@pytest.mark.parametrize("on_failure", ["warn", "stop"])
def test_the_last_iteration_is_scored_checked_and_drawn(tmp_path, scores, monkeypatch, on_failure):
    """But for checks that decide: a run that goes on later would not have had this one."""
    monkeypatch.setattr(hooks, "_EARLY", 0.0)
    scores(3.0, 2.0, 1.0)
    config = changed(iterations=5, evaluation=Evaluation(every=2), on_failure=on_failure)
    gan_jax.train(config, out=tmp_path)
    run = Run.open(tmp_path)
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [2, 4, 5]
    assert run.best().iteration == run.latest() == 5
    checked = [check["iteration"] for check in run.health()]
    assert checked == ([2, 4, 5] if on_failure == "warn" else [2, 4])
    first, soon, last = sorted(int(path.stem) for path in (tmp_path / "samples").iterdir())
    assert (first, last) == (0, 5)
    assert 0 < soon < 5


def test_what_is_scored_is_saved_first_and_a_run_makes_up_for_a_scoring_that_failed(
    tmp_path, scores
):
    """Whether that is in the middle or at the end."""
    scores(5.0, MemoryError())
    config = changed(iterations=5, evaluation=Evaluation(every=2), checkpoint_every=100)
    with pytest.raises(MemoryError):
        gan_jax.train(config, out=tmp_path)
    assert Run.open(tmp_path).kept() == [2, 4]
    scores(3.0, MemoryError())
    with pytest.raises(MemoryError):
        gan_jax.train(config, out=tmp_path)
    assert Run.open(tmp_path).latest() == 5
    scores(4.0)
    gan_jax.train(config, out=tmp_path)
    gan_jax.train(config, out=tmp_path)  # there is nothing left to do
    lines = [json.loads(s) for s in (tmp_path / "evaluations.jsonl").read_text().splitlines()]
    found = [(line["iteration"], line["scores"]["SWD"]) for line in lines]
    assert found == [(2, 5.0), (4, 3.0), (5, 4.0)]
    assert Run.open(tmp_path).best().iteration == 4


def test_short_runs_are_scored_several_times(tmp_path, scores):
    scores(*range(5, 0, -1))
    config = changed(
        iterations=250, evaluation=Evaluation(every=1000), check_every=1000, log_every=100
    )
    gan_jax.train(config, out=tmp_path)
    lines = (tmp_path / "evaluations.jsonl").read_text().splitlines()
    assert [json.loads(line)["iteration"] for line in lines] == [50, 100, 150, 200, 250]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"evaluation": Evaluation(metrics=("is",))}, "classifier, efficientnet-lite0 or inc"),
        ({"evaluation": Evaluation(extractor="classifier")}, "images with labels"),
        ({"evaluation": Evaluation(best="beauty")}, "none of the scores: SWD, modes"),
        ({"evaluation": Evaluation(metrics=("charm",))}, "no metric 'charm'"),
        ({"on_failure": "panic"}, "unknown on_failure"),
        ({"check_every": 0}, "check_every"),
        ({"balance": True, "alternation": gan_jax.Alternation(2, 1)}, "leave alternation"),
    ],
)
@pytest.mark.usefixtures("unchecked")
def test_what_cannot_be_done_is_refused_before_anything_starts(tmp_path, fields, says):
    with pytest.raises(InputError, match=says):
        gan_jax.train(changed(**fields), out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
