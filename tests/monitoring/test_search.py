"""Search: everything that is yours, nothing that is not, as a page and as the palette."""

from __future__ import annotations

import re

import pytest

pytestmark = pytest.mark.django_db
PALETTE = {"headers": {"HX-Request": "true", "HX-Target": "palette"}}


def get(client, user, query="", **extra):
    client.force_login(user)
    response = client.get("/search/", {"q": query}, **extra)
    assert response.status_code == 200
    return response.content.decode()


def test_it_finds_strategies_sessions_data_pages_and_commands(client, alice, make_session, make_strategy, make_dataset):
    session = make_session(alice, title="AAPL training")
    strategy = make_strategy(alice, "AAPL breakout")
    dataset = make_dataset("aapl-minute")
    html = get(client, alice, "aapl")
    for url in (f"/sessions/{session.pk}/", f"/strategies/{strategy.pk}/", f"/data/{dataset.pk}/"):
        assert f'href="{url}"' in html
    assert 'href="/monitoring/"' in get(client, alice, "workers")
    assert 'href="/data/import/"' in get(client, alice, "upload")


def test_a_sessions_number_finds_it(client, alice, make_session):
    session = make_session(alice, title="plain")
    assert f'class="hit" href="/sessions/{session.pk}/"' in get(client, alice, str(session.pk))


def test_what_belongs_to_others_is_not_found(client, alice, bob, root, make_session, make_strategy, make_dataset):
    make_session(bob, title="zebra run")
    make_strategy(bob, "zebra idea")
    make_dataset("zebra-data", owner=bob)
    assert 'class="hit"' not in get(client, alice, "zebra")
    assert get(client, root, "zebra").count('class="hit"') == 3


def test_archived_strategies_are_left_out(client, alice, make_strategy):
    from django.utils import timezone

    make_strategy(alice, "zebra", archived_at=timezone.now())
    assert 'class="hit"' not in get(client, alice, "zebra")


def test_without_a_query_places_and_commands_are_offered(client, alice, root):
    html = get(client, alice, **PALETTE)
    assert html.count('role="option"') == 11
    assert "/admin/" not in html
    assert "/admin/" in get(client, root, **PALETTE)


def test_the_palette_is_a_listbox_fragment_and_the_page_is_whole(client, alice):
    fragment = get(client, alice, "dash", **PALETTE)
    assert "<html" not in fragment
    assert fragment.count('role="option"') == 1
    assert 'id="hit-1-1"' in fragment
    whole = get(client, alice, "dash")
    assert "<html" in whole
    assert 'value="dash"' in whole


def test_nothing_found_says_so_and_hostile_text_is_text(client, alice):
    html = get(client, alice, '<script>"x', **PALETTE)
    assert "Nothing is called “&lt;script&gt;&quot;x”." in html
    assert "<script" not in html
    head = get(client, alice, "z" * 5000).split("<h1>")[1].split("</h1>")[0]
    assert head.count("z") == 100


def test_chinese_words_find_pages_too(client, alice):
    assert 'href="/strategies/"' in get(client, alice, "策略", **PALETTE)


def test_only_reading(client, alice):
    client.force_login(alice)
    assert client.post("/search/").status_code == 405


def test_the_number_of_statements_does_not_grow(
    client, alice, make_session, make_strategy, make_dataset, django_assert_max_num_queries
):
    for i in range(8):
        make_session(alice, title=f"aapl {i}")
        make_strategy(alice, f"aapl {i}")
        make_dataset(f"aapl-{i}")
    client.force_login(alice)
    with django_assert_max_num_queries(6):
        client.get("/search/", {"q": "aapl"})


@pytest.mark.parametrize("path", ["/accounts/people/", "/accounts/groups/", "/accounts/audit/"])
def test_the_rail_says_where_an_administrator_is(client, root, path):
    client.force_login(root)
    current = re.findall(r'<a class="n" href="([^"]+)" aria-current="page"', client.get(path).content.decode())
    assert current == ["/accounts/people/"]
