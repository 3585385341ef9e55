"""ESRGAN's generator: its published size and arithmetic, and where its training begins."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import abstract, arbitrary

from gan_jax.errors import InputError
from gan_jax.inference import tiles
from gan_jax.networks.base import Form
from gan_jax.networks.base import TranslatorSection as AnyTranslatorSection
from gan_jax.networks.resampling import resize
from gan_jax.networks.rrdb import SCALES, Translator, TranslatorSection

KEY = jax.random.key(0)
SMALL = {"width": 4, "growth": 3, "blocks": 2}


@functools.cache
def example(**options):
    """A small network, an input of two examples, and arbitrary variables."""
    module = Translator(**SMALL | options)
    x = jax.random.uniform(KEY, (2, 6, 8, 3), minval=-1)
    _, shapes = abstract(module, x)
    return module, x, arbitrary(shapes)


@functools.cache
def made(**options):
    module, x, variables = example(**options)
    return jax.jit(module.apply)(variables, x)


def torch_rrdb(torch, params, x, scale, blocks):
    """The published code's."""
    functional = torch.nn.functional
    weights = jax.tree.map(lambda p: torch.tensor(np.float64(p)), params)

    def conv(x, layer):
        return functional.conv2d(x, layer["kernel"].permute(3, 2, 0, 1), layer["bias"], padding=1)

    def leaky(x):
        return functional.leaky_relu(x, 0.2)

    def dense(x, block):
        x1 = leaky(conv(x, block["conv_0"]))
        x2 = leaky(conv(torch.cat((x, x1), 1), block["conv_1"]))
        x3 = leaky(conv(torch.cat((x, x1, x2), 1), block["conv_2"]))
        x4 = leaky(conv(torch.cat((x, x1, x2, x3), 1), block["conv_3"]))
        return conv(torch.cat((x, x1, x2, x3, x4), 1), block["conv_4"]) * 0.2 + x

    fea = y = conv(torch.tensor(np.float64(x)).permute(0, 3, 1, 2), weights["in"])
    for i in range(blocks):
        block = weights[f"block_{i}"]
        y = dense(dense(dense(y, block["dense_0"]), block["dense_1"]), block["dense_2"]) * 0.2 + y
    y = fea + conv(y, weights["body"])
    for i in range(int(math.log2(scale))):
        y = functional.interpolate(y, scale_factor=2, mode="nearest")
        y = leaky(conv(y, weights[f"up_{i + 1}"]))
    y = conv(leaky(conv(y, weights["out"])), weights["image"])
    return y.permute(0, 2, 3, 1).numpy()


@pytest.mark.parametrize("scale", [1, 4])
def test_arithmetic_is_pytorch_s(scale):
    torch = pytest.importorskip("torch")
    _, x, variables = example(scale=scale, skip=False)
    expected = torch_rrdb(torch, variables["params"], x, scale, SMALL["blocks"])
    scale = np.abs(expected).max()
    assert scale > 0.1
    np.testing.assert_allclose(made(scale=expected.shape[1] // 6, skip=False), expected, rtol=0,
                               atol=1e-4 * scale)  # fmt: skip


def test_parameters_of_the_paper_s_network():
    """64 channels, 32 of growth, 23 blocks, from RGB to RGB."""

    def convolution(c_in, c_out):
        return 9 * c_in * c_out + c_out

    dense = sum(convolution(64 + 32 * i, 32) for i in range(4)) + convolution(64 + 32 * 4, 64)
    same = convolution(64, 64)
    expected = convolution(3, 64) + 23 * 3 * dense + same + 2 * same + same + convolution(64, 3)
    _, variables = abstract(Translator(), jnp.ones((1, 4, 4, 3)))
    count = sum(leaf.size for leaf in jax.tree.leaves(variables))
    assert count == expected == 16_697_987


@pytest.mark.parametrize("scale", SCALES)
def test_sizes(scale):
    y, variables = abstract(Translator(scale=scale, **SMALL), jnp.ones((2, 5, 7, 3)))
    assert (y.shape, y.dtype) == ((2, 5 * scale, 7 * scale, 3), jnp.float32)
    ups = {name for name in variables["params"] if name.startswith("up")}
    assert ups == {f"up_{i + 1}" for i in range(int(math.log2(scale)))}


@pytest.mark.parametrize(("c_in", "c_out"), [(1, 3), (4, 3), (1, 1)])
def test_training_begins_at_bicubic(c_in, c_out):
    """Of the first channels, or a single one for all."""
    module = Translator(channels=c_out, scale=2, width=2, growth=1, blocks=0)
    x = jax.random.uniform(KEY, (2, 4, 6, c_in), minval=-1)
    y, variables = jax.jit(module.init_with_output)(KEY, x)
    bicubic = jnp.broadcast_to(resize(x, 8, 12, "bicubic")[..., :c_out], (2, 8, 12, c_out))
    np.testing.assert_allclose(y, bicubic, atol=1e-6)

    def total(params):
        return jnp.sum(module.apply({"params": params}, x) ** 2)

    gradients = jax.jit(jax.grad(total))(variables["params"])
    assert np.abs(gradients["image"]["kernel"]).max() > 0


def test_without_a_skip_it_is_what_the_skip_adds_to():
    _, x, _ = example(scale=4)
    np.testing.assert_allclose(
        made(scale=4), made(scale=4, skip=False) + resize(x, 24, 32, "bicubic"), atol=1e-4
    )
    y, _ = abstract(Translator(skip=False, **SMALL), jnp.ones((1, 4, 4, 2)))
    assert y.shape == (1, 16, 16, 3)


def test_nothing_is_clipped():
    assert np.abs(made(scale=4)).max() > 1.1


def test_initial_variances():
    """Dense blocks: He et al.'s, 2/n, times 0.1²; elsewhere uniform, 1/(3n)."""
    module = Translator(skip=False, width=16, growth=8, blocks=1)
    params = jax.jit(module.init)(KEY, jnp.ones((1, 4, 4, 3)))["params"]
    for path, leaf in jax.tree.leaves_with_path(params):
        names = [part.key for part in path]
        if names[-1] == "bias":
            np.testing.assert_array_equal(leaf, 0)
            continue
        n, dense = math.prod(leaf.shape[:3]), names[0].startswith("block")
        std = 0.1 * math.sqrt(2 / n) if dense else 1 / math.sqrt(3 * n)
        tolerance = 5 / math.sqrt(2 * leaf.size)
        np.testing.assert_allclose(np.sqrt(np.mean(np.square(leaf))), std, rtol=tolerance)
        assert (np.abs(leaf).max() * math.sqrt(n) <= 1) or dense, names


def test_overlapping_tiles_make_the_whole():
    """A pixel sees one more around it for each of 1 + 15 + 1 convolutions, at most three for those
    after them, and two for bicubic."""
    module = Translator(scale=2, width=2, growth=2, blocks=1)
    image = np.float32(np.random.default_rng(0).uniform(-1, 1, (100, 96, 3)))
    _, shapes = abstract(module, jnp.ones((1, 4, 4, 3)))
    function = functools.partial(jax.jit(module.apply), arbitrary(shapes))
    whole = np.asarray(function(image[None]))[0]
    made = tiles.apply(function, image, scale=2, tile=80, overlap=2 * 20)
    assert np.abs(whole - tiles.apply(function, image, scale=2, tile=80, overlap=0)).max() > 1e-2
    np.testing.assert_allclose(made, whole, rtol=0, atol=1e-4)


def test_bfloat16_is_close_and_ends_in_float32():
    module, x, variables = example(scale=2)
    rough, exact = jax.jit(module.clone(dtype=jnp.bfloat16).apply)(variables, x), made(scale=2)
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - exact).max() < 0.05 * np.abs(exact).max()
    _, shapes = abstract(module.clone(dtype=jnp.bfloat16), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"scale": 3}, "1, 2, 4 or 8 times larger, not 3"),
        ({"scale": 2}, "of 2 channels are no start for ones of 3: take skip=False"),
    ],
)
def test_refuses(options, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(Translator(**options, **SMALL).init, KEY, jnp.ones((1, 4, 4, 2)))


# The section.


def test_section():
    section = TranslatorSection(width=5, growth=3, blocks=2, skip=False, dtype="bfloat16")
    assert AnyTranslatorSection.kinds()["rrdb"] is TranslatorSection
    form = Form((24, 24, 1), scale=8)
    section.check(form, "generator")
    assert section.build(form) == Translator(1, 8, 5, 3, 2, False, jnp.dtype("bfloat16"))
    assert TranslatorSection().build(Form((8, 8, 3), scale=4)) == Translator(
        dtype=jnp.dtype("float32")
    )
    assert (section.multiple_of(form), section.least) == (1, 1)


@pytest.mark.parametrize(
    ("form", "message"),
    [
        (Form((24, 24, 3), scale=3), "rrdb generators do not make images 3 times as large"),
        (Form((2,)), "the data are points"),
    ],
)
def test_section_refuses_forms(form, message):
    with pytest.raises(InputError, match=message) as error:
        TranslatorSection().check(form, "generator")
    assert "\n" not in str(error.value)


def test_section_refuses_fields():
    with pytest.raises(InputError, match=r"generator\.growth is at least 1, not 0"):
        TranslatorSection(growth=0).validate("generator")
