"""Records what short runs of every recipe train, bit for bit, with the code at commit c55bdc7.

    python tests/golden/record.py --source CHECKOUT [--only NAME ...] [--again]

That commit is the last one before the library was taken apart and put together anew. The training
itself was not to change by a single bit, and what is recorded here is how a test can tell. CHECKOUT
is a clean checkout of that commit, and only its code is run: neither this script nor anything else
of the later library is needed to train, and no later commit can stand in for it. So this is run
once for every environment that is to be compared in (see `fingerprints.environment`), and with no
other purpose; the tests only read what it leaves:

cases/NAME.json  the configuration of a run, in the form in which the old code wrote it
hashes.json      by environment, case and number of devices, the fingerprints of both final states
runs/NAME/       the directory of a run that was interrupted, to be resumed; what it reaches is
                 recorded as the case `interrupted-NAME`

What is recorded already is left alone, so a recording that was stopped goes on where it was. With
`--again` everything is trained once more and compared with what is there, and nothing is written.

Training happens in processes of their own, with the environment that the tests have: the processor,
one or four virtual devices, and XLA's optimisations turned down.
"""

import argparse
import contextlib
import copy
import json
import os
import runpy
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import fingerprints
import pictures

COMMIT = "c55bdc7"
HERE = Path(__file__).resolve().parent
CASES, RUNS, HASHES = HERE / "cases", HERE / "runs", HERE / "hashes.json"
DEVICES = (1, 4)
INTERRUPTED = "interrupted-"

SHRUNK = {
    "iterations": 30,
    "batch_size": 8,
    "data.source": "digits",
    "data.resolution": 16,
    "objective.latent_dim": 4,
    "generator.width": 2,
    "discriminator.width": 2,
    "evaluation.every": 0,
    "evaluation.metrics": (),
    "evaluation.extractor": "pixels",
    "check_every": 10,
    "log_every": 30,
    "sample_every": 30,
    "checkpoint_every": 30,
}
"""What all runs have in common, unless they say otherwise: they are over at once."""

_RMSPROP = {"name": "rmsprop", "options": {"decay": 0.9}, "learning_rate": 1e-3}
_POINTS = {
    "data.source": "ring",
    "data.resolution": None,
    "batch_size": 16,
    "generator.width": 8,
    "generator.depth": 2,
    "discriminator.width": 8,
    "discriminator.depth": 2,
    "annealing.images": 320,
}

RECIPES: dict[str, tuple[str, dict[str, Any]]] = {
    # The recipes as they are published, with schedules that pass within the run.
    "digits": ("digits", {"data.resolution": 8}),
    "gaussians": ("gaussians", _POINTS),
    "dcgan-diffaugment": ("dcgan:cifar10", {"augmentation.kind": "diffaugment"}),
    "dcgan-adaptive": (
        "dcgan:mnist-narrow",
        {
            "augmentation.kind": "ada",
            "augmentation.categories": (
                "blit", "geometric", "color", "filter", "noise", "cutout"
            ),
            "augmentation.target": 0.1,
            "augmentation.images": 100,
            "data.fit": "crop",
        },
    ),
    "sngan": (
        "sngan:cifar10",
        {"data.resolution": 32, "data.channels": 3, "annealing.images": 1000},
    ),
    "biggan": ("biggan:cifar10", {"data.resolution": 32}),
    "stylegan2": (
        "stylegan2:cifar10",
        {
            "data.resolution": 8,
            # The published embedding of labels has a bias, which the old code's had not.
            "objective.conditional": False,
            "generator.max_width": 4,
            "generator.style_mixing": 0.5,
            "discriminator.max_width": 4,
            "discriminator.minibatch_std": 2,
            "objective.path_length": 2.0,
            "augmentation.target": 0.1,
            "augmentation.images": 100,
        },
    ),
    "r3gan": (
        "r3gan:cifar10",
        {
            "generator.widths": (8, 4, 4),
            "generator.groups": (2, 1, 1),
            "discriminator.widths": (8, 4, 4),
            "discriminator.groups": (2, 1, 1),
            "annealing.images": 160,
        },
    ),
    # One setting after another that the recipes leave as it is.
    "five-to-one": ("digits", {"data.resolution": 8, "alternation.d_steps": 5}),
    "two-to-three": (
        "dcgan:cifar10",
        {"alternation.d_steps": 2, "alternation.g_steps": 3, "objective.loss": "least_squares"},
    ),
    "epochs": (
        "digits",
        {
            "data.resolution": 8,
            "data.limit": 64,
            "alternation.d_epochs": 1,
            "alternation.g_epochs": 1,
            "annealing.images": 160,
            "annealing.learning_rate": 0.1,
        },
    ),
    "packing": (
        "dcgan:cifar10",
        {"batch_size": 16, "objective.packing": 2, "discriminator.norm": "none"},
    ),
    "unroll": (
        "gaussians",
        _POINTS
        | {
            "data.source": "grid",
            "objective.loss": "non_saturating",
            "objective.r2": 0.0,
            "objective.unroll": 2,
            "d_optimizer.options": {"b1": 0.5, "b2": 0.99, "eps_root": 1e-8},
        },
    ),
    "balance": (
        "digits",
        {"data.resolution": 8, "balance": True, "check_every": 5,
         "d_optimizer.learning_rate": 0.02},
    ),
    "auxiliary": (
        "sngan:mnist-narrow",
        {
            "data.resolution": 32,
            "data.fit": "pad",
            "annealing.images": 160,
            "objective.conditional": True,
            "objective.auxiliary": 0.5,
        },
    ),
    "lecam": ("dcgan:cifar10", {"objective.lecam": 0.3, "objective.loss": "hinge"}),
    "bcr": (
        "dcgan:cifar10",
        {
            "objective.bcr": 10.0,
            "augmentation.kind": "diffaugment",
            "augmentation.categories": ("color", "translation"),
            "augmentation.probability": 0.7,
            "discriminator.norm": "none",
        },
    ),
    "wasserstein": (
        "dcgan:cifar10",
        {
            "objective.loss": "wasserstein",
            "objective.wgan_gp": 10.0,
            "discriminator.norm": "none",
            "d_optimizer.clip_weights": 0.1,
        }
        | {f"{network}_optimizer.{name}": value
           for network in "dg" for name, value in _RMSPROP.items()},
    ),
    "label-smoothing": (
        "dcgan:cifar10", {"objective.label_smoothing": 0.1, "objective.loss": "minimax"}
    ),
    "instance-noise": (
        "digits",
        {
            "data.resolution": 8,
            "data.flip": True,
            "data.classes": (0, 1, 8),
            "objective.loss": "relativistic_average",
            "augmentation.noise": 0.2,
            "annealing.images": 160,
            "annealing.shape": "linear",
            "annealing.noise": 0.0,
        },
    ),
    "freeze": (
        "digits", {"d_optimizer.freeze": ("down_0",), "g_optimizer.freeze": ("dense",)}
    ),
    "orthogonal": (
        "digits",
        {
            f"{network}_optimizer.{name}": value
            for network in "dg"
            for name, value in (("orthogonal", 1e-2), ("clip_gradients", 0.5))
        },
    ),
    "bfloat16": (
        "digits",
        {"data.resolution": 8, "generator.dtype": "bfloat16", "discriminator.dtype": "bfloat16"},
    ),
    "streamed": (
        "digits",
        {
            "data.source": "folder:pictures",
            "data.resolution": None,
            "data.flip": True,
            "data.held_out": 4,
            "data.budget_gib": 0.0,
        },
    ),
    "spectral": (
        "digits",
        {
            "objective.loss": "hinge",
            "objective.r1": 0.0,
            "objective.r2": 0.0,
            "discriminator.norm": "spectral",
        },
    ),
}  # fmt: skip
"""By case: an experiment of the old code, `FILE` or `FILE:PRESET`, and what to change of it, beside
`SHRUNK`."""

STOPPED = 15
"""The iteration after which an interrupted run is stopped."""
_SHORT = {
    "log_every": 5,
    "sample_every": 10,
    "checkpoint_every": 10,
    "keep_last": 1,
    "evaluation.every": 10,
    "evaluation.samples": 100,
}
_BARE = _SHORT | {"evaluation.every": 0}
"""Without a best checkpoint: larger networks would take more room than they are worth."""
INTERRUPTIONS: dict[str, tuple[str, dict[str, Any]]] = {
    "digits": ("digits", _SHORT),
    # These two remember something beside the parameters: logits and a probability, path lengths.
    "adaptive": ("dcgan-adaptive", _SHORT | {"objective.lecam": 0.3}),
    "stylegan2": ("stylegan2", _BARE),
}
"""By run: the case that is interrupted, and what to change of it."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--source", type=Path, required=True, help=f"a checkout of {COMMIT}")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="only these cases")
    parser.add_argument("--again", action="store_true", help="compare, and write nothing")
    parser.add_argument("--work", type=int, metavar="DEVICES", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    names = [*RECIPES, *(INTERRUPTED + name for name in INTERRUPTIONS)]
    unknown = set(arguments.only or ()) - set(names)
    if unknown:
        parser.error(f"unknown {', '.join(sorted(unknown))}: one of {', '.join(names)}")
    wanted = [name for name in names if name in (arguments.only or names)]
    source = arguments.source.resolve()
    if arguments.work is not None:  # in a process of its own, which `_launch` started
        _work(source, wanted, arguments.work, again=arguments.again)
        return
    _check(source)
    flags = _accepted_flags()
    for devices in DEVICES:
        missing = [n for n in wanted if arguments.again or not _known(n, devices)]
        if missing:
            _launch(source, missing, devices, flags, again=arguments.again)


def _check(source: Path) -> None:
    """Exits where the source is anything else than a clean checkout of the commit."""

    def git(*words: str) -> str:
        command = ["git", "-C", str(source), *words]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()

    if not git("rev-parse", "HEAD").startswith(COMMIT) or git("status", "--porcelain"):
        sys.exit(f"{source} is not a clean checkout of {COMMIT}")


def _accepted_flags() -> list[str]:
    """The flags that the tests set to save time in compiling: XLA aborts on those that it does not
    know."""

    def is_known(flag: str) -> bool:
        probe = [sys.executable, "-c", "import jax; jax.devices()"]
        environment = os.environ | {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flag}
        return not subprocess.run(probe, env=environment, capture_output=True).returncode

    flags = ("--xla_backend_optimization_level=0", "--xla_cpu_use_fusion_emitters=false")
    return [flag for flag in flags if is_known(flag)]


def _launch(source: Path, names: list[str], devices: int, flags: list[str], *, again: bool) -> None:
    """Has these cases recorded by a process with the environment of the tests."""
    with tempfile.TemporaryDirectory() as cache:
        # JAX's own settings would be the user's: among them, a cache of compiled programs.
        environment = {k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "XLA_"))}
        environment |= {
            "JAX_PLATFORMS": "cpu",
            "XLA_FLAGS": " ".join([f"--xla_force_host_platform_device_count={devices}", *flags]),
            "GAN_JAX_CACHE": cache,
            "PYTHONPATH": str(source),
            "PYTHONDONTWRITEBYTECODE": "1",
        }
        command = [sys.executable, __file__, "--source", source, "--work", devices]
        command += ["--again"] if again else []
        command += ["--only", *names]
        subprocess.run(list(map(str, command)), env=environment, check=True)


# ---- in a process with the environment of the tests ----


def _work(source: Path, names: list[str], devices: int, *, again: bool) -> None:
    """Trains these cases with the old code, and records each as soon as it is done."""
    import jax

    import gan_jax

    assert Path(gan_jax.__file__).is_relative_to(source), gan_jax.__file__
    assert jax.device_count() == devices
    for name in names:
        began = time.monotonic()
        with _elsewhere() as directory:
            found = _found(source, name, directory)
        says = "recorded"
        if again:
            says = _comparison(found, _known(name, devices))
        else:
            _store(name, devices, found)
        seconds = time.monotonic() - began
        print(f"{name}, {devices} device(s), {seconds:.0f} s: {says}", flush=True)


@contextlib.contextmanager
def _elsewhere() -> Iterator[Path]:
    """In a new directory, with the folder of pictures."""
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as directory:
        os.chdir(directory)
        pictures.write_pictures(Path(directory))
        try:
            yield Path(directory)
        finally:
            os.chdir(before)


def _found(source: Path, name: str, directory: Path) -> dict[str, Any]:
    """The fingerprints that a case ends with. Its configuration, or the run that it resumes, is
    written if it is not there yet."""
    from gan_jax import loop
    from gan_jax.runs import Run

    out = directory / "run"
    if name.startswith(INTERRUPTED):
        kept = RUNS / name.removeprefix(INTERRUPTED)
        if not kept.exists():
            _interrupt(source, name.removeprefix(INTERRUPTED), kept)
        shutil.copytree(kept, out)
        config = Run.open(out).config
        with _quiet():
            return fingerprints.fingerprints(*loop.train(config, out=out)[:2])
    with _quiet():
        d, g, _ = loop.train(_config(source, name), out=out)
    written, kept = (out / "config.json").read_text(), CASES / f"{name}.json"
    if not kept.exists():
        CASES.mkdir(exist_ok=True)
        kept.write_text(written)
    assert kept.read_text() == written, f"{kept} is another configuration"
    return fingerprints.fingerprints(d, g)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what a run prints."""
    with open(os.devnull, "w") as nowhere, contextlib.redirect_stdout(nowhere):
        yield


def _config(source: Path, name: str) -> Any:
    """The configuration of a case: that of an experiment, with changes."""
    recipe, changes = RECIPES[name]
    file, _, preset = recipe.partition(":")
    module = runpy.run_path(str(source / "experiments" / f"{file}.py"))
    config = module["CONFIGS"][preset] if preset else module["CONFIG"]
    return _changed(config, {"name": name} | SHRUNK | changes)


def _changed(config: Any, changes: dict[str, Any]) -> Any:
    """The same with other values in some fields, named as on the command line."""
    from gan_jax.config import Config, from_dict, to_dict

    values = copy.deepcopy(to_dict(config))
    for name, value in changes.items():
        *groups, field = name.split(".")
        inside = values
        for group in groups:
            inside = inside[group]
        assert field in inside, name
        inside[field] = value
    return from_dict(Config, values)


def _interrupt(source: Path, name: str, kept: Path) -> None:
    """Makes a run that is stopped between two checkpoints, by the signal that Ctrl-C sends, and
    keeps its directory."""
    from gan_jax import loop

    case, changes = INTERRUPTIONS[name]
    config = _changed(_config(source, case), {"name": name} | changes)
    call = loop._Session._call

    def interrupting(session, d, g, start, count):
        if count and start + count == STOPPED:
            signal.raise_signal(signal.SIGINT)
        return call(session, d, g, start, count)

    loop._Session._call = interrupting
    out = Path("interrupted").resolve()
    try:
        with _quiet(), contextlib.suppress(KeyboardInterrupt):
            loop.train(config, out=out)
    finally:
        loop._Session._call = call
    assert (out / "checkpoints" / str(STOPPED)).is_dir()
    for events in out.glob("events.out.*"):  # named after the machine, and not needed to resume
        events.unlink()
    for path in out.rglob("commit_success.txt"):  # Orbax says there where it was
        path.write_text(path.read_text().replace(f"{out}/", ""))
    for path in out.rglob("*"):
        assert path.is_dir() or str(out).encode() not in path.read_bytes(), path
    shutil.copytree(out, kept)


# ---- what is recorded ----


def _read() -> dict[str, Any]:
    return json.loads(HASHES.read_text()) if HASHES.exists() else {}


def _known(name: str, devices: int) -> dict[str, Any] | None:
    """What is recorded of a case in this environment."""
    return _read().get(fingerprints.environment(), {}).get(name, {}).get(str(devices))


def _store(name: str, devices: int, found: dict[str, Any]) -> None:
    """Adds to what is recorded; the file is always whole."""
    recorded = _read()
    case = recorded.setdefault(fingerprints.environment(), {}).setdefault(name, {})
    case[str(devices)] = found
    beside = HASHES.with_suffix(".tmp")
    beside.write_text(json.dumps(recorded, indent=1, sort_keys=True) + "\n")
    beside.replace(HASHES)


def _comparison(found: dict[str, Any], known: dict[str, Any] | None) -> str:
    """Which parts of which network are not what they were, in words."""
    if known is None:
        return "was not recorded"
    parts = [
        f"{network}.{part}"
        for network, digests in known.items()
        for part, digest in digests.items()
        if found[network][part] != digest
    ]
    return f"differs in {', '.join(parts)}" if parts else "the same"


if __name__ == "__main__":
    main()
