from __future__ import annotations

from dataclasses import replace

import pytest

from collectors import dhcp_isc, dhcp_kea, dnsmasq
from collectors.coerce import mac_or_none
from collectors.dhcp import Dhcp
from soc_core.model.event import Event
from tests.collectors.base import CONTEXT, GOLDEN, TextCollectorTests, read_all

IP = "192.0.2.100"
MAC = "00-00-5E-00-53-23"


class TestDhcp(TextCollectorTests):
    name = "dhcp"
    samples = (
        "kea.log",
        "kea_leases4.csv",
        "kea_leases6.csv",
        "dhcpd.leases",
        "dnsmasq.leases",
        "dhcp_windows.log",
        "dhcp_windows6.log",
    )


def leases(sample: str) -> list[Event]:
    events, _, _ = read_all(Dhcp(), (GOLDEN / sample).read_bytes())
    return [event for event in events if event["event.dataset"] in ("dhcp.lease", "dhcp.message")]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("00:00:5e:00:53:23", "00-00-5E-00-53-23"),
        ("0000.5e00.5323", "00-00-5E-00-53-23"),
        ("00005E005323", "00-00-5E-00-53-23"),
        ("0000-5e00-5323", "00-00-5E-00-53-23"),
        ("01-00:00:5e:00:53:23", "00-00-5E-00-53-23"),
        ("not a mac", None),
        ("", None),
        ("00:00:5e:00:53", None),
    ],
)
def test_mac_addresses_are_written_one_way(text: str, expected: str | None) -> None:
    assert mac_or_none(text) == expected


def test_every_server_says_who_had_an_address_in_the_same_fields() -> None:
    for sample, address in (
        ("kea.log", "192.0.2.150"),
        ("kea_leases4.csv", "192.0.2.150"),
        ("kea_leases6.csv", "2001:db8::150"),
        ("dhcpd.leases", "192.0.2.100"),
        ("dnsmasq.leases", "192.0.2.51"),
        ("dhcp_windows.log", "192.0.2.77"),
    ):
        found = [event for event in leases(sample) if event.get("client.ip") == address]
        assert found, sample
        assert {event["client.mac"] for event in found if "client.mac" in event} == {"00-00-5E-00-53-23"}, (
            sample
        )
        names = {str(event["client.domain"]).partition(".")[0] for event in found if "client.domain" in event}
        assert names == ({"room301-pc07"} if sample != "kea.log" else set()), sample


def test_leases_have_start_and_end() -> None:
    first = leases("dhcpd.leases")[0]
    assert (first["event.start"], first["event.end"]) == (
        "2026-11-24T12:34:31.000000Z",
        "2026-11-24T12:44:31.000000Z",
    )
    assert first["event.duration"] == 600_000_000_000
    kea = leases("kea_leases4.csv")
    assert str(kea[0]["event.start"]) < str(kea[0]["event.end"])
    assert "event.end" not in kea[2]  # good for ever
    assert kea[2]["client.domain"] == "pc,7.school.example"
    assert kea[3]["event.action"] == "dhcp_lease_decline"
    assert [event.get("client.domain") for event in leases("dnsmasq.leases")] == [
        "room301-pc07",
        None,
        "讲台",
        "room301-pc07",
    ]


def test_windows_rows_are_read_in_any_language() -> None:
    found = leases("dhcp_windows.log")
    assert [event["event.action"] for event in found] == [
        "dhcp_ack",
        "dhcp_renew",
        "dhcp_name_update",
        "dhcp_deny",
        "dhcp_release",
    ]
    assert found[0]["@timestamp"] == "2026-11-24T00:01:15.000000Z"
    assert (found[0]["message"], found[0]["edusoc.dhcp.vendor_class"]) == ("分配", "MSFT 5.0")


def test_an_entry_of_a_lease_file_written_anew_is_the_same_event() -> None:
    data = (GOLDEN / "dhcpd.leases").read_bytes()
    first, _, _ = read_all(Dhcp(), data)
    again, _, _ = read_all(
        Dhcp(), data.replace(b"authoring-byte-order", b"# written anew\nauthoring-byte-order")
    )
    assert [event["event.id"] for event in first] == [event["event.id"] for event in again]
    other, _, _ = read_all(Dhcp(), data, replace(CONTEXT, zone="office"))
    assert not {event["event.id"] for event in first} & {event["event.id"] for event in other}


@pytest.mark.parametrize(
    ("message", "action", "address", "mac"),
    [
        ("DHCPDISCOVER from 00:00:5e:00:53:23 via eth0", "dhcp_discover", None, MAC),
        ("DHCPOFFER on 192.0.2.100 to 00:00:5e:00:53:23 (pc) via eth0", "dhcp_offer", IP, MAC),
        ("DHCPACK on 192.0.2.100 to 00:00:5e:00:53:23 (pc) via 192.0.2.1", "dhcp_ack", IP, MAC),
        ("DHCPACK to 192.0.2.100 (00:00:5e:00:53:23) via eth0", "dhcp_ack", IP, MAC),
        ("DHCPREQUEST for 192.0.2.100 (192.0.2.1) from 00:00:5e:00:53:23 via eth0: wrong",  "dhcp_request", IP, MAC),
        ("DHCPRELEASE of 192.0.2.100 from 00:00:5e:00:53:23 (pc) via eth0 (found)", "dhcp_release", IP, MAC),
        ("DHCPINFORM from 192.0.2.100 via eth0", "dhcp_inform", IP, None),
    ],
)  # fmt: skip
def test_messages_of_dhcpd(message: str, action: str, address: str | None, mac: str | None) -> None:
    event: Event = {}
    assert dhcp_isc.interpret(event, message)
    assert (event["event.action"], event.get("client.ip"), event.get("client.mac")) == (action, address, mac)


def test_relay_and_interface_are_told_apart() -> None:
    event: Event = {}
    dhcp_isc.interpret(event, "DHCPACK on 192.0.2.100 to 00:00:5e:00:53:23 (pc) via 192.0.2.1")
    assert event["edusoc.dhcp.relay"] == "192.0.2.1"
    other: Event = {}
    dhcp_isc.interpret(other, "DHCPDISCOVER from 00:00:5e:00:53:23 via eth0: network 10.0/16: no free leases")
    assert other["observer.ingress.interface.name"] == "eth0"
    assert other["event.reason"] == "network 10.0/16: no free leases"


def test_other_messages_are_left_alone() -> None:
    assert not dhcp_isc.interpret({}, "Wrote 44 leases to leases file.")
    assert not dhcp_kea.interpret({}, "INFO [kea-dhcp4.dhcp4.0x1] DHCP4_STARTED Kea DHCPv4 server started")
    assert not dnsmasq.interpret_dhcp({}, "DHCP, IP range 192.0.2.50 -- 192.0.2.60, lease time 1h")


def test_kea_in_syslog_and_dhcpv6() -> None:
    event: Event = {}
    message = (
        "INFO [kea-dhcp4.leases.0x3cbfd6817b00] DHCP4_LEASE_ALLOC [hwtype=1 00:00:5e:00:53:23], "
        "cid=[01:00:00:5e:00:53:23], tid=0x4e6ff12: lease 192.0.2.146 has been allocated for 3600 seconds"
    )
    assert dhcp_kea.interpret(event, message)
    assert (event["client.ip"], event["client.mac"], event["edusoc.dhcp.client_id"]) == (
        "192.0.2.146",
        "00-00-5E-00-53-23",
        "01:00:00:5e:00:53:23",
    )
    assert event["edusoc.dhcp.lease_seconds"] == 3600
    six = [event for event in leases("kea.log") if event.get("client.ip") == "2001:db8::150"]
    assert six[0]["edusoc.dhcp.client_id"] == "00:01:00:01:2a:2b:2c:2d:00:00:5e:00:53:23"
    reply: Event = {}
    assert dhcp_isc.interpret(
        reply, "Reply NA: address 2001:db8::5 to client with duid 00:01:02 iaid = 7 valid for 600 seconds"
    )
    assert reply["event.action"] == "dhcp_reply"


def test_only_what_gives_or_takes_an_address_is_a_lease() -> None:
    for message, dataset in (
        ("DHCPOFFER on 192.0.2.100 to 00:00:5e:00:53:23 via eth0", "dhcp.message"),
        ("DHCPREQUEST for 192.0.2.100 from 00:00:5e:00:53:23 via eth0", "dhcp.message"),
        ("DHCPACK on 192.0.2.100 to 00:00:5e:00:53:23 via eth0", "dhcp.lease"),
        ("DHCPNAK on 192.0.2.100 to 00:00:5e:00:53:23 via eth0", "dhcp.lease"),
    ):
        event: Event = {}
        assert dhcp_isc.interpret(event, message)
        assert event["event.dataset"] == dataset, message
