"""Sections of a configuration: small frozen dataclasses that say what to build.

Some come in kinds: a `family` of dataclasses that stand at the same place and are told apart by
their `kind`. Each kind is declared beside what it builds, and nothing else lists it:

    @dataclasses.dataclass(frozen=True)
    class GeneratorSection(base.GeneratorSection, kind="toy"):
        width: int = 64

        def build(self, form: Form) -> nn.Module: ...

A kind is found by its file being in the family's package.
"""

import dataclasses
from collections.abc import Collection, Iterator, Mapping
from typing import (
    Any,
    ClassVar,
    Literal,
    NamedTuple,
    TypeVar,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from gan_jax.discovery import modules
from gan_jax.errors import InputError, all_at_once

T = TypeVar("T")


class Section:
    """A section of a configuration. Its fields are checked by what they declare: a `Literal` type
    or bounds (`number`)."""

    def validate(self, where: str) -> None:
        """Checks what this section can check by itself. `where` is its name in the configuration.

        Raises:
            InputError: naming the field and what it may be.
        """
        prefix, kinds = f"{where}." if where else "", get_type_hints(type(self))
        with all_at_once() as apart:
            for field in dataclasses.fields(cast(Any, self)):
                value, name = getattr(self, field.name), f"{prefix}{field.name}"
                with apart():
                    if get_origin(kinds[field.name]) is Literal:
                        check_known(name, value, get_args(kinds[field.name]))
                    if "bounds" in field.metadata and value is not None:
                        field.metadata["bounds"].check(name, value)


class Kind(Section):
    """A section that comes in kinds. A direct subclass founds a family, whose kinds are the
    subclasses with a `kind` in the modules of `package`."""

    kind: ClassVar[str]
    """What chooses it in a configuration: `"kind"` in JSON, `--NAME.kind` on the command line."""
    selector: ClassVar[str] = "kind"
    """The name of that choice."""
    _package: ClassVar[str]
    _declared: ClassVar[dict[str, type["Kind"]]]

    def __init_subclass__(
        cls, *, kind: str | None = None, package: str | None = None, **options: Any
    ) -> None:
        super().__init_subclass__(**options)
        if package is not None:
            cls._package, cls._declared = package, {}
        if kind is not None:
            cls.kind = kind
            cls._declared[kind] = cls

    @classmethod
    def kinds(cls) -> dict[str, type[Any]]:
        """The kinds of this family, by name."""
        modules(cls._package)  # in which they are declared
        return dict(sorted(cls._declared.items()))

    @classmethod
    def of_kind(cls, name: str, where: str) -> type[Any]:
        """The kind of this name, for the section `where`.

        Raises:
            InputError: there is none.
        """
        kinds = cls.kinds()
        check_known(f"{where}.{cls.selector}" if where else cls.selector, name, kinds)
        return kinds[name]


class Numbers(Mapping[str, float]):
    """Named numbers, as `{"b1": 0.5, "b2": 0.999}`: a mapping that can be hashed."""

    def __init__(self, numbers: Mapping[str, float] = {}):
        self._numbers = dict(numbers)

    def __getitem__(self, name: str) -> float:
        return self._numbers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._numbers)

    def __len__(self) -> int:
        return len(self._numbers)

    def __hash__(self) -> int:
        return hash(frozenset(self._numbers.items()))

    def __repr__(self) -> str:
        return repr(self._numbers)


class Bounds(NamedTuple):
    """What a number may be."""

    least: float | None
    above: float | None
    most: float | None
    below: float | None

    def check(self, name: str, value: float) -> None:
        """
        Raises:
            InputError: `value` is out of bounds.
        """
        low = self.least is not None and value < self.least
        low |= self.above is not None and value <= self.above
        high = self.most is not None and value > self.most
        high |= self.below is not None and value >= self.below
        if low or high:
            raise InputError(f"{name} is {self}, not {value}")

    def __str__(self) -> str:
        words = {
            "at least": self.least, "above": self.above, "at most": self.most, "below": self.below
        }  # fmt: skip
        return " and ".join(f"{w} {bound:g}" for w, bound in words.items() if bound is not None)


def number(
    default: T,
    *,
    least: float | None = None,
    above: float | None = None,
    most: float | None = None,
    below: float | None = None,
    metadata: Mapping[str, Any] = {},
) -> T:
    """A field of a section, and what it may be (if it is not None)."""
    bounds = Bounds(least, above, most, below)
    return dataclasses.field(default=default, metadata={"bounds": bounds, **metadata})  # type: ignore


def check_known(name: str, value: str, choices: Collection[str]) -> None:
    """
    Raises:
        InputError: `value` is none of the choices.
    """
    if value not in choices:
        raise InputError(f"unknown {name} {value!r}: one of {', '.join(choices)}")


def check_at_least(name: str, value: float, least: float) -> None:
    """
    Raises:
        InputError: `value` is below `least`.
    """
    Bounds(least, None, None, None).check(name, value)
