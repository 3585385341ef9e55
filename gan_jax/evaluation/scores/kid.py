"""The kernel distance of features: with Inception's, the KID."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric
from gan_jax.metrics import kernel_distance


def _measure(c: Comparison) -> Measurement:
    real = c.real.features
    return Measurement({"KID": kernel_distance(real, c.features).mean}, len(real), len(c.fake))


KID = Metric(
    "kid",
    "kernel distance",
    ("KID",),
    _measure,
    meanings={
        "KID": (
            "How far samples as a whole are from real images, as FID, but fair to few of them: 0 "
            "is as good as the data, and chance may take it just below."
        ),
    },
    least=2,
    place=20,
)
