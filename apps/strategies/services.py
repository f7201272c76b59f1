"""Writing strategies: every saved change is a new version, and versions never change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from django.db import IntegrityError, transaction
from django.utils import timezone

from apps.accounts.models import User
from apps.accounts.permissions import require_permission
from apps.accounts.services import audit
from apps.marketdata.selectors import dataset_by_name, require_bars
from apps.strategies.engine.config_base import StrategyConfig
from apps.strategies.engine.registry import FieldError, InvalidConfig, parse_config, strategy_type
from apps.strategies.models import Stage, Strategy, StrategyVersion
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

ORDER = [Stage.DRAFT, Stage.TRAINED, Stage.BACKTESTED, Stage.PAPER, Stage.LIVE, Stage.RETIRED]


def config_check(user: User, type_key: str, values: Mapping[str, Any]) -> StrategyConfig:
    """Return the validated configuration; its data must exist for ``user`` and hold its symbols."""
    config = parse_config(type_key, values)
    if not config.dataset.isprintable():
        raise InvalidConfig([FieldError("dataset", N_("The name has characters that cannot be shown."), {})])
    try:
        dataset = dataset_by_name(user, config.dataset)
        require_bars(dataset)
    except Refusal as refusal:
        raise InvalidConfig([FieldError("dataset", refusal.message, refusal.params)]) from None
    known = set(dataset.symbols.values_list("symbol", flat=True))
    field = "symbol" if hasattr(config, "symbol") else "symbols"
    wanted = [config.symbol] if hasattr(config, "symbol") else list(getattr(config, "symbols", ()))
    missing = [symbol for symbol in wanted if symbol not in known]
    if missing:
        params = {"symbol": missing[0], "dataset": dataset.name, "known": ", ".join(sorted(known)[:12])}
        raise InvalidConfig([FieldError(field, N_("%(symbol)s is not in %(dataset)s. It has %(known)s."), params)])
    return config


def config_hash(type_key: str, config: Mapping[str, Any]) -> str:
    """Return a hash of a configuration that does not depend on the order of its fields."""
    text = json.dumps([type_key, config], sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


@transaction.atomic
def strategy_create(
    *,
    owner: User,
    name: str,
    type_key: str,
    config: Mapping[str, Any],
    description: str = "",
    copied_from: Strategy | None = None,
) -> Strategy:
    """Create a strategy with its first version; raises ``InvalidConfig``, ``Refusal`` ``name_taken``."""
    require_permission(owner, "strategy.edit")
    checked = config_check(owner, type_key, config)
    name = _clean_name(owner, name)
    strategy = Strategy.objects.create(
        owner=owner,
        name=name,
        type=type_key,
        description=_text(description),
        copied_from=copied_from,
        **({"idea": copied_from.idea} if copied_from is not None else {}),
    )
    _add_version(strategy, checked.model_dump(mode="json"), owner, 1, "")
    audit(owner, "strategy.create", strategy, {"type": type_key})
    return strategy


def _clean_name(owner: User, name: str) -> str:
    name = " ".join(name.split())
    if not name:
        raise Refusal("name_missing", N_("Give the strategy a name."), field="name")
    if len(name) > 120:
        raise Refusal("name_too_long", N_("The name has more than 120 characters."), field="name")
    if not name.isprintable():
        raise Refusal("name_unprintable", N_("The name has characters that cannot be shown."), field="name")
    if Strategy.objects.filter(owner=owner, name=name).exists():
        raise Refusal("name_taken", N_("You have a strategy of this name already."), field="name", status=409)
    return name


def _text(text: str) -> str:
    """PostgreSQL keeps no zero characters."""
    return text.replace("\x00", "").strip()


def _add_version(strategy: Strategy, config: dict[str, Any], author: User, number: int, note: str) -> StrategyVersion:
    return StrategyVersion.objects.create(
        strategy=strategy,
        number=number,
        config=config,
        config_hash=config_hash(strategy.type, config),
        note=_text(note)[:200],
        author=author,
    )


def _edited_meanwhile() -> Refusal:
    words = N_("Somebody saved another version meanwhile. Look at it and save again.")
    return Refusal("edited_meanwhile", words, status=409)


def strategy_update(
    *, strategy: Strategy, actor: User, config: Mapping[str, Any], note: str = "", base: int | None = None
) -> tuple[StrategyVersion, bool]:
    """Save a new version; return it and true, or the current one and false where nothing changed.

    ``base`` is the version the change was made to; where another was saved since, it is refused
    (``edited_meanwhile``, 409) rather than passed over unseen.
    """
    require_permission(actor, "strategy.edit")
    checked = config_check(strategy.owner, strategy.type, config).model_dump(mode="json")
    try:
        with transaction.atomic():
            current = strategy.versions.order_by("-number")[0]
            if current.config_hash == config_hash(strategy.type, checked):
                return current, False
            if base is not None and base != current.number:
                raise _edited_meanwhile()
            version = _add_version(strategy, checked, actor, current.number + 1, note)
            Strategy.objects.filter(pk=strategy.pk).update(updated=timezone.now())
            audit(actor, "strategy.update", strategy, {"version": version.number})
    except IntegrityError:
        raise _edited_meanwhile() from None
    return version, True


def strategy_copy(*, strategy: Strategy, actor: User, name: str = "") -> Strategy:
    """Return a copy that belongs to ``actor``, made from the current version."""
    current = strategy.versions.order_by("-number")[0]
    return strategy_create(
        owner=actor,
        name=name or free_name(actor, strategy.name),
        type_key=strategy.type,
        config=current.config,
        description=strategy.description,
        copied_from=strategy,
    )


def free_name(owner: User, name: str) -> str:
    """Return ``name`` with the first number that ``owner`` does not use yet."""
    taken = set(Strategy.objects.filter(owner=owner, name__startswith=name[:110]).values_list("name", flat=True))
    return next(candidate for n in range(2, 10_000) if (candidate := f"{name[:110]} ({n})") not in taken)


def strategy_archive(*, strategy: Strategy, actor: User, archived: bool = True) -> Strategy:
    """Put a strategy out of sight, or back; its runs and versions stay."""
    require_permission(actor, "strategy.edit")
    strategy.archived_at = timezone.now() if archived else None
    strategy.save(update_fields=["archived_at"])
    audit(actor, "strategy.archive" if archived else "strategy.unarchive", strategy)
    return strategy


def stage_reached(strategy_id: int, stage: str) -> None:
    """Note that a strategy got as far as ``stage``; it never goes back by itself."""
    earlier = ORDER[: ORDER.index(Stage(stage))]
    Strategy.objects.filter(pk=strategy_id, stage__in=earlier).update(stage=stage)


def stage_refused(version: StrategyVersion, stage: str) -> bool:
    """Take a strategy that stands at ``stage`` back, where ``version``, its newest, does not deserve it.

    Return whether it was. It falls to the stage before: trained where it was trained to get there, else draft.
    """
    newest = StrategyVersion.objects.filter(strategy=version.strategy_id).order_by("-number").values("number")[:1]
    if version.number != newest[0]["number"]:
        return False
    trains = strategy_type(version.strategy.type).trains(parse_config(version.strategy.type, version.config))
    fallen = Stage.TRAINED if trains else Stage.DRAFT
    return bool(Strategy.objects.filter(pk=version.strategy_id, stage=stage).update(stage=fallen))
