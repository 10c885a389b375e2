"""What an overlap hides does not follow from what it shows, nor from a profile."""

from collections import Counter
from itertools import combinations

import numpy as np
import pytest

from growth.segments import overlap_from_masks

NAMES = "abcdefghij"


def known_of(found, masks):
    """Return what a reader knows: rows over the masks, and what each adds up to."""
    names = found.segments
    bit = {name: 1 << i for i, name in enumerate(names)}
    rows = [[1] * len(masks)]
    rows += [
        [int(mask & bit[name] > 0) for mask in masks]
        for name, users in found.sizes
        if users is not None
    ]
    for pair in found.pairs:
        if pair.users is not None:
            both = bit[pair.one] | bit[pair.other]
            rows.append([int(mask & both == both) for mask in masks])
    shown = dict.fromkeys(masks, 0) | {0: found.none}  # not listed: nobody
    for one in found.intersections:
        shown[sum(bit[name] for name in one.segments)] = one.users
    for i, mask in enumerate(masks):
        if shown[mask] is not None:
            rows.append([int(i == j) for j in range(len(masks))])
    return np.array(rows, float), [m for m in masks if shown[m] is None]


@pytest.mark.parametrize("segments", [2, 3, 4, 5])
def test_no_small_intersection_follows_from_sizes_pairs_and_the_others(segments):
    rng = np.random.default_rng(segments)
    some_hidden = 0
    for _ in range(150):
        masks = range(1 << segments)
        sizes = rng.choice([0, 2, 6, 12, 40, 300, 2000], size=len(masks))
        counts = {m: int(n) for m, n in zip(masks, sizes, strict=True) if n}
        found = overlap_from_masks(
            counts, segments=list(NAMES[:segments]), k=10, min_size=50
        )
        order = list(masks)
        rows, hidden = known_of(found, order)
        some_hidden += bool(hidden)
        for mask in hidden:
            if not 0 < counts.get(mask, 0) < 10:
                continue  # hidden for another's sake
            one = np.array([float(m == mask) for m in order])
            left = one - rows.T @ np.linalg.lstsq(rows.T, one, rcond=None)[0]
            assert np.abs(left).max() > 1e-6, (counts, mask)
    assert some_hidden > 20


def test_pairs_are_told_while_intersections_are_hidden():
    counts = {0: 900, 1: 400, 2: 300, 4: 200, 3: 100, 5: 90, 6: 80, 7: 4}
    found = overlap_from_masks(counts, segments=["a", "b", "c"], k=10, min_size=50)
    pairs = {(pair.one, pair.other): pair.users for pair in found.pairs}
    assert pairs == {("a", "b"): 104, ("a", "c"): 94, ("b", "c"): 84}
    hidden = {one.segments for one in found.intersections if one.users is None}
    # with a & b told, 100 there and 104 of both would give the four
    assert {("a", "b", "c"), ("a", "b"), ("a", "c"), ("b", "c")} <= hidden


def test_a_small_pair_is_hidden_with_its_intersections():
    found = overlap_from_masks(
        {0: 900, 1: 400, 2: 300, 3: 4}, segments=["a", "b"], k=10
    )
    assert found.pairs[0].users is None


def test_of_many_segments_no_pair_is_told_while_anything_is_hidden():
    names = list(NAMES[:9])
    counts = {0: 900, **{1 << i: 300 for i in range(9)}, 3: 100, 5: 4}
    found = overlap_from_masks(counts, segments=names, k=10)
    assert found.hidden
    assert all(pair.users is None for pair in found.pairs)
    whole = overlap_from_masks(counts, segments=names)
    assert len(whole.pairs) == len(list(combinations(names, 2)))
    assert whole.pairs[0].users == 100


def test_the_order_of_the_hidden_tells_nothing():
    counts = {0: 900, 1: 400, 2: 300, 4: 200, 3: 100, 5: 90, 6: 80, 7: 4}
    found = overlap_from_masks(counts, segments=["a", "b", "c"], k=10, min_size=50)
    users = [one.users for one in found.intersections]
    shown = [n for n in users if n is not None]
    assert users == sorted(shown, reverse=True) + [None] * (len(users) - len(shown))
    names = [one.segments for one in found.intersections if one.users is None]
    assert names == sorted(names, key=lambda own: sum(1 << "abc".index(n) for n in own))


def drawn(segments, users, share=0.2):
    """Return how many random users are in which of segments that ignore each other."""
    rng = np.random.default_rng(segments)
    bits = rng.random((users, segments)) < share
    return Counter((bits << np.arange(segments)).sum(axis=1).tolist())


@pytest.mark.parametrize("segments", [1, 8, 20])
def test_overlapping_segments_are_counted_as_one_user_after_the_other(segments):
    names = [f"s{i}" for i in range(segments)]
    counts = drawn(segments, 4_000)
    found = overlap_from_masks(counts, segments=names)
    inside = {name: {m for m in counts if m >> i & 1} for i, name in enumerate(names)}
    by_name = {name: sum(counts[m] for m in own) for name, own in inside.items()}
    assert dict(found.sizes) == by_name
    assert (found.users, found.none, found.hidden) == (4_000, counts[0], 0)
    ordered = sorted(counts, key=lambda m: (-counts[m], m))
    assert [(i.segments, i.users) for i in found.intersections] == [
        (tuple(n for n in names if m in inside[n]), counts[m]) for m in ordered if m
    ]
    for pair in found.pairs:
        both = sum(counts[m] for m in inside[pair.one] & inside[pair.other])
        one, other = by_name[pair.one], by_name[pair.other]
        assert pair.users == both
        assert pair.jaccard == pytest.approx(both / (one + other - both))
        assert pair.lift == pytest.approx(both * 4_000 / (one * other))


def test_of_many_intersections_the_small_ones_follow_from_nothing():
    names = [f"s{i}" for i in range(14)]
    counts = drawn(14, 6_000)
    found = overlap_from_masks(counts, segments=names, k=10, min_size=50)
    users = dict(found.sizes)
    assert all(n is None or n >= 50 for n in users.values())
    rows, hidden = known_of(found, list(counts))
    small = {m for m, n in counts.items() if n < 10}
    assert small <= set(hidden)
    assert 500 < len(small) < len(counts)
    *_, vectors = np.linalg.svd(rows, full_matrices=False)
    told = (vectors**2).sum(axis=0)  # 1 where what is known gives a number back
    assert all(told[i] < 1 - 1e-6 for i, m in enumerate(counts) if m in small)
