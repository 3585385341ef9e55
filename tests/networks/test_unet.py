"""pix2pix's generator against its arithmetic in PyTorch, and what its noise depends on."""

import functools
import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers import abstract, arbitrary, split

from gan_jax.errors import InputError
from gan_jax.networks import unet
from gan_jax.networks.base import Form
from gan_jax.networks.base import TranslatorSection as AnyTranslatorSection
from gan_jax.networks.unet import Translator, TranslatorSection

KEY = jax.random.key(0)


@functools.cache
def example(dropout=0.5):
    """A small network, an input of four examples, and arbitrary variables."""
    module = Translator(channels=3, width=2, halvings=4, dropout=dropout)
    x = jax.random.normal(KEY, (4, 16, 32, 2))
    _, shapes = abstract(module, x)
    return module, x, arbitrary(shapes)


@functools.cache
def made(key=None):
    module, x, variables = example()
    if key is None:
        return jax.jit(module.apply)(variables, x)
    apply = functools.partial(module.apply, key=jax.random.key(key), train=True)
    return jax.jit(apply)(variables, x)


def torch_unet(torch, params, x, halvings):
    """The published code's, of any number of halvings, with instance norm."""
    functional = torch.nn.functional
    weights = jax.tree.map(lambda p: torch.tensor(np.float64(p)), params)

    def norm(x):
        return functional.instance_norm(x, eps=1e-5)

    def down(x, name):
        kernel = weights[name]["kernel"].permute(3, 2, 0, 1)
        return functional.conv2d(x, kernel, weights[name].get("bias"), stride=2, padding=1)

    def up(x, name):
        kernel = weights[name]["kernel"].permute(2, 3, 0, 1)
        bias = weights[name].get("bias")
        return functional.conv_transpose2d(x, kernel, bias, stride=2, padding=1)

    def inside(x, i):
        """What is concatenated to the input of a level, from the levels below it."""
        x = functional.leaky_relu(x, 0.2)
        if i == halvings - 1:
            y = down(x, f"down_{i}")
        else:
            y = norm(down(x, f"down_{i}"))
            y = torch.cat([inside(y, i + 1), y], 1)
        return norm(up(functional.relu(y), f"up_{i - 1}"))

    x = torch.tensor(np.float64(x)).permute(0, 3, 1, 2)
    y = down(x, "down_0")
    y = torch.cat([inside(y, 1), y], 1)
    return torch.tanh(up(functional.relu(y), "image")).permute(0, 2, 3, 1).numpy()


def test_arithmetic_is_pytorch_s():
    torch = pytest.importorskip("torch")
    module, x, variables = example()
    expected = torch_unet(torch, variables["params"], x, module.halvings)
    assert np.std(expected) > 0.1
    np.testing.assert_allclose(made(), expected, rtol=0, atol=1e-4)


def test_parameters_of_the_paper_s_network():
    """At 256 pixels: C64-C128-C256-C512-C512-C512-C512-C512, and back."""
    _, variables = abstract(Translator(), jnp.ones((1, 256, 256, 3)))
    params = variables["params"]
    widths = [64, 128, 256, 512, 512, 512, 512, 512]
    pairs = enumerate(itertools.pairwise([3, *widths]))
    down = {f"down_{i}": (4, 4, *pair) for i, pair in pairs}
    up = {f"up_{i}": (4, 4, 2 * widths[i + 1], widths[i]) for i in range(6)}
    up |= {"up_6": (4, 4, 512, 512), "image": (4, 4, 128, 3)}
    assert {name: layer["kernel"].shape for name, layer in params.items()} == down | up
    # A bias before instance norm would do nothing.
    assert {k for k, layer in params.items() if "bias" in layer} == {"down_0", "down_7", "image"}

    kernels = sum(math.prod(shape) for shape in (down | up).values())
    count = sum(leaf.size for leaf in jax.tree.leaves(params))
    assert count == kernels + 64 + 512 + 3 == 54_404_675
    # The published network has gains and biases of batch norm instead, and one bias.
    affine = 2 * (sum(widths[1:7]) + sum(widths[:7]))
    assert kernels + affine + 3 == 54_413_955  # which its authors round to 54.414 M


def test_images_of_any_channels_and_sides():
    module = Translator(channels=1, width=1, halvings=3)
    y, _ = abstract(module, jnp.ones((2, 8, 24, 4)))
    assert (y.shape, y.dtype) == ((2, 8, 24, 1), jnp.float32)
    y, variables = abstract(Translator(width=1, halvings=1), jnp.ones((1, 2, 2, 3)))
    assert y.shape == (1, 2, 2, 3)
    assert set(variables["params"]) == {"down_0", "image"}


def test_the_innermost_pixel_counts():
    """A norm would have made it 0."""
    module, x, variables = example()
    params = variables["params"]
    other = params | {"down_3": jax.tree.map(lambda p: -p, params["down_3"])}
    y = jax.jit(module.apply)({"params": other}, x[:1, :, :16])
    assert np.abs(y - jax.jit(module.apply)(variables, x[:1, :, :16])).max() > 1e-2


# Noise.


def test_without_a_key_there_is_no_noise():
    plain, x, variables = example(0.0)
    y = jax.jit(functools.partial(plain.apply, train=True))(variables, x)
    np.testing.assert_array_equal(y, made())
    keyed = jax.jit(functools.partial(plain.apply, key=KEY))(variables, x)
    np.testing.assert_array_equal(keyed, made())


def test_noise_is_of_the_key_and_the_example():
    assert np.abs(made(1) - made()).max() > 0.01
    assert np.abs(made(1) - made(2)).max() > 0.01
    module, x, variables = example()
    same = jnp.broadcast_to(x[:1], x.shape)
    y = jax.jit(functools.partial(module.apply, key=jax.random.key(1)))(variables, same)
    assert all(np.abs(y[i] - y[0]).max() > 0.01 for i in (1, 2, 3))
    np.testing.assert_allclose(y[0], made(1)[0], atol=1e-6)


def test_noise_does_not_depend_on_how_a_batch_is_spread():
    module, x, variables = example()

    def member(x):
        return module.apply(variables, x, key=jax.random.key(1), axis_name="i")

    y = jax.jit(jax.vmap(member, axis_name="i"))(split({"x": x})["x"])
    np.testing.assert_allclose(y.reshape(made(1).shape), made(1), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("halvings", "sides"), [(6, [2, 4, 8]), (3, [2, 4]), (1, [])])
def test_three_innermost_layers_are_noisy(monkeypatch, halvings, sides):
    seen = []
    monkeypatch.setattr(unet, "_drop", lambda x, *_: seen.append(x.shape[1]) or x)
    module, side = Translator(width=1, halvings=halvings), 2**halvings
    jax.eval_shape(functools.partial(module.init, key=KEY), KEY, jnp.ones((1, side, side, 3)))
    assert seen == sides


def test_what_is_not_dropped_makes_up_for_it():
    x = 1 + jax.random.uniform(KEY, (4, 20, 20, 8))
    y = unet._drop(x, 0.25, KEY, None)
    kept = y != 0
    np.testing.assert_allclose(y[kept], x[kept] / 0.75, rtol=1e-6)
    # Four standard deviations of a share of 12800.
    assert abs(kept.mean() - 0.75) < 4 * math.sqrt(0.75 * 0.25 / x.size)


# Interfaces.


@pytest.mark.parametrize("channels", [1, 4])
def test_with_a_skip_it_begins_with_its_input(channels):
    x = jax.random.uniform(KEY, (2, 8, 8, channels), minval=-1)
    module = Translator(width=2, halvings=2, skip=True)
    variables = module.init(KEY, x)
    start = jnp.broadcast_to(x[..., :3], (2, 8, 8, 3))
    np.testing.assert_array_equal(module.apply(variables, x), start)
    other = arbitrary(variables)
    without = module.clone(skip=False).apply(other, x)
    np.testing.assert_allclose(module.apply(other, x) - start, jnp.arctanh(without), atol=1e-4)


def test_a_skip_needs_a_start():
    with pytest.raises(ValueError, match="of 2 channels are no start for ones of 3"):
        jax.eval_shape(Translator(skip=True).init, KEY, jnp.ones((1, 256, 256, 2)))


def test_bfloat16_is_close_and_ends_in_float32():
    module, x, variables = example()
    rough = jax.jit(module.clone(dtype=jnp.bfloat16).apply)(variables, x)
    assert rough.dtype == jnp.float32
    assert 0 < np.abs(rough - made()).max() < 0.1
    _, shapes = abstract(module.clone(dtype=jnp.bfloat16), x)
    assert {leaf.dtype for leaf in jax.tree.leaves(shapes)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(
    ("options", "size", "message"),
    [
        ({"halvings": 3}, (16, 20), "multiples of 8, not 16×20"),
        ({"halvings": 0}, (16, 16), "at least once, not 0"),
        ({"halvings": 1, "dropout": 1.0}, (16, 16), "from 0 to below 1, not 1.0"),
    ],
)
def test_refuses(options, size, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(Translator(width=1, **options).init, KEY, jnp.ones((1, *size, 3)))


# The section.


@pytest.mark.parametrize(
    ("side", "halvings"), [(2, 1), (4, 1), (8, 2), (32, 4), (48, 4), (64, 5), (256, 7), (1024, 8)]
)
def test_it_halves_down_to_two_pixels(side, halvings):
    section, form = TranslatorSection(width=3, dropout=0.1), Form((side, side, 1))
    module = section.build(form)
    assert module == Translator(1, 3, halvings, 0.1, False, jnp.dtype("float32"))
    assert section.multiple_of(form) == 2**halvings
    section.check(form, "generator")


def test_the_section_s_halvings_are_used():
    section, form = TranslatorSection(halvings=8, dtype="bfloat16"), Form((256, 256, 3))
    assert section.build(form) == Translator(dtype=jnp.dtype("bfloat16"))
    assert section.multiple_of(form) == 256


def test_the_kind_is_found():
    assert AnyTranslatorSection.kinds()["unet"] is TranslatorSection


@pytest.mark.parametrize(
    ("section", "form", "message"),
    [
        (
            TranslatorSection(halvings=4),
            Form((24, 24, 3)),
            "multiples of 16 from 16 on: set data.resolution to one of these, not 24",
        ),
        (
            TranslatorSection(),
            Form((64, 64, 3), scale=2),
            "unet generators do not make images 2 times as large: set generator.kind to rrdb",
        ),
        (TranslatorSection(), Form((2,)), "the data are points"),
    ],
)
def test_section_refuses_forms(section, form, message):
    with pytest.raises(InputError, match=message) as error:
        section.check(form, "generator")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"dropout": 1.0}, "generator.dropout is at least 0 and below 1, not 1.0"),
        ({"halvings": 0}, "generator.halvings is at least 1, not 0"),
        ({"width": 0}, "generator.width is at least 1, not 0"),
    ],
)
def test_section_refuses_fields(fields, message):
    with pytest.raises(InputError, match=message):
        TranslatorSection(**fields).validate("generator")
