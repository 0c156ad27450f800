"""SigmaHQ's rules with placeholders load when values are given, and name what lacks when not. Skipped without them."""

from __future__ import annotations

import re
import tarfile
from pathlib import Path

import pytest

from detectors.sigma import load_rules
from tests.shared_data import SHARED, needs

pytestmark = [pytest.mark.slow, *needs(SHARED / "sigma")]


def test_all_load_when_values_are_given(tmp_path: Path) -> None:
    with tarfile.open(SHARED / "sigma" / "sigmahq-rules.tar.xz") as archive:
        chosen = [member for member in archive if member.name.startswith("rules-placeholder/")]
        archive.extractall(tmp_path, members=chosen, filter="data")
    folder = tmp_path / "rules-placeholder"
    files = list(folder.rglob("*.yml"))
    names = {name for file in files for name in re.findall(r"%([\w-]+)%", file.read_text(encoding="utf-8"))}
    bare = load_rules([folder])
    assert bare.rules == ()
    assert sum(problem.fatal for problem in bare.problems) == len(files) == 23
    (folder / "placeholders").mkdir()
    rows = "".join(f"  {name}: [known, 10.0.0.0/8]\n" for name in sorted(names))
    (folder / "placeholders" / "site.yml").write_text(f"placeholders:\n{rows}", encoding="utf-8")
    assert len(load_rules([folder]).rules) == 23
