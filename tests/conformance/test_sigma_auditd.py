"""SigmaHQ's rules for the Linux audit system fire on records as auditd writes them. Skipped without the rules."""

from __future__ import annotations

import tarfile
from pathlib import Path

import pytest

from collectors.reading import collect, read_paths
from detectors.sigma import SigmaDetector, load_rules
from tests.shared_data import SHARED, needs

pytestmark = [pytest.mark.slow, *needs(SHARED / "sigma")]
CALL = "type=SYSCALL msg=audit(1795521603.{0}00:{0}): arch=c000003e syscall={1} success=yes ppid=1 pid=7 {2}"
EXPECTED = {
    # file of the rule → records that must fire it
    "lnx_auditd_data_exfil_wget.yml": (
        CALL.format(1, 59, 'uid=1000 comm="wget" exe="/usr/bin/wget" key="exec"'),
        'type=EXECVE msg=audit(1795521603.100:1): argc=2 a0="wget" a1="--post-file=/etc/passwd"',
    ),
    "lnx_auditd_audio_capture.yml": (
        CALL.format(2, 319, 'uid=1000 comm="ecasound" exe="/usr/bin/ecasound" key=(null)'),
    ),
    "lnx_auditd_ld_so_preload_mod.yml": (
        CALL.format(3, 257, 'uid=0 comm="vi" exe="/usr/bin/vi" key="x"'),
        'type=PATH msg=audit(1795521603.300:3): item=0 name="/etc/ld.so.preload" inode=1 nametype=CREATE',
    ),
    "lnx_auditd_create_account.yml": (
        "type=ADD_USER msg=audit(1795521603.400:4): pid=2 uid=0 auid=1000 "
        "msg='op=add-user acct=\"x\" id=1001 exe=\"/usr/sbin/useradd\" res=success'",
    ),
    "lnx_auditd_file_or_folder_permissions.yml": (
        CALL.format(5, 59, 'uid=0 comm="chmod" exe="/usr/bin/chmod" key=(null)'),
        'type=EXECVE msg=audit(1795521603.500:5): argc=3 a0="chmod" a1="777" a2=2F746D702F612062',
    ),
    "lnx_auditd_web_rce.yml": (
        CALL.format(6, 59, 'uid=33 euid=33 comm="sh" exe="/usr/bin/sh" key="x"'),
        'type=EXECVE msg=audit(1795521603.600:6): argc=1 a0="sh"',
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def rules(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the rules about the audit system."""
    folder = tmp_path_factory.mktemp("rules")
    with tarfile.open(SHARED / "sigma" / "sigmahq-rules.tar.xz") as archive:
        chosen = [member for member in archive if "/auditd/" in member.name and member.name.endswith(".yml")]
        archive.extractall(folder, members=chosen, filter="data")
    return folder


def test_rules_fire_on_what_auditd_writes(rules: Path, tmp_path: Path) -> None:
    log = tmp_path / "audit.log"
    lines = [line for records in EXPECTED.values() for line in records]
    log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    events, statistics = collect(read_paths([str(log)]))
    assert (statistics.bad, len(events)) == (0, len(EXPECTED))
    events.sort(key=lambda event: str(event["event.sequence"]))
    by_name = {path.name: path.read_text(encoding="utf-8") for path in rules.rglob("*.yml")}
    detector = SigmaDetector(load_rules([rules]))
    for name, event in zip(EXPECTED, events, strict=True):
        fired = {detection.rule_id for detection in detector.detect([event])}
        assert any(f"id: {rule_id}" in by_name[name] for rule_id in fired), name
