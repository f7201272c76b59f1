"""Static files with a hash in their name, cached for ever by browsers."""

from django.contrib.staticfiles.storage import StaticFilesStorage
from whitenoise.storage import CompressedManifestStaticFilesStorage


class HashedStaticFilesStorage(CompressedManifestStaticFilesStorage):
    """Hashed names once ``collectstatic`` ran, plain names before (development, tests)."""

    def stored_name(self, name: str) -> str:
        return super().stored_name(name) if self.hashed_files else name

    def url(self, name: str | None, force: bool = False) -> str:
        if self.hashed_files:
            return super().url(name, force)
        return StaticFilesStorage.url(self, name)
