"""An MLP on mixtures of Gaussians."""

from gan_jax import cli
from gan_jax.config import Config, Data, Network, Objective

CONFIG = Config(
    name="gaussians",
    iterations=20_000,
    batch_size=256,
    data=Data(source="ring"),
    objective=Objective(loss="relativistic_pairing", latent_dim=2, r1=0.1, r2=0.1),
    generator=Network(kind="mlp"),
    discriminator=Network(kind="mlp"),
    log_every=500,
    sample_every=2000,
    checkpoint_every=2000,
)

if __name__ == "__main__":
    cli.experiment(CONFIG, __doc__)
