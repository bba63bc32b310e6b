"""What a validation leaves in TensorBoard's event file, read back."""
from __future__ import annotations

import copy

import cv2
import numpy as np
import pytest
import torch
from basicsr.archs import build_network
from basicsr.data import build_dataset
from basicsr.models import build_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch.utils.data import DataLoader
from torch.utils.tensorboard import SummaryWriter

from basicsr_snn.activity.tensorboard import ValidationRecord, side_by_side
from basicsr_snn.energy import OperationCounter
from basicsr_snn.errors import NotFiniteError
from basicsr_snn.inference.calling import deployed
from basicsr_snn.models import validation
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF

OPTIONS = {
    'name': 'run', 'model_type': 'SNNModel', 'num_gpu': 0, 'is_train': False, 'dist': False, 'rank': 0,
    'world_size': 1, 'path': {}, 'network_g': {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]},
    'val': {'save_img': False, 'metrics': {'psnr': {'type': 'calculate_psnr', 'crop_border': 0}}},
}


@pytest.fixture
def loader(tmp_path):
    """Three pictures of 30x40 with noise."""
    for index in range(3):
        pixels = np.random.RandomState(index).randint(0, 256, (30, 40, 3), dtype=np.uint8)
        cv2.imwrite(str(tmp_path / f'{index}.png'), pixels)
    dataset = build_dataset({'name': 'Mine', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': str(tmp_path),
                             'sigma': 25, 'phase': 'val'})
    return DataLoader(dataset)


def events_of(folder, write) -> EventAccumulator:
    with SummaryWriter(str(folder / 'events')) as writer:
        write(writer)
    return EventAccumulator(str(folder / 'events'), {'images': 0, 'histograms': 0}).Reload()


def validated(loader, folder, **changes) -> tuple[EventAccumulator, torch.nn.Module]:
    torch.manual_seed(0)
    model = build_model(copy.deepcopy({**OPTIONS, **changes}))
    return events_of(folder, lambda writer: model.nondist_validation(loader, 7, writer, False)), model


def test_values_of_hand_made_channels(tmp_path):
    neuron = SignedILIF(4, D=2, threshold=0.5)
    x = torch.tensor([0.0, 3.0, -3.0, 0.5]).view(1, 1, 4, 1, 1).expand(1, 1, 4, 5, 6)
    record = ValidationRecord(torch.nn.Sequential(neuron))
    with record:
        neuron(x)
    events = events_of(tmp_path, lambda writer: record.write(writer, 'D', 3))
    values = {tag: (event.step, event.value) for tag in events.Tags()['scalars'] for event in events.Scalars(tag)}
    assert values == {'firing_rate/D/0': (3, 1.25), 'dead_channels/D/0': (3, 0.25), 'saturated_channels/D/0': (3, 0.5),
                      'activity/D/dead_channels': (3, 0.25), 'activity/D/saturated_channels': (3, 0.5)}
    histogram = events.Histograms('membrane/D/0')[0].histogram_value
    assert (histogram.min, histogram.max, histogram.num) == (-6, 6, 4 * 30)
    assert histogram.sum == pytest.approx(30 * (0 + 6 - 6 + 1))


def test_a_validation_writes_what_its_counted_pictures_did(loader, tmp_path):
    events, model = validated(loader, tmp_path)
    net = deployed(model.net_g)
    with OperationCounter(net) as counter, torch.inference_mode():
        for index in range(2):
            net(loader.dataset[index]['lq'][None])
    neurons = counter.report().neurons
    assert len(neurons) == 9
    for neuron in neurons:
        assert events.Scalars(f'firing_rate/Mine/{neuron.name}')[0].value == pytest.approx(neuron.firing_rate)
        assert events.Histograms(f'membrane/Mine/{neuron.name}')[0].step == 7
        assert 0 <= events.Scalars(f'dead_channels/Mine/{neuron.name}')[0].value <= 1
    assert {'activity/Mine/dead_channels', 'activity/Mine/saturated_channels',
            'cost/Mine/energy_nj_px'} <= set(events.Tags()['scalars'])
    assert events.Tags()['images'] == ['pictures/Mine/1', 'pictures/Mine/2']
    assert model.open_validation is None


def test_pictures_are_degraded_restored_and_clean(loader, tmp_path):
    events, model = validated(loader, tmp_path)
    event = events.Images('pictures/Mine/1')[0]
    shown = cv2.imdecode(np.frombuffer(event.encoded_image_string, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert shown.shape == (30, 120, 3)
    item = loader.dataset[0]
    with torch.inference_mode():
        restored = deployed(model.net_g)(item['lq'][None])[0]
    for column, picture in enumerate((item['lq'], restored, item['gt'])):
        expected = (picture.clamp(0, 1) * 255).round().permute(1, 2, 0).numpy()
        assert np.abs(shown[:, 40 * column:40 * (column + 1)] - expected).max() <= 1


def test_an_ann_has_pictures_only(loader, tmp_path):
    events, _ = validated(loader, tmp_path, network_g={**OPTIONS['network_g'], 'neuron': {'type': 'relu'}})
    assert not [tag for tag in events.Tags()['scalars'] if not tag.startswith(('cost/', 'metrics/'))]
    assert events.Tags()['histograms'] == []
    assert len(events.Tags()['images']) == 2


def test_tiles_and_a_spikingjelly_neuron(loader, tmp_path):
    events, _ = validated(loader, tmp_path, val={**OPTIONS['val'], 'tile': 16, 'tile_pad': 8},
                          network_g={**OPTIONS['network_g'], 'T': 2, 'neuron': {'type': 'LIFNode'}})
    tags = [tag for tag in events.Tags()['histograms'] if tag.startswith('membrane/Mine/')]
    assert len(tags) == 9


@pytest.mark.parametrize(('logger', 'counted'), [(None, 2), ('events', 0)])
def test_nothing_is_watched_without_tensorboard_or_counted_pictures(loader, tmp_path, monkeypatch, logger, counted):
    def refuse(net):
        raise AssertionError('watched')

    monkeypatch.setattr(validation, 'ValidationRecord', refuse)
    model = build_model(copy.deepcopy({**OPTIONS, 'val': {**OPTIONS['val'], 'energy': counted}}))
    writer = logger and SummaryWriter(str(tmp_path / logger))
    model.nondist_validation(loader, 7, writer, False)
    assert hasattr(model, 'energy_report') == (counted > 0)


def test_a_diverged_network_gets_no_score(loader, tmp_path):
    model = build_model(copy.deepcopy(OPTIONS))
    torch.nn.init.constant_(model.net_g.stem.weight, float('nan'))
    with pytest.raises(NotFiniteError, match='answers .* with NaN or infinity'):
        events_of(tmp_path, lambda writer: model.nondist_validation(loader, 7, writer, False))


def test_training_steps_are_not_watched(monkeypatch):
    monkeypatch.setattr('basicsr_snn.activity.watch._Tally.add', lambda *_: pytest.fail('watched'))
    options = {**copy.deepcopy(OPTIONS), 'is_train': True, 'logger': {'print_freq': 1}, 'train': {
        'ema_decay': 0.5, 'optim_g': {'type': 'Adam', 'lr': 1e-3}, 'pixel_opt': {'type': 'L1Loss'},
        'scheduler': {'type': 'MultiStepLR', 'milestones': [9], 'gamma': 0.5}}}
    model = build_model(options)
    model.feed_data({'lq': torch.rand(1, 3, 8, 8), 'gt': torch.rand(1, 3, 8, 8)})
    model.optimize_parameters(1)
    assert model.training_cost.firing_rate > 0


def test_large_pictures_are_cut_to_their_centre_and_small_ones_enlarged():
    large = torch.zeros(1, 3, 300, 1000)
    large[..., 22:278, 372:628] = 1
    assert side_by_side([large], like=large).shape == (3, 256, 256)
    assert side_by_side([large], like=large).min() == 255
    small = torch.tensor([[[[0.0, 1.0]]]])
    assert side_by_side([small, torch.zeros(1, 1, 2, 4)], like=torch.zeros(1, 1, 2, 4))[0].tolist() == [
        [0, 0, 255, 255, 0, 0, 0, 0]] * 2


def test_no_more_than_four_pictures_are_kept():
    record = ValidationRecord(build_network(dict(OPTIONS['network_g'])))
    pictures = torch.rand(3, 3, 8, 8)
    record.add_pictures(pictures, pictures, pictures)
    record.add_pictures(pictures, pictures, None)
    record.add_pictures(pictures, pictures, None)
    assert [strip.shape[-1] for strip in record._strips] == [24, 24, 24, 16]
