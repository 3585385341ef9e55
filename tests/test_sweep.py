"""Sweeps from the command line: grids, searches that go on, rankings."""

import csv
import math
import runpy
import sys

import pytest
from helpers import EXPERIMENTS

from experiments import gaussians
from experiments import sweep as sweeps
from gan_jax.cli.main import main
from gan_jax.runs import Run
from gan_jax.training import ranking

TINY = [
    "gaussians", "--seeds", "2", "--iterations", "4", "--score", "SWD",
]  # fmt: skip


@pytest.fixture
def sweep(monkeypatch, capsys, tmp_path):
    """Runs the sweep in this process, of a training that is small; returns what it printed."""
    small = sweeps._changed(
        gaussians.CONFIG,
        {
            "batch_size": 8,
            "generator.width": 4,
            "generator.depth": 1,
            "discriminator.width": 4,
            "discriminator.depth": 1,
            "evaluation.samples": 50,
        },
    )
    monkeypatch.setattr(gaussians, "CONFIG", small)

    def run(*flags: str) -> str:
        monkeypatch.setattr(sys, "argv", ["sweep.py", *TINY, "--out", str(tmp_path), *flags])
        sweeps.main()
        return capsys.readouterr().out

    return run


def test_a_grid_is_ranked_and_drawn(sweep, tmp_path):
    output = sweep(
        "--vary",
        "objective.penalties.r1=0.1,1,10",
        "d_optimizer.learning_rate=1e-3",
        "--at-once",
        "4",
    )
    lines = [line for line in output.splitlines() if "SWD" in line]
    assert len(lines) == 3
    scores = [float(line.split("SWD ")[1].split()[0]) for line in lines]
    assert scores == sorted(scores)
    assert all("d_optimizer.learning_rate=0.001" in line for line in lines)
    assert {line.split("objective.penalties.r1=")[1].split()[0] for line in lines} == {
        "0.1",
        "1",
        "10",
    }
    # Six runs, four at a time: the second program is the first.
    assert "3 trials of 2 seeds; compiled programs: 1" in output
    assert (tmp_path / "ranking.png").stat().st_size > 5000


def test_it_leaves_a_table_and_trains_the_best_in_full(sweep, tmp_path, monkeypatch):
    """As long as the experiment is, and not only as long as the trials were."""
    monkeypatch.setattr(
        gaussians, "CONFIG", sweeps._changed(gaussians.CONFIG, {"iterations": 6, "log_every": 3})
    )
    flags = ("--vary", "objective.penalties.r1=0.1,1", "--at-once", "4", "--confirm", "1")
    output = sweep(*flags, "--train-best")
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert list(first) == [
        *("place", "objective.penalties.r1", "SWD", "±", "seed 0", "seed 1", "other seeds"),
    ]
    assert [first["place"], second["place"]] == ["1", "2"]
    assert float(first["SWD"]) == (float(first["seed 0"]) + float(first["seed 1"])) / 2
    assert float(first["SWD"]) <= float(second["SWD"])
    assert float(first["other seeds"]) > 0
    assert second["other seeds"] == ""
    best = Run.open(tmp_path / "best")
    assert best.config.iterations == best.latest() == 6
    penalties = best.config.objective.penalties
    assert penalties == {"r1": float(first["objective.penalties.r1"]), "r2": 0.1}
    (command,) = (line for line in output.splitlines() if line.startswith("the best, as long as"))
    words = command.partition("gan-jax ")[2].split()
    assert words == ["train", str(tmp_path / "best.json"), "--out", str(tmp_path / "best")]
    monkeypatch.setattr(sys, "argv", ["gan-jax", *words])
    main()  # of the same configuration: there is nothing left to do
    assert Run.open(tmp_path / "best").latest() == 6


def test_where_nothing_is_finite_there_is_no_winner(sweep, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(
        sweeps._Runner, "__call__", lambda self, trials: [[math.nan, 1.0] for _ in trials]
    )
    with pytest.raises(SystemExit):
        sweep("--vary", "objective.penalties.r1=0.1,1")
    assert capsys.readouterr().err == "error: no trial has a finite SWD: there is no winner\n"
    assert (tmp_path / "results.csv").exists()


def test_a_search_goes_on_where_it_stopped(sweep, tmp_path):
    pytest.importorskip("optuna")
    flags = ("--vary", "objective.penalties.r1=0.01..10", "g_optimizer.learning_rate=1e-4..1e-2")
    first = sweep(*flags, "--trials", "4", "--at-once", "2")
    assert "4 trials of 2 seeds" in first
    again = sweep(*flags, "--trials", "4", "--at-once", "2")
    assert " runs" not in again  # all are known
    ranking = [line for line in first.splitlines() if "SWD" in line]
    assert ranking == [line for line in again.splitlines() if "SWD" in line]
    more = sweep(*flags, "--trials", "5", "--at-once", "2")
    assert "2 of 2 runs" in more
    assert "5 trials of 2 seeds" in more
    for line in ranking:
        assert 0.01 <= float(line.split("objective.penalties.r1=")[1].split()[0]) <= 10


def test_the_best_are_tried_again_with_other_seeds(sweep):
    flags = ("--vary", "objective.penalties.r1=0.1,1,10", "--at-once", "2")
    output = sweep(*flags, "--confirm", "2")
    again = [line for line in output.splitlines() if "with other seeds" in line]
    first = [line for line in output.splitlines() if "objective.penalties.r1=" in line]
    assert len(again) == 2
    assert all(a.split("SWD ")[1] not in b for a, b in zip(again, first, strict=False))
    assert "compiled programs: 2" not in output


def test_another_search_is_another_study(sweep):
    pytest.importorskip("optuna")
    flags = ("--trials", "2", "--at-once", "2")
    sweep("--vary", "objective.penalties.r1=0.01..10", *flags)
    output = sweep("--vary", "objective.penalties.r2=0.01..10", *flags)
    assert "2 of 2 runs" in output
    assert "objective.penalties.r1" not in output


def test_trials_that_diverge_count_and_come_last(sweep, monkeypatch):
    pytest.importorskip("optuna")
    asked = []

    def scores(self, trials):
        asked.extend(trials)
        return [
            [math.nan, 1.0] if trial["objective.penalties.r1"] < 0.3 else [2.0, 1.0]
            for trial in trials
        ]

    monkeypatch.setattr(sweeps._Runner, "__call__", scores)
    flags = ("--vary", "objective.penalties.r1=0.01..10", "--trials")
    sweep(*flags, "6")
    output = sweep(*flags, "12")
    assert len(asked) == 12
    assert (
        len({trial["objective.penalties.r1"] for trial in asked}) == 12
    )  # going on asks for others
    ranking = [line for line in output.splitlines() if "SWD" in line]
    diverged = ["SWD nan" in line for line in ranking]
    assert sum(diverged) >= 1
    assert diverged == sorted(diverged)


def test_all_that_fits_trains_at_once(sweep):
    output = sweep("--vary", "objective.penalties.r1=0.1,1", "--memory-gib", "1")
    assert "4 of 4 runs" in output
    assert "1 of 4 runs" not in output


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--vary", "batch_size=8,16"], "'batch_size'"),
        (["--vary", "objective.penalties.r1=low"], "NAME=LOW..HIGH"),
        (["--vary", "objective.penalties.r1=0.1..1"], "--trials"),
        (["--vary", "objective.penalties.r1=0.1", "--score", "beauty"], "SWD"),
    ],
)
def test_what_cannot_be_swept(sweep, capsys, flags, says):
    with pytest.raises(SystemExit) as end:
        sweep(*flags)
    assert end.value.code == 2
    assert says in capsys.readouterr().err


def test_intervals_and_ranks_by_hand():
    mean, half = ranking.interval([1.0, 2.0, 3.0])
    assert mean == 2
    assert half == pytest.approx(4.302653 / math.sqrt(3), rel=1e-6)  # t of 2 degrees of freedom
    found = [({"a": 1}, [3.0, 1.0]), ({"a": 2}, [math.nan, 1.0]), ({"a": 3}, [1.0, 1.0])]
    assert [t["a"] for t, _ in ranking.rank(found, "SWD")] == [3, 1, 2]
    assert [t["a"] for t, _ in ranking.rank(found, "modes")] == [1, 3, 2]


def test_it_runs_as_a_script_too(monkeypatch, capsys):
    """Beside the experiments, which are then no package."""
    monkeypatch.syspath_prepend(EXPERIMENTS)
    monkeypatch.setattr(sys, "argv", ["sweep.py", "gaussians", "--vary", "batch_size=8"])
    with pytest.raises(SystemExit) as end:
        runpy.run_path(str(EXPERIMENTS / "sweep.py"), run_name="__main__")
    assert end.value.code == 2
    assert "not 'batch_size'" in capsys.readouterr().err


def test_experiments_that_do_not_exist(monkeypatch, capsys):
    for name, says in (("nothing", "there is no experiment nothing"), ("dcgan:tiny", "presets")):
        monkeypatch.setattr(sys, "argv", ["sweep.py", name, "--vary", "seed=1"])
        with pytest.raises(SystemExit):
            sweeps.main()
        assert says in capsys.readouterr().err
