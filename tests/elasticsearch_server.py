"""Start real Elasticsearch nodes for tests: on free loopback ports, in temporary directories, as an ordinary user.

``Node`` is one process, ``Cluster`` some that know each other. Whatever becomes of a test, they end with it: when it is
done, when Python ends, and when Python is killed.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import functools
import json
import os
import pwd
import random
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from tests.needs import need

ROOT: Final = Path(__file__).parent.parent
VERSION: Final = "8.19.21"
HOW_TO_GET: Final = "no Elasticsearch: run .ci/elasticsearch, or set EDUSOC_ELASTICSEARCH_HOME"
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0
LOG_LINES: Final = 40
ORDINARY_USER: Final = "nobody"
"""Elasticsearch refuses to run as root."""
LOGS: Final[set[Path]] = set()
"""The logs of running nodes that are shown when a test fails."""
_PORTS: Final = range(20_000, 32_000)
"""Below those the system gives to connections, so that a port stays free while its node restarts."""
_CHANCE: Final = random.SystemRandom()
"""Hypothesis seeds the common one: two runs side by side would draw the same ports."""
_RESERVED: Final[list[socket.socket]] = []
_TEMPORARY: Final = Path(tempfile.gettempdir())
_OURS: Final = "edusoc-test-"
_MADE: Final[list[Path]] = []
_PR_SET_PDEATHSIG: Final = 1


class NodeError(Exception):
    """Tell that a node did not do as asked, with the end of its log."""


def home() -> Path | None:
    """Return the folder of the Elasticsearch to start, or ``None`` when there is none on this machine."""
    path = Path(os.environ.get("EDUSOC_ELASTICSEARCH_HOME", ROOT / ".tools" / f"elasticsearch-{VERSION}"))
    return path if (path / "bin" / "elasticsearch").is_file() and java_home() is not None else None


def java_home() -> Path | None:
    """Return the Java to run it with: as configured, else version 17, else 21."""
    if "ES_JAVA_HOME" in os.environ:
        return Path(os.environ["ES_JAVA_HOME"])
    found = [path for version in ("17", "21") for path in sorted(Path("/usr/lib/jvm").glob(f"*{version}*"))]
    return next((path for path in found if (path / "bin" / "java").is_file()), None)


def need_home() -> Path:
    """Return the folder of the Elasticsearch to start; skip the test without one, or fail where one is required."""
    return _readable_home(need("elasticsearch", home(), HOW_TO_GET))


@functools.cache
def _readable_home(found: Path) -> Path:
    """Return the folder, or a copy of it where the ordinary user can't read it (a checkout in root's home)."""
    if os.getuid() != 0 or all(path.stat().st_mode & 0o005 == 0o005 for path in (found, *found.parents)):
        return found
    copy = temporary_directory("elasticsearch-home-") / found.name
    shutil.copytree(found, copy)
    subprocess.run(["chmod", "-R", "a+rX", copy], check=True)
    return copy


def temporary_directory(prefix: str) -> Path:
    """Return a new directory of the ordinary user, which ends with Python; pytest's own are root's alone."""
    _remove_orphans()
    path = Path(tempfile.mkdtemp(prefix=f"{_OURS}{os.getpid()}-{prefix}", dir=_TEMPORARY))
    _MADE.append(path)
    if os.getuid() == 0:
        os.chown(path, pwd.getpwnam(ORDINARY_USER).pw_uid, pwd.getpwnam(ORDINARY_USER).pw_gid)
    return path


@atexit.register
def remove_directories() -> None:
    """Remove what ``temporary_directory`` made; pytest-xdist ends its processes without Python's own end."""
    while _MADE:
        shutil.rmtree(_MADE.pop(), ignore_errors=True)


@functools.cache
def _remove_orphans() -> None:
    """Remove the directories of runs that were killed."""
    for path in _TEMPORARY.glob(f"{_OURS}*"):
        owner = path.name.removeprefix(_OURS).partition("-")[0]
        if not Path("/proc", owner).exists():
            shutil.rmtree(path, ignore_errors=True)


def free_port() -> int:
    """Return a loopback port that nobody listens on, and that no other call gives while this process lives.

    A server needs seconds until it listens. Till then an abstract socket of the port's name keeps others from it.
    """
    for port in _CHANCE.sample(_PORTS, 100):
        reservation = socket.socket(socket.AF_UNIX)
        try:
            reservation.bind(f"\0edusoc-test-port-{port}")
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            reservation.close()
            continue
        _RESERVED.append(reservation)
        return port
    raise NodeError("no free port")


@dataclass(eq=False)
class Node:
    """Run one node: ``settings`` go to ``elasticsearch.yml``, ``files`` beside it. Stopped and started, it is the same.

    ``authority`` (a certificate file) and ``authorization`` (a header) are what the harness itself asks with.
    """

    name: str = "node1"
    heap_mb: int = 512
    settings: Mapping[str, object] = field(default_factory=dict)
    files: Mapping[str, bytes] = field(default_factory=dict)
    authority: Path | None = None
    authorization: str = ""
    data: Path | None = None

    def __post_init__(self) -> None:
        self.home = need_home()
        self.http_port, self.transport_port = free_port(), free_port()
        self.directory = temporary_directory(f"{self.name}-")
        self.data = self.data or self.directory / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._configure()

    @property
    def url(self) -> str:
        """Return the address of its HTTP interface."""
        return f"{'https' if self.authority else 'http'}://127.0.0.1:{self.http_port}"

    @property
    def pid(self) -> int:
        """Return the id of the server's process (not of the small one that started it)."""
        return int((self.directory / "pid").read_text())

    def _configure(self) -> None:
        configuration = self.directory / "config"
        configuration.mkdir()
        for name in ("log4j2.properties", "role_mapping.yml", "roles.yml", "users", "users_roles"):
            if (self.home / "config" / name).exists():
                shutil.copyfile(self.home / "config" / name, configuration / name)
        settings = {
            "cluster.name": "edusoc-test",
            "node.name": self.name,
            "network.host": "127.0.0.1",
            "http.port": self.http_port,
            "transport.port": self.transport_port,
            "discovery.type": "single-node",
            "path.data": str(self.data),
            "path.logs": str(self.directory / "logs"),
            "path.repo": [str(self.directory / "repository")],
            "xpack.security.enabled": False,
            # The serial collector clears up only when it must, and requests would be refused for garbage until then.
            "indices.breaker.total.use_real_memory": False,
            "cluster.routing.allocation.disk.threshold_enabled": False,
            "ingest.geoip.downloader.enabled": None,
            **self.settings,
        }
        given = {name: value for name, value in settings.items() if value is not None}
        (configuration / "elasticsearch.yml").write_text(
            "".join(f"{name}: {json.dumps(value)}\n" for name, value in given.items())
        )
        # A short life pays for no second compilation, and a small heap for no parallel collector.
        options = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"]
        heap = [f"-Xms{self.heap_mb}m", f"-Xmx{self.heap_mb}m", "-XX:-AlwaysPreTouch"]
        (configuration / "jvm.options").write_text(
            "\n".join(["-Djava.io.tmpdir=${ES_TMPDIR}", *options, *heap])
        )
        for name, content in self.files.items():
            (configuration / name).parent.mkdir(parents=True, exist_ok=True)
            (configuration / name).write_bytes(content)
        if os.getuid() == 0:
            subprocess.run(["chown", "-R", f"{ORDINARY_USER}:", self.directory], check=True)

    def start(self, *, wait: bool = True) -> Node:
        """Start it, and wait until it answers; raise ``NodeError`` with the end of its log when it does not."""
        assert not self.alive, f"{self.name} runs already"
        (self.directory / "pid").unlink(missing_ok=True)
        (self.directory / "tmp").mkdir(exist_ok=True)
        if os.getuid() == 0:
            shutil.chown(self.directory / "tmp", ORDINARY_USER)
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [self.home / "bin" / "elasticsearch", "-p", self.directory / "pid"],
                stdout=output,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                **self._surroundings(),
            )
        LOGS.add(self.log)
        atexit.register(self.stop)
        if wait:
            self.wait()
        return self

    def _surroundings(self) -> dict[str, Any]:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.directory),
            "LANG": "C.UTF-8",
            "ES_JAVA_HOME": str(java_home()),
            "ES_PATH_CONF": str(self.directory / "config"),
            "ES_TMPDIR": str(self.directory / "tmp"),
            # Of the small process that starts the server, which would leave files in /tmp.
            "CLI_JAVA_OPTS": f"-Djava.io.tmpdir={self.directory / 'tmp'} -XX:-UsePerfData -XX:TieredStopAtLevel=1",
        }
        user = {"user": ORDINARY_USER, "group": "nogroup", "extra_groups": []} if os.getuid() == 0 else {}
        return {"env": environment, "cwd": self.directory, "preexec_fn": _die_with_parent, **user}

    def wait(self, *, nodes: int = 1, status: str = "yellow") -> None:
        """Wait until it answers, ``nodes`` have joined and the cluster is at least of ``status``."""
        end = time.monotonic() + START_SECONDS
        path = f"/_cluster/health?wait_for_status={status}&wait_for_nodes=>={nodes}&timeout=5s"
        while time.monotonic() < end:
            if not self.alive:
                raise NodeError(f"{self.name} ended\n{log_tail(self.log)}")
            with contextlib.suppress(OSError):
                if not self.ask("GET", path)["timed_out"]:
                    return
            time.sleep(0.1)
        raise NodeError(f"{self.name} is not ready after {START_SECONDS:.0f} s\n{log_tail(self.log)}")

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """Ask it something by itself, without our client; raise ``OSError`` when it does not answer 2xx."""
        request = urllib.request.Request(self.url + path, method=method)
        request.add_header("Content-Type", "application/json")
        if self.authorization:
            request.add_header("Authorization", self.authorization)
        context = ssl.create_default_context(cafile=str(self.authority)) if self.authority else None
        data = None if body is None else json.dumps(body).encode()
        try:
            with urllib.request.urlopen(request, data, timeout=60, context=context) as answer:
                return json.loads(answer.read() or b"null")
        except urllib.error.HTTPError as error:
            with error:
                raise OSError(f"{method} {path}: {error.code} {error.read()[:2_000]!r}") from error

    @property
    def alive(self) -> bool:
        """Tell whether its process runs."""
        return self._process is not None and self._process.poll() is None

    def kill(self) -> None:
        """Kill the server by its process id, as a power cut would."""
        os.kill(self.pid, signal.SIGKILL)
        self._ended()

    def pause(self) -> None:
        """Stop its process without ending it: it keeps its connections and does not answer."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let a paused process go on."""
        os.kill(self.pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it in order; one that doesn't end is killed."""
        if self.alive:
            assert self._process is not None
            with contextlib.suppress(OSError, ValueError):
                os.kill(self.pid, signal.SIGCONT)
            self._process.terminate()
        self._ended()

    def _ended(self) -> None:
        LOGS.discard(self.log)
        atexit.unregister(self.stop)
        if self._process is None:
            return
        try:
            self._process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(OSError, ValueError):
                os.kill(self.pid, signal.SIGKILL)
            self._process.kill()
            self._process.wait(STOP_SECONDS)
        self._process = None

    @property
    def log(self) -> Path:
        """Return the file of what it prints."""
        return self.directory / "out.log"

    def __enter__(self) -> Node:
        return self if self.alive else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()
        shutil.rmtree(self.directory, ignore_errors=True)


def _die_with_parent() -> None:
    """Ask the kernel to end this process when its parent dies; the server then sees its starter gone and ends too."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


class Cluster:
    """Run some nodes that know each other; the first ones elect the master."""

    def __init__(
        self, size: int = 3, *, heap_mb: int = 512, settings: Mapping[str, object] | None = None
    ) -> None:
        """Prepare ``size`` nodes; nothing runs yet."""
        self._heap_mb, self._settings = heap_mb, dict(settings or {})
        self._first = [f"node{number}" for number in range(1, size + 1)]
        self.nodes: list[Node] = []
        for name in self._first:
            self.nodes.append(self._node(name))
        self._introduce()

    def _node(self, name: str) -> Node:
        settings = {
            "discovery.type": "multi-node",
            "discovery.seed_providers": "file",
            "cluster.initial_master_nodes": self._first,
            "cluster.fault_detection.leader_check.interval": "500ms",
            "cluster.fault_detection.follower_check.interval": "500ms",
            "cluster.info.update.interval": "10s",
            **self._settings,
        }
        return Node(name, self._heap_mb, settings)

    def _introduce(self) -> None:
        """Write to each node where the others are; they read it again by themselves."""
        places = "".join(f"127.0.0.1:{node.transport_port}\n" for node in self.nodes)
        for node in self.nodes:
            (node.directory / "config" / "unicast_hosts.txt").write_text(places)

    @property
    def urls(self) -> str:
        """Return the addresses of all nodes, separated by commas."""
        return ",".join(node.url for node in self.nodes)

    def start(self) -> Cluster:
        """Start all nodes side by side and wait until all have joined."""
        for node in self.nodes:
            node.start(wait=False)
        for node in self.nodes:
            node.wait(nodes=len(self.nodes))
        return self

    def add(self) -> Node:
        """Start one more node and wait until it has joined."""
        node = self._node(f"node{len(self.nodes) + 1}")
        self.nodes.append(node)
        self._introduce()
        node.start()
        node.wait(nodes=sum(each.alive for each in self.nodes))
        return node

    def stop(self) -> None:
        """End all nodes and remove what they kept."""
        for node in self.nodes:
            if node.alive:
                node.kill()
            shutil.rmtree(node.directory, ignore_errors=True)

    def __enter__(self) -> Cluster:
        try:
            return self.start()
        except BaseException:
            self.stop()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()


def log_tail(path: Path) -> str:
    """Return the end of what a node printed, without the inner lines of stack traces."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    lines = [line for line in lines if not line.startswith("\tat ")]
    return "\n".join(lines[-LOG_LINES:])


def log_sections(fixtures: Sequence[str]) -> list[tuple[str, str]]:
    """Return for a failed test that uses Elasticsearch what its nodes last said."""
    if not any("elasticsearch" in name or "cluster" in name for name in fixtures):
        return []
    return [(f"log of {path.parent.name}", log_tail(path)) for path in sorted(LOGS)]
