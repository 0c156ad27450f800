"""Load rules from what an earlier loading made of the same files, without parsing anything.

A cache file is named by a digest of everything a rule set depends on: the content and path of every rule and mapping
file, our own code, the versions of the parsers. It holds plain data (``plain``), never pickled objects, behind a digest
of its own; one that is damaged, foreign or unreadable is as good as none (decision 0023).
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Final

from detectors.sigma.files import MAX_BYTES, find_files, find_placeholders
from detectors.sigma.mapping import PLACE, Mappings, bundled_rules
from detectors.sigma.model import RuleSet
from detectors.sigma.plain import from_plain, to_plain
from detectors.sigma.units import NOBODY, Units
from soc_core.log.files import write_whole

KEPT: Final = 4
"""Cache files that stay: rules go back and forth while somebody works on them."""
MAX_CACHE_BYTES: Final = 128 << 20
_SUFFIX: Final = ".rules"
_DIGEST: Final = 32
_PARSERS: Final = ("pySigma", "PyYAML", "google-re2")
_ROOT: Final = Path(__file__).resolve().parents[2]
_CODE: Final = (
    "detectors/sigma",
    "soc_core/query",
    "soc_core/model",
    "soc_core/fields.py",
    "soc_core/fields.tsv",
)


def load_rules_cached(
    paths: Sequence[Path | str],
    cache_directory: Path,
    mappings: Mappings | None = None,
    units: Units = NOBODY,
    walled: Sequence[Path] = (),
) -> RuleSet:
    """Return what ``load_rules`` returns for the same arguments, from ``cache_directory`` where it is known there.

    The directory is made when it is missing. One that can't be written costs time only.
    """
    key = key_of(paths, mappings, units, walled)
    found = _read(cache_directory / (key + _SUFFIX))
    if found is not None:
        return found
    from detectors.sigma.loading import load_rules  # noqa: PLC0415 # the parsers cost as much as a whole cached load

    rules = load_rules(paths, mappings, units, walled)
    if key == key_of(paths, mappings, units, walled):  # else a file was changed while it was read
        with suppress(OSError):
            _write(cache_directory, key, rules)
    return rules


def key_of(
    paths: Sequence[Path | str],
    mappings: Mappings | None = None,
    units: Units = NOBODY,
    walled: Sequence[Path] = (),
) -> str:
    """Return the digest of everything that ``load_rules`` would look at."""
    digest = hashlib.blake2b(_code(), digest_size=_DIGEST)
    digest.update(
        repr([[str(path) for path in part] for part in (paths, walled)]).encode("utf-8", "surrogatepass")
    )
    _add(digest, find_files(paths, []))
    _add(digest, find_placeholders(paths))
    digest.update(repr(units).encode("utf-8", "surrogatepass"))
    if mappings is None:
        _add(digest, sorted((bundled_rules() / PLACE).glob("*.yml")))
    else:
        digest.update(repr(mappings.entries).encode("utf-8", "surrogatepass"))
    return digest.hexdigest()


def _add(digest: hashlib.blake2b, files: Iterable[Path]) -> None:
    """Add paths and contents; lengths stand before them, so that no two lists look alike."""
    for file in files:
        try:
            with file.open("rb", buffering=0) as opened:
                content = opened.read(MAX_BYTES + 1)  # of a longer one only that it is longer matters
        except OSError as fault:
            content = f"unreadable: {fault.errno}".encode()
        name = os.fsencode(file)
        digest.update(b"%d %d " % (len(name), len(content)))
        digest.update(name)
        digest.update(content)


@cache
def _code() -> bytes:
    """Return the digest of our code and the versions of what parses."""
    digest = hashlib.blake2b(repr(sys.version_info).encode(), digest_size=_DIGEST)
    for name in _PARSERS:
        digest.update(f"{name} {metadata.version(name)} ".encode())
    _add(digest, _sources())
    return digest.digest()


def _sources() -> Iterator[Path]:
    for part in _CODE:
        place = _ROOT / part
        yield from sorted(place.rglob("*.py")) if place.is_dir() else [place]


def _read(file: Path) -> RuleSet | None:
    """Return what a cache file holds, ``None`` when there is none that can be trusted."""
    try:
        with file.open("rb") as opened:
            found = os.fstat(opened.fileno())
            if not _is_ours(found) or found.st_size > MAX_CACHE_BYTES:
                return None
            whole = opened.read(MAX_CACHE_BYTES)
        body = memoryview(whole)[_DIGEST:]
        if _seal(file.stem, body) != whole[:_DIGEST]:
            return None
        return from_plain(body)
    except (OSError, ArithmeticError, LookupError, TypeError, ValueError):
        return None


def _is_ours(found: os.stat_result) -> bool:
    """Tell whether a file belongs to us (or root) and nobody else may write it; Windows keeps that elsewhere."""
    if os.name == "nt":
        return True
    return found.st_uid in {0, os.getuid()} and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def _seal(key: str, body: bytes | memoryview) -> bytes:
    """Return the digest that stands before a body: one that was renamed doesn't fit either."""
    digest = hashlib.blake2b(key.encode(), digest_size=_DIGEST)
    digest.update(body)
    return digest.digest()


def _write(directory: Path, key: str, rules: RuleSet) -> None:
    """Write a cache file, all or nothing, and remove the oldest."""
    body = to_plain(rules)
    if len(body) + _DIGEST > MAX_CACHE_BYTES:
        return
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    write_whole(directory / (key + _SUFFIX), _seal(key, body) + body)
    files = sorted(directory.glob("*" + _SUFFIX), key=lambda path: path.stat().st_mtime_ns, reverse=True)
    for old in files[KEPT:]:
        old.unlink(missing_ok=True)
