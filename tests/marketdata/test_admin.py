"""The admin of datasets: everything to read, nothing to change, a check as an action."""

from __future__ import annotations

import pytest
from django.urls import reverse

from apps.marketdata.models import Dataset
from apps.marketdata.selectors import dataset_folder

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize("model", ["dataset", "datasetsymbol", "qualitycheck", "qualityfinding"])
def test_lists_and_rows_are_shown_to_administrators_only(client, builtin, root, alice, model):
    address = reverse(f"admin:marketdata_{model}_changelist")
    client.force_login(alice)
    assert client.get(address).status_code == 302
    client.force_login(root)
    assert client.get(address, {"q": "us-daily"}).status_code == 200
    assert client.get(reverse(f"admin:marketdata_{model}_add")).status_code == 403


def test_a_dataset_cannot_be_changed_or_deleted(client, builtin, root):
    client.force_login(root)
    address = reverse("admin:marketdata_dataset_change", args=[builtin[0].pk])
    assert client.get(address).status_code == 200
    assert client.post(address, {"name": "other"}).status_code == 403
    assert (
        client.post(reverse("admin:marketdata_dataset_delete", args=[builtin[0].pk]), {"post": "yes"}).status_code
        == 403
    )
    assert Dataset.objects.get(pk=builtin[0].pk).name == "us-daily-raw"


def act(client, action, *datasets):
    data = {"action": action, "_selected_action": [dataset.pk for dataset in datasets]}
    return client.post(reverse("admin:marketdata_dataset_changelist"), data, follow=True).content.decode()


def test_check_again_runs_for_each_and_names_what_failed(client, builtin, root):
    client.force_login(root)
    # Django's admin writes the first letter of a message large.
    assert "s-daily-raw@1: 4 block runs, 1 to look at." in act(client, "check_again", *builtin)
    assert builtin[0].checks.count() == 2
    (dataset_folder(builtin[1]) / "close.npy").unlink()
    assert "are gone from the disk" in act(client, "check_again", builtin[1])


def test_an_archived_dataset_leaves_the_lists(client, builtin, root):
    client.force_login(root)
    act(client, "archive", builtin[0])
    builtin[0].refresh_from_db()
    assert builtin[0].archived_at is not None
    assert "us-daily-raw" not in client.get(reverse("marketdata:list")).content.decode()
