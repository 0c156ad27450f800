"""SSH conversations written by hand after RFC 4253."""

from __future__ import annotations

Pieces = list[tuple[int, bytes]]
CLIENT_LISTS = (
    "curve25519-sha256,ecdh-sha2-nistp256,ext-info-c", "ssh-ed25519,rsa-sha2-512",
    "chacha20-poly1305@openssh.com,aes128-ctr", "aes256-gcm@openssh.com", "umac-64-etm@openssh.com,hmac-sha2-256",
    "hmac-sha2-512", "none,zlib@openssh.com", "none", "", "",
)  # fmt: skip
SERVER_LISTS = (
    "ecdh-sha2-nistp256,curve25519-sha256", "ssh-ed25519", "aes128-ctr", "aes128-ctr,aes256-ctr", "hmac-sha2-256",
    "hmac-sha1", "none", "none,zlib", "", "",
)  # fmt: skip


def packet(payload: bytes) -> bytes:
    padding = 8 - (len(payload) + 5) % 8
    padding += 8 if padding < 4 else 0
    return (len(payload) + padding + 1).to_bytes(4, "big") + bytes([padding]) + payload + b"\0" * padding


def kexinit(lists: tuple[str, ...]) -> bytes:
    names = b"".join(len(text).to_bytes(4, "big") + text.encode() for text in lists)
    return packet(b"\x14" + b"\x07" * 16 + names + b"\0" + b"\0" * 4)


def conversations() -> dict[str, Pieces]:
    return {
        "ssh": [
            (1, b"welcome\r\nSSH-2.0-OpenSSH_9.6p1 Ubuntu-3\r\n"),
            (0, b"SSH-2.0-PuTTY_Release_0.80\r\n" + kexinit(CLIENT_LISTS)),
            (1, kexinit(SERVER_LISTS) + packet(b"\x1f" + b"\1" * 40)),
            (0, packet(b"\x1e" + b"\2" * 40)),
        ],
        "ssh_banner_only": [(1, b"SSH-1.99-Cisco-1.25\n"), (0, b"SSH-2.0-Go\r\n")],
    }
