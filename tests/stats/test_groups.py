import pytest
from hypothesis import given
from hypothesis import strategies as st

from growth.errors import DataError
from growth.stats.groups import connected_groups

PAIRS = st.lists(
    st.tuples(st.sampled_from("abcdefghij"), st.sampled_from("abcdefghij"))
)


@given(PAIRS)
def test_groups_are_those_of_repeated_joining(pairs):
    groups = {name: {name} for pair in pairs for name in pair}
    for one, two in pairs:
        both = groups[one] | groups[two]
        for name in both:
            groups[name] = both
    want = {name: min(group) for name, group in groups.items()}
    assert (
        connected_groups(*map(list, zip(*pairs, strict=True) if pairs else ([], [])))
        == want
    )


def test_sides_are_as_long():
    with pytest.raises(
        DataError, match=r"2 names are paired with 1.*both sides"
    ) as info:
        connected_groups(["a", "b"], ["c"])
    assert info.value.code == "length_mismatch"
