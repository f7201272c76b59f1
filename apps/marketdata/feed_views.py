"""Pages of feeds: how they do, start, stop, set up, remove."""

from __future__ import annotations

from collections.abc import Callable

from django import forms
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from apps.accounts.identity import signed_in
from apps.accounts.models import User
from apps.accounts.permissions import has_permission, require_permission
from apps.marketdata.feed_pages import feed_rows, feed_steps
from apps.marketdata.models import Feed
from apps.marketdata.quote_forms import ReplayForm, SourceForm
from apps.marketdata.quotes import feed_for_user, feed_visible
from apps.marketdata.services.feeds import feed_delete, feed_start, feed_stop, replay_create, source_create
from apps.ui.engine.refusal import Refusal
from apps.ui.refusals import refusal_text

PAGE_SIZE = 25


@require_http_methods(["GET", "HEAD", "POST"])
@never_cache
@login_required
def feeds(request: HttpRequest) -> HttpResponse:
    """All feeds, or for htmx the part that changes; a POST sets up a replay and starts it."""
    user = signed_in(request)
    form = ReplayForm(request.POST or None, user=user) if has_permission(user, "feed.replay") else None
    if request.method == "POST":
        require_permission(user, "feed.replay")
        if form is not None and form.is_valid() and _replayed(request, user, form):
            return redirect("marketdata:feeds")
    rows = feed_visible(user).select_related("owner", "dataset").order_by("-wanted", "name")
    page = Paginator(rows, PAGE_SIZE).get_page(request.GET.get("page"))
    context = {
        "page": page, "rows": feed_rows(user, list(page.object_list)), "form": form,
        "query": request.GET.urlencode(), "may_source": has_permission(user, "feed.live"),
    }  # fmt: skip
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-Boosted")
    template = "marketdata/partials/feed_table.html" if partial else "marketdata/feeds.html"
    response = render(request, template, context, status=422 if form is not None and form.errors else 200)
    response["Vary"] = "HX-Request, Cookie"
    return response


def _replayed(request: HttpRequest, user: User, form: ReplayForm) -> bool:
    data = form.cleaned_data
    try:
        feed = replay_create(
            actor=user,
            dataset=data["dataset"],
            speed=data["speed"],
            symbols=data["symbols"].split(","),
            loop=data["loop"],
        )
        feed_start(feed=feed, actor=user)
    except Refusal as refusal:
        _refused(form, refusal)
        return False
    messages.success(request, _("%(feed)s is started.") % {"feed": feed.name})
    return True


def _refused(form: forms.Form, refusal: Refusal) -> None:
    field = refusal.field if refusal.field in form.fields else None
    form.add_error(field, refusal_text(refusal))


@require_safe
@never_cache
@login_required
def feed(request: HttpRequest, pk: int) -> HttpResponse:
    """One feed: its health, what it refused and why, its settings, its last minutes."""
    user = signed_in(request)
    found = feed_for_user(user, pk)
    context = {"row": feed_rows(user, [found])[0], **feed_steps(found)}
    partial = request.headers.get("HX-Request") and not request.headers.get("HX-Boosted")
    template = "marketdata/partials/feed.html" if partial else "marketdata/feed.html"
    response = render(request, template, context)
    response["Vary"] = "HX-Request, Cookie"
    return response


@require_http_methods(["GET", "HEAD", "POST"])
@login_required
def source(request: HttpRequest) -> HttpResponse:
    """Set up a live source; for administrators."""
    user = signed_in(request)
    require_permission(user, "feed.live")
    form = SourceForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        data = form.cleaned_data
        options = {key: data[key] for key in ("url", "subscribe", "mapping", "header", "credential")}
        try:
            made = source_create(
                actor=user, name=data["name"], kind=data["kind"], symbols=data["symbols"].split(","),
                calendar=data["calendar"], options=options,
            )  # fmt: skip
        except Refusal as refusal:
            _refused(form, refusal)
        else:
            messages.success(request, _("%(feed)s is set up; start it when you like.") % {"feed": made.name})
            return redirect("marketdata:feed", made.pk)
    return render(request, "marketdata/feed_source.html", {"form": form}, status=422 if form.errors else 200)


@require_POST
@login_required
def start(request: HttpRequest, pk: int) -> HttpResponse:
    return _done(request, pk, lambda feed, user: feed_start(feed=feed, actor=user))


@require_POST
@login_required
def stop(request: HttpRequest, pk: int) -> HttpResponse:
    return _done(request, pk, lambda feed, user: feed_stop(feed=feed, actor=user))


@require_POST
@login_required
def remove(request: HttpRequest, pk: int) -> HttpResponse:
    return _done(request, pk, lambda feed, user: feed_delete(feed=feed, actor=user))


def _done(request: HttpRequest, pk: int, act: Callable[[Feed, User], object]) -> HttpResponse:
    """Do ``act`` to a feed this person controls and go back to where they were."""
    user = signed_in(request)
    found = feed_for_user(user, pk, write=True)
    try:
        act(found, user)
    except Refusal as refusal:
        messages.error(request, refusal_text(refusal))
    gone = found.pk is None
    if request.POST.get("from") == "feed" and not gone:
        return redirect("marketdata:feed", pk)
    return redirect("marketdata:feeds")
