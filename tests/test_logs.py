"""What is said while a run goes on fits the terminal, and what matters most is never cut off."""

import re
import time

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
