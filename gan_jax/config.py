"""The configuration of a run: frozen dataclasses that survive a round trip through JSON.

A run is a function of its `Config` alone. Where it is kept, where its data lie and how many devices
compute it are no part of it.
"""

import dataclasses
import json
import types
import typing
from dataclasses import dataclass, field
from typing import Annotated, Any, TypeVar

import tyro

from gan_jax.errors import InputError
from gan_jax.losses import LOSSES
from gan_jax.networks import dcgan
from gan_jax.steps import Alternation

T = TypeVar("T")

NETWORKS = ("dcgan", "mlp")
DTYPES = ("float32", "bfloat16")
FITS = ("crop", "pad")
SCHEDULES = ("constant", "linear", "cosine")
ON_FAILURE = ("warn", "stop", "rollback")
EXTRACTORS = ("pixels", "classifier", "inception")
METRICS = (
    "fid",
    "kid",
    "is",
    "precision_recall",
    "density_coverage",
    "swd",
    "ms_ssim",
    "ppl",
    "cas",
    "modes",
)


def _numbers(pairs: list[str]) -> dict[str, float]:
    return {name: float(value) for name, _, value in (pair.partition("=") for pair in pairs)}


Numbers = Annotated[
    dict[str, float],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="[NAME=NUMBER ...]",
        instance_from_str=_numbers,
        is_instance=lambda value: isinstance(value, dict),
        str_from_instance=lambda numbers: [f"{k}={v}" for k, v in numbers.items()],
    ),
]
"""Named numbers: on the command line, `b1=0.5 b2=0.999`."""


@dataclass(frozen=True)
class Data:
    """What the real examples are."""

    source: str = "digits"
    """digits, ring, grid, tfds:NAME, folder:PATH or npz:PATH."""
    split: str = "train"
    """Which split of a TFDS dataset."""
    resolution: int | None = None
    """Side of the square pictures in pixels. None: as they are, if square and all equal."""
    fit: str = "crop"
    """How they get it. crop: scale the shorter side, cut the centre. pad: only black around."""
    channels: int | None = None
    """1 to make every picture grey, 3 to make it RGB. None: as they are, if they agree."""
    flip: bool = False
    """Mirror half of the pictures left to right, at random, anew each time."""
    held_out: int | None = None
    """Examples kept from training, to see whether the discriminator knows the others by heart.
    None: a tenth, at most 512."""
    budget_gib: float | None = None
    """Up to this, data live on the device, else they stream. None: ¼ of its memory, CPU: 2."""


@dataclass(frozen=True)
class Network:
    """One of the two networks."""

    kind: str = "dcgan"
    """dcgan for pictures, mlp for points."""
    width: int = 64
    """Channels at half the resolution, doubling towards 4×4 (dcgan); of each layer (mlp)."""
    depth: int = 3
    """Hidden layers of an mlp."""
    norm: str = "none"
    """batch, spectral or none (dcgan)."""
    dtype: str = "float32"
    """What it computes in: float32 or bfloat16. Parameters are always float32."""


@dataclass(frozen=True)
class Objective:
    """What the two networks minimise."""

    loss: str = "non_saturating"
    """minimax, non_saturating, wasserstein, hinge, least_squares,
    relativistic_pairing or relativistic_average."""
    latent_dim: int = 64
    """Size of the noise vector the generator starts from."""
    conditional: bool = False
    """Give both networks the class of each example."""
    label_smoothing: float | None = None
    """How far the discriminator's target for real examples lies below 1."""
    r1: float = 0.0
    """γ of the R1 penalty (real examples). 0: none; so for all penalties."""
    r2: float = 0.0
    """γ of the R2 penalty (generated examples)."""
    wgan_gp: float = 0.0
    """λ of the Wasserstein GAN's gradient penalty."""
    dragan: float = 0.0
    """λ of the DRAGAN penalty."""


@dataclass(frozen=True)
class Optimizer:
    """How one network is optimised."""

    name: str = "adam"
    """Any optimiser of optax that takes a learning rate: adam, rmsprop, sgd, lion, …"""
    learning_rate: float = 2e-4
    options: Numbers = field(default_factory=lambda: {"b1": 0.5, "b2": 0.999})
    """Further arguments of that optimiser. Giving some replaces all."""
    schedule: str = "constant"
    """constant, linear or cosine."""
    final_learning_rate: float = 0.0
    """Where a linear or cosine schedule ends."""
    decay_updates: int | None = None
    """After how many updates of this network it ends."""
    clip_weights: float | None = None
    """Keep every parameter within ± this (the original Wasserstein GAN)."""


@dataclass(frozen=True)
class Average:
    """The generator's moving average, which samples come from."""

    half_life: float = 10_000
    """In images."""
    ramp_up: float | None = 0.05
    """The half-life is at most this times the images seen so far."""


@dataclass(frozen=True)
class Evaluation:
    """How samples are scored while the run goes on."""

    every: int = 1000
    """Iterations between evaluations. 0: none."""
    metrics: tuple[str, ...] = ()
    """Which (`gan-jax evaluate --help` names them). None given: fid and precision_recall for
    pictures, swd for points, and modes too for ring and grid."""
    extractor: str = "pixels"
    """What compares pictures: pixels, classifier (needs labels) or inception."""
    samples: int = 2000
    """Generated examples that are scored."""
    best: str | None = None
    """Keep the best checkpoint by this score. None: by the first."""


@dataclass(frozen=True)
class Config:
    """Everything that determines a run."""

    name: str = "run"
    """Names the run's directory unless --out does."""
    seed: int = 0
    """All that is random follows from it."""
    iterations: int = 1000
    """How many times both players take their turns (see alternation)."""
    batch_size: int = 64
    """Examples in a batch, over all devices."""
    data: Data = Data()
    objective: Objective = Objective()
    alternation: Alternation = Alternation()
    generator: Network = Network(norm="batch")
    discriminator: Network = Network()
    g_optimizer: Optimizer = field(default_factory=Optimizer)
    d_optimizer: Optimizer = field(default_factory=Optimizer)
    average: Average = Average()
    evaluation: Evaluation = Evaluation()
    balance: bool = False
    """Keep the players at the same pace: let each update less often as it gets ahead."""
    check_every: int = 100
    """Iterations between checks of how the game goes."""
    on_failure: str = "warn"
    """When a check finds a failure: warn; stop; or rollback to the last healthy checkpoint and go
    on from there at half the learning rates."""
    log_every: int = 100
    """Iterations between log entries."""
    sample_every: int = 500
    """Iterations between pictures of samples."""
    checkpoint_every: int = 500
    """Iterations between checkpoints."""
    keep_last: int = 3
    """Checkpoints kept, the latest ones."""
    keep_every: int | None = None
    """Beside those, keep the checkpoints at multiples of this many iterations."""

    def validate(self) -> None:
        """Checks what can be checked without data or devices.

        Raises:
            InputError: naming the field and what it may be.
        """
        _known("objective.loss", self.objective.loss, LOSSES)
        _known("data.fit", self.data.fit, FITS)
        for name in ("generator", "discriminator"):
            network = getattr(self, name)
            _known(f"{name}.kind", network.kind, NETWORKS)
            _known(f"{name}.norm", network.norm, dcgan.NORMS)
            _known(f"{name}.dtype", network.dtype, DTYPES)
            _at_least(f"{name}.width", network.width, 1)
            _at_least(f"{name}.depth", network.depth, 0)
        if self.data.channels not in (None, 1, 3):
            raise InputError(f"data.channels is 1 (grey) or 3 (RGB), not {self.data.channels}")
        for name in ("g_optimizer", "d_optimizer"):
            optimizer = getattr(self, name)
            _known(f"{name}.schedule", optimizer.schedule, SCHEDULES)
            if optimizer.schedule != "constant" and optimizer.decay_updates is None:
                raise InputError(f"a {optimizer.schedule} schedule needs {name}.decay_updates")
            if optimizer.decay_updates is not None:
                _at_least(f"{name}.decay_updates", optimizer.decay_updates, 1)
            if optimizer.schedule == "cosine" and optimizer.learning_rate <= 0:
                raise InputError(f"a cosine schedule needs {name}.learning_rate above 0")
            _at_least(f"{name}.learning_rate", optimizer.learning_rate, 0)
            if optimizer.clip_weights is not None and optimizer.clip_weights <= 0:
                raise InputError(f"{name}.clip_weights is above 0, not {optimizer.clip_weights}")
        _known("on_failure", self.on_failure, ON_FAILURE)
        _known("evaluation.extractor", self.evaluation.extractor, EXTRACTORS)
        for metric in self.evaluation.metrics:
            _known("evaluation.metrics", metric, METRICS)
        _at_least("evaluation.every", self.evaluation.every, 0)
        _at_least("evaluation.samples", self.evaluation.samples, 2)
        if self.balance and self.alternation != Alternation():
            raise InputError("balance sets the ratio of updates itself: leave alternation as it is")
        for name in (
            "check_every",
            "batch_size",
            "log_every",
            "sample_every",
            "checkpoint_every",
            "keep_last",
        ):
            _at_least(name, getattr(self, name), 1)
        for name, value in (
            ("keep_every", self.keep_every),
            ("data.resolution", self.data.resolution),
        ):
            if value is not None:
                _at_least(name, value, 1)
        if self.average.half_life <= 0:
            raise InputError(f"average.half_life is above 0, not {self.average.half_life}")
        _at_least("iterations", self.iterations, 1)
        _at_least("seed", self.seed, 0)
        if self.seed >= 2**32:
            raise InputError(f"seed is below 2**32, not {self.seed}")
        _at_least("objective.latent_dim", self.objective.latent_dim, 1)
        penalties = [p for p in ("r1", "r2", "wgan_gp", "dragan") if getattr(self.objective, p)]
        for name in ("r1", "r2", "wgan_gp", "dragan"):
            _at_least(f"objective.{name}", getattr(self.objective, name), 0)
        if not 0 <= (self.objective.label_smoothing or 0) < 1:
            raise InputError(
                f"objective.label_smoothing is from 0 to 1, not {self.objective.label_smoothing}"
            )
        norm = self.discriminator.norm if self.discriminator.kind == "dcgan" else "none"
        if penalties and norm == "batch":
            raise InputError(
                f"the penalty objective.{penalties[0]} needs a discriminator without batch norm: "
                "set discriminator.norm to none or spectral"
            )


NOT_PART_OF_TRAINING = {
    "name",
    "iterations",
    "check_every",
    "on_failure",
    "evaluation.every",
    "evaluation.metrics",
    "evaluation.extractor",
    "evaluation.samples",
    "evaluation.best",
    "log_every",
    "sample_every",
    "checkpoint_every",
    "keep_last",
    "keep_every",
    "data.budget_gib",
}
"""Fields that may differ when a run is resumed: they do not change what is trained."""


def essence(config: Config) -> Config:
    """What programs are compiled for: the configuration without its seed, and without the fields
    that are no part of training."""
    plain = Config()
    names = {name.partition(".")[0] for name in NOT_PART_OF_TRAINING | {"seed"}}
    names -= {"data"}
    return dataclasses.replace(config, **{name: getattr(plain, name) for name in names})


def differences(old: Config, new: Config) -> list[str]:
    """Fields that change the training and differ, as `field: old → new`."""
    before, after = _flat(to_dict(old)), _flat(to_dict(new))
    free = NOT_PART_OF_TRAINING - ({"check_every"} if new.balance else set())
    return [
        f"{name}: {before.get(name)} → {after.get(name)}"
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name) and name not in free
    ]


def to_dict(config: Any) -> dict[str, Any]:
    """Plain data, ready for `json.dumps`."""
    return dataclasses.asdict(config)


def to_json(config: Any) -> str:
    return json.dumps(to_dict(config), indent=2, ensure_ascii=False) + "\n"


def from_dict(cls: type[T], values: dict[str, Any]) -> T:
    """The inverse of `to_dict`. Fields that are absent take their defaults.

    Raises:
        InputError: a field that `cls` does not have.
    """
    kinds = typing.get_type_hints(cls)
    unknown = values.keys() - kinds.keys()
    if unknown:
        raise InputError(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
    return cls(**{name: _parse(kinds[name], value) for name, value in values.items()})


def from_json(cls: type[T], text: str) -> T:
    return from_dict(cls, json.loads(text))


def _parse(kind: Any, value: Any) -> Any:
    if isinstance(kind, types.UnionType):
        kind = next((k for k in kind.__args__ if dataclasses.is_dataclass(k)), None)
    if isinstance(value, dict) and dataclasses.is_dataclass(kind):
        return from_dict(kind, value)
    return tuple(value) if isinstance(value, list) else value


def _flat(values: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat


def _known(name: str, value: str, choices) -> None:
    if value not in choices:
        raise InputError(f"unknown {name} {value!r}: one of {', '.join(choices)}")


def _at_least(name: str, value: float, least: float) -> None:
    if value < least:
        raise InputError(f"{name} is at least {least}, not {value}")
