"""Shows a refusal in the reader's language."""

from django.utils.translation import gettext

from apps.ui.engine.refusal import Refusal


def refusal_text(refusal: Refusal) -> str:
    """Return the sentence of ``refusal`` in the active language."""
    text = gettext(refusal.message)
    return text % refusal.params if refusal.params else text
