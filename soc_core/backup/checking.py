"""Check a backup without restoring it: every byte of every file against the manifest."""

from __future__ import annotations

from soc_core.backup.meter import Meter, metered
from soc_core.backup.package import PackageReader
from soc_core.errors import StoreError
from soc_core.store.interface import Finding


def check_backup(package: PackageReader, meter: Meter) -> list[Finding]:
    """Return what is wrong (empty: all is well): missing, changed and unexpected files."""
    manifest = package.manifest
    meter.begin("check", manifest.size)
    found: list[Finding] = []
    for entry in manifest.files:
        try:
            for _ in metered(package.blocks(entry), meter):
                pass
        except StoreError as error:
            found.append(Finding(error.what, error.where))
    if package.stored_path("") is not None:  # an archive may hold what an attempt left in it
        strange = sorted(package.names() - package.stored_names())
        found.extend(Finding("the manifest does not name this file", name) for name in strange)
    return found
