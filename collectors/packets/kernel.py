"""List the entry points of the packet kernel for the builder.

Only the builder (``collectors.packets.building``) imports this: a running collector loads the finished machine code
and never imports numba, which alone costs more processor time than metering a hundred megabytes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from collectors.packets import kernel_digest, kernel_meter, kernel_ring, kernel_walk

ENTRIES: Final[dict[str, Callable[..., int]]] = {
    "walk_pcap": kernel_walk.walk_pcap,
    "resync_pcap": kernel_walk.resync_pcap,
    "walk_pcapng": kernel_walk.walk_pcapng,
    "resync_pcapng": kernel_walk.resync_pcapng,
    "meter": kernel_meter.meter,
    "flush": kernel_meter.flush,
    "match": kernel_meter.match,
    "name_flow": kernel_digest.name_flow,
    "walk_block": kernel_ring.walk_block,
    "tick": kernel_ring.tick,
    "write_records": kernel_ring.write_records,
}
"""Name → function; the machine types of the parameters stand in ``machine.PARAMETERS``."""
