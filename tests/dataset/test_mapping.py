import re

import pytest

from growth.dataset import load_mapping
from growth.dataset.mapping import Spec
from growth.errors import ColumnNotFoundError, MappingError
from tests.dataset.fixtures import FIXTURES, expected, run_fixture

BAD = expected("foreign")["bad_mapping"]
HEAD = '[table]\nname = "units"\nformat = "csv"\n'
COLUMNS = '[columns]\nunit_id = "id"\nvariant = "arm"\n'


def read(tmp_path, text):
    path = tmp_path / "some.toml"
    path.write_text(text, "utf-8")
    return load_mapping(path)


@pytest.mark.parametrize("name", BAD)
def test_each_bad_mapping_says_what_the_fixture_says(name):
    kind, _, words = BAD[name].partition(": ")
    said, _, meant = (words or kind).partition(" (suggests ")
    error = MappingError if kind == "mapping" else ColumnNotFoundError
    with pytest.raises(error, match=re.escape(said) if words else "not found") as info:
        run_fixture("foreign", "orders_yuan.csv", mapping=f"bad_mapping/{name}")
    assert info.value.code == ("mapping" if kind == "mapping" else "column_not_found")
    if meant:
        assert f"Did you mean {meant[:-1]!r}?" in str(info.value)
    if kind == "mapping":
        assert name in str(info.value)  # the file
        assert all(fault.name and fault.expected for fault in info.value.faults)


def test_all_faults_are_told_at_once(tmp_path):
    text = (
        '[tabel]\n[table]\nname = "orders"\nformat = "cvs"\ntz = "Asia/Shangai"\n'
        'max_reject_rate = 2\nids = "raw"\n[columns]\norder_id = "a"\npay_ts = "b"\n'
        'user_id = "c"\npaid_fen = "d"\nstatus = { from = "e", values = "state" }\n'
        'fee_fen = { from = "f", transform = "yaun" }\n'
        'goods_fen = { const = 1, from = "g" }\nchannel = { from = ["h", "i"] }\n'
        'ship_ts = { from = "j", transform = "number", when = "k" }\n'
        'campaign_id = { from = "mobile", typ = "text" }\n'
        '[values.status]\npaid = "paid"\n[aliases]\nx = 1\n[keep]\ncolumn = []\n'
    )
    with pytest.raises(MappingError, match=r"some.toml: \d+ fault") as info:
        read(tmp_path, text)
    found = {fault.name: fault for fault in info.value.faults}
    assert "Did you mean 'table'?" in found["tabel"].hint
    assert "Did you mean 'csv'?" in found["table.format"].hint
    assert "Did you mean 'Asia/Shanghai'?" in found["table.tz"].hint
    assert found["table.max_reject_rate"].hint == "Write 2% as 0.02."
    assert found["columns.status.values"].hint == "Did you mean 'status'?"
    assert "Did you mean 'yuan'?" in found["columns.fee_fen.transform"].hint
    assert "id:<kind>" in found["columns.user_id"].hint
    assert "looks personal" in found["columns.campaign_id"].hint
    names = {"table.ids", "columns.goods_fen", "columns.channel", "keep.column"}
    names |= {"columns.ship_ts.when", "columns.ship_ts.transform", "aliases.x"}
    assert names | {"columns.campaign_id.typ"} <= found.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("x = 1", "x is not known here"),
        ("", r"table.name is absent; it must be one of \['events'"),
        ('[table]\nname = "unit"\n', "Did you mean 'units'"),
        ("table = 3", "table is 3; it must be a table"),
        (HEAD + '[columns]\nunit_id = "a"', "variant is required"),
        (HEAD + '[columns]\nunit_id = 3\nvariant = "b"', "a path or a table of keys"),
        (HEAD + COLUMNS + 'm_fen = "m"', "m_fen needs transform yuan or fen"),
        (HEAD + COLUMNS + 'tel = "tel"', "tel looks personal"),
        (HEAD + COLUMNS + '[items]\nfrom = "x"', "Only orders in JSON"),
        (HEAD + "source = 3\n" + COLUMNS, "table.source is 3; it must be text"),
        (HEAD + 'encoding = "utf-9"\n' + COLUMNS, "an encoding"),
        (HEAD + "record = 3\n" + COLUMNS, "table.record is 3; it must be a table"),
        (HEAD + 'record = {col = "a", eg = 1}\n' + COLUMNS, "table.record"),
        (HEAD + 'record = {path = "a", equals = 1, else = "bad"}\n' + COLUMNS, "else"),
        (HEAD + COLUMNS + '[ignore]\ncolumns = "a"', "a list of texts"),
        (HEAD + COLUMNS + "[constants]\nday = [1]", "constants.day"),
        (HEAD + COLUMNS + 'm = {from = "m", empty = [0]}', "a single value"),
        (HEAD + COLUMNS + 'm = {from = "m", null_values = 0}', "a list"),
        (HEAD + COLUMNS + 'm = {from = "m", format = 0}', "m.format is 0"),
        (HEAD + COLUMNS + 'm = {from = "m", values = "v"}\n[values]\nv = 1', "v"),
        (HEAD + COLUMNS + 'm = {from = "m", values = "v"}\n[values.v]\na = []', "v.a"),
    ],
)
def test_a_fault_names_its_key(tmp_path, text, message):
    with pytest.raises(MappingError, match=message) as info:
        read(tmp_path, text)
    assert info.value.code == "mapping"


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(MappingError, match=r"absent.toml is not readable.*Check"):
        load_mapping(tmp_path / "absent.toml")


def test_a_spec_is_read_whole():
    mapping = load_mapping(FIXTURES / "wechat_shop" / "mapping.toml")
    assert mapping.items_path == "order.order_detail.product_infos"
    assert set(mapping.items) >= {"product_id", "qty", "paid_fen"}
    first, second = mapping.columns["paid_fen"]
    assert (first.const, first.when) == (0, ("order.status", "10"))
    assert second.transform == "fen"
    assert mapping.columns["pay_ts"][0].null_values == ("0",)
    assert mapping.columns["source"] == (Spec(const="wechat_shop"),)
    assert mapping.needs_key


def test_units_need_no_key_and_may_hold_raw_ids(tmp_path):
    mapping = read(tmp_path, HEAD + COLUMNS)
    assert not mapping.needs_key
    assert mapping.table.free


def test_filters_are_read_in_all_their_forms(tmp_path):
    forms = {
        '{ path = "type", equals = "track", else = "not_an_event" }': (
            "not_an_event",
            0,
        ),
        '[{ col = "a", eq = 1 }, { col = "b", known = true }]': ("not_an_event", 0),
        '{ where = [{ col = "a", in = ["x"] }], else = "no_consent" }': (
            "no_consent",
            0,
        ),
        '{ col = "a", eq = 1, inconsistent = "why" }': ("inconsistent", 1),
        '[{ any = [{ col = "a", lt = 0 }], inconsistent = "why" }]': (
            "inconsistent",
            1,
        ),
    }
    for form, (why, matches) in forms.items():
        (rule,) = read(tmp_path, HEAD + f"record = {form}\n" + COLUMNS).filters
        assert (rule.reason, rule.rejects_matches) == (why, bool(matches))
