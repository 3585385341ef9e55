"""How measurements are kept, and that those which are committed say where they come from."""

import json
import sys

import numpy as np
import pytest

from evidence import __main__ as command
from evidence import balance, diagnosis, extractors, provocations, record

RESULTS = sorted(path for path in record.RESULTS.glob("*.json") if path.stem in command.TABLES)


def test_rows_are_measured_once(tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"seeds": [0], "score": 0.5}

    first = record.Record("name", tmp_path).row("a", measure)
    again = record.Record("name", tmp_path).row("a", measure)
    assert again == first
    assert len(calls) == 1
    assert first["score"] == 0.5
    assert first["command"] == "python -m evidence name"
    assert {"commit", "jax", "flax", "hardware", "seconds"} <= first.keys()
    record.Record("name", tmp_path).row("b", measure)
    assert list(json.loads((tmp_path / "name.json").read_text())) == ["a", "b"]


def test_what_failed_is_not_kept(tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record.Record("name", tmp_path).row("a", fail)
    assert not (tmp_path / "name.json").exists()


def test_spread_and_table():
    assert record.spread([1.0, 2.0, 3.0]) == "2 ± 1"
    assert record.spread([7.0]) == "7"
    assert record.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


UNMEASURED = {"translation_128"}
"""What takes longer than anyone has given it yet."""


def test_every_table_has_been_measured():
    assert {path.stem for path in RESULTS} == set(command.TABLES) - UNMEASURED


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_say_where_they_come_from(path):
    commands = {
        f"python -m evidence {path.stem}",
        f"python experiments/reproduce.py {path.stem}",  # as it was called before
    }
    rows = json.loads(path.read_text())
    assert rows
    for row in rows.values():
        assert row["command"] in commands
        assert len(row["commit"]) >= 7
        assert "dirty" not in row["commit"]
        assert row["hardware"]
        assert row["seeds"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_tables_are_made_from_results_without_measuring(path, monkeypatch, capsys):
    # A row that is missing is an error here, not hours of training.
    monkeypatch.setattr(record.Record, "row", lambda self, key, measure: self.rows[key])
    monkeypatch.setattr(sys, "argv", ["evidence", path.stem])
    command.main()
    assert capsys.readouterr().out.startswith("| ")


def test_what_was_measured_of_balance_is_not_measured_again(monkeypatch):
    path = balance.RESULTS / "balance.json"
    before = path.read_text()
    monkeypatch.setattr(balance, "train", None)
    balance.main()
    assert path.read_text() == before


def test_recorded_runs_are_judged(tmp_path, capsys):
    """Two runs of a kind, one of which no threshold was chosen on."""
    checks = [{"iteration": 60 * (i + 1), "auc": 0.6, "distance": 1 / (i + 1)} for i in range(20)]
    provocation = provocations.PROVOCATIONS[0]
    for number in (0, diagnosis.UNSEEN):
        line = {
            "state": provocation.state, "name": provocation.name, "game": provocation.setting,
            "seed": number, "number": number, "onset": 0.0, "iterations": 1200, "checks": checks,
        }  # fmt: skip
        with (tmp_path / "part0.jsonl").open("a") as file:
            file.write(json.dumps(line) + "\n")
    diagnosis.score(tmp_path)
    said = capsys.readouterr().out
    assert "right of 1 runs that thresholds were chosen on: 100%" in said
    assert "right of 1 runs not seen before: 100%" in said


def test_provocations_can_be_trained():
    names = {(p.state, p.name, p.setting) for p in provocations.PROVOCATIONS}
    assert len(names) == len(provocations.PROVOCATIONS)
    for provocation in provocations.PROVOCATIONS:
        for config in filter(None, provocation.configs()):
            config.validate()


def test_a_provocation_is_trained_and_measured_check_by_check(monkeypatch):
    """One that goes on in another way midway, with a discriminator that is taught noise."""
    small = provocations.change(
        iterations=2 * 2, batch_size=8, generator__width=4, discriminator__width=4
    )
    monkeypatch.setattr(diagnosis, "CHECKS", 2)
    monkeypatch.setitem(provocations.SETTINGS, "ring", small(provocations.SETTINGS["ring"]))
    (blind,) = (p for p in provocations.PROVOCATIONS if p.blind and p.setting == "ring")
    case = diagnosis._Case(blind, None)
    assert len(case.programs) == 2
    checks = case.train(3)
    assert [check["iteration"] for check in checks] == [2, 4]
    assert checks == case.train(3)
    assert checks != case.train(4)
    assert {"auc_held_out", "movement", "d/loss", "g/update_ratio"} <= checks[1].keys()
    assert "d/penalty" in checks[0]
    assert "d/penalty" not in checks[1]  # the blind one has none


# ---- what extractors see ----


def test_faults_leave_the_size_of_images_as_it_is():
    images = np.random.default_rng(0).integers(0, 256, (30, 32, 32, 3), np.uint8)
    labels = np.arange(30) % 10
    sets = dict(extractors.spoiled(images, labels))
    assert next(iter(sets)) == "nothing"
    np.testing.assert_array_equal(sets.pop("nothing"), images)
    for what, spoiled in sets.items():
        assert spoiled.dtype == np.uint8, what
        assert spoiled.shape[1:] == images.shape[1:]
        gone = what.removeprefix("classes gone ")
        assert len(spoiled) == (3 * (10 - int(gone)) if gone != what else 30)


def test_tiles_change_places_and_nothing_else():
    images = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8)
    np.testing.assert_array_equal(extractors.shuffled(images, 1), images)
    moved = extractors.shuffled(images, 4)
    assert not np.array_equal(moved, images)
    for one, other in zip(images, moved, strict=True):
        tiles = [
            {x[i : i + 8, j : j + 8].tobytes() for i in range(0, 32, 8) for j in range(0, 32, 8)}
            for x in (one, other)
        ]
        assert tiles[0] == tiles[1]
