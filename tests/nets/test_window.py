"""The window model sees the last few symbols and no more; one pass, pieces and symbol by symbol agree."""

import torch

from lowland.nets import Window

V, SEEN = 5, 3


def network():
    torch.manual_seed(0)
    found = Window(V, 8, SEEN, dropped=0.0).double()
    torch.nn.init.normal_(found.usual)
    return found


def test_one_pass_pieces_and_symbol_by_symbol_agree():
    window = network()
    symbols = torch.randint(V + 1, (2, 9), generator=torch.Generator().manual_seed(1))
    wanted, memory = window(symbols), window.begin(2, 1)
    first, later = window.through(symbols[:, :4], memory)
    torch.testing.assert_close(torch.cat([first, window.through(symbols[:, 4:], later)[0]], 1), wanted)
    for t in range(9):
        logits, memory = window.extend(symbols[:, t, None], memory)
        torch.testing.assert_close(logits[:, 0], wanted[:, t])


def test_it_sees_so_many_symbols_and_no_more():
    window = network()
    symbols = torch.randint(V, (1, 8), generator=torch.Generator().manual_seed(2))
    for place, matters in ((4, False), (5, True), (7, True)):
        other = symbols.clone()
        other[0, place] = (other[0, place] + 1) % V
        assert (window(symbols)[0, -1] != window(other)[0, -1]).any() == matters
