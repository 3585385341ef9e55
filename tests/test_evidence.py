"""How measurements are kept, and that those which are committed say where they come from."""

import json
import sys

import pytest
from helpers import EXPERIMENTS

RESULTS = sorted((EXPERIMENTS / "results").glob("*.json"))


@pytest.fixture
def record(monkeypatch):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    from evidence import record

    return record


def test_rows_are_measured_once(record, tmp_path):
    calls = []

    def measure():
        calls.append(1)
        return {"seeds": [0], "score": 0.5}

    first = record.Record("name", tmp_path).row("a", measure)
    again = record.Record("name", tmp_path).row("a", measure)
    assert again == first
    assert len(calls) == 1
    assert first["score"] == 0.5
    assert first["command"] == "python experiments/reproduce.py name"
    assert {"commit", "jax", "flax", "hardware", "seconds"} <= first.keys()
    record.Record("name", tmp_path).row("b", measure)
    assert list(json.loads((tmp_path / "name.json").read_text())) == ["a", "b"]


def test_what_failed_is_not_kept(record, tmp_path):
    def fail():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        record.Record("name", tmp_path).row("a", fail)
    assert not (tmp_path / "name.json").exists()


def test_spread_and_table(record):
    assert record.spread([1.0, 2.0, 3.0]) == "2 ± 1"
    assert record.spread([7.0]) == "7"
    assert record.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_results_say_where_they_come_from(path):
    rows = json.loads(path.read_text())
    assert rows
    for row in rows.values():
        assert row["command"] == f"python experiments/reproduce.py {path.stem}"
        assert len(row["commit"]) >= 7
        assert "dirty" not in row["commit"]
        assert row["hardware"]
        assert row["seeds"]


@pytest.mark.parametrize("path", RESULTS, ids=lambda path: path.stem)
def test_tables_are_made_from_results_without_measuring(path, monkeypatch, capsys):
    monkeypatch.syspath_prepend(EXPERIMENTS)
    import reproduce

    # A row that is missing is an error here, not hours of training.
    monkeypatch.setattr(reproduce.Record, "row", lambda self, key, measure: self.rows[key])
    monkeypatch.setattr(sys, "argv", ["reproduce.py", path.stem])
    reproduce.main()
    assert capsys.readouterr().out.startswith("| ")
