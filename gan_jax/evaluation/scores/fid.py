"""The Fréchet distance of features: with Inception's, the FID."""

from gan_jax.evaluation.metric import Comparison, Measurement, Metric
from gan_jax.metrics import frechet_distance


def _measure(c: Comparison) -> Measurement:
    real = c.real.gaussian
    distance = frechet_distance(real, c.features, warn=False)
    return Measurement({"FID": distance}, real.count, len(c.fake))


FID = Metric(
    "fid",
    "Fréchet distance",
    ("FID",),
    _measure,
    meanings={
        "FID": (
            "How far samples as a whole are from real images, in looks and in variety at once: 0 "
            "is as good as the data, of very many samples; few are never near it."
        ),
    },
    default=lambda setting: setting.images,
    least=2,
    place=10,
)
