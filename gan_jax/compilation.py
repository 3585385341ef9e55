"""How programs are compiled: with which options, and where the results are kept."""

import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import jax
from flax.core.tracers import current_trace

from gan_jax.paths import cache_root

P = ParamSpec("P")
T = TypeVar("T")

_CPU_OPTIONS: dict[str, Any] = {
    # Matrix products and sums by YNNPACK, but convolutions by Eigen, which takes half as long for
    # those of a GAN's gradients. (By oneDNN they would be faster still, but then XLA cannot write
    # the program to the cache.)
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    ),
}


def jit(function: Callable[P, T], **options: Any) -> Callable[P, T]:
    """`jax.jit` with the compiler options that measured best on the backend at hand.

    It takes the options of `jax.jit` (`donate_argnums`, `static_argnames`, …), and the result is
    called in the same way: with any shapes, and within other transformations, where it is what
    `jax.jit` makes of the function. (XLA compiles a whole program with one set of options: that of
    the outermost function.) What is compiled at the first call is for the backend that is then the
    default.
    """
    plain = jax.jit(function, **options)
    fast: list[Callable[P, T]] = []

    @functools.wraps(function)
    def compiled(*arguments: P.args, **named: P.kwargs) -> T:
        if current_trace() != _no_trace():
            return plain(*arguments, **named)
        if not fast:
            fast.append(jax.jit(function, compiler_options=best_options(), **options))
        return fast[0](*arguments, **named)

    return compiled


@functools.cache
def _no_trace() -> Any:
    with jax.ensure_compile_time_eval():
        return current_trace()


@functools.cache
def best_options() -> dict[str, Any] | None:
    """The compiler options that measured best on the default backend; None if there are none.

    They are XLA's experiments: one that does not know them goes without.
    """
    if jax.default_backend() != "cpu":
        return None
    try:
        with jax.ensure_compile_time_eval():
            jax.jit(lambda: 0).lower().compile(compiler_options=_CPU_OPTIONS)
    except jax.errors.JaxRuntimeError as error:
        if "option" not in str(error):
            raise
        return None
    return _CPU_OPTIONS


class CompiledFast:
    """A jitted or pmapped function, compiled with the best options when it is first called. From
    then on it takes arguments of those shapes only. `jit` is what to take where it can be: this is
    for `jax.pmap`, which takes no compiler options, and for asking how much memory a program needs.

    With several processes it is called as it is: what a pmapped function is given there are parts,
    and a compiled one does not put them together.
    """

    def __init__(self, function: Any):
        self._function = function
        self.compiled: Any = None
        """The `jax.stages.Compiled`; None before the first call."""

    def __call__(self, *arguments: Any) -> Any:
        if jax.process_count() > 1:
            return self._function(*arguments)
        self.compile(*arguments)
        return self.compiled(*arguments)

    def compile(self, *arguments: Any) -> None:
        """Compiles for arguments like these, unless it is done."""
        if self.compiled is None:
            lowered = self._function.lower(*arguments)
            self.compiled = lowered.compile(compiler_options=best_options())


def keep_compiled(directory: Path | None = None) -> None:
    """Keeps what is compiled from now on in `directory`, by default the user's cache, so that the
    next process need not compile it again. A directory that JAX was given already stays.

    Not on several CPU devices: there a program that comes from the cache may wait for ever, with
    some devices in one collective operation and the rest in another.
    """
    if jax.default_backend() == "cpu" and jax.device_count() > 1:
        return
    settings: Any = jax.config  # whose attributes are made when JAX starts
    if settings.jax_compilation_cache_dir is None:
        directory = directory or cache_root() / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(directory))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
