"""Filters of orthogonal wavelets, as matrices that filter and resample a signal of n samples.

Beyond its ends a signal goes on as its own reflection, without repeating the sample at the end, for
ever: with period 2(n − 1).

Source: Daubechies, "Ten Lectures on Wavelets", 1992, tables 6.1 and 6.3, for the taps; Karras et
al., "Training Generative Adversarial Networks with Limited Data", 2020, appendix B, for their use.
"""

import functools

import numpy as np

SYM2 = np.array([-0.12940952255092145, 0.22414386804185735, 0.836516303737469, 0.48296291314469025])
"""Low-pass taps of the symlet with 2 vanishing moments. Taps are orthonormal to their shifts by 2,
4, …, and sum to √2."""

SYM6 = np.array([
    0.015404109327027373, 0.0034907120842174702, -0.11799011114819057, -0.048311742585633,
    0.4910559419267466, 0.787641141030194, 0.3379294217276218, -0.07263752278646252,
    -0.021060292512300564, 0.04472490177066578, 0.0017677118642428036, -0.007800708325034148,
])  # fmt: skip
"""Low-pass taps of the symlet with 6 vanishing moments."""

CENTER = 5  # of SYM6, whose weight is mostly there

REACH = len(SYM6) - 2
"""How many more samples than 2n `downsampling` needs."""


def _taps_at(taps: np.ndarray, positions: np.ndarray) -> np.ndarray:
    """taps[positions], and 0 beyond their ends."""
    inside = (positions >= 0) & (positions < len(taps))
    return np.where(inside, taps[np.where(inside, positions, 0)], 0.0)


def _reflection(n: int, before: int, after: int) -> np.ndarray:
    """[before + n + after, n]: a signal, continued."""
    return np.eye(n)[np.pad(np.arange(n), (before, after), mode="reflect")]


@functools.cache
def upsampling(n: int) -> np.ndarray:
    """[4(n − 1) + 1, n]: one period of the signal at twice the resolution, and the first sample of
    the next, by SYM6. Sample 2i is where the signal's sample i is."""
    margin = len(SYM6) // 4
    signal = _reflection(n, margin, n - 1 + margin)  # from sample −margin on
    fine, coarse = np.ogrid[: 4 * (n - 1) + 1, -margin : len(signal) - margin]
    return (np.sqrt(2) * _taps_at(SYM6, fine - 2 * coarse + CENTER) @ signal).astype(np.float32)


@functools.cache
def downsampling(n: int) -> np.ndarray:
    """[n, 2n + REACH]: what `upsampling` makes, back at the resolution of the signal, by the
    transposed filter. Sample i is where sample 2i + 5 was."""
    coarse, fine = np.ogrid[:n, : 2 * n + REACH]
    return (_taps_at(SYM6, fine - 2 * coarse) / np.sqrt(2)).astype(np.float32)


@functools.cache
def filter_bank() -> np.ndarray:
    """[4, 43]: symmetric filters that split a signal into octaves of frequency, low to high: up to
    1/8 of the highest, 1/8 to 1/4, 1/4 to 1/2, and above. They sum to the identity."""
    low = np.convolve(SYM2, SYM2[::-1]) / 2  # power-complementary, without phase
    high = low * (-1.0) ** np.arange(-3, 4)
    bands = [np.ones(1)]
    for _ in range(3):
        stretched = [np.kron(band, [1, 0])[:-1] for band in bands]
        bands = [np.convolve(band, low) for band in stretched] + [high]
    width = len(bands[0])
    return np.stack([np.pad(band, (width - len(band)) // 2) for band in bands])


@functools.cache
def band_filtering(n: int) -> np.ndarray:
    """[4, n, n]: each filter of the bank, applied to a signal."""
    half = filter_bank().shape[1] // 2
    rows, columns = np.ogrid[:n, : n + 2 * half]
    signal = _reflection(n, half, half)
    bands = [_taps_at(taps, columns - rows) @ signal for taps in filter_bank()]
    return np.stack(bands).astype(np.float32)
