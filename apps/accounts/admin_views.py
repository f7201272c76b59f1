"""Pages of administrators: groups, the audit, somebody who leaves, a locked log-in."""

from __future__ import annotations

from typing import Any

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_http_methods, require_POST

from apps.accounts import audit_chain, audit_pages, groups, ownership, selectors, services
from apps.accounts.forms import AuditFilterForm, GroupForm, LeaveForm
from apps.accounts.fresh import fresh_login_required
from apps.accounts.identity import signed_in
from apps.accounts.permissions import require_permission
from apps.accounts.security_views import show
from apps.ui.engine.refusal import Refusal

PAGE = 50


@login_required
@require_GET
def group_list(request: HttpRequest) -> HttpResponse:
    page = Paginator(groups.groups_list(signed_in(request)), PAGE).get_page(request.GET.get("page"))
    return render(request, "accounts/groups.html", {"page": page})


@fresh_login_required
@require_http_methods(["GET", "POST"])
def group_edit(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Make a group or change one."""
    require_permission(signed_in(request), "user.admin")
    group = groups.group_for_admin(signed_in(request), pk) if pk is not None else None
    form = GroupForm(request.POST or None, group=group)
    if request.method == "POST" and form.is_valid():
        try:
            groups.group_save(actor=signed_in(request), group=group, **form.cleaned_data)
        except Refusal as refusal:
            show(form, refusal)
        else:
            messages.success(request, _("Saved."))
            return redirect("accounts:groups")
    return render(request, "accounts/group.html", {"form": form, "group": group}, status=422 if form.errors else 200)


@fresh_login_required
@require_POST
def group_delete(request: HttpRequest, pk: int) -> HttpResponse:
    groups.group_delete(actor=signed_in(request), group=groups.group_for_admin(signed_in(request), pk))
    messages.success(request, _("The group is removed; what it shared is no longer shared."))
    return redirect("accounts:groups")


@fresh_login_required
@require_http_methods(["GET", "POST"])
def leave(request: HttpRequest, pk: int) -> HttpResponse:
    """Somebody leaves: choose who owns their things from now on."""
    person = selectors.person(signed_in(request), pk)
    form = LeaveForm(request.POST or None, leaver=person)
    if request.method == "POST" and form.is_valid():
        try:
            moved = ownership.ownership_transfer(
                actor=signed_in(request), leaver=person, heir=form.cleaned_data["heir"]
            )
        except Refusal as refusal:
            show(form, refusal)
        else:
            count = sum(moved.values())
            text = ngettext(
                "%(n)s object moved; the account is closed.", "%(n)s objects moved; the account is closed.", count
            )
            messages.success(request, text % {"n": count})
            return redirect("accounts:people")
    return render(request, "accounts/leave.html", {"form": form, "person": person}, status=422 if form.errors else 200)


@login_required
@require_POST
def unlock(request: HttpRequest, pk: int) -> HttpResponse:
    """Let somebody try again at once who typed wrong passwords."""
    services.login_unlock(actor=signed_in(request), username=selectors.person(signed_in(request), pk).username)
    messages.success(request, _("The log-in is unlocked."))
    return redirect("accounts:person", pk)


@fresh_login_required
@require_POST
def end_all(request: HttpRequest, pk: int) -> HttpResponse:
    """Log somebody else out everywhere."""
    person = selectors.person(signed_in(request), pk)
    services.log_out_everywhere(person, actor=signed_in(request))
    messages.success(request, _("They are logged out everywhere."))
    return redirect("accounts:person", pk)


@login_required
@never_cache
@require_GET
def audit(request: HttpRequest) -> HttpResponse:
    """The audit trail, filtered; newest first."""
    form = AuditFilterForm(request.GET or None)
    rows = audit_pages.audit_list(signed_in(request), form.cleaned_data if form.is_valid() else {})
    position, value = audit_chain.head()
    page = Paginator(rows, PAGE).get_page(request.GET.get("page"))
    context: dict[str, Any] = {
        "page": page, "form": form, "position": position, "head": value, "actions": audit_pages.actions(),
        "objects": list(audit_pages.OBJECTS), "query": request.GET.urlencode(),
    }  # fmt: skip
    return render(request, "accounts/audit.html", context)


@login_required
@require_POST
def audit_verify(request: HttpRequest) -> HttpResponse:
    """Check the chain now and say what is wrong, at its row."""
    require_permission(signed_in(request), "audit.read")
    found = audit_chain.verify()
    position, value = audit_chain.head()
    context = {"found": found[:100], "count": len(found), "position": position, "head": value}
    return render(request, "accounts/audit_verify.html", context)


@login_required
@never_cache
@require_GET
def audit_export(request: HttpRequest) -> StreamingHttpResponse:
    """The filtered trail with its chain, as JSON lines or CSV."""
    form = AuditFilterForm(request.GET or None)
    rows = audit_pages.audit_list(signed_in(request), form.cleaned_data if form.is_valid() else {})
    kind = "csv" if request.GET.get("format") == "csv" else "jsonl"
    services.audit(signed_in(request), "audit.export", None, {"format": kind})
    lines = audit_pages.as_csv(rows) if kind == "csv" else audit_pages.as_jsonl(rows)
    answer = StreamingHttpResponse(lines, content_type="text/csv" if kind == "csv" else "application/x-ndjson")
    answer["Content-Disposition"] = f'attachment; filename="audit.{kind}"'
    return answer
