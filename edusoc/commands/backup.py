"""Keep everything safe and bring it back: ``edusoc store backup``, ``edusoc store restore``."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import orjson

from edusoc.options import add_settings, said, say, settings_of
from edusoc.parser import NumberBetween, add_command
from soc_core.errors import UsageError
from soc_core.printing import printable

if TYPE_CHECKING:
    from edusoc.progress import StagesBar
    from soc_core.backup.making import Made, Order
    from soc_core.backup.manifest import Manifest
    from soc_core.backup.package import PackageReader
    from soc_core.backup.restoring import Restored
    from soc_core.store.interface import Finding

STAGES: Final = ("state", "events", "files", "check", "restore", "snapshot")
LATEST: Final = "latest"


def add(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both actions to ``edusoc store``."""
    backup = add_command(actions, "backup", "edusoc.backup")
    backup.add_argument("target", type=Path, metavar="TARGET", help=say("edusoc.backup.target"))
    for name in ("archive", "with-keys", "keys-in-clear", "no-verify", "check", "clean"):
        key = f"edusoc.backup.{name.replace('-', '_')}"
        backup.add_argument(f"--{name}", action="store_true", help=say(key))
    backup.add_argument("--base", metavar="PREVIOUS", help=say("edusoc.backup.base"))
    backup.add_argument(
        "--keep", type=NumberBetween(1, 10_000), metavar="NUMBER", help=say("edusoc.backup.keep")
    )
    backup.add_argument(
        "--snapshot-repository", default="", metavar="NAME", help=say("edusoc.backup.repository")
    )
    restore = add_command(actions, "restore", "edusoc.restore")
    restore.add_argument("backup", type=Path, metavar="BACKUP", help=say("edusoc.restore.backup"))
    restore.add_argument("--into", type=Path, required=True, metavar="STATE", help=say("edusoc.restore.into"))
    restore.add_argument("--replace", action="store_true", help=say("edusoc.restore.replace"))
    for action, job in ((backup, run_backup), (restore, run_restore)):
        action.add_argument(
            "--passphrase-file", type=Path, metavar="FILE", help=say("edusoc.backup.passphrase")
        )
        action.add_argument("--json", action="store_true", help=say("edusoc.cli.json"))
        add_settings(action)
        action.set_defaults(run=job)


def run_backup(arguments: argparse.Namespace) -> int:
    """Make a backup, or check one; return 1 when something is damaged."""
    with _bar(arguments) as bar:
        if arguments.check:
            return _check(arguments, bar)
        if arguments.archive and arguments.base:
            raise UsageError("an archive holds everything itself", todo="leave out --base, or --archive")
        _name_leftovers(arguments)
        from edusoc.backing_up import open_source, read_passphrase
        from soc_core.backup.making import Order, make_backup
        from soc_core.clock import utc_now

        passphrase = read_passphrase(arguments.passphrase_file)
        if arguments.with_keys and passphrase is None and not arguments.keys_in_clear:
            raise UsageError(
                "keys must not lie in the clear beside the data",
                todo="encrypt with --passphrase-file, or say --keys-in-clear if the place is safe",
            )
        order = Order(
            directory=arguments.target,
            archive=arguments.archive,
            passphrase=passphrase,
            with_keys=arguments.with_keys,
            verify=not arguments.no_verify,
        )
        with open_source(settings_of(arguments), arguments.snapshot_repository, bar) as source:
            base = _base(arguments, order)
            try:
                made = make_backup(source, replace(order, base=base), utc_now, bar)
            finally:
                if base is not None:
                    base.close()
        removed = _remove_old(arguments, made)
    _print_made(made, removed, as_json=arguments.json)
    return 1 if made.found or made.manifest.damaged else 0


def _bar(arguments: argparse.Namespace) -> StagesBar:
    from edusoc.progress import StagesBar

    return StagesBar({stage: say(f"edusoc.backup.stage.{stage}") for stage in STAGES}, hidden=arguments.json)


def _name_leftovers(arguments: argparse.Namespace) -> None:
    """Name what killed backups left, and remove it if asked."""
    from soc_core.backup.making import clean, leftovers

    if not arguments.target.is_dir():
        return
    found = clean(arguments.target) if arguments.clean else leftovers(arguments.target)
    key = "edusoc.backup.cleaned" if arguments.clean else "edusoc.backup.leftover"
    for path in found:
        print(say(key, path=printable(str(path))), file=sys.stderr)


def _base(arguments: argparse.Namespace, order: Order) -> PackageReader | None:
    """Open the earlier backup that equal files are taken from."""
    from soc_core.backup.making import latest
    from soc_core.backup.package import PackageReader

    path = Path(arguments.base) if arguments.base else None
    if arguments.base == LATEST:
        path = latest(arguments.target) if arguments.target.is_dir() else None
    return PackageReader(path, order.passphrase) if path is not None else None


def _remove_old(arguments: argparse.Namespace, made: Made) -> list[Path]:
    """Remove the oldest backups beyond the number to keep, only after a good one was made and checked."""
    from soc_core.backup.making import remove_old

    if not arguments.keep or made.found or made.manifest.damaged:
        return []
    return remove_old(arguments.target, arguments.keep)


def _check(arguments: argparse.Namespace, bar: StagesBar) -> int:
    """Check a backup against its manifest; return 1 when something is wrong."""
    from edusoc.backing_up import read_passphrase, snapshot_fault
    from soc_core.backup.checking import check_backup
    from soc_core.backup.package import PackageReader
    from soc_core.store.interface import Finding

    package = PackageReader(arguments.target, read_passphrase(arguments.passphrase_file))
    try:
        found = check_backup(package, bar)
    finally:
        package.close()
    snapshot = package.manifest.snapshot
    fault = snapshot_fault(settings_of(arguments), snapshot, bar)
    if fault:
        found.append(Finding(fault, f"{snapshot.repository}/{snapshot.name}"))
    if arguments.json:
        body = {**_as_json(package.manifest), "found": _rows(found)}
        print(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
    else:
        _print_found(found)
        if not found:
            print(say("edusoc.backup.sound", **_counts(package.manifest)))
        for line in _notes(package.manifest):
            print(line)
    return 1 if found or package.manifest.damaged else 0


def run_restore(arguments: argparse.Namespace) -> int:
    """Bring a backup back."""
    from edusoc.backing_up import open_means, read_passphrase
    from soc_core.backup.package import PackageReader
    from soc_core.backup.restoring import restore_backup

    state = arguments.into.expanduser().absolute()
    settings = replace(settings_of(arguments), state=str(state))
    package = PackageReader(arguments.backup, read_passphrase(arguments.passphrase_file))
    try:
        with _bar(arguments) as bar, open_means(settings, bar) as means:
            restored = restore_backup(package, state, means, bar, replace=arguments.replace)
    finally:
        package.close()
    migrate = package.manifest.events.backend == "embedded" and bool(settings.elasticsearch_url)
    _print_restored(package.manifest, restored, migrate=migrate, as_json=arguments.json)
    return 0


def _print_made(made: Made, removed: list[Path], *, as_json: bool) -> None:
    if as_json:
        body = {
            "path": str(made.path),
            **_as_json(made.manifest),
            "reused": made.reused,
            "removed": [str(path) for path in removed],
            "found": _rows(made.found),
            "seconds": round(made.seconds, 3),
        }
        print(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
        return
    print(say("edusoc.backup.made", path=printable(str(made.path)), seconds=f"{made.seconds:.1f}"))
    print(say("edusoc.backup.holds", **_counts(made.manifest)))
    if made.reused:
        print(say("edusoc.backup.reused", count=made.reused))
    for path in removed:
        print(say("edusoc.backup.removed", path=printable(str(path))))
    for line in _notes(made.manifest):
        print(line)
    _print_found(made.found)
    if made.found:
        print(say("edusoc.backup.spoiled", path=printable(str(made.path))))


def _print_found(found: list[Finding]) -> None:
    for finding in found:
        print(printable(f"{finding.where}: {said(finding.what)}"))


def _notes(manifest: Manifest) -> list[str]:
    """Return what a backup does not hold and what was damaged when it was made."""
    lines = [say(f"edusoc.backup.left.{item.what}", count=item.count) for item in manifest.left_out]
    if manifest.snapshot.name:
        snapshot = manifest.snapshot
        lines.append(say("edusoc.backup.snapshot", repository=snapshot.repository, name=snapshot.name))
    lines += [printable(say("edusoc.backup.damaged", what=said(item))) for item in manifest.damaged]
    return lines


def _counts(manifest: Manifest) -> dict[str, int | str]:
    events = manifest.events.events or sum(manifest.snapshot.documents.values())
    return {
        "events": events,
        "rows": sum(manifest.state.rows.values()),
        "files": len(manifest.files),
        "size": f"{manifest.size / 2**20:.1f}",
        "created": manifest.created,
    }


def _as_json(manifest: Manifest) -> dict[str, object]:
    return {
        "id": manifest.id,
        "created": manifest.created,
        "program": manifest.program,
        "revision": manifest.state.revision,
        "events": manifest.events.events,
        "end_offset": manifest.events.end_offset,
        "rows": sum(manifest.state.rows.values()),
        "files": len(manifest.files),
        "bytes": manifest.size,
        "encrypted": any(entry.key for entry in manifest.files),
        "with_keys": manifest.with_keys,
        "snapshot": {
            "repository": manifest.snapshot.repository,
            "name": manifest.snapshot.name,
            "documents": sum(manifest.snapshot.documents.values()),
        },
        "left_out": [{"what": item.what, "count": item.count} for item in manifest.left_out],
        "damaged": list(manifest.damaged),
    }


def _rows(found: list[Finding]) -> list[dict[str, str]]:
    return [{"what": finding.what, "where": finding.where} for finding in found]


def _print_restored(manifest: Manifest, restored: Restored, *, migrate: bool, as_json: bool) -> None:
    if as_json:
        body = {
            **_as_json(manifest),
            "state": str(restored.state),
            "aside": str(restored.aside) if restored.aside else None,
            "events": restored.events,
            "rows": restored.loaded.rows,
            "replaced": restored.loaded.replaced,
            "seconds": round(restored.seconds, 3),
        }
        print(orjson.dumps(body, option=orjson.OPT_INDENT_2).decode())
        return
    place = printable(str(restored.state))
    print(say("edusoc.restore.done", state=place, seconds=f"{restored.seconds:.1f}"))
    rows = restored.loaded.rows
    print(say("edusoc.restore.holds", events=restored.events, rows=rows, created=manifest.created))
    if restored.aside:
        print(say("edusoc.restore.aside", path=printable(str(restored.aside))))
    if restored.loaded.replaced:
        print(say("edusoc.restore.replaced", count=restored.loaded.replaced))
    print(say("edusoc.restore.settings", path=printable(str(restored.state / "restored"))))
    if not manifest.with_keys:
        print(say("edusoc.restore.no_keys"))
    if migrate:
        print(say("edusoc.restore.migrate"))
