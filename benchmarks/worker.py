"""One framework (`jax_side` or `torch_side`) in a process of its own, told what to do over a pipe.

Commands are lines of JSON on standard input, answers are lines of JSON on what was standard output;
what libraries print goes to standard error. Between commands the process waits, so that another one
can have the machine.
"""

import dataclasses
import json
import os
import platform
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from benchmarks.workloads import Workload


class Worker:
    """The other end of the pipe."""

    def __init__(
        self, side: str, python: str = sys.executable, environment: dict[str, str] | None = None
    ):
        read, write = os.pipe()
        self._process = subprocess.Popen(
            [python, "-m", "benchmarks.worker", side, str(write)],
            stdin=subprocess.PIPE,
            pass_fds=(write,),
            cwd=Path(__file__).parents[1],
            env=os.environ | (environment or {}),
            text=True,
        )
        os.close(write)
        self._answers = os.fdopen(read)

    def __call__(self, command: str, **arguments) -> Any:
        """
        Raises:
            RuntimeError: the worker failed; it has said why.
        """
        self._process.stdin.write(json.dumps({"command": command, **arguments}) + "\n")
        self._process.stdin.flush()
        answer = self._answers.readline()
        if not answer:
            raise RuntimeError(f"{command} failed in {self._process.args}")
        return json.loads(answer)

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait()
        self._answers.close()


def serve(name: str, answers: int) -> None:
    began = time.perf_counter()
    if name == "jax":
        from benchmarks import jax_side as side
    else:
        from benchmarks import torch_side as side
    startup = time.perf_counter() - began
    out = os.fdopen(answers, "w")
    trainings = {}
    for line in sys.stdin:
        arguments = json.loads(line)
        command = arguments.pop("command")
        if command == "versions":
            answer = {"python": platform.python_version(), **side.versions()}
        elif command == "rates":
            answer = side.rates(arguments["dtype"])
        elif command == "build":
            workload, began = Workload(**arguments["workload"]), time.perf_counter()
            training = side.build(workload, arguments["variant"])
            training.run(1)
            side.forget_peak()
            trainings[arguments["variant"]] = training
            answer = {
                "parameters": training.parameters(),
                "compile_s": training.compile_seconds,
                "first_step_s": startup + time.perf_counter() - began,
            }
        elif command == "flops":
            answer = trainings[arguments["variant"]].flops()
        elif command == "run":
            answer = trainings[arguments["variant"]].run(arguments["iterations"])
        elif command == "digest":
            answer = trainings[arguments["variant"]].digest()
        elif command == "peak_memory":
            answer = trainings[arguments["variant"]].peak_memory()
        print(json.dumps(answer), file=out, flush=True)


def peak_resident_bytes() -> int:
    """The most memory this process has had."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def to_dict(workload: Workload) -> dict[str, Any]:
    return dataclasses.asdict(workload)


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
