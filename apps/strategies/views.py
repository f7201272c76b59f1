"""Pages of the strategies."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.identity import signed_in
from apps.marketdata.selectors import bar_names, dataset_to_override
from apps.strategies import selectors, services
from apps.strategies.engine.gallery import EXAMPLES, example
from apps.strategies.engine.registry import TYPES, InvalidConfig, StrategyType, parse_config, strategy_type
from apps.strategies.forms import ConfigForm, config_form, config_rows, diff_lines, entered, posted_values
from apps.strategies.models import Stage, Strategy
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text
from apps.ui.tables import MOST_ROWS, csv_file

PAGE = 25
#: Datasets offered as a benchmark; a name can be typed as well.
MANY_DATASETS = 200


@require_safe
@login_required
def strategies(request: HttpRequest) -> HttpResponse:
    """The list, or the same rows as CSV."""
    get = request.GET
    filters = {
        "search": get.get("q", "").replace("\x00", "").strip(),
        "type_key": get.get("type", ""),
        "stage": get.get("stage", ""),
    }
    archived = get.get("archived") == "1"
    asked: dict[str, Any] = {**filters, "archived": archived, "sort": get.get("sort", "")}
    if get.get("format") == "csv":
        return _csv(selectors.strategy_list(signed_in(request), **asked))
    rows = selectors.strategies_listed(signed_in(request), **asked)
    context = {
        "page": Paginator(rows, PAGE).get_page(get.get("page")),
        "filters": filters,
        "archived": archived,
        "types": [(key, _(kind.label)) for key, kind in TYPES.items()],
        "stages": [choice for choice in Stage.choices if choice[0] in {"draft", "trained", "backtested"}],
        "show_owner": signed_in(request).is_administrator,
    }
    return render(request, "strategies/list.html", context)


def _csv(rows: Any) -> HttpResponse:
    header = (
        "id", "name", "type", "stage", "version", "active", "sessions", "return", "sharpe", "best_session",
        "runs_on_unseen_data", "mean_return", "volatility",
    )  # fmt: skip
    lines = (
        (row.pk, row.name, row.type, row.stage, row.version_number, row.active_sessions, row.total_sessions,
         row.best_return, row.best_sharpe, row.best_session, row.counted_runs, row.mean_return, row.mean_volatility)
        for row in rows[:MOST_ROWS]
    )  # fmt: skip
    return csv_file("strategies.csv", header, lines)


@require_safe
@login_required
def gallery(request: HttpRequest) -> HttpResponse:
    """Examples to start from, and the types to start from nothing."""
    items = [(item, _(item.name), _(item.lesson), _(strategy_type(item.type).label)) for item in EXAMPLES]
    types = [(key, _(kind.label), _(kind.summary)) for key, kind in TYPES.items()]
    return render(request, "strategies/gallery.html", {"items": items, "types": types})


@require_POST
@login_required
def use_example(request: HttpRequest, key: str) -> HttpResponse:
    """Make an example the person's own."""
    item = example(key)
    if item is None:
        return redirect("strategies:gallery")
    user = signed_in(request)
    name = _(item.name)
    if Strategy.objects.filter(owner=user, name=name).exists():
        name = services.free_name(user, name)
    made = services.strategy_create(
        owner=user, name=name, type_key=item.type, config=item.config, description=item.lesson
    )
    return redirect("strategies:detail", made.pk)


@require_http_methods(["GET", "POST"])
@login_required
def create(request: HttpRequest) -> HttpResponse:
    """Choose a type, then fill its form."""
    key = request.POST.get("type") or request.GET.get("type", "")
    if key not in TYPES:
        return redirect("strategies:gallery")
    name, description = request.POST.get("name", ""), request.POST.get("description", "")
    form = config_form(signed_in(request), key, posted_values(key, request.POST) if request.method == "POST" else {})
    error = ""
    if request.method == "POST":
        try:
            made = services.strategy_create(
                owner=signed_in(request), name=name, type_key=key, config=form.values, description=description
            )
        except InvalidConfig as invalid:
            form.add_errors(invalid)
        except Refusal as refusal:
            error = refusal_text(refusal)
        else:
            return redirect("strategies:detail", made.pk)
    context = {"form": form, "name": name, "description": description, "name_error": error, "label": _(form.type.label)}
    return render(request, "strategies/create.html", context, status=422 if form.errors or error else 200)


@require_http_methods(["GET", "POST"])
@login_required
def edit(request: HttpRequest, pk: int) -> HttpResponse:
    """The form over the current version; saving makes the next one."""
    strategy = selectors.strategy_for_user(signed_in(request), pk, write=True)
    current = selectors.version_newest(pk)[0]
    values = posted_values(strategy.type, request.POST) if request.method == "POST" else current.config
    form = config_form(signed_in(request), strategy.type, values, base=current.config)
    meanwhile = None
    given = request.POST.get("base", "")[:9]
    based = int(given) if given.isdecimal() else current.number
    if request.method == "POST":
        try:
            version, saved = services.strategy_update(
                strategy=strategy, actor=signed_in(request), config=values, note=request.POST.get("note", ""),
                base=based,
            )  # fmt: skip
        except InvalidConfig as invalid:
            form.add_errors(invalid)
        except Refusal as refusal:
            if refusal.code != "edited_meanwhile":
                raise
            meanwhile = current = selectors.version_newest(pk)[0]
            based = current.number
            form = config_form(signed_in(request), strategy.type, values, base=current.config)
        else:
            said = _("Saved as version %(number)s.") if saved else _("Nothing changed; version %(number)s stays.")
            messages.success(request, said % {"number": version.number})
            return redirect("strategies:detail", pk)
    context = {
        "strategy": strategy,
        "current": current,
        "form": form,
        "label": _(form.type.label),
        "diff": _diff_of(strategy.type, current.config, values),
        "next_number": current.number + 1,
        "note": request.POST.get("note", ""),
        "meanwhile": meanwhile,
        "based": based,
    }
    return render(request, "strategies/edit.html", context, status=422 if form.errors else 409 if meanwhile else 200)


@require_POST
@login_required
def changes(request: HttpRequest, pk: int) -> HttpResponse:
    """What the form, as it stands, would change; saves nothing."""
    strategy = selectors.strategy_for_user(signed_in(request), pk, write=True)
    current = strategy.versions.order_by("-number")[0]
    values = posted_values(strategy.type, request.POST)
    errors: list[tuple[str, str]] = []
    try:
        services.config_check(strategy.owner, strategy.type, values)
    except InvalidConfig as invalid:
        form = ConfigForm(strategy.type, values)
        form.add_errors(invalid)
        errors = form.error_lines
    diff = _diff_of(strategy.type, current.config, values)
    return render(request, "strategies/partials/changes.html", {"diff": diff, "errors": errors})


def _diff_of(type_key: str, old: dict[str, Any], values: dict[str, Any]) -> list[Any]:
    try:
        return diff_lines(type_key, old, parse_config(type_key, values).model_dump(mode="json"))
    except InvalidConfig:
        touched = {name: value for name, value in values.items() if entered(value) != entered(old.get(name))}
        return diff_lines(type_key, old, {**old, **touched})


@require_safe
@login_required
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    """Configuration, versions with their best figures, sessions, and what to do next."""
    strategy = selectors.strategy_for_user(signed_in(request), pk)
    versions = Paginator(selectors.versions_listed.listed(pk), PAGE).get_page(request.GET.get("versions"))
    current = versions.object_list[0] if versions.number == 1 else selectors.version_newest(pk)[0]
    kind = strategy_type(strategy.type)
    context = {
        "strategy": strategy,
        "current": current,
        "versions": versions,
        "performance": selectors.summary_of(strategy),
        "groups": config_rows(strategy.type, current.config),
        "label": _(kind.label),
        "lesson": _(strategy.description) if strategy.description else "",
        "trains": _trains(kind, current.config),
        "editable": selectors.strategy_writable(signed_in(request), pk),
        "blocked": dataset_to_override(signed_in(request), str(current.config.get("dataset", ""))),
        "benchmark_datasets": bar_names(signed_in(request))[:MANY_DATASETS],
        "trainings": selectors.trained_listed.most(PAGE)(pk),
        "sessions": Paginator(selectors.sessions_listed.listed(pk), PAGE).get_page(request.GET.get("page")),
        "start": current.config.get("test_start") or "",
        "time_limits": {"training": settings.QP_TIME_LIMIT_TRAINING, "backtest": settings.QP_TIME_LIMIT_BACKTEST},
    }
    return render(request, "strategies/detail.html", context)


def _trains(kind: StrategyType, config: dict[str, Any]) -> bool:
    """A version saved under older rules still has its page; starting it says what is wrong with it."""
    try:
        return kind.trains(parse_config(kind.key, config))
    except InvalidConfig:
        return bool(kind.train)


@require_safe
@login_required
def diff(request: HttpRequest, pk: int) -> HttpResponse:
    """Any two versions beside each other."""
    strategy = selectors.strategy_for_user(signed_in(request), pk)
    numbers = list(strategy.versions.values_list("number", flat=True))
    old = selectors.version_of(strategy, _number(request.GET.get("old"), numbers[min(1, len(numbers) - 1)]))
    new = selectors.version_of(strategy, _number(request.GET.get("new"), numbers[0]))
    lines = diff_lines(strategy.type, old.config, new.config, context=True)
    changed = sum(line.sign == "+" for line in lines)
    context = {"strategy": strategy, "numbers": numbers, "old": old, "new": new, "lines": lines, "changed": changed}
    return render(request, "strategies/diff.html", context)


def _number(text: str | None, default: int) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 9 else default


@require_POST
@login_required
def copy(request: HttpRequest, pk: int) -> HttpResponse:
    strategy = selectors.strategy_for_user(signed_in(request), pk)
    made = services.strategy_copy(strategy=strategy, actor=signed_in(request))
    messages.success(request, _("Copied as %(name)s.") % {"name": made.name})
    return redirect("strategies:detail", made.pk)


@require_POST
@login_required
def archive(request: HttpRequest, pk: int) -> HttpResponse:
    """Put out of sight, or back."""
    strategy = selectors.strategy_for_user(signed_in(request), pk, write=True)
    away = strategy.archived_at is None
    services.strategy_archive(strategy=strategy, actor=signed_in(request), archived=away)
    messages.success(request, _("Archived; its runs and versions are kept.") if away else _("Back in the list."))
    return redirect("strategies:detail", pk)
