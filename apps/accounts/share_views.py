"""The page that says with whom a strategy, dataset or session is shared."""

from __future__ import annotations

from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect, render
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST

from apps.accounts import shares as sharing
from apps.accounts.forms import ShareForm
from apps.accounts.identity import signed_in
from apps.accounts.security_views import show
from apps.ui.engine.refusal import Refusal

PAGE = 25


@login_required
@require_http_methods(["GET", "POST"])
def shares(request: HttpRequest, word: str, pk: int) -> HttpResponse:
    """With whom one object is shared, and the form to share it; for its owner and administrators."""
    obj = sharing.owned(signed_in(request), word, pk)
    form = ShareForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        try:
            sharing.share_create(actor=signed_in(request), obj=obj, **form.cleaned_data)
        except Refusal as refusal:
            show(form, refusal)
        else:
            messages.success(request, _("Shared."))
            return redirect("accounts:shares", word, pk)
    page = Paginator(sharing.shares_of(obj), PAGE).get_page(request.GET.get("page"))
    context = {"form": form, "page": page, "object": obj, "word": word}
    return render(request, "accounts/shares.html", context, status=422 if form.errors else 200)


@login_required
@require_POST
def share_delete(request: HttpRequest, word: str, pk: int, share: int) -> HttpResponse:
    obj = sharing.owned(signed_in(request), word, pk)
    sharing.share_delete(actor=signed_in(request), obj=obj, pk=share)
    messages.success(request, _("No longer shared with them."))
    return redirect("accounts:shares", word, pk)
