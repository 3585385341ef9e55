"""What is said while a run goes on fits the terminal, and what matters most is never cut off."""

import re
import time

import numpy as np
import pytest

from gan_jax.runs import logs
from gan_jax.runs.logs import Log

VALUES = {
    "d/loss": 0.6712,
    "g/loss": 0.8341,
    "d/accuracy": 0.61,
    "images_per_second": 12345.0,
}


@pytest.fixture
def terminal(monkeypatch, tmp_path, capsys):
    """What is seen on a terminal of so many columns when a run has reached iteration 123,456."""

    def lines(columns, kind="xterm"):
        monkeypatch.setenv("TERM", kind)
        monkeypatch.setenv("COLUMNS", str(columns))
        monkeypatch.setenv("TTY_COMPATIBLE", "1")
        log = Log(tmp_path, start=0, iterations=200_000)
        with log.phase("compiling"):
            pass
        time.sleep(0.1)
        log.reached(123_000)
        log.entry(123_456, VALUES)
        log.close()
        text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", capsys.readouterr().out)
        return [line.rstrip() for line in re.split(r"[\r\n]", text) if line.strip()]

    return lines


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_the_counter_and_the_time_left_are_whole(terminal, columns):
    lines = terminal(columns)
    assert max(map(len, lines)) <= columns
    last = lines[-1]
    assert re.match(r"123,456/200,000 \S+ (\d+:\d\d:\d\d|-:--:--) D loss 0.671", last), last
    assert ("12,345 images/s" in last) == (columns == 120)


def test_dumb_terminals_get_plain_lines(terminal):
    (line,) = terminal(60, kind="dumb")
    assert line == "iteration 123,456  D loss 0.671  G loss 0.834  D accuracy 61%  12,345 images/s"


@pytest.mark.parametrize(
    ("kind", "colors", "shown"),
    [("xterm-256color", "truecolor", True), ("xterm-256color", "", True), ("xterm", "", False),
     ("dumb", "truecolor", False)],
)  # fmt: skip
def test_images_are_shown_where_there_are_colors(
    monkeypatch, tmp_path, capsys, kind, colors, shown
):
    for name, value in (("TERM", kind), ("COLORTERM", colors), ("TTY_COMPATIBLE", "1")):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("COLUMNS", "40")
    log = Log(tmp_path, start=0, iterations=10)
    assert log.shows_images == shown
    if shown:
        sheet = np.zeros((400, 200, 1), np.uint8)
        sheet[:, :5] = 255
        log.show(sheet, cut=True)
        log.show(sheet, cut=False)
        log.entry(5, VALUES)
    log.close()
    text = capsys.readouterr().out
    rows = [line for line in text.split("\n") if "▀" in line]
    counts = [row.count("▀") for row in rows]
    # As wide as the terminal and cut below, and then as high as is left for it.
    assert counts == ([40] * 20 + [20] * 20 if shown else [])
    if shown:
        if colors:
            white = "\x1b[38;2;255;255;255;48;2;255;255;255m▀"
            assert all(row.count(white) == 1 for row in rows[:20])
        assert "5/10" in text  # the bar is still there


def test_first_iterations_are_named_and_timed(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(logs, "_LONG", 0.0)
    log = Log(tmp_path, start=0, iterations=10)
    log.begin()
    assert log._progress.tasks[0].description == "first iterations …"
    log.entry(1, VALUES)
    log.entry(2, VALUES)
    log.close()
    said = capsys.readouterr().out.splitlines()
    assert [line.partition("  D")[0] for line in said] == [
        "the first iterations took 0 s", "iteration       1", "iteration       2",
    ]  # fmt: skip


def test_what_takes_long_is_said(monkeypatch, tmp_path, capsys):
    log = Log(tmp_path, start=0, iterations=10)
    with log.phase("compiling"):
        pass
    assert capsys.readouterr().out == ""
    monkeypatch.setattr(logs, "_LONG", 0.0)
    with log.phase("compiling"):
        pass
    log.close()
    assert capsys.readouterr().out == "compiling took 0 s\n"
