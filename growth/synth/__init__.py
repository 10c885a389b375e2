"""A sample merchant with known truth, and the pieces it is made of.

`sample` writes a whole dataset; `retention`, `funnel`, `experiment`, `taps`,
`orders` make one table each, so cheaply that a hundred seeds are no trouble.
Every piece comes with what is true of it::

    piece = synth.experiment(seed=1, lift={"treatment": 0.1})
    piece.data, piece.truth["effect"]
"""

from growth.synth.base import Piece
from growth.synth.buying import BuyingModel, orders
from growth.synth.merchant import SampleReport, sample
from growth.synth.messaging import messages
from growth.synth.returning import power_curve, retention
from growth.synth.tapping import taps
from growth.synth.units import experiment
from growth.synth.walking import Walk, funnel

__all__ = [
    "BuyingModel",
    "Piece",
    "SampleReport",
    "Walk",
    "experiment",
    "funnel",
    "messages",
    "orders",
    "power_curve",
    "retention",
    "sample",
    "taps",
]
