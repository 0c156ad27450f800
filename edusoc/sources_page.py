"""Write the page of Sigma's log sources: which of our data sets each means, and whether a collector delivers them."""

from __future__ import annotations

from typing import Final

from detectors.sigma.conversion.plugin import kinds_of
from detectors.sigma.mapping import PLACE, bundled_mappings, bundled_rules
from detectors.sigma.model import LogSource

HEAD: Final = """# Sigma 的日志来源 · Log sources of Sigma

由 `rules/mappings/` 生成，勿手改：`python -m edusoc.reference`。规则数是 SigmaHQ 主目录的。
Generated from `rules/mappings/`; do not edit. Numbers of rules are those of SigmaHQ's main folder.

| 日志来源 · log source | 规则 · rules | 采集 · collected | 数据集 · data sets |
|---|---|---|---|
"""


def sources_page() -> str:
    """Return the page, in the order of the names."""
    lines = (bundled_rules() / PLACE / "sigmahq.tsv").read_text(encoding="utf-8").splitlines()
    return HEAD + "".join(_row(line) for line in lines if not line.startswith("#"))


def _row(line: str) -> str:
    product, category, service, count = line.split("\t")
    source = LogSource(product, category, service)
    route = bundled_mappings().route(source)
    kinds = [
        "; ".join(f"{name} {', '.join(v)}" for name, v in kind.items()) for kind in kinds_of(route.events)
    ]
    said = "有 yes" if route.delivered else "没有 no"
    return f"| `{source}` | {count} | {said} | {'<br>'.join(kinds)} |\n"
