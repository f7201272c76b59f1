"""Forms of configurations: what is read, what stands in an input, what a posted form means."""

from __future__ import annotations

import pytest
from django.utils import translation

from apps.strategies.forms import ConfigForm, config_rows, diff_lines, entered, posted_values, schema
from apps.strategies.wording import choice_label


@pytest.mark.parametrize(
    ("config", "shown", "hidden"),
    [
        ({"rule": "sma_cross"}, {"fast", "slow"}, {"rsi_window"}),
        ({"rule": "rsi_reversal"}, {"rsi_window", "rsi_low"}, {"fast"}),
        ({"rule": "buy_and_hold"}, {"rule"}, {"fast", "rsi_window"}),
        ({"sizing": "fixed_shares"}, {"shares"}, {"fraction"}),
    ],
)
def test_reading_a_configuration_leaves_out_what_does_not_matter_in_it(config, shown, hidden):
    names = {field.name for group in config_rows("rule", config) for field in group.fields}
    assert shown <= names
    assert not hidden & names


def test_a_field_is_read_in_words():
    fields = {
        field.name: field
        for group in config_rows("algorithmic_trading", {"double": False, "compat": ""})
        for field in group.fields
    }
    assert fields["double"].shown == "no"
    assert fields["duelling"].shown == "yes"
    assert fields["compat"].shown == "Correct"
    assert fields["train_start"].shown == "the first bar"
    assert (fields["participation_pct"].shown, fields["participation_pct"].value) == ("no limit", "0")
    assert fields["patience"].shown == "off"
    assert fields["learning_rate"].shown == "0.0005"
    assert choice_label("unheard_of") == "unheard_of"


def test_a_limit_that_is_set_is_read_as_its_number():
    fields = {f.name: f for group in config_rows("rule", {"participation_pct": 10.0}) for f in group.fields}
    assert (fields["participation_pct"].shown, fields["participation_pct"].word) == ("10", "")


def test_the_words_of_a_schema_are_in_the_readers_language():
    with translation.override("zh-hans"):
        words = schema("rule")["properties"]["participation_pct"]["words"]
    assert words == {"0": "不限"}


def test_posted_values_leave_defaults_and_split_lists():
    values = posted_values("portfolio", {"symbols": "AAPL，MSFT IBM", "epochs": "", "train_start": "", "seed": "7"})
    assert values["symbols"] == ["AAPL", "MSFT", "IBM"]
    assert values["train_start"] is None
    assert values["seed"] == "7"
    assert "epochs" not in values


@pytest.mark.parametrize(
    ("value", "text"), [(None, ""), (True, "1"), (False, ""), (0.1, "0.1"), (["A", "B"], "A, B"), (7, "7")]
)
def test_a_value_stands_in_an_input_as_people_type_it(value, text):
    assert entered(value) == text


def test_a_form_without_data_still_asks_for_it():
    fields = {field.name: field for group in ConfigForm("rule").groups() for field in group.fields}
    assert (fields["dataset"].kind, fields["symbol"].choices) == ("text", [])
    assert ConfigForm("rule").first_error == ""
    assert schema("portfolio")["properties"]["symbols"]["type"] == "array"


def test_many_choices_are_a_list_and_belong_to_several_methods():
    form = ConfigForm("allocation", {"method": "top_k"}, universes=["csi300"])
    fields = {field.name: field for group in form.groups() for field in group.fields}
    assert fields["method"].kind == "select"
    assert fields["method"].shown == "Top by signal"
    assert fields["universe"].choices == [("csi300", "csi300")]
    assert fields["top"].only_value == "top_k top_k_dropout"
    shown = {field.name for group in config_rows("allocation", {"method": "top_k"}) for field in group.fields}
    assert {"signal", "top", "rebalance"} <= shown
    assert not {"drop", "window"} & shown


def test_a_difference_is_told_in_the_words_of_the_form_with_units():
    old = {"fast": 5, "participation_pct": 0.0, "rule": "sma_cross", "gone": 1}
    new = {"fast": 7, "participation_pct": 10.0, "rule": "rsi_reversal"}
    assert [f"{line.sign} {line.text}" for line in diff_lines("rule", old, new)] == [
        "- Fast average: 5 bars", "+ Fast average: 7 bars", "- Volume limit: no limit",
        "+ Volume limit: 10 % of a bar's volume", "- Rule: Moving averages", "+ Rule: RSI reversal", "- gone: 1",
    ]  # fmt: skip
    with translation.override("zh-hans"):
        assert diff_lines("rule", old, {**old, "fast": 7})[1].text == "快均线: 7 根 K 线"
