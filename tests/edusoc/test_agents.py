"""The commands for agents do what they say and explain what is wrong, in the user's language."""

from __future__ import annotations

from pathlib import Path

import orjson
import pytest

from edusoc import cli
from edusoc.commands.agents import duration
from edusoc.composition import open_database
from edusoc.identity import intake_identity
from intake.agents import repository
from intake.agents.model import Agent, Source, SourceHealth
from soc_core.clock import format_instant, utc_now
from soc_core.config import Settings
from soc_core.errors import UsageError
from soc_core.organisations.networks import list_networks
from soc_core.uplink.enrolment import EnrolmentCode

UNITS = "code,name,level,parent_code\nC,某县,county,\nS1,一小,school,C\nS2,二小,school,C\n"


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EDUSOC_LANGUAGE", "zh")
    units = tmp_path / "units.csv"
    units.write_text(UNITS, encoding="utf-8")
    directory = tmp_path / "state"
    assert cli.main(["organisations", "import", str(units), "--state", str(directory)]) == 0
    return directory


def run(state: Path, capsys: pytest.CaptureFixture[str], *words: str, code: int = 0) -> str:
    capsys.readouterr()
    assert cli.main(["agents", *words, "--state", str(state)]) == code
    captured = capsys.readouterr()
    return captured.out if not code else captured.err


def enrolled(state: Path, code: str) -> Agent:
    settings = Settings(state=str(state))
    database = open_database(settings)
    now = utc_now()
    asked = Agent("", "机房", "", "", "ed25519:" + "A" * 43 + "=")
    with database.write() as connection:
        agent = repository.enrol(connection, EnrolmentCode.parse(code).secret_hash, asked, now=now)
        assert agent is not None
        source = Source(agent.id, "防火墙", "syslog_udp", SourceHealth.OK, format_instant(now))
        repository.put_source(connection, source)
        repository.count_senders(connection, agent.id, {("edunet", "10.3.0.7"): 5}, now=now)
    database.close()
    return agent


def test_a_code_names_our_certificate_and_how_it_is_used(
    state: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said = run(state, capsys, "code", "--organisation", "S1")
    assert "edusoc enrol --centre https://127.0.0.1:8601 --code" in said
    row = orjson.loads(run(state, capsys, "code", "--organisation", "S1", "--json"))
    code = EnrolmentCode.parse(row["code"])
    assert code.fits(intake_identity(Settings(state=str(state))).certificate)


def test_an_agents_life(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "还没有采集代理" in run(state, capsys, "list")
    words = ["code", "--organisation", "C", "--below", "--zone", "edunet", "--json"]
    agent = enrolled(state, orjson.loads(run(state, capsys, *words))["code"])
    assert "机房" in run(state, capsys, "list")
    [row] = map(orjson.loads, run(state, capsys, "list", "--json").splitlines())
    assert (row["condition"], row["below"], row["sources"][0]["name"]) == ("waiting", True, "防火墙")
    assert "防火墙" in run(state, capsys, "show", "机房")
    assert orjson.loads(run(state, capsys, "show", agent.id, "--json"))["epochs"] == []
    run(state, capsys, "silence", "机房", "防火墙", "2h")
    shown = orjson.loads(run(state, capsys, "show", "机房", "--json"))
    assert shown["sources"][0]["limit_seconds"] == 7_200
    run(state, capsys, "quota", "机房", "--events-per-second", "5")
    assert "指令 1 已签名" in run(state, capsys, "order", "机房", "packets", "address=10.3.0.7")
    [order] = map(orjson.loads, run(state, capsys, "orders", "机房", "--json").splitlines())
    assert (order["number"], order["state"]) == (1, "waiting")
    assert "10.3.0.7" in run(state, capsys, "senders")
    run(state, capsys, "assign", "机房", "10.3.0.0/16", "S2")
    assert "没有未知发送者" in run(state, capsys, "senders")
    database = open_database(Settings(state=str(state)))
    with database.read() as connection:
        [network] = list_networks(connection)
        assert (network.zone, network.network) == ("edunet", "10.3.0.0/16")
        assert repository.need_agent(connection, "机房").events_per_second == 5
    database.close()
    run(state, capsys, "revoke", "机房")
    assert "已吊销" in run(state, capsys, "list")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("code", "--organisation", "S9"), "没有单位使用编号"),
        (("code", "--organisation", "S1", "--valid", "soon"), "不是时间长度"),
        (("code", "--organisation", "S1", "--valid", "91d"), "90 天"),
        (("show", "nobody"), "没有名为“nobody”的采集代理"),
        (("order", "nobody", "packets", "x"), "名=值"),
    ],
)
def test_what_is_wrong_is_explained(
    state: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], said: str
) -> None:
    assert said in run(state, capsys, *words, code=2)


def test_assigning_needs_a_unit_the_key_covers(state: Path, capsys: pytest.CaptureFixture[str]) -> None:
    enrolled(state, orjson.loads(run(state, capsys, "code", "--organisation", "S1", "--json"))["code"])
    assert "不能代表这个单位" in run(state, capsys, "assign", "机房", "10.3.0.0/16", "S2", code=2)
    assert "不是网段" in run(state, capsys, "assign", "机房", "10.3.0.0/99", "S1", code=2)


@pytest.mark.parametrize("text", ["", "0h", "1w", "h", "1.5h", "9999999d"])
def test_lengths_of_time(text: str) -> None:
    with pytest.raises(UsageError):
        duration(text)


def test_the_address_plan_is_exported(
    state: Path, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    plan = tmp_path / "plan.csv"
    plan.write_text("organisation_code,network,zone,valid_from\nS1,10.1.0.0/16,edunet,2026-09-01\n")
    out = tmp_path / "out.csv"
    for words in (["import", str(plan)], ["export", str(out)], ["import", str(out)]):
        assert cli.main(["organisations", *words, "--state", str(state)]) == 0
    assert out.read_text(encoding="utf-8-sig").splitlines()[1] == "S1,edunet,10.1.0.0/16,2026-09-01,"
    assert "网段 1 个" in capsys.readouterr().out
