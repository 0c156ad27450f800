"""Write and read the files of a backup: in a folder or in one archive, plain or encrypted.

A backup is written under a name that ends in ``.partial`` and gets its own when everything is on the disk. The
manifest lies beside the files as ``manifest.json`` with ``manifest.sha256``, or encrypted as ``manifest.json.enc``.
An archive is a ZIP file without compression (what fills a backup is compressed already).
"""

from __future__ import annotations

import hashlib
import lzma
import os
import struct
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from soc_core.backup.encryption import (
    EncryptingWriter,
    Sink,
    decrypted,
    derive,
    file_header,
    manifest_header,
    random_key,
    read_header,
)
from soc_core.backup.manifest import FileEntry, Manifest, decode
from soc_core.errors import StoreError, UsageError
from soc_core.system import sync_directory

PREFIX: Final = "edusoc-"
PARTIAL: Final = ".partial"
ARCHIVE: Final = ".zip"
ENCRYPTED: Final = ".enc"
MANIFEST: Final = "manifest.json"
DIGEST: Final = "manifest.sha256"
BLOCK: Final = 1024 * 1024
_LARGEST_MANIFEST: Final = 512 * 1024 * 1024
_ZIP_FAULTS: Final = (
    *(zipfile.BadZipFile, zlib.error, struct.error, lzma.LZMAError),
    *(EOFError, NotImplementedError, RuntimeError, ValueError),
)
"""What ``zipfile`` raises for archives that were changed."""


class Target(Protocol):
    """Be where the files of a backup are written to."""

    path: Path

    def create(self, name: str) -> AbstractContextManager[BinaryIO]:
        """Return a context that gives a stream for a new file and makes the file durable at its end."""
        ...

    def link(self, name: str, source: Path) -> bool:
        """Give an existing, never changing file a second name here; ``False`` where that can't be done."""
        ...

    def forget(self, name: str) -> None:
        """Remove a file again, where that can be done."""
        ...

    def finish(self) -> Path:
        """Make everything durable and give the backup its own name, which is returned."""
        ...


class FolderTarget:
    """Write a backup as a folder."""

    def __init__(self, directory: Path, name: str) -> None:
        """Make the folder under its partial name (mode 0700: a backup holds what the state directory does)."""
        self.path = directory / (name + PARTIAL)
        self._final = directory / name
        self.path.mkdir(parents=True, mode=0o700)

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """Give a stream for a new file; fsync it at the end."""
        path = self._place(name)
        with path.open("xb", buffering=BLOCK) as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())

    def link(self, name: str, source: Path) -> bool:
        """Give a file of the same file system a second name; ``False`` where there are no such names."""
        path = self._place(name)
        try:
            os.link(source, path)
        except FileNotFoundError:
            raise
        except OSError:  # another file system, or one without second names (exFAT, many network shares)
            return False
        return True

    def forget(self, name: str) -> None:
        """Remove a file again."""
        (self.path / name).unlink(missing_ok=True)

    def finish(self) -> Path:
        """Make all names durable, deepest first, and give the folder its own name."""
        for directory, _, _ in os.walk(self.path, topdown=False):
            sync_directory(Path(directory))
        self.path.rename(self._final)
        sync_directory(self._final.parent)
        return self._final

    def _place(self, name: str) -> Path:
        path = self.path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path


class ArchiveTarget:
    """Write a backup as one ZIP file."""

    def __init__(self, directory: Path, name: str) -> None:
        """Begin the file under its partial name (mode 0600)."""
        directory.mkdir(parents=True, exist_ok=True)
        self.path = directory / (name + ARCHIVE + PARTIAL)
        self._final = directory / (name + ARCHIVE)
        self._stream = os.fdopen(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600), "w+b")
        self._archive = zipfile.ZipFile(self._stream, "w", zipfile.ZIP_STORED, allowZip64=True)

    @contextmanager
    def create(self, name: str) -> Iterator[BinaryIO]:
        """Give a stream for a new member."""
        with self._archive.open(name, "w", force_zip64=True) as stream:
            yield stream  # type: ignore[misc] # typeshed has IO[bytes], which has all that is used

    def link(self, name: str, source: Path) -> bool:  # noqa: ARG002 as every target
        """Return ``False``: an archive holds everything itself."""
        return False

    def forget(self, name: str) -> None:
        """Leave the member: only what the manifest names counts."""

    def finish(self) -> Path:
        """Close the archive, make it durable and give it its own name."""
        self._archive.close()
        self._stream.flush()
        os.fsync(self._stream.fileno())
        self._stream.close()
        self.path.rename(self._final)
        sync_directory(self._final.parent)
        return self._final


class PackageWriter:
    """Add files to a backup, encrypted when there is a passphrase."""

    def __init__(self, target: Target, passphrase: bytes | None, base: PackageReader | None = None) -> None:
        """Take the target, and an earlier backup whose equal files need not be written again."""
        self.target, self._passphrase = target, passphrase
        self._base = base
        self._known = base.manifest.named() if base is not None else {}
        self._entries: dict[str, FileEntry] = {}
        self.reused = 0

    def add(self, name: str, blocks: Iterable[bytes]) -> FileEntry:
        """Write a file from its blocks."""
        key = random_key() if self._passphrase is not None else b""
        stored = name + (ENCRYPTED if key else "")
        digest, size = hashlib.sha256(), 0
        try:
            with self.target.create(stored) as stream:
                sealed = EncryptingWriter(stream, key, file_header()) if key else None
                sink: Sink = sealed if sealed is not None else stream
                for block in blocks:
                    digest.update(block)
                    size += len(block)
                    sink.write(block)
                if sealed is not None:
                    sealed.finish()
        except OSError:
            self.target.forget(stored)  # what could not be read to its end is not part of the backup
            raise
        return self._enter(FileEntry(name, size, digest.hexdigest(), key.hex()))

    def reuse(self, name: str, sha256: str) -> FileEntry | None:
        """Take a file over from the earlier backup if it is there with this SHA-256; ``None`` if it must be written."""
        known = self._known.get(name)
        if known is None or self._base is None or known.sha256 != sha256:
            return None
        if bool(known.key) != (self._passphrase is not None):
            return None
        stored = name + (ENCRYPTED if known.key else "")
        try:
            source = self._base.stored_path(stored)
            if source is None or not self.target.link(stored, source):
                return None
        except FileNotFoundError:
            return None
        self.reused += 1
        return self._enter(known)

    def can_link(self, source: Path) -> bool:
        """Tell whether a second name for a file may do: in a plain backup on the same file system."""
        return (
            self._passphrase is None
            and isinstance(self.target, FolderTarget)
            and self.target.path.stat().st_dev == source.stat().st_dev
        )

    def link(self, name: str, source: Path, size: int, sha256: str) -> FileEntry | None:
        """Give a file that never changes a second name in a plain backup; ``None`` if it must be written."""
        if self._passphrase is not None or not self.target.link(name, source):
            return None
        return self._enter(FileEntry(name, size, sha256))

    def forget(self, name: str) -> None:
        """Leave a file out again."""
        entry = self._entries.pop(name)
        self.target.forget(name + (ENCRYPTED if entry.key else ""))

    def entries(self) -> list[FileEntry]:
        """Return what was added, by name."""
        return [self._entries[name] for name in sorted(self._entries)]

    def finish(self, manifest: Manifest) -> Path:
        """Write the manifest, make all durable, give the backup its own name and return where it is."""
        body = manifest.encode()
        if self._passphrase is None:
            for name, content in ((MANIFEST, body), (DIGEST, _digest_line(body))):
                with self.target.create(name) as stream:
                    stream.write(content)
        else:
            header = manifest_header()
            with self.target.create(MANIFEST + ENCRYPTED) as stream:
                sealed = EncryptingWriter(stream, derive(self._passphrase, header), header)
                sealed.write(body)
                sealed.finish()
        return self.target.finish()

    def _enter(self, entry: FileEntry) -> FileEntry:
        self._entries[entry.path] = entry
        return entry


class PackageReader:
    """Read a backup that is complete."""

    def __init__(self, path: Path, passphrase: bytes | None) -> None:
        """Open it and read its manifest.

        Raises ``UsageError`` when it is no backup, not complete, or encrypted and no passphrase is given, and
        ``StoreError`` when the manifest is damaged or the passphrase wrong.
        """
        self.path = path
        if path.name.endswith(PARTIAL):
            raise UsageError("this backup was never completed", where=str(path), todo="use another one")
        self._archive: zipfile.ZipFile | None = None
        if path.is_file():
            try:
                self._archive = zipfile.ZipFile(path)
            except (*_ZIP_FAULTS, OSError) as error:
                raise StoreError("the archive can't be read", where=str(path)) from error
        self.encrypted = self._has(MANIFEST + ENCRYPTED)
        if not self.encrypted and not self._has(MANIFEST):
            self.close()
            raise UsageError("this is no backup: there is no manifest", where=str(path))
        try:
            self.manifest = decode(self._read_manifest(passphrase), str(path))
        except BaseException:
            self.close()
            raise

    def _has(self, name: str) -> bool:
        if self._archive is not None:
            return name in self._archive.namelist()
        return (self.path / name).is_file()

    def _read_manifest(self, passphrase: bytes | None) -> bytes:
        where = str(self.path)
        if not self.encrypted:
            body = self._short(MANIFEST)
            if self._short(DIGEST) != _digest_line(body):
                raise StoreError("the manifest is damaged", where=where)
            return body
        if passphrase is None:
            raise UsageError(
                "this backup is encrypted",
                where=where,
                todo="name the file of its passphrase with --passphrase-file",
            )
        with self._open(MANIFEST + ENCRYPTED) as stream:
            header = read_header(stream, where)
            parts, size = [], 0
            for part in decrypted(stream, derive(passphrase, header), header, where):
                parts.append(part)
                size += len(part)
                if size > _LARGEST_MANIFEST:
                    raise StoreError("the manifest is damaged", where=where)
        return b"".join(parts)

    def _short(self, name: str) -> bytes:
        """Return a stored file that must fit into memory: an archive may be made to unpack without end."""
        parts, size = [], 0
        for part in self._stored(name):
            parts.append(part)
            size += len(part)
            if size > _LARGEST_MANIFEST:
                raise StoreError("the manifest is damaged", where=str(self.path))
        return b"".join(parts)

    def stored_path(self, name: str) -> Path | None:
        """Return where a stored file lies, ``None`` inside an archive."""
        return self.path / name if self._archive is None else None

    def names(self) -> set[str]:
        """Return the names of all stored files."""
        if self._archive is not None:
            return set(self._archive.namelist())
        return {path.relative_to(self.path).as_posix() for path in self.path.rglob("*") if not path.is_dir()}

    def stored_names(self) -> set[str]:
        """Return the names that the manifest makes one expect."""
        own = {MANIFEST + ENCRYPTED} if self.encrypted else {MANIFEST, DIGEST}
        return own | {entry.path + (ENCRYPTED if entry.key else "") for entry in self.manifest.files}

    def blocks(self, entry: FileEntry) -> Iterator[bytes]:
        """Yield a file's plain content; raise ``StoreError`` where it is missing or not what was written.

        Its size and SHA-256 are proved at the end: whoever uses blocks before that must be able to take it back.
        """
        where = f"{self.path.name}/{entry.path}"
        digest, size = hashlib.sha256(), 0
        source = self._decrypted(entry, where) if entry.key else self._stored(entry.path)
        for block in source:
            digest.update(block)
            size += len(block)
            yield block
        if (size, digest.hexdigest()) != (entry.size, entry.sha256):
            raise StoreError("the file is not what was written", where=where)

    def _decrypted(self, entry: FileEntry, where: str) -> Iterator[bytes]:
        try:
            key = bytes.fromhex(entry.key)
        except ValueError:
            raise StoreError("the manifest is damaged", where=where) from None
        with self._open(entry.path + ENCRYPTED) as stream:
            header = read_header(stream, where)
            yield from decrypted(stream, key, header, where)

    def _stored(self, name: str) -> Iterator[bytes]:
        with self._open(name) as stream:
            while block := stream.read(BLOCK):
                yield block

    @contextmanager
    def _open(self, name: str) -> Iterator[BinaryIO]:
        where = f"{self.path.name}/{name}"
        try:
            if self._archive is not None:
                with self._archive.open(name) as member:
                    yield member  # type: ignore[misc] # typeshed has IO[bytes], which has all that is used
            else:
                with (self.path / name).open("rb") as stream:
                    yield stream
        except (KeyError, FileNotFoundError):
            raise StoreError("the file is missing", where=where) from None
        except _ZIP_FAULTS as error:
            raise StoreError("the file is not what was written", where=where) from error
        except OSError as error:
            raise StoreError(error.strerror or "can't be read", where=where) from error

    def close(self) -> None:
        """Close the archive, if it is one."""
        if self._archive is not None:
            self._archive.close()


def _digest_line(body: bytes) -> bytes:
    """Return what lies beside a plain manifest; ``sha256sum -c`` reads it."""
    return f"{hashlib.sha256(body).hexdigest()}  {MANIFEST}\n".encode()
