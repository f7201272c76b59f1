from django.apps import AppConfig


class QuantPlatformConfig(AppConfig):
    """Wiring: settings, URLs, and the commands that reach into every room."""

    name = "quant_platform"
    verbose_name = "Quant Platform"

    def ready(self) -> None:
        from quant_platform import checks  # noqa: F401 - registers them
