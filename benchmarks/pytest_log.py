"""A plugin for pytest that writes every result down as it comes: `-p benchmarks.pytest_log`.

The file, which PYTEST_LOG names, has a line of JSON for each test: its name, its outcome, and one
line of reason where it did not pass. So a run that is cut off leaves what it knew.
"""

import json
import os
from pathlib import Path


def pytest_runtest_logreport(report) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:  # the controller hears of all
        return
    if report.when != "call" and report.outcome == "passed":
        return
    reason = ""
    if report.outcome == "skipped":
        reason = str(report.longrepr[-1])
    elif report.outcome == "failed":
        crash = getattr(report.longrepr, "reprcrash", None)
        reason = getattr(crash, "message", None) or str(report.longrepr)
    first = next((line for line in reason.splitlines() if line.strip()), "")
    line = {"test": report.nodeid, "outcome": report.outcome, "reason": first[:300]}
    with Path(os.environ["PYTEST_LOG"]).open("a") as file:
        file.write(json.dumps(line) + "\n")


def read(path: Path) -> dict:
    """How many passed, failed and were skipped, and the names of the others with their reasons."""
    lines = [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
    counts = {
        outcome: sum(line["outcome"] == outcome for line in lines)
        for outcome in ("passed", "failed", "skipped")
    }
    reasons = {
        outcome: {line["test"]: line["reason"] for line in lines if line["outcome"] == outcome}
        for outcome in ("failed", "skipped")
    }
    return counts | {"failures": reasons["failed"], "skips": reasons["skipped"]}
