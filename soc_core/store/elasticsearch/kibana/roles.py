"""Make the role for people who may see everything under one prefix, and nothing else.

Documents can't be hidden from a role without a paid licence, and a space of Kibana hides its own objects only, not the
indices. So the one fence there is runs between prefixes (DESIGN §10).
"""

from __future__ import annotations

from soc_core.store.elasticsearch.kibana.objects import Table
from soc_core.store.elasticsearch.kibana.options import PackOptions


def role_name(options: PackOptions) -> str:
    """Return what the role is called."""
    return f"{options.prefix}-analyst"


def role_body(options: PackOptions, space: str = "default") -> Table:
    """Return the role as ``PUT /api/security/role/<name>`` of Kibana takes it: reading, in one space."""
    indices: Table = {
        "names": [options.checked().all_indices],
        "privileges": ["read", "view_index_metadata"],
    }
    return {
        "elasticsearch": {"cluster": [], "indices": [indices], "run_as": []},
        "kibana": [{"base": ["read"], "feature": {}, "spaces": [space or "default"]}],
    }
