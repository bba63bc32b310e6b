"""BasicSR's pass over a validation set, repaired: saved pictures have names of their own, scores need a truth."""
from __future__ import annotations

import inspect
import itertools
from collections.abc import Callable, Iterator, Mapping
from pathlib import PurePath
from typing import Any
from weakref import WeakKeyDictionary

from basicsr.data.paired_image_dataset import PairedImageDataset
from basicsr.data.single_image_dataset import SingleImageDataset
from basicsr.utils import get_root_logger
from basicsr.utils.registry import METRIC_REGISTRY
from torch.utils.data import DataLoader

from basicsr_snn.compat.replacing import replaces
from basicsr_snn.data.gaussian_denoising_dataset import GaussianDenoisingDataset
from basicsr_snn.data.loaders import require_pictures
from basicsr_snn.data.picture_pairs import PictureDataset
from basicsr_snn.models.input_scores import InputScores

TRUTH = 'img2'
"""What BasicSR's metrics call the clean picture."""


class SavedNames:
    """Names under which the pictures of validations are saved, of which no two are equal.

    A picture keeps the name of its file where that is free. The next of that name gets those of its data set and folder
    before it.
    """

    def __init__(self) -> None:
        self._names: dict[tuple[str, str], str] = {}
        self._taken: set[str] = set()

    def name(self, dataset: str, path: str) -> str:
        """The name of a picture, always the same."""
        if (dataset, path) not in self._names:
            name = next(name for name in _candidates(dataset, PurePath(path)) if name not in self._taken)
            self._taken.add(name)
            self._names[dataset, path] = name
        return self._names[dataset, path]


def _candidates(dataset: str, path: PurePath) -> Iterator[str]:
    yield path.stem
    longer = '_'.join(part for part in (dataset, path.parent.name, path.stem) if part)
    yield longer
    yield from (f'{longer}_{number}' for number in itertools.count(2))


class NamedPictures:
    """A data loader of BasicSR's validation whose pictures have the names under which they are to be saved.

    Args:
        loader: The loader.
        names: Names given so far.
        forget_truth: Called before a picture without truth, since BasicSR's models keep that of the one before.
        inputs: Scores each picture as it is given; None: these scores are not wanted.
    """

    def __init__(self, loader: Any, names: SavedNames, forget_truth: Callable[[], None],
                 inputs: InputScores | None = None) -> None:
        self.dataset = loader.dataset
        self._loader, self._names, self._forget_truth, self._inputs = loader, names, forget_truth, inputs
        for path in picture_paths(self.dataset):  # all at once, so that each process gives the same names
            names.name(self.dataset.opt['name'], path)

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for data in self._loader:
            if 'gt' not in data:
                self._forget_truth()
            elif self._inputs:
                self._inputs.add(data)
            name = self._names.name(self.dataset.opt['name'], data['lq_path'][0])
            yield {**data, 'lq_path': [f'{name}.png']}


def picture_paths(dataset: Any) -> list[str]:
    """The paths of the degraded pictures, in order, of data sets that tell them."""
    if isinstance(dataset, PictureDataset):
        return [dataset.noisy_name(index) for index in dataset.indices]
    if isinstance(dataset, PairedImageDataset):
        return [pair['lq_path'] for pair in dataset.paths]
    if isinstance(dataset, SingleImageDataset):
        return list(dataset.paths)
    return []


def has_truth(dataset: Any) -> bool:
    """Whether there are clean pictures to compare with."""
    if isinstance(dataset, PictureDataset):
        return dataset.has_truth
    return isinstance(dataset, PairedImageDataset) or 'gt' in dataset[0]


def metrics_without_truth(metrics: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """Those of ``val: metrics`` that look at the restored picture alone."""
    return {name: metric for name, metric in metrics.items()
            if TRUTH not in inspect.signature(METRIC_REGISTRY.get(metric['type'])).parameters}


def _input_scores(model: Any, dataset: Any) -> InputScores | None:
    """A test on pairs tells how good the given pictures are; the noise that is added to clean ones tells it itself."""
    metrics = model.opt['val'].get('metrics')
    if model.opt['is_train'] or not metrics or isinstance(dataset, GaussianDenoisingDataset) or not has_truth(dataset):
        return None
    return InputScores(metrics)


_names: WeakKeyDictionary[Any, dict[str, SavedNames]] = WeakKeyDictionary()


@replaces('nondist_validation', 'basicsr.models.sr_model:SRModel')
def save_and_score_each_picture(upstream: Callable[..., None], model: Any, dataloader: DataLoader, *arguments: Any,
                                **more: Any) -> None:
    """Pictures of one name overwrote each other, and a set without truth was scored against the last training crop."""
    dataset: Any = dataloader.dataset
    name = dataset.opt['name']
    require_pictures(dataset)
    folder = '' if model.opt['is_train'] else name  # a training saves all sets in one folder, a test each in its own
    names = _names.setdefault(model, {}).setdefault(folder, SavedNames())
    options, metrics = model.opt['val'], model.opt['val'].get('metrics')
    model.__dict__.pop('metric_results', None)  # of the set before, which may have other metrics
    try:
        if metrics and not has_truth(dataset):
            kept = metrics_without_truth(metrics)
            model.opt['val'] = {**options, 'metrics': kept or None}
            left_out = ', '.join(metric for metric in metrics if metric not in kept)
            if left_out:
                get_root_logger().warning(f'{name} has no clean pictures, and {left_out} cannot be had without.')
        inputs = _input_scores(model, dataset)
        pictures = NamedPictures(dataloader, names, lambda: model.__dict__.pop('gt', None), inputs)
        upstream(model, pictures, *arguments, **more)
        if inputs:
            get_root_logger().info(inputs.describe(name))
    finally:
        model.opt['val'] = options
