"""What the dataset page draws and offers: corporate actions, findings beside each other, remedies on a telephone."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from apps.marketdata import views
from apps.marketdata.engine.assemble import Imported
from apps.marketdata.engine.corporate import CorporateAction, in_order
from apps.marketdata.services import dataset_import
from tests.marketdata.conftest import bars
from tests.marketdata.test_views import page

pytestmark = pytest.mark.django_db


def acted(var_dir, alice, count):
    """A dataset with a payout every tenth day of many and a split in the middle."""
    panel = bars([100 + n % 7 for n in range(300)], symbol="PAYS")
    days = panel.times[5 : 5 + 10 * count : 10].astype("datetime64[D]")
    payouts = [CorporateAction("PAYS", day, "dividend", cash=0.5, factor=0.995, source="test") for day in days]
    split = CorporateAction(
        "PAYS", panel.times[150].astype("datetime64[D]"), "split", ratio=2.0, factor=0.5, source="test"
    )
    imported = Imported(panel, events=in_order([*payouts, split]))
    return dataset_import(name="pays", imported=imported, source="test", owner=alice)


def test_a_chart_carries_every_corporate_action_and_words_where_there_is_room(client, var_dir, alice):
    dataset = acted(var_dir, alice, 20)
    client.force_login(alice)
    document = json.loads(page(client, "bars", dataset.pk, symbol="PAYS").content)
    split = document["bars"][150]["time"]
    assert len(document["actions"]) == 21
    assert {"time": split, "text": "Split 2:1"} in document["actions"]
    assert 0 < sum(1 for action in document["actions"] if action["text"]) < 8
    outside = json.loads(page(client, "bars", dataset.pk, symbol="PAYS", start=document["bars"][290]["time"]).content)
    assert outside["actions"] == []


def test_every_corporate_action_is_on_a_page_of_the_dataset(client, var_dir, alice):
    dataset = acted(var_dir, alice, 20)
    client.force_login(alice)
    first, second = (page(client, "detail", dataset.pk, symbol="PAYS", actions_page=n).content.decode() for n in (1, 2))
    assert "PAYS, 21 events" in first
    assert first.count("Payout 0.5<") + second.count("Payout 0.5<") == 20


def test_findings_beside_each_other_do_not_write_over_each_other(client, var_dir, alice):
    panel = bars([100.0] * 20 + [0.0] * 6 + [100.0] * 14, symbol="HERS")
    dataset = dataset_import(name="zero", imported=Imported(panel), source="test", owner=alice)
    client.force_login(alice)
    found = json.loads(page(client, "bars", dataset.pk, symbol="HERS").content)["events"]
    times = [bar["time"] for bar in json.loads(page(client, "bars", dataset.pk, symbol="HERS").content)["bars"]]
    worded = [times.index(event["time"]) for event in found if event["text"]]
    assert len(worded) < len(found)
    assert min(after - before for before, after in pairwise(worded)) >= len(times) // views.WORDS_IN_A_ROW


def test_each_remedy_of_a_finding_is_there_for_a_telephone_too(client, builtin, alice):
    client.force_login(alice)
    text = page(client, "detail", builtin[0].pk).content.decode()
    wide = text.count('name="fix" value=')
    narrow = sum(part.split("</div>")[0].count('name="fix" value=') for part in text.split('<div class="only-p">')[1:])
    assert 0 < narrow == wide - narrow
