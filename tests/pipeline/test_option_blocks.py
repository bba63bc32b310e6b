"""What option files may hold is declared once: check, schema for editors and reference page agree with it."""
from __future__ import annotations

import copy
import importlib.util
import inspect
import json
import subprocess
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Annotated, Any

import jsonschema
import msgspec
import pytest
from basicsr.utils.registry import ARCH_REGISTRY
from trainings import set_values

from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset as Dataset
from basicsr_snn.data.picture_options import PictureOptions, read_noise_seed
from basicsr_snn.distill.hints import build_hint
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_blocks import OptionFile
from basicsr_snn.pipeline.option_blocks.built import argument_meanings, block_of, known
from basicsr_snn.pipeline.option_blocks.datasets import GaussianDenoisingDataset
from basicsr_snn.pipeline.option_blocks.distillation import Hint, Tail
from basicsr_snn.pipeline.option_blocks.wording import dissect, typed, wanted
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.pipeline.option_files import read_options
from basicsr_snn.spiking.base import NEURONS, NeuronOptions
from basicsr_snn.spiking.neurons import build_neuron

REPOSITORY = Path(__file__).resolve().parents[2]
OPTION_FILES = sorted((REPOSITORY / 'options').rglob('*.yml'))
SCHEMA = json.loads((REPOSITORY / 'docs/reference/options.schema.json').read_text(encoding='utf-8'))
HKD = REPOSITORY / 'options/train/SpikerIR/hkd_ffdnet_color25.yml'
PAIRS = {'name': 'a', 'type': 'PairedImageDataset', 'dataroot_gt': 'x', 'dataroot_lq': 'y',
         'io_backend': {'type': 'disk'}}
NAN, INFINITE = float('nan'), float('inf')


def changed(changes: dict[str, Any], file: Path = HKD) -> dict:
    """The options of a file with other values, by dotted keys."""
    return set_values(copy.deepcopy(read_options(file)), changes, '.')


def fields(block: type) -> dict[str, msgspec.structs.FieldInfo]:
    return {field.name: field for field in msgspec.structs.fields(block)}


def test_writing_the_reference_changes_nothing():
    script = REPOSITORY / 'tools/write_option_reference.py'
    ran = subprocess.run([sys.executable, str(script), '--check'], capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize('file', OPTION_FILES, ids=lambda file: str(file.relative_to(REPOSITORY / 'options')))
def test_every_option_file_fits_check_and_schema(file):
    options = read_options(file)
    check_options(options)
    jsonschema.Draft202012Validator(SCHEMA).validate(options)


WRONG = [
    ({'datasets.train.use_hflip': 'yep'}, "datasets: train: use_hflip is 'yep', but must be true or false; write "
                                          'use_hflip: true'),
    ({'train.amp': 'no'}, "train: amp is 'no', but must be true or false; write amp: false"),
    ({'logger.print_freq': 0}, 'logger: print_freq is 0, but must be a number of at least 1 .*; write print_freq: 100'),
    ({'train.scheduler.periods': 8}, r'periods is 8, but must be a list of numbers .*; write periods: \[30000\]'),
    ({'train.scheduler': {'type': 'CosineAnnealingRestartLR'}}, 'train: scheduler lacks periods; add `periods:`'),
    ({'train.scheduler': {'type': 'MultiStepLR', 'milestones': 6}}, 'milestones is 6, but must be a list of numbers'),
    ({'manual_seed': 'abc'}, "manual_seed is 'abc', but must be a number from 0 to .*; write manual_seed: 0"),
    ({'num_gpu': 'all'}, "num_gpu is 'all', but must be auto or a number of at least 0 .*; write num_gpu: auto"),
    ({'val.metrics': ['psnr']}, r"val: metrics is \['psnr'\], but must be a block of keys"),
    ({'val.metrics.psnr.test_y_chanel': True}, 'unknown key "test_y_chanel"; did you mean test_y_channel'),
    ({'val.metrics.psnr.crop_border': 'x'}, "psnr: crop_border is 'x', but must be a number without decimals"),
    ({'datasets.train.dataroot_gt': ['a', 'b']}, 'dataroot_gt is .* write dataroot_gt: datasets/BSD432'),
    ({'datasets.train.subset': [1]}, r'subset is \[1\], but must be a list of two numbers'),
    ({'datasets.train.in_ch': 4}, 'datasets: train: in_ch is "4", which is not known; did you mean 3 or 1'),
    ({'datasets.train.prefetch_mode': 'gpu'}, "prefetch_mode is 'gpu', but must be cpu or cuda"),
    ({'datasets.train.io_backend': {'type': 'disk', 'client': 'x'}}, 'io_backend has an unknown key "client"'),
    ({'datasets.train.batch_size_per_gpu': 8.5}, 'batch_size_per_gpu is 8.5, but must be a number of at least 1'),
    ({'path.pretrain_network_g': {'file': 'x.pth'}}, "pretrain_network_g is {'file': 'x.pth'}, but must be a text"),
    ({'logger.wandb': {'projct': None}}, 'logger: wandb has an unknown key "projct"; did you mean project'),
    ({'dist_params': {'prt': 1}}, 'dist_params has an unknown key "prt"; did you mean port'),
    ({'network_g.T': '1'}, "network_g: T is '1', but must be a number without decimals; write T: 1"),
    ({'network_g.neuron': {'type': 'SignedILIF', 'Dd': 4}},
     'network_g: neuron has an unknown key "Dd"; did you mean D'),
    ({'network_g.neuron': {'D': 'many'}}, "network_g: neuron: D is 'many', but must be a number"),
    ({'network_g.stages.head.type': 'SignedLIF'}, 'network_g: stages: head: type is "SignedLIF", which is not known'),
    ({'distill.hints': {}}, 'distill: hints is {}, but must be a list of blocks'),
    ({'distill.hints.0.time': 'men'}, 'distill: hints: 0: time is "men", which is not known; did you mean mean'),
    ({'distill.hints.0.weight': -1}, 'distill: hints: 0: weight is -1, but must be a number of at least 0'),
    ({'distill.schedule': {'type': 'cosin'}}, 'distill: schedule: type is "cosin", .* did you mean cosine'),
    ({'distill.teacher.network.nb': 'x'}, "distill: teacher: network: nb is 'x', but must be a number"),
    ({'train.pixel_opt.reduction': 'none'}, 'train: pixel_opt: reduction is "none", .* did you mean mean or sum'),
    ({'train.rate_opt': None, 'train.tandem': {'every': 5}}, 'train: tandem lacks groups'),
]


@pytest.mark.parametrize(('key', 'meant'), [('rate_opt', 'SpikeRateLoss'), ('perceptual_opt', 'PerceptualLoss')])
def test_a_loss_that_reads_something_else_is_refused(key, meant):
    with pytest.raises(UserError, match=f'train: {key}: type is "L1Loss", which is not known.*{meant}'):
        check_options(changed({f'train.{key}': {'type': 'L1Loss'}}))


@pytest.mark.parametrize(('changes', 'sentence'), WRONG, ids=lambda case: str(case)[:50])
def test_check_and_schema_refuse_the_same(changes, sentence):
    options = changed(changes)
    with pytest.raises(UserError, match=sentence) as error:
        check_options(options)
    assert len(str(error.value).splitlines()) == 1
    assert not jsonschema.Draft202012Validator(SCHEMA).is_valid(options)


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'network_g.hidden': {'lowst': 0}}, 'network_g: hidden has an unknown key "lowst"; did you mean lowest'),
    ({'train.optim_g.betas': 0.9}, r'betas is 0.9, but must be a list of two numbers; write betas: \[0.9, 0.999\]'),
    ({'train.ema_decay': NAN}, 'train: ema_decay is nan, but must be a number from 0 to 1; write ema_decay: 0.999'),
    ({'train.optim_g.weight_decay': INFINITE}, 'weight_decay is inf, but must be a number of at least 0'),
    ({'network_g.exit_tolerance': NAN}, 'exit_tolerance is nan, but must be a number'),
    ({'train.scheduler.restart_weights': [1, 1]}, r'1 periods and 2 restart_weights; write restart_weights: \[1\]'),
    ({'network_g.in_ch': 1, 'datasets.val.in_ch': 1}, 'network_g: in_ch is 1, but datasets: train has in_ch: 3; write'),
    ({'network_g': {'type': 'DnCNN', 'in_nc': 1, 'out_nc': 1}, 'datasets.train.in_ch': 1},
     'network_g: in_nc is 1, but datasets: val has in_ch: 3; write in_nc: 3'),
    ({'datasets.val': PAIRS}, 'datasets: val is a PairedImageDataset, which reads scale; add `scale: 1` at the top'),
    ({'scale': 1, 'datasets.train': {**PAIRS, 'batch_size_per_gpu': 1, 'num_worker_per_gpu': 0, 'gt_size': 8}},
     'datasets: train lacks use_hflip, use_rot; add `use_hflip:` and `use_rot:`'),
    ({'train': None}, 'The option file lacks train'),
    ({'datasets.train_2': {'name': 'a', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'b', 'sigma': 1}},
     'train_2 is no phase'),
    ({'name': 'x' * 4000, 'logger.print_freq': 'y' * 4000}, r"print_freq is 'y{30,60}\.\.\., but"),
])
def test_what_a_schema_cannot_say_is_checked_too(changes, sentence):
    with pytest.raises(UserError, match=sentence) as error:
        check_options(changed(changes))
    assert len(str(error.value)) < 400


@pytest.mark.parametrize('changes', [
    {'train.total_iter': 3e4, 'train.scheduler.periods': [3e4], 'val.val_freq': 5e3},  # as BasicSR's users write
    {'train.warmup_iter': -1}, {'datasets.train.cache': None}, {'train.pixel_opt': {'type': 'CharbonnierLoss'}},
    {'network_g': {'type': 'EDSR', 'num_in_ch': 3, 'num_out_ch': 3}},
    {'datasets.val': {'name': 'a', 'type': 'SingleImageDataset', 'dataroot_lq': 'x', 'meta_info_file': 'y'}},
    {'scale': 1, 'datasets.val': PAIRS}, {'distill.hints.0.name': 1},
    {'network_g': {'type': 'SpikerIR', 'neuron': {'type': 'LIFNode', 'v_reset': None}}},
    {'network_d': {'type': 'x'}},
])
def test_what_is_right_passes_check_and_schema(changes):
    options = changed(changes)
    check_options(options)
    jsonschema.Draft202012Validator(SCHEMA).validate(options)


def test_weights_and_biases_copies_the_log_of_tensorboard(monkeypatch):
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: None)
    with pytest.raises(UserError, match='wandb is not installed; type pip install wandb, or write project: ~'):
        check_options(changed({'logger.wandb': {'project': 'a'}}))
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: ModuleSpec(name, None, origin='here'))
    check_options(changed({'logger.wandb': {'project': 'a'}}))
    monkeypatch.setattr(importlib.util, 'find_spec', lambda name: ModuleSpec(name, None))  # a folder of offline runs
    with pytest.raises(UserError, match='wandb is not installed'):
        check_options(changed({'logger.wandb': {'project': 'a'}}))
    with pytest.raises(UserError, match='use_tb_logger is false, and it is the log .* write use_tb_logger: true'):
        check_options(changed({'logger.wandb': {'project': 'a'}, 'logger.use_tb_logger': False}))


def test_recursive_values_are_refused():
    options = changed({})
    channels: list = []
    channels.append(channels)
    options['network_g']['channels'] = channels
    with pytest.raises(UserError, match='network_g: channels is .*, but must be a list of numbers'):
        check_options(options)


def test_the_train_block_of_basicsr_own_model_is_checked():
    options = {**changed({'train.ema_deca': 0.9}), 'model_type': 'SRModel', 'some_other_plugin': 1}
    options['train'] = {key: options['train'][key] for key in ('total_iter', 'optim_g', 'scheduler', 'ema_deca')}
    with pytest.raises(UserError, match='train has an unknown key "ema_deca"; did you mean ema_decay'):
        check_options(options)


@pytest.mark.parametrize('name', NEURONS)
def test_blocks_of_neurons_name_the_options_that_neurons_take(name):
    declared = {field: info for field, info in fields(block_of('neuron', name)).items() if field != 'type'}
    with pytest.raises(UserError) as error:
        build_neuron({'type': name, 'no_such_option': 1}, 4)
    takes = str(error.value).split('it takes ')[1].rstrip('.').split(', ')
    assert sorted(declared) == ([] if takes == ['none'] else takes)
    defaults = {field: info.default for field, info in declared.items()}
    plain, given = build_neuron({'type': name}, 4), build_neuron({'type': name, **defaults}, 4)
    assert repr(plain) == repr(given)


def test_declared_defaults_are_those_of_the_code(tmp_path):
    opt = {'phase': 'train', 'dataroot_gt': str(tmp_path), 'sigma': 25, 'gt_size': 8}
    options = PictureOptions.from_opt(opt, 'a')
    declared = fields(GaussianDenoisingDataset)
    for key in ('in_ch', 'use_hflip', 'use_rot', 'repeat', 'cache', 'recursive', 'subset'):
        assert declared[key].default == getattr(options, key), key
    assert declared['noise_seed'].default == read_noise_seed(options, opt)
    for block, tail in ((Hint, False), (Tail, True)):
        hint = build_hint({'name': 'a', 'teacher': 'b', 'student': 'c'}, ['only'], tail)
        assert (fields(block)['weight'].default, fields(block)['time'].default) == (hint.weight, hint.time)


def test_keys_of_the_dataset_are_described_in_its_docstring_too():
    for key in set(fields(GaussianDenoisingDataset)) - set(fields(block_of('dataset', 'other'))):
        assert f'``{key}' in inspect.getdoc(Dataset), key


def every_block(block: type, seen: dict[str, type]) -> dict[str, type]:
    from basicsr_snn.pipeline.option_blocks.base import Block
    from basicsr_snn.pipeline.option_blocks.wording import blocks_inside
    seen[block.__name__] = block
    for field in msgspec.structs.fields(block):
        inside = blocks_inside(field.type)[0]
        if isinstance(inside, type) and issubclass(inside, Block) and inside.__name__ not in seen:
            every_block(inside, seen)
    return seen


def test_every_key_of_ours_has_a_meaning():
    ours = {name: block_of(kind, name) for kind in ('network', 'loss', 'neuron', 'scheduler', 'dataset')
            for name, built in known(kind).items() if built.__module__.startswith('basicsr_snn')}
    assert {'SpikerIR', 'ESDNet', 'FeatureHintLoss', 'SignedILIF', 'GaussianDenoisingDataset'} < set(ours)
    for name, block in {**every_block(OptionFile, {}), **ours}.items():
        for field in msgspec.structs.fields(block):
            assert field.name == 'type' or dissect(field.type)[1].description, f'{name}: {field.name}'


def test_a_new_class_is_checked_by_its_signature():
    class Mine:
        """Mine.

        Args:
            width: How wide,
                over two lines, like :class:`basicsr_snn.Wide`.
            neuron: Which neuron.
        """

        def __init__(self, width: int, ratio=0.5, neuron: NeuronOptions | None = None,
                     limit: Annotated[int, msgspec.Meta(le=3)] = 1) -> None:
            pass

    ARCH_REGISTRY.register(Mine)
    try:
        options = changed({'network_g': {'type': 'Mine', 'ratio': 'x', 'widht': 1, 'neuron': {'type': 'LIFNod'},
                                         'limit': 4}})
        with pytest.raises(UserError) as error:
            check_options(options)
        assert str(error.value).splitlines() == [
            'network_g has an unknown key "widht"; did you mean width?',
            'network_g lacks width; add `width:`.',
            "network_g: ratio is 'x', but must be a number; write ratio: 0.5.",
            'network_g: neuron: type is "LIFNod", which is not known; did you mean LIFNode or ILIFNode or IFNode?',
            'network_g: limit is 4, but must be a number of at most 3 without decimals; write limit: 1.']
        assert argument_meanings(Mine)['width'] == 'How wide, over two lines, like `Wide`.'
    finally:
        del ARCH_REGISTRY._obj_map['Mine']


@pytest.mark.parametrize(('annotation', 'words'), [
    (int, 'a number without decimals'), (float | None, 'a number'), (str | int, 'a text or a number without decimals'),
    (tuple[int, int], 'a list of two numbers without decimals'), (list[str], 'a list of texts'),
    (Annotated[float, msgspec.Meta(gt=0, lt=1)], 'a number above 0 below 1'), (dict[str, Any], 'a block of keys'),
])
def test_types_are_said_in_words(annotation, words):
    assert wanted(annotation) == words


@pytest.mark.parametrize(('value', 'text'), [
    (1e-6, '1e-06'), (True, 'true'), (None, '~'), ('a: b', "'a: b'"), ([1, 2.5], '[1, 2.5]'),
    ({'a': [None]}, '{a: [~]}')])
def test_values_are_written_as_a_user_types_them(value, text):
    assert typed(value) == text
