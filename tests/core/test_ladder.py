"""One side of a book against the plainest model of it: a dictionary."""

from hypothesis import given, settings
from hypothesis import strategies as st

from polytrade.core.ladder import Ladder, level_text
from polytrade.core.units import ONE_E4, price_text, size_text

PUTS = st.lists(
    st.tuples(st.integers(0, 100), st.sampled_from([0, 1, 500_000, 7_000_000]), st.integers(0, 9)),
    max_size=40,
)


def text_of(levels: list[tuple[int, int]]) -> bytes:
    rows = [f'{{"price":"{price_text(p)}","size":"{size_text(s)}"}}' for p, s in levels]
    return ",".join(rows).encode()


def agree(ladder: Ladder, model: dict[int, int], bids: bool) -> None:
    """The ladder says what the dictionary of sizes by price says."""
    up = sorted((price, size) for price, size in model.items() if size)
    wire = up if bids else up[::-1]
    assert ladder.levels(1_000) == wire[::-1]
    assert ladder.levels(2) == wire[::-1][:2]
    assert ladder.text() == text_of(wire)
    mirrored = [(ONE_E4 - price, size) for price, size in wire]
    assert ladder.mirrored_text() == text_of(mirrored)
    if up:
        assert ladder.best * ladder.step_e4 == (up[-1] if bids else up[0])[0]
    else:
        assert ladder.best == (-1 if bids else len(ladder.sizes))


@settings(max_examples=100)
@given(PUTS, st.booleans())
def test_puts_are_those_of_a_dictionary(puts: list[tuple[int, int, int]], bids: bool) -> None:
    ladder, model = Ladder(bids, 100), {}
    for index, size, stamp in puts:
        ladder.put(index, size, stamp)
        model[index * 100] = size
        assert ladder.stamps[index] == stamp
        agree(ladder, model, bids)


@settings(max_examples=100)
@given(PUTS, PUTS, st.integers(0, 9), st.booleans(), st.booleans())
def test_replacement_keeps_what_is_known_as_of_later(
    puts: list[tuple[int, int, int]],
    levels: list[tuple[int, int, int]],
    stamp: int,
    whole: bool,
    bids: bool,
) -> None:
    ladder = Ladder(bids, 100)
    for index, size, known in puts:
        ladder.put(index, size, known)
    later = {i: ladder.sizes[i] for i in range(101) if ladder.stamps[i] > stamp and not whole}
    stated = {index * 100: size for index, size, _ in levels}
    ladder.replace(list(stated.items()), stamp, whole)
    model = dict(stated)
    for index, size in later.items():
        model[index * 100] = size
    agree(ladder, model, bids)
    assert all(ladder.stamps[i] == stamp for i in range(101) if i not in later)


@settings(max_examples=60)
@given(PUTS, st.sampled_from([50, 25, 10, 1]), st.booleans())
def test_refinement_changes_nothing_but_the_step(
    puts: list[tuple[int, int, int]], step: int, bids: bool
) -> None:
    ladder, model = Ladder(bids, 100), {}
    for index, size, stamp in puts:
        ladder.put(index, size, stamp)
        model[index * 100] = size
    ladder.refine(step)
    assert ladder.step_e4 == step
    agree(ladder, model, bids)


def test_equal_replacement_keeps_the_text_and_moves_the_stamps() -> None:
    ladder = Ladder(True, 100)
    ladder.replace([(4_800, 5), (4_700, 6)], 1, False)
    before = ladder.text()
    ladder.replace([(4_700, 6), (4_800, 5)], 2, False)
    assert ladder.text() is before
    assert ladder.stamps[48] == 2


def test_level_text_is_the_wires() -> None:
    assert level_text(4_800, 142_100_000) == b'{"price":"0.48","size":"142.1"}'
    assert level_text(5, 1) == b'{"price":"0.0005","size":"0.000001"}'
