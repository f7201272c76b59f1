"""The words of every figure: title, definition, unit. Pages, reports and documents share them."""

from __future__ import annotations

from dataclasses import dataclass

from apps.ui.engine.text import N_

PERCENT, RATIO, BARS, COUNT, MONEY, BP = "percent", "ratio", "bars", "count", "money", "bp"
YEARS, FINE, FINE_RATIO = "years", "fine", "fine_ratio"


@dataclass(frozen=True)
class Term:
    """One figure: ``title`` and ``definition`` are msgids, ``unit`` says how to print it.

    ``better`` is 1 where more is better, -1 where less is, 0 where neither.
    """

    title: str
    definition: str
    unit: str
    better: int = 1


GLOSSARY: dict[str, Term] = {
    "total_return": Term(N_("Total return"), N_("Product of (1 + r) over all bars, minus 1; after costs."), PERCENT),
    "cagr": Term(N_("Return a year"), N_("(1 + total return) to the power of bars a year by bars, minus 1."), PERCENT),
    "ann_vol": Term(
        N_("Volatility a year"),
        N_("Standard deviation (n − 1) of the returns, times the root of the bars a year."),
        PERCENT,
        -1,
    ),
    "sharpe": Term(
        N_("Sharpe ratio"),
        N_("Mean return by its standard deviation (n − 1), times the root of the bars a year; no risk-free rate."),
        RATIO,
    ),
    "sortino": Term(
        N_("Sortino ratio"),
        N_("Mean return by the root of the mean squared loss over all bars, times the root of the bars a year."),
        RATIO,
    ),
    "downside_deviation": Term(
        N_("Downside deviation a year"),
        N_("Root of the mean squared loss over all bars, times the root of the bars a year."),
        PERCENT,
        -1,
    ),
    "max_drawdown": Term(
        N_("Largest drawdown"),
        N_("Deepest fall of the equity from its highest point so far, the start included."),
        PERCENT,
    ),
    "max_drawdown_duration": Term(
        N_("Longest drawdown"), N_("Longest run of bars below an earlier high of the equity."), BARS, -1
    ),
    "calmar": Term(N_("Calmar ratio"), N_("Return a year by the size of the largest drawdown."), RATIO),
    "ulcer_index": Term(N_("Ulcer index"), N_("Root of the mean squared drawdown over all bars."), PERCENT, -1),
    "var_95": Term(
        N_("Value at risk, 95 %"), N_("5 % quantile of the returns of a bar; a negative figure is a loss."), PERCENT
    ),
    "cvar_95": Term(
        N_("Expected shortfall, 95 %"),
        N_("Mean of the returns at or below the value at risk; a negative figure is a loss."),
        PERCENT,
    ),
    "beta": Term(N_("Beta"), N_("Covariance with the benchmark's returns by their variance."), RATIO, 0),
    "alpha": Term(
        N_("Alpha a year"),
        N_("(Mean return − beta × the benchmark's mean return) times the bars a year."),
        PERCENT,
    ),
    "alpha_compound": Term(
        N_("Alpha a year, compounded"), N_("(1 + alpha of a bar) to the bars a year, minus 1."), PERCENT
    ),
    "information_ratio": Term(
        N_("Information ratio"), N_("Sharpe ratio of the return above the benchmark's, bar by bar."), RATIO
    ),
    "correlation": Term(N_("Correlation"), N_("Of the returns with the benchmark's, bar by bar."), RATIO, 0),
    "win_rate": Term(N_("Winning bars"), N_("Bars with a gain by bars that moved."), PERCENT),
    "profit_factor": Term(
        N_("Profit factor by bar"), N_("Sum of the gains by the sum of the losses of all bars."), RATIO
    ),
    "omega": Term(N_("Omega ratio"), N_("Sum of the returns above zero by the sum of those below."), RATIO),
    "skewness": Term(
        N_("Skewness"), N_("Of the returns, unbiased; negative means the losses are the extremes."), RATIO
    ),
    "kurtosis": Term(N_("Excess kurtosis"), N_("Of the returns, unbiased; zero is a normal distribution."), RATIO, 0),
    "tail_ratio": Term(N_("Tail ratio"), N_("95 % quantile of the returns by the size of the 5 % quantile."), RATIO),
    "stability": Term(N_("Stability"), N_("R² of a straight line through the logarithm of the equity."), RATIO),
    "best_bar": Term(N_("Best bar"), N_("Highest return of one bar."), PERCENT),
    "worst_bar": Term(N_("Worst bar"), N_("Lowest return of one bar."), PERCENT),
    "trades": Term(
        N_("Closed trades"), N_("Fills that closed a position or a part of it, matched first in, first out."), COUNT, 0
    ),
    "trade_win_rate": Term(
        N_("Winning trades"), N_("Closed trades with a gain after costs by all closed trades."), PERCENT
    ),
    "trade_profit_factor": Term(
        N_("Profit factor by trade"), N_("Gains of the closed trades by their losses, after costs."), RATIO
    ),
    "average_trade": Term(N_("Average trade"), N_("Mean return of the closed trades, after costs."), PERCENT),
    "average_bars": Term(
        N_("Average holding time"), N_("Mean bars from the first entry to the exit of a closed trade."), BARS, 0
    ),
    "exposure": Term(N_("Time in the market"), N_("Bars with a position by all bars."), PERCENT, 0),
    "turnover": Term(N_("Turnover a year"), N_("Value of all fills by the mean equity, by years."), RATIO, 0),
    "fees": Term(N_("Costs paid"), N_("Commissions and taxes of all fills."), MONEY, -1),
    "borrow": Term(
        N_("Borrow fees paid"),
        N_("For what was sold short, by calendar day, of its value at the last close."),
        MONEY,
        -1,
    ),
    "funding": Term(
        N_("Funding paid"), N_("At the funding times of perpetual positions; below zero it was received."), MONEY, -1
    ),
    "break_even": Term(
        N_("Break-even cost"),
        N_("Cost of each side at which the total return is zero, found by running again."),
        BP,
    ),
}

#: The further figures of ``tearsheet``: (name, title, definition, unit, better).
GLOSSARY |= {
    "psr": Term(
        N_("Probabilistic Sharpe"),
        N_("Probability that the true Sharpe ratio is above zero, given length, skewness and kurtosis."),
        PERCENT,
    ),
    "deflated_sharpe": Term(
        N_("Deflated Sharpe"),
        N_("Probability that the true Sharpe ratio is above what luck gives the best of all trials of this idea."),
        PERCENT,
    ),
    "min_track_record": Term(
        N_("Minimum track record"),
        N_("Years needed to say with 95 % confidence that the Sharpe ratio is above zero."),
        YEARS,
        -1,
    ),
    "smart_sharpe": Term(
        N_("Smart Sharpe"),
        N_("Sharpe ratio divided by what the autocorrelation of the returns adds to the risk."),
        RATIO,
    ),
    "adjusted_sortino": Term(
        N_("Sortino by √2"), N_("Sortino ratio divided by the root of 2, comparable with a Sharpe ratio."), RATIO
    ),
    "ulcer_performance": Term(N_("Ulcer performance"), N_("Return a year by the ulcer index."), RATIO),
    "serenity": Term(
        N_("Serenity ratio"),
        N_("Total return by the ulcer index times expected shortfall by volatility a year."),
        RATIO,
    ),
    "recovery_factor": Term(N_("Recovery factor"), N_("Total return by the size of the largest drawdown."), RATIO),
    "gain_to_pain": Term(N_("Gain to pain"), N_("Sum of all returns by the sum of the losses."), RATIO),
    "payoff": Term(N_("Payoff by bar"), N_("Mean gain by mean loss of a bar."), RATIO),
    "kelly": Term(
        N_("Kelly share"), N_("Winning bars minus losing bars by the payoff: the stake that grows fastest."), PERCENT, 0
    ),
    "common_sense": Term(N_("Common sense ratio"), N_("Profit factor by bar times the tail ratio."), RATIO),
    "cpc": Term(N_("CPC index"), N_("Profit factor times winning share times payoff, by bar."), RATIO),
    "outlier_win": Term(N_("Outlier gain"), N_("99 % quantile of the returns by the mean gain."), RATIO, 0),
    "outlier_loss": Term(N_("Outlier loss"), N_("1 % quantile of the returns by the mean loss."), RATIO, 0),
    "longest_wins": Term(N_("Longest winning run"), N_("Most bars in a row with a gain."), BARS),
    "longest_losses": Term(N_("Longest losing run"), N_("Most bars in a row with a loss."), BARS, -1),
    "expected_bar": Term(N_("Expected return of a bar"), N_("Geometric mean of the returns."), FINE),
    "expected_month": Term(
        N_("Expected return of a month"), N_("Geometric mean over a twelfth of a year's bars."), PERCENT
    ),
    "best_month": Term(N_("Best month"), N_("Highest return of a calendar month."), PERCENT),
    "worst_month": Term(N_("Worst month"), N_("Lowest return of a calendar month."), PERCENT),
    "best_year": Term(N_("Best year"), N_("Highest return of a calendar year."), PERCENT),
    "worst_year": Term(N_("Worst year"), N_("Lowest return of a calendar year."), PERCENT),
    "average_up_month": Term(N_("Average winning month"), N_("Mean return of the months with a gain."), PERCENT),
    "average_down_month": Term(N_("Average losing month"), N_("Mean return of the months with a loss."), PERCENT),
    "win_months": Term(N_("Winning months"), N_("Calendar months with a gain by all months."), PERCENT),
    "win_quarters": Term(N_("Winning quarters"), N_("Calendar quarters with a gain by all quarters."), PERCENT),
    "win_years": Term(N_("Winning years"), N_("Calendar years with a gain by all years."), PERCENT),
    "return_mtd": Term(N_("Month to date"), N_("Return since the last bar's month began."), PERCENT),
    "return_ytd": Term(N_("Year to date"), N_("Return since the last bar's year began."), PERCENT),
    "return_3m": Term(N_("Last 3 months"), N_("Return of the 3 months up to the last bar."), PERCENT),
    "return_6m": Term(N_("Last 6 months"), N_("Return of the 6 months up to the last bar."), PERCENT),
    "return_1y": Term(N_("Last year"), N_("Return of the 12 months up to the last bar."), PERCENT),
    "return_3y": Term(N_("Last 3 years, a year"), N_("Return a year over the 3 years up to the last bar."), PERCENT),
    "return_5y": Term(N_("Last 5 years, a year"), N_("Return a year over the 5 years up to the last bar."), PERCENT),
    "return_10y": Term(N_("Last 10 years, a year"), N_("Return a year over the 10 years up to the last bar."), PERCENT),
    "treynor": Term(N_("Treynor ratio"), N_("Return a year by beta."), RATIO),
    "r_squared": Term(
        N_("R² with the benchmark"), N_("Square of the correlation with the benchmark's returns."), RATIO, 0
    ),
    "tracking_error": Term(
        N_("Tracking error"), N_("Volatility a year of the return above the benchmark's."), PERCENT, 0
    ),
    "up_capture": Term(
        N_("Capture of gains"), N_("Mean return by the benchmark's, over bars on which it gained."), PERCENT
    ),
    "down_capture": Term(
        N_("Capture of losses"), N_("Mean return by the benchmark's, over bars on which it lost."), PERCENT, -1
    ),
    "expectancy": Term(N_("Expectancy"), N_("Mean profit of a closed trade, after costs."), MONEY),
    "trade_payoff": Term(N_("Payoff by trade"), N_("Mean gain by mean loss of a closed trade, after costs."), RATIO),
    "sqn": Term(
        N_("System quality number"),
        N_("Root of the number of trades, times mean profit by its standard deviation."),
        RATIO,
    ),
    "best_trade": Term(N_("Best trade"), N_("Highest return of a closed trade."), PERCENT),
    "worst_trade": Term(N_("Worst trade"), N_("Lowest return of a closed trade."), PERCENT),
    "winning_streak": Term(N_("Winning trades in a row"), N_("Most closed trades in a row with a gain."), COUNT),
    "losing_streak": Term(N_("Losing trades in a row"), N_("Most closed trades in a row with a loss."), COUNT, -1),
    "long_share": Term(N_("Long trades"), N_("Closed long trades by all closed trades."), PERCENT, 0),
    "longest_hold": Term(N_("Longest holding time"), N_("Most bars from entry to exit of a closed trade."), BARS, 0),
    "trades_per_bar": Term(N_("Trades a bar"), N_("Closed trades by all bars."), RATIO, 0),
    "max_leverage": Term(N_("Highest leverage"), N_("Largest value of all positions by the equity."), RATIO, 0),
    "cost_drag": Term(
        N_("Costs a year"),
        N_("Commission, taxes, charges and what holding cost, by the mean equity, a year."),
        PERCENT,
        -1,
    ),
    "idle_cash": Term(
        N_("Cash left over"),
        N_("Mean share of the equity in cash while anything is held: kept back, or too little for a lot."),
        PERCENT,
        0,
    ),
    "average_holdings": Term(N_("Instruments held"), N_("Mean number of instruments held at a close."), RATIO, 0),
    "risk_of_ruin": Term(
        N_("Risk of ruin"),
        N_("((1 − p) by (1 + p)) to the power of the bars, p being the share of bars with a gain."),
        PERCENT,
        -1,
    ),
    "best_quarter": Term(N_("Best quarter"), N_("Highest return of a calendar quarter."), PERCENT),
    "worst_quarter": Term(N_("Worst quarter"), N_("Lowest return of a calendar quarter."), PERCENT),
    "largest_fill_share": Term(
        N_("Largest share of a bar's volume"), N_("Of all fills: quantity by the volume of its bar."), PERCENT, -1
    ),
    "risk_adjusted": Term(
        N_("Return a year of the time invested"), N_("Return a year by the time in the market."), PERCENT
    ),
    "expected_year": Term(N_("Expected return of a year"), N_("Geometric mean over a year's bars."), PERCENT),
    "days_won": Term(N_("Winning days"), N_("Calendar days with a gain."), COUNT),
    "days_drawn": Term(N_("Days without change"), N_("Calendar days with a return of zero."), COUNT, 0),
    "days_lost": Term(N_("Losing days"), N_("Calendar days with a loss."), COUNT, -1),
    "best_day": Term(N_("Best day"), N_("Highest return of a calendar day."), PERCENT),
    "worst_day": Term(N_("Worst day"), N_("Lowest return of a calendar day."), PERCENT),
    "drawdown_recovery": Term(
        N_("Longest recovery"),
        N_("Most bars from the lowest point of a drawdown until it was made good; those still open do not count."),
        BARS,
        -1,
    ),
    "average_bars_won": Term(
        N_("Holding time of winners"), N_("Mean bars from entry to exit of the closed trades with a gain."), BARS, 0
    ),
    "average_bars_lost": Term(
        N_("Holding time of losers"), N_("Mean bars from entry to exit of the closed trades with a loss."), BARS, 0
    ),
    "runtime_days": Term(N_("Runtime"), N_("Calendar days from the first to the last bar, both included."), COUNT, 0),
    "fills_per_day": Term(N_("Fills a day"), N_("Fills by the days that have bars."), RATIO, 0),
    "market_change": Term(
        N_("Market change"),
        N_("Mean change of what is traded from its first to its last close in the period, without costs."),
        PERCENT,
        0,
    ),
    "capacity": Term(
        N_("Capacity"), N_("Capital with which the largest fill would be a tenth of its bar's volume."), MONEY
    ),
    "tax_drag": Term(
        N_("Tax on sales a year"), N_("Stamp duty and other tax on sales, by the mean equity, a year."), PERCENT, -1
    ),
    "lot_residual": Term(
        N_("Cash left by whole lots"),
        N_("Mean part of the equity, over the decisions, by which whole lots fall short of what was wanted."),
        PERCENT,
        -1,
    ),
    "members_exchanged": Term(
        N_("Members exchanged"),
        N_("Part of the universe's members of the first day that no longer belong on the last."),
        PERCENT,
        0,
    ),
    "members_left": Term(
        N_("Members that left, a year"), N_("Departures from the universe by its mean size, by years."), PERCENT, 0
    ),
    "outside_weight": Term(
        N_("Held outside the universe"),
        N_("Mean part of the equity, over all closes, in instruments that did not belong that day."),
        PERCENT,
        -1,
    ),
    "outside_bars": Term(
        N_("Held on after leaving"),
        N_("Mean bars an instrument was still held at the close after it had left the universe."),
        BARS,
        -1,
    ),
    "frozen_gap": Term(
        N_("Gain from freezing the universe"),
        N_(
            "Total return of equal parts of the first day's members, minus that of the members of the day; restored "
            "alike, after costs."
        ),
        PERCENT,
        0,
    ),
    "ic": Term(
        N_("Information coefficient"),
        N_(
            "Mean over the bars of the correlation of the signal with the return from the next open to the one after, "
            "over all instruments."
        ),
        FINE_RATIO,
    ),
    "ic_ir": Term(
        N_("ICIR"), N_("Mean of the information coefficient by its standard deviation (n − 1), by bar."), RATIO
    ),
    "rank_ic": Term(N_("Rank IC"), N_("The information coefficient of the ranks of both (Spearman)."), FINE_RATIO),
    "rank_ic_ir": Term(N_("Rank ICIR"), N_("Mean of the rank IC by its standard deviation (n − 1), by bar."), RATIO),
    "ic_hits": Term(N_("Bars with a rank IC above zero"), N_("By all bars that have one."), PERCENT),
    "signal_memory": Term(
        N_("Autocorrelation of the signal"),
        N_("Mean correlation of the signal's ranks with those of the bar before."),
        RATIO,
        0,
    ),
}
