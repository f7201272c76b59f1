"""A statement that is written once answers as the ORM does, for whoever asks; what it could get wrong is refused."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import Group
from django.db import connection
from django.db.models import Q
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from apps.accounts import shares
from apps.accounts.models import ApiToken, Notice, User
from apps.accounts.selectors import notices_of
from apps.sessions.models import Session
from apps.sessions.selectors import session_list, sessions_listed
from apps.strategies.selectors import strategies_listed, strategy_list
from apps.ui.prepared import prepared
from tests.sessions.live_fixtures import make_session

pytestmark = pytest.mark.django_db


@prepared
def _named(text: str):
    return User.objects.filter(Q(username__icontains=text) | Q(email=text)).order_by("username")


@prepared
def _since(person: int, moment, *, unread: bool):
    return notices_of(User(pk=person), unread).filter(created__gt=moment)


@pytest.mark.parametrize("text", ["ali", "ALI", "b%", "o_o", "\\", "", "alice@example.com", "'; --"])
def test_texts_are_looked_for_as_the_orm_does(alice, bob, text):
    User.objects.create(username="b%b", email="x@example.com")
    User.objects.create(username="o_o\\", email=text[:20] + "@example.com")
    wanted = [user.pk for user in _named.build(text)]
    assert [user.pk for user in _named(text)] == wanted
    assert _named.count(text) == len(wanted)


def test_moments_and_forms(alice, bob):
    now = timezone.now()
    for number, user in enumerate((alice, alice, bob)):
        notice = Notice.objects.create(user=user, level="info", code="x", read_at=now if number else None)
        Notice.objects.filter(pk=notice.pk).update(created=now - timedelta(hours=number))
    for user in (alice, bob):
        for unread in (True, False):
            for hours in (-1, 0.5, 3):
                moment = now - timedelta(hours=hours)
                wanted = list(_since.build(user.pk, moment, unread=unread))
                assert _since(user.pk, moment, unread=unread) == wanted
                assert _since.count(user.pk, moment, unread=unread) == len(wanted)


def test_it_is_written_once_and_asks_the_database_each_time(alice, monkeypatch):
    built = []

    @prepared
    def one(pk: int):
        built.append(pk)
        return User.objects.filter(pk=pk)

    assert one.first(alice.pk) == alice
    before = len(built)
    User.objects.filter(pk=alice.pk).update(first_name="Renamed")
    with CaptureQueriesContext(connection) as asked:
        assert one.first(alice.pk).first_name == "Renamed"
        assert one.first(alice.pk + 1000) is None
    assert len(built) == before
    assert len(asked) == 2


def test_writing_a_count_is_no_statement_of_the_page(alice, django_assert_num_queries):
    @prepared
    def everybody_but(pk: int):
        return User.objects.exclude(pk=pk)

    with django_assert_num_queries(1):
        assert everybody_but.count(alice.pk) == 0


def test_a_value_that_is_not_compared_is_refused():
    @prepared
    def cut(most: int):
        return User.objects.all()[:most]

    @prepared
    def lost(pk: int):
        return User.objects.all()

    @prepared
    def changed(pk: int):
        return User.objects.filter(pk=pk + 1)

    @prepared
    def nearly(name: str, pk: int):
        return User.objects.filter(username=name.upper(), pk=pk)

    for bad, values in ((cut, (1,)), (lost, (1,)), (changed, (1,)), (nearly, ("x", 1))):
        with pytest.raises(TypeError):
            bad(*values)


def test_values_no_statement_takes_are_left_to_the_orm(alice):
    @prepared
    def one(pk):
        return User.objects.filter(pk=pk)

    assert one(2**70) == []
    assert one(None) == []
    assert one(str(alice.pk)) == [alice]
    assert one(True) == list(User.objects.filter(pk=True))


def test_related_rows_and_what_was_prefetched_come_along(alice, django_assert_num_queries):
    session = make_session(alice)
    session.tags.create(name="kept")
    rows = sessions_listed(alice)[0:5]
    with django_assert_num_queries(0):
        assert [(row.owner.username, [tag.name for tag in row.tags.all()]) for row in rows] == [("alice", ["kept"])]


def test_who_may_see_what_is_asked_anew_for_everybody(alice, bob, root):
    mine, other = make_session(alice), make_session(bob)
    for _ in range(2):
        for user in (alice, bob, root, None):
            assert [row.pk for row in sessions_listed(user)[0:9]] == [row.pk for row in session_list(user)]
    assert [row.pk for row in sessions_listed(bob)[0:9]] == [other.pk]
    group = Group.objects.create(name="desk")
    bob.groups.add(group)
    shares.share_create(actor=alice, obj=mine, receiver="bob")
    assert sessions_listed(bob).count() == len(session_list(bob)) == 2
    shares.shares_of(mine).delete()
    shares.share_create(actor=root, obj=mine, receiver="group:desk")
    assert {row.pk for row in sessions_listed(bob)[0:9]} == {mine.pk, other.pk}
    bob.groups.clear()
    assert sessions_listed(bob).count() == 1


def test_pages_behind_the_first_and_rows_with_joined_figures(alice):
    for _ in range(5):
        make_session(alice)
    listed, asked = strategies_listed(alice), strategy_list(alice)
    assert len(listed) == listed.count() == asked.count()
    assert [row.pk for row in sessions_listed(alice)[2:4]] == [row.pk for row in session_list(alice)[2:4]]
    assert list(sessions_listed(alice)) == list(session_list(alice))
    assert sessions_listed(alice)[1] == session_list(alice)[1]
    assert [row.total_sessions for row in listed[0:9]] == [row.total_sessions for row in asked]


def test_a_query_without_rows_to_come_is_left_to_the_orm():
    @prepared
    def none(pk: int):
        return Session.objects.none().filter(pk=pk)

    assert none(1) == []
    assert none.count(1) == 0


def test_a_token_that_was_revoked_opens_nothing(client, alice):
    from apps.accounts.api_auth import token_digest

    token = ApiToken.objects.create(user=alice, name="x", prefix="x", token_hash=token_digest("secret-token"))
    headers = {"Authorization": "Bearer secret-token"}
    assert client.get("/api/notices", headers=headers).status_code == 200
    ApiToken.objects.filter(pk=token.pk).update(revoked_at=timezone.now())
    assert client.get("/api/notices", headers=headers).status_code == 401


def test_a_browser_that_was_logged_out_elsewhere_is_out(client, alice):
    client.force_login(alice)
    assert client.get("/accounts/notices/").status_code == 200
    alice.is_active = False
    alice.save()
    assert client.get("/accounts/notices/").status_code == 302
    alice.is_active = True
    alice.save()
    client.force_login(alice)
    client.session.delete()
    assert client.get("/accounts/notices/").status_code == 302
