"""Statements whose plans PostgreSQL keeps: sent apart from their values where that is known to work, else as ever."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from django.db import NotSupportedError, ProgrammingError, connection

from apps.accounts.models import User
from apps.ui.prepared import prepared
from apps.ui.prepared_server import Bound, Keeping

on_postgresql = pytest.mark.skipif(connection.vendor != "postgresql", reason="only PostgreSQL keeps plans")


def fake(**more):
    driver = SimpleNamespace(prepare_threshold=2, cursor_factory=None)
    return SimpleNamespace(
        **{
            "vendor": "postgresql",
            "in_atomic_block": False,
            "connection": driver,
            "ensure_connection": lambda: None,
            **more,
        }
    )


def ways(keeping, here, times=1, refused=()):
    """Return how a question was asked, each time: apart from its values, or as ever."""
    asked = []

    def question(connection):
        asked.append("apart" if isinstance(connection, Bound) else "whole")
        if asked[-1] in refused:
            raise ProgrammingError("could not determine data type of parameter $1")
        return asked[-1]

    answers = [keeping.ask(here, question) for _ in range(times)]
    return asked, answers


def test_values_are_sent_apart_once_that_is_proved():
    keeping = Keeping()
    assert ways(keeping, fake(), 2)[1] == ["apart", "apart"]
    assert ways(keeping, fake(in_atomic_block=True))[1] == ["apart"]


def test_a_statement_whose_values_have_no_kind_is_asked_as_ever():
    keeping = Keeping()
    asked, answers = ways(keeping, fake(), 2, refused=("apart",))
    assert (asked, answers) == (["apart", "whole", "whole"], ["whole", "whole"])


def test_nothing_is_proved_within_a_transaction():
    keeping = Keeping()
    assert ways(keeping, fake(in_atomic_block=True))[1] == ["whole"]
    assert keeping.proved is None


def test_a_wrong_statement_is_wrong_in_both_ways():
    with pytest.raises(ProgrammingError):
        ways(Keeping(), fake(), refused=("apart", "whole"))


def test_a_plan_of_a_table_that_has_changed_goes_with_its_connection():
    closed, keeping = [], Keeping()
    ways(keeping, fake())

    def question(connection):
        if isinstance(connection, Bound):
            raise NotSupportedError("cached plan must not change result type")
        return "whole"

    assert keeping.ask(fake(close=lambda: closed.append(1)), question) == "whole"
    assert closed
    with pytest.raises(NotSupportedError):
        keeping.ask(fake(in_atomic_block=True), question)


@pytest.mark.parametrize(
    "here", [fake(vendor="sqlite"), fake(connection=SimpleNamespace(prepare_threshold=None))], ids=["sqlite", "unasked"]
)
def test_where_no_plans_are_kept_nothing_is_sent_apart(here):
    assert ways(Keeping(), here)[1] == ["whole"]


@prepared
def _called(name: str):
    return User.objects.filter(username__icontains=name).order_by("pk")


@on_postgresql
@pytest.mark.django_db(transaction=True)
def test_postgresql_keeps_the_plan_and_answers_the_same(alice, bob):
    connection.ensure_connection()
    connection.connection.prepare_threshold, before = 0, connection.connection.prepare_threshold
    try:
        assert [_called("ali"), _called("bob"), _called("'; --")] == [[alice], [bob], []]
        assert _called.count("li") == 1
        with connection.connection.cursor() as cursor:
            kept = cursor.execute("SELECT statement FROM pg_prepared_statements").fetchall()
        assert any("accounts_user" in statement for (statement,) in kept)
    finally:
        connection.connection.prepare_threshold = before
