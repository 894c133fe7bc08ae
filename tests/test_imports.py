"""Who imports whom, as DESIGN.md has it: the tree is the data flow, and nothing looks up it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

ROOT: Final = Path(__file__).parents[1]
VOCABULARY: Final = {"audio", "events", "clock", "errors"}

MAY_IMPORT: Final[dict[str, set[str]]] = {
    # The vocabulary imports nothing above it.
    "audio": set(),
    "events": set(),
    "clock": set(),
    "errors": set(),
    # What knows only the vocabulary, and settings where it is handed its section.
    "config": VOCABULARY,
    "turn": VOCABULARY,
    "audio_io": VOCABULARY,
    "models": VOCABULARY,
    "engines": VOCABULARY | {"config"},
    "latency": VOCABULARY | {"config"},
    # What runs and places the engines.
    "workers": VOCABULARY | {"config", "engines", "latency"},
    "cpu": VOCABULARY | {"config", "latency"},
    # The conversation. It knows no worker: stages are handed to it.
    "assistant": VOCABULARY | {"config", "engines"},
    "pipeline": VOCABULARY | {"config", "engines", "turn", "audio_io", "latency", "assistant"},
    "sim": VOCABULARY | {"config", "engines", "latency", "cpu"},
    # What puts the parts together or watches them.
    "interfaces": VOCABULARY | {"config", "turn", "engines", "audio_io", "latency", "assistant", "pipeline"},
    "memory": VOCABULARY | {"config", "models"},
    "daemon": VOCABULARY
    | {"config", "engines", "turn", "audio_io", "latency", "models", "memory", "workers", "cpu"}
    | {"assistant", "pipeline", "interfaces"},
    "reload": VOCABULARY | {"config"},
    "serve": VOCABULARY | {"config", "audio_io", "models", "cpu", "interfaces", "daemon", "reload"},
    "replay": VOCABULARY | {"config", "turn", "audio_io", "latency", "pipeline"},
    "bench": VOCABULARY
    | {"config", "engines", "turn", "audio_io", "latency", "models", "workers", "cpu", "pipeline"}
    | {"interfaces", "daemon", "replay"},
    "cli": VOCABULARY
    | {"config", "engines", "turn", "audio_io", "latency", "models", "memory", "workers", "cpu"}
    | {"assistant", "pipeline", "sim", "interfaces", "daemon", "serve", "replay", "bench"},
    "__main__": {"cli"},
}
"""For each part, which others it may import. A part that is not listed may not exist."""

EXCEPTIONS: Final = {
    ("voicebot.engines.piper.output", "voicebot.audio_io.wav"),  # a voice's floats become samples as a file's do
}

PURE_LIBRARY: Final = {"__future__", "collections", "dataclasses", "enum", "functools", "itertools", "math", "re"} | {
    "operator",
    "types",
    "typing",
}
"""All that a module without I/O, clock and asyncio needs of other people's."""


def imports_of(path: Path) -> Iterator[str]:
    """Yield the full name of every module that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            # `from voicebot.cli import replay` imports voicebot.cli.replay.
            inside = [f"{node.module}.{alias.name}" for alias in node.names]
            modules = [name for name in inside if file_of(name)]
            yield from modules or [str(node.module)]


def file_of(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    return next((file for file in (place.with_suffix(".py"), place / "__init__.py") if file.is_file()), None)


def module_of(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def part_of(module: str) -> str:
    """Return the second word of a module's name, and "" for the package itself."""
    return module.partition(".")[2].partition(".")[0]


MODULES: Final = {module_of(path): path for path in sorted((ROOT / "voicebot").rglob("*.py"))}
EDGES: Final = [
    (importer, imported)
    for importer, path in MODULES.items()
    for imported in imports_of(path)
    if imported.split(".")[0] == "voicebot"
]
PURE_CPU: Final = {"box", "choice", "demand", "derating", "forecast", "held", "lease", "pace", "phases"} | {
    "placement",
    "policy",
    "queue",
    "seats",
    "settings",
}
PURE_FILES: Final = {"voicebot.latency.cost"} | {f"voicebot.cpu.{name}" for name in PURE_CPU}
PURE: Final = [module for module in MODULES if part_of(module) == "turn" or module in PURE_FILES]


def test_the_whole_package_is_looked_at() -> None:
    assert {"voicebot", "voicebot.audio", "voicebot.turn.table", "voicebot.cli"} <= set(MODULES)
    assert ("voicebot.turn.activity", "voicebot.turn.table") in EDGES
    assert ("voicebot.engines.registry", "voicebot.engines.piper") in EDGES


def test_every_part_has_its_place() -> None:
    assert {part_of(module) for module in MODULES} <= {*MAY_IMPORT, ""}


def test_nobody_imports_what_is_above_or_beside_them() -> None:
    wrong = [
        f"{importer} imports {imported}"
        for importer, imported in EDGES
        if (here := part_of(importer)) != (there := part_of(imported))
        and there not in MAY_IMPORT[here] | {""}
        and (importer, imported) not in EXCEPTIONS
    ]
    assert wrong == []


def test_the_package_itself_imports_nothing() -> None:
    assert [edge for edge in EDGES if edge[0] == "voicebot"] == []


def test_every_exception_is_still_needed() -> None:
    assert set(EDGES) >= EXCEPTIONS


def test_the_table_has_no_circle() -> None:
    below: set[str] = set()
    while ready := {part for part, others in MAY_IMPORT.items() if others <= below} - below:
        below |= ready
    assert below == set(MAY_IMPORT)


@pytest.mark.parametrize("module", PURE)
def test_a_pure_module_imports_no_io_no_clock_and_no_asyncio(module: str) -> None:
    foreign = {name for name in imports_of(MODULES[module]) if name.split(".")[0] not in PURE_LIBRARY}
    assert foreign <= {"voicebot.audio", "voicebot.errors", *PURE}
