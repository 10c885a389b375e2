import gzip
import json
import zipfile
from datetime import UTC, date, datetime

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import growth
from growth import dataset
from growth.dataset import LoadReport, arrow_schema
from growth.errors import (
    DataError,
    LoadRefusedError,
    ParameterError,
    PayloadError,
    SecretMissingError,
    StoreError,
)
from tests.dataset.fixtures import AS_OF, FIXTURES, MAPPINGS, noted

SHOP = FIXTURES / "foreign"
HEAD = "order_id,user_id,pay_ts,paid_fen\n"
ORDERS = """
[table]
name = "orders"
format = "csv"
source = "test"
ids = "opaque"
[columns]
order_id = "order_id"
user_id = "user_id"
pay_ts = "pay_ts"
paid_fen = { from = "paid_fen", transform = "fen" }
"""


@pytest.fixture
def write(tmp_path):
    def write(text, name="source.csv"):
        path = tmp_path / name
        path.write_text(text, "utf-8")
        return path

    return write


def order_lines(*rows):
    times = "2026-03-01T04:00:00Z"
    return HEAD + "".join(f"{o},{u},{times},{fen}\n" for o, u, fen in rows)


def folder_names(folder):
    return sorted(item.name for item in folder.iterdir())


def test_a_load_writes_a_canonical_folder(tmp_path):
    out = tmp_path / "out"
    mapping = SHOP / "mapping.toml"
    report = dataset.load(SHOP / "orders_yuan.csv", mapping, out, as_of=AS_OF)
    assert report.verdict == "dataset.load.clean"
    assert folder_names(out) == ["load.json", "orders", "rejects.parquet"]
    assert folder_names(out / "orders") == ["2026-03.parquet", "undated.parquet"]
    data = growth.open(out)
    assert data.tables == ("orders",)
    assert data.orders.count().to_pyarrow().as_py() == report.accepted == 4
    (told,) = json.loads((out / "load.json").read_text("utf-8"))
    assert LoadReport.from_dict(told) == report
    stored = pq.read_schema(out / "orders" / "2026-03.parquet")
    wanted = arrow_schema("orders")
    assert all(field == wanted.field(field.name) for field in stored)


def test_events_are_cut_by_day_and_sorted(tmp_path):
    at = FIXTURES / "sensorsdata"
    dataset.load(at / "track.jsonl", at / "mapping.toml", tmp_path, as_of=AS_OF)
    assert folder_names(tmp_path / "events") == ["ds=2026-03-10"]
    table = pq.ParquetFile(tmp_path / "events/ds=2026-03-10/part-0.parquet").read()
    assert "ds" not in table.column_names
    keys = [(row["user_id"], row["ts"]) for row in table.to_pylist()]
    assert keys == sorted(keys)


def test_a_refused_load_writes_the_rejects_alone(tmp_path):
    source, mapping = SHOP / "orders_yuan_malformed.csv", SHOP / "mapping.toml"
    with pytest.raises(LoadRefusedError, match=r"7 of 8 rows.*87\.50% bad") as info:
        dataset.load(source, mapping, tmp_path / "out")
    assert info.value.code == "load_refused"
    assert info.value.report.verdict == "dataset.load.refused"
    assert folder_names(tmp_path / "out") == ["rejects.parquet"]
    rows = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert [row["row_no"] for row in rows] == [1, 2, 3, 4, 5, 6, 7]
    by_reason = {
        row["row_no"]: (row["reason"], row["column"], row["seen"]) for row in rows
    }
    assert by_reason[1] == ("bad_money", "paid_fen", "六十八")
    assert by_reason[2] == ("bad_time", "pay_ts", "2026-02-30 08:01:00")
    assert by_reason[3] == ("missing_required", "user_id", "")
    assert by_reason[5] == ("unknown_enum", "status", "审核中")
    assert by_reason[7] == ("bad_shape", "", "4 cells of 9")
    assert all(len(row["record_sha256"]) == 64 for row in rows)
    assert {row["source"] for row in rows} == {"shop_backoffice"}


def test_ids_are_masked_in_rejects(tmp_path, write):
    source = write(order_lines(("1", "user-a", 1), ("1", "user-a", 1), ("2", "u", 1)))
    wrong = ORDERS.replace('"user_id"', '{ from = "user_id", require = "x" }')
    with pytest.raises(LoadRefusedError, match="inconsistent 3"):
        dataset.load(source, write(wrong, "w.toml"), tmp_path / "out2")
    rows = pq.read_table(tmp_path / "out2" / "rejects.parquet").to_pylist()
    assert {row["seen"] for row in rows} == {
        "masked, 6 characters",
        "masked, 1 characters",
    }


@pytest.mark.parametrize(
    ("rows", "why"),
    [
        ([("1", "u", 1)] * 2 + [(str(n), "u", 1) for n in range(2, 20)], ""),
        ([("1", "u", 1)] * 3 + [(str(n), "u", 1) for n in range(2, 20)], "duplicates"),
        ([(str(n), "u", 1) for n in range(99)] + [("x", "u", "?")], ""),
        ([(str(n), "u", 1) for n in range(98)] + [("x", "u", "?")], "bad_rows"),
        ([("x", "u", "?")], "none_accepted"),
        ([], "none_accepted"),
        ([(str(n), "1380013800" + str(n % 9), 1) for n in range(9)], "raw_ids"),
        ([(str(n), "u", 1) for n in range(99)] + [("x", "13800138000", 1)], "raw_ids"),
        ([(str(n), "u", 1) for n in range(100)] + [("x", "13800138000", 1)], ""),
    ],
)
def test_limits_refuse_a_load(tmp_path, write, rows, why):
    source, mapping = write(order_lines(*rows)), write(ORDERS, "m.toml")
    out = tmp_path / "out"
    if not why:
        report = dataset.load(source, mapping, out)
        assert (
            report.rows_in
            == len(rows)
            == report.accepted + sum(report.rejected.values())
        )
        return
    with pytest.raises(LoadRefusedError, match="Only the rejects were written") as info:
        dataset.load(source, mapping, out)
    assert why in info.value.report.over_limits
    assert folder_names(out) == ["rejects.parquet"]


def test_a_stated_reject_rate_is_used_and_told(tmp_path, write):
    source = write(order_lines(("1", "u", 1), ("2", "u", "?")))
    stated = ORDERS.replace('ids = "opaque"', 'ids = "opaque"\nmax_reject_rate = 0.5')
    report = dataset.load(source, write(stated, "m.toml"), tmp_path / "out")
    assert report.max_reject_rate == 0.5
    assert report.verdict == "dataset.load.partly"
    assert "its own limit of bad rows: 0.5" in report.to_html("en")
    assert report.rows()[1] == {
        "table": "orders",
        "outcome": "bad_money",
        "rows": 1,
        "share": 0.5,
    }


def test_a_second_table_joins_the_folder_and_the_rejects(tmp_path, write):
    out = tmp_path / "out"
    lines = [(str(n), "u", 100) for n in range(150)] + [("x", "u", "?")]
    dataset.load(write(order_lines(*lines)), write(ORDERS, "m.toml"), out)
    items = ORDERS.replace('name = "orders"', 'name = "refunds"').split("[columns]")[0]
    items += '[columns]\norder_id = "o"\nrefund_id = "r"\nts = "t"\n'
    items += 'amount_fen = { from = "a", transform = "fen" }\n'
    rows = [f"{n},r,2026-03-02T00:00:00Z,5" for n in range(149)]
    rows += ["nowhere,r,2026-03-02T00:00:00Z,5"]
    source = write("o,r,t,a\n" + "\n".join(rows), "refunds.csv")
    report = dataset.load(source, write(items, "r.toml"), out)
    assert report.rejected == {"orphan_ref": 1}
    assert growth.open(out).tables == ("orders", "refunds")
    rejects = pq.read_table(out / "rejects.parquet").to_pylist()
    assert [(r["table"], r["reason"]) for r in rejects] == [
        ("orders", "bad_money"),
        ("refunds", "orphan_ref"),
    ]
    assert len(json.loads((out / "load.json").read_text("utf-8"))) == 2
    many = write(
        "o,r,t,a\n"
        + "\n".join(
            [*rows, "no,r,2026-03-02T00:00:00Z,5"] * 1
            + [f"no{n},r,2026-03-02T00:00:00Z,5" for n in range(5)]
        ),
        "many.csv",
    )
    with pytest.raises(LoadRefusedError, match="refer to nothing"):
        dataset.load(many, write(items, "r.toml"), out, if_exists="replace")
    assert growth.open(out).refunds.count().to_pyarrow().as_py() == 149


def test_what_is_there_is_replaced_only_when_asked(tmp_path, write):
    out, mapping = tmp_path / "out", write(ORDERS, "m.toml")
    dataset.load(write(order_lines(("1", "u", 1))), mapping, out)
    more = write(order_lines(("1", "u", 1), ("2", "u", 2)), "more.csv")
    with pytest.raises(ParameterError, match=r"already holds \['orders'\]") as info:
        dataset.load(more, mapping, out)
    assert info.value.code == "table_exists"
    dataset.load(more, mapping, out, if_exists="replace")
    assert growth.open(out).orders.count().to_pyarrow().as_py() == 2
    assert folder_names(out) == ["load.json", "orders", "rejects.parquet"]
    with pytest.raises(ParameterError, match="must be 'refuse' or 'replace'"):
        dataset.load(more, mapping, out, if_exists="append")


def test_nothing_is_left_behind_when_writing_fails(tmp_path, write, monkeypatch):
    def full(*_args, **_kwargs):
        raise OSError(28, "No space left on device")

    out, mapping = tmp_path / "out", write(ORDERS, "m.toml")
    source = write(order_lines(("1", "u", 1)))
    monkeypatch.setattr(pq, "write_table", full)
    with pytest.raises(StoreError, match=r"No space left on device.*nothing was kept"):
        dataset.load(source, mapping, out)
    assert folder_names(out) == []
    with pytest.raises(StoreError, match="cannot be written"):
        dataset.load(source, mapping, source / "below")


def test_the_future_is_checked_when_as_of_is_given(tmp_path, write):
    rows = [(str(n), "u", 1) for n in range(200)]
    text = (
        order_lines(*rows) + "a,u,2026-03-12T00:10:00Z,1\nb,u,2026-03-12T00:10:01Z,1\n"
    )
    source, mapping = write(text), write(ORDERS, "m.toml")
    report = dataset.load(source, mapping, tmp_path / "a", as_of=AS_OF)
    assert report.rejected == {"future_ts": 1}  # clocks may run 10 minutes ahead
    assert report.as_of == "2026-03-12T00:00:00+00:00"
    day = dataset.load(source, mapping, tmp_path / "b", as_of=date(2026, 3, 11))
    assert day.rejected == {"future_ts": 2}  # that day ends at 16:00 UTC
    free = dataset.load(source, mapping, tmp_path / "c")
    assert free.rejected == {}
    assert "future_unchecked" in noted(free)
    with pytest.raises(ParameterError, match="without a time zone"):
        dataset.load(source, mapping, tmp_path / "d", as_of=datetime(2026, 3, 1))


@pytest.mark.parametrize("kind", ["plain", "gz", "zip", "folder", "glob"])
def test_sources_come_in_many_wrappings(tmp_path, write, kind):
    text = order_lines(("1", "u", 1), ("2", "u", 2))
    place = tmp_path / "in"
    place.mkdir()
    path = place / "a.csv"
    if kind == "gz":
        path = place / "a.csv.gz"
        path.write_bytes(gzip.compress(text.encode()))
    elif kind == "zip":
        path = place / "a.csv.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("deep/a.csv", text)
            archive.writestr("__MACOSX/._a.csv", b"\x00\x05")
            archive.writestr("__MACOSX/", b"")
    else:
        path.write_text(text)
    source = {"folder": place, "glob": place / "*.csv"}.get(kind, path)
    report = dataset.load(source, write(ORDERS, "m.toml"), tmp_path / "out")
    assert report.accepted == 2


def test_parts_are_read_in_order_and_named(tmp_path, write):
    place = tmp_path / "in"
    place.mkdir()
    for name, rows in (("b", [("1", "u", 1)]), ("a", [("1", "u", 1), ("2", "u", 2)])):
        (place / f"{name}.csv").write_text(order_lines(*rows))
    mapping = write(ORDERS.replace('ids = "opaque"', 'ids = "opaque"'), "m.toml")
    with pytest.raises(LoadRefusedError, match="duplicates"):
        dataset.load(place, mapping, tmp_path / "out")
    (row,) = pq.read_table(tmp_path / "out" / "rejects.parquet").to_pylist()
    assert (row["part"], row["row_no"], row["reason"]) == ("b.csv", 1, "duplicate_key")


@pytest.mark.parametrize(
    ("name", "content", "error", "message"),
    [
        ("two.zip", "zip", PayloadError, "it must hold one data file"),
        ("bad.zip", b"PK no", PayloadError, "cannot be unpacked"),
        ("bad.csv.gz", b"no gzip", PayloadError, "cannot be unpacked"),
        ("empty.csv", b"", PayloadError, "has no header"),
        ("twice.csv", b"order_id,order_id\n", PayloadError, r"\['order_id'\] twice"),
        ("absent.csv", None, DataError, "nothing is there"),
    ],
)
def test_a_source_that_is_not_what_it_claims(
    tmp_path, write, name, content, error, message
):
    path = tmp_path / name
    if content == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("a.csv", "x")
            archive.writestr("b.csv", "x")
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(error, match=message):
        dataset.load(path, write(ORDERS, "m.toml"), tmp_path / "out")


def test_bytes_that_are_no_text_reject_their_row(tmp_path, write):
    good = order_lines(*[(str(n), "u", 1) for n in range(150)]).encode()
    path = tmp_path / "bytes.csv"
    path.write_bytes(good + b"\xff\xfe,u,2026-03-01T04:00:00Z,1\n")
    report = dataset.load(path, write(ORDERS, "m.toml"), tmp_path / "out")
    assert report.rejected == {"bad_type": 1}
    gb = ORDERS.replace('ids = "opaque"', 'ids = "opaque"\nencoding = "gb18030"')
    path.write_bytes(order_lines(("订单", "u", 1)).encode("gb18030"))
    dataset.load(path, write(gb, "gb.toml"), tmp_path / "gb")
    (row,) = growth.open(tmp_path / "gb").orders.to_pyarrow().to_pylist()
    assert row["order_id"] == "订单"


def test_no_key_no_pseudonyms(tmp_path, monkeypatch):
    monkeypatch.delenv("GROWTH_ID_KEY")
    with pytest.raises(SecretMissingError, match="GROWTH_ID_KEY is not set"):
        dataset.load(SHOP / "orders_yuan.csv", SHOP / "mapping.toml", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_open_with_a_mapping_loads_once_into_the_cache(tmp_path, write, monkeypatch):
    source = write(order_lines(("1", "u", 1)))
    mapping, cache = write(ORDERS, "m.toml"), tmp_path / "cache"
    first = growth.open(source, mapping=mapping, cache=cache)
    assert first.orders.count().to_pyarrow().as_py() == 1
    assert first.load_report.accepted == 1
    assert first.source_files() == (source, mapping)
    assert first.location == str(source)
    assert pq.read_table(first.rejects_file).num_rows == 0

    def again(*_args, **_kwargs):
        pytest.fail("the same content was loaded twice")

    with monkeypatch.context() as patched:
        patched.setattr("growth.dataset.loading.run", again)
        second = growth.open(source, mapping=mapping, cache=cache)
    assert second.load_report == first.load_report
    source.write_text(order_lines(("1", "u", 1), ("2", "u", 2)))
    third = growth.open(source, mapping=mapping, cache=cache)
    assert third.load_report.accepted == 2
    growth.open(source, mapping=mapping, cache=cache, as_of=date(2026, 3, 2))
    assert len(folder_names(cache)) == 3


def test_another_key_is_another_load(tmp_path, monkeypatch):
    where = {"mapping": SHOP / "mapping.toml", "cache": tmp_path}
    one = growth.open(SHOP / "orders_yuan.csv", **where)
    monkeypatch.setenv("GROWTH_ID_KEY", "another key, just as long as that one")
    two = growth.open(SHOP / "orders_yuan.csv", **where)
    ids = [set(data.orders.user_id.to_pyarrow().to_pylist()) for data in (one, two)]
    assert not ids[0] & ids[1]


def test_a_refused_open_keeps_its_rejects_only(tmp_path):
    with pytest.raises(LoadRefusedError, match=r"-refused/rejects\.parquet"):
        growth.open(
            SHOP / "orders_yuan_malformed.csv",
            mapping=SHOP / "mapping.toml",
            cache=tmp_path,
        )
    (folder,) = tmp_path.iterdir()
    assert folder_names(folder) == ["rejects.parquet"]


def test_the_cache_is_the_users_and_never_among_the_sources(
    tmp_path, write, monkeypatch
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "home"))
    place = tmp_path / "in"
    place.mkdir()
    (place / "a.csv").write_text(order_lines(("1", "u", 1)))
    mapping = write(ORDERS, "m.toml")
    growth.open(place, mapping=mapping)
    assert len(folder_names(tmp_path / "home" / "growth")) == 1
    with pytest.raises(ParameterError, match="inside the source folder") as info:
        growth.open(place, mapping=mapping, cache=place / "cache")
    assert info.value.code == "cache_in_source"
    assert folder_names(place) == ["a.csv"]


def test_units_keep_free_columns_in_their_own_types(tmp_path, write):
    source = write(
        "id,arm,when,rounds,spent,won,city\n"
        "01,A,2026-03-01 23:59:59,3,1.50,TRUE,深圳\n"
        "02,B,2026-03-02 00:00:00,,2,FALSE,\n"
    )
    mapping = write(
        '[table]\nname = "units"\nformat = "csv"\ntz = "Asia/Shanghai"\n[columns]\n'
        'unit_id = "id"\nvariant = "arm"\ncity = "city"\n'
        'exposure_ts = { from = "when", transform = "local" }\n'
        'rounds = { from = "rounds", transform = "number" }\n'
        'share = { from = "spent", transform = "number" }\n'
        'spent_fen = { from = "spent", transform = "yuan" }\n'
        'won = { from = "won", values = "flag" }\n'
        "[values.flag]\nTRUE = 1\nFALSE = 0\n",
        "m.toml",
    )
    units = growth.open(source, mapping=mapping, cache=tmp_path / "cache").units
    rows = units.order_by("unit_id").to_pyarrow().to_pylist()
    assert [row["unit_id"] for row in rows] == ["01", "02"]
    assert [row["exposure_ds"] for row in rows] == [date(2026, 3, 1), date(2026, 3, 2)]
    assert rows[0]["exposure_ts"] == datetime(2026, 3, 1, 15, 59, 59, tzinfo=UTC)
    assert [(row["rounds"], row["share"]) for row in rows] == [(3, 1.5), (None, 2.0)]
    assert [(row["spent_fen"], row["won"]) for row in rows] == [(150, 1), (200, 0)]
    assert [row["city"] for row in rows] == ["深圳", None]
    types = {name: str(kind) for name, kind in units.schema().items()}
    assert (types["rounds"], types["share"], types["won"]) == (
        "int64",
        "float64",
        "int64",
    )


def test_an_unmapped_value_of_a_free_column_is_rejected(tmp_path, write):
    source = write("id,arm,won\n1,A,TRUE\n2,B,maybe\n")
    mapping = write(
        '[table]\nname = "units"\nmax_reject_rate = 0.5\n[columns]\nunit_id = "id"\n'
        'variant = "arm"\nwon = { from = "won", values = "flag" }\n'
        "[values.flag]\nTRUE = 1\nFALSE = 0\n",
        "m.toml",
    )
    report = dataset.load(source, mapping, tmp_path / "out")
    assert report.rejected == {"unknown_enum": 1}


def test_dates_are_read_in_their_own_zone(tmp_path, write):
    source = write("d,c,s\n03/02/2026,wechat,12.00\n03/31/2026,wechat,1\n", "a.csv")
    mapping = write(
        '[table]\nname = "channel_spend"\ntz = "Asia/Shanghai"\n[columns]\n'
        'ds = { from = "d", transform = "local", format = "%m/%d/%Y" }\n'
        'channel = "c"\nspend_fen = { from = "s", transform = "yuan" }\n',
        "m.toml",
    )
    dataset.load(source, mapping, tmp_path / "out")
    rows = growth.open(tmp_path / "out").channel_spend.to_pyarrow().to_pylist()
    assert [row["ds"] for row in rows] == [date(2026, 3, 2), date(2026, 3, 31)]


def test_json_units_keep_their_types_and_mixed_ones_are_told(tmp_path, write):
    mapping = write(
        '[table]\nname = "units"\nformat = "jsonl"\n[columns]\n'
        'unit_id = { from = "id", transform = "text" }\nvariant = "arm"\nm = "m"\n',
        "m.toml",
    )
    good = write('{"id": 1, "arm": "A", "m": 2}\n{"id": 2, "arm": "B"}', "a.jsonl")
    dataset.load(good, mapping, tmp_path / "out")
    rows = growth.open(tmp_path / "out").units.to_pyarrow().to_pylist()
    assert [row["m"] for row in rows] == [2, None]
    bad = write('{"id": 1, "arm": "A", "m": 2}\n{"id": 2, "arm": "B", "m": "x"}', "b")
    with pytest.raises(
        PayloadError, match=r"'m' mixes types.*name a transform"
    ) as info:
        dataset.load(bad, mapping, tmp_path / "out2")
    assert info.value.code == "mixed_types"


def test_parquet_of_nested_and_typed_columns(tmp_path, write):
    noon = datetime(2026, 3, 1, 4, tzinfo=UTC)
    source = tmp_path / "a.parquet"
    rows = {
        "who": [{"id": 7.0}, {"id": 8.0}, {"id": None}],
        "at": [noon, noon, noon],
        "what": ["tap", "Tap2", "tap"],
        "x": [1.5, float("nan"), None],
        "extra": [1, None, 3],
    }
    pq.write_table(pa.table(rows), source)
    mapping = write(
        '[table]\nname = "events"\nformat = "parquet"\nids = "opaque"\n'
        'max_reject_rate = 0.5\n[columns]\nts = "at"\nevent = "what"\nx_px = "x"\n'
        'user_id = { from = "who.id", transform = "text" }\n'
        '[keep]\ncolumns = ["extra"]\n',
        "m.toml",
    )
    report = dataset.load(source, mapping, tmp_path / "out")
    assert report.rejected == {"missing_required": 1}
    found = growth.open(tmp_path / "out").events.order_by("user_id").to_pyarrow()
    found = found.to_pylist()
    assert [row["user_id"] for row in found] == ["7", "8"]
    assert [row["x_px"] for row in found] == [1.5, None]
    assert [row["props"] for row in found] == ['{"extra": 1}', None]
    assert len({row["event_id"] for row in found}) == 2


def test_json_keeps_what_nobody_named_save_what_looks_personal(tmp_path, write):
    record = {
        "u": "u1", "t": 1773104400000, "e": "tap", "colour": "red", "gone": 1,
        "more": {"phone": "x", "n": 3, "mobile_no": "1"}, "who": "13800138000",
        "list": [{"a": 1}, {"openid": "o"}],
    }  # fmt: skip
    source = write(json.dumps(record) + "\n\n[]\n{broken\n", "a.jsonl")
    mapping = write(
        '[table]\nname = "events"\nformat = "jsonl"\nids = "opaque"\n'
        'max_reject_rate = 0.9\n[columns]\nuser_id = "u"\nevent = "e"\n'
        'ts = { from = "t", transform = "ms_epoch" }\n[ignore]\ncolumns = ["gone"]\n',
        "m.toml",
    )
    report = dataset.load(source, mapping, tmp_path / "out")
    assert (report.rows_in, report.rejected) == (3, {"bad_json": 2})
    (row,) = growth.open(tmp_path / "out").events.to_pyarrow().to_pylist()
    props = json.loads(row["props"])
    assert props == {"colour": "red", "more": {"n": 3}, "list": [{"a": 1}]}
    assert noted(report)["personal_dropped"] == 1


def test_the_shipped_test_mappings_are_sound():
    for path in sorted(MAPPINGS.glob("*.toml")):
        assert dataset.load_mapping(path).columns
