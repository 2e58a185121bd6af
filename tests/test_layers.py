"""The package's layers, as docs/architecture.md lists them."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

from conftest import ROOT

PACKAGE = ROOT / "workflow" / "hypercurve"
# Clocks, files, processes, and randomness that no key fixes.
IMPURE = {"time", "datetime", "os", "io", "pathlib", "random", "secrets", "uuid", "socket", "subprocess", "threading"}
IMPURE |= {"tensorflow", "keras", "mpi4py", "pandas"}


@cache
def modules() -> dict[str, Path]:
    """All modules of the package by their names in it; a package has its own name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        if name:
            found[name] = path
    return found


@cache
def imports_in(path: Path) -> list[ast.stmt]:
    """A file's import statements, those within functions too."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]


def imports(name: str, path: Path, within: bool = True) -> Iterator[tuple[str, int]]:
    """What a module imports, and in which line: modules of the package (`within`), or top-level names of others."""
    known = modules()
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    for node in imports_in(path):
        if isinstance(node, ast.Import):
            found = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level:
            base = package.split(".") if package else []
            base = base[: len(base) - node.level + 1]
            origin = ".".join([*base, *([node.module] if node.module else [])])
            whole = [f"{origin}.{alias.name}".lstrip(".") for alias in node.names]
            found = [f"hypercurve.{full if full in known else origin}" for full in whole]
        else:
            found = [node.module or ""]
        for target in found:
            top, _, rest = target.partition(".")
            if within and top == "hypercurve" and rest:
                yield rest, node.lineno
            elif not within and top != "hypercurve":
                yield top, node.lineno


def layers() -> list[tuple[str, str]]:
    """The packages, the most basic first, and what docs/architecture.md says of each."""
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    listed = page.partition("## Layers")[2].split("```")[1].strip().splitlines()
    return [(line.split("/", 1)[0], line.split("/", 1)[1].strip()) for line in listed]


def package_of(name: str) -> str:
    return name.split(".")[0]


def test_the_architecture_page_lists_the_packages_that_there_are() -> None:
    there = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    listed = [package for package, _ in layers()]
    assert len(listed) == len(set(listed))
    assert set(listed) == there
    assert sorted(path.name for path in PACKAGE.glob("*.py")) == ["__init__.py", "__main__.py"]


def test_a_module_imports_only_from_its_own_package_and_those_listed_before_it() -> None:
    height = {package: place for place, (package, _) in enumerate(layers())}
    wrong = {
        f"{path.relative_to(ROOT)}:{line}: {name} imports {target}": None
        for name, path in modules().items()
        if name not in ("", "__main__")
        for target, line in imports(name, path)
        if height[package_of(target)] > height[package_of(name)]
    }
    assert list(wrong) == [], (
        "a module imports only from its own package and those listed before it in docs/architecture.md"
    )


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name: {target for target, _ in imports(name, path)} - {name} for name, path in modules().items()}
    done: set[str] = set()

    def circle(name: str, trail: tuple[str, ...]) -> tuple[str, ...] | None:
        if name in trail:
            return (*trail[trail.index(name) :], name)
        if name in done:
            return None
        found = next((c for target in sorted(graph.get(name, ())) if (c := circle(target, (*trail, name)))), None)
        done.add(name)
        return found

    for name in graph:
        found = circle(name, ())
        assert found is None, " imports ".join(found or ())


def test_pure_packages_import_no_clock_no_files_and_no_chance() -> None:
    pure = {package for package, text in layers() if text.startswith("PURE")} | {"runs.run", "runs.trial_scheduler"}
    assert {"search", "stopping", "population", "space"} <= pure
    impure = [
        f"{path.relative_to(ROOT)}:{line}: {target}"
        for name, path in modules().items()
        if package_of(name) in pure or name in pure
        for target, line in imports(name, path, within=False)
        if target in IMPURE
    ]
    assert impure == []


def test_only_the_encoding_knows_the_keys_of_a_journals_lines() -> None:
    key = re.compile(r"""\["(event|then|wall)"\]|\.get\("(event|then|wall|origin)"|"(event|then)":""")
    knowing = {name for name, path in modules().items() if key.search(path.read_text(encoding="utf-8"))}
    assert knowing == {"events.encoding"}


def test_no_file_is_longer_than_a_reader_holds_in_the_head() -> None:
    long = {
        str(path.relative_to(ROOT)): n for path in modules().values() if (n := len(path.read_text().splitlines())) > 400
    }
    assert long == {}


def test_reading_an_experiment_loads_nothing_heavy() -> None:
    heavy = [
        "tensorflow",
        "keras",
        "pandas",
        "scipy",
        "matplotlib",
        "seaborn",
        "sklearn",
        "mpi4py",
        "jinja2",
        "rich",
        "optuna",
    ]
    program = (
        "import sys, hypercurve.config.jobs, hypercurve.config.files, hypercurve.util.provenance\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "[]", "every cluster job parses the Snakefile, which imports these"
