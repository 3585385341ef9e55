"""A DCGAN on CIFAR-10."""

from gan_jax import cli
from gan_jax.config import Config, Data, Network, Objective

CONFIG = Config(
    name="cifar10",
    iterations=20_000,
    batch_size=64,
    data=Data(source="tfds:cifar10", flip=True),
    objective=Objective(loss="hinge", latent_dim=128),
    generator=Network(width=64, norm="batch"),
    discriminator=Network(width=64, norm="spectral"),
    log_every=100,
    sample_every=1000,
    checkpoint_every=1000,
)

if __name__ == "__main__":
    cli.experiment(CONFIG, __doc__)
