"""The import wizard in a real browser: more columns than the window is wide, named, imported, found in the catalogue."""

from __future__ import annotations

import pytest
from playwright.sync_api import expect

from .conftest import overflow

HEAD = ["交易日期", "股票代码", "开盘价", "最高价", "最低价", "收盘价", "成交量", *(f"其他列{n}" for n in range(12))]
ROWS = [
    [f"2024-01-{day:02d}", "'600000", "10", "12", "9", "11", "700", *("x" * 12 for _ in range(12))]
    for day in range(2, 6)
]


@pytest.mark.parametrize("phone", [False, True])
def test_a_wide_file_is_previewed_within_the_window_and_imported(make_page, axe, phone):
    name = "wide-phone" if phone else "wide"
    text = "\n".join(",".join(cells) for cells in [HEAD, *ROWS]) + "\n"
    page = make_page(phone=phone)
    page.goto("/data/import/")
    page.set_input_files("[name=upload]", {"name": "wide.csv", "mimeType": "text/csv", "buffer": text.encode("gbk")})
    page.fill("[name=name]", name)
    page.click("[name=preview]")
    expect(page.locator("[name=col_1]")).to_have_value("symbol")
    expect(page.locator("[name=col_7]")).to_have_value("")
    assert overflow(page) == 0
    assert axe(page) == []
    expect(page.locator("[name=include]")).to_be_hidden()
    page.locator("main details summary").click()
    expect(page.locator("[name=include]")).to_be_visible()
    page.locator("form.sec button.btn.p").click()
    expect(page.locator("#import-status")).to_be_visible()
    assert overflow(page) == 0
