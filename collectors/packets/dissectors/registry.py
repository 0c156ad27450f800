"""List the dissectors: the one place to add one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from collectors.packets.dissectors import dns, http, llmnr, mdns, nbns, smb, ssh, tls
from collectors.packets.dissectors.base import DatagramDissector, StreamDissector

STREAMS: Final[Mapping[str, Callable[[], StreamDissector]]] = {
    "dns": dns.DnsStream,
    "http": http.HttpStream,
    "smb": smb.SmbStream,
    "ssh": ssh.SshStream,
    "tls": tls.TlsStream,
}
"""Protocol over TCP → makes a dissector of one conversation."""

DATAGRAMS: Final[Mapping[str, DatagramDissector]] = {
    "dns": dns.dissect,
    "llmnr": llmnr.dissect,
    "mdns": mdns.dissect,
    "nbns": nbns.dissect,
}
"""Protocol over UDP → reads one datagram."""

DATAGRAM_DATASETS: Final[Mapping[str, str]] = dict.fromkeys(DATAGRAMS, dns.DATASET)
"""Protocol over UDP → ``event.dataset``. Messages of streams carry theirs."""
