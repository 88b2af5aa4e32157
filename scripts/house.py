#!/usr/bin/env python
"""Measures the code's structure: lengths of files and functions, and how much one has to read.

    scripts/house.py [ROOT] [--json]

ROOT is a working tree, by default this one. Lines are all lines of a file. The slots of a signature
are its parameters, without ``self`` and ``cls``, and its return value. "Any" counts slots annotated
as plain ``Any``, "within" also those that contain it, such as ``dict[str, Any]``; aliases are not
resolved. Public means functions, classes and methods without a leading underscore. No code of ROOT
is executed.

Of an algorithm there are two counts. To read: its file, the base class that it extends (stream or
value) and the mathematics (returns, q_targets), as far as these import one another.
Needed: all of algorithms/ that its file imports, directly or indirectly.
"""

from __future__ import annotations

import argparse
import ast
import json
import sys
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import grimp

PACKAGE = "tinyqueue"
ALGORITHMS = f"{PACKAGE}.algorithms"
TO_READ = frozenset(f"{ALGORITHMS}.{name}" for name in ("stream", "value", "returns", "q_targets"))
"""Base classes of algorithms, and mathematics: who knows these and its file knows an algorithm."""
Function = ast.FunctionDef | ast.AsyncFunctionDef
Definition = Function | ast.ClassDef


@dataclass(frozen=True)
class Module:
    """One Python file.

    Attributes:
        name: Dotted name, as in imports.
        lines: All lines, blank ones and comments too.
        tree: Its syntax tree.
        is_init: Whether it is an ``__init__.py``.
    """

    name: str
    lines: int
    tree: ast.Module
    is_init: bool

    @property
    def package(self) -> str:
        """The subpackage directly below the top package, or the top package itself."""
        parts = self.name.split(".")
        is_folder = len(parts) > 2 or (len(parts) == 2 and self.is_init)
        return ".".join(parts[:2]) if is_folder else parts[0]


def read(root: Path) -> dict[str, Module]:
    """All modules of the package, by dotted name."""
    found = {}
    for path in sorted((root / PACKAGE).rglob("*.py")):
        is_init = path.name == "__init__.py"
        relative = path.relative_to(root)
        name = ".".join((relative.parent if is_init else relative.with_suffix("")).parts)
        text = path.read_text("utf-8")
        found[name] = Module(name, text.count("\n"), ast.parse(text, str(path)), is_init)
    if not found:
        sys.exit(f"error: there is no folder {PACKAGE}/ with Python files in {root}")
    return found


def functions(tree: ast.Module) -> Iterator[Function]:
    """All functions, including methods and nested ones."""
    return (node for node in ast.walk(tree) if isinstance(node, Function))


def public(body: list[ast.stmt]) -> Iterator[Definition]:
    """Public functions and classes, and the public members of these classes."""
    for node in body:
        if isinstance(node, Definition) and not node.name.startswith("_"):
            yield node
            if isinstance(node, ast.ClassDef):
                yield from public(node.body)


def definitions(modules: list[Module]) -> list[Definition]:
    """All public functions, methods and classes."""
    return [node for module in modules for node in public(module.tree.body)]


def slots(function: Function) -> list[ast.expr | None]:
    """Annotations of all parameters and of the return value; None where there is none."""
    given = function.args
    positional = [*given.posonlyargs, *given.args]
    if positional and positional[0].arg in ("self", "cls"):
        del positional[0]
    starred = [one for one in (given.vararg, given.kwarg) if one is not None]
    arguments = [*positional, *given.kwonlyargs, *starred]
    return [*(one.annotation for one in arguments), function.returns]


def is_any(annotation: ast.AST | None) -> bool:
    """Whether an annotation is plain ``Any``."""
    return isinstance(annotation, ast.Name) and annotation.id == "Any"


def has_any(annotation: ast.expr | None) -> bool:
    """Whether an annotation contains ``Any``."""
    return annotation is not None and any(map(is_any, ast.walk(annotation)))


def lengths(modules: list[Module]) -> list[int]:
    """Number of lines of every function, in ascending order."""
    return sorted(
        (node.end_lineno or node.lineno) - node.lineno + 1
        for module in modules
        for node in functions(module.tree)
    )


def all_slots(modules: list[Module]) -> list[ast.expr | None]:
    """The slots of every function's signature."""
    return [slot for one in modules for function in functions(one.tree) for slot in slots(function)]


def share(test: Callable[[Any], bool], of: Iterable[Any]) -> float:
    """Percentage of items that pass the test; 0 if there are none."""
    passed = [test(one) for one in of]
    return round(100 * sum(passed) / len(passed), 1) if passed else 0.0


def is_documented(node: Definition) -> bool:
    """Whether it has a docstring."""
    return ast.get_docstring(node) is not None


def is_annotated(node: Function) -> bool:
    """Whether all slots of its signature are annotated."""
    return None not in slots(node)


def imports(root: Path) -> grimp.ImportGraph:
    """The graph of imports at run time; imports only for type checking do not count."""
    sys.path.insert(0, str(root))
    return grimp.build_graph(PACKAGE, exclude_type_checking_imports=True, cache_dir=None)


def cycles(graph: grimp.ImportGraph) -> list[list[str]]:
    """Sets of modules that import one another, directly or indirectly."""
    above = {name: graph.find_upstream_modules(name) for name in graph.modules}
    found = {
        tuple(sorted({name, *(other for other in above[name] if name in above[other])}))
        for name in graph.modules
    }
    return sorted(list(names) for names in found if len(names) > 1)


def algorithm_files(modules: dict[str, Module]) -> dict[str, set[str]]:
    """Name of the algorithm → modules that its row in the registry names."""
    registry = modules.get(f"{ALGORITHMS}.registry")
    if registry is None:
        return {}
    origin = {
        alias.asname or alias.name: node.module
        for node in registry.tree.body
        if isinstance(node, ast.ImportFrom) and node.module in modules
        for alias in node.names
    }
    rows: dict[str, set[str]] = {}
    for statement in registry.tree.body:
        if not (isinstance(statement, ast.AnnAssign) and statement.value):
            continue
        if not (isinstance(statement.target, ast.Name) and statement.target.id == "ALGORITHMS"):
            continue
        table = next(node for node in ast.walk(statement.value) if isinstance(node, ast.Dict))
        for key, value in zip(table.keys, table.values, strict=True):
            assert isinstance(key, ast.Constant), "a name in the registry is a literal"
            names = {node.id for node in ast.walk(value) if isinstance(node, ast.Name)}
            rows[str(key.value)] = {
                origin[name] for name in names if origin.get(name, "").startswith(f"{ALGORITHMS}.")
            }
    return rows


def closure(graph: grimp.ImportGraph, start: set[str], among: Container[str]) -> set[str]:
    """``start`` and all modules of ``among`` that it imports, directly or through one another."""
    reached: set[str] = set()
    waiting = set(start)
    while waiting:
        name = waiting.pop()
        reached.add(name)
        imported = graph.find_modules_directly_imported_by(name)
        waiting |= {one for one in imported if one in among} - reached
    return reached


def counted(modules: dict[str, Module], names: set[str]) -> dict[str, Any]:
    """Number of files and of lines of these algorithm modules, and the lines of each."""
    return {
        "files": len(names),
        "lines": sum(modules[name].lines for name in names),
        "modules": {
            name.removeprefix(f"{ALGORITHMS}."): modules[name].lines for name in sorted(names)
        },
    }


def measure(root: Path) -> dict[str, Any]:
    """All results, as plain data."""
    modules = read(root)
    every = list(modules.values())
    graph = imports(root)
    files = sorted((module.lines, module.name) for module in every)
    of_functions = lengths(every)
    public_functions = [node for node in definitions(every) if isinstance(node, Function)]
    public_classes = [node for node in definitions(every) if isinstance(node, ast.ClassDef)]
    packages = {}
    for name in sorted({module.package for module in every}):
        inside = [module for module in every if module.package == name]
        packages[name] = {
            "files": len(inside),
            "lines": sum(module.lines for module in inside),
            "any_percent": share(is_any, all_slots(inside)),
            "any_within_percent": share(has_any, all_slots(inside)),
            "documented_percent": share(is_documented, definitions(inside)),
        }
    inside_algorithms = {name for name in modules if name.startswith(f"{ALGORITHMS}.")}
    algorithms = {
        name: {
            "to_read": counted(modules, closure(graph, start, TO_READ)),
            "needed": counted(modules, closure(graph, start, inside_algorithms)),
        }
        for name, start in algorithm_files(modules).items()
    }
    return {
        "files": len(files),
        "median_lines": median(lines for lines, _ in files),
        "longest": [{"module": name, "lines": lines} for lines, name in files[:-6:-1]],
        "functions": len(of_functions),
        "function_p50": median(of_functions),
        "function_p90": quantiles(of_functions, n=10, method="inclusive")[-1],
        "function_max": of_functions[-1],
        "any_percent": share(is_any, all_slots(every)),
        "any_within_percent": share(has_any, all_slots(every)),
        "documented_functions_percent": share(is_documented, public_functions),
        "documented_classes_percent": share(is_documented, public_classes),
        "annotated_percent": share(is_annotated, public_functions),
        "cycles": cycles(graph),
        "algorithms": algorithms,
        "packages": packages,
    }


def show_algorithms(title: str, rows: dict[str, Any]) -> None:
    """Prints a table of what ``counted`` returns, by algorithm."""
    print(f"\nalgorithm        files  lines  {title}")
    for name, row in rows.items():
        modules = ", ".join(f"{module} {lines}" for module, lines in row["modules"].items())
        print(f"{name:15} {row['files']:6} {row['lines']:6,}  {modules}")


def show(found: dict[str, Any]) -> None:
    """Prints a report for people."""
    longest = ", ".join(f"{one['module']} {one['lines']}" for one in found["longest"])
    print(f"files        {found['files']}; median {found['median_lines']:g} lines")
    print(f"longest      {longest}")
    print(
        f"functions    {found['functions']}; p50 {found['function_p50']:g}, "
        f"p90 {found['function_p90']:g}, longest {found['function_max']} lines"
    )
    print(
        f"Any          {found['any_percent']} % of all slots in signatures; "
        f"within others {found['any_within_percent']} %"
    )
    print(
        f"documented   {found['documented_functions_percent']} % of public functions, "
        f"{found['documented_classes_percent']} % of public classes"
    )
    print(f"annotated    {found['annotated_percent']} % of public functions")
    print(f"cycles       {len(found['cycles'])}")
    for names in found["cycles"]:
        print(f"             {', '.join(names)}")
    show_algorithms(
        "to read: its file, the base class and the mathematics",
        {name: row["to_read"] for name, row in found["algorithms"].items()},
    )
    show_algorithms(
        "needed: all of algorithms/ that its file imports, directly or indirectly",
        {name: row["needed"] for name, row in found["algorithms"].items()},
    )
    print("\npackage                   files  lines   Any %  within %  documented %")
    for name, row in found["packages"].items():
        print(
            f"{name:25} {row['files']:5} {row['lines']:6,} {row['any_percent']:7} "
            f"{row['any_within_percent']:9} {row['documented_percent']:13}"
        )


def main() -> None:
    """Measures a tree and prints the result."""
    summary, *_, of_algorithms = __doc__.split("\n\n")
    parser = argparse.ArgumentParser(description=summary, epilog=of_algorithms)
    here = Path(__file__).resolve().parents[1]
    parser.add_argument("root", nargs="?", type=Path, default=here, metavar="ROOT")
    parser.add_argument("--json", action="store_true", help="everything as one JSON object")
    options = parser.parse_args()
    found = measure(options.root.resolve())
    if options.json:
        print(json.dumps(found, indent=1))
    else:
        show(found)


if __name__ == "__main__":
    main()
