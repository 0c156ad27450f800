"""A centre's processes are started, started again when they die, and stopped in order."""

from __future__ import annotations

import os
import re
import signal
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.client import HTTPSConnection
from pathlib import Path

import orjson
import pytest

from edusoc.composition import open_database
from edusoc.identity import intake_identity
from edusoc.supervising import Role, Supervisor
from intake.agents import repository
from intake.agents.enrolling import give_code
from intake.agents.model import NewCode
from soc_core.clock import format_instant, utc_now
from soc_core.config import Settings
from soc_core.keys.signing import SigningKey
from soc_core.model.organisation import Attribute
from soc_core.organisations.repository import load_tree, put_unit, today
from soc_core.store.embedded import EmbeddedStore
from soc_core.store.interface import SYSTEM_SCOPE, Search
from soc_core.uplink.answers import Receipt
from soc_core.uplink.enrolment import EnrolAnswer, EnrolRequest
from soc_core.uplink.wire import ENROL, RECORDS, Envelope, Item, encode_records
from tests.intake.agents.conftest import made

ROOT = Path(__file__).parents[2]


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


def children_of(pid: int) -> dict[str, int]:
    """Return the processes of a supervisor by their role."""
    found: dict[str, int] = {}
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        words = Path(f"/proc/{child}/cmdline").read_bytes().split(b"\0")
        if b"--only" in words:
            found[words[words.index(b"--only") + 1].decode()] = int(child)
    return found


def is_running(pid: int) -> bool:
    """Tell whether a process does something; one that waits for its parent to hear of its end doesn't."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@contextmanager
def centre(state: Path) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """Run ``edusoc serve``; give the process and the addresses of console and intake."""
    words = [
        sys.executable,
        "-m",
        "edusoc",
        "serve",
        "--state",
        str(state),
        "--port",
        "0",
        "--intake-port",
        "0",
    ]
    environment = {**os.environ, "EDUSOC_LANGUAGE": "en", "PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    )
    try:
        assert process.stdout is not None
        web = re.search(r"http://[0-9.:]+", process.stdout.readline())
        intake = re.search(r"https://[0-9.:]+", process.stdout.readline())
        assert web is not None
        assert intake is not None
        yield process, web.group(), intake.group()
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        finally:
            process.kill()
            for stream in (process.stdout, process.stderr):
                assert stream is not None
                stream.close()


class Sender:
    """Send as an agent does, again and again until it is acknowledged."""

    def __init__(self, state: Path, address: str) -> None:
        settings = Settings(state=str(state))
        identity = intake_identity(settings)
        database = open_database(settings)
        now = utc_now()
        with database.write() as connection:
            put_unit(connection, [Attribute("code", "S1"), Attribute("name", "一小")], {}, now=now)
            unit = load_tree(connection, today(now)).find("S1")
            wanted = NewCode("", "default", format_instant(now.replace(year=now.year + 1)))
            code = give_code(connection, identity.certificate, [unit], wanted, now=now)
        database.close()
        self._context = ssl.create_default_context(cadata=identity.authority)
        self._host, _, self._port = address.removeprefix("https://").rpartition(":")
        self._key = SigningKey(b"k" * 32)
        request = EnrolRequest.make(code, self._key, name="one", version="1", system="Linux")
        self.told = EnrolAnswer.decode(self._post(ENROL, request.encode(), {})[1])
        self._number = 0

    def _post(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[int, bytes]:
        connection = HTTPSConnection(self._host, int(self._port), context=self._context, timeout=30)
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            return answer.status, answer.read()
        finally:
            connection.close()

    def send(self, at: int, lines: list[bytes]) -> int:
        """Return the mark; try until it is there."""
        body = encode_records([Item(at, lines)])
        end = time.monotonic() + 60
        while time.monotonic() < end:
            self._number += 1
            envelope = Envelope(self.told.agent, "e1", self._number, format_instant(utc_now()))
            try:
                status, content = self._post(RECORDS, body, envelope.headers(RECORDS, body, self._key))
            except OSError:
                time.sleep(0.05)
                continue
            if status == 200:
                return Receipt.decode(content).mark
            time.sleep(0.05)
        raise AssertionError("the centre does not take it")


@pytest.mark.slow
def test_a_pipeline_that_is_killed_again_and_again_keeps_every_event_once(tmp_path: Path) -> None:
    """Kill it at any moment, also between the events being durable and the mark: the agent only sends again."""
    batches, size = 8, 100
    with centre(tmp_path) as (process, web, intake):
        sender = Sender(tmp_path, intake)
        events = made(batches * size)
        killed: set[int] = set()
        for number in range(batches):
            if number in {2, 5}:
                until(lambda: "pipeline" in children_of(process.pid))
                victim = children_of(process.pid)["pipeline"]
                killed.add(victim)
                os.kill(victim, signal.SIGKILL)
            lines = [orjson.dumps(event) for event in events[number * size : (number + 1) * size]]
            assert sender.send(number * size, lines) == (number + 1) * size
        assert len(killed) == 2
        with urllib.request.urlopen(f"{web}/login", timeout=30) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        started = time.monotonic()
        assert process.wait(30) == 0
        assert time.monotonic() - started < 20
    store = EmbeddedStore(tmp_path / "events", writer=True)
    now = utc_now()
    request = Search(SYSTEM_SCOPE, now.replace(year=now.year - 2), now.replace(year=now.year + 1))
    ids = [str(event["event.id"]) for batch in store.scan(request) for event in batch]
    store.close()
    wanted = sorted(str(event["event.id"]) for event in events)
    assert sorted(name for name in ids if name in set(wanted)) == wanted
    database = open_database(Settings(state=str(tmp_path)))
    with database.read() as connection:
        agent = repository.need_agent(connection, "one")
        assert repository.mark_of(connection, agent.id, "e1") == batches * size
    database.close()


@pytest.mark.slow
def test_who_loses_its_supervisor_ends(tmp_path: Path) -> None:
    with centre(tmp_path) as (process, _web, _intake):
        children = children_of(process.pid)
        assert set(children) == {"web", "pipeline"}
        process.kill()
        process.wait(10)
        until(lambda: not any(map(is_running, children.values())))


@pytest.mark.slow
def test_another_writer_is_waited_for_and_the_console_serves(tmp_path: Path) -> None:
    store = EmbeddedStore(tmp_path / "events", writer=True)
    words = [
        sys.executable,
        "-m",
        "edusoc",
        "serve",
        "--state",
        str(tmp_path),
        "--port",
        "0",
        "--intake-port",
        "0",
    ]
    environment = {**os.environ, "EDUSOC_LANGUAGE": "en", "PYTHONUNBUFFERED": "1"}
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, cwd=ROOT
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            found = re.search(r"http://[0-9.:]+", process.stdout.readline())
            assert found is not None
            assert "writes here already" in process.stderr.readline()
            with urllib.request.urlopen(f"{found.group()}/login", timeout=30) as answer:
                assert answer.status == 200
            store.close()
            assert "https://" in process.stdout.readline()
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


class NoSocket:
    """Be a socket that children inherit; they don't listen."""

    def fileno(self) -> int:
        return 2


def run_roles(words: dict[str, str], monkeypatch: pytest.MonkeyPatch, stop_at: int) -> tuple[int, list[str]]:
    """Run roles whose processes are small programs; stop after so many deaths."""
    said: list[str] = []
    monkeypatch.setattr("edusoc.supervising.PAUSES", (0.01, 0.02))

    def popen(
        command: list[str], pass_fds: list[int], stdin: int, env: dict[str, str]
    ) -> subprocess.Popen[bytes]:
        link = env["EDUSOC_GIVEN_DESCRIPTORS"].split(",")[1]
        return real([sys.executable, "-c", words[command[3]], link], pass_fds=pass_fds, stdin=stdin)

    real = subprocess.Popen
    monkeypatch.setattr("edusoc.supervising.subprocess.Popen", popen)

    def on_death(name: str, code: int, _pause: float) -> None:
        said.append(f"{name} {code}")
        if len(said) >= stop_at:
            supervisor.stop.set()

    roles = [Role(name, [name], NoSocket()) for name in words]  # type: ignore[arg-type] # only its number is asked
    supervisor = Supervisor(roles, lambda name: said.append(f"{name} ready"), on_death)
    code = supervisor.run()
    return code, said


def test_who_dies_is_started_again(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run_roles({"one": "import os; os.kill(os.getpid(), 9)"}, monkeypatch, 3)
    assert (code, said) == (0, ["one -9"] * 3)


def test_wrong_use_stops_all(monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = run_roles(
        {"one": "import time; time.sleep(60)", "two": "raise SystemExit(2)"}, monkeypatch, 9
    )
    assert (code, said) == (2, [])


def test_readiness_is_told_in_the_order_of_the_roles(monkeypatch: pytest.MonkeyPatch) -> None:
    program = (
        "import socket, sys, time; link = socket.socket(fileno=int(sys.argv[1])); time.sleep({}); "
        "link.sendall(b'1'); time.sleep({})"
    )
    words = {"one": program.format(0.3, 60), "two": program.format(0, 0.8)}
    code, said = run_roles(words, monkeypatch, 3)
    assert (code, said) == (0, ["one ready", "two ready", "two 0"])
