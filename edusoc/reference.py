"""Write the reference pages that are made from code: ``python -m edusoc.reference``."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from soc_core.fields import FIELDS

PAGE: Final = Path(__file__).resolve().parent.parent / "docs" / "reference" / "fields.md"
HEAD: Final = """# 字段字典 · Field dictionary

由 `soc_core/fields.tsv` 生成，勿手改：`python -m edusoc.reference`。
Generated from `soc_core/fields.tsv`; do not edit.

类型带 `[]` 的总是列表。个人信息类别：none 无，account 账号，device 设备，content 内容。
A type with `[]` is always a list. Personal-data classes: none, account, device, content.

| 字段 · field | 类型 · type | 来源 · origin | 个人信息 · personal | 说明 | description |
|---|---|---|---|---|---|
"""


def fields_page() -> str:
    """Return the page of all fields, ordered by name."""
    rows = [
        f"| `{field.name}` | {field.type}{'[]' if field.multi else ''} | {field.origin} | {field.personal} "
        f"| {field.zh} | {field.en} |"
        for field in sorted(FIELDS.values(), key=lambda item: item.name)
    ]
    return HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.parent.mkdir(parents=True, exist_ok=True)
    PAGE.write_text(fields_page(), encoding="utf-8")
