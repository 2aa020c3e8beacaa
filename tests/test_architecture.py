"""Who may import whom."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "napari_sslseg"

#: Left may import right; a part may always import itself.
ALLOWED = {
    "volume": set(),
    "editing": {"volume"},
    "methods": set(),
    "formats": {"volume"},
    "acquisition": {"volume"},
    "sample": {"formats", "volume"},
    "training": {"methods", "volume"},
    "jobs": {"training", "volume"},
    "app": {"jobs", "training", "formats", "acquisition", "editing", "volume", "sample"},
    "command_errors": {"formats", "volume"},
    "stopping": {"training"},
    "dataset_regions": {"formats", "training", "volume"},
    "dataset_notes": set(),
    "dataset_masks": {"dataset_regions", "formats", "training", "volume"},
    "dataset_files": {
        *("dataset_masks", "dataset_notes", "dataset_regions"),
        *("formats", "training", "volume"),
    },
    "dataset_scoring": {"command_errors", "dataset_files", "training"},
    "dataset_commands": {
        *("command_errors", "dataset_files", "dataset_scoring", "stopping"),
        *("formats", "training"),
    },
    "label_inputs": {"command_errors", "formats", "volume"},
    "export_command": {"command_errors", "formats", "label_inputs", "volume"},
    "propose_inputs": {"command_errors", "formats", "label_inputs", "volume"},
    "propose_command": {
        *("command_errors", "label_inputs", "propose_inputs", "remote_options", "stopping"),
        *("formats", "jobs", "training", "volume"),
    },
    "batch_command": {
        *("command_errors", "remote_options", "stopping"),
        *("jobs", "training", "volume"),
    },
    "remote_options": {"command_errors", "jobs"},
    "cli": {
        *("batch_command", "dataset_commands", "export_command", "propose_command"),
        *("formats", "training", "volume"),
    },
    "demo": {"app", "formats", "sample"},
    "__main__": {"cli"},
    "__init__": set(),
}
#: What draws windows; the parts that may do so.
GUI = {
    *("napari", "app_model", "vispy", "qtpy", "PyQt6", "PySide6"),
    *("superqt", "magicgui", "pyqtgraph", "psygnal"),
}
WINDOWS = {"app", "demo"}
#: Where torch is imported: everything else works, or says what is wrong, before it is.
TORCH = {"methods", "training", "jobs"}


def imports_of(path: Path) -> set[str]:
    """Absolute names of the modules that a file imports, anywhere in it."""
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = list(parts[: len(parts) - node.level]) if node.level else []
            module = ".".join(base + ([node.module] if node.module else []))
            found |= {module} if node.module else {f"{module}.{a.name}" for a in node.names}
    return found


def files_of(part: str) -> list[Path]:
    module = PACKAGE / f"{part}.py"
    return [module] if module.exists() else sorted((PACKAGE / part).rglob("*.py"))


def test_every_file_of_the_package_is_under_a_rule():
    ruled = {path for part in ALLOWED for path in files_of(part)}
    assert ruled == set(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("part", sorted(ALLOWED))
def test_imports_point_one_way(part):
    for path in files_of(part):
        for name in imports_of(path):
            words = name.split(".")
            if words[0] == "napari_sslseg" and len(words) > 1:
                assert words[1] in ALLOWED[part] | {part, "__version__"}, f"{path}: {name}"
            elif part not in WINDOWS:
                assert words[0] not in GUI, f"{path}: {name}"
            if part not in TORCH:
                assert words[0] != "torch", f"{path}: {name}"
            if part == "volume":
                allowed = {"numpy", "napari_sslseg", *sys.stdlib_module_names}
                assert words[0] in allowed, f"{path}: {name}"


def loaded_by(statement: str) -> set[str]:
    code = f"import sys; {statement}; print(' '.join(m for m in sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in run.stdout.split()}


def test_the_panel_does_not_import_torch():
    assert "torch" not in loaded_by("import napari_sslseg.app.panel")


def test_the_engine_does_not_import_napari_or_qt():
    loaded = loaded_by("import napari_sslseg.training.session, napari_sslseg.jobs.worker")
    assert "torch" in loaded
    assert not loaded & GUI


def test_modules_stay_small():
    long = {
        str(path.relative_to(PACKAGE)): lines
        for path in PACKAGE.rglob("*.py")
        if (lines := len(path.read_text(encoding="utf-8").splitlines())) > 350
    }
    assert not long
