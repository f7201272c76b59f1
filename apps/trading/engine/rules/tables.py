"""Market rules as dated rows: what held, where, from when, and who says so.

A rule is never a constant. ``checked`` is "official" where the exchange's or authority's own text is cited,
"secondary" where the value comes from quotations of it. Dates are inclusive; ``until`` None still holds.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date
from typing import Any

SZSE_1996 = "https://www.szse.cn P020180328485825173419.pdf"
SSE_2026_ST = "https://www.sse.com.cn c_20260424_10816474.shtml"
CHINEXT_2020 = "https://www.szse.cn t20200821_580925"
STAR_2019 = "https://www.sse.com.cn c_20190301_10785118"
BSE_2021 = "https://www.bse.cn/qt/200025234.html"
SSE_IPO = "https://www.sse.com.cn c_20250612_10824490"
SSE_2026 = "https://www.sse.com.cn c_20260424_10816492 (articles 3.3.13, 3.3.17)"
T1_SZSE = "https://www.szse.cn/aboutus/sse/events/t20070328_497829.html"
T0_SSE = "https://www.sse.com.cn c_20230418_5720107"
STAMP = "https://www.gov.cn/zhengce/zhengceku/202308/content_6900443.htm"
# The notices of before 2008-09-19 were not read: each change is as the report of its day, or a list of them, tells it.
MOF, CHINA_ORG = "http://www.mof.gov.cn/zhengwuxinxi", "http://english.china.org.cn/english"
STAMP_1990S = (
    "List of the changes since 1991 given on 2012-08-02, http://www.ganzaonet.com/caijing/1426.html (tells the month "
    "of 1991, and 1997-05-12, the first session, for 1997-05-10)"
)
STAMP_2001 = (
    "People's Daily of 2001-11-16, http://en.people.cn/200111/16/eng20011116_84667.shtml (A shares from 0.4 to 0.2 %, "
    "B shares from 0.3)"
)
STAMP_2005 = (
    f"财税〔2005〕11号, {MOF}/zhengcefabu/2005zcfb/200805/t20080524_34819.htm, as told by Xinhua, "
    f"{CHINA_ORG}/2005/Jan/118653.htm"
)
STAMP_2007 = (
    "财税〔2007〕84号, https://www.chinatax.gov.cn/chinatax/n810341/n810765/n812176/200705/c1194505/content.html, "
    "as told by http://china.org.cn/government/central_government/2007-05/30/content_1212287.htm"
)
STAMP_2008 = (
    f"Ministry of Finance, 2008-04-23, {MOF}/caizhengxinwen/200805/t20080519_29133.htm, and 2008-09-19, "
    f"{MOF}/caizhengxinwen/200809/t20080919_76432.htm (sellers only), as told by "
    "https://chinaeconomicreview.com/beijing-slashes-trading-tax-to-boost-stock-confidence/"
)
TRANSFER = "https://www.chinaclear.cn 202204/837e3c"
COMMISSION = "https://www.chinatax.gov.cn 200202/c1209808"
STAMP_LAW = (
    "Stamp Tax Law of 2021-06-10, article 3: shares and depositary receipts, no funds; the text was not read again"
)
STAR_GUIDE = "https://star.sse.com.cn/en/gettingstarted/features/trading"
LOTS = "Quotations of the SSE and SZSE trading rules; the article of 2026 was not read"
CAGES = "Quotations of the valid price range in the trading rules of SZSE and BSE; the articles were not read"
DELISTING = "Delisting rules of SSE and SZSE of 2020-12-31, as recorded by marina-rules 2026.10.26.5"
DELISTING_2013 = (
    "SSE measures on the risk-warning board in force since 2013-01-01 (article 9: first days after resumption and "
    "relisting without limit), SZSE trading rules of 2012, article 3.3.17, as recorded by marina-rules 2026.10.26.5"
)
FIRST_DAYS = "First days of listings without limit before 2014, as recorded by marina-rules 2026.10.26.5"
SECTION_31 = "SEC fee rate advisories for Section 31 and FINRA's notices of them; the advisories were not read again"
TAF = "FINRA Section 1 of Schedule A, trading activity fee; the notice was not read again"
REG_NMS = "Regulation NMS, Rule 612"
SETTLEMENT = "SEC Rule 15c6-1"
VENUE = "The venue's own market list (tick, step, minimum notional); funding by the venue's contract terms"


@dataclass(frozen=True)
class Row:
    """One rule of one board: ``what`` it rules, its ``value``, the days it holds, its source."""

    market: str
    board: str
    what: str
    value: Any
    since: date
    until: date | None
    source: str
    checked: str = "official"

    def holds(self, day: date) -> bool:
        return self.since <= day and (self.until is None or day <= self.until)


def _row(
    market: str, board: str, what: str, value: Any, since: str, source: str, until: str = "", checked: str = "official"
) -> Row:
    end = date.fromisoformat(until) if until else None
    return Row(market, board, what, value, date.fromisoformat(since), end, source, checked)


def _cn(board: str, what: str, value: Any, since: str, source: str, until: str = "", checked: str = "official") -> Row:
    return _row("CN", board, what, value, since, source, until, checked)


#: Bands are (up, down) fractions of the previous close. ``ipo``, ``relisting`` and ``delisting_first`` are (sessions,
#: band or None for no band).
CHINA: tuple[Row, ...] = (
    _cn("main", "band", (0.10, 0.10), "1996-12-16", SZSE_1996),
    _cn("main", "band_st", (0.05, 0.05), "1998-04-22", SSE_2026_ST, "2026-07-05"),
    _cn("main", "band_st", (0.10, 0.10), "2026-07-06", SSE_2026_ST),
    _cn("main", "ipo", (1, None), "1996-12-16", FIRST_DAYS, "2013-12-31", "secondary"),
    _cn("main", "ipo", (1, (0.44, 0.36)), "2014-01-01", SSE_IPO, "2023-04-09"),
    _cn("main", "ipo", (5, None), "2023-04-10", SSE_IPO),
    _cn("main", "relisting", (1, None), "2013-01-01", DELISTING_2013, "", "secondary"),
    _cn("main", "band_delisting", (0.10, 0.10), "2013-01-01", DELISTING_2013, "2020-12-30", "secondary"),
    _cn("main", "band_delisting", (0.10, 0.10), "2020-12-31", DELISTING, "", "secondary"),
    _cn("chinext", "band", (0.10, 0.10), "2009-10-30", SZSE_1996, "2020-08-23"),
    _cn("chinext", "band", (0.20, 0.20), "2020-08-24", CHINEXT_2020),
    _cn("chinext", "ipo", (1, None), "2009-10-30", FIRST_DAYS, "2013-12-31", "secondary"),
    _cn("chinext", "ipo", (1, (0.44, 0.36)), "2014-01-01", SSE_IPO, "2020-08-23"),
    _cn("chinext", "ipo", (5, None), "2020-08-24", CHINEXT_2020),
    _cn("chinext", "relisting", (1, None), "2013-01-01", DELISTING_2013, "", "secondary"),
    _cn("chinext", "band_delisting", (0.10, 0.10), "2013-01-01", DELISTING_2013, "2020-08-23", "secondary"),
    _cn("chinext", "band_delisting", (0.20, 0.20), "2020-12-31", DELISTING, "", "secondary"),
    _cn("star", "band", (0.20, 0.20), "2019-07-22", STAR_2019),
    _cn("star", "ipo", (5, None), "2019-07-22", STAR_2019),
    _cn("star", "band_delisting", (0.20, 0.20), "2020-12-31", DELISTING, "", "secondary"),
    _cn("bse", "band", (0.30, 0.30), "2021-11-15", BSE_2021),
    _cn("bse", "ipo", (1, None), "2021-11-15", BSE_2021),
    _cn("bse", "band_delisting", (0.30, 0.30), "2021-11-15", DELISTING, "", "secondary"),
    *(
        _cn(board, "delisting_first", (1, None), since, DELISTING, "", "secondary")
        for board, since in (
            ("main", "2020-12-31"),
            ("chinext", "2020-12-31"),
            ("star", "2020-12-31"),
            ("bse", "2021-11-15"),
        )
    ),
    _cn("etf", "band", (0.10, 0.10), "1996-12-16", SZSE_1996),
    _cn("etf_20", "band", (0.20, 0.20), "2020-08-24", CHINEXT_2020),
    _cn("etf_t0", "band", (0.10, 0.10), "1996-12-16", SZSE_1996),
    *(_cn(board, "tick", 0.01, "1990-12-19", SSE_2026) for board in ("main", "chinext", "star", "bse")),
    *(_cn(board, "tick", 0.001, "2006-01-01", SSE_2026) for board in ("etf", "etf_20", "etf_t0")),
    *(_cn(board, "settle", 1, "1995-01-01", T1_SZSE) for board in ("main", "chinext", "star", "bse", "etf", "etf_20")),
    _cn("etf_t0", "settle", 1, "1995-01-01", T1_SZSE, "2015-01-18"),
    _cn("etf_t0", "settle", 0, "2015-01-19", T0_SSE),
    # lots are (least to buy, step above it); maxima are (limit order, market order).
    *(
        _cn(board, "lot", (100, 100), "1990-12-19", LOTS, "", "secondary")
        for board in ("main", "chinext", "etf", "etf_20", "etf_t0")
    ),
    _cn("star", "lot", (200, 1), "2019-07-22", STAR_GUIDE),
    _cn("bse", "lot", (100, 1), "2021-11-15", LOTS, "", "secondary"),
    _cn("main", "maximum", (1_000_000, 1_000_000), "1990-12-19", LOTS, "", "secondary"),
    _cn("chinext", "maximum", (300_000, 150_000), "2020-08-24", LOTS, "", "secondary"),
    _cn("star", "maximum", (100_000, 50_000), "2019-07-22", STAR_GUIDE),
    _cn("bse", "maximum", (1_000_000, 1_000_000), "2021-11-15", LOTS, "", "secondary"),
    *(
        _cn(board, "maximum", (1_000_000, 1_000_000), "1990-12-19", LOTS, "", "secondary")
        for board in ("etf", "etf_20", "etf_t0")
    ),
    # (share of the quote, ticks): a buy at most the higher of the two above the best ask, a sell mirrored.
    _cn("main", "cage", (0.02, 10), "2023-04-10", SSE_2026, "", "secondary"),
    _cn("chinext", "cage", (0.02, 0), "2020-08-24", CAGES, "2023-04-09", "secondary"),
    _cn("chinext", "cage", (0.02, 10), "2023-04-10", CAGES, "", "secondary"),
    _cn("star", "cage", (0.02, 0), "2019-07-22", STAR_GUIDE, "", "secondary"),
    _cn("bse", "cage", (0.05, 10), "2021-11-15", CAGES, "", "secondary"),
    *(
        _cn(board, what, 0.0, "1998-04-07", source, "", "secondary")
        for board in ("etf", "etf_20", "etf_t0")
        for what, source in (("stamp_duty", STAMP_LAW), ("transfer_fee", TRANSFER))
    ),
    # Until 2008-09-18 buyer and seller paid it.
    *(
        _cn(board, "stamp_duty_both", 0.0, "1998-04-07", STAMP_LAW, "", "secondary")
        for board in ("etf", "etf_20", "etf_t0")
    ),
    _cn("*", "stamp_duty_both", 0.003, "1991-10-10", STAMP_1990S, "1997-05-09", "secondary"),
    _cn("*", "stamp_duty_both", 0.005, "1997-05-10", STAMP_1990S, "1998-06-11", "secondary"),
    _cn("*", "stamp_duty_both", 0.004, "1998-06-12", STAMP_1990S, "2001-11-15", "secondary"),
    _cn("*", "stamp_duty_both", 0.002, "2001-11-16", STAMP_2001, "2005-01-23", "secondary"),
    _cn("*", "stamp_duty_both", 0.001, "2005-01-24", STAMP_2005, "2007-05-29", "secondary"),
    _cn("*", "stamp_duty_both", 0.003, "2007-05-30", STAMP_2007, "2008-04-23", "secondary"),
    _cn("*", "stamp_duty_both", 0.001, "2008-04-24", STAMP_2008, "2008-09-18", "secondary"),
    _cn("*", "stamp_duty", 0.001, "2008-09-19", STAMP, "2023-08-27"),
    _cn("*", "stamp_duty", 0.0005, "2023-08-28", STAMP),
    _cn("*", "transfer_fee", 0.00002, "2015-08-01", TRANSFER, "2022-04-28"),
    _cn("*", "transfer_fee", 0.00001, "2022-04-29", TRANSFER),
    _cn("*", "commission", (0.003, 5.0), "2002-05-01", COMMISSION),
)

US: tuple[Row, ...] = (
    _row("US", "stock", "tick", 0.01, "2001-04-09", REG_NMS),
    _row("US", "stock", "lot", (1, 1), "1970-01-01", REG_NMS, "", "secondary"),
    _row("US", "stock", "settle", 0, "1970-01-01", "Shares bought may be sold the same day", "", "secondary"),
    _row("US", "stock", "cash_days", 3, "1995-06-07", SETTLEMENT, "2017-09-04"),
    _row("US", "stock", "cash_days", 2, "2017-09-05", SETTLEMENT, "2024-05-27"),
    _row("US", "stock", "cash_days", 1, "2024-05-28", SETTLEMENT),
    # Money for each unit of money sold.
    _row("US", "*", "sec_fee", 15.0e-6, "2001-12-28", SECTION_31, "2002-03-31", "secondary"),
    _row("US", "*", "sec_fee", 30.1e-6, "2002-04-01", SECTION_31, "2003-03-21", "secondary"),
    _row("US", "*", "sec_fee", 25.2e-6, "2003-03-22", SECTION_31, "2003-03-31", "secondary"),
    _row("US", "*", "sec_fee", 46.8e-6, "2003-04-01", SECTION_31, "2004-02-21", "secondary"),
    _row("US", "*", "sec_fee", 39.0e-6, "2004-02-22", SECTION_31, "2004-03-31", "secondary"),
    _row("US", "*", "sec_fee", 23.4e-6, "2004-04-01", SECTION_31, "2005-01-06", "secondary"),
    _row("US", "*", "sec_fee", 32.9e-6, "2005-01-07", SECTION_31, "2005-03-31", "secondary"),
    _row("US", "*", "sec_fee", 41.8e-6, "2005-04-01", SECTION_31, "2005-12-21", "secondary"),
    _row("US", "*", "sec_fee", 30.7e-6, "2005-12-22", SECTION_31, "2007-03-16", "secondary"),
    _row("US", "*", "sec_fee", 15.3e-6, "2007-03-17", SECTION_31, "2008-01-24", "secondary"),
    _row("US", "*", "sec_fee", 11.0e-6, "2008-01-25", SECTION_31, "2008-03-31", "secondary"),
    _row("US", "*", "sec_fee", 5.6e-6, "2008-04-01", SECTION_31, "2009-04-09", "secondary"),
    _row("US", "*", "sec_fee", 25.7e-6, "2009-04-10", SECTION_31, "2010-01-14", "secondary"),
    _row("US", "*", "sec_fee", 12.7e-6, "2010-01-15", SECTION_31, "2010-03-31", "secondary"),
    _row("US", "*", "sec_fee", 16.9e-6, "2010-04-01", SECTION_31, "2011-01-20", "secondary"),
    _row("US", "*", "sec_fee", 19.2e-6, "2011-01-21", SECTION_31, "2012-02-20", "secondary"),
    _row("US", "*", "sec_fee", 18.0e-6, "2012-02-21", SECTION_31, "2012-03-31", "secondary"),
    _row("US", "*", "sec_fee", 22.4e-6, "2012-04-01", SECTION_31, "2013-05-24", "secondary"),
    _row("US", "*", "sec_fee", 17.4e-6, "2013-05-25", SECTION_31, "2014-03-17", "secondary"),
    _row("US", "*", "sec_fee", 22.1e-6, "2014-03-18", SECTION_31, "2015-02-13", "secondary"),
    _row("US", "*", "sec_fee", 18.4e-6, "2015-02-14", SECTION_31, "2016-02-15", "secondary"),
    _row("US", "*", "sec_fee", 21.8e-6, "2016-02-16", SECTION_31, "2017-07-03", "secondary"),
    _row("US", "*", "sec_fee", 23.1e-6, "2017-07-04", SECTION_31, "2018-05-21", "secondary"),
    _row("US", "*", "sec_fee", 13.0e-6, "2018-05-22", SECTION_31, "2019-04-15", "secondary"),
    _row("US", "*", "sec_fee", 20.7e-6, "2019-04-16", SECTION_31, "2020-02-17", "secondary"),
    _row("US", "*", "sec_fee", 22.1e-6, "2020-02-18", SECTION_31, "2021-02-24", "secondary"),
    _row("US", "*", "sec_fee", 5.1e-6, "2021-02-25", SECTION_31, "2022-05-13", "secondary"),
    _row("US", "*", "sec_fee", 22.9e-6, "2022-05-14", SECTION_31, "2023-02-26", "secondary"),
    _row("US", "*", "sec_fee", 8.0e-6, "2023-02-27", SECTION_31, "2024-05-21", "secondary"),
    _row("US", "*", "sec_fee", 27.8e-6, "2024-05-22", SECTION_31, "2025-05-13", "secondary"),
    _row("US", "*", "sec_fee", 0.0, "2025-05-14", SECTION_31, "2025-12-31", "secondary"),
    # (a share sold, at most an order).
    _row("US", "*", "taf", (0.000119, 5.95), "2012-07-01", TAF, "2021-12-31", "secondary"),
    _row("US", "*", "taf", (0.00013, 6.49), "2022-01-01", TAF, "2022-12-31", "secondary"),
    _row("US", "*", "taf", (0.000145, 7.27), "2023-01-01", TAF, "2023-12-31", "secondary"),
    _row("US", "*", "taf", (0.000166, 8.30), "2024-01-01", TAF, "2025-12-31", "secondary"),
)

#: Venue numbers differ by instrument and are asked for; these rows hold where none are given.
CRYPTO: tuple[Row, ...] = (
    *(_row("CRYPTO", board, "settle", 0, "2009-01-03", VENUE) for board in ("spot", "perpetual")),
    *(_row("CRYPTO", board, "tick", 0.01, "2009-01-03", VENUE, "", "secondary") for board in ("spot", "perpetual")),
    *(
        _row("CRYPTO", board, "lot", (1e-6, 1e-6), "2009-01-03", VENUE, "", "secondary")
        for board in ("spot", "perpetual")
    ),
    *(
        _row("CRYPTO", board, "min_notional", 5.0, "2009-01-03", VENUE, "", "secondary")
        for board in ("spot", "perpetual")
    ),
    _row("CRYPTO", "perpetual", "funding_hours", 8, "2016-05-01", VENUE, "", "secondary"),
)

ROWS: tuple[Row, ...] = CHINA + US + CRYPTO
