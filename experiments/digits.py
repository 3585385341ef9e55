"""A conditional DCGAN on the 1,797 handwritten digits that ship with scikit-learn.

python experiments/digits.py
"""

from gan_jax import cli
from gan_jax.config import Config, Data, Network, Objective

CONFIG = Config(
    name="digits",
    iterations=3000,
    batch_size=64,
    data=Data(source="digits"),
    objective=Objective(loss="non_saturating", conditional=True, r1=0.1, latent_dim=32),
    generator=Network(width=64, norm="batch"),
    discriminator=Network(width=64),
    log_every=100,
    sample_every=500,
    checkpoint_every=500,
)

if __name__ == "__main__":
    cli.experiment(CONFIG, __doc__)
