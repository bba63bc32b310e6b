"""Loss terms against formulas written out in numpy."""
from __future__ import annotations

import numpy as np
import pytest
import torch
import yaml
from basicsr.losses import build_loss

from basicsr_snn.errors import UserError
from basicsr_snn.losses.fft_loss import FFTLoss
from basicsr_snn.losses.hint_contract import as_hint_loss
from basicsr_snn.losses.hint_loss import CRITERIA, FeatureHintLoss
from basicsr_snn.losses.rate_loss import MEMORY, SpikeRateLoss


@pytest.fixture
def features() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return torch.randn(2, 4, 5, 6, generator=generator), torch.randn(2, 4, 5, 6, generator=generator)


def test_fft_loss_equals_numpy(features):
    a, b = features
    spectrum = np.fft.rfft2((a - b).numpy(), norm='ortho')
    expected = (np.abs(spectrum.real).mean() + np.abs(spectrum.imag).mean()) / 2
    assert FFTLoss(loss_weight=0.1)(a, b).item() == pytest.approx(0.1 * expected, rel=1e-5)
    total = np.abs(spectrum.real).sum() + np.abs(spectrum.imag).sum()
    assert FFTLoss(reduction='sum')(a, b).item() == pytest.approx(total, rel=1e-5)


def test_hint_losses_equal_numpy(features):
    a, b = (f.numpy().astype(np.float64) for f in features)
    cosine = (a * b).sum(1) / np.sqrt((a ** 2).sum(1) * (b ** 2).sum(1))

    def attention(f):
        maps = (f ** 2).mean(1).reshape(2, -1)
        return maps / np.linalg.norm(maps, axis=1, keepdims=True)

    expected = {'mse': ((a - b) ** 2).mean(), 'l1': np.abs(a - b).mean(), 'cosine': (1 - cosine).mean(),
                'attention': ((attention(a) - attention(b)) ** 2).sum(1).mean()}
    assert set(expected) == set(CRITERIA)
    for criterion, value in expected.items():
        assert FeatureHintLoss(criterion)(*features).item() == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize('criterion', CRITERIA)
def test_hint_loss_is_zero_for_equal_features_and_does_not_grow_with_the_patch(criterion, features):
    a, b = features
    loss = FeatureHintLoss(criterion, loss_weight=2.0)
    assert loss(a, a).item() == pytest.approx(0, abs=1e-6)
    if criterion != 'attention':
        assert loss(a.repeat(2, 1, 2, 2), b.repeat(2, 1, 2, 2)).item() == pytest.approx(loss(a, b).item(), rel=1e-4)


def test_attention_needs_no_equal_channels(features):
    assert torch.isfinite(FeatureHintLoss('attention')(features[0], features[1][:, :1]))
    assert not FeatureHintLoss('attention').matches_channels


def test_a_loss_of_basicsr_gets_the_neutral_values_of_a_hint_loss(features):
    from basicsr.losses import build_loss

    plain = build_loss({'type': 'L1Loss', 'loss_weight': 2.0})
    loss = as_hint_loss(plain)
    assert loss.matches_channels
    assert isinstance(loss.adapter_tail(4), torch.nn.Identity)
    torch.testing.assert_close(loss(*features), plain(*features))
    stating = FeatureHintLoss()
    assert as_hint_loss(stating) is stating


def test_docstring_yaml_builds():
    for cls, key in ((FFTLoss, 'fft_opt'), (FeatureHintLoss, 'loss')):
        options = yaml.safe_load(cls.__doc__.split('.. code-block:: yaml')[1])
        assert isinstance(build_loss(options[key]), cls)


def test_unknown_criterion_gets_one_sentence():
    with pytest.raises(UserError, match='did you mean mse'):
        FeatureHintLoss('msee')
    with pytest.raises(UserError, match='mean or sum'):
        FFTLoss(reduction='none')


def test_rate_loss_is_the_excess_of_accumulations_over_the_budget():
    spikes = [torch.tensor([[2.0, -1.0], [0.0, 3.0]]), torch.tensor([1.0, -4.0])]
    loss = SpikeRateLoss(target=20, loss_weight=0.5)
    accumulations = (6 * 9 + 5 * 4) / 2  # events times fan-out, of two pixels
    assert loss(spikes, [9.0, 4.0], pixels=2).item() == pytest.approx(0.5 * (accumulations / 20 - 1))
    assert SpikeRateLoss(target=40)(spikes, [9.0, 4.0], pixels=2).item() == 0


def test_rate_loss_judges_the_running_mean_and_pulls_at_the_batch():
    loss = SpikeRateLoss(target=10, loss_weight=1.0)
    loss([torch.full((4,), 10.0)], [1.0], pixels=1)
    quiet = torch.tensor([1.0, -2.0], requires_grad=True)
    value = loss([quiet], [2.0], pixels=1)
    assert value.item() == pytest.approx((MEMORY * 40 + (1 - MEMORY) * 6) / 10 - 1)
    value.backward()
    assert quiet.grad.tolist() == pytest.approx([0.2, -0.2])


def test_rate_loss_needs_a_budget():
    with pytest.raises(UserError, match='write accumulations a pixel'):
        SpikeRateLoss(target=0)
