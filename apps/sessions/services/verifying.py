"""Starting a verification: the same run again, as a session of its own."""

from __future__ import annotations

from typing import Any

from django.db import transaction

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.marketdata.selectors import dataset_folder, dataset_visible
from apps.sessions.capsules import capsule_of
from apps.sessions.engine.states import ACTIVE, Command, State
from apps.sessions.models import Kind, Session
from apps.sessions.reports import report_of
from apps.sessions.selectors import best_checkpoint
from apps.sessions.services.benchmarks import benchmark_dataset
from apps.sessions.services.sessions import check_concurrency, check_disk, check_memory
from apps.sessions.services.transitions import session_command
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_


def session_verify(*, session: Session, actor: User) -> Session:
    """Queue a session that repeats ``session`` and compares; it counts like any other.

    Raises ``Refusal``: ``not_verifiable`` (409) for one that is not completed or is itself a verification,
    ``verification_running`` (409), ``no_capsule`` (404), ``capsule_damaged`` (409), ``dataset_missing``,
    ``dataset_replaced`` and ``checkpoint_missing`` (422), ``no_report`` (404), ``concurrent_limit`` (429).
    """
    require_permission(actor, "session.run")
    if session.verifies_id is not None or session.status != State.COMPLETED:
        raise Refusal(
            "not_verifiable",
            N_("Only a completed run can be verified; session %(session)s is not one, or is itself a verification."),
            status=409,
            session=session.pk,
        )
    _check_inputs(session, actor, capsule_of(session))
    check_disk()
    check_memory(session.kind, session.version, session.config, session.memory_limit_mb)
    with transaction.atomic():
        check_concurrency(actor)
        _check_alone(session)
        run = Session.objects.create(
            owner=actor,
            kind=session.kind,
            title=session.title,
            version=session.version,
            dataset=session.dataset,
            config=session.config,
            params=session.params,
            time_limit=session.time_limit,
            memory_limit_mb=session.memory_limit_mb,
            verifies=session,
        )
        audit(actor, "session.verify", session, {"run": run.pk})
        return session_command(session_id=run.pk, command=Command.QUEUE, actor=actor)


def _check_alone(session: Session) -> None:
    Session.objects.select_for_update().get(pk=session.pk)
    running = session.verifications.filter(status__in=ACTIVE).first()
    if running is not None:
        raise Refusal(
            "verification_running",
            N_("Session %(session)s is being verified already, by session %(run)s."),
            status=409,
            session=session.pk,
            run=running.pk,
        )


def _check_inputs(session: Session, actor: User, capsule: dict[str, Any]) -> None:
    """Refuse what cannot be repeated because something it needs is gone or is another thing by now."""
    dataset = session.dataset
    if not dataset_folder(dataset).is_dir() or not dataset_visible(actor).filter(pk=dataset.pk).exists():
        raise Refusal(
            "dataset_missing",
            N_("The files of %(dataset)s are gone. Import it again; the same content gets the same place."),
            field="dataset",
            dataset=str(dataset),
        )
    if capsule["data"][0]["content_hash"] != dataset.content_hash:
        raise Refusal(
            "dataset_replaced",
            N_("%(dataset)s has another content than when session %(session)s ran; it cannot be repeated."),
            field="dataset",
            dataset=str(dataset),
            session=session.pk,
        )
    other = benchmark_dataset(session, actor)
    if other is not None and capsule.get("benchmark", {}).get("content_hash") != other.content_hash:
        raise Refusal(
            "dataset_replaced",
            N_("%(dataset)s has another content than when session %(session)s ran; it cannot be repeated."),
            field="benchmark_dataset",
            dataset=str(other),
            session=session.pk,
        )
    if session.kind == Kind.BACKTEST:
        report_of(session)
        _check_checkpoint(session)


def _check_checkpoint(session: Session) -> None:
    training = session.params.get("checkpoint_session")
    if not training:
        return
    row = Session.objects.filter(pk=training).first()
    if row is None or best_checkpoint(row) is None:
        raise Refusal("checkpoint_missing", N_("The checkpoint of session %(session)s is gone."), session=training)
