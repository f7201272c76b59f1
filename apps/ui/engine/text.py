"""Marks text for translation in modules that must not import Django."""


def N_(message: str) -> str:
    """Return ``message`` unchanged; the extractor collects it for translation."""
    return message
