"""The lifecycle, read from a table of events."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from growth import engine
from growth.retention.calendar import DAY_US
from growth.retention.counting import MOST_WORDS, slots_of
from growth.retention.living import Lifecycle, from_bits, from_keys, shown
from growth.retention.tables.reading import Reading
from growth.retention.tables.remarks import left_out
from growth.stats.lifecycle import LifecycleCounts

if TYPE_CHECKING:
    import ibis.expr.types as ir

    from growth.retention.spec import RetentionSpec
    from growth.retention.tables.asking import Columns
    from growth.stats.lifecycle import Scheme

__all__ = ["Living"]


class Living:
    """One pass over the rows of a lifecycle."""

    def __init__(
        self, spec: RetentionSpec, scheme: Scheme, events: ir.Table, columns: Columns
    ) -> None:
        self.spec, self.scheme = spec, scheme
        self.reading = Reading(spec, events, None, columns)
        self.cohorts = spec.cohorts
        # intervals before the range that are told apart: one more than the longest cut
        self.early = spec.first - max(scheme.cuts) - 1

    def result(self) -> Lifecycle:
        """Count, then say what the counts rest on."""
        spec = self.spec
        n, kinds = len(self.cohorts), len(self.scheme.states)
        moves = np.zeros((n, kinds + 1, kinds), dtype=np.int64)
        notices = self.reading.about.history()
        if n:
            found = self._moves()
            moves = found.values[0]
            notices += [left_out(name, rows) for name, rows in found.left_out.items()]
        if not moves.any():
            self.reading.about.need_start()
        counts = LifecycleCounts(self.scheme, spec.first, moves.sum(axis=1), moves)
        return shown(
            counts,
            period=spec.period,
            intervals=[spec.intervals.name(i) for i in self.cohorts],
            complete=[spec.ends(i, None) <= spec.known for i in self.cohorts],
            notices=notices,
        )

    def _moves(self) -> engine.ByUser:
        spec = self.spec
        begin = spec.intervals.start(self.early)
        end = min(spec.as_of, spec.intervals.start(spec.last + 1))
        slots = slots_of(replace(spec, start=begin, end=end), end)
        interval = slots.interval.copy()
        interval[0] = self.early - 1  # before all that are told apart
        rows = self.reading.activity(end)
        ask: tuple[Any, ...] = (interval, spec.first, spec.last + 1, self.scheme)
        if slots.words <= MOST_WORDS:
            from growth.retention import kernels

            return engine.fold_by_user(
                rows,
                columns={"ts": "ts"},
                state={"seen": ("int64", slots.words)},
                kernel=kernels.mark,
                finish=from_bits,
                params=(*slots.clock, slots.last),
                finish_params=ask,
                user_col=self.reading.columns.user,
            )
        day = engine.local_day(rows.raw, spec.tz) - (slots.origin // DAY_US - 1)
        key = [engine.KeyPart("day", (day < 0).ifelse(0, day), 0, slots.last)]
        shift = engine.key_shifts(key)[-1]
        return engine.map_by_user(
            rows,
            key=key,
            kernel=from_keys,
            params=(shift, *ask),
            user_col=self.reading.columns.user,
        )
