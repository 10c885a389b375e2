"""Whom a message may reach, to the millisecond; one user and all agree."""

import random
from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from growth import engine
from growth.errors import ParameterError, RefusedError
from growth.segments import packs, reach, reach_of, reachable, rule, rules_of, tag
from growth.segments.evaluate import micros
from growth.segments.reach import CHANNELS

NOW = datetime(2026, 3, 10, 4, tzinfo=UTC)
MS = timedelta(milliseconds=1)


def row(action, ago, channel="customer_service", **more):
    made = {"user_id": "u", "ts": NOW - ago, "channel": channel, "action": action}
    return made | {"template_id": None, "errcode": None} | more


def hours(n):
    return timedelta(hours=n)


def service(*rows):
    return reach_of(rows, at=NOW)["customer_service"]


def subscribe(*rows, **more):
    return reach_of(rows, at=NOW, **more)["subscribe"]


def grant(ago, template="t1", action="grant", **more):
    return row(action, hours(ago), "subscribe", template_id=template, **more)


@pytest.mark.parametrize(
    ("ago", "reason"),
    [
        (hours(48) - MS, "open"),  # 47:59:59.999
        (hours(48), "window_closed"),  # 48:00:00.000
        (MS, "open"),
        (-MS, "no_window"),  # it has not been written yet
    ],
)
def test_a_message_opens_forty_eight_hours(ago, reason):
    assert service(row("user_message", ago)).reason == reason


@pytest.mark.parametrize(
    ("ago", "reason"),
    [(timedelta(seconds=60) - MS, "open"), (timedelta(seconds=60), "window_closed")],
)
def test_entering_opens_one_minute(ago, reason):
    found = service(row("enter_chat", ago))
    assert (found.reason, found.left) == (reason, 2 if reason == "open" else 0)


def test_a_send_counts_against_every_open_window_and_the_larger_is_left():
    wrote, came = (
        row("user_message", hours(1)),
        row("enter_chat", timedelta(seconds=30)),
    )
    early = row("send", timedelta(minutes=30))
    late = row("send", timedelta(seconds=10))
    assert service(wrote).left == 5
    assert service(wrote, early).left == 4
    assert service(wrote, came, early, late).left == 3
    used = [row("send", timedelta(minutes=m)) for m in (50, 40, 30, 20, 10)]
    assert service(wrote, *used).reason == "used_up"
    assert service(wrote, came, *used).left == 2  # openings do not add up
    again = row("user_message", timedelta(minutes=5))
    assert service(wrote, *used, again).left == 5  # the latest opening holds


def test_what_the_platform_said_counts():
    wrote = row("user_message", hours(1))
    assert (
        service(wrote, row("fail", hours(0.5), errcode="45015")).reason
        == "window_closed"
    )
    assert service(wrote, row("fail", hours(0.5), errcode="45047")).reason == "used_up"
    assert service(wrote, row("fail", hours(2), errcode="45047")).left == 5
    found = service(wrote)
    assert found.closes_us == micros(NOW + hours(47))
    assert service(wrote, row("deny", hours(0.5))).reason == "opted_out"


@pytest.mark.parametrize("kind", [int, float])
def test_what_the_platform_answers_as_a_number_counts(kind):
    wrote = row("user_message", hours(1))
    for code, reason in ((45015, "window_closed"), (45047, "used_up")):
        failed = row("fail", hours(0.5), errcode=kind(code))
        assert service(wrote, failed).reason == reason
    refused = grant(4, action="fail", errcode=kind(43101))
    assert subscribe(grant(5), refused).reason == "denied"
    # a missing number is no code, and a template without one is all of them
    nan = grant(4, float("nan"), action="deny", errcode=float("nan"))
    assert subscribe(grant(5), nan).reason == "denied"


@pytest.mark.parametrize(
    ("codes", "templates"),
    [
        (pa.int64(), pa.string()),
        (pa.float64(), pa.string()),
        (pa.string(), pa.int64()),
        (pa.int32(), pa.float64()),
        (pa.null(), pa.null()),
    ],
)
def test_codes_and_templates_may_be_numbers_in_a_table(codes, templates):
    rng = random.Random(5)
    numbers = {"t1": 1, "t2": 2, None: None}

    def told(one):
        code, template = one["errcode"], one["template_id"]
        if not pa.types.is_string(codes):
            code = None if code is None or codes == pa.null() else int(code)
        if not pa.types.is_string(templates):
            template = None if templates == pa.null() else numbers[template]
        return one | {"errcode": code, "template_id": template}

    rows = [told(r) for i in range(60) for r in drawn(rng, f"u{i:03}")]
    names = ["user_id", "ts", "channel", "action", "errcode", "template_id"]
    kinds = dict(zip(names[-2:], (codes, templates), strict=True))
    table = pa.table({n: pa.array([r[n] for r in rows], kinds.get(n)) for n in names})
    found = engine.fetch(reachable(table, at_ts=NOW)).to_pylist()
    assert len(found) > 40
    seen = table.to_pylist()  # as the column has them: 43101.0
    for one in found:
        own = [r for r in seen if r["user_id"] == one["user_id"]]
        for channel, standing in reach_of(own, at=NOW).items():
            have = [one[f"{channel}_{p}"] for p in ("reason", "left", "closes_us")]
            assert tuple(have) == standing[1:], (one["user_id"], channel)


def test_a_grant_is_one_message_of_its_template():
    assert subscribe(grant(5)).left == 1
    assert subscribe(grant(5), grant(4)).left == 2
    assert subscribe(grant(5), grant(4, "t2"), grant(3, action="send")).left == 1
    assert subscribe(grant(5), grant(3, action="send")).reason == "used_up"
    assert subscribe().reason == "no_grant"
    # a failed send has used its grant
    failed = [grant(5), grant(3, action="send"), grant(3, action="fail", errcode="x")]
    assert subscribe(*failed).left == 0


def test_a_later_refusal_ends_what_is_left():
    assert subscribe(grant(5), grant(4, action="deny")).reason == "denied"
    assert (
        subscribe(grant(5), grant(4, action="fail", errcode="43101")).reason == "denied"
    )
    assert subscribe(grant(5), grant(4, action="deny"), grant(3)).left == 1
    assert subscribe(grant(5), grant(4, "t2", action="deny")).left == 1
    assert subscribe(grant(5), grant(4, None, action="deny")).reason == "denied"


def test_long_term_templates_only_where_declared():
    sent = [grant(5), *(grant(k, action="send") for k in (4, 3, 2))]
    assert subscribe(*sent).reason == "used_up"
    assert subscribe(*sent, long_term=["t1"]) == (True, "open", None, None)


@pytest.mark.parametrize("channel", ["sms", "wecom"])
def test_other_channels_need_a_recorded_yes(channel):
    def told(*rows):
        return reach_of(rows, at=NOW)[channel].reason

    assert told() == "not_opted_in"
    assert told(row("grant", hours(2), channel)) == "open"
    assert (
        told(row("grant", hours(2), channel), row("deny", hours(1), channel))
        == "opted_out"
    )


def test_the_merchants_own_cap_comes_before_windows():
    rows = [row("user_message", hours(1)), row("send", hours(30), "sms")]
    assert reach_of(rows, at=NOW, max_per_week=2)["customer_service"].reason == "open"
    found = reach_of(rows, at=NOW, max_per_week=1)
    assert found["customer_service"].reason == "capped"
    old = [rows[0], row("send", hours(24 * 7) + MS, "sms")]
    assert reach_of(old, at=NOW, max_per_week=1)["customer_service"].reason == "open"


@pytest.mark.parametrize("cap", [0, -1, 1.5, float("nan"), float("inf"), "2", True])
def test_a_cap_cannot_be_switched_off_by_a_wrong_number(cap):
    rows = [row("user_message", hours(1)), row("send", hours(30), "sms")]
    table = pa.Table.from_pylist(rows)
    for asked in (
        lambda: reach_of(rows, at=NOW, max_per_week=cap),
        lambda: reachable(table, at_ts=NOW, max_per_week=cap),
        lambda: reach(table, at_ts=NOW, max_per_week=cap),
    ):
        with pytest.raises(
            ParameterError, match=r"max_per_week is .*1 or more"
        ) as info:
            asked()
        assert info.value.code == "bad_limit"


def drawn(rng, user):
    moments = [
        timedelta(hours=rng.choice([0.005, 1, 30, 47, 48, 49, 24 * 8]))
        for _ in range(3)
    ]
    made = []
    for _ in range(rng.randrange(7)):
        channel = rng.choice(CHANNELS)
        actions = {
            "subscribe": ["grant", "grant", "deny", "send", "fail"],
            "customer_service": [
                "user_message",
                "enter_chat",
                "send",
                "send",
                "fail",
                "deny",
            ],
        }.get(channel, ["grant", "deny", "send"])
        code = rng.choice([None, "43101", "45015", "45047"])
        action = rng.choice(actions)
        made.append(
            row(action, rng.choice(moments) + rng.choice([-MS, 0 * MS, MS]), channel)
            | {
                "user_id": user,
                "template_id": rng.choice(["t1", "t2", None]),
                "errcode": code if action == "fail" else None,
            }
        )
    return made


def test_all_users_at_once_stand_as_each_one_does():
    rng = random.Random(4)
    users = {f"u{i:03}": drawn(rng, f"u{i:03}") for i in range(500)}
    table = pa.Table.from_pylist([r for rows in users.values() for r in rows])
    for cap, long_term in ((None, ()), (2, ("t1",))):
        found = engine.fetch(
            reachable(table, at_ts=NOW, max_per_week=cap, long_term=long_term)
        ).to_pylist()
        by_user = {one["user_id"]: one for one in found}
        for user, rows in users.items():
            want = reach_of(rows, at=NOW, max_per_week=cap, long_term=long_term)
            if user not in by_user:
                assert not any(r["ts"] < NOW for r in rows)
                continue
            for channel, standing in want.items():
                have = by_user[user]
                assert (
                    have[f"{channel}_reason"],
                    have[f"{channel}_left"],
                    have[f"{channel}_closes_us"],
                ) == standing[1:], (user, channel)


def test_reach_is_counted_and_users_without_a_row_are_asked_about():
    rows = [row("user_message", hours(1)), grant(5) | {"user_id": "v"}]
    table = pa.Table.from_pylist(rows)
    people = pa.table({"user_id": ["u", "v", "w", "x"]})
    found = reach(table, at_ts=NOW, users=people)
    assert (found.users, found.reachable) == (4, 2)
    cells = {(c.channel, c.reason): (c.users, c.messages_left) for c in found.cells}
    assert cells["customer_service", "open"] == (1, 5)
    assert cells["subscribe", "no_grant"] == (3, 0)
    assert found.verdict == "segments.reach.some"
    assert [n.code for n in found.notices] == ["segments_reach_not_endless"]
    only = reach(table, at_ts=NOW, channels=["subscribe"])
    assert {c.channel for c in only.cells} == {"subscribe"}


def test_reach_is_a_tag_at_the_end_of_the_day():
    rules = rules_of(packs.rules("reach"))
    rows = [row("user_message", hours(1)), grant(5) | {"user_id": "v"}]
    seen = [{"user_id": u, "ts": NOW - hours(1), "event": "x"} for u in ("u", "v", "w")]
    data = {
        "messages": pa.Table.from_pylist(rows),
        "events": pa.Table.from_pylist(seen),
    }
    as_of = NOW.date()
    found = engine.fetch(tag(data, rules, as_of=as_of)).to_pylist()
    assert {r["user_id"]: r["reach"] for r in found} == {
        "u": "service",
        "v": "subscribe",
        "w": "none",
    }
    one = rule(rules, "reach")
    record = {"messages": rows[:1], "events": seen[:1]}
    assert one.value_for(record, as_of=as_of) == "service"


def test_template_messages_are_refused():
    with pytest.raises(RefusedError, match="2020-01-10") as info:
        reach(pa.Table.from_pylist([grant(1)]), at_ts=NOW, channels=["template"])
    assert info.value.code == "template_messages"
    with pytest.raises(ParameterError, match="Did you mean 'sms'") as info:
        reach(pa.Table.from_pylist([grant(1)]), at_ts=NOW, channels=["smss"])
    assert info.value.code == "unknown_channel"
    with pytest.raises(ParameterError, match="time zone") as info:
        reach(pa.Table.from_pylist([grant(1)]), at_ts=NOW.replace(tzinfo=None))
    assert info.value.code == "bad_as_of"


def test_small_groups_of_a_channel_are_hidden_and_so_is_what_follows():
    from growth.segments import Reach, ReachCell

    cells = [
        ReachCell("subscribe", "open", 20, 31),
        ReachCell("subscribe", "denied", 70, 0),
        ReachCell("subscribe", "no_grant", 900, 0),
    ]
    told = {"at": datetime(2026, 3, 1, tzinfo=UTC), "users": 990, "reachable": 20}
    found = Reach.of(cells, min_size=50, **told)
    # 990 less the others would be the twenty
    assert [cell.users for cell in found.cells] == [None, None, 900]
    assert found.cells[0].messages_left is None
    assert (found.reachable, found.hidden, found.verdict) == (
        None, 2, "segments.reach.some",
    )  # fmt: skip
    assert Reach.of(cells, **told).reachable == 20


@pytest.mark.parametrize(
    ("sms", "wecom", "both", "shown"),
    [
        (100, 61, 60, False),  # one is reached by wecom only
        (100, 60, 49, False),  # 49 are reached by both, 11 by wecom only
        (100, 100, 49, False),  # 49 are reached by both
        (340, 60, 10, False),  # 10 are reached by nothing
        (100, 60, 60, True),  # wecom adds nobody
        (150, 120, 60, True),
        (200, 200, 0, True),  # each is reached, by one
    ],
)
def test_the_reachable_are_not_told_where_the_difference_is_few(
    sms, wecom, both, shown
):
    first, second = range(sms), range(sms - both, sms + wecom - both)
    rows = [
        row("grant", hours(2), channel, user_id=f"u{i:03}")
        for channel, users in (("sms", first), ("wecom", second))
        for i in users
    ]
    table = pa.Table.from_pylist(rows)
    people = pa.table({"user_id": [f"u{i:03}" for i in range(400)]})
    asked = {"at_ts": NOW, "users": people, "channels": ["sms", "wecom"]}
    found = reach(table, **asked, min_size=50)
    assert [c.users for c in found.cells if c.reason == "open"] == [sms, wecom]
    assert found.reachable == (sms + wecom - both if shown else None)
    assert reach(table, **asked).reachable == sms + wecom - both
