"""Tests of the repairs of BasicSR, each failing when its repair is left out (checkpoints: test_checkpoints.py, loaders:
test_draws.py)."""
from __future__ import annotations

import functools
import os
import subprocess
import sys
import types
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr import test as basicsr_test
from basicsr import train as basicsr_train
from basicsr.data import build_dataloader, build_dataset
from basicsr.data.prefetch_dataloader import CPUPrefetcher, PrefetchDataLoader
from basicsr.models.base_model import BaseModel
from basicsr.utils import dist_util, get_root_logger, lmdb_util
from basicsr.utils import options as basicsr_options
from basicsr.utils.file_client import FileClient
from hypothesis import given
from hypothesis import strategies as st

from basicsr_snn import compat
from basicsr_snn.compat import imports
from basicsr_snn.compat.optimizers import OPTIMIZERS
from basicsr_snn.errors import UserError

IMPORTED_FIRST = """
import sys, types
package = types.ModuleType('basicsr_snn')
package.__path__ = [sys.argv[1]]
sys.modules['basicsr_snn'] = package  # without its __init__, which would apply the repairs
from basicsr_snn import compat
for repair in compat.BEFORE_IMPORT:
    repair()
    repair()
import torch, basicsr, basicsr.train
before = basicsr.train.load_resume_state
assert before({'auto_resume': False, 'path': {}}) is None
compat.apply()
assert basicsr.train.load_resume_state.__wrapped__ is before
assert not torch.cuda.is_initialized()
print('repaired')
"""


@pytest.mark.slow
def test_import_after_basicsr_in_a_fresh_process():
    package = str(Path(compat.__file__).parent.parent)
    done = subprocess.run([sys.executable, '-c', IMPORTED_FIRST, package], capture_output=True, text=True, timeout=300)
    assert done.stdout.strip() == 'repaired', done.stderr


def test_apply_again_does_nothing():
    before = basicsr_train.load_resume_state, BaseModel.get_optimizer
    compat.apply()
    assert (basicsr_train.load_resume_state, BaseModel.get_optimizer) == before
    assert not hasattr(before[0].__wrapped__, '__wrapped__')


def fake_imports(monkeypatch, *outcomes):
    """Let the imports of these repairs return, or raise, one outcome after the other; return what was asked for."""
    asked, left = [], list(outcomes)

    def module(name):
        asked.append(name)
        outcome = left.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(imports, 'module', module)
    return asked


class RecordedLibrary(list):

    def __init__(self, namespace, kind):
        super().__init__([(namespace, kind)])

    def define(self, schema):
        self.append(schema.split('(')[0])


def test_missing_ops_are_defined_and_torchvision_imported_again(monkeypatch):
    kept = []
    monkeypatch.setattr(imports, '_kept_libraries', kept)
    monkeypatch.setattr(torch.library, 'Library', RecordedLibrary)
    asked = fake_imports(monkeypatch, RuntimeError('operator torchvision::nms does not exist'), torch)
    imports.define_missing_torchvision_ops()
    assert asked == ['torchvision', 'torchvision']
    assert kept == [[('torchvision', 'FRAGMENT'), 'nms', 'qnms']]


def test_loadable_ops_are_left_alone_and_other_errors_shown(monkeypatch):
    monkeypatch.setattr(torch.library, 'Library', None)
    fake_imports(monkeypatch, torch, RuntimeError('out of memory'))
    imports.define_missing_torchvision_ops()
    with pytest.raises(RuntimeError, match='out of memory'):
        imports.define_missing_torchvision_ops()


@pytest.mark.parametrize('private_module_exists', [True, False])
def test_functional_tensor_alias(monkeypatch, private_module_exists):
    name = 'torchvision.transforms.functional_tensor'
    monkeypatch.delitem(sys.modules, name)
    stand_in, missing = types.ModuleType('stand_in'), ModuleNotFoundError()
    fake_imports(monkeypatch, missing, *([] if private_module_exists else [missing]), stand_in)
    imports.alias_functional_tensor()
    assert sys.modules.pop(name) is stand_in


def test_functional_tensor_has_what_basicsr_needs():
    from torchvision.transforms.functional_tensor import rgb_to_grayscale
    gray = rgb_to_grayscale(torch.tensor([1.0, 0.5, 0.25]).reshape(3, 1, 1))
    assert gray.item() == pytest.approx(0.2989 + 0.587 * 0.5 + 0.114 * 0.25, abs=1e-6)


# Options


def load_options(text):
    return yaml.load(text, Loader=basicsr_options.ordered_yaml()[0])


def test_exponents_are_numbers_for_basicsr_only():
    assert load_options('{lr: 1e-3, decay: -2E4, x: .5e+1, name: 1e, tag: e3, half: 0.5, n: 12}') == {
        'lr': 0.001, 'decay': -20000.0, 'x': 5.0, 'name': '1e', 'tag': 'e3', 'half': 0.5, 'n': 12}
    assert yaml.safe_load('1e-3') == '1e-3'
    assert yaml.load('1e-3', Loader=yaml.Loader) == '1e-3'


def test_a_key_that_stands_twice_in_one_block_is_refused():
    assert load_options('a: {x: 1}\nb: {x: 2}\n') == {'a': {'x': 1}, 'b': {'x': 2}}
    with pytest.raises(UserError, match='has `x:` twice in one block, in lines 2 and 4, but a key stands once'):
        load_options('a:\n  x: 1\n  y: 2\n  x: 1\n')
    with pytest.raises(UserError, match='a list or a block as a key, in line 2, but a key is one word'):
        load_options('a: 1\n? [1, 2]\n: 3\n')
    assert yaml.load('{x: 1, x: 2}', Loader=yaml.Loader) == {'x': 2}


@given(st.floats(allow_nan=False, allow_infinity=False), st.sampled_from(['{!r}', '{:e}', '{:.0e}', '{:E}']))
def test_every_written_float_is_read_as_python_reads_it(number, form):
    text = form.format(number)
    assert load_options(f'value: {text}')['value'] == float(text)
    assert basicsr_options._postprocess_yml_value(text) == float(text)


@pytest.mark.parametrize(('text', 'value'), [
    ('1e-4', 1e-4), ('-1', -1), ('-0.5', -0.5), ('+3', 3), ('12', 12), ('1.', 1.0), ('~', None), ('none', None),
    ('True', True), ('false', False), ('!!float 3', 3.0), ('SGD', 'SGD'), ('1.2.3', '1.2.3'), ('e5', 'e5'),
    ('[1, -2, 1e-3]', [1, -2, 1e-3]), ('[a, b]', ['a', 'b']), ('[None, "x"]', [None, 'x']),
])
def test_forced_values(text, value):
    read = basicsr_options._postprocess_yml_value(text)
    assert read == value
    assert type(read) is type(value)


def test_forced_lists_run_no_code():
    assert basicsr_options._postprocess_yml_value('[1+1]') == ['1+1']
    with pytest.raises(UserError, match=r'which is no list'):
        basicsr_options._postprocess_yml_value('[1, 2')


OPTIONS = """
model_type: SRModel
name: tiny
num_gpu: 0
datasets: {train: {name: t}}
train: {optim_g: {lr: 1e-2}, total_iter: 3}
path: {}
"""


def parse(monkeypatch, tmp_path, *arguments, module=basicsr_options):
    file = tmp_path / 'options.yml'
    file.write_text(OPTIONS)
    monkeypatch.setattr(sys, 'argv', ['train', '-opt', str(file), *arguments])
    return module.parse_options(str(tmp_path), is_train=True)[0]


def test_known_keys_are_forced(monkeypatch, tmp_path):
    opt = parse(monkeypatch, tmp_path, '--force_yml', 'train:optim_g:lr=1e-4', 'train:total_iter=7')
    assert (opt['train']['optim_g']['lr'], opt['train']['total_iter']) == (1e-4, 7)


@pytest.mark.parametrize('module', [basicsr_train, basicsr_test, basicsr_options])
@pytest.mark.parametrize(('entry', 'sentence'), [
    ('trian:total_iter=3', r'no block "trian" there; .*: type train\.'),
    ('train:optim:lr=3', r'no block "optim" there; .*: type optim_g\.'),
    ('train:total_iter:x=3', r'no block "total_iter" there'),
    ('train:optim_g:lr:x=3', r'there are no blocks inside it'),
    ('train:total_iter', r'an entry is key:key=value'),
    ('name=a=b', r'an entry is key:key=value'),
])
def test_unknown_forced_blocks_are_refused(monkeypatch, tmp_path, module, entry, sentence):
    with pytest.raises(UserError, match=sentence):
        parse(monkeypatch, tmp_path, '--force_yml', entry, module=module)


def test_missing_option_file_is_refused(monkeypatch, tmp_path):
    monkeypatch.setattr(sys, 'argv', ['train', '-opt', str(tmp_path / 'no.yml')])
    with pytest.raises(UserError, match='no such file'):
        basicsr_train.parse_options(str(tmp_path))


@pytest.mark.parametrize(('module', 'root'), [(basicsr_train, 'experiments_root'), (basicsr_test, 'results_root')])
def test_only_own_folders_are_made(tmp_path, module, root):
    paths = {root: tmp_path / 'run', 'log': tmp_path / 'run', 'visualization': tmp_path / 'run/visualization',
             'teacher': tmp_path / 'teacher.pth', 'ignore_resume_networks': ['network_t'], 'empty': None}
    kept = dict(paths)
    module.make_exp_dirs({'is_train': module is basicsr_train, 'path': paths})
    assert sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob('*')) == ['run', 'run/visualization']
    assert paths == kept


# Training


@pytest.mark.parametrize('name', OPTIMIZERS)
def test_optimizers(name):
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = BaseModel.get_optimizer(None, name, [weight], 0.25)
    assert type(optimizer) is getattr(torch.optim, name)
    assert optimizer.param_groups[0]['lr'] == 0.25


def test_optimizer_options_and_step():
    weight = torch.nn.Parameter(torch.ones(1))
    optimizer = BaseModel.get_optimizer(None, 'SGD', [weight], lr=0.25, weight_decay=0.5)
    (3 * weight).sum().backward()
    optimizer.step()
    assert weight.item() == 1 - 0.25 * (3 + 0.5)


def test_unknown_optimizer_is_refused():
    with pytest.raises(UserError, match='optimizer type is AdamWW; .*: type AdamW or'):
        BaseModel.get_optimizer(None, 'AdamWW', [], 0.1)


@pytest.mark.parametrize(('cuda', 'backend'), [(False, 'gloo'), (True, 'nccl')])
def test_backend_follows_the_device(monkeypatch, cuda, backend):
    joined = []
    monkeypatch.setenv('RANK', '3')
    monkeypatch.setattr(torch.cuda, 'is_available', lambda: cuda)
    monkeypatch.setattr(torch.cuda, 'device_count', lambda: 2 * cuda)
    monkeypatch.setattr(torch.cuda, 'set_device', joined.append)
    monkeypatch.setattr(torch.distributed, 'init_process_group', lambda backend, **_: joined.append(backend))
    monkeypatch.setattr(dist_util.mp, 'set_start_method', lambda method: None)
    basicsr_options.init_dist('pytorch')
    assert joined == ([1, backend] if cuda else [backend])


def test_launcher_without_torchrun_is_refused(monkeypatch):
    monkeypatch.delenv('RANK', raising=False)
    monkeypatch.setattr(dist_util.mp, 'set_start_method', lambda method: None)
    with pytest.raises(UserError, match='torchrun --nproc_per_node'):
        basicsr_options.init_dist('pytorch')


def test_cpu_network_is_distributed(tmp_path):
    model = BaseModel({'num_gpu': 0, 'is_train': True, 'dist': True})
    torch.distributed.init_process_group('gloo', init_method=f'file://{tmp_path}/store', rank=0, world_size=1)
    try:
        net = model.model_to_device(torch.nn.Linear(2, 1))
        net(torch.ones(1, 2)).backward()
        assert isinstance(net, torch.nn.parallel.DistributedDataParallel)
        assert torch.equal(net.module.weight.grad, torch.ones(1, 2))
    finally:
        torch.distributed.destroy_process_group()


# Data


class Broken(torch.utils.data.Dataset):

    def __len__(self):
        return 6

    def __getitem__(self, index):
        if index == 4:
            raise OSError('picture 4 is broken')
        return index


@pytest.mark.parametrize('workers', [0, 1])
def test_prefetcher_raises_the_error_of_the_data(workers):
    prefetcher = CPUPrefetcher(PrefetchDataLoader(2, dataset=Broken(), batch_size=2, num_workers=workers))
    queue = prefetcher.loader.queue
    queue.get = functools.partial(queue.get, timeout=20)  # without the repair it waits for ever
    assert [prefetcher.next().tolist(), prefetcher.next().tolist()] == [[0, 1], [2, 3]]
    with pytest.raises(OSError, match='picture 4 is broken'):
        prefetcher.next()


def test_prefetcher_ends_after_the_last_batch():
    prefetcher = CPUPrefetcher(PrefetchDataLoader(1, dataset=[1, 2], batch_size=1))
    assert [prefetcher.next(), prefetcher.next(), prefetcher.next()] == [torch.tensor([1]), torch.tensor([2]), None]


@pytest.mark.skipif(torch.cuda.is_available(), reason='CUDA is there')
def test_cuda_prefetcher_falls_back(monkeypatch):
    lines = []
    monkeypatch.setattr(get_root_logger(), 'warning', lines.append)
    prefetcher = basicsr_train.CUDAPrefetcher([1, 2], {'num_gpu': 0})
    assert type(prefetcher) is CPUPrefetcher
    assert prefetcher.next() == 1
    assert lines == ['No CUDA: prefetch_mode cuda becomes the plain loader.']


@pytest.fixture
def lmdb_set(tmp_path):
    """An LMDB of three 8x8 pictures, and the options of a training and a validation set that share it."""
    pictures = {f'p{i}': np.random.RandomState(i).randint(0, 256, (8, 8, 3), np.uint8) for i in range(3)}
    for name, picture in pictures.items():
        cv2.imwrite(str(tmp_path / f'{name}.png'), picture)
    root = str(tmp_path / 'set.lmdb')
    lmdb_util.make_lmdb_from_imgs(str(tmp_path), root, [f'{n}.png' for n in pictures], list(pictures),
                                  map_size=2**20)
    shared = {'type': 'PairedImageDataset', 'dataroot_lq': root, 'dataroot_gt': root, 'io_backend': {'type': 'lmdb'},
              'scale': 1, 'gt_size': 8, 'use_hflip': False, 'use_rot': False, 'num_worker_per_gpu': 1,
              'batch_size_per_gpu': 1}
    return pictures, {**shared, 'phase': 'train', 'name': 't'}, {**shared, 'phase': 'val', 'name': 'v'}


def assert_reads(loader, pictures):
    batches = list(loader)
    assert len(batches) == len(pictures)
    for batch in batches:
        read = (batch['lq'][0] * 255).round().byte().permute(1, 2, 0).numpy()[..., ::-1]
        np.testing.assert_array_equal(read, pictures[batch['gt_path'][0]])


def test_training_and_validation_share_one_lmdb(lmdb_set):
    pictures, *options = lmdb_set
    train, val = (build_dataloader(build_dataset(opt), opt, num_gpu=0) for opt in options)
    for _ in range(2):
        assert_reads(train, pictures)  # a forked worker each time
        assert_reads(val, pictures)  # in this process


def test_environment_is_closed_with_its_last_reader(lmdb_set, tmp_path):
    import lmdb
    path = str(tmp_path / 'set.lmdb')
    first, second = (FileClient('lmdb', db_paths=[path], client_keys=['lq']) for _ in range(2))
    encoded = first.get('p1', 'lq')
    np.testing.assert_array_equal(cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_COLOR), lmdb_set[0]['p1'])
    del first
    assert second.get('p1', 'lq') == encoded
    del second
    lmdb.open(path, readonly=True, lock=False).close()


@pytest.mark.skipif(not hasattr(os, 'fork'), reason='no fork here')
def test_child_and_parent_read_after_a_fork(lmdb_set, tmp_path):
    client = FileClient('lmdb', db_paths=str(tmp_path / 'set.lmdb'), client_keys='lq')
    whole = client.get('p0', 'lq')
    child = os.fork()
    if child == 0:
        try:
            again = FileClient('lmdb', db_paths=str(tmp_path / 'set.lmdb'), client_keys='lq')
            os._exit(0 if client.get('p0', 'lq') == again.get('p0', 'lq') == whole else 1)
        finally:
            os._exit(1)
    assert os.waitpid(child, 0)[1] == 0
    assert client.get('p0', 'lq') == whole


def test_lmdb_needs_one_key_for_each_path():
    with pytest.raises(UserError, match='2 db_paths and 1 client_keys'):
        FileClient('lmdb', db_paths=['a', 'b'], client_keys='lq')
