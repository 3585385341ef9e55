"""Quality and diversity of samples, as functions of arrays.

Most take two matrices of features, real and fake, `[n, d]` and `[m, d]`, NumPy or JAX, and return
Python floats. What the features are is up to the caller: the coordinates of points, flattened
pixels, or a network's activations. A score means something only together with them, with the
numbers of examples, and with the real data compared with.

Others compare images one by one, or each with the true one: they take `[n, h, w, c]` twice.
"""

from gan_jax.metrics.classification import classification_accuracy_score
from gan_jax.metrics.fidelity import psnr, ssim
from gan_jax.metrics.frechet import Gaussian, fit, frechet_distance
from gan_jax.metrics.inception_score import InceptionScore, inception_score
from gan_jax.metrics.kernel import KernelDistance, kernel_distance
from gan_jax.metrics.modes import ClassScores, ModeScores, class_modes, mixture_modes
from gan_jax.metrics.ms_ssim import ms_ssim, ms_ssim_diversity
from gan_jax.metrics.neighbors import (
    DensityCoverage,
    PrecisionRecall,
    density_coverage,
    nearest,
    precision_recall,
)
from gan_jax.metrics.path_length import perceptual_path_length
from gan_jax.metrics.perceptual import perceptual_distance, perceptual_features
from gan_jax.metrics.pixels import principal_components
from gan_jax.metrics.sliced import sliced_wasserstein

__all__ = [
    "ClassScores",
    "DensityCoverage",
    "Gaussian",
    "InceptionScore",
    "KernelDistance",
    "ModeScores",
    "PrecisionRecall",
    "class_modes",
    "classification_accuracy_score",
    "density_coverage",
    "fit",
    "frechet_distance",
    "inception_score",
    "kernel_distance",
    "mixture_modes",
    "ms_ssim",
    "ms_ssim_diversity",
    "nearest",
    "perceptual_distance",
    "perceptual_features",
    "perceptual_path_length",
    "precision_recall",
    "principal_components",
    "psnr",
    "sliced_wasserstein",
    "ssim",
]
