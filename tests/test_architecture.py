"""Who may know whom, and what an import costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
ROOMS = {
    "kerasfound/data": "data",
    "kerasfound/training": "training",
    "kerasfound/cli": "cli",
    "recipes": "recipes",
    "export": "export",
    "serving": "serving",
    "kerasfound": "blocks",
}
ABOVE = {
    "blocks": {"training", "data", "recipes", "cli", "export", "serving"},
    "data": {"training", "recipes", "cli", "export", "serving"},
    "training": {"recipes", "cli", "export", "serving"},
    "recipes": {"cli", "export", "serving"},
    "export": {"recipes", "cli", "serving"},
    "serving": {"blocks", "training", "recipes", "cli"},
    "cli": set(),
}
HEAVY = {"keras", "tensorflow", "jax", "torch"}
FILES = [path for room in ("kerasfound", "recipes", "export", "serving") for path in (ROOT / room).rglob("*.py")]


def room_of_file(path):
    name = path.relative_to(ROOT).as_posix()
    return next(room for prefix, room in ROOMS.items() if name.startswith(prefix + "/"))


def room_of_module(module):
    parts = module.split(".")
    if parts[0] != "kerasfound" or parts[1:2] in ([], ["errors"], ["sampling"]):
        return None  # everyone may know these, which know nobody
    return parts[1] if parts[1] in ROOMS.values() else "blocks"


def imported(path):
    """Every module that a file imports, at its top or inside a function; `from a import b` may mean `a.b`."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_room_knows_only_the_rooms_below_it(path):
    room = room_of_file(path)
    if path == ROOT / "kerasfound/__main__.py":
        room = "cli"
    assert not {room_of_module(module) for module in imported(path)} & ABOVE[room]


def test_serving_knows_what_a_bundle_is_and_how_raw_things_are_read_and_no_more():
    bundle = {"manifest", "cases", "difference"}
    raw = {"images", "texts", "tokens"}
    for path in (ROOT / "serving").rglob("*.py"):
        parts = [module.split(".") for module in imported(path)]
        assert {part[2] for part in parts if part[1:2] == ["export"] and part[2:]} <= bundle, path
        assert {part[2] for part in parts if part[1:2] == ["data"] and part[2:]} <= raw, path
        assert not HEAVY & {m.split(".")[0] for m in imported(path)}, path


@pytest.mark.parametrize(
    "module", ["kerasfound", "kerasfound.serving", "kerasfound.cli.commands", "kerasfound.recipes"]
)
def test_an_import_loads_no_backend(module):
    code = f"import sys, {module}; print(*sorted({HEAVY} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == ""


@pytest.mark.parametrize(
    "arguments", [["--help"], ["run", "--help"], ["run", "mnist_cnn", "--help"], ["serve", "--help"]]
)
def test_help_loads_no_backend_and_no_numpy(arguments):
    code = (
        "import sys\nfrom kerasfound.cli import main\n"
        f"try:\n    main({arguments})\nexcept SystemExit as end:\n    assert not end.code\n"
        f"assert not ({HEAVY} | {{'numpy'}}) & set(sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
    assert "Usage: kerasfound" in found.stdout
