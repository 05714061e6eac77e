"""Patches lie where they should, and whitened data are white."""

import pytest
import torch

from lowland.data import Whitening, extract_patches, whiten_images
from lowland.errors import UsageError


def coordinates(number, height, width):
    """An image whose pixels tell which image, row and column they are from."""
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    return number * 10_000.0 + rows * 100 + columns


def test_patches_are_whole_windows_of_their_images():
    images = [coordinates(0, 9, 30), coordinates(1, 20, 8)]
    patches = extract_patches(images, 5, 4000, torch.Generator().manual_seed(0))
    assert patches.shape == (4000, 5, 5)
    offsets = torch.arange(5)[:, None] * 100.0 + torch.arange(5)
    assert torch.equal(patches - patches[:, :1, :1], offsets.expand(4000, 5, 5))
    corners = patches[:, 0, 0].long()
    assert len(corners.unique()) == 5 * 26 + 16 * 4  # every place of either image occurs
    share = (corners < 10_000).float().mean().item()
    assert share == pytest.approx(130 / 194, abs=0.03)  # and as often as any other


def test_patches_repeat_with_their_generator_and_keep_colours():
    images = torch.rand(4, 3, 12, 12)
    one, same = (extract_patches(images, 6, 10, torch.Generator().manual_seed(7)) for _ in range(2))
    assert one.shape == (10, 3, 6, 6) and torch.equal(one, same)
    assert not torch.equal(one, extract_patches(images, 6, 10, torch.Generator().manual_seed(8)))


@pytest.mark.parametrize("images", [[torch.zeros(4, 9)], []])
def test_too_small_images_are_a_sentence(images):
    with pytest.raises(UsageError, match="wanted images of at least 5×5 pixels"):
        extract_patches(images, 5, 10)


def correlated(count=2000):
    return torch.randn(count, 6) @ torch.randn(6, 6) + torch.arange(6.0)


@pytest.mark.parametrize("kind", [Whitening.pca, Whitening.zca])
def test_whitened_samples_have_the_identity_as_covariance_and_come_back(kind):
    x = correlated()
    whitening = kind(x)
    z = whitening(x)
    assert torch.allclose(z.mean(0), torch.zeros(6), atol=1e-4)
    assert torch.allclose(z.T.cov(), torch.eye(6), atol=1e-3)
    assert torch.allclose(whitening.inverse(z), x, atol=1e-3)


def test_zca_is_symmetric_and_pca_is_sorted():
    x = correlated()
    assert torch.allclose(Whitening.zca(x).matrix, Whitening.zca(x).matrix.T, atol=1e-5)
    strengths = Whitening.pca(x).unmatrix.norm(dim=0)
    assert torch.equal(strengths, strengths.sort(descending=True).values)


def test_few_components_keep_most_of_the_variance_as_scikit_learn_does():
    from sklearn.decomposition import PCA

    x = correlated()
    whitening, judge = Whitening.pca(x, dim=2), PCA(2, whiten=True).fit(x.numpy())
    z, expected = whitening(x), judge.transform(x.numpy())
    assert z.shape == (2000, 2)
    assert torch.allclose(z.abs(), torch.from_numpy(expected).abs(), atol=1e-3)  # signs are anyone's choice
    assert torch.allclose(whitening.inverse(z), torch.from_numpy(judge.inverse_transform(expected)), atol=1e-3)


def test_a_direction_without_variance_needs_epsilon():
    x = correlated()
    x[:, 0] = x[:, 1]
    with pytest.raises(UsageError, match="give epsilon > 0 or a smaller dim"):
        Whitening.zca(x)
    assert Whitening.zca(x, epsilon=1e-3)(x).isfinite().all()
    assert Whitening.pca(x, dim=4)(x).T.cov().sub(torch.eye(4)).abs().max() < 1e-3
    with pytest.raises(UsageError, match="wanted 1 ≤ dim ≤ 6"):
        Whitening.pca(x, dim=7)


def test_the_filter_flattens_a_1_over_f_spectrum_and_cuts_high_frequencies():
    f = torch.fft.fftfreq(128)[:, None].hypot(torch.fft.fftfreq(128))
    natural = torch.fft.ifft2(torch.fft.fft2(torch.randn(128, 128)) / f.clamp_min(1 / 128)).real
    (filtered,) = whiten_images([natural + 5], cutoff=0.4)
    amplitude = torch.fft.fft2(filtered).abs()
    bands = [amplitude[(f > low) & (f < low + 0.05)].mean() for low in (0.02, 0.1, 0.2)]
    assert max(bands) / min(bands) < 1.2
    expected = (-((torch.tensor([0.2, 0.6]) / 0.4) ** 4)).exp()
    ratio = amplitude[(f > 0.59) & (f < 0.61)].mean() / amplitude[(f > 0.19) & (f < 0.21)].mean()
    assert ratio.item() == pytest.approx((expected[1] / expected[0]).item(), rel=0.25)
    assert filtered.mean().abs() < 1e-4 and filtered.square().mean().item() == pytest.approx(0.1, rel=1e-3)


def test_the_filter_keeps_shapes_and_relative_strengths():
    images = [torch.randn(16, 33), 10 * torch.randn(20, 8)]
    wide, tall = whiten_images(images)
    assert wide.shape == (16, 33) and tall.shape == (20, 8)
    assert tall.std() > 5 * wide.std()
