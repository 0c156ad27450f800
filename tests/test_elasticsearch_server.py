"""Hold what the harness for real Elasticsearch promises the tests that use it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from tests import elasticsearch_server
from tests.elasticsearch_server import (
    LOGS,
    Node,
    NodeError,
    free_port,
    log_sections,
    log_tail,
    temporary_directory,
)


@pytest.mark.slow
def test_a_node_keeps_what_it_has_when_killed_and_ends_with_its_block() -> None:
    with Node() as node:
        node.ask("PUT", "/kept/_doc/1?refresh=true", {"a": 1})
        node.kill()
        assert not node.alive
        node.start()
        assert node.ask("GET", "/kept/_count")["count"] == 1
        assert (f"log of {node.directory.name}", log_tail(node.log)) in log_sections(["elasticsearch_url"])
        assert log_sections(["tmp_path"]) == []
        pid, directory = node.pid, node.directory
    assert not directory.exists()
    assert node.log not in LOGS
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


@pytest.mark.slow
def test_a_node_that_does_not_start_says_why() -> None:
    node = Node(settings={"no.such.setting": 1})
    with pytest.raises(NodeError, match=r"no\.such\.setting"):
        node.start()


def test_the_shared_node_answers(elasticsearch_url: str) -> None:
    with urllib.request.urlopen(f"{elasticsearch_url}/_cluster/health") as answer:
        assert json.load(answer)["status"] in {"green", "yellow"}


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
        monkeypatch.setattr(elasticsearch_server, "_PORTS", range(port, port + 1))
        monkeypatch.setattr(elasticsearch_server._CHANCE, "sample", lambda ports, _number: list(ports))
        with pytest.raises(NodeError, match="no free port"):
            free_port()
    assert free_port() == port
    with pytest.raises(NodeError, match="no free port"):
        free_port()


def test_directories_of_killed_runs_are_removed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(elasticsearch_server, "_TEMPORARY", tmp_path)
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    (tmp_path / f"edusoc-test-{process.pid}-node1-x" / "data").mkdir(parents=True)
    (tmp_path / "edusoc-of-others").mkdir()
    elasticsearch_server._remove_orphans.cache_clear()
    made = temporary_directory("ours-")
    assert sorted(tmp_path.iterdir()) == sorted([made, tmp_path / "edusoc-of-others"])
