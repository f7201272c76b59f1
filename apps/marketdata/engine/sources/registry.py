"""Which kinds of source there are: the built-in ones, and those installed packages add."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec

from apps.marketdata.engine.sources.config import SourceConfig
from apps.marketdata.engine.sources.port import Source
from apps.ui.engine.plugins import Plugin, plugins
from apps.ui.engine.refusal import Refusal
from apps.ui.engine.text import N_

GROUP = "quant_platform.sources"
PORT = ("label", "summary", "config", "secret", "requires", "test", "symbols", "fetch")
_HERE = "apps.marketdata.engine.sources"
BUILTIN = {
    "folder": f"{_HERE}.folder:FolderSource",
    "http": f"{_HERE}.http:HttpSource",
    "sql": f"{_HERE}.sql:SqlSource",
    "akshare": f"{_HERE}.vendor_akshare:AkshareSource",
    "tushare": f"{_HERE}.vendor_tushare:TushareSource",
    "yfinance": f"{_HERE}.vendor_yfinance:YfinanceSource",
    "ccxt": f"{_HERE}.vendor_ccxt:CcxtSource",
    "xtquant": f"{_HERE}.vendor_xtquant:XtquantSource",
}
UNKNOWN = N_("There is no kind of source %(kind)s. There are %(known)s.")
BROKEN = N_("The kind of source %(kind)s cannot be used: %(reason)s")
MISSING = N_("The package %(package)s is not installed. Install it on the server with pip install %(package)s.")
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Kind:
    """One kind of source; ``problem`` says why it cannot be loaded (then ``source`` is None)."""

    key: str
    package: str
    source: Source | None
    problem: str = ""

    @property
    def label(self) -> str:
        return self.source.label if self.source else self.key

    @property
    def missing(self) -> str:
        """The package that has to be installed first, empty where nothing is missing."""
        wanted = self.source.requires if self.source else ""
        return wanted if wanted and not present(wanted) else ""


def present(module: str) -> bool:
    """Tell whether a module can be imported, without importing it."""
    try:
        return find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def kinds() -> list[Kind]:
    """Return every kind: built-in ones in their order, then those of other packages by name."""
    return [_kind(plugin) for plugin in plugins(GROUP, BUILTIN).values()]


@lru_cache(maxsize=64)
def _kind(plugin: Plugin) -> Kind:
    try:
        found = plugin.load()()
    except Exception as error:
        logger.warning("the source %s of %s cannot be loaded", plugin.name, plugin.package, exc_info=error)
        return Kind(plugin.name, plugin.package, None, f"{type(error).__name__}: {error}"[:300])
    problem = _flaw(found)
    return Kind(plugin.name, plugin.package, None if problem else found, problem)


def _flaw(found: object) -> str:
    """Return what a class lacks to be a source."""
    missing = [name for name in PORT if getattr(found, name, None) is None]
    if missing or not isinstance(found, Source):
        return "it lacks " + ", ".join(missing)
    config = found.config
    if not (isinstance(config, type) and issubclass(config, SourceConfig)):
        return "its config is no SourceConfig"
    return ""


def source_kind(key: str) -> Source:
    """Return the source of that kind. Raises ``Refusal`` ``unknown_source_kind`` or ``broken_source_kind``."""
    plugin = plugins(GROUP, BUILTIN).get(key)
    if plugin is None:
        known = ", ".join(plugins(GROUP, BUILTIN))
        raise Refusal("unknown_source_kind", UNKNOWN, status=404, field="kind", kind=key[:40], known=known)
    kind = _kind(plugin)
    if kind.source is None:
        raise Refusal("broken_source_kind", BROKEN, status=409, field="kind", kind=key, reason=kind.problem)
    return kind.source


def ready_source(key: str) -> Source:
    """Return the source of that kind if what it needs is installed. Raises ``Refusal`` ``package_missing`` as well."""
    source = source_kind(key)
    if source.requires and not present(source.requires):
        raise Refusal("package_missing", MISSING, status=409, field="kind", package=source.requires)
    return source
