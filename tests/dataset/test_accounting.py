"""Rows in are rows accepted plus rows rejected, whatever the rows hold."""

import json
from collections import Counter

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from growth.dataset import load_mapping
from growth.dataset.validate import REASONS
from growth.dataset.work import run
from tests.dataset.fixtures import FIXTURES

HEADER = "订单编号,下单时间,付款时间,买家ID,实付金额(元),退款金额,订单状态,手机号,门店"
GOOD = ("2026-03-10 08:00:00", "2026-03-10 08:01:00", "68.00", "交易完成")
DIRT = st.sampled_from(
    [
        *("", "\x00", "六十八", "-1", "1e9", "1,299.50", "99.999", "nan", "=1+1", '"'),
        *(
            "2026-02-30 00:00:00",
            "2026-03-10 07:00:00",
            "待付款",
            "审核中",
            "😀",
            "a\nb",
        ),
        *("0", "9" * 30),
    ]
)
SLOW = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


@st.composite
def dirty_rows(draw):
    rows = []
    for n in range(draw(st.integers(0, 25))):
        made, paid, fen, status = GOOD
        row = [f"A{draw(st.integers(0, 30))}", made, paid, f"b-{n}", fen, "", status]
        row += ["10000000000", "南山店"]
        for _ in range(draw(st.integers(0, 2))):
            row[draw(st.integers(0, 8))] = draw(DIRT)
        cut = draw(st.sampled_from([9] * 8 + [3, 10]))
        rows.append([*row, "x"][:cut])
    return rows


def quoted(cell):
    return '"' + cell.replace('"', '""') + '"'


def run_rows(folder, rows, **more):
    text = "\n".join([HEADER, *(",".join(map(quoted, row)) for row in rows)])
    path = folder / "some.csv"
    path.write_text(text + "\n", "utf-8")
    return run(load_mapping(FIXTURES / "foreign" / "mapping.toml"), [path], **more)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("dirty")


@pytest.fixture(autouse=True, scope="module")
def _key_for_the_module():
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("GROWTH_ID_KEY", "fixture-key-not-for-production-00000")
        yield


@SLOW
@given(rows=dirty_rows())
def test_every_row_is_accounted_for(folder, rows):
    done = run_rows(folder, rows)
    (count,) = done.report.tables
    rejects = done.rejects.to_pylist()
    assert count.rows_in == len(rows)
    assert count.rows_in == count.accepted + len(rejects)
    assert count.accepted == done.tables["orders"].num_rows
    assert dict(count.rejected) == Counter(row["reason"] for row in rejects)
    assert set(dict(count.rejected)) <= set(REASONS)
    # each rejected row once, by its place
    places = [row["row_no"] for row in rejects]
    assert places == sorted(set(places))
    assert all(1 <= place <= len(rows) for place in places)
    # what is accepted keeps the rules
    for row in done.tables["orders"].to_pylist():
        assert row["order_id"]
        assert row["paid_fen"] >= row["refund_fen"] >= 0
        if row["pay_ts"] and row["create_ts"]:
            assert row["create_ts"] <= row["pay_ts"]
        assert (row["ds"] is None) is (row["pay_ts"] is None)
    ids = [row["order_id"] for row in done.tables["orders"].to_pylist()]
    assert len(ids) == len(set(ids))


@SLOW
@given(rows=dirty_rows(), chunk=st.integers(1, 9))
def test_chunks_do_not_matter(folder, rows, chunk):
    whole, cut = run_rows(folder, rows), run_rows(folder, rows, chunk_rows=chunk)
    assert cut.report == whole.report
    assert cut.rejects.equals(whole.rejects)
    assert cut.tables["orders"].to_pylist() == whole.tables["orders"].to_pylist()


@SLOW
@given(rows=dirty_rows(), seed=st.randoms())
def test_order_does_not_matter_to_the_reasons(folder, rows, seed):
    # ids told apart, or which of two rows is the duplicate would follow the order
    rows = [[f"{n}", *row[1:]] if row and row[0] else row for n, row in enumerate(rows)]
    mixed = list(rows)
    seed.shuffle(mixed)
    one, two = run_rows(folder, rows), run_rows(folder, mixed)
    assert one.report.tables == two.report.tables
    told = [
        Counter((r["record_sha256"], r["reason"], r["column"], r["seen"]) for r in
                done.rejects.to_pylist())
        for done in (one, two)
    ]  # fmt: skip
    assert told[0] == told[1]


NAMES = st.sampled_from(["openid", "ts", "event", "detail_x", "win_w", "zzz"])
THINGS = st.one_of(
    *(st.none(), st.booleans(), st.integers(-10, 2**70), st.floats()),
    *(st.text(max_size=5), st.lists(st.integers(), max_size=2)),
    st.sampled_from(["tap", "oFixtureUser0000000000000001", 1773104400000]),
)
LINES = st.one_of(
    st.text(max_size=20).filter(lambda text: "\n" not in text),
    st.dictionaries(NAMES, THINGS).map(json.dumps),
)


@SLOW
@given(lines=st.lists(LINES, max_size=12))
def test_any_line_of_json_is_accepted_or_rejected(folder, lines):
    path = folder / "some.jsonl"
    path.write_bytes("\n".join(lines).encode("utf-8", "surrogatepass"))
    read = load_mapping(FIXTURES / "own_taps" / "mapping.toml")
    done = run(read, [path])
    (count,) = done.report.tables
    assert count.rows_in == count.accepted + done.rejects.num_rows
    assert count.accepted == done.tables["events"].num_rows
