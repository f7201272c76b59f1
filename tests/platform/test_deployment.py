"""The image and the compose file, read by a parser: no engine runs where the tests do."""

from __future__ import annotations

import re
from pathlib import Path

import yaml
from django.conf import settings

from quant_platform.settings.declared import DECLARED
from quant_platform.version import VERSION

BASE = Path(settings.BASE_DIR)


def compose() -> dict:
    return yaml.safe_load((BASE / "compose.yaml").read_text(encoding="utf-8"))


def dockerfile() -> str:
    return (BASE / "Dockerfile").read_text(encoding="utf-8")


def test_compose_runs_web_worker_and_postgres_and_offers_redis():
    services = compose()["services"]
    assert {"web", "worker", "postgres", "redis", "migrate"} <= set(services)
    assert services["redis"]["profiles"] == ["redis"]
    assert services["web"]["command"] == ["serve", "--web"]
    assert services["worker"]["command"] == ["serve", "--worker"]


def test_compose_sets_only_settings_that_exist():
    declared = {setting.name for setting in DECLARED}
    assert set(compose()["services"]["web"]["environment"]) <= declared


def test_every_setting_of_the_env_file_reaches_the_containers_but_not_the_folders_of_a_laptop():
    for name in ("migrate", "web", "worker"):
        service = compose()["services"][name]
        assert [file["path"] for file in service["env_file"]] == [".env"]
        pinned = service["environment"]
        assert re.search(rf"^VOLUME {pinned['VAR_DIR']}$", dockerfile(), re.M)
        assert (pinned["BIND"], pinned["PORT"]) == ("0.0.0.0", "8000")


def test_compose_names_volumes_and_dependencies_that_exist():
    document = compose()
    for service in document["services"].values():
        for volume in service.get("volumes", ()):
            assert volume.split(":")[0] in document["volumes"]
        assert set(service.get("depends_on", ())) <= set(document["services"])


def test_compose_has_no_default_secret():
    text = (BASE / "compose.yaml").read_text(encoding="utf-8")
    for name in ("SECRET_KEY", "POSTGRES_PASSWORD"):
        assert re.search(rf"\$\{{{name}:\?", text)
        assert not re.search(rf"\$\{{{name}:-", text)


def test_the_image_is_built_in_stages_runs_as_nobody_special_and_is_checked():
    text = dockerfile()
    assert len(re.findall(r"^FROM ", text, re.M)) == 3
    last_stage = text[text.rindex("\nFROM ") :]
    assert re.search(r"^USER (?!root)", last_stage, re.M)
    assert "HEALTHCHECK" in last_stage


def test_the_image_holds_compiled_code_since_its_user_cannot_write_any():
    assert re.search(r"-m compileall -q apps quant_platform", dockerfile())


def test_the_image_copies_only_what_is_in_the_repository():
    for sources in re.findall(r"^COPY (?!--from)(.+) \S+$", dockerfile(), re.M):
        for source in sources.split():
            assert (BASE / source).exists()


def test_one_version_everywhere():
    assert f'version = "{VERSION}"' in (BASE / "pyproject.toml").read_text(encoding="utf-8")
    assert f"quant-platform:{VERSION}" in (BASE / "compose.yaml").read_text(encoding="utf-8")
    versions = re.findall(r"^## (\S+)", (BASE / "CHANGELOG.md").read_text(encoding="utf-8"), re.M)
    assert next(version for version in versions if version != "Unreleased") == VERSION


def test_no_lock_file_carries_addresses():
    assert "resolved" not in (BASE / "package-lock.json").read_text(encoding="utf-8")
    assert "://" not in (BASE / "requirements.txt").read_text(encoding="utf-8")
