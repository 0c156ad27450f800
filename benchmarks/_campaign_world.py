"""Run a centre and agents, each in a network namespace and on a small disk of its own, and do them harm.

Everything lies in a user, network and mount namespace (``unshare -rnm``), so nothing outside notices: the centre is in
that namespace, each agent in another one behind a veth pair to the centre's bridge, with its senders beside it.
"""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from benchmarks._campaign_senders import BULK_PORT, PUSH_PORT, TOKEN, UDP_PORT
from collectors.agent.identity import read_identity
from collectors.agent.status import read_status

ROOT: Final = Path(__file__).resolve().parent.parent
UNITS: Final = ROOT / "edusoc" / "demo" / "world" / "units.csv"
UNIT_OF: Final = ("9912100003", "9912100004", "9912100005")
CENTRE: Final = "10.77.0.1"
PORT: Final = 8601
CODE: Final = re.compile(r"(?:[0-9A-Z]{4}-){7}[0-9A-Z]{4}")
FAKETIME: Final = ("/usr/lib/x86_64-linux-gnu/faketime", "/usr/lib/aarch64-linux-gnu/faketime")
RUN: Final = (
    "import runpy, threading, time; time.sleep = lambda seconds: threading.Event().wait(seconds) and None; "
    "runpy.run_module('edusoc', run_name='__main__')"
)
"""Run the program under libfaketime, whose ``clock_nanosleep`` refuses what Python's ``time.sleep`` asks (0.9.10)."""
LOSS: Final = """table inet loss {
  chain incoming { type filter hook input priority 0; policy accept
    iifname "br0" numgen random mod 100 < 20 drop
  }
  chain outgoing { type filter hook output priority 0; policy accept
    oifname "br0" numgen random mod 100 < 20 drop
  }
}
"""
SPOOL_MB: Final = 48
AGENT_DISK_MB: Final = 64
CENTRE_DISK_MB: Final = 1_024


def run(*words: str | Path) -> str:
    """Run a program and return what it printed; its own words are the error's."""
    done = subprocess.run(list(map(str, words)), check=False, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(map(str, words))}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def faketime() -> str:
    """Return the path of libfaketime, empty where it isn't installed."""
    paths = (Path(folder) / "libfaketimeMT.so.1" for folder in FAKETIME)
    return next((str(path) for path in paths if path.exists()), "")


@dataclass(slots=True)
class Life:
    """Hold when a process was started, when it served, and when and how it ended."""

    started: float
    served: float = 0.0
    ended: float = 0.0
    killed: bool = False


@dataclass(slots=True)
class Disk:
    """Hold a small disk of its own that can be filled."""

    path: Path
    megabytes: int
    full: bool = False

    def mount(self) -> None:
        """Make it."""
        self.path.mkdir(parents=True, exist_ok=True)
        run("mount", "-t", "tmpfs", "-o", f"size={self.megabytes}m", "none", self.path)

    def fill(self) -> None:
        """Take all the room there is, also what was given free since."""
        self.full = True
        with suppress(OSError), (self.path / "ballast").open("ab", buffering=0) as file:
            state = os.statvfs(self.path)
            free = state.f_bfree * state.f_frsize
            while free >= state.f_frsize:
                with suppress(OSError):
                    os.posix_fallocate(file.fileno(), file.seek(0, os.SEEK_END), free)
                    return
                free //= 2

    def free(self) -> None:
        """Give the room back."""
        self.full = False
        (self.path / "ballast").unlink(missing_ok=True)


@dataclass(slots=True)
class Program:
    """Run one process that may be killed and started again, with a clock that may jump."""

    name: str
    disk: Disk
    words: list[str]
    prefix: list[str] = field(default_factory=list)
    extra: Mapping[str, str] = field(default_factory=dict)
    process: subprocess.Popen[bytes] | None = None
    lives: list[Life] = field(default_factory=list)
    cpu: float = 0.0

    @property
    def clock_file(self) -> Path:
        """Return the file that says how far its clock is off."""
        return self.disk.path.with_name(f"{self.name}.clock")

    @property
    def log(self) -> Path:
        """Return the file of what it says."""
        return self.disk.path.with_name(f"{self.name}.log")

    def start(self) -> None:
        """Start it; a jumping clock where libfaketime is installed."""
        surroundings, program = {**os.environ, **self.extra}, ["-m", "edusoc"]
        if library := faketime():
            if not self.clock_file.exists():
                self.jump("+0")
            program = ["-c", RUN]
            surroundings |= {
                "LD_PRELOAD": library,
                "FAKETIME_TIMESTAMP_FILE": str(self.clock_file),
                "FAKETIME_CACHE_DURATION": "1",
                "FAKETIME_DONT_FAKE_MONOTONIC": "1",
                "NO_FAKE_STAT": "1",
            }
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.prefix, sys.executable, *program, *self.words],
                cwd=ROOT,
                env=surroundings,
                stdout=log,
                stderr=log,
            )
        self.lives.append(Life(time.time()))

    def jump(self, offset: str) -> None:
        """Set its clock off by ``+1d`` and the like."""
        new = self.clock_file.with_suffix(".new")
        new.write_text(offset + "\n")
        new.replace(self.clock_file)

    def end(self, number: int = signal.SIGTERM) -> None:
        """End it and count its processor time."""
        if self.process is None:
            return
        life = self.lives[-1]
        life.killed = number == signal.SIGKILL
        self.process.send_signal(number)
        deadline = time.monotonic() + 60
        while True:
            pid, _status, usage = os.wait4(self.process.pid, os.WNOHANG)
            if pid:
                break
            if time.monotonic() > deadline:
                self.process.kill()
                raise RuntimeError(f"{self.name} doesn't end on signal {number}")
            time.sleep(0.02)
        life.ended = time.time()
        self.process.returncode = 0
        self.cpu += usage.ru_utime + usage.ru_stime
        self.process = None

    def ended_itself(self) -> bool:
        """Tell whether it is not there although it should."""
        return self.process is not None and self.process.poll() is not None


class AgentPart:
    """Hold an agent, its namespace, its disk and its senders."""

    def __init__(self, folder: Path, number: int, rate: float) -> None:
        """Make namespace and link; the agent must join before it is started."""
        self.name, self.number, self.rate = f"a{number}", number, rate
        self.address = f"10.77.0.{10 + number}"
        self.disk = Disk(folder / self.name, AGENT_DISK_MB)
        self.disk.mount()
        self.logs = folder / f"{self.name}-logs"
        self.logs.mkdir()
        self.config = folder / f"{self.name}.toml"
        self.holder = subprocess.Popen(["unshare", "-n", "sleep", "infinity"])
        self.enter = ["nsenter", "-t", str(self.holder.pid), "-n"]
        self._connect()
        self.program = Program(self.name, self.disk, ["collect", "--config", str(self.config)], self.enter)
        self.senders: subprocess.Popen[str] | None = None

    @property
    def link(self) -> str:
        """Return the centre's end of its link."""
        return f"veth{self.number}"

    def _connect(self) -> None:
        deadline = time.monotonic() + 10
        here = Path("/proc/self/ns/net").readlink()
        while Path(f"/proc/{self.holder.pid}/ns/net").readlink() == here:
            if time.monotonic() > deadline:
                raise RuntimeError("no namespace")
            time.sleep(0.01)
        run("ip", "link", "add", self.link, "type", "veth", "peer", "name", "up0", "netns", self.holder.pid)  # type: ignore[arg-type]
        run("ip", "link", "set", self.link, "master", "br0", "up")
        for words in ("link set lo up", f"addr add {self.address}/24 dev up0", "link set up0 up"):
            run(*self.enter, "ip", *words.split())

    def configure(self) -> None:
        """Write its configuration: every kind of input, a small buffer for datagrams."""
        token = f'token_file = "{self.logs.with_suffix(".token")}"'
        self.logs.with_suffix(".token").write_text(TOKEN + "\n")
        self.logs.with_suffix(".token").chmod(0o600)
        self.config.write_text(
            f'[agent]\nname = "{self.name}"\nstate = "{self.state}"\n[centre]\nurl = "https://{CENTRE}:{PORT}"\n'
            f"[spool]\nsize_mb = {SPOOL_MB}\nreserve_mb = 4\n"
            f'[[inputs]]\nname = "syslog"\nkind = "syslog"\nudp = "127.0.0.1:{UDP_PORT}"\n'
            f'tcp = "127.0.0.1:{UDP_PORT}"\nreceive_buffer_mib = 4\n'
            f'[[inputs]]\nname = "files"\nkind = "files"\npaths = ["{self.logs}/auth.log"]\npoll_seconds = 1\n'
            f'[[inputs]]\nname = "push"\nkind = "http_push"\nlisten = "127.0.0.1:{PUSH_PORT}"\n{token}\n'
            f'[[inputs]]\nname = "bulk"\nkind = "bulk"\nlisten = "127.0.0.1:{BULK_PORT}"\n{token}\n'
        )

    @property
    def state(self) -> Path:
        """Return its state directory."""
        return self.disk.path / "state"

    @property
    def unit(self) -> str:
        """Return the id of the unit it joined for."""
        identity = read_identity(self.state)
        assert identity is not None
        return identity.organization_id

    def join(self, code: str) -> None:
        """Join the centre."""
        words = [
            "enrol",
            "--centre",
            f"https://{CENTRE}:{PORT}",
            "--code",
            code,
            "--config",
            str(self.config),
        ]
        run(*self.enter, sys.executable, "-m", "edusoc", *words)

    def start_senders(self) -> None:
        """Begin to send."""
        words = ["-m", "benchmarks._campaign_senders", self.name, str(self.rate), str(self.logs)]
        self.senders = subprocess.Popen(
            [*self.enter, sys.executable, *words],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def say(self, words: str) -> None:
        """Give the senders a command."""
        assert self.senders is not None
        assert self.senders.stdin is not None
        self.senders.stdin.write(words + "\n")
        self.senders.stdin.flush()

    def hear(self) -> dict[str, object]:
        """Return the senders' answer."""
        assert self.senders is not None
        assert self.senders.stdout is not None
        return dict(json.loads(self.senders.stdout.readline()))

    def status(self) -> Mapping[str, object]:
        """Return what the agent of now says of itself; empty while it has said nothing."""
        status = read_status(self.state)
        process = self.program.process
        return status if process is not None and status.get("pid") == process.pid else {}

    def counters(self) -> dict[str, dict[str, int]]:
        """Return the counters of each input, none while it has said nothing."""
        beat = self.status().get("heartbeat")
        sources = beat["sources"] if isinstance(beat, dict) else []
        return {str(source["name"]): dict(source["counters"]) for source in sources}

    def waiting(self) -> int:
        """Return how many events and bytes of files wait, at least 1 while nothing is known."""
        beat = self.status().get("heartbeat")
        if not isinstance(beat, dict):
            return 1
        files = self.counters().get("files", {})
        return int(beat["waiting"]) + files.get("backlog_bytes", 0)


class World:
    """Hold the centre and its agents."""

    def __init__(self, folder: Path, agents: int, rate: float) -> None:
        """Build it all and let the agents join; nothing is sent yet."""
        run("mount", "--make-rprivate", "/")
        run("ip", "link", "set", "lo", "up")
        run("ip", "link", "add", "br0", "type", "bridge")
        run("ip", "link", "set", "br0", "up")
        run("ip", "addr", "add", f"{CENTRE}/24", "dev", "br0")
        disk = Disk(folder / "centre", CENTRE_DISK_MB)
        disk.mount()
        self.state = disk.path / "state"
        surroundings = {
            "EDUSOC_STATE": str(self.state),
            "EDUSOC_INTAKE_HOST": CENTRE,
            "EDUSOC_INTAKE_NAMES": CENTRE,
            "EDUSOC_INTAKE_EVENTS_PER_SECOND": "100000",
            "EDUSOC_DISK_RESERVE_PERCENT": "1",
        }
        os.environ.update(surroundings)
        self.centre = Program("centre", disk, ["serve", "--only", "pipeline"], extra=surroundings)
        self.edusoc("organisations", "import", str(UNITS))
        self.centre.start()
        self.wait_for_centre()
        self.agents = [AgentPart(folder, number, rate) for number in range(1, agents + 1)]
        for agent, unit in zip(self.agents, UNIT_OF, strict=False):
            found = CODE.search(self.edusoc("agents", "code", "--organisation", unit))
            assert found is not None
            agent.configure()
            agent.join(found[0])

    @property
    def programs(self) -> list[Program]:
        """Return the centre, then the agents."""
        return [self.centre, *(agent.program for agent in self.agents)]

    def edusoc(self, *words: str) -> str:
        """Run a command of the centre."""
        return run(sys.executable, "-m", "edusoc", *words)

    def serves(self) -> bool:
        """Tell whether the centre takes connections."""
        with suppress(OSError), socket.create_connection((CENTRE, PORT), 0.2):
            return True
        return False

    def wait_for_centre(self, seconds: float = 120.0) -> None:
        """Wait until it does."""
        deadline = time.monotonic() + seconds
        while not self.serves():
            if time.monotonic() > deadline or self.centre.ended_itself():
                raise RuntimeError(f"the centre doesn't serve: {self.centre.log.read_text()[-2_000:]}")
            time.sleep(0.05)
        self.centre.lives[-1].served = time.time()

    def look(self) -> None:
        """Note who serves by now, and keep full disks full."""
        life = self.centre.lives[-1]
        if self.centre.process is not None and not life.served and self.serves():
            life.served = time.time()
        for agent in self.agents:
            life = agent.program.lives[-1]
            if not life.served and agent.status():
                life.served = time.time()
        for program in self.programs:
            if program.disk.full:
                program.disk.fill()

    def lose_packets(self, *, lose: bool) -> None:
        """Drop a fifth of all packets between agents and centre, in each direction; or no longer."""
        run("nft", "flush", "ruleset")
        if lose:
            subprocess.run(["nft", "-f", "-"], input=LOSS, text=True, check=True)

    def bytes_on_wire(self) -> tuple[int, int]:
        """Return the bytes that the centre received from and sent to agents."""
        received = sent = 0
        for agent in self.agents:
            told = json.loads(run("ip", "-s", "-j", "link", "show", agent.link))[0]["stats64"]
            received, sent = received + told["rx"]["bytes"], sent + told["tx"]["bytes"]
        return received, sent

    def close(self) -> None:
        """End everything that still runs."""
        for program in self.programs:
            if program.process is not None:
                with suppress(OSError, ChildProcessError):
                    program.end(signal.SIGKILL)
        for agent in self.agents:
            for process in (agent.senders, agent.holder):
                if process is not None:
                    process.kill()
                    process.wait()
