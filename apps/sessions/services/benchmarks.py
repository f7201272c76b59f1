"""The benchmark of a backtest: a symbol of its data, or another dataset, checked before anything runs."""

from __future__ import annotations

from typing import Any

from apps.accounts.models import User
from apps.marketdata.models import Dataset, Verdict
from apps.marketdata.selectors import dataset_by_name, dataset_folder, dataset_visible, require_bars
from apps.sessions.models import Session
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

FIELD = "benchmark_dataset"
GONE = N_("The files of %(dataset)s are gone. Import it again; the same content gets the same place.")


def check_benchmark(owner: User, dataset: Dataset, run: dict[str, Any]) -> None:
    """Refuse a benchmark ``owner`` cannot use; keep the version of another dataset it comes from.

    A symbol of the run's own data needs no dataset: it is traded under the same rules.
    """
    symbol = str(run.get("benchmark", "") or "")
    name = str(run.pop(FIELD, "") or "").strip()
    other = _chosen(owner, name) if name else dataset
    if symbol and not (symbol.isprintable() and other.symbols.filter(symbol=symbol).exists()):
        known = ", ".join(other.symbols.order_by("symbol").values_list("symbol", flat=True)[:12])
        raise Refusal(
            "unknown_symbol",
            N_("%(symbol)s is not in %(dataset)s. It has %(known)s."),
            field="benchmark",
            symbol=symbol,
            dataset=other.name,
            known=known,
        )
    if name and not (other.pk == dataset.pk and symbol):
        _check_days(other, dataset, run)
        run[FIELD] = str(other)


def benchmark_dataset(session: Session, user: User | None) -> Dataset | None:
    """Return the dataset ``session`` is laid against, None where there is none but its own.

    Raises ``Refusal`` ``dataset_missing`` where ``user`` may not see it (any more) or its files are gone.
    """
    text = str(session.params.get(FIELD, "") or "")
    if not text:
        return None
    name, _, version = text.rpartition("@")
    rows = dataset_visible(user).filter(name=name, version=int(version) if version.isdecimal() else 0)
    found = rows.first()
    if found is None or not dataset_folder(found).is_dir():
        raise Refusal("dataset_missing", GONE, field=FIELD, dataset=text)
    return found


def _chosen(owner: User, name: str) -> Dataset:
    try:
        found = dataset_by_name(owner, name if name.isprintable() else "")
        require_bars(found)
    except Refusal as refusal:
        raise Refusal(refusal.code, refusal.message, status=422, field=FIELD, **refusal.params) from None
    if not dataset_folder(found).is_dir():
        raise Refusal("dataset_missing", GONE, field=FIELD, dataset=str(found))
    if found.verdict == Verdict.BLOCKED:
        raise Refusal(
            "benchmark_blocked",
            N_("%(dataset)s has findings that would falsify the comparison. Choose corrected data as the benchmark."),
            field=FIELD,
            dataset=str(found),
        )
    return found


def _check_days(other: Dataset, dataset: Dataset, run: dict[str, Any]) -> None:
    start = str(run.get("start") or dataset.start.date())
    end = str(run.get("end") or dataset.end.date())
    first, last = other.start.date().isoformat(), other.end.date().isoformat()
    if last <= start or first > end:
        raise Refusal(
            "benchmark_no_overlap",
            N_(
                "The benchmark %(dataset)s has bars from %(first)s to %(last)s, the run goes from %(start)s to "
                "%(end)s: they share no days on which it could be bought."
            ),
            field=FIELD, dataset=str(other), first=first, last=last, start=start, end=end,
        )  # fmt: skip
