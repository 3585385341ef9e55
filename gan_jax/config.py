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

from gan_jax.augment import ADA, CATEGORIES, POLICIES
from gan_jax.errors import InputError
from gan_jax.losses import LOSSES
from gan_jax.networks import dcgan
from gan_jax.schedules import SHAPES
from gan_jax.steps import Alternation

T = TypeVar("T")

NETWORKS = ("dcgan", "resnet", "biggan", "stylegan2", "r3gan", "mlp")
AUGMENTATIONS = ("none", "diffaugment", "ada")
PENALTIES = ("r1", "r2", "wgan_gp", "dragan", "lecam", "bcr")
DTYPES = ("float32", "bfloat16")
_ROOTS = ("adam", "adamw", "nadam", "nadamw", "amsgrad", "radam", "lamb")
"""Optimisers that divide by the root of a mean square, and add to it what keeps the root's
derivative finite: `eps_root`."""
FITS = ("crop", "pad")
ON_FAILURE = ("warn", "stop", "rollback")


def _numbers(pairs: list[str]) -> dict[str, float]:
    numbers = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError as error:
            raise ValueError(f"{pair} is not NAME=NUMBER") from error
    return numbers


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
    """digits, ring, grid, stacked_mnist, tfds:NAME, folder:PATH or npz:PATH."""
    split: str = "train"
    """Which split of a TFDS dataset."""
    resolution: int | None = None
    """Side of the square pictures in pixels. None: as they are, if square and all equal."""
    fit: str = "crop"
    """How pictures get there. crop: scale the shorter side, cut the centre. pad: black around."""
    channels: int | None = None
    """1 to make every picture grey, 3 to make it RGB. None: as they are, if they agree."""
    flip: bool = False
    """Mirror half of the pictures left to right, at random, anew each time."""
    held_out: int | None = None
    """Examples kept from training, to see whether the discriminator knows the others by heart.
    None: a tenth, at most 512."""
    classes: tuple[int, ...] = ()
    """Only examples of these classes. None given: all."""
    limit: int | None = None
    """Only so many of the examples, chosen at random (the same ones for every seed)."""
    budget_gib: float | None = None
    """Up to this, data live on the device, else they stream. None: ¼ of its memory, CPU: 2."""


@dataclass(frozen=True)
class Network:
    """One of the two networks."""

    kind: str = "dcgan"
    """dcgan, resnet, biggan, stylegan2 or r3gan for pictures, mlp for points."""
    width: int = 64
    """Channels: at half the resolution, doubling towards 4×4 (dcgan); at the full resolution
    (stylegan2); as the paper's base width (resnet, biggan); of each layer (mlp)."""
    max_width: int = 512
    """Channels at most (stylegan2)."""
    widths: tuple[int, ...] = ()
    """Channels from 4×4 up to the full resolution (r3gan)."""
    groups: tuple[int, ...] = ()
    """Groups of the 3×3 convolutions, from 4×4 up (r3gan). None given: of 16 channels each."""
    depth: int = 3
    """Hidden layers (mlp); layers of the mapping network (stylegan2)."""
    norm: str = "none"
    """batch, spectral or none (dcgan, resnet)."""
    residual: bool = True
    """Residual blocks (stylegan2's discriminator)."""
    minibatch_std: int = 4
    """Examples that are compared with each other (stylegan2's discriminator)."""
    style_mixing: float = 0.0
    """Probability that a picture takes its finer styles from a second latent (stylegan2's
    generator)."""
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
    lazy: int = 1
    """Apply r1, r2, wgan_gp and dragan only in every Nth update, N times as strong, and correct
    Adam for it."""
    lecam: float = 0.0
    """λ of the LeCam regulariser: keeps logits near the other kind's moving average."""
    bcr: float = 0.0
    """λ of balanced consistency: logits should not change under the augmentation, which then is for
    nothing else."""
    auxiliary: float = 0.0
    """Weight of an auxiliary classifier (AC-GAN) in a conditional resnet or biggan, in place of the
    discriminator's projection. 0: none."""
    path_length: float = 0.0
    """Weight of the path length penalty on a stylegan2 generator, in every fourth update."""
    packing: int = 1
    """Examples that the discriminator judges at once (PacGAN), for unconditional models."""
    unroll: int = 0
    """Discriminator updates that the generator looks ahead (unrolled GANs)."""


@dataclass(frozen=True)
class Optimizer:
    """How one network is optimised."""

    name: str = "adam"
    """Any optimiser of optax that takes a learning rate: adam, rmsprop, sgd, lion, …"""
    learning_rate: float = 2e-4
    """At the start (see annealing)."""
    options: Numbers = field(default_factory=lambda: {"b1": 0.5, "b2": 0.999})
    """Further arguments of that optimiser. Giving some replaces all."""
    clip_gradients: float | None = None
    """Scale gradients down to this global norm where theirs is larger."""
    clip_weights: float | None = None
    """Keep every parameter within ± this (the original Wasserstein GAN)."""
    orthogonal: float = 0.0
    """β of BigGAN's orthogonal regularisation."""
    freeze: tuple[str, ...] = ()
    """Layers that stay as they are, by name (`--dry-run` lists them)."""


@dataclass(frozen=True)
class Augmentation:
    """What happens to all pictures before the discriminator judges them."""

    kind: str = "none"
    """none, diffaugment or ada."""
    categories: tuple[str, ...] = ()
    """Which transformations. diffaugment: color, translation, cutout (the default). ada: blit,
    geometric, color (the default), filter, noise, cutout."""
    probability: float = 1.0
    """Of each transformation."""
    weights: Numbers = field(default_factory=dict)
    """The probability is multiplied by these, by category (ada): color=0.5."""
    target: float | None = None
    """Let the probability follow the discriminator instead (ADA): up while the mean sign of its
    logits for real examples is above this, 0.6 in the paper, else down."""
    images: float = 500_000
    """With a target: in how many images the probability can rise from 0 to 1."""
    noise: float = 0.0
    """Standard deviation of instance noise, added after that."""


@dataclass(frozen=True)
class Annealing:
    """What changes with the images seen, and then stays. Learning rates and b2 go by those that the
    run has seen, all else by those that the network under training has."""

    images: float = 0
    """Over how many images. 0: nothing changes."""
    shape: str = "cosine"
    """cosine or linear."""
    learning_rate: float = 1.0
    """Learning rates end at this times their setting."""
    penalties: float = 1.0
    """The weights of r1, r2, wgan_gp and dragan end at this times their setting."""
    noise: float = 1.0
    """Instance noise ends at this times its setting."""
    b2: float | None = None
    """Adam's b2 ends here."""
    half_life: float = 1.0
    """The average's half-life begins at this times its setting."""
    augmentation: float = 1.0
    """The augmentation's probability begins at this times its setting."""


@dataclass(frozen=True)
class Average:
    """The generator's moving average, which samples come from."""

    half_life: float = 10_000
    """In images. 0: no average, samples come from the last weights."""
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
    """Keep the best checkpoint by this score, named as it is printed: FID, recall, high quality, …
    None: by the first."""


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
    augmentation: Augmentation = Augmentation()
    annealing: Annealing = Annealing()
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
            _at_least(f"{name}.learning_rate", optimizer.learning_rate, 0)
            _at_least(f"{name}.orthogonal", optimizer.orthogonal, 0)
            for limit in ("clip_gradients", "clip_weights"):
                value = getattr(optimizer, limit)
                if value is not None and value <= 0:
                    raise InputError(f"{name}.{limit} is above 0, not {value}")
            if self.annealing.b2 is not None and "b2" not in optimizer.options:
                raise InputError(f"annealing.b2 needs a b2 to start from in {name}.options")
        self._validate_annealing()
        self._validate_augmentation()
        _known("on_failure", self.on_failure, ON_FAILURE)
        from gan_jax.evaluation.extractors.kinds import kinds
        from gan_jax.evaluation.metric import metrics

        _known("evaluation.extractor", self.evaluation.extractor, tuple(kinds()))
        for metric in self.evaluation.metrics:
            _known("evaluation.metrics", metric, tuple(metrics()))
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
            ("data.limit", self.data.limit),
        ):
            if value is not None:
                _at_least(name, value, 1)
        _at_least("average.half_life", self.average.half_life, 0)
        if self.average.ramp_up is not None and self.average.ramp_up <= 0:
            raise InputError(f"average.ramp_up is above 0 or None, not {self.average.ramp_up}")
        _at_least("iterations", self.iterations, 1)
        _at_least("seed", self.seed, 0)
        if self.seed >= 2**32:
            raise InputError(f"seed is below 2**32, not {self.seed}")
        _at_least("objective.latent_dim", self.objective.latent_dim, 1)
        for name in (*PENALTIES, "auxiliary", "path_length", "unroll"):
            _at_least(f"objective.{name}", getattr(self.objective, name), 0)
        self._validate_objective()
        if not 0 <= (self.objective.label_smoothing or 0) < 1:
            raise InputError(
                f"objective.label_smoothing is from 0 to 1, not {self.objective.label_smoothing}"
            )
        # LeCam's asks for nothing but the logits at hand.
        penalties = [p for p in PENALTIES if p != "lecam" and getattr(self.objective, p)]
        normed = self.discriminator.kind in ("dcgan", "resnet")
        if penalties and normed and self.discriminator.norm == "batch":
            raise InputError(
                f"the penalty objective.{penalties[0]} needs a discriminator without batch norm: "
                "set discriminator.norm to none or spectral"
            )

    def _validate_objective(self) -> None:
        objective, kinds = self.objective, (self.generator.kind, self.discriminator.kind)
        for name in ("lazy", "packing"):
            _at_least(f"objective.{name}", getattr(objective, name), 1)
        if self.batch_size % objective.packing:
            raise InputError(
                f"a batch of {self.batch_size} is not packs of {objective.packing}: set batch_size "
                "to a multiple of objective.packing"
            )
        if objective.packing > 1 and objective.conditional:
            raise InputError("packs mix classes: set objective.packing to 1, or conditional to no")
        if objective.auxiliary and not objective.conditional:
            raise InputError("an auxiliary classifier needs objective.conditional")
        if objective.auxiliary and self.discriminator.kind not in ("resnet", "biggan"):
            raise InputError(
                "objective.auxiliary is for the discriminators resnet and biggan, not "
                f"{self.discriminator.kind}"
            )
        if objective.path_length and kinds[0] != "stylegan2":
            raise InputError(
                f"objective.path_length is for the generator stylegan2, not {kinds[0]}"
            )
        if objective.bcr and self.augmentation.kind == "none":
            raise InputError("objective.bcr needs an augmentation.kind to be consistent under")
        if objective.bcr and self.augmentation.target is not None:
            raise InputError(
                "with objective.bcr only the penalty sees augmented pictures: set "
                "augmentation.probability instead of augmentation.target"
            )
        eps_root = self.d_optimizer.options.get("eps_root", 0)
        if objective.unroll and self.d_optimizer.name in _ROOTS and not eps_root:
            raise InputError(
                "objective.unroll differentiates the discriminator's optimiser, and "
                f"{self.d_optimizer.name} has no derivative where a gradient is 0: give it "
                "eps_root, as in --d-optimizer.options b1=0.5 b2=0.999 eps_root=1e-8"
            )

    def _validate_annealing(self) -> None:
        annealing = self.annealing
        _known("annealing.shape", annealing.shape, SHAPES)
        _at_least("annealing.images", annealing.images, 0)
        factors = ("learning_rate", "penalties", "noise", "half_life", "augmentation")
        for name in factors:
            _at_least(f"annealing.{name}", getattr(annealing, name), 0)
        changes = [name for name in factors if getattr(annealing, name) != 1]
        changes += ["b2"] if annealing.b2 is not None else []
        if changes and not annealing.images:
            raise InputError(f"annealing.{changes[0]} needs annealing.images: over how many")

    def _validate_augmentation(self) -> None:
        augmentation = self.augmentation
        _known("augmentation.kind", augmentation.kind, AUGMENTATIONS)
        if augmentation.kind != "none" and self.discriminator.kind == "mlp":
            raise InputError(
                f"augmentation.kind {augmentation.kind} is for pictures, not for points"
            )
        if augmentation.kind == "none" and augmentation.categories:
            raise InputError("augmentation.categories needs an augmentation.kind")
        if augmentation.kind != "ada" and augmentation.weights:
            raise InputError("augmentation.weights is for augmentation.kind ada")
        known = POLICIES if augmentation.kind == "diffaugment" else CATEGORIES
        for category in augmentation.categories:
            _known("augmentation.categories", category, known)
        for category, weight in augmentation.weights.items():
            _known("augmentation.weights", category, augmentation.categories or ADA().categories)
            _at_least(f"augmentation.weights.{category}", weight, 0)
        _at_least("augmentation.noise", augmentation.noise, 0)
        if augmentation.images <= 0:
            raise InputError(f"augmentation.images is above 0, not {augmentation.images}")
        if not 0 <= augmentation.probability <= 1:
            raise InputError(
                f"augmentation.probability is from 0 to 1, not {augmentation.probability}"
            )
        always = augmentation.probability == 1 and self.annealing.augmentation == 1
        if augmentation.kind == "ada" and augmentation.target is None and always:
            raise InputError(
                "pictures that are always augmented so much are what the generator would learn to "
                "make: set augmentation.target 0.6, or an augmentation.probability below 1"
            )
        if augmentation.target is not None:
            if augmentation.kind == "none":
                raise InputError("augmentation.target needs an augmentation.kind")
            if not 0 <= augmentation.target < 1:
                raise InputError(f"augmentation.target is from 0, below 1: {augmentation.target}")
            if self.annealing.augmentation != 1:
                raise InputError(
                    "augmentation.target sets the probability itself: leave annealing.augmentation"
                )
            if LOSSES[self.objective.loss].threshold is None:
                raise InputError(
                    f"augmentation.target goes by the sign of a logit, which means nothing for the "
                    f"loss {self.objective.loss}: set augmentation.probability (and let it grow by "
                    "annealing.augmentation)"
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
