"""The canonical tables as data: what a column is, its unit, its range, its use.

Everything else here is derived from these records: the Arrow schema a load
writes, the checks a row passes, the error that says what a missing column would
unlock, and the dictionary in ``data/README.md``.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

__all__ = [
    "EVENTS",
    "SCHEMA",
    "Column",
    "TableSchema",
    "arrow_schema",
    "arrow_type",
]

Kind = Literal[
    "text",
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "float32",
    "float64",
    "instant",
    "date",
    "json",
    "any",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of a canonical table.

    Parameters
    ----------
    name, kind, doc : str
        Its name, its type, and what it holds.
    required : bool
        Whether the table is unusable without it.
    nullable : bool
        For a required column: whether a row may hold NULL (NULL is unknown).
    unit : str
        ``fen``, ``ms``, ``px``, ``share``, ``count``, or empty.
    low, high : float or None
        Smallest and largest value allowed, both inclusive.
    above : float or None
        Every value is greater than this.
    closed : tuple of str
        The only values allowed; another one rejects the row.
    known : tuple of str
        Values known today; another one is kept and noticed.
    pseudonym : str
        Kind of the raw id behind it, for a column that holds a pseudonym.
    future : bool
        For an instant: whether it may lie after `as_of`.
    unlocks : str
        What the column makes possible.
    """

    name: str
    kind: Kind
    doc: str
    required: bool = False
    nullable: bool = False
    unit: str = ""
    low: float | None = None
    high: float | None = None
    above: float | None = None
    closed: tuple[str, ...] = ()
    known: tuple[str, ...] = ()
    pseudonym: str = ""
    future: bool = False
    unlocks: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class TableSchema:
    """One canonical table.

    Parameters
    ----------
    name, doc : str
        Its name, and what one row is.
    columns : tuple of Column
        In the order they are written and checked.
    key : tuple of str
        Columns that name a row; empty where rows may repeat.
    day_of : str
        The instant whose local date is `ds`; empty where there is no `ds` to derive.
    sort : tuple of str
        Order of the rows in a file.
    parts : {"", "day", "month"}
        How the files are cut: one, one a `ds`, one a month of `ds`.
    references : tuple of (str, str)
        ``(column, table)``: every value of the column stands in that table.
    unlocks : str
        What the table makes possible.
    free : bool
        Whether columns of any other name are data too (``units``).
    """

    name: str
    doc: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    day_of: str = ""
    sort: tuple[str, ...] = ()
    parts: Literal["", "day", "month"] = ""
    references: tuple[tuple[str, str], ...] = ()
    unlocks: str = ""
    free: bool = False
    by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Index the columns by name."""
        names = {column.name: column for column in self.columns}
        object.__setattr__(self, "by_name", MappingProxyType(names))

    @property
    def required(self) -> tuple[str, ...]:
        """Names of the required columns."""
        return tuple(column.name for column in self.columns if column.required)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle by name: the schema is the same wherever the package is."""
        return (_schema_of, (self.name,))


def _schema_of(name: str) -> TableSchema:
    return SCHEMA[name]


# The event vocabulary: (name, what it records). Other names pass as custom events.
EVENTS: Final[Mapping[str, str]] = MappingProxyType(
    {
        "app_launch": "the mini program started cold",
        "app_show": "it came to the foreground",
        "login": "the user's identity became known",
        "review": "a product or order was rated",
        "offline_visit": "the user was seen in a shop",
        "scroll": "a page was scrolled",
        "app_hide": "it went to the background; `dur_ms` in the foreground",
        "page_view": "a page was shown",
        "page_leave": "a page was left; `dur_ms` on it",
        "tap": "a finger touched the page",
        "impression": "an element was seen",
        "share_intent": "the share sheet was opened; completion is never known",
        "share_open": "a shared card was opened by somebody",
        "favorite": "the mini program or an item was bookmarked",
        "add_to_cart": "an item was put in the cart",
        "checkout": "the checkout page was reached",
        "order_create": "an order was placed",
        "order_pay": "an order was paid",
        "refund": "money went back",
        "subscribe_result": "the user answered a request for messages",
        "exp_exposure": "the user met an experiment's arm",
        "perf": "a performance reading, in `metric` and `value`",
        "api_call": "a network request",
        "error": "something failed",
    }
)


def _col(name: str, kind: Kind, doc: str, **rules: object) -> Column:
    return Column(name=name, kind=kind, doc=doc, **rules)  # type: ignore[arg-type]


def _text(name: str, doc: str, **rules: object) -> Column:
    return _col(name, "text", doc, **rules)


def _fen(name: str, doc: str, **rules: object) -> Column:
    return _col(name, "int64", doc, unit="fen", **{"low": 0, **rules})


def _at(name: str, doc: str, **rules: object) -> Column:
    return _col(name, "instant", doc, **rules)


def _px(name: str, doc: str, **rules: object) -> Column:
    unlocks = "heatmaps with positions"
    return _col(name, "float32", doc, unit="px", **{"unlocks": unlocks, **rules})


_USER = _text(
    "user_id", "who, as a pseudonym", required=True, pseudonym="openid, unionid, login"
)
_DS = _col("ds", "date", "business day, derived from the instant", unlocks="")
_SOURCE = _text("source", "which system the row came from")
_PROPS = _col("props", "json", "foreign columns kept as they were")
_ORDER = _text("order_id", "the order")
_CAMPAIGN = _text("campaign_id", "the campaign", unlocks="results by campaign")
_LANES = "entrances, sessions that follow the entrance, channel comparison"
_FOLD = "the fold, and shares of a page above it"
_EXPERIMENT = "assignments read from exposure events"
_SHARING = "who brought whom: share return, sharing depth, viral growth"

_EVENTS = TableSchema(
    name="events",
    doc="one row per event",
    key=("event_id",),
    day_of="ts",
    sort=("user_id", "ts", "event_id"),
    parts="day",
    unlocks="retention, funnels, heatmaps, and metrics built from behaviour",
    columns=(
        _USER,
        _at("ts", "when; ties are broken by `event_id`", required=True),
        _text(
            "event",
            "what happened: the vocabulary below, or a custom name",
            required=True,
            known=tuple(EVENTS),
        ),
        _text("event_id", "derived if absent: SHA-256 of the record"),
        _text("session_id", "a supplied one is kept", unlocks="sessions as supplied"),
        _DS,
        _text(
            "device_id",
            "which device, as a pseudonym",
            pseudonym="device",
            unlocks="experiments by device, devices per user",
        ),
        _text("app_id", "which mini program", unlocks="results by mini program"),
        _text("app_version", "the merchant's release", unlocks="results by release"),
        _text(
            "env_version",
            "which build; NULL means release",
            closed=("develop", "trial", "release"),
            unlocks="leaving test traffic out",
        ),
        _text("sdk_version", "base library version"),
        _text("wx_version", "WeChat version"),
        _text("os_version", "operating system version"),
        _text("device_model", "phone model"),
        _text("network", "network type"),
        _text(
            "platform",
            "operating system",
            known=("ios", "android", "ohos", "windows", "mac", "devtools"),
            unlocks="results by platform, phone maps, start-up times",
        ),
        _col(
            "device_level",
            "int8",
            "0 unknown, 1 high, 2 middle, 3 low",
            low=0,
            high=3,
            unlocks="results by device class",
        ),
        _col(
            "scene",
            "int16",
            "WeChat scene value of the entrance; NULL: not recorded",
            low=0,
            high=9999,
            unlocks=_LANES,
        ),
        _text("entry_group", "group of the scene; derived if absent", unlocks=_LANES),
        _text(
            "page_path",
            "page, without leading `/` or `.html`",
            unlocks="heatmaps, paths, page funnels, bounce rate",
        ),
        _text("referrer_path", "the page before", unlocks="paths"),
        _text("page_query", "allow-listed query keys only"),
        _text("element_id", "what was touched or seen", unlocks="heatmaps by element"),
        _text("element_type", "its type"),
        _text("element_text", "its words"),
        _col("element_index", "int32", "its place in a list, from 0", low=0),
        _px("x_px", "from the document's left edge, logical px"),
        _px("y_px", "from the document's top edge, logical px"),
        _px("client_x_px", "from the screen's left edge, logical px"),
        _px("client_y_px", "from the screen's top edge, logical px", unlocks=_FOLD),
        _px("scroll_y_px", "how far the page was scrolled", unlocks=_FOLD),
        _px("scroll_max_px", "furthest scroll, on `page_leave`", unlocks=_FOLD),
        _px("win_w_px", "width of the window", above=0),
        _px("win_h_px", "height of the window", above=0, unlocks=_FOLD),
        _px("page_h_px", "height of the page", above=0, unlocks=_FOLD),
        _text(
            "phase",
            "phase in which the touch was caught",
            closed=("capture", "bubble"),
            unlocks="telling one touch logged twice from two touches",
        ),
        _col(
            "dur_ms",
            "int64",
            "on the page, or in the foreground",
            unit="ms",
            low=0,
            unlocks="time on page and in the foreground",
        ),
        _text("share_id", "one act of sharing", unlocks=_SHARING),
        _text(
            "share_from",
            "who shared, as a pseudonym",
            pseudonym="openid, unionid, login",
            unlocks=_SHARING,
        ),
        _col("share_depth", "int16", "how many hands", low=0, unlocks=_SHARING),
        _text("share_method", "card, moments, ...", unlocks=_SHARING),
        _text(
            "group_id",
            "the chat group, as a pseudonym",
            pseudonym="group",
            unlocks=_SHARING,
        ),
        _text("exp_source", "who assigned", unlocks=_EXPERIMENT),
        _text("exp_layer", "layer of the experiment", unlocks=_EXPERIMENT),
        _text("exp_id", "the experiment", unlocks=_EXPERIMENT),
        _text("exp_param", "its parameter", unlocks=_EXPERIMENT),
        _text("variant", "the arm met", unlocks=_EXPERIMENT),
        _text(
            "metric",
            "name of a reading, with its unit: `page_open_ms`",
            unlocks="performance vitals",
        ),
        _col("value", "float64", "the reading", unlocks="performance vitals"),
        _text("order_id", "the order concerned", unlocks="orders behind events"),
        _text("product_id", "the product concerned", unlocks="results by product"),
        _fen("value_fen", "money concerned", unlocks="revenue from events alone"),
        _col("consent", "bool", "false: the row is not taken in"),
        _SOURCE,
        _at("ingested_ts", "when the row was taken in", future=True),
        _PROPS,
    ),
)

_ORDERS = TableSchema(
    name="orders",
    doc="one row per (`source`, `order_id`)",
    key=("source", "order_id"),
    day_of="pay_ts",
    sort=("user_id", "pay_ts", "order_id"),
    parts="month",
    unlocks="revenue and purchase metrics, segments by value, member tiers",
    columns=(
        _text("order_id", "the order", required=True),
        _text(
            "user_id",
            "the payer, as a pseudonym",
            required=True,
            pseudonym="openid, unionid, login",
        ),
        _at(
            "pay_ts", "when paid; NULL only if never paid", required=True, nullable=True
        ),
        _fen(
            "paid_fen",
            "due to the merchant: cash and coupons of others, with freight; else 0",
            required=True,
        ),
        _DS,
        _at("create_ts", "when placed, not after `pay_ts`", unlocks="time to pay"),
        _at("ship_ts", "when shipped", unlocks="the shipping rule"),
        _text(
            "status",
            "where it stands",
            closed=(
                "unpaid",
                "paid",
                "shipped",
                "completed",
                "cancelled",
                "refunded",
                "part_refunded",
            ),
            unlocks="filters on the state of an order",
        ),
        _fen("goods_fen", "goods before discount", unlocks="discount depth"),
        _fen("freight_fen", "freight", unlocks="goods apart from freight"),
        _fen("discount_fen", "taken off by the merchant", unlocks="discount depth"),
        _fen(
            "refund_fen",
            "given back so far, at most `paid_fen`; NULL counts 0",
            unlocks="revenue net of refunds",
        ),
        _fen("fee_fen", "payment fee, signed", low=None, unlocks="margin"),
        _text("channel", "where it was placed", unlocks="revenue by channel"),
        _text(
            "sharer_id",
            "who brought the order, as a pseudonym",
            pseudonym="openid, unionid, login",
            unlocks="revenue by sharer",
        ),
        _CAMPAIGN,
        _col("is_gift", "bool", "paid for somebody else"),
        _col("is_presale", "bool", "sold before stock", unlocks="the shipping rule"),
        _at("presale_end_ts", "end of the presale", future=True),
        _text("currency", "one per table; CNY if absent"),
        _SOURCE,
        _PROPS,
    ),
)

_ORDER_ITEMS = TableSchema(
    name="order_items",
    doc="one row per line of an order",
    key=("order_id", "line_no"),
    sort=("order_id", "line_no"),
    references=(("order_id", "orders"),),
    unlocks="results by product and category",
    columns=(
        _text("order_id", "the order", required=True),
        _text("product_id", "the product", required=True),
        _col("qty", "float64", "pieces", required=True, unit="count", above=0),
        _col("line_no", "int32", "place in the order, from 1", low=0),
        _text("sku_id", "the stock-keeping unit", unlocks="results by SKU"),
        _text("title", "name of the product"),
        _text("category", "its category", unlocks="results by category"),
        _fen("unit_fen", "price of one"),
        _fen("paid_fen", "line total", unlocks="revenue by product"),
        _col(
            "refund_qty",
            "float64",
            "pieces given back, at most `qty`",
            unit="count",
            low=0,
            unlocks="returns by product",
        ),
        _SOURCE,
        _PROPS,
    ),
)

_PAYMENTS = TableSchema(
    name="payments",
    doc="one row per row of a payment bill; they fold into orders",
    key=("payment_id",),
    sort=("order_id", "ts"),
    unlocks="orders rebuilt from the payment bill",
    columns=(
        _text("order_id", "the merchant's order", required=True),
        _at("ts", "when paid, or when the refund began", required=True),
        _text(
            "kind", "what moved", required=True, closed=("payment", "refund", "revoke")
        ),
        _fen(
            "amount_fen",
            "how much moved; derived from the bill's own amounts",
            required=True,
        ),
        _text("payment_id", "derived if absent: SHA-256 of what names the row"),
        _text("user_id", "the payer, as a pseudonym", pseudonym="openid"),
        _text("app_id", "which mini program"),
        _text("transaction_id", "the bill's number, hashed", pseudonym="transaction"),
        _text("refund_id", "the refund's number, hashed", pseudonym="transaction"),
        _text("refund_status", "how the refund stood when the bill was made"),
        _text("currency", "CNY if absent"),
        _fen("settled_fen", "due to the merchant"),
        _fen("order_fen", "amount of the order"),
        _fen("refund_fen", "amount given back"),
        _fen("fee_fen", "payment fee, signed", low=None),
        _SOURCE,
        _PROPS,
    ),
)

_REFUNDS = TableSchema(
    name="refunds",
    doc="one row per (`order_id`, `refund_id`); they add up to `orders.refund_fen`",
    key=("order_id", "refund_id"),
    day_of="ts",
    sort=("order_id", "ts"),
    references=(("order_id", "orders"),),
    unlocks="refunds by date: member tiers, revenue retention",
    columns=(
        _text("order_id", "the order", required=True),
        _text("refund_id", "the refund", required=True),
        _at("ts", "when the money went back", required=True),
        _fen("amount_fen", "how much", required=True, low=None, above=0),
        _text("status", "how it stands"),
        _DS,
        _SOURCE,
        _PROPS,
    ),
)

_ASSIGNMENTS = TableSchema(
    name="assignments",
    doc="one row per (`unit_id`, `exp_id`): the first exposure",
    key=("unit_id", "exp_id"),
    sort=("exp_id", "unit_id"),
    unlocks="A/B tests",
    columns=(
        _text(
            "unit_id",
            "what was randomised, as a pseudonym",
            required=True,
            pseudonym="openid, unionid, login, device",
        ),
        _text("exp_id", "the experiment", required=True),
        _text("variant", "the arm; no row where none was hit", required=True),
        _at("ts", "first exposure", required=True),
        _text(
            "unit_type",
            "what a unit is",
            closed=("user", "device"),
            unlocks="experiments by device",
        ),
        _text("layer", "layer of the experiment"),
        _text("salt_version", "version of the hash's salt"),
        _col("conflict", "bool", "later seen in another arm", unlocks="crossovers"),
        _SOURCE,
        _PROPS,
    ),
)

_MEMBERS = TableSchema(
    name="members",
    doc="one row per (`user_id`, `as_of_ds`): a member as known on a day",
    key=("user_id", "as_of_ds"),
    sort=("user_id", "as_of_ds"),
    unlocks="segments by profile, member tiers",
    columns=(
        _USER,
        _col("as_of_ds", "date", "the day it was true", required=True),
        _at("joined_ts", "when enrolled", unlocks="tenure"),
        _text("region", "province code", unlocks="results by region"),
        _text("city", "city", unlocks="results by city"),
        _text("age_band", "age band", unlocks="results by age band"),
        _text("gender", "gender", unlocks="results by gender"),
        _text("platform", "operating system", unlocks="results by platform"),
        _col("tier", "int8", "from 0; NULL: not enrolled", low=0, unlocks="tier moves"),
        _at("tier_since_ts", "when the tier began", unlocks="tier moves"),
        _col("points_balance", "int64", "points left", unit="count"),
        _fen("qualifying_fen_12m", "spend that counts for the tier, 12 months"),
        _text("channel", "where enrolled", unlocks="results by channel"),
        _col("wecom_friend", "bool", "a WeCom contact", unlocks="reach by WeCom"),
        _SOURCE,
        _PROPS,
    ),
)

_POINTS = TableSchema(
    name="points_ledger",
    doc="one row per entry of the points account",
    key=("entry_id",),
    day_of="ts",
    sort=("user_id", "ts", "entry_id"),
    parts="month",
    unlocks="points liability, breakage, member tiers",
    columns=(
        _text("entry_id", "the entry", required=True),
        _USER,
        _at("ts", "when booked", required=True),
        _col("points", "int64", "signed by `kind`", required=True, unit="count"),
        _text(
            "kind",
            "earn is positive; redeem and expire are negative",
            required=True,
            closed=("earn", "redeem", "expire", "reverse", "adjust"),
        ),
        _DS,
        _text("reason", "why"),
        _text("order_id", "the order behind it", unlocks="points per order"),
        _at(
            "expires_ts", "when they lapse; NULL never", future=True, unlocks="breakage"
        ),
        _text("channel", "where", closed=("online", "offline")),
        _SOURCE,
        _PROPS,
    ),
)

_SPEND = TableSchema(
    name="channel_spend",
    doc="one row per (`ds`, `channel`, `campaign_id`)",
    key=("ds", "channel", "campaign_id"),
    sort=("ds", "channel"),
    unlocks="cost per new user, return on spend",
    columns=(
        _col("ds", "date", "business day", required=True),
        _text("channel", "the channel", required=True),
        _fen("spend_fen", "money spent", required=True),
        _CAMPAIGN,
        _col("impressions", "int64", "NULL: not reported", unit="count", low=0),
        _col("clicks", "int64", "NULL: not reported", unit="count", low=0),
        _SOURCE,
        _PROPS,
    ),
)

_CAMPAIGNS = TableSchema(
    name="campaigns",
    doc="one row per campaign",
    key=("campaign_id",),
    unlocks="campaign checks, participation rates",
    columns=(
        _text("campaign_id", "the campaign", required=True),
        _text(
            "kind",
            "what it is",
            required=True,
            closed=(
                "seckill",
                "bargain",
                "group_buy",
                "lottery",
                "invite",
                "leaderboard",
                "cashback",
                "member_day",
            ),
        ),
        _at("start_ts", "when it starts", required=True, future=True),
        _at("end_ts", "when it ends", required=True, future=True),
        _at("created_ts", "when it was set up", unlocks="the lead-time check"),
        _text("holiday", "the holiday it belongs to", unlocks="the lead-time check"),
        _text("reward_trigger", "what earns the reward", unlocks="sharing checks"),
        _fen("reward_fen", "the reward", unlocks="sharing checks"),
        _text("unlock_trigger", "what unlocks it", unlocks="sharing checks"),
        _text("text", "its words", unlocks="the sensitive-word check"),
        _SOURCE,
        _PROPS,
    ),
)

_PARTICIPATIONS = TableSchema(
    name="participations",
    doc="one row per act of taking part",
    sort=("campaign_id", "user_id", "ts"),
    references=(("campaign_id", "campaigns"),),
    unlocks="play frequency, invitations",
    columns=(
        _text("campaign_id", "the campaign", required=True),
        _USER,
        _at("ts", "when", required=True),
        _text(
            "role",
            "in what role",
            closed=("join", "open", "help", "invitee"),
            unlocks="invitations",
        ),
        _text(
            "inviter_id",
            "who invited, as a pseudonym",
            pseudonym="openid, unionid, login",
            unlocks="invitations",
        ),
        _text("order_id", "the order it led to", unlocks="revenue by campaign"),
        _SOURCE,
        _PROPS,
    ),
)

_PRIZES = TableSchema(
    name="prizes",
    doc="one row per (`campaign_id`, `prize_id`)",
    key=("campaign_id", "prize_id"),
    references=(("campaign_id", "campaigns"),),
    unlocks="the freight check on prizes",
    columns=(
        _text("campaign_id", "the campaign", required=True),
        _text("prize_id", "the prize", required=True),
        _col("physical", "bool", "has to be shipped", required=True),
        _fen("value_fen", "what it is worth", required=True),
        _fen("logistics_fen", "what shipping costs", unlocks="the freight check"),
        _SOURCE,
        _PROPS,
    ),
)

_MESSAGES = TableSchema(
    name="messages",
    doc="one row per act; append only: the ledger of consent",
    day_of="ts",
    sort=("user_id", "ts"),
    parts="month",
    unlocks="whom one may message, wake-up rates",
    columns=(
        _USER,
        _at("ts", "when", required=True),
        _text(
            "channel",
            "by what way",
            required=True,
            closed=("subscribe", "customer_service", "sms", "wecom"),
        ),
        _text(
            "action",
            "what happened",
            required=True,
            closed=(
                "grant",
                "deny",
                "send",
                "deliver",
                "fail",
                "user_message",
                "enter_chat",
                "click",
            ),
        ),
        _DS,
        _text("template_id", "the template", unlocks="grants left per template"),
        _CAMPAIGN,
        _text("errcode", "the platform's answer", unlocks="why messages fail"),
        _SOURCE,
        _PROPS,
    ),
)

_INCIDENTS = TableSchema(
    name="incidents",
    doc="one row per incident",
    key=("incident_id",),
    unlocks="response-time checks",
    columns=(
        _text("incident_id", "the incident", required=True),
        _text("kind", "what", required=True, closed=("complaint", "outage", "pr")),
        _at("opened_ts", "when it began", required=True),
        _at("responded_ts", "first answer", unlocks="response-time checks"),
        _at("resolved_ts", "when it ended; NULL: open", unlocks="recovery checks"),
        _SOURCE,
        _PROPS,
    ),
)

_STOCK = TableSchema(
    name="stock_daily",
    doc="one row per (`ds`, `sku_id`)",
    key=("ds", "sku_id"),
    unlocks="the stock-out check",
    columns=(
        _col("ds", "date", "business day", required=True),
        _text("sku_id", "the stock-keeping unit", required=True),
        _col("out_of_stock", "bool", "none left that day", required=True),
        _SOURCE,
        _PROPS,
    ),
)

_OFFICIAL = TableSchema(
    name="official_daily",
    doc="one row per reading of WeChat's own totals; every pull is kept",
    sort=("api", "ds", "metric", "key"),
    unlocks="reconciling with WeChat's own figures; it has no users",
    columns=(
        _text("app_id", "which mini program"),
        _text("api", "which report"),
        _text(
            "period",
            "what a row covers",
            closed=("day", "week", "month", "range"),
        ),
        _col("ds", "date", "first day covered", required=True),
        _text("metric", "which figure", required=True),
        _text("key", "which part of it; NULL: a single figure"),
        _col("value", "float64", "the figure", required=True, nullable=True),
        _at("pulled_ts", "when it was asked for; the latest is read"),
        _SOURCE,
        _PROPS,
    ),
)

_UNITS = TableSchema(
    name="units",
    doc="one row per randomised unit of one experiment; other columns are metrics",
    key=("unit_id",),
    unlocks="A/B tests on a ready table",
    free=True,
    columns=(
        _text("unit_id", "the unit; it never leaves the engine", required=True),
        _text("variant", "its arm", required=True),
        _at("exposure_ts", "first exposure", unlocks="effects by day"),
        _col("exposure_ds", "date", "day of first exposure", unlocks="effects by day"),
    ),
)

SCHEMA: Final[Mapping[str, TableSchema]] = MappingProxyType(
    {
        schema.name: schema
        for schema in (
            _EVENTS,
            _ORDERS,
            _ORDER_ITEMS,
            _PAYMENTS,
            _REFUNDS,
            _ASSIGNMENTS,
            _MEMBERS,
            _POINTS,
            _SPEND,
            _CAMPAIGNS,
            _PARTICIPATIONS,
            _PRIZES,
            _MESSAGES,
            _INCIDENTS,
            _STOCK,
            _OFFICIAL,
            _UNITS,
        )
    }
)


def arrow_type(kind: Kind) -> pa.DataType:
    """Return the Arrow type a kind is stored as.

    Parameters
    ----------
    kind : str
        A column's kind.

    Returns
    -------
    pyarrow.DataType
        Instants are ``timestamp[ms, UTC]``, JSON is text.
    """
    import pyarrow as pa

    types = {
        "text": pa.string(),
        "json": pa.string(),
        "bool": pa.bool_(),
        "int8": pa.int8(),
        "int16": pa.int16(),
        "int32": pa.int32(),
        "int64": pa.int64(),
        "float32": pa.float32(),
        "float64": pa.float64(),
        "instant": pa.timestamp("ms", tz="UTC"),
        "date": pa.date32(),
        "any": pa.string(),
    }
    return types[kind]


def arrow_schema(table: str) -> pa.Schema:
    """Return the Arrow schema of a canonical table.

    Parameters
    ----------
    table : str
        A name in `SCHEMA`.

    Returns
    -------
    pyarrow.Schema
        Every column, in order; a load writes those it has.
    """
    import pyarrow as pa

    return pa.schema([(c.name, arrow_type(c.kind)) for c in SCHEMA[table].columns])
