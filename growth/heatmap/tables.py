"""The same questions, asked of tables; the only file here that speaks Ibis."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias, TypedDict

import numpy as np

from growth.errors import ColumnNotFoundError, DataError, ParameterError, suggest
from growth.heatmap.geometry import (
    CLASSES,
    DESKTOPS,
    MOST_RPX,
    check_cell,
    check_device,
)
from growth.heatmap.grid import COUNTED, CellUsers
from growth.heatmap.logs import (
    KINDS,
    OTHER,
)
from growth.heatmap.maps import ElementTaps, Heatmap
from growth.heatmap.rows import Rows, device_codes, grouped
from growth.heatmap.store import SHARDS, Store
from growth.heatmap.sums import ECHO_MS, POSITION, Sums, cleaned
from growth.result import Notice
from growth.stats.arguments import names_of, whole

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import Unpack

    import ibis.expr.types as ir
    from numpy.typing import NDArray

    from growth.engine import TableLike

__all__ = ["PageKey", "Scope", "aggregate"]

PageKey: TypeAlias = "Mapping[str, str] | Callable[[str], str]"

EARLIEST_US: Final = 694_224_000_000_000  # 1992: before that, a time is no epoch
LONGEST_RPX: Final = 10_000_000  # its cells, of any side, have numbers of 32 bits
MUCH_WIDER: Final = 1.5  # x over width at p99: device pixels, not logical ones
MOST_PLACES: Final = 2**31 - 1
NO_PLACE: Final = -2
PHASES: Final = {"capture": 1, "bubble": 2}
UNLOCKS: Final = "maps with positions; count elements with mode='elements'"


class Scope(TypedDict, total=False):
    """What every verb that reads a table takes, by keyword.

    Parameters
    ----------
    page : str or sequence of str
        Pages to read; all if omitted.
    page_key : mapping or callable
        From `page_path` to the page's name, so that many paths make one page; a
        path that a mapping lacks keeps its name.
    by : str or sequence of str
        Breakdown columns; ``day`` is the local day, ``variant`` with `assignments`
        the arm.
    start, end : date or aware datetime
        Half-open: from `start` until before `end`; a date is its local midnight.
    where : filter
        As data: ``[{"col": "platform", "eq": "ios"}]``.
    assignments : ibis.Table, frame, Arrow data or path
        One row a unit: `unit_id`, `variant` (and `exp_id`). Users in two arms are
        in none.
    exp_id : str
        Which experiment of `assignments`.
    user_shard : tuple of (int, int)
        ``(k, n)``: only users whose stable bucket of n is k.
    tz : str
        Zone of days; ``Asia/Shanghai`` if omitted.
    user_col, time_col, page_col : str
        Names of the columns of users, times and pages.
    """

    page: str | Sequence[str] | None
    page_key: PageKey | None
    by: Sequence[str] | str
    start: date | datetime | None
    end: date | datetime | None
    where: Any
    assignments: Any
    exp_id: str | None
    user_shard: tuple[int, int] | None
    tz: str
    user_col: str
    time_col: str
    page_col: str


class Ask(NamedTuple):
    """A scope with its defaults."""

    page: str | Sequence[str] | None = None
    page_key: PageKey | None = None
    by: Sequence[str] | str = ()
    start: date | datetime | None = None
    end: date | datetime | None = None
    where: Any = None
    assignments: Any = None
    exp_id: str | None = None
    user_shard: tuple[int, int] | None = None
    tz: str = "Asia/Shanghai"
    user_col: str = "user_id"
    time_col: str = "ts"
    page_col: str = "page_path"

    @classmethod
    def of(cls, scope: Scope) -> Ask:
        """Read a scope; a misspelt name is refused."""
        for name in scope:
            if name not in cls._fields:
                msg = f"there is no argument {name!r}; a scope has {list(cls._fields)};"
                msg = f"{msg} correct it.{suggest(name, cls._fields)}"
                raise ParameterError(msg, code="unknown_argument")
        return cls(**scope)

    @property
    def columns(self) -> tuple[str, ...]:
        """Breakdown columns."""
        return tuple(dict.fromkeys(names_of(self.by, "by")))

    @property
    def pages(self) -> tuple[str, ...] | None:
        """Pages asked for; None is all."""
        return None if self.page is None else names_of(self.page, "page")


def aggregate(
    table: TableLike,
    *,
    mode: str = "coordinates",
    cell_rpx: int = 10,
    device_class: str = "phone",
    users: bool = False,
    pairs: bool = False,
    fixed_elements: Sequence[str] = (),
    echo_ms: int = ECHO_MS,
    most_rpx: int = MOST_RPX,
    **scope: Unpack[Scope],
) -> Heatmap:
    """Map taps: where, on which page, and what became of each of them.

    Parameters
    ----------
    table : ibis.Table, frame, Arrow data or path
        Events (rows of event ``tap`` are mapped) or taps alone.
    mode : {"coordinates", "elements"}, default "coordinates"
        Cells of the page, which takes `x_px`, `y_px`, `win_w_px`; or counts by
        `element_id` (and `element_index`) alone. No position is ever invented.
    cell_rpx : int, default 10
        Side of a cell in rpx; it divides 750.
    device_class : {"phone", "tablet", "wide"}, default "phone"
        The one class on the map; taps of others are counted as excluded.
    users : bool, default False
        Whether distinct users per cell and viewers per page are counted.
    pairs : bool, default False
        Whether the taps of each user by cell are kept (`CellUsers`).
    fixed_elements : sequence of str, optional
        Elements that keep their place on the screen while the page scrolls (tab
        bars): mapped apart, by `client_y_px`, in layer ``fixed``.
    echo_ms : int, default 100
        A tap at the very place of the tap before and less than so long after it is
        a label's echo.
    most_rpx : int, default 40,000
        Taps below are counted as beyond.
    **scope
        Pages, breakdowns, period, filter, arms, columns: `Scope`.

    Returns
    -------
    Heatmap
        Grids by page and breakdown. Every row is counted as exactly one class.

    Raises
    ------
    ColumnNotFoundError
        If a column is missing; it says what the column unlocks.
    ParameterError
        If an argument is unusable: ``bad_cell_size``, ``unknown_device``,
        ``unknown_mode``, ``bad_echo_ms``, ``bad_page``, ``bad_period``, ``bad_shard``,
        ``too_many_cells``.
    DataError
        If there is no tap (``no_taps``), none has a position though elements are
        recorded (``element_mode_only``), x is in device pixels (``mixed_units``),
        times are no epoch (``epoch_expected``), or an ``element_index`` is no place in
        a list (``bad_element_index``).

    Notes
    -----
    Per user and page, sorted by time, then by `event_id` if it is a number, then by
    position (a text id is a digest: its order says nothing). A row of phase
    ``bubble`` at the place of a ``capture`` row is its twin; without phases, equal
    time and place is one tap. Then label echoes. Cells are integer arithmetic:
    `bins`.
    """
    cols = check_cell(cell_rpx)
    wanted = check_device(device_class)
    if mode not in ("coordinates", "elements"):
        msg = f"mode is {mode!r}; it must be 'coordinates' or 'elements'; name one."
        raise ParameterError(msg, code="unknown_mode")
    cell_rpx, out = int(cell_rpx), "leave it out"
    echo_ms = whole(echo_ms, "echo_ms", least=0, code="bad_echo_ms", remedy=out)
    most_rpx = whole(
        most_rpx,
        "most_rpx",
        least=cell_rpx,
        most=LONGEST_RPX,
        code="bad_page",
        remedy=out,
    )
    fixed = names_of(fixed_elements, "fixed_elements")
    ask = Ask.of(scope)
    source = taps_of(table, ask)
    if mode == "elements":
        return _by_element(source, ask, wanted)
    extra = ["win_h_px", "page_h_px", "platform", "phase", "event_id"]
    if fixed:
        need(source, ("element_id", "client_y_px"), "the fixed layer")
        extra += ["element_id", "client_y_px"]
    need_positions(source)
    sums = Sums(ask, wanted, cell_rpx, cols, fixed, echo_ms, most_rpx)
    sums.users, sums.pairs = users or pairs, pairs
    for rows in _read(source, ask, (*POSITION, *extra), shard=True):
        sums.add(rows)
    if not sums.taps_in:
        raise no_taps(ask)
    viewers = _viewers(table, ask, wanted) if sums.users else {}
    return sums.result(viewers)


# -- by element ----------------------------------------------------------------------


def _by_element(source: ir.Table, ask: Ask, wanted: str) -> Heatmap:
    names = ["element_id", "element_index", *POSITION, "win_h_px", "platform", "phase"]
    need(source, ("element_id",), "counts by element")
    sums: dict[Any, list[int]] = {}
    taps_in = 0
    counted = dict.fromkeys(COUNTED, 0)
    for rows in _read(source, ask, names, text=("element_id",)):
        taps_in += len(rows)
        if wrong := int((rows["element_index"] == NO_PLACE).sum()):
            msg = f"element_index of {wrong:,} taps is negative, fractional or too"
            msg = f"{msg} large; it must be a whole number from 0 on, or NULL for an"
            msg = f"{msg} element in no list; record the place in the list, or NULL."
            raise DataError(msg, code="bad_element_index")
        status = element_status(rows, wanted)
        for name, n in zip(COUNTED, np.bincount(status, minlength=7), strict=True):
            counted[name] += int(n)
        kept = rows.take(status == 0)
        ids = kept.texts["element_id"]
        index = kept["element_index"] if len(kept["element_index"]) else None
        parts, sizes = [kept.group, kept["element_id"]], [len(kept.groups), len(ids)]
        if index is not None:
            parts.append(index)
            sizes.append(int(index.max(initial=0)) + 1)
        group, codes = grouped(parts, sizes)
        taps = np.bincount(group, minlength=len(codes))
        people = CellUsers.of(group, kept.user)
        distinct = np.bincount(people.cell, minlength=len(codes))
        for code, n, m in zip(codes, taps.tolist(), distinct.tolist(), strict=True):
            page, *values = kept.groups[code[0]]
            place = int(code[2]) if len(code) > 2 and code[2] >= 0 else None
            key = (
                kept.pages[page], tuple(values),
                ids[code[1]] if code[1] >= 0 else None, place,
            )  # fmt: skip
            sums[key] = [n, m]
    if not taps_in:
        raise no_taps(ask)
    found = [
        ElementTaps(page, name, place, n, m, tuple(zip(ask.columns, v, strict=True)))
        for (page, v, name, place), (n, m) in sums.items()
    ]
    notices = [Notice("element_mode", "info")]
    return Heatmap(
        mode="elements",
        device_class=wanted,
        cell_rpx=0,
        taps_in=taps_in,
        counted=counted,
        elements=tuple(
            sorted(found, key=lambda e: (e.page, str(e.by), -e.taps, str(e.element_id)))
        ),
        notices=tuple(notices),
    )


def element_status(rows: Rows, wanted: str, echo_ms: int = ECHO_MS) -> Any:  # noqa: ANN401
    """Return what becomes of taps that may have no position.

    Without positions twins are equal times on one element, and no echo is known.
    """
    from growth.heatmap import kernels

    keep = rows.columns
    blank = np.zeros(len(rows), np.float32)
    known = all(len(rows[name]) for name in POSITION)
    has = np.isfinite(rows["x_px"]) & np.isfinite(rows["y_px"]) if known else blank > 0
    spot = rows["element_id"].astype(np.float32)
    rows.columns = {
        **keep,
        "x_px": np.where(has, rows["x_px"], -1e6 - spot) if known else -1e6 - spot,
        "y_px": np.where(has, rows["y_px"], 0) if known else blank,
        "win_w_px": blank + 1,
        **{f"raw_{name}": keep[name] for name in POSITION if name in keep},
    }
    status, *_ = cleaned(rows, wanted, echo_ms)
    rows.columns = keep
    # same element is not same place: without a position there is no echo
    status[(status == kernels.ECHO) & ~has] = kernels.BINNED
    codes = device_codes(rows) if len(rows["win_w_px"]) else np.full(len(rows), -1)
    others = (codes != CLASSES.index(wanted)) & (codes >= 0)
    status[(status == kernels.BINNED) & others] = kernels.EXCLUDED
    return status


# -- reading -------------------------------------------------------------------------


def need(table: ir.Table, columns: Iterable[str], unlocks: str) -> None:
    from growth import engine

    engine.need_columns(table, columns, unlocks=unlocks)


def need_positions(table: ir.Table) -> None:
    missing = [name for name in POSITION if name not in table.columns]
    if not missing:
        return
    if "element_id" in table.columns and "x_px" in missing:
        msg = f"the table has element_id but no {missing}; a grid must have positions;"
        msg = f"{msg} record them, or count with mode='elements'."
        raise DataError(msg, code="element_mode_only")
    raise ColumnNotFoundError(missing[0], table.columns, unlocks=UNLOCKS)


def no_taps(ask: Ask) -> DataError:
    msg = f"no tap on pages {list(ask.pages) if ask.pages else 'of any name'} from"
    msg = f"{msg} {ask.start or 'the first'} until {ask.end or 'the last'} day; there"
    msg = f"{msg} must be one to map; check page, dates and filter."
    return DataError(msg, code="no_taps")


def _instant(value: date | datetime, tz: str) -> datetime:
    """Return when a period begins: a date is its local midnight."""
    from growth import engine

    if isinstance(value, datetime):
        return engine.instant(value, tz=tz)
    return engine.instant(value - timedelta(days=1), tz=tz)


def _bounded(source: ir.Table, ask: Ask) -> ir.Table:
    """Filter by period, page, filter and shard of users."""
    from growth import engine

    need(source, (ask.user_col, ask.time_col, ask.page_col), "maps")
    begin = None if ask.start is None else _instant(ask.start, ask.tz)
    finish = None if ask.end is None else _instant(ask.end, ask.tz)
    if begin and finish and begin >= finish:
        msg = f"start is {ask.start} and end {ask.end}; end must be later, it is the"
        raise ParameterError(
            f"{msg} first day not counted; move it.", code="bad_period"
        )
    when = source[ask.time_col]
    if not (when.type().is_timestamp() or when.type().is_integer()):
        msg = f"column {ask.time_col!r} is {when.type()}; it must be a timestamp; cast"
        raise DataError(f"{msg} it.", code="column_type")
    stamp = engine.epoch_us(when) if when.type().is_timestamp() else when
    if begin:
        source = source.filter(stamp >= _micros(begin))
    if finish:
        source = source.filter(stamp < _micros(finish))
    if ask.pages is not None and ask.page_key is None:
        source = source.filter(source[ask.page_col].isin(ask.pages))
    if ask.where is not None:
        source = source.filter(engine.parse_where(ask.where).to_ibis(source))
    if ask.user_shard is not None:
        part, of = ask.user_shard
        if not 0 <= part < of:
            msg = f"user_shard is {ask.user_shard}; it must be (k, n) with 0 <= k < n;"
            raise ParameterError(f"{msg} pass (0, 4) to (3, 4).", code="bad_shard")
        text = source[ask.user_col].cast("string")
        bucket = engine.stable_bucket(text, of, "heatmap")
        source = source.filter(bucket == part)
    return source


def _micros(when: datetime) -> int:
    return (when - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def taps_of(table: TableLike, ask: Ask) -> ir.Table:
    from growth import engine

    source = engine.as_table(table)
    if "event" in source.columns:
        source = source.filter(source["event"] == "tap")
    return _bounded(source, ask)


def _read(
    source: ir.Table,
    ask: Ask,
    names: Sequence[str],
    *,
    text: Sequence[str] = ("element_id",),
    codes: Mapping[str, Any] | None = None,
    shard: bool = False,
) -> Iterator[Rows]:
    """Read columns that are there as arrays, all rows of a user in one part.

    `codes` are integer expressions to read beside them, by name. Users, pages and
    texts are numbered in their own order, so that row order shows nowhere.
    """
    from growth import engine

    columns, words = _selection(source, ask, names, text)
    columns |= codes or {}
    batches = engine.stream_batches(source.select(**columns), batch_rows=1 << 20)
    store = Store(list(columns), {"user", "page", *words}, shard=shard)
    for batch in batches:
        store.add(batch)
    for part in store.parts():
        yield _rows(part, ask, words)


def _selection(
    source: ir.Table, ask: Ask, names: Sequence[str], text: Sequence[str]
) -> tuple[dict[str, Any], list[str]]:
    import ibis

    from growth import engine

    when = source[ask.time_col]
    micros = engine.epoch_us(when) if when.type().is_timestamp() else when
    columns: dict[str, Any] = {
        "user": source[ask.user_col],
        "page": source[ask.page_col],
        "ts": micros,
    }
    words = []
    for name in names:
        if name not in source.columns:
            continue
        column = source[name]
        if name == "platform":
            desktop = column.isin(DESKTOPS).fill_null(ibis.literal(value=False))
            columns["desktop"] = desktop.cast("int8")
        elif name == "phase":
            columns[name] = ibis.cases(
                *(
                    (column == word, ibis.literal(n, "int8"))
                    for word, n in PHASES.items()
                ),
                else_=ibis.literal(0, "int8"),
            )
        elif name == "event_id":
            if column.type().is_integer():
                columns[name] = column.cast("int64").fill_null(-1)
        elif name == "element_index":
            columns[name] = _place(name, column)
        elif name in text:
            columns[name] = column.cast("string")
            words.append(name)
        else:
            columns[name] = _number(name, column)
    for name in ask.columns:
        if name == "day":
            columns["by_day"] = engine.local_day(when, ask.tz).cast("int32")
        elif name != "variant" or ask.assignments is None:
            need(source, (name,), f"the map by {name}")
            columns[f"by_{name}"] = source[name].cast("string")
            words.append(f"by_{name}")
    return columns, words


def _place(name: str, column: Any) -> Any:  # noqa: ANN401
    """Return places in a list: -1 for none, NO_PLACE for what cannot be one."""
    import ibis

    kind = column.type()
    if not kind.is_integer() and not kind.is_floating():
        msg = f"column {name!r} is {kind}; it must be whole numbers from 0 on; cast it."
        raise DataError(msg, code="column_type")
    none = column.isnull()
    wrong = (column < 0) | (column > MOST_PLACES)
    if kind.is_floating():  # as a frame has whole numbers with gaps
        none |= column.isnan()
        wrong |= column != column.floor()
    inside = ibis.cases((none | wrong, ibis.literal(0, kind)), else_=column)
    return ibis.cases(
        (none, ibis.literal(-1, "int32")),
        (wrong, ibis.literal(NO_PLACE, "int32")),
        else_=inside.cast("int32"),
    )


def _number(name: str, column: Any) -> Any:  # noqa: ANN401
    kind = column.type()
    if not kind.is_numeric():
        msg = f"column {name!r} is {kind}; it must be a number of logical px; cast it."
        raise DataError(msg, code="column_type")
    # as canonical tables store it, so that a frame gives the map its dataset gives
    return column if kind == "float32" else column.cast("float32")


def _rows(part: Mapping[str, Any], ask: Ask, words: Sequence[str]) -> Rows:
    columns, texts = dict(part["columns"]), part["words"]
    if not columns:
        columns = {"user": np.zeros(0, np.int64), "page": np.zeros(0, np.int32)}
        columns["ts"] = np.zeros(0, np.int64)
        columns |= {f"by_{name}": np.zeros(0, np.int32) for name in ask.columns}
    user, users = _users(columns.pop("user"), texts.get("user"), part.get("shard"))
    names = texts["page"].to_pylist() if "page" in texts else []
    page, pages = _pages(columns.pop("page"), names, ask)
    ts = columns.pop("ts").astype(np.int64, copy=False)
    parts, values = [page], [list(pages)]
    for name in ask.columns:
        codes, seen = _by(name, columns, texts, user, users, ask)
        parts.append(codes)
        values.append(seen)
    if len(parts) == 1:
        group, groups = page, tuple((i,) for i in range(len(pages)))
    else:
        group, code = grouped(parts, [len(v) for v in values])
        groups = tuple(
            (row[0], *(v[c] if c >= 0 else None
                       for v, c in zip(values[1:], row[1:], strict=True)))
            for row in code.tolist()
        )  # fmt: skip
    found = Rows(
        user, users, page, pages, group.astype(np.int32, copy=False), groups,
        ask.columns, ts, columns,
        {n: tuple(texts[n].to_pylist()) if n in texts else () for n in words},
    )  # fmt: skip
    if ask.page_key is not None and ask.pages is not None:
        found = found.take(np.isin(page, [i for i, p in enumerate(pages)
                                          if p in ask.pages]))  # fmt: skip
    return _checked(found)


def _users(
    values: NDArray[Any],
    words: Any,  # noqa: ANN401
    shard: int | None,
) -> tuple[NDArray[np.int32], Any]:
    """Return dense numbers of users, in the order of their ids."""
    if shard is not None:  # ids of one part are so many apart
        number, nth = _users(values // SHARDS, None, None)
        return number, nth * SHARDS + shard
    if words is not None:
        return values.astype(np.int32, copy=False), words
    if not len(values):
        return values.astype(np.int32), np.zeros(0, np.int64)
    low, high = int(values.min()), int(values.max())
    if high - low < max(4 * len(values), 1 << 22):
        return (values - low).astype(np.int32), np.arange(low, high + 1)
    ids, place = np.unique(values, return_inverse=True)
    return place.astype(np.int32), ids


def _pages(
    codes: NDArray[Any], names: list[str], ask: Ask
) -> tuple[NDArray[np.int32], tuple[str, ...]]:
    """Return pages by number; a row without a path is of page ""."""
    key = ask.page_key
    if key is None:
        named = names
    elif isinstance(key, Mapping):
        named = [key.get(name, name) for name in names]
    else:
        named = [str(key(name)) for name in names]
    nowhere = {""} if (codes < 0).any() else set()
    pages: list[str] = sorted({*named, *nowhere})
    place = {name: i for i, name in enumerate(pages)}
    number = np.array([place[n] for n in named] + [place.get("", -1)], np.int32)
    return number[codes], tuple(pages)


def _by(
    name: str,
    columns: dict[str, Any],
    texts: Mapping[str, Any],
    user: NDArray[np.int32],
    users: Any,  # noqa: ANN401
    ask: Ask,
) -> tuple[NDArray[Any], list[str]]:
    """Return the codes and values of one breakdown."""
    if name == "day":
        days = columns.pop("by_day")
        low = int(days.min(initial=0)) if len(days) else 0
        first = int(days[days >= 0].min()) if (days >= 0).any() else low
        span = int(days.max(initial=first)) - first + 1
        words = [str(np.datetime64(first + i, "D")) for i in range(span)]
        return np.where(days >= 0, days - first, -1), words
    if name == "variant" and ask.assignments is not None:
        arm, arms, _ = arms_of(users, ask)
        return arm[user] if len(user) else user, list(arms)
    found = columns.pop(f"by_{name}")
    return found, texts[f"by_{name}"].to_pylist() if f"by_{name}" in texts else []


def arms_of(users: Any, ask: Ask) -> tuple[NDArray[np.int32], tuple[str, ...], int]:  # noqa: ANN401
    """Return each user's arm (-1: none, or two), the arms, and users in two."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from growth import engine

    table = engine.as_table(ask.assignments)
    need(table, ("unit_id", "variant"), "maps by arm")
    if ask.exp_id is not None:
        need(table, ("exp_id",), "one experiment of several")
        table = table.filter(table["exp_id"] == ask.exp_id)
    rows = table.select(unit=table["unit_id"], arm=table["variant"].cast("string"))
    units = rows.group_by("unit").agg(low=rows.arm.min(), high=rows.arm.max())
    found = engine.fetch(units, "reading assignments")
    if not found.num_rows:
        msg = f"no assignment of experiment {ask.exp_id!r}; there must be two arms;"
        raise DataError(f"{msg} check exp_id.", code="no_units")
    low, high = found["low"].combine_chunks(), found["high"].combine_chunks()
    arms = sorted({*low.to_pylist(), *high.to_pylist()} - {None})
    code = np.asarray(pc.index_in(low, pa.array(arms, pa.string())).fill_null(-1))
    two = np.asarray(pc.not_equal(low, high).fill_null(pa.scalar(value=False)))
    ids = found["unit"].combine_chunks()
    known = users if isinstance(users, pa.Array) else pa.array(users)
    arm = np.append(np.where(two, -1, code), -1).astype(np.int32)
    if not len(known):  # of no type either
        return arm[:0], tuple(arms), int(two.sum())
    place = np.asarray(pc.index_in(known, ids.cast(known.type)).fill_null(-1))
    return arm[place], tuple(arms), int(two.sum())


def _checked(rows: Rows) -> Rows:
    """Refuse what would be a wrong map: other units, times that are no epoch."""
    if len(rows) and int(rows.ts.min()) < EARLIEST_US:
        seen = int(rows.ts.min()) // 1000
        msg = f"the earliest time is {seen} ms after 1970; it must be from 1992 on;"
        msg = f"{msg} event.timeStamp counts from the page's start: log Date.now()."
        raise DataError(msg, code="epoch_expected")
    x, w = rows["x_px"], rows["win_w_px"]
    if len(x) and len(w):
        known = np.isfinite(x) & (w > 0)
        ratio = x[known] / w[known]
        if len(ratio) and float((ratio > MUCH_WIDER).mean()) > 0.01:
            msg = f"x_px over win_w_px is {np.quantile(ratio, 0.99):.2f} at its 99th"
            msg = f"{msg} percentile; it must be at most 1: x_px seems to be in device"
            msg = f"{msg} pixels; divide by pixelRatio."
            raise DataError(msg, code="mixed_units")
    return rows


def _viewers(table: TableLike, ask: Ask, wanted: str) -> dict[Any, int]:
    """Count distinct users with a page_view, by page and breakdown."""
    from growth import engine

    source = engine.as_table(table)
    if "event" not in source.columns:
        return {}
    views = _bounded(source.filter(source["event"] == "page_view"), ask)
    names = ["win_w_px", "win_h_px", "platform"]
    found: dict[Any, int] = {}
    for rows in _read(views, ask, names, shard=True):
        kept = rows
        if len(rows["win_w_px"]):
            kept = rows.take(device_codes(rows) == CLASSES.index(wanted))
        once = CellUsers.of(kept.group, kept.user)
        counts = np.bincount(once.cell, minlength=len(kept.groups))
        for (page, *values), n in zip(kept.groups, counts.tolist(), strict=True):
            key = (kept.pages[page], tuple(values))
            found[key] = found.get(key, 0) + n
    return found


def read_log(
    table: TableLike,
    ask: Ask,
    kinds: Sequence[str] | None,
    names: Sequence[str],
    unlocks: str,
    needed: Sequence[str] = (),
    failed: Any = None,  # noqa: ANN401
) -> Rows:
    """Read events of some kinds (None: all) with their kind, of every page."""
    import ibis

    from growth import engine

    source = engine.as_table(table)
    need(source, ("event", *needed), unlocks)
    event = source["event"]
    if kinds is not None:
        source = source.filter(event.isin([*kinds, *(["api_call"] if failed else [])]))
    source = _bounded(source, ask._replace(page=None))
    event = source["event"]
    cases = [(event == name, ibis.literal(i, "int8")) for i, name in enumerate(KINDS)]
    if failed is not None:
        went_wrong = engine.parse_where(failed).to_ibis(source)
        is_call = (event == "api_call") & went_wrong
        cases.append((is_call.fill_null(ibis.literal(value=False)),
                      ibis.literal(len(KINDS), "int8")))  # fmt: skip
    kind = ibis.cases(*cases, else_=ibis.literal(OTHER, "int8"))
    return read_whole(source, ask._replace(page=None), names, codes={"kind": kind})


def read_whole(source: ir.Table, ask: Ask, names: Sequence[str], **more: Any) -> Rows:  # noqa: ANN401
    """Read a table whole."""
    (rows,) = _read(source, ask, names, **more)
    return rows


def on_page(rows: Rows, wanted: str, echo_ms: int) -> tuple[Rows, dict[str, int]]:
    """Return the taps that a map would show, and what became of all."""
    from growth.heatmap import kernels

    if not len(rows):
        return rows, dict.fromkeys(COUNTED, 0)
    status, _, _, excluded = cleaned(rows, wanted, echo_ms)
    side = np.zeros(4, np.int64)
    kernels.place(
        rows["x_px"], rows["y_px"], rows["win_w_px"], rows["page_h_px"], excluded,
        750, 2**31, status, side,
    )  # fmt: skip
    counts = np.bincount(status, minlength=len(COUNTED)).tolist()
    return rows.take(status == kernels.BINNED), dict(zip(COUNTED, counts, strict=True))


def views_of(table: TableLike, ask: Ask, wanted: str) -> Rows | None:
    """Return the page views of a class of devices, None where none are logged."""
    from growth import engine

    source = engine.as_table(table)
    if "event" not in source.columns:
        return None
    views = _bounded(source.filter(source["event"] == "page_view"), ask)
    rows = read_whole(views, ask, ["win_w_px", "win_h_px", "platform"])
    if len(rows["win_w_px"]):
        rows = rows.take(device_codes(rows) == CLASSES.index(wanted))
    return rows if len(rows) else None


def asked_pages(log: Rows, ask: Ask) -> NDArray[np.bool_]:
    """Return which rows lie on the pages asked for."""
    if ask.pages is None:
        return np.ones(len(log), bool)
    named = [i for i, page in enumerate(log.pages) if page in ask.pages]
    return np.isin(log.page, named)
