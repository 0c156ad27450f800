"""List the detectors that run by default: one readable place, no discovery by magic."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Final

from detectors.anomaly.beacon import Beacon
from detectors.anomaly.brute_force import BruteForce
from detectors.anomaly.dns_tunnel import DnsTunnel
from detectors.anomaly.exfiltration import Exfiltration
from detectors.anomaly.host_scan import HostScan
from detectors.anomaly.model.files import current_folder, read_card
from detectors.anomaly.port_scan import PortScan
from detectors.anomaly.unusual_flow import UnusualFlow
from detectors.base import WindowDetector
from soc_core.errors import InputError

LOG: Final = logging.getLogger("edusoc.models")


def default_detectors(models_directory: Path | None = None) -> list[WindowDetector]:
    """Return the window detectors in the order in which they are listed to people.

    ``unusual_flow`` is among them when ``models_directory`` holds a current model that this program can use; one that
    it can't use is said in the log, with what to do, and the detector stays off.
    """
    plain: list[WindowDetector] = [
        PortScan(),
        HostScan(),
        BruteForce(),
        Beacon(),
        DnsTunnel(),
        Exfiltration(),
    ]
    folder = current_folder(models_directory) if models_directory is not None else None
    if folder is None:
        return plain
    try:
        read_card(folder)
    except InputError as error:
        LOG.warning("unusual_flow is off: %s", error)
        return plain
    return [*plain, UnusualFlow(folder)]
