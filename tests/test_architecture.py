"""Which package may import which, that no import runs in a circle, and what an import costs."""

import ast
import graphlib
import itertools
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
MAPPED = ("recipes", "export", "serving")
"""Folders at the root that are sub-packages of `kerasfound` (pyproject.toml)."""
BLOCKS = {
    "activations", "autodiff", "backprop", "gradients", "initializers", "layers", "losses", "optimizers", "saving",
    "schedules",
}  # fmt: skip
EVERYONE = {"_lazy", "_registration", "_stderr", "atomic", "errors", "rounding", "sampling", "wording"}
"""Modules that every package may import: they import nothing of the package but each other."""
MAY_IMPORT = {
    "bundle": set(),
    "preprocessing": {"bundle"},
    "blocks": set(),
    "reference": {"blocks"},
    "data": {"blocks", "bundle", "preprocessing"},
    "training": {"blocks", "bundle", "preprocessing", "data"},
    "recipes": {"blocks", "bundle", "preprocessing", "data", "training"},
    "export": {"blocks", "bundle", "preprocessing", "training"},
    "serving": {"bundle", "preprocessing"},
    "interpretability": {"blocks", "bundle", "preprocessing", "data", "training", "reference"},
    "labs": {"blocks", "bundle", "preprocessing", "data", "training", "reference", "interpretability"},
    "cli": {
        "blocks",
        "bundle",
        "preprocessing",
        "reference",
        "data",
        "training",
        "recipes",
        "export",
        "serving",
        "interpretability",
        "labs",
    },
}
BACKENDS = {"keras", "tensorflow", "jax", "torch"}
WITHOUT_KERAS = ("bundle", "preprocessing", "serving")


def sources():
    """Every module of the package by its dotted name, with its file."""
    modules = {}
    for folder in ("kerasfound", *MAPPED):
        for path in (ROOT / folder).rglob("*.py"):
            parts = path.relative_to(ROOT).with_suffix("").parts
            parts = parts if parts[0] == "kerasfound" else ("kerasfound", *parts)
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return modules


MODULES = sources()


def imports(name, only_at_runtime=False):
    """The full names that a module imports, at its top or inside a function; `from a import b` gives `a.b`.

    `kf.data.load` of a module with `import kerasfound as kf` counts as an import of `kerasfound.data`.
    """
    tree = ast.parse(MODULES[name].read_text())
    package = name if MODULES[name].name == "__init__.py" else name.rpartition(".")[0]
    typing_only = {
        id(node)
        for guard in ast.walk(tree)
        if isinstance(guard, ast.If) and "TYPE_CHECKING" in ast.unparse(guard.test)
        for node in ast.walk(guard)
    }
    aliases = set()
    for node in ast.walk(tree):
        if only_at_runtime and id(node) in typing_only:
            continue
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name
                if alias.name == "kerasfound":
                    aliases.add(alias.asname or alias.name)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield from (f"{base}.{alias.name}" for alias in node.names)
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in aliases:
            yield f"kerasfound.{node.attr}"


def own(target):
    """The module of ours that an imported name is, or is defined in."""
    while target and target not in MODULES:
        target = target.rpartition(".")[0]
    return target or None


def package_of(module):
    parts = module.split(".")[1:]
    if not parts or parts[0] in EVERYONE:
        return None
    if parts[0] == "__main__":
        return "cli"
    return "blocks" if parts[0] in BLOCKS else parts[0]


def test_every_module_belongs_to_a_package_that_is_listed():
    assert {package_of(module) for module in MODULES} - {None} == MAY_IMPORT.keys()


@pytest.mark.parametrize("module", sorted(MODULES))
def test_a_package_imports_only_the_packages_below_it(module):
    package = package_of(module)
    allowed = MAY_IMPORT.get(package, set()) | {package, None}
    above = {target for target in imports(module) if own(target) and package_of(own(target)) not in allowed}
    assert not above


def test_no_import_runs_in_a_circle():
    """Not even one that waits inside a function: such a module cannot be read, tested or moved alone."""
    graph = {}
    for module in MODULES:
        targets = {own(target) for target in imports(module)} - {None, module, "kerasfound"}
        graph[module] = {target for target in targets if not module.startswith(f"{target}.")}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


@pytest.mark.parametrize("module", [name for name in sorted(MODULES) if package_of(name) in WITHOUT_KERAS])
def test_what_serves_names_no_backend(module):
    assert not BACKENDS & {target.split(".")[0] for target in imports(module, only_at_runtime=True)}


def test_inside_a_package_imports_are_relative():
    """Editors and type checkers follow them without knowing that `export/` is `kerasfound.export`."""
    for name, path in MODULES.items():
        package = name.split(".")[1:2]
        if not package or package[0] not in MAPPED:
            continue
        absolute = [node.module for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ImportFrom)]
        assert not [module for module in absolute if module and module.startswith(f"kerasfound.{package[0]}")], path


def test_files_of_one_name_are_about_one_thing():
    """Two modules may share a name where they are two sides of one subject; `SAME_SUBJECT` lists those."""
    names = [name.rpartition(".")[2] for name, path in MODULES.items() if path.name != "__init__.py"]
    shared = {name for name, group in itertools.groupby(sorted(names)) if len(list(group)) > 1}
    assert shared == SAME_SUBJECT


SAME_SUBJECT = {"tasks", "text", "text_generation"}


@pytest.mark.parametrize(
    "module",
    [
        "kerasfound",
        "kerasfound.serving",
        "kerasfound.cli.commands",
        "kerasfound.recipes",
        "kerasfound.export.verification.verify",
    ],
)
def test_an_import_loads_no_backend(module):
    code = f"import sys, {module}; print(*sorted({BACKENDS} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == ""


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["run", "--help"], ["run", "mnist_cnn", "--help"], ["serve", "--help"], ["interpret", "--help"]],
)
def test_help_loads_no_backend_and_no_numpy(arguments):
    code = (
        "import sys\nfrom kerasfound.cli import main\n"
        f"try:\n    main({arguments})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"assert not ({BACKENDS} | {{'numpy'}}) & set(sys.modules)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    assert "Usage: kerasfound" in result.stdout
