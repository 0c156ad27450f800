"""The real ``sigma`` program finds and uses our plugin for pySigma, in its own environment and without the network."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from detectors.sigma.mapping import bundled_mappings
from detectors.sigma.model import LogSource
from edusoc.reference import PLUGIN, plugin_page
from tests.detectors.sigma.base import rule_text
from tests.needs import need

ROOT = Path(__file__).parents[4]
SOURCE = ROOT / "packaging" / "pysigma"
PROGRAM = ROOT / ".tools" / "sigma" / "bin" / "sigma"
NO_NETWORK = dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), "http://127.0.0.1:9")


def test_its_data_is_up_to_date() -> None:
    assert PLUGIN.read_text(encoding="utf-8") == plugin_page(), "run: python -m edusoc.reference"


@pytest.fixture(scope="module")
def program() -> Path:
    return need("sigma-cli", PROGRAM if PROGRAM.is_file() else None, "no sigma-cli: run .ci/sigma")


@pytest.fixture(scope="module")
def plugin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return where the plugin's wheel was unpacked."""
    place = tmp_path_factory.mktemp("plugin")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(place)]
    subprocess.run(command, cwd=SOURCE, check=True, capture_output=True, timeout=120)
    with zipfile.ZipFile(next(place.glob("*.whl"))) as wheel:
        wheel.extractall(place / "unpacked")
    return place / "unpacked"


def sigma(program: Path, plugin: Path, *words: object) -> str:
    environment = {"PATH": os.environ["PATH"], "HOME": str(plugin), "PYTHONPATH": str(plugin), **NO_NETWORK}
    done = subprocess.run(
        [program, *map(str, words)],
        env=environment | {"COLUMNS": "200"},
        cwd=plugin,  # elsewhere a folder named edusoc would be taken for the pipeline
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_only_the_plugin(plugin: Path) -> None:
    names = {path.relative_to(plugin).as_posix() for path in plugin.rglob("*") if path.is_file()}
    own = {name for name in names if ".dist-info/" not in name}
    assert own == {"sigma/pipelines/edusoc/__init__.py", "sigma/pipelines/edusoc/mappings.json"}


def test_it_is_found(program: Path, plugin: Path) -> None:
    assert "edusoc" in sigma(program, plugin, "list", "pipelines")


@pytest.mark.parametrize(
    ("source", "detection", "parts"),
    [
        (
            "{product: windows, category: process_creation}",
            "Image|endswith: '\\\\a.exe'\n  IntegrityLevel: High",
            [
                "event.code:1 AND event.dataset:windows.sysmon",
                "event.code:4688 AND event.dataset:windows.security",
                r"process.executable:*\\a.exe",
                "winlog.event_data.IntegrityLevel:High",
            ],
        ),
        ("{product: zeek, service: dns}", "query: a", ["event.dataset:zeek.dns", "dns.question.name:a"]),
        ("{product: zeek, service: dns}", "trans_id: 5", ["dns.id:5"]),
        ("{category: dns}", "user.name: a", ["packets.dns", "user.name:a"]),
        ("{product: nobody, service: thing}", "x: a", ["nobody.thing", "x:a"]),
    ],
)
def test_convert(
    program: Path, plugin: Path, tmp_path: Path, source: str, detection: str, parts: list[str]
) -> None:
    rule = tmp_path / "some_rule_of_ours.yml"
    rule.write_text(rule_text(f"one:\n  {detection}\ncondition: one", source), encoding="utf-8")
    output = sigma(program, plugin, "convert", "-t", "lucene", "-p", "edusoc", rule)
    assert all(part in output for part in parts), output


def test_all_our_rules_are_converted_and_checked(program: Path, plugin: Path, tmp_path: Path) -> None:
    for path in sorted((ROOT / "rules" / "windows").glob("*.yml")):
        if not path.name.endswith(".samples.yml") and "correlation:" not in path.read_text(encoding="utf-8"):
            (tmp_path / path.name).write_bytes(path.read_bytes())
    rules = list(tmp_path.glob("*.yml"))
    output = sigma(program, plugin, "convert", "-t", "lucene", "-p", "edusoc", "-s", tmp_path)
    assert len(output.splitlines()) >= len(rules) >= 20
    # Two of pySigma's checks fetch lists of tags over the network; our own lint knows the tags.
    left_out = ("-x", "attacktag", "-x", "d3_fendtag")
    checked = sigma(program, plugin, "check", *left_out, "--fail-on-error", tmp_path)
    assert "No rule errors found." in checked or "Found 0 errors" in checked, checked


def test_routes_are_those_of_the_engine() -> None:
    content = json.loads(PLUGIN.read_text(encoding="utf-8"))
    assert len(content["logsources"]) == len(bundled_mappings().entries)
    entry = next(
        one for one in content["logsources"] if one["match"] == {"product": "zeek", "service": "dns"}
    )
    route = bundled_mappings().route(LogSource("zeek", service="dns"))
    assert {name: tuple(places) for name, places in entry["fields"].items()} == {
        name: route.field(name).fields for name in entry["fields"]
    }
