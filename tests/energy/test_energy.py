"""The algebra: names, batch shapes, fixing what is known, sums that keep their terms."""

import pytest
import torch
from torch import nn

from lowland.energy import L1, L2, Conditioned, Energy, Function, LinearReconstruction, NetworkTable, Quadratic, Sum
from lowland.errors import SpaceError, StructureError, VariableError
from lowland.spaces import Categorical, Opaque, Real


class Counting(Energy):
    """Understands x once if it is given, and counts how often."""

    def __init__(self):
        super().__init__(x=Real(2), a=Real(2))
        self.understood = 0

    def understand(self, x):
        self.understood += 1
        return 2 * x

    def energies(self, x, a):
        return (self.understand(x) - a).square().sum(-1)

    def given(self, **observed):
        if observed.keys() == {"x"}:
            return Function(lambda features, a: (features - a).square().sum(-1), features=Real(2), a=Real(2)).given(
                features=self.understand(observed["x"])
            )
        return super().given(**observed)


def test_batch_shapes_broadcast_as_in_torch_distributions():
    energy = Function(lambda x, a: (x.sum(-1) - a.sum(-1)).square(), x=Real(2), a=Real(3))
    x, a = torch.randn(4, 2), torch.randn(4, 7, 3)
    assert energy(x=x[:, None], a=a).shape == (4, 7)
    assert energy(x=x[0], a=a[0, 0]).shape == ()
    torch.testing.assert_close(energy(x=x[:, None], a=a)[2, 5], energy(x=x[2], a=a[2, 5]))
    with pytest.raises(SpaceError, match=r"x \(4,\).*a \(5,\)"):
        energy(x=x, a=torch.randn(5, 3))


def test_one_flat_batch_goes_straight_through():
    seen = []
    energy = Function(lambda x: seen.append(x) or x.sum(-1), x=Real(2))
    x = torch.randn(4, 2)
    energy(x=x)
    assert seen[0] is x


def test_an_opaque_batch_can_not_be_broadcast():
    energy = Function(lambda graphs, y: y + len(graphs), graphs=Opaque("a batch of graphs"), y=Real())
    assert energy(graphs=["a", "b"], y=torch.zeros(2)).tolist() == [2, 2]
    with pytest.raises(SpaceError, match="opaque"):
        energy(graphs=["a", "b"], y=torch.zeros(3, 2))
    labelled = Function(lambda graphs, y: y + 0.0, graphs=Opaque("a batch of graphs"), y=Categorical(3))
    with pytest.raises(StructureError, match="override `table`"):
        labelled.table("y", graphs=["a", "b"])


def test_names_that_do_not_fit_are_refused_with_the_names_there_are():
    energy = LinearReconstruction(5, 3)
    with pytest.raises(VariableError, match="energy of y, z; unknown: w; missing: z"):
        energy(y=torch.zeros(2, 5), w=torch.zeros(2, 3))
    with pytest.raises(VariableError, match="looks over one variable"):
        _ = energy.variable
    with pytest.raises(VariableError, match="Real\\(3\\).*Real\\(4\\)"):
        energy + L1(Real(4))


def test_work_on_what_is_given_is_done_once():
    energy = Counting()
    conditioned = energy.given(x=torch.randn(3, 2))
    for _ in range(5):
        conditioned(a=torch.randn(3, 2))
    assert energy.understood == 1


def test_a_linear_decoder_given_its_observation_is_a_quadratic_with_one_gram_matrix():
    energy = LinearReconstruction(5, 3)
    conditioned = energy.given(y=torch.randn(4, 5))
    assert isinstance(conditioned, Conditioned) and isinstance(conditioned.energy, Quadratic)
    form = conditioned.quadratic_form()
    assert form is not None and form.gram.shape == (3, 3) and form.linear.shape == (4, 3)


def test_sums_keep_their_terms_and_scale():
    y, z = torch.randn(4, 5), torch.randn(4, 3)
    reconstruction, sparsity = LinearReconstruction(5, 3), L1(Real(3), 0.2)
    energy = reconstruction + 0.5 * sparsity + L2(Real(3))
    assert isinstance(energy, Sum) and len(energy.terms) == 3
    smooth, kink = energy.given(y=y).composite()
    assert kink is not None
    torch.testing.assert_close(kink(z=z), 0.5 * sparsity(z=z))
    torch.testing.assert_close(smooth(z=z) + kink(z=z), energy(y=y, z=z))


def test_two_kinks_have_no_common_proximal_step():
    with pytest.raises(StructureError, match="single term with a kink, got 2"):
        (L1(Real(3)) + L1(Real(3))).composite()


def test_a_missing_proximal_step_is_an_error_and_never_a_slow_path():
    with pytest.raises(StructureError, match="no proximal step"):
        LinearReconstruction(5, 3).given(y=torch.zeros(5)).prox(torch.zeros(3), 0.1)
    with pytest.raises(StructureError, match="can't be enumerated"):
        LinearReconstruction(5, 3).table("z", y=torch.zeros(5))
    with pytest.raises(StructureError, match="no slope"):
        NetworkTable(nn.Linear(2, 3), Real(2), 3).gradient("y", x=torch.zeros(1, 2), y=torch.zeros(1).long())


def test_the_table_of_a_sum_broadcasts_terms_that_lack_the_variable():
    first = Function(lambda y, z: (y + 1.0) * (z + 2.0), y=Categorical(3), z=Categorical(4))
    second = Function(lambda z: 10.0 * z, z=Categorical(4))
    third = Function(lambda y: 100.0 * y, y=Categorical(3))
    table = (first + second + third).table("y", "z")
    y, z = torch.meshgrid(torch.arange(3), torch.arange(4), indexing="ij")
    torch.testing.assert_close(table, (y + 1.0) * (z + 2.0) + 10.0 * z + 100.0 * y)
    given_one = (first + second + third).table("z", y=torch.tensor([0, 2]))
    torch.testing.assert_close(given_one, table[[0, 2]])


def test_a_weight_can_be_learnt():
    weight = nn.Parameter(torch.tensor(2.0))
    energy = weight * LinearReconstruction(5, 3)
    energy(y=torch.randn(4, 5), z=torch.randn(4, 3)).sum().backward()
    assert weight.grad is not None and weight in set(energy.parameters())


def test_what_is_given_moves_with_the_module():
    conditioned = LinearReconstruction(5, 3).double().given(y=torch.zeros(4, 5, dtype=torch.float64)).float()
    assert conditioned(z=torch.zeros(4, 3)).dtype == torch.float32
