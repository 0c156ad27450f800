"""Keep foreign rule sets in the state directory: imported whole, swapped at once, the one before kept.

``rules/<set>/versions/<digest>/`` holds a version's files, ``rules/<set>/set.json`` says which version runs. Replacing
that file is the swap: who reads sees the old version or the new one, never a mixture.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Final

import orjson

from intake.rules.archives import RULES, Collected
from soc_core.errors import InputError, UsageError
from soc_core.log.files import write_whole

PLACE: Final = "rules"
MANIFEST: Final = "set.json"
VERSIONS: Final = "versions"
MOST_SETS: Final = 50
UNFINISHED_SECONDS: Final = 3_600
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_RESERVED: Final = frozenset({"cache", "mappings"})


@dataclass(frozen=True, slots=True)
class RuleSetInfo:
    """Hold what is known of an imported set.

    ``digest`` names the version that runs, ``previous`` the one before (empty: none). ``texts`` are its licence and
    author files; ``left_out`` counts what did not come in, by cause.
    """

    name: str
    kind: str
    origin: str
    digest: str
    imported_at: str
    actor: str
    commit: str = ""
    previous: str = ""
    files: int = 0
    texts: tuple[str, ...] = ()
    left_out: Mapping[str, int] = field(default_factory=dict)


def sets_directory(state: Path) -> Path:
    """Return where a state directory keeps sets."""
    return state / PLACE


def name_for(path: Path) -> str:
    """Return the name of a set made from what it comes from; raise ``UsageError`` when none can be."""
    text = re.sub(r"\.(zip|tar|tgz|tbz2?|txz|tar\.(gz|bz2|xz))$", "", path.resolve().name.lower())
    return check_name(re.sub(r"[^a-z0-9_-]+", "-", text).strip("-")[:40])


def check_name(name: str) -> str:
    """Return the name of a set; raise ``UsageError`` for one that can't be used."""
    if not _NAME.fullmatch(name) or name in _RESERVED:
        raise UsageError(
            "a rule set's name has 1 to 40 small letters, digits, - and _",
            where=repr(name[:60]),
            todo="give one: --name NAME",
        )
    return name


class RuleSets:
    """Look after the sets of a state directory."""

    def __init__(self, state: Path) -> None:
        """Take the state directory; nothing is made yet."""
        self._root = sets_directory(state)

    def all(self) -> list[RuleSetInfo]:
        """Return the sets, newest import first; a damaged manifest is no set (its folder stays)."""
        found = [
            info for path in sorted(self._root.glob(f"*/{MANIFEST}")) if (info := _read(path)) is not None
        ]
        return sorted(found, key=lambda info: (info.imported_at, info.name), reverse=True)

    def get(self, name: str) -> RuleSetInfo:
        """Return a set; raise ``UsageError`` when there is none of the name."""
        info = _read(self._root / check_name(name) / MANIFEST)
        if info is None:
            raise UsageError(f"there is no rule set '{name}'", todo="see: edusoc rules sets")
        return info

    def directory(self, info: RuleSetInfo) -> Path:
        """Return the folder of the version that runs."""
        return self._root / info.name / VERSIONS / info.digest

    def directories(self) -> list[Path]:
        """Return the folders of all versions that run, those of the newest set first: its rules win over older ones."""
        return [self.directory(info) for info in self.all()]

    def state(self) -> tuple[tuple[str, int, int], ...]:
        """Return what changes whenever a set is imported, removed or set back; cheap enough to ask every second."""
        found = []
        for path in sorted(self._root.glob(f"*/{MANIFEST}")):
            try:
                known = path.stat()
            except OSError:
                continue
            found.append((path.parent.name, known.st_mtime_ns, known.st_ino))
        return tuple(found)

    def stage(self, name: str, collected: Collected) -> tuple[str, Path]:
        """Write a version beside the one that runs; return its digest and folder. ``put`` lets it run.

        Raises ``InputError`` when there are no rules in it, ``UsageError`` when there are too many sets.
        """
        rules = [path for path in collected.files if path.lower().endswith(RULES)]
        if not rules:
            raise InputError(
                "there are no rule files in it", where=name, todo="rules are files named .yml or .yaml"
            )
        known = [info.name for info in self.all()]
        if name not in known and len(known) >= MOST_SETS:
            raise UsageError(
                f"there are {MOST_SETS} rule sets already", todo="remove one: edusoc rules sets --remove NAME"
            )
        digest = digest_of(collected.files)
        place = self._root / check_name(name) / VERSIONS
        place.mkdir(parents=True, exist_ok=True, mode=0o700)
        target = place / digest
        if not target.is_dir():
            new = Path(tempfile.mkdtemp(dir=place, prefix=".new-"))
            try:
                _write_files(new, collected.files)
                new.rename(target)
            except BaseException:
                shutil.rmtree(new, ignore_errors=True)
                raise
        return digest, target

    def put(self, info: RuleSetInfo) -> RuleSetInfo:
        """Let a staged version run; the one that ran stays as its predecessor, older ones go."""
        before = _read(self._root / info.name / MANIFEST)
        if before is not None:
            same = before.digest == info.digest
            info = replace(info, previous=before.previous if same else before.digest)
        self._write(info)
        self._clean(info)
        return info

    def discard(self, name: str, digest: str) -> None:
        """Remove a staged version that is not to run."""
        known = _read(self._root / name / MANIFEST)
        if known is None or digest not in {known.digest, known.previous}:
            shutil.rmtree(self._root / name / VERSIONS / digest, ignore_errors=True)
        if known is None:
            shutil.rmtree(self._root / name, ignore_errors=True)

    def back(self, name: str) -> RuleSetInfo:
        """Let the previous version run again; raise ``UsageError`` when there is none."""
        info = self.get(name)
        if not info.previous or not (self._root / name / VERSIONS / info.previous).is_dir():
            raise UsageError("there is no earlier version of this rule set", where=name)
        turned = replace(info, digest=info.previous, previous=info.digest)
        self._write(turned)
        return turned

    def remove(self, name: str) -> RuleSetInfo:
        """Remove a set; its rules run no more once the pipeline notices."""
        info = self.get(name)
        (self._root / name / MANIFEST).unlink(missing_ok=True)
        shutil.rmtree(self._root / name, ignore_errors=True)
        return info

    def _write(self, info: RuleSetInfo) -> None:
        body = orjson.dumps(asdict(info), option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS)
        write_whole(self._root / info.name / MANIFEST, body)

    def _clean(self, info: RuleSetInfo) -> None:
        """Remove older versions, and what a killed import left behind; another import may be writing a fresh one."""
        for path in (self._root / info.name / VERSIONS).iterdir():
            unfinished = path.name.startswith(".new-")
            if path.name not in {info.digest, info.previous} and (not unfinished or _is_old(path)):
                shutil.rmtree(path, ignore_errors=True)


def digest_of(files: Mapping[str, bytes]) -> str:
    """Return what names a version: a digest of paths and contents."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(files):
        name = path.encode("utf-8", "surrogatepass")
        digest.update(b"%d %d " % (len(name), len(files[path])))
        digest.update(name)
        digest.update(files[path])
    return digest.hexdigest()


def _is_old(path: Path) -> bool:
    try:
        return path.stat().st_mtime < time.time() - UNFINISHED_SECONDS
    except OSError:
        return False


def _write_files(directory: Path, files: Mapping[str, bytes]) -> None:
    for name, content in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def _read(path: Path) -> RuleSetInfo | None:
    try:
        tree = orjson.loads(path.read_bytes())
        known = {item.name for item in fields(RuleSetInfo)}
        values = {name: value for name, value in tree.items() if name in known}
        info = RuleSetInfo(**{**values, "texts": tuple(values.get("texts", ()))})
    except (OSError, ValueError, TypeError, AttributeError):
        return None
    sound = info.name == path.parent.name and re.fullmatch(r"[0-9a-f]{32}", str(info.digest))
    return info if sound else None
