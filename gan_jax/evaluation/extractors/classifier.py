"""Small classifiers trained on the data at hand: feature extractors that need no download.

What they measure depends on them, so their scores compare only within one data set; the name of the
extractor says which.
"""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import traverse_util
from jax import lax
from jax.tree_util import Partial
from jaxtyping import Array, Float, Int, Key, PyTree, UInt8

from gan_jax.compilation import CompiledFast
from gan_jax.data import Description, Source, cache
from gan_jax.data.held_out import hold_out
from gan_jax.data.order import Order
from gan_jax.data.sources import gather
from gan_jax.data.sources.stacked_mnist import red_digits
from gan_jax.errors import InputError
from gan_jax.evaluation.extractors.base import Extractor, by_channel, digest
from gan_jax.evaluation.extractors.kinds import Kind, Request
from gan_jax.networks.classifier import Classifier

_VERSION = 1  # of what is kept in the cache
_BATCH = 128
_CALL = 100  # updates

Images = UInt8[np.ndarray, "n h w c"]
Labels = Int[np.ndarray, " n"]


@dataclasses.dataclass(frozen=True)
class Trained:
    """A trained classifier."""

    network: Classifier
    params: PyTree

    def extractor(self, name: str) -> Extractor:
        """Its last hidden layer as features."""

        def apply(images: Array) -> tuple[Array, Array]:
            output: Any = self.network.apply({"params": self.params}, images / 127.5 - 1.0)
            return output

        return Extractor(name, apply, version=digest(self.params), logits="classes")

    @property
    def maps(self) -> Partial:
        """A function of images in [−1, 1] to what its convolutions see, a tuple of feature maps:
        what a perceptual distance takes. Its weights are leaves."""
        return Partial(functools.partial(_maps, self.network), self.params)

    def predict(self, images: Images) -> Labels:
        """The most probable class of each image."""
        logits = self.extractor("classes")(images).logits
        assert logits is not None
        return logits.argmax(axis=1)

    def accuracy(self, images: Images, labels: Labels) -> float:
        """The share of images whose class it names."""
        return float(np.mean(self.predict(images) == labels))


def _maps(network: Classifier, params: PyTree, images: Array) -> tuple[Array, ...]:
    maps: Any = network.apply({"params": params}, images, maps=True)
    return maps


def fit(
    images: Images, labels: Labels, num_classes: int, *, updates: int = 2500, seed: int = 0
) -> Trained:
    """Trains a classifier: Adam with weight decay and a cosine schedule from 2e-3, batches of 128,
    images shifted at random by up to a sixteenth of their side (at least a pixel). The same
    arguments give the same classifier.
    """
    batch_size = min(_BATCH, len(images))
    network = Classifier(num_classes)
    tx = optax.adamw(optax.cosine_decay_schedule(2e-3, updates), weight_decay=1e-2)
    key = jax.random.key(seed)
    params = network.init(key, jnp.zeros((1, *images.shape[1:]), jnp.float32))["params"]
    order = Order(seed, len(images), batch_size)
    side = images.shape[1]

    def loss(params: PyTree, x: Array, label: Array) -> Float[Array, ""]:
        output: Any = network.apply({"params": params}, x)
        _, logits = output
        return jnp.mean(optax.softmax_cross_entropy_with_integer_labels(logits, label))

    def shift(x: Array, key: Key[Array, ""]) -> Array:
        reach = max(1, side // 16)
        padded = jnp.pad(x, ((reach, reach), (reach, reach), (0, 0)), mode="edge")
        corner = jax.random.randint(key, (2,), 0, 2 * reach + 1)
        return lax.dynamic_slice(padded, (*corner, 0), x.shape)

    def program(params, opt_state, data, indices, start):
        def update(carry, i):
            params, opt_state = carry
            x, label = jax.tree.map(lambda a: a[indices[i]], data)
            keys = jax.random.split(jax.random.fold_in(key, start + i), batch_size)
            x = jax.vmap(shift)(x.astype(jnp.float32) / 127.5 - 1, keys)
            gradients = jax.grad(loss)(params, x, label)
            changes, opt_state = tx.update(gradients, opt_state, params)
            return (optax.apply_updates(params, changes), opt_state), None

        return lax.scan(update, (params, opt_state), jnp.arange(len(indices)))[0]

    compiled = CompiledFast(jax.jit(program))
    data: Any = (jnp.asarray(images), jnp.asarray(labels, jnp.int32))
    opt_state = tx.init(params)
    for start in range(0, updates, _CALL):
        indices = np.stack([order.batch(start + i) for i in range(_CALL)])
        params, opt_state = compiled(params, opt_state, data, indices, np.int32(start))
    return Trained(network, params)


def for_source(source: Source) -> tuple[Trained, float]:
    """The classifier of these data, and its accuracy on those that it was not trained on. It is
    trained on first use, and kept in the user's cache.

    Raises:
        InputError: the data have no labels, or are no images.
    """
    description = source.description
    if needs := _needs(description):
        raise InputError(f"a classifier needs {needs}")
    assert description.num_classes is not None
    kept = stored(description.fingerprint)
    if kept is None:
        training, test = hold_out(source, tested(source))
        assert test is not None
        trained = fit(*_whole(training), description.num_classes)
        kept = trained, trained.accuracy(*_whole(test))
        store(description.fingerprint, *kept)
    return kept


def tested(source: Source) -> int:
    """How many examples its accuracy is measured on: a fifth, at most 10,000."""
    return min(source.description.examples // 5, 10_000)


def _whole(source: Source) -> tuple[Images, Labels]:
    examples, labels = gather(source, np.arange(source.description.examples))
    assert labels is not None  # or it would not have been asked for
    return examples, labels


def stored(fingerprint: str) -> tuple[Trained, float] | None:
    """The classifier that was trained for these data, and its accuracy, if there is one."""
    arrays = cache.load(_key(fingerprint))
    if arrays is None:
        return None
    accuracy = float(arrays.pop("accuracy"))
    num_classes = int(arrays.pop("num_classes"))
    params = jax.tree.map(jnp.asarray, traverse_util.unflatten_dict(arrays, sep="/"))
    return Trained(Classifier(num_classes), params), accuracy


def store(fingerprint: str, trained: Trained, accuracy: float) -> None:
    """Keeps a classifier in the user's cache."""
    params = jax.tree.map(np.asarray, trained.params)
    flat: dict[str, Any] = dict(traverse_util.flatten_dict(params, sep="/"))
    scalars = {
        "accuracy": np.asarray(accuracy),
        "num_classes": np.asarray(trained.network.num_classes),
    }
    cache.store(_key(fingerprint), **flat, **scalars)


def _key(fingerprint: str) -> str:
    return f"classifier-{_VERSION}-{fingerprint}"


def _needs(data: Description) -> str:
    met = len(data.shape) == 3 and data.num_classes is not None
    return "" if met else "images with labels"


def _make(request: Request) -> Extractor:
    if request.dataset == "stacked_mnist":
        stacks: Any = request.source
        digits: Any = red_digits(stacks)
        trained, _ = for_source(digits)
        return by_channel(trained.extractor("stacked-mnist-cnn"))
    trained, _ = for_source(request.source)
    return trained.extractor(f"{_short(request.dataset)}-cnn")


def _short(dataset: str) -> str:
    """`mnist` of `tfds:mnist`, `faces` of `folder:data/faces`."""
    return dataset.rpartition(":")[2].rstrip("/").rpartition("/")[2].removesuffix(".npz")


CLASSIFIER = Kind(
    "classifier",
    "a small network trained on these data, which need labels",
    _make,
    logits="classes",
    needs=_needs,
    place=20,
)
