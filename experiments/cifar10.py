"""A DCGAN on CIFAR-10.

    python experiments/cifar10.py --data-dir DIR

Meant for an accelerator, where it has not been run. On 2 x86-64 cores (Python 3.11, jax 0.10.2),

    python experiments/cifar10.py --data-dir DIR --generator.width 32 --discriminator.width 32 \\
        --iterations 4000

took 9 min 23 s and gave scenes with sky, ground and blurred objects. DIR holds CIFAR-10 as prepared
by TFDS; the README says how to prepare it.
"""

from gan_jax import cli
from gan_jax.config import Evaluation, Optimizer
from gan_jax.data import Data
from gan_jax.networks import dcgan
from gan_jax.tasks.generation import Config, Objective

ADAM = Optimizer(learning_rate=5e-4, options={"b1": 0.0, "b2": 0.99})

CONFIG = Config(
    name="cifar10",
    iterations=50_000,
    batch_size=64,
    data=Data(source="tfds:cifar10", flip=True),
    objective=Objective(
        loss="relativistic_pairing", latent_dim=128, penalties={"r1": 0.1, "r2": 0.1}
    ),
    generator=dcgan.GeneratorSection(width=64),
    discriminator=dcgan.DiscriminatorSection(width=64),
    g_optimizer=ADAM,
    d_optimizer=ADAM,
    evaluation=Evaluation(every=5000),
    check_every=500,
    log_every=100,
    sample_every=1000,
    checkpoint_every=1000,
)

if __name__ == "__main__":
    cli.experiment(CONFIG, __doc__)
