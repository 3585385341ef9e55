"""How programs are compiled: with which options, and where the results are kept."""

from pathlib import Path
from typing import Any

import jax

from gan_jax import paths

_CPU_OPTIONS = {
    # Matrix products and sums by YNNPACK, but convolutions by Eigen, which takes half as long for
    # those of a GAN's gradients. (By oneDNN they would be faster still, but then XLA cannot write
    # the program to the cache.)
    "xla_cpu_experimental_ynn_fusion_type": (
        "LIBRARY_FUSION_TYPE_INDIVIDUAL_DOT,LIBRARY_FUSION_TYPE_REDUCE"
    ),
}


def compile_fast(lowered: jax.stages.Lowered) -> jax.stages.Compiled:
    """Compiles with the options that measured best where it will run.

    These options are XLA's experiments. One that does not know them compiles without.
    """
    if jax.default_backend() == "cpu":
        try:
            return lowered.compile(compiler_options=_CPU_OPTIONS)
        except jax.errors.JaxRuntimeError as error:
            if "option" not in str(error):
                raise
    return lowered.compile()


class CompiledFast:
    """A jitted or pmapped function, compiled by `compile_fast` when it is first called. From then
    on it takes arguments of those shapes only.

    With several processes it is called as it is: what a pmapped function is given there are parts,
    and a compiled one does not put them together.
    """

    def __init__(self, function: Any):
        self._function = function
        self.compiled: jax.stages.Compiled | None = None
        """None before the first call."""

    def __call__(self, *arguments: Any) -> Any:
        if jax.process_count() > 1:
            return self._function(*arguments)
        self.compile(*arguments)
        return self.compiled(*arguments)

    def compile(self, *arguments: Any) -> None:
        """Compiles for arguments like these, unless it is done."""
        if self.compiled is None:
            self.compiled = compile_fast(self._function.lower(*arguments))


def keep_compiled(directory: Path | None = None) -> None:
    """Keeps what is compiled from now on in `directory`, by default the user's cache, so that the
    next process need not compile it again. A directory that JAX was given already stays.

    Not on several CPU devices: there a program that comes from the cache may wait for ever, with
    some devices in one collective operation and the rest in another.
    """
    if jax.default_backend() == "cpu" and jax.device_count() > 1:
        return
    if jax.config.jax_compilation_cache_dir is None:
        directory = directory or paths.cache_root() / "compiled"
        jax.config.update("jax_compilation_cache_dir", str(directory))
        jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
