"""Reading the files into the spool, one after the other, each as the whole read would read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from apps.marketdata.engine.assemble import EMPTY, order_findings, refuse_mixed
from apps.marketdata.engine.findings import Finding
from apps.marketdata.engine.readers import format_of, read_one, refuse_truncated, trades_beside
from apps.marketdata.engine.readers.options import Progress, ReadOptions
from apps.marketdata.engine.readers.rows import to_bars, zone_findings
from apps.marketdata.engine.streaming import spool as spools
from apps.marketdata.engine.streaming.blocks import Block, Head, blocks_of, in_blocks
from apps.marketdata.engine.streaming.spool import Spool
from apps.marketdata.engine.streaming.told import Order, Told
from apps.ui.engine.refusal import Refusal

#: Reading is this share of the work, laying out the rest.
SHARE = 0.8


class Filling:
    """Reads what the spool has not read yet."""

    def __init__(self, spool: Spool, files: Sequence[Path], options: ReadOptions, on_progress: Progress) -> None:
        self.spool, self.files, self.options, self.on_progress = spool, files, options, on_progress
        self._sizes = [file.stat().st_size for file in files]
        self._total = sum(self._sizes) or 1
        self._beside_trades = trades_beside(files)

    def run(self) -> None:
        """Read to the end; what ``on_progress`` raises stops it, and the next run goes on."""
        spool = self.spool
        for file in self.files[: spool.file]:
            self._say(0.0, file.name)  # they count as read
        for number in range(spool.file, len(self.files)):
            file = self.files[number]
            large = in_blocks(file, self._kind(file))
            if large:
                self._blocks(file, number)
            else:
                self._say(0.0, file.name)
                self._whole(file, number)
            spool.end_file()
            if large or spool.waiting > spools.BLOCK:
                spool.save()
            self._say(0.0, file.name)
        if not spool.rows:
            names = ", ".join(file.name for file in self.files[:3])
            raise Refusal("no_bars", EMPTY, field="file", file=names)
        spool.done = True
        spool.save()

    def _kind(self, file: Path) -> str | None:
        return self.options.format if self.options.format != "auto" else format_of(file)

    def _say(self, share: float, name: str) -> None:
        at = self.spool.file
        here = share * self._sizes[at] if at < len(self._sizes) else 0.0
        done = (sum(self._sizes[:at]) + here) / self._total
        self.on_progress(SHARE * min(1.0, done), name, self.spool.rows)

    def _whole(self, file: Path, number: int) -> None:
        """Read a file that is small itself as it is read elsewhere."""
        bars = read_one(file, self.options, beside_trades=self._beside_trades)
        if len(bars.line):
            self._same_frequency(bars.file, bars.daily)
        self.spool.append(bars, number)  # a file without rows has columns all the same
        self._note(bars.ignored, (*bars.findings, *order_findings(bars)))

    def _same_frequency(self, name: str, daily: bool) -> None:
        self.spool.daily = self.spool.daily or [name, daily]
        first, kind = self.spool.daily
        refuse_mixed([(first, bool(kind)), (name, daily)])

    def _note(self, ignored: Sequence[str], findings: Sequence[Finding]) -> None:
        self.spool.note(findings)
        self.spool.ignored += [name for name in ignored if name not in self.spool.ignored]

    def _blocks(self, file: Path, number: int) -> None:
        """Read a large file; where its end shows that its beginning was taken for something else, once more."""
        spool, forced = self.spool, dict[str, Any]()
        if not spool.mark:
            spool.begin_file()
            spool.save()
        while True:
            try:
                told, order, used = self._through(file, number, forced)
            except Refusal as refusal:
                # The month was taken to come first because nothing above 12 had told so far.
                if refusal.code != "bad_time" or forced or not self._guessed():
                    raise
                forced = {**spool.reading["used"], "date_order": "dmy"}
                spool.begin_again()
                continue
            right = told.decided(self.options)
            if forced or _alike(used, right):
                break
            forced = right
            spool.begin_again()
        if told.undecided_order and not self.options.date_order:
            self._refuse_order(file)
        self._end(file.name, number, told, order, bool(used["daily"]))

    def _guessed(self) -> bool:
        used = self.spool.reading.get("used")
        return used is not None and not used["date_order"] and bool(self.spool.reading["told"]["ordered"])

    def _through(self, file: Path, number: int, forced: dict[str, Any]) -> tuple[Told, Order, dict[str, Any]]:
        spool, kept = self.spool, self.spool.reading
        used = forced or kept.get("used", {})
        told, order, head = Told(**kept.get("told", {})), Order(kept.get("order")), Head.of(kept.get("head", {}))
        rows = kept.get("rows", 0)
        for block in blocks_of(file, self._kind(file), self.options, head, spool.offset, spool.lines):
            refuse_truncated(block.table)
            if len(block.table.lines):
                bars = to_bars(block.table, replace(self.options, part=True, first_row=rows, **used))
                told.add(bars.seen)
                used = used or told.decided(self.options)
                self._note(bars.ignored, bars.findings)
                if len(bars.line):
                    order.add(bars, spool.append(bars, number))
                rows += len(block.table.lines)
            spool.reading = {
                "used": used, "told": told.document(), "order": order.document(), "head": head.document(), "rows": rows,
            }  # fmt: skip
            self._step(file, block)
        return told, order, used or told.decided(self.options)

    def _step(self, file: Path, block: Block) -> None:
        self.spool.offset, self.spool.lines = block.offset, block.lines
        self.spool.save()
        self._say(block.share, file.name)

    def _refuse_order(self, file: Path) -> None:
        """Nothing in the file tells month and day apart: say so of its first line, as the whole read does."""
        for block in blocks_of(file, self._kind(file), self.options, Head(), 0, 0):
            if len(block.table.lines):
                to_bars(block.table, self.options)

    def _end(self, name: str, number: int, told: Told, order: Order, daily: bool) -> None:
        found = [*zone_findings(told.offsets), *order.findings()]
        if not self.options.volume_unit and told.unit > 1:
            self.spool.units[str(number)] = told.unit
            found.append(Finding("volume_in_lots", "note", params={"unit": told.unit}))
        if self.spool.reading.get("rows"):
            self._same_frequency(name, daily)
        self.spool.note(found)


def _alike(used: dict[str, Any], right: dict[str, Any]) -> bool:
    """Tell whether the file was read as all of it says; without a word about the dates' order the month came first."""
    orders = {used["date_order"] or "mdy", right["date_order"] or "mdy"}
    return len(orders) == 1 and used["daily"] == right["daily"] and used["zeros"] == right["zeros"]
