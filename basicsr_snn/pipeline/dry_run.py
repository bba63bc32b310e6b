"""Dry run of an option file: build what it names, take a training step, validate one picture of each set and
read the others, write nothing."""
from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from basicsr import train as basicsr_train
from basicsr.data import build_dataset
from basicsr.models import build_model
from basicsr.models.sr_model import SRModel
from basicsr.models.video_base_model import VideoBaseModel
from basicsr.utils import get_root_logger
from torch.utils.data import DataLoader, Dataset, default_collate

from basicsr_snn.compat.going_on import AT_FIRST
from basicsr_snn.compat.tensorboard import why_tensorboard_cannot_start
from basicsr_snn.data.batch import check_equal_parts
from basicsr_snn.data.loaders import require_pictures
from basicsr_snn.errors import UserError, are, one_line
from basicsr_snn.finite import check_answer
from basicsr_snn.models.ann_snn_distill_model import ANNSNNDistillModel
from basicsr_snn.models.snn_model import SNNModel
from basicsr_snn.pipeline.option_files import parse_checked_options, read_options
from basicsr_snn.pipeline.run import pipeline_arguments
from basicsr_snn.pipeline.untrained import UNTRAINED, names_weights
from basicsr_snn.pipeline.validation_pictures import read_pictures
from basicsr_snn.plugins.importing import place_in_own_code
from basicsr_snn.plugins.installed import import_plugins
from basicsr_snn.plugins.own_modules import KEY, import_own_modules
from basicsr_snn.zoo.trained_network import TrainedNetwork

FORWARD_SIZE = 64
"""Largest side in pixels of the picture that is run through the network alone."""

READ_FOR_S = 4.0
"""Seconds in which the pictures of validation sets are read beyond the first of each."""

CROPS = 2
"""Crops of the training step; of one alone, batch normalisation of pooled features has no variance."""

Report = list[tuple[str, str]]


def check_option_file(file: str | Path, force: list[str] | None = None,
                      network: TrainedNetwork | None = None) -> Report:
    """Check one option file.

    Args:
        file: Option file of a training or a test.
        force: Entries ``key:key=value`` that replace options of the file.
        network: What is checked in place of its ``network_g`` and the weights of that.

    Returns:
        What was found, as pairs of name and finding.

    Raises:
        UserError: What is wrong, one sentence a mistake.
    """
    training = 'train' in read_options(file)
    with pipeline_arguments(['-opt', str(file), *(['--force_yml', *force] if force else [])]):
        options, _ = parse_checked_options(str(Path.cwd()), training, network)
    options['root_path'] = str(Path.cwd())
    get_root_logger().setLevel(logging.WARNING)
    imported = [('plugin', str(plugin)) for plugin in import_plugins()]
    imported += [(KEY, str(module)) for module in import_own_modules(options, file)]
    try:
        return [*imported, *_try_out(options)]
    finally:
        get_root_logger().setLevel(logging.INFO)


def _try_out(options: dict[str, Any]) -> Report:
    state = basicsr_train.load_resume_state(options) if options['is_train'] else None
    with _tried('reading the datasets'):
        datasets = _training_sets(options) if options['is_train'] else {
            phase: build_dataset(block) for phase, block in options['datasets'].items()}
        for dataset in datasets.values():
            require_pictures(dataset)
        report = [(f'datasets: {phase}', f'{len(dataset):,d} pictures') for phase, dataset in datasets.items()]
    with _tried('building the model'):
        model = build_model(options)
        if state is not None:
            model.resume_training(state)
    if not isinstance(model, SRModel):
        return [*report, (options['model_type'], 'was built, but not run: it is no SRModel')]
    report.append(('network_g', f'{type(model.get_bare_model(model.net_g)).__name__}, '
                   f'{sum(p.numel() for p in model.net_g.parameters()):,d} parameters'))
    if not options['is_train'] and not names_weights(options):
        report.append(('weights', UNTRAINED))
    if options['is_train']:  # nobody teaches in a test
        report += [('distill', line) for line in _hints(model)]
    with _tried('restoring the first picture'):
        report.append(('forward', _run_once(model, next(iter(datasets.values()))[0])))
    if options.get('val') is not None and not isinstance(model, VideoBaseModel):
        shown = {phase: dataset for phase, dataset in datasets.items() if phase != 'train'}
        report += [(f'validation: {phase}', _validate(model, dataset, READ_FOR_S / len(shown)))
                   for phase, dataset in shown.items()]
    if options['is_train']:
        report.append(('training step', _train(model, datasets['train'], options)))
    return report + [('tensorboard', sentence) for sentence in _tensorboard(options)]


@contextmanager
def _tried(what: str) -> Iterator[None]:
    """Context in which whatever goes wrong, in code of anyone, becomes a sentence."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        own = place_in_own_code(error)
        where, there = (f' ({own})', 'that line, or ') if own else ('', '')
        raise UserError(f'{what[0].upper()}{what[1:]} fails with {type(error).__name__}: {one_line(error)}{where}; '
                        f'correct {there}what the option file says of it.') from error


def _training_sets(options: dict[str, Any]) -> dict[str, Any]:
    """The datasets by phase, as a training builds them and their loaders."""
    train_loader, _, val_loaders, _, _ = basicsr_train.create_train_val_dataloader(options, get_root_logger())
    validation = [phase for phase in options['datasets'] if phase != 'train']
    return {'train': train_loader.dataset,
            **{phase: loader.dataset for phase, loader in zip(validation, val_loaders, strict=True)}}


def _hints(model: Any) -> list[str]:
    return model.teaching.describe() if isinstance(model, ANNSNNDistillModel) else []


def _tensorboard(options: dict[str, Any]) -> list[str]:
    wanted = (options.get('logger') or {}).get('use_tb_logger')
    sentence = why_tensorboard_cannot_start() if wanted else None
    return [sentence] if sentence else []


def _run_once(model: Any, item: dict[str, Any]) -> str:
    crop = {key: value[..., :FORWARD_SIZE, :FORWARD_SIZE] if key in ('lq', 'gt') else value
            for key, value in item.items()}
    model.feed_data(default_collate([crop]))
    model.test()
    output = model.output
    check_answer(output, 'the first picture')
    return f'{"x".join(map(str, model.lq.shape[1:]))} to {"x".join(map(str, output.shape[1:]))}, all values finite'


class _FirstPicture(Dataset):
    """The first item of a dataset, which else is the dataset."""

    def __init__(self, dataset: Any) -> None:
        self.dataset, self.opt = dataset, dataset.opt

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> Any:
        return self.dataset[range(1)[index]]


def _validate(model: Any, dataset: Any, seconds: float) -> str:
    """Validate one whole picture of a dataset, with all metrics, and read the others while there is time."""
    began = time.monotonic()
    with _tried(f'validating a picture of {dataset.opt["name"]}'):
        model.validation(DataLoader(_FirstPicture(dataset)), 0, None, save_img=False)
    scores = vars(model).get('metric_results', {}).items()  # none where there is no truth, or nothing to score by
    found = ', '.join(['1 picture', *(f'{metric} {value:.4g}' for metric, value in scores), _since(began)])
    with _tried(f'reading the pictures of {dataset.opt["name"]}'):
        return f'{found}; {read_pictures(dataset, seconds)} of {len(dataset)} read'


def _train(model: Any, dataset: Any, options: dict[str, Any]) -> str:
    """Take a step of the training, with its log; the first and the last where something begins or ends in between."""
    began, train = time.monotonic(), options['train']
    if isinstance(model, SNNModel):
        model.divergence.advice = lambda iteration: AT_FIRST
    batch = options['datasets']['train']['batch_size_per_gpu'] * (1 if options['dist'] else max(options['num_gpu'], 1))
    parts = train.get('micro_batches') or 1
    check_equal_parts(batch, parts)
    crops = min(batch, max(CROPS, parts))
    with _tried('a training step'):
        items = [dataset[index % len(dataset)] for index in range(crops)]
        log: dict[str, float] = {}
        for iteration in _iterations_to_try(options):
            log |= _step(model, default_collate(items), iteration, train.get('warmup_iter', -1))
    losses = ', '.join(f'{key} {value:.3g}' for key, value in log.items() if key.startswith('l_'))
    return f'{crops} crops of {"x".join(map(str, items[0]["lq"].shape))}: {losses}, {_since(began)}'


def _iterations_to_try(options: dict[str, Any]) -> list[int]:
    total, logged = int(options['train']['total_iter']), int(options['logger']['print_freq'])
    last = total // logged * logged or total
    distill = options.get('distill') or {}
    changes = options['train'].get('tandem') or distill.get('until') or (distill.get('teacher') or {}).get('start_iter')
    every = distill.get('every', 1)
    return sorted({last, *([1] if changes else []), *([every] if every > 1 else [])})


def _step(model: Any, batch: dict[str, Any], iteration: int, warmup: int) -> dict[str, float]:
    """One step as at an iteration of BasicSR's loop, and the learning rate of that iteration; the log of the step."""
    model.feed_data(batch)
    model.optimize_parameters(iteration)
    for scheduler in model.schedulers:
        scheduler.last_epoch = iteration - 2  # which the update counts up
    model.update_learning_rate(iteration, warmup_iter=warmup)
    log = dict(model.get_current_log())
    if broken := [key for key, value in log.items() if not math.isfinite(value)]:
        raise UserError(f'{are(broken)} not finite in the first training steps; lower train: optim_g: lr, or '
                        'check the weights that it begins with.')
    return log


def _since(began: float) -> str:
    return f'{time.monotonic() - began:.1f} s'
