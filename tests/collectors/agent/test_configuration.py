"""Hold that a wrong configuration names the line and the remedy, and a right one says what is meant."""

from __future__ import annotations

from pathlib import Path

import pytest

from collectors.agent.configuration import load_configuration, managed_path, with_managed
from collectors.agent.template import write_configuration
from soc_core.errors import UsageError

RIGHT = """\
[agent]
name = "机房探针"
state = "STATE"
zone = "校园网"

[centre]
url = "https://centre.example:8601"
rate_kb = 200
window = "22:00-06:00"

[spool]
size_mb = 100

[orders]
action = true
never_block = ["10.0.0.1", "10.1.0.0/16"]

[[inputs]]
name = "设备"
kind = "syslog"
udp = "127.0.0.1:5514"

[[inputs]]
name = "second"
kind = "syslog"
tcp = "127.0.0.1:5514"
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "agent.toml"
    path.write_text(text.replace("STATE", str(folder / "state")), encoding="utf-8")
    return path


def test_a_right_configuration(tmp_path: Path) -> None:
    found = load_configuration(written(tmp_path, RIGHT))
    assert found.name == "机房探针"
    assert found.place.zone == "校园网"
    assert found.centre is not None
    assert found.centre.url == "https://centre.example:8601"
    assert (found.plan.bytes_per_second, found.plan.window.begin.hour) == (204_800, 22)
    assert found.spool.size == 100 << 20
    assert found.orders.action
    assert not found.orders.packets
    assert found.orders.never_block == ("10.0.0.1", "10.1.0.0/16")
    assert [item.name for item in found.inputs] == ["设备", "second"]
    assert found.privacy is None


WRONG = [
    ('name = "机房探针"', "name = 机房探针", 2, "quotation marks"),
    ('name = "机房探针"', "name = “机房探针”", 2, "full-width"),
    ('name = "机房探针"', 'name = "C:\\logs"', 2, "single quotes"),
    ('name = "机房探针"', "name = 5", 2, 'write name = "…"'),
    ('zone = "校园网"', 'zoen = "校园网"', 4, "known are"),
    ('zone = "校园网"', 'time_zone = "Mars/Base"', 4, "Asia/Shanghai"),
    ("[spool]", "[spoool]", 11, "known are"),
    ("size_mb = 100", 'size_mb = "100"', 12, "whole number"),
    ("size_mb = 100", "size_mb = 1", 12, "from 16"),
    ("rate_kb = 200", "rate_kb = 200\nrate_kb = 300", 9, "used before"),
    ('window = "22:00-06:00"', 'window = "nights"', 9, "22:00-06:00"),
    ('"10.0.0.1"', '"10.0.0.1.5"', 16, "never_block"),
    ("action = true", 'action = "yes"', 15, "true or"),
    ('kind = "syslog"\ntcp', 'kind = "sislog"\ntcp', 23, "known are: "),
    ('tcp = "127.0.0.1:5514"', 'tcp = "127.0.0.1:99999"', 26, "0.0.0.0:514"),
    ('tcp = "127.0.0.1:5514"', 'tpc = "127.0.0.1:5514"', 26, "known are"),
    ('name = "second"', 'name = "设备"', 24, "name of its own"),
    ('name = "second"', 'name = "a/b"', 24, "use letters"),
    ("[[inputs]]\nname = \"second\"", "[[inputs]\nname = \"second\"", 23, "brackets"),
]  # fmt: skip


@pytest.mark.parametrize(("right", "wrong", "line", "remedy"), WRONG, ids=[item[1][:30] for item in WRONG])
def test_what_is_wrong_names_line_and_remedy(
    tmp_path: Path, right: str, wrong: str, line: int, remedy: str
) -> None:
    assert right in RIGHT
    path = written(tmp_path, RIGHT.replace(right, wrong, 1))
    with pytest.raises(UsageError) as fault:
        load_configuration(path)
    assert fault.value.where == f"{path}:{line}"
    assert remedy in fault.value.todo


@pytest.mark.parametrize("content", [b"\xff\xfe[agent]", b"\xc0\xc0"])
def test_other_encodings_are_told(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "agent.toml"
    path.write_bytes(content)
    with pytest.raises(UsageError, match="UTF-8"):
        load_configuration(path)


def test_a_missing_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="edusoc enrol"):
        load_configuration(tmp_path / "none.toml")


def test_the_first_configuration_is_right(tmp_path: Path) -> None:
    path = tmp_path / "etc" / "agent.toml"
    write_configuration(path, "https://centre.example:8601", '机房"探针\\', "", tmp_path / "state")
    found = load_configuration(path)
    assert found.name == '机房"探针\\'
    assert found.state == tmp_path / "state"
    assert found.privacy == {}
    assert [item.kind for item in found.inputs] == ["syslog"]


@pytest.mark.parametrize(
    ("managed", "names", "trouble"),
    [
        (
            '[[inputs]]\nname = "third"\nkind = "syslog"\nudp = "[::1]:99999"\n',
            ["设备", "second"],
            "no address",
        ),
        ('[[inputs]]\nname = "third"\nkind = "syslog"\nudp = "[::1]:0"\n', ["设备", "second", "third"], ""),
        ('[[inputs]]\nname = "second"\nkind = "syslog"\nudp = "[::1]:0"\n', ["设备", "second"], "second"),
        ('[centre]\nurl = "https://evil.example"\n', ["设备", "second"], "unknown"),
        ("nonsense", ["设备", "second"], "TOML"),
    ],
)
def test_the_managed_part_adds_inputs_and_hinders_nobody(
    tmp_path: Path, managed: str, names: list[str], trouble: str
) -> None:
    configuration = load_configuration(written(tmp_path, RIGHT))
    configuration.state.mkdir()
    managed_path(configuration.state).write_text(managed)
    found, told = with_managed(configuration)
    assert [item.name for item in found.inputs] == names
    assert trouble in told
    assert bool(trouble) == bool(told)
