"""The pipeline role detects what agents send while they send it, and says to the outside that it is alive."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from sqlalchemy import func, select

from cases.alerts.tables import detections
from edusoc.composition import open_writer
from edusoc.deadman import DeadMansSwitch
from edusoc.pipelining import Ending, PipelineProcess
from edusoc.sockets import bind
from intake.indicators.importing import ListKeeper
from intake.indicators.model import Wanted
from intake.indicators.shelf import Shelf
from soc_core.clock import utc_now
from soc_core.config import Settings
from soc_core.errors import StoreError, UsageError
from soc_core.keys.certificates import own_identity
from soc_core.model.event import Event
from soc_core.state.database import Database
from tests.conftest import NOW
from tests.intake.agents.conftest import Time, made


def until(true: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < end, "not in time"
        time.sleep(0.02)


@contextmanager
def running(process: PipelineProcess) -> Iterator[socket.socket]:
    listener = bind("127.0.0.1", 0)
    codes: list[int] = []
    ready = threading.Event()
    thread = threading.Thread(target=lambda: codes.append(process.run(listener, ready.set, Ending())))
    thread.start()
    assert ready.wait(20)
    try:
        yield listener
    finally:
        process.server.should_exit = True
        thread.join(30)
        listener.close()
    assert not thread.is_alive()
    assert codes == [3 if process.fault else 0]


def test_many_threads_take_while_one_detects(tmp_path: Path) -> None:
    """Each event is stored and examined once."""
    settings = Settings(state=str(tmp_path))
    with open_writer(settings) as writer:
        process = PipelineProcess(settings, writer)

        def take(number: int) -> None:
            for part in range(5):
                events: list[Event] = made(40, start=part * 40, fields={"observer.name": f"o{number}"})
                for event in events:
                    event |= {"organization.id": "u1", "edusoc.zone": "default"}
                writer.pipeline.take_placed(events)
                writer.pipeline.take_placed(events[:10])
                process._woken.set()

        with running(process):
            threads = [threading.Thread(target=take, args=(number,)) for number in range(8)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            until(lambda: writer.pipeline.progress.examined >= 1_600)
        progress = writer.pipeline.progress
        assert (progress.accepted, progress.duplicates, progress.examined) == (1_600, 400, 1_600)


def test_an_imported_list_is_matched_and_searched_in_history_while_everything_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No restart: what came before is found in history, what comes afterwards in the stream, each once."""
    for name in ("INDICATORS_SECONDS", "HUNT_SECONDS", "LOOK_SECONDS"):
        monkeypatch.setattr(f"edusoc.pipelining.{name}", 0.05)
    settings = Settings(state=str(tmp_path))

    def calling(start: int) -> list[Event]:
        events: list[Event] = made(
            3, start=start, fields={"destination.ip": "45.9.1.2", "source.ip": "10.0.0.5"}
        )
        return [event | {"organization.id": "u1", "edusoc.zone": "default"} for event in events]

    with open_writer(settings) as writer:
        process = PipelineProcess(settings, writer)

        def found() -> int:
            with writer.database.read() as connection:
                return connection.scalar(select(func.count()).select_from(detections)) or 0

        with running(process):
            writer.pipeline.take_placed(calling(0))
            process._woken.set()
            until(lambda: writer.pipeline.progress.examined == 3)
            keeper = ListKeeper(Shelf(settings.state_directory), writer.database)
            keeper.import_list(b"45.9.1.2\n", Wanted("feed", "file", "wang", "why"), utc_now())
            until(lambda: found() == 3)
            until(lambda: len(writer.indicators.detect(calling(0))) == 3)
            writer.pipeline.take_placed(calling(50))
            process._woken.set()
            until(lambda: found() == 6)


def test_a_store_that_refuses_is_tried_again_and_a_surprise_ends_the_process(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("edusoc.pipelining.RETRY_SECONDS", 0.01)
    settings = Settings(state=str(tmp_path))
    calls: list[str] = []

    def refusing(_stop: object) -> int:
        calls.append("once more")
        if len(calls) < 4:
            raise StoreError("only 3 MB are free on the disk")
        if len(calls) < 6:
            return 0
        raise RuntimeError("a surprise")

    with open_writer(settings) as writer:
        monkeypatch.setattr(writer.pipeline, "advance", refusing)
        process = PipelineProcess(settings, writer)
        with running(process):
            until(lambda: process.fault is not None)
    assert len(calls) == 6
    assert caplog.text.count("only 3 MB are free") == 1


class Monitor:
    """Count calls, as a monitoring service does."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                outer.calls.append(self.path)
                self.send_response(200 if len(outer.calls) != 2 else 500)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self.server.serve_forever)
        self._thread.start()

    def close(self) -> None:
        self.server.shutdown()
        self._thread.join()
        self.server.server_close()


def test_the_dead_mans_switch_is_held_only_while_all_is_well(database: Database) -> None:
    monitor = Monitor()
    clock, well = Time(NOW), [True]
    url = f"http://127.0.0.1:{monitor.server.server_port}/ping"
    switch = DeadMansSwitch(Settings(heartbeat_url=url), database, lambda: well[0], clock)
    try:
        assert switch.ping()
        assert not switch.ping(), "it is not due yet"
        clock.now += timedelta(minutes=5)
        assert not switch.ping(), "the monitor refuses"
        clock.now += timedelta(minutes=5)
        well[0] = False
        assert not switch.ping()
        clock.now += timedelta(minutes=5)
        well[0] = True
        assert switch.ping()
        clock.now -= timedelta(days=2)
        assert switch.ping(), "a clock that was set right does not silence it"
        assert monitor.calls == ["/ping"] * 4
    finally:
        monitor.close()
    clock.now += timedelta(days=3)
    assert not switch.ping(), "nobody listens"


def test_a_monitor_that_speaks_no_http_ends_nothing(database: Database) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer() -> None:
            client, _ = listener.accept()
            with client:
                client.recv(1_024)
                client.sendall(b"220 mail.example ESMTP\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        assert not DeadMansSwitch(Settings(heartbeat_url=url), database, lambda: True, lambda: NOW).ping()
        thread.join()


def test_no_address_no_call(database: Database) -> None:
    assert not DeadMansSwitch(Settings(), database, lambda: True, lambda: NOW).ping()
    with pytest.raises(UsageError, match="no address"):
        DeadMansSwitch(Settings(heartbeat_url="file:///etc/passwd"), database, lambda: True, lambda: NOW)


def test_a_renewed_certificate_is_shown_to_new_connections(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = Settings(state=str(tmp_path))
    with open_writer(settings) as writer:
        process = PipelineProcess(settings, writer)
        with running(process) as listener:
            address = listener.getsockname()[:2]
            before = ssl.get_server_certificate(address, timeout=20)
            process._renew()
            assert ssl.get_server_certificate(address, timeout=20) == before
            renewed = own_identity(tmp_path / "keys", ["another.example"], utc_now())
            monkeypatch.setattr("edusoc.pipelining.intake_identity", lambda *_: renewed)
            process._renew()
            assert ssl.get_server_certificate(address, timeout=20) != before
    assert renewed.authority == own_identity(tmp_path / "keys", [], utc_now()).authority
