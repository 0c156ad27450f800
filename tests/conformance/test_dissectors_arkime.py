"""Compare the dissectors with the sessions that Arkime's own tests expect: TLS fingerprints, DNS, HTTP, SSH, SMB."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Final

import pytest

from tests.collectors.packets.dissectors import driver, engine
from tests.collectors.packets.dissectors.driver import Observed
from tests.shared_data import SHARED, needs

_ARKIME = SHARED / "pcaps" / "arkime"
pytestmark = needs(_ARKIME)

Body = dict[str, object]
Key = tuple[str, int, str, int]
TUNNEL: Final = "in a tunnel that this test's driver does not open; the engine's tests compare it"
NOT_YET: Final = {"http2": "HTTP/2", "quic": "QUIC", "dtls": "DTLS", "ike": "IKE"}
# (capture, what) → why it differs.
EXCEPTIONS: Final[dict[tuple[str, str], str]] = {
    **{("arkime_synthetic", f"dns.{name}"): TUNNEL for name in ("queryHost", "qt", "opcode")},
    **{(path, f"dns.{name}"): TUNNEL for path in ("gtp-iphone", "ipv6-gtp6")
       for name in ("queryHost", "qt", "opcode", "status", "answers")},
    ("gre-erspan-vxlan", "http.statuscode"): TUNNEL,
    **{("arkime_synthetic", name): NOT_YET["http2"] for name in ("http.method", "http.clientVersion")},
    **{("http2-nghttp2", f"http.{name}"): NOT_YET["http2"]
       for name in ("statuscode", "method", "useragent", "clientVersion")},
    **{("arkime_synthetic", f"tls.{name}"): NOT_YET["quic"] for name in ("ja3", "ja4")},
    **{("cloudshark-dtls1", name): NOT_YET["dtls"] for name in ("tls.ja4", "cert.hash", "cert.serial")},
    **{("ike-cert_synthetic", f"cert.{name}"): NOT_YET["ike"] for name in ("hash", "serial", "subjectCN")},
    **{("arkime_synthetic", f"cert.{name}"): "validity with a time zone is no DER: only the hashes are kept"
       for name in ("serial", "subjectCN")},
    ("arkime_synthetic", "http.xffIp"): "Arkime keeps the last of a chain of proxies, we keep all",
    ("http-xff", "http.xffIp"): "kept as it was sent (10.000.000.03)",
    ("http-100-continue", "http.statuscode"): "the interim 100 is no answer of its own",
    ("http-empty-useragent", "http.useragent"): "an empty header is no field",
    ("cloudshark-dtls1", "dns.answers"): "RRSIG is read here and not there",
    ("dns-error", "dns.answers"): "authority records are not kept",
}  # fmt: skip


def _list(body: Body, *path: str) -> list[object]:
    value: object = body
    for name in path:
        value = value.get(name, []) if isinstance(value, dict) else []
    return value if isinstance(value, list) else [value]


def _all(seen: Iterable[Observed], field: str) -> set[str]:
    found: set[str] = set()
    for each in seen:
        value = each.get(field)
        if isinstance(value, list):
            found.update(map(str, value))
        elif value is not None and value != "":
            found.add(str(value))
    return found


def _extra(seen: Iterable[Observed], name: str) -> set[str]:
    return {row.partition("=")[2] for row in _all(seen, "edusoc.extra") if row.startswith(name + "=")}


_CODES: Final = {"NOTIMPL": "NOTIMP", "BADSIG_VERS": "BADVERS"}  # other names of the same codes


def _versions(seen: list[Observed]) -> set[str]:
    numbers = _all(seen, "tls.version")
    return {"TLSv1" if n == "1.0" else "SSLv3" if n == "3.0" else f"TLSv{n}" for n in numbers}


def _ja4(seen: list[Observed]) -> set[str]:
    return _all(seen, "tls.client.ja4") | _extra(seen, "tls.client.ja4")


def _text(values: Iterable[object]) -> set[str]:
    return {str(value) for value in values}


def _lower(values: Iterable[object]) -> set[str]:
    return {str(value).lower() for value in values}


def _dns_rows(body: Body, *names: str) -> list[Body]:
    return [row for row in _list(body, "dns") if isinstance(row, dict) and all(name in row for name in names)]


def _answers(body: Body) -> set[str]:
    """Return "name type" of the answers; Arkime adds those of the other sections, so ours must be among them."""
    found = set()
    for row in _dns_rows(body):
        for answer in _list(row, "answers"):
            assert isinstance(answer, dict)
            found.add(f"{_plain(str(answer.get('name')))} {answer.get('type')}".lower())
    return found


def _plain(name: str) -> str:
    """Return a name as it stands in the message: Arkime shows IDNA names in their own script."""
    name = name.lower()
    return "<root>" if name == "." else name if name.isascii() else name.encode("idna").decode("ascii")


def _our_answers(seen: list[Observed]) -> set[str]:
    found = set()
    for each in seen:
        names, kinds = each.get("dns.answers.name"), each.get("dns.answers.type")
        if isinstance(names, list) and isinstance(kinds, list):
            found |= {f"{_plain(n)} {k}".lower() for n, k in zip(names, kinds, strict=True)}
    return found


def _certificates(body: Body, name: str) -> set[str]:
    rows = [row for row in _list(body, "cert") if isinstance(row, dict)]
    found = {str(value).replace(":", "").lower() for row in rows for value in _list(row, name)}
    return {value.lstrip("0") for value in found} if name == "serial" else found


def _among(theirs: set[str], ours: set[str]) -> tuple[set[str], set[str]]:
    """Return equal sets when ours are some of theirs."""
    return (ours if ours and ours <= theirs else theirs), ours


Reader = Callable[[Path], Sequence[Observed]]
Compared = Callable[[Body, list[Observed]], tuple[set[str], set[str]]]
COMPARISONS: Final[dict[str, Compared]] = {
    "tls.ja3": lambda body, seen: (_text(_list(body, "tls", "ja3")), _all(seen, "tls.client.ja3")),
    "tls.ja3s": lambda body, seen: (_text(_list(body, "tls", "ja3s")), _all(seen, "tls.server.ja3s")),
    "tls.ja4": lambda body, seen: (_text(_list(body, "tls", "ja4")), _ja4(seen)),
    "tls.cipher": lambda body, seen: (_text(_list(body, "tls", "cipher")), _all(seen, "tls.cipher")),
    "tls.version": lambda body, seen: (_text(_list(body, "tls", "version")), _versions(seen)),
    "http.statuscode": lambda body, seen: (
        _text(_list(body, "http", "statuscode")), _all(seen, "http.response.status_code")
    ),
    "http.method": lambda body, seen: (_text(_list(body, "http", "method")), _all(seen, "http.request.method")),
    "http.useragent": lambda body, seen: (_text(_list(body, "http", "useragent")), _all(seen, "user_agent.original")),
    "http.user": lambda body, seen: (_text(_list(body, "http", "user")), _all(seen, "user.name")),
    "http.xffIp": lambda body, seen: (_text(_list(body, "http", "xffIp")), _all(seen, "edusoc.http.forwarded_for")),
    "http.response-location": lambda body, seen: (
        _text(_list(body, "http", "response-location")), _all(seen, "edusoc.http.location")
    ),
    "http.clientVersion": lambda body, seen: (_text(_list(body, "http", "clientVersion")), _all(seen, "http.version")),
    "dns.queryHost": lambda body, seen: (
        {_plain(str(row["queryHost"])) for row in _dns_rows(body, "queryHost")},
        {_plain(name) for name in _all(seen, "dns.question.name")},
    ),
    "dns.qt": lambda body, seen: (
        _text(row["qt"] for row in _dns_rows(body, "qt")), _all(seen, "dns.question.type")
    ),
    "dns.opcode": lambda body, seen: (
        _text(row["opcode"] for row in _dns_rows(body, "opcode")), _all(seen, "dns.op_code")
    ),
    "dns.status": lambda body, seen: (
        {_CODES.get(str(row["status"]), str(row["status"])) for row in _dns_rows(body, "status")},
        _all(seen, "dns.response_code"),
    ),
    "dns.answers": lambda body, seen: _among(_answers(body), _our_answers(seen)),
    "ssh.hassh": lambda body, seen: (_text(_list(body, "ssh", "hassh")), _all(seen, "edusoc.ssh.hassh")),
    "ssh.hasshServer": lambda body, seen: (
        _text(_list(body, "ssh", "hasshServer")), _all(seen, "edusoc.ssh.hassh_server")
    ),
    "ssh.version": lambda body, seen: (
        _lower(_list(body, "ssh", "version")),
        _lower(_all(seen, "edusoc.ssh.client") | _all(seen, "edusoc.ssh.server")),
    ),
    "smb.dialect": lambda body, seen: (
        {str(v).removeprefix("SMB ") for v in _list(body, "smb", "dialect")}, _all(seen, "edusoc.smb.dialect")
    ),
    # Arkime lists the whole chain without order; ours is the server's own.
    "cert.hash": lambda body, seen: _among(_certificates(body, "hash"), _all(seen, "tls.server.hash.sha1")),
    "cert.serial": lambda body, seen: _among(
        _certificates(body, "serial"), {s.lower().lstrip("0") for s in _all(seen, "tls.server.x509.serial_number")}
    ),
    "cert.subjectCN": lambda body, seen: _among(
        _certificates(body, "subjectCN"), _lower(_all(seen, "tls.server.x509.subject.common_name"))
    ),
}  # fmt: skip


def sessions(path: Path) -> dict[Key, list[Body]]:
    """Return the expected sessions by endpoints."""
    found: dict[Key, list[Body]] = defaultdict(list)
    expected = json.loads(path.with_suffix(".test").read_text(encoding="utf-8"))
    for row in expected.get("sessions3", []):
        body = row["body"]
        source, destination = body.get("source", {}), body.get("destination", {})
        key = (
            str(source.get("ip")),
            int(source.get("port", 0)),
            str(destination.get("ip")),
            int(destination.get("port", 0)),
        )
        found[key].append(body)
    return found


def compare(path: Path, read: Reader) -> tuple[Counter[str], dict[tuple[str, str], str]]:
    """Return how many comparisons were made, by name, and those that differ."""
    by_key: dict[Key, list[Observed]] = defaultdict(list)
    for each in read(path):
        by_key[(*each.source, *each.destination)].append(each)
    made: Counter[str] = Counter()
    wrong: dict[tuple[str, str], str] = {}
    for key, bodies in sessions(path).items():
        seen = by_key.get(key) or by_key.get((key[2], key[3], key[0], key[1])) or []
        for name, what in COMPARISONS.items():
            group = name.partition(".")[0]
            present = [body for body in bodies if group in body]
            if not present:
                continue
            kind = {"cert": "tls"}.get(group, group)
            chosen = [each for each in seen if each.dataset == f"packets.{kind}"]
            theirs: set[str] = set()
            for body in present:
                wanted, ours = what(body, chosen)
                theirs |= wanted
            if theirs:
                made[name] += 1
                if theirs != ours:
                    wrong[path.stem, name] = f"{key}: {sorted(theirs)} is {sorted(ours)} here"
    return made, wrong


@pytest.mark.parametrize("reader", ["driver", "engine"])
def test_sessions_say_the_same(reader: str) -> None:
    read: Reader = {"driver": driver.read, "engine": engine.read}[reader]
    exceptions = {key: why for key, why in EXCEPTIONS.items() if reader == "driver" or why != TUNNEL}
    made: Counter[str] = Counter()
    wrong: dict[tuple[str, str], str] = {}
    for path in sorted(_ARKIME.glob("*.pcap")):
        more, differing = compare(path, read)
        made += more
        wrong |= differing
    print(f"{made.total() - len(wrong)} of {made.total()} comparisons equal: {dict(made)}")
    assert wrong.keys() == exceptions.keys(), wrong
