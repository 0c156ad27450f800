"""Define how the agent tells people something: a word for what it is, and values for the sentence."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from soc_core.model.event import Scalar

Notice = Callable[[str, Mapping[str, Scalar]], None]
"""Say a sentence by the last part of its key in the catalogue (``edusoc.collect.told.…``), with its values."""
