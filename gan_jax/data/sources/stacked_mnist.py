"""Stacked MNIST, a thousand classes whose modes can be counted.

Source: Metz et al., "Unrolled Generative Adversarial Networks", 2017, §3.3.1; as many as in Lin et
al., "PacGAN", 2018.
"""

import dataclasses

import numpy as np

from gan_jax.data.images import Form
from gan_jax.data.sources import tfds
from gan_jax.data.sources.base import Description, Examples, Lazy, digest, read_all
from gan_jax.data.sources.kinds import Kind, Request, in_memory

STACKS = 128_000


def load(request: Request) -> Examples:
    """STACKS images, each of three random digits of MNIST as red, green and blue. The class is the
    number that they spell, red digit first."""
    mnist = read_all(_digits(request))
    rng = np.random.default_rng(0)
    digits = rng.integers(mnist.description.examples, size=(STACKS, 3))
    real = np.concatenate([mnist.real[digits[:, i]] for i in range(3)], axis=-1)
    assert mnist.label is not None
    label = mnist.label[digits] @ np.array([100, 10, 1])
    fingerprint = digest(mnist.description.fingerprint, digits)
    as_they_are = dataclasses.replace(request, form=Form(fit=request.form.fit))
    return in_memory(as_they_are, real, label, 1000, fingerprint)


def _digits(request: Request) -> Lazy:
    form = dataclasses.replace(request.form, channels=1)
    return tfds.load(Request("mnist", split=request.split, form=form, data_dir=request.data_dir))


def red_digits(stacks: Examples) -> Examples:
    """The first digit of each stack, with its own class."""
    before = stacks.description
    shape = (*before.shape[:2], 1)
    description = Description(shape, 10, before.examples, digest(before.fingerprint, "red"))
    assert stacks.label is not None
    return Examples(description, stacks.real[..., :1], stacks.label // 100)


STACKED_MNIST = Kind(
    "stacked_mnist",
    f"{STACKS:,} images of three MNIST digits each, as red, green and blue",
    load,
    has_splits=True,
)
