"""Find rule files. This needs no parser: a cache asks what there is before anything is parsed."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from detectors.sigma.mapping import PLACE
from detectors.sigma.model import Problem
from detectors.sigma.words import problem

MAX_BYTES: Final = 1 << 20
SAMPLES: Final = ".samples.yml"
PLACEHOLDERS: Final = "placeholders"
_SUFFIXES: Final = (".yml", ".yaml")
_RETIRED: Final = "_deprecated"


def find_files(paths: Sequence[Path | str], problems: list[Problem]) -> Iterator[Path]:
    """Yield rule files; a path that isn't there becomes a problem."""
    for path in map(Path, paths):
        if path.is_dir():
            for file in sorted(path.rglob("*")):
                inside = file.relative_to(path).parts
                if file.suffix in _SUFFIXES and not _is_other(inside) and file.is_file():
                    yield file
        elif path.is_file():
            yield path
        else:
            problems.append(Problem(str(path), 0, problem("no_file")))


def _is_other(parts: tuple[str, ...]) -> bool:
    hidden = any(part.startswith(".") for part in parts)
    aside = parts[0] in {PLACE, PLACEHOLDERS}
    return hidden or aside or _RETIRED in parts or parts[-1].endswith(SAMPLES)


def find_placeholders(paths: Sequence[Path | str]) -> Iterator[Path]:
    """Yield the files of placeholders beside the rules, in the order of paths and names."""
    for path in map(Path, paths):
        folder = (path if path.is_dir() else path.parent) / PLACEHOLDERS
        yield from (file for file in sorted(folder.glob("*")) if file.suffix in _SUFFIXES and file.is_file())
