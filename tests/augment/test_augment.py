"""What all augmentations promise, and DiffAugment, instance noise and the probability's control."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.augment import (
    ADA,
    CATEGORIES,
    AdaptiveProbability,
    Chain,
    DiffAugment,
    InstanceNoise,
)

KEY = jax.random.key(0)
AUGMENTATIONS = {
    "diffaugment": DiffAugment(probability=0.7),
    "ada": ADA(CATEGORIES, 0.7, {"color": 0.5}),
    "noise": InstanceNoise(0.3),
    "chain": Chain((DiffAugment(("cutout",)), InstanceNoise(0.3))),
}
every_augmentation = pytest.mark.parametrize("name", AUGMENTATIONS)
with_probability = pytest.mark.parametrize("name", ["diffaugment", "ada"])


def images(n=8, side=8, channels=3):
    return jax.random.uniform(KEY, (n, side, side, channels), minval=-1)


traces = []


@jax.jit
def call(augmentation, x, key):
    traces.append(None)
    return augmentation(x, key)


def augmented(augmentation, x, key=KEY):
    return call(augmentation, x, key)


@every_augmentation
def test_keeps_shape_and_changes_images(name):
    x = images()
    y = augmented(AUGMENTATIONS[name], x)
    assert (y.shape, y.dtype) == (x.shape, x.dtype)
    assert np.isfinite(y).all()
    assert np.abs(y - x).max() > 0.1


@every_augmentation
def test_draws_are_of_the_key_and_the_example(name):
    x = images()
    y, again, other = (augmented(AUGMENTATIONS[name], x, jax.random.key(i)) for i in (0, 0, 1))
    np.testing.assert_array_equal(y, again)
    assert np.abs(y - other).max() > 0.1
    equal = augmented(AUGMENTATIONS[name], jnp.broadcast_to(x[:1], x.shape))
    assert len({np.asarray(row).tobytes() for row in equal}) > 1


@every_augmentation
def test_devices_do_not_matter(name):
    """Nor does the rest of the batch, then."""
    x = images()
    split = jax.vmap(lambda x: AUGMENTATIONS[name](x, KEY, "devices"), axis_name="devices")
    parts = jax.jit(split)(x.reshape(4, 2, *x.shape[1:])).reshape(x.shape)
    np.testing.assert_allclose(parts, augmented(AUGMENTATIONS[name], x), atol=1e-5)


@with_probability
@pytest.mark.parametrize("channels", [1, 3], ids=["grey", "colour"])
def test_probability_is_traced(name, channels):
    x = images(channels=channels)
    with_ = AUGMENTATIONS[name].replace
    never, sometimes, always = (augmented(with_(probability=p), x) for p in (0.0, 0.3, 1.0))
    before = len(traces)
    augmented(with_(probability=0.5), x)
    assert len(traces) == before
    np.testing.assert_array_equal(never, x)  # bit for bit
    # What is drawn for an example is the same with a higher probability: only more of it happens.
    changed = [np.any(y != x, axis=(1, 2, 3)) for y in (sometimes, always)]
    assert (changed[0] <= changed[1]).all()
    assert changed[1].all()


@every_augmentation
def test_derivatives(name):
    """At one key an augmentation is an affine function f, so that ⟨c, f(x + v) − f(x)⟩ is
    ⟨∇⟨c, f⟩, v⟩. Second derivatives are those of a penalty on gradients through it."""
    x, f = images(), AUGMENTATIONS[name]
    v = jax.random.normal(jax.random.key(1), x.shape)

    def penalty(x):
        gradient = jax.grad(lambda x: jnp.sum(jnp.tanh(f(x, KEY))))(x)
        return jnp.sum(jnp.square(gradient))

    @jax.jit
    def products(x, v):
        y, pull_back = jax.vjp(lambda x: f(x, KEY), x)
        change = f(x + v, KEY) - y
        return jnp.vdot(change, change), jnp.vdot(pull_back(change)[0], v)

    @jax.jit
    def derivatives(x, eps):
        gradient = jax.grad(penalty)(x)
        norm = jnp.linalg.norm(gradient)
        step = eps * gradient / norm
        ahead, behind = jax.lax.map(penalty, jnp.stack([x + step, x - step]))
        return (ahead - behind) / (2 * eps), norm

    difference, derivative = products(x, v)
    assert difference > 10
    np.testing.assert_allclose(derivative, difference, rtol=1e-4)
    difference, derivative = derivatives(x, 0.1)
    assert derivative > 1
    np.testing.assert_allclose(derivative, difference, rtol=1e-2)


def test_chain_draws_anew_for_each_and_sets_their_probability():
    twice = Chain((InstanceNoise(3.0), InstanceNoise(4.0)))
    noise = augmented(twice, jnp.zeros((64, 100)))
    np.testing.assert_allclose(np.std(noise), 5.0, rtol=0.05)

    chain = Chain((DiffAugment(), InstanceNoise(0.0)))
    x = images()
    assert np.any(augmented(chain, x) != x)
    np.testing.assert_array_equal(augmented(chain.replace(probability=0.0), x), x)


@pytest.mark.parametrize("shape", [(500, 2), (20, 5, 5, 3)], ids=["points", "images"])
def test_instance_noise_is_white(shape):
    x = jnp.broadcast_to(jnp.arange(shape[-1], dtype=jnp.float32), shape)
    of_std = jax.jit(jax.vmap(lambda std: InstanceNoise(std)(x, KEY)))
    noise = np.asarray(of_std(jnp.array([0.0, 0.5]))) - x
    np.testing.assert_array_equal(noise[0], 0)
    n = x.size
    assert abs(noise[1].mean()) < 4 * 0.5 / n**0.5
    assert abs(noise[1].std() - 0.5) < 4 * 0.5 / (2 * n) ** 0.5


def test_color_of_diffaugment():
    n = 1000
    x = np.float64(images(n, 4))
    y = np.float64(augmented(DiffAugment(("color",)), jnp.float32(x)))

    def parts(x):
        """A image is the sum of its mean, the greys of its pixels, and the rest."""
        mean = x.mean(axis=(1, 2, 3), keepdims=True)
        grey = x.mean(axis=3, keepdims=True) - mean
        return mean, grey, x - mean - grey

    # Contrast scales the last two, saturation the last one.
    (mean, grey, rest), (mean_y, grey_y, rest_y) = parts(x), parts(y)
    brightness = (mean_y - mean).ravel()
    contrast = (grey_y * grey).sum(axis=(1, 2, 3)) / (grey**2).sum(axis=(1, 2, 3))
    product = (rest_y * rest).sum(axis=(1, 2, 3)) / (rest**2).sum(axis=(1, 2, 3))
    b, c, cs = (a.reshape(n, 1, 1, 1) for a in (brightness, contrast, product))
    np.testing.assert_allclose(y, mean + b + c * grey + cs * rest, atol=1e-5)

    ranges = {"brightness": (-0.5, 0.5), "contrast": (0.5, 1.5), "saturation": (0, 2)}
    drawn = (brightness, contrast, product / contrast)
    for values, (low, high) in zip(drawn, ranges.values(), strict=True):
        assert low - 1e-4 <= values.min() < low + 0.02 * (high - low)
        assert high - 0.02 * (high - low) < values.max() <= high + 1e-4
        assert abs(values.mean() - (low + high) / 2) < 4 * (high - low) / (12 * n) ** 0.5
    assert np.abs(np.corrcoef(drawn) - np.eye(3)).max() < 4 / n**0.5


@pytest.mark.parametrize("side", [16, 12])
def test_translation_of_diffaugment(side):
    reach = 2  # an eighth, rounded
    x = jnp.broadcast_to(images(1, side), (400, side, side, 3))
    padded = np.pad(x[0], ((reach, reach), (reach, reach), (0, 0)))
    shifts = {(i, j): padded[i:, j:][:side, :side].tobytes() for i in range(5) for j in range(5)}
    drawn = [np.asarray(y).tobytes() for y in augmented(DiffAugment(("translation",)), x)]
    assert set(drawn) == set(shifts.values())  # each of 25 shifts, and nothing else


@pytest.mark.parametrize(("side", "size"), [(8, 4), (9, 5)])
def test_cutout_of_diffaugment(side, size):
    x = images(300, side) + 2  # nothing is 0
    y = np.asarray(augmented(DiffAugment(("cutout",)), x))
    cut = np.all(y == 0, axis=3)
    np.testing.assert_array_equal(y, np.where(cut[..., None], 0, x))
    starts = range(-(size // 2), side + 1 - size % 2 - size // 2)
    expected = set()
    for i in starts:
        for j in starts:
            mask = np.zeros((side, side), bool)
            mask[max(i, 0) : i + size, max(j, 0) : j + size] = True
            expected.add(mask.tobytes())
    found = {mask.tobytes() for mask in cut}
    assert found <= expected
    assert len(found) > 0.9 * len(expected)


@pytest.mark.parametrize(
    ("policy", "times"), [(("cutout",), 1), (("color", "cutout"), 2), (("cutout", "color"), 2)]
)
def test_each_of_a_policy_happens_with_the_probability(policy, times):
    n, p = 1000, 0.3
    x = images(n, 4) + 2
    y = augmented(DiffAugment(policy, p), x)
    fraction = np.mean(np.any(y != x, axis=(1, 2, 3)))
    expected = 1 - (1 - p) ** times
    assert abs(fraction - expected) < 4 * (expected * (1 - expected) / n) ** 0.5


@pytest.mark.parametrize(
    ("augmentation", "names", "message"),
    [
        (DiffAugment, ("color", "blur"), "unknown policy 'blur'"),
        (ADA, ("blit", "translation"), "unknown category 'translation'"),
    ],
)
def test_unknown_names(augmentation, names, message):
    with pytest.raises(ValueError, match=message):
        augmentation(names)


def test_adaptive_probability_step_by_step():
    control = AdaptiveProbability(target=0.5, images=80, every=2)
    update = jax.jit(control.update)
    sure, unsure = jnp.array([0.1, 5.0, 2.0, -1.0]), jnp.array([1.0, -1.0, 2.0, -3.0])
    memory = control.initial()
    steps = [
        # logits of 4 images, then what is remembered
        (sure, 0.0, 2, 4),  # signs + + + −
        (2 * sure, 0.0, 0, 0),  # r = 4/8, just the target
        (sure, 0.0, 2, 4),
        (jnp.ones(4), 0.1, 0, 0),  # r = 6/8 above the target: up by 8/80
        (jnp.ones(4), 0.1, 4, 4),
        (jnp.ones(4), 0.2, 0, 0),
        (unsure, 0.2, 0, 4),
        (jnp.zeros(4), 0.1, 0, 0),  # r = 0 below the target: down by 8/80
    ]
    for logits, probability, sign_sum, count in steps:
        memory = update(memory, logits)
        np.testing.assert_allclose(memory["probability"], probability, atol=1e-6)
        assert (memory["sign_sum"], memory["count"]) == (sign_sum, count)
        assert {leaf.dtype for leaf in jax.tree.leaves(memory)} == {jnp.dtype(jnp.float32)}


@pytest.mark.parametrize(("logit", "start", "end"), [(1.0, 0.0, 1.0), (-1.0, 0.3, 0.0)])
def test_adaptive_probability_stays_within_0_and_1(logit, start, end):
    control = AdaptiveProbability(images=100, every=1)
    memory = control.initial() | {"probability": jnp.float32(start)}
    logits = jnp.full(10, logit)
    for _ in range(9):
        memory = control.update(memory, logits)
    # From 0 to 1 takes 100 images, not 90.
    np.testing.assert_allclose(memory["probability"], 0.9 if end else 0.0, atol=1e-6)
    for _ in range(3):
        memory = control.update(memory, logits)
    assert memory["probability"] == end
