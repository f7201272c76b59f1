"""Settings of the project; ``QP_ENV`` picks the profile."""

import os

# Importing settings.test imports this package first: reading the environment here would then
# happen before the test profile has set a folder of its own, and tests would share var/.
if os.environ.get("DJANGO_SETTINGS_MODULE") != "quant_platform.settings.test":
    from quant_platform.settings.base import *  # noqa: F403
