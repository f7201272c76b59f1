"""What acts, objects, areas of the API and kinds of secrets are called, for people.

The codes are what programs, filters and exports use; a code without a word here is shown as it is,
so that what an extension writes to the trail can be read too.
"""

from __future__ import annotations

from apps.ui.engine.text import N_

ACTIONS: dict[str, str] = {
    "audit.export": N_("audit exported"),
    "calendar.day": N_("calendar day changed"),
    "calendar.delete": N_("calendar removed"),
    "calendar.save": N_("calendar defined or changed"),
    "connection.close": N_("live connection closed"),
    "data.override": N_("quality gate overridden"),
    "dataset.archive": N_("dataset archived"),
    "dataset.bars": N_("bars made of trades"),
    "dataset.check": N_("dataset checked"),
    "dataset.fix": N_("dataset repaired"),
    "dataset.import": N_("dataset imported"),
    "dataset.label": N_("dataset's tags or licence changed"),
    "feed.create": N_("feed set up"),
    "feed.delete": N_("feed removed"),
    "feed.start": N_("feed started"),
    "feed.stop": N_("feed stopped"),
    "group.change": N_("group changed"),
    "group.create": N_("group created"),
    "group.delete": N_("group deleted"),
    "import.cancel": N_("import cancelled"),
    "import.discard": N_("import discarded"),
    "import.resume": N_("import resumed"),
    "login.end": N_("logged out"),
    "login.end_all": N_("logged out everywhere"),
    "login.end_device": N_("browser logged out"),
    "login.fail": N_("log-in failed"),
    "login.lock": N_("log-in locked"),
    "login.success": N_("logged in"),
    "login.token": N_("logged in with a token"),
    "login.unlock": N_("log-in unlocked"),
    "password.change": N_("password changed"),
    "password.reset": N_("password reset"),
    "password.set": N_("password set"),
    "secret.change": N_("secret replaced"),
    "secret.create": N_("secret stored"),
    "secret.delete": N_("secret deleted"),
    "secret.rotate": N_("secrets sealed with the new key"),
    "session.cancel": N_("session cancelled"),
    "session.create": N_("session created"),
    "session.delete": N_("session deleted"),
    "session.label": N_("session labelled"),
    "session.pause": N_("session paused"),
    "session.queue": N_("session queued"),
    "session.resume": N_("session resumed"),
    "session.retry": N_("session retried"),
    "session.verify": N_("verification started"),
    "share.create": N_("shared"),
    "share.delete": N_("sharing ended"),
    "source.change": N_("source changed"),
    "source.create": N_("source set up"),
    "source.delete": N_("source deleted"),
    "source.pause": N_("source paused"),
    "source.resume": N_("source resumed"),
    "source.stop": N_("sync stopped"),
    "source.sync": N_("source synced"),
    "strategy.archive": N_("strategy archived"),
    "strategy.create": N_("strategy created"),
    "strategy.unarchive": N_("strategy taken from the archive"),
    "strategy.update": N_("strategy changed"),
    "token.create": N_("token created"),
    "token.reuse": N_("spent refresh token presented"),
    "token.revoke": N_("token revoked"),
    "user.create": N_("person created"),
    "user.invite": N_("person invited"),
    "user.join": N_("invitation accepted"),
    "user.leave": N_("person left"),
    "user.limits": N_("limits changed"),
    "user.uninvite": N_("invitation withdrawn"),
    "worker.drain": N_("worker drained"),
    "worker.undrain": N_("worker takes work again"),
}
#: Areas of the API, as the scopes of a token name them.
AREA_WORDS: dict[str, str] = {
    "account": N_("Account"),
    "data": N_("Market data"),
    "monitoring": N_("Monitoring"),
    "sessions": N_("Sessions"),
    "strategies": N_("Strategies"),
    "trading": N_("Trading"),
}
PERMISSION_WORDS: dict[str, str] = {
    "audit.read": N_("Read the audit"),
    "data.override": N_("Override a quality gate"),
    "feed.live": N_("Set up live sources of quotes"),
    "feed.replay": N_("Replay datasets as quotes"),
    "risk.edit": N_("Change risk limits"),
    "session.run": N_("Run sessions"),
    "strategy.edit": N_("Edit strategies"),
    "trade.live": N_("Trade live"),
    "trade.paper": N_("Trade on paper"),
    "user.admin": N_("Administer people"),
}
KIND_WORDS: dict[str, str] = {
    "broker": N_("Broker"),
    "source": N_("Data source"),
    "model": N_("Language model"),
    "mail": N_("Mail"),
    "other": N_("Other"),
}

#: What a browser says of itself → its name, the telling first: most claim to be several.
BROWSERS = (("Edg/", "Edge"), ("OPR/", "Opera"), ("Firefox/", "Firefox"), ("HeadlessChrome/", "Chromium"),
            ("Chromium/", "Chromium"), ("Chrome/", "Chrome"), ("Version/", "Safari"))  # fmt: skip
SYSTEMS = (("Windows", "Windows"),
           ("iPhone", "iPhone"), ("iPad", "iPad"), ("Android", "Android"), ("Mac OS X", "macOS"),
           ("CrOS", "ChromeOS"), ("Linux", "Linux"))  # fmt: skip


def device_name(agent: str) -> str:
    """Return ``Firefox 128 · Windows`` for the ``User-Agent`` of a browser; of a program, its first word.

    Nothing is decided by it: whoever connects writes what he likes there.
    """
    browser = ""
    for mark, name in BROWSERS:
        _before, found, after = agent.partition(mark)
        if found:
            major = after.split(".", 1)[0].split(" ", 1)[0]
            browser = f"{name} {major}" if major.isdigit() and len(major) < 5 else name
            break
    system = next((name for mark, name in SYSTEMS if mark in agent), "")
    if browser and system:
        return f"{browser} · {system}"
    return browser or agent.strip().split(" ", 1)[0][:60] or "–"
