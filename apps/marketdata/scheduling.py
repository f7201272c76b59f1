"""What django-q2 runs regularly for this room; made by every ``migrate`` where it is not there."""

from __future__ import annotations

from typing import Any

CHECK_ALL = "apps.marketdata.tasks.check_all"
#: As django-q2 writes them: I minutes, D days, W weeks, M months.
IMPORTS_DUE: dict[str, Any] = {
    "name": "imports due", "func": "apps.marketdata.tasks.imports_due", "schedule_type": "I", "minutes": 1,
}  # fmt: skip
SYNCS_DUE: dict[str, Any] = {
    "name": "syncs due", "func": "apps.marketdata.tasks.syncs_due", "schedule_type": "I", "minutes": 5,
}  # fmt: skip
EVERY_WEEK: dict[str, Any] = {"name": "quality of all datasets", "func": CHECK_ALL, "schedule_type": "W"}
