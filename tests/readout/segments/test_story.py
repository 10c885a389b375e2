"""The top of the segments page and its charts."""

from growth.readout import segments as room


def test_words_are_those_of_the_rules(params, found):
    english = room.summary(found, params, lang="en").html
    chinese = room.summary(found, params, lang="zh").html
    assert "Dormant" in english
    assert "沉睡" in chinese
    assert "dormant" not in english + chinese
    assert "Guangdong" in room.sizes_table(found, params, lang="en").html
    assert "广东" in room.sizes_table(found, params, lang="zh").html


def test_every_chart_has_words_in_both_languages(params, found):
    for lang in ("en", "zh"):
        charts = room.drawings(found, params, lang=lang)
        assert list(charts) == [
            "sizes", "movement", "lifecycle", "profile", "overlap", "reach",
        ]  # fmt: skip
        for chart in charts.values():
            assert chart.to_dict()["title"]


def test_a_reason_is_something_more_of_them_have(params, found):
    said = room.summary(found, params, lang="en").html
    assert "times as common as among the rest" in said
    assert "No visit on record” is" not in said  # a default says what is not
    assert " since." in said
