"""The translation tool: what it finds, keeps, refuses and compiles."""

from __future__ import annotations

import gettext

import pytest
from django.core.management import CommandError, call_command
from django.utils.translation.template import templatize

from apps.ui.engine import catalogues
from tests.conftest import ROOT

MODULE = """
from x import _, ngettext, pgettext, N_, Refusal
A = _("Plain")
B = ngettext("%(count)s row", "%(count)s rows", 3)
C = pgettext("short", "Data")
D = N_("Joined "
       "text")
raise Refusal("code", "No %(name)s here.", name="x")
E = _(variable)
F = other("not this")
G = module.gettext("Attribute")
"""
TEMPLATE = """{% load i18n %}<h1>{% translate "Head" %}</h1>
{{ _("Filter") }}{% translate 'Menu' context "short" %}
{% blocktranslate with n=x count c=y %}{{ n }} one, 5%{% plural %}{{ n }} many, 5%{% endblocktranslate %}
{% blocktranslate %}Hello {{ name }}{% endblocktranslate %}{% sort_header "k" _("Column") %}"""


@pytest.fixture
def tree(tmp_path):
    room = tmp_path / "apps" / "ui"
    (room / "migrations").mkdir(parents=True)
    (room / "a.py").write_text(MODULE)
    (room / "migrations" / "m.py").write_text('_("never")')
    (tmp_path / "templates" / "ui").mkdir(parents=True)
    (tmp_path / "templates" / "ui" / "t.html").write_text(TEMPLATE)
    (tmp_path / "templates" / "404.html").write_text('{% load i18n %}{% translate "Base" %}')
    return tmp_path


def fill(tree, text):
    """Translate every empty string of the catalogue by ``text(msgid)``."""
    path = catalogues.po_path(tree, "ui")
    lines, msgid = [], ""
    for line in path.read_text(encoding="utf-8").split("\n"):
        if line.startswith(("msgid ", "msgid_plural ")):
            msgid = line.split(" ", 1)[1].strip('"')
        if line in {'msgstr ""', 'msgstr[0] ""'} and msgid:
            line = line[:-2] + f'"{text(msgid)}"'
        lines.append(line)
    path.write_text("\n".join(lines), encoding="utf-8")


def test_every_kind_of_mark_is_found(tree):
    found = {(f.context, f.msgid, f.plural) for f in catalogues.find(tree, "ui", templatize)}
    assert found == {
        (None, "Plain", None),
        (None, "%(count)s row", "%(count)s rows"),
        ("short", "Data", None),
        (None, "Joined text", None),
        (None, "No %(name)s here.", None),
        (None, "Attribute", None),
        (None, "Head", None),
        (None, "Filter", None),
        ("short", "Menu", None),
        (None, "%(n)s one, 5%%", "%(n)s many, 5%%"),
        (None, "Hello %(name)s", None),
        (None, "Column", None),
        (None, "Base", None),
    }


def test_extracting_twice_gives_the_same_bytes_and_keeps_translations(tree):
    assert catalogues.extract(tree, "ui", templatize) == 13
    path = catalogues.po_path(tree, "ui")
    first = path.read_bytes()
    assert b"POT-Creation-Date" not in first
    catalogues.extract(tree, "ui", templatize)
    assert path.read_bytes() == first
    fill(tree, lambda msgid: "译 " + msgid)
    translated = path.read_bytes()
    assert catalogues.extract(tree, "ui", templatize) == 0
    assert path.read_bytes().split() == translated.split()
    assert catalogues.check(tree, "ui", templatize) == []


def test_the_check_names_each_fault(tree):
    (tree / "apps/ui/a.py").write_text('_("Plain"); _("Hello %(name)s"); _("Unsure"); _("Void")')
    catalogues.extract(tree, "ui", templatize)
    fill(tree, lambda msgid: "" if msgid == "Void" else msgid.replace("%(name)s", "%(other)s"))
    path = catalogues.po_path(tree, "ui")
    path.write_text(path.read_text().replace('msgid "Unsure"', '#, fuzzy\nmsgid "Unsure"'))
    (tree / "apps/ui/a.py").write_text('_("Hello %(name)s"); _("Unsure"); _("Void"); _("New")')
    problems = {(p.kind, p.msgid) for p in catalogues.check(tree, "ui", templatize)}
    assert problems == {
        ("placeholders differ", "Hello %(name)s"),
        ("fuzzy", "Unsure"),
        ("empty", "Void"),
        ("missing", "New"),
        ("unused", "Plain"),
    }
    assert "django.po: fuzzy: 'Unsure'" in str(catalogues.check(tree, "ui", templatize)[1])


def test_a_percent_sign_beside_values_is_written_twice(tree):
    (tree / "apps/ui/a.py").write_text('_("%(share)s of it"); _("Half: 50%%, %(name)s"); _("100% plain")')
    catalogues.extract(tree, "ui", templatize)
    fill(tree, lambda msgid: msgid.replace("%(share)s of it", "%(share)s 100% of it"))
    problems = {(p.kind, p.msgid) for p in catalogues.check(tree, "ui", templatize)}
    assert problems == {("lone percent sign", "%(share)s of it")}


def test_a_plural_that_became_single_and_back_keeps_its_translation(tree):
    source = tree / "apps/ui/a.py"
    source.write_text('ngettext("row", "rows", 2)')
    catalogues.extract(tree, "ui", templatize)
    fill(tree, lambda msgid: "行")
    for text in ('_("row")', 'ngettext("row", "rows", 2)'):
        source.write_text(text)
        assert catalogues.extract(tree, "ui", templatize) == 0


def test_compiled_catalogues_are_read_by_gettext_and_only_written_when_older(tree):
    catalogues.extract(tree, "ui", templatize)
    fill(tree, lambda msgid: "译" + msgid)
    assert catalogues.compile_all(tree) == 1
    assert catalogues.compile_all(tree) == 0
    with catalogues.po_path(tree, "ui").with_suffix(".mo").open("rb") as file:
        words = gettext.GNUTranslations(file)
    assert words.gettext("Plain") == "译Plain"
    assert words.pgettext("short", "Data") == "译Data"
    assert words.ngettext("%(count)s row", "%(count)s rows", 5) == "译%(count)s rows"


def test_two_rooms_that_disagree_about_a_word_are_named(tree):
    for room, text in (("ui", "打开"), ("trading", "开盘")):
        (tree / "apps" / room).mkdir(exist_ok=True)
        (tree / "apps" / room / "a.py").write_text('_("Open"); pgettext("action", "Open")')
        catalogues.extract(tree, room, templatize)
        path = catalogues.po_path(tree, room)
        path.write_text(path.read_text().replace('msgid "Open"\nmsgstr ""', f'msgid "Open"\nmsgstr "{text}"', 1))
    assert [(p.kind, p.msgid) for p in catalogues.conflicts(tree)] == [
        ("differs from apps/ui/locale/zh_Hans/LC_MESSAGES/django.po", "Open")
    ]


def test_a_room_without_words_gets_no_file(tree):
    (tree / "apps" / "trading").mkdir()
    assert catalogues.extract(tree, "trading", templatize) == 0
    assert not catalogues.po_path(tree, "trading").exists()


@pytest.fixture
def command_tree(tree, settings):
    settings.BASE_DIR = tree
    return tree


def test_the_command_fails_with_the_number_of_holes(command_tree, capsys):
    call_command("messages", "extract", "ui")
    assert "ui: 13 to translate" in capsys.readouterr().out
    with pytest.raises(CommandError, match="13 translations are not complete"):
        call_command("messages", "check", "ui")
    fill(command_tree, lambda msgid: "译 " + msgid)
    call_command("messages", "check", "ui")
    call_command("messages", "compile")
    assert "1 catalogues compiled" in capsys.readouterr().out


def test_an_unknown_room_is_refused():
    with pytest.raises(CommandError):
        call_command("messages", "check", "nowhere")


def test_every_folder_of_templates_belongs_to_a_room():
    mine = {one for room in catalogues.ROOMS for one in catalogues.TEMPLATES.get(room, (room,))}
    folders = {path.name for path in (ROOT / "templates").iterdir() if path.is_dir()}
    assert folders <= mine, f"nobody would translate {folders - mine}: name them in TEMPLATES of the catalogues"
