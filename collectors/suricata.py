"""Read Suricata ``eve.json``: every event type becomes ``suricata.<event_type>``.

Field meanings: Suricata user guide, "EVE JSON Format" (versions 4 to 8, DNS formats 1 to 3). Fields without a place
in the dictionary go to ``edusoc.extra`` under their EVE path.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from collectors.base import Batch, ByteSource, ReadContext
from collectors.coerce import double_value, extra, instant_or_none, long_value, mac_or_none, put
from collectors.dhcp_common import put_seen_lease
from collectors.distinguished_names import put_names
from collectors.json_records import JsonObject, first_object
from collectors.lines import decode_text
from collectors.making import RecordError
from collectors.network import put_side, put_totals, put_transport, put_url
from collectors.records import read_json_events
from collectors.suricata_tables import CATEGORIES, FIELDS_OF, OUTCOME_ACTIONS, PROTOCOLS, TOP_FIELDS
from soc_core.clock import format_instant, parse_instant
from soc_core.fields import FIELDS
from soc_core.model.event import TIMESTAMP, Event

_Tree = dict[str, object]


class Suricata:
    """Collect ``eve.json`` records."""

    name: str = "suricata"
    datasets: tuple[str, ...] = ("suricata",)

    def recognise(self, head: bytes, _name: str, /) -> int:
        """Return 90 when the first object has EVE's ``event_type`` and ``timestamp``."""
        first = first_object(head)
        if first is None:
            return 60 if b'"event_type":"' in head and b'"timestamp":"' in head else 0
        return 90 if isinstance(first.get("event_type"), str) and "timestamp" in first else 0

    def read(self, source: ByteSource, context: ReadContext) -> Iterator[Batch]:
        """Yield the events of the file."""
        return read_json_events(source, context, EveParser(context), name=self.name, module="suricata")


class EveParser:
    """Map one EVE object to one event."""

    def __init__(self, context: ReadContext) -> None:
        """Take the context of the reading."""
        self._context = context

    def parse(self, record: JsonObject) -> Sequence[Event]:
        """Return the event of one record. Raises ``RecordError`` when it has no type or time."""
        tree = dict(record.tree)
        kind = tree.pop("event_type", None)
        stamp = tree.pop("timestamp", None)
        if not isinstance(kind, str) or not kind or not isinstance(stamp, str):
            raise RecordError("no event_type or timestamp: not an EVE record")
        instant = instant_or_none(stamp, self._context.zone_info)
        if instant is None:
            raise RecordError(f"unreadable time {stamp[:40]!r}")
        event: Event = {TIMESTAMP: format_instant(instant), "event.dataset": f"suricata.{kind.lower()[:64]}"}
        if self._context.keep_original:
            event["event.original"] = decode_text(record.raw)
        _put_common(event, tree)
        _put_kind(event, kind)
        special = _SPECIAL.get(kind)
        if special is not None:
            special(event, tree)
        _put_rest(event, tree)
        return (event,)


def _put_common(event: Event, tree: _Tree) -> None:
    put_side(event, "source", tree.pop("src_ip", None), tree.pop("src_port", None))
    put_side(event, "destination", tree.pop("dest_ip", None), tree.pop("dest_port", None))
    put(event, "network.community_id", tree.pop("community_id", None))
    icmp = None
    if "icmp_type" in tree:
        kind, code = long_value(tree.pop("icmp_type")), long_value(tree.pop("icmp_code", 0))
        put(event, "icmp.type", kind)
        put(event, "icmp.code", code)
        icmp = (kind or 0, code or 0)
    put_transport(event, tree.pop("proto", None), icmp)
    vlan = tree.pop("vlan", None)
    tags = vlan if isinstance(vlan, list) else [] if vlan is None else [vlan]
    for name, tag in zip(("network.vlan.id", "network.inner.vlan.id"), tags, strict=False):
        put(event, name, tag)
    application = tree.pop("app_proto", None)
    if isinstance(application, str) and application.lower() not in _NO_PROTOCOL:
        put(event, "network.protocol", application.lower().replace("ftp-data", "ftp"))


_NO_PROTOCOL: Final = frozenset({"failed", "template", "template-rust"})


def _put_kind(event: Event, kind: str) -> None:
    usual = ["protocol", "info"] if kind in PROTOCOLS else ["info"]
    category, types = CATEGORIES.get(kind, (["network"], usual))
    event["event.category"], event["event.type"] = list(category), list(types)
    if kind == "stats":
        event["event.kind"] = "metric"
    if kind in PROTOCOLS and "network.protocol" not in event:
        event["network.protocol"] = kind.replace("ftp_data", "ftp")


def _part(tree: _Tree, name: str) -> _Tree:
    """Take the object ``name`` out of ``tree``; what is no object stays there and goes to the other fields."""
    part = tree.get(name)
    if not isinstance(part, dict):
        return {}
    del tree[name]
    return dict(part)


def _put_flow(event: Event, tree: _Tree, *, whole: bool) -> None:
    """Write the counters of a ``flow`` object; ``whole`` flow records also carry start, end and duration."""
    flow = _part(tree, "flow")
    for name, field in (("toserver", "source"), ("toclient", "destination")):
        put(event, f"{field}.bytes", flow.pop(f"bytes_{name}", None))
        put(event, f"{field}.packets", flow.pop(f"pkts_{name}", None))
    put_totals(event)
    start = flow.pop("start", None)
    put(event, "event.start", start)
    if whole:
        put(event, "event.end", flow.pop("end", None))
        _put_duration(event, flow)
        put(event, "edusoc.flow.state", flow.pop("state", None))
        put(event, "edusoc.flow.end_reason", flow.pop("reason", None))
    tree["flow"] = flow


def _flow(event: Event, tree: _Tree) -> None:
    """Map a flow record: the oriented counters, flags and how it ended."""
    _put_flow(event, tree, whole=True)
    tcp = _part(tree, "tcp")
    put(event, "edusoc.flow.tcp_flags_source", tcp.pop("tcp_flags_ts", None))
    put(event, "edusoc.flow.tcp_flags_destination", tcp.pop("tcp_flags_tc", None))
    tree["tcp"] = tcp
    change = {"new": "start", "closed": "end"}.get(str(event.get("edusoc.flow.state")))
    if change is not None:
        event["event.type"] = ["connection", change]


def _put_duration(event: Event, part: _Tree) -> None:
    """Write how long it took: from start to end, else the age, which Suricata writes in whole seconds."""
    age = double_value(part.pop("age", None))
    start, end = event.get("event.start"), event.get("event.end")
    if isinstance(start, str) and isinstance(end, str):
        taken = parse_instant(end) - parse_instant(start)
        if taken >= timedelta(0):
            event["event.duration"] = taken // timedelta(microseconds=1) * 1_000
            return
    put(event, "event.duration", None if age is None else round(age * 1_000_000_000))


def _netflow(event: Event, tree: _Tree) -> None:
    """Map a one-directional record."""
    part = _part(tree, "netflow")
    put(event, "source.bytes", part.pop("bytes", None))
    put(event, "source.packets", part.pop("pkts", None))
    put(event, "event.start", part.pop("start", None))
    put(event, "event.end", part.pop("end", None))
    _put_duration(event, part)
    tree["netflow"] = part


def _alert(event: Event, tree: _Tree) -> None:
    """Map an alert: rule, severity, what the sensor did, threat tags; and the transaction it stands on."""
    alert = _part(tree, "alert")
    event["event.kind"] = "alert"
    put(event, "rule.id", alert.pop("signature_id", None))
    signature = alert.pop("signature", None)
    put(event, "rule.name", signature)
    put(event, "message", signature)
    put(event, "rule.category", alert.pop("category", None))
    put(event, "rule.version", alert.pop("rev", None))
    put(event, "event.severity", alert.pop("severity", None))
    action = alert.pop("action", None)
    put(event, "event.action", action)
    put(event, "event.outcome", OUTCOME_ACTIONS.get(str(action)))
    event["event.type"] = ["denied" if action == "blocked" else "allowed", "info"]
    metadata = _part(alert, "metadata")
    for name, field in (
        ("mitre_tactic_id", "threat.tactic.id"),
        ("mitre_tactic_name", "threat.tactic.name"),
        ("mitre_technique_id", "threat.technique.id"),
        ("mitre_technique_name", "threat.technique.name"),
        ("cve", "vulnerability.id"),
    ):
        put(event, field, metadata.pop(name, None))
    alert["metadata"] = metadata
    tree["alert"] = alert
    _put_flow(event, tree, whole=False)
    _transactions(event, tree)


def _transactions(event: Event, tree: _Tree) -> None:
    """Map the protocol objects an alert or a file record carries."""
    for name in ("http", "dns", "tls", "ssh", "smb"):
        if isinstance(tree.get(name), dict):
            _SPECIAL[name](event, tree)


def _http(event: Event, tree: _Tree) -> None:
    """Map one HTTP transaction."""
    http = _part(tree, "http")
    host = http.pop("hostname", None)
    put_url(event, host=host, path=http.pop("url", None), port=http.pop("http_port", None))
    put(event, "destination.domain", host)
    version = http.pop("protocol", None)
    put(event, "http.version", version.removeprefix("HTTP/") if isinstance(version, str) else version)
    status = long_value(http.get("status"))
    if status is not None and "event.outcome" not in event:
        event["event.outcome"] = "success" if status < 400 else "failure"
    tree["http"] = http


def _tls(event: Event, tree: _Tree) -> None:
    """Map one TLS session; fingerprints come as objects or text by version."""
    tls = _part(tree, "tls")
    for name, field in (("ja3", "tls.client.ja3"), ("ja3s", "tls.server.ja3s")):
        value = tls.pop(name, None)
        if isinstance(value, dict):
            put(event, field, value.pop("hash", None))
            tls[name] = value
        else:
            put(event, field, value)
    for name in ("sha1", "sha256", "md5"):
        digest = tls.pop("fingerprint" if name == "sha1" else name, None)
        if isinstance(digest, str):
            put(event, f"tls.server.hash.{name}", digest.replace(":", "").lower())
    serial, asked = tls.pop("serial", None), tls.pop("sni", None)
    put(event, "tls.server.x509.serial_number", str(serial).replace(":", "").upper() if serial else None)
    put(event, "tls.client.server_name", asked.removesuffix(".") if isinstance(asked, str) else asked)
    put(event, "destination.domain", event.get("tls.client.server_name"))
    version = tls.pop("version", None)
    if isinstance(version, str) and version != "UNDETERMINED":
        protocol, _, number = version.partition(" ")
        put(event, "tls.version_protocol", protocol.rstrip("v0123456789.").lower() or "tls")
        put(event, "tls.version", number or protocol.lower().removeprefix("tlsv").removeprefix("sslv"))
    tree["tls"] = tls


def _dns(event: Event, tree: _Tree) -> None:
    """Map DNS formats 1 (one answer a record), 2 (grouped) and 3 (queries and answers as lists)."""
    dns = _part(tree, "dns")
    kind = dns.pop("type", None)
    if isinstance(kind, str):
        event["dns.type"] = "query" if kind in ("query", "request") else "answer"
    queries = dns.get("queries", dns.get("query"))
    question = queries[0] if isinstance(queries, list) and queries and isinstance(queries[0], dict) else dns
    put(event, "dns.question.name", question.get("rrname"))
    put(event, "dns.question.type", question.get("rrtype"))
    if question is dns:
        dns.pop("rrname", None)
        dns.pop("rrtype", None)
    elif isinstance(queries, list) and len(queries) == 1:
        dns.pop("queries", None)
        dns.pop("query", None)
    flags = [flag.upper() for flag in ("aa", "tc", "rd", "ra", "z") if dns.pop(flag, False) is True]
    put(event, "dns.header_flags", flags)
    _answers(event, dns, event.get("dns.question.name"))
    tree["dns"] = dns


def _answers(event: Event, dns: _Tree, asked: object) -> None:
    """Write the answers as parallel lists."""
    answers = dns.pop("answers", None)
    rows = [row for row in answers if isinstance(row, dict)] if isinstance(answers, list) else []
    if not rows and "rdata" in dns:
        rows = [
            {
                "rrname": asked,
                "rrtype": event.get("dns.question.type"),
                "ttl": dns.pop("ttl", 0),
                "rdata": dns.pop("rdata"),
            }
        ]
    dns.pop("grouped", None)
    rows = [row for row in rows if "rdata" in row]
    if not rows:
        return
    event["dns.answers.name"] = [str(row.get("rrname", "")) for row in rows]
    event["dns.answers.type"] = [str(row.get("rrtype", "")) for row in rows]
    event["dns.answers.ttl"] = [long_value(row.get("ttl")) or 0 for row in rows]
    event["dns.answers.data"] = [_rdata(row["rdata"]) for row in rows]
    addresses = [row["rdata"] for row in rows if row.get("rrtype") in ("A", "AAAA")]
    put(event, "dns.resolved_ip", addresses)


def _rdata(data: object) -> str:
    return data if isinstance(data, str) else str(data)


def _ssh(event: Event, tree: _Tree) -> None:
    """Map the two sides of an SSH session."""
    ssh = _part(tree, "ssh")
    for side, banner, digest in (
        ("client", "edusoc.ssh.client", "edusoc.ssh.hassh"),
        ("server", "edusoc.ssh.server", "edusoc.ssh.hassh_server"),
    ):
        part = _part(ssh, side)
        version, software = part.pop("proto_version", None), part.pop("software_version", None)
        if software:
            put(event, banner, f"SSH-{version}-{software}" if version else software)
        hassh = _part(part, "hassh")
        put(event, digest, hassh.pop("hash", None))
        put(event, "edusoc.ssh.version", version)
        part["hassh"] = hassh
        ssh[side] = part
    tree["ssh"] = ssh


def _smb(event: Event, tree: _Tree) -> None:
    """Map one SMB transaction."""
    smb = _part(tree, "smb")
    put(event, "edusoc.smb.dialect", smb.pop("dialect", None))
    put(event, "event.action", smb.pop("command", None))
    put(event, "edusoc.smb.status", smb.pop("status", None))
    put(event, "edusoc.smb.shares", smb.pop("share", None))
    put(event, "edusoc.smb.names", smb.pop("filename", None))
    ntlm = _part(smb, "ntlmssp")
    put(event, "user.name", ntlm.pop("user", None))
    put(event, "edusoc.ntlm.domain", ntlm.pop("domain", None))
    put(event, "edusoc.ntlm.workstation", ntlm.pop("host", None))
    smb["ntlmssp"] = ntlm
    tree["smb"] = smb


def _fileinfo(event: Event, tree: _Tree) -> None:
    """Map a file seen in a transaction."""
    part = _part(tree, "fileinfo")
    path = part.pop("filename", None)
    put(event, "file.path", path)
    if isinstance(path, str):
        put(event, "file.name", path.replace("\\", "/").rpartition("/")[2])
    tree["fileinfo"] = part
    _transactions(event, tree)


def _dhcp(event: Event, tree: _Tree) -> None:
    """Map a DHCP message: an acknowledged one gives its client an address (RFC 2131), a release gives it back."""
    dhcp = _part(tree, "dhcp")
    kind = str(dhcp.pop("dhcp_type", "") or "").lower()
    if kind:
        put(event, "event.action", f"dhcp_{kind}"[:100])
        event["event.type"] = ["connection", "protocol", *_DHCP_CHANGES.get(kind, ())]
    if kind == "ack":
        # An answer to INFORM acknowledges no address: the client has its own.
        addresses = (dhcp.pop("assigned_ip", None), dhcp.get("client_ip"))
        given = next((item for item in addresses if item not in {None, "", "0.0.0.0"}), None)  # noqa: S104 - compared
        seconds = double_value(dhcp.pop("lease_time", None))
        put_seen_lease(event, given, dhcp.pop("client_mac", None), dhcp.get("hostname"), seconds)
    elif kind == "release":
        put(event, "client.ip", dhcp.pop("client_ip", None))
        mac = dhcp.pop("client_mac", None)
        put(event, "client.mac", mac_or_none(mac) if isinstance(mac, str) else None)
    tree["dhcp"] = dhcp


_DHCP_CHANGES: Final[Mapping[str, tuple[str, ...]]] = {
    "ack": ("start",), "nak": ("denied",), "decline": ("error",), "release": ("end",)
}  # fmt: skip


def _stats(event: Event, tree: _Tree) -> None:
    """Keep the counters that say whether the sensor sees everything; the hundreds of others stay in the original."""
    stats = _part(tree, "stats")
    for group in ("capture", "decoder", "flow", "tcp", "detect"):
        part = stats.get(group)
        if isinstance(part, Mapping):
            for name, value in part.items():
                if isinstance(value, int) and not isinstance(value, bool):
                    extra(event, f"stats.{group}.{name}", value)


_SPECIAL: Final = {
    "flow": _flow, "netflow": _netflow, "alert": _alert, "http": _http, "tls": _tls, "dns": _dns, "ssh": _ssh,
    "smb": _smb, "fileinfo": _fileinfo, "stats": _stats, "dhcp": _dhcp,
}  # fmt: skip


def _put_rest(event: Event, tree: _Tree) -> None:
    """Write what the tables know of the remaining fields, the others as extra."""
    for name, value in tree.items():
        if not isinstance(value, dict):
            put(event, TOP_FIELDS.get(name, name if name not in FIELDS else f"suricata.{name}"), value)
            continue
        table = FIELDS_OF.get(name, {})
        for key, item in value.items():
            field = table.get(key)
            if field is None or field in event:
                extra(event, f"{name}.{key}", item)
            elif field.endswith(".mac") and isinstance(item, str):
                put(event, field, mac_or_none(item) or item)
            else:
                put(event, field, item)
    put_names(event)
