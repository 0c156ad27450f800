"""Name ATT&CK's tactics and techniques without the network: ``attack.tsv`` beside this file says where from.

Version 19 keeps the id TA0005 for Stealth and gives TA0112 to Defense Impairment (formerly both: Defense Evasion).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any, Final

PREFIX: Final = "attack."
_PLACE: Final = "https://attack.mitre.org"
TACTICS: Final[Mapping[str, tuple[str, str]]] = {
    "reconnaissance": ("TA0043", "Reconnaissance"),
    "resource-development": ("TA0042", "Resource Development"),
    "initial-access": ("TA0001", "Initial Access"),
    "execution": ("TA0002", "Execution"),
    "persistence": ("TA0003", "Persistence"),
    "privilege-escalation": ("TA0004", "Privilege Escalation"),
    "stealth": ("TA0005", "Stealth"),
    "defense-impairment": ("TA0112", "Defense Impairment"),
    "credential-access": ("TA0006", "Credential Access"),
    "discovery": ("TA0007", "Discovery"),
    "lateral-movement": ("TA0008", "Lateral Movement"),
    "collection": ("TA0009", "Collection"),
    "command-and-control": ("TA0011", "Command and Control"),
    "exfiltration": ("TA0010", "Exfiltration"),
    "impact": ("TA0040", "Impact"),
}
_RENAMED: Final = {"defense-evasion": "stealth"}


@dataclass(frozen=True, slots=True)
class Technique:
    """Describe a technique; ``tactics`` are short names."""

    id: str
    name: str
    tactics: tuple[str, ...]


@cache
def techniques() -> Mapping[str, Technique]:
    """Return all known techniques by their ids (``T1059.001``)."""
    content = resources.files(__package__).joinpath("attack.tsv").read_text(encoding="utf-8")
    found: dict[str, Technique] = {}
    for line in content.splitlines():
        if not line.startswith("#"):
            identity, name, tactics = line.split("\t")
            found[identity] = Technique(identity, name, tuple(tactics.split(",")))
    return found


def threats_of(tags: Iterable[str]) -> list[dict[str, Any]]:
    """Return what Kibana's rules hold of ATT&CK for Sigma tags: tactics, below them techniques, in ATT&CK's order.

    Sigma's tags don't pair tactics with techniques. A technique goes below those tactics of the rule that it serves,
    or where the rule names none of them, below its own. What ATT&CK doesn't know is left out.
    """
    names = [tag.removeprefix(PREFIX).replace("_", "-") for tag in tags if tag.startswith(PREFIX)]
    tactics = {_RENAMED.get(name, name) for name in names} & TACTICS.keys()
    below: dict[str, list[Technique]] = {name: [] for name in tactics}
    for name in sorted({name.upper() for name in names}):
        technique = techniques().get(name)
        if technique is not None:
            served = [tactic for tactic in technique.tactics if tactic in tactics]
            for tactic in served or technique.tactics[:1]:
                below.setdefault(tactic, []).append(technique)
    return [_threat(name, below[name]) for name in TACTICS if name in below]


def _threat(tactic: str, found: list[Technique]) -> dict[str, Any]:
    identity, name = TACTICS[tactic]
    parents: dict[str, list[Technique]] = {}
    for technique in found:
        inner = parents.setdefault(technique.id.partition(".")[0], [])
        if "." in technique.id:
            inner.append(technique)
    return {
        "framework": "MITRE ATT&CK",
        "tactic": {"id": identity, "name": name, "reference": f"{_PLACE}/tactics/{identity}/"},
        "technique": [_parent(parent, inner) for parent, inner in sorted(parents.items())],
    }


def _parent(identity: str, inner: list[Technique]) -> dict[str, Any]:
    return {**_named(techniques()[identity]), "subtechnique": [_named(technique) for technique in inner]}


def _named(technique: Technique) -> dict[str, Any]:
    place = technique.id.replace(".", "/")
    return {"id": technique.id, "name": technique.name, "reference": f"{_PLACE}/techniques/{place}/"}
