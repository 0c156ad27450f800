"""Run Net-SNMP's agent as the switch of a test: its tables are lines of a file that may change."""

from __future__ import annotations

import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.collectors.live.outlets import wait_until
from tests.needs import need

COMMUNITY = "test-community"
USER, DIGEST_KEY, CIPHER_KEY = "poller", "digest-key-1", "cipher-key-1"
# Columns, not tables: the agent answers for the machine's own tables itself, and the longest name wins.
TABLES = (".1.3.6.1.2.1.4.22.1.2", ".1.3.6.1.2.1.4.35.1.4", ".1.3.6.1.2.1.17", ".1.3.6.1.2.1.31.1.1.1.1")
# Net-SNMP asks such a program for each object (snmpd.conf(5), pass_persist); the file is read anew each time.
PROGRAM = """
import sys
def key(oid): return [int(part) for part in oid.strip(".").split(".")]
def rows():
    lines = [line.split(" ", 2) for line in open(sys.argv[1]).read().splitlines() if line]
    return sorted(lines, key=lambda line: key(line[0]))
while command := sys.stdin.readline().strip():
    if command == "PING":
        print("PONG", flush=True)
        continue
    asked = key(sys.stdin.readline())
    found = [row for row in rows() if (key(row[0]) == asked if command == "get" else key(row[0]) > asked)]
    print("\\n".join(found[0]) if found else "NONE", flush=True)
"""


def need_snmpd() -> str:
    """Return the path of snmpd."""
    found = shutil.which("snmpd") or shutil.which("/usr/sbin/snmpd")
    return need("snmpd", found, "no snmpd: apt-get install snmpd")


def hex_card(mac: str) -> str:
    """Return a card as snmpd's programs write octets."""
    return mac.replace("-", " ")


class Agent:
    """Hold a running agent: its address, and the file of its tables."""

    def __init__(self, port: int, tables: Path) -> None:
        self.address = ("127.0.0.1", port)
        self._tables = tables

    def write(self, rows: dict[str, tuple[str, str]]) -> None:
        """Replace the tables: object identifier → type and value."""
        fresh = self._tables.with_suffix(".new")
        fresh.write_text("".join(f".{oid} {kind} {value}\n" for oid, (kind, value) in rows.items()))
        fresh.replace(self._tables)


@contextmanager
def snmp_agent(directory: Path) -> Iterator[Agent]:
    """Run an agent on loopback."""
    program = need_snmpd()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    script, tables, settings = directory / "tables.py", directory / "tables.txt", directory / "snmpd.conf"
    script.write_text(PROGRAM)
    tables.write_text("")
    lines = [
        f"agentAddress udp:127.0.0.1:{port}",
        f"rocommunity {COMMUNITY}",
        f"createUser {USER} SHA-256 {DIGEST_KEY} AES {CIPHER_KEY}",
        f"rouser {USER} authpriv",
        "sysName core-1",
        *(f"pass_persist -p 10 {table} {sys.executable} {script} {tables}" for table in TABLES),
    ]
    settings.write_text("\n".join(lines) + "\n")
    command = [program, "-f", "-LE", "3", "-C", "-c", str(settings)]
    environment = {"SNMP_PERSISTENT_DIR": str(directory), "PATH": "/usr/bin:/bin"}
    with (directory / "snmpd.log").open("w") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        try:
            wait_until(lambda: process.poll() is not None or _taken(port))
            assert process.poll() is None, (directory / "snmpd.log").read_text()
            yield Agent(port, tables)
        finally:
            process.terminate()
            process.wait(10)


def _taken(port: int) -> bool:
    """Tell whether the agent has its port: ours then can't have it."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return True
    return False
