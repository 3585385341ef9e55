"""A whole GAN: data, networks, losses, training, and a score.

    python docs/hundred_lines.py

It learns points on a ring of eight Gaussians, where mode collapse can be seen, in about half a
minute on a laptop, and needs the core of gan_jax only.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import optax

import gan_jax
from gan_jax import losses, metrics, regularizers, sampling

BATCH_SIZE, LATENT_DIM, EVERY = 256, 2, 100
ANGLES = 2 * np.pi * np.arange(8) / 8
CENTERS, STD = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1), 0.1


def real_points(key: jax.Array, n: int) -> jax.Array:
    """Points [n, 2] around the centers, all equally likely."""
    which, noise = jax.random.split(key)
    centers = jnp.asarray(CENTERS, jnp.float32)[jax.random.randint(which, (n,), 0, 8)]
    return centers + STD * jax.random.normal(noise, (n, 2))


class Network(nn.Module):
    """Either network: from noise to points, or from points to logits."""

    outputs: int | None

    @nn.compact
    def __call__(self, x, label=None, *, train=False):
        for _ in range(3):
            x = nn.leaky_relu(nn.Dense(128, kernel_init=nn.initializers.he_normal())(x), 0.2)
        x = nn.Dense(self.outputs or 1)(x)
        return x if self.outputs else x[:, 0]


def make(iterations: int, key: jax.Array):
    """The objective, and both networks before their first update."""
    objective = gan_jax.Adversarial(
        loss=losses.relativistic_pairing,
        regularizers=(regularizers.R1(gamma=0.1), regularizers.R2(gamma=0.1)),
        latent_dim=LATENT_DIM,
    )
    learning_rate = optax.cosine_decay_schedule(1e-3, iterations, alpha=0.02)
    d, g = gan_jax.create_train_states(
        key,
        generator=Network(outputs=2),
        discriminator=Network(outputs=None),
        objective=objective,
        batch={"real": real_points(key, BATCH_SIZE)},
        d_tx=optax.adam(learning_rate, b1=0.0, b2=0.99),
        g_tx=optax.adam(learning_rate, b1=0.0, b2=0.99),
    )
    return objective, d, g


def iteration(objective, key, states, i):
    """An update of each network. All that is random in it follows from the key and `i`."""
    d, g = states
    data, d_key, g_key = jax.random.split(jax.random.fold_in(key, i), 3)
    batch = {"real": real_points(data, BATCH_SIZE)}
    d, d_metrics = gan_jax.d_step(d, g, batch, d_key, objective=objective)
    g, g_metrics = gan_jax.g_step(g, d, batch, g_key, objective=objective)
    return (d, g), {"d": d_metrics["loss"], "g": g_metrics["loss"]}


def train(iterations: int = 3000, seed: int = 0):
    """The trained generator, and whatever it was scored by on the way."""
    key = jax.random.key(seed)
    objective, d, g = make(iterations, key)
    step, scores = functools.partial(iteration, objective, key), []
    several = gan_jax.jit(functools.partial(jax.lax.scan, step))
    for start in range(0, iterations, EVERY):
        (d, g), values = several((d, g), jnp.arange(start, start + EVERY))
        points = sampling.sample(g, jax.random.key(1), 2500, latent_dim=LATENT_DIM)
        scores.append(metrics.mixture_modes(points, CENTERS, STD))
        d_loss, g_loss = (float(jnp.mean(values[name])) for name in "dg")
        found = f"{scores[-1].covered} modes, {scores[-1].high_quality:.0%} of points near one"
        print(f"iteration {start + EVERY}: losses {d_loss:.2f} and {g_loss:.2f}, {found}")
    return g, scores


def draw(points: jax.Array) -> str:
    """Points as characters, from −1.3 to 1.3."""
    edges = np.linspace(-1.3, 1.3, 31), np.linspace(-1.3, 1.3, 61)
    counts, *_ = np.histogram2d(points[:, 1], points[:, 0], bins=edges)
    return "\n".join("".join(" .:*#"[min(int(n), 4)] for n in row) for row in counts[::-1])


if __name__ == "__main__":
    g, _ = train()
    print(draw(sampling.sample(g, jax.random.key(2), 2500, latent_dim=LATENT_DIM)))
