"""BigGAN's networks: self-attention, conditioned batch norm, orthogonal regularisation."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers import abstract, arbitrary, largest_difference

import gan_jax
from gan_jax import losses
from gan_jax.networks import biggan
from gan_jax.networks.attention import SelfAttention
from gan_jax.networks.normalization import ConditionalBatchNorm
from gan_jax.transforms import orthogonal_penalty, orthogonal_regularization

KEY = jax.random.key(0)
Z = 10
LABEL = jnp.array([0, 1, 2, 1])
NETWORKS = ("Generator", "Discriminator")
every_network = pytest.mark.parametrize("role", NETWORKS)


def inputs(role, resolution=32, n=4):
    shape = (n, Z) if role == "Generator" else (n, resolution, resolution, 3)
    return jax.random.normal(KEY, shape)


@functools.cache
def example(role, **options):
    """A small network, an input of four examples, and arbitrary variables."""
    module = getattr(biggan, role)(**{"width": 2, **options})
    x = inputs(role)
    _, shapes = abstract(module, x, LABEL)
    return module, x, arbitrary(shapes)


@functools.cache
def after_training_pass(role):
    """The example of a conditional network once its singular vectors have seen its weights."""
    module, x, variables = example(role, num_classes=3)
    collections = [name for name in variables if name != "params"]
    train = functools.partial(module.apply, train=True, mutable=collections)
    return variables | jax.jit(train)(variables, x, LABEL)[1]


def test_parameters_of_the_paper_s_128_pixels():
    """Published for ch = 96, z of 120 and 1000 classes: 70,433,988 and 87,982,370, where the
    generator's convolutions before a batch norm have biases, which do nothing."""
    options = {"resolution": 128, "width": 96, "num_classes": 1000}
    label = jnp.zeros(1, jnp.int32)

    def count(module, x):
        _, variables = abstract(module, x, label)
        return sum(leaf.size for leaf in jax.tree.leaves(variables["params"]))

    idle = 96 * (16 + 8 + 4 + 2 + 1)
    assert count(biggan.Generator(**options), jnp.ones((1, 120))) == 70_433_988 - idle
    images = jnp.ones((1, 128, 128, 3))
    assert count(biggan.Discriminator(**options), images) == 87_982_370


@pytest.mark.parametrize(
    ("resolution", "up", "down", "sizes"),
    [
        (32, [8, 8, 8, 8], [8, 8, 8, 8], [16, 8, 8, 8]),
        (64, [32, 32, 16, 8, 4], [2, 4, 8, 16, 32], [32, 16, 8, 4, 4]),
        (128, [32, 32, 16, 8, 4, 2], [2, 4, 8, 16, 32, 32], [64, 32, 16, 8, 4, 4]),
    ],
)
def test_widths(resolution, up, down, sizes):
    options = {"resolution": resolution, "width": 2, "attention": 8}
    y, variables = abstract(biggan.Generator(**options), inputs("Generator"))
    assert y.shape == (4, resolution, resolution, 3)
    assert set(variables) == {"params", "batch_stats", "spectral"}
    blocks = [variables["params"][f"block_{i}"] for i in range(len(up) - 1)]
    kernels = [block["conv_0"]["kernel"].shape for block in blocks]
    assert kernels == [(3, 3, *up[i : i + 2]) for i in range(len(up) - 1)]

    module, x = biggan.Discriminator(**options), inputs("Discriminator", resolution)

    @jax.eval_shape
    def outputs():
        y, variables = module.init_with_output(KEY, x, capture_intermediates=True)
        return y, [variables["intermediates"][f"block_{i}"] for i in range(len(down))]

    y, blocks = outputs
    assert y.shape == (4,)
    shapes = [block["__call__"][0].shape for block in blocks]
    assert shapes == [(4, size, size, c) for size, c in zip(sizes, down, strict=True)]
    hidden = [block["conv_0"]["__call__"][0].shape[-1] for block in blocks]
    assert hidden == down


def test_all_but_the_generator_s_embedding_is_spectrally_normalised():
    for role in NETWORKS:
        module = getattr(biggan, role)(width=2, num_classes=3)
        _, variables = abstract(module, inputs(role), LABEL)
        kernels = sum(leaf.ndim > 1 for leaf in jax.tree.leaves(variables["params"]))
        normalised = len(jax.tree.leaves(variables["spectral"])) // 2
        assert normalised == kernels - (role == "Generator")


def test_latents_are_cut_into_parts():
    """Ten of them in four: 3, 3, 2 and 2; each block is conditioned on one part and the label."""
    for num_classes in (None, 3):
        module = biggan.Generator(width=2, num_classes=num_classes, embedding_dim=5)
        params = abstract(module, inputs("Generator"), LABEL)[1]["params"]
        assert params["dense"]["kernel"].shape == (3, 4 * 4 * 8)
        embedding = 0 if num_classes is None else 5
        for i, part in enumerate((3, 2, 2)):
            for norm in ("norm_0", "norm_1"):
                for name in ("gain", "bias"):
                    kernel = params[f"block_{i}"][norm][name]["kernel"]
                    assert kernel.shape == (embedding + part, 8)
        assert params["norm"]["scale"].shape == (8,)  # the last norm knows no condition


def test_every_kernel_starts_orthogonal():
    def params(role):
        module = getattr(biggan, role)(width=2, num_classes=3)
        return module.init(KEY, inputs(role), LABEL)["params"]

    for path, leaf in jax.tree.leaves_with_path(jax.jit(lambda: list(map(params, NETWORKS)))()):
        if leaf.ndim > 1:
            kernel = np.asarray(leaf).reshape(-1, leaf.shape[-1])
            product = kernel.T @ kernel if len(kernel) > len(kernel.T) else kernel @ kernel.T
            np.testing.assert_allclose(
                product, np.eye(len(product)), atol=1e-5, err_msg=jax.tree_util.keystr(path)
            )


def softmax(scores):
    shares = np.exp(scores - scores.max(-1, keepdims=True))
    return shares / shares.sum(-1, keepdims=True)


def test_attention_is_the_paper_s():
    x = jax.random.normal(KEY, (2, 4, 6, 16))
    variables = jax.jit(SelfAttention().init)(KEY, x)
    params = variables["params"]
    assert {k: v["kernel"].shape[2:] for k, v in params.items() if k != "gamma"} == {
        "query": (16, 2),
        "key": (16, 2),
        "value": (16, 8),
        "out": (8, 16),
    }
    y = SelfAttention().apply({"params": {**params, "gamma": jnp.float32(0.7)}}, x)

    def project(x, name):
        return np.float64(x) @ np.float64(params[name]["kernel"][0, 0])

    def pooled(x):
        return x.reshape(2, 2, 2, 3, 2, -1).max(axis=(2, 4))

    queries, keys, values = project(x, "query"), *(pooled(project(x, k)) for k in ("key", "value"))
    expected = np.array(x, np.float64)
    for n, i, j in np.ndindex(2, 4, 6):
        shares = softmax(np.einsum("c,ijc->ij", queries[n, i, j], keys[n]).ravel())
        mixture = shares @ values[n].reshape(6, 8)
        expected[n, i, j] += 0.7 * project(mixture, "out")
    np.testing.assert_allclose(y, expected, atol=1e-4)
    assert np.abs(y - x).max() > 0.1


def test_attention_starts_as_the_identity():
    x = jax.random.normal(KEY, (2, 4, 4, 8))
    y, variables = jax.jit(SelfAttention(spectral=True).init_with_output)(KEY, x)
    np.testing.assert_array_equal(y, x)
    assert set(variables["spectral"]) == {"query", "key", "value", "out"}


@pytest.mark.parametrize("shape", [(1, 4, 4, 7), (1, 3, 4, 8), (1, 4, 5, 8)])
def test_attention_needs_channels_and_even_sizes(shape):
    with pytest.raises(ValueError, match="8 channels and even sizes"):
        SelfAttention().init(KEY, jnp.ones(shape))


@pytest.mark.parametrize("train", [True, False])
def test_conditional_batch_norm_is_what_it_says(train):
    rng = np.random.default_rng(0)
    x = jnp.asarray(rng.normal(3, 2, (4, 2, 3, 5)), jnp.float32)
    condition = jnp.asarray(rng.normal(0, 1, (4, 6)), jnp.float32)
    gain, bias = jnp.asarray(rng.normal(0, 1, (2, 6, 5)), jnp.float32)
    mean, var = jnp.arange(5.0), jnp.arange(1.0, 6.0)
    variables = {
        "params": {"gain": {"kernel": gain}, "bias": {"kernel": bias}},
        "batch_stats": {"norm": {"mean": mean, "var": var}},
    }
    norm = ConditionalBatchNorm()
    y, changed = norm.apply(variables, x, condition, train, mutable=["batch_stats"])
    m, v = (x.mean((0, 1, 2)), x.var((0, 1, 2))) if train else (mean, var)
    scale, shift = 1 + condition @ gain, condition @ bias
    expected = (x - m) / np.sqrt(v + 1e-5) * scale[:, None, None] + shift[:, None, None]
    np.testing.assert_allclose(y, expected, atol=1e-4)
    remembered = 0.9 * mean + 0.1 * m if train else mean
    np.testing.assert_allclose(changed["batch_stats"]["norm"]["mean"], remembered, rtol=1e-4)


def test_label_and_every_part_of_the_latents_matter():
    module, z, _ = example("Generator", num_classes=3)
    variables, apply = after_training_pass("Generator"), jax.jit(module.apply)
    y = apply(variables, z, LABEL)

    def changed(*inputs):
        return np.abs(apply(variables, *inputs) - y).reshape(4, -1).max(axis=1) > 1e-6

    one = [True, False, False, False]
    np.testing.assert_array_equal(changed(z, LABEL.at[0].set(2)), one)
    for i in range(Z):
        np.testing.assert_array_equal(changed(z.at[0, i].add(1.0), LABEL), one)
    with pytest.raises(ValueError, match="needs labels"):
        jax.eval_shape(module.apply, variables, z)


def test_power_iteration_in_training_only():
    module, x, variables = example("Generator", num_classes=3)
    test = jax.jit(functools.partial(module.apply, mutable=["spectral"]))
    _, outside = test(variables, x, LABEL)
    training = after_training_pass("Generator")
    for before, same, new in zip(
        *(jax.tree.leaves(v["spectral"]) for v in (variables, outside, training)), strict=True
    ):
        np.testing.assert_array_equal(before, same)
        assert before.size == 1 or np.abs(before - new).max() > 1e-3


@pytest.mark.parametrize("num_classes", [None, 3])
def test_batch_norm_sees_the_global_batch(num_classes):
    options = {} if num_classes is None else {"num_classes": num_classes}
    module, z, variables = example("Generator", **options)
    z = z * jnp.arange(1.0, 5.0)[:, None]  # parts would differ on their own
    label = None if num_classes is None else LABEL

    def call(z, label, axis_name=None):
        collections = ["batch_stats", "spectral"]
        return module.apply(
            variables, z, label, train=True, axis_name=axis_name, mutable=collections
        )

    y, after = jax.jit(call)(z, label)
    parts = jax.tree.map(lambda a: a.reshape(2, 2, *a.shape[1:]), (z, label))
    split = jax.vmap(functools.partial(call, axis_name="parts"), axis_name="parts")
    y_parts, spread = jax.jit(split)(*parts)
    np.testing.assert_allclose(y_parts.reshape(y.shape), y, atol=1e-4)
    assert largest_difference(jax.tree.map(lambda s: jnp.stack([s, s]), after), spread) < 1e-4


@pytest.mark.slow  # mostly compilation; of smaller networks the same is tested always
def test_both_networks_learn():
    options = {"num_classes": 3}
    batch = {"real": inputs("Discriminator"), "label": LABEL}
    objective = gan_jax.Adversarial(loss=losses.hinge, latent_dim=Z, ema=None)

    def state(role, tx):
        module, _, variables = example(role, **options)
        return gan_jax.TrainState.create(apply_fn=module.apply, variables=variables, tx=tx)

    g = state("Generator", optax.chain(orthogonal_regularization(), optax.adam(1e-3)))
    d = state("Discriminator", optax.adam(1e-3))
    for step, one, other in ((gan_jax.d_step, d, g), (gan_jax.g_step, g, d)):
        new, metrics = step(one, other, batch, KEY, objective=objective)
        assert np.isfinite(metrics["loss"])
        moved = jax.tree.map(lambda a, b: bool(jnp.any(a != b)), one.params, new.params)
        if one is d:  # where no example is beyond its margin, the hinge's pulls on it cancel
            del moved["head"]["logit"]["bias"]
        assert all(jax.tree.leaves(moved)), moved


def test_auxiliary_discriminator_gives_a_pair():
    module = biggan.Discriminator(width=2, num_classes=7, conditioning="auxiliary")
    (logits, class_logits), _ = abstract(module, inputs("Discriminator"))
    assert logits.shape == (4,)
    assert class_logits.shape == (4, 7)


@pytest.mark.parametrize("attention", [0, 8, None])
@every_network
def test_attention_is_where_it_is_wanted(role, attention):
    module = getattr(biggan, role)(width=2, attention=attention)

    @jax.eval_shape
    def intermediates():
        _, variables = module.init_with_output(KEY, inputs(role), capture_intermediates=True)
        return variables["intermediates"]

    if attention == 0:
        assert "attention" not in intermediates
    else:
        size = attention or 16
        assert intermediates["attention"]["__call__"][0].shape == (4, size, size, 8)


@every_network
def test_bfloat16_keeps_float32_parameters_and_results(role):
    module = getattr(biggan, role)(width=2, num_classes=3, dtype=jnp.bfloat16)
    leaves = jax.tree.leaves(abstract(module, inputs(role), LABEL))
    assert {leaf.dtype for leaf in leaves} == {jnp.dtype(jnp.float32)}


@every_network
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"resolution": 16}, "not for images of 16×16 pixels, but of 32×32"),
        ({"attention": 32}, "no self-attention at 32 of 32 pixels"),
        ({"attention": 7}, "no self-attention at 7 of 32 pixels"),
    ],
)
def test_refuses_what_there_is_not(role, options, message):
    with pytest.raises(ValueError, match=message):
        abstract(getattr(biggan, role)(**options), inputs(role))


def test_refuses_inputs_that_do_not_fit():
    with pytest.raises(ValueError, match="4 parts need as many latents, not 3"):
        abstract(biggan.Generator(width=2), jnp.ones((1, 3)))
    with pytest.raises(ValueError, match="32×32 pixels cannot judge images of 64×64"):
        abstract(biggan.Discriminator(width=2), inputs("Discriminator", 64))


def test_orthogonal_penalty_by_hand():
    # WᵀW = [[1·1 + 3·3, 1·2 + 3·4], [14, 2·2 + 4·4]]: off the diagonal 14 twice, 2·14² = 392.
    w = jnp.array([[1.0, 2.0], [3.0, 4.0]])
    np.testing.assert_allclose(orthogonal_penalty({"kernel": w}, weight=0.5), 196.0)
    # Orthogonal columns of any length cost nothing; neither do biases, nor embeddings.
    params = {
        "a": {"kernel": jnp.array([[1.0, 2.0], [2.0, -1.0]]), "bias": jnp.array([1.0, 2.0])},
        "label": {"embedding": w},
    }
    assert orthogonal_penalty(params) == 0
    np.testing.assert_allclose(orthogonal_penalty(params, weight=1.0, exclude=()), 392.0)
    # A 1×2 convolution from one channel to two is the same matrix.
    np.testing.assert_allclose(orthogonal_penalty([w.reshape(1, 2, 1, 2)], weight=1.0), 392.0)


def test_orthogonal_regularization_adds_the_penalty_s_gradient():
    rng = np.random.default_rng(0)
    params = {
        "conv": {"kernel": rng.normal(0, 1, (3, 3, 2, 4)), "bias": rng.normal(0, 1, 4)},
        "label": {"embedding": rng.normal(0, 1, (3, 2))},
    }
    params = jax.tree.map(lambda p: jnp.asarray(p, jnp.float32), params)
    gradients = jax.tree.map(jnp.ones_like, params)
    tx = orthogonal_regularization(0.01)
    updates, _ = tx.update(gradients, tx.init(params), params)

    w = np.float64(params["conv"]["kernel"]).reshape(18, 4)
    off_diagonal = w.T @ w * (1 - np.eye(4))
    expected = 1 + 4 * 0.01 * (w @ off_diagonal).reshape(3, 3, 2, 4)  # dΣ(WᵀW)²ᵢⱼ = 4 W(WᵀW)
    np.testing.assert_allclose(updates["conv"]["kernel"], expected, rtol=1e-4)
    np.testing.assert_array_equal(updates["conv"]["bias"], gradients["conv"]["bias"])
    np.testing.assert_array_equal(updates["label"]["embedding"], gradients["label"]["embedding"])
    with pytest.raises(ValueError, match="needs the parameters"):
        tx.update(gradients, tx.init(params))


def test_orthogonal_regularization_makes_columns_orthogonal():
    params = {"kernel": jnp.array([[1.0, 0.8], [0.0, 0.6]])}
    tx = optax.chain(orthogonal_regularization(0.1), optax.sgd(0.1))

    def step(params, _):
        updates, _ = tx.update(jax.tree.map(jnp.zeros_like, params), tx.init(params), params)
        return optax.apply_updates(params, updates), None

    kernel = jax.lax.scan(step, params, None, 400)[0]["kernel"]
    assert abs(kernel[:, 0] @ kernel[:, 1]) < 1e-3
    assert jnp.linalg.norm(kernel, axis=0).min() > 0.5
