"""Terminals that cannot show everything, and readers that go away."""

import os
import subprocess
import sys

import pytest
from helpers import EXPERIMENTS

TINY = [
    *("--generator.width", "2", "--discriminator.width", "2", "--batch-size", "4"),
    *("--evaluation.every", "0", "--out", "run"),
]


def started(*arguments, **environment):
    command = [sys.executable, *map(str, arguments)]
    return subprocess.Popen(
        command,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_characters_that_cannot_be_shown_become_others(encoding):
    code = (
        "from gan_jax import cli, errors\n"
        "with cli.errors_in_one_line():\n"
        "    print('8×8 → γ … é ±')\n"
        "    raise errors.InputError('no ☃ “here”')"
    )
    out, error = started("-c", code, PYTHONIOENCODING=encoding).communicate()
    assert (
        out.decode(encoding).strip()
        == {
            "ascii": "8x8 -> gamma ... e +/-",
            "cp1252": "8×8 -> gamma … é ±",
        }[encoding]
    )
    assert (
        error.decode(encoding).strip()
        == {
            "ascii": 'error: no ? "here"',
            "cp1252": "error: no ? “here”",
        }[encoding]
    )


def test_training_goes_on_when_nobody_reads_on():
    process = started(
        EXPERIMENTS / "digits.py", *TINY, "--iterations", 40, "--log-every", 1,
        MPLBACKEND="module://of_a_notebook",
    )  # fmt: skip
    process.stdout.readline()
    process.stdout.close()
    error = process.stderr.read().decode()
    assert (process.wait(), error) == (0, "")
    assert os.path.isdir("run/checkpoints/40")
