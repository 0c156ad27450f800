"""Hold that nothing is lost between a school and its centre: ``python -m benchmarks.agents`` (Linux, ``unshare``).

A real centre and three real agents, each in a network namespace of its own, are sent 1,000 events a second each: syslog
by UDP and TCP, a rotated file, JSON by HTTP and by the bulk protocol. Meanwhile, by a schedule that the seed decides:
``kill -9`` of centre and agents, links cut, a fifth of all packets lost, full disks on either side, clocks that jump a
day ahead and back. At the end the centre's store is compared with what senders say was accepted: each event must be
there exactly once, and of datagrams received + dropped must equal sent. Exit code 1 where that doesn't hold.

Options: ``--seconds 300 --kills 50 --rate 1000 --agents 3 --seed 1``. Needs nftables; clocks jump where libfaketime is.
"""

from __future__ import annotations

import argparse
import random
import resource
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks._campaign_senders import SHARES
from benchmarks._campaign_verdict import Campaign, judge, read_store, show
from benchmarks._campaign_world import AgentPart, Program, World, faketime, run

Action = Callable[[], object]
LOOK = 0.1
DRAIN_SECONDS = 300.0
SHORT = 60.0
ROOM_PERCENT = 50
FLOOD, SHED_FLOOD = 25_000, 4_000


@dataclass(frozen=True, slots=True)
class Fault:
    """Do something at a second of the campaign."""

    at: float
    what: str
    do: Action


class Schedule:
    """Decide by a seed when which fault comes.

    What a killed agent had shed can't be told any more, so one whose disk is full is left alive; the centre is not.
    """

    def __init__(self, world: World, seconds: float, kills: int, seed: int) -> None:
        """Make the schedule."""
        self._world, self._seconds = world, seconds
        self._chance = random.Random(seed)
        self.faults: list[Fault] = []
        self.full: dict[str, tuple[float, float]] = {}
        self.killed = 0
        self._lasting()
        for _ in range(kills):
            self._kill()
        self.faults.sort(key=lambda fault: fault.at)

    def _add(
        self, share: float, lasts: float, what: str, begin: Callable[[], object], end: Callable[[], object]
    ) -> None:
        at = share * self._seconds
        until = min(at + lasts, self._seconds)
        self.faults += [Fault(at, what, begin), Fault(until, f"no longer: {what}", end)]

    def _lasting(self) -> None:
        world, seconds, agents = self._world, self._seconds, self._world.agents
        self._add(0.1, 0.55 * seconds, "a fifth of packets lost", partial(world.lose_packets, lose=True),
                  partial(world.lose_packets, lose=False))  # fmt: skip
        for place, agent in enumerate(agents):
            share, lasts = 0.15 + 0.22 * place, 0.2 * seconds
            self._add(
                share,
                lasts,
                f"link of {agent.name} cut",
                partial(cut, agent, "down"),
                partial(cut, agent, "up"),
            )
            if seconds < SHORT and agent is not agents[-1]:
                continue  # it could hardly be killed at all
            # On a full disk with the link cut nothing goes out either: then there is no room at all.
            begin, length = share + 0.05, 0.12 * seconds
            self.full[agent.name] = (begin * seconds - 3, begin * seconds + length + 15)
            self._add(begin, length, f"disk of {agent.name} full", agent.disk.fill, agent.disk.free)
        centre = world.centre
        self._add(0.84, 0.08 * seconds, "disk of the centre full", centre.disk.fill, centre.disk.free)
        if faketime():
            for place, program in enumerate(world.programs):
                share, offset = 0.12 + 0.2 * place, "+1d" if place % 2 else "-1d"
                self._add(share, 0.17 * seconds, f"clock of {program.name} {offset}", partial(program.jump, offset),
                          partial(program.jump, "+0"))  # fmt: skip

    def _kill(self) -> None:
        chance = self._chance
        while True:
            at = chance.uniform(0.02, 0.97) * self._seconds
            program = (
                self._world.centre if chance.random() < 0.4 else chance.choice(self._world.agents).program
            )
            begin, end = self.full.get(program.name, (0.0, 0.0))
            if not begin <= at <= end:
                break
        pause = chance.choice((0.0, 0.0, chance.uniform(0.2, 3.0)))
        self.faults.append(
            Fault(at, f"kill -9 {program.name}", partial(self._kill_and_start, program, pause))
        )

    def _kill_and_start(self, program: Program, pause: float) -> None:
        if program.process is None:
            return
        program.end(signal.SIGKILL)
        self.killed += 1
        time.sleep(pause)
        program.start()


def cut(agent: AgentPart, state: str) -> None:
    """Cut a link (``down``) or mend it (``up``)."""
    run("ip", "link", "set", agent.link, state)


def note(began: float, text: str) -> None:
    """Print what happens."""
    print(f"{time.monotonic() - began:7.1f} s  {text}", flush=True)


def wait(world: World, until: Callable[[], bool], what: str, seconds: float = DRAIN_SECONDS) -> float:
    """Wait for something and return the seconds it took; raise where it doesn't come or a process ended by itself."""
    began = time.monotonic()
    while not until():
        world.look()
        for program in world.programs:
            if program.ended_itself():
                raise RuntimeError(f"{program.name} ended by itself: {program.log.read_text()[-2_000:]}")
        if time.monotonic() - began > seconds:
            states = {agent.name: agent.waiting() for agent in world.agents}
            raise RuntimeError(f"waited {seconds:.0f} s in vain: {what}; {states}")
        time.sleep(LOOK)
    world.look()
    return time.monotonic() - began


def suffer(world: World, schedule: Schedule, seconds: float) -> None:
    """Let the schedule happen."""
    began = time.monotonic()
    for agent in world.agents:
        agent.start_senders()
    faults = list(schedule.faults)
    while (now := time.monotonic() - began) < seconds or faults:
        while faults and faults[0].at <= now:
            fault = faults.pop(0)
            note(began, fault.what)
            fault.do()
        world.look()
        for program in world.programs:
            if program.ended_itself():
                note(began, f"{program.name} ENDED BY ITSELF")
                raise RuntimeError(f"{program.name} ended by itself: {program.log.read_text()[-3_000:]}")
        time.sleep(LOOK)


def served(world: World) -> bool:
    """Tell whether everybody serves."""
    return world.serves() and all(agent.status() for agent in world.agents)


def flood(world: World) -> None:
    """Send agents more datagrams than the kernel holds and than there is room for; nobody is killed, all must be told.

    A stopped process makes the kernel drop; a cut link and a full disk make the agent shed.
    """
    for agent in world.agents:
        process = agent.program.process
        assert process is not None
        process.send_signal(signal.SIGSTOP)
        agent.say(f"udp {FLOOD}")
        agent.hear()
        process.send_signal(signal.SIGCONT)
    for agent in world.agents:
        cut(agent, "down")
        agent.disk.fill()
    for agent in world.agents:
        agent.say(f"udp {SHED_FLOOD}")
        agent.hear()
    time.sleep(2.0)  # on a full disk the agent can't write what it counts; some of it is shed by now
    for agent in world.agents:
        agent.disk.free()
        cut(agent, "up")


def roomy(agent: AgentPart) -> bool:
    """Tell whether an agent's spool has so much room that nothing is shed."""
    room = agent.status().get("room_percent", 0)
    return isinstance(room, int) and room > ROOM_PERCENT


def takes_datagrams(agent: AgentPart) -> bool:
    """Tell whether an agent's life of now has made datagrams durable: then what it lacks later begins behind them.

    Its counters don't tell datagrams from TCP, which after a pause makes up for a second at most.
    """
    delivered = agent.counters().get("syslog", {}).get("delivered", 0)
    return delivered >= agent.rate * (SHARES["u"] + 2 * SHARES["t"])


def campaign(folder: Path, arguments: argparse.Namespace) -> bool:
    """Run it all; tell whether everything held."""
    world = World(folder, arguments.agents, arguments.rate)
    try:
        for agent in world.agents:
            agent.program.start()
        wait(world, lambda: served(world), "agents start", 120)
        schedule = Schedule(world, arguments.seconds, arguments.kills, arguments.seed)
        if arguments.calm:
            schedule.faults.clear()
        suffer(world, schedule, arguments.seconds)
        print(f"{schedule.killed} times kill -9", flush=True)
        return settle(world, arguments)
    finally:
        world.close()


def settle(world: World, arguments: argparse.Namespace) -> bool:
    """End the streams, flood, let everything arrive, end in order, and compare."""
    wait(world, lambda: served(world), "everybody serves again", 120)
    # What is shed right after a start could not be told from what came while nobody listened.
    wait(world, lambda: all(roomy(agent) for agent in world.agents), "there is room again")
    for agent in world.agents:  # counters of datagrams begin anew
        agent.program.end()
        agent.program.start()
    wait(world, lambda: served(world), "agents start again", 120)
    wait(world, lambda: all(takes_datagrams(agent) for agent in world.agents), "datagrams are taken again")
    if not arguments.no_flood:
        flood(world)
    streams = []
    for agent in world.agents:
        agent.say("end")
    for agent in world.agents:
        told = agent.hear()
        if told["alive"]:
            raise RuntimeError(f"{agent.name}: never accepted: {told['alive']}")
        streams.append(told["streams"])
    quiet = time.time() + 11.0  # what was dropped is told every ten seconds, status every five
    drained = wait(
        world,
        lambda: time.time() > quiet and not any(agent.waiting() for agent in world.agents),
        "everything arrives",
    )
    print(f"everything had arrived {drained:.0f} s after the last event")
    wire = world.bytes_on_wire()
    counters = [agent.counters()["syslog"] for agent in world.agents]
    for program in reversed(world.programs):
        program.end()
    stored = read_store(world.state, {agent.unit: agent.name for agent in world.agents})
    campaigns = [
        Campaign(agent.name, told, agent.program.lives, counted.get("dropped", 0), counted.get("shed", 0))  # type: ignore[arg-type]
        for agent, told, counted in zip(world.agents, streams, counters, strict=True)
    ]
    rows = judge(campaigns, stored)
    held = show(rows)
    costs(world, wire, sum(row.stored for row in rows))
    print("NOTHING LOST, NOTHING DOUBLED" if held else "SOMETHING DID NOT HOLD")
    return held


def costs(world: World, wire: tuple[int, int], events: int) -> None:
    """Print what it took."""
    recovered = {
        name: [life.served - life.started for program in programs for life in program.lives if life.served]
        for name, programs in (
            ("centre", [world.centre]),
            ("agents", [agent.program for agent in world.agents]),
        )
    }
    for name, seconds in recovered.items():
        print(
            f"{name}: {len(seconds)} starts, serving again after {statistics.median(seconds):.1f} s (median), "
            f"{max(seconds):.1f} s at most"
        )
    print(
        f"on the wire to the centre {wire[0]:,} bytes ({wire[0] / max(events, 1):.0f} an event), back {wire[1]:,} bytes"
    )
    for program in world.programs:
        lives = len(program.lives)
        print(f"{program.name}: {program.cpu:.1f} s of processor in {lives} lives")
    everybody = sum(program.cpu for program in world.programs)
    print(f"together {everybody:.1f} s = {everybody / max(events, 1) * 1e6:.0f} µs an event, starts included")


def main(words: Sequence[str] | None = None) -> int:
    """Run; enters namespaces by itself."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=300.0)
    parser.add_argument("--kills", type=int, default=50)
    parser.add_argument("--rate", type=float, default=1_000.0, help="events a second and agent")
    parser.add_argument("--agents", type=int, default=3, choices=(1, 2, 3))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-flood", action="store_true")
    parser.add_argument("--calm", action="store_true", help="without any fault, to see what it takes")
    parser.add_argument("--keep", type=Path, help="keep logs and the store here")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    arguments = parser.parse_args(words)
    if not arguments.inside:
        command = [
            "unshare",
            "-rnmpf",
            "--kill-child",
            "--mount-proc",
            sys.executable,
            "-m",
            "benchmarks.agents",
            *sys.argv[1:],
            "--inside",
        ]
        return subprocess.call(command)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with tempfile.TemporaryDirectory(prefix="edusoc-agents-", ignore_cleanup_errors=True) as name:
        try:
            held = campaign(Path(name), arguments)
        finally:
            if arguments.keep:
                shutil.copytree(name, arguments.keep, dirs_exist_ok=True)
    return 0 if held else 1


if __name__ == "__main__":
    raise SystemExit(main())
