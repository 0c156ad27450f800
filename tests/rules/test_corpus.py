"""Hold the bundled rules as a whole: identity, texts in both languages, references, samples, levels, areas."""

from __future__ import annotations

import re
from collections import Counter
from typing import cast

import pytest
import yaml

from detectors.sigma import load_rules
from detectors.sigma.lint import lint
from detectors.sigma.samples import read_cases, run_cases, samples_of
from soc_core.fields import FIELDS
from tests.rules.corpus import RULES, RuleFile, rule_files, rule_set
from tests.shared_data import SHARED
from tests.test_messages import ALLOWED, FORBIDDEN

FILES = rule_files()
AREAS = {
    "authentication", "database", "devices", "dns", "honeypot", "linux", "network", "remote_access", "smb", "web",
    "windows",
}  # fmt: skip
# Enterprise tactics of MITRE ATT&CK v19, in which Stealth and Defense Impairment replaced Defense Evasion.
TACTICS = {
    "reconnaissance", "resource-development", "initial-access", "execution", "persistence", "privilege-escalation",
    "stealth", "defense-impairment", "credential-access", "discovery", "lateral-movement", "collection",
    "command-and-control", "exfiltration", "impact",
}  # fmt: skip
# Techniques in use; a new one is looked up at attack.mitre.org and added here.
TECHNIQUES = {
    "t1003.001", "t1003.002", "t1003.008", "t1018", "t1021.001", "t1021.002", "t1021.004", "t1027", "t1040",
    "t1046", "t1048.003", "t1053.003", "t1053.005", "t1059", "t1059.001", "t1059.003", "t1059.004", "t1059.005",
    "t1059.007", "t1071", "t1071.001", "t1071.004", "t1078.001", "t1078.003", "t1083", "t1090", "t1090.003",
    "t1091", "t1098.004", "t1098.007", "t1105", "t1110", "t1110.001", "t1110.003", "t1125", "t1133", "t1136.001",
    "t1140", "t1190", "t1197", "t1200", "t1210", "t1218.005", "t1218.010", "t1218.011", "t1219.002", "t1485",
    "t1486", "t1490", "t1491.002", "t1496", "t1505.003", "t1531", "t1543.003", "t1546.008", "t1547.001",
    "t1548.003", "t1552.001", "t1557", "t1568", "t1568.002", "t1569.002", "t1570", "t1572", "t1595.002",
    "t1595.003", "t1685", "t1685.001", "t1685.005", "t1685.006", "t1686",
}  # fmt: skip
# Control points of GB/T 22239-2019, level 3, that monitoring can speak of.
CLAUSES = {
    "8.1.2.1", "8.1.2.2", "8.1.3.1", "8.1.3.2", "8.1.3.3", "8.1.3.4", "8.1.3.5", "8.1.4.1", "8.1.4.2", "8.1.4.3",
    "8.1.4.4", "8.1.4.5", "8.1.4.7", "8.1.4.8", "8.1.4.9", "8.1.4.11", "8.1.5.4", "8.1.10.5", "8.1.10.6", "8.1.10.7",
    "8.1.10.9", "8.1.10.12",
}  # fmt: skip
PARTS = {"zh": ("判断依据：", "排查：", "处置："), "en": ("What it means: ", "Check: ", "Do: ")}
CHINESE = re.compile(r"[\u4e00-\u9fff]")
SEVERE = {"high", "critical"}

each = pytest.mark.parametrize("file", FILES, ids=lambda file: f"{file.area}/{file.path.stem}")


def _tags(file: RuleFile) -> list[str]:
    return cast("list[str]", file.shown["tags"])


def test_there_are_enough_rules_in_all_areas() -> None:
    assert len(FILES) >= 120
    assert {file.area for file in FILES} == AREAS


def test_the_program_loads_every_rule() -> None:
    loaded = {rule.id for rule in rule_set().everything}
    written = {str(document["id"]) for file in FILES for document in file.documents}
    assert rule_set().problems == ()
    assert loaded == written


def test_lint_finds_nothing() -> None:
    assert lint([RULES], rule_set()) == []


def test_ids_titles_and_names_are_unique() -> None:
    documents = [document for file in FILES for document in file.documents]
    for values in (
        [document["id"] for document in documents],
        [document["title"] for document in documents],
        [document["name"] for document in documents if "name" in document],
        [file.block["title"] for file in FILES],
        [file.block["description"] for file in FILES],
    ):
        assert [value for value, count in Counter(values).items() if count > 1] == []


@each
def test_file_names_are_plain(file: RuleFile) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9_]+\.yml", file.path.name)
    assert str(file.shown["author"]) == "edusoc"
    assert file.shown["status"] in ("stable", "test")


@each
def test_tags_are_known(file: RuleFile) -> None:
    unknown = [
        tag
        for tag in _tags(file)
        if tag.removeprefix("attack.") not in TACTICS | TECHNIQUES
        and not re.fullmatch(r"cve\.\d{4}-\d{4,}", tag)
    ]
    assert unknown == []
    assert any(tag.removeprefix("attack.") in TACTICS for tag in _tags(file))


@each
def test_clauses_are_known(file: RuleFile) -> None:
    clauses = cast("list[object]", file.block["graded_protection"])
    assert clauses
    assert all(isinstance(clause, str) for clause in clauses), (
        "quote clause numbers that YAML takes for numbers"
    )
    assert set(clauses) <= CLAUSES


@each
def test_entity_and_peer_are_fields(file: RuleFile) -> None:
    for name in ("entity", "peer"):
        assert set(cast("list[str]", file.block.get(name, []))) <= FIELDS.keys()
    assert file.block["entity"]


@each
def test_texts_are_in_both_languages(file: RuleFile) -> None:
    for where, chinese, english in file.texts():
        assert chinese.strip(), where
        assert english.strip(), where
        assert CHINESE.search(chinese), f"{where} is not in Chinese"
        assert not CHINESE.search(english), f"{where} is not in English"


@each
def test_chinese_follows_the_glossary(file: RuleFile) -> None:
    wrong = []
    for where, chinese, _ in file.texts():
        text = chinese
        for allowed in ALLOWED:
            text = text.replace(allowed, "")
        wrong += [f"{where}: {word} ({why})" for word, why in FORBIDDEN.items() if word in text]
    assert wrong == []


@each
def test_triage_has_its_three_parts(file: RuleFile) -> None:
    triage = cast("dict[str, str]", file.block["triage"])
    for language, heads in PARTS.items():
        lines = triage[language].splitlines()
        assert len(lines) == len(heads)
        assert all(
            line.startswith(head) and len(line) > len(head) + 4
            for line, head in zip(lines, heads, strict=True)
        )
        assert all(len(line) <= (130 if language == "zh" else 260) for line in lines), "a note is short"


@each
def test_steps_are_three_and_short(file: RuleFile) -> None:
    for language, steps in cast("dict[str, list[str]]", file.block["steps"]).items():
        assert len(steps) == 3
        assert all(4 <= len(step) <= (70 if language == "zh" else 180) for step in steps)


@each
def test_samples_show_what_fires_and_what_does_not(file: RuleFile) -> None:
    cases = read_cases(samples_of(file.path))
    assert any(case.positive for case in cases)
    assert any(not case.positive for case in cases)
    assert all(case.why.strip() for case in cases)
    unknown = {name for case in cases for event in case.events for name in event if name not in FIELDS}
    assert unknown == set()


@each
def test_samples_pass(file: RuleFile) -> None:
    cases = read_cases(samples_of(file.path))
    wrong = [outcome.case.why for outcome in run_cases(load_rules([file.path]), cases) if not outcome.passed]
    assert wrong == []


def test_severe_rules_are_a_minority_with_a_near_miss() -> None:
    severe = [file for file in FILES if file.shown["level"] in SEVERE]
    assert len(severe) <= len(FILES) / 2
    assert sum(file.shown["level"] == "critical" for file in FILES) <= 3
    for file in severe:
        assert any(not case.positive for case in read_cases(samples_of(file.path))), file.path.name


def test_other_peoples_rules_are_not_copied() -> None:
    texts = [file.path.read_text(encoding="utf-8") for file in FILES]
    assert not any("sigmahq" in text.lower() or "attack.defense_evasion" in text for text in texts)


@pytest.mark.conformance
def test_clauses_stand_in_the_catalogue() -> None:
    path = SHARED / "compliance" / "gbt22239.yaml"
    if not path.is_file():
        pytest.skip(f"no catalogue at {path} (set EDUSOC_SHARED_DATA)")
    catalogue = yaml.load(path.read_text(encoding="utf-8"), Loader=yaml.CSafeLoader)
    known = {point["clause"] for point in catalogue["control_points"]}
    assert known >= CLAUSES
