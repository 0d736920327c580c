"""The shape of the package: what may import what, and what importing it costs."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import dedup_assets

PACKAGE = Path(dedup_assets.__file__).parent
FACE = {
    *{"label_checks"},
    "assets",
    "attributes",
    "automation",
    "batches",
    "checks",
    "build",
    "chain",
    "component",
    "definitions",
    "jobs",
    "lease",
    "metadata",
    "notebook",
    "planning",
    "terminal",
    "cli",
    "commands",
    "explorer",
}


def imports_of(path: Path) -> set[str]:
    """Every module that a file imports, at any depth of its code."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return found


def module_level_imports(path: Path) -> set[str]:
    """The modules that importing a file imports at once."""
    body = [node for node in ast.parse(path.read_text()).body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in body if isinstance(node, ast.Import) for alias in node.names}
    return names | {node.module or "" for node in body if isinstance(node, ast.ImportFrom)}


@pytest.mark.parametrize("path", sorted((PACKAGE / "core").rglob("*.py")), ids=lambda path: path.stem)
def test_the_core_knows_neither_dagster_nor_the_web(path):
    imported = imports_of(path)
    assert not {name for name in imported if name.split(".")[0] in {"dagster", "starlette", "uvicorn", "click", "rich"}}
    assert not {name for name in imported if name.startswith("dedup_assets.") and name.split(".")[1] in FACE}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_nothing_imports_the_private_parts_of_dagster(path):
    assert not {name for name in imports_of(path) if name.startswith(("dagster._", "dagster_shared"))}


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: path.stem)
def test_torch_and_faiss_are_imported_by_the_functions_that_use_them(path):
    heavy = {"torch", "torchvision", "faiss", "onnxruntime", "cv2", "skimage"}
    allowed = {"agreement", "alignment", "drawn", "edits", "fullsize"}  # loaded only when pictures are compared
    if path.stem not in allowed:
        assert not {name for name in module_level_imports(path) if name.split(".")[0] in heavy}


@pytest.mark.parametrize("path", sorted(PACKAGE.glob("*.py")), ids=lambda path: path.stem)
def test_definitions_are_made_without_postponed_annotations(path):
    assert "__future__" not in module_level_imports(path)


def test_sql_is_written_in_the_core_only():
    words = ("SELECT ", "INSERT INTO", "DELETE FROM", "UPDATE ")
    outside = [path for path in PACKAGE.rglob("*.py") if "core" not in path.relative_to(PACKAGE).parts]
    assert not [path.name for path in outside if any(word in path.read_text() for word in words)]


def loaded_after(statement: str) -> set[str]:
    """The top-level modules loaded once a fresh interpreter has run a statement."""
    code = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    return set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())


def test_importing_the_package_loads_next_to_nothing():
    assert not loaded_after("import dedup_assets") & {"dagster", "pandas", "numpy", "duckdb", "torch", "cv2", "PIL"}


def test_loading_the_definitions_loads_no_vision_library():
    vision = {"torch", "torchvision", "cv2", "faiss", "onnxruntime", "skimage"}
    assert not loaded_after("import dedup_assets.definitions") & vision


def test_asking_the_command_line_for_help_does_not_load_dagster():
    assert not loaded_after("import dedup_assets.cli") & {"dagster", "pandas", "torch", "cv2"}
