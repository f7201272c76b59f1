"""Reading expressions: Qlib's precedence, refusals with their place, and no way to run code."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from apps.marketdata.engine.features.alpha import LABEL, alpha158, alpha360
from apps.marketdata.engine.features.expression import parse
from apps.ui.engine.refusal import Refusal


def refusal(text, **options) -> Refusal:
    with pytest.raises(Refusal) as refused:
        parse(text, **options)
    return refused.value


def test_the_sets_have_their_names_and_read():
    assert (len(alpha158()), len(alpha360())) == (158, 360)
    for text in (*alpha158().values(), *alpha360().values()):
        parse(text)


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("Ref($close, 5)/$close - 1", "Sub(Div(Ref($close,5),$close),1.0)"),
        ("-$close", "Mul(-1.0,$close)"),
        ("$a+$b*2**3", "Add($a,Mul($b,8.0))"),
        ("( $a > 1 ) & ( $b < 2 )", "And(Gt($a,1.0),Lt($b,2.0))"),
        (" EMA($close,0.5) ", "EMA($close,0.5)"),
    ],
)
def test_precedence_is_that_of_qlib(text, key):
    assert parse(text).key == key


@pytest.mark.parametrize(
    ("text", "place"), [("$close +", 9), ("  $close $open", 10), ("$close + x", 10), ("", 1), ("Mean($close, 5", 5)]
)
def test_a_refusal_names_the_place(text, place):
    found = refusal(text)
    assert found.code == "bad_expression"
    assert found.params["place"] == place


@pytest.mark.parametrize(
    "text",
    ["__import__('os').system('x')", "$close.real", "[$close]", "lambda: 1", "$a if 1 else $b", "'x'", "$close[0]",
     "f(x=1)", "Mean($close, window=5)", "$a < $b < $c", "True", "1j", "(" * 3000, "-" * 3999 + "1", "ǂclose"],
)  # fmt: skip
def test_nothing_but_the_vocabulary_is_let_through(text):
    assert refusal(text).code in ("bad_expression", "unknown_operator", "bad_arguments")


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("Mean($close)", "bad_arguments"), ("Mean(5, 5)", "bad_arguments"), ("Mean($close, $open)", "bad_arguments"),
        ("Mean($close, -1)", "bad_window"), ("Mean($close, 2.5)", "bad_window"), ("Mean($close, 1e9)", "bad_window"),
        ("Quantile($close, 5, 1.5)", "bad_window"), ("TResample($close, 5, 'mean')", "unknown_operator"),
        ("1/0", "bad_arguments"), ("Ref($close, -1)", "looks_ahead"), ("Delta($close, -2)", "looks_ahead"),
        ("Mean(Ref($close, -3), 2)", "looks_ahead"), ("Ref(Ref($close, -3), 2)", "looks_ahead"),
    ],
)  # fmt: skip
def test_what_cannot_be_computed_is_refused_with_its_reason(text, code):
    assert refusal(text).code == code


def test_labels_look_ahead_and_say_how_far():
    assert parse(LABEL, future=True).ahead == 2
    assert parse("Ref(Ref($close, -3), 3)").ahead == 0


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(Refusal):
        assert parse(text).key
