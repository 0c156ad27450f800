"""Store events in a directory of one machine, without a server."""

from soc_core.store.embedded.store import EmbeddedStore, Limits

__all__ = ["EmbeddedStore", "Limits"]
