"""Read what real servers write, run here on loopback as an ordinary user. Skipped where a server isn't installed."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import OperationalError

from collectors.reading import collect, read_paths
from soc_core.model.event import Event
from soc_core.state.postgresql import DRIVER
from tests.collectors.base import assert_fits_dictionary
from tests.elasticsearch_server import ORDINARY_USER, free_port, temporary_directory
from tests.needs import need
from tests.postgresql_server import Server

pytestmark = pytest.mark.slow
SECONDS: Final = 20.0
NAMES: Final = ("www.school.example", "nothing.school.example")
UNBOUND: Final = """server:
  interface: 127.0.0.1@{port}
  chroot: ""
  username: ""
  directory: "{folder}"
  pidfile: "{folder}/pid"
  use-syslog: no
  logfile: "{folder}/query.log"
  log-queries: yes
  log-replies: yes
  local-zone: "school.example." static
  local-data: "www.school.example. IN A 192.0.2.10"
"""
NAMED: Final = """options {{
  directory "{folder}"; listen-on port {port} {{ 127.0.0.1; }}; listen-on-v6 {{ none; }}; recursion no; querylog yes;
  pid-file "{folder}/pid"; session-keyfile "{folder}/key";
}};
controls {{}};
zone "school.example" {{ type master; file "zone"; }};
logging {{
  channel q {{ file "{folder}/query.log"; print-time yes; print-category yes; print-severity yes; }};
  category queries {{ q; }};
}};
"""
ZONE: Final = "$TTL 60\n@ IN SOA ns a 1 60 60 60 60\n@ IN NS ns\nns IN A 192.0.2.1\nwww IN A 192.0.2.10\n"
DNSMASQ: Final = """port={port}
listen-address=127.0.0.1
bind-interfaces
no-resolv
no-hosts
log-queries=extra
log-facility={folder}/query.log
pid-file={folder}/pid
address=/www.school.example/192.0.2.10
local=/school.example/
user={user}
"""
SERVERS: Final = {
    "unbound": (UNBOUND, ["-d", "-c", "conf"]),
    "named": (NAMED, ["-f", "-c", "conf"]),
    "dnsmasq": (DNSMASQ, ["-k", "-C", "conf"]),
}


def wait_for(met: Callable[[], bool]) -> None:
    """Return when a condition is met; fail when it isn't in time."""
    end = time.monotonic() + SECONDS
    while not met():
        assert time.monotonic() < end
        time.sleep(0.05)


def ask(port: int, name: str) -> bool:
    """Ask for an address; tell whether there was an answer (RFC 1035 section 4)."""
    labels = b"".join(bytes((len(label),)) + label.encode() for label in name.split("."))
    question = secrets.token_bytes(2) + b"\1\0\0\1\0\0\0\0\0\0" + labels + b"\0\0\1\0\1"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.settimeout(0.5)
        client.connect(("127.0.0.1", port))
        try:
            client.send(question)
            return client.recv(512)[:2] == question[:2]
        except OSError:
            return False


@contextmanager
def running(name: str) -> Iterator[tuple[int, Path]]:
    """Run a name server; give its port and the log it writes."""
    program = need(
        name, shutil.which(name), f"no {name}: apt-get install {name if name != 'named' else 'bind9'}"
    )
    folder, port = temporary_directory(f"{name}-"), free_port()
    settings, arguments = SERVERS[name]
    user = ORDINARY_USER if os.getuid() == 0 else ""
    (folder / "conf").write_text(settings.format(port=port, folder=folder, user=user))
    (folder / "zone").write_text(ZONE)
    process = subprocess.Popen(
        [program, *arguments],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        user=user or None,
        extra_groups=[] if user else None,
    )
    try:
        wait_for(lambda: ask(port, NAMES[0]))
        yield port, folder / "query.log"
    finally:
        process.terminate()
        process.wait(timeout=SECONDS)


def read(path: Path) -> list[Event]:
    """Return the events of a log of which everything must be understood."""
    events, statistics = collect(read_paths([str(path)]))
    assert statistics.bad == 0, statistics.bad_samples
    for event in events:
        assert_fits_dictionary(event)
    return events


@pytest.mark.parametrize("name", sorted(SERVERS))
def test_questions_to_a_name_server(name: str) -> None:
    with running(name) as (port, log):
        for asked in NAMES:
            assert ask(port, asked)
        wait_for(lambda: log.read_bytes().count(NAMES[1].encode()) >= 1)
    questions = [event for event in read(log) if event.get("event.action") == "dns_query"]
    assert {event["dns.question.name"] for event in questions} == set(NAMES)
    assert {event["source.ip"] for event in questions} == {"127.0.0.1"}
    assert {event["dns.question.type"] for event in questions} == {"A"}


def test_log_ins_and_statements_of_postgresql() -> None:
    server = Server()
    settings = "log_connections = on\nlog_disconnections = on\nlog_statement = all\n"
    with (server.directory / "data" / "postgresql.conf").open("a") as configuration:
        configuration.write(settings)
    server.start()
    try:
        address = make_url(server.url).set(drivername=DRIVER)
        good = create_engine(address)
        with good.connect() as connection:
            connection.execute(text("create role teacher login password 'Secret-123'"))
            connection.execute(text("select\n 1"))
            connection.commit()
        good.dispose()
        wrong = create_engine(address.set(username="teacher", password="wrong"))
        with pytest.raises(OperationalError):
            wrong.connect()
        wrong.dispose()
    finally:
        server.stop()
    events = read(server.directory / "out.log")
    attempts = {
        (event.get("user.name"), event["event.outcome"])
        for event in events
        if event["event.action"] == "connect"
    }
    assert {("edusoc", "success"), ("teacher", "failure")} <= attempts
    statements = [str(event.get("edusoc.database.statement")) for event in events]
    assert "select\n 1" in statements
    assert "Secret-123" not in str(events)
