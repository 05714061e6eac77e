"""Pieces in order cost what the whole text costs; the state is carried, kept, and cut off from the slope."""

import pytest
import torch

from lowland.energy import Autoregressive, Bigram, Meeting
from lowland.errors import StructureError
from lowland.nets import GatedConvolution, Recurrent, Window
from lowland.objectives import TruncatedLikelihood
from lowland.spaces import Sequence

V, STREAMS, PIECE = 6, 3, 4
TEXT = torch.randint(V, (STREAMS, 3 * PIECE), generator=torch.Generator().manual_seed(0))


@pytest.fixture(params=["recurrent", "window", "symbol by symbol"])
def energy(request):
    torch.manual_seed(0)
    network = {
        "recurrent": lambda: Recurrent(V, dim=8, hidden=8, dropped=0.0),
        "window": lambda: Window(V, 8, 3, dropped=0.0),
        "symbol by symbol": lambda: GatedConvolution(V, dim=8, dilations=(1, 2), dropped=0.0),
    }[request.param]()
    return Autoregressive(network.double().eval(), Sequence(V, PIECE))


def test_pieces_cost_what_the_whole_costs(energy):
    objective = TruncatedLikelihood()
    pieces = torch.cat([objective.costs(energy, {"y": piece}) for piece in TEXT.split(PIECE, 1)], 1)
    whole = Autoregressive(energy.network, Sequence(V, 3 * PIECE)).costs(TEXT, None)[:, :-1]  # without the end
    torch.testing.assert_close(pieces, whole)


def test_pieces_that_are_not_carried_begin_anew(energy):
    objective = TruncatedLikelihood(carried=False)
    loss = [objective(energy, {"y": piece}).value for piece in (TEXT[:, :PIECE], TEXT[:, :PIECE])]
    assert loss[0] == loss[1] == energy.costs(TEXT[:, :PIECE], None)[:, :-1].mean()


def test_what_is_carried_is_in_the_checkpoint(energy):
    first, second = TruncatedLikelihood(), TruncatedLikelihood()
    first(energy, {"y": TEXT[:, :PIECE]})
    second.load_state_dict(first.state_dict())
    piece = {"y": TEXT[:, PIECE : 2 * PIECE]}
    assert first(energy, piece).value == second(energy, piece).value
    assert TruncatedLikelihood()(energy, piece).value != second(energy, piece).value


def test_the_slope_ends_with_the_piece(energy):
    objective = TruncatedLikelihood()
    objective(energy, {"y": TEXT[:, :PIECE]}).value.backward()
    objective(energy, {"y": TEXT[:, PIECE : 2 * PIECE]}).value.backward()  # would go through freed buffers
    assert all(not part.requires_grad for part in objective.state_dict()["memory"] if part is not None)


def test_nothing_costs_nothing():
    energy = Autoregressive(Bigram(V), Sequence(V, PIECE))
    y = torch.tensor([[0, 1, -1, -1]])
    loss = TruncatedLikelihood()(energy, {"y": y})
    assert loss.value.item() == pytest.approx(torch.tensor(V + 1.0).log().item())


def test_other_streams_and_other_energies_are_refused(energy):
    objective = TruncatedLikelihood()
    objective(energy, {"y": TEXT[:, :PIECE]})
    with pytest.raises(StructureError, match="of 3 streams, now there are 2"):
        objective(energy, {"y": TEXT[:2, :PIECE]})
    pieces = Meeting.example()
    with pytest.raises(StructureError, match="does not say what comes next"):
        TruncatedLikelihood()(pieces, pieces.example_values(2, torch.Generator()))
