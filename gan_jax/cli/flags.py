"""From configurations to flags.

Every field of every section is a flag, and a docstring below it its help. Sections that come in
kinds have the flags of the kind that `--SECTION.kind` names, or else of the default one.
"""

import ast
import dataclasses
import functools
import inspect
import itertools
import textwrap
import typing
from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar

import tyro
from typing_extensions import Doc

from gan_jax.sections import Kind, Numbers

C = TypeVar("C")

FLAGS = tyro.constructors.ConstructorRegistry()
"""How the settings of this project are read from a command line."""


def _numbers(pairs: list[str]) -> Numbers:
    numbers = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        try:
            numbers[name] = float(value)
        except ValueError as error:
            raise ValueError(f"{pair} is not NAME=NUMBER") from error
    return Numbers(numbers)


NumbersFlag = Annotated[
    Mapping[str, float],
    tyro.constructors.PrimitiveConstructorSpec(
        nargs="*",
        metavar="[NAME=NUMBER ...]",
        instance_from_str=_numbers,
        is_instance=lambda value: isinstance(value, Mapping),
        str_from_instance=lambda numbers: [f"{k}={v}" for k, v in numbers.items()],
    ),
]
"""Named numbers: on the command line, `b1=0.5 b2=0.999`."""


@FLAGS.struct_rule
def _section(info: tyro.constructors.StructTypeInfo) -> Any:
    """A section's fields, with their docstrings in one line, and its kind."""
    section = info.default
    if not (dataclasses.is_dataclass(section) and type(section).__module__.startswith("gan_jax.")):
        return None
    cls: Any = type(section)
    fields = [
        tyro.constructors.StructFieldSpec(
            field.name, _type_of(section, field.name), getattr(section, field.name), text
        )
        for field, text in _described(cls)
    ]
    if isinstance(section, Kind) and section.selector == "kind":
        choices = tuple(section.kinds())
        text = f"{', '.join(choices)}. Which one it is decides about its other flags."
        kind = tyro.constructors.StructFieldSpec("kind", _one_of(choices), section.kind, text)
        fields.insert(0, kind)

    def build(kind: str | None = None, **values: Any) -> Any:
        return cls(**values)

    return tyro.constructors.StructConstructorSpec(build, tuple(fields))


def _one_of(choices: tuple[str, ...]) -> Any:
    return Literal[choices]  # type: ignore[valid-type]


def _type_of(section: Any, name: str) -> Any:
    """The type of a field, narrowed to that of its value if this is a section."""
    value = getattr(section, name)
    kind: Any = typing.get_type_hints(type(section), include_extras=True)[name]
    notes = [note for note in getattr(kind, "__metadata__", ()) if not isinstance(note, Doc)]
    kind = kind.__origin__ if typing.get_origin(kind) is Annotated else kind
    if dataclasses.is_dataclass(value):
        kind = type(value)
    elif kind == Mapping[str, float]:
        kind = NumbersFlag
    for note in notes:
        kind = Annotated[kind, note]
    return kind


@functools.cache
def _described(cls: Any) -> list[tuple[Any, str | None]]:
    """The fields of a dataclass, and what is said of them: by the docstring below, or by a `Doc` in
    the annotation."""
    texts: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if not dataclasses.is_dataclass(base):
            continue
        source = inspect.getsource(typing.cast(type, base))
        body = ast.parse(textwrap.dedent(source)).body[0]
        for statement, below in itertools.pairwise(typing.cast(ast.ClassDef, body).body):
            if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
                match below:
                    case ast.Expr(value=ast.Constant(value=str(text))):
                        texts[statement.target.id] = " ".join(text.split())
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        for note in getattr(hint, "__metadata__", ()):
            if isinstance(note, Doc):
                texts[name] = note.documentation
    return [(field, texts.get(field.name)) for field in dataclasses.fields(cls)]


def choose_kinds(config: C, arguments: Sequence[str]) -> C:
    """`config` with the sections of the kinds that the arguments name, as in `--generator.kind
    stylegan2`. A section that becomes another kind has the defaults of that one.

    Raises:
        InputError: there is no such kind.
    """
    for field in dataclasses.fields(typing.cast(Any, config)):
        section = getattr(config, field.name)
        if isinstance(section, Kind):
            chosen = _value_of(f"--{field.name}.kind", arguments)
            if chosen is not None and chosen != section.kind:
                kind = section.of_kind(chosen, field.name)
                config = dataclasses.replace(typing.cast(Any, config), **{field.name: kind()})
    return config


def _value_of(flag: str, arguments: Sequence[str]) -> str | None:
    """The last value that the arguments give a flag, in either form."""
    values = [b for a, b in itertools.pairwise(arguments) if a == flag]
    values += [a.removeprefix(f"{flag}=") for a in arguments if a.startswith(f"{flag}=")]
    return values[-1] if values else None
