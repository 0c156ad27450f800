"""Make the whole pack."""

from __future__ import annotations

from soc_core.store.elasticsearch.kibana.content import content
from soc_core.store.elasticsearch.kibana.dashboards import dashboard_object, search_object
from soc_core.store.elasticsearch.kibana.lens import lens_object
from soc_core.store.elasticsearch.kibana.objects import SavedObject
from soc_core.store.elasticsearch.kibana.options import PackOptions
from soc_core.store.elasticsearch.kibana.views import data_view


def build_pack(options: PackOptions) -> list[SavedObject]:
    """Return all objects, those that others use first. Raise ``UsageError`` for options that can't be."""
    options = options.checked()
    table = content()
    objects = [data_view(view, options) for view in table.views.values()]
    objects += [search_object(search, options) for search in table.searches.values()]
    for dashboard in table.dashboards.values():
        panels = [panel for panel in dashboard.panels if panel.metrics]
        objects += [lens_object(panel, options) for panel in panels]
    return objects + [dashboard_object(dashboard, options) for dashboard in table.dashboards.values()]


def export(options: PackOptions) -> bytes:
    """Return the pack as Kibana's import takes it: one object a line, the same bytes for the same options."""
    return b"".join(one.line() for one in build_pack(options))
