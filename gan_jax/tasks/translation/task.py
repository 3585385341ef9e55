"""What the rest of the program sees of learning to translate."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key, UInt8

from gan_jax import figures, losses
from gan_jax.config import Evaluation
from gan_jax.data import Described, Examples, Source, Stream, prepare
from gan_jax.data.sources import gather, read_some
from gan_jax.data.sources.base import digest
from gan_jax.errors import InputError, all_at_once
from gan_jax.evaluation.directions import Directions
from gan_jax.evaluation.evaluator import Evaluator
from gan_jax.evaluation.extractors.kinds import check as check_extractor
from gan_jax.evaluation.extractors.kinds import logits_of, make_extractor
from gan_jax.evaluation.metric import Setting, check_evaluation
from gan_jax.evaluation.real import MOST
from gan_jax.evaluation.subject import Subject
from gan_jax.health import signals
from gan_jax.inference.converter import Converter
from gan_jax.networks.base import Form
from gan_jax.networks.domains import DOMAINS, Domains, other
from gan_jax.objectives import Translation as TranslationObjective
from gan_jax.state import TrainState, create_train_states
from gan_jax.tasks.applying import floats, make, make_all
from gan_jax.tasks.base import Dataset, check_batch, refuse_pairs
from gan_jax.tasks.translation.checks import Images, TranslationChecks
from gan_jax.tasks.translation.config import Config

DIRECTIONS = {"a2b": "b", "b2a": "a"}
"""Ways to translate, and the domain that each makes images of."""
_SHOWN = 6  # images of each domain in a preview


@dataclasses.dataclass(frozen=True)
class Translation:
    """Learning to translate: images `a` of one domain, and `b` of the other."""

    config: Config
    data: Described

    commands: ClassVar[frozenset[str]] = frozenset({"translate", "evaluate", "report"})
    directions: ClassVar[tuple[str, ...]] = tuple(DIRECTIONS)

    @property
    def data_name(self) -> str:
        """The source of the data, or both."""
        data = self.config.data
        return data.source if data.source_b is None else f"{data.source} and {data.source_b}"

    @property
    def shown(self) -> str:
        """What previews show."""
        kept = " that are held out" if self.config.data.held_out != 0 else ""
        return (
            f"Images{kept}, always the same. In each row, an image of a, what is made of it, and "
            "what is made of that again; then the same of an image of b."
        )

    @property
    def form(self) -> Form:
        """What the networks have to fit."""
        side = self.config.data.resolution
        return Form((side, side, self.data.a.shape[-1]))

    # What is trained.

    def check(self) -> None:
        """
        Raises:
            InputError: these data cannot be trained on, or not be scored, as configured.
        """
        config, data = self.config, self.data
        refuse_pairs(self.form.shape, self.data_name)
        with all_at_once() as apart:
            with apart():
                config.generator.check(self.form, "generator")
            with apart():
                config.discriminator.check(self.form, "discriminator")
            for name, n in (("a", data.a.examples), ("b", data.b.examples)):
                with apart():
                    of = f"the domain {name}: {n} images to train on in {self.data_name}"
                    check_batch(config.batch_size, n, of)
            with apart():
                check_evaluation(config.evaluation, self.setting)

    def essence(self) -> "Translation":
        """The same for any data of this form, without what is no part of training."""
        a, b = (
            dataclasses.replace(domain, examples=0, fingerprint="")
            for domain in (self.data.a, self.data.b)
        )
        return Translation(self.config.essence(), Described(a, b))

    @property
    def objective(self) -> TranslationObjective:
        """The losses and penalties."""
        settings, annealing = self.config.objective, self.config.annealing
        return TranslationObjective(
            loss=losses.LOSSES[settings.loss],
            cycle=settings.cycle,
            identity=settings.identity or None,
            regularizers=settings.regularizers(annealing),
            pool=settings.pool,
            ema=self.config.average.build(annealing),
            together=not self.config.discriminator.compares,
        )

    def create(self, key: Key[Array, ""], *, traced: bool = False) -> tuple[TrainState, TrainState]:
        """Both train states at the start."""
        config = self.config
        d_images, g_images = config.images_per_update
        return create_train_states(
            key,
            generator=_of_both(config.generator, self.form),
            discriminator=_of_both(config.discriminator, self.form),
            objective=self.objective,
            batch={domain: jnp.zeros((1, *self.form.shape), jnp.float32) for domain in DOMAINS},
            d_tx=config.d_optimizer.build(config.annealing, images=d_images, traced=traced),
            g_tx=config.g_optimizer.build(config.annealing, images=g_images, traced=traced),
        )

    def prepare(
        self, examples: dict[str, Array], key: Key[Array, ""], axis_name: str | None
    ) -> dict[str, Array]:
        """Images from −1 to 1, cut out at random, and mirrored if configured."""
        data = self.config.data
        flip = DOMAINS if data.flip else ()
        return prepare(examples, key, flip=flip, crop=data.resolution, axis_name=axis_name)

    # What it looks like.

    def translate(
        self, g: TrainState, images: Float[np.ndarray, "n h w c"], direction: str
    ) -> Float[np.ndarray, "n h w c"]:
        """Images in [−1, 1] of any size that the networks take, made into those of the other domain
        by the generators' moving average.

        Raises:
            InputError: there is no such direction.
        """
        domain = self._domain(direction)
        return make_all(lambda part: make(g, part, domain), images)

    def converter(self, direction: str | None) -> Callable[[TrainState], Converter]:
        """What translates images of any size, given the generators.

        Raises:
            InputError: there is no such direction.
        """
        domain = self._domain(direction)
        section = self.config.generator

        def converter(g: TrainState) -> Converter:
            g = jax.device_put(g)  # once, and not for every image
            return Converter(
                lambda images: make(g, images, domain),
                channels=self.form.shape[-1],
                multiple=section.multiple_of(self.form),
                least=section.least,
            )

        return converter

    def _domain(self, direction: str | None) -> str:
        """That a direction makes images of."""
        if direction not in DIRECTIONS:
            given = (
                "give a direction" if direction is None else f"there is no direction {direction}"
            )
            raise InputError(f"{given}: a2b (into images of b) or b2a (of a)")
        return DIRECTIONS[direction]

    def preview(self, g: TrainState, dataset: Dataset) -> Float[Array, "n h w c"]:
        """A row for each of some images of a and b side by side: the image, what is made of it, and
        what is made of that again."""
        columns = []
        for domain in DOMAINS:
            real = jnp.asarray(self._some(dataset, domain, _SHOWN))
            made = make(g, real, other(domain))
            columns += [real, made, make(g, made, domain)]
        return jnp.stack(columns, axis=1).reshape(-1, *self.form.shape)

    def draw(self, preview: Any, dataset: Dataset) -> UInt8[np.ndarray, "height width c"]:
        """A sheet of images."""
        return figures.sheet(preview, 6)

    # How good it is.

    def checks(self, dataset: Dataset) -> TranslationChecks:
        """Of both directions."""
        images_of = functools.partial(self._images, dataset)
        return TranslationChecks(images_of, DIRECTIONS, losses.LOSSES[self.config.objective.loss])

    def _images(self, dataset: Dataset, domain: str) -> Images:
        seen = self.as_seen(_of_domain(dataset.streams, domain), signals.SAMPLE).real
        if not any(stream.name == domain for stream in dataset.held_out):
            return Images(floats(seen), None, seen)
        others = self.as_seen(_of_domain(dataset.held_out, domain), signals.SAMPLE).real
        return Images(floats(seen), floats(others), np.concatenate([seen, others]))

    def _some(self, dataset: Dataset, domain: str, n: int) -> Float[np.ndarray, "n h w c"]:
        """Images of a domain, always the same: of those held out, where there are some."""
        source = _of_domain((*dataset.held_out, *dataset.streams), domain)
        indices = np.resize(np.arange(source.description.examples), n)
        return floats(self._cut(gather(source, indices)[0]))

    def as_seen(self, source: Source, most: int = MOST) -> Examples:
        """Up to so many images of a source, cut in the middle to what networks see."""
        examples = source.description.examples
        real, _ = (
            gather(source, np.arange(examples)) if examples <= most else read_some(source, most)
        )
        real, shape = self._cut(real), self.form.shape
        description = dataclasses.replace(
            source.description,
            shape=shape,
            examples=len(real),
            fingerprint=digest(source.description.fingerprint, shape, len(real)),
        )
        return Examples(description, real, None)

    def _cut(self, images: np.ndarray) -> np.ndarray:
        top = (images.shape[1] - self.form.shape[0]) // 2
        side = self.form.shape[0]
        return images[:, top : top + side, top : top + side]

    @property
    def setting(self) -> Setting:
        """What there is to score while it trains."""
        extractor = self.config.evaluation.extractor
        subject = Subject(lambda g, n, labels: None, target=0)
        data = dataclasses.replace(self.data.a, num_classes=len(DOMAINS))
        check_extractor(extractor, data)
        return Setting(subject, images=True, logits=logits_of(extractor, data))

    def evaluator(
        self,
        dataset: Dataset,
        settings: Evaluation | None = None,
        *,
        split: str | None = None,
        data_dir: str | None = None,
        weights: Path | None = None,
    ) -> Directions:
        """What scores both directions: translations of images that were not trained on, where there
        are some, against the images of the target domain that were. Of another `split`, its images
        both ways."""
        settings, data = settings or self.config.evaluation, self.config.data
        training = [stream.source for stream in dataset.streams]
        extractor = make_extractor(
            settings.extractor,
            _labelled([self.as_seen(source) for source in training]),
            dataset=self.data_name,
            weights=weights,
        )
        if split is None:
            real = training
            # One image alone has no distribution.
            several = (s for s in dataset.held_out if s.source.description.examples > 1)
            both = (*several, *dataset.streams)
            inputs = [_of_domain(both, domain) for domain in DOMAINS]
        else:
            streams = data.load(split=split, side=data.resolution, data_dir=data_dir)
            real = inputs = [stream.source for stream in streams]
        options: dict[str, Any] = {"extractor": extractor, "split": split or data.split}
        translated, unchanged = {}, {}
        for direction, domain in DIRECTIONS.items():
            target = DOMAINS.index(domain)
            images = self.as_seen(inputs[1 - target], settings.samples).real
            options["samples"] = len(images)
            score = functools.partial(
                Evaluator,
                source=self.as_seen(real[target]),
                metrics=settings.metrics,
                **options,
            )
            translated[direction] = score(Subject(self._sampler(images, direction), target=target))
            unchanged[direction] = score(Subject(_constant(floats(images)), target=target))
        return Directions(translated, unchanged)

    def _sampler(self, images: np.ndarray, direction: str) -> Any:
        return lambda g, n, labels: self.translate(g, floats(images[:n]), direction)


def _of_domain(streams: tuple[Stream, ...], domain: str) -> Source:
    """The first source of a domain's images: of few, none are held out."""
    return next(stream.source for stream in streams if stream.name == domain)


def _constant(images: np.ndarray) -> Any:
    return lambda g, n, labels: images[:n]


def _labelled(domains: list[Examples]) -> Examples:
    """The images of both domains in turn, with their domain for a class."""
    real = np.concatenate([domain.real for domain in domains])
    label = np.concatenate([np.full(len(x.real), i, np.int32) for i, x in enumerate(domains)])
    first = domains[0].description
    description = dataclasses.replace(
        first,
        num_classes=len(domains),
        examples=len(real),
        fingerprint=digest(*(domain.description.fingerprint for domain in domains)),
    )
    return Examples(description, real, label)


@functools.cache
def _of_both(section: Any, form: Form) -> nn.Module:
    """A network for each domain: the same module for equal sections, so that what was compiled for
    one serves all."""
    return Domains(a=section.build(form), b=section.build(form))
