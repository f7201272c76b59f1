"""The report document of a backtest: JSON-able, complete, every figure computed.

``build`` makes it. Nothing here loads numba, so pages may import the words (``verdict.GATES``,
``findings.text``, ``REFUSED``, ``REASONS``).
"""

from apps.trading.engine.report.document import SCHEMA, build
from apps.trading.engine.report.findings import FINDINGS, text
from apps.trading.engine.report.setting import Baseline, Setting, Universe
from apps.trading.engine.report.verdict import GATES, VERDICTS
from apps.trading.engine.report.words import BASELINES, REASONS, REFUSED, STRESS

__all__ = [
    "BASELINES",
    "FINDINGS",
    "GATES",
    "REASONS",
    "REFUSED",
    "SCHEMA",
    "STRESS",
    "VERDICTS",
    "Baseline",
    "Setting",
    "Universe",
    "build",
    "text",
]
