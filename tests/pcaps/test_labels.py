from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from pcaps.labels import Ban, Expectation, Label, load_label, load_labels
from pcaps.make import ROOT
from soc_core.errors import InputError
from soc_core.model.detection import Severity

GOOD = """
scenario: sample
title: {zh: 样例, en: sample}
attack: true
files: [sample.pcap]
start: 2026-11-16 00:00:00+00:00
end: 2026-11-16 01:00:00+00:00
packets: 3
addresses: {192.168.1.2: {zh: 电脑, en: a PC}}
must_find: [{kind: port_scan, entity: 192.168.1.2, min_severity: medium, peer: 192.168.1.9}]
must_not: [{min_severity: high}]
"""


def _load(folder: Path, text: str) -> Label:
    (folder / "sample.pcap").write_bytes(b"")
    path = folder / "sample.label.yml"
    path.write_text(text, encoding="utf-8")
    return load_label(path)


def test_a_label_compares_alerts(tmp_path: Path) -> None:
    label = _load(tmp_path, GOOD)
    assert label.paths == (tmp_path / "sample.pcap",)
    assert label.must_find == (Expectation("port_scan", "192.168.1.2", Severity.MEDIUM, "192.168.1.9"),)
    found = ("port_scan", "192.168.1.2", "192.168.1.9", "high")
    other = ("beacon", "192.168.1.2", "203.0.113.1", "high")
    assert label.missing([found]) == []
    assert label.forbidden([found, other]) == [other]


@pytest.mark.parametrize(
    "alert",
    [
        ("port_scan", "192.168.1.2", "192.168.1.9", "low"),
        ("port_scan", "192.168.1.2", "192.168.1.8", "high"),
        ("port_scan", "192.168.1.3", "192.168.1.9", "high"),
        ("host_scan", "192.168.1.2", "192.168.1.9", "high"),
    ],
)
def test_what_differs_in_one_part_is_not_what_was_expected(
    tmp_path: Path, alert: tuple[str, str, str, str]
) -> None:
    label = _load(tmp_path, GOOD)
    assert label.missing([alert]) == list(label.must_find)


def test_a_ban_fits_every_part_given() -> None:
    ban = Ban(Severity.MEDIUM, kind="beacon", entity="192.168.1.2")
    assert ban.fits(("beacon", "192.168.1.2", "", "medium"))
    assert not ban.fits(("beacon", "192.168.1.2", "", "low"))
    assert not ban.fits(("mining", "192.168.1.2", "", "high"))
    assert not ban.fits(("beacon", "192.168.1.3", "", "high"))


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("scenario: sample", "scenario: other"),
        ("attack: true", "attack: maybe"),
        ("attack: true", "attack: false"),
        ("en: sample", "fr: exemple"),
        ("packets: 3", "packets: 0"),
        ("packets: 3", "packets: -1"),
        ("min_severity: medium", "min_severity: grave"),
        ("peer: 192.168.1.9", "port: 22"),
        ("[{min_severity: high}]", "[{}]"),
        ("[sample.pcap]", "[absent.pcap]"),
        ("[sample.pcap]", "[]"),
        ("2026-11-16 01:00:00+00:00", "2026-11-15 01:00:00+00:00"),
        ("2026-11-16 01:00:00+00:00", "2026-11-16 01:00:00"),
        ("packets: 3", "packets: 3\nnonsense: 1"),
        ("title:", "title: ]"),
    ],
)
def test_a_bad_label_says_which_file(tmp_path: Path, old: str, new: str) -> None:
    assert old in GOOD
    with pytest.raises(InputError, match=r"sample\.label\.yml"):
        _load(tmp_path, GOOD.replace(old, new))


def test_a_normal_scenario_must_forbid_something(tmp_path: Path) -> None:
    text = "\n".join(line for line in GOOD.splitlines() if not line.startswith("must_"))
    with pytest.raises(InputError):
        _load(tmp_path, text.replace("attack: true", "attack: false"))


def test_every_bundled_label_is_valid_and_attacks_and_normal_days_are_both_there() -> None:
    labels = load_labels(ROOT)
    assert len({label.scenario for label in labels}) == len(labels)
    assert sum(label.attack for label in labels) >= 20
    assert [label for label in labels if not label.attack]
    named = {address for label in labels for address in label.addresses}
    for label in labels:
        for wanted in label.must_find:
            assert wanted.entity in named, f"{label.scenario}: {wanted.entity} is not described"


def test_labels_are_read_without_scapy() -> None:
    """The demo reads labels at run time; scapy is GPL-2.0-only and makes the files, nothing else."""
    program = "import sys, pcaps.labels; sys.exit(any(name.startswith('scapy') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT.parent, check=False).returncode == 0
