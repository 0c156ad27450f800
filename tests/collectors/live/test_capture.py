"""Packets of a live interface: the same flows and messages as from the file that is replayed, none lost."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest

from collectors.live.capture import build
from collectors.live.options import Options
from collectors.reading import collect, read_paths
from soc_core.errors import UsageError
from soc_core.model.event import Event
from tests.needs import need

PCAPS = Path(__file__).parents[3] / "pcaps"


def need_namespace() -> list[str]:
    """Return what runs a program in a network namespace of its own."""
    command = ["unshare", "-rn"]
    works = (
        shutil.which("unshare")
        and subprocess.run([*command, "ip", "link"], check=False, capture_output=True).returncode == 0
    )
    return need(
        "namespaces", command if works else None, "no network namespaces: unshare -rn does not work here"
    )


def replay(capture: Path, directory: Path) -> Any:
    command = [
        *need_namespace(),
        sys.executable,
        "-m",
        "tests.collectors.live.capture_child",
        str(capture),
        str(directory),
    ]
    done = subprocess.run(command, check=False, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    return orjson.loads(done.stdout)


def totals(events: list[Event]) -> Counter[tuple[object, ...]]:
    """Return packets and bytes by session: live records are cut at other times."""
    found: Counter[tuple[object, ...]] = Counter()
    for event in events:
        if event["event.dataset"] == "packets.flow":
            key = (event.get("network.community_id"), event.get("network.transport"))
            found[(*key, "packets")] += int(str(event["network.packets"]))
            found[(*key, "bytes")] += int(str(event["network.bytes"]))
    return found


def messages(events: list[Event]) -> Counter[tuple[object, ...]]:
    names = (
        "event.dataset",
        "network.community_id",
        "dns.question.name",
        "url.original",
        "tls.client.server_name",
    )
    return Counter(
        tuple(str(event.get(name, "")) for name in names)
        for event in events
        if event["event.dataset"] != "packets.flow"
    )


@pytest.mark.parametrize(
    "name",
    [
        "cleartext_password.pcap",
        "vlan.pcap.gz",
        "tunnels.pcap.gz",
        "ipv6.pcap.gz",
        "webshell.pcapng",
    ],
)
def test_live_and_file_agree(name: str, tmp_path: Path) -> None:
    live = replay(PCAPS / name, tmp_path / "kept")
    wanted, statistics = collect(read_paths([str(PCAPS / name)]))
    assert totals(live["events"]) == totals(wanted)
    assert messages(live["events"]) == messages(wanted)
    counters = live["counters"]
    assert counters["packets"] == live["sent"] == statistics.counters["packets"]
    for part in ("packets_in_flows", "packets_non_ip", "packets_malformed"):
        assert counters.get(part, 0) == statistics.counters.get(part, 0)
    assert "dropped" not in counters
    assert len({event["event.id"] for event in live["events"]}) == len(live["events"])
    again, kept = collect(read_paths([str(tmp_path / "kept")]))
    assert totals(again) == totals(wanted)
    assert kept.counters["packets"] == live["sent"]


@pytest.mark.parametrize(
    ("table", "named"),
    [
        ({}, "interface"),
        ({"interface": "eth0", "ring_megabytes": 1}, "ring_megabytes"),
        ({"interface": "eth0", "keep_megabytes": 5}, "keep_megabytes"),
        ({"interface": "eth0", "promiscuous": "yes"}, "promiscuous"),
        ({"interface": "eth0", "filter": "tcp"}, "filter"),
    ],
)
def test_a_wrong_setting_is_named(table: dict[str, object], named: str, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=f"'{named}'"):
        build("mirror", Options(table, "agent.toml: inputs 'mirror'", tmp_path))


def test_a_missing_interface_is_said() -> None:
    command = [
        *need_namespace(), sys.executable, "-c",
        "import threading; from collectors.live.capture import CaptureInput, Settings\n"
        "from tests.collectors.live.outlets import Kept\n"
        "try: CaptureInput('m', Settings('none0')).run(Kept(), threading.Event())\n"
        "except Exception as error: print(type(error).__name__, error)\n",
    ]  # fmt: skip
    done = subprocess.run(command, check=False, capture_output=True, timeout=120, text=True)
    assert "UsageError" in done.stdout
    assert "none0" in done.stdout
    assert "ip link" in done.stdout
