"""The published schema against the last released one: what readers rely on stays."""

import json
from copy import deepcopy
from pathlib import Path

import pytest

from growth.readout import checking, model

GOLDEN = Path(__file__).resolve().parents[1] / "golden"
RELEASED = max(
    GOLDEN.glob("readout-*.schema.json"),
    key=lambda path: tuple(map(int, path.name.split("-")[1].split(".")[:2])),
)
WORDS = {"title", "description", "$schema", "$id", "$comment"}
HOW = (
    "The readout schema changed in a way that breaks who reads readout.json: {}. "
    "A minor version only adds optional keys: undo this, or make a new major "
    "(schema/readout-2.json, model.SCHEMA_VERSION '2.0', load reads both)."
)
BUMP = (
    "The readout schema has keys that the released {} has not. Raise the minor of "
    "model.SCHEMA_VERSION, and with the release copy growth/readout/schema/"
    "readout-1.json to tests/golden/readout-<version>.schema.json (keep the old ones)."
)


def breaks(old, new, path="$"):
    """Yield what no longer holds for who reads or keeps documents of `old`."""
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            yield f"{path} is {json.dumps(new)}, was {json.dumps(old)}"
        return
    for name in sorted({*old, *new} - WORDS - {"properties", "$defs", "required"}):
        yield from breaks(old.get(name), new.get(name), f"{path}.{name}")
    for group in ("properties", "$defs"):
        held, there = old.get(group, {}), new.get(group, {})
        for name, inner in held.items():
            if name not in there:
                yield f"{path}.{name} is gone"
            else:
                yield from breaks(inner, there[name], f"{path}.{name}")
    was, now = set(old.get("required", ())), set(new.get("required", ()))
    yield from (f"{path}.{name} may be missing now" for name in sorted(was - now))
    # an older document has not got it
    yield from (f"{path}.{name} is required now" for name in sorted(now - was))


def bare(schema):
    """Return a schema without its words."""
    if isinstance(schema, dict):
        return {
            name: bare(inner)
            for name, inner in schema.items()
            if name not in WORDS or not isinstance(inner, str)
        }
    return schema


def released():
    return json.loads(RELEASED.read_text("utf-8"))


def test_the_published_schema_breaks_nobody():
    broken = list(breaks(released(), dict(checking.schema())))
    assert not broken, HOW.format("; ".join(broken))


def test_new_keys_come_with_a_new_minor_version():
    version = RELEASED.name.split("-")[1].removesuffix(".schema.json")
    major, minor = map(int, model.SCHEMA_VERSION.split("."))
    was = tuple(map(int, version.split(".")))
    assert (major, minor) >= was
    if bare(dict(checking.schema())) != bare(released()):
        assert (major, minor) > was, BUMP.format(version)


def changed(edit):
    schema = deepcopy(released())
    edit(schema)
    return schema


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (lambda s: s["properties"].pop("charts"), "$.charts is gone"),
        (lambda s: s["$defs"]["estimate"]["properties"].pop("se"), "se is gone"),
        (lambda s: s["$defs"]["day"].update(type="integer"), '$.day.type is "integer"'),
        (
            lambda s: s["$defs"]["number"].update(type=["number", "string", "null"]),
            "$.number.type",
        ),
        (lambda s: s["required"].remove("notices"), "$.notices may be missing now"),
        (
            lambda s: (
                s["properties"].update(seed={"type": "integer"}),
                s["required"].append("seed"),
            ),
            "$.seed is required now",
        ),
        (lambda s: s["$defs"]["key"].update(maxLength=64), "maxLength is 64, was 256"),
        (
            lambda s: s["properties"]["decision"].update(additionalProperties=False),
            "additionalProperties is false, was null",
        ),
    ],
)
def test_a_change_that_breaks_somebody_is_named(edit, told):
    (broken,) = breaks(released(), changed(edit))
    assert told in broken


def test_an_optional_key_and_other_words_break_nobody():
    def edit(schema):
        schema["description"] = "better words"
        schema["properties"]["seed"] = {"type": "integer"}
        schema["$defs"]["estimate"]["properties"]["weight"] = {"type": "number"}

    made = changed(edit)
    assert list(breaks(released(), made)) == []
    assert bare(made) != bare(released())


def test_an_older_documents_reader_passes_over_keys_of_a_later_minor():
    document = json.loads((GOLDEN / "readout-1.0.json").read_text("utf-8"))
    later = document | {"schema_version": "1.7", "seed": 3}
    later["estimates"] = [e | {"weight": 2.0} for e in document["estimates"]]
    assert checking.faults_in(later) == ()
    assert model.Readout.from_dict(later).estimates[0].key == "x.lift"
    assert model.Readout.from_dict(document).schema_version == "1.0"
