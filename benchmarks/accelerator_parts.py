"""The parts of `benchmarks.accelerator`, each in a process of its own.

    python -m benchmarks.accelerator_parts PART --out FILE

A part writes what it has measured after every figure, so that what it had is known where it is
stopped. With `--wait` it starts up, and begins to measure when a line comes on standard input: how
many seconds it may take.
"""

import concurrent.futures
import contextlib
import dataclasses
import faulthandler
import fcntl
import functools
import importlib
import json
import os
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import tyro

from benchmarks import pytest_log, throughput
from benchmarks.worker import Worker, to_dict
from benchmarks.workloads import WORKLOADS, Workload
from gan_jax.runs import logs
from gan_jax.runs.run import Run, write

ROOT = Path(__file__).parents[1]
DETERMINISTIC = {"XLA_FLAGS": "--xla_gpu_deterministic_ops=true"}


@dataclasses.dataclass(frozen=True)
class Options:
    """Measures one part."""

    part: Annotated[str, tyro.conf.Positional]
    """Its name: KIND or KIND/WHAT or KIND/WHAT/DTYPE."""
    out: Path
    """Where to write the figures, as JSON."""
    small: bool = False
    """Little of everything, to see that it runs."""
    seconds: float = 600.0
    """How long it may take."""
    wait: bool = False
    """Start up, and wait for the seconds on standard input."""
    torch_python: str = sys.executable
    """The Python that has PyTorch."""
    images: Path | None = None
    """Where to leave the last samples of the training, a PNG."""


class Record:
    """What a part has found so far, on disk."""

    def __init__(self, path: Path):
        self._path, self.figures = path, {}

    def add(self, **figures: Any) -> None:
        self.figures |= figures
        write(self._path, json.dumps(self.figures))


# Whether it runs at all.


def device(options: Options, record: Record, what: str, dtype: str) -> None:
    """What it is measured on."""
    import jax

    from benchmarks import jax_side

    one = jax.devices()[0]
    memory = (one.memory_stats() or {}).get("bytes_limit")
    record.add(backend=jax.default_backend(), memory_bytes=memory, **jax_side.versions())
    query = ["nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader"]
    if shutil.which(query[0]):
        found = subprocess.run(query, capture_output=True, text=True, check=False)
        record.add(nvidia_smi=found.stdout.strip())


def digits(options: Options, record: Record, what: str, dtype: str) -> None:
    """The smallest experiment, from its command line."""
    with tempfile.TemporaryDirectory() as directory:
        began = time.perf_counter()
        _experiment(["--iterations", "20", "--out", f"{directory}/run"])
        record.add(wall_s=time.perf_counter() - began, exit_status=0)


def _experiment(arguments: list[str], environment: dict[str, str] | None = None) -> None:
    """Runs the experiment on digits; what it prints is this part's last words.

    Raises:
        CalledProcessError: it failed.
    """
    command = [sys.executable, "experiments/digits.py", *arguments]
    subprocess.run(command, cwd=ROOT, env=os.environ | (environment or {}), check=True)


def tests(options: Options, record: Record, what: str, dtype: str) -> None:
    """The tests of steps, layers and transformations, on the device."""
    import jax

    backend = jax.default_backend()
    files = ["tests/test_steps.py", "tests/networks/test_layers.py", "tests/test_transforms.py"]
    command = [sys.executable, "-m", "pytest", "-q", "-o", "addopts=", "-m", "not slow"]
    command += ["-p", "benchmarks.pytest_log", "--dist", "load"]
    command += ["-n", str(2 if options.small else min(10, os.cpu_count() or 1))]
    if options.small:
        command += ["-k", "pure or periods or one_pixel or pmap or global"]
    platform = {"gpu": "cuda,cpu"}.get(backend, "cpu" if backend == "cpu" else f"{backend},cpu")
    with tempfile.TemporaryDirectory() as directory:
        log = Path(directory) / "log.jsonl"
        environment = {"PYTEST_LOG": str(log), "GAN_JAX_TEST_PLATFORM": platform}
        process = subprocess.Popen(
            [*command, *files],
            cwd=ROOT,
            env=os.environ | environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        reading = concurrent.futures.ThreadPoolExecutor(1).submit(process.stdout.read)
        began = time.monotonic()
        while process.poll() is None and time.monotonic() - began < options.seconds - 5:
            time.sleep(1)
            record.add(platform=platform, finished=False, **pytest_log.read(log))
        finished = process.poll() is not None
        if not finished:
            process.kill()
        record.add(finished=finished, exit_status=process.wait(), **pytest_log.read(log))
        if not record.figures["passed"]:
            raise RuntimeError(reading.result(timeout=5)[-1500:])


def forms(options: Options, record: Record, what: str, dtype: str) -> None:
    """The largest differences between the canonical and the plain form of each convolution, in
    its value, its gradients, and the gradients of a penalty on these, relative to the largest
    entry; in full precision and in the default one."""
    from unittest import mock

    import jax
    import jax.numpy as jnp
    import numpy as np

    from gan_jax.networks import layers

    side = 8 if options.small else 32
    convolutions = {
        "same": (layers.conv_same, (16, side, side, 64), (3, 3, 64, 64)),
        "grouped": (
            functools.partial(layers.conv_grouped, groups=4), (16, side, side, 64), (3, 3, 16, 64)
        ),
        "down": (layers.conv_down, (16, side, side, 64), (4, 4, 64, 64)),
        "up": (layers.conv_up, (16, side // 2, side // 2, 64), (4, 4, 64, 64)),
    }  # fmt: skip

    def everything(convolve):
        def critic(x, k):
            return jnp.sum(jnp.tanh(convolve(x, k)))

        def penalty(x, k):
            return sum(jnp.sum(g * g) for g in jax.grad(critic, (0, 1))(x, k))

        def all_of(x, k):
            first, second = jax.grad(critic, (0, 1)), jax.grad(penalty, (0, 1))
            return convolve(x, k), *first(x, k), *second(x, k)

        return all_of

    for name, (convolve, *shapes) in convolutions.items():
        x, k = (jax.random.normal(jax.random.key(i), s) / 8 for i, s in enumerate(shapes))
        for precision in ("highest", "default"):
            found = []
            for canonical in (True, False):
                with (
                    mock.patch.object(layers, "canonical_form", return_value=canonical),
                    jax.default_matmul_precision(precision),
                ):
                    results = jax.jit(everything(convolve))(x, k)
                    found.append(jax.tree.map(np.asarray, results))
            gaps = [
                float(np.max(np.abs(a - b)) / np.max(np.abs(b)))
                for a, b in zip(*found, strict=True)
            ]
            record.add(**{f"{name}, {precision}": max(gaps)})
    full = [gap for name, gap in record.figures.items() if name.endswith("highest")]
    record.add(equal=max(full) < 1e-4)


def resume(options: Options, record: Record, what: str, dtype: str) -> None:
    """Twenty iterations at once, against ten, a new process, and ten more: from the command line.
    `kept` keeps what is compiled, as experiments do; `deterministic` compiles each time, without
    operations whose order of summation varies."""
    with tempfile.TemporaryDirectory() as directory:
        if what == "kept":
            environment = {"GAN_JAX_CACHE": f"{directory}/cache"}
        else:
            environment = DETERMINISTIC | {"JAX_ENABLE_COMPILATION_CACHE": "0"}
        short = ["--evaluation.every", "0", "--generator.width", "16", "--discriminator.width"]
        short += ["16", "--log-every", "10", "--sample-every", "10", "--checkpoint-every", "10"]

        def train(name: str, iterations: int) -> None:
            arguments = [*short, "--iterations", str(iterations), "--out", f"{directory}/{name}"]
            _experiment(arguments, environment)

        def halves() -> None:
            train("resumed", 10)
            train("resumed", 20)

        with concurrent.futures.ThreadPoolExecutor(2) as pool:
            whole = pool.submit(train, "whole", 20)
            if what == "kept":
                whole.result()
            for done in (whole, pool.submit(halves)):
                done.result()
        from benchmarks import jax_side

        found = {
            name: jax_side.digest(Run.open(f"{directory}/{name}").states(20))
            for name in ("whole", "resumed")
        }
        record.add(**found, equal=found["whole"] == found["resumed"])


# Throughput against PyTorch.


def workload(name: str, dtype: str, *, small: bool) -> Workload:
    """As it is for CPU cores, but with as many iterations in a call as one that trains has."""
    chosen = dataclasses.replace(WORKLOADS[name], dtype=dtype)
    if not small:
        calls = {"mlp": 1000, "sngan32": 25, "r3gan16": 25}
        return dataclasses.replace(chosen, iterations=calls.get(name, 100))
    resolution = chosen.resolution and (32 if chosen.network == "resnet" else 8)
    return dataclasses.replace(
        chosen, iterations=3, batch_size=8, width=16, resolution=resolution, examples=64
    )


def _has_torch(python: str) -> bool:
    found = [python, "-c", "import importlib.util as u, sys; sys.exit(not u.find_spec('torch'))"]
    return subprocess.run(found, check=False).returncode == 0


class Versus:
    """Throughput: its processes start to import before it may begin."""

    def __init__(self, options: Options):
        alone = not _has_torch(options.torch_python)
        self.options = throughput.Options(
            repeats=2 if options.small else 5,
            torch_python=options.torch_python,
            alone=alone,
            seconds=0.02 if options.small else 0.5,
            compiled=False,
        )
        self.workers = throughput.start(self.options)

    def __call__(self, options: Options, record: Record, what: str, dtype: str) -> None:
        """A workload on both sides, PyTorch's eager one."""
        chosen = workload(what, dtype, small=options.small)
        record.add(**throughput.measure(chosen, self.options, self.workers))


def compiled(options: Options, record: Record, what: str, dtype: str) -> None:
    """PyTorch's compiled side: seconds until it ran once, and how long an iteration takes."""
    if not _has_torch(options.torch_python):
        record.add(skipped="PyTorch is not installed")
        return
    chosen = workload(what, dtype, small=options.small)
    worker = Worker("torch", options.torch_python)
    built = worker("build", workload=to_dict(chosen), variant="compiled")
    record.add(first_step_s=built["first_step_s"])
    run = functools.partial(worker, "run", variant="compiled")
    seconds = _timed(lambda n: run(iterations=n), chosen.iterations, small=options.small)
    record.add(**seconds, peak_gib=worker("peak_memory", variant="compiled") / 2**30)
    worker.close()


def warmed(options: Options, record: Record, what: str, dtype: str) -> None:
    """PyTorch's compiler fills its cache, while nothing is timed."""
    compiled(dataclasses.replace(options, small=False), record, what, dtype)
    record.add(note="other parts ran meanwhile")


@contextlib.contextmanager
def _device(*, alone: bool) -> Iterator[None]:
    """While this lasts, no other part has the device alone; nor, if this one has it alone, at all.
    What compiles tries kernels there, so that nothing can be timed meanwhile."""
    with (Path(tempfile.gettempdir()) / f"gan_jax-device-{os.getuid()}").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX if alone else fcntl.LOCK_SH)
        yield


def _timed(run: Callable[[int], float], start: int, *, small: bool, repeats: int = 3) -> dict:
    """Milliseconds of an iteration: the median of some repeats of about half a second."""
    iterations, wanted = start, 0.02 if small else 0.5
    run(iterations)
    while (took := run(iterations)) < wanted / 4:
        iterations *= 4
    iterations = max(1, round(iterations * wanted / took))
    ms = [1e3 * run(iterations) / iterations for _ in range(repeats)]
    return {"ms": statistics.median(ms), "ms_of_turns": ms, "iterations_of_a_turn": iterations}


# What the program costs beside its arithmetic, and whether it repeats itself.


def dispatch(options: Options, record: Record, what: str, dtype: str) -> None:
    """Sixty-four iterations in a call against one, and what share of the latter is the host's."""
    from benchmarks import jax_side

    chosen = workload(what, dtype, small=options.small)
    for count in (64, 1):
        training = jax_side.WorkloadTraining(dataclasses.replace(chosen, iterations=count))
        timed = _timed(training.run, 8 if options.small else 64, small=options.small)
        record.add(**{f"of_{count}": timed})
        del training
    many, one = (record.figures[f"of_{count}"]["ms"] for count in (64, 1))
    record.add(host_share_of_single_calls=1 - many / one)


def determinism(options: Options, record: Record, what: str, dtype: str) -> None:
    """Whether two processes end with the same bits, with XLA's flag and without, and what the flag
    costs. Of those without it one compiles after the other, undisturbed."""
    chosen = workload(what, dtype, small=options.small)
    iterations = 3 if options.small else 20
    workers = {
        kind: [Worker("jax", environment=environment) for _ in range(2)]
        for kind, environment in (("plain", {}), ("deterministic", DETERMINISTIC))
    }

    def digest(worker: Worker) -> str:
        worker("build", workload=to_dict(chosen), variant="program")
        worker("run", variant="program", iterations=iterations)
        return worker("digest", variant="program")

    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        plain = pool.submit(lambda: [digest(worker) for worker in workers["plain"]])
        others = [pool.submit(digest, worker) for worker in workers["deterministic"]]
        found = {"plain": plain.result(), "deterministic": [other.result() for other in others]}
    for kind, digests in found.items():
        record.add(**{f"{kind}_digests": digests, f"{kind}_equal": len(set(digests)) == 1})
    for kind, (worker, _) in workers.items():
        run = functools.partial(worker, "run", variant="program")
        timed = _timed(lambda n, run=run: run(iterations=n), iterations, small=options.small)
        record.add(**{f"{kind}_ms": timed["ms"]})
    record.add(cost=record.figures["deterministic_ms"] / record.figures["plain_ms"] - 1)
    for worker in (*workers["plain"], *workers["deterministic"]):
        worker.close()


# The published presets.

PRESETS = {
    "r3gan-cifar10": ("r3gan", "cifar10"),
    "r3gan-ffhq-64": ("r3gan", "ffhq-64"),
    "stylegan2-cifar10": ("stylegan2", "cifar10"),
    "biggan-cifar10": ("biggan", "cifar10"),
    "sngan-cifar10": ("sngan", "cifar10"),
    "dcgan-cifar10": ("dcgan", "cifar10"),
}


def presets(options: Options, record: Record, what: str, dtype: str) -> None:
    """Images per second of a published preset on random images, in bfloat16, and the hours that its
    images take then. It may compile beside other presets."""
    module, name = PRESETS[what]
    config = importlib.import_module(f"experiments.{module}").CONFIGS[name]
    if options.small:
        config = dataclasses.replace(
            config,
            batch_size=32,
            generator=_narrow(config.generator),
            discriminator=_narrow(config.discriminator),
        )
    of_batches = config.alternation.batches
    # Published settings count the real images that the discriminator sees.
    images = config.iterations * config.batch_size * of_batches
    record.add(published_batch_size=config.batch_size, images=images)
    with _device(alone=False):
        built = _preset(config, name)
    with _device(alone=True):
        found = _fitting(config, name, built, small=options.small)
    rate = 1e3 * found["batch_size"] * of_batches / found["ms"]
    record.add(bfloat16=found | {"images_per_s": rate, "hours": images / rate / 3600})


def _narrow(network):
    """A network's section, with few channels."""
    narrow = {"width": 8, "max_width": 8, "groups": ()}
    if hasattr(network, "widths"):
        narrow["widths"] = len(network.widths) * (16,)
    names = {field.name for field in dataclasses.fields(network)}
    return dataclasses.replace(network, **{k: v for k, v in narrow.items() if k in names})


def _fitting(config, name: str, built, *, small: bool) -> dict:
    """The times of a preset, with half of its batch for as long as memory does not suffice."""
    while True:
        training, compile_s = built
        try:
            timed = _timed(training.run, 2, small=small)
        except Exception as error:
            if "RESOURCE_EXHAUSTED" not in str(error) or config.batch_size == 1:
                raise
        else:
            memory = {"compile_s": compile_s, "memory_gib": training.memory() / 2**30}
            return timed | memory | {"batch_size": config.batch_size}
        training = built = None
        config = dataclasses.replace(config, batch_size=config.batch_size // 2)
        print(f"no memory: a batch of {config.batch_size}", flush=True)
        built = _preset(config, name)


def _preset(config, name: str):
    """The compiled program of a preset, and the seconds that compiling it took."""
    import numpy as np

    from benchmarks import jax_side
    from gan_jax.data import Description, Examples, Stream

    config = dataclasses.replace(
        config,
        generator=dataclasses.replace(config.generator, dtype="bfloat16"),
        discriminator=dataclasses.replace(config.discriminator, dtype="bfloat16"),
    )
    side, examples = config.data.resolution or 32, 4096
    rng = np.random.default_rng(0)
    real = rng.integers(0, 256, (examples, side, side, 3), np.uint8)
    label = rng.integers(0, 10, examples, np.int32)
    data = Description((side, side, 3), 10, examples, "")
    labels = "label" if config.objective.conditional else None
    stream = Stream(Examples(data, real, label), "real", labels)
    training = jax_side.Training(config.build(data), [stream], capacity=100)
    return training, training.compile()


# One training.


def training(options: Options, record: Record, what: str, dtype: str) -> None:
    """R3GAN at half its width on CIFAR-10, for as long as there is time; then it is asked to stop,
    as an interruption would."""
    directory = os.environ.get("TFDS_DATA_DIR")
    if directory is None or not (Path(directory) / "cifar10").is_dir():
        record.add(skipped="TFDS_DATA_DIR names no folder with CIFAR-10")
        return
    width, batch, often = ("16", "32", "4") if options.small else ("384", "256", "250")
    arguments = ["--preset", "cifar10-narrow", "--data-dir", directory, "--iterations", "100000"]
    for network in ("generator", "discriminator"):
        arguments += [f"--{network}.widths", *4 * [width]]
        arguments += [f"--{network}.groups", *4 * [str(int(width) // 8)]]
        arguments += [f"--{network}.dtype", "float32" if options.small else "bfloat16"]
    for network in ("g", "d"):
        arguments += [f"--{network}-optimizer.learning-rate", "5e-4"]
    arguments += ["--annealing.images", "1e6", "--average.half-life", "30000"]
    arguments += ["--batch-size", batch, "--sample-every", often, "--checkpoint-every", often]
    arguments += ["--log-every", "4" if options.small else "50", "--check-every", often]
    arguments += [
        "--evaluation.metrics",
        "fid",
        "--evaluation.every",
        "8" if options.small else "500",
    ]
    arguments += ["--evaluation.extractor", "pixels" if options.small else "classifier"]
    arguments += ["--evaluation.samples", "100" if options.small else "10000"]
    with tempfile.TemporaryDirectory() as temporary:
        run = Path(temporary) / "run"
        command = [sys.executable, "experiments/r3gan.py", *arguments, "--out", str(run)]
        began = time.monotonic()
        process = subprocess.Popen(command, cwd=ROOT)
        until = began + options.seconds - (5 if options.small else 20)
        while process.poll() is None and time.monotonic() < until:
            time.sleep(2)
            _look_at(run, record, options.images)
        process.send_signal(signal.SIGTERM)
        try:
            record.add(exit_status=process.wait(timeout=12))
        except subprocess.TimeoutExpired:
            process.kill()
        record.add(wall_s=time.monotonic() - began)
        _look_at(run, record, options.images)
        if "images" not in record.figures:
            raise RuntimeError("it was stopped before it had anything to say")


def _look_at(run: Path, record: Record, images: Path | None) -> None:
    """What a run has written by now."""
    metrics, scores = (logs.read(run / f"{name}.jsonl") for name in ("metrics", "evaluations"))
    if metrics:
        last, rates = metrics[-1], [m["images_per_second"] for m in metrics]
        record.add(
            iterations=last["iteration"],
            images=last["images"],
            seconds_of_training=last["seconds"],
            images_per_s=statistics.median(rates),
        )
    if scores:
        record.add(scores=scores)
    drawn = sorted((run / "samples").glob("*.png"))
    if drawn and images is not None:
        shutil.copyfile(drawn[-1], images)
        record.add(samples=images.name, samples_at=int(drawn[-1].stem))


PARTS: dict[str, Callable] = {
    part.__name__: part
    for part in (
        device, digits, tests, forms, resume, compiled, warmed, dispatch, determinism, presets,
        training,
    )
}  # fmt: skip


def main() -> None:
    options = tyro.cli(Options, description=__doc__)
    faulthandler.register(signal.SIGUSR1)  # where it is, if it has to be stopped
    kind, what, dtype, *_ = [*options.part.split("/"), "", "float32"]
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # parts share the device
    if kind in ("presets", "training"):  # which need nearly all of its memory
        os.environ.setdefault("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.95")
    if kind in ("forms", "dispatch", "presets"):  # imports are most of the start
        importlib.import_module("benchmarks.jax_side")
    measure = Versus(options) if kind == "throughput" else PARTS[kind]
    if options.wait:
        options = dataclasses.replace(options, seconds=float(sys.stdin.readline()))
    record = Record(options.out)
    measure(options, record, what, dtype if options.part.count("/") == 2 else "float32")


if __name__ == "__main__":
    main()
