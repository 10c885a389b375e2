"""The counting of one question: how rows are folded, and with what."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final, NamedTuple, TypeAlias

import numpy as np

from growth import engine
from growth.engine.days import offsets
from growth.retention.calendar import DAY_US, HOUR_US, microseconds

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from numpy.typing import NDArray

    from growth.engine import ByUser
    from growth.retention.spec import RetentionSpec

    Ints = NDArray[np.int64]

__all__ = [
    "CLOCKS",
    "MOST_WORDS",
    "POOL",
    "RETURN",
    "START",
    "Ask",
    "Slots",
    "by_chunks",
    "slots_of",
]

Rows: TypeAlias = Any  # an Ibis table with columns u, ts, flags and perhaps code

MOST_WORDS: Final = 16  # of a bitmap; beyond it sorted rows are smaller
CODE_BITS: Final = 62  # of what is known of a user's first event
POOL, START, RETURN = 1, 2, 4  # as in kernels
CLOCKS: Final = {"calendar": 0, "rolling_24h": 1, "rolling_24h_hour": 2}
LONG_AGO: Final = -(2**40)  # the interval of everything before the range


class Slots(NamedTuple):
    """Days or hours of the range read: 0 is before it, 1 its first."""

    length: int
    origin: int
    last: int
    interval: Ints
    cohort: Ints
    edges: Ints
    shifts: Ints

    @property
    def words(self) -> int:
        """Words of a bitmap of all slots."""
        return self.last // 63 + 1

    @property
    def clock(self) -> tuple[Ints, Ints, int, int]:
        """What kernels need to find an instant's slot."""
        return self.edges, self.shifts, self.length, self.origin


def slots_of(spec: RetentionSpec, until: datetime) -> Slots:
    """Return the days or hours to be told apart.

    Parameters
    ----------
    spec : RetentionSpec
        The question.
    until : datetime
        The instant from which no row matters, aware.

    Returns
    -------
    Slots
        From the range's first on; what came before is slot 0.
    """
    shape = spec.intervals
    hours = spec.period == "hour"
    length = HOUR_US if hours else DAY_US
    begin, stop = microseconds(spec.start), microseconds(until)
    if hours:
        edges, shifts = np.zeros(0, np.int64), np.array([shape.fraction_us])
        first = (begin + shape.fraction_us) // HOUR_US
        final = (stop - 1 + shape.fraction_us) // HOUR_US
    else:
        starts, held = offsets(spec.tz)
        inside = [i for i, us in enumerate(starts) if begin - DAY_US < us < stop]
        low = inside[0] if inside else sum(us <= begin for us in starts)
        edges = np.array([starts[i] for i in inside], dtype=np.int64)
        shifts = np.array(held[low : low + len(inside) + 1], dtype=np.int64)
        first = (begin + shape.offset_us(spec.tz, spec.start)) // DAY_US
        latest = until - timedelta(microseconds=1)
        final = (stop - 1 + shape.offset_us(spec.tz, latest)) // DAY_US
    units = np.arange(first, final + 1, dtype=np.int64)
    interval = units if hours else shape.of_days(units)
    closing = spec.end - timedelta(microseconds=1)
    shift = shape.fraction_us if hours else shape.offset_us(spec.tz, closing)
    in_range = units <= (microseconds(closing) + shift) // length
    cohort = np.where(in_range, interval - spec.first, -1)
    return Slots(
        length=length,
        origin=int(first) * length,
        last=len(units),
        interval=np.concatenate([[LONG_AGO], interval]),
        cohort=np.concatenate([[-1], cohort]),
        edges=edges,
        shifts=shifts,
    )


class Ask(NamedTuple):
    """The counting itself: which kernel, with what."""

    spec: RetentionSpec
    slots: Slots
    shape: tuple[int, int]
    complete: NDArray[np.bool_]
    groups: int
    step: int
    user: str

    def run(self, rows: Rows) -> tuple[Ints, Ints, Any, dict[str, int]]:
        """Return size, kept, squares, and rows left out."""
        plan = self.plan()
        found = getattr(self, f"_{plan}")(rows)
        size, kept, squares = found.values
        return size, kept, squares, found.left_out

    def plan(self) -> str:
        """Return how the rows are to be folded; the answer does not hang on it."""
        spec = self.spec
        if (
            spec.clock != "calendar"
            or spec.min_occurrences > 1
            or self.slots.words > MOST_WORDS
            or (spec.mode == "every" and (spec.by or not self.aligned))
        ):
            return "sorted"
        if spec.mode == "every":
            return "bits"
        filtered = any(e.where is not None for e in spec.start_event)
        exact = filtered and spec.mode == "first_ever" and not spec.from_table
        if not (spec.by or exact) and self.aligned:
            return "bits"
        return "first" if self.code_bits <= CODE_BITS else "sorted"

    @property
    def aligned(self) -> bool:
        """Whether the range begins and ends with a slot."""
        length = self.slots.length
        for edge in (self.spec.start, self.spec.end):
            shift = (
                self.spec.intervals.fraction_us
                if self.spec.period == "hour"
                else self.spec.intervals.offset_us(self.spec.tz, edge)
            )
            if (microseconds(edge) + shift) % length:
                return False
        return True

    @property
    def epoch(self) -> int:
        """Where instants are counted from, in microseconds since 1970."""
        return microseconds(self.spec.start)

    @property
    def group_bits(self) -> int:
        """Bits a group takes."""
        return max(self.groups - 1, 0).bit_length()

    @property
    def code_bits(self) -> int:
        """Bits of what is known of a user's first event."""
        span = microseconds(self.spec.as_of) - self.epoch
        return (span + 2).bit_length() + 1 + self.group_bits

    @property
    def columns(self) -> tuple[Ints, Ints]:
        """First and last column a return at each offset counts for."""
        windows = self.spec.windows
        finite = [high for _, high in windows if high is not None]
        farthest = max(finite) if len(finite) == len(windows) else self._span()
        o = np.arange(farthest + 1)
        starts = np.array([low for low, _ in windows])
        stops = np.array([farthest if high is None else high for _, high in windows])
        high = np.searchsorted(starts, o, side="right") - 1
        low = np.searchsorted(stops, o, side="left")
        empty = low > high
        return np.where(empty, 0, low), np.where(empty, -1, high)

    def _span(self) -> int:
        """Return the largest offset there can be."""
        spec = self.spec
        whole = spec.as_of - spec.intervals.start(spec.first)
        return whole // min(spec.intervals.rolling, timedelta(days=28)) + 2

    @property
    def last(self) -> tuple[Ints, int]:
        """The last cohort complete at each column, and at all of them."""
        columns = self.complete[:, 1:]
        count = columns.sum(axis=0) - 1
        return count.astype(np.int64), int(columns.all(axis=1).sum()) - 1

    def from_bits(self, rows: Rows, first_day: int, block_days: int) -> ByUser:
        """Count from bits of days that stand ready.

        Parameters
        ----------
        rows : ibis.Table
            Columns ``user_idx``, ``block`` and ``bits``; ``flags`` where starts and
            returns differ.
        first_day : int
            The local day of slot 1.
        block_days : int
            Days of a block.

        Returns
        -------
        ByUser
            As of the rows of events the bits were made from.
        """
        from growth.retention import kernels

        same = "flags" not in rows.columns
        columns = {"block": "block", "bits": "bits"}
        return self._folded(
            rows,
            columns=columns if same else columns | {"flags": "flags"},
            kernel=kernels.mark_bits if same else kernels.mark_bits_two,
            params=(block_days, first_day, int(self.spec.mode != "first_in_range")),
            same=same,
            user_col="user_idx",
        )

    def _bits(self, rows: Rows) -> ByUser:
        from growth.retention import kernels

        spec = self.spec
        same = spec.start_event == spec.return_event and not spec.from_table
        clock = (*self.slots.clock, self.slots.last)
        begins = START if spec.mode == "every" else POOL
        return self._folded(
            rows,
            columns={"ts": "ts"} if same else {"ts": "ts", "flags": "flags"},
            kernel=kernels.mark if same else kernels.mark_two,
            params=clock if same else (*clock, begins),
            same=same,
            user_col=self.user,
        )

    def _folded(
        self,
        rows: Rows,
        *,
        columns: Mapping[str, str],
        kernel: Any,  # noqa: ANN401
        params: tuple[Any, ...],
        same: bool,
        user_col: str,
    ) -> ByUser:
        """Fold rows into bitmaps, one or two a user, and count them."""
        from growth.retention import kernels

        slots, every = self.slots, self.spec.mode == "every"
        low, high = self.columns
        word = ("int64", slots.words)
        if same:
            state = {"seen": word}
            finish: Any = (
                kernels.tally_every_same if every else kernels.tally_lowest_same
            )
        else:
            state = {"starts": word, "returns": word}
            finish = kernels.tally_every if every else kernels.tally_lowest
        ask: tuple[Any, ...] = (
            slots.interval, slots.cohort, slots.last, low, high, *self.shape,
        )  # fmt: skip
        return engine.fold_by_user(
            rows,
            columns=columns,
            state=state,
            kernel=kernel,
            finish=finish,
            params=params,
            finish_params=(*ask, *self.last) if every else ask,
            user_col=user_col,
        )

    def _first(self, rows: Rows) -> ByUser:
        from growth.retention import kernels

        slots, (low, high) = self.slots, self.columns
        columns = {"ts": "ts", "flags": "flags"}
        if self.spec.by:
            columns["code"] = "code"
        else:
            rows = rows.mutate(code=rows.flags * 0)
            columns["code"] = "code"
        tail = (self.epoch, self.group_bits)
        return engine.fold_by_user(
            rows,
            columns=columns,
            state={"first": ("int64", 1), "returns": ("int64", slots.words)},
            kernel=kernels.mark_first,
            finish=kernels.tally_first,
            params=(*slots.clock, slots.last, *tail),
            finish_params=(
                slots.interval,
                slots.cohort,
                slots.last,
                low,
                high,
                self.groups,
                *self.shape,
                *slots.clock,
                *tail,
            ),
            user_col=self.user,
        )

    def _sorted(self, rows: Rows) -> ByUser:
        from growth.retention import kernels

        spec, slots, (low, high) = self.spec, self.slots, self.columns
        key, packed = self._key(rows)
        bins = np.arange(len(low))
        if spec.brackets is not None:
            bins = np.where(low <= high, low, -1)
        last, common = self.last
        params: tuple[Any, ...] = (
            *packed, slots.interval, slots.cohort, slots.last, low, high, bins,
            *slots.clock, *self._watch(), spec.mode == "every", spec.min_occurrences,
            self.groups, *self.shape, last, common,
        )  # fmt: skip
        if not spec.by:
            params = (np.zeros(0, np.int64), *params)
        return engine.map_by_user(
            rows,
            key=key,
            kernel=kernels.tally_sorted,
            params=params,
            payload={"code": "code"} if spec.by else None,
            user_col=self.user,
        )

    def spend(self, rows: Rows, columns: int) -> ByUser:
        """Place orders by offset from their user's start.

        Parameters
        ----------
        rows : ibis.Table
            With a column ``amount``, and ``code`` where there is a breakdown.
        columns : int
            Offsets kept.

        Returns
        -------
        ByUser
            Rows of cohort, group, offset, fen and orders.
        """
        from growth.retention import kernels

        slots = self.slots
        key, packed = self._key(rows)
        params: tuple[Any, ...] = (
            *packed, slots.interval, slots.cohort, slots.last, *slots.clock,
            *self._watch(), columns,
        )  # fmt: skip
        payload = {"amount": "amount"}
        if self.spec.by:
            payload["code"] = "code"
        else:
            params = (np.zeros(0, np.int64), *params)
        return engine.map_by_user(
            rows,
            key=key,
            kernel=kernels.spend_rows,
            params=params,
            payload=payload,
            out="rows",
            user_col=self.user,
        )

    def _key(self, rows: Rows) -> tuple[list[engine.KeyPart], tuple[int, ...]]:
        """Return the key of user, time and flags, and how it is unpacked."""
        step = self.step if self.epoch % self.step == 0 else 1
        before = self.epoch - step
        latest = max(microseconds(self.spec.as_of), self.epoch + 1)
        early = (rows.ts < before).ifelse(before, rows.ts)
        key = [
            engine.KeyPart("ts", early, before, latest, step),
            engine.KeyPart("flags", "flags", 0, 7),
        ]
        time_shift, _, user_shift = engine.key_shifts(key)
        return key, (user_shift, time_shift, before, step)

    def _watch(self) -> tuple[int, int, int]:
        """Return the clock's number, its unit, and how hours lie."""
        spec = self.spec
        clock = CLOCKS[spec.clock]
        unit = 1 if not clock else spec.intervals.rolling // timedelta(microseconds=1)
        return (
            clock,
            unit // HOUR_US if clock == 2 else unit,
            spec.intervals.fraction_us,
        )


def by_chunks(
    ask: Ask, rows: Rows, groups: int, chunk: int
) -> tuple[Ints, Ints, Any, dict[str, int]]:
    """Count some groups at a time; those below and above are put into one each."""
    sizes, kepts, squares = [], [], []
    left: dict[str, int] = {}
    for begin in range(0, groups, chunk):
        n = min(chunk, groups - begin)
        inside = rows.code.between(begin, begin + n - 1)
        outside = (rows.code < begin).ifelse(0, n + 1)
        some = rows.mutate(code=inside.ifelse(rows.code - begin + 1, outside))
        size, kept, square, left = ask._replace(groups=n + 2).run(some)
        sizes.append(size[1 : n + 1])
        kepts.append(kept[1 : n + 1])
        if not begin:
            squares.append(square[:1])
        squares.append(square[2 : n + 2])
    return np.concatenate(sizes), np.concatenate(kepts), np.concatenate(squares), left
