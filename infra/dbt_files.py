"""Write the generated part of the dbt project again: `python -m infra.dbt_files`."""

from __future__ import annotations

from pathlib import Path

from features.contracts.commerce import COMMERCE
from features.contracts.webtoon import WEBTOON
from features.exports.dbt import to_dbt_files

__all__ = ["STAGING", "generated_files"]

STAGING = Path(__file__).resolve().parent.parent / "dbt_project" / "models" / "staging"


def generated_files() -> dict[Path, str]:
    """The text of each file; the models read these two topics."""
    return {STAGING / name: text for name, text in to_dbt_files((COMMERCE, WEBTOON)).items()}


if __name__ == "__main__":
    for file, content in generated_files().items():
        file.write_text(content, encoding="utf-8")
