"""Read Windows events the way other Sigma tools do, apart from our collectors and mappings.

A raw record becomes one flat object with the names SigmaHQ uses (taxonomy appendix of the Sigma specification: names
of event data as they are; ``Channel``, ``EventID``, ``Provider_Name`` and so on from the head), and a table says which
log sources it belongs to. Peers get these objects; the reference evaluator judges them too, so a mistake in our
mappings shows as a difference.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, cast

import yaml

from soc_core.model.event import Event
from tests.detectors.sigma.reference import Rule
from tests.detectors.sigma.reference_values import Plain, PlainEvent

Flat = dict[str, Plain | list[Plain]]
SYSMON: Final = "Microsoft-Windows-Sysmon/Operational"
POWERSHELL: Final = ("Microsoft-Windows-PowerShell/Operational", "PowerShellCore/Operational")
SYSMON_CATEGORIES: Final[Mapping[int, tuple[str, ...]]] = {
    1: ("process_creation",),
    2: ("file_change",),
    3: ("network_connection",),
    4: ("sysmon_status",),
    5: ("process_termination",),
    6: ("driver_load",),
    7: ("image_load",),
    8: ("create_remote_thread",),
    9: ("raw_access_thread",),
    10: ("process_access",),
    11: ("file_event",),
    12: ("registry_event", "registry_add", "registry_delete"),
    13: ("registry_event", "registry_set"),
    14: ("registry_event", "registry_rename"),
    15: ("create_stream_hash",),
    16: ("sysmon_status",),
    17: ("pipe_created",),
    18: ("pipe_created",),
    19: ("wmi_event",),
    20: ("wmi_event",),
    21: ("wmi_event",),
    22: ("dns_query",),
    23: ("file_delete",),
    24: ("clipboard_capture",),
    25: ("process_tampering",),
    26: ("file_delete",),
    27: ("file_block_executable",),
    28: ("file_block_shredding",),
    29: ("file_executable_detected",),
    255: ("sysmon_error",),
}
OTHER_CATEGORIES: Final[Mapping[tuple[str, int], str]] = {
    ("Security", 4688): "process_creation",
    ("Security", 5156): "network_connection",
    (POWERSHELL[0], 4103): "ps_module",
    (POWERSHELL[0], 4104): "ps_script",
    (POWERSHELL[1], 4103): "ps_module",
    (POWERSHELL[1], 4104): "ps_script",
    ("Windows PowerShell", 400): "ps_classic_start",
    ("Windows PowerShell", 600): "ps_classic_provider_start",
    ("Windows PowerShell", 800): "ps_classic_script",
}
SERVICES: Final[Mapping[str, str]] = {
    SYSMON: "sysmon",
    "Security": "security",
    "System": "system",
    "Application": "application",
    POWERSHELL[0]: "powershell",
    POWERSHELL[1]: "powershell",
    "Windows PowerShell": "powershell-classic",
    "Microsoft-Windows-Windows Defender/Operational": "windefend",
    "Microsoft-Windows-TaskScheduler/Operational": "taskscheduler",
    "Microsoft-Windows-WMI-Activity/Operational": "wmi",
    "Microsoft-Windows-NTLM/Operational": "ntlm",
    "Microsoft-Windows-Bits-Client/Operational": "bits-client",
    "Microsoft-Windows-CodeIntegrity/Operational": "codeintegrity-operational",
    "Microsoft-Windows-AppXDeploymentServer/Operational": "appxdeployment-server",
    "Microsoft-Windows-Windows Firewall With Advanced Security/Firewall": "firewall-as",
    "MSExchange Management": "msexchange-management",
    "Microsoft-Windows-DNS-Client/Operational": "dns-client",
    "Microsoft-Windows-TerminalServices-LocalSessionManager/Operational": "terminalservices-localsessionmanager",
    "Microsoft-Windows-PrintService/Admin": "printservice-admin",
    "Microsoft-Windows-PrintService/Operational": "printservice-operational",
    "Microsoft-Windows-SmbClient/Security": "smbclient-security",
    "Microsoft-Windows-SmbClient/Connectivity": "smbclient-connectivity",
    "OpenSSH/Operational": "openssh",
}
OTHER_NAMES: Final[Mapping[tuple[str, int], Mapping[str, str]]] = {
    ("Security", 4688): {
        "NewProcessName": "Image",
        "ParentProcessName": "ParentImage",
        "NewProcessId": "ProcessId",
    },
    ("Security", 5156): {
        "Application": "Image",
        "SourceAddress": "SourceIp",
        "DestAddress": "DestinationIp",
        "DestPort": "DestinationPort",
    },
}
"""Names that rules of a category use where Windows writes others."""


def _text(value: object) -> object:
    return value.get("#text", "") if isinstance(value, dict) else value


def _tree(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}


def _attribute(value: object, name: str) -> object:
    return _tree(_tree(value).get("#attributes")).get(name)


def flat(document: str) -> Flat:
    """Return one record, JSON as evtx tools write it, as one flat object; what holds nothing is left out."""
    event = _tree(json.loads(document)["Event"])
    system = _tree(event.get("System"))
    found: dict[str, object] = {
        "Channel": system.get("Channel"),
        "EventID": int(str(_text(system.get("EventID")))),
        "Provider_Name": _attribute(system.get("Provider"), "Name"),
        "Computer": system.get("Computer"),
        "Level": str(_text(system.get("Level"))),
        "Task": str(_text(system.get("Task"))),
        "Opcode": str(_text(system.get("Opcode"))),
        "Keywords": system.get("Keywords"),
        "EventRecordID": str(system.get("EventRecordID")),
    }
    for name, value in _tree(event.get("EventData")).items():
        found[name] = _text(value)
    for part in _tree(event.get("UserData")).values():
        found.update({name: _text(value) for name, value in _tree(part).items()})
    kind = (str(found["Channel"]), int(cast("int", found["EventID"])))
    for name, other in OTHER_NAMES.get(kind, {}).items():
        if name in found:
            found[other] = found[name]
    for part in str(found.get("Hashes", "")).split(","):
        name, equals, value = part.partition("=")
        if equals and name == "IMPHASH":
            found["Imphash"] = value
    kept = {
        name: value for name, value in found.items() if value not in (None, "", []) and name[:1] not in "#@"
    }
    return {name: _plain(value) for name, value in kept.items()}


def _plain(value: object) -> Plain | list[Plain]:
    if isinstance(value, list):
        return [cast("Plain", one) for one in value if one not in (None, "")]
    return value if isinstance(value, str | int | float) else json.dumps(value)


@dataclass(frozen=True, slots=True)
class Source:
    """Hold the log sources an event belongs to."""

    product: str
    categories: tuple[str, ...]
    service: str

    def fits(self, logsource: Mapping[str, str]) -> bool:
        """Tell whether a rule's log source means such events."""
        category, service = logsource.get("category"), logsource.get("service")
        return (
            logsource.get("product") in (None, self.product)
            and (category is None or category in self.categories)
            and (service is None or service == self.service)
            and bool(logsource.get("product") or category or service)
        )


def source_of(record: Flat) -> Source:
    """Return the log sources of a Windows record."""
    channel, code = str(record.get("Channel", "")), int(cast("int", record["EventID"]))
    categories = SYSMON_CATEGORIES.get(code, ()) if channel == SYSMON else ()
    other = OTHER_CATEGORIES.get((channel, code))
    return Source("windows", (*categories, other) if other else categories, SERVICES.get(channel, ""))


def tagged(record: Flat) -> Flat:
    """Return a record with its log source, as rsigma routes by it: one category, the narrowest.

    What has no category or service says so: rsigma would take nothing for anything.
    """
    source = source_of(record)
    category = source.categories[-1] if source.categories else "none"
    return record | {"_product": source.product, "_category": category, "_service": source.service or "none"}


@dataclass(frozen=True, slots=True)
class Judge:
    """Judge raw Windows records by the reference, straight from the YAML files of rules."""

    rules: Mapping[str, tuple[Mapping[str, str], Rule]]

    @classmethod
    def read(cls, folders: Sequence[Path]) -> Judge:
        """Read all rules below some folders."""
        found: dict[str, tuple[Mapping[str, str], Rule]] = {}
        for file in (file for folder in folders for file in sorted(folder.rglob("*.yml"))):
            for tree in yaml.load_all(file.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader):
                if isinstance(tree, dict) and "detection" in tree:
                    found[str(tree["id"])] = (tree["logsource"], Rule(tree["detection"]))
        return cls(found)

    def about(self, source: Source) -> list[str]:
        """Return the ids of the rules about events of these log sources."""
        return [name for name, (logsource, _) in self.rules.items() if source.fits(logsource)]

    def matches(self, rule_id: str, record: PlainEvent) -> bool:
        """Tell whether a rule matches a record, whatever its log source."""
        return self.rules[rule_id][1].matches(record, texts_of(record))


def texts_of(record: PlainEvent) -> list[str]:
    """Return all texts of a record: where keywords are looked for."""
    found: list[str] = []
    for value in record.values():
        values = value if isinstance(value, list) else [value]
        found.extend(one for one in values if isinstance(one, str))
    return found


def flat_events(events: Sequence[Event]) -> list[Flat]:
    """Return the raw records our events were made from."""
    return [flat(str(event["event.original"])) for event in events]
