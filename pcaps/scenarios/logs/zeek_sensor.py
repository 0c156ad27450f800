"""Write what a Zeek sensor says in two hours: connections and names, with a search for remote desktops inside."""

from __future__ import annotations

import random
import string
from datetime import datetime

from pcaps.scenarios.scenario import CHINA, LogFile, LogScenario

SCANNER = "192.168.40.23"
CONN = (
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"),
    ("id.resp_p", "port"), ("proto", "enum"), ("service", "string"), ("duration", "interval"), ("orig_bytes", "count"),
    ("resp_bytes", "count"), ("conn_state", "string"), ("local_orig", "bool"), ("local_resp", "bool"),
    ("missed_bytes", "count"), ("history", "string"), ("orig_pkts", "count"), ("orig_ip_bytes", "count"),
    ("resp_pkts", "count"), ("resp_ip_bytes", "count"), ("tunnel_parents", "set[string]"),
)  # fmt: skip
DNS = (
    ("ts", "time"), ("uid", "string"), ("id.orig_h", "addr"), ("id.orig_p", "port"), ("id.resp_h", "addr"),
    ("id.resp_p", "port"), ("proto", "enum"), ("trans_id", "count"), ("rtt", "interval"), ("query", "string"),
    ("qclass", "count"), ("qclass_name", "string"), ("qtype", "count"), ("qtype_name", "string"), ("rcode", "count"),
    ("rcode_name", "string"), ("AA", "bool"), ("TC", "bool"), ("RD", "bool"), ("RA", "bool"), ("Z", "count"),
    ("answers", "vector[string]"), ("TTLs", "vector[interval]"), ("rejected", "bool"),
)  # fmt: skip
NAMES = (
    ("www.smartclass.example", "198.18.4.10"), ("static.smartclass.example", "198.18.4.22"),
    ("im.dingcampus.example", "198.18.12.5"), ("oa.jyj.example", "203.0.113.20"),
    ("pan.yunpan.example", "198.18.33.14"),
)  # fmt: skip
Row = tuple[float, tuple[object, ...]]


def _uid(rng: random.Random) -> str:
    return "C" + "".join(rng.choice(string.ascii_letters + string.digits) for _ in range(17))


def _conn(
    rng: random.Random,
    at: float,
    ends: tuple[str, int, str, int],
    proto: str,
    state: tuple[str, str, str],
    flow: tuple[float, int, int],
) -> Row:
    """Return a row of conn.log; ``state`` is service, conn_state, history, ``flow`` duration and bytes each way."""
    service, conn_state, history = state
    duration, sent, got = flow
    packets = (
        (2 + sent // 1_200, 2 + got // 1_200) if conn_state == "SF" else (1, 1 if conn_state == "REJ" else 0)
    )
    unset = conn_state == "S0"
    local = ends[2].startswith("192.168.")
    row = (
        f"{at:.6f}", _uid(rng), *ends, proto, service, "-" if unset else f"{duration:.6f}", "-" if unset else sent,
        "-" if unset else got, conn_state, "T", "T" if local else "F", 0, history, packets[0],
        sent + packets[0] * 40, packets[1], got + packets[1] * 40, "-",
    )  # fmt: skip
    return at, row


def _background(rng: random.Random, begin: float) -> tuple[list[Row], list[Row]]:
    conns: list[Row] = []
    names: list[Row] = []
    for _ in range(420):
        at, client = begin + rng.uniform(5, 7_100), f"192.168.40.{rng.randrange(30, 90)}"
        name, address = rng.choice(NAMES)
        port = rng.randrange(49_152, 65_000)
        ends = (client, port, "192.168.40.1", 53)
        row = (
            f"{at:.6f}", _uid(rng), *ends, "udp", rng.getrandbits(16), "0.000900", name, 1, "C_INTERNET", 1, "A", 0,
            "NOERROR", "F", "F", "T", "T", 0, address, "60.000000", "F",
        )  # fmt: skip
        names.append((at, row))
        conns.append(_conn(rng, at, ends, "udp", ("dns", "SF", "Dd"), (0.0009, 40, 90)))
        flow = (
            rng.uniform(0.2, 60),
            rng.randrange(800, 9_000),
            round(min(4e6, rng.paretovariate(1) * 4_000)),
        )
        ends = (client, port + 1, address, 443)
        conns.append(_conn(rng, at + 0.01, ends, "tcp", ("ssl", "SF", "ShADadFf"), flow))
    return conns, names


def _scan(rng: random.Random, begin: float) -> list[Row]:
    """Return tries at port 3389 of 90 neighbours: most silent, some refuse, two answer."""
    rows: list[Row] = []
    for number, last in enumerate(rng.sample(range(1, 255), 90)):
        at = begin + 3_000 + number * 1.7 + rng.random()
        ends = (SCANNER, 40_000 + number, f"192.168.41.{last}", 3389)
        if number in {31, 66}:
            rows.append(_conn(rng, at, ends, "tcp", ("rdp", "SF", "ShADadFf"), (1.1, 620, 1_400)))
        elif number % 4 == 0:
            rows.append(_conn(rng, at, ends, "tcp", ("-", "REJ", "Sr"), (0.0004, 0, 0)))
        else:
            rows.append(_conn(rng, at, ends, "tcp", ("-", "S0", "S"), (0, 0, 0)))
    return rows


def _table(path: str, columns: tuple[tuple[str, str], ...], rows: list[Row], start: datetime) -> bytes:
    stamp = f"{start.astimezone(CHINA):%Y-%m-%d-%H-%M-%S}"
    lines = [
        "#separator \\x09", "#set_separator\t,", "#empty_field\t(empty)", "#unset_field\t-", f"#path\t{path}",
        f"#open\t{stamp}", "\t".join(("#fields", *(name for name, _ in columns))),
        "\t".join(("#types", *(kind for _, kind in columns))),
    ]  # fmt: skip
    lines += ["\t".join(map(str, row)) for _, row in sorted(rows, key=lambda row: row[0])]
    return ("\n".join([*lines, f"#close\t{stamp}"]) + "\n").encode()


def build(rng: random.Random, start: datetime) -> list[LogFile]:
    """Return conn.log and dns.log."""
    begin = start.timestamp()
    conns, names = _background(rng, begin)
    conns += _scan(rng, begin)
    return [
        LogFile("conn.log.gz", _table("conn", CONN, conns, start), len(conns)),
        LogFile("dns.log.gz", _table("dns", DNS, names, start), len(names)),
    ]


SCENARIO = LogScenario(
    name="zeek_sensor",
    hour=13,
    hours=2.1,
    zh="流量探针（Zeek）日志：一台电脑在探测远程桌面",
    en="A Zeek sensor's logs: one PC searches for remote desktops",
    build=build,
    addresses={
        SCANNER: ("探测远程桌面的电脑", "the searching PC"),
        "192.168.40.30": ("正常电脑", "an ordinary PC"),
    },
    must_find=(("host_scan", SCANNER, "high"),),
    must_not=({"min_severity": "high", "entity": "192.168.40.30"},),
)
