"""API of the strategies. Training and backtesting are mounted beside it by the sessions' room."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

from django.http import HttpRequest
from django.utils.translation import gettext
from ninja import Router, Schema
from pydantic import Field

from apps.accounts.identity import signed_in
from apps.strategies import selectors, services
from apps.strategies.engine.registry import TYPES, InvalidConfig
from apps.strategies.forms import schema
from apps.strategies.models import Strategy
from apps.strategies.trials import trial_count, trials_of
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

router = Router(tags=["strategies"])
Identifier = Annotated[int, Field(ge=1, le=2**62)]


class StrategyIn(Schema):
    name: str
    type: str
    config: dict[str, Any] = {}
    description: str = ""


class ConfigIn(Schema):
    type: str
    config: dict[str, Any] = {}


class VersionIn(Schema):
    """A whole configuration, or with ``merge`` only the fields to change."""

    config: dict[str, Any]
    note: str = ""
    merge: bool = False


class CopyIn(Schema):
    name: str = ""


def caller(request: HttpRequest) -> Any:
    return request.user


def summary(row: Any) -> dict[str, Any]:
    """Return what the list says about a strategy that carries its results."""
    training = {"session_id": row.last_training, "status": row.last_training_status, "created": row.last_training_at}
    best = {"session_id": row.best_session, "total_return": row.best_return, "sharpe": row.best_sharpe}
    return {
        "id": row.pk,
        "name": row.name,
        "type": row.type,
        "stage": row.stage,
        "owner": row.owner.username,
        "version": row.version_number,
        "created": row.created,
        "updated": row.updated,
        "archived": row.archived_at is not None,
        "active_sessions": row.active_sessions,
        "total_sessions": row.total_sessions,
        "last_training": training if row.last_training else None,
        "best_out_of_sample": best if row.best_session else None,
        "performance": {
            "runs": row.counted_runs,
            "mean_return": row.mean_return,
            "volatility": row.mean_volatility,
        },
    }


def document(user: Any, strategy: Strategy) -> dict[str, Any]:
    row = selectors.with_results(selectors.strategy_visible(user)).get(pk=strategy.pk)
    current = strategy.versions.order_by("-number")[0]
    return {
        **summary(row),
        "description": strategy.description,
        "config": current.config,
        "config_hash": current.config_hash,
    }


@router.get("/types", summary="Strategy types with their JSON schema")
def types(request: HttpRequest) -> list[dict[str, Any]]:
    return [
        {
            "key": key,
            "label": gettext(kind.label),
            "summary": gettext(kind.summary),
            "trains": bool(kind.train),
            "schema": schema(key),
        }
        for key, kind in TYPES.items()
    ]


@router.get("/", summary="Your strategies with sessions, last training and best out-of-sample result")
def strategies(
    request: HttpRequest,
    search: str = "",
    type: str = "",
    stage: str = "",
    archived: bool = False,
    sort: str = "",
    limit: Annotated[int, Field(ge=1, le=200)] = 50,
    offset: Annotated[int, Field(ge=0, le=1_000_000)] = 0,
) -> dict[str, Any]:
    rows = selectors.strategies_listed(
        caller(request), search=search, type_key=type, stage=stage, archived=archived, sort=sort
    )
    return {"total": rows.count(), "items": [summary(row) for row in rows[offset : offset + limit]]}


@router.post("/", response={201: dict[str, Any]}, summary="Create a strategy")
def create(request: HttpRequest, body: StrategyIn) -> tuple[int, dict[str, Any]]:
    made = services.strategy_create(
        owner=caller(request), name=body.name, type_key=body.type, config=body.config, description=body.description
    )
    return 201, document(caller(request), made)


@router.post("/validate", summary="Would this configuration be taken? Nothing is saved")
def validate(request: HttpRequest, body: ConfigIn) -> dict[str, Any]:
    """``config`` comes back with every default filled in; ``errors`` names each field at fault."""
    try:
        checked = services.config_check(caller(request), body.type, body.config).model_dump(mode="json")
    except InvalidConfig as refusal:
        errors = [{"field": one.field, "message": gettext(one.message) % one.params} for one in refusal.errors]
        return {"valid": False, "errors": errors, "config": body.config, "config_hash": ""}
    except Refusal as refusal:  # a type that there is not
        errors = [{"field": "type", "message": refusal_text(refusal)}]
        return {"valid": False, "errors": errors, "config": body.config, "config_hash": ""}
    return {"valid": True, "errors": [], "config": checked, "config_hash": services.config_hash(body.type, checked)}


@router.get("/{strategy_id}", summary="One strategy with its current configuration")
def strategy(request: HttpRequest, strategy_id: Identifier) -> dict[str, Any]:
    return document(caller(request), selectors.strategy_for_user(caller(request), strategy_id))


@router.get("/{strategy_id}/versions", summary="Every version, newest first")
def versions(
    request: HttpRequest, strategy_id: Identifier, limit: Annotated[int, Field(ge=1, le=200)] = 50
) -> list[dict[str, Any]]:
    found = selectors.strategy_for_user(caller(request), strategy_id)
    rows: Iterable[Any] = selectors.versions_with_results(found)[:limit]
    return [
        {
            "number": row.number,
            "config": row.config,
            "config_hash": row.config_hash,
            "note": row.note,
            "author": row.author.username,
            "created": row.created,
            "sessions": row.total_sessions,
            "best_sharpe": row.best_sharpe,
            "best_return": row.best_return,
        }
        for row in rows
    ]


@router.get("/{strategy_id}/performance", summary="How the finished runs did on data they never saw")
def performance(request: HttpRequest, strategy_id: Identifier) -> dict[str, Any]:
    """Fractions after costs; null where there is no such figure. ``volatility`` is the mean of the runs' annualised
    volatilities, ``spread`` the standard deviation of their returns."""
    strategy = selectors.strategy_for_user(caller(request), strategy_id)
    row = selectors.summary_of(strategy)
    names = ("runs", "counted", "mean_return", "best_return", "volatility", "spread", "best_session", "best_sharpe")
    none = {"runs": 0, "counted": 0}
    values = {name: getattr(row, name) if row else none.get(name) for name in names}
    return {"strategy_id": strategy.pk, **values, "updated": row.updated if row else None}


@router.post("/{strategy_id}/versions", summary="Save a new version; saving without a change makes none")
def update(request: HttpRequest, strategy_id: Identifier, body: VersionIn) -> dict[str, Any]:
    found = selectors.strategy_for_user(caller(request), strategy_id, write=True)
    base = found.versions.order_by("-number")[0].config if body.merge else {}
    version, saved = services.strategy_update(
        strategy=found, actor=caller(request), config={**base, **body.config}, note=body.note
    )
    return {"saved": saved, "number": version.number, **document(caller(request), found)}


@router.post("/{strategy_id}/copy", response={201: dict[str, Any]}, summary="Copy the current version")
def copy(request: HttpRequest, strategy_id: Identifier, body: CopyIn) -> tuple[int, dict[str, Any]]:
    found = selectors.strategy_for_user(caller(request), strategy_id)
    made = services.strategy_copy(strategy=found, actor=caller(request), name=body.name)
    return 201, document(caller(request), made)


@router.post("/{strategy_id}/archive", summary="Put out of sight")
def archive(request: HttpRequest, strategy_id: Identifier) -> dict[str, Any]:
    return _archive(request, strategy_id, True)


@router.post("/{strategy_id}/unarchive", summary="Put back into the list")
def unarchive(request: HttpRequest, strategy_id: Identifier) -> dict[str, Any]:
    return _archive(request, strategy_id, False)


def _archive(request: HttpRequest, strategy_id: int, archived: bool) -> dict[str, Any]:
    found = selectors.strategy_for_user(caller(request), strategy_id, write=True)
    services.strategy_archive(strategy=found, actor=caller(request), archived=archived)
    return document(caller(request), found)


@router.get("/{strategy_id}/trials", summary="Every trial of the strategy's idea, deleted runs included")
def trials(
    request: HttpRequest,
    strategy_id: int,
    limit: Annotated[int, Field(ge=1, le=1000)] = 100,
    offset: Annotated[int, Field(ge=0, le=10_000_000)] = 0,
) -> dict[str, Any]:
    strategy = selectors.strategy_for_user(signed_in(request), strategy_id if strategy_id < 2**63 else 0)
    rows = trials_of(strategy)
    names = ("kind", "count", "version", "session", "dataset", "sharpe", "observations", "created")
    return {
        "configurations": trial_count(strategy),
        "total": rows.count(),
        "items": list(rows.values(*names)[offset : offset + limit]),
    }
