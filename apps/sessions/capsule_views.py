"""The run capsule as a file."""

from __future__ import annotations

from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, JsonResponse
from django.views.decorators.http import require_safe

from apps.accounts.identity import signed_in
from apps.sessions.capsules import capsule_of
from apps.sessions.selectors import session_for_user


@require_safe
@login_required
def capsule(request: HttpRequest, pk: int) -> JsonResponse:
    answer = JsonResponse(capsule_of(session_for_user(signed_in(request), pk)), json_dumps_params={"indent": 1})
    answer["Content-Disposition"] = f'attachment; filename="session-{pk}-capsule.json"'
    return answer
