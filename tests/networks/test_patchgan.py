"""PatchGAN: what a logit sees, parameters, the published architecture in torch, and penalties."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import abstract, arbitrary

from gan_jax.critic import Critic, of_examples
from gan_jax.errors import InputError
from gan_jax.networks.base import Form
from gan_jax.networks.patchgan import Discriminator, DiscriminatorSection, smallest
from gan_jax.objectives.critic import Discriminator as Judging
from gan_jax.regularizers import R1, R2, LeCam, WassersteinGP
from gan_jax.state import TrainState

KEY = jax.random.key(0)
SMALL = Discriminator(width=2, layers=1)


def images(*shape, seed=0):
    return jax.random.uniform(jax.random.key(seed), shape, minval=-1)


@functools.cache
def variables(module, channels=3):
    side = smallest(module.layers)
    return arbitrary(abstract(module, jnp.zeros((1, side, side, channels)))[1])


def count(module):
    _, shapes = abstract(module, jnp.zeros((1, 64, 64, 3)))
    return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(shapes["params"]))


def test_parameters_are_the_published_ones_without_biases_before_norms():
    kernels = 4 * 4 * (3 * 64 + 64 * 128 + 128 * 256 + 256 * 512 + 512 * 1)
    before_norms = 128 + 256 + 512
    assert count(Discriminator()) == kernels + 64 + 1
    assert count(Discriminator(norm="none")) == kernels + 64 + before_norms + 1 == 2_764_737
    assert count(Discriminator(norm="spectral")) == 2_764_737


def test_the_width_doubles_up_to_eight_times():
    _, shapes = abstract(Discriminator(width=2, layers=5), jnp.zeros((1, 96, 96, 1)))
    widths = {name: layer["kernel"].shape[2:] for name, layer in shapes["params"].items()}
    assert widths == {
        "down_0": (1, 2), "down_1": (2, 4), "down_2": (4, 8), "down_3": (8, 16), "down_4": (16, 16),
        "wide": (16, 16), "logits": (16, 1),
    }  # fmt: skip


@pytest.mark.parametrize(("layers", "patch"), [(1, 16), (2, 34), (3, 70), (4, 142)])
def test_a_logit_sees_a_patch(layers, patch):
    """Measured by its gradient. The fourth logit of a row sees all but the outermost pixels of an
    image that is two pixels larger than the patch."""
    module = Discriminator(width=1, layers=layers, norm="none")
    side = patch + 2
    assert side % 2**layers == 0

    @jax.jit
    @jax.grad
    def gradient(x):
        logits = module.apply(variables(module, 1), x)
        assert logits.shape == (1, 7, 7)
        return logits[0, 3, 3]

    seen = np.asarray(gradient(images(1, side, side, 1)))[0, ..., 0] != 0
    expected = np.zeros((side, side), bool)
    expected[1:-1, 1:-1] = True
    np.testing.assert_array_equal(seen, expected)


@pytest.mark.parametrize(
    ("layers", "sides", "logits"),
    [(3, (256, 256), (30, 30)), (3, (24, 40), (1, 3)), (1, (6, 8), (1, 2))],
)
def test_sizes_of_the_map(layers, sides, logits):
    shape, _ = abstract(Discriminator(width=1, layers=layers), jnp.zeros((2, *sides, 3)))
    assert shape.shape == (2, *logits)
    assert shape.dtype == jnp.float32


@pytest.mark.parametrize("sides", [(16, 24), (24, 28)])
def test_images_that_do_not_fit_are_refused(sides):
    message = rf"3 halvings .* multiples of 8 from 24 on, not {sides[0]}×{sides[1]}"
    with pytest.raises(ValueError, match=message):
        abstract(Discriminator(width=1), jnp.zeros((1, *sides, 3)))


def test_unknown_norms_are_refused(unchecked):
    with pytest.raises(ValueError, match="unknown norm 'batch': one of instance, spectral, none"):
        abstract(Discriminator(width=1, norm="batch"), jnp.zeros((1, 24, 24, 3)))


@pytest.mark.parametrize("norm", ["instance", "none"])
def test_the_published_architecture(norm):
    torch = pytest.importorskip("torch")
    F = torch.nn.functional
    module = Discriminator(width=2, norm=norm)
    weights = variables(module)["params"]
    x = images(2, 40, 32, 3)
    y = torch.from_numpy(np.array(x)).permute(0, 3, 1, 2)
    for name in ("down_0", "down_1", "down_2", "wide", "logits"):
        kernel = torch.from_numpy(np.array(weights[name]["kernel"])).permute(3, 2, 0, 1)
        bias = weights[name].get("bias")
        bias = None if bias is None else torch.from_numpy(np.array(bias))
        y = F.conv2d(y, kernel, bias, stride=2 if name.startswith("down") else 1, padding=1)
        if name != "logits":
            normed = norm == "instance" and name != "down_0"
            y = F.leaky_relu(F.instance_norm(y) if normed else y, 0.2)
    ours = jax.jit(module.apply)(variables(module), x)
    np.testing.assert_allclose(ours, y[:, 0], rtol=1e-3, atol=1e-4)


def test_spectral_norm_has_vectors_for_every_layer():
    module = Discriminator(width=2, norm="spectral")
    _, shapes = abstract(module, jnp.zeros((1, 24, 24, 3)))
    assert set(shapes["spectral"]) == {"down_0", "down_1", "down_2", "wide", "logits"}


# ---- patches and penalties ----


def judging(module, x):
    state = TrainState.create(apply_fn=module.apply, variables=variables(module), tx=optax.sgd(1.0))
    return Judging(state, state.params, None, None, KEY, None), x


def test_an_example_has_the_mean_of_its_patches():
    raw = jnp.array([[[1.0, 2.0], [3.0, 6.0]], [[0.0, 0.0], [0.0, 4.0]]])
    assert of_examples(raw).tolist() == [3, 1]
    assert of_examples(raw[:, 0, 0]).tolist() == [1, 0]
    critic = Critic.of(lambda x: of_examples(raw), raw, raw)
    assert critic.real.logits.tolist() == critic.real.patches.tolist() == [3, 1]


def test_what_was_judged_knows_its_patches_and_their_mean():
    discriminator, x = judging(SMALL, images(3, 8, 6, 3))
    judged = discriminator.judge(x)
    raw = SMALL.apply(variables(SMALL), x)
    assert raw.shape == (3, 2, 1)
    np.testing.assert_allclose(judged.patches, np.ravel(raw), rtol=1e-5)
    np.testing.assert_allclose(judged.logits, raw.mean((1, 2)), rtol=1e-5)
    np.testing.assert_allclose(discriminator(x), judged.logits, rtol=1e-5)
    np.testing.assert_allclose(discriminator.logits(x), judged.patches, rtol=1e-5)
    for both, alone in zip(discriminator.judge_together(x, -x), (x, -x), strict=True):
        np.testing.assert_allclose(both, np.ravel(SMALL.apply(variables(SMALL), alone)), rtol=1e-4)


def test_gradients_are_those_of_the_mean_over_patches():
    discriminator, x = judging(SMALL, images(3, 8, 8, 3))

    def logit(image):
        return jnp.mean(SMALL.apply(variables(SMALL), image[None]))

    expected = np.stack([jax.grad(logit)(image) for image in x]).reshape(3, -1)
    np.testing.assert_allclose(discriminator.judge(x).gradients, expected, atol=1e-6)


def test_r1_of_patches_by_hand():
    """Patches are twice the means of 2×2 pixels: the mean over 2×2 patches has a gradient of 2/16
    at each of 16 pixels, whose square is 16·(2/16)² = ¼."""

    def patches(variables, x, label, train):
        return 2 * x.reshape(len(x), 2, 2, 2, 2).mean((2, 4)) + variables["params"]["bias"]

    state = TrainState.create(
        apply_fn=patches, variables={"params": {"bias": jnp.zeros(())}}, tx=optax.sgd(1.0)
    )
    real, fake = images(3, 4, 4, 1), images(3, 4, 4, 1, seed=1)
    discriminator = Judging(state, state.params, None, None, KEY, None)
    critic = Critic(discriminator, discriminator.judge(real), discriminator.judge(fake))
    for penalty in (R1(3.0), R2(3.0)):
        np.testing.assert_allclose(penalty(critic, real, fake, KEY), 3 / 2 / 4, rtol=1e-5)
    between = WassersteinGP(3.0)(critic, real, fake, KEY)
    np.testing.assert_allclose(between, 3 * (0.5 - 1) ** 2, rtol=1e-5)


def test_lecam_is_of_examples():
    """Of an example's mean logit, not of every patch."""
    discriminator, real = judging(SMALL, images(2, 8, 8, 3))
    fake = images(2, 8, 8, 3, seed=1)
    critic = Critic(discriminator, discriminator.judge(real), discriminator.judge(fake))
    penalty = LeCam(weight=1.0, decay=0.0)
    value, memory = penalty(critic, real, fake, KEY, penalty.initial())
    r, f = (np.asarray(SMALL.apply(variables(SMALL), x)).mean((1, 2)) for x in (real, fake))
    np.testing.assert_allclose([memory["real"], memory["fake"]], [r.mean(), f.mean()], rtol=1e-4)
    expected = np.mean((r - f.mean()) ** 2) + np.mean((f - r.mean()) ** 2)
    np.testing.assert_allclose(value, expected, rtol=1e-4)


@pytest.mark.parametrize(
    ("form", "match"),
    [
        (Form((28, 28, 3)), r"discriminator\.layers 3 .* multiples of 8 from 24 pixels on, not 28"),
        (Form((16, 16, 3)), r"discriminator\.layers 3 .* multiples of 8 from 24 pixels on, not 16"),
        (Form((24, 24, 3), num_classes=2), r"discriminator\.kind patchgan knows no classes"),
        (Form((2,)), "the data are points"),
    ],
)
def test_data_that_do_not_fit_are_refused_in_a_line(form, match):
    with pytest.raises(InputError, match=match) as error:
        DiscriminatorSection().check(form, "discriminator")
    assert "\n" not in str(error.value)


def test_its_section_builds_it(unchecked):
    section = DiscriminatorSection(width=8, layers=1, norm="spectral")
    section.check(Form((6, 6, 3)), "discriminator")
    assert section.build(Form((6, 6, 3))) == Discriminator(8, 1, "spectral", jnp.dtype("float32"))
    for wrong in (DiscriminatorSection(norm="batch"), DiscriminatorSection(layers=0)):
        with pytest.raises(InputError, match=r"discriminator\.(norm|layers)"):
            wrong.validate("discriminator")
