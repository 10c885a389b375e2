import numpy as np
import pytest

from growth import synth


def _breaches(rows):
    """Count sends for which no unused grant of that user and template is left."""
    rows = rows[rows["channel"] == "subscribe"]
    bad = 0
    for _, mine in rows.groupby(["user_id", "template_id"]):
        left = 0
        for action in mine.sort_values("ts")["action"]:
            left += action == "grant"
            if action == "send":
                bad += left == 0
                left = max(left - 1, 0)
    return bad


def test_ledger_counts_are_the_truth():
    piece = synth.messages(seed=6, users=3_000)
    rows, told = piece.data.to_pandas(), piece.truth
    mine = rows[rows["channel"] == "subscribe"]["action"].value_counts()
    assert mine["grant"] == told["grants"]
    assert mine["deny"] == told["denies"]
    assert mine["send"] == told["sends"]
    assert mine["fail"] == told["failed"]
    assert mine["deliver"] + mine["fail"] == told["sends"] - told["sends_without_grant"]
    assert mine["click"] < mine["deliver"]
    share = told["grants"] / (told["grants"] + told["denies"])
    assert abs(share - 0.6) < 4 * np.sqrt(0.24 / (told["grants"] + told["denies"]))
    assert rows["ts"].is_monotonic_increasing


def test_sends_without_a_grant_are_exactly_the_planted_ones():
    piece = synth.messages(seed=6, users=3_000)
    assert piece.truth["sends_without_grant"] >= 5
    assert _breaches(piece.data.to_pandas()) == piece.truth["sends_without_grant"]


def test_chats_get_at_most_five_replies_but_for_the_planted_ones():
    piece = synth.messages(seed=2, users=20_000, yes_rate=0.0)
    rows = piece.data.to_pandas()
    talk = rows[rows["channel"] == "customer_service"]
    replies = talk[talk["action"] == "send"].groupby("user_id").size()
    assert len(replies) == piece.truth["chats"]
    assert (replies > 5).sum() == piece.truth["replies_over_quota"] > 0
    opened = talk[talk["action"] == "user_message"].set_index("user_id")["ts"]
    late = talk[talk["action"] == "send"]
    hours = (late["ts"] - late["user_id"].map(opened)).dt.total_seconds() / 3600
    assert hours.between(0, 48).all()


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_all_or_none_may_agree(rate):
    told = synth.messages(seed=1, users=50, yes_rate=rate).truth
    assert (told["grants"] == 0) is (rate == 0)
    assert (told["denies"] == 0) is (rate == 1)
