"""A conditional DCGAN on MNIST."""

from gan_jax import cli
from gan_jax.config import Config, Data, Network, Objective

CONFIG = Config(
    name="mnist",
    iterations=6000,
    batch_size=64,
    data=Data(source="tfds:mnist", resolution=32, fit="pad"),
    objective=Objective(loss="non_saturating", conditional=True, r1=0.5, latent_dim=64),
    generator=Network(width=32, norm="batch"),
    discriminator=Network(width=32),
    log_every=100,
    sample_every=500,
    checkpoint_every=1000,
)

if __name__ == "__main__":
    cli.experiment(CONFIG, __doc__)
