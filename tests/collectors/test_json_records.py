from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from collectors.json_records import first_object, read_json
from collectors.opening import open_bytes

_OBJECTS = st.lists(
    st.dictionaries(st.text(max_size=5), st.none() | st.integers(-9, 9) | st.text(max_size=8), max_size=4),
    min_size=1,
    max_size=6,
)


def _read(data: bytes) -> list[tuple[object, int, str]]:
    with open_bytes(data) as source:
        return [(record.tree, record.line, record.fault) for record in read_json(source)]


@given(_OBJECTS, st.booleans())
def test_every_shape_gives_the_same_objects(objects: list[dict[str, object]], ascii_: bool) -> None:
    lines = [json.dumps(item, ensure_ascii=ascii_) for item in objects]
    pretty = [json.dumps(item, ensure_ascii=ascii_, indent=2) for item in objects]
    shapes = ["\n".join(lines), f"[{','.join(lines)}]", "[\n" + ",\n".join(pretty) + "\n]"]
    # An empty object is whole on its line: it makes the shape one object a line.
    shapes += ["\n".join(pretty)] if objects[0] else []
    for text in shapes:
        assert [tree for tree, _, _ in _read(text.encode("utf-8", "surrogatepass"))] == objects


def test_lines_and_positions_of_broken_objects() -> None:
    data = b'{"a":1}\n{"a":\n{"a":3}\nnothing\n'
    assert _read(data)[0] == ({"a": 1}, 1, "")
    assert [line for _, line, fault in _read(data) if fault] == [2, 4]
    assert ({"a": 3}, 3, "") in _read(data)


def test_broken_object_in_an_array_costs_only_itself() -> None:
    data = b'[\n{"a": 1},\n{"a": oops},\n{"a": 3}\n]'
    found = _read(data)
    assert [tree for tree, _, fault in found if not fault] == [{"a": 1}, {"a": 3}]
    assert [line for _, line, fault in found if fault] == [3]


def test_long_arrays_and_objects_are_bounded() -> None:
    big = b'{"a": "' + b"x" * (2 << 20) + b'"}'
    data = b"[" + big + b',\n{"a": 2}]'
    found = _read(data)
    assert ({"a": 2}, 2, "") in found
    assert all(fault for tree, _, fault in found if tree != {"a": 2})


def test_deep_nesting_raises_nothing() -> None:
    for data in (b"[" * 200_000, b'{"a":' * 100_000, b'{"a":' + b"[" * 50_000 + b"]" * 50_000 + b"}\n"):
        assert all(fault for _, _, fault in _read(data))
        first_object(data)


def test_odd_texts_are_read() -> None:
    assert _read('{"a":"学校的网络"}'.encode("gb18030"))[0][0] == {"a": "学校的网络"}
    assert _read(b'{"a":"\\ud800"}\n')[0][2] == ""
    assert _read(b'\xef\xbb\xbf{"a":1}\n')[0][0] == {"a": 1}
