"""List the scenarios: one readable place."""

from __future__ import annotations

from pcaps.scenarios import (
    beacon,
    cleartext_password,
    cloned_classroom,
    default_camera_login,
    dns_tunnel,
    exfiltration,
    fragments,
    host_scan,
    ipv6,
    malformed,
    mining,
    normal_class_day,
    normal_office_smb,
    port_scan,
    remote_control,
    smb_ransomware,
    ssh_bruteforce,
    tunnels,
    vlan,
    webshell,
)
from pcaps.scenarios.logs import (
    ids_sensor,
    linux_server,
    school_website,
    windows_domain,
    windows_pc,
    zeek_sensor,
)
from pcaps.scenarios.scenario import LogScenario, Scenario


def scenarios() -> list[Scenario]:
    """Return all captures' scenarios: the normal ones, then attacks, then the shapes of networks."""
    modules = (
        normal_class_day,
        normal_office_smb,
        cloned_classroom,
        malformed,
        port_scan,
        host_scan,
        ssh_bruteforce,
        dns_tunnel,
        beacon,
        webshell,
        smb_ransomware,
        mining,
        exfiltration,
        default_camera_login,
        cleartext_password,
        remote_control,
        ipv6,
        vlan,
        fragments,
        tunnels,
    )
    return [module.SCENARIO for module in modules]


def log_scenarios() -> list[LogScenario]:
    """Return the scenarios whose output is logs."""
    modules = (linux_server, school_website, ids_sensor, zeek_sensor, windows_domain, windows_pc)
    return [module.SCENARIO for module in modules]
