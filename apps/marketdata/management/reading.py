"""What the commands that read files have in common: their options and progress."""

from __future__ import annotations

from argparse import ArgumentParser
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.core.management.base import CommandError

from apps.accounts.models import User
from apps.marketdata.engine.readers import FORMATS, ReadOptions
from apps.marketdata.engine.readers.options import Progress
from apps.marketdata.engine.tape import TAPE_FORMATS


def add_reading_options(parser: ArgumentParser) -> None:
    """Declare how a file is to be read."""
    parser.add_argument("--format", default="auto", choices=("auto", *FORMATS, *TAPE_FORMATS))
    parser.add_argument("--calendar", default="", help="exchange calendar like XNYS or XSHG; recognised where possible")
    parser.add_argument("--symbol", default="", help="the instrument, where neither column nor file name tells")
    parser.add_argument(
        "--columns", default="", help="names of the cells of a file without header, separated by commas"
    )
    parser.add_argument("--date-order", default="", choices=("", "mdy", "dmy"), help="meaning of 3/4/2024")
    parser.add_argument("--time-zone", default="UTC", help="clock of intraday times without an offset")
    parser.add_argument("--include", default="", help="of a folder only the files of this pattern, like '*.csv'")
    parser.add_argument("--stamp", default="end", choices=("end", "start"), help="what an intraday time names")
    parser.add_argument("--volume-unit", type=int, default=0, help="shares in one unit of volume; 0: recognised")
    parser.add_argument("--first-day", default="", help="numbers the rows of a file without dates from this day on")
    parser.add_argument(
        "--symbols", default="normal", choices=("normal", "as_is"), help="600000.SH to SH600000, or not"
    )
    parser.add_argument(
        "--map", default="", help="meaning of columns by name: 'Last=close,Qty=volume'; 'Name=' leaves one out"
    )
    parser.add_argument("--levels", type=int, default=ReadOptions.levels, help="levels of an order book to keep")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def read_options(options: dict[str, Any], *, lenient: bool = False) -> ReadOptions:
    """Return the reader's options of a command line."""
    columns = tuple(name.strip() for name in options["columns"].split(",") if name.strip())
    pairs = [pair.partition("=") for pair in options["map"].split(",") if "=" in pair]
    return ReadOptions(
        format=options["format"], currency=options.get("currency", ""), time_zone=options["time_zone"],
        symbol=options["symbol"], columns=columns, date_order=options["date_order"], lenient=lenient,
        include=options["include"], stamp=options["stamp"], volume_unit=options["volume_unit"],
        first_day=options["first_day"], levels=options["levels"], symbols=options["symbols"],
        mapping={name.strip(): target.strip() for name, _, target in pairs},
    )  # fmt: skip


def user_named(name: str) -> User | None:
    """Return the user of that name, None for an empty one."""
    if not name:
        return None
    user = User.objects.filter(username=name).first()
    if user is None:
        raise CommandError(f"There is no user {name}.")
    return user


@contextmanager
def progress_on_stderr() -> Iterator[Progress]:
    """Give a callback that moves a bar on standard error; standard output stays for the result."""
    from rich.console import Console
    from rich.progress import Progress as Bar

    with Bar(console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("…", total=1.0)
        yield lambda share, what, rows=0: bar.update(task, completed=share, description=what)
