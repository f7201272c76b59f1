"""Reference cases of kind ``market_rule``: a question to the rule library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from apps.trading.engine.rules import answer
from quant_platform.reference.files import Files


def run(case: Mapping[str, Any], files: Files) -> Mapping[str, Any]:
    """Return the answer under the names a case may ask for."""
    return answer(case["ask"])
