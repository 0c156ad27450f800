"""List the detectors that run by default: one readable place, no discovery by magic."""

from __future__ import annotations

from detectors.anomaly.beacon import Beacon
from detectors.anomaly.brute_force import BruteForce
from detectors.anomaly.dns_tunnel import DnsTunnel
from detectors.anomaly.exfiltration import Exfiltration
from detectors.anomaly.host_scan import HostScan
from detectors.anomaly.port_scan import PortScan
from detectors.base import WindowDetector


def default_detectors() -> list[WindowDetector]:
    """Return the window detectors in the order in which they are listed to people."""
    return [PortScan(), HostScan(), BruteForce(), Beacon(), DnsTunnel(), Exfiltration()]
