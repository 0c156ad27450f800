"""Write the reference page of the Kibana pack from the tables it is made of."""

from __future__ import annotations

from typing import Final

from soc_core.store.elasticsearch.kibana.content import DashboardSpec, PanelSpec, SearchSpec, Words, content
from soc_core.store.elasticsearch.kibana.options import PackOptions

HEAD: Final = """# Kibana 包 · The Kibana pack

由 `soc_core/store/elasticsearch/kibana/*.toml` 生成，勿手改：`python -m edusoc.reference`。
Generated from `soc_core/store/elasticsearch/kibana/*.toml`; do not edit.

怎么用：[用 Kibana 查线索](../how-to/kibana.md) · How to use it: [Kibana](../how-to/kibana.md#english)
"""


def kibana_page() -> str:
    """Return the page: data views, dashboards with their panels, saved searches with their queries."""
    table = content()
    views = [
        f"| {_both(view.title)} | `{PackOptions().index_pattern(view.datasets)}` |"
        for view in table.views.values()
    ]
    parts = [
        HEAD,
        "## 数据视图 · Data views\n",
        "| 名称 · name | 索引（前缀 edusoc） · indices (prefix edusoc) |\n|---|---|",
        *views,
        "\n## 仪表板 · Dashboards",
        *(_dashboard(one) for one in table.dashboards.values()),
        "\n## 线索搜索 · Saved searches",
        *(_search(one) for one in table.searches.values()),
    ]
    return "\n".join(parts)


def _both(words: Words) -> str:
    return f"{words.zh} · {words.en}"


def _dashboard(spec: DashboardSpec) -> str:
    titles = [f"| {words.zh} | {words.en} |" for panel in spec.panels if (words := _title(panel)) is not None]
    rows = "\n".join(["| 面板 | panel |", "|---|---|", *titles])
    why = f"{spec.description.zh}\n{spec.description.en}"
    controls = ", ".join(f"`{name}`" for name in spec.controls)
    head = f"\n### {_both(spec.title)}\n\n{why}\n\n"
    return f"{head}打开时的时间范围 · range: `{spec.since}`；选项 · controls: {controls}\n\n{rows}"


def _title(panel: PanelSpec) -> Words | None:
    """Return what a panel is called; a search's own title where it shows one."""
    return content().searches[panel.search].title if panel.search else panel.title


def _search(spec: SearchSpec) -> str:
    view = content().views[spec.view].title
    columns = ", ".join(f"`{name}`" for name in spec.columns)
    return (
        f"\n### {_both(spec.title)}\n\n{spec.description.zh}\n{spec.description.en}\n\n"
        f"数据视图 · data view: {_both(view)}\n\n```text\n{spec.query}\n```\n\n列 · columns: {columns}\n"
    )
