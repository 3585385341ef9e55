"""The workloads in idiomatic PyTorch: channels-last, fused Adam, `torch.compile` where it helps.

Networks and the algorithm are those of `gan_jax`, so that parameters and FLOPs can be counted
against each other; the code is what one would write who had never seen it.
"""

import copy
import itertools
import time

import torch
import torch.nn.functional as F
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.worker import peak_resident_bytes
from benchmarks.workloads import Workload

# As JAX does by default on such GPUs, and cuDNN's fastest algorithms, as XLA measures its own.
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark = True


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

    def __init__(self, width: int):
        layers = [nn.Conv2d(3, width, 4, 2, 1), leaky()]
        for before, stride in ((width, 2), (2 * width, 2), (4 * width, 1)):
            layers += _normed(nn.Conv2d(before, 2 * before, 4, stride, 1, bias=False), leaky())
        super().__init__(*layers, nn.Conv2d(8 * width, 1, 4, 1, 1))


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
    return R3GANDiscriminator(w.stages, w.width), R3GANGenerator(w.stages, w.width, w.latent_dim)


def non_saturating_d(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean()


def non_saturating_g(real, fake):
    return F.softplus(-fake).mean()


def hinge_d(real, fake):
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_g(real, fake):
    return -fake.mean()


def pairing_d(real, fake):
    return F.softplus(fake - real).mean()


def pairing_g(real, fake):
    return F.softplus(real - fake).mean()


def squares_d(real, fake):
    return 0.5 * (real - 1).square().mean() + 0.5 * fake.square().mean()


def squares_g(real, fake):
    return 0.5 * (fake - 1).square().mean()


LOSSES = {
    "least_squares": (squares_d, squares_g),
    "non_saturating": (non_saturating_d, non_saturating_g),
    "hinge": (hinge_d, hinge_g),
    "relativistic_pairing": (pairing_d, pairing_g),
}


class _FlopCounter(TorchDispatchMode):
    """PyTorch's own counts, but for gradients of convolutions, where it forgets the groups. (Its
    `FlopCounterMode` also adds hooks to modules, and these do not allow a gradient with respect to
    a module's input.)"""

    def __init__(self):
        super().__init__()
        self.total = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        output = function(*args, **(kwargs or {}))
        count = flop_registry.get(function.overloadpacket)
        if function.overloadpacket is torch.ops.aten.convolution_backward:
            y, x, kernel, transposed, wanted = args[0], args[1], args[2], args[7], args[10]
            spread = x if transposed else y
            self.total += 2 * spread.numel() * kernel[0].numel() * sum(wanted[:2])
        elif count is not None:
            self.total += count(*args, **(kwargs or {}), out_val=output)
        return output


def versions() -> dict[str, str]:
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    return {"torch": torch.__version__, "device": device}


def forget_peak() -> None:
    """So that the peak is that of training, without what cuDNN tried out before."""
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()


def rates(dtype: str = "float32") -> dict[str, float]:
    """FLOP/s of a large matrix product and of a large convolution. On a GPU they are larger, and
    several are asked for at once; on a CPU without bfloat16 they are small."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    if device == "cpu":
        side, batch, calls = (2048, 64, 1) if dtype == "float32" else (256, 1, 1)
    else:
        side, batch, calls = 8192, 1024, 10
    options = {"device": device, "dtype": getattr(torch, dtype)}
    a = torch.randn(side, side, **options)
    x = torch.randn(batch, 128, 32, 32, **options).to(memory_format=torch.channels_last)
    k = torch.randn(128, 128, 3, 3, **options).to(memory_format=torch.channels_last)

    def rate(function, flops):
        times = []
        with torch.no_grad():
            for _ in range(6):
                synchronize()
                began = time.perf_counter()
                for _ in range(calls):
                    function()
                synchronize()
                times.append(time.perf_counter() - began)
        return calls * flops / min(times)

    return {
        "matmul": rate(lambda: a @ a, 2 * side**3),
        "convolution": rate(lambda: F.conv2d(x, k, padding=1), 2 * batch * 32 * 32 * 9 * 128 * 128),
    }


def synchronize() -> None:
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def build(w: Workload, variant: str) -> "Training":
    """The workload, `eager` or `compiled`."""
    kind = TranslationTraining if w.network == "cyclegan" else Training
    return kind(w, compiled=variant == "compiled")


class Training:
    """Both networks, their optimisers, and resident data."""

    def __init__(self, w: Workload, *, compiled: bool):
        torch.manual_seed(0)
        self.w = w
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.d, self.g = (n.to(self.device, memory_format=torch.channels_last) for n in networks(w))
        self.average = copy.deepcopy(self.g).requires_grad_(False)
        options = {"lr": 2e-4, "betas": (0.5, 0.999), "fused": True}
        self.d_adam = torch.optim.Adam(self.d.parameters(), **options)
        self.g_adam = torch.optim.Adam(self.g.parameters(), **options)
        self.d_loss, self.g_loss = LOSSES[w.loss]
        if w.resolution is None:
            self.data = torch.randn(w.examples, 2, device=self.device)
        else:
            shape = (w.examples, 3, w.resolution, w.resolution)
            images = torch.randint(0, 256, shape, dtype=torch.uint8, device=self.device)
            self.data = images.to(memory_format=torch.channels_last)
        self.forward_d, self.forward_g = self.d, self.g
        if compiled:
            self.forward_d, self.forward_g = torch.compile(self.d), torch.compile(self.g)

    def batch(self):
        indices = torch.randint(len(self.data), (self.w.batch_size,), device=self.device)
        real = self.data[indices]
        if real.dtype == torch.uint8:
            real = real.float().div_(127.5).sub_(1)
        return real

    def latents(self):
        return torch.randn(self.w.batch_size, self.w.latent_dim, device=self.device)

    def autocast(self):
        half = self.w.dtype == "bfloat16"
        return torch.autocast(self.device, torch.bfloat16, enabled=half)

    def d_step(self, real):
        with torch.no_grad(), self.autocast():
            fake = self.forward_g(self.latents()).float()
        penalised = self.w.penalty is not None
        if penalised:
            real, fake = real.requires_grad_(), fake.requires_grad_()
        with self.autocast():
            real_logits, fake_logits = self.forward_d(real).float(), self.forward_d(fake).float()
        loss = self.d_loss(real_logits, fake_logits)
        if penalised:  # one backward pass yields the input gradients of both
            of_real, of_fake = torch.autograd.grad(
                real_logits.sum() + fake_logits.sum(), (real, fake), create_graph=True
            )
            r1, r2 = (g.square().flatten(1).sum(1).mean() for g in (of_real, of_fake))
            loss = loss + self.w.penalty / 2 * (r1 + r2)
        self.d_adam.zero_grad(set_to_none=True)
        loss.backward()
        self.d_adam.step()
        return loss.detach()

    def g_step(self, real):
        self.d.requires_grad_(False)
        with self.autocast():
            fake_logits = self.forward_d(self.forward_g(self.latents())).float()
            real_logits = None
            if self.w.loss.startswith("relativistic"):
                with torch.no_grad():
                    real_logits = self.forward_d(real).float()
        loss = self.g_loss(real_logits, fake_logits)
        self.g_adam.zero_grad(set_to_none=True)
        loss.backward()
        self.g_adam.step()
        self.d.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.g.parameters()), 0.01)
        return loss.detach()

    def iteration(self):
        for _ in range(self.w.d_steps):
            real = self.batch()
            d_loss = self.d_step(real)
        return d_loss, self.g_step(real.detach())

    compile_seconds = None  # it compiles while it runs

    def peak_memory(self) -> int:
        """Bytes: on a GPU what was allocated there, otherwise this process's."""
        if self.device == "cuda":
            return torch.cuda.max_memory_allocated()
        return peak_resident_bytes()

    def parameters(self) -> dict[str, int]:
        return {
            name: sum(p.numel() for p in network.parameters())
            for name, network in (("d", self.d), ("g", self.g))
        }

    def flops(self) -> int:
        """Of one iteration's products and convolutions, counted by PyTorch."""
        forward = self.forward_d, self.forward_g
        self.forward_d, self.forward_g = self.d, self.g
        with _FlopCounter() as counter:
            self.iteration()
        self.forward_d, self.forward_g = forward
        return counter.total

    def run(self, iterations: int) -> float:
        """Seconds for this many."""
        synchronize()
        began = time.perf_counter()
        for _ in range(iterations):
            losses = self.iteration()
        synchronize()
        seconds = time.perf_counter() - began
        if not all(torch.isfinite(loss) for loss in losses):
            raise RuntimeError(f"{self.w.name}: a loss is not finite")
        return seconds


class TranslationTraining(Training):
    """Two networks of either kind, and a pool of earlier images for each domain."""

    def __init__(self, w: Workload, *, compiled: bool):
        super().__init__(w, compiled=False)
        if compiled:
            self.forward_d, self.forward_g = (
                {domain: torch.compile(network) for domain, network in both.items()}
                for both in (self.d, self.g)
            )
        self.pools = {domain: [] for domain in w.arrays}

    def batch(self):
        return {domain: super(TranslationTraining, self).batch() for domain in self.w.arrays}

    def exchange(self, domain, images):
        """Half of them out of the pool of 50, once it is full."""
        pool, shown = self.pools[domain], []
        for image in images:
            if len(pool) < 50:
                pool.append(image)
            elif torch.rand(()) < 0.5:
                place = int(torch.randint(50, ()))
                image, pool[place] = pool[place], image
            shown.append(image)
        return torch.stack(shown)

    def d_step(self, real):
        total = 0.0
        for domain, other in (("a", "b"), ("b", "a")):
            with torch.no_grad(), self.autocast():
                fake = self.exchange(domain, self.forward_g[domain](real[other]).float())
            with self.autocast():
                both = self.forward_d[domain](torch.cat([real[domain], fake])).float()
            total = total + self.d_loss(*both.chunk(2))
        self.d_adam.zero_grad(set_to_none=True)
        total.backward()
        self.d_adam.step()
        return total.detach()

    def g_step(self, real):
        self.d.requires_grad_(False)
        total, fakes = 0.0, {}
        with self.autocast():
            for domain, other in (("a", "b"), ("b", "a")):
                made = self.forward_g[domain](torch.cat([real[other], real[domain]]))
                fakes[domain], same = made.float().chunk(2)
                total = total + 2.5 * (same - real[domain]).abs().mean()
                total = total + self.g_loss(None, self.forward_d[domain](fakes[domain]).float())
            for domain, other in (("a", "b"), ("b", "a")):
                back = self.forward_g[domain](fakes[other]).float()
                total = total + 5 * (back - real[domain]).abs().mean()
        self.g_adam.zero_grad(set_to_none=True)
        total.backward()
        self.g_adam.step()
        self.d.requires_grad_(True)
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.g.parameters()), 0.01)
        return total.detach()

    def iteration(self):
        real = self.batch()
        return self.d_step(real), self.g_step(real)
