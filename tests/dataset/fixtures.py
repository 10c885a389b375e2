"""Where the copied payloads are, and how to load one without writing."""

import json
from datetime import UTC, datetime
from pathlib import Path

from growth.dataset import load_mapping
from growth.dataset.readers import parts_of
from growth.dataset.work import run

FIXTURES = Path(__file__).resolve().parent.parent / "golden" / "fixtures"
MAPPINGS = Path(__file__).resolve().parent / "mappings"
AS_OF = datetime(2026, 3, 12, tzinfo=UTC)
KEY = "fixture-key-not-for-production-00000"


def expected(folder):
    return json.loads((FIXTURES / folder / "expected.json").read_text("utf-8"))


def run_fixture(folder, name, *, as_of=AS_OF, mapping="mapping.toml", **more):
    read = load_mapping(FIXTURES / folder / mapping)
    return run(
        read, parts_of(FIXTURES / folder / name, read.format), as_of=as_of, **more
    )


def rows_of(done, table=None):
    name = table or done.report.table
    return done.tables[name].to_pylist()


def noted(report):
    return {notice.code: dict(notice.args).get("rows") for notice in report.notices}
