"""Guess passwords of an exposed SSH server from outside, and get in."""

from __future__ import annotations

from pcaps.scenarios.scenario import Scenario, inside, outside
from pcaps.wire import ssh
from pcaps.wire.capture import Capture
from pcaps.wire.tcp import CLIENT, Connection, Pace

ATTACKER = outside("203.0.113.66", ttl=47)
ADMIN = inside("192.168.10.8")
SERVER = inside("192.168.30.10")
TRIES = 220


def build(capture: Capture) -> None:
    """Build refused log-ins, four at a time, then one that succeeds and stays; the administrator works meanwhile."""
    for number in range(TRIES):
        at_us = capture.at(number * 2.4) + capture.rng.randrange(600_000)
        pace = Pace(90_000, 400_000)
        guess = Connection(capture, (ATTACKER, SERVER), 22, at_us, pace=pace)
        guess.open()
        ssh.refused_login(guess, client="SSH-2.0-libssh2_1.10.0")
    entry = Connection(capture, (ATTACKER, SERVER), 22, capture.at(TRIES * 2.4 + 8), pace=Pace(90_000)).open()
    ssh.greet(entry, client="SSH-2.0-libssh2_1.10.0")
    ssh.talk(entry, ((64, 64), (80, 80), (144, 40), (120, 640)))
    for _ in range(20):
        ssh.talk(entry, ((96, capture.rng.randrange(100, 3_000)),), think=capture.rng.uniform(1, 9))
    entry.close(CLIENT)
    session = Connection(capture, (ADMIN, SERVER), 22, capture.at(100), pace=Pace(400)).open()
    ssh.greet(session, client="SSH-2.0-OpenSSH_for_Windows_9.5")
    ssh.talk(session, ((64, 64), (80, 80), (600, 40), (120, 1_040)))
    for _ in range(40):
        ssh.talk(session, ((52, capture.rng.randrange(80, 900)),), think=capture.rng.uniform(1, 12))
    session.close(CLIENT)


SCENARIO = Scenario(
    name="ssh_bruteforce",
    ending=".pcap.zst",
    hour=3.4,
    zh="外网地址猜解服务器 SSH 口令并登录成功",
    en="SSH passwords are guessed from outside, with success",
    build=build,
    addresses={
        "203.0.113.66": ("外网攻击地址", "the attacker outside"),
        "192.168.30.10": ("被攻击的服务器", "the attacked server"),
        "192.168.10.8": ("管理员电脑", "the administrator's PC"),
    },
    must_find=(("ssh_bruteforce", "192.168.30.10", "high", "203.0.113.66"),),
    must_not=({"min_severity": "high", "entity": "192.168.10.8"},),
)
