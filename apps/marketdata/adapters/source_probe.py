"""Asks a source from the web process: a child without Django does it, within a time."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from typing import Any

from django.conf import settings
from django.core.cache import cache
from django.utils.translation import gettext

from apps.accounts.engine.redact import redact, redacted
from apps.marketdata.engine.sources.network import MEGABYTE, network_of
from apps.marketdata.forms import import_folder
from apps.marketdata.models import Source
from apps.marketdata.services.sources import source_config
from apps.marketdata.services.sync_steps import secret_of
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

SECONDS = 30
#: A test fetches one file at most.
LIMIT = 64 * MEGABYTE
LISTED_SECONDS = 600
TOO_LONG = N_("The source did not answer within %(seconds)s s.")
DIED = N_("The source's program ended without an answer. The log of the web process says more.")
logger = logging.getLogger(__name__)


def source_test(source: Source) -> str:
    """Reach the source and return what it says, in the active language. Raises ``Refusal``."""
    answer = _ask(source, "test")
    params = redacted(answer["params"])
    text = gettext(answer["said"])
    return text % params if params else text


def source_symbols(source: Source) -> list[str]:
    """Return the symbols that can be asked for; kept for ten minutes. Raises ``Refusal``."""
    key = f"source-symbols:{source.pk}:{source.changed_at.timestamp()}"
    found: list[str] | None = cache.get(key)
    if found is None:
        found = list(_ask(source, "symbols")["symbols"])
        cache.set(key, found, LISTED_SECONDS)
    return found


def _ask(source: Source, act: str) -> dict[str, Any]:
    config, network = source_config(source), network_of(settings)
    question = {
        "act": act, "kind": source.kind, "config": source.config, "secret": secret_of(source, config),
        "root": str(import_folder()), "allowed": sorted(network.allowed), "limit": min(network.limit, LIMIT),
        "seconds": min(network.seconds, SECONDS * 0.8),
    }  # fmt: skip
    answer = run_child(question)
    if "code" in answer:
        raise Refusal(answer["code"], answer["message"], status=answer["status"], **redacted(answer["params"]))
    return answer


def run_child(question: dict[str, Any]) -> dict[str, Any]:
    """Have a child answer, and end it when it takes too long."""
    command = [sys.executable, "-m", "apps.marketdata.engine.sources.probe"]
    try:
        done = subprocess.run(  # noqa: S603 - our own module, no shell
            command, input=json.dumps(question), capture_output=True, text=True, timeout=SECONDS, check=False,
            cwd=settings.BASE_DIR,
        )  # fmt: skip
    except subprocess.TimeoutExpired:
        raise Refusal("source_timeout", TOO_LONG, status=504, seconds=SECONDS) from None
    if done.returncode or not done.stdout:
        logger.error("a source's probe ended with %s: %s", done.returncode, redact(done.stderr[-2000:]))
        raise Refusal("source_failed", DIED, status=502)
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer
