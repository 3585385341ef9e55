"""A hook of MkDocs: makes the pages of the API reference from the tree of the package, so that
nothing keeps a list of them. There is a page for every package and every module at the top, with
all public names."""

import ast
from collections.abc import Iterator
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "gan_jax"


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds the pages to the navigation, before the page for developers."""
    pages = [{title: uri} for title, uri, _ in pages_of(PACKAGE)]
    nav = list(config.nav or [])
    place = next(i for i, entry in enumerate(nav) if "Developing" in entry)
    config.nav = [*nav[:place], {"API reference": pages}, *nav[place:]]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages themselves."""
    for _, uri, text in pages_of(PACKAGE):
        files.append(File.generated(config, uri, content=text))
    return files


def pages_of(package: Path) -> Iterator[tuple[str, str, str]]:
    """Title, address and text of every page."""
    yield "gan_jax", "reference/index.md", _overview(package)
    for path in sorted(package.iterdir()):
        name = path.stem
        if name.startswith("_") or not (path.suffix == ".py" or _modules(path)):
            continue
        modules = [path] if path.suffix == ".py" else _modules(path)
        text = "\n".join(_module(module) for module in modules)
        yield name, f"reference/{name}.md", f"# gan_jax.{name}\n\n{text}"


def _modules(package: Path) -> list[Path]:
    """A package's modules at any depth, first its own docstring."""
    files = [path for path in package.rglob("*.py") if path.stem == "__init__" or _public(path)]
    return sorted(files, key=lambda path: (path.parent, path.stem != "__init__", path.stem))


def _public(path: Path) -> bool:
    return not path.stem.startswith("_")


def _module(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    package = parts[-1] == "__init__"
    name = ".".join(parts[:-1] if package else parts)
    # What a package imports for convenience stands where it is defined.
    options = "    options:\n      members: false\n" if package and _only_imports(path) else ""
    return f"::: {name}\n{options}"


def _only_imports(path: Path) -> bool:
    kinds = (ast.FunctionDef, ast.ClassDef)
    return not any(isinstance(statement, kinds) for statement in ast.parse(path.read_text()).body)


def _overview(package: Path) -> str:
    """The names of `gan_jax` itself, and where each is described."""
    tree = ast.parse((package / "__init__.py").read_text())
    origins = {
        alias.asname or alias.name: (statement.module or "", alias.name)
        for statement in ast.walk(tree)
        if isinstance(statement, ast.ImportFrom)
        for alias in statement.names
    }
    lines = ["# gan_jax", "", ast.get_docstring(tree) or "", ""]
    lines += ["| `gan_jax.` | described in |", "| --- | --- |"]
    for name in sorted(_exported(tree), key=str.lower):
        module, original = origins.get(name, ("gan_jax", name))
        page = name if module == "gan_jax" else module.split(".")[1]
        where = f"{module}.{original}"
        known = any((package / f"{page}{suffix}").exists() for suffix in (".py", "/__init__.py"))
        lines.append(f"| `{name}` | {f'[`{where}`]({page}.md)' if known else f'`{where}`'} |")
    return "\n".join(lines) + "\n"


def _exported(tree: ast.Module) -> list[str]:
    for statement in tree.body:
        if isinstance(statement, ast.Assign) and ast.unparse(statement.targets[0]) == "__all__":
            return ast.literal_eval(statement.value)
    return []
