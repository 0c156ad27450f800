"""Say in words how an Elasticsearch cluster is: what is missing, full, forbidden or slow, and what to do.

Each question is asked by itself and briefly, so that one forbidden or failed question hides none of the others.
Facts: reference of Elasticsearch 8.19 ("Cluster health", "Health API", "Nodes stats", "Has privileges"), tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, Literal

from elasticsearch import Elasticsearch

from soc_core.clock import Clock, utc_now
from soc_core.errors import EdusocError
from soc_core.store.elasticsearch.client import read_capabilities
from soc_core.store.elasticsearch.faults import (
    BUSY,
    DISK_FULL,
    FREE_DISK,
    GIVE_PRIVILEGE,
    LACKING,
    LOOK_AT_NODES,
    NO_MASTER,
    NO_MEMORY,
    TRY_LATER,
    in_words,
)
from soc_core.store.interface import Health

State = Literal["degraded", "read_only", "down"]
Trouble = tuple[State, str]

ASK_SECONDS: Final = 5.0
LITTLE_MEMORY: Final = 0.95
"""The share of its heap limit above which a node begins to refuse requests (its parent breaker)."""
CLUSTER_PRIVILEGES: Final[Mapping[str, State]] = {"monitor": "degraded", "manage_index_templates": "degraded"}
INDEX_PRIVILEGES: Final[Mapping[str, State]] = {"read": "down", "write": "read_only", "manage": "degraded"}
"""What we need on our own indices, and how we are without it."""
_GRAVITY: Final[tuple[State, ...]] = ("degraded", "read_only", "down")
_PASSING: Final[Mapping[str, State]] = {NO_MASTER: "read_only", NO_MEMORY: "degraded", BUSY: "degraded"}
"""Refusals of our questions themselves that leave something working."""


def health_of(client: Elasticsearch, prefix: str, clock: Clock = utc_now) -> Health:
    """Return the state of the cluster as far as the indices of ``prefix`` go; never raises."""
    brief = client.options(request_timeout=ASK_SECONDS, max_retries=2)
    found: list[Trouble] = []
    secured = False

    def capable() -> Iterator[Trouble]:
        nonlocal secured
        secured = read_capabilities(brief).security
        yield from ()

    def forbidden() -> Iterator[Trouble]:
        return _privileges(brief, prefix) if secured else iter(())

    found += _answers(capable, "down")
    for question in (
        lambda: _shards(brief, prefix, clock),
        lambda: _blocks(brief, prefix),
        lambda: _report(brief),
        lambda: _memory(brief),
        forbidden,
    ):
        if not any(state == "down" for state, _ in found):
            found += _answers(question, "degraded")
    if not found:
        return Health("ok")
    worst = max((state for state, _ in found), key=_GRAVITY.index)
    return Health(worst, tuple(dict.fromkeys(reason for _, reason in found)))


def _answers(question: Callable[[], Iterator[Trouble]], failing: State) -> list[Trouble]:
    """Return what a question finds; one that fails is trouble itself."""
    try:
        with in_words():
            return list(question())
    except EdusocError as error:
        state = "degraded" if error.what.startswith(LACKING) else _PASSING.get(error.what, failing)
        return [_trouble(state, error.what, error.todo)]


def _trouble(state: State, what: str, todo: str) -> Trouble:
    return state, f"{what} — {todo}" if todo else what


def _shards(client: Elasticsearch, prefix: str, clock: Clock) -> Iterator[Trouble]:
    """Find missing shards: without a first copy events lack, without a second one more loss is one of data."""
    answer: Any = client.cluster.health(
        index=f"{prefix}-*", level="indices", expand_wildcards="all", timeout="1s", master_timeout="2s"
    ).body
    indices: Mapping[str, Any] = answer.get("indices", {})
    shards = sum(index["number_of_shards"] for index in indices.values())
    there = sum(index["active_primary_shards"] for index in indices.values())
    if there < shards:
        red = [name for name, index in indices.items() if index["status"] == "red"]
        yield _trouble(
            _without(red, clock) if there else "down",
            f"{shards - there} of {shards} shards are missing: not all events can be found",
            LOOK_AT_NODES,
        )
    copies = sum(index["unassigned_shards"] + index["initializing_shards"] for index in indices.values())
    if copies > shards - there:
        yield _trouble(
            "degraded",
            f"{copies - (shards - there)} copies of shards are missing: another failure could lose events",
            "start the nodes that are missing, or set elasticsearch_replicas below the number of nodes",
        )


def _without(red: list[str], clock: Clock) -> State:
    """Return how we are without some indices: nothing can be taken without the log's state or this month's."""
    month = f"-{clock():%Y.%m}"
    return "read_only" if any(name.endswith((month, "-state")) for name in red) else "degraded"


def _blocks(client: Elasticsearch, prefix: str) -> Iterator[Trouble]:
    """Find indices that are closed for writing; by a full disk, or by somebody's hand."""
    answer: Any = client.indices.get_settings(
        index=f"{prefix}-*",
        name="index.blocks.*",
        flat_settings=True,
        expand_wildcards="all",
        ignore_unavailable=True,
        master_timeout="2s",
    ).body
    blocks = {
        name: {key for key, value in index["settings"].items() if value == "true"}
        for name, index in answer.items()
    }
    full = [name for name, set_ in blocks.items() if "index.blocks.read_only_allow_delete" in set_]
    if full:
        yield _trouble("read_only", DISK_FULL, FREE_DISK)
    closed = [
        name for name, set_ in blocks.items() if set_ & {"index.blocks.write", "index.blocks.read_only"}
    ]
    if closed:
        yield _trouble(
            "read_only",
            f"an index of Elasticsearch is closed for writing: {min(closed)}",
            "remove the block from the index's settings",
        )


def _report(client: Elasticsearch) -> Iterator[Trouble]:
    """Find what Elasticsearch itself reports of its disks and its bound of shards."""
    answer: Any = client.health_report().body
    indicators: Mapping[str, Any] = answer.get("indicators", {})
    disk = indicators.get("disk", {})
    details: Mapping[str, int] = disk.get("details", {})
    nearly = details.get("nodes_over_high_watermark", 0) + details.get("nodes_over_flood_stage_watermark", 0)
    if disk.get("status") in {"yellow", "red"} and nearly:
        yield _trouble("degraded", f"the disks of {nearly} nodes of Elasticsearch are nearly full", FREE_DISK)
    if indicators.get("shards_capacity", {}).get("status") in {"yellow", "red"}:
        yield _trouble(
            "degraded",
            "Elasticsearch is near the bound of its number of shards: there may be no index for new months",
            "add a node, remove indices that nobody needs, or raise cluster.max_shards_per_node",
        )


def _memory(client: Elasticsearch) -> Iterator[Trouble]:
    """Find nodes whose heap is so full that they refuse requests."""
    answer: Any = client.nodes.stats(
        metric="breaker", filter_path="nodes.*.breakers.parent", timeout="3s"
    ).body
    parents = [node["breakers"]["parent"] for node in answer.get("nodes", {}).values() if node]
    short = [
        parent
        for parent in parents
        if parent["estimated_size_in_bytes"] >= LITTLE_MEMORY * parent["limit_size_in_bytes"]
    ]
    if short:
        yield _trouble(
            "degraded", f"{len(short)} nodes of Elasticsearch have hardly any memory left", TRY_LATER
        )


def _privileges(client: Elasticsearch, prefix: str) -> Iterator[Trouble]:
    """Find privileges that our user lacks."""
    pattern = f"{prefix}-*"
    answer: Any = client.security.has_privileges(
        cluster=list(CLUSTER_PRIVILEGES), index=[{"names": [pattern], "privileges": list(INDEX_PRIVILEGES)}]
    ).body
    for kind, wanted, held in (
        ("cluster", CLUSTER_PRIVILEGES, answer["cluster"]),
        ("index", INDEX_PRIVILEGES, answer["index"][pattern]),
    ):
        for name, state in wanted.items():
            if not held[name]:
                yield _trouble(state, f"{LACKING} the {kind} privilege '{name}'", GIVE_PRIVILEGE)
