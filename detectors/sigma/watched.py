"""Notice whether a rule looks at an event itself, and not only at what is known of its values."""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, ValuesView
from typing import TypeVar, overload

from soc_core.model.event import Event, Value

Other = TypeVar("Other")


class Watched(dict[str, Value]):
    """Be an event that notices when it is read."""

    __slots__ = ("_read",)

    def __init__(self, event: Event) -> None:
        """Take what the event holds."""
        super().__init__(event)
        self._read = False

    def read(self) -> bool:
        """Tell whether anything was read since this was asked last."""
        was, self._read = self._read, False
        return was

    def __getitem__(self, name: str) -> Value:
        """Return a value."""
        self._read = True
        return super().__getitem__(name)

    def __contains__(self, name: object) -> bool:
        """Tell whether there is a field."""
        self._read = True
        return super().__contains__(name)

    def __iter__(self) -> Iterator[str]:
        """Yield the names of the fields."""
        self._read = True
        return super().__iter__()

    @overload
    def get(self, name: str, default: None = None, /) -> Value | None: ...
    @overload
    def get(self, name: str, default: Value, /) -> Value: ...
    @overload
    def get(self, name: str, default: Other, /) -> Value | Other: ...
    def get(self, name: str, default: object = None, /) -> object:
        """Return a value, ``default`` where there is none."""
        self._read = True
        return super().get(name, default)

    def keys(self) -> KeysView[str]:  # type: ignore[override] # the views of dict have no public name
        """Return the names of the fields."""
        self._read = True
        return super().keys()

    def values(self) -> ValuesView[Value]:  # type: ignore[override] # as above
        """Return the values."""
        self._read = True
        return super().values()

    def items(self) -> ItemsView[str, Value]:  # type: ignore[override] # as above
        """Return names and values."""
        self._read = True
        return super().items()
