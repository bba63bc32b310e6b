"""The report: numbers of tables and figures by hand, and a page that needs nothing else."""
from __future__ import annotations

import base64
import itertools
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
import torch
from basicsr.metrics import calculate_psnr, calculate_ssim
from matplotlib.backend_bases import FigureCanvasBase
from matplotlib.figure import Figure
from torch import nn

from basicsr_snn.activity import ActivityWatch, LayerActivity
from basicsr_snn.bench.evaluation_set import EvaluationSet, block_of_folder
from basicsr_snn.energy import OperationCounter, twin_nj_px
from basicsr_snn.errors import UserError
from basicsr_snn.images.scoring import Score
from basicsr_snn.inference.calling import deployed
from basicsr_snn.report import figures, findings
from basicsr_snn.report.findings import Findings, PictureScore, examine
from basicsr_snn.report.page import data_uri, fixed, flow, percent, render, short, whole
from basicsr_snn.report.tables import energy_rows, layer_rows
from basicsr_snn.spiking.neurons.signed_ilif import SignedILIF
from basicsr_snn.zoo import build
from basicsr_snn.zoo.trained_network import TrainedNetwork

NETWORK = {'type': 'SpikerIR', 'channels': [4, 4], 'blocks': [1, 1]}
VOID = {'meta', 'img', 'br', 'hr', 'input', 'link', 'path', 'use', 'rect'}


class Page(HTMLParser):
    """Parses a page, and fails on tags that are not closed in order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.rows: list[list[str]] = []
        self.text = ''
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.attributes += [(tag, name, value or '') for name, value in attributes]
        if tag not in VOID:
            self.open.append(tag)
        if tag == 'tr':
            self.rows.append([])
        if tag in ('td', 'th'):
            self.rows[-1].append('')

    def handle_startendtag(self, tag, attributes):
        self.attributes += [(tag, name, value or '') for name, value in attributes]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if {'td', 'th'} & set(self.open):
            self.rows[-1][-1] += data

    def row(self, first: str) -> list[str]:
        found, = (row[1:] for row in self.rows if row[0] == first)
        return found


class HandMade(nn.Module):
    """A stem, then neurons of a silent, a saturated and a half active channel, read by one convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.neuron, self.conv = nn.Conv2d(1, 4, 1, bias=False), SignedILIF(4, D=2), nn.Conv2d(4, 1, 1)
        self.stem.weight.data = torch.tensor([0.0, 0.9, -0.9, 0.1]).view(4, 1, 1, 1)

    def forward(self, picture):
        return self.conv(self.neuron(self.stem(picture)[None])[0])


@pytest.fixture(scope='module')
def counted():
    """Report and activity of the hand-made network on a picture of 4x6, ones and every second column 0.4999."""
    torch.manual_seed(0)
    picture = torch.ones(1, 1, 4, 6)
    picture[..., ::2] = 0.4999  # channels 1 and 2: 4.5 thresholds, channel 3: below half of one
    net = HandMade().eval()
    with OperationCounter(net) as counter, ActivityWatch(net) as seen, torch.inference_mode():
        net(picture)
    return counter.report(), seen.layers()


@pytest.fixture(scope='module')
def folder(tmp_path_factory):
    """Three smooth pictures of 48x40 in a folder whose name HTML must escape."""
    folder = tmp_path_factory.mktemp('clean') / 'a<b>&c'
    folder.mkdir()
    for index in range(3):
        pixels = np.random.RandomState(index).randint(0, 256, (40, 48, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f'{index}.png'), cv2.GaussianBlur(pixels, (0, 0), 3))
    return folder


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    torch.manual_seed(0)
    weights = tmp_path_factory.mktemp('weights') / 'net.pth'
    torch.save(build(NETWORK).state_dict(), weights)
    return TrainedNetwork('my <net>', NETWORK, weights)


@pytest.fixture(scope='module')
def found(trained, folder) -> Findings:
    return examine(trained, EvaluationSet(block_of_folder(folder, 25, 3)))


def test_layers_of_the_hand_made_network(counted):
    stem, conv = layer_rows(*counted)
    assert (stem.name, stem.reads, stem.macs_per_px, stem.acs_per_px) == ('stem', 'floats', 4, 0)
    assert (stem.nj_px, stem.firing_rate, stem.channels, stem.dead) == (pytest.approx(4 * 4.6 / 1000), None, None, None)
    assert (conv.name, conv.op, conv.reads, conv.channels) == ('conv', 'convolution', 'spikes', 4)
    assert (conv.firing_rate, conv.dead, conv.saturated) == (4.5 / 4, 0.25, 0.5)
    assert conv.acs_per_px == 4.5
    assert conv.nj_px == pytest.approx(4.5 * 0.9 / 1000)


def test_neurons_that_no_layer_reads_have_rows_of_their_own():
    class Pooled(HandMade):
        def forward(self, picture):
            return self.conv(nn.functional.avg_pool2d(self.neuron(self.stem(picture)[None])[0], 2))

    net = Pooled().eval()
    with OperationCounter(net) as counter, ActivityWatch(net) as seen, torch.inference_mode():
        net(torch.rand(1, 1, 4, 6))
    rows = layer_rows(counter.report(), seen.layers())
    assert [row.name for row in rows] == ['stem', 'conv', 'neuron']
    assert (rows[1].channels, rows[2].channels, rows[2].op) == (None, 4, '')


def test_energies_are_those_of_the_counts(counted):
    cost, _ = counted
    rows = {(row.preset, row.memory): row for row in energy_rows(cost)}
    assert list(rows) == [('45nm-fp32', False), ('45nm-int8', False), ('neuromorphic-sop', False),
                          ('45nm-fp32', True), ('45nm-int8', True)]
    plain = rows['45nm-fp32', False]
    assert plain.own == pytest.approx((4 * 4.6 + 4.5 * 0.9) / 1000)
    assert plain.twin == pytest.approx(8 * 4.6 / 1000)
    assert plain.break_even == pytest.approx(4.6 / 0.9)
    assert plain.quantised is None
    integer = rows['45nm-int8', False]  # T * D + 1 = 3 levels: 2 bits; the stem stays at 8 bits
    assert integer.quantised == pytest.approx((4 * 0.23 + 4 * (0.2 * 2 * 8 / 64 + 0.03)) / 1000)
    assert integer.break_even_quantised == pytest.approx((0.2 * 2 * 8 / 64 + 0.03) / 0.03)
    assert rows['45nm-fp32', True].twin == twin_nj_px(cost, memory=True)


@pytest.fixture
def axes(monkeypatch):
    """Axes that a figure draws on instead of an SVG."""
    drawn = Figure().add_subplot()
    monkeypatch.setattr(figures, '_svg', lambda name, draw, height: draw(drawn))
    return drawn


def test_figure_of_rates(counted, axes):
    figures.firing_rates(counted[1])
    assert [bar.get_width() for bar in axes.patches] == [4.5 / 4]
    (ends,), = (lines.get_segments() for lines in axes.collections)
    assert ends[:, 0].tolist() == [0, 2]


def test_figure_of_energies(counted, axes):
    figures.energies(counted[0])
    widths = {bar.get_facecolor(): bar.get_width() for bar in axes.patches}
    assert sorted(widths.values()) == pytest.approx([4.5 * 0.9 / 1000, 4 * 4.6 / 1000])
    assert len(widths) == 2
    assert axes.lines[0].get_xdata() == pytest.approx([4 * 4.6 / 1000] * 2)


def test_figure_of_energies_shows_the_costliest_in_order(counted, monkeypatch):
    monkeypatch.setattr(figures, 'MOST_LAYERS', 1)
    assert [layer.name for layer in figures.costliest(counted[0])] == ['stem']


def test_figure_of_counts(axes):
    layers = [LayerActivity('a', 'X', 1, np.ones(1), np.empty(0), np.array([0, 3, 1])),
              LayerActivity('b', 'X', 2, np.ones(1), np.empty(0), np.array([0, 0, 0, 0, 8]))]
    figures.counts(layers)
    assert [(round(bar.get_x() + bar.get_width() / 2), bar.get_height()) for bar in axes.patches] == [
        (0, 37.5), (1, 12.5), (2, 50)]
    values, _ = figures.count_shares([LayerActivity('c', 'X', 1, np.ones(1), np.empty(0), np.array([1, 0, 0]))])
    assert values.tolist() == [-1, 0, 1]


@pytest.mark.parametrize(('limit', 'signed'), [(1, False), (4, True), (32, True), (255, False)])
def test_labels_of_counts_do_not_touch(limit, signed, monkeypatch):
    drawn = []
    monkeypatch.setattr(figures.FigureCanvasSVG, '__init__', lambda self, figure: drawn.append(figure) or
                        FigureCanvasBase.__init__(self, figure))
    counts = np.ones(2 * limit + 1) if signed else np.r_[np.zeros(limit), np.ones(limit + 1)]
    figures.counts([LayerActivity('a', 'X', limit, np.ones(1), np.empty(0), counts)])
    figure, = drawn
    labels = [label.get_window_extent() for label in figure.axes[0].get_xticklabels()]
    assert len(labels) >= 2
    assert all(one.x1 < other.x0 for one, other in itertools.pairwise(labels))


def test_figure_of_potentials(axes):
    values = np.array([-9.0, 0.1, 0.1, 1.3], np.float32)
    layer = LayerActivity('a', 'X', 1, np.ones(1), values, np.array([1, 2, 1]))
    figures.potentials([layer])
    edges = figures.potential_edges(1)
    assert (edges[0], edges[-1], edges[1] - edges[0]) == (-4, 4, 0.25)
    density = axes.patches[-1].get_data().values
    assert {float(edges[i]): float(density[i]) for i in np.flatnonzero(density)} == {-4: 1, 0: 2, 1.25: 1}
    assert [line.get_xdata()[0] for line in axes.lines] == [1, -1]


def test_svg_is_small_closed_and_in_the_colours_of_the_page(counted):
    one, other = figures.firing_rates(counted[1]), figures.energies(counted[0])
    for svg in (one, other):
        tree = ElementTree.fromstring(svg)
        assert tree.tag == 'svg'
        assert 'currentColor' in svg
        assert figures.TEXT not in svg
        assert 'http' not in svg
        used = set(re.findall(r'(?:href="#|url\(#)([^")]+)', svg))
        assert used <= {element.get('id') for element in tree.iter()}
    assert not set(re.findall(r'\bid="([^"]+)', one)) & set(re.findall(r'\bid="([^"]+)', other))
    assert 'reads floats' in other


def test_scores_and_counts_of_pictures(found, trained, folder):
    net = deployed(trained.build().net)
    assert [one.name for one in found.scores] == ['0', '1', '2']
    assert [one.sigma for one in found.scores] == [25, 25, 25]
    clean = cv2.imread(str(folder / '1.png'))[..., ::-1]
    noisy = clean / 255 + np.random.RandomState(0).normal(0, 25 / 255, clean.shape)
    with torch.inference_mode():
        restored = net(torch.from_numpy(noisy).float().permute(2, 0, 1)[None])[0].permute(1, 2, 0).numpy()
    eight = (restored.clip(0, 1) * 255).round().astype(np.uint8)
    assert found.scores[1].score.psnr == pytest.approx(calculate_psnr(eight, clean, 0), abs=0.01)
    assert found.scores[1].score.ssim == pytest.approx(calculate_ssim(eight, clean, 0), abs=1e-3)
    assert found.mean('psnr') == pytest.approx(np.mean([one.score.psnr for one in found.scores]))
    assert found.cost.pictures == 3
    assert [layer.name for layer in found.activity] == [neuron.name for neuron in found.cost.neurons]


def test_examples_are_centres(found, trained, folder, monkeypatch):
    monkeypatch.setattr(findings, 'CROP', 16)
    monkeypatch.setattr(findings, 'EXAMPLES', 2)
    first, last = examine(trained, EvaluationSet(block_of_folder(folder, 25, 3))).examples
    assert (first.scored.name, last.scored.name) == ('0', '2')
    clean = cv2.imread(str(folder / '2.png'))[..., ::-1]
    assert np.array_equal(last.clean, clean[12:28, 16:32])
    assert last.restored.shape == last.degraded.shape == (16, 16, 3)


@pytest.fixture(scope='module')
def html(found) -> str:
    return render(found)


def test_page_needs_nothing_else(html):
    page = Page(html)
    assert not {'script', 'link', 'iframe', 'object', 'form'} & {tag for tag, _, _ in page.attributes}
    assert '<script' not in html
    assert '@import' not in html
    assert 'url(http' not in html
    addresses = {(tag, name) for tag, name, value in page.attributes if re.match(r'\w*:?//', value)}
    assert addresses == {('a', 'href')}
    pictures = [value for tag, name, value in page.attributes if (tag, name) == ('img', 'src')]
    assert len(pictures) == 9
    assert all(value.startswith('data:image/png;base64,') for value in pictures)
    assert not re.search(r'\bon\w+=', html)


def test_page_holds_the_numbers(found, html):
    page = Page(html)
    cost = found.cost
    assert page.row('multiply-accumulates (MACs)')[0] == f'{cost.macs_per_px:,.0f}'
    assert page.row('accumulations caused by spikes (ACs)')[0] == f'{cost.acs_per_px:,.0f}'
    for row in energy_rows(cost):
        cells = page.row(f'{row.preset}, {"with memory" if row.memory else "arithmetic only"}')
        assert cells[0] == short(row.own)
        assert cells[1] == short(row.twin)
    for layer in layer_rows(cost, found.activity):
        cells = page.row(layer.name)
        assert cells[:2] == ['convolution', layer.reads]
        assert cells[2:] == [whole(layer.macs_per_px), whole(layer.acs_per_px), short(layer.nj_px),
                             fixed(layer.firing_rate, 3), whole(layer.channels), percent(layer.dead),
                             percent(layer.saturated)]
    assert page.row('a<b>&c') == ['3', *(fixed(found.mean(key), digits) for key, digits in (
        ('noisy_psnr', 2), ('psnr', 2), ('noisy_ssim', 4), ('ssim', 4)))]
    plain, memory = (percent(cost.energy_nj_px(memory=memory) / twin_nj_px(cost, memory=memory))
                     for memory in (False, True))
    assert f'it costs {plain} of its ANN twin; with memory traffic, nothing reused, {memory}.' in page.text
    assert f'{cost.params:,d} parameters' in page.text
    assert 'SignedILIF, 9 layers' in page.text


def test_page_escapes_names(html):
    assert '<h1>my &lt;net&gt;</h1>' in html
    assert '<net>' not in html
    assert '<b>&c' not in html


def test_pages_are_alike_each_time(found, html):
    assert render(found) == html


def test_an_ann_has_no_spikes_on_its_page(folder, tmp_path):
    weights, network = tmp_path / 'relu.pth', {**NETWORK, 'neuron': {'type': 'relu'}}
    torch.save(build(network).state_dict(), weights)
    page = Page(render(examine(TrainedNetwork('n', network, weights), EvaluationSet(
        block_of_folder(folder, 25, 3), 1))))
    assert 'an ANN of' in page.text
    assert 'firing' not in page.text
    assert 'twin' not in page.text
    assert len(page.row('45nm-fp32, arithmetic only')) == 1


def test_grey_pictures_and_neurons_without_potentials(counted):
    cost, layers = counted
    silent = tuple(LayerActivity(layer.name, layer.kind, layer.limit, layer.channel_rates, np.empty(0), layer.counts)
                   for layer in layers)
    grey = np.zeros((2, 3, 1), np.uint8)
    scored = PictureScore('D', 'p', None, Score(20, 30, float('nan'), float('nan')))
    made = Findings('n', {'type': 'X'}, 'w.pth', 'f' * 64, 'D', (scored,), cost, silent,
                    (findings.Example(scored, grey, grey, grey),))
    page = Page(render(made))
    assert 'Membrane potentials' not in page.text
    assert page.row('D') == ['1', '20.00', '30.00', '–', '–']
    assert '25 % of 4 channels never fired, 50.0 % always' in page.text.replace('25.0', '25')


def test_embedded_pictures_are_the_pixels():
    colour = np.random.RandomState(0).randint(0, 256, (5, 7, 3), dtype=np.uint8)
    for pixels in (colour, colour[..., :1]):
        encoded = base64.b64decode(data_uri(pixels).split(',')[1])
        decoded = cv2.imdecode(np.frombuffer(encoded, np.uint8), cv2.IMREAD_UNCHANGED)
        assert np.array_equal(decoded[..., ::-1] if decoded.ndim == 3 else decoded[..., None], pixels)


@pytest.mark.parametrize(('given', 'shown'), [
    (short(None), '–'), (short(float('nan')), '–'), (short(0.0), '0'), (short(1.9976), '2.00'), (short(48.06), '48.1'),
    (short(99.96), '100'), (short(11124.7), '11,125'), (short(0.7418), '0.742'), (whole(51203.4), '51,203'),
    (percent(0.302), '30.2 %'), (percent(0.0), '0 %'), (percent(1.0), '100 %'), (percent(None), '–'),
    (fixed(30.216, 2), '30.22'), (flow({'type': 'A', 'b': [1, 2]}), '{type: A, b: [1, 2]}'),
])
def test_numbers_on_the_page(given, shown):
    assert given == shown


def test_networks_that_answer_nonsense_are_refused(trained, folder, tmp_path):
    weights = build(NETWORK).state_dict()
    torch.save({**weights, 'stem.bias': torch.full_like(weights['stem.bias'], float('nan'))}, tmp_path / 'nan.pth')
    pictures = EvaluationSet(block_of_folder(folder, 25, 3), 1)
    with pytest.raises(UserError, match='nan.pth holds NaN or infinity'):
        examine(TrainedNetwork('nan', NETWORK, tmp_path / 'nan.pth'), pictures)
    with pytest.raises(UserError, match='weight file .* does not exist'):
        examine(TrainedNetwork('gone', NETWORK, tmp_path / 'gone.pth'), pictures)
