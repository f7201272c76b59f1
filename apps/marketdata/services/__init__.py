"""Writing the catalogue: import, check, archive."""

from apps.marketdata.services.checks import dataset_check
from apps.marketdata.services.imports import (
    dataset_archive,
    dataset_import,
    dataset_import_path,
    load_builtin_catalogue,
)
from apps.marketdata.services.labels import dataset_label
from apps.marketdata.services.tapes import dataset_bars, tape_import_path
from apps.marketdata.services.versions import dataset_adjust, dataset_diff, dataset_fix

__all__ = [
    "dataset_adjust",
    "dataset_archive",
    "dataset_bars",
    "dataset_check",
    "dataset_diff",
    "dataset_fix",
    "dataset_import",
    "dataset_import_path",
    "dataset_label",
    "load_builtin_catalogue",
    "tape_import_path",
]
