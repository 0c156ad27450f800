from __future__ import annotations

import hashlib

from collectors.packets.dissectors.ssh import SshStream
from tests.collectors.packets.dissectors.conversations import dissect
from tests.collectors.packets.dissectors.ssh_maker import (
    CLIENT_LISTS,
    SERVER_LISTS,
    conversations,
    kexinit,
    packet,
)


def test_fingerprints_and_what_is_agreed() -> None:
    (message,) = dissect("ssh", conversations()["ssh"])
    fields = message.fields
    client = ";".join(CLIENT_LISTS[index] for index in (0, 2, 4, 6))
    server = ";".join(SERVER_LISTS[index] for index in (0, 3, 5, 7))
    assert fields["edusoc.ssh.hassh"] == hashlib.md5(client.encode()).hexdigest()
    assert fields["edusoc.ssh.hassh_server"] == hashlib.md5(server.encode()).hexdigest()
    assert (fields["edusoc.ssh.kex"], fields["edusoc.ssh.cipher"]) == ("curve25519-sha256", "aes128-ctr")
    assert fields["edusoc.ssh.client"] == "SSH-2.0-PuTTY_Release_0.80"


def test_event_comes_when_both_lists_are_known() -> None:
    stream = SshStream()
    banner = b"SSH-2.0-a\r\n"
    assert stream.feed(0, 0, 7, banner + kexinit(CLIENT_LISTS)) == []
    found = stream.feed(1, 0, 9, banner + packet(b"\x02ignore") + kexinit(SERVER_LISTS))
    assert [message.time_us for message in found] == [7]
    assert stream.done
    assert stream.feed(0, 5_000, 9, b"x") == []
    assert stream.close() == []


def test_broken_lists_and_sizes() -> None:
    bad = b"SSH-2.0-a\r\n" + b"\xff\xff\xff\xff" * 8
    (message,) = dissect("ssh", [(0, bad)])
    assert "edusoc.ssh.hassh" not in message.fields
    broken = packet(b"\x14" + b"\7" * 16 + b"\0\0\0\x09abc")
    (message,) = dissect("ssh", [(0, b"SSH-2.0-a\r\n" + broken)])
    assert "edusoc.ssh.hassh" not in message.fields


def test_banner_without_a_version() -> None:
    (message,) = dissect("ssh", [(0, b"SSH--x\r\n")])
    assert "edusoc.ssh.version" not in message.fields


def test_no_ssh() -> None:
    assert dissect("ssh", [(0, b"GET / HTTP/1.1\r\n\r\n" * 50), (1, b"x" * 300)]) == []
