"""A service asks from many threads at once, and gets what one thread would get."""

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


@pytest.mark.parametrize("made", [asked_of_tables, asked_of_frames])
def test_threads_get_the_answers_that_one_thread_gets(shop, made):
    questions = made(shop)
    alone = [repr(one()) for one in questions]

    def many(first):
        order = [*range(len(questions))[first:], *range(first)]
        found = {i: repr(questions[i]()) for i in order}
        return [found[i] for i in range(len(questions))]

    with ThreadPoolExecutor(THREADS) as pool:
        assert list(pool.map(many, range(THREADS))) == [alone] * THREADS
