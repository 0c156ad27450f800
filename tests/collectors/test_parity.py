"""Hold the tables of ``docs/reference/zeek-suricata.md`` against the collectors, row by row."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import cast

import pytest

from collectors.suricata import Suricata
from collectors.zeek import Zeek
from soc_core.fields import FIELDS
from soc_core.model.event import Event
from tests.collectors.base import read_all

PAGE = Path(__file__).parents[2] / "docs" / "reference" / "zeek-suricata.md"
Tree = dict[str, object]
_ENDS: Tree = {"id.orig_h": "10.0.0.1", "id.orig_p": 50000, "id.resp_h": "192.0.2.2", "id.resp_p": 443}
_ZEEK: Tree = {"ts": 1795521600.5, "uid": "C1", **_ENDS, "proto": "tcp"}
_EVE: Tree = {
    "timestamp": "2026-11-24T20:00:00.000000+0800", "src_ip": "10.0.0.1", "src_port": 50000, "dest_ip": "192.0.2.2",
    "dest_port": 443, "proto": "TCP", "app_proto": "tls",
}  # fmt: skip
PROBES: dict[str, Tree] = {
    "zeek.conn": {
        **_ZEEK, "service": "ssl", "duration": 1.5, "orig_bytes": 10, "resp_bytes": 20, "conn_state": "SF",
        "local_orig": True, "local_resp": False, "orig_pkts": 3, "orig_ip_bytes": 400, "resp_pkts": 4,
        "resp_ip_bytes": 600, "history": "ShA",
    },
    "zeek.dns": {
        **_ZEEK, "proto": "udp", "trans_id": 7, "rtt": 0.25, "query": "www.school.example", "qclass": 1,
        "qtype_name": "A", "rcode_name": "NOERROR", "AA": True, "answers": ["192.0.2.10"], "TTLs": [60.0],
    },
    "zeek.http": {
        **_ZEEK, "trans_depth": 1, "method": "GET", "host": "www.school.example", "uri": "/a.php?id=1",
        "referrer": "http://a.example/", "version": "1.1", "user_agent": "curl", "request_body_len": 1,
        "response_body_len": 2, "status_code": 404, "username": "teacher", "password": "secret-1",
    },
    "zeek.ssl": {
        **_ZEEK, "version": "TLSv12", "cipher": "TLS_X", "curve": "x25519", "server_name": "a.example",
        "resumed": False, "established": True, "ssl_history": "Cs", "subject": "CN=a.example,O=School\\, Inc,C=CN",
        "issuer": "CN=CA,O=Trust,C=US", "ja3": "j3", "ja3s": "j3s", "client_subject": "CN=teacher",
    },
    "zeek.x509": {
        "ts": 1795521600.5, "fingerprint": "ab", "certificate.serial": "0A", "certificate.subject": "CN=a.example",
        "certificate.issuer": "CN=CA", "certificate.sig_alg": "sha256WithRSAEncryption",
    },
    "zeek.ssh": {**_ZEEK, "auth_success": False, "auth_attempts": 3},
    "zeek.dhcp": {
        "ts": 1795521600.5, "uids": ["C1"], "client_addr": "10.0.0.1", "server_addr": "10.0.0.254",
        "mac": "00:00:5e:00:53:23", "host_name": "pc", "domain": "school.example", "assigned_addr": "10.0.0.1",
        "msg_types": ["REQUEST", "ACK"],
    },
    "zeek.files": {
        "ts": 1795521600.5, "fuid": "F1", "tx_hosts": ["192.0.2.2"], "rx_hosts": ["10.0.0.1"], "source": "HTTP",
        "analyzers": [], "filename": "a.exe", "mime_type": "application/x-dosexec", "seen_bytes": 1, "total_bytes": 2,
        "md5": "aa", "sha1": "bb", "sha256": "cc",
    },
    "zeek.notice": {
        "ts": 1795521600.5, "note": "Scan::Port_Scan", "msg": "scanned", "sub": "local", "src": "10.0.0.1",
        "dst": "192.0.2.2", "p": 443, "suppress_for": 60.0,
    },
    "zeek.kerberos": {
        **_ZEEK, "request_type": "AS", "client": "teacher/SCHOOL.EXAMPLE", "service": "krbtgt", "success": False,
        "cipher": "aes",
    },
    "zeek.smb_files": {
        **_ZEEK, "action": "SMB::FILE_OPEN", "path": "\\\\srv\\share", "name": "a.doc", "size": 5,
        "times.modified": 1795521600.0,
    },
    "suricata.flow": {
        **_EVE, "event_type": "flow",
        "flow": {
            "pkts_toserver": 3, "pkts_toclient": 4, "bytes_toserver": 400, "bytes_toclient": 600, "age": 2,
            "start": "2026-11-24T20:00:00.000000+0800", "end": "2026-11-24T20:00:01.500000+0800", "state": "closed",
        },
    },
    "suricata.alert": {
        **_EVE, "event_type": "alert",
        "alert": {
            "action": "blocked", "signature_id": 2000001, "signature": "ET TEST", "category": "Trojan", "severity": 1,
            "metadata": {
                "mitre_tactic_id": ["TA0011"], "mitre_technique_id": ["T1071"], "cve": ["CVE-2026-1"],
            },
        },
    },
    "suricata.http": {
        **_EVE, "event_type": "http", "app_proto": "http",
        "http": {
            "hostname": "www.school.example", "url": "/a.php?id=1", "http_user_agent": "curl", "http_method": "GET",
            "http_refer": "http://a.example/", "status": 404, "length": 5, "protocol": "HTTP/1.1",
        },
    },
    "suricata.tls": {
        **_EVE, "event_type": "tls",
        "tls": {
            "subject": "C=CN, O=School, CN=a.example", "issuerdn": "C=US, O=Trust, CN=CA", "serial": "0A:0B",
            "fingerprint": "AA:BB:CC", "sni": "a.example.", "version": "TLS 1.2", "notbefore": "2026-01-01T00:00:00",
            "notafter": "2027-01-01T00:00:00", "session_resumed": True, "ja3": {"hash": "j3"}, "ja3s": {"hash": "j3s"},
            "certificate": "MIIB",
        },
    },
    "suricata.dns": {
        **_EVE, "event_type": "dns", "app_proto": "dns",
        "dns": {
            "version": 2, "type": "answer", "id": 7, "rd": True, "rrname": "www.school.example", "rrtype": "A",
            "rcode": "NOERROR",
            "answers": [{"rrname": "www.school.example", "rrtype": "A", "ttl": 60, "rdata": "192.0.2.10"}],
        },
    },
    "suricata.fileinfo": {
        **_EVE, "event_type": "fileinfo", "fileinfo": {"filename": "/a.exe", "size": 2},
    },
}  # fmt: skip
DIFFERENT_EVENTS: dict[str, Tree] = {
    # Where the difference shows only in a record of another kind.
    "suricata.flow": {
        **_EVE,
        "event_type": "flow",
        "flow": {"age": 2, "start": "2026-11-24T20:00:00.000000+0800"},
    },
}


def rows(section: str) -> list[tuple[str, str, str, str]]:
    """Return the cells of the table below a heading."""
    text = PAGE.read_text(encoding="utf-8").partition(f"## {section}")[2].partition("\n## ")[0]
    lines = [line for line in text.split("\n") if line.startswith("| ") and not line.startswith("|---")][1:]
    return [
        cast("tuple[str, str, str, str]", tuple(cell.strip() for cell in line.strip("|").split("|")))
        for line in lines
    ]


def event_of(log: str, tree: Tree) -> Event | None:
    """Return what the collector makes of a record."""
    if log.startswith("zeek."):
        tree = {"_path": log.removeprefix("zeek."), **tree}
    events, _, _ = read_all(
        Zeek() if log.startswith("zeek.") else Suricata(), json.dumps(tree).encode() + b"\n"
    )
    return events[0] if events else None


def without(tree: Tree, path: str) -> Tree:
    """Return a copy of a record without one of its fields."""
    left = copy.deepcopy(tree)
    if path in left:
        del left[path]
        return left
    *parents, last = path.split(".")
    place = left
    for parent in parents:
        place = cast("Tree", place[parent])
    del place[last]
    return left


@pytest.mark.parametrize(("log", "source", "field", "_note"), rows("相同"))
def test_a_field_of_the_source_is_where_ecs_has_it(log: str, source: str, field: str, _note: str) -> None:
    assert FIELDS[field].origin == "ecs", field
    event = event_of(log, PROBES[log])
    assert event is not None
    assert field in event
    if source in ("–", "ts", "timestamp"):
        return
    changed = event_of(log, without(PROBES[log], source))
    assert changed is None or changed.get(field) != event[field], "the value does not come from there"


@pytest.mark.parametrize(("log", "theirs", "ours", "why"), rows("不同"))
def test_a_difference_is_one(log: str, theirs: str, ours: str, why: str) -> None:
    event = event_of(log, DIFFERENT_EVENTS.get(log, PROBES[log]))
    assert event is not None
    assert "·" in why, "the reason stands in Chinese and English"
    field, _, value = ours.partition("=")
    assert field in event
    if value and value in FIELDS:
        assert event[field] == event[value]
    elif value.isascii() and value:
        assert event[field] == value
    other, _, their_value = theirs.partition("=")
    if not their_value:
        assert other not in event
    elif other in event and their_value.isascii():
        assert event[other] != event.get(their_value, their_value)


def test_values_that_could_be_written_otherwise() -> None:
    conn = cast("Event", event_of("zeek.conn", PROBES["zeek.conn"]))
    assert (conn["source.bytes"], conn["network.bytes"], conn["event.duration"]) == (400, 1000, 1_500_000_000)
    assert conn["event.type"] == ["connection", "start", "end"]
    flow = cast("Event", event_of("suricata.flow", PROBES["suricata.flow"]))
    assert (flow["event.duration"], flow["event.type"]) == (1_500_000_000, ["connection", "end"])
    tls = cast("Event", event_of("suricata.tls", PROBES["suricata.tls"]))
    assert (tls["tls.client.server_name"], tls["tls.server.x509.serial_number"]) == ("a.example", "0A0B")
    assert tls["tls.server.hash.sha1"] == "aabbcc"
    ssl = cast("Event", event_of("zeek.ssl", PROBES["zeek.ssl"]))
    assert ssl["tls.server.x509.subject.organization"] == ["School, Inc"]
    assert (ssl["tls.version"], ssl["tls.version_protocol"]) == ("1.2", "tls")
    old = cast("Event", event_of("zeek.ssl", {**PROBES["zeek.ssl"], "version": "SSLv3"}))
    assert (old["tls.version"], old["tls.version_protocol"]) == ("3.0", "ssl")
    dhcp = cast("Event", event_of("zeek.dhcp", PROBES["zeek.dhcp"]))
    assert (dhcp["source.mac"], dhcp["source.port"]) == ("00-00-5E-00-53-23", 68)
    assert "secret-1" not in str(event_of("zeek.http", PROBES["zeek.http"]))


@pytest.mark.parametrize(
    ("state", "types"),
    [
        ("S0", ["connection", "start"]),
        ("S1", ["connection", "start"]),
        ("SF", ["connection", "start", "end"]),
        ("REJ", ["connection", "start", "denied"]),
        ("RSTO", ["connection", "info"]),
        ("OTH", ["connection", "info"]),
    ],
)
def test_states_of_connections(state: str, types: list[str]) -> None:
    event = cast("Event", event_of("zeek.conn", {**PROBES["zeek.conn"], "conn_state": state}))
    assert event["event.type"] == types
