"""A configuration for data that nobody has trained on yet, and the reasons for it.

What is chosen is a function of a few facts alone. `docs/guides/recipes.md` says the same in words.
"""

import math
from collections.abc import Mapping
from typing import Any, NamedTuple

from gan_jax.augment.diffaugment import DiffAugmentSection
from gan_jax.augment.sections import AugmentationSection, NoAugmentation
from gan_jax.config import Average, Evaluation, Optimizer
from gan_jax.data import Data, Looks
from gan_jax.evaluation.extractors import efficientnet
from gan_jax.networks import dcgan, mlp
from gan_jax.resolutions import Resolution, as_text, in_words, nearest, sides
from gan_jax.tasks.generation.config import Config, Objective

LARGEST, LARGEST_ON_CPU = 128, 64
"""The side of a square with as many pixels as any resolution may have, or hardly more."""
LARGEST_OF_ICONS = 32
"""The same on a CPU, where most images have something transparent around them: icons of many kinds
stay blobs in ten minutes at 64 pixels, and are sharp at 32."""
WIDTH = {8: 64, 16: 48, 32: 32, 64: 24}
GAMMA = {8: 0.1, 48: 1.0, 96: 10.0}
"""From that side on."""
OBLONG = 1.15, 4.0
"""The ratios of the sides between which images are kept as they are, and not cut to squares."""
BATCH = 32
LABEL_SCALE = 0.1
"""With 1, samples of each class became alike within 500 iterations on 2,193 photographs."""
WIDTH_ON_ACCELERATORS = 64
BATCH_ON_ACCELERATORS = 64
BATCH_OF_POINTS, WIDTH_OF_POINTS, GAMMA_OF_POINTS = 256, 128, 0.1
HALF_LIFE_OF_POINTS = 100_000
HALF_LIFE = 5000
"""Of the moving average, in images."""
CLASSIFIER_IS_SLOW = 48
"""From that side on."""
FEW = 5000
"""Examples, of which the discriminator sees so few that it knows them by heart."""
TOO_FEW = 100
OF_A_CLASS = 20
"""Examples that a class needs, to be learned as one."""
MOST_CLASSES = 100


class Reason(NamedTuple):
    """One of the choices."""

    what: str
    why: str
    flags: str
    """By which it is changed."""


class Choice(NamedTuple):
    """What was chosen."""

    config: Config
    reasons: tuple[Reason, ...]
    warnings: tuple[str, ...]


def choose(source: str, looks: Looks, *, accelerator: bool) -> Choice:
    """The recipe for images that look like this, or for points. Its length is not among the
    choices."""
    if not looks.sizes:
        return _choose_for_points(source, looks)
    resolution, size = _size(looks, accelerator)
    side = math.sqrt(math.prod(sides(resolution)))
    conditional, classes = _classes(looks)
    augmentation, flip, augmented = _augmentation(looks)
    extractor, scored = _extractor(looks, conditional, side, accelerator)
    gamma = _from(GAMMA, side)
    width = WIDTH_ON_ACCELERATORS if accelerator else _from(WIDTH, side)
    batch = _batch(BATCH_ON_ACCELERATORS if accelerator else BATCH, looks)
    adam = Optimizer(learning_rate=2e-4, options={"b1": 0.5, "b2": 0.99})
    config = Config(
        name=_name(source),
        batch_size=batch,
        data=Data(
            source=source,
            resolution=as_text(resolution),
            channels=looks.channels,
            flip=flip,
        ),
        objective=Objective(latent_dim=128, conditional=conditional, penalties={"r1": gamma}),
        generator=dcgan.GeneratorSection(width=width, label_scale=LABEL_SCALE),
        discriminator=dcgan.DiscriminatorSection(width=width),
        augmentation=augmentation,
        g_optimizer=adam,
        d_optimizer=adam,
        average=Average(half_life=HALF_LIFE),
        evaluation=Evaluation(extractor=extractor, samples=1000),
        log_every=50,
    )
    networks = Reason(
        f"DCGAN's networks of width {width}, batches of {batch}",
        "they learn the most in a short time" + ("" if accelerator else " on a CPU"),
        "--generator.width, --discriminator.width, --batch-size",
    )
    penalty = Reason(
        f"R1 with γ = {gamma:g}",
        f"at {in_words(resolution)} pixels it keeps the discriminator from running away",
        "--objective.penalties r1=γ",
    )
    reasons = (size, classes, networks, penalty, augmented, scored)
    return Choice(config, reasons, _warnings(looks))


def _choose_for_points(source: str, looks: Looks) -> Choice:
    conditional, classes = _classes(looks)
    batch = _batch(BATCH_OF_POINTS, looks)
    adam = Optimizer(learning_rate=1e-3, options={"b1": 0.0, "b2": 0.99})
    config = Config(
        name=_name(source),
        batch_size=batch,
        data=Data(source=source, standardize=True),
        objective=Objective(
            loss="relativistic_pairing",
            latent_dim=max(2, looks.channels),
            conditional=conditional,
            penalties={"r1": GAMMA_OF_POINTS, "r2": GAMMA_OF_POINTS},
        ),
        generator=mlp.GeneratorSection(width=WIDTH_OF_POINTS, depth=4),
        discriminator=mlp.DiscriminatorSection(width=WIDTH_OF_POINTS, depth=4),
        g_optimizer=adam,
        d_optimizer=adam,
        average=Average(half_life=HALF_LIFE_OF_POINTS),
        check_every=500,
        log_every=500,
        sample_every=2000,
        checkpoint_every=2000,
    )
    networks = Reason(
        f"dense networks of width {WIDTH_OF_POINTS}, batches of {batch}",
        "as experiments/gaussians.py has them",
        "--generator.width, --discriminator.width, --batch-size",
    )
    scale = Reason(
        "each feature standardized",
        "networks learn what is of unit scale, and samples are of the data's",
        "--data.standardize, --data.no-standardize",
    )
    return Choice(config, (scale, classes, networks), _warnings(looks))


def _batch(most: int, looks: Looks) -> int:
    """The largest power of 2 up to so many and up to the examples, of which a tenth is held out."""
    training = looks.examples - looks.examples // 10
    return 1 << max(1, min(most, training)).bit_length() - 1


def _size(looks: Looks, accelerator: bool) -> tuple[Resolution, Reason]:
    height, width = looks.size
    if not OBLONG[0] <= max(height, width) / min(height, width) <= OBLONG[1]:
        height = width = min(height, width)
    icons = not accelerator and looks.cut_out > 0.5
    most = LARGEST if accelerator else LARGEST_OF_ICONS if icons else LARGEST_ON_CPU
    smaller = min(1, most / math.sqrt(height * width))
    resolution, *_ = nearest((round(height * smaller), round(width * smaller)), dcgan.DOUBLINGS)
    tall, wide = sides(resolution)
    cut = any(abs(math.log(h / w * wide / tall)) > 0.02 for h, w in looks.sizes)
    shown = ", the center of each" if cut else ""
    height, width = looks.size
    shorter = f"{height} pixels on the shorter side"
    why = f"the images are {shorter if height == width else in_words(looks.size)}"
    if smaller < 1:
        takes = "icons take" if icons else "more takes"
        why += f", and {takes} long" + ("" if accelerator else " on a CPU")
    flags = "--data.resolution, --data.fit"
    return resolution, Reason(f"{in_words(resolution)} pixels{shown}", why, flags)


def _from(values: Mapping[int, float], side: float) -> Any:
    """The value of the largest key that is not above `side`, or of the smallest."""
    return values[max((key for key in values if key <= side), default=min(values))]


def _classes(looks: Looks) -> tuple[bool, Reason]:
    sizes, by = looks.class_sizes, f"by {looks.classes_by}"
    flags = "--objective.conditional, --objective.no-conditional"
    if looks.conditions:
        names = ", ".join(looks.conditions)
        return True, Reason(f"conditioned on {names}", by, f"--data.conditions, {flags}")
    if len(sizes) < 2:
        return False, Reason("no classes", "there are none", flags)
    if min(sizes) < OF_A_CLASS:
        smallest = looks.class_names[sizes.index(min(sizes))] if looks.class_names else "one"
        only = f"{smallest} has {min(sizes)} {_called(looks)} only"
        why = f"{only}, and it takes {OF_A_CLASS} to learn one"
        return False, Reason("classes are not told apart", why, flags)
    if len(sizes) > MOST_CLASSES:
        return False, Reason("classes are not told apart", f"{len(sizes)} are many", flags)
    return True, Reason(f"{len(sizes)} classes, each sampled by its name", by, flags)


def _extractor(
    looks: Looks, conditional: bool, side: float, accelerator: bool
) -> tuple[str, Reason]:
    name, why = "pixels", "there are no classes to train a classifier on, which would see more"
    if looks.channels != 1 and efficientnet.installed():
        name, why = "efficientnet-lite0", "it knows what is in photographs"
    elif conditional and not looks.conditions:
        slow = not accelerator and side >= CLASSIFIER_IS_SLOW
        name, why = "classifier", "it sees more than pixels do"
        if slow:
            name, why = "pixels", "a classifier would see more, and take minutes to train on a CPU"
    return name, Reason(f"scores by {name}", why, "--evaluation.extractor")


def _augmentation(looks: Looks) -> tuple[AugmentationSection, bool, Reason]:
    colored = looks.channels == 3
    flags = "--augmentation.kind, --data.flip"
    mirrored = ", half of them mirrored" if colored else ""
    if looks.examples >= FEW:
        what = "no augmentation" + mirrored
        return NoAugmentation(), colored, Reason(what, f"{looks.examples:,} images do", flags)
    categories = ("color", "translation", "cutout") if colored else ("translation", "cutout")
    return (
        DiffAugmentSection(categories=categories),
        colored,
        Reason(
            f"DiffAugment ({', '.join(categories)}){mirrored}",
            f"the discriminator would know {looks.examples:,} images by heart",
            flags,
        ),
    )


def _called(looks: Looks) -> str:
    return "images" if looks.sizes else "points"


def _warnings(looks: Looks) -> tuple[str, ...]:
    warnings = []
    if looks.examples < TOO_FEW:
        few = f"{looks.examples} {_called(looks)} are few"
        warnings.append(
            f"{few}: samples will look like these, and little else; from {TOO_FEW} on there is "
            "something to learn, and it takes thousands to do it well"
        )
    return tuple(warnings)


def _name(source: str) -> str:
    """Of the run: that of the folder or dataset."""
    kind, _, argument = source.partition(":")
    last = argument.rstrip("/").rpartition("/")[2]
    name = "".join(c if c.isalnum() or c in "-_." else "-" for c in last).strip(".-")
    return name or kind
