"""No lost checkpoint: atomic saving, resuming from the newest checkpoint that is complete and finite."""
from __future__ import annotations

import pytest
import torch
from basicsr import train as basicsr_train
from basicsr.models import base_model
from basicsr.models.base_model import BaseModel

from basicsr_snn.errors import UserError
from basicsr_snn.version import __version__
from basicsr_snn.weight_files.card import Card
from basicsr_snn.weight_files.declared_size import LIMIT
from basicsr_snn.weight_files.reading import read_weight_file


def checkpointed_model(folder):
    """A bare model whose checkpoints go to ``folder``."""
    folder.mkdir(exist_ok=True)
    return BaseModel({'num_gpu': 0, 'is_train': True, 'dist': False,
                      'path': {'models': str(folder), 'training_states': str(folder)}})


def half_save(content, stream):
    stream.write(b'half')
    raise RuntimeError('disk full')


def killed_save(content, stream):
    stream.write(b'half')
    raise KeyboardInterrupt


SAVES = {'net_g_5.pth': lambda model: model.save_network(torch.nn.Linear(2, 1), 'net_g', 5),
         '5.state': lambda model: model.save_training_state(0, 5)}


@pytest.mark.parametrize('name', SAVES)
def test_broken_save_keeps_the_old_file_and_is_raised(monkeypatch, tmp_path, name):
    model, file = checkpointed_model(tmp_path), tmp_path / name
    SAVES[name](model)
    whole = file.read_bytes()
    waits = []
    monkeypatch.setattr(base_model.time, 'sleep', waits.append)
    monkeypatch.setattr(torch, 'save', half_save)
    with pytest.raises(OSError, match='disk full'):
        SAVES[name](model)
    assert len(waits) == 3
    monkeypatch.setattr(torch, 'save', killed_save)
    with pytest.raises(KeyboardInterrupt):
        SAVES[name](model)
    assert file.read_bytes() == whole


def test_saved_files_hold_the_network_and_nothing_is_left_beside_them(tmp_path):
    model, net = checkpointed_model(tmp_path), torch.nn.Linear(2, 1)
    model.save_network([net, net], 'net_g', -1, param_key=['params', 'params_ema'])
    model.save_training_state(0, -1)  # "latest" has no state
    assert [file.name for file in tmp_path.iterdir()] == ['net_g_latest.pth']
    loaded = torch.load(tmp_path / 'net_g_latest.pth')
    assert loaded.keys() == {'params', 'params_ema'}
    assert torch.equal(loaded['params_ema']['weight'], net.weight)


def test_saved_files_say_which_network_they_are_of_and_basicsr_reads_them(tmp_path, monkeypatch):
    model, net, other = checkpointed_model(tmp_path), torch.nn.Linear(2, 1), torch.nn.Linear(2, 1)
    model.opt.update(network_g={'type': 'SpikerIR', 'T': 2}, licence='CC0', datasets={'train': {'sigma': 25}})
    model.save_network([net, net], 'net_g', 4, param_key=['params', 'params_ema'])
    model.save_network(net, 'net_adapters', 4)
    content, card = read_weight_file(tmp_path / 'net_g_4.pth')
    assert card == Card({'type': 'SpikerIR', 'T': 2}, 25, licence='CC0', version=__version__)
    assert content.keys() == {'params', 'params_ema'}
    assert read_weight_file(tmp_path / 'net_adapters_4.pth')[1] is None
    assert vars(net.state_dict()).keys() == {'_metadata'}  # the hook of saving is gone
    for key in ('params', 'params_ema'):
        BaseModel.load_network(model, other, str(tmp_path / 'net_g_4.pth'), True, key)
        assert torch.equal(other.weight, net.weight)
    monkeypatch.setenv(LIMIT, '1e-9')
    with pytest.raises(UserError, match='declares'):
        BaseModel.load_network(model, other, str(tmp_path / 'net_g_4.pth'))


@pytest.fixture
def checkpoints(tmp_path, monkeypatch):
    """Checkpoints 2, 4 and 10 under another root than the current folder, and the options that resume there."""
    root = tmp_path / 'experiment'
    model = checkpointed_model(root)
    for iteration in (2, 4, 10):
        model.save_network(torch.nn.Linear(2, 1), 'net_g', iteration)
        model.save_training_state(0, iteration)
    elsewhere = tmp_path / 'elsewhere'
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    opt = {'name': 'experiment', 'auto_resume': True, 'network_g': {}, 'path': {**model.opt['path']}}
    return root, opt


def test_resume_takes_the_newest_checkpoint(checkpoints):
    root, opt = checkpoints
    assert basicsr_train.load_resume_state(opt)['iter'] == 10
    assert opt['path']['resume_state'] == str(root / '10.state')
    assert opt['path']['pretrain_network_g'] == str(root / 'net_g_10.pth')


@pytest.mark.parametrize('broken', ['10.state', 'net_g_10.pth'])
@pytest.mark.parametrize('cut', [0, 100, -1])
def test_resume_falls_back_to_an_older_checkpoint(checkpoints, broken, cut):
    root, opt = checkpoints
    (root / broken).write_bytes((root / broken).read_bytes()[:cut])
    with pytest.warns(UserWarning, match='Checkpoint 10 in .* is broken'):
        assert basicsr_train.load_resume_state(opt)['iter'] == 4
    assert opt['path']['pretrain_network_g'] == str(root / 'net_g_4.pth')


def test_resume_skips_a_checkpoint_without_its_network(checkpoints):
    root, opt = checkpoints
    (root / 'net_g_10.pth').unlink()
    with pytest.warns(UserWarning, match='Checkpoint 10'):
        assert basicsr_train.load_resume_state(opt)['iter'] == 4


@pytest.mark.filterwarnings('ignore:Checkpoint')
def test_resume_never_starts_anew_beside_broken_checkpoints(checkpoints):
    root, opt = checkpoints
    for file in root.glob('*.state'):
        file.write_bytes(b'')
    with pytest.raises(UserError, match='found 3 checkpoints'):
        basicsr_train.load_resume_state(opt)


def test_resume_without_checkpoints_starts_anew(tmp_path):
    paths = {'training_states': str(tmp_path / 'training_states'), 'models': str(tmp_path / 'models')}
    assert basicsr_train.load_resume_state({'auto_resume': True, 'path': paths}) is None
    (tmp_path / 'models').mkdir()
    with pytest.warns(UserWarning, match='found no checkpoint in .*: the training begins anew, and the earlier one is'):
        assert basicsr_train.load_resume_state({'auto_resume': True, 'path': paths}) is None
    assert basicsr_train.load_resume_state({'auto_resume': False, 'path': {}}) is None


@pytest.mark.filterwarnings('ignore:Later checkpoints')
def test_named_state(checkpoints):
    root, opt = checkpoints
    opt['auto_resume'] = False
    opt['path']['resume_state'] = str(root / '4.state')
    assert basicsr_train.load_resume_state(opt)['iter'] == 4
    for broken in (root / 'no.state', root / 'net_g_4.pth'):
        opt['path']['resume_state'] = str(broken)
        with pytest.raises(UserError, match='cannot be resumed'):
            basicsr_train.load_resume_state(opt)


def without(key):
    def forget(file):
        content = torch.load(file)
        del content[key]
        torch.save(content, file)
    return forget


def spoil(value):
    def put(file):
        content = torch.load(file)
        weights = content.get('params', content.get('optimizers'))
        (weights['weight'] if 'weight' in weights else weights[0]['state'][0]['exp_avg']).view(-1)[0] = value
        torch.save(content, file)
    return put


@pytest.mark.parametrize(('file', 'harm', 'reason'), [
    ('net_adapters_10.pth', lambda file: file.unlink(), 'No such file'),
    ('10.state', without('epoch'), '10.state lacks epoch'),
    ('10.state', without('schedulers'), '10.state lacks schedulers'),
    ('net_g_10.pth', without('params'), 'net_g_10.pth lacks params'),
    ('net_g_10.pth', spoil(float('nan')), 'net_g_10.pth holds NaN or infinity in params.weight'),
    ('net_adapters_10.pth', spoil(float('inf')), 'net_adapters_10.pth holds NaN or infinity in params.weight'),
    ('10.state', spoil(float('inf')), '10.state holds NaN or infinity in optimizers.0.state.0.exp_avg'),
])
def test_resume_skips_what_is_not_complete_or_not_finite_and_says_so(checkpoints, file, harm, reason):
    root, opt = checkpoints
    net = torch.nn.Linear(2, 1)
    model = checkpointed_model(root)
    model.optimizers = [torch.optim.Adam(net.parameters())]
    net(torch.ones(1, 2)).sum().backward()
    model.optimizers[0].step()
    for label in ('net_g', 'net_adapters'):
        model.save_network(net, label, 10)
    model.save_training_state(0, 10)
    harm(root / file)
    with pytest.warns(UserWarning, match=f'Checkpoint 10 in .* is broken .*{reason}.*; trying an older one'):
        assert basicsr_train.load_resume_state(opt)['iter'] == 4


@pytest.mark.filterwarnings('ignore:Checkpoint')
def test_a_state_that_declares_more_bytes_than_are_read_is_refused_like_a_weight_file(checkpoints, monkeypatch):
    root, opt = checkpoints
    monkeypatch.setenv('BASICSR_SNN_WEIGHT_GB', '1e-9')
    opt['path'].update(resume_state=str(root / '4.state'), training_states=str(root / 'none'))
    with pytest.raises(UserError, match=r'4\.state, which cannot be resumed \(UserError: .*4\.state has 0\.00 GB'):
        basicsr_train.load_resume_state(opt)


def test_one_rule_for_a_named_state_beside_auto_resume(checkpoints):
    """The newest checkpoint of the experiment; the named one where there is none."""
    root, opt = checkpoints
    opt['path']['resume_state'] = str(root / '4.state')
    with pytest.warns(UserWarning, match='--auto_resume goes on from .*10.state.* and not from path: resume_state'):
        assert basicsr_train.load_resume_state(opt)['iter'] == 10
    opt['path'].update(resume_state=str(root / '4.state'), training_states=str(root / 'none'))
    with pytest.warns(UserWarning, match='Later checkpoints than 4.state are kept'):
        assert basicsr_train.load_resume_state(opt)['iter'] == 4


def test_a_resume_takes_all_of_the_trained_weights(checkpoints):
    """Whatever entry, or part, the option file takes of weights to begin from."""
    _, opt = checkpoints
    opt['path'].update(param_key_g=None, strict_load_g=False)
    basicsr_train.load_resume_state(opt)
    assert (opt['path']['param_key_g'], opt['path']['strict_load_g']) == ('params', True)
