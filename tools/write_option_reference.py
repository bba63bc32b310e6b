"""Write what option files may hold: ``docs/reference/options.md`` for readers, ``options.schema.json`` for editors.

    python tools/write_option_reference.py            # write both
    python tools/write_option_reference.py --check    # say which would change, and exit with 1 if any would

Both are made from the declarations in ``basicsr_snn/pipeline/option_blocks`` and from the registered classes.
"""
from __future__ import annotations

import argparse
import inspect
import json
import re
import sys
from pathlib import Path
from typing import Any

import msgspec

import basicsr_snn  # noqa: F401 - registers our classes
from basicsr_snn.pipeline.option_blocks import OptionFile
from basicsr_snn.pipeline.option_blocks.base import Block, Kind
from basicsr_snn.pipeline.option_blocks.built import as_markdown, block_of, known
from basicsr_snn.pipeline.option_blocks.datasets import IoBackend, Kinds
from basicsr_snn.pipeline.option_blocks.distillation import Adapter, Distill, Hint, Schedule, Tail, Teacher
from basicsr_snn.pipeline.option_blocks.logger import DistParams, Logger, Wandb
from basicsr_snn.pipeline.option_blocks.path import Path as PathBlock
from basicsr_snn.pipeline.option_blocks.training import Pruning, Tandem, Train
from basicsr_snn.pipeline.option_blocks.validation import Val
from basicsr_snn.pipeline.option_blocks.wording import blocks_inside, dissect, typed, wanted
from basicsr_snn.spiking.base import DEFAULT_NEURON

REPOSITORY = Path(__file__).resolve().parent.parent
PAGE = REPOSITORY / 'docs/reference/options.md'
SCHEMA = REPOSITORY / 'docs/reference/options.schema.json'
OUR_MODELS = ('SNNModel', 'ANNSNNDistillModel')

OURS = {
    'dataset': ('GaussianDenoisingDataset', 'CameraNoiseDataset', 'RainStreaksDataset', 'BorrowedRainDataset',
                'JPEGDataset', 'MotionBlurDataset', 'RealPairsDataset', 'NoisyPicturesDataset',
                'SuperResolutionDataset', 'MixedDataset', 'PairedImageDataset', 'SingleImageDataset'),
    'network': ('SpikerIR', 'ESDNet', 'DnCNN', 'FFDNet', 'PretrainedANN'),
    'neuron': ('SignedILIF', 'LIFNode', 'IFNode', 'ParametricLIFNode', 'ILIFNode', 'PhaseIF', 'FirstSpikeIF',
               'DSRIFNode', 'relu', 'linear'),
    'loss': ('L1Loss', 'MSELoss', 'CharbonnierLoss', 'FFTLoss', 'PerceptualLoss', 'SpikeRateLoss',
             'FeatureHintLoss', 'BlurredHintLoss'),
    'scheduler': ('CosineAnnealingRestartLR', 'MultiStepRestartLR'),
    'metric': ('calculate_psnr', 'calculate_ssim'),
}
"""Classes whose blocks are described, by what they are; others are checked against their signatures only."""

TITLES = {'dataset': 'Data sets', 'network': 'Networks', 'neuron': 'Neurons', 'loss': 'Losses',
          'scheduler': 'Schedulers', 'metric': 'Metrics', 'optimizer': 'Optimisers'}
CLOSED = ('neuron', 'scheduler')
"""Kinds of which there are no others."""

NAMED = {'required': ['type']}
SAME_AS = {'feature_loss': 'loss', 'rate_loss': 'loss', 'perceptual_loss': 'loss', 'hidden_neuron': 'neuron',
           'mixed_in': 'dataset'}

CHAPTERS: list[tuple[str, type[Block] | Kind]] = [
    ('The file', OptionFile), ('Data sets', 'dataset'), ('io_backend', IoBackend), ('kinds', Kinds),
    ('Networks', 'network'), ('Neurons', 'neuron'), ('path', PathBlock), ('train', Train), ('Optimisers', 'optimizer'),
    ('Schedulers', 'scheduler'), ('Losses', 'loss'), ('pruning', Pruning), ('tandem', Tandem), ('distill', Distill),
    ('teacher', Teacher), ('hints', Hint), ('tails', Tail), ('adapter', Adapter), ('schedule', Schedule), ('val', Val),
    ('Metrics', 'metric'), ('logger', Logger), ('wandb', Wandb), ('dist_params', DistParams),
]
OPTIMISERS = """A class of `torch.optim` by its name, such as `AdamW`, with its arguments as keys: `{type: AdamW, lr:
1e-3, weight_decay: 1e-4, betas: [0.9, 0.99]}`. `lr` is always required."""

INTRODUCTION = """# What an option file holds

<!-- Written by tools/write_option_reference.py; do not edit. -->

An option file is plain YAML for BasicSR; `basicsr-snn check -opt FILE` compares it with these tables before anything
runs. A block with a `type:` builds the class of that name: its other keys are the arguments of the class. Classes that
are not listed here, BasicSR's and your own, are checked against their signatures.

An editor with a YAML language server completes keys and shows their meaning: each file of `options/` names
`options.schema.json` in its first line.
"""


def page() -> str:
    """The reference as Markdown."""
    parts = [INTRODUCTION]
    for title, content in CHAPTERS:
        heading = title if title[0].isupper() else f'`{title}:`'
        parts.append(f'## {heading}\n')
        if content == 'optimizer':
            parts.append(f'{OPTIMISERS}\n')
        elif isinstance(content, str):
            for name in OURS[content]:
                parts.append(f'### `{name}`\n\n{introduction(known(content)[name], content, name)}\n')
                parts.append(table(block_of(content, name)))
        else:
            parts.append(f'{" ".join(inspect.getdoc(content).split())}\n')
            parts.append(table(content))
    return '\n'.join(parts)


def introduction(built: Any, kind: Kind, name: str) -> str:
    """The first paragraph of what a block builds."""
    described = built if inspect.getdoc(built) and built.__module__ != 'basicsr_snn.spiking.neurons' else None
    described = block_of(kind, name) if described is None or block_of(kind, name).__doc__ else described
    first = (inspect.getdoc(described) or '').split('\n\n')[0]
    return as_markdown(' '.join(first.split()))


def table(block: type[Block]) -> str:
    """The keys of a block, a row for each."""
    fields = [field for field in msgspec.structs.fields(block) if field.name != 'type']
    if not fields:
        return 'It has no keys beside `type`.\n'
    rows = [f'| `{field.name}` | {takes(field.type)} | {default(field)} | {dissect(field.type)[1].description or ""} |'
            for field in fields]
    return '\n'.join(['| key | takes | default | meaning |', '|---|---|---|---|', *rows]) + '\n'


def takes(annotation: Any) -> str:
    """What a key takes, with a link to the chapter of a block."""
    block, items = blocks_inside(annotation)
    if block is None:
        return re.sub(r'number(s?)([^,]*?) without decimals', r'whole number\1\2', wanted(annotation))
    if isinstance(block, str):
        title = TITLES[SAME_AS.get(block, block)]
    else:
        title = next(title for title, content in CHAPTERS if content is block)
    link = f'[{title}](#{title.lower().replace(" ", "-")})'
    return {list: f'a list of {link}', dict: f'blocks by name: {link}', None: f'a block: {link}'}[items]


def default(field: msgspec.structs.FieldInfo) -> str:
    """The default of a key."""
    if field.required:
        return 'required'
    value = field.default_factory() if field.default is msgspec.NODEFAULT else field.default
    return '' if value is None or value is msgspec.UNSET else f'`{typed(value)}`'


def schema() -> dict[str, Any]:
    """The JSON schema; option files of other models than ours pass."""
    blocks = {name: block_of(kind, name) for kind, names in OURS.items() for name in names}
    mixed_in = [block_of('mixed_in', name) for name in OURS['dataset']]
    declared = [OptionFile, *dict.fromkeys(blocks.values()), *mixed_in]
    (file, *_), definitions = msgspec.json.schema_components(declared, ref_template='#/$defs/{name}')
    definitions['OptionFile']['patternProperties'] = {'^network_': {'type': 'object'}}
    for kind in (*OURS, 'optimizer', 'mixed_in'):
        definitions[kind] = one_of(kind)
    definitions |= dict.fromkeys(('feature_loss', 'rate_loss', 'perceptual_loss'), definitions['loss'])
    definitions['hidden_neuron'] = {'type': 'object', 'if': NAMED, 'then': {'$ref': '#/$defs/neuron'}}
    return {'$schema': 'https://json-schema.org/draft/2020-12/schema', 'title': 'Option file of basicsr_snn',
            'type': 'object', 'required': ['model_type'],
            'if': {'properties': {'model_type': {'enum': list(OUR_MODELS)}}}, 'then': file, '$defs': definitions}


def one_of(kind: Kind) -> dict[str, Any]:
    """A block that builds one of a kind: by its ``type`` it is one of those described, or any other of an open kind."""
    names = [*known(kind)] if kind in CLOSED else OURS.get('dataset' if kind == 'mixed_in' else kind, ())
    cases = [{'if': {'properties': {'type': {'const': name}}, **({} if name == DEFAULT_NEURON else NAMED)},
              'then': {'$ref': f'#/$defs/{block_of(kind, name).__name__}'}} for name in names]
    return {'type': 'object', 'properties': {'type': {'enum' if kind in CLOSED else 'examples': list(names)}},
            'allOf': cases, **({} if kind == 'neuron' else NAMED)}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--check', action='store_true', help='write nothing; say which files would change')
    check = parser.parse_args().check
    texts = {PAGE: page(), SCHEMA: json.dumps(schema(), indent=1, ensure_ascii=False) + '\n'}
    changes = [file for file, text in texts.items() if not file.exists() or file.read_text(encoding='utf-8') != text]
    for file in changes:
        print(f'{file.relative_to(REPOSITORY)} {"would change" if check else "is written"}.')
        if not check:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(texts[file], encoding='utf-8')
    return int(bool(check and changes))


if __name__ == '__main__':
    sys.exit(main())
