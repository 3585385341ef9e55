"""From noise to data: new examples like those of a dataset, by class or without.

Source: Goodfellow et al., "Generative Adversarial Nets", 2014.
"""

import dataclasses
import functools
import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int, Key, UInt8
from typing_extensions import Doc

from gan_jax import config as base
from gan_jax import figures, losses, networks, sampling
from gan_jax.augment.sections import AugmentationSection, NoAugmentation
from gan_jax.config import Evaluation
from gan_jax.data import Data, Description, Source, Stream, gaussians, hold_out_each, load, prepare
from gan_jax.data.sources import read_some
from gan_jax.errors import InputError
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors.kinds import find, logits_of, make_extractor
from gan_jax.evaluation.metric import Setting, score_names
from gan_jax.evaluation.metric import check as check_metrics
from gan_jax.evaluation.subject import Subject, from_latents
from gan_jax.health import signals
from gan_jax.health.checks import Checks, LatentChecks
from gan_jax.networks.base import DiscriminatorSection, Form, GeneratorSection, NetworkSection
from gan_jax.objectives import (
    AdaptiveAugmentation,
    Adversarial,
    AuxiliaryClassifier,
    PathLength,
    PathLengthRegularization,
    Unrolled,
)
from gan_jax.objectives import Objective as AnyObjective
from gan_jax.regularizers import PENALTIES, Lazy
from gan_jax.sections import Numbers, Section, check_at_least, check_known, number
from gan_jax.state import TrainState, create_train_states
from gan_jax.tasks.base import CHECKS, PREVIEWS, Dataset, stream_key

PATH_LENGTH_EVERY = 4
"""Generator updates from one path length penalty to the next, as in StyleGAN2."""


@dataclasses.dataclass(frozen=True)
class Objective(Section):
    """What the two networks minimise."""

    loss: Annotated[str, Doc(f"One of {', '.join(losses.LOSSES)}.")] = "non_saturating"
    latent_dim: int = number(64, least=1)
    """Size of the noise vector the generator starts from."""
    conditional: bool = False
    """Give both networks the class of each example."""
    label_smoothing: float | None = number(None, least=0, below=1)
    """How far the discriminator's target for real examples lies below 1."""
    penalties: Annotated[
        Mapping[str, float],
        Doc(
            "Penalties on the discriminator and their weights, as r1=0.1 r2=0.1: "
            + "; ".join(f"{name}, {penalty.help}" for name, penalty in PENALTIES.items())
        ),
    ] = Numbers()
    lazy: int = number(1, least=1)
    """Apply gradient penalties only in every Nth update, N times as strong, and correct Adam for
    it."""
    auxiliary: float = number(0.0, least=0)
    """Weight of an auxiliary classifier (AC-GAN) in a conditional resnet or biggan, in place of the
    discriminator's projection. 0: none."""
    path_length: float = number(0.0, least=0)
    """Weight of the path length penalty on a stylegan2 generator, in every fourth update."""
    packing: int = number(1, least=1)
    """Examples that the discriminator judges at once (PacGAN), for unconditional models."""
    unroll: int = number(0, least=0)
    """Discriminator updates that the generator looks ahead (unrolled GANs)."""

    def __post_init__(self):
        object.__setattr__(self, "penalties", Numbers(self.penalties))

    def validate(self, where: str) -> None:
        super().validate(where)
        check_known(f"{where}.loss", self.loss, losses.LOSSES)
        loss = losses.LOSSES[self.loss].discriminator
        smooths = "label_smoothing" in inspect.signature(loss).parameters
        if self.label_smoothing is not None and not smooths:
            raise InputError(
                f"the loss {self.loss} has no targets that label smoothing could smooth"
            )
        for name, weight in self.penalties.items():
            check_known(f"{where}.penalties", name, PENALTIES)
            check_at_least(f"{where}.penalties.{name}", weight, 0)
        if self.packing > 1 and self.conditional:
            raise InputError(f"packs mix classes: set {where}.packing to 1, or conditional to no")
        if self.auxiliary and not self.conditional:
            raise InputError(f"an auxiliary classifier needs {where}.conditional")

    @property
    def every(self) -> tuple[int, int]:
        """Of how many updates of each network, discriminator and generator, one has a penalty."""
        lazy = any(PENALTIES[name].lazy for name, weight in self.penalties.items() if weight)
        return self.lazy if lazy else 1, PATH_LENGTH_EVERY if self.path_length else 1


@dataclasses.dataclass(frozen=True)
class Config(base.Config, kind="generation"):
    """Everything that determines a run that learns to generate."""

    description_type: ClassVar[type[Any]] = Description

    data: Data = Data()
    objective: Objective = Objective()
    generator: GeneratorSection = networks.dcgan.GeneratorSection()
    discriminator: DiscriminatorSection = networks.dcgan.DiscriminatorSection()
    augmentation: AugmentationSection = NoAugmentation()

    def validate(self, where: str = "") -> None:
        super().validate(where)
        objective, augmentation = self.objective, self.augmentation
        apart = [n for n, w in objective.penalties.items() if w and PENALTIES[n].examples_apart]
        if apart and self.discriminator.batch_norm:
            raise InputError(
                f"the penalty objective.penalties.{apart[0]} needs a discriminator without batch "
                "norm: set discriminator.norm to none or spectral"
            )
        if self.batch_size % objective.packing:
            raise InputError(
                f"a batch of {self.batch_size} is not packs of {objective.packing}: set batch_size "
                "to a multiple of objective.packing"
            )
        if objective.auxiliary and not self.discriminator.classifies:
            able = [k for k, d in DiscriminatorSection.kinds().items() if d.classifies]
            raise InputError(
                f"objective.auxiliary is for the discriminators {' and '.join(able)}, not "
                f"{self.discriminator.kind}"
            )
        if objective.path_length and not self.generator.truncates:
            raise InputError(
                f"objective.path_length is for the generator stylegan2, not {self.generator.kind}"
            )
        if objective.unroll and not self.d_optimizer.differentiable:
            raise InputError(
                "objective.unroll differentiates the discriminator's optimiser, and "
                f"{self.d_optimizer.name} has no derivative where a gradient is 0: give it "
                "eps_root, as in --d-optimizer.options b1=0.5 b2=0.999 eps_root=1e-8"
            )
        self._validate_augmentation()
        if augmentation.transforms and self.discriminator.points:
            raise InputError(f"augmentation.kind {augmentation.kind} is for images, not for points")

    def _validate_augmentation(self) -> None:
        objective, augmentation = self.objective, self.augmentation
        adaptive = augmentation.controller() is not None
        for name, weight in objective.penalties.items():
            if weight and PENALTIES[name].needs_augmentation:
                if not augmentation.transforms:
                    raise InputError(
                        f"the penalty objective.penalties.{name} needs an augmentation.kind to be "
                        "consistent under"
                    )
                if adaptive:
                    raise InputError(
                        f"with objective.penalties.{name}, it alone sees augmented images: set "
                        "augmentation.probability instead of augmentation.target"
                    )
        rises = self.annealing.augmentation != 1
        augmentation.check_leak(rises=rises)
        if adaptive and rises:
            raise InputError(
                "augmentation.target sets the probability itself: leave annealing.augmentation"
            )
        if adaptive and losses.LOSSES[objective.loss].threshold is None:
            raise InputError(
                f"augmentation.target goes by the sign of a logit, which means nothing for the "
                f"loss {objective.loss}: set augmentation.probability (and let it grow by "
                "annealing.augmentation)"
            )

    def check_devices(self, devices: int) -> None:
        """
        Raises:
            InputError: so many devices do not divide the batch.
        """
        super().check_devices(devices)
        packing = self.objective.packing
        if self.batch_size // devices % packing:
            raise InputError(
                f"a device's {self.batch_size // devices} of {self.batch_size} examples are not "
                f"packs of {packing}: set batch_size to a multiple of {devices * packing}"
            )

    def load(
        self,
        *,
        data_dir: str | None = None,
        skip_bad_images: bool = False,
        budget_bytes: float = 0,
    ) -> Dataset:
        """The examples to train on, and those held out."""
        if self.data.budget_gib is not None and budget_bytes:
            budget_bytes = self.data.budget_gib * 2**30
        source = load(
            self.data,
            seed=self.seed,
            conditional=self.objective.conditional,
            data_dir=data_dir,
            skip_bad_images=skip_bad_images,
            budget_bytes=budget_bytes,
        )
        stream = Stream(source, "real", "label" if self.objective.conditional else None)
        (training,), held_out = hold_out_each((stream,), self.data.held_out)
        return Dataset((training,), held_out, training.source.description)

    def build(self, data: Description) -> "Generation":
        """The task for these data."""
        return Generation(self, data)

    @property
    def penalties_every(self) -> tuple[int, int]:
        """Of how many updates of each network, discriminator and generator, one has a penalty."""
        return self.objective.every


@dataclasses.dataclass(frozen=True)
class Generation:
    """Learning to generate: `real` examples and, if conditional, each one's `label`."""

    config: Config
    data: Description

    commands: ClassVar[frozenset[str]] = frozenset({"sample", "interpolate", "evaluate", "report"})

    @property
    def data_name(self) -> str:
        """The source of the data."""
        return self.config.data.source

    @property
    def form(self) -> Form:
        """What the networks have to fit."""
        objective = self.config.objective
        return Form(
            self.data.shape,
            self.data.num_classes if objective.conditional else None,
            objective.latent_dim,
            bool(objective.auxiliary),
        )

    @property
    def classes(self) -> tuple[int, ...] | None:
        """The classes that it is trained on; None if it is unconditional."""
        if not self.config.objective.conditional:
            return None
        some = tuple(sorted(set(self.config.data.classes)))
        return some or tuple(range(self.data.num_classes or 0))

    @property
    def is_images(self) -> bool:
        """Whether examples are images, and not points."""
        return len(self.data.shape) == 3

    # What is trained.

    def check(self) -> None:
        """
        Raises:
            InputError: these data cannot be trained on, or not be scored, as configured.
        """
        config, data = self.config, self.data
        config.generator.check(self.form, "generator")
        config.discriminator.check(self.form, "discriminator")
        if config.batch_size > data.examples:
            raise InputError(
                f"a batch of {config.batch_size} is larger than the data: {data.examples} examples "
                f"to train on in {config.data.source}"
            )
        settings = config.evaluation
        if needs := find(settings.extractor).needs(data):
            raise InputError(
                f"the extractor {settings.extractor} needs {needs}: set --evaluation.extractor "
                "pixels"
            )
        metrics = check_metrics(settings.metrics, self.setting)
        names = score_names(metrics)
        if settings.best is not None and settings.best.lower() not in map(str.lower, names):
            raise InputError(
                f"evaluation.best {settings.best!r} is none of the scores: {', '.join(names)}"
            )

    def essence(self) -> "Generation":
        """The same for any data of this form, without what is no part of training."""
        data = dataclasses.replace(self.data, examples=0, fingerprint="")
        return Generation(self.config.essence(), data)

    @property
    def objective(self) -> AnyObjective:
        """The losses and penalties."""
        return make_objective(self.config, self.form)

    @property
    def generator(self) -> nn.Module:
        """The Linen module."""
        return build_network(self.config.generator, self.form)

    @property
    def discriminator(self) -> nn.Module:
        """The Linen module, which may judge several examples at once."""
        module, packing = (
            build_network(self.config.discriminator, self.form),
            self.config.objective.packing,
        )
        return module if packing == 1 else packed(module, packing)

    def create(self, key: Key[Array, ""], *, traced: bool = False) -> tuple[TrainState, TrainState]:
        """Both train states at the start."""
        config = self.config
        batch = {"real": jnp.zeros((1, *self.data.shape), jnp.float32)}
        if config.objective.conditional:
            batch["label"] = jnp.zeros((1,), jnp.int32)
        d_images, g_images = config.images_per_update
        d_every, g_every = config.penalties_every
        return create_train_states(
            key,
            generator=self.generator,
            discriminator=self.discriminator,
            objective=self.objective,
            batch=batch,
            d_tx=config.d_optimizer.build(
                config.annealing, images=d_images, every=d_every, traced=traced
            ),
            g_tx=config.g_optimizer.build(
                config.annealing, images=g_images, every=g_every, traced=traced
            ),
        )

    def prepare(
        self, examples: dict[str, Array], key: Key[Array, ""], axis_name: str | None
    ) -> dict[str, Array]:
        """Images from −1 to 1, mirrored if configured; points as they are."""
        flip = ("real",) if self.config.data.flip else ()
        return prepare(examples, key, flip=flip, axis_name=axis_name)

    # What it looks like.

    def labels(self, n: int, label: int | None = None) -> Int[Array, " n"] | None:
        """Classes for `n` samples: `label`, or all that it is trained on in turn; None if
        unconditional.

        Raises:
            InputError: a class that does not exist, or any class for an unconditional model.
        """
        if self.classes is None:
            if label is not None:
                raise InputError("this model is unconditional: it takes no label")
            return None
        if label is None:
            return jnp.resize(jnp.array(self.classes), (n,))
        if not 0 <= label < (self.data.num_classes or 0):
            raise InputError(
                f"label {label} is none of the classes 0 to {(self.data.num_classes or 0) - 1}"
            )
        return jnp.full(n, label)

    def check_truncation(self, truncation: float | None) -> None:
        """
        Raises:
            InputError: truncation below 0, or of a generator that knows none.
        """
        if truncation is not None and not self.config.generator.truncates:
            raise InputError(f"truncation is for stylegan2, not {self.config.generator.kind}")
        if truncation is not None and truncation < 0:
            raise InputError(f"truncation is at least 0, not {truncation}")

    def sample(
        self,
        g: TrainState,
        key: Key[Array, ""],
        n: int,
        labels: Int[Array, " n"] | None = None,
        truncation: float | None = None,
    ) -> Float[np.ndarray, "n ..."]:
        """`n` samples from the generator's moving average, on the host."""
        latent_dim = self.config.objective.latent_dim
        return np.asarray(
            sampling.sample(g, key, n, latent_dim=latent_dim, label=labels, truncation=truncation)
        )

    def interpolate(
        self,
        g: TrainState,
        key: Key[Array, ""],
        paths: int,
        steps: int,
        labels: Int[Array, " paths"] | None = None,
    ) -> Float[np.ndarray, "paths steps ..."]:
        """Walks between random latents: `paths` of `steps` samples each."""
        latent_dim = self.config.objective.latent_dim
        return np.asarray(
            sampling.interpolate(
                g, key, paths=paths, steps=steps, latent_dim=latent_dim, label=labels
            )
        )

    @property
    def sheet(self) -> tuple[int, int]:
        """How many samples a preview shows, and in how many columns: one class a row if there are
        classes."""
        if not self.is_images:
            return 2500, 1
        if self.classes is not None and len(self.classes) <= 16:
            return 10 * len(self.classes), 10
        return 64, 8

    def preview(self, g: TrainState) -> Float[Array, "n ..."]:
        """Samples of the same latents every time, by class."""
        n, _ = self.sheet
        label = self.labels(n)
        return sampling.sample(
            g,
            stream_key(self.config.seed, PREVIEWS),
            n,
            latent_dim=self.config.objective.latent_dim,
            label=None if label is None else jnp.sort(label),
            batch_size=n,
        )

    def draw(self, preview: Any, dataset: Dataset) -> UInt8[np.ndarray, "height width c"]:
        """A sheet of images, or points over real ones."""
        if self.is_images:
            return figures.sheet(preview, self.sheet[1])
        source = dataset.streams[0].source
        real = np.stack([source.read(i)[0] for i in range(min(2500, self.data.examples))])
        return figures.scatter(preview, real)

    # How good it is.

    def checks(self, dataset: Dataset) -> Checks:
        """Of samples of fresh noise, at every check."""
        objective = self.config.objective
        return LatentChecks(
            functools.partial(make_reference, dataset, objective.conditional),
            stream_key(self.config.seed, CHECKS),
            loss=losses.LOSSES[objective.loss],
            latent_dim=objective.latent_dim,
        )

    @property
    def subject(self) -> Subject:
        """What is scored: samples."""
        return from_latents(
            self.config.objective.latent_dim,
            conditional=self.config.objective.conditional,
            mixture=gaussians.MIXTURES.get(self.config.data.source),
        )

    @property
    def setting(self) -> Setting:
        """What there is to score while it trains."""
        extractor = self.config.evaluation.extractor
        return Setting(self.subject, images=self.is_images, logits=logits_of(extractor, self.data))

    def evaluator(
        self,
        dataset: Dataset,
        settings: Evaluation | None = None,
        *,
        against: Dataset | None = None,
        split: str | None = None,
        weights: Path | None = None,
    ) -> Evaluator:
        """What scores samples.

        Args:
            dataset: What it trains on.
            settings: How, by default as the configuration's section `evaluation` says.
            against: The examples to compare with, if others, and
            split: what to call them.
            weights: Of the extractor, instead of those published.
        """
        settings, name = settings or self.config.evaluation, self.config.data.source
        source = dataset.streams[0].source
        extractor = make_extractor(settings.extractor, source, dataset=name, weights=weights)
        return Evaluator(
            self.subject,
            source if against is None else against.streams[0].source,
            settings.metrics,
            extractor=extractor,
            split=split or self.config.data.split,
            samples=settings.samples,
        )


@functools.cache
def packed(module: nn.Module, examples: int) -> nn.Module:
    """`module` on packs of examples."""
    return networks.packing.Packed(module, examples)


def make_reference(dataset: Dataset, labels: bool) -> tuple[signals.Reference, signals.Target]:
    """What checks compare with: real examples that are trained on, and some that are not."""
    seen, seen_label = _read(dataset.streams[0].source, labels)
    if not dataset.held_out:
        return signals.make_reference(
            _as_networks_see(seen), seen_label, None, None, signals.features_of(seen)
        )
    other, other_label = _read(dataset.held_out[0].source, labels)
    return signals.make_reference(
        _as_networks_see(seen),
        seen_label,
        _as_networks_see(other),
        other_label,
        signals.features_of(np.concatenate([seen, other])),
    )


def _read(source: Source, labels: bool) -> tuple[np.ndarray, np.ndarray | None]:
    real, label = read_some(source, signals.SAMPLE)
    return real, label if labels else None


def _as_networks_see(real: np.ndarray) -> np.ndarray:
    return np.asarray(prepare({"real": jnp.asarray(real)}, None)["real"])


def make_objective(config: Config, form: Form) -> AnyObjective:
    """The objective of a configuration, for networks of this form."""
    settings, annealing = config.objective, config.annealing
    augmentation = config.augmentation.build(
        probability=lambda value: annealing.rising(value, annealing.augmentation),
        noise=lambda value: annealing.falling(value, annealing.noise),
    )
    penalties = []
    for name, penalty in PENALTIES.items():
        weight = settings.penalties.get(name, 0)
        if weight and penalty.lazy:
            made = penalty.configured(annealing.falling(weight, annealing.penalties))
            penalties.append(made if settings.lazy == 1 else Lazy(made, settings.lazy))
        elif weight:
            penalties.append(penalty.configured(weight, augmentation))
            if penalty.needs_augmentation:
                augmentation = None  # it alone sees augmented images
    objective: Any = Adversarial(
        loss=losses.LOSSES[settings.loss],
        regularizers=tuple(penalties),
        latent_dim=settings.latent_dim,
        label_smoothing=settings.label_smoothing,
        ema=config.average.build(annealing),
        augmentation=augmentation,
        together=not config.discriminator.compares,
    )
    controller = config.augmentation.controller()
    if controller is not None:
        objective = AdaptiveAugmentation(objective, controller)
    if settings.auxiliary:
        objective = AuxiliaryClassifier(objective, settings.auxiliary)
    if settings.path_length:
        objective = PathLengthRegularization(
            objective,
            penalty=PathLength(settings.path_length),
            style_shape=config.generator.style_shape(form) or (),
            every=PATH_LENGTH_EVERY,
        )
    if settings.unroll:
        objective = Unrolled(objective, settings.unroll)
    return objective


@functools.cache
def build_network(section: NetworkSection, form: Form) -> nn.Module:
    """The network of a section: the same module for equal sections, so that what was compiled for
    one serves all."""
    return section.build(form)
