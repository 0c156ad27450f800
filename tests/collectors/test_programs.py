from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from collectors.programs import PROGRAMS, interpret
from soc_core.model.event import Event
from tests.collectors.base import assert_fits_dictionary

MESSAGES = {
    "named": "client @0x7f 192.0.2.77#60920 (a.example): query: a.example IN A +E(0)K (192.0.2.53)",
    "unbound": "[1:0] info: 192.0.2.77 a.example. A IN",
    "dnsmasq": "query[A] a.example from 192.0.2.77",
    "dnsmasq-dhcp": "DHCPACK(srv) 192.0.2.51 00:00:5e:00:53:23 pc",
    "dhcpd": "DHCPACK on 192.0.2.100 to 00:00:5e:00:53:23 (pc) via eth0",
    "kea-dhcp4": "INFO [kea-dhcp4.leases.0x1] DHCP4_LEASE_ALLOC [hwtype=1 00:00:5e:00:53:23], cid=[no info], tid=0x1: "
    "lease 192.0.2.146 has been allocated for 3600 seconds",
    "kea-dhcp6": "INFO [kea-dhcp6.leases.0x1] DHCP6_LEASE_ALLOC duid=[00:01:02], tid=0x1: lease for address "
    "2001:db8::5 and iaid=1 has been allocated for 600 seconds",
    "radiusd": "(0) Login OK: [teacher01] (from client sw port 17 cli 00-00-5E-00-53-23)",
    "freeradius": "Login incorrect: [teacher01] (from client sw port 17)",
    "mysql-server_auditing": " db1,app,203.0.113.9,5,0,FAILED_CONNECT,,,1045",
    "percona-audit": '"Connect","3_2026","2026-11-24T12:01:01 UTC","15",1045,"app","","","","","203.0.113.9","school"',
    "postgres": '[5-1] a@b FATAL:  password authentication failed for user "a"',
    "postgresql": "[5-1] LOG:  connection received: host=192.0.2.30 port=40730",
    "nginx": "[error] 1#1: *5 no such file, client: 203.0.113.9, server: a",
    "httpd": "[core:error] [pid 1:tid 2] [client 203.0.113.9:1] AH00124: loop",
    "apache2": '203.0.113.9 - - [24/Nov/2026:20:00:00 +0800] "GET / HTTP/1.1" 200 5',
    "audispd": "type=USER_LOGIN msg=audit(1795521602.100:102): pid=1 msg='op=login acct=\"a\" res=failed'",
    "audisp-syslog": "type=TTY msg=audit(1795521602.100:102): tty pid=1 data=6C73",
    "auditd": "type=DAEMON_END msg=audit(1795521602.100:102): op=terminate res=success",
    "audit": "type=USER_END msg=audit(1795521602.100:102): pid=1 msg='op=PAM:session_close res=success'",
    "kernel": "audit: type=1400 audit(1795521602.100:103): apparmor=\"DENIED\" comm=\"x\"",
}  # fmt: skip
TIME = "2026-11-24T12:00:00.000000Z"


def event_of(program: str, message: str) -> Event:
    return {
        "@timestamp": TIME, "process.name": program, "message": message, "event.category": ["host"],
        "event.type": ["info"], "event.dataset": "syslog.log", "event.original": message,
    }  # fmt: skip


def test_every_program_has_a_message_that_is_understood() -> None:
    assert MESSAGES.keys() == PROGRAMS.keys()
    for program, message in MESSAGES.items():
        event = event_of(program, message)
        assert interpret(event), program
        assert event["event.dataset"] != "syslog.log", program
        assert_fits_dictionary(event)


def test_instances_of_postgresql_and_capitals() -> None:
    assert interpret(event_of("Postgresql@15-main", MESSAGES["postgres"]))


def test_strangers_are_left_alone() -> None:
    for program in ("sshd", "", "x" * 500):
        event = event_of(program, "anything")
        before = dict(event)
        assert not interpret(event)
        assert event == before


@given(st.sampled_from(sorted(PROGRAMS)), st.text(max_size=80), st.integers(0, 300))
def test_no_message_raises(program: str, junk: str, place: int) -> None:
    known = MESSAGES[program]
    for message in (junk, known[:place] + junk + known[place:], known[:place]):
        event = event_of(program, message)
        if not interpret(event):
            assert event["event.dataset"] == "syslog.log"
        assert_fits_dictionary({name: value for name, value in event.items() if value != ""})


def test_long_runs_of_one_character_are_read_at_once() -> None:
    """A pattern that tries everything twice would not come back from these within the test's time."""
    for program, message in MESSAGES.items():
        for run in (" ", "\t", "a", "\\", "'", '"', "[", "(", "=", "a=", ":", "0"):
            for place in (0, len(message) // 2, len(message)):
                interpret(event_of(program, message[:place] + run * 5_000 + message[place:]))
