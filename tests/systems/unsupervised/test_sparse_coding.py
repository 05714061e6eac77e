"""What sparse coding is judged by means what it says, and a folder of one's own pictures is enough."""

import pytest
import torch
from torch.nn.functional import normalize

from lowland.energy import L1, LinearReconstruction
from lowland.errors import DataError
from lowland.spaces import Real
from lowland.system import find
from lowland.systems.unsupervised import sparse_coding


def test_the_error_of_an_empty_code_is_one():
    best = torch.randn(5, 8)
    assert sparse_coding.code_error(torch.zeros_like(best), best) == 1
    assert sparse_coding.code_error(torch.stack([best, 0 * best]), best).tolist() == [0, 1]


def test_noise_is_as_long_as_the_data_and_has_no_mean():
    y = torch.randn(6, 144)
    drawn = sparse_coding.noise(y, torch.Generator().manual_seed(0))
    torch.testing.assert_close(drawn.norm(dim=1), y.norm(dim=1))
    torch.testing.assert_close(drawn.mean(1), torch.zeros(6), atol=1e-5, rtol=0)


def test_without_the_l1_term_everything_is_free():
    decoder = LinearReconstruction(12, 30)
    decoder.normalize()
    y = torch.randn(5, 12)
    assert sparse_coding.free_energies(decoder, y).max() < 1e-3
    assert sparse_coding.free_energies(decoder + L1(Real(30), 1.0), y).min() > 0.1


def test_a_smaller_weight_buys_signal_with_atoms():
    dictionary = normalize(torch.randn(12, 30), dim=0)
    found = sparse_coding.path(dictionary, torch.randn(50, 12), [1.0, 0.3, 0.1])
    assert found["snr"] == sorted(found["snr"])
    assert found["nonzeros"] == sorted(found["nonzeros"])


def test_noise_is_not_like_gabor_functions():
    assert not sparse_coding.gabor_like(torch.randn(144, 4)).any()


def pictures(folder, count: int) -> None:
    from PIL import Image

    for index in range(count):
        noisy = (255 * torch.rand(40, 40 + index)).byte().numpy()
        Image.fromarray(noisy).save(folder / f"{index}.png")


def test_a_folder_of_pictures_becomes_whitened_patches(tmp_path):
    pictures(tmp_path, 4)
    data = sparse_coding.data(sparse_coding.Config(images=str(tmp_path), patches=50))
    assert data.train["y"].shape == (50, 144)
    torch.testing.assert_close(data.train["y"].mean(1), torch.zeros(50), atol=1e-5, rtol=0)
    read = sparse_coding.read([str(tmp_path / "0.png")], sparse_coding.Config())
    assert read["y"].shape == (4, 144)  # 32 pixels are left of 40, two patches a side


def test_too_few_pictures_are_refused(tmp_path):
    pictures(tmp_path, 2)
    with pytest.raises(DataError, match="at least 3 images"):
        sparse_coding.data(sparse_coding.Config(images=str(tmp_path), patches=50))


def test_it_tells_which_atoms_a_patch_uses():
    system = find("sparse_coding")
    model = system.build(system.configure("smoke"))
    energy = model["sparse"].eval()
    from lowland.inference import infer

    y = 5 * torch.randn(3, 144)
    texts = system.tell(energy, {"y": y}, infer(energy, "z", y=y))
    assert all("atoms explain" in text for text in texts)
