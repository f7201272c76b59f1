"""The drawn vocabulary: 16-px icons, and the 12-px shape that says a state without colour."""

from __future__ import annotations

from typing import NamedTuple

from apps.ui.engine.text import N_

#: Bodies of the 16 × 16 line icons.
ICONS: dict[str, str] = {
    "dashboard": '<path d="M2.5 2.5H7v6H2.5zM9 2.5h4.5v3.5H9zM9 8h4.5v5.5H9zM2.5 10.5H7v3H2.5z"/>',
    "strategies": '<path d="M2 4.5h6M12 4.5h2M2 11.5h2M8 11.5h6"/><circle cx="10" cy="4.5" r="1.8"/>'
    '<circle cx="6" cy="11.5" r="1.8"/>',
    "sessions": '<path d="M1.5 13.5h13M1.5 10.5c3 0 3.5-7 6-7s2 4 3.5 4 1.5-2 3.5-2"/>',
    "data": '<path d="M4.5 2v12M11.5 2v12M2.8 5h3.4v5H2.8zM9.8 6.5h3.4v5H9.8z"/>',
    "monitoring": '<path d="M1.5 8.5h3l2-5 3 9 2-4h3"/>',
    "admin": '<circle cx="8" cy="5" r="2.5"/><path d="M2.5 14c.5-3 2.5-4.5 5.5-4.5s5 1.5 5.5 4.5"/>',
    "search": '<circle cx="7" cy="7" r="4.5"/><path d="M10.5 10.5 14 14"/>',
    "system": '<path d="M8 2.5a5.5 5.5 0 1 0 0 11z" fill="currentColor"/><circle cx="8" cy="8" r="5.5"/>',
    "light": '<circle cx="8" cy="8" r="3"/><path d="M8 1.5v1.3M8 13.2v1.3M1.5 8h1.3M13.2 8h1.3M3.4 3.4l.9.9'
    'M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9"/>',
    "dark": '<path d="M13.5 9.5A5.8 5.8 0 1 1 6.5 2.5a4.6 4.6 0 0 0 7 7z"/>',
    "bell": '<path d="M4 11V7a4 4 0 0 1 8 0v4l1 1.5H3zM6.8 14.5h2.4"/>',
    "more": '<path d="M2.5 4.5h11M2.5 8h11M2.5 11.5h11"/>',
    "pause": '<path d="M5.5 3.5v9M10.5 3.5v9"/>',
    "play": '<path d="M5 3.5v9l7-4.5z"/>',
    "stop": '<path d="M4 4h8v8H4z"/>',
    "retry": '<path d="M13 8a5 5 0 1 1-1.5-3.5M13 2.5v3h-3"/>',
    "plus": '<path d="M8 3v10M3 8h10"/>',
    "copy": '<path d="M5.5 5.5h8v8h-8zM10.5 5.5v-3h-8v8h3"/>',
    "download": '<path d="M8 2.5v8M4.5 7.5 8 11l3.5-3.5M2.5 13.5h11"/>',
    "close": '<path d="m4 4 8 8M12 4l-8 8"/>',
    "logout": '<path d="M9.5 2.5h-6v11h6M7 8h7M11.5 5.5 14 8l-2.5 2.5"/>',
    "key": '<circle cx="5" cy="11" r="2.5"/><path d="m7 9 6-6M10.5 5.5l2 2"/>',
}

#: Bodies of the 12 × 12 state shapes; colour comes from the class of the same name.
SHAPES: dict[str, str] = {
    "run": '<circle class="o" cx="6" cy="6" r="4.8"/><path class="f" d="M6 1.2a4.8 4.8 0 0 1 0 9.6z"/>',
    "wait": '<circle class="o" cx="6" cy="6" r="4.6" stroke-dasharray="2.2 2"/>',
    "pause": '<circle class="o" cx="6" cy="6" r="4.8"/><path class="o" d="M4.6 4v4M7.4 4v4"/>',
    "pass": '<circle class="f" cx="6" cy="6" r="5.5"/><path class="h" d="m3.5 6.2 1.8 1.8 3.2-3.8"/>',
    "notyet": '<path class="o" d="M6 .9 11.1 6 6 11.1.9 6z"/><path class="o" d="M6 3.5v3M6 7.6v1"/>',
    "warn": '<path class="f" d="m6 .8 5.6 10.2H.4z"/><path class="h" d="M6 4.5v3M6 8.6v1.2"/>',
    "fail": '<path class="f" d="M3.6.5h4.8l3.1 3.1v4.8l-3.1 3.1H3.6L.5 8.4V3.6z"/>'
    '<path class="h" d="m4 4 4 4M8 4 4 8"/>',
    "off": '<circle class="o" cx="6" cy="6" r="4.6"/>',
    "info": '<circle class="o" cx="6" cy="6" r="4.8"/><path class="o" d="M6 5.5v3M6 3.3v1"/>',
}


class StateLook(NamedTuple):
    """How a state is shown: the name of its shape and its word (a msgid)."""

    shape: str
    word: str


#: Every state of every room: sessions, stages of a strategy, verdicts, severities, notices.
STATES: dict[str, StateLook] = {
    "draft": StateLook("off", N_("Draft")),
    "queued": StateLook("wait", N_("Waiting")),
    "running": StateLook("run", N_("Running")),
    "pausing": StateLook("pause", N_("Pausing")),
    "paused": StateLook("pause", N_("Paused")),
    "interrupted": StateLook("warn", N_("Interrupted")),
    "cancelling": StateLook("wait", N_("Cancelling")),
    "completed": StateLook("pass", N_("Completed")),
    "unchanged": StateLook("pass", N_("Nothing new")),
    "failed": StateLook("fail", N_("Failed")),
    "cancelled": StateLook("off", N_("Cancelled")),
    "trained": StateLook("notyet", N_("Trained")),
    "backtested": StateLook("notyet", N_("Backtested")),
    "paper": StateLook("run", N_("Paper")),
    "live": StateLook("run", N_("Live")),
    "retired": StateLook("off", N_("Retired")),
    "archived": StateLook("off", N_("Archived")),
    "unchecked": StateLook("off", N_("Not checked")),
    "clean": StateLook("pass", N_("Clean")),
    "look": StateLook("warn", N_("To look at")),
    "blocked": StateLook("fail", N_("Blocks runs")),
    "note": StateLook("info", N_("Note")),
    "warning": StateLook("warn", N_("Look")),
    "error": StateLook("fail", N_("Block")),
    "info": StateLook("info", N_("Note")),
    "pass": StateLook("pass", N_("Pass")),
    "notyet": StateLook("notyet", N_("Not yet")),
    "fail": StateLook("fail", N_("Fail")),
}
UNKNOWN = StateLook("info", "")


def icon_svg(name: str) -> str:
    """Return the 16-px icon ``name``, hidden from screen readers; KeyError for an unknown one."""
    return f'<svg class="i" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true">{ICONS[name]}</svg>'


def shape_svg(shape: str) -> str:
    """Return the 12-px state shape, hidden from screen readers; the word beside it is the text."""
    body = SHAPES[shape]
    return f'<svg class="st {shape}" viewBox="0 0 12 12" width="12" height="12" aria-hidden="true">{body}</svg>'
