"""Folded templates say what unfolded ones say: in each language, escaped or not, whatever is around."""

from __future__ import annotations

import pytest
from django.template import Context, Engine
from django.urls import set_script_prefix
from django.utils import translation

from apps.ui import folding

LIBRARIES = {
    "ui": "apps.ui.templatetags.ui", "i18n": "django.templatetags.i18n", "static": "django.templatetags.static",
}  # fmt: skip
TEMPLATES = {
    "words": "{% load i18n %}<b>{% translate 'Sessions' %}</b> {% translate 'Search' %}",
    "named": "{% load i18n %}{% translate 'Data' context 'short' %}{% translate 'Open' as word %}[{{ word }}]",
    "addresses": "{% load static %}{% url 'sessions:list' %}|{% static 'css/app.css' %}|{% url 'sessions:detail' pk %}",
    "drawn": "{% load ui %}{% icon 'bell' %}{% state 'running' %}{% icon name %}",
    "parts": "{% load i18n %}{% if on %}{% translate 'Sessions' %}{% else %}{% translate 'Search' %}{% endif %}"
    "{% for one in ones %}{{ one }}{% translate 'Sessions' %}{% empty %}{% translate 'Search' %}{% endfor %}",
    "escaped": "{% load i18n %}{% autoescape off %}{% translate 'a < b' %}{% endautoescape %}{% translate 'a < b' %}",
    "base": "{% load i18n %}{% translate 'Search' %}{% block body %}{% translate 'Sessions' %}{% endblock %}",
    "child": "{% extends 'base' %}{% load i18n %}{% block body %}{{ block.super }}, {% translate 'Search' %}{% endblock %}",
    "bent": "{% load i18n %}{% translate 'Sessions'|upper %}{% translate word %}{% comment %}no{% endcomment %}",
}
CONTEXT = {"pk": 7, "name": "search", "on": True, "ones": ["x", "y"], "word": "Sessions"}


def engine(*, folded: bool) -> Engine:
    inner = [("django.template.loaders.locmem.Loader", TEMPLATES)]
    kept = "apps.ui.folding.Loader" if folded else "django.template.loaders.cached.Loader"
    return Engine(loaders=[(kept, inner)], libraries=LIBRARIES)


def said(made: Engine, name: str, **context: object) -> str:
    return made.get_template(name).render(Context(CONTEXT | context))


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_folded_template_says_the_same(name):
    folded, plain = engine(folded=True), engine(folded=False)
    for language in ("en", "zh-hans", "en"):
        with translation.override(language):
            for on, ones in ((True, ["x"]), (False, [])):
                wanted = said(plain, name, on=on, ones=ones)
                assert [said(folded, name, on=on, ones=ones) for _ in range(2)] == [wanted, wanted]


def test_constant_parts_become_one_node_and_are_rendered_once_a_language(monkeypatch):
    template = engine(folded=True).get_template("words")
    (run,) = [node for node in template.nodelist if not isinstance(node, str)]
    assert isinstance(run, folding.Run)
    asked = []
    monkeypatch.setattr(type(run.nodes[1]), "render", lambda self, context: asked.append(self) or "w")
    for language in ("en", "zh-hans", "en", "zh-hans"):
        with translation.override(language):
            assert template.render(Context()) == "<b>w</b> w"
    assert len(asked) == 4, "two words in two languages"


def test_addresses_follow_the_prefix_and_what_callers_invent_is_not_kept_for_ever():
    template = engine(folded=True).get_template("addresses")
    try:
        for number in range(folding.MOST + 5):
            set_script_prefix(f"/at{number}/")
            assert template.render(Context(CONTEXT)).startswith(f"/at{number}/sessions/")
    finally:
        set_script_prefix("/")
    (run,) = [node for node in template.nodelist if isinstance(node, folding.Run)]
    assert len(run.kept) == folding.MOST


def test_the_site_renders_its_templates_folded(client):
    page = client.get("/accounts/login/", headers={"Accept-Language": "en"}).content.decode()
    other = client.get("/accounts/login/", headers={"Accept-Language": "zh-hans"}).content.decode()
    assert "Log in" in page
    assert "登录" in other
