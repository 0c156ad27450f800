"""Measure the network inputs of the agent: ``python -m benchmarks.live_inputs [--events N] [KIND…]``.

Each input runs in this process with an outlet that throws away what it gets; senders run in processes of their own.
Printed are events a processor-second of this process, from the socket to the finished event with its id (not encoded,
not written), and what was sent, received and dropped: for UDP received + dropped = sent. ``frame`` is receiving UDP and
cutting TCP into messages without parsing. ``rsyslog`` is the peer where one is installed (``--rsyslogd PATH``): TCP to
a file, not parsed beyond the head, its processor time read from the system.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import shutil
import socket
import ssl
import subprocess
import tempfile
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from struct import pack

import orjson

from collectors.base import Batch, ReadContext
from collectors.live import registry
from collectors.live.base import LiveInput, Origin
from collectors.live.datagrams import DatagramSocket
from collectors.live.options import Options
from collectors.live.syslog_framing import Framer

TOKEN = "benchmark"
PLAIN = (
    b"<30>1 2026-11-24T10:00:00.000000+08:00 web-1 app %d - - a message of some program without more to it"
)
PATIENCE = 300.0


class Discard:
    """Throw batches away and count them."""

    def __init__(self) -> None:
        self.events = 0
        self.bad = 0

    def deliver(self, batch: Batch, _origin: Origin) -> None:
        """Count a batch."""
        self.events += len(batch.events)
        self.bad += len(batch.bad)

    def context(self, _origin: Origin) -> ReadContext:
        """Return the context of now."""
        now = datetime.now(UTC)
        return ReadContext(now, organization_id="unit", zone="teaching", created=now)


def syslog_line(number: int) -> bytes:
    """Return a line such as firewalls (9 of 10) and servers send."""
    stamp = time.strftime("%b %e %H:%M:%S", time.gmtime(time.time() + 8 * 3_600))
    if number % 10:
        return (
            f"<134>{stamp} fw-1 filter: action=deny src=10.8.{number % 250}.7 dst=203.0.113.9 proto=tcp "
            f"sport={number % 60_000} dport=443 rule=12 zone=trust bytes=1220 session={number}"
        ).encode()
    return (
        f"<86>{stamp} web-1 sshd[{number}]: Failed password for root from 203.0.113.9 port 4022 ssh2".encode()
    )


def eve_line(number: int) -> bytes:
    """Return an EVE record of a DNS answer."""
    return orjson.dumps(
        {
            "timestamp": datetime.now(UTC).isoformat(), "flow_id": number, "event_type": "dns", "src_ip": "10.8.1.5",
            "src_port": 5_000 + number % 50_000, "dest_ip": "10.8.0.53", "dest_port": 53, "proto": "UDP",
            "dns": {"type": "answer", "id": number % 65_536, "rrname": "www.example.cn", "rrtype": "A",
                    "answers": [{"rrname": "www.example.cn", "rrtype": "A", "ttl": 60, "rdata": "203.0.113.9"}]},
        }
    )  # fmt: skip


def winlog(number: int) -> bytes:
    """Return a Winlogbeat document of a failed log-on."""
    return orjson.dumps(
        {
            "@timestamp": datetime.now(UTC).isoformat(), "message": "An account failed to log on.",
            "winlog": {"channel": "Security", "provider_name": "Microsoft-Windows-Security-Auditing",
                       "event_id": "4625", "record_id": number, "computer_name": "DC1",
                       "event_data": {"TargetUserName": "li", "IpAddress": "10.8.3.4", "LogonType": "3",
                                      "SubjectUserSid": "S-1-0-0", "Status": "0xc000006d"}},
            "agent": {"id": "w-1", "type": "winlogbeat", "version": "8.19.3"}, "host": {"name": "DC1"},
        }
    )  # fmt: skip


def filebeat(number: int) -> bytes:
    """Return a Filebeat document around a line of sshd."""
    return orjson.dumps(
        {
            "@timestamp": datetime.now(UTC).isoformat(), "message": syslog_line(number * 10)[4:].decode(),
            "log": {"file": {"path": "/var/log/auth.log", "inode": "7"}, "offset": number * 100},
            "agent": {"id": "f-1", "type": "filebeat", "version": "8.19.3"}, "host": {"name": "web-1"},
        }
    )  # fmt: skip


def send_udp(address: tuple[str, int], count: int, kind: int = 0) -> None:
    lines = [PLAIN % number if kind else syslog_line(number) for number in range(1_000)]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for number in range(count):
            client.sendto(lines[number % 1_000], address)
            if not number % 50:  # some 40,000 a second at most: what one input may really be sent
                time.sleep(0.001)


def send_plain(address: tuple[str, int], count: int) -> None:
    send_udp(address, count, 1)


def send_tcp(address: tuple[str, int], count: int, tls: bool = False) -> None:
    lines = b"\n".join(syslog_line(number) for number in range(1_000)) + b"\n"
    with socket.create_connection(address) as plain:
        client = plain
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            context.check_hostname = False
            context.verify_mode = ssl.CERT_NONE
            client = context.wrap_socket(plain)
        for _ in range(count // 1_000):
            client.sendall(lines)
        client.shutdown(socket.SHUT_WR)


def send_tls(address: tuple[str, int], count: int) -> None:
    send_tcp(address, count, tls=True)


def send_eve(path: str, count: int) -> None:
    lines = b"\n".join(eve_line(number) for number in range(1_000)) + b"\n"
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(path)
        for _ in range(count // 1_000):
            client.sendall(lines)


def send_beats(address: tuple[str, int], count: int, make: Callable[[int], bytes] = winlog) -> None:
    with socket.create_connection(address) as client:
        for start in range(0, count, 2_000):
            documents = [make(start + number) for number in range(2_000)]
            frames = b"".join(
                b"2J" + pack(">II", number, len(raw)) + raw for number, raw in enumerate(documents, start=1)
            )
            packed = zlib.compress(frames, 3)
            client.sendall(b"2W" + pack(">I", 2_000) + b"2C" + pack(">I", len(packed)) + packed)
            last = 0
            while last < 2_000:
                last = int.from_bytes(client.recv(6, socket.MSG_WAITALL)[2:], "big")


def send_filebeat(address: tuple[str, int], count: int) -> None:
    send_beats(address, count, filebeat)


def send_http(address: tuple[str, int], count: int, path: str, line: Callable[[int], bytes]) -> None:
    connection = HTTPConnection(*address)
    headers = {"Authorization": f"Bearer {TOKEN}"}
    for start in range(0, count, 2_000):
        body = b"".join(line(start + number) for number in range(2_000))
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        if answer.status != 200 or b'"errors":true' in answer.read():
            raise RuntimeError(f"refused: {answer.status}")
    connection.close()


def bulk_item(number: int) -> bytes:
    return b'{"create":{"_index":"winlogbeat"}}\n' + winlog(number) + b"\n"


def push_item(number: int) -> bytes:
    return eve_line(number) + b"\n"


def send_bulk(address: tuple[str, int], count: int) -> None:
    send_http(address, count, "/_bulk", bulk_item)


def send_push(address: tuple[str, int], count: int) -> None:
    send_http(address, count, "/events", push_item)


def certificate(folder: Path) -> dict[str, object]:
    """Make a certificate for the TLS input."""
    from tests.elasticsearch_security import Authority

    for name, content in Authority.make().issue().items():
        (folder / name).write_bytes(content)
    return {"certificate": str(folder / "http.crt"), "key": str(folder / "http.key")}


def measure(kind: str, events: int, folder: Path) -> None:
    """Run one input, send to it from another process, and print what it took."""
    module, settings, send, place = CASES[kind]
    settings = dict(settings)
    if kind == "tls":
        settings |= certificate(folder)
    if kind == "eve":
        settings["path"] = str(folder / "eve.sock")
    live = registry.build(module, kind, Options(settings, "benchmark"))
    outlet, stop = Discard(), threading.Event()
    runner = threading.Thread(target=live.run, args=(outlet, stop), daemon=True)
    runner.start()
    while not (address := place(live)):
        time.sleep(0.01)
    began, cpu = time.monotonic(), time.process_time()
    sender = multiprocessing.get_context("spawn").Process(target=send, args=(address, events))
    sender.start()
    wait(live, outlet, events)
    taken, lasted = time.process_time() - cpu, time.monotonic() - began
    sender.join()
    stop.set()
    runner.join(PATIENCE)
    counts = live.counters.snapshot()
    report(kind, outlet.events, taken, f"in {lasted:.1f} s; sent {events}, received {counts.get('received', 0)}, "
           f"dropped {counts.get('dropped', 0)}, bad {outlet.bad}")  # fmt: skip


def wait(live: LiveInput, outlet: Discard, events: int) -> None:
    """Wait until everything sent has arrived or was dropped."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if outlet.events + outlet.bad + live.counters.snapshot().get("dropped", 0) >= events:
            return
        time.sleep(0.02)


def report(kind: str, events: int, seconds: float, more: str) -> None:
    print(f"{kind:10} {events / seconds:>9,.0f} events a processor-second  ({more})", flush=True)


def frame(events: int) -> None:
    """Measure receiving UDP and cutting TCP's bytes into messages, without parsing."""
    server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    server.bind(("127.0.0.1", 0))
    server.setblocking(False)
    receiver, seconds, received = DatagramSocket(server, 16 << 20), 0.0, 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        for _ in range(events // 5_000):
            for number in range(5_000):
                client.sendto(syslog_line(number % 100), server.getsockname())
            began = time.process_time()
            while found := receiver.receive():
                received += len(found)
            seconds += time.process_time() - began
    dropped = receiver.dropped()
    receiver.close()
    report("frame udp", received, seconds, f"dropped {dropped}")
    framer, data, cut = Framer(), b"\n".join(map(syslog_line, range(1_000))) * (events // 1_000), 0
    began = time.process_time()
    for start in range(0, len(data), 65_536):
        cut += len(framer.feed(data[start : start + 65_536]))
    report("frame tcp", cut, time.process_time() - began, "")


def first(name: str) -> Callable[[LiveInput], object]:
    """Return what gives the first of an input's addresses once it listens."""

    def place(live: LiveInput) -> object:
        return next(iter(getattr(live, name)), None)

    return place


def socket_path(live: LiveInput) -> object:
    path: Path = getattr(live, "_settings").path  # noqa: B009 - a benchmark looks inside
    return str(path) if path.exists() else None


LOCAL = ["127.0.0.1:0"]
CASES: dict[str, tuple[str, dict[str, object], Callable[..., None], Callable[[LiveInput], object]]] = {
    "udp": ("syslog", {"udp": LOCAL}, send_udp, first("udp_addresses")),
    "udp_plain": ("syslog", {"udp": LOCAL}, send_plain, first("udp_addresses")),
    "tcp": ("syslog", {"tcp": LOCAL}, send_tcp, first("tcp_addresses")),
    "tls": ("syslog", {"tls": LOCAL}, send_tls, first("tcp_addresses")),
    "eve": ("eve_socket", {}, send_eve, socket_path),
    "beats": ("beats", {"listen": LOCAL}, send_beats, first("addresses")),
    "filebeat": ("beats", {"listen": LOCAL}, send_filebeat, first("addresses")),
    "bulk": ("bulk", {"listen": LOCAL, "token": TOKEN}, send_bulk, first("addresses")),
    "http_push": ("http_push", {"listen": LOCAL, "token": TOKEN}, send_push, first("addresses")),
}


def rsyslog(program: str, modules: str, events: int, folder: Path) -> None:
    """Measure rsyslog taking the same messages by TCP and writing them to a file."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    settings, written = folder / "rsyslog.conf", folder / "written"
    settings.write_text(
        f'module(load="imtcp")\ninput(type="imtcp" address="127.0.0.1" port="{port}")\n'
        f'*.* action(type="omfile" file="{written}")\n',
        encoding="utf-8",
    )
    command = [
        program,
        "-n",
        "-f",
        str(settings),
        "-i",
        str(folder / "pid"),
        *(["-M", modules] if modules else []),
    ]
    server = subprocess.Popen(command)
    try:
        while True:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except ConnectionRefusedError:
                time.sleep(0.05)
        began = cpu_of(server.pid)
        send_tcp(("127.0.0.1", port), events)
        while not written.exists() or lines_of(written) < events:
            time.sleep(0.2)
        report("rsyslog", events, cpu_of(server.pid) - began, "TCP to a file")
    finally:
        server.terminate()
        server.wait()


def cpu_of(process: int) -> float:
    """Return the processor seconds a process has used, user and system."""
    fields = Path(f"/proc/{process}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def lines_of(path: Path) -> int:
    """Return how many lines a file has."""
    with path.open("rb") as file:
        return sum(chunk.count(b"\n") for chunk in iter(lambda: file.read(1 << 20), b""))


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure the inputs asked for."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(["frame", *CASES, "rsyslog"]))
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--rsyslogd", default=shutil.which("rsyslogd") or "")
    parser.add_argument("--rsyslog-modules", default="")
    options = parser.parse_args(arguments)
    for kind in options.kinds or ["frame", *CASES, "rsyslog"]:
        with tempfile.TemporaryDirectory() as folder:
            if kind == "rsyslog":
                if options.rsyslogd:
                    rsyslog(options.rsyslogd, options.rsyslog_modules, options.events, Path(folder))
            elif kind == "frame":
                frame(options.events)
            else:
                measure(kind, options.events, Path(folder))


if __name__ == "__main__":
    main()
