"""CycleGAN's generators: sizes, parameters, and the published architecture written in torch."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import abstract, arbitrary

from gan_jax.errors import InputError
from gan_jax.networks.base import Form
from gan_jax.networks.cyclegan import Translator, TranslatorSection

KEY = jax.random.key(0)
SMALL = Translator(width=2, blocks=1)


def images(*shape):
    return jax.random.uniform(KEY, shape, minval=-1)


@functools.cache
def variables(module, channels=3):
    _, shapes = abstract(module, jnp.zeros((1, 16, 16, channels)))
    return arbitrary(shapes)


def count(module, side, channels=3):
    _, shapes = abstract(module, jnp.zeros((1, side, side, channels)))
    assert set(shapes) == {"params"}
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes))


@pytest.mark.parametrize(("blocks", "published"), [(9, 11.378e6), (6, 7.838e6)])
def test_parameters_are_the_published_ones_without_biases_before_norms(blocks, published):
    down = 7 * 7 * 3 * 64 + 3 * 3 * 64 * 128 + 3 * 3 * 128 * 256
    up = 3 * 3 * 256 * 128 + 3 * 3 * 128 * 64 + 7 * 7 * 64 * 3
    kernels = down + blocks * 2 * 3 * 3 * 256 * 256 + up
    before_norms = 64 + 128 + 256 + blocks * 2 * 256 + 128 + 64
    assert count(Translator(blocks=blocks), 64) == kernels + 3
    assert abs(kernels + before_norms + 3 - published) < 500


def test_the_number_of_blocks_is_that_of_the_paper():
    for side, blocks in ((128, 6), (252, 6), (256, 9), (512, 9)):
        built = TranslatorSection().build(Form((side, side, 3)))
        assert (built.blocks, built.width, built.upsampling) == (blocks, 64, "transpose")
    section = TranslatorSection(width=8, blocks=2, upsampling="resize", dtype="bfloat16")
    built = section.build(Form((256, 256, 1)))
    assert built == Translator(1, 8, 2, "resize", jnp.dtype(jnp.bfloat16))


def test_a_change_of_channels_changes_the_ends():
    assert count(Translator(channels=1), 16, 1) == count(Translator(), 16) - 7 * 7 * 64 * 4 - 2


@pytest.mark.parametrize("upsampling", ["transpose", "resize"])
def test_images_keep_their_size_whatever_it_is(upsampling):
    module = SMALL.clone(upsampling=upsampling)
    assert sorted(variables(module)["params"]) == sorted(
        ["in", "down_1", "down_2", "block_0_1", "block_0_2", "up_1", "up_2", "image"]
    )
    x = images(2, 20, 16, 3)
    y = jax.jit(module.apply)(variables(module), x)
    assert y.shape == x.shape
    assert y.dtype == jnp.float32
    assert (np.abs(y) < 1).all()
    assert np.std(y) > 0.1


@pytest.mark.parametrize("shape", [(16, 18), (12, 16), (8, 8)])
def test_sides_that_do_not_fit_are_refused(shape):
    with pytest.raises(ValueError, match=rf"multiples of 4 from 16 on, not {shape[0]}×{shape[1]}"):
        abstract(SMALL, jnp.zeros((1, *shape, 3)))


def test_computes_in_bfloat16_with_float32_parameters():
    y, shapes = abstract(SMALL.clone(dtype=jnp.bfloat16), jnp.zeros((1, 16, 16, 3)))
    assert {leaf.dtype for leaf in (y, *jax.tree.leaves(shapes))} == {jnp.dtype(jnp.float32)}


def test_an_image_is_translated_by_itself_and_in_training_alike():
    x = images(2, 16, 16, 3)
    apply = jax.jit(SMALL.apply, static_argnames="train")
    both = apply(variables(SMALL), x, train=True)
    np.testing.assert_allclose(apply(variables(SMALL), x[1:], train=False), both[1:], atol=1e-5)


@pytest.mark.parametrize("upsampling", ["transpose", "resize"])
def test_the_published_architecture(upsampling):
    """In torch, layer by layer. Biases before instance norm would be taken away by it."""
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    module = Translator(width=2, blocks=2, upsampling=upsampling)
    weights = variables(module)["params"]
    x = images(2, 16, 20, 3)

    def kernel(name, order=(3, 2, 0, 1)):
        return torch.from_numpy(np.array(weights[name]["kernel"])).permute(*order)

    def reflected(x, name, bias=None):
        edge = kernel(name).shape[-1] // 2
        return F.conv2d(F.pad(x, [edge] * 4, mode="reflect"), kernel(name), bias)

    y = torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)
    y = F.relu(F.instance_norm(reflected(y, "in")))
    for i in (1, 2):
        y = F.conv2d(y, kernel(f"down_{i}"), stride=2, padding=1)
        y = F.relu(F.instance_norm(y))
    for i in range(2):
        inside = F.relu(F.instance_norm(reflected(y, f"block_{i}_1")))
        y = y + F.instance_norm(reflected(inside, f"block_{i}_2"))
    for i in (1, 2):
        if upsampling == "transpose":
            transposed = kernel(f"up_{i}", (2, 3, 0, 1))
            y = F.conv_transpose2d(y, transposed, stride=2, padding=1, output_padding=1)
        else:
            y = F.conv2d(F.interpolate(y, scale_factor=2), kernel(f"up_{i}"), padding=1)
        y = F.relu(F.instance_norm(y))
    y = torch.tanh(reflected(y, "image", torch.from_numpy(np.array(weights["image"]["bias"]))))
    ours = jax.jit(module.apply)(variables(module), x)
    np.testing.assert_allclose(ours, y.permute(0, 2, 3, 1), atol=1e-4)


@pytest.mark.parametrize(
    ("settings", "match"),
    [
        ({"width": 0}, r"generator\.width"),
        ({"blocks": -1}, r"generator\.blocks"),
        ({"upsampling": "bilinear"}, r"generator\.upsampling.*transpose, resize"),
        ({"dtype": "float16"}, r"generator\.dtype"),
    ],
)
def test_settings_that_do_not_exist_are_refused_in_a_line(unchecked, settings, match):
    with pytest.raises(InputError, match=match) as error:
        TranslatorSection(**settings).validate("generator")
    assert "\n" not in str(error.value)


def test_points_are_no_images():
    with pytest.raises(InputError, match="the data are points") as error:
        TranslatorSection().check(Form((2,)), "generator")
    assert "\n" not in str(error.value)
    TranslatorSection().check(Form((64, 64, 3)), "generator")
