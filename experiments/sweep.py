"""Trains a population over seeds × hyperparameters, and ranks the hyperparameters.

    python experiments/sweep.py gaussians --vary objective.penalties.r1=0.01,0.1,1 \\
        --seeds 3 --iterations 2000 --score "high quality"
    python experiments/sweep.py digits --vary g_optimizer.learning_rate=1e-4..1e-2 \\
        objective.penalties.r1=0.01..10 --trials 24 --seeds 2 --iterations 1000 --out runs/search

The first form tries every combination of the values listed. The second searches between bounds, on
a logarithmic scale, by Optuna's TPE (pip install 'gan-jax[sweep]'); what was tried is kept in
OUT/study.db, and the same command goes on from there.

All runs that fit into memory train at once, in one compiled program: learning rates and penalties'
weights are traced, so that no trial compiles anything. (A second program is compiled to see what
one run takes, unless --at-once says how many to train.) The ranking is printed with 95 % confidence
intervals over the seeds, written to OUT/results.csv and drawn to OUT/ranking.png; the best of many
is partly luck, which --confirm takes away. The best configuration is OUT/best.json; the command
that trains it in full is printed, and --train-best does it at once.
"""

import dataclasses
import hashlib
import importlib
import itertools
import json
import math
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from gan_jax import cli, compilation
from gan_jax.cli import launch
from gan_jax.config import Config, from_dict, to_dict, to_json
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.metric import higher_is_better, score_names
from gan_jax.state import TrainState
from gan_jax.tasks.base import Dataset
from gan_jax.training import population
from gan_jax.training.population import Population, load_members
from gan_jax.training.ranking import (
    Outcome,
    Trial,
    draw,
    in_words,
    rank,
    spread,
    write_table,
)

_VARIABLE = tuple(name for name in population.TRACED if name != "seed")


@dataclasses.dataclass(frozen=True)
class Sweep:
    """What to try."""

    experiment: Annotated[str, tyro.conf.Positional, tyro.conf.arg(metavar="EXPERIMENT")]
    """A file of this folder, such as gaussians, or one of its presets, r3gan:mnist-narrow."""
    vary: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME=VALUES ...")]
    """NAME=A,B,C to try these, or NAME=LOW..HIGH to search between."""
    trials: int = 0
    """How many combinations to search for, between bounds."""
    seeds: int = 3
    """Of each combination."""
    confirm: int = 0
    """Train the best so many again, with as many other seeds: what was chosen by its scores is
    flattered by them."""
    iterations: int | None = None
    """Of each run, instead of the experiment's own."""
    score: str | None = None
    """What to rank by, by default the experiment's first score."""
    at_once: int | None = None
    """Runs in a program. None: as many as fit into --memory-gib."""
    memory_gib: float = 4.0
    """What a program may take."""
    train_best: bool = False
    """Train the best afterwards in OUT/best, as long as the experiment is, whatever --iterations
    says."""
    data_dir: str | None = None
    """Where TFDS datasets are prepared."""
    out: Path = Path("runs/sweep")
    """Where the study, the table, the chart and the best configuration are kept."""


def main() -> None:
    with cli.errors_in_one_line():
        sweep = tyro.cli(Sweep, description=__doc__)
        compilation.keep_compiled()
        outcome = run(sweep)
        for place, (trial, values) in enumerate(outcome.ranking, start=1):
            print(f"{place:3}.  {outcome.score} {spread(values)}   {in_words(trial)}")
        for place, values in enumerate(outcome.confirmed, start=1):
            print(f"{place:3}. with other seeds: {outcome.score} {spread(values)}")
        tried = len(outcome.ranking)
        print(f"{tried} trials of {sweep.seeds} seeds; compiled programs: {outcome.compiled}")
        sweep.out.mkdir(parents=True, exist_ok=True)
        write_table(outcome, sweep.out / "results.csv")
        draw(outcome, sweep.out / "ranking.png")
        print(f"table: {sweep.out / 'results.csv'}; chart: {sweep.out / 'ranking.png'}")
        winner = launch.Launch(
            _changed(_experiment(sweep.experiment), outcome.winner),
            out=sweep.out / "best",
            data_dir=sweep.data_dir,
        )
        config = sweep.out / "best.json"
        config.write_text(to_json(winner.config), "utf-8")
        print(f"the best, as long as {sweep.experiment} is: {launch.command_of(winner, config)}")
        if sweep.train_best:
            launch.start(winner)


def run(sweep: Sweep) -> Outcome:
    """Tries all combinations, or searches.

    Raises:
        InputError: what cannot be swept.
    """
    runner = _Runner(sweep)
    ranges = _ranges(sweep.vary)
    if any(isinstance(values, tuple) for values in ranges.values()):
        found = _search(sweep, runner, ranges)
    elif sweep.trials:
        raise InputError("--trials is for searches between bounds: NAME=LOW..HIGH")
    else:
        names = list(ranges)
        trials = [
            dict(zip(names, values, strict=True)) for values in itertools.product(*ranges.values())
        ]
        found = list(zip(trials, runner(trials), strict=True))
    ranking = rank(found, runner.score)
    best = [trial for trial, _ in ranking[: sweep.confirm]]
    confirmed = runner(best, first_seed=sweep.seeds) if best else []
    return Outcome(runner.score, ranking, confirmed, runner.compiled)


class _Runner:
    """Trains trials, and scores them: a list of scores for each, one for every seed."""

    def __init__(self, sweep: Sweep):
        self._sweep = sweep
        config = _experiment(sweep.experiment)
        if sweep.iterations is not None:
            config = dataclasses.replace(config, iterations=sweep.iterations)
        self.config = config
        all_seeds = range(sweep.seeds * (2 if sweep.confirm else 1))
        members = [dataclasses.replace(config, seed=seed) for seed in all_seeds]
        for member in members:
            member.validate()
        self._datasets = load_members(members, sweep.data_dir)
        config.build(self._datasets[0].description).check()
        metrics = self._make_evaluator(self._datasets[0], config.evaluation.metrics).metrics
        names = score_names(metrics)
        self.score = sweep.score or names[0]
        if self.score not in names:
            raise InputError(f"--score is one of {', '.join(names)}, not {self.score}")
        self._metric = next(name for name in metrics if self.score in score_names([name]))
        self._evaluators: dict[Dataset, Evaluator] = {}
        self._size: int | None = sweep.at_once
        self._before = len(population.programs)

    @property
    def compiled(self) -> int:
        """Programs for these trials so far."""
        return len(population.programs) - self._before

    def __call__(self, trials: Sequence[Trial], first_seed: int = 0) -> list[list[float]]:
        seeds = self._sweep.seeds
        members = [
            (_changed(self.config, {**trial, "seed": seed}), self._datasets[seed])
            for trial in trials
            for seed in range(first_seed, first_seed + seeds)
        ]
        size = min(self._members_at_once(members[0]), len(members))
        values = []
        for start in range(0, len(members), size):
            chunk = members[start : start + size]
            # The last program has as many members as the others: nothing is compiled for it.
            full = chunk + [chunk[-1]] * (size - len(chunk))
            *_, end = Population(*map(list, zip(*full, strict=True))).train()
            values += [
                self._value(dataset, end.member(i)[1]) for i, (_, dataset) in enumerate(chunk)
            ]
            print(f"{len(values)} of {len(members)} runs", flush=True)
        return [values[i : i + seeds] for i in range(0, len(values), seeds)]

    def _members_at_once(self, member: tuple[Config, Dataset]) -> int:
        if self._size is None:
            config, dataset = member
            needed = Population([config], [dataset]).memory()
            self._size = max(1, int(self._sweep.memory_gib * 2**30 / needed))
        return self._size

    def _make_evaluator(self, dataset: Dataset, metrics: tuple[str, ...]) -> Evaluator:
        evaluation = dataclasses.replace(self.config.evaluation, metrics=metrics)
        config: Any = dataclasses.replace(self.config, evaluation=evaluation)
        return config.build(dataset.description).evaluator(dataset)

    def _value(self, dataset: Dataset, g: TrainState) -> float:
        if dataset not in self._evaluators:
            self._evaluators[dataset] = self._make_evaluator(dataset, (self._metric,))
        try:
            return next(s.value for s in self._evaluators[dataset](g) if s.name == self.score)
        except InputError:  # samples that are not finite
            return math.nan


def _search(
    sweep: Sweep, runner: _Runner, ranges: Mapping[str, list[float] | tuple[float, float]]
) -> list[tuple[Trial, list[float]]]:
    """Asks Optuna for as many trials as train at once, again and again."""
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "searching between bounds needs Optuna: pip install 'gan-jax[sweep]'"
        ) from error
    if sweep.trials < 1:
        raise InputError("a search between bounds needs --trials: how many")
    sweep.out.mkdir(parents=True, exist_ok=True)
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(
        study_name=f"{sweep.experiment} {runner.score} {_digest(sweep, runner, ranges)}",
        storage=f"sqlite:///{sweep.out / 'study.db'}",
        direction="maximize" if higher_is_better(runner.score) else "minimize",
        load_if_exists=True,
    )
    # With the same seed, a search that goes on would ask what it asked when it began.
    study.sampler = optuna.samplers.TPESampler(seed=len(study.trials))

    def done():
        return [t for t in study.get_trials(deepcopy=False) if "values" in t.user_attrs]

    while len(done()) < sweep.trials:
        # As a rule of thumb, a search learns from four rounds at least.
        round_of = min(sweep.trials - len(done()), math.ceil(sweep.trials / 4))
        asked = [study.ask() for _ in range(round_of)]
        trials = [{name: _suggest(trial, name, r) for name, r in ranges.items()} for trial in asked]
        for trial, values in zip(asked, runner(trials), strict=True):
            trial.set_user_attr("values", values)
            mean = statistics.fmean(values)
            if math.isfinite(mean):
                study.tell(trial, mean)
            else:
                study.tell(trial, state=optuna.trial.TrialState.FAIL)
    return [(trial.params, trial.user_attrs["values"]) for trial in done()]


def _digest(sweep: Sweep, runner: _Runner, ranges: Mapping) -> str:
    """Of all that a trial's scores depend on: another search is another study."""
    what = json.dumps([to_dict(runner.config), ranges, sweep.seeds], sort_keys=True)
    return hashlib.sha256(what.encode()).hexdigest()[:12]


def _suggest(trial, name: str, values: list[float] | tuple[float, float]) -> float:
    if isinstance(values, tuple):
        return trial.suggest_float(name, *values, log=True)
    return trial.suggest_categorical(name, values)


def _ranges(vary: Sequence[str]) -> dict[str, list[float] | tuple[float, float]]:
    """
    Raises:
        InputError: not of one of the two forms, or a field that cannot vary.
    """
    ranges = {}
    for text in vary:
        name, _, values = text.partition("=")
        if name not in _VARIABLE:
            raise InputError(f"--vary is for {', '.join(_VARIABLE)}, not {name!r}")
        try:
            if ".." in values:
                low, high = map(float, values.split(".."))
                ranges[name] = (low, high)
            else:
                ranges[name] = [float(v) for v in values.split(",")]
        except ValueError as error:
            raise InputError(f"--vary is NAME=A,B,C or NAME=LOW..HIGH, not {text!r}") from error
    return ranges


def _experiment(name: str) -> Any:
    module_name, _, preset = name.partition(":")
    try:  # beside this file, whether that runs as a script or is a module of a package
        beside = f"{__package__}.{module_name}" if __package__ else module_name
        module = importlib.import_module(beside)
    except ImportError as error:
        raise InputError(f"there is no experiment {module_name}") from error
    if hasattr(module, "CONFIG") and not preset:
        return module.CONFIG
    configs = getattr(module, "CONFIGS", {})
    if preset not in configs:
        raise InputError(f"{module_name} has the presets {', '.join(configs)}, not {preset!r}")
    return configs[preset]


def _changed(config: Config, values: Mapping[str, float]) -> Config:
    """With these fields, by dotted name."""
    tree = to_dict(config)
    for name, value in values.items():
        *path, last = name.split(".")
        inner = tree
        for part in path:
            inner = inner[part]
        inner[last] = value
    return from_dict(Config, tree)


if __name__ == "__main__":
    main()
