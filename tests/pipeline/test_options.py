"""Option files: each file of the repository passes `basicsr-snn check` on stub data, each mistake gets its sentence."""
from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from basicsr.archs import build_network
from trainings import set_values

from basicsr_snn.cli.main import main
from basicsr_snn.errors import UserError
from basicsr_snn.pipeline.option_checks import check_options
from basicsr_snn.pipeline.option_files import keep_datasets, read_options

REPOSITORY = Path(__file__).resolve().parents[2]
OPTION_FILES = sorted((REPOSITORY / 'options').rglob('*.yml'))
BASICSR_PRETRAINED = 'pretrain_network_g'


def stub_pictures(dataset: dict, root: Path) -> None:
    """As many small pictures as the option file speaks of, where it says."""
    for mixed_in in dataset.get('sets', ()):
        stub_pictures({**dataset, 'sets': (), **mixed_in}, root)
    for key in ('dataroot_gt', 'dataroot_lq', 'dataroot_rainy', 'dataroot_dry'):
        if key in dataset:
            stub_folder(dataset, root / dataset[key])


def stub_folder(dataset: dict, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    count = (dataset.get('subset') or [0, 2])[1]
    rng = np.random.default_rng(0)
    side = max(66, dataset.get('gt_size') or 0)
    sides = (side + 4, side) if 'gt_size' in dataset else (24, 22)  # of which super-resolution scores the inner part
    shape = (*sides, 3) if dataset.get('in_ch', 3) == 3 else sides
    content = cv2.imencode('.png', rng.integers(0, 256, shape, dtype=np.uint8))[1].tobytes()
    marks = {'RealPairsDataset': ('_mean', '_real'), 'NoisyPicturesDataset': (dataset.get('lq_mark', ''),)}.get(
        dataset['type'], ('',))
    for name in (f'{index:03d}{mark}.png' for index in range(count) for mark in marks):
        if not (folder / name).exists():  # a folder may be split between training and validation
            (folder / name).write_bytes(content)


def stub_weights(network: dict, path: str | None, param_key: str | None, root: Path) -> None:
    """Random weights in the file that the option file names."""
    if path and not (root / path).exists():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        weights = build_network(dict(network)).state_dict()
        torch.save({param_key: weights} if param_key else weights, root / path)


@pytest.fixture
def stubs(tmp_path, monkeypatch):
    """A working folder in which the data and weights of an option file exist, made of stubs."""
    monkeypatch.chdir(tmp_path)

    def make(file: Path) -> None:
        options = read_options(file)
        for dataset in options['datasets'].values():
            stub_pictures(dataset, tmp_path)
        stub_weights(options['network_g'], options['path'].get(BASICSR_PRETRAINED), options['path'].get('param_key_g'),
                     tmp_path)
        distill = options.get('distill') or {}
        for teacher in distill.get('teachers') or [distill.get('teacher') or {}]:
            if teacher.get('path'):
                stub_weights(teacher['network'], teacher['path'], teacher.get('param_key'), tmp_path)

    return make


@pytest.mark.parametrize('file', OPTION_FILES, ids=lambda file: str(file.relative_to(REPOSITORY / 'options')))
def test_every_option_file_passes_check(file, stubs, capsys):
    stubs(file)
    assert main(['check', '-opt', str(file)]) == 0
    printed = capsys.readouterr().out
    assert 'all values finite' in printed
    assert ('\ndistill' in printed) == ('distill' in read_options(file))


def test_the_option_files_cover_what_the_project_promises():
    names = {str(file.relative_to(REPOSITORY / 'options').with_suffix('')) for file in OPTION_FILES}
    assert {f'train/SpikerIR/{kind}_color{sigma}' for kind in ('hkd_ffdnet', 'hkd_dncnn', 'control', 'twin')
            for sigma in (15, 25, 50, 'blind')} < names
    methods = ('control', 'hkd', 'hkd_pooled', 'hkd_paper', 'kdsnn_response', 'kdsnn_feature', 'lasnn', 'bkdsnn',
               'hybrid', 'tna', 'tna_ternary', 'decoupled', 'rate', 'dsr', 'tandem', 'early', 'dncnn_response',
               'twin_response', 'twin_hints')
    assert {f'train/distillation/{method}' for method in methods} < names
    tested = {block['name'] for file in OPTION_FILES if file.parts[-3] == 'test'
              for block in read_options(file)['datasets'].values()}
    qualities = {f'{name}_q{quality}' for name in ('CBSD68', 'BSD68', 'Set12') for quality in (10, 20, 30, 40)}
    assert tested == {'CBSD68', 'Kodak24', 'McMaster', 'Urban100', 'Urban100_10', 'BSD68', 'Set12', 'Rain100H',
                      *qualities, 'Kodak24_q10', 'Kodak24_q40', 'CBSD68_blur', 'Kodak24_blur'}
    students = {f'{twin}{task}' for twin in ('', 'twin_') for task in ('derain', 'jpeg', 'jpeg_gray', 'deblur')}
    assert {f'{phase}/SpikerIR/{student}' for phase in ('train', 'test') for student in students} < names


def test_methods_differ_from_their_control_in_what_they_need_only():
    """Data, schedule, validation and optimiser are the control's; hkd_paper's network has its own learning rate."""
    control = read_options(REPOSITORY / 'options/train/distillation/control.yml')
    for file in (REPOSITORY / 'options/train/distillation').glob('*.yml'):
        options = read_options(file)
        same = [key for key in control if key not in ('name', 'model_type', 'network_g', 'train')]
        assert all(options[key] == control[key] for key in same), file
        assert set(options) - set(control) <= {'distill'}, file
        own = {'optim_g'} if file.stem == 'hkd_paper' else {'every_step', 'tandem', 'rate_opt'}
        differing = {key for key in {*options['train'], *control['train']}
                     if options['train'].get(key) != control['train'].get(key)}
        assert differing <= own, file


def test_what_speeds_binary_spikes_differs_from_its_control_in_what_it_needs_only():
    folder = REPOSITORY / 'options/train/binary'
    control, twin, started, taught = (read_options(folder / f'{name}.yml')
                                      for name in ('control', 'twin', 'from_twin', 'hkd'))
    for options in (twin, started, taught):
        assert all(options[key] == control[key] for key in ('datasets', 'train', 'val', 'logger')), options['name']
    assert started['network_g'] == taught['network_g'] == control['network_g']
    assert {**twin['network_g'], 'T': 4, 'neuron': control['network_g']['neuron']} == control['network_g']
    begins_with = Path(started['path']['pretrain_network_g'])
    assert begins_with.parts[:2] == ('experiments', twin['name'])  # a training moves an old folder of its own name away
    assert f'--from-twin experiments/{twin["name"]}/models/' in (folder / 'from_twin.yml').read_text()
    assert taught['distill']['schedule']['end_iter'] == control['train']['total_iter']


def test_students_control_and_twin_share_their_recipe():
    """What is compared may differ only in what it is compared for."""
    for sigma in (15, 25, 50, 'blind'):
        recipes = [read_options(REPOSITORY / f'options/train/SpikerIR/{kind}_color{sigma}.yml')
                   for kind in ('control', 'hkd_ffdnet', 'hkd_dncnn', 'twin')]
        for recipe in recipes:
            for key in ('name', 'model_type', 'distill'):
                recipe.pop(key, None)
            for key in ('neuron', 'hidden', 'stages'):
                recipe['network_g'].pop(key, None)
            recipe['train'].pop('rate_opt', None)  # an ANN has no spikes to limit
        assert all(recipe == recipes[0] for recipe in recipes)


HINT = {'name': 'dec', 'teacher': 'decoder.1', 'student': 'decoder.0', 'weight': 0.1}


def demo(**changes) -> dict:
    return set_values(read_options(REPOSITORY / 'options/train/demo.yml'), changes, '__')


@pytest.mark.parametrize(('changes', 'sentence'), [
    ({'model_typ': 'x'}, 'The option file has an unknown key "model_typ"; did you mean model_type'),
    ({'num_gpu': 64}, 'num_gpu is 64, but this machine has .* write num_gpu: auto'),
    ({'model_type': 'SNNModl'}, 'model_type is "SNNModl", which is not known; did you mean SNNModel'),
    ({'network_g__type': 'SpikrIR'}, 'did you mean SpikerIR'),
    ({'network_g__neurn': {}}, 'network_g has an unknown key "neurn"; did you mean neuron'),
    ({'datasets__train__sigm': 25}, 'datasets: train has an unknown key "sigm"; did you mean sigma'),
    ({'datasets__train__batch_size_per_gpu': None}, 'datasets: train lacks batch_size_per_gpu'),
    ({'datasets__test_1': {}}, 'datasets: test_1 is no phase of a training; write train or val'),
    ({'path__pretrained_network_g': 'x'}, 'did you mean pretrain_network_g'),
    ({'train__optim_g__lrr': 1}, 'train: optim_g has an unknown key "lrr"; did you mean lr'),
    ({'train__optim_g__type': 'Adan'}, 'did you mean Adam'),
    ({'train__optim_g__lr': '1e-3x'}, "lr is '1e-3x', but must be a number"),
    ({'train__scheduler__periods': [10]}, r'periods \[10\] end before total_iter 500'),
    ({'train__scheduler__type': 'Cosine'}, 'train: scheduler: type is "Cosine"'),
    ({'train__pixel_opt': None}, r'train has no image loss; add `pixel_opt: \{type: L1Loss\}`'),
    ({'train__fft_opt': {'type': 'FFTLoss', 'weight': 1}}, 'unknown key "weight"; did you mean loss_weight'),
    ({'val__metrics__psnr': {'type': 'calculate_psnr'}}, 'val: metrics: psnr lacks crop_border'),
    ({'val__tile': 0}, 'tile is 0, but must be a number of at least 1'),
    ({'distill__teacher__pth': 'x'}, 'distill: teacher has an unknown key "pth"; did you mean path'),
    ({'distill__hints': [{**HINT, 'tap': 'x'}]}, 'distill: hints: 0 has an unknown key "tap"'),
    ({'distill__hints': [{**HINT, 'loss': {'type': 'FeatureHintLos'}}]}, 'did you mean FeatureHintLoss'),
    ({'distill__schedul': {}}, 'did you mean schedule'),
    ({'model_type': 'SNNModel'}, 'SNNModel does not read the distill: block; write model_type: ANNSNNDistillModel'),
    ({'logger__print_freq': None}, 'logger lacks print_freq'),
])
def test_every_mistake_gets_its_sentence(changes, sentence):
    check_options(demo())
    with pytest.raises(UserError, match=sentence):
        check_options(demo(**changes))


def test_all_mistakes_are_told_at_once():
    with pytest.raises(UserError) as error:
        check_options(demo(network_g__neurn={}, train__optim_g__lrr=1))
    assert len(str(error.value).splitlines()) == 2


def test_options_of_basicsr_models_are_left_to_basicsr():
    check_options({'name': 'x', 'num_gpu': 0, 'datasets': {}, 'path': {}, 'model_type': 'SRModel',
                   'some_other_plugin': 1})


def test_sets_of_a_test_can_be_chosen():
    options = read_options(REPOSITORY / 'options/test/SpikerIR/color25.yml')
    keep_datasets(options, ['Urban100', 'CBSD68'])
    assert [block['name'] for block in options['datasets'].values()] == ['Urban100', 'CBSD68']
    with pytest.raises(UserError, match='--sets got Kodak.*did you mean'):
        keep_datasets(options, ['Kodak'])


def test_unreadable_option_files(tmp_path, capsys):
    broken = tmp_path / 'broken.yml'
    broken.write_text('name: [1, 2\n')
    assert main(['check', '-opt', str(broken)]) == 2
    assert 'is not valid YAML' in capsys.readouterr().err
    for value in ('2020-13-45', '!!int "abc"', '!!bool "x"', '[' * 3000 + ']' * 3000):
        broken.write_text(f'name: {value}\n')
        with pytest.raises(UserError, match='is not valid YAML'):
            read_options(broken)
    broken.write_text(yaml.safe_dump([1, 2]))
    with pytest.raises(UserError, match='names no model_type'):
        read_options(broken)


@pytest.mark.parametrize(('old', 'new', 'sentence'), [
    ('datasets:', 'dataset:', 'unknown key "dataset"; did you mean datasets'),
    ('num_gpu:', 'num_gpus:', 'lacks num_gpu; add `num_gpu:`'),
    ('name: demo', 'name: 7', 'name is 7, which is of another kind than it must be; write name: a_word'),
    ('name: demo', 'name: [1, 2', 'is not valid YAML'),
    ('manual_seed: 0', 'manual_seed: abc', "manual_seed is 'abc', but must be a number"),
    ('dataroot_gt: datasets/demo/train', 'dataroot_gt: [a, b]', "dataroot_gt is ['a', 'b'], which is of another kind"),
    ('pretrain_network_g: ~', 'pretrain_network_g: {file: x.pth}', 'but must be a text; write pretrain_network_g:'),
    ('model_type: ANNSNNDistillModel', 'model_type: SRModel\ndataset: 3', 'lacks'),
])
@pytest.mark.parametrize('verb', ['train', 'test', 'check'])
def test_what_the_parser_of_basicsr_trips_over_is_explained(verb, old, new, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = (REPOSITORY / 'options/train/demo.yml').read_text()
    assert old in text
    text = text.replace('path:', 'paths:') if 'SRModel' in new else text
    Path('bad.yml').write_text(text.replace(old, new, 1))
    assert main([verb, '-opt', 'bad.yml']) == 2
    assert sentence in capsys.readouterr().err


def test_forced_values_are_checked_in_the_place_of_those_of_the_file(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('bad.yml').write_text((REPOSITORY / 'options/train/demo.yml').read_text().replace('num_gpu: auto',
                                                                                           'num_gpu: 64'))
    for forced in ([], ['num_gpu=0', 'train:ema_decay=5'], ['num_gpu=0', 'nowhere:key=1']):
        assert main(['check', '-opt', 'bad.yml', *(['--force_yml', *forced] if forced else [])]) == 2
    printed = capsys.readouterr().err
    assert 'num_gpu is 64' in printed
    assert 'train: ema_decay is 5, but must be a number from 0 to 1; write ema_decay: 0.999.' in printed
    assert 'the option file has no block "nowhere"' in printed
    assert printed.count('num_gpu is 64') == 1


def test_training_refuses_bad_options_before_it_makes_anything(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    Path('bad.yml').write_text((REPOSITORY / 'options/train/demo.yml').read_text().replace('ema_decay', 'ema_decy'))
    assert main(['train', '-opt', 'bad.yml']) == 2
    assert 'did you mean ema_decay' in capsys.readouterr().err
    assert [file.name for file in tmp_path.iterdir()] == ['bad.yml']
