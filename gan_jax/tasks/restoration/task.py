"""What the rest of the program sees of learning to make images of their inputs."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gan_jax import figures, losses
from gan_jax.config import Evaluation
from gan_jax.data import Description, Examples, Source, prepare
from gan_jax.data.sources import gather, read_some
from gan_jax.data.sources.base import digest
from gan_jax.degradations import Given, resize
from gan_jax.degradations.given import holds_pairs
from gan_jax.errors import InputError, all_at_once
from gan_jax.evaluation.directions import Directions
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors import classifier
from gan_jax.evaluation.extractors.kinds import check as check_extractor
from gan_jax.evaluation.extractors.kinds import find as find_extractor
from gan_jax.evaluation.extractors.kinds import logits_of, make_extractor
from gan_jax.evaluation.metric import Setting, check_evaluation
from gan_jax.evaluation.real import MOST
from gan_jax.evaluation.subject import Subject
from gan_jax.inference.converter import Converter
from gan_jax.networks.base import Form, built
from gan_jax.objectives import Paired
from gan_jax.state import TrainState, create_train_states
from gan_jax.tasks.applying import floats, make, make_all
from gan_jax.tasks.base import CHECKS, Dataset, check_batch, source_of, stream_key
from gan_jax.tasks.restoration.checks import Pairs, RestorationChecks
from gan_jax.tasks.restoration.config import Config

_ROWS, _SHOWN = 8, 16  # in a preview
_SEEN = 256  # training images that checks are of
_INPUTS = 0x696E7075  # folded into the key of what is mirrored, for what inputs are made by


@dataclasses.dataclass(frozen=True)
class Restoration:
    """Learning to make a `target` of its `input`."""

    config: Config
    data: Description

    directions: ClassVar[tuple[str, ...]] = ()

    @property
    def commands(self) -> frozenset[str]:
        """Those of what enlarges images, or of what keeps their size."""
        does = "upscale" if self.form.scale > 1 else "translate"
        return frozenset({does, "evaluate", "report"})

    @property
    def data_name(self) -> str:
        """The source of the data, and what is learned of them."""
        kind, source = self.config.input.kind, self.config.data.source
        return source if kind == "given" else f"{source}, from {kind} inputs"

    @property
    def shown(self) -> str:
        """What previews show."""
        kept = " that are held out" if self.config.data.held_out != 0 else ""
        return (
            f"Images{kept}, always the same. From left to right: the input, what is made of it, "
            "and the true image; then the same of another."
        )

    @property
    def form(self) -> Form:
        """What the networks have to fit: the targets."""
        height, width, channels = self.data.shape
        if self._given:
            channels //= 2
        return Form((height, width, channels), scale=self.config.input.scale)

    @property
    def _given(self) -> bool:
        return self.config.input.kind == "given"

    @property
    def _degradation(self) -> Any:
        return self.config.input.build()

    # What is trained.

    def check(self) -> None:
        """
        Raises:
            InputError: these data cannot be trained on, or not be scored, as configured.
        """
        config, shape = self.config, self.data.shape
        if len(shape) != 3:
            raise InputError(f"{config.data.source} holds points, and restoration is of images")
        if config.data.channels == 4:
            raise InputError("data.channels 4 is for generation: set it to 1 or 3")
        if holds_pairs(shape) and not self._given:
            raise InputError(f"{config.data.source} holds pairs: set input.kind to given")
        with all_at_once() as apart:
            with apart():
                config.input.check(shape, "input")
            with apart():
                config.generator.check(self.form, "generator")
            with apart():
                config.discriminator.check(self.form, "discriminator")
            with apart():
                n = self.data.examples
                of = f"the data: {n} examples to train on in {config.data.source}"
                check_batch(config.batch_size, n, of)
            with apart():
                check_evaluation(config.evaluation, self.setting)

    def essence(self) -> "Restoration":
        """The same for any data of this form, without what is no part of training."""
        config = self.config.essence()
        if config.objective.perceptual:  # whose classifier is one of these data
            return Restoration(config, self.data)
        return Restoration(config, dataclasses.replace(self.data, examples=0, fingerprint=""))

    @property
    def objective(self) -> Paired:
        """The losses and penalties.

        Raises:
            InputError: the classifier of a perceptual loss is not to be found.
        """
        perceptual = self.config.objective.perceptual
        if not perceptual:
            return self._distances
        kept = classifier.stored(self.data.fingerprint)
        if kept is None:
            raise InputError(
                "the classifier whose features the perceptual loss takes is not in the cache, "
                "$GAN_JAX_CACHE: can files be written there?"
            )
        return self._distances.replace(perceptual=perceptual, features=kept[0].maps)

    @property
    def _distances(self) -> Paired:
        """The objective without what takes a classifier."""
        settings, annealing = self.config.objective, self.config.annealing
        return Paired(
            loss=losses.LOSSES[settings.loss],
            adversarial=settings.adversarial or None,
            pixel=settings.pixel,
            conditional=self.conditional,
            regularizers=settings.regularizers(annealing),
            ema=self.config.average.build(annealing),
            together=not self.config.discriminator.compares,
        )

    @property
    def conditional(self) -> bool:
        """Whether the discriminator sees the inputs: where they are as large as the targets."""
        return self.form.scale == 1

    def create(self, key: Key[Array, ""], *, traced: bool = False) -> tuple[TrainState, TrainState]:
        """Both train states at the start."""
        config = self.config
        height, width, channels = self.form.shape
        small = height // self.form.scale, width // self.form.scale
        inputs = self._degradation.channels(self.data.shape[2])
        d_images, g_images = config.images_per_update
        return create_train_states(
            key,
            generator=built(config.generator, self.form),
            discriminator=built(config.discriminator, self.form),
            objective=self._distances,  # which has the same states
            batch={
                "input": jnp.zeros((1, *small, inputs), jnp.float32),
                "target": jnp.zeros((1, height, width, channels), jnp.float32),
            },
            d_tx=config.d_optimizer.build(config.annealing, images=d_images, traced=traced),
            g_tx=config.g_optimizer.build(config.annealing, images=g_images, traced=traced),
        )

    def prepare(
        self, examples: dict[str, Array], key: Key[Array, ""], axis_name: str | None
    ) -> dict[str, Array]:
        """Targets from −1 to 1, mirrored if configured, and the inputs that are made of them."""
        flip = ("image",) if self.config.data.flip else ()
        images = prepare(examples, key, flip=flip, axis_name=axis_name)["image"]
        degrade = functools.partial(self._pair, axis_name=axis_name)
        own = jax.random.fold_in(key, _INPUTS)
        keys = jax.vmap(lambda i: jax.random.fold_in(own, i))(jnp.arange(len(images)))
        return jax.vmap(degrade)(images, keys)

    def _pair(
        self, images: Array, key: Key[Array, ""], axis_name: str | None = None
    ) -> dict[str, Array]:
        """Inputs and targets, of images as they are stored but in [−1, 1]."""
        degradation: Any = self._degradation
        targets: Any = degradation.targets(images) if isinstance(degradation, Given) else images
        return {"input": degradation(images, key, axis_name), "target": targets}

    def pairs(self, images: UInt8[np.ndarray, "n h w c"]) -> dict[str, np.ndarray]:
        """Inputs and targets in [−1, 1], the same every time, of stored images."""
        parts = [
            jax.device_get(self._some_pairs(images[i : i + _SEEN], i))
            for i in range(0, len(images), _SEEN)
        ]
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}

    def _some_pairs(self, images: UInt8[np.ndarray, "n h w c"], place: int) -> dict[str, Array]:
        """The same on the device, and not waited for, of images from this place on."""
        key = jax.random.fold_in(stream_key(self.config.seed, CHECKS), place)
        return _paired(self.essence(), floats(images), key)

    # What it looks like.

    def restore(
        self, g: TrainState, inputs: Float[np.ndarray, "n h w c"]
    ) -> Float[np.ndarray, "n h2 w2 d"]:
        """What the generator's moving average makes of inputs in [−1, 1], of any size that the
        network takes."""
        return make_all(functools.partial(make, g), inputs)

    def converter(self, direction: str | None) -> Callable[[TrainState], Converter]:
        """What makes images of inputs of any size, given the generator.

        Raises:
            InputError: a direction, of which there is but one; or inputs that no file holds.
        """
        if direction is not None:
            raise InputError("this run learns one direction: leave --direction")
        section, fills = self.config.generator, self.config.input.fills
        channels = self._degradation.channels(self.data.shape[2]) - fills
        if channels not in (1, 3):
            raise InputError(f"inputs of {channels} channels come in no file")

        def converter(g: TrainState) -> Converter:
            g = jax.device_put(g)  # once, and not for every image
            return Converter(
                lambda images: make(g, images),
                channels=channels,
                multiple=section.multiple_of(self.form),
                least=section.least,
                scale=self.form.scale,
                fills=fills,
            )

        return converter

    def unchanged(self, inputs: Float[Array, "n h w c"]) -> Float[Array, "n h2 w2 d"]:
        """Inputs as they are, brought to the targets' size (bicubically) and channels."""
        height, width, channels = self.form.shape
        shown = inputs[..., :channels]
        if shown.shape[-1] != channels:
            shown = jnp.repeat(shown[..., :1], channels, axis=-1)
        if self.form.scale > 1:
            shown = resize(shown, height, width, "bicubic")
        return jnp.clip(shown, -1, 1)

    def preview(self, g: TrainState, dataset: Dataset) -> Float[Array, "n h w c"]:
        """Two images a row, of each the input, what is made of it, and the truth."""
        streams = dataset.held_out or dataset.streams
        source = streams[0].source
        indices = np.resize(np.arange(source.description.examples), _SHOWN)
        pairs = self._some_pairs(gather(source, indices)[0], 0)
        made = jnp.clip(make(g, pairs["input"]), -1, 1)
        shown = [self.unchanged(pairs["input"]), made, pairs["target"]]
        return jnp.stack(shown, axis=1).reshape(-1, *self.form.shape)

    def draw(self, preview: Any, dataset: Dataset) -> UInt8[np.ndarray, "height width c"]:
        """A sheet of images."""
        return figures.sheet(preview, 3 * _SHOWN // _ROWS)

    # How good it is.

    def checks(self, dataset: Dataset) -> RestorationChecks:
        """Of what is made of training images' inputs."""

        def make_pairs() -> tuple[Pairs, Pairs | None]:
            seen, held_out = (
                [self.pairs(read_some(stream.source, _SEEN)[0]) for stream in streams]
                for streams in (dataset.streams, dataset.held_out)
            )
            return seen[0], held_out[0] if held_out else None

        loss = losses.LOSSES[self.config.objective.loss]
        return RestorationChecks(make_pairs, loss, conditional=self.conditional)

    @property
    def setting(self) -> Setting:
        """What there is to score while it trains."""
        extractor = self.config.evaluation.extractor
        data = dataclasses.replace(self.data, shape=self.form.shape)
        check_extractor(extractor, data)
        subject = Subject(
            lambda g, n, labels: None, truth=np.zeros((0, *self.form.shape), np.uint8)
        )
        kind, logits = find_extractor(extractor), logits_of(extractor, data)
        return Setting(subject, images=True, logits=logits, maps=kind.maps)

    def evaluator(
        self,
        dataset: Dataset,
        settings: Evaluation | None = None,
        *,
        split: str | None = None,
        data_dir: str | None = None,
        weights: Path | None = None,
    ) -> Directions:
        """What scores images made of inputs that were not trained on, where there are some; beside
        the inputs as they are."""
        settings, data = settings or self.config.evaluation, self.config.data
        training = self._targets(dataset.streams[0].source)
        extractor = make_extractor(
            settings.extractor, training, dataset=data.source, weights=weights
        )
        if split is None:
            # One image alone has no distribution.
            several = [s for s in dataset.held_out if s.source.description.examples > 1]
            source, real = (several or dataset.streams)[0].source, training
        else:
            source = source_of(self.config, split, data_dir)
            real = self._targets(source)
        pairs = self.pairs(read_some(source, settings.samples)[0])
        truth = figures.to_uint8(pairs["target"])
        score = functools.partial(
            Evaluator,
            source=real,
            metrics=settings.metrics,
            extractor=extractor,
            split=split or data.split,
            samples=len(truth),
        )
        unchanged = np.asarray(self.unchanged(jnp.asarray(pairs["input"])))
        return Directions(
            {"": score(Subject(lambda g, n, _: self.restore(g, pairs["input"][:n]), truth=truth))},
            {"": score(Subject(lambda g, n, _: unchanged[:n], truth=truth))},
            baseline="bicubic" if self.form.scale > 1 else "inputs as they are",
        )

    def _targets(self, source: Source) -> Source:
        """The same examples without inputs, with their classes."""
        if not self._given:
            return source
        images, label = read_some(source, MOST)
        targets: Any = self._degradation.targets(images)
        description = dataclasses.replace(
            source.description,
            shape=self.form.shape,
            examples=len(images),
            fingerprint=digest(source.description.fingerprint, self.config.input),
        )
        return Examples(description, targets, label)


@functools.partial(jax.jit, static_argnums=0)
def _paired(task: Restoration, images: Array, key: Key[Array, ""]) -> dict[str, Array]:
    return task._pair(images, key)
