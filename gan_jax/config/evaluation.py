"""How a run is scored while it goes on."""

import dataclasses

from gan_jax.sections import Section, number


@dataclasses.dataclass(frozen=True)
class Evaluation(Section):
    """How samples are scored while the run goes on."""

    every: int = number(1000, least=0)
    """Iterations between evaluations. 0: none."""
    metrics: tuple[str, ...] = ()
    """Which (`gan-jax evaluate --help` names them). None given: fid and precision_recall for
    images, swd for points, and modes too for ring and grid."""
    extractor: str = "pixels"
    """What compares images: pixels, efficientnet-lite0 (of ImageNet), classifier (needs labels) or
    inception (downloaded)."""
    samples: int = number(2000, least=2)
    """Generated examples that are scored."""
    best: str | None = None
    """Keep the best checkpoint by this score, named as it is printed: FID, recall, high quality, …
    None: by the first."""
