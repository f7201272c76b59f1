"""What goes over the socket: one frame per session and tick, in the words of the protocol."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from apps.sessions.engine.curves import merged
from apps.sessions.engine.events import EventPayload
from apps.sessions.notices import flag_message, reason_text

PROTOCOLS = ("html", "json")


def dump(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False)


@dataclass(frozen=True)
class Head:
    """The row of a session as the tail sees it."""

    last_seq: int
    status: str
    progress: float
    kind: str = "training"


@dataclass(frozen=True)
class Batch:
    """Events ``after`` < seq ≤ ``seq`` of one session, oldest first, with its row at that time."""

    session: int
    after: int
    events: Sequence[tuple[int, EventPayload]]
    head: Head

    @cached_property
    def seq(self) -> int:
        return self.events[-1][0] if self.events else self.after

    @cached_property
    def payload(self) -> EventPayload:
        return merged(payload for _, payload in self.events)

    @cached_property
    def emitted(self) -> float:
        """When the oldest of the points was said, in seconds since 1970; 0 without points."""
        points = self.payload.get("points")
        return points[0].get("at", 0.0) if points else 0.0

    @property
    def message(self) -> str:
        """The English sentence of the reason that came with a state."""
        reason = self.payload.get("reason", {})
        return reason_text(str(reason.get("code", "")), reason)

    @property
    def has_gap(self) -> bool:
        """Tell whether rows after the cursor are no longer there (compacted or removed)."""
        return bool(self.events) and self.events[0][0] != self.after + 1

    def behind(self, seq: int) -> Batch:
        """Return the part of the batch that a reader at ``seq`` has not seen."""
        return Batch(self.session, seq, [event for event in self.events if event[0] > seq], self.head)

    @cached_property
    def html(self) -> list[str]:
        """Frames for a page: numbers only, since partials travel on their own."""
        payload = self.payload
        frame: dict[str, Any] = {"session": self.session, "after": self.after, "seq": self.seq, "emitted": self.emitted}
        frame |= {key: payload[key] for key in ("rewind", "points", "status") if key in payload}  # type: ignore[literal-required]
        return [dump(frame)]

    @cached_property
    def json(self) -> list[str]:
        """Frames for a program; every one but the last says that more of the same events follow."""
        *before, last = self._messages()
        return [dump({**message, "more": True}) for message in before] + [dump(last)]

    def _messages(self) -> list[dict[str, Any]]:
        payload, common = self.payload, {"session_id": self.session, "seq": self.seq}
        messages: list[dict[str, Any]] = []
        if "points" in payload or "rewind" in payload:
            messages.append(
                {
                    "type": "session_metrics_update",
                    **common,
                    **_metrics(payload),
                    "progress": self.head.progress,
                    "emitted": self.emitted,
                }
            )
        if "logs" in payload:
            messages.append({"type": "session_log", **common, "lines": payload["logs"]})
        if "resources" in payload:
            messages.append({"type": "session_resources", **common, "samples": payload["resources"]})
        if "flags" in payload:
            flags = [{**flag, "message": flag_message(flag)} for flag in payload["flags"]]
            messages.append({"type": "session_flags", **common, "flags": flags})
        if "status" in payload or not messages:
            messages.append(self._status(common))
        ending = self._ending(common)
        return messages + ([ending] if ending else [])

    def _status(self, common: dict[str, Any]) -> dict[str, Any]:
        status = self.payload.get("status", self.head.status)
        return {
            "type": "session_status_update",
            **common,
            "status": status,
            "progress": self.head.progress,
            "message": self.message,
        }

    def _ending(self, common: dict[str, Any]) -> dict[str, Any] | None:
        match self.payload.get("status"):
            case "completed":
                return {
                    "type": "training_completed",
                    **common,
                    "kind": self.head.kind,
                    "result": self.payload.get("result", {}),
                }
            case "failed":
                return {"type": "training_failed", **common, "kind": self.head.kind, "error_message": self.message}
        return None

    def frames(self, protocol: str) -> list[str]:
        return self.html if protocol == "html" else self.json


def _metrics(payload: EventPayload) -> dict[str, Any]:
    """Return the newest value of each metric, and every point behind it."""
    points = payload.get("points", [])
    newest: dict[str, float | None] = {}
    for point in points:
        newest.update(point["values"])
    last = points[-1] if points else {}
    fields: dict[str, Any] = {"epoch": last.get("epoch"), "step": last.get("step"), "metrics": newest, "points": points}
    return fields | ({"rewind": payload["rewind"]} if "rewind" in payload else {})


def reset(protocol: str, session: int, seq: int) -> str:
    """Return the frame that says: your cursor is of no use, what follows starts anew at ``seq``."""
    if protocol == "html":
        return dump({"session": session, "reset": True, "seq": seq})
    return dump({"type": "session_resync", "session_id": session, "seq": seq})


def together(texts: Sequence[str]) -> str:
    """Return one message for a page that says what several of a kind say."""
    if len(texts) == 1:
        return texts[0]
    return "".join(texts) if texts[0].startswith("<") else f'{{"frames":[{",".join(texts)}]}}'


def error(code: str, message: str) -> str:
    return dump({"type": "error", "code": code, "message": message})
