"""Names of values in sentences: words of the reader's language, not the codes that programs use."""

from __future__ import annotations

import pytest
from django.utils import translation

from apps.sessions.value_words import value_words

WORDS = [
    ("loss", None, "Loss", "损失"),
    ("valid_sharpe", 3, "Sharpe ratio on unseen data, seed 3", "未见数据上的夏普比率，种子 3"),
    ("equity", None, "Equity", "权益"),
    ("test.sharpe", None, "On unseen data: Sharpe ratio", "未见数据: 夏普比率"),
    (
        "baselines.buy_and_hold.total_return",
        None,
        "Baselines: Buy and hold: Total return",
        "基准策略: 买入持有: 总收益",
    ),
    ("best_checkpoint.sha256", None, "Best checkpoint: hash", "最佳检查点: 哈希"),
    ("metrics.trades", None, "Figures: Closed trades", "指标: 已平仓交易"),
    ("trades.2.own_field", None, "Trades: 3: own field", "交易: 3: own field"),
]


@pytest.mark.parametrize(("name", "seed", "english", "chinese"), WORDS)
def test_a_value_has_its_words_in_both_languages(name, seed, english, chinese):
    assert value_words(name, seed) == english
    with translation.override("zh-hans"):
        assert value_words(name, seed) == chinese
