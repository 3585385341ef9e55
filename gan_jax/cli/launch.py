"""Starting a run from a command line: `experiments/*.py`, `gan-jax train`."""

import argparse
import dataclasses
import math
import shlex
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

import jax
import tyro

from gan_jax import compilation, paths
from gan_jax.cli.flags import FLAGS, choose_kinds
from gan_jax.cli.terminal import errors_in_one_line
from gan_jax.config import Config, to_json
from gan_jax.data import BadImageError
from gan_jax.errors import InputError
from gan_jax.runs import Run
from gan_jax.tasks.base import ImageTask, shapes
from gan_jax.training.plan import make_plan
from gan_jax.training.train import train


@dataclasses.dataclass(frozen=True)
class Launch:
    """Where and how to run; none of it changes what is trained."""

    config: Annotated[Config, tyro.conf.arg(name="")]
    out: Path | None = None
    """Directory of the run, by default runs/NAME. If it holds this run already, go on with it."""
    fork: Path | None = None
    """Start a new run in this directory, from the latest checkpoint in --out."""
    init_from: Path | None = None
    """Begin a new run with the networks of this run, trained on other data."""
    data_dir: str | None = None
    """Where TFDS datasets are prepared, by default $TFDS_DATA_DIR or ~/tensorflow_datasets."""
    skip_bad_images: bool = False
    """Leave out images that cannot be decoded, and count them."""
    minutes: float | None = None
    """Train for about so many minutes from now on, in place of --iterations."""
    images: int | None = None
    """Train until so many real images were seen, in place of --iterations."""
    profile: bool = False
    """Trace ten iterations into RUN/profile, for Perfetto or TensorBoard."""
    preview: bool = False
    """Show what is drawn at the terminal too, where that has 256 colors."""
    dry_run: bool = False
    """Print the resolved configuration and the sizes of both networks, whatever is in --out, and
    exit."""
    distributed: str | None = None
    """Join several processes: HOST:PORT of the first, or auto (TPU pods, Slurm, Open MPI, …)."""
    processes: int | None = None
    """How many processes there are, with HOST:PORT."""
    process_id: int | None = None
    """Which of them this is, from 0, with HOST:PORT."""


def experiment(config: Config | Mapping[str, Config], description: str | None) -> None:
    """The whole of an experiment file: flags over `config`, then training. Of several, by name, the
    flag `--preset` chooses one; the first is the default.

    Exits with status 2 where the input has to change, 1 where training diverged, and 130 after an
    interruption.
    """
    with errors_in_one_line():
        arguments, description = sys.argv[1:], description or ""
        if isinstance(config, Mapping):
            config, arguments, description = _preset(config, arguments, description)
        launch(Launch(config), arguments, description)


def launch(
    default: Launch, arguments: list[str], description: str, prog: str | None = None
) -> None:
    """Trains as the arguments say, given over a default."""
    config = choose_kinds(default.config, arguments)
    launch = tyro.cli(
        Launch,
        default=dataclasses.replace(default, config=config),
        args=arguments,
        description=description,
        prog=prog,
        registry=FLAGS,
    )
    if launch.dry_run:
        _dry_run(launch)
    else:
        start(launch)


def _config_of(launch: Launch) -> Config:
    """What to run, for as long as is said.

    Raises:
        InputError: a length that is none, or two of them.
    """
    if launch.minutes is not None and launch.images is not None:
        raise InputError("give --minutes or --images, not both")
    for flag, value in (("--minutes", launch.minutes), ("--images", launch.images)):
        if value is not None and not value > 0:
            raise InputError(f"{flag} is above 0, not {value:g}")
    if launch.images is None:
        return launch.config
    of_iteration = launch.config.batch_size * launch.config.alternation.batches
    return dataclasses.replace(launch.config, iterations=math.ceil(launch.images / of_iteration))


def start(launch: Launch) -> None:
    """Trains, and says what next. Exits with status 130 after an interruption.

    Raises:
        InputError: something about the input has to change.
    """
    config = _config_of(launch)
    _join_processes(launch)
    compilation.keep_compiled(paths.cache_root() / "compiled")
    directory = launch.fork or launch.out or Path("runs") / config.name
    try:
        result = train(
            config,
            out=launch.out,
            fork=launch.fork,
            init_from=launch.init_from,
            data_dir=launch.data_dir,
            skip_bad_images=launch.skip_bad_images,
            minutes=launch.minutes,
            profile=launch.profile,
            preview=launch.preview,
        )
    except BadImageError as error:  # met on the way, where data stream
        change = "--skip-bad-images leaves such files out"
        if _has_checkpoints(directory):
            change = f"what is trained is saved; to go on without such files: {_fork(directory)}"
        raise InputError(f"{error}; {change}") from error
    except KeyboardInterrupt:
        if _has_checkpoints(directory):
            print(f"stopped, and saved; to go on: {_resume(directory, launch)}")
        else:
            print("stopped before the first checkpoint: the same command starts afresh")
        sys.exit(130)
    if jax.process_index() == 0:
        _say_what_next(result.directory, launch)


def command_of(launch: Launch, config: Path) -> str:
    """The command that trains a configuration which is in this file, as a launch says."""
    command = [*_command("gan-jax").split(), "train", str(config)]
    if launch.out is not None:
        command += ["--out", str(launch.out)]
    if launch.data_dir is not None:
        command += ["--data-dir", launch.data_dir]
    return shlex.join(command)


def _resume(directory: Path, launch: Launch, *flags: str) -> str:
    """The command that goes on with a run."""
    command = [*_command("gan-jax").split(), "resume", str(directory), *flags]
    if launch.data_dir is not None:
        command += ["--data-dir", launch.data_dir]
    if launch.skip_bad_images:
        command.append("--skip-bad-images")
    return shlex.join(command)


def _has_checkpoints(directory: Path) -> bool:
    return any(directory.glob("checkpoints/[0-9]*"))


def _fork(directory: Path) -> str:
    """The command that starts a run without bad images from the checkpoint of one with them: fewer
    examples come in another order, also those that it has seen."""
    run = str(directory)
    flags = ("--out", run, "--fork", "NEW_DIR", "--skip-bad-images")
    return shlex.join([*_command("gan-jax").split(), "train", run, *flags])


def _preset(
    configs: Mapping[str, Config], arguments: list[str], description: str
) -> tuple[Config, list[str], str]:
    """The configuration that `--preset` names, and the other arguments."""
    first = next(iter(configs))
    description += f"\n--preset is one of {', '.join(configs)} (default: {first})."
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--preset", default=first)
    chosen, rest = parser.parse_known_args(arguments)
    if chosen.preset not in configs:
        raise InputError(f"unknown --preset {chosen.preset!r}: one of {', '.join(configs)}")
    return configs[chosen.preset], rest, description


def _say_what_next(directory: Path, launch: Launch) -> None:
    run = Run.open(directory)
    last = max((directory / "samples").glob("*.png"), default=None)
    tool = _command("gan-jax")
    traces = sorted((directory / "profile").rglob("perfetto_trace.json.gz"))
    lines = [
        f"done: {directory}",
        f"  samples           {last}",
        f"  curves            {directory / 'metrics.jsonl'} (and TensorBoard events beside it)",
    ]
    if launch.profile and traces:  # a run that was done already has none
        lines.append(f"  profile           open {traces[-1]} at https://ui.perfetto.dev")
    lines += ["what next:", f"  how it went       {tool} report {directory}"]
    if "sample" in run.task.commands:
        task = run.generation("samples")
        label = f" --label {shlex.quote(run.data.name_of(0))}" if task.classes else ""
        if task.conditions is not None:
            name = task.conditions.names[0]
            _, high = task.conditions.range_of(name)
            label = f" --condition {shlex.quote(f'{name}={high:.4g}')}"
        lines.append(
            f"  more samples      {tool} sample {directory} --n 64 --seed 1{label} --out more.png"
        )
    if "interpolate" in run.task.commands:
        lines.append(f"  between samples   {tool} interpolate {directory} --out between.png")
        conditions = run.generation("latents").conditions
        if conditions is not None:
            vary = f"--vary {shlex.quote(conditions.names[0])} --out varied.png"
            lines.append(f"  as a number grows {tool} interpolate {directory} {vary}")
    if isinstance(run.task, ImageTask):
        does = "translate" if "translate" in run.task.commands else "upscale"
        direction = "".join(f" --direction {d}" for d in run.task.directions[:1])
        lines.append(
            f"  your own images   {tool} {does} {directory} IMAGE_OR_FOLDER{direction} --out DIR"
        )
    longer = _resume(directory, launch, "--iterations", str(2 * run.kept()[-1]))
    lines.append(f"  train longer      {longer}")
    print("\n" + "\n".join(lines))


def _command(name: str) -> str:
    """How to call a program that was installed beside this Python."""
    beside = Path(sys.executable).parent / name
    if shutil.which(name) or not beside.exists():
        return name
    return str(beside.relative_to(Path.cwd()) if beside.is_relative_to(Path.cwd()) else beside)


def _dry_run(launch: Launch) -> None:
    config = _config_of(launch)
    plan = make_plan(
        config,
        out=launch.out,
        fork=launch.fork,
        init_from=launch.init_from,
        data_dir=launch.data_dir,
        skip_bad_images=launch.skip_bad_images,
        dry=True,
    )
    held_out = sum(s.source.description.examples for s in plan.dataset.held_out)
    d, g = shapes(plan.task)
    print(to_json(config), end="")
    print(f"data: {plan.dataset.description}; {held_out:,} more held out")
    for name, state in (("generator", g), ("discriminator", d)):
        size = sum(math.prod(x.shape) for x in jax.tree.leaves(state.params))
        print(f"{name}: {size:,} parameters in {', '.join(sorted(state.params))}")
    if plan.initial is not None and plan.taken is not None:
        print(f"networks of {plan.initial.directory}: {plan.taken}")


def _join_processes(launch: Launch) -> None:
    if launch.distributed is None:
        if launch.processes is not None or launch.process_id is not None:
            raise InputError("--processes and --process-id need --distributed HOST:PORT")
        return
    try:
        if launch.distributed == "auto":
            jax.distributed.initialize()
        else:
            if launch.processes is None or launch.process_id is None:
                raise InputError(
                    "--distributed HOST:PORT needs --processes and --process-id (or say auto)"
                )
            jax.distributed.initialize(launch.distributed, launch.processes, launch.process_id)
    except (ValueError, RuntimeError) as error:
        raise InputError(f"cannot join the other processes: {error}") from error
