"""Compare the dissectors with suricata-verify's checks for dns, tls, http, ssh and smb over TCP and UDP.

A check names how many EVE records match a set of fields. Ours are asked the same question in our fields; where our
events are of another grain (SMB is counted a minute, not an event a command) the question is put to the counts.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import pytest
import yaml

from tests.collectors.packets.dissectors import driver, engine
from tests.collectors.packets.dissectors.driver import Observed
from tests.shared_data import SHARED, needs

_VERIFY = SHARED / "pcaps" / "suricata-verify"
pytestmark = needs(_VERIFY)

CLAIMED: Final = {"dns", "tls", "http", "ssh", "smb"}
# Protocols that carry these but are not claimed here (DESIGN §14: later).
OTHER_CARRIERS: Final = {
    "http2-continuation": "HTTP/2",
    "http2-range": "HTTP/2",
    "http2-deflate": "HTTP/2",
    "dns-over-http2-post": "DNS in HTTP/2",
}
ETHERNET: Final = "hardware addresses come from the engine"
OWN_CHOICE: Final = "counts EVE's own choice of records"
# Checks that do not hold: they ask for what our events do not have, by decision. (test, place among the claimed checks)
EXCEPTIONS: Final[dict[tuple[str, int], str]] = {
    ("bug-3844", 0): "HTTP/0.9 is not read",
    ("bug-5713-01", 0): "tls.version is what the server chose, and no server answers",
    ("dns-eve-v2-udp-nxdomain-soa", 0): "authority records are not kept",
    ("smb-log-conf-01", 0): OWN_CHOICE,
    ("smb1-01", 6): "not kept: disposition, file ids",
    ("smb1-01", 7): "not kept: file ids",
    ("smb1-02", 0): "not kept: dialects offered, server GUID",
    ("smb1-02", 1): "not kept: native system and LAN manager names",
    ("smb2-05", 0): OWN_CHOICE,
    ("smb2-05", 3): "not kept: disposition",
    ("smb2-05", 4): "not kept: times, size, file ids",
    ("smb2-05", 5): "not kept: times, size, file ids",
    ("smb2-06", 0): OWN_CHOICE,
    ("smb2-06", 1): "DCE/RPC is not read yet",
    ("smb2-06", 2): "DCE/RPC is not read yet",
    ("smb2-06", 3): "not kept: disposition, times, file ids",
    ("smb2-07", 0): OWN_CHOICE,
    ("smb2-07", 1): "not kept: access (deletions are counted)",
    ("smb2-07", 2): "not kept: disposition",
    ("smb2-07", 3): "not kept: disposition",
    ("smb2-07", 4): "not kept: disposition",
    ("smb2-07", 5): "not kept: disposition",
}
NO_HARDWARE: Final = "hardware addresses stand in the flow's event only"
# What the engine leaves out besides.
ENGINE_EXCEPTIONS: Final[dict[tuple[str, int], str]] = {
    ("bug-5486", 0): NO_HARDWARE,
    **{("ethernet-eve", place): NO_HARDWARE for place in (0, 1, 3, 5)},
    ("mac-eve-single", 0): NO_HARDWARE,
    ("http-protocol-nodup", 0): "of requests sent in one go (pipelined) only the first 4 KB are selected",
}

Expected = dict[str, object]
Match = Callable[[Observed, object], bool]


def _equal(field: str, change: Callable[[str], str] = str) -> Match:
    return lambda seen, wanted: seen.get(field) == change(str(wanted))


def _item(field: str, index: int) -> Match:
    def match(seen: Observed, wanted: object) -> bool:
        values = seen.get(field)
        return isinstance(values, list) and len(values) > index and values[index] == str(wanted)

    return match


def _parts(field: str) -> Match:
    """Compare distinguished names without order."""

    def split(text: str) -> set[str]:
        return set(re.split(r", (?=[A-Za-z.]+=)", text.replace("\\,", ",")))

    return lambda seen, wanted: split(str(seen.get(field) or "")) == split(str(wanted))


def _address(name: str) -> Match:
    import ipaddress

    return lambda seen, wanted: ipaddress.ip_address(str(seen.get(name))) == ipaddress.ip_address(str(wanted))


def _version(text: str) -> str:
    return {"TLSv1": "1.0", "SSLv3": "3.0"}.get(text, text.replace("TLSv", "").replace("TLS ", ""))


def _ja4_part(index: int, listed: Callable[[list[int]], str]) -> Match:
    """Compare numbers that only the fingerprint keeps, by making its hash from them."""
    import hashlib

    def match(seen: Observed, wanted: object) -> bool:
        assert isinstance(wanted, list)
        digest = hashlib.sha256(listed(wanted).encode()).hexdigest()[:12]
        return str(seen.get("tls.client.ja4")).split("_")[index] == digest

    return match


ENGINE: Final = ("pcap_cnt", "has-key", "not-has-key", "community_id", "proto")
FIELDS: Final[dict[str, Match]] = {
    "src_ip": _address("source.ip"),
    "dest_ip": _address("destination.ip"),
    "ether.src_mac": _equal("source.mac", lambda t: t.upper().replace(":", "-")),
    "ether.dest_mac": _equal("destination.mac", lambda t: t.upper().replace(":", "-")),
    "src_port": lambda seen, wanted: seen.get("source.port") == wanted,
    "dest_port": lambda seen, wanted: seen.get("destination.port") == wanted,
    "dns.type": _equal("dns.type", lambda t: {"request": "query", "response": "answer"}.get(t, t)),
    "dns.rcode": _equal("dns.response_code"),
    "dns.rrname": _equal("dns.question.name"),
    "dns.queries[0].rrname": _equal("dns.question.name"),
    "dns.queries[0].rrtype": _equal("dns.question.type"),
    "dns.answers.__len": lambda seen, wanted: len(seen.get("dns.answers.data") or []) == wanted,  # type: ignore[arg-type]
    **{f"dns.answers[{i}].rrtype": _item("dns.answers.type", i) for i in range(4)},
    **{f"dns.answers[{i}].rrname": _item("dns.answers.name", i) for i in range(4)},
    **{f"dns.answers[{i}].rdata": _item("dns.answers.data", i) for i in range(4)},
    "tls.sni": _equal("tls.client.server_name"),
    "tls.version": _equal("tls.version", _version),
    "tls.fingerprint": _equal("tls.server.hash.sha1", lambda t: t.replace(":", "")),
    "tls.serial": _equal("tls.server.x509.serial_number", lambda t: t.replace(":", "")),
    "tls.subject": _parts("tls.server.subject"),
    "tls.issuerdn": _parts("tls.server.issuer"),
    "tls.notbefore": _equal("tls.server.not_before", lambda t: t + ".000000Z"),
    "tls.notafter": _equal("tls.server.not_after", lambda t: t + ".000000Z"),
    "tls.ja4": _equal("tls.client.ja4"),
    "tls.client_alpns[0]": _item("edusoc.tls.client_protocols", 0),
    "tls.client_alpns[1]": _item("edusoc.tls.client_protocols", 1),
    "tls.client_handshake.version": lambda seen, wanted: (
        str(seen.get("tls.client.ja4"))[1:3] == str(wanted)[-3:].replace(".", "")
    ),
    "tls.client_handshake.ciphers": _ja4_part(1, lambda n: ",".join(sorted(f"{x:04x}" for x in n))),
    "http.url": _equal("url.original"),
    "http.status": lambda seen, wanted: seen.get("http.response.status_code") == wanted,
    "http.hostname": _equal("url.domain"),
    "http.http_method": _equal("http.request.method"),
    "http.protocol": lambda seen, wanted: wanted == f"HTTP/{seen.get('http.version')}",
}


def _handshake(seen: Observed, wanted: Expected) -> bool:
    """Compare extensions and signature algorithms together: JA4's third part is made of both."""
    import hashlib

    extensions, signatures = wanted["tls.client_handshake.exts"], wanted["tls.client_handshake.sig_algs"]
    assert isinstance(extensions, list)
    assert isinstance(signatures, list)
    text = ",".join(f"{x:04x}" for x in sorted(extensions) if x not in (0, 16))
    text += "_" + ",".join(f"{x:04x}" for x in signatures)
    return str(seen.get("tls.client.ja4")).endswith(hashlib.sha256(text.encode()).hexdigest()[:12])


class _Turned:
    """Show an event from the other side."""

    def __init__(self, event: Observed) -> None:
        self._event = event
        self.dataset, self.source, self.destination = event.dataset, event.destination, event.source

    def get(self, name: str) -> object:
        side, dot, rest = name.partition(".")
        other = {"source": "destination", "destination": "source"}.get(side, side)
        return self._event.get(other + dot + rest)


def _ways(event: Observed) -> list[Observed]:
    """Return how EVE may address an event: DNS answers from the server, ours always from the client."""
    if event.get("dns.type") == "answer":
        return [event, _Turned(event)]
    return [event]


def seen_by_engine(seen: Sequence[Observed]) -> bool:
    return any(isinstance(each, engine.FromEngine) for each in seen)


def holds(kind: str, seen: Sequence[Observed], match: Expected, count: int) -> bool | str:
    """Tell whether a check holds; text says which part of it our events do not keep."""
    if any(key.startswith("ether") for key in match) and not seen_by_engine(seen):
        return ETHERNET
    match = {key: value for key, value in match.items() if not key.startswith(ENGINE)}
    if kind == "smb":
        return _smb_holds(seen, match, count)
    handshake = {key: match.pop(key) for key in list(match) if key.endswith((".exts", ".sig_algs"))}
    unknown = [key for key in match if key not in FIELDS]
    if unknown:
        return f"not kept: {', '.join(unknown)}"
    found = [
        each
        for each in seen
        if each.dataset == f"packets.{kind}"
        and each.get("tls.resumed") is not True  # EVE logs no resumed sessions unless told to
        and any(all(FIELDS[key](way, value) for key, value in match.items()) for way in _ways(each))
        and (not handshake or _handshake(each, handshake))
    ]
    return len(found) == count


_SMB_COMMANDS: Final = {
    "NEGOTIATE_PROTOCOL": "negotiate", "SESSION_SETUP": "session_setup", "SESSION_SETUP_ANDX": "session_setup",
    "SESSION_LOGOFF": "logoff", "LOGOFF_ANDX": "logoff", "TREE_CONNECT": "tree_connect", "CREATE": "create",
    "CLOSE": "close", "READ": "read", "WRITE": "write", "FIND": "query_directory", "GET_INFO": "query_info",
}  # fmt: skip
_SMB_DIALECTS: Final = {"2.02": "2.0.2", "2.10": "2.1", "3.00": "3.0", "NT LM 0.12": "NT LM 0.12"}


def _counted(seen: Sequence[Observed], field: str, name: str) -> int:
    rows = [str(row) for each in seen for row in each.get(field) or []]  # type: ignore[attr-defined]
    return sum(int(row.partition("=")[2]) for row in rows if row.partition("=")[0] == name)


def _smb_holds(seen: Sequence[Observed], match: Expected, count: int) -> bool | str:
    """Put a check about single commands to the counts and samples of our events."""
    seen = [each for each in seen if each.dataset == "packets.smb"]
    command = _SMB_COMMANDS.get(re.sub(r"^SMB[12]_COMMAND_", "", str(match.get("smb.command", ""))), "")
    names = {str(name).lower() for each in seen for name in each.get("edusoc.smb.names") or []}  # type: ignore[attr-defined]
    shares = [str(s) for each in seen for s in each.get("edusoc.smb.shares") or []]  # type: ignore[attr-defined]
    known = {
        "smb.command", "smb.status", "smb.status_code", "smb.filename", "smb.share", "smb.named_pipe", "smb.dialect",
        "smb.tree_id", "smb.session_id", "smb.ntlmssp.user", "smb.ntlmssp.domain", "smb.ntlmssp.host",
        "smb.ntlmssp.version", "dest_port", "smb.id",
    }  # fmt: skip
    if set(match) - known:
        return f"not kept: {', '.join(sorted(set(match) - known))}"
    parts = [_dialect_holds(seen, match.get("smb.dialect"))]
    if "smb.filename" in match:
        parts.append(str(match["smb.filename"]).lower() in names)
    share = match.get("smb.share") or match.get("smb.named_pipe")
    if share and command == "tree_connect":
        asked = [
            e
            for e in seen
            if e.get("event.action") == "tree_connect" and e.get("edusoc.smb.shares") == [share]
        ]
        parts.append(len(asked) == count)
    elif share:
        parts.append(share in shares)
    login = {f"smb.ntlmssp.{k}": v for k, v in _LOGIN.items() if f"smb.ntlmssp.{k}" in match}
    if login:
        found = [e for e in seen if e.get("event.action") == "session_setup"]
        found = [e for e in found if all(e.get(field) == match[key] for key, field in login.items())]
        parts.append(len(found) == count)
    elif not share and "smb.filename" not in match:
        parts.append(_count_commands(seen, command, str(match.get("smb.status", ""))) == count)
    return all(parts)


def _count_commands(seen: Sequence[Observed], command: str, status: str) -> int:
    """Count as EVE does: it leaves out answers to GET_INFO, and reads at the end of a file."""
    commands, results = "edusoc.smb.commands", "edusoc.smb.results"
    left_out = _counted(seen, commands, "query_info")
    if command == "query_info" or status == "STATUS_END_OF_FILE":
        return 0
    if command == "read":
        return _counted(seen, commands, command) - _counted(seen, results, "STATUS_END_OF_FILE")
    if status == "STATUS_SUCCESS" and not command:
        return _counted(seen, results, status) - left_out
    if status and status != "STATUS_SUCCESS":
        return _counted(seen, results, status) + _counted(seen, results, f"ERR{status}")
    if command:
        return _counted(seen, commands, command)
    rows = [str(row) for each in seen for row in each.get(commands) or []]  # type: ignore[attr-defined]
    return sum(int(row.partition("=")[2]) for row in rows) - left_out


_LOGIN: Final = {
    "user": "user.name",
    "domain": "edusoc.ntlm.domain",
    "host": "edusoc.ntlm.workstation",
    "version": "edusoc.ntlm.version",
}


def _dialect_holds(seen: Sequence[Observed], wanted: object) -> bool:
    if wanted is None:
        return True
    dialect = _SMB_DIALECTS.get(str(wanted))
    return any(each.get("edusoc.smb.dialect") == dialect for each in seen)


def _applies(needs: object) -> bool:
    """Tell whether a check is meant for Suricata 8 or later."""
    return not (isinstance(needs, dict) and int(str(needs.get("lt-version", 99)).split(".")[0]) <= 8)


def checks() -> list[tuple[str, Path, int, str, Expected, int]]:
    """Return (test, capture, place, event type, match, count) of the claimed protocols."""
    rows = []
    for folder in sorted(_VERIFY.iterdir()) if _VERIFY.is_dir() else []:
        if not (folder / "test.yaml").is_file() or folder.name in OTHER_CARRIERS:
            continue
        test = yaml.safe_load((folder / "test.yaml").read_text(encoding="utf-8"))
        captures = [*folder.glob("*.pcap"), *folder.glob("*.pcapng")]
        capture = folder / test["pcap"] if "pcap" in test else captures[0] if captures else None
        place = 0
        for check in test.get("checks") or []:
            question = check.get("filter") or {}
            match = dict(question.get("match") or {})
            kind = str(match.pop("event_type", ""))
            if kind in CLAIMED and capture is not None and _applies(question.get("requires")):
                rows.append((folder.name, capture, place, kind, match, int(question["count"])))
                place += 1
    return rows


@pytest.mark.parametrize("reader", ["driver", "engine"])
def test_checks_hold(reader: str) -> None:
    read: Callable[[Path], Sequence[Observed]] = {"driver": driver.read, "engine": engine.read}[reader]
    exceptions = EXCEPTIONS | (ENGINE_EXCEPTIONS if reader == "engine" else {})
    cache: dict[Path, Sequence[Observed]] = {}
    failed: dict[tuple[str, int], str] = {}
    total = 0
    for name, capture, place, kind, match, count in checks():
        path = capture.resolve()
        if path not in cache:
            cache[path] = read(path)
        verdict = holds(kind, cache[path], match, count)
        if verdict == ETHERNET:
            continue
        total += 1
        if verdict is not True:
            failed[name, place] = verdict or f"{kind} {match} is not {count}"
    comparable = total - sum(
        "kept" in why or why == OWN_CHOICE or "DCE" in why for why in EXCEPTIONS.values()
    )
    held = total - len(failed)
    comparable -= sum(why == NO_HARDWARE for why in exceptions.values())
    print(f"{held} hold of {comparable} that ask for what our events have, of {total} in all")
    assert failed.keys() <= exceptions.keys(), {
        key: why for key, why in failed.items() if key not in exceptions
    }
    assert reader == "engine" or failed.keys() == exceptions.keys()
    assert held >= 0.95 * comparable
