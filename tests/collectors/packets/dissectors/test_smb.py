from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.smb2 import SMB2_Header, SMB2_Negotiate_Protocol_Request, SMB2_Tree_Connect_Request

from collectors.packets.dissectors.ntlm import find_authenticate
from collectors.packets.dissectors.smb import SmbStream
from collectors.packets.dissectors.smb_activity import MAX_NAMES, OpenFile, extension_of
from tests.collectors.packets.dissectors import smb_maker as make
from tests.collectors.packets.dissectors.conversations import Pieces, dissect

SMB = make.conversations()


def test_ransomware_is_seen_as_counts_with_names() -> None:
    login, share, files = dissect("smb", SMB["ransomware"])
    assert (login.fields["event.action"], login.fields["user.name"]) == ("session_setup", "lihua")
    assert login.fields["event.category"] == ["network", "authentication"]
    assert share.fields["edusoc.smb.shares"] == ["\\\\nas\\学籍"]
    fields = files.fields
    assert fields["edusoc.smb.files_renamed"] == fields["edusoc.smb.files_written"] == 40
    assert fields["edusoc.smb.files_created"] == 1
    assert fields["edusoc.smb.new_extensions"] == ["locked"]
    assert fields["edusoc.smb.status"] == ["STATUS_ACCESS_DENIED"]
    names = cast("list[str]", fields["edusoc.smb.names"])
    assert len(names) <= MAX_NAMES
    assert "高一\\README.txt" in names  # made after forty renamed files
    assert names[0] == "高一\\00.docx.locked"
    assert fields["edusoc.smb.dialect"] == "3.1.1"


def test_answers_that_come_before_their_requests() -> None:
    assert [m.fields for m in dissect("smb", SMB["answers_first"])] == [
        m.fields for m in dissect("smb", SMB["ransomware"])
    ]


def test_one_side_alone_tells_what_it_can() -> None:
    (asked,) = dissect("smb", SMB["asked_only"])
    assert asked.fields["edusoc.smb.files_renamed"] == 40
    assert asked.fields["user.name"] == "lihua"
    told = dissect("smb", SMB["told_only"])
    assert [m.fields["event.action"] for m in told] == ["session_setup", "tree_connect", "file_activity"]
    assert "edusoc.smb.files_renamed" not in told[-1].fields


def test_compounded_messages_act_on_the_file_before() -> None:
    (message,) = dissect("smb", SMB["compounded"])
    assert message.fields["edusoc.smb.files_deleted"] == 2
    assert message.fields["edusoc.smb.names"] == ["tmp\\a.txt", "tmp\\b.txt"]


def test_encrypted_messages_are_counted() -> None:
    (message,) = dissect("smb", SMB["encrypted"])
    assert message.fields["edusoc.smb.encrypted"] is True
    assert "encrypted=3" in cast("list[str]", message.fields["edusoc.smb.commands"])


def test_old_dialect() -> None:
    login, share, files = dissect("smb", SMB["old"])
    assert login.fields["user.name"] == "guest"
    assert share.fields["edusoc.smb.shares"] == ["\\\\SRV\\PUB"]
    fields = files.fields
    counts = [fields[f"edusoc.smb.files_{what}"] for what in ("created", "written", "renamed")]
    assert counts == [1, 1, 1]
    assert "edusoc.smb.files_deleted" not in fields
    assert (fields["edusoc.smb.status"], fields["edusoc.smb.version"]) == (["ERRDOS_NOACCESS"], "1")


def test_every_refused_login_is_an_event() -> None:
    found = dissect("smb", SMB["guessing"])
    attempts = [m for m in found if m.fields["event.action"] == "session_setup"]
    assert [m.fields["event.outcome"] for m in attempts] == ["failure"] * 3
    assert {m.fields["user.name"] for m in attempts} == {"administrator"}


def feed_at(stream: SmbStream, pieces: Pieces, times: list[int]) -> list[object]:
    places, found = [0, 0], []
    for (side, data), time_us in zip(pieces, times, strict=True):
        found += stream.feed(side, places[side], time_us, data)
        places[side] += len(data)
    return [
        m.fields.get("edusoc.smb.files_written") for m in found if m.fields["event.action"] == "file_activity"
    ]


def test_activity_comes_out_once_a_minute_while_files_are_touched() -> None:
    pieces: Pieces = []
    for number in range(6):
        identifier = bytes([number + 1]) * 16
        pieces += [
            (0, make.framed(make.create(2 * number, f"{number}.doc"))),
            (1, make.framed(make.create_answer(2 * number, identifier, 1))),
            (0, make.framed(make.write_file(2 * number + 1, identifier, b"x"))),
            (1, make.framed(make.answer(9, 2 * number + 1))),
        ]
    minute = 60_000_000
    times = [number * minute // 2 for number in range(6) for _ in range(4)]
    stream = SmbStream()
    assert feed_at(stream, pieces, times) == [2, 2]
    assert [m.fields["edusoc.smb.files_written"] for m in stream.close()] == [2]


def test_answer_in_the_next_minute_than_its_request() -> None:
    pieces: Pieces = [
        (0, make.framed(make.create(1, "a.doc"))), (1, make.framed(make.create_answer(1, b"\1" * 16, 2))),
        (0, make.framed(make.create(2, "b.doc"))), (1, make.framed(make.create_answer(2, b"\2" * 16, 2))),
    ]  # fmt: skip
    stream = SmbStream()
    assert feed_at(stream, pieces, [5, 6, 7, 70_000_000]) == [None]
    (message,) = stream.close()
    assert (message.time_us, message.fields["edusoc.smb.files_created"]) == (70_000_000, 1)
    assert "edusoc.smb.commands" not in message.fields


def test_idle_connections_make_no_events() -> None:
    echoes: Pieces = [(0, make.framed(make.header(13, number) + b"\4\0\0\0")) for number in range(200)]
    stream = SmbStream()
    assert feed_at(stream, echoes, [number * 60_000_000 for number in range(200)]) == []
    (message,) = stream.close()
    assert message.fields["edusoc.smb.commands"] == ["echo=200"]


def test_engine_that_hands_on_only_the_front_of_messages() -> None:
    """Bytes behind the first 300 of each message are left out: the same events come."""
    places, found = [0, 0], []
    stream = SmbStream()
    for side, data in SMB["ransomware"]:
        found += stream.feed(side, places[side], 5, data[:300])
        places[side] += len(data)
    found += stream.close()
    whole = SmbStream()
    places, expected = [0, 0], []
    for side, data in SMB["ransomware"]:
        expected += whole.feed(side, places[side], 5, data)
        places[side] += len(data)
    assert found == expected + whole.close()


def test_place_is_found_again_after_a_gap() -> None:
    stream = SmbStream()
    login = make.framed(make.session_setup(1, make.ntlm("a", "b", "c")))
    stream.feed(0, 0, 1, login[:50])
    stream.feed(0, 9_000, 1, b"the middle of a file" * 20)
    stream.feed(0, 20_000, 1, login)
    found = stream.feed(1, 0, 1, make.framed(make.session_answer(1, make.SUCCESS)))
    assert [m.fields.get("user.name") for m in found] == ["a"]


def test_scapy_makes_what_is_understood() -> None:
    negotiate = SMB2_Header(Command=0, MID=0) / SMB2_Negotiate_Protocol_Request(Dialects=[0x0210])
    connect = SMB2_Header(Command=3, MID=1) / SMB2_Tree_Connect_Request(Buffer=[("Path", r"\\srv\C$")])
    pieces: Pieces = [
        (0, make.framed(bytes(negotiate))), (1, make.framed(make.negotiated(0, 0x0210))),
        (0, make.framed(bytes(connect))), (1, make.framed(make.tree_answer(1, 4, make.DENIED))),
    ]  # fmt: skip
    share, _ = dissect("smb", pieces)
    assert share.fields["edusoc.smb.shares"] == ["\\\\srv\\C$"]
    assert (share.fields["event.outcome"], share.fields["edusoc.smb.dialect"]) == ("failure", "2.1")


@pytest.mark.parametrize(
    ("name", "extension"),
    [
        ("a.docx", "docx"),
        ("d.x\\a", ""),
        ("d\\A.TXT.Locked", "locked"),
        (".bashrc", ""),
        ("a.", ""),
        ("", ""),
    ],
)
def test_extensions(name: str, extension: str) -> None:
    assert extension_of(name) == extension


def test_pipes_are_no_files() -> None:
    assert OpenFile("svcctl").is_pipe
    assert OpenFile("x", "\\\\a\\IPC$").is_pipe
    assert not OpenFile("svcctl", "\\\\a\\share").is_pipe


@given(st.binary(max_size=200))
def test_any_ntlm(data: bytes) -> None:
    find_authenticate(data)
    find_authenticate(b"NTLMSSP\0\3\0\0\0" + data)


def test_ntlm_inside_spnego_and_in_the_old_code_page() -> None:
    found = find_authenticate(b"\xa1\x82\x01\x00" + make.ntlm("王老师", "SCHOOL", "PC"))
    assert found is not None
    assert (found.user, found.version) == ("王老师", "10.0 build 19041 rev 15")
    assert find_authenticate(b"NTLMSSP\0\1\0\0\0" + b"\0" * 60) is None
