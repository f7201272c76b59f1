"""``manage.py quotes``: run a feed here, replay a dataset, list, start, stop, show the newest."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from apps.marketdata.feeds import failure_text, feed_document
from apps.marketdata.models import Feed, FeedState
from apps.marketdata.quote_runner import Run, run_feed
from apps.marketdata.quotes import feed_by_name, realtime
from apps.marketdata.selectors import dataset_by_name
from apps.marketdata.services.feeds import (
    feed_delete,
    feed_start,
    feed_stop,
    replay_create,
    source_create,
)
from apps.ui.commands import refusals_as_errors


class Command(BaseCommand):
    help = "Feeds of quotes: run one here, replay a dataset, list, start, stop, remove, show the newest quotes."

    def add_arguments(self, parser: ArgumentParser) -> None:
        acts = parser.add_subparsers(dest="act", required=True)
        run = acts.add_parser("run", help="run a feed in this process until Ctrl-C")
        run.add_argument("--feed", required=True, metavar="NAME")
        run.add_argument("--kept", action="store_true", help="by the worker that keeps feeds running (internal)")
        replay = acts.add_parser("replay", help="set up a replay of a dataset and start it")
        replay.add_argument("dataset")
        replay.add_argument("--speed", type=float, default=60.0, help="1 to 1000 times faster than it happened")
        replay.add_argument("--symbols", default="", help="separated by commas; all without")
        replay.add_argument("--loop", action="store_true", help="begin anew at the end")
        replay.add_argument("--name", default="")
        source = acts.add_parser("source", help="set up a live source")
        source.add_argument("name")
        source.add_argument("--kind", choices=("websocket", "qmt"), default="websocket")
        source.add_argument("--symbols", default="")
        source.add_argument("--calendar", default="", help="such as XSHG; silence is trouble only while it is open")
        source.add_argument("--options", default="{}", help="JSON: url, mapping, subscribe, header, credential")
        acts.add_parser("list", help="feeds and how they do").add_argument("--json", action="store_true")
        for name, text in (("start", "let a worker run it"), ("stop", "end it"), ("remove", "remove a stopped feed")):
            acts.add_parser(name, help=text).add_argument("feed")
        show = acts.add_parser("show", help="the newest quotes of symbols")
        show.add_argument("symbols", help="separated by commas")
        show.add_argument("--feed", default="")
        show.add_argument("--json", action="store_true")

    def handle(self, *args: Any, act: str, **options: Any) -> None:
        with refusals_as_errors():
            getattr(self, f"_{act}")(options)

    def _run(self, options: dict[str, Any]) -> None:
        feed = feed_by_name(None, options["feed"])
        if not options["kept"]:
            feed = feed_start(feed=feed, actor=None)
        state = asyncio.run(_until_told(feed))
        if not options["kept"] and state == FeedState.STOPPED:
            feed_stop(feed=feed, actor=None)
        feed.refresh_from_db()
        self.stderr.write(f"{feed.name}: {state.label}, {feed.quote_count:,} quotes")
        if state == FeedState.FAILED:
            raise CommandError(failure_text(feed))

    def _replay(self, options: dict[str, Any]) -> None:
        feed = replay_create(
            actor=None, dataset=dataset_by_name(None, options["dataset"]), speed=options["speed"],
            symbols=options["symbols"].split(","), loop=options["loop"], name=options["name"],
        )  # fmt: skip
        feed_start(feed=feed, actor=None)
        self.stdout.write(f"{feed.name} is wanted; a worker of `serve` runs it, or: quotes run --feed {feed.name}")

    def _source(self, options: dict[str, Any]) -> None:
        try:
            given = json.loads(options["options"])
        except ValueError as error:
            raise CommandError(f"--options is no JSON: {error}") from error
        if not isinstance(given, dict):
            raise CommandError("--options must be a JSON object.")
        feed = source_create(
            actor=None, name=options["name"], kind=options["kind"], symbols=options["symbols"].split(","),
            calendar=options["calendar"], options=given,
        )  # fmt: skip
        self.stdout.write(f"{feed.name} is set up; start it with: quotes start {feed.name}")

    def _list(self, options: dict[str, Any]) -> None:
        rows = [feed_document(feed) for feed in Feed.objects.select_related("owner", "dataset").order_by("name")]
        if options["json"]:
            self.stdout.write(json.dumps({"feeds": rows}, indent=1, ensure_ascii=False))
            return
        for row in rows:
            figures = f"{row['quotes']:>12,} quotes {row['quotes_per_second']:>9,.1f}/s"
            self.stdout.write(f"{row['name']:<32} {row['kind']:<10} {row['health']:<13}{figures}  {row['detail']}")

    def _start(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{feed_start(feed=feed_by_name(None, options['feed']), actor=None)} is wanted")

    def _stop(self, options: dict[str, Any]) -> None:
        self.stdout.write(f"{feed_stop(feed=feed_by_name(None, options['feed']), actor=None)} is not wanted any more")

    def _remove(self, options: dict[str, Any]) -> None:
        feed_delete(feed=feed_by_name(None, options["feed"]), actor=None)
        self.stdout.write(f"{options['feed']} is removed")

    def _show(self, options: dict[str, Any]) -> None:
        found = realtime(None, options["symbols"].split(","), options["feed"])
        if options["json"]:
            self.stdout.write(json.dumps(found, indent=1))
            return
        for row in found["quotes"]:
            self.stdout.write(f"{row['symbol']:<12} {row['last']:>12,.4f}  {row['age_s']:.1f} s  {row['feed']}")
        for row in found["missing"]:
            self.stdout.write(f"{row['symbol']:<12} {row['reason']}")
        if not found["quotes"]:
            raise CommandError("None of these symbols has a quote.")


async def _until_told(feed: Feed) -> FeedState:
    """Run ``feed``; SIGTERM and SIGINT end it in order, the second time at once."""
    loop = asyncio.get_running_loop()

    def arm(run: Run) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            if os.name != "nt":
                loop.add_signal_handler(number, run.stop)
            else:
                signal.signal(number, lambda *_: loop.call_soon_threadsafe(run.stop))

    return await run_feed(feed, arm)
