"""``edusoc store health``, ``setup`` and ``migrate``, and every command on Elasticsearch, as people use them."""

from __future__ import annotations

import dataclasses
import os
import re
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from benchmarks.durability import ROOT, UNIT, UNITS
from edusoc.cli import main
from edusoc.composition import cursor_name, open_database
from intake.pipeline import read_cursor, set_cursor
from soc_core.config import Settings
from tests.contract.elasticsearch_places import new_prefix
from tests.elasticsearch_security import PREFIX, Secured
from tests.elasticsearch_server import free_port

LOG = str(ROOT / "pcaps" / "logs" / "linux_server" / "auth.log")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    state = tmp_path / "state"
    assert main(["organisations", "import", str(UNITS), "--state", str(state)]) == 0
    return state


def use(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    """Set what differs from the usual in the environment, as an installation does."""
    for item in dataclasses.fields(Settings):
        if item.name.startswith("elasticsearch_") and getattr(settings, item.name) != item.default:
            monkeypatch.setenv(f"EDUSOC_{item.name.upper()}", str(getattr(settings, item.name)))


@pytest.fixture
def on_elasticsearch(elasticsearch_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """Return the settings of a prefix of one's own, which are in the environment too."""
    with new_prefix(elasticsearch_url) as prefix:
        settings = Settings(
            elasticsearch_url=elasticsearch_url, elasticsearch_prefix=prefix, elasticsearch_replicas=0
        )
        use(monkeypatch, settings)
        yield settings


def run(words: list[str], state: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> Any:
    capsys.readouterr()
    assert main([*words, "--state", str(state), "--json"]) == code
    return orjson.loads(capsys.readouterr().out)


def lines(words: list[str], state: Path, capsys: pytest.CaptureFixture[str], code: int = 0) -> list[str]:
    capsys.readouterr()
    assert main([*words, "--state", str(state)]) == code
    return sorted(capsys.readouterr().out.splitlines())


def import_log(state: Path, capsys: pytest.CaptureFixture[str]) -> Any:
    return run(["import", LOG, "--organisation", UNIT], state, capsys)


def test_every_command_gives_the_same_on_elasticsearch(
    state: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    elasticsearch_url: str,
) -> None:
    asked = (
        ["store", "stats"],
        ["search", "event.outcome: failure", "--from", "2020-01-01", "--count"],
        ["search", "sshd and not user.name: root", "--from", "2020-01-01", "--limit", "7"],
        ["rules", "blind"],
        ["store", "verify"],
        ["store", "health"],
    )
    here = [import_log(state, capsys), *(lines(words, state, capsys) for words in asked)]
    assert here[0]["detections"] > 0
    other = tmp_path / "other"
    for name in state.glob("state.sqlite*"):
        other.mkdir(exist_ok=True)
        (other / name.name).write_bytes(name.read_bytes())
    with new_prefix(elasticsearch_url) as prefix:
        use(
            monkeypatch,
            Settings(
                elasticsearch_url=elasticsearch_url, elasticsearch_prefix=prefix, elasticsearch_replicas=0
            ),
        )
        there = [import_log(other, capsys), *(lines(words, other, capsys) for words in asked)]
        again = import_log(other, capsys)
    assert there == here
    assert (again["accepted"], again["duplicates"]) == (0, here[0]["accepted"])


def test_migrating_there_and_back(
    state: Path,
    capsys: pytest.CaptureFixture[str],
    on_elasticsearch: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("EDUSOC_ELASTICSEARCH_URL")
    imported = import_log(state, capsys)
    held = lines(["store", "stats"], state, capsys)
    embedded = dataclasses.replace(on_elasticsearch, state=str(state), elasticsearch_url="")
    distributed = dataclasses.replace(on_elasticsearch, state=str(state))
    half = imported["accepted"] // 2
    database = open_database(embedded)
    with database.write() as connection:
        set_cursor(connection, cursor_name(embedded), half)
    assert run_error(["store", "migrate", "--to", "elasticsearch"], state, capsys).startswith(
        "edusoc: 没有设置 Elasticsearch 的地址；"
    )
    use(monkeypatch, on_elasticsearch)
    moved = run(["store", "migrate", "--to", "elasticsearch"], state, capsys)
    assert (moved["accepted"], moved["rejected"], moved["findings"]) == (imported["accepted"], 0, [])
    with database.read() as connection:
        assert read_cursor(connection, cursor_name(embedded)) == half
        assert read_cursor(connection, cursor_name(distributed)) == moved["cursor"]
    assert lines(["store", "stats"], state, capsys) == held
    examined = import_log(state, capsys)  # nothing new: the detectors go on where they were
    assert examined["accepted"] == 0
    assert 0 < examined["detections"] <= imported["detections"]
    (state / "events").rename(state / "events-before")
    back = run(["store", "migrate", "--to", "embedded"], state, capsys)
    assert (back["accepted"], back["findings"]) == (imported["accepted"], [])
    assert back["cursor"] == imported["accepted"]
    monkeypatch.delenv("EDUSOC_ELASTICSEARCH_URL")
    assert lines(["store", "stats"], state, capsys) == held
    database.close()


def run_error(words: list[str], state: Path, capsys: pytest.CaptureFixture[str], code: int = 2) -> str:
    capsys.readouterr()
    assert main([*words, "--state", str(state)]) == code
    return capsys.readouterr().err


def test_says_in_words_that_elasticsearch_is_not_there(
    state: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_ELASTICSEARCH_URL", f"http://127.0.0.1:{free_port()}")
    health = run(["store", "health"], state, capsys, 1)
    assert health["state"] == "down"
    assert "连不上 Elasticsearch；请检查 Elasticsearch 是否在运行" in health["reasons"][0]
    for words in (
        ["store", "stats"],
        ["search", "x"],
        ["import", LOG, "--organisation", UNIT],
        ["store", "setup"],
    ):
        assert "连不上 Elasticsearch；" in run_error(words, state, capsys, 3)
    monkeypatch.setenv("EDUSOC_LANGUAGE", "en")
    assert "can't be reached — check that" in run_error(["store", "stats"], state, capsys, 3)


@pytest.mark.slow
def test_the_console_serves_while_elasticsearch_is_away(state: Path) -> None:
    """Who looks after alerts goes on; what is said at the start is what is wrong."""
    environment = {
        **os.environ,
        "EDUSOC_ELASTICSEARCH_URL": f"http://127.0.0.1:{free_port()}",
        "EDUSOC_LANGUAGE": "zh",
    }
    words = [
        sys.executable,
        "-m",
        "edusoc",
        "serve",
        "--port",
        "0",
        "--intake-port",
        "0",
        "--state",
        str(state),
    ]
    with subprocess.Popen(
        words, env=environment, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        assert server.stderr is not None
        try:
            found = re.search(r"http://[0-9.:]+", server.stdout.readline())
            assert found is not None
            with urllib.request.urlopen(f"{found.group()}/login") as page:
                assert page.status == 200
        finally:
            server.terminate()
        said = server.stderr.read()
    assert "存储：不可用" in said
    assert "连不上 Elasticsearch；" in said


def test_nothing_to_set_up_or_migrate(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "没有需要设置的" in run_error(["store", "setup"], state, capsys)
    assert "不能迁移到自身" in run_error(
        ["store", "migrate", "--to", "embedded", "--from", "embedded"], state, capsys
    )


def test_set_up_says_what_it_did(
    state: Path, capsys: pytest.CaptureFixture[str], on_elasticsearch: Settings
) -> None:
    assert run(["store", "setup"], state, capsys) == {
        "copies": [],
        "merging": [],
        "lifecycle": False,
        "snapshots": False,
    }
    assert "这个 Elasticsearch 没有 ILM，不需要时可以忽略" in lines(["store", "setup"], state, capsys)


@pytest.mark.slow
def test_with_tls_and_a_user(
    state: Path,
    capsys: pytest.CaptureFixture[str],
    secured_elasticsearch: Secured,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A user with the privileges of the documentation does all; one who may only read is told what is missing."""
    use(monkeypatch, secured_elasticsearch.settings("writer"))
    assert import_log(state, capsys)["accepted"] > 300
    assert lines(["store", "health"], state, capsys) == ["存储：正常"]
    lines(["store", "setup"], state, capsys)
    held = lines(["store", "stats"], state, capsys)
    use(monkeypatch, secured_elasticsearch.settings("reader"))
    assert lines(["store", "stats"], state, capsys) == held
    health = run(["store", "health"], state, capsys, 1)
    assert health["state"] == "read_only"
    assert "Elasticsearch 用户缺少索引权限 write；请把它加到该用户的角色里" in health["reasons"][-2]
    said = run_error(["import", LOG, "--organisation", UNIT], state, capsys)
    assert "Elasticsearch 用户缺少" in said
    assert secured_elasticsearch.passwords["reader"] not in said
    use(monkeypatch, secured_elasticsearch.settings("writer", elasticsearch_password="guessed"))
    assert "Elasticsearch 不接受这个用户、口令或密钥" in run_error(["store", "stats"], state, capsys)
    assert PREFIX not in said.partition("；")[2]
