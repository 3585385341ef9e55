"""The sliced Wasserstein distance of features."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric
from gan_jax.metrics import sliced_wasserstein


def _measure(c: Comparison) -> Measurement:
    real = c.real.features
    return Measurement({"SWD": sliced_wasserstein(real, c.features)}, len(real), len(c.fake))


SWD = Metric(
    "swd",
    "sliced Wasserstein distance",
    ("SWD",),
    _measure,
    meanings={
        "SWD": (
            "How far samples are from real examples along random lines, on average: 0 is as good "
            "as the data."
        ),
    },
    default=lambda setting: not setting.images,
    place=60,
)
