"""What the rest of the program sees of learning to generate."""

import dataclasses
import functools
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar

import flax.linen as nn
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gan_jax import figures, losses, networks, sampling
from gan_jax.config import Evaluation
from gan_jax.data import Description, gaussians, prepare
from gan_jax.data.conditions import Conditions
from gan_jax.data.sources import gather
from gan_jax.data.sources.base import Labels
from gan_jax.errors import InputError, all_at_once
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors.kinds import check as check_extractor
from gan_jax.evaluation.extractors.kinds import logits_of, make_extractor
from gan_jax.evaluation.metric import Setting, check_evaluation
from gan_jax.evaluation.subject import Subject, from_latents
from gan_jax.health.checks import Checks, LatentChecks
from gan_jax.networks.base import Form, built
from gan_jax.objectives import Objective as AnyObjective
from gan_jax.state import TrainState, create_train_states
from gan_jax.tasks.base import (
    CHECKS,
    PREVIEWS,
    Dataset,
    check_batch,
    refuse_pairs,
    source_of,
    stream_key,
)
from gan_jax.tasks.generation.checks import make_reference
from gan_jax.tasks.generation.config import Config
from gan_jax.tasks.generation.objective import make_objective

_FEW = 16
"""Classes that have rows of their own on a sheet."""


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
    def shown(self) -> str:
        """What previews show."""
        return "Always of the same latents, by the generator's moving average."

    @property
    def form(self) -> Form:
        """What the networks have to fit."""
        objective = self.config.objective
        numbers = None if self.conditions is None else len(self.conditions.names)
        return Form(
            self.data.shape,
            (numbers or self.data.num_classes) if objective.conditional else None,
            objective.latent_dim,
            bool(objective.auxiliary),
        )

    @property
    def classes(self) -> tuple[int, ...] | None:
        """The classes that it is trained on; None if it is told none."""
        if not self.config.objective.conditional or self.conditions is not None:
            return None
        if self.data.class_names is None and self.config.data.classes:
            # A run of before classes were counted anew where only some are chosen.
            return tuple(sorted({int(c) for c in self.config.data.classes}))
        return tuple(range(self.data.num_classes or 0))

    @property
    def conditions(self) -> Conditions | None:
        """The numbers that it is told of each example in place of a class, if it is."""
        return self.data.conditions if self.config.objective.conditional else None

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
        refuse_pairs(data.shape, config.data.source)
        with all_at_once() as apart:
            with apart():
                config.generator.check(self.form, "generator")
            with apart():
                config.discriminator.check(self.form, "discriminator")
            with apart():
                n = data.examples
                of = f"the data: {n} examples to train on in {config.data.source}"
                check_batch(config.batch_size, n, of)
            with apart():
                if config.objective.auxiliary and self.conditions is not None:
                    raise InputError(
                        f"objective.auxiliary guesses classes, and {config.data.source} has none"
                    )
            with apart():
                check_extractor(config.evaluation.extractor, data)
            with apart():
                check_evaluation(config.evaluation, self.setting)

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
        return built(self.config.generator, self.form)

    @property
    def discriminator(self) -> nn.Module:
        """The Linen module, which may judge several examples at once."""
        module, packing = (
            built(self.config.discriminator, self.form),
            self.config.objective.packing,
        )
        return module if packing == 1 else packed(module, packing)

    def create(self, key: Key[Array, ""], *, traced: bool = False) -> tuple[TrainState, TrainState]:
        """Both train states at the start."""
        config = self.config
        batch = {"real": jnp.zeros((1, *self.data.shape), jnp.float32)}
        if config.objective.conditional:
            batch[self.data.label] = jnp.asarray(self.data.labels(1))
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
        """Images from −1 to 1, mirrored if configured; points as they are, or standardized, as
        conditions are."""
        flip = ("real",) if self.config.data.flip else ()
        prepared = prepare(examples, key, flip=flip, axis_name=axis_name)
        if self.data.scaling is not None:
            prepared["real"] = self.data.scaling.standardized(prepared["real"])
        if self.conditions is not None:
            prepared["condition"] = self.told(prepared["condition"])
        return prepared

    def _told(self, labels: Labels | None) -> Array | None:
        return None if labels is None else jnp.asarray(self.told(labels))

    def told(self, labels: Any) -> Any:
        """Labels as the networks are told them: classes as they are, the numbers of conditions
        standardized."""
        conditions = self.conditions
        return labels if conditions is None else conditions.scaling.standardized(labels)

    # What it looks like.

    def as_data(self, made: Any) -> Any:
        """Examples as the generator makes them, on the scale of the data."""
        scaling = self.data.scaling
        return made if scaling is None else scaling.restored(made)

    def labels(
        self,
        n: int,
        label: int | str | None = None,
        condition: Mapping[str, float] | None = None,
    ) -> Labels | None:
        """Labels for `n` samples, as the data have them; None if unconditional.

        Of a model that is told classes: `label`, a name or a number, or all that it is trained on
        in turn. Of one that is told numbers: those of real examples in turn, with the ones of
        `condition` in place of theirs.

        Raises:
            InputError: a class or a number that does not exist, or any for a model that is not told
                such.
        """
        if self.conditions is not None:
            if label is not None:
                names = " ".join(f"{name}=…" for name in self.conditions.names[:2])
                raise InputError(f"this model is told numbers, not a class: --condition {names}")
            return self.conditions.drawn(n, condition)
        if condition:
            raise InputError("this model is not told numbers: it takes no condition")
        if self.classes is None:
            if label is not None:
                raise InputError("this model is unconditional: it takes no label")
            return None
        if label is None:
            return np.resize(np.array(self.classes, np.int32), n)
        number = self.data.class_of(label)
        if number not in self.classes:
            raise InputError(f"label {label} is none of {self.data.classes_in_words}")
        return np.full(n, number, np.int32)

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
        labels: Labels | None = None,
        truncation: float | None = None,
    ) -> Float[np.ndarray, "n ..."]:
        """`n` samples from the generator's moving average, on the host."""
        latent_dim = self.config.objective.latent_dim
        made = sampling.sample(
            g, key, n, latent_dim=latent_dim, label=self._told(labels), truncation=truncation
        )
        return self.as_data(np.asarray(made))

    def interpolate(
        self,
        g: TrainState,
        key: Key[Array, ""],
        paths: int,
        steps: int,
        labels: Labels | None = None,
    ) -> Float[np.ndarray, "paths steps ..."]:
        """Walks between random latents: `paths` of `steps` samples each."""
        latent_dim = self.config.objective.latent_dim
        made = sampling.interpolate(
            g, key, paths=paths, steps=steps, latent_dim=latent_dim, label=self._told(labels)
        )
        return self.as_data(np.asarray(made))

    def varied(
        self, labels: Labels | None, name: str, steps: int
    ) -> Float[np.ndarray, "n steps k"]:
        """Conditions, each `steps` times, as the number of this name grows over the values that
        nine of ten real examples have.

        Raises:
            InputError: it is told no number of that name.
        """
        if self.conditions is None or labels is None:
            raise InputError(f"this model is told no numbers: there is no {name} to vary")
        low, high = self.conditions.range_of(name)
        told = np.repeat(labels[:, None], steps, axis=1)
        told[..., self.conditions.place(name)] = np.linspace(low, high, steps)
        return told

    def each_latent(
        self, g: TrainState, key: Key[Array, ""], labels: Float[np.ndarray, "n steps k"]
    ) -> Float[np.ndarray, "n steps ..."]:
        """Samples of as many latents as there are rows of conditions."""
        n, steps, _ = labels.shape
        z = sampling.latents(key, n, self.config.objective.latent_dim)
        label = self._told(labels.reshape(n * steps, -1))
        made = sampling.generate(g, jnp.repeat(z, steps, axis=0), label)
        return self.as_data(np.asarray(made)).reshape(n, steps, *made.shape[1:])

    def sheet(
        self, images: Float[np.ndarray, "n h w c"], labels: Labels | None
    ) -> UInt8[np.ndarray, "height width c"]:
        """Images side by side; by class, if these are few."""
        if labels is not None and 0 < len(self.classes or ()) <= _FEW:
            return figures.sheet_by_class(images, labels)
        return figures.sheet(images, math.isqrt(len(images) - 1) + 1)

    @property
    def rows(self) -> tuple[str, ...]:
        """What the rows of a sheet by class show, from the top, each class with as many: their
        names. Empty if it is not by class, or classes have no names."""
        classes = self.classes or ()
        if not self.is_images or len(classes) > _FEW or self.data.class_names is None:
            return ()
        return self.names(np.array(classes))

    def names(self, labels: Labels | None) -> tuple[str, ...]:
        """What the classes of samples are called; empty if they have no names."""
        if labels is None or self.classes is None or self.data.class_names is None:
            return ()
        return tuple(self.data.name_of(int(label)) for label in labels)

    @property
    def previewed(self) -> int:
        """How many samples a preview shows: of images, about 64, as many of each class."""
        if not self.is_images:
            return 2500
        classes = len(self.classes or ())
        return 10 * classes * max(1, 6 // classes) if 0 < classes <= _FEW else 64

    def preview(self, g: TrainState, dataset: Dataset) -> Float[Array, "n ..."]:
        """Samples of the same latents every time, by class."""
        n = self.previewed
        made = sampling.sample(
            g,
            stream_key(self.config.seed, PREVIEWS),
            n,
            latent_dim=self.config.objective.latent_dim,
            label=self._told(self._previewed_labels(n)),
            batch_size=n,
        )
        return self.as_data(made)

    def _previewed_labels(self, n: int) -> Labels | None:
        """Classes one after another; conditions as they come."""
        labels = self.labels(n)
        return labels if labels is None or self.classes is None else np.sort(labels)

    def draw(self, preview: Any, dataset: Dataset) -> UInt8[np.ndarray, "height width c"]:
        """A sheet of images, or points over real ones."""
        if self.is_images:
            return self.sheet(preview, self._previewed_labels(len(preview)))
        real, _ = gather(dataset.streams[0].source, np.arange(min(2500, self.data.examples)))
        return figures.scatter(preview, real)

    # How good it is.

    def checks(self, dataset: Dataset) -> Checks:
        """Of samples of fresh noise, at every check."""
        objective = self.config.objective
        told = self.told if objective.conditional else None
        return LatentChecks(
            functools.partial(make_reference, dataset, self.data.scaling, told),
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
            classes=self.classes is not None,
            told=self.told,
            mixture=gaussians.MIXTURES.get(self.config.data.source),
            finish=self.as_data,
        )

    @property
    def setting(self) -> Setting:
        """What there is to score while it trains."""
        evaluation = self.config.evaluation
        return Setting(
            self.subject,
            images=self.is_images,
            logits=logits_of(evaluation.extractor, self.data),
            examples=min(self.data.examples, evaluation.samples),
        )

    def evaluator(
        self,
        dataset: Dataset,
        settings: Evaluation | None = None,
        *,
        split: str | None = None,
        data_dir: str | None = None,
        weights: Path | None = None,
    ) -> Evaluator:
        """What scores samples."""
        settings, name = settings or self.config.evaluation, self.config.data.source
        source = real = dataset.streams[0].source
        if split is not None:
            config = self.config
            if self.conditions is not None:  # whatever else, or in which order, the split has them
                data = dataclasses.replace(config.data, conditions=self.conditions.names)
                config = dataclasses.replace(config, data=data)
            real = source_of(config, split, data_dir)
        extractor = make_extractor(settings.extractor, source, dataset=name, weights=weights)
        return Evaluator(
            self.subject,
            real,
            settings.metrics,
            extractor=extractor,
            split=split or self.config.data.split,
            samples=settings.samples,
        )


@functools.cache
def packed(module: nn.Module, examples: int) -> nn.Module:
    """`module` on packs of examples."""
    return networks.packing.Packed(module, examples)
