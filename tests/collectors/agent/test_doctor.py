"""Hold that ``edusoc doctor`` finds what is wrong and says in Chinese what to do."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import orjson
import pytest

from collectors.agent.aside import Aside
from collectors.agent.checks import check_all
from collectors.agent.configuration import load_configuration
from collectors.agent.finding import Check
from collectors.agent.joining import Wish, join
from collectors.agent.looking import Machine
from collectors.agent.status import FILE
from edusoc import cli
from edusoc.commands.doctor import todo, what
from soc_core.clock import format_instant
from soc_core.model.event import BadRecord
from soc_core.system import port_holder
from tests.collectors.agent import agent_files
from tests.collectors.agent.centre import Centre
from tests.collectors.agent.helpers import NOW, TCP

CHINESE = re.compile("[\u4e00-\u9fff]")


class SmallDisk(Machine):
    """A machine whose disk is nearly full."""

    @staticmethod
    def free_bytes(directory: Path) -> int:
        return 1 << 20


@pytest.fixture
def centre(tmp_path: Path) -> Iterator[Centre]:
    with Centre(tmp_path / "centre") as running:
        yield running


@pytest.fixture
def config(tmp_path: Path, centre: Centre) -> Path:
    return agent_files.write(tmp_path, centre.url)


def found(config: Path, machine: Machine | None = None) -> dict[str, Check]:
    checks = list(check_all(load_configuration(config), NOW, machine or Machine()))
    for check in checks:
        assert CHINESE.search(what(check)), check.key
        assert check.level == "ok" or CHINESE.search(todo(check)), check.key
    return {check.key: check for check in checks}


def write_status(config: Path, **changes: object) -> None:
    state = load_configuration(config).state
    state.mkdir(exist_ok=True)
    source = {
        "name": "devices",
        "kind": "syslog",
        "last": format_instant(NOW),
        "fault": "",
        "counters": {"stored": 5},
    }
    source |= changes.pop("source", {})  # type: ignore[call-overload, operator] # a mapping
    beat = {
        "memory": 50 << 20,
        "waiting": 3,
        "waiting_bytes": 1 << 20,
        "oldest": "",
        "shed": {},
        "sources": [source],
    }
    beat |= changes.pop("beat", {})  # type: ignore[call-overload, operator] # a mapping
    status = {
        "at": format_instant(NOW),
        "running": True,
        "pid": os.getpid(),
        "clock_known": True,
        "clock_offset_ms": 5,
        "conditions": {"devices": {"state": "running"}},
        "heartbeat": beat,
    }
    (state / FILE).write_bytes(orjson.dumps({**status, **changes}))


def test_a_joined_agent_that_is_well(centre: Centre, config: Path, tmp_path: Path) -> None:
    join(Wish(centre.url, centre.code), tmp_path / "state", "1.0")
    write_status(config)
    checks = found(config)
    assert {key for key, item in checks.items() if item.level != "ok"} == {"no_inputs"}
    assert {"reached", "joined", "running", "clock_right", "waiting", "input", "disk"} <= checks.keys()


def test_trouble_that_the_agent_told(config: Path) -> None:
    old = format_instant(NOW - timedelta(hours=5))
    write_status(
        config,
        clock_offset_ms=-90_000_000,
        link={"trouble": "the centre refuses: the key was revoked", "since": old},
        beat={"oldest": old, "shed": {"zeek.conn": 7}},
        source={"last": old, "counters": {"dropped": 9, "refused": 2}},
    )
    checks = found(config)
    wrong = {"clock", "link_told", "waiting_long", "shed", "input_quiet", "kernel_drops", "input_refused"}
    assert wrong <= checks.keys()
    assert checks["clock"].values == {"seconds": 90_000}
    assert "密钥" in todo(checks["link_told"])


def test_an_input_that_does_not_run_and_a_dead_agent(config: Path) -> None:
    fault = "can't listen on 0.0.0.0:514: Permission denied"
    write_status(config, conditions={"devices": {"state": "waiting"}}, source={"fault": fault})
    assert found(config)["input_failed"].values == {"name": "devices", "reason": fault}
    write_status(config, pid=2**22 + 1)
    assert "died" in found(config)
    write_status(config, running=False)
    assert "not_running" in found(config)


def test_links_that_lead_nowhere(centre: Centre, config: Path, tmp_path: Path) -> None:
    assert "not_joined" in found(config)
    join(Wish(centre.url, centre.code), tmp_path / "state", "1.0")
    with Centre(tmp_path / "other") as other:
        config.write_text(config.read_text().replace(centre.url, other.url))
        assert "link_certificate" in found(config)
    assert "link_link" in found(config)
    (tmp_path / "state" / "identity.json").write_text("{}")
    assert "link_broken" in found(config)


def test_ports_files_and_disk(config: Path, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        text = f'[[inputs]]\nname = "one"\nkind = "syslog"\ntcp = "127.0.0.1:{port}"\n'
        text += '[[inputs]]\nname = "two"\nkind = "syslog"\nudp = "192.0.2.77:9514"\n'
        text += f'[[inputs]]\nname = "three"\nkind = "files"\npaths = ["{tmp_path}/none/*.log"]\n'
        config.write_text(config.read_text().replace("reserve_mb = 0", "reserve_mb = 1") + text)
        checks = found(config, SmallDisk())
        assert checks["port_taken"].values["pid"] == os.getpid()
        assert port_holder("tcp", port)[0] == os.getpid()
    assert "port_broken" in checks
    assert checks["no_files"].values["input"] == "three"
    assert "disk_short" in checks


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another account")
def test_what_root_may_read_says_nothing(config: Path, tmp_path: Path) -> None:
    state, log = tmp_path / "state", tmp_path / "secret.log"
    state.mkdir()
    log.write_text("x")
    log.chmod(0o600)
    config.write_text(config.read_text() + f'[[inputs]]\nkind = "files"\npaths = ["{log}"]\n')
    assert "file_denied" not in found(config)
    os.chown(state, 65_534, 65_534)
    for folder in (tmp_path, tmp_path.parent):
        folder.chmod(0o755)
    assert found(config)["file_denied"].values["path"] == str(log)
    assert os.geteuid() == 0


def test_bad_records_are_shown(config: Path, tmp_path: Path) -> None:
    aside = Aside(tmp_path / "state" / "aside", 0, lambda: NOW)
    aside.keep([BadRecord("udp", 5, 0, "no syslog header (time and host)", b"\x00\xff garbage")] * 500, TCP)
    aside.close()
    check = found(config)["bad_record"]
    assert check.values["reason"] == "no syslog header (time and host)"
    assert "没有 syslog 头" in what(check)


def test_the_command_says_it_and_fails(
    config: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    assert cli.main(["doctor", "--config", str(config)]) == 1
    said = capsys.readouterr().out
    assert "✗ 设置了中心" in said
    assert "请这样做：" in said
    assert cli.main(["doctor", "--config", str(config), "--json"]) == 1
    rows = orjson.loads(capsys.readouterr().out)
    assert {"level", "check", "what", "todo", "values"} == set(rows[0])
    config.write_text("nonsense")
    assert cli.main(["doctor", "--config", str(config)]) == 1
    assert f"{config}:1" in capsys.readouterr().out
