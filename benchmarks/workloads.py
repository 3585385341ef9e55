"""What is measured: the same trainings for both frameworks, in plain numbers."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Workload:
    """One training: of which networks, on what, and how."""

    name: str
    network: str
    """mlp, dcgan, resnet (SNGAN's), r3gan; of those that make images of images, unet (pix2pix's),
    rrdb (ESRGAN's), or cyclegan, which has two of each."""
    batch_size: int
    width: int
    resolution: int | None
    """Side of the images; None for points in the plane."""
    loss: str
    latent_dim: int = 64
    d_steps: int = 1
    penalty: float | None = None
    """γ of R1 and R2, both in every discriminator update."""
    dtype: str = "float32"
    iterations: int = 10
    """In one call, which is timed."""
    examples: int = 4096
    """Resident data."""

    @property
    def arrays(self) -> tuple[str, ...]:
        """What is drawn from."""
        if self.network == "cyclegan":
            return ("a", "b")
        return ("image",) if self.network in ("unet", "rrdb") else ("real",)

    @property
    def shape(self) -> tuple[int, ...]:
        """Of one example."""
        return (2,) if self.resolution is None else (self.resolution, self.resolution, 3)

    @property
    def stages(self) -> int:
        """Resolutions from 4×4 up to that of the images."""
        return 0 if self.resolution is None else self.resolution.bit_length() - 2

    @property
    def images(self) -> int:
        """Real examples that one iteration looks at."""
        return self.batch_size * self.d_steps


WORKLOADS = {
    w.name: w
    for w in (
        Workload("mlp", "mlp", 100, 128, None, "non_saturating", 2, iterations=1000),
        Workload("dcgan32", "dcgan", 64, 64, 32, "non_saturating", iterations=10),
        Workload("dcgan64", "dcgan", 64, 64, 64, "non_saturating", iterations=3),
        Workload("sngan32", "resnet", 64, 32, 32, "hinge", 128, d_steps=5, iterations=2),
        Workload(
            "r3gan16", "r3gan", 512, 64, 16, "relativistic_pairing", penalty=1.0, iterations=1
        ),
        Workload("unet64", "unet", 8, 32, 64, "non_saturating", iterations=3, examples=1024),
        Workload("rrdb32", "rrdb", 16, 32, 32, "relativistic_average", iterations=2),
        Workload("cyclegan64", "cyclegan", 4, 32, 64, "least_squares", iterations=1, examples=256),
    )
}
