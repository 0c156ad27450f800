# ruff: noqa: E501  (tables of events and questions read better in long lines)
"""Make realistic events for the store's benchmarks: 200 schools with their own devices, 180 days, six kinds of source.

Every day is made from its own seed, so any day can be made again, alone, for whoever loads it. In each day some
events come late (an agent was offline for hours or days), fields appear over the months that the dictionary lacks,
and some values have the wrong type. ``NEEDLE`` is an address that is rare, ``RARE`` a text that is.
"""

from __future__ import annotations

import base64
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, TypeVar

from soc_core.clock import format_epoch_us
from soc_core.model.event import Event, make_event_id

BEGIN: Final = datetime(2026, 3, 1, tzinfo=UTC)
DAYS: Final = 180
SCHOOLS: Final = 200
CITIES: Final = 11
BATCH: Final = 1_000
NEEDLE: Final = "203.0.113.77"
RARE: Final = "sekurlsa::LogonPasswords"
_BEGIN_US: Final = int(BEGIN.timestamp()) * 1_000_000
_DAY_US: Final = 86_400_000_000
_WORDS: Final = [
    "edu",
    "school",
    "class",
    "portal",
    "smart",
    "campus",
    "cloud",
    "study",
    "video",
    "game",
    "cdn",
    "img",
    "api",
    "static",
    "news",
    "mail",
    "pan",
    "wx",
    "qq",
    "baidu",
    "taobao",
    "bili",
    "zhihu",
    "weibo",
    "douyin",
    "huawei",
    "apple",
    "seewo",
    "zxx",
    "exam",
    "library",
    "sports",
    "art",
    "music",
    "health",
    "canteen",
    "bus",
]
_NETWORKS: Final = (
    (4134, "CHINANET"), (4837, "CHINA UNICOM"), (9808, "China Mobile"), (45102, "Alibaba"), (4538, "CERNET"),
)  # fmt: skip
_PROCESSES: Final = [
    "svchost.exe",
    "explorer.exe",
    "chrome.exe",
    "winword.exe",
    "excel.exe",
    "cmd.exe",
    "powershell.exe",
    "wmiprvse.exe",
    "rundll32.exe",
    "regsvr32.exe",
    "msedge.exe",
    "wps.exe",
    "qq.exe",
    "seewo.exe",
]
_SERVICES: Final = {443: "tls", 80: "http", 53: "dns", 22: "ssh", 3389: "rdp", 445: "smb"}
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class School:
    """Hold a school: id, name, the city it lies in, the beginning of its addresses, its accounts."""

    number: int
    id: str
    name: str
    city: int
    prefix: str
    users: tuple[str, ...]


def _school(number: int, pick: random.Random) -> School:
    users = tuple(f"t{number:03d}{pick.randrange(10_000):04d}" for _ in range(20 + pick.randrange(60)))
    return School(
        number,
        f"s{number:04d}",
        f"第{number}实验中学",
        number % CITIES,
        f"10.{number}.",
        (*users, "admin", "root"),
    )


def city_units(city: int) -> frozenset[str]:
    """Return the ids of the schools of a city."""
    return frozenset(f"s{number:04d}" for number in range(SCHOOLS) if number % CITIES == city)


def rare_addresses(count: int) -> list[str]:
    """Return addresses outside that are rare: some seventy events in five million each have one of them."""
    return Generator(1).outside[-count:]


class Generator:
    """Make ``total`` events spread evenly over ``days`` days."""

    def __init__(self, total: int, days: int = DAYS) -> None:
        """Make the world the events come from; it is the same for every total."""
        world = random.Random(7)
        pick = world.randrange
        self.total, self.days = total, days
        self._schools = [_school(number, world) for number in range(SCHOOLS)]
        self.outside = [f"{20 + pick(180)}.{pick(256)}.{pick(256)}.{1 + pick(254)}" for _ in range(20_000)]
        endings = ("com", "cn", "edu.cn", "net", "com.cn", "top")
        self._names = [
            f"{world.choice(_WORDS)}{pick(100)}.{world.choice(_WORDS)}{pick(50)}.{world.choice(endings)}"
            for _ in range(15_000)
        ]
        chrome = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{}.0.0.0 Safari/537.36"
        self._agents = [chrome.format(100 + n) for n in range(40)] + [f"curl/8.{n}.0" for n in range(10)]
        self._files = [f"{world.getrandbits(256):064x}" for _ in range(5_000)]
        self._ja3 = [f"{world.getrandbits(128):032x}" for _ in range(300)]
        kinds = (
            (self._flow, 40),
            (self._dns, 25),
            (self._http, 8),
            (self._tls, 10),
            (self._ssh, 7),
            (self._process, 10),
        )
        self._kinds: list[Callable[[int, School], Event]] = [
            kind for kind, share in kinds for _ in range(share)
        ]
        self._random = world
        self._day = 0

    def batches(self, first: int = 0) -> Iterator[list[Event]]:
        """Yield all batches in the order they arrive, from day ``first`` on."""
        for day in range(first, self.days):
            yield from self.day(day)

    def day(self, day: int) -> Iterator[list[Event]]:
        """Yield the batches that arrive on a day (0 is ``BEGIN``)."""
        self._random, self._day = random.Random(1_000_003 * (day + 1)), day
        number = self.total * day // self.days
        end = self.total * (day + 1) // self.days
        moments = sorted(self._moment() for _ in range(end - number))
        for start in range(0, len(moments), BATCH):
            yield [
                self._event(day * _DAY_US + moment, number + start + index)
                for index, moment in enumerate(moments[start : start + BATCH])
            ]

    def _moment(self) -> int:
        """Return microseconds into the day; most happens in school hours (08:00 to 17:00 in Shanghai)."""
        chance = self._random.random
        return int((chance() if chance() < 0.3 else (chance() + chance()) / 2 * 0.5) * (_DAY_US - 1))

    def _event(self, arrived: int, number: int) -> Event:
        chance = self._random.random
        happened = arrived
        if chance() < 0.01:
            happened = max(0, arrived - int(chance() ** 2 * 3 * _DAY_US))
        school = self._schools[int(SCHOOLS * chance() ** 1.5)]
        event = self._kinds[int(chance() * 100)](happened, school)
        timestamp = str(event["@timestamp"])
        event["event.id"] = make_event_id(timestamp, school.number.to_bytes(16, "big"), number, b"")
        event["event.ingested"] = format_epoch_us(_BEGIN_US + arrived + 400_000 + self._pick(2_000_000))
        if chance() < 0.01:
            name = f"vendor.f{self._pick(self._day // 3 + 1)}"
            event[name] = self._pick(100) if chance() < 0.5 else f"text {self._pick(100)}"
        if chance() < 0.002:
            event["source.port"] = "unknown"  # a source that writes text for a number
        return event

    def _pick(self, limit: int) -> int:
        return int(self._random.random() * limit)

    def _often(self, items: Sequence[_T]) -> _T:
        """Return one of the items, the first ones more often."""
        chance = self._random.random()
        return items[int(len(items) * chance * chance * chance)]

    def _base(self, happened: int, school: School, dataset: str, names: tuple[str, str, str]) -> Event:
        category, kind, action = names
        timestamp = format_epoch_us(_BEGIN_US + happened)
        return {
            "@timestamp": timestamp, "event.kind": "event", "event.category": [category], "event.type": [kind],
            "event.action": action, "event.dataset": dataset, "event.module": dataset.split(".", maxsplit=1)[0],
            "event.created": format_epoch_us(_BEGIN_US + happened + self._pick(300_000)), "event.severity": self._pick(5),
            "ecs.version": "8.17.0", "organization.id": school.id, "organization.name": school.name,
            "observer.name": f"probe-{school.id}",
            "observer.type": "sensor", "observer.ip": [school.prefix + "0.2"],
            "agent.id": f"a-{school.id}", "agent.version": "1.4.2", "tags": ["school", "prod"],
        }  # fmt: skip

    def _network(self, event: Event, school: School, transport: str, port: int) -> tuple[str, str]:
        chance, pick = self._random.random, self._pick
        device = pick(4) << 8 | int(254 * chance() ** 2) + 1
        source = f"{school.prefix}{device >> 8}.{device & 255}"
        other = NEEDLE if chance() < 8e-6 else self._often(self.outside)
        if chance() < 0.08:
            source, other = other, source
        sent, received = int(chance() ** 4 * 200_000) + 60, int(chance() ** 4 * 2_000_000) + 60
        number, owner = _NETWORKS[len(other) * 7 % 5]
        event.update({
            "source.ip": source, "source.port": 1024 + pick(64_000), "source.bytes": sent,
            "source.packets": sent // 600 + 1, "source.mac": f"00-50-56-{school.number:02X}-{device >> 8:02X}-{device & 255:02X}",
            "destination.ip": other, "destination.port": port, "destination.bytes": received,
            "destination.packets": received // 900 + 1,
            "destination.domain": f"AS{number} {owner}", "network.transport": transport, "network.type": "ipv4",
            "network.bytes": sent + received,
            "network.packets": sent // 600 + received // 900 + 2, "network.direction": "outbound",
            "network.protocol": _SERVICES.get(port, "unknown"),
            "network.community_id": "1:" + base64.b64encode(self._random.randbytes(20)).decode(),
            "event.duration": int(chance() ** 3 * 6e10), "related.ip": [source, other],
        })  # fmt: skip
        return source, other

    def _flow(self, happened: int, school: School) -> Event:
        event = self._base(happened, school, "packets.flow", ("network", "end", "network_flow"))
        port = (443, 80, 53, 22, 3389, 445, 8080, 123, 1900, 5353)[self._pick(10)]
        self._network(event, school, "udp" if port in {53, 123, 1900, 5353} else "tcp", port)
        event.update({
            "event.start": format_epoch_us(_BEGIN_US + happened - self._pick(60_000_000)), "event.end": event["@timestamp"],
            "network.vlan.id": str(100 + self._pick(30)), "edusoc.flow.state": ("SF", "S0", "REJ", "RSTO")[self._pick(4)],
            "edusoc.flow.tcp_flags_source": "SAPFR"[: 1 + self._pick(5)], "edusoc.flow.end_reason": ("idle", "end")[self._pick(2)],
            "edusoc.flow.payload_packets_source": self._pick(300), "edusoc.flow.payload_packets_destination": self._pick(600),
        })  # fmt: skip
        return event

    def _dns(self, happened: int, school: School) -> Event:
        event = self._base(happened, school, "packets.dns", ("network", "protocol", "dns_query"))
        self._network(event, school, "udp", 53)
        name = self._often(self._names)
        if self._random.random() < 0.05:
            name = f"{self._random.getrandbits(96):024x}.{name}"
        found = [self._often(self.outside) for _ in range(1 + self._pick(3))]
        event.update({
            "dns.id": str(self._pick(65_536)), "dns.type": "answer", "dns.question.name": name,
            "dns.question.type": ("A", "AAAA", "HTTPS", "TXT")[self._pick(4)], "dns.question.class": "IN",
            "dns.question.registered_domain": name.split(".", 1)[-1],
            "dns.response_code": "NOERROR" if self._random.random() < 0.95 else "NXDOMAIN", "dns.answers.data": found,
            "dns.answers.ttl": [self._pick(600) for _ in found],
            "dns.resolved_ip": found, "dns.header_flags": ["RD", "RA"], "related.hosts": [name],
            "message": f"dns query {name} {found[0]}",
        })  # fmt: skip
        event["related.ip"] = [*event["related.ip"], *found]  # type: ignore[misc] # texts here
        return event

    def _http(self, happened: int, school: School) -> Event:
        event = self._base(happened, school, "packets.http", ("web", "access", "http_request"))
        source, _ = self._network(event, school, "tcp", 80)
        pick = self._pick
        host, agent = self._often(self._names), self._often(self._agents)
        path = (
            "/"
            + "/".join(_WORDS[pick(len(_WORDS))] for _ in range(1 + pick(4)))
            + (".php", ".html", ".jsp", "", "/")[pick(5)]
        )
        query = (
            f"id={pick(100_000)}&k={self._random.getrandbits(24):06x}"
            if self._random.random() < 0.5
            else "v=1"
        )
        if self._random.random() < 0.002:
            query = "id=1%27%20UNION%20SELECT%20password%20FROM%20users--"
        method, status = ("GET", "GET", "GET", "POST")[pick(4)], (200, 200, 200, 301, 404, 403, 500)[pick(7)]
        size = pick(100_000)
        event.update({
            "url.domain": host, "url.path": path, "url.query": query, "url.full": f"http://{host}{path}?{query}",
            "url.scheme": "http", "http.request.method": method, "http.version": "1.1", "http.response.status_code": status,
            "http.response.body.bytes": size, "http.request.bytes": pick(3_000), "http.response.mime_type": "text/html",
            "user_agent.original": agent, "http.request.referrer": f"http://{self._often(self._names)}/",
            "related.hosts": [host], "message": f"{method} {host}{path} {status}",
            "event.original": f'{source} - - [{event["@timestamp"]}] "{method} {path}?{query} HTTP/1.1" {status} {size} "http://{host}/" "{agent}"',
        })  # fmt: skip
        return event

    def _tls(self, happened: int, school: School) -> Event:
        event = self._base(happened, school, "packets.tls", ("network", "protocol", "tls_handshake"))
        self._network(event, school, "tcp", 443)
        host = self._often(self._names)
        ciphers = ("TLS_AES_128_GCM_SHA256", "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256")
        event.update({
            "tls.version": ("1.2", "1.3")[self._pick(2)], "tls.version_protocol": "tls", "tls.cipher": ciphers[self._pick(2)],
            "tls.client.server_name": host, "tls.client.ja3": self._often(self._ja3), "tls.server.ja3s": self._often(self._ja3),
            "tls.established": True, "tls.resumed": self._random.random() < 0.3, "tls.next_protocol": "h2",
            "tls.server.hash.sha256": self._often(self._files), "tls.server.subject": f"CN={host}",
            "tls.server.issuer": f"C=US, O=Let's Encrypt, CN=R{self._pick(12)}", "related.hosts": [host],
            "tls.server.not_after": f"2026-12-{1 + self._pick(28):02d}T00:00:00.000000Z",
        })  # fmt: skip
        return event

    def _ssh(self, happened: int, school: School) -> Event:
        event = self._base(happened, school, "syslog.auth", ("authentication", "start", "ssh_login"))
        pick, chance = self._pick, self._random.random
        user = self._often(school.users) if chance() < 0.7 else "root"
        address = self._often(self.outside) if chance() < 0.5 else f"{school.prefix}0.{1 + pick(254)}"
        accepted, pid, port, host = (
            chance() < 0.3,
            pick(40_000),
            1 + pick(60_000),
            f"srv{pick(5)}.{school.id}.edu",
        )
        text = f"{'Accepted' if accepted else 'Failed'} password for {user} from {address} port {port} ssh2"
        event.update({
            "host.name": host, "host.ip": [school.prefix + "1.10"], "process.name": "sshd", "process.pid": pid,
            "log.syslog.facility.code": 10, "log.syslog.priority": 86, "log.syslog.severity.code": 6,
            "log.syslog.appname": "sshd", "source.ip": address, "source.port": port, "user.name": user,
            "event.outcome": "success" if accepted else "failure", "related.ip": [address], "related.user": [user],
            "message": text, "event.original": f"<86>{event['@timestamp']} {host} sshd[{pid}]: {text}",
        })  # fmt: skip
        return event

    def _command(self, program: str) -> str:
        if self._random.random() < 0.0005:
            return f"cmd.exe /c MimiKatz.exe privilege::debug {RARE} exit"
        if program != "powershell.exe":
            return f'"C:\\Program Files\\App{self._pick(200)}\\{program}" /s /id={self._random.getrandbits(32):08x}'
        if self._random.random() < 0.05:
            hidden = base64.b64encode(self._random.randbytes(60)).decode()
            return f"powershell.exe -NoP -NonI -W Hidden -Enc {hidden}"
        return f"powershell.exe -File C:\\scripts\\task{self._pick(300)}.ps1"

    def _process(self, happened: int, school: School) -> Event:
        event = self._base(
            happened, school, "windows.sysmon", ("process", "start", "Process Create (rule: ProcessCreate)")
        )
        pick, random_bits = self._pick, self._random.getrandbits
        program, parent, user = self._often(_PROCESSES), self._often(_PROCESSES), self._often(school.users)
        number = int(300 * self._random.random() ** 2)
        host, command, pid = f"PC-{school.id}-{number:03d}", self._command(program), pick(20_000)
        event.update({
            "host.name": host, "host.ip": [f"{school.prefix}{number // 250}.{number % 250 + 1}"], "host.os.family": "windows",
            "host.os.version": "10.0.19045", "winlog.event_id": "1", "winlog.channel": "Microsoft-Windows-Sysmon/Operational",
            "winlog.provider_name": "Microsoft-Windows-Sysmon", "winlog.record_id": str(pick(10**7)),
            "winlog.computer_name": host, "winlog.opcode": "Info", "event.code": "1", "event.provider": "Microsoft-Windows-Sysmon",
            "process.name": program, "process.executable": "C:\\Windows\\System32\\" + program, "process.command_line": command,
            "process.pid": pid, "process.entity_id": f"{{{random_bits(128):032x}}}", "process.hash.sha256": self._often(self._files),
            "process.parent.name": parent, "process.parent.executable": "C:\\Windows\\System32\\" + parent,
            "process.parent.pid": pick(20_000), "process.parent.command_line": parent,
            "process.working_directory": "C:\\Users\\" + user, "user.name": user, "user.domain": "EDU",
            "user.id": f"S-1-5-21-{school.number}-{pick(1_000)}", "related.user": [user],
            "winlog.event_data.IntegrityLevel": ("High", "Medium", "System")[pick(3)],
            "winlog.event_data.LogonGuid": f"{{{random_bits(128):032x}}}", "winlog.event_data.Company": "Microsoft",
            "message": f"Process Create:\nImage: C:\\Windows\\System32\\{program}\nCommandLine: {command}\nUser: EDU\\{user}\n"
            f"ParentImage: {parent}\nProcessId: {pid}",
            "event.original": "<Event><System><Provider Name='Microsoft-Windows-Sysmon'/><EventID>1</EventID>"
            f"<Computer>{host}</Computer></System><EventData><Data Name='Image'>C:\\Windows\\System32\\{program}</Data>"
            f"<Data Name='CommandLine'>{command}</Data><Data Name='User'>EDU\\{user}</Data></EventData></Event>",
        })  # fmt: skip
        return event


def end_of(days: int) -> datetime:
    """Return the end of the last day."""
    return BEGIN + timedelta(days=days)
