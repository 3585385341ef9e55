"""The networks of the workloads in idiomatic PyTorch.

They are those of `gan_jax`, so that parameters and FLOPs can be counted against each other; the
code is what one would write who had never seen it.
"""

import itertools

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from benchmarks.workloads import Workload


class MLP(nn.Sequential):
    def __init__(self, inputs: int, width: int, outputs: int, activation):
        layers = []
        for _ in range(3):
            layers += [nn.Linear(inputs, width), activation()]
            inputs = width
        super().__init__(*layers, nn.Linear(width, outputs))


def leaky():
    return nn.LeakyReLU(0.2)


class DCGANGenerator(nn.Module):
    def __init__(self, resolution: int, width: int, latent_dim: int):
        super().__init__()
        widths = [width * 2**i for i in reversed(range(resolution.bit_length() - 3))]
        self.first = widths[0]
        self.dense = nn.Linear(latent_dim, 16 * widths[0], bias=False)
        layers = [nn.BatchNorm2d(widths[0]), nn.ReLU()]
        for before, after in itertools.pairwise(widths):
            layers += [
                nn.ConvTranspose2d(before, after, 4, 2, 1, bias=False),
                nn.BatchNorm2d(after),
                nn.ReLU(),
            ]
        self.body = nn.Sequential(*layers, nn.ConvTranspose2d(widths[-1], 3, 4, 2, 1), nn.Tanh())

    def forward(self, z):
        x = self.dense(z).view(len(z), self.first, 4, 4)
        return self.body(x.to(memory_format=torch.channels_last))


class DCGANDiscriminator(nn.Module):
    def __init__(self, resolution: int, width: int):
        super().__init__()
        widths = [3] + [width * 2**i for i in range(resolution.bit_length() - 3)]
        layers = []
        for before, after in itertools.pairwise(widths):
            layers += [nn.Conv2d(before, after, 4, 2, 1), leaky()]
        self.body = nn.Sequential(*layers, nn.Flatten(), nn.Linear(16 * widths[-1], 1))

    def forward(self, x):
        return self.body(x)[:, 0]


def four_by_four(kernel):
    """Of a 3×3 kernel, the sum of its shifts by a pixel: with it, one strided convolution does what
    a 3×3 convolution and resampling do, with less than half of the arithmetic."""
    shifts = [F.pad(kernel, (i, 1 - i, j, 1 - j)) for i in (0, 1) for j in (0, 1)]
    return torch.stack(shifts).sum(0)


class ConvUp(nn.Conv2d):
    """A 3×3 convolution of every pixel four times."""

    def forward(self, x):
        kernel = four_by_four(self.weight.flip(2, 3)).transpose(0, 1)
        return F.conv_transpose2d(x, kernel, self.bias, stride=2, padding=1)


class ConvDown(nn.Conv2d):
    """The means of 2×2 pixels after a 3×3 convolution."""

    def forward(self, x):
        return F.conv2d(x, four_by_four(self.weight) / 4, self.bias, stride=2, padding=1)


class ResidualUp(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.norms = nn.ModuleList(nn.BatchNorm2d(width) for _ in range(2))
        self.up = ConvUp(width, width, 3, bias=False)
        self.conv = nn.Conv2d(width, width, 3, padding=1)
        self.skip = nn.Conv2d(width, width, 1)

    def forward(self, x):
        h = self.up(F.relu(self.norms[0](x)))
        h = self.conv(F.relu(self.norms[1](h)))
        return h + F.interpolate(self.skip(x), scale_factor=2)


class ResNetGenerator(nn.Module):
    """SNGAN's at 32 pixels: as many channels everywhere."""

    def __init__(self, width: int, latent_dim: int):
        super().__init__()
        self.width = width
        self.dense = nn.Linear(latent_dim, 16 * width)
        self.blocks = nn.Sequential(*(ResidualUp(width) for _ in range(3)))
        self.norm = nn.BatchNorm2d(width)
        self.image = nn.Conv2d(width, 3, 3, padding=1)

    def forward(self, z):
        x = self.dense(z).view(len(z), self.width, 4, 4).to(memory_format=torch.channels_last)
        return torch.tanh(self.image(F.relu(self.norm(self.blocks(x)))))


class Residual(nn.Module):
    """`down` to half the resolution, or at the same one."""

    def __init__(self, inputs: int, width: int, *, first: bool = False, down: bool = False):
        super().__init__()
        self.first = first
        last = ConvDown(width, width, 3) if down else nn.Conv2d(width, width, 3, padding=1)
        self.convs = nn.ModuleList(
            spectral_norm(conv) for conv in (nn.Conv2d(inputs, width, 3, padding=1), last)
        )
        self.skip = spectral_norm(nn.Conv2d(inputs, width, 1)) if down else None

    def forward(self, x):
        h = x if self.first else F.relu(x)
        h = self.convs[1](F.relu(self.convs[0](h)))
        # Averaging and a 1×1 convolution commute: the cheaper order.
        return h + (x if self.skip is None else self.skip(F.avg_pool2d(x, 2)))


class ResNetDiscriminator(nn.Module):
    """SNGAN's at 32 pixels."""

    def __init__(self, width: int):
        super().__init__()
        self.blocks = nn.Sequential(
            Residual(3, width, first=True, down=True),
            Residual(width, width, down=True),
            Residual(width, width),
            Residual(width, width),
        )
        self.logit = spectral_norm(nn.Linear(width, 1))

    def forward(self, x):
        return self.logit(F.relu(self.blocks(x)).sum((2, 3)))[:, 0]


GROUP_WIDTH = 16


class GroupedBlock(nn.Module):
    """1×1 to twice the width, grouped 3×3, 1×1 back; biases before the activations. It starts as
    the identity."""

    def __init__(self, width: int):
        super().__init__()
        inner = 2 * width
        groups = max(1, inner // GROUP_WIDTH)
        self.expand = nn.Conv2d(width, inner, 1)
        self.grouped = nn.Conv2d(inner, inner, 3, padding=1, groups=groups)
        self.project = nn.Conv2d(inner, width, 1, bias=False)
        nn.init.zeros_(self.project.weight)

    def forward(self, x):
        h = F.leaky_relu(self.expand(x), 0.2)
        return x + self.project(F.leaky_relu(self.grouped(h), 0.2))


class Filter(nn.Module):
    """Twice or half the resolution, smoothed by the binomial filter [1, 3, 3, 1]."""

    def __init__(self, width: int, *, up: bool):
        super().__init__()
        self.width, self.convolve = width, F.conv_transpose2d if up else F.conv2d
        one = torch.tensor([1.0, 3.0, 3.0, 1.0]) / (4 if up else 8)
        kernel = torch.outer(one, one).expand(width, 1, 4, 4).contiguous()
        self.register_buffer("kernel", kernel)

    def forward(self, x):
        return self.convolve(x, self.kernel, stride=2, padding=1, groups=self.width)


class Stage(nn.Module):
    """Two blocks. The lowest resolution is computed in float32, whatever the others are."""

    def __init__(self, width: int, *, lowest: bool):
        super().__init__()
        self.lowest = lowest
        self.blocks = nn.Sequential(GroupedBlock(width), GroupedBlock(width))

    def forward(self, x):
        if not self.lowest:
            return self.blocks(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.blocks(x.float())


class R3GANGenerator(nn.Module):
    def __init__(self, stages: int, width: int, latent_dim: int):
        super().__init__()
        self.dense = nn.Linear(latent_dim, width, bias=False)
        self.basis = nn.Parameter(torch.randn(width, 4, 4))
        layers = [Stage(width, lowest=True)]
        for _ in range(stages - 1):
            layers += [Filter(width, up=True), Stage(width, lowest=False)]
        self.body = nn.Sequential(*layers, nn.Conv2d(width, 3, 1, bias=False))

    def forward(self, z):
        x = self.basis * self.dense(z)[:, :, None, None]
        return self.body(x.to(memory_format=torch.channels_last))


class R3GANDiscriminator(nn.Module):
    def __init__(self, stages: int, width: int):
        super().__init__()
        layers = [nn.Conv2d(3, width, 1, bias=False)]
        for i in reversed(range(stages)):
            layers += [Stage(width, lowest=i == 0), *([Filter(width, up=False)] if i else [])]
        self.body = nn.Sequential(*layers)
        self.basis = nn.Parameter(torch.randn(width, 4, 4) / 4)
        self.logit = nn.Linear(width, 1, bias=False)

    def forward(self, x):
        x = self.body(x)
        with torch.autocast(x.device.type, enabled=False):
            return self.logit((self.basis * x).sum((2, 3)))[:, 0]


def _normed(conv: nn.Module, *more: nn.Module) -> list[nn.Module]:
    return [conv, nn.InstanceNorm2d(conv.out_channels), *more]


class TranslatorBlock(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        conv = {"kernel_size": 3, "padding": 1, "padding_mode": "reflect", "bias": False}
        self.body = nn.Sequential(
            *_normed(nn.Conv2d(width, width, **conv), nn.ReLU()),
            *_normed(nn.Conv2d(width, width, **conv)),
        )

    def forward(self, x):
        return x + self.body(x)


class Translator(nn.Sequential):
    """CycleGAN's generator, of six blocks."""

    def __init__(self, width: int):
        ends = {"kernel_size": 7, "padding": 3, "padding_mode": "reflect"}
        up = {"kernel_size": 3, "stride": 2, "padding": 1, "output_padding": 1, "bias": False}
        layers = _normed(nn.Conv2d(3, width, **ends, bias=False), nn.ReLU())
        for before in (width, 2 * width):
            layers += _normed(nn.Conv2d(before, 2 * before, 3, 2, 1, bias=False), nn.ReLU())
        layers += [TranslatorBlock(4 * width) for _ in range(6)]
        for before in (4 * width, 2 * width):
            layers += _normed(nn.ConvTranspose2d(before, before // 2, **up), nn.ReLU())
        super().__init__(*layers, nn.Conv2d(width, 3, **ends), nn.Tanh())


class PatchGAN(nn.Sequential):
    """Of three halvings."""

    def __init__(self, width: int, channels: int = 3):
        layers = [nn.Conv2d(channels, width, 4, 2, 1), leaky()]
        for before, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += _normed(nn.Conv2d(before, 2 * before, 4, stride, 1, bias=False), leaky())
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


class UNet(nn.Module):
    """pix2pix's generator, down to two pixels a side."""

    def __init__(self, resolution: int, width: int, channels: int):
        super().__init__()
        widths = [width * min(2**i, 8) for i in range(resolution.bit_length() - 2)]
        self.first = nn.Conv2d(channels, widths[0], 4, 2, 1)
        self.innermost = nn.Conv2d(widths[-2], widths[-1], 4, 2, 1)
        pairs = list(itertools.pairwise(widths))
        self.down = nn.ModuleList(
            nn.Sequential(*_normed(nn.Conv2d(before, after, 4, 2, 1, bias=False)))
            for before, after in pairs[:-1]
        )
        self.up = nn.ModuleList()
        for i, (after, before) in enumerate(reversed(pairs)):
            inputs = before if i == 0 else 2 * before  # what the encoder had is beside it
            conv = nn.ConvTranspose2d(inputs, after, 4, 2, 1, bias=False)
            self.up.append(nn.Sequential(*_normed(conv), *([nn.Dropout(0.5)] if i < 3 else [])))
        self.image = nn.ConvTranspose2d(2 * widths[0], 3, 4, 2, 1)

    def forward(self, x):
        encoded = [self.first(x)]
        for layer in self.down:
            encoded.append(layer(F.leaky_relu(encoded[-1], 0.2)))
        x = self.innermost(F.leaky_relu(encoded[-1], 0.2))
        for layer in self.up:
            x = torch.cat([layer(F.relu(x)), encoded.pop()], 1)
        return torch.tanh(self.image(F.relu(x)))


class Dense(nn.Module):
    def __init__(self, width: int, growth: int):
        super().__init__()
        self.convs = nn.ModuleList(
            nn.Conv2d(width + i * growth, growth if i < 4 else width, 3, padding=1)
            for i in range(5)
        )

    def forward(self, x):
        seen = x
        for conv in self.convs[:4]:
            seen = torch.cat([seen, F.leaky_relu(conv(seen), 0.2)], 1)
        return x + 0.2 * self.convs[4](seen)


class ResidualDense(nn.Module):
    def __init__(self, width: int, growth: int):
        super().__init__()
        self.body = nn.Sequential(*(Dense(width, growth) for _ in range(3)))

    def forward(self, x):
        return x + 0.2 * self.body(x)


class RRDB(nn.Module):
    """ESRGAN's generator, of four blocks and four times as large, added to the bicubic enlargement
    of its input."""

    def __init__(self, width: int):
        super().__init__()
        self.first = nn.Conv2d(3, width, 3, padding=1)
        blocks = [ResidualDense(width, width // 2) for _ in range(4)]
        self.body = nn.Sequential(*blocks, nn.Conv2d(width, width, 3, padding=1))
        self.enlarge = nn.Sequential(
            ConvUp(width, width, 3), leaky(), ConvUp(width, width, 3), leaky(),
            nn.Conv2d(width, width, 3, padding=1), leaky(), nn.Conv2d(width, 3, 3, padding=1),
        )  # fmt: skip
        nn.init.zeros_(self.enlarge[-1].weight)

    def forward(self, x):
        first = self.first(x)
        enlarged = F.interpolate(x, scale_factor=4, mode="bicubic")
        return self.enlarge(first + self.body(first)) + enlarged


class UNetCritic(nn.Module):
    """Real-ESRGAN's discriminator, with spectral norm."""

    def __init__(self, width: int):
        super().__init__()
        widths = [width * 2**i for i in range(4)]
        self.image = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, 4, 2, 1, bias=False))
            for before, after in itertools.pairwise(widths)
        )
        same = {"kernel_size": 3, "padding": 1, "bias": False}
        self.up = nn.ModuleList(
            spectral_norm(nn.Conv2d(before, after, **same))
            for before, after in itertools.pairwise(reversed(widths))
        )
        self.pixels = nn.ModuleList(
            spectral_norm(nn.Conv2d(width, width, **same)) for _ in range(2)
        )
        self.logits = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x):
        x, seen = F.leaky_relu(self.image(x), 0.2), []
        for conv in self.down:
            seen.append(x)
            x = F.leaky_relu(conv(x), 0.2)
        for conv in self.up:
            x = F.interpolate(x, scale_factor=2, mode="bilinear")
            x = F.leaky_relu(conv(x), 0.2) + seen.pop()
        for conv in self.pixels:
            x = F.leaky_relu(conv(x), 0.2)
        return self.logits(x)


def networks(w: Workload) -> tuple[nn.Module, nn.Module]:
    """`(discriminator, generator)`."""
    r = w.resolution
    if w.network == "mlp":
        return MLP(2, w.width, 1, leaky), MLP(w.latent_dim, w.width, 2, nn.ReLU)
    if w.network == "dcgan":
        return DCGANDiscriminator(r, w.width), DCGANGenerator(r, w.width, w.latent_dim)
    if w.network == "resnet":
        return ResNetDiscriminator(w.width), ResNetGenerator(w.width, w.latent_dim)
    if w.network == "cyclegan":
        d, g = (
            nn.ModuleDict({domain: kind(w.width) for domain in w.arrays})
            for kind in (PatchGAN, Translator)
        )
        return d, g
    if w.network == "unet":
        return PatchGAN(w.width, 1 + 3), UNet(r, w.width, 1)
    if w.network == "rrdb":
        return UNetCritic(w.width // 2), RRDB(w.width)
    return R3GANDiscriminator(w.stages, w.width), R3GANGenerator(w.stages, w.width, w.latent_dim)
