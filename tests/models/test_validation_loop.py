"""Validations of several sets: what they save under which name, and what they score where there is no truth."""
from __future__ import annotations

import io
import logging
import re
import shutil
from pathlib import Path

import pytest
from basicsr.data import build_dataset
from basicsr.utils import get_root_logger
from torch.utils.data import DataLoader
from trainings import batch, built, training

from basicsr_snn.errors import UserError
from basicsr_snn.models.validation_loop import SavedNames, metrics_without_truth
from basicsr_snn.pipeline.option_checks import check_options

PSNR = {'type': 'calculate_psnr', 'crop_border': 0}
NIQE = {'type': 'calculate_niqe', 'crop_border': 0}
WITH_TRUTH = {'name': 'V', 'type': 'GaussianDenoisingDataset', 'dataroot_gt': 'pictures', 'sigma': 25, 'phase': 'val',
              'subset': [0, 2]}
WITHOUT_TRUTH = {'name': 'real', 'type': 'SingleImageDataset', 'dataroot_lq': 'pictures', 'phase': 'val'}


def a_model(kind: str = 'SNNModel', training_goes_on: bool = True):
    options = training('run', model_type=kind)
    options['path']['visualization'] = 'saved'
    options['val'] |= {'energy': 0}
    options['train']['optim_g'] = {'type': 'Adam', 'lr': 0.01}
    model = built(options)
    model.opt['is_train'] = training_goes_on
    return model


def validate(model, block: dict, save: bool = False) -> None:
    model.nondist_validation(DataLoader(build_dataset({**block, 'io_backend': {'type': 'disk'}})), 4, None, save)


def saved() -> list[str]:
    return sorted(path.relative_to('saved').as_posix() for path in Path('saved').rglob('*.png'))


@pytest.fixture
def log():
    """What BasicSR's logger says, whatever other tests have done to it."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    logger = get_root_logger()
    before = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    yield text
    logger.removeHandler(handler)
    logger.setLevel(before)


def test_names_are_kept_and_never_given_twice():
    names = SavedNames()
    given = [names.name('set', path) for path in ('in/a/x.png', 'in/b/x.png', 'in/b/x.jpg', 'in/b/y.png', 'x')]
    assert given == ['x', 'set_b_x', 'set_b_x_2', 'y', 'set_x']
    assert names.name('set', 'in/b/x.png') == 'set_b_x'


def test_sets_of_a_training_do_not_overwrite_each_other(work):
    model = a_model()
    for _ in range(2):  # the second validation writes over what the first one saved at the same iteration
        validate(model, WITH_TRUTH, save=True)
        validate(model, {**WITH_TRUTH, 'name': 'W', 'sigma': 50}, save=True)
        assert saved() == ['0/0_4.png', '1/1_4.png', 'W_pictures_0/W_pictures_0_4.png',
                           'W_pictures_1/W_pictures_1_4.png']


def test_pictures_of_one_name_do_not_overwrite_each_other(work):
    for folder in 'ab':
        (work / 'sets' / folder).mkdir(parents=True)
        shutil.copy('pictures/0.png', f'sets/{folder}/x.png')
    shutil.copy('pictures/1.png', 'sets/b/x.jpg')
    model = a_model(training_goes_on=False)
    validate(model, {**WITH_TRUTH, 'name': 'A', 'dataroot_gt': 'sets', 'recursive': True, 'subset': None}, save=True)
    validate(model, {**WITH_TRUTH, 'name': 'B', 'dataroot_gt': 'sets/a', 'subset': None}, save=True)
    assert saved() == ['A/A_b_x_2_run.png', 'A/A_b_x_run.png', 'A/x_run.png', 'B/x_run.png']


@pytest.mark.parametrize('kind', ['SNNModel', 'SRModel'])
def test_without_truth_nothing_is_scored(work, log, kind):
    model = a_model(kind)
    model.feed_data(batch())  # the last training crop, whose truth BasicSR keeps
    for _ in range(2):
        validate(model, WITHOUT_TRUTH)
        validate(model, WITH_TRUTH)
    assert log.getvalue().count('real has no clean pictures, and psnr cannot be had without.') == 2
    assert 'Validation real' not in log.getvalue()
    assert len(re.findall(r'Validation V\n\s+# psnr: \d+\.\d+\s+Best: \d+\.\d+ @', log.getvalue())) == 2
    assert model.opt['val']['metrics'].keys() == {'psnr'}


def test_metrics_of_the_restored_picture_alone_need_no_truth():
    assert metrics_without_truth({'psnr': PSNR, 'niqe': NIQE}) == {'niqe': NIQE}


def test_a_set_without_pictures_is_named(work):
    Path('empty').mkdir()
    with pytest.raises(UserError, match='the dataset real found no pictures'):
        validate(a_model(), {**WITHOUT_TRUTH, 'dataroot_lq': 'empty'})


@pytest.mark.parametrize('kind', ['SNNModel', 'SRModel'])
def test_names_of_sets_are_unique(kind):
    options = training(model_type=kind)
    options['datasets']['val_2'] = {**options['datasets']['val'], 'sigma': 50}
    with pytest.raises(UserError, match=r'datasets: val and val_2 are both named V, but scores and saved pictures are '
                                        r'kept by name; write for example `name: V_val_2`'):
        check_options(options)
    options['datasets']['val_2']['name'] = options['datasets']['train']['name']
    if kind == 'SNNModel':
        check_options(options)
