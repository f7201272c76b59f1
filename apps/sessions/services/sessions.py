"""Creating sessions: everything that can be refused is refused before anything runs."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import date
from typing import Any

from django.conf import settings
from django.db import transaction

from apps.accounts.models import User
from apps.accounts.permissions import has_permission, require_permission
from apps.accounts.services import audit
from apps.marketdata.models import Dataset, Verdict
from apps.marketdata.selectors import dataset_by_name, dataset_folder, require_bars
from apps.sessions.engine.admission import gpu_fits
from apps.sessions.engine.states import Command, State
from apps.sessions.forecast import need_for, needs_by_likeness
from apps.sessions.limits import MB, default_time_limit, gpu_room, gpus, memory_ceiling_bytes
from apps.sessions.models import Kind, Origin, Session
from apps.sessions.selectors import best_checkpoint, counted_sessions, session_visible
from apps.sessions.services.benchmarks import check_benchmark
from apps.sessions.services.run_params import clean_params
from apps.sessions.services.transitions import session_command
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.registry import parse_config, strategy_type
from apps.strategies.models import StrategyVersion
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

#: What a repeated backtest may change of its run beside the configuration.
RUN_FIELDS = (
    "start",
    "end",
    "capital",
    "benchmark",
    "benchmark_dataset",
    "market_rules",
    "goal_pct",
    "override_reason",
)
LONGEST_REASON = 500


def session_create(
    *,
    owner: User,
    version: StrategyVersion,
    kind: str,
    overrides: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    priority: int = 0,
    time_limit: int | None = None,
    memory_limit_mb: int = 0,
    parent: Session | None = None,
    origin: str = "",
) -> Session:
    """Create a session of ``version`` and queue it.

    ``overrides`` change fields of the configuration for this run only. ``params`` of a backtest:
    ``start``, ``end`` (ISO dates), ``capital``, ``benchmark`` (a symbol), ``benchmark_dataset``,
    ``checkpoint_session``, ``goal_pct``, ``study`` with ``mode`` and ``open_holdout``; of either kind
    ``market_rules`` (``obey`` or ``ignore``) and ``override_reason`` for data that blocks.
    Raises ``Refusal``: ``concurrent_limit`` (429), ``data_blocked``, ``invalid_config`` and the like (422).
    """
    require_permission(owner, "session.run")
    type_key = version.strategy.type
    config = parse_config(type_key, {**version.config, **dict(overrides or {})})
    run = clean_params(kind, dict(params or {}))
    dataset = dataset_by_name(owner, config.dataset)
    require_bars(dataset)
    _check_data(owner, dataset, config, run)
    check_disk()
    check_memory(kind, version, config.model_dump(mode="json"), memory_limit_mb)
    if kind == Kind.TRAINING:
        _check_trainable(type_key, config)
    else:
        _check_policy(owner, type_key, config, version, run)
    with transaction.atomic():
        check_concurrency(owner)
        session = Session.objects.create(
            owner=owner,
            kind=kind,
            title=version.strategy.name,
            version=version,
            dataset=dataset,
            config=config.model_dump(mode="json"),
            params=run,
            priority=priority,
            time_limit=time_limit or default_time_limit(kind),
            memory_limit_mb=memory_limit_mb,
            parent=parent,
            origin=origin,
        )
        audit(owner, "session.create", session, {"kind": str(kind), "version": version.pk})
        if "override_reason" in run:
            audit(owner, "data.override", dataset, {"reason": run["override_reason"], "session": session.pk})
        return session_command(session_id=session.pk, command=Command.QUEUE, actor=owner)


def _params_for(session: Session, actor: User) -> dict[str, Any]:
    """Return how ``session`` ran, without the reason somebody else gave for data that blocks: it is not the actor's."""
    own = actor.pk == session.owner_id
    return {name: value for name, value in session.params.items() if own or name != "override_reason"}


def session_clone(*, session: Session, actor: User, overrides: Mapping[str, Any] | None = None) -> Session:
    """Queue a new session with the configuration of ``session``, changed by ``overrides``."""
    return session_create(
        owner=actor,
        version=session.version,
        kind=session.kind,
        overrides={**session.config, **dict(overrides or {})},
        params=_params_for(session, actor),
        time_limit=session.time_limit,
        memory_limit_mb=session.memory_limit_mb,
        parent=session,
        origin=Origin.CLONE,
    )


def session_again(
    *,
    session: Session,
    actor: User,
    overrides: Mapping[str, Any] | None = None,
    params: Mapping[str, Any] | None = None,
    time_limit: int | None = None,
    memory_limit_mb: int | None = None,
) -> Session:
    """Queue a new session that tries ``session`` again, with the same or a changed configuration.

    ``overrides`` replace fields of its configuration, ``params`` those of the run (an empty value takes the
    default). The session it comes from stays as it is.
    """
    return session_create(
        owner=actor,
        version=session.version,
        kind=session.kind,
        overrides={**session.config, **dict(overrides or {})},
        params={**_params_for(session, actor), **dict(params or {})},
        priority=session.priority,
        time_limit=time_limit or session.time_limit,
        memory_limit_mb=session.memory_limit_mb if memory_limit_mb is None else memory_limit_mb,
        parent=session,
        origin=Origin.RETRY,
    )


def session_resume(
    *,
    session: Session,
    actor: User,
    command: str,
    time_limit: int | None = None,
    memory_limit_mb: int | None = None,
) -> Session:
    """Resume or retry ``session``; it counts against the limit like a new one.

    Without a limit of its own, one that ended at a limit gets as much again.
    """
    changes: dict[str, Any] = {"crashes": 0}
    if time_limit:
        changes |= {"time_limit": time_limit}
    elif session.reason_code == "time_limit":
        changes |= {"time_limit": session.time_limit + (default_time_limit(session.kind) or session.time_limit)}
    if memory_limit_mb is not None:
        check_memory(session.kind, session.version, session.config, memory_limit_mb)
        changes |= {"memory_limit_mb": memory_limit_mb}
    elif session.reason_code == "memory_limit" and session.memory_limit_mb:
        changes |= {"memory_limit_mb": 2 * session.memory_limit_mb}
    with transaction.atomic():
        check_concurrency(session.owner)
        return session_command(session_id=session.pk, command=command, actor=actor, changes=changes)


def check_concurrency(owner: User) -> None:
    """Refuse one session more than allowed; inside a transaction, whose lock on the owner's row
    keeps two requests at once from both being the third."""
    User.objects.select_for_update().get(pk=owner.pk)
    running = counted_sessions(owner)
    if len(running) < owner.max_concurrent_sessions:
        return
    names = ", ".join(f"{session.pk} {session.title}" for session in running)
    raise Refusal(
        "concurrent_limit",
        N_("You may have %(limit)s sessions waiting or running at once; now: %(sessions)s. Wait or cancel one."),
        status=429,
        limit=owner.max_concurrent_sessions,
        sessions=names,
        ids=[session.pk for session in running],
    )


def check_disk() -> None:
    free_mb = shutil.disk_usage(settings.VAR_DIR).free // 1024**2
    if free_mb < settings.QP_DISK_RESERVE_MB:
        raise Refusal(
            "disk_full",
            N_("Only %(free)s MB of disk are free; %(needed)s MB are kept in reserve. Free some space."),
            status=422,
            free=free_mb,
            needed=settings.QP_DISK_RESERVE_MB,
        )


def check_memory(kind: str, version: StrategyVersion, config: Mapping[str, Any], limit_mb: int) -> None:
    """Refuse what can never run here: its like needed more than the limit or the machine allow."""
    ceiling_mb = memory_ceiling_bytes() // MB
    allowed = min(limit_mb or settings.QP_SESSION_MEMORY_MB or ceiling_mb, ceiling_mb)
    need = need_for(needs_by_likeness(), kind, version.strategy.type, version.pk, config)
    rooms = [gpu_room(one) for one in gpus().memory()]
    if not gpu_fits(need, rooms):
        raise Refusal(
            "never_fits",
            N_("It would take %(need)s MB of GPU memory; a session may have %(allowed)s MB here. Nothing was queued."),
            need=need.gpu_bytes // MB,
            allowed=round(max(rooms)) // MB,
        )
    if limit_mb > ceiling_mb or (need.like and need.memory_bytes // MB > allowed):
        raise Refusal(
            "never_fits",
            N_("It would take %(need)s MB of memory; a session may have %(allowed)s MB here. Nothing was queued."),
            field="memory_limit_mb",
            need=max(limit_mb, need.memory_bytes // MB),
            allowed=allowed,
        )


def _check_data(owner: User, dataset: Dataset, config: StrategyConfig, run: dict[str, Any]) -> None:
    if not dataset_folder(dataset).is_dir():
        raise Refusal(
            "dataset_missing",
            N_("The files of %(dataset)s are gone. Import it again; the same content gets the same place."),
            field="dataset",
            dataset=str(dataset),
        )
    _check_verdict(owner, dataset, run)
    known = set(dataset.symbols.values_list("symbol", flat=True))
    wanted = [config.symbol] if hasattr(config, "symbol") else list(getattr(config, "symbols", ()))
    for symbol in wanted:
        if symbol not in known:
            raise Refusal(
                "unknown_symbol",
                N_("%(symbol)s is not in %(dataset)s. It has %(known)s."),
                field="symbol",
                symbol=symbol,
                dataset=dataset.name,
                known=", ".join(sorted(known)[:12]),
            )
    universe = getattr(config, "universe", "")
    if universe and universe not in dataset.universes:
        raise Refusal(
            "unknown_universe",
            N_("%(dataset)s has no universe %(universe)s. It has %(known)s."),
            field="universe",
            universe=universe,
            dataset=dataset.name,
            known=", ".join(sorted(dataset.universes)) or "–",
        )
    _check_dates(dataset, {**_config_dates(config), **{name: run.get(name) for name in ("start", "end")}})
    check_benchmark(owner, dataset, run)


def _check_verdict(owner: User, dataset: Dataset, run: dict[str, Any]) -> None:
    reason = str(run.pop("override_reason", None) or "").strip()
    if dataset.verdict != Verdict.BLOCKED:
        return
    if len(reason) > LONGEST_REASON:
        raise Refusal(
            "text_too_long", N_("Say it in at most %(most)s characters."), field="override_reason", most=LONGEST_REASON
        )
    if reason and has_permission(owner, "data.override"):
        run["override_reason"] = reason
        return
    raise Refusal(
        "data_blocked",
        N_(
            "%(dataset)s has findings that would falsify the result. Nothing ran. Use corrected data, or open its findings."  # noqa: E501
        ),
        field="dataset",
        dataset=str(dataset),
        dataset_id=dataset.pk,
    )


def _config_dates(config: StrategyConfig) -> dict[str, Any]:
    names = ("train_start", "valid_start", "test_start", "test_end")
    return {name: getattr(config, name, None) for name in names}


def _check_dates(dataset: Dataset, dates: Mapping[str, Any]) -> None:
    first, last = dataset.start.date(), dataset.end.date()
    for name, value in dates.items():
        if value is None or value == "":
            continue
        day = value if isinstance(value, date) else date.fromisoformat(str(value))
        if not first <= day <= last:
            raise Refusal(
                "dates_outside_data",
                N_("%(date)s lies outside %(dataset)s, which holds %(first)s to %(last)s."),
                field=name,
                date=day.isoformat(),
                dataset=dataset.name,
                first=first.isoformat(),
                last=last.isoformat(),
            )


def _check_trainable(type_key: str, config: StrategyConfig) -> None:
    if not strategy_type(type_key).trains(config):
        raise Refusal("nothing_to_train", N_("This strategy has nothing to learn. Backtest it instead."))


def _check_policy(
    owner: User, type_key: str, config: StrategyConfig, version: StrategyVersion, run: dict[str, Any]
) -> None:
    """A learned strategy decides with the best checkpoint of one of its trainings."""
    if not strategy_type(type_key).trains(config):
        run.pop("checkpoint_session", None)
        return
    given = str(run.get("checkpoint_session") or "")
    trainings = session_visible(owner).filter(
        kind=Kind.TRAINING, verifies=None, version__strategy_id=version.strategy_id
    )
    if given:
        session = trainings.filter(pk=int(given)).first() if given.isdecimal() and len(given) < 18 else None
    else:
        session = trainings.filter(version=version, status=State.COMPLETED).order_by("-id").first()
    if session is None or best_checkpoint(session) is None or "policy" not in session.summary:
        raise Refusal(
            "no_checkpoint",
            N_("There is no finished training of this strategy whose checkpoint could decide. Train it first."),
            field="checkpoint_session",
        )
    run["checkpoint_session"] = session.pk
