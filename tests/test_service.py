"""A service asks from many threads at once, and hands on what it gets."""

import json
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date

import pytest

import growth
from growth import abtest, engine, funnel, heatmap, retention, segments, tiers

THREADS = 6
DAY = date(2026, 2, 28)
JANUARY = {"start": date(2026, 1, 1), "end": date(2026, 2, 1), "as_of": DAY}


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    folder = tmp_path_factory.mktemp("service") / "shop"
    growth.synth.sample(folder, users=1_500)
    return folder


def asked_of_tables(shop):
    """Everybody reads one opened dataset."""
    data = growth.open(shop)
    experiment = abtest.load_experiment(shop / "experiments" / "home_layout.toml")

    def watched():
        units = abtest.unit_table(data, experiment, as_of=DAY)
        return abtest.analyze(units.cache(), experiment)

    return asked(shop, data, data.events, data.orders, watched)


def asked_of_frames(shop):
    """Everybody hands over frames of their own."""
    data = growth.open(shop)
    experiment = abtest.load_experiment(shop / "experiments" / "home_layout.toml")
    units = engine.fetch(abtest.unit_table(data, experiment, as_of=DAY).table)
    events, orders = engine.fetch(data.events), engine.fetch(data.orders).to_pandas()

    def watched():
        return abtest.analyze(units.to_pandas(), experiment)

    tables = {"events": events, "orders": orders}
    return asked(shop, tables, events, orders, watched)


def asked(shop, data, events, orders, watched):
    rules = segments.packs.rules("frequency", "order_value", "behaviour")
    programme = tiers.load_programme(shop / "programme.toml")
    people = tiers.fit(orders, as_of=DAY, seed=1, replications=2)
    steps = ["page_view", "add_to_cart", "order_pay"]

    def tagged():
        tags = segments.tag(data, rules, as_of=DAY)
        names = rules["frequency"].names
        return segments.sizes(tags, "frequency", values=names, as_of=DAY, min_size=50)

    def simulated():
        kept = {"margin_rate": 0.3, "redemption": 0.1, "months": 3, "replications": 2}
        return tiers.simulate(people, programme, seed=1, **kept)

    def measured():
        return retention.measure(
            events, start_event="register", return_event="app_show", **JANUARY
        )

    return [
        watched,
        measured,
        tagged,
        simulated,
        lambda: funnel.measure(events, steps=steps, **JANUARY),
        lambda: heatmap.elements(events, page="pages/item/detail"),
        lambda: heatmap.aggregate(events, page="pages/item/detail", users=True),
    ]


def told(result):
    return json.dumps(result.to_dict(), default=str)


@pytest.mark.parametrize("made", [asked_of_tables, asked_of_frames])
def test_threads_get_the_answers_that_one_thread_gets(shop, made):
    questions = made(shop)
    alone = [told(one()) for one in questions]

    def many(first):
        order = [*range(len(questions))[first:], *range(first)]
        found = {i: told(questions[i]()) for i in order}
        return [found[i] for i in range(len(questions))]

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(many, range(THREADS))) == [alone] * THREADS


def test_no_result_tells_who(shop):
    """A notebook keeps what a cell shows, text and HTML; a log what is printed."""
    data = growth.open(shop)
    users = set(engine.fetch(data.events)["user_id"].to_pylist())
    users |= set(engine.fetch(data.orders)["user_id"].to_pylist())
    programme = tiers.load_programme(shop / "programme.toml")
    people = tiers.fit(data.orders, as_of=DAY, seed=1, replications=2)
    replayed = tiers.replay(
        data.orders, programme, as_of=DAY, ledger=data.points_ledger.head(20)
    )
    assert users >= set(people.ids)
    assert replayed.disagreements
    results = [people, replayed, *(ask() for ask in asked_of_tables(shop))]
    for one in results:
        shown = [repr(one), str(one), one.to_html(), told(one), str(one.rows())]
        for text in shown:
            assert users.isdisjoint(re.findall(r"[0-9a-f]{32}", text)), type(one)
        assert len(repr(one)) < 1_000, type(one)
