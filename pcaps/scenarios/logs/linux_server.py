"""Write a web server's ``auth.log``: ten hours with an intruder who guesses a password and then tries ``sudo``.

Times are written as rsyslog on Debian 12 writes them, with year and zone.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from pcaps.scenarios.scenario import CHINA, LogFile, LogScenario

HOST = "web01"
ATTACKER = "203.0.113.66"
ADMIN = "192.168.10.8"
GUESSED = (
    "root",
    "admin",
    "test",
    "oracle",
    "ubuntu",
    "jiaowu",
    "postgres",
    "git",
    "www",
    "ftpuser",
    "mysql",
    "guest",
)
KEY = "RSA SHA256:Zk3f1v0Jq3y1o8Q7cU0mB8Yw0Hn1S0o5m8m2n4T7d1E"


@dataclass(slots=True)
class _Log:
    """Collect lines at their instants; each connection has a process of its own."""

    rng: random.Random
    start: datetime
    lines: list[tuple[datetime, str]] = field(default_factory=list)
    process: int = 20_100

    def add(self, seconds: float, text: str) -> None:
        """Add one line."""
        moment = self.start + timedelta(seconds=seconds)
        stamp = moment.astimezone(CHINA)
        self.lines.append((moment, f"{stamp.isoformat(timespec='microseconds')} {HOST} {text}\n"))

    def next_process(self) -> int:
        """Return the number of a new process."""
        self.process += self.rng.randrange(1, 9)
        return self.process


def _background(log: _Log, hours: float) -> None:
    """Add what the server writes by itself and what its administrator does."""
    for minute in range(0, round(hours * 60), 10):
        number = log.next_process()
        log.add(
            minute * 60 + 1,
            f"CRON[{number}]: pam_unix(cron:session): session opened for user root(uid=0) by (uid=0)",
        )
        log.add(minute * 60 + 3, f"CRON[{number}]: pam_unix(cron:session): session closed for user root")
    for at in (8.05, 8.6, 9.4):
        seconds, number = at * 3_600, log.next_process()
        port = log.rng.randrange(49_152, 65_535)
        log.add(seconds, f"sshd[{number}]: Accepted publickey for ops from {ADMIN} port {port} ssh2: {KEY}")
        log.add(
            seconds,
            f"sshd[{number}]: pam_unix(sshd:session): session opened for user ops(uid=1000) by (uid=0)",
        )
        log.add(seconds + 1, f"systemd-logind[611]: New session {number % 900} of user ops.")
        for turn, command in enumerate(
            (
                "/usr/bin/apt update",
                "/usr/bin/systemctl reload nginx",
                "/usr/bin/tail /var/log/nginx/error.log",
            )
        ):
            log.add(
                seconds + 30 + turn * 50,
                f"sudo:      ops : TTY=pts/0 ; PWD=/home/ops ; USER=root ; COMMAND={command}",
            )
        log.add(seconds + 600, f"sshd[{number}]: pam_unix(sshd:session): session closed for user ops")
    number = log.next_process()
    log.add(8 * 3_600 + 100, f"sshd[{number}]: Failed password for ops from {ADMIN} port 50211 ssh2")
    log.add(8 * 3_600 + 109, f"sshd[{number}]: Accepted password for ops from {ADMIN} port 50211 ssh2")


def _guess(log: _Log, begin: float, tries: int) -> float:
    """Add the guessing, one try every few seconds; return when it ends."""
    seconds = begin
    for turn in range(tries):
        user = GUESSED[turn % len(GUESSED)]
        number, port = log.next_process(), log.rng.randrange(30_000, 60_000)
        known = user in {"root", "jiaowu", "www", "mysql"}
        if not known:
            log.add(seconds, f"sshd[{number}]: Invalid user {user} from {ATTACKER} port {port}")
        who = "" if known else f"invalid user {user} "
        about = user if known else f"invalid user {user}"
        log.add(
            seconds,
            f"sshd[{number}]: pam_unix(sshd:auth): authentication failure; logname= uid=0 euid=0 tty=ssh ruser= "
            f"rhost={ATTACKER} " + (f" user={user}" if known else ""),
        )
        log.add(seconds + 2, f"sshd[{number}]: Failed password for {about} from {ATTACKER} port {port} ssh2")
        log.add(
            seconds + 2,
            f"sshd[{number}]: Connection closed by {who}{ATTACKER} port {port} [preauth]",
        )
        seconds += log.rng.uniform(2.5, 6)
    return seconds


def _get_in(log: _Log, seconds: float) -> None:
    """Add the log-in that succeeds and seven refused tries at administrator's rights."""
    number = log.next_process()
    log.add(seconds, f"sshd[{number}]: Accepted password for jiaowu from {ATTACKER} port 41872 ssh2")
    log.add(
        seconds,
        f"sshd[{number}]: pam_unix(sshd:session): session opened for user jiaowu(uid=1003) by (uid=0)",
    )
    for turn, command in enumerate(
        (
            "/bin/bash",
            "/usr/bin/id",
            "/bin/su",
            "/bin/cat /etc/shadow",
            "/bin/bash",
            "/usr/bin/vi /etc/sudoers",
            "/bin/sh",
        )
    ):
        moment = seconds + 40 + turn * 35
        what = "user NOT in sudoers" if turn > 2 else "3 incorrect password attempts"
        log.add(moment, f"sudo:   jiaowu : {what} ; TTY=pts/1 ; PWD=/tmp ; USER=root ; COMMAND={command}")
    log.add(seconds + 900, f"sshd[{number}]: pam_unix(sshd:session): session closed for user jiaowu")


def build(rng: random.Random, start: datetime) -> list[LogFile]:
    """Return the log."""
    log = _Log(rng, start)
    _background(log, 10)
    _get_in(log, _guess(log, 3.1 * 3_600, 180))
    lines = [line for _, line in sorted(log.lines, key=lambda item: item[0])]
    return [LogFile("auth.log", "".join(lines).encode(), len(lines))]


SCENARIO = LogScenario(
    name="linux_server",
    hour=0,
    hours=10,
    zh="网站服务器登录日志：口令被猜中后多次提权失败",
    en="A web server's log-ins: a password is guessed, then sudo is refused many times",
    build=build,
    addresses={
        HOST: ("网站服务器", "the web server"),
        ATTACKER: ("外网攻击地址", "the attacker outside"),
        ADMIN: ("管理员电脑", "the administrator's PC"),
    },
    must_find=(
        ("ssh_bruteforce", HOST, "high", ATTACKER),
        ("password_spraying", ATTACKER, "medium"),
        ("sudo_failures", HOST, "medium"),
    ),
    must_not=({"min_severity": "medium", "entity": ADMIN},),
)
