"""Write the reference page of the bundled rules: what they cover by ATT&CK and by graded-protection clause."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Final

from detectors.sigma import load_rules
from detectors.sigma.mapping import bundled_rules
from intake.rules.coverage import Covered, Rule, Sight, by_clause, by_technique, sight_of
from intake.rules.model import RuleState

HEAD: Final = """# 自带规则 · Bundled rules

由 `rules/` 生成，勿手改：`python -m edusoc.reference`。
Generated from `rules/`; do not edit.

自带规则 {rules} 条，覆盖 ATT&CK（v19）技术 {techniques} 项、GB/T 22239-2019（三级）控制点 {clauses} 个。
{rules} rules cover {techniques} techniques of ATT&CK v19 and {clauses} control points of GB/T 22239-2019 (level 3).

覆盖只说明“有规则会看”，不等于“都能发现”，更不是等级测评结论；看得到看不到数据见 `edusoc rules blind`，
某个单位实际的覆盖见 `edusoc rules coverage --organisation 单位代码`。
Covered means that a rule looks, not that everything is found, and is no assessment; whether a rule can see is told by
`edusoc rules blind`, the coverage of a unit as rules stand there by `edusoc rules coverage --organisation CODE`.
"""
_LEVELS: Final = {
    "critical": "严重 critical",
    "high": "高 high",
    "medium": "中 medium",
    "low": "低 low",
    "informational": "信息 informational",
}


def rules_page() -> str:
    """Return the page: coverage by technique, by clause, then the list of rules by folder."""
    rules = load_rules([bundled_rules()]).everything
    spoken = [rule for rule in rules if rule.alone]
    seen = [(rule, sight_of(rule, RuleState.ON, _nothing)) for rule in spoken]
    techniques, clauses = by_technique(seen), by_clause(seen)
    head = HEAD.format(rules=len(spoken), techniques=len(techniques), clauses=len(clauses))
    return "".join(
        (
            head,
            _coverage("ATT&CK", techniques),
            _coverage("GB/T 22239-2019", clauses),
            "\n## 规则 · Rules\n\n| 规则 · rule | 级别 · level | 文件 · file |\n|---|---|---|\n",
            *(f"{_line(rule)}\n" for rule in sorted(spoken, key=_file)),
        )
    )


def _nothing(_rule_id: str) -> bool:
    return False


def _coverage(name: str, covered: Iterable[Covered]) -> str:
    rows = (
        f"| {item.name} | {len(item.rules)} | {item.count(Sight.BLIND) or ''} "
        f"| {'、'.join(rule.head.words['zh'].title for rule, _sight in item.rules[:4])}{_more(item)} |\n"
        for item in covered
    )
    head = f"\n## {name}\n\n| 编号 · id | 规则数 · rules | 看不到数据 · blind | 例如 · such as |\n|---|---|---|---|\n"
    return head + "".join(rows)


def _more(item: Covered) -> str:
    return " …" if len(item.rules) > 4 else ""


def _file(rule: Rule) -> str:
    path = Path(rule.head.file)
    return f"{path.parent.name}/{path.name}"


def _line(rule: Rule) -> str:
    chinese, english = (rule.head.words[language].title for language in ("zh", "en"))
    return f"| {chinese}<br>{english} | {_LEVELS[rule.head.severity.value]} | `{_file(rule)}` |"
