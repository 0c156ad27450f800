from __future__ import annotations

import re
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from collectors import syslog_header
from collectors.lines import Line
from collectors.making import RecordError
from collectors.syslog import Syslog, SyslogParser
from soc_core.model.event import Event
from tests.collectors.base import CONTEXT, GOLDEN, TextCollectorTests, read_all


class TestSyslog(TextCollectorTests):
    name = "syslog"
    samples = ("syslog.log",)


def _one(line: str) -> Event:
    events, bad, _ = read_all(Syslog(), line.encode())
    assert bad == []
    return events[0]


def test_two_equal_lines_are_two_events() -> None:
    events, _, _ = read_all(Syslog(), (GOLDEN / "syslog.log").read_bytes())
    assert events[0]["event.original"] == events[1]["event.original"]
    assert events[0]["event.id"] != events[1]["event.id"]


def test_year_is_guessed_from_the_reference_only() -> None:
    line = b"Feb 29 10:00:00 gw app: leap\nDec 31 10:00:00 gw app: last year\nNov 23 07:59:00 gw app: this year\n"
    events, _, _ = read_all(Syslog(), line, replace(CONTEXT, reference=datetime(2026, 11, 23, tzinfo=UTC)))
    assert [str(event["@timestamp"])[:4] for event in events] == ["2024", "2025", "2026"]


def test_text_of_both_encodings_is_read() -> None:
    events, _, _ = read_all(Syslog(), (GOLDEN / "syslog.log").read_bytes())
    assert "校园网 日志" in [event.get("message") for event in events]


@pytest.mark.parametrize(
    ("message", "action", "outcome", "user"),
    [
        ("sshd[1]: Failed password for root from 10.0.0.1 port 22 ssh2", "ssh_login", "failure", "root"),
        ("sshd[1]: Accepted password for li from from 10.0.0.1 port 22 ssh2", "ssh_login", "success", "li from"),
        ("sshd[1]: Invalid user  from 10.0.0.1 port 22", "ssh_invalid_user", "failure", None),
        ("sshd[1]: Connection closed by authenticating user root 10.0.0.1 port 22 [preauth]",
         "ssh_disconnect", None, "root"),
        ("sshd-session[1]: Connection closed by 10.0.0.1 port 22", "ssh_disconnect", None, None),
        ("sshd[1]: error: maximum authentication attempts exceeded for root from 10.0.0.1 port 22 ssh2",
         "ssh_too_many_attempts", "failure", "root"),
        ("sshd[1]: pam_unix(sshd:auth): authentication failure; uid=0 tty=ssh ruser= rhost=10.0.0.1  user=root",
         "pam_authentication", "failure", "root"),
        ("sshd[1]: pam_unix(sshd:session): session opened for user li(uid=1) by (uid=0)",
         "session_opened", "success", "li"),
        ("su[1]: (to root) li on pts/1", "su", "success", "li"),
        ("su: FAILED SU (to root) li on pts/1", "su", "failure", "li"),
        ("login[1]: FAILED LOGIN (1) on '/dev/tty1' FOR 'li', Authentication failure", "login", "failure", "li"),
        ("passwd[1]: pam_unix(passwd:chauthtok): password changed for li", "password_changed", "success", None),
        ("userdel[1]: delete user 'li'", "deleted-user-account", "success", None),
        ("CRON[1]: (root) CMD (x)", "cron_command", "success", "root"),
        ('vsftpd[1]: [li] FAIL LOGIN: Client "10.0.0.1"', "ftp_login", "failure", "li"),
    ],
)  # fmt: skip
def test_auth_messages(message: str, action: str, outcome: str | None, user: str | None) -> None:
    event = _one(f"Nov 20 10:00:00 gw {message}")
    assert (event.get("event.action"), event.get("event.outcome"), event.get("user.name")) == (
        action,
        outcome,
        user,
    )


def test_peer_of_a_log_in() -> None:
    event = _one(
        "<86>Nov 20 10:00:00 gw sshd[1]: Failed password for invalid user a b from 2001:DB8::1 port 40000 ssh2"
    )
    assert event["source.ip"] == "2001:db8::1"
    assert event["source.port"] == 40000
    assert event["user.name"] == "a b"
    assert event["event.category"] == ["authentication"]
    assert event["log.syslog.facility.name"] == "authpriv"
    assert event["event.dataset"] == "syslog.auth"


def test_a_user_name_can_not_forge_the_peer() -> None:
    event = _one(
        "Nov 20 10:00:00 gw sshd[1]: Failed password for invalid user x from 9.9.9.9 port 1 from 10.0.0.1 port 22 ssh2"
    )
    assert (event["source.ip"], event["source.port"]) == ("10.0.0.1", 22)


def test_repeated_messages_are_understood_and_counted() -> None:
    event = _one(
        "Nov 20 10:00:00 gw sshd[1]: message repeated 5 times: [ Failed password for root from 10.0.0.1 port 22 ssh2]"
    )
    assert (event["event.outcome"], event["edusoc.repeated"], event["user.name"]) == ("failure", 5, "root")


def test_sudo_failure_keeps_reason_and_command() -> None:
    event = _one(
        "Nov 20 10:00:00 gw sudo: li : 3 incorrect password attempts ; TTY=pts/1 ; PWD=/ ; "
        "USER=root ; COMMAND=/bin/sh -c id"
    )
    assert event["event.outcome"] == "failure"
    assert event["event.reason"] == "3 incorrect password attempts"
    assert event["process.command_line"] == "/bin/sh -c id"
    assert event["user.effective.name"] == "root"


def test_structured_data_is_taken_apart() -> None:
    event = _one('<34>1 2026-11-20T02:03:11.003Z web su 77 ID47 [a@1 x="1" y="q\\"\\]"][b z="2"] text')
    assert event["log.syslog.structured_data"] == ["a@1.x=1", 'a@1.y=q"]', "b.z=2"]
    assert event["message"] == "text"


@pytest.mark.parametrize(
    ("line", "time", "host", "message"),
    [
        (
            "<190>Nov 20 10:00:00 2026 H3C %%10SHELL/5/SHELL_LOGIN: x",
            "2026-11-20T02:00:00.000000Z",
            "H3C",
            "%%10SHELL/5/SHELL_LOGIN: x",
        ),
        ("<190>Nov 20 10:00:00:250 2026 sw app: x", "2026-11-20T02:00:00.250000Z", "sw", "x"),
        ("<190>Nov 20 2025 10:00:00 sw app: x", "2025-11-20T02:00:00.000000Z", "sw", "x"),
        ("<189>*Nov 20 10:00:00: sw app: x", "2026-11-20T02:00:00.000000Z", "sw", "x"),
        ("<189>2026-11-20 10:00:00 sw app: x", "2026-11-20T02:00:00.000000Z", "sw", "x"),
        ("<189>1 2026-11-20T10:00:00 sw app - - - x", "2026-11-20T02:00:00.000000Z", "sw", "x"),
    ],
)
def test_heads_that_devices_write(line: str, time: str, host: str, message: str) -> None:
    event = _one(line)
    assert (event["@timestamp"], event["host.name"], event["message"]) == (time, host, message)
    assert event["log.syslog.priority"] in (189, 190)


def test_a_message_without_time_has_that_of_its_arrival_and_says_so() -> None:
    event = _one("<34>1 - web su - - - text")
    assert event["@timestamp"] == "2026-11-23T00:00:00.000000Z"
    assert event["edusoc.time.fault"] == "missing"


def test_a_received_message_without_head_is_of_its_sender() -> None:
    event = SyslogParser(CONTEXT).parse_message("<13>登录失败 user=li", "10.8.1.5")
    assert event["message"] == "登录失败 user=li"
    assert event["host.name"] == "10.8.1.5"
    assert event["log.syslog.severity.name"] == "notice"
    assert event["edusoc.time.fault"] == "missing"


@pytest.mark.parametrize(
    "stamp", ["Nov 20 10:00:00", "Nov  2 10:00:00", "Feb 29 01:02:03", "Foo 20 10:00:00"]
)
def test_the_short_way_is_the_long_way(stamp: str, monkeypatch: pytest.MonkeyPatch) -> None:
    line = Line(0, 1, f"<86>{stamp} gw a/b[12]: 正文 ".encode())
    found = []
    for pattern in (syslog_header._USUAL, re.compile("(?!)")):
        monkeypatch.setattr(syslog_header, "_USUAL", pattern)
        try:
            found.append(SyslogParser(CONTEXT).parse(line))
        except RecordError as fault:
            found.append((str(fault),))
    assert found[0] == found[1]


def test_messages_of_servers_are_understood_and_audit_records_joined() -> None:
    head = "Nov 20 10:00:00 web1"
    text = (
        f"{head} named[1]: client @0x7f 192.0.2.77#60920 (a.example): query: a.example IN A +E(0)K (192.0.2.53)\n"
        f'{head} audispd: type=SYSCALL msg=audit(1795140000.200:1): arch=c000003e syscall=59 pid=7 exe="/bin/sh"\n'
        f'{head} audispd: type=EXECVE msg=audit(1795140000.200:1): argc=2 a0="sh" a1="-c"\n'
        f"{head} dhcpd: DHCPACK on 192.0.2.100 to 00:00:5e:00:53:23 (pc) via eth0\n"
        f"{head} audispd: type=PROCTITLE msg=audit(1795140000.200:1): proctitle=7368002D63\n"
    )
    events, bad, _ = read_all(Syslog(), text.encode())
    assert bad == []
    assert [event["event.dataset"] for event in events] == ["dns.query", "dhcp.lease", "auditd.log"]
    assert (events[2]["process.args"], events[2]["process.pid"]) == (["sh", "-c"], 7)
    assert events[2]["host.name"] == "web1"


def test_passwords_that_servers_send_are_hidden_in_the_original_too() -> None:
    head = "Nov 20 10:00:00 db1"
    text = (
        f"{head} postgres[7]: [5-1] a@b LOG:  statement: create role a password 'Secret-123'\n"
        f"{head} radiusd[8]: (1) Login incorrect: [teacher/Secret-123] (from client sw port 17)\n"
        f'{head} percona-audit: "Query","5_2026","2026-11-20T02:00:00 UTC","alter_user","14",0,'
        '"ALTER USER \'a\' IDENTIFIED BY \'Secret-123\'","root[root] @ localhost []","localhost","","",""\n'
    )
    events, bad, _ = read_all(Syslog(), text.encode())
    assert bad == []
    assert [event["event.dataset"] for event in events] == ["postgresql.log", "radius.auth", "mysql.audit"]
    assert "Secret-123" not in str(events)
    assert all("***" in str(event["event.original"]) for event in events)
