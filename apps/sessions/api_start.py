"""API: starting runs of a strategy. Mounted beside the strategies, whose room must not know sessions."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from django.http import Http404, HttpRequest
from ninja import Router, Schema
from pydantic import Field

from apps.sessions.api import Document, caller
from apps.sessions.api_documents import full_document
from apps.sessions.models import Kind
from apps.sessions.selectors import session_for_user
from apps.sessions.services.sessions import session_create
from apps.strategies.models import StrategyVersion
from apps.strategies.selectors import strategy_for_user

router = Router(tags=["strategies"])


class RunIn(Schema):
    """``version`` is a version's number, the newest without one; ``overrides`` hold for this run only.
    ``market_rules`` ``ignore`` leaves out price limits, lots, settlement, charges and suspensions."""

    version: Annotated[int | None, Field(ge=1, le=2**31 - 1)] = None
    overrides: dict[str, Any] = {}
    priority: Annotated[int, Field(ge=-100, le=100)] = 0
    time_limit: Annotated[int | None, Field(ge=1, le=30 * 86_400)] = None
    memory_limit_mb: Annotated[int, Field(ge=0, le=2**24)] = 0
    market_rules: Literal["", "obey", "ignore"] = ""
    override_reason: Annotated[str, Field(max_length=500)] = ""


class BacktestIn(RunIn):
    """Dates as 2011-01-03, capital in the market's currency, ``benchmark`` a symbol of the data
    or of ``benchmark_dataset`` (another one, as NAME or NAME@VERSION; without a symbol all of it in equal parts),
    ``checkpoint_session`` the training whose best checkpoint decides; ``study`` adds a parameter sweep or a
    walk-forward (``mode`` rolling or anchored; ``open_holdout`` reads the locked last bars, and is counted).
    ``goal_pct`` is the total return whose probability the draws of chance tell (100: the capital doubled)."""

    start: str | None = None
    end: str | None = None
    capital: float | None = None
    goal_pct: float | None = None
    benchmark: str | None = None
    benchmark_dataset: Annotated[str | None, Field(max_length=200)] = None
    study: Literal["", "sweep", "walk_forward"] = ""
    mode: Literal["", "rolling", "anchored"] = ""
    open_holdout: bool = False
    checkpoint_session: Annotated[int | None, Field(ge=1, le=2**62)] = None


def _version(request: HttpRequest, strategy_id: int, number: int | None) -> StrategyVersion:
    strategy = strategy_for_user(caller(request), strategy_id if strategy_id < 2**63 else 0)
    versions = StrategyVersion.objects.select_related("strategy").filter(strategy=strategy)
    found = versions.order_by("-number").first() if number is None else versions.filter(number=number).first()
    if found is None:
        raise Http404
    return found


def _start(request: HttpRequest, strategy_id: int, kind: Kind, body: RunIn) -> tuple[int, Document]:
    version = _version(request, strategy_id, body.version)
    common = {"version", "overrides", "priority", "time_limit", "memory_limit_mb"}
    params = {name: value for name, value in body.dict(exclude=common).items() if value not in (None, "")}
    made = session_create(
        owner=caller(request), version=version, kind=kind, overrides=body.overrides, params=params,
        priority=body.priority, time_limit=body.time_limit, memory_limit_mb=body.memory_limit_mb,
    )  # fmt: skip
    return 201, full_document(session_for_user(caller(request), made.pk))  # with all that it names, in one query


@router.post("/{int:strategy_id}/train", summary="Train", response={201: Document})
def train(request: HttpRequest, strategy_id: int, body: RunIn | None = None) -> tuple[int, Document]:
    return _start(request, strategy_id, Kind.TRAINING, body or RunIn())


@router.post("/{int:strategy_id}/backtest", summary="Backtest", response={201: Document})
def backtest(request: HttpRequest, strategy_id: int, body: BacktestIn | None = None) -> tuple[int, Document]:
    return _start(request, strategy_id, Kind.BACKTEST, body or BacktestIn())
