"""ATT&CK's tactics and techniques are named without the network."""

from __future__ import annotations

from detectors.sigma import load_rules
from detectors.sigma.conversion.attack import TACTICS, techniques, threats_of
from detectors.sigma.mapping import bundled_rules


def test_every_technique_of_our_rules_is_known() -> None:
    rules = load_rules([bundled_rules()])
    named = {technique for rule in rules.everything for technique in rule.head.techniques}
    assert named
    assert named - techniques().keys() == set()


def test_the_table_is_sound() -> None:
    assert len(techniques()) > 650
    for technique in techniques().values():
        assert set(technique.tactics) <= TACTICS.keys()
        assert technique.id.partition(".")[0] in techniques()


def test_techniques_stand_below_the_tactics_they_serve() -> None:
    found = threats_of(
        ["attack.execution", "attack.stealth", "attack.t1059.001", "attack.t1027", "cve.2021-1"]
    )
    assert [threat["tactic"]["id"] for threat in found] == ["TA0002", "TA0005"]
    assert found[0]["technique"] == [
        {
            "id": "T1059",
            "name": "Command and Scripting Interpreter",
            "reference": "https://attack.mitre.org/techniques/T1059/",
            "subtechnique": [
                {
                    "id": "T1059.001",
                    "name": "PowerShell",
                    "reference": "https://attack.mitre.org/techniques/T1059/001/",
                }
            ],
        }
    ]
    assert [technique["id"] for technique in found[1]["technique"]] == ["T1027"]


def test_a_technique_without_its_tactic_brings_it() -> None:
    (threat,) = threats_of(["attack.t1685.005"])
    assert threat["tactic"]["name"] == "Defense Impairment"


def test_old_names_and_unknown_ones() -> None:
    assert [threat["tactic"]["id"] for threat in threats_of(["attack.defense_evasion"])] == ["TA0005"]
    assert threats_of(["attack.t9999", "attack.g0001", "attack.nonsense", "car.2013"]) == []
