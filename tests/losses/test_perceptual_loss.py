"""The perceptual loss reads its network from a file, and never from the internet."""
from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torchvision
from basicsr.losses import build_loss
from trainings import built, training, write

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError

FILE = 'vgg11-8a719046.pth'
PERCEPTUAL = {'type': 'PerceptualLoss', 'layer_weights': {'conv1_1': 1.0, 'pool1': 0.5}, 'vgg_type': 'vgg11'}


@pytest.fixture(scope='module')
def weights() -> dict[str, torch.Tensor]:
    """The convolutions of a VGG11 with random weights, named as in torchvision's file."""
    torch.manual_seed(0)
    with torch.device('meta'):
        features = torchvision.models.vgg11(weights=None, init_weights=False).features
    return {f'features.{name}': 0.05 * torch.randn(value.shape) for name, value in features.state_dict().items()}


@pytest.fixture
def offline(tmp_path, monkeypatch, weights) -> Path:
    """Current folder with the file; a download fails the test, and torch's own cache is empty."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(tmp_path / 'hub'))
    monkeypatch.setattr(torch.hub, 'download_url_to_file', lambda *_, **__: pytest.fail('downloaded'))
    torch.save(weights, 'vgg.pth')
    return tmp_path


def test_the_loss_is_that_of_the_weights_in_the_file(offline, weights):
    loss = build_loss({**PERCEPTUAL, 'vgg_path': 'vgg.pth', 'perceptual_weight': 2.0})
    one, other = torch.rand(2, 1, 3, 8, 8)
    mean, std = (torch.tensor(values).view(1, 3, 1, 1) for values in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))
    first, second = (torch.nn.functional.conv2d((picture - mean) / std, weights['features.0.weight'],
                                                weights['features.0.bias'], padding=1) for picture in (one, other))
    pooled = [torch.nn.functional.max_pool2d(feature.relu(), 2) for feature in (first, second)]
    expected = 2 * ((first - second).abs().mean() + 0.5 * (pooled[0] - pooled[1]).abs().mean())
    perceptual, style = loss(one, other)
    assert perceptual.item() == pytest.approx(expected.item(), rel=1e-4)
    assert style is None


@pytest.mark.parametrize('folder', ['experiments/pretrained_models', 'hub/checkpoints'])
def test_the_file_is_found_where_basicsr_and_torch_keep_it(offline, folder):
    Path(folder).mkdir(parents=True)
    Path('vgg.pth').rename(Path(folder, FILE))
    Path('experiments/pretrained_models').mkdir(parents=True, exist_ok=True)
    Path('experiments/pretrained_models/vgg19-dcbb9e9d.pth').write_bytes(b'of another network')
    assert build_loss(dict(PERCEPTUAL)).vgg.vgg_net.conv1_1.weight.shape == (64, 3, 3, 3)


@pytest.mark.parametrize(('change', 'sentence'), [
    ({}, f'the weights of vgg11 are not here, and nothing is downloaded .*{FILE} once, and put it into'),
    ({'vgg_path': 'gone.pth'}, 'weight file gone.pth does not exist; did you mean vgg.pth'),
    ({'vgg_path': 'vgg.pth', 'vgg_type': 'vgg13'}, r'vgg.pth holds no weights of vgg13: .* or another vgg_type'),
    ({'vgg_type': 'vgg12'}, "vgg_type is 'vgg12'"),
])
def test_what_is_missing_is_one_sentence(offline, change, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        build_loss({**PERCEPTUAL, **change})
    assert len(str(error.value).splitlines()) == 1


@pytest.mark.parametrize('model', ['SNNModel', 'SRModel'])
def test_it_trains(offline, model):
    options = training(model_type=model)
    options['train'] = {key: options['train'][key] for key in ('optim_g', 'scheduler', 'total_iter')}
    options['train']['perceptual_opt'] = {**PERCEPTUAL, 'vgg_path': 'vgg.pth', 'style_weight': 1.0}
    made = built(options)
    gt = torch.rand(2, 3, 16, 16)
    made.feed_data({'lq': gt + 0.1, 'gt': gt})
    made.optimize_parameters(1)
    assert {'l_percep', 'l_style'} <= set(made.get_current_log())


def test_check_says_that_the_file_is_missing(work, monkeypatch, capsys):
    monkeypatch.setattr(torch.hub, 'get_dir', lambda: str(work))
    options = training()
    options['train']['perceptual_opt'] = dict(PERCEPTUAL)
    assert main(['check', '-opt', write(options)]) == 2
    error = capsys.readouterr().err
    assert 'the weights of vgg11 are not here, and nothing is downloaded' in error
    assert error.count('\n') == 1
