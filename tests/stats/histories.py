"""Public purchase histories as (x, t_x, T), in weeks, as their papers print them."""

from decimal import ROUND_HALF_UP, Decimal
from typing import NamedTuple

import numpy as np
import pandas as pd


class Histories(NamedTuple):
    x: np.ndarray
    t_x: np.ndarray
    T: np.ndarray
    repeat_mean: np.ndarray  # of repeat orders; NaN without


def purchase_days(path):
    """Return customer, day and amount of each purchase day of a CDNOW file."""
    rows = pd.read_csv(path, sep=r"\s+", header=None)
    customer = rows.columns[-4]  # the sample has its own numbers in a second column
    frame = pd.DataFrame(
        {
            "customer": rows[customer],
            "day": pd.to_datetime(rows[rows.columns[-3]].astype(str)),
            "amount": rows[rows.columns[-1]],
        }
    )
    return frame.groupby(["customer", "day"], as_index=False)["amount"].sum()


def histories(days, end, *, decimals=None):
    """Return what is known of each customer at the end of a day."""
    known = days[days.day <= end]
    by = known.groupby("customer").day.agg(["min", "max", "count"])
    weeks = [(by["max"] - by["min"]).dt.days / 7, (end - by["min"]).dt.days / 7]
    later = known[known.day > known.customer.map(by["min"])]
    mean = later.groupby("customer").amount.mean().reindex(by.index)
    times = [w.to_numpy() if decimals is None else w.round(decimals).to_numpy()
             for w in weeks]  # fmt: skip
    return Histories(by["count"].to_numpy() - 1, *times, mean.to_numpy())


def cents(values):
    """Round half up, as the published sheet does; exact sums of cents."""
    cent = Decimal("0.01")
    return np.array(
        [float(Decimal(f"{v:.6f}").quantize(cent, ROUND_HALF_UP)) for v in values]
    )
