"""Build the wheel as users get it and hold what is in it."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGES = {"edusoc", "soc_core", "collectors", "detectors", "intake", "cases", "soc_api"}
PRODUCT = ("*.py", "*.toml", "*.tsv", "*.csv", "*.html", "*.css", "*.js", "*.mako", "*.LICENSE")


@pytest.fixture(scope="module")
def names(tmp_path_factory: pytest.TempPathFactory) -> set[str]:
    target = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(target)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True, timeout=120)
    (wheel,) = target.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def test_top_level_names_are_the_packages(names: set[str]) -> None:
    assert {name.split("/")[0] for name in names if ".dist-info/" not in name} == PACKAGES


def test_no_other_distribution_owns_these_names() -> None:
    owners = packages_distributions()
    assert {name: set(owners.get(name, ())) - {"edusoc"} for name in PACKAGES} == {
        name: set() for name in PACKAGES
    }


def test_nothing_of_the_packages_is_left_out(names: set[str]) -> None:
    wanted = {
        path.relative_to(ROOT).as_posix()
        for package in PACKAGES
        for pattern in PRODUCT
        for path in (ROOT / package).rglob(pattern)
    }
    assert wanted - names == set()


def test_rules_are_carried_inside_the_kernel(names: set[str]) -> None:
    rules = {path.relative_to(ROOT).as_posix() for path in (ROOT / "rules").rglob("*.yml")}
    assert rules
    assert {f"soc_core/{name}" for name in rules} <= names


def test_no_tests_or_samples_are_carried(names: set[str]) -> None:
    assert [name for name in names if name.startswith(("tests/", "pcaps/", "benchmarks/"))] == []
