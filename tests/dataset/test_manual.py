from pathlib import Path

from growth.dataset import SCHEMA, dictionary

PAGE = Path(__file__).resolve().parents[2] / "data" / "README.md"


def test_the_page_is_what_the_schema_says():
    hint = "write growth.dataset.dictionary() to data/README.md"
    assert PAGE.read_text("utf-8") == dictionary(), hint


def test_every_column_is_in_it():
    text = dictionary()
    for table in SCHEMA.values():
        section = text.split(f"## {table.name}\n")[1].split("\n## ")[0]
        for column in table.columns:
            assert f"| `{column.name}`" in section
            assert column.doc in section
