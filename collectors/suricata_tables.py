"""Say where the fields of Suricata's ``eve.json`` stand in the field dictionary.

Names on the left are EVE's (Suricata user guide, "EVE JSON Format").
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

TOP_FIELDS: Final[Mapping[str, str]] = {
    "in_iface": "observer.ingress.interface.name",
    "host": "observer.hostname",
    "pcap_filename": "edusoc.capture.file",
}

FIELDS_OF: Final[Mapping[str, Mapping[str, str]]] = {
    "http": {
        "http_method": "http.request.method",
        "http_refer": "http.request.referrer",
        "http_user_agent": "user_agent.original",
        "http_content_type": "http.response.mime_type",
        "status": "http.response.status_code",
        "length": "http.response.body.bytes",
        "redirect": "edusoc.http.location",
        "xff": "edusoc.http.forwarded_for",
    },
    "tls": {
        "subject": "tls.server.subject",
        "issuerdn": "tls.server.issuer",
        "notbefore": "tls.server.not_before",
        "notafter": "tls.server.not_after",
        "session_resumed": "tls.resumed",
        "ja4": "tls.client.ja4",
        "subjectaltname": "tls.server.x509.alternative_names",
        "alpn_ts": "tls.next_protocol",
        "cipher_suite": "tls.cipher",
    },
    "dns": {
        "id": "dns.id",
        "rcode": "dns.response_code",
        "opcode": "dns.op_code",
    },
    "fileinfo": {
        "size": "file.size",
        "magic": "file.type",
        "mimetype": "file.mime_type",
        "md5": "file.hash.md5",
        "sha1": "file.hash.sha1",
        "sha256": "file.hash.sha256",
    },
    "ether": {"src_mac": "source.mac", "dest_mac": "destination.mac"},
    "anomaly": {"event": "event.action", "type": "event.reason"},
    "krb5": {"cname": "user.name", "realm": "user.domain", "error_code": "error.code"},
    "ftp": {"command": "event.action"},
    "rfb": {},
    "sip": {"method": "event.action", "code": "event.code", "uri": "url.original"},
    "snmp": {"version": "network.application", "pdu_type": "event.action"},
    "smtp": {"helo": "source.domain"},
    "rdp": {"event_type": "event.action", "cookie": "user.name"},
    "dhcp": {"type": "event.action", "hostname": "host.name"},
    "drop": {"reason": "event.reason"},
}

PROTOCOLS: Final = frozenset(
    {
        "bittorrent_dht", "dcerpc", "dhcp", "dnp3", "dns", "enip", "ftp", "ftp_data", "http", "http2", "ike",
        "krb5", "ldap", "mdns", "modbus", "mqtt", "nfs", "ntp", "pgsql", "pop3", "quic", "rdp", "rfb", "sip",
        "smb", "smtp", "snmp", "ssh", "telnet", "tftp", "tls", "websocket",
    }
)  # fmt: skip

CATEGORIES: Final[Mapping[str, tuple[list[str], list[str]]]] = {
    "alert": (["network", "intrusion_detection"], ["info"]),
    "anomaly": (["network"], ["protocol", "info"]),
    "dns": (["network"], ["protocol", "info"]),
    "drop": (["network"], ["connection", "denied"]),
    "fileinfo": (["network", "file"], ["info"]),
    "flow": (["network"], ["connection", "info"]),
    "ftp": (["network"], ["protocol", "info"]),
    "http": (["network", "web"], ["access", "protocol", "info"]),
    "krb5": (["network", "authentication"], ["protocol", "info"]),
    "netflow": (["network"], ["connection", "info"]),
    "smb": (["network", "file"], ["protocol", "info"]),
    "stats": (["network"], ["info"]),
}

OUTCOME_ACTIONS: Final[Mapping[str, str]] = {"blocked": "failure", "allowed": "success"}
