"""A grammar accepts its language and nothing else, however it is composed."""

import itertools
import re

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lowland.energy import Acceptor, misspelling, spelling
from lowland.errors import SpaceError, UsageError

LETTERS = "abc"
SPELL = torch.tensor([0, 1, -1])

expressions = st.recursive(
    st.sampled_from(["a", "b", "c"]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda pair: f"{pair[0]} {pair[1]}"),
        st.tuples(inner, inner).map(lambda pair: f"({pair[0]} | {pair[1]})"),
        st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,2}", "{0,}"])).map(lambda p: f"({p[0]}){p[1]}"),
    ),
    max_leaves=6,
)


def every_string(longest: int):
    for length in range(longest + 1):
        yield from itertools.product(range(3), repeat=length)


def padded(strings) -> torch.Tensor:
    width = max(1, max(map(len, strings)))
    return torch.tensor([[*string, *[-1] * (width - len(string))] for string in strings])


@settings(max_examples=60)
@given(expressions)
def test_a_grammar_accepts_what_its_regular_expression_matches(grammar):
    strings = list(every_string(5))
    pattern = re.compile(grammar.replace(" ", ""))
    wanted = [bool(pattern.fullmatch("".join(LETTERS[i] for i in string))) for string in strings]
    acceptor = Acceptor.of(grammar, 3, a=0, b=1, c=2)
    assert acceptor.accepts(padded(strings)).tolist() == wanted


def test_words_stand_for_several_labels_and_padding_is_skipped():
    acceptor = Acceptor.of("junk* (digit junk*){1,2}", 3, digit=(0, 1), junk=2)
    strings = torch.tensor([[2, 0, -1, 1], [-1, 1, 2, -1], [2, 2, 2, 2], [0, 1, 0, -1]])
    assert acceptor.accepts(strings).tolist() == [True, True, False, False]


def test_both_of_two_acceptors():
    strings = padded(list(every_string(4)))
    one, two = Acceptor.of("a* b+ c*", 3, a=0, b=1, c=2), Acceptor.of("(a | b | c){2,3}", 3, a=0, b=1, c=2)
    assert torch.equal((one & two).accepts(strings), one.accepts(strings) & two.accepts(strings))


@settings(max_examples=40)
@given(st.lists(st.integers(0, 1), max_size=3))
def test_spelling_and_misspelling_share_out_all_strings(symbols):
    strings = list(every_string(4))
    wanted = [[int(SPELL[i]) for i in string if SPELL[i] >= 0] == symbols for string in strings]
    y = torch.tensor([[*symbols, *[-1] * (3 - len(symbols))]])
    right = spelling(y, SPELL).accepts(padded(strings)).tolist()
    wrong = misspelling(y, SPELL).accepts(padded(strings)).tolist()
    assert right == wanted and wrong == [not is_right for is_right in wanted]


def test_incoming_lists_each_arc_once():
    acceptor = Acceptor.of("junk* (digit junk*){1,8}", 11, digit=tuple(range(10)), junk=10)
    state, label, arc = acceptor.incoming
    there = arc < acceptor.states * acceptor.labels
    assert int(there.sum()) == int((acceptor.next >= 0).sum())
    target = torch.arange(acceptor.states)[None, :, None].expand_as(arc)
    assert torch.equal(acceptor.next[0][state[there], label[there]], target[there])


@pytest.mark.parametrize(
    ("grammar", "says"),
    [
        ("digit (", "wanted a word"),
        ("(digit", "not closed"),
        ("digit )", "nothing fits"),
        ("letter", "'letter' is not a word of this grammar (digit)"),
        ("digit ; digit", "at character 7"),
        ("digit{3,2}", "m ≤ n"),
        ("", "wanted a word"),
        ("(((digit digit?){90}){90}){90}", "more than"),
    ],
)
def test_a_grammar_that_cannot_be_read_is_refused_with_the_place(grammar, says):
    with pytest.raises(UsageError) as error:
        Acceptor.of(grammar, 2, digit=0)
    assert says in str(error.value)


def test_labels_that_do_not_exist_are_refused():
    with pytest.raises(SpaceError, match="labels from 0 to 1"):
        Acceptor.of("digit", 2, digit=2)
    with pytest.raises(SpaceError, match="next states below 1"):
        Acceptor(torch.ones(1, 1, 2, dtype=torch.int64), torch.ones(1, 1, dtype=torch.bool))
