"""Mine a crypto-currency: look a public pool up, log in and work by Stratum."""

from __future__ import annotations

import json

from pcaps.scenarios import background
from pcaps.scenarios.scenario import Scenario, inside, outside
from pcaps.wire import dns
from pcaps.wire.capture import Capture
from pcaps.wire.dns import Record
from pcaps.wire.tcp import CLIENT, SERVER, Connection, Pace

MINER = inside("192.168.20.61")
RESOLVER = inside("192.168.20.1")
POOL_NAME = "pool.supportxmr.com"
POOL = outside("198.51.100.140", ttl=45)


def _line(**values: object) -> bytes:
    return json.dumps(values, separators=(",", ":")).encode() + b"\n"


def build(capture: Capture) -> None:
    """Build one mining session of 20 minutes: log-in, jobs every two minutes, shares, keep-alives."""
    rng = capture.rng
    records = (Record(POOL_NAME, "A", POOL.ip, 60),)
    moment = dns.look_up(capture, (MINER, RESOLVER), capture.at(5), POOL_NAME, "A", records)
    work = Connection(capture, (MINER, POOL), 3333, moment + 500, pace=Pace(210_000)).open()
    account = {
        "login": "4" + rng.randbytes(47).hex(),
        "pass": "x",
        "agent": "XMRig/6.21.0 (Windows NT 10.0; Win64; x64) libuv/1.44.2 msvc/2019",
        "algo": ["cn/1", "rx/0"],
    }
    work.send(CLIENT, _line(id=1, jsonrpc="2.0", method="login", params=account))
    worker = rng.randbytes(8).hex()
    job = {
        "blob": rng.randbytes(76).hex(),
        "job_id": rng.randbytes(8).hex(),
        "target": "b88d0600",
        "algo": "rx/0",
    }
    work.send(
        SERVER, _line(id=1, jsonrpc="2.0", error=None, result={"id": worker, "job": job, "status": "OK"})
    )
    for number in range(2, 42):
        share = {
            "id": worker,
            "job_id": job["job_id"],
            "nonce": rng.randbytes(4).hex(),
            "result": rng.randbytes(32).hex(),
        }
        work.send(
            CLIENT,
            _line(id=number, jsonrpc="2.0", method="submit", params=share),
            think=rng.expovariate(1 / 26),
        )
        work.send(SERVER, _line(id=number, jsonrpc="2.0", error=None, result={"status": "OK"}))
        if number % 4 == 0:
            job = job | {"blob": rng.randbytes(76).hex(), "job_id": rng.randbytes(8).hex()}
            work.send(SERVER, _line(jsonrpc="2.0", method="job", params=job), think=3)
    work.close(CLIENT)
    for number in range(8):
        background.browse(capture, inside("192.168.20.62"), RESOLVER, capture.at(30 + number * 90))


SCENARIO = Scenario(
    name="mining",
    ending=".pcap",
    hour=20.5,
    zh="电脑连接矿池挖矿",
    en="A PC mines at a public pool",
    build=build,
    addresses={
        "192.168.20.61": ("挖矿的电脑", "the mining PC"),
        "198.51.100.140": ("矿池", "the pool"),
        "192.168.20.62": ("正常上网的电脑", "a PC that browses"),
    },
    must_find=(("mining", "192.168.20.61", "high"),),
    must_not=({"min_severity": "high", "entity": "192.168.20.62"},),
)
