"""Speed and quality of networks on engines, 8-bit rivals at their best included, as ratios within one run.

    python benchmarks/engines.py --test datasets/CBSD68 --calibrate datasets/BSD432 --markdown t.md --plot t.png

A spiking student needs no calibration. Its ANN twin and FFDNet are quantised by ONNX Runtime (least and largest value,
entropy, percentile) and by NNCF (mixed preset, with bias correction; with accuracy control), calibrated on noisy crops
of training pictures; each form is timed in OpenVINO and scored on crops of test pictures. Sigma 25, colour.
"""
from __future__ import annotations

import argparse
import csv
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path

import numpy as np
import onnxruntime
import openvino
import torch
from measuring import machine, median_times
from onnxruntime import quantization
from rich.console import Console
from rich.progress import track

from basicsr_snn.data.picture_source import open_source
from basicsr_snn.engines.openvino_graph import core
from basicsr_snn.exporting import export
from basicsr_snn.images.files import to_channels, to_float, to_integers
from basicsr_snn.images.noise import add_gaussian_noise
from basicsr_snn.images.scoring import psnr
from basicsr_snn.inference.calling import deployed
from basicsr_snn.zoo.trained_network import shipped_network

SIGMA, SIDE, CROP = 25, 512, 320
FORMS = {'min-max': quantization.CalibrationMethod.MinMax, 'entropy': quantization.CalibrationMethod.Entropy,
         'percentile': quantization.CalibrationMethod.Percentile}
OPENVINO_PROVIDER = 'OpenVINOExecutionProvider'
REFERENCE = ('ffdnet_color', 'torch', 'float32')
Run = Callable[[np.ndarray], np.ndarray]


@dataclass
class Measured:
    """A line of the table; seconds are medians, for a million pixels."""

    network: str
    engine: str
    form: str
    psnr: float
    seconds_mpx: float = 0.0
    times_faster: float = 0.0


@dataclass(frozen=True)
class Pictures:
    """Noisy crops, (1, C, h, w) float32, and what they were, (h, w, C) uint8."""

    noisy: list[np.ndarray]
    clean: list[np.ndarray]


def noisy_crops(folder: Path, count: int, side: int) -> Pictures:
    """The middle of the first ``count`` pictures of a folder, with the noise of the test protocol."""
    source = open_source(folder)
    noisy, clean = [], []
    for place in range(min(count, len(source.names))):
        pixels = to_channels(source.read(place), 3, source.names[place])
        top, left = ((length - side) // 2 for length in pixels.shape[:2])
        clean.append(pixels[max(top, 0):max(top, 0) + side, max(left, 0):max(left, 0) + side])
        noisy.append(add_gaussian_noise(to_float(clean[-1]), SIGMA).transpose(2, 0, 1)[None])
    return Pictures(noisy, clean)


def quality(run: Run, pictures: Pictures) -> float:
    """Mean PSNR in dB on 8-bit pictures."""
    return float(np.mean([psnr(to_integers(run(noisy)[0].transpose(1, 2, 0)), clean)
                          for noisy, clean in zip(pictures.noisy, pictures.clean, strict=True)]))


def in_torch(name: str) -> Run:
    net = deployed(shipped_network(name).loaded())

    @torch.inference_mode()
    def run(picture: np.ndarray) -> np.ndarray:
        return net(torch.from_numpy(picture).contiguous(memory_format=torch.channels_last)).numpy()
    return run


def in_onnxruntime(file: Path, provider: str = 'CPUExecutionProvider') -> Run:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    session = onnxruntime.InferenceSession(file, options, providers=[provider])
    return lambda picture: session.run(None, {session.get_inputs()[0].name: picture})[0]


def in_openvino(model: Path | openvino.Model) -> Run:
    known = core().read_model(model) if isinstance(model, Path) else model
    compiled: dict[tuple[int, ...], openvino.CompiledModel] = {}

    def run(picture: np.ndarray) -> np.ndarray:
        if picture.shape not in compiled:
            fixed = known.clone()
            fixed.reshape(picture.shape)
            compiled[picture.shape] = core().compile_model(fixed, 'CPU', {
                'INFERENCE_PRECISION_HINT': 'f32', 'INFERENCE_NUM_THREADS': torch.get_num_threads()})
        return compiled[picture.shape](picture)[0]
    return run


class Calibration(quantization.CalibrationDataReader):
    """Noisy crops of training pictures, one by one."""

    def __init__(self, pictures: Pictures, name: str) -> None:
        self._left = iter(pictures.noisy)
        self._name = name

    def get_next(self) -> dict[str, np.ndarray] | None:
        picture = next(self._left, None)
        return None if picture is None else {self._name: picture}


def quantised_by_onnxruntime(file: Path, pictures: Pictures, folder: Path) -> Iterator[tuple[str, Path]]:
    """Files of a float network with convolutions of 8 bits, weights for each channel, by method of calibration."""
    name = onnxruntime.InferenceSession(file).get_inputs()[0].name
    for form, method in FORMS.items():
        target = folder / f'{file.stem}_{form}.onnx'
        quantization.quantize_static(file, target, Calibration(pictures, name), per_channel=True,
                                     op_types_to_quantize=['Conv'], calibrate_method=method,
                                     extra_options={'WeightSymmetric': True})
        yield f'int8, onnxruntime, {form}', target


def quantised_by_nncf(file: Path, pictures: Pictures) -> Iterator[tuple[str, openvino.Model]]:
    """The same by NNCF; with accuracy control, layers that lose most go back to floats until 0.02 dB are lost."""
    import nncf

    model = core().read_model(file)
    data = nncf.Dataset(pictures.noisy)
    best = {'preset': nncf.QuantizationPreset.MIXED, 'subset_size': len(pictures.noisy), 'fast_bias_correction': False}
    yield 'int8, NNCF', nncf.quantize(model, data, **best)

    def validate(compiled: openvino.CompiledModel, given: object) -> tuple[float, None]:
        return quality(lambda picture: compiled(picture)[0], pictures), None

    yield 'int8, NNCF, accuracy control', nncf.quantize_with_accuracy_control(
        model, data, nncf.Dataset([None]), validate, max_drop=0.02, drop_type=nncf.DropType.ABSOLUTE, **best)


def forms(names: list[str], twins: list[str], calibration: Pictures,
          folder: Path) -> Iterator[tuple[str, str, str, Run]]:
    """Network, engine, form and function of every line; students have the 8-bit form, ``twins`` are quantised."""
    for name in (*names, *twins):
        trained = shipped_network(name)
        file = folder / f'{name}.onnx'
        export(trained.loaded(), trained.network, 'onnx', file)
        yield name, 'torch', 'float32', in_torch(name)
        yield name, 'OpenVINO', 'float32', in_openvino(file)
        if name in names:
            int8 = folder / f'{name}_int8.onnx'
            export(trained.loaded(), trained.network, 'onnx', int8, int8=True)
            yield name, 'OpenVINO', 'int8', in_openvino(int8)
            yield name, 'ONNX Runtime', 'int8', in_onnxruntime(int8)
            yield name, 'ONNX Runtime', 'float32', in_onnxruntime(file)
            if OPENVINO_PROVIDER in onnxruntime.get_available_providers():  # of the package onnxruntime-openvino
                yield name, 'ONNX Runtime on OpenVINO', 'int8', in_onnxruntime(int8, OPENVINO_PROVIDER)
                yield name, 'ONNX Runtime on OpenVINO', 'float32', in_onnxruntime(file, OPENVINO_PROVIDER)
            continue
        for form, target in quantised_by_onnxruntime(file, calibration, folder):
            yield name, 'OpenVINO', form, in_openvino(target)
        for form, model in quantised_by_nncf(file, calibration):
            yield name, 'OpenVINO', form, in_openvino(model)


def measure(found: list[tuple[str, str, str, Run]], test: Pictures, rounds: int) -> list[Measured]:
    lines = [Measured(name, engine, form, quality(run, test))
             for name, engine, form, run in track(found, description='scores', transient=True)]
    picture = np.random.default_rng(0).random((1, 3, SIDE, SIDE), np.float32)
    tasks = {str(place): (lambda run=run: run(picture)) for place, (*_, run) in enumerate(found)}
    times = list(median_times(tasks, rounds).values()) if rounds else [float('nan')] * len(found)
    for line, seconds in zip(lines, times, strict=True):
        line.seconds_mpx = seconds / (SIDE * SIDE / 1e6)
    reference = next((line for line in lines if (line.network, line.engine, line.form) == REFERENCE), lines[0])
    for line in lines:
        line.times_faster = reference.seconds_mpx / line.seconds_mpx
    return lines


def markdown(lines: list[Measured], rounds: int) -> str:
    table = ['| network | engine | form | PSNR dB | s/Mpx | times as fast as FFDNet in torch |',
             '| --- | --- | --- | ---: | ---: | ---: |']
    table += [f'| {one.network} | {one.engine} | {one.form} | {one.psnr:.3f} | {one.seconds_mpx:.3f} | '
              f'{one.times_faster:.1f} |' for one in lines]
    return '\n'.join([*table, '', f'{rounds} alternating rounds, medians, {SIDE}x{SIDE}; {machine()}, openvino '
                                  f'{openvino.__version__.split("-")[0]}, onnxruntime {onnxruntime.__version__}.', ''])


def draw(lines: list[Measured], file: Path) -> None:
    """PSNR against seconds a megapixel, on a logarithmic axis: a colour for each network, a mark for each form."""
    from matplotlib import pyplot as plt
    from matplotlib.lines import Line2D

    kinds = list(dict.fromkeys((one.engine, one.form) for one in lines))
    marks = dict(zip(kinds, 'os^Dv<>pPX*hd', strict=False))
    names = list(dict.fromkeys(one.network for one in lines))
    figure, axes = plt.subplots(figsize=(10, 5), layout='constrained')
    for one in lines:
        axes.plot(one.seconds_mpx, one.psnr, marks[one.engine, one.form], color=f'C{names.index(one.network)}',
                  markersize=9, alpha=0.8)
    axes.set(xscale='log', xlabel='seconds a megapixel (less is better)', ylabel='PSNR in dB (more is better)')
    axes.set_xticks([0.1, 0.2, 0.5, 1, 2, 5], ['0.1', '0.2', '0.5', '1', '2', '5'])
    axes.minorticks_off()
    handles = [Line2D([], [], color=f'C{place}', lw=5, label=name) for place, name in enumerate(names)]
    handles += [Line2D([], [], color='grey', ls='', marker=marks[kind], label=', '.join(kind)) for kind in kinds]
    figure.legend(handles=handles, loc='outside right upper', fontsize=8)
    axes.grid(alpha=0.3)
    figure.savefig(file, dpi=150)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument('--test', type=Path, required=True, help='folder of test pictures')
    parser.add_argument('--calibrate', type=Path, required=True, help='folder of training pictures')
    parser.add_argument('--names', nargs='+', default=['spikerir_small_color25', 'spikerir_tiny_color25'])
    parser.add_argument('--twins', nargs='*', default=['spikerir_small_color25_twin', 'ffdnet_color'])
    parser.add_argument('--pictures', type=int, default=12, help='of the test (default: %(default)s)')
    parser.add_argument('--crops', type=int, default=64, help='for calibration (default: %(default)s)')
    parser.add_argument('--rounds', type=int, default=7, help='0: scores only (default: %(default)s)')
    parser.add_argument('--markdown', type=Path)
    parser.add_argument('--csv', type=Path)
    parser.add_argument('--plot', type=Path)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        calibration = noisy_crops(args.calibrate, args.crops, 192)
        found = list(forms(args.names, args.twins, calibration, Path(folder)))
        lines = measure(found, noisy_crops(args.test, args.pictures, CROP), args.rounds)
    Console(width=160).print(markdown(lines, args.rounds), markup=False)
    if args.markdown:
        args.markdown.write_text(markdown(lines, args.rounds), encoding='utf-8')
    if args.csv:
        with args.csv.open('w', newline='', encoding='utf-8') as file:
            writer = csv.DictWriter(file, [one.name for one in fields(Measured)])
            writer.writeheader()
            writer.writerows(asdict(line) for line in lines)
    if args.plot:
        draw(lines, args.plot)


if __name__ == '__main__':
    main()
