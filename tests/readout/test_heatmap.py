"""The heatmap readout's own pieces."""

from datetime import date

import pyarrow as pa
import pytest

from growth import heatmap, synth
from growth.readout import HeatmapParams
from growth.readout import heatmap as room

PAGE = "pages/item/detail"


@pytest.fixture(scope="module")
def found():
    piece = synth.taps(seed=3, users=2_500)
    events = piece.data
    users = sorted(set(events["user_id"].to_pylist()))
    arms = pa.table(
        {
            "unit_id": users,
            "variant": ["A" if i % 2 else "B" for i in range(len(users))],
        }
    )
    params = HeatmapParams(data="x", page=PAGE, as_of=date(2026, 2, 28))
    scope = params.scope()
    result = {
        "taps": heatmap.aggregate(events, users=True, pairs=True, **scope),
        "first": heatmap.first_screen(events, **scope),
        "reach": heatmap.scroll(events, **scope),
        "ranks": heatmap.elements(events, **scope),
        "anger": heatmap.frustration(events, **scope),
        "areas": heatmap.zones(events, **scope),
    }
    compared = [
        heatmap.compare(events, assignments=arms, kind=kind, rounds=99, **scope)
        for kind in ("elements", "cells")
    ]
    by_arm = heatmap.aggregate(
        events, users=True, pairs=True, by="variant", assignments=arms, **scope
    )
    return params, result, compared, by_arm


def decision(found):
    _, r, (moved, _), _ = found
    return room.decided_on(r["taps"], r["first"], r["ranks"], r["anger"], moved)


def test_what_is_to_be_mended_is_named(found):
    answer = decision(found)
    assert answer.verdict == "heatmap.page.warn"
    reasons = {r.code: dict(r.args) for r in answer.reasons}
    dead = {dict(r.args)["element"] for r in answer.reasons if r.code == "dead_element"}
    assert "img_badge" in dead
    assert reasons["rage_spot"]["element"] == "btn_notify"
    assert "arms_not_shown" in reasons
    assert any(code.startswith("core_") for code in reasons)


@pytest.mark.parametrize(
    ("lang", "words"), [("en", "hardly ever tapped"), ("zh", "几乎无人点击")]
)
def test_every_piece_speaks_one_language_and_escapes(found, lang, words):
    params, r, (moved, by_cell), by_arm = found
    answer = decision(found)
    head = room.summary(answer, r["taps"], r["first"], r["reach"], lang=lang)
    assert words in head.html
    assert head.html.count("<b>") == 4
    blocks = [
        room.map_block(r["taps"], by_arm, by_cell, r["first"], params, lang=lang),
        room.map_block(r["taps"], None, None, r["first"], params, lang=lang),
        room.differences(moved, lang=lang),
        room.differences(None, lang=lang),
        room.elements_table(r["ranks"], lang=lang),
        room.zones_table(r["areas"], lang=lang),
        room.frustration_table(r["anger"], lang=lang),
        room.checks(r["taps"], r, moved, lang=lang),
    ]
    html = "".join(block.html for block in blocks)
    assert "<script" not in html
    assert "data:image/png;base64," in html
    assert len(html) < 120_000
    other = "Where people tap" if lang == "zh" else "愤怒连点"
    assert other not in html
    assert "A | B | " in html


def test_the_charts_are_named(found):
    _, r, _, _ = found
    drawn = room.drawings(r["reach"], r["ranks"], r["first"])
    assert list(drawn) == ["scroll", "elements", "core"]


def test_a_page_few_tapped_is_not_judged(found):
    events = synth.taps(seed=3, users=8).data
    scope = found[0].scope()
    answer = room.decided_on(
        heatmap.aggregate(events, **scope),
        heatmap.first_screen(events, **scope),
        heatmap.elements(events, **scope),
        heatmap.frustration(events, **scope),
        None,
    )
    assert answer.verdict == "heatmap.page.few"


def test_the_period_is_whole_days_up_to_as_of():
    params = HeatmapParams(
        data="x", page="p", as_of=date(2026, 2, 28), days=7, fixed_elements="a, b,"
    )
    assert params.start == date(2026, 2, 22)
    assert params.scope()["end"] == date(2026, 3, 1)
    assert params.map_scope()["fixed_elements"] == ("a", "b")
