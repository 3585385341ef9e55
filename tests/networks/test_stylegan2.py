"""StyleGAN2, against its description in plain NumPy, and what it draws, averages and compares."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from gan_jax.networks import stylegan2
from gan_jax.networks.modulated import Conv, Dense, ModulatedConv, conv_filter_down, conv_filter_up

KEY = jax.random.key(0)
Z, CLASSES = 3, 4


# The description, in float64, one example at a time: x is [h, w, c], kernels [size, size, in, out].


def smooth(x, before, after, gain=1.0):
    """The filter [1, 3, 3, 1] / 8 along both axes, of a image with so many zeros around it."""
    x = np.pad(x, ((before, after), (before, after), (0, 0)))
    h, w, _ = x.shape
    kernel = gain * np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
    return sum(kernel[a, b] * x[a : a + h - 3, b : b + w - 3] for a, b in np.ndindex(4, 4))


def convolve(x, kernel, stride=1, padding=0):
    x = np.pad(x, ((padding, padding), (padding, padding), (0, 0)))
    size = len(kernel)
    h, w = (n - size + 1 for n in x.shape[:2])
    taps = np.ndindex(size, size)
    return sum(x[a : a + h : stride, b : b + w : stride] @ kernel[a, b] for a, b in taps)


def convolve_up(x, kernel):
    """Zeros between the pixels, the full 3×3 convolution, and the filter."""
    h, w, _ = x.shape
    y = np.zeros((2 * h + 1, 2 * w + 1, kernel.shape[-1]))
    for a, b in np.ndindex(3, 3):
        y[a : a + 2 * h : 2, b : b + 2 * w : 2] += x @ kernel[a, b]
    return smooth(y, 1, 1, gain=4.0)


def upsample(image):
    h, w, c = image.shape
    zeros = np.zeros((2 * h, 2 * w, c))
    zeros[::2, ::2] = image
    return smooth(zeros, 2, 1, gain=4.0)


def lrelu(x):
    return np.sqrt(2) * np.where(x > 0, x, 0.2 * x)


def normalize(x):
    return x / np.sqrt(np.mean(x**2) + 1e-8)


def dense(p, x, multiplier=1.0):
    return multiplier * (x @ p["kernel"] / np.sqrt(len(x)) + p["bias"])


def scaled(p):
    size, _, c, _ = p["kernel"].shape
    return p["kernel"] / np.sqrt(size * size * c)


def modulated(p, w, demodulate=True):
    """The example's own kernel."""
    kernel = scaled(p) * dense(p["affine"], w)[:, None]
    if demodulate:
        kernel = kernel / np.sqrt(np.sum(kernel**2, axis=(0, 1, 2)) + 1e-8)
    return kernel


def mapped(p, inputs):
    x = np.concatenate([normalize(x) for x in inputs])
    for i in range(sum(name.startswith("dense_") for name in p)):
        x = lrelu(dense(p[f"dense_{i}"], x, multiplier=0.01))
    return x


def embedded(p, label):
    """A linear layer of the one-hot class, whose weights are scaled by the number of classes."""
    table = p["label"]["embedding"]
    return table[label] / np.sqrt(len(table)) + p["label_bias"]


def generated(p, noise, z, label):
    w = mapped(p["mapping"], [z, embedded(p["mapping"], label)])
    x, image = p["constant"], 0.0
    for i, field in enumerate(noise):
        kernel = modulated(p[f"conv_{i}"], w)
        x = convolve_up(x, kernel) if i % 2 else convolve(x, kernel, padding=1)
        x = lrelu(x + p[f"noise_{i}"] * field + p[f"conv_{i}"]["bias"])
        if i % 2 == 0:
            rgb = p[f"rgb_{i // 2}"]
            image = image + convolve(x, modulated(rgb, w, demodulate=False)) + rgb["bias"]
            image = upsample(image) if i + 1 < len(noise) else image
    return image


def features(p, residual, x):
    """Of one image, at 4×4 pixels."""
    x = lrelu(convolve(x, scaled(p["rgb"])) + p["rgb"]["bias"])
    for i in (2, 1):
        y = lrelu(convolve(x, scaled(p[f"conv_{i}"]), padding=1) + p[f"conv_{i}"]["bias"])
        y = convolve(smooth(y, 2, 2), scaled(p[f"down_{i}"]), stride=2)
        y = lrelu(y + p[f"down_{i}"]["bias"])
        if residual:
            y = (y + convolve(smooth(x, 1, 1), scaled(p[f"skip_{i}"]), stride=2)) / np.sqrt(2)
        x = y
    return x


def judged(p, residual, images, labels, group):
    xs = [features(p, residual, x) for x in images]
    logits = []
    for i, (x, label) in enumerate(zip(xs, labels, strict=True)):
        neighbours = np.stack(xs[i - i % group : i - i % group + group])
        std = np.sqrt(np.mean((neighbours - neighbours.mean(0)) ** 2, axis=0) + 1e-8).mean()
        x = np.concatenate([x, np.full((4, 4, 1), std)], axis=-1)
        x = lrelu(convolve(x, scaled(p["conv_0"]), padding=1) + p["conv_0"]["bias"])
        x = dense(p["logit"], lrelu(dense(p["dense"], x.ravel())))
        if "mapping" in p:
            embedding = mapped(p["mapping"], [embedded(p["mapping"], label)])
            x = x @ embedding / np.sqrt(len(embedding))
        logits.append(np.squeeze(x))
    return np.stack(logits)


def filled(module, *inputs, seed=0):
    """Variables drawn at random: every leaf, in its own scale."""
    rng = np.random.default_rng(seed)
    shapes = jax.eval_shape(lambda: module.init(KEY, *inputs))

    def draw(path, shape):
        names = [p.key for p in path]
        std = 100.0 if names[1] == "mapping" and names[2].startswith("dense") else 1.0
        mean = float(names[-2:] == ["affine", "bias"])
        return jnp.asarray(rng.normal(mean, std, shape.shape).astype(shape.dtype))

    return jax.tree_util.tree_map_with_path(draw, shapes)


def float64(tree):
    return jax.tree.map(np.float64, tree)


OPTIONS = {"resolution": 16, "width": 3, "max_width": 4}
GENERATOR = stylegan2.Generator(
    **OPTIONS, channels=2, style_dim=5, mapping_depth=2, num_classes=CLASSES
)
LABEL = jnp.array([2, 0, 3, 3, 1, 2])
LATENTS = jax.random.normal(KEY, (6, Z))
PICTURES = jax.random.normal(KEY, (6, 16, 16, 2))


def generator_case():
    variables = filled(GENERATOR, LATENTS[:2], LABEL[:2])
    sizes = (4, 8, 8, 16, 16)
    noise = [
        np.float64(jax.random.normal(jax.random.key(i), (size, size, 1)))
        for i, size in enumerate(sizes)
    ]

    def call(params):
        return GENERATOR.apply(variables | {"params": params}, LATENTS[:2], LABEL[:2])

    def reference(params):
        pairs = zip(np.float64(LATENTS[:2]), LABEL[:2], strict=True)
        return np.stack([generated(params, noise, *pair) for pair in pairs])

    return variables["params"], call, reference


def discriminator_case(**options):
    # Groups of 3, the largest divisor of 6 that is not above 4.
    module = stylegan2.Discriminator(**OPTIONS, **options)
    params = filled(module, PICTURES, LABEL)["params"]

    def call(params):
        return module.apply({"params": params}, PICTURES, LABEL)

    def reference(params):
        return judged(params, module.residual, np.float64(PICTURES), LABEL, group=3)

    return params, call, reference


@pytest.mark.parametrize(
    "case",
    [
        generator_case,
        functools.partial(discriminator_case, num_classes=CLASSES),
        functools.partial(discriminator_case, residual=False),
    ],
    ids=["generator", "discriminator", "discriminator-not-residual"],
)
def test_agrees_with_its_description(case):
    """In value, and in the gradient of each leaf along a direction of its own."""
    params, call, reference = case()
    exact = float64(params)
    expected = reference(exact)
    weights = np.random.default_rng(1).normal(size=expected.shape)

    @jax.jit
    def value_and_gradient(params):
        y, pull_back = jax.vjp(call, params)
        return y, pull_back(jnp.asarray(weights, y.dtype))[0]

    y, gradient = value_and_gradient(params)
    assert y.dtype == jnp.float32
    assert y.shape == expected.shape
    np.testing.assert_allclose(y, expected, rtol=0, atol=1e-4 * np.abs(expected).max())

    leaves, structure = jax.tree.flatten(exact)
    gradients = [np.float64(g) for g in jax.tree.leaves(gradient)]
    for i, (leaf, g) in enumerate(zip(leaves, gradients, strict=True)):
        direction = np.random.default_rng(i).normal(size=leaf.shape)
        step = 1e-6 * max(1.0, np.abs(leaf).max())

        def loss(t, i=i, leaf=leaf, direction=direction):
            moved = [*leaves[:i], leaf + t * direction, *leaves[i + 1 :]]
            return np.sum(weights * reference(structure.unflatten(moved)))

        slope = (loss(step) - loss(-step)) / (2 * step)
        scale = np.linalg.norm(g) * np.linalg.norm(direction) / np.sqrt(g.size)
        assert scale > 0
        np.testing.assert_allclose(np.sum(g * direction), slope, rtol=0, atol=1e-4 * scale)


@pytest.mark.parametrize("shape", [(2, 6, 4, 3), (1, 2, 2, 1)])
def test_filtered_convolutions_agree_with_their_definition(shape):
    rng = np.random.default_rng(0)
    x, kernel = rng.normal(size=shape), rng.normal(size=(3, 3, shape[-1], 5))
    small, point = jnp.float32(x), kernel[1:2, 1:2]
    cases = [
        (conv_filter_up(small, jnp.float32(kernel)), lambda x: convolve_up(x, kernel)),
        (
            conv_filter_down(small, jnp.float32(kernel)),
            lambda x: convolve(smooth(x, 2, 2), kernel, stride=2),
        ),
        (
            conv_filter_down(small, jnp.float32(point)),
            lambda x: convolve(smooth(x, 1, 1), point, stride=2),
        ),
    ]
    for y, definition in cases:
        np.testing.assert_allclose(y, np.stack([definition(p) for p in x]), atol=1e-5)


def parameters(module, *inputs):
    shapes = jax.eval_shape(lambda: module.init(KEY, *inputs))["params"]
    return sum(leaf.size for leaf in jax.tree.leaves(shapes))


def test_sizes_are_the_published_ones():
    """As printed by the published code at 1024 pixels, with a mapping of two layers."""
    generator = stylegan2.Generator(resolution=1024, width=32, mapping_depth=2)
    assert parameters(generator, jnp.ones((1, 512))) == 28_794_124
    discriminator = stylegan2.Discriminator(resolution=1024, width=32)
    assert parameters(discriminator, jnp.ones((1, 1024, 1024, 3))) == 29_012_513


@pytest.mark.parametrize(
    ("resolution", "num_classes", "dtype"),
    [(8, None, jnp.float32), (8, CLASSES, jnp.bfloat16), (128, CLASSES, jnp.float32)],
    ids=["8", "8-labels-bf16", "128-labels"],
)
def test_shapes_and_dtypes(resolution, num_classes, dtype):
    options = {"resolution": resolution, "width": 2, "num_classes": num_classes, "dtype": dtype}
    generator = stylegan2.Generator(**options, channels=1)
    x, variables = jax.eval_shape(generator.init_with_output, KEY, LATENTS, LABEL)
    assert x.shape == (6, resolution, resolution, 1)
    assert set(variables) == {"params", "style"}
    logits, more = jax.eval_shape(
        stylegan2.Discriminator(**options).init_with_output, KEY, x, LABEL
    )
    assert logits.shape == (6,)
    assert set(more) == {"params"}
    assert x.dtype == logits.dtype == jnp.float32
    assert {leaf.dtype for leaf in jax.tree.leaves((variables, more))} == {jnp.dtype(jnp.float32)}
    # The capped width at 4×4, and the width at the full resolution.
    widest = min(2 * resolution // 4, 512)
    assert variables["params"]["constant"].shape == (4, 4, widest)
    last = variables["params"][f"conv_{generator.layers - 2}"]["kernel"]
    assert last.shape == (3, 3, 2, 2)
    assert more["params"]["rgb"]["kernel"].shape == (1, 1, 1, 2)


DISCRIMINATOR = stylegan2.Discriminator(**OPTIONS, num_classes=CLASSES)
every_network = pytest.mark.parametrize(
    ("module", "x"), [(GENERATOR, LATENTS), (DISCRIMINATOR, PICTURES)], ids=["G", "D"]
)


@every_network
def test_bfloat16_is_close(module, x):
    variables = filled(module, x, LABEL)
    half = module.clone(dtype=jnp.bfloat16)
    rough, exact = (jax.jit(m.apply)(variables, x, LABEL) for m in (half, module))
    error = np.sqrt(np.mean((rough - exact) ** 2) / np.mean(exact**2))
    assert 0 < error < 0.03


@every_network
def test_label_matters_when_conditional(module, x):
    variables = filled(module, x, LABEL)
    changed = LABEL.at[1].set(3)
    if module is DISCRIMINATOR:
        module = module.clone(minibatch_std=1)
    y, other = (jax.jit(module.apply)(variables, x, label) for label in (LABEL, changed))
    different = np.abs(y - other).reshape(6, -1).max(axis=1) > 1e-6
    np.testing.assert_array_equal(different, np.arange(6) == 1)
    with pytest.raises(ValueError, match="needs labels"):
        jax.eval_shape(module.apply, variables, x)


@pytest.mark.parametrize(
    ("layer", "shape", "std"),
    [
        (Dense(64), (1024, 32), 1.0),
        (Dense(64, lr_multiplier=0.01), (1024, 32), 100.0),
        (Conv(64, size=1), (1024, 1, 1, 32), 1.0),
    ],
    ids=["dense", "slow-dense", "conv"],
)
def test_weights_are_stored_standard_normal_and_scaled_when_used(layer, shape, std):
    y, variables = layer.init_with_output(KEY, jax.random.normal(KEY, shape))
    np.testing.assert_allclose(np.std(variables["params"]["kernel"]), std, rtol=0.05)
    np.testing.assert_allclose(np.std(y), 1.0, rtol=0.05)


def test_demodulation_keeps_unit_variance_whatever_the_style():
    x, style = jax.random.normal(KEY, (400, 3, 3, 7)), 10 * jax.random.normal(KEY, (400, 5))
    layer = ModulatedConv(6)
    variables = filled(layer, x, style)
    variables["params"]["bias"] = jnp.zeros(6)
    y = layer.apply(variables, x, style)[:, 1, 1]  # where nothing is outside the image
    np.testing.assert_allclose(np.std(y, axis=0), 1.0, rtol=0.15)
    assert np.std(layer.clone(demodulate=False).apply(variables, x, style)) > 5


PLAIN = stylegan2.Generator(resolution=8, width=4, max_width=4, style_dim=4, mapping_depth=1)


def plain_variables():
    """Of a generator whose affine maps are all the same, so that styles can be compared."""
    variables = filled(PLAIN, LATENTS)
    params = variables["params"]
    for name in params:
        if name.startswith(("conv", "rgb")):
            params[name]["affine"] = {"kernel": 2 * jnp.eye(4), "bias": jnp.zeros(4)}
    return variables


def styles_of_layers(module, variables, z, **options):
    """[B, layers, style_dim], as the modulated convolutions see them."""
    apply = functools.partial(
        module.apply,
        **options,
        capture_intermediates=lambda m, _: m.name == "affine",
        mutable=["intermediates", "style"],
    )
    _, seen = jax.jit(apply)(variables, z)
    seen = {name: v["affine"]["__call__"][0] for name, v in seen["intermediates"].items()}
    assert set(seen) == {"conv_0", "rgb_0", "conv_1", "conv_2", "rgb_1"}
    np.testing.assert_array_equal(seen["rgb_0"], seen["conv_1"])
    return np.stack([seen[name] for name in ("conv_0", "conv_1", "conv_2", "rgb_1")], axis=1)


def test_style_mixing_changes_the_styles_of_the_last_layers():
    module = PLAIN.clone(style_mixing=0.75)
    variables, z = plain_variables(), jax.random.normal(KEY, (400, Z))
    assert module.layers == 4

    def styles(**options):
        return styles_of_layers(module, variables, z, **options)

    own = styles()
    np.testing.assert_array_equal(own, np.broadcast_to(own[:, :1], own.shape))
    np.testing.assert_array_equal(styles(train=True), own)
    np.testing.assert_array_equal(styles(key=KEY), own)

    mixed = styles(train=True, key=KEY)
    changed = np.abs(mixed - own).max(axis=-1) > 1e-6
    first = np.where(changed.any(axis=1), changed.argmax(axis=1), 4)
    np.testing.assert_array_equal(changed, np.arange(4) >= first[:, None])
    for example, layer in zip(mixed, first, strict=True):  # one other style
        np.testing.assert_array_equal(example[layer:], np.broadcast_to(example[-1], (4 - layer, 4)))
    assert len(np.unique(mixed[first < 4, -1], axis=0)) == np.sum(first < 4)
    # A quarter of the 400 examples unmixed, and a quarter from each layer on but the first: within
    # 4 standard deviations (35).
    counts = np.bincount(first, minlength=5)
    assert counts[0] == 0
    assert np.abs(counts[1:] - 100).max() < 35


def apply(variables, z, **options):
    return jax.jit(functools.partial(PLAIN.apply, **options))(variables, z)


def mapped_latents(params, z):
    params = float64(params["mapping"])
    return np.stack([mapped(params, [latent]) for latent in np.float64(z)])


def test_truncation_draws_styles_towards_their_mean():
    variables = plain_variables()
    mean = variables["style"]["mean"]
    w = mapped_latents(variables["params"], LATENTS)
    average = apply(variables, LATENTS, truncation=0.0)
    np.testing.assert_array_equal(average, np.broadcast_to(average[:1], average.shape))
    for truncation in (0.3, 1.0):
        seen = styles_of_layers(PLAIN, variables, LATENTS, truncation=truncation)
        expected = np.float64(mean) + truncation * (w - np.float64(mean))
        np.testing.assert_allclose(seen[:, 0], expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("shape", [(6, 4), (6, 4, 4)], ids=["common", "layers"])
def test_style_offset_is_added_to_the_styles(shape):
    variables = plain_variables()
    offset = jax.random.normal(KEY, shape)
    own = styles_of_layers(PLAIN, variables, LATENTS)
    moved = styles_of_layers(PLAIN, variables, LATENTS, style_offset=offset)
    expected = own + np.asarray(offset).reshape(6, -1, 4)
    np.testing.assert_allclose(moved, expected, rtol=1e-5, atol=1e-5)


def test_mean_style_follows_the_latents_in_training():
    variables = plain_variables()
    expected = mapped_latents(variables["params"], LATENTS).mean(axis=0)
    before = np.float64(variables["style"]["mean"])

    def update(style, train):
        changed = {"params": variables["params"], "style": style}
        return PLAIN.apply(changed, LATENTS, train=train, mutable=["style"])[1]["style"]

    @jax.jit
    def many(style):
        return jax.lax.scan(lambda s, _: (update(s, True), None), style, length=2000)[0]

    np.testing.assert_array_equal(update(variables["style"], False)["mean"], before)
    once = update(variables["style"], True)["mean"]
    np.testing.assert_allclose(once, 0.995 * before + 0.005 * expected, rtol=1e-5)
    assert np.abs(before - expected).min() > 0.1
    np.testing.assert_allclose(many(variables["style"])["mean"], expected, rtol=1e-3, atol=1e-3)


def test_noise_is_an_example_s_own_if_there_is_a_key():
    variables, same = plain_variables(), jnp.broadcast_to(LATENTS[:1], (3, Z))
    fixed = apply(variables, same)
    np.testing.assert_allclose(fixed, np.broadcast_to(fixed[:1], fixed.shape), atol=1e-4)
    drawn, again, other = (apply(variables, same, key=jax.random.key(i)) for i in (1, 1, 2))
    np.testing.assert_array_equal(drawn, again)
    for a, b in [(drawn[0], drawn[1]), (drawn[0], fixed[0]), (drawn[0], other[0])]:
        assert np.abs(a - b).max() > 0.1
    silent = {k: 0 * v if k.startswith("noise") else v for k, v in variables["params"].items()}
    without = apply(variables | {"params": silent}, same, key=KEY)
    np.testing.assert_allclose(without, np.broadcast_to(without[:1], fixed.shape), atol=1e-4)


def test_noise_fields_are_standard_normal_and_differ_between_layers():
    fields = [stylegan2._noise(KEY, i, (4, 4, 1), 500, None) for i in (0, 1)]
    for field in fields:
        np.testing.assert_allclose([np.mean(field), np.std(field)], [0, 1], atol=0.05)
    correlations = np.corrcoef(np.concatenate(fields, axis=1).reshape(500, -1).T)
    assert np.abs(correlations - np.eye(32)).max() < 0.25  # 5.5 standard deviations


def test_parts_of_a_batch_generate_what_the_whole_does():
    module, variables = PLAIN.clone(style_mixing=0.9), plain_variables()

    def call(z, axis_name=None):
        return module.apply(
            variables, z, train=True, key=KEY, axis_name=axis_name, mutable=["style"]
        )

    x, style = jax.jit(call)(LATENTS)
    parts, styles = jax.jit(jax.vmap(lambda z: call(z, "devices"), axis_name="devices"))(
        LATENTS.reshape(3, 2, Z)
    )
    np.testing.assert_allclose(parts.reshape(x.shape), x, atol=1e-4)
    for mean in styles["style"]["mean"]:
        np.testing.assert_allclose(mean, style["style"]["mean"], rtol=1e-5)


def test_minibatch_std_by_hand():
    # Two groups of two, two pixels, one feature. Deviations of the first group: |1 − 3|/2 = 1 and
    # |2 − 8|/2 = 3, in the mean 2; of the second: 0 and |5 − 6|/2 = ½, in the mean ¼.
    x = jnp.array([[1.0, 2.0], [3.0, 8.0], [4.0, 5.0], [4.0, 6.0]]).reshape(4, 1, 2, 1)
    y = stylegan2._append_std(x, 2)
    np.testing.assert_array_equal(y[..., :1], x)
    expected = np.repeat([2.0, 2.0, 0.25, 0.25], 2).reshape(4, 1, 2)
    np.testing.assert_allclose(y[..., 1], expected, atol=1e-4)


@pytest.mark.parametrize(("n", "group", "size"), [(6, 4, 3), (8, 4, 4), (5, 4, 1), (2, 4, 2)])
def test_groups_are_the_largest_that_divide_the_batch(n, group, size):
    x = jnp.zeros((n, 1, 1, 1)).at[0].set(1.0)
    touched = np.asarray(stylegan2._append_std(x, group))[:, 0, 0, 1] > 1e-3
    np.testing.assert_array_equal(touched, (np.arange(n) < size) & (size > 1))


def test_whole_groups_are_judged_alike_wherever_they_are():
    variables = filled(DISCRIMINATOR, PICTURES, LABEL)
    module = DISCRIMINATOR.clone(minibatch_std=2)
    apply = jax.jit(module.apply)
    whole = apply(variables, PICTURES, LABEL)
    parts = [apply(variables, PICTURES[i : i + 2], LABEL[i : i + 2]) for i in (0, 2, 4)]
    np.testing.assert_allclose(np.concatenate(parts), whole, rtol=1e-4, atol=1e-5)
    alone = jax.jit(module.clone(minibatch_std=1).apply)(variables, PICTURES, LABEL)
    assert np.abs(alone - whole).min() > 3e-4


@pytest.mark.parametrize(
    ("module", "x", "message"),
    [
        (stylegan2.Generator(resolution=4), LATENTS, "not for images of 4×4"),
        (stylegan2.Generator(resolution=36), LATENTS, "of 36×36 pixels, but of 40×40 or 32×32"),
        (stylegan2.Generator(mapping_depth=0), LATENTS, "at least 1 layer, not 0"),
        (stylegan2.Generator(style_mixing=1.5), LATENTS, "probability, not 1.5"),
        (stylegan2.Discriminator(resolution=44), jnp.ones((1, 44, 44, 3)), "but of 48×48"),
        (stylegan2.Discriminator(resolution=8), PICTURES, "8×8 pixels cannot judge .* 16×16"),
        (stylegan2.Discriminator(16, minibatch_std=0), PICTURES, "at least 1 example, not 0"),
    ],
)
def test_arguments_that_cannot_be(module, x, message):
    with pytest.raises(ValueError, match=message):
        jax.eval_shape(module.init, KEY, x)
