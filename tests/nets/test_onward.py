"""To go on with a text costs what the text with what comes after costs, less the text."""

import pytest
import torch

from lowland import infer
from lowland.energy import Autoregressive
from lowland.errors import SpaceError
from lowland.inference import Beam
from lowland.nets import Onward, Recurrent, Transformer
from lowland.spaces import Sequence

V = 6


@pytest.fixture(params=["recurrent", "transformer"])
def network(request):
    torch.manual_seed(0)
    if request.param == "recurrent":
        return Recurrent(V, dim=8, hidden=8, dropped=0.0).double().eval()
    return Transformer(V, dim=8, heads=2, blocks=2, hidden=8, dropped=0.0, places="rotary").double().eval()


def test_a_continuation_costs_the_whole_less_the_beginning(network):
    whole = Autoregressive(network, Sequence(V, 7))
    onward = Autoregressive(Onward(network), Sequence(V, 4), Sequence(V, 3))
    x = torch.tensor([[0, 1, 2], [5, 3, 5]])
    y = torch.tensor([[4, 4, -1, -1], [1, -1, -1, -1]])
    costs = whole.costs(torch.cat([x, y], 1), None)
    torch.testing.assert_close(onward(x=x, y=y), costs[:, 3:].sum(1))
    torch.testing.assert_close(onward.given(x=x)(y=y), costs[:, 3:].sum(1))


def test_what_is_found_has_the_energy_that_was_said(network):
    onward = Autoregressive(Onward(network), Sequence(V, 4), Sequence(V, 3))
    x = torch.tensor([[0, 1, -1], [5, 3, -1]])
    found = infer(onward, "y", x=x, solver=Beam(3))
    torch.testing.assert_close(found.energy, onward(x=x, y=found.value))


def test_no_text_at_all_is_the_beginning(network):
    whole = Autoregressive(network, Sequence(V, 4))
    onward = Autoregressive(Onward(network), Sequence(V, 4), Sequence(V, 3))
    y = torch.tensor([[4, 4, 1, -1]])
    torch.testing.assert_close(onward(x=torch.full((1, 3), -1), y=y), whole(y=y))


def test_texts_of_several_lengths_are_refused(network):
    with pytest.raises(SpaceError, match="of one length, got 1 to 2 symbols"):
        Onward(network).read(torch.tensor([[0, 1], [2, -1]]))
