"""The workloads in idiomatic PyTorch: channels-last, fused Adam, `torch.compile` where it helps."""

import copy
import time

import torch
import torch.nn.functional as F
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from benchmarks.torch_networks import networks
from benchmarks.worker import peak_resident_bytes
from benchmarks.workloads import Workload

# As JAX does by default on such GPUs, and cuDNN's fastest algorithms, as XLA measures its own.
torch.backends.cuda.matmul.allow_tf32 = True
torch.backends.cudnn.allow_tf32 = True
torch.backends.cudnn.benchmark = True


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


def average_d(real, fake):
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


def average_g(real, fake):
    return average_d(fake, real)


LOSSES = {
    "relativistic_average": (average_d, average_g),
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
    kinds = {"cyclegan": TranslationTraining, "unet": PairedTraining, "rrdb": PairedTraining}
    kind = kinds.get(w.network, Training)
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
        self.update(self.d_adam, loss)
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
        self.update(self.g_adam, loss)
        self.d.requires_grad_(True)
        self.advance_average()
        return loss.detach()

    def update(self, adam, loss):
        adam.zero_grad(set_to_none=True)
        loss.backward()
        adam.step()

    @torch.no_grad()
    def advance_average(self):
        torch._foreach_lerp_(list(self.average.parameters()), list(self.g.parameters()), 0.01)

    def iteration(self):
        for _ in range(self.w.d_steps):
            real = self.batch()
            d_loss = self.d_step(real)
        return d_loss, self.g_step(real)

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
        self.update(self.d_adam, total)
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
        self.update(self.g_adam, total)
        self.d.requires_grad_(True)
        self.advance_average()
        return total.detach()


class PairedTraining(Training):
    """From grey images to those in color, judged beside them, or from small images to large."""

    def batch(self):
        target = super().batch()
        if self.w.network == "unet":
            weights = torch.tensor([0.299, 0.587, 0.114], device=self.device)
            return torch.einsum("nchw,c->nhw", target, weights)[:, None], target
        small = F.interpolate(target, scale_factor=1 / 4, mode="bicubic", antialias=True)
        return small.clamp(-1, 1), target

    def judge(self, given, *images):
        """Logits of each, all judged at once."""
        if self.w.network == "unet":
            images = [torch.cat([given, x], 1) for x in images]
        return self.forward_d(torch.cat(images)).float().chunk(len(images))

    def d_step(self, real):
        given, target = real
        with torch.no_grad(), self.autocast():
            fake = self.forward_g(given).float()
        with self.autocast():
            loss = self.d_loss(*self.judge(given, target, fake))
        self.update(self.d_adam, loss)
        return loss.detach()

    def g_step(self, real):
        given, target = real
        self.d.requires_grad_(False)
        real_logits = None
        with self.autocast():
            fake = self.forward_g(given).float()
            if self.w.loss.startswith("relativistic"):
                with torch.no_grad():
                    (real_logits,) = self.judge(given, target)
            (fake_logits,) = self.judge(given, fake)
        loss = self.g_loss(real_logits, fake_logits) + (fake - target).abs().mean()
        self.update(self.g_adam, loss)
        self.d.requires_grad_(True)
        self.advance_average()
        return loss.detach()
