"""Share the whole suite between processes (pytest-xdist): each takes a file after the other, the longest first.

Many tests wait: for processes they kill, for disks, for nodes that find each other. Two of them wait better than one,
even on two cores. The real servers that most ask are started once, by the process that hands out the files.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import pytest

from tests import elasticsearch_server, postgresql_server
from tests.elasticsearch_server import LOGS, Node
from tests.postgresql_server import Server

TOGETHER: Final[Sequence[Sequence[str]]] = (
    ("tests/contract/test_cluster.py",),
    # One demo for both.
    ("tests/e2e/test_demo.py", "tests/soc_core/store/elasticsearch/kibana/test_on_demo.py"),
    ("tests/e2e/test_agents.py",),
    ("tests/conformance/test_sigma_paths.py",),
    ("tests/rules/test_stores.py",),
    ("tests/conformance/test_sigma_conversion.py",),
    ("tests/e2e/test_sigma_latency.py",),
    # One cluster with users, whose settings some change.
    (
        "tests/soc_core/store/elasticsearch/test_health.py",
        "tests/soc_core/store/elasticsearch/test_client.py",
        "tests/soc_core/store/elasticsearch/test_reader.py",
        "tests/edusoc/test_cluster.py",
    ),
)
"""The files that run for long, longest first; those named together run in one process, for what they share."""
MOST: Final = 4
HEAP_MB: Final = 2_560
"""What thousands of questions to the shared Elasticsearch need, and the expressions of a thousand rules."""
_NUMBER: Final = {name: number for number, names in enumerate(TOGETHER) for name in names}
_SHARES: Final = pytest.StashKey[bool]()
_SERVERS: Final = pytest.StashKey["Servers"]()


def group_of(node_id: str) -> str:
    """Return the name of what runs in one process with a test."""
    file = node_id.partition("::")[0]
    return f"group {_NUMBER[file]}" if file in _NUMBER else file


def longest_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """Return tests in the order in which files are handed out, so that none of the long ones is left for the end."""
    return sorted(items, key=lambda item: _NUMBER.get(item.nodeid.partition("::")[0], len(TOGETHER)))


def wanted(config: pytest.Config) -> int:
    """Return how many processes shall share the tests: several for the whole suite, unless something else is asked.

    Some chosen tests are done before other processes would have started; a debugger and ``-s`` need the one terminal.
    """
    option = config.option
    whole = (
        config.args_source is pytest.Config.ArgsSource.TESTPATHS
        and not option.keyword
        and not option.markexpr
    )
    alone = option.usepdb or option.trace or option.collectonly or option.capture == "no"
    return max(2, min(MOST, os.cpu_count() or 1)) if whole and not alone else 0


class Servers:
    """Run the servers that all processes share, where they are installed."""

    def __init__(self) -> None:
        """Start them. Elasticsearch takes long: it is waited for when the tests have been collected."""
        self._node: Node | None = None
        self._database: Server | None = None
        if elasticsearch_server.home() and not os.environ.get("EDUSOC_TEST_ELASTICSEARCH_URL"):
            self._node = Node(heap_mb=HEAP_MB).start(wait=False)
        if postgresql_server.binaries() and not os.environ.get("EDUSOC_TEST_POSTGRESQL_URL"):
            self._database = Server().start()

    def told(self) -> dict[str, str]:
        """Return what the other processes need to use them."""
        node = (
            {"elasticsearch_url": self._node.url, "elasticsearch_log": str(self._node.log)}
            if self._node
            else {}
        )
        return node | ({"postgresql_url": self._database.url} if self._database else {})

    def wait(self) -> None:
        """Wait until all answer."""
        if self._node:
            self._node.wait()

    def stop(self) -> None:
        """End them and remove what they kept."""
        for server in (self._node, self._database):
            if server:
                server.__exit__(None, None, None)


def told(config: pytest.Config, name: str) -> str:
    """Return what the process that hands out the tests told about its servers; nothing when this one is alone."""
    return str(getattr(config, "workerinput", {}).get(name, ""))


@pytest.fixture(scope="session")
def postgresql_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """Return the address, password included, of a PostgreSQL server on which tests make databases."""
    given = os.environ.get("EDUSOC_TEST_POSTGRESQL_URL", "") or told(pytestconfig, "postgresql_url")
    if given:
        yield given
        return
    with Server() as server:
        yield server.url


@pytest.fixture(scope="session")
def elasticsearch_url(pytestconfig: pytest.Config) -> Iterator[str]:
    """Return the address of an Elasticsearch that all tests share: each takes an index prefix of its own."""
    given = os.environ.get("EDUSOC_TEST_ELASTICSEARCH_URL", "") or told(pytestconfig, "elasticsearch_url")
    if given:
        LOGS.update(map(Path, filter(None, [told(pytestconfig, "elasticsearch_log")])))
        yield given
        return
    with Node(heap_mb=HEAP_MB) as node:
        yield node.url


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Decide on processes before pytest-xdist does, unless it is off (``-p no:xdist``) or told how many (``-n``)."""
    option = config.option
    if not config.pluginmanager.hasplugin("xdist") or hasattr(config, "workerinput"):
        return
    if option.numprocesses is None and not option.tx and wanted(config):
        option.numprocesses = wanted(config)
        config.stash[_SHARES] = True
    if option.numprocesses and option.dist == "no":
        option.dist, option.loadscopereorder = "loadfile", False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out groups of files instead of files."""
    if config.option.dist != "loadfile":
        return None
    from xdist.scheduler import LoadFileScheduling

    class Grouped(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            return group_of(nodeid)

    return Grouped(config, log)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config) -> None:
    """Start the shared servers before the other processes."""
    if config.stash.get(_SHARES, False):
        config.stash[_SERVERS] = servers = Servers()
        config.add_cleanup(servers.stop)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a process of the shared servers."""
    if _SERVERS in node.config.stash:
        node.workerinput |= node.config.stash[_SERVERS].told()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_node_collection_finished(node: Any) -> None:
    """Give out no test before the servers answer."""
    if _SERVERS in node.config.stash:
        node.config.stash[_SERVERS].wait()


def pytest_unconfigure() -> None:
    """Leave nothing behind."""
    elasticsearch_server.remove_directories()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put long files first, where files are handed out."""
    if hasattr(config, "workerinput"):
        items[:] = longest_first(items)
