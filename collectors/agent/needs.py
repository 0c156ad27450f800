"""Say what an agent needs of the system beyond its own files: the installer gives the service just that."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from collectors.agent.configuration import InputSettings
from collectors.agent.looking import addresses_of, patterns_of

LOW_PORT: Final = "low-port"
"""Listening below 1024: CAP_NET_BIND_SERVICE."""
PACKETS: Final = "packets"
"""Capturing packets: CAP_NET_RAW, AF_PACKET, and machine code made while running."""
HOME: Final = "home"
"""Reading files in home directories."""
_FIRST_HIGH: Final = 1_024
_HOMES: Final = ("/home/", "/root/", "/run/user/")


def needs(inputs: Sequence[InputSettings]) -> list[str]:
    """Return the words for what these inputs need."""
    found = []
    if any(0 < port < _FIRST_HIGH for item in inputs for _, _, port in addresses_of(item)):
        found.append(LOW_PORT)
    if any(item.kind == PACKETS for item in inputs):
        found.append(PACKETS)
    if any(pattern.startswith(_HOMES) for item in inputs for pattern in patterns_of(item)):
        found.append(HOME)
    return found
