"""What a picture carries beside its pixels: from every kind of file into every other."""
from __future__ import annotations

import io
import struct
import zlib
from pathlib import Path

import cv2
import numpy as np
import pytest
import tifffile
from PIL import ExifTags, Image, ImageCms, JpegImagePlugin, PngImagePlugin, features

from basicsr_snn.errors import UserError
from basicsr_snn.images import heif
from basicsr_snn.images.carried import Carried
from basicsr_snn.images.files import read_picture, write_picture

KINDS = ['jpg', 'png', 'webp', 'tif', *(['avif'] if features.check('avif') else [])]
PIXELS = cv2.resize(np.random.default_rng(0).integers(0, 256, (4, 5, 3), dtype=np.uint8), (60, 40))
MAKER_NOTE = bytes(range(256)) * 3
DPI = (240, 240)
XMP = (b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
       b'<rdf:Description xmlns:tiff="http://ns.adobe.com/tiff/1.0/" tiff:Orientation="6" '
       b'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="4"/></rdf:RDF></x:xmpmeta>')
WIDE_PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile('sRGB')).tobytes().replace(
    'sRGB'.encode('utf-16-be'), 'Wide'.encode('utf-16-be'))


def photograph_exif(orientation: int = 6) -> Image.Exif:
    """What a camera writes: maker, time, place, notes of the maker, a turn."""
    exif = Image.Exif()
    exif[ExifTags.Base.Make] = 'Kamera'
    exif[ExifTags.Base.Orientation] = orientation
    exif[ExifTags.Base.XResolution] = exif[ExifTags.Base.YResolution] = DPI[0]
    exif[ExifTags.Base.ResolutionUnit] = 2
    exif[ExifTags.Base.DateTime] = '2026:11:27 08:00:00'
    details = exif.get_ifd(ExifTags.IFD.Exif)
    details[ExifTags.Base.ISOSpeedRatings] = 3200
    details[ExifTags.Base.ExposureTime] = 0.008
    details[ExifTags.Base.MakerNote] = MAKER_NOTE
    exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude] = (47.0, 22.0, 37.5)
    return exif


def save_photograph(path: Path, **more: object) -> None:
    """A file as a camera or a program would write it, of the kind that its extension says."""
    image = Image.fromarray(PIXELS)
    options = {'exif': photograph_exif(), 'icc_profile': WIDE_PROFILE, 'dpi': DPI, **more}
    if path.suffix == '.tif':
        options['exif'][700] = XMP
        options['exif'] = options['exif'].tobytes()
    else:
        options['xmp'] = XMP
    if path.suffix == '.png':
        options['pnginfo'] = PngImagePlugin.PngInfo()
        options['pnginfo'].add_text('Comment', 'by night')
        options['pnginfo'].add_text('Lens', 'Größe 50 mm →')
        options['pnginfo'].add_text('XML:com.adobe.xmp', XMP.decode())
    image.save(path, **options)


def copied(source: Path, target: Path) -> Image.Image:
    """A picture read and written by us, as Pillow finds it."""
    picture = read_picture(source, carried=True)
    write_picture(target, picture.stored, alpha=picture.alpha, carried=picture.carried)
    return Image.open(target)


def xmp_of(image: Image.Image) -> bytes:
    found = image.info.get('xmp') or image.info.get('XML:com.adobe.xmp') or b''
    return found.encode() if isinstance(found, str) else found


@pytest.mark.parametrize('source', KINDS)
@pytest.mark.parametrize('target', KINDS)
def test_everything_survives_from_every_kind_to_every_kind(tmp_path: Path, source: str, target: str) -> None:
    save_photograph(tmp_path / f'in.{source}')
    result = copied(tmp_path / f'in.{source}', tmp_path / f'out.{target}')
    if source != 'avif':  # which loses
        assert read_picture(tmp_path / f'in.{source}').stored.shape == (60, 40, 3)  # the turn was applied
    assert result.size == (40, 60)
    exif = result.getexif()
    assert exif[ExifTags.Base.Make] == 'Kamera'
    assert exif[ExifTags.Base.DateTime] == '2026:11:27 08:00:00'
    assert exif.get(ExifTags.Base.Orientation, 1) == 1
    details = exif.get_ifd(ExifTags.IFD.Exif)
    assert details[ExifTags.Base.ISOSpeedRatings] == 3200
    assert float(details[ExifTags.Base.ExposureTime]) == 0.008
    assert details[ExifTags.Base.MakerNote] == MAKER_NOTE
    assert tuple(map(float, exif.get_ifd(ExifTags.IFD.GPSInfo)[ExifTags.GPS.GPSLatitude])) == (47.0, 22.0, 37.5)
    assert result.info['icc_profile'] == WIDE_PROFILE
    assert b'xmp:Rating="4"' in xmp_of(result)
    assert b'Orientation="6"' not in xmp_of(result)
    told = result.info.get('dpi') or [exif.get(tag) for tag in (282, 283)]
    if source not in ('webp', 'avif'):  # Pillow writes no resolution there
        np.testing.assert_allclose([float(one) for one in told], DPI, atol=0.02)
    if source == 'png':
        content = (tmp_path / f'out.{target}').read_bytes()
        for text in ('by night', 'Größe 50 mm →'):
            assert any(text.encode(code) in content for code in ('utf-8', 'utf-16-le', 'utf-16-be'))


@pytest.mark.parametrize('kind', KINDS)
def test_a_second_turn_of_the_wheel_changes_nothing(tmp_path: Path, kind: str) -> None:
    save_photograph(tmp_path / f'a.{kind}')
    copied(tmp_path / f'a.{kind}', tmp_path / f'b.{kind}')
    copied(tmp_path / f'b.{kind}', tmp_path / f'c.{kind}')
    once, twice = (read_picture(tmp_path / f'{name}.{kind}', carried=True).carried for name in 'bc')
    assert once == twice
    assert once.left_out == ()


@pytest.mark.parametrize('source', ['png', 'tif'])
@pytest.mark.parametrize('target', ['png', 'tif'])
@pytest.mark.parametrize('channels', [1, 3])
@pytest.mark.parametrize('alpha', [False, True])
def test_sixteen_bits_carry_the_same(tmp_path: Path, source: str, target: str, channels: int, alpha: bool) -> None:
    stored = np.random.default_rng(0).integers(0, 65536, (9, 12, channels), dtype=np.uint16)
    mask = stored[:, :, 0] // 2 if alpha else None
    carried = read_carried_of(tmp_path, 'jpg')
    for name, extension in (('a', source), ('b', target)):
        write_picture(tmp_path / f'{name}.{extension}', stored, alpha=mask, carried=carried)
        picture = read_picture(tmp_path / f'{name}.{extension}', carried=True)
        np.testing.assert_array_equal(picture.stored[..., :channels], stored)  # grey and alpha: a PNG of RGBA
        assert alpha is (picture.alpha is not None)
        carried = picture.carried
        assert carried.icc_profile == WIDE_PROFILE
        assert b'Kamera' in carried.exif
        assert carried.dpi == pytest.approx(DPI, abs=0.02)
        assert carried.left_out == ()


def read_carried_of(folder: Path, kind: str) -> Carried:
    save_photograph(folder / f'photograph.{kind}')
    return read_picture(folder / f'photograph.{kind}', carried=True).carried


def test_tiff_readers_agree_on_a_tiff_with_a_new_directory(tmp_path: Path) -> None:
    carried = read_carried_of(tmp_path, 'jpg')
    write_picture(tmp_path / 'a.tif', PIXELS, carried=carried)
    with tifffile.TiffFile(tmp_path / 'a.tif') as tiff:
        assert len(tiff.pages) == 1
        assert tiff.pages.first.tags['Make'].value == 'Kamera'
        assert tiff.pages.first.tags['ExifTag'].value['ISOSpeedRatings'] == 3200
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / 'a.tif')), PIXELS)
    np.testing.assert_array_equal(cv2.imread(str(tmp_path / 'a.tif'))[..., ::-1], PIXELS)


def test_a_turn_that_xmp_alone_asks_for_is_neither_made_nor_lost(tmp_path: Path) -> None:
    image = Image.fromarray(PIXELS)
    image.save(tmp_path / 'a.jpg', xmp=XMP)
    image.save(tmp_path / 'a.tif', tiffinfo={700: XMP})
    for kind in ('jpg', 'tif'):
        picture = read_picture(tmp_path / f'a.{kind}', carried=True)
        assert picture.stored.shape == PIXELS.shape
        assert picture.carried.xmp == XMP


def test_letters_beyond_ascii_and_the_places_of_a_makers_notes_stay(tmp_path: Path) -> None:
    exif = photograph_exif().tobytes()
    value = 'Jürg Müller'.encode()
    exif = exif.replace(b'2026:11:27 08:00:00', value.ljust(19))
    save_photograph(tmp_path / 'a.jpg', exif=exif)
    for target in ('jpg', 'png', 'webp'):
        found = copied(tmp_path / 'a.jpg', tmp_path / f'b.{target}').info['exif']
        at = found.removeprefix(b'Exif\0\0').find(MAKER_NOTE)
        assert at == exif.removeprefix(b'Exif\0\0').find(MAKER_NOTE) > 0
        assert value in found
    copied(tmp_path / 'a.jpg', tmp_path / 'b.tif')
    assert value in (tmp_path / 'b.tif').read_bytes()


def with_thumbnail(order: str) -> bytes:
    """EXIF data with a small picture behind, as cameras write them; in either byte order."""
    small = io.BytesIO()
    Image.fromarray(PIXELS).resize((16, 12)).save(small, 'jpeg')
    mark = b'II*\0' if order == '<' else b'MM\0*'
    first = struct.pack(order + 'H', 1) + struct.pack(order + 'HHIHH', 0x0112, 3, 1, 6, 0)
    second = (struct.pack(order + 'H', 2) + struct.pack(order + 'HHII', 0x0201, 4, 1, 56)
              + struct.pack(order + 'HHII', 0x0202, 4, 1, len(small.getvalue())) + bytes(4))
    data = mark + struct.pack(order + 'I', 8) + first + struct.pack(order + 'I', 26) + second
    return data.ljust(56, b'\0') + small.getvalue()


@pytest.mark.parametrize('order', '<>')
@pytest.mark.parametrize('target', KINDS)
def test_the_thumbnail_and_the_turn_go(tmp_path: Path, order: str, target: str) -> None:
    exif = with_thumbnail(order)
    image = Image.Exif()
    image.load(exif)
    assert image.get_ifd(ExifTags.IFD.IFD1)  # it is there before
    Image.fromarray(PIXELS).save(tmp_path / 'a.jpg', exif=b'Exif\0\0' + exif)
    result = copied(tmp_path / 'a.jpg', tmp_path / f'b.{target}')
    assert result.size == (40, 60)
    assert not result.getexif().get_ifd(ExifTags.IFD.IFD1)
    assert result.getexif().get(0x0112, 1) == 1
    assert b'\xff\xd8\xff' not in result.info.get('exif', b'')


BROKEN_EXIF = [b'', b'II', b'MM\0*\0\0\0\x08\xff\xff', b'II*\0\xff\xff\xff\xff', b'nonsense' * 9,
               b'II*\0\x08\0\0\0\x01\0\x69\x87\x04\0\x01\0\0\0\x08\0\0\0' + bytes(4),  # points to itself
               b'II*\0\x08\0\0\0\x01\0\x0e\x01\x02\0\xff\xff\xff\xff\x08\0\0\0' + bytes(4)]


@pytest.mark.parametrize('target', KINDS)
@pytest.mark.parametrize('exif', BROKEN_EXIF)
def test_broken_exif_costs_neither_picture_nor_profile(tmp_path: Path, exif: bytes, target: str) -> None:
    Image.fromarray(PIXELS).save(tmp_path / 'a.webp', lossless=True, icc_profile=WIDE_PROFILE, exif=exif)
    picture = read_picture(tmp_path / 'a.webp', carried=True)
    left_out = write_picture(tmp_path / f'b.{target}', picture.stored, carried=picture.carried)
    assert Image.open(tmp_path / f'b.{target}').info['icc_profile'] == WIDE_PROFILE
    np.testing.assert_array_equal(picture.stored, PIXELS)
    if exif in BROKEN_EXIF[1:5]:
        assert left_out == ('EXIF data (damaged)',)


def test_values_that_share_a_place_do_not_multiply(tmp_path: Path) -> None:
    many, long = 2000, 2**20
    entries = b''.join(struct.pack('<HHII', 40000 + number, 7, long, 8) for number in range(many))
    exif = b'II*\0' + struct.pack('<I', 8) + struct.pack('<H', many) + entries + bytes(4) + bytes(long)
    Image.fromarray(PIXELS).save(tmp_path / 'a.webp', exif=exif)
    assert read_picture(tmp_path / 'a.webp', carried=True).carried.left_out == ('EXIF data (damaged)',)


def test_what_is_too_long_for_a_jpeg_is_left_out_and_told(tmp_path: Path) -> None:
    long = Image.Exif()
    long[ExifTags.Base.Make] = 'x' * 70_000
    info = PngImagePlugin.PngInfo()
    info.add_text('Comment', 'y' * 70_000)
    info.add_text('Note', 'z' * 70_000)
    Image.fromarray(PIXELS).save(tmp_path / 'a.png', exif=long, pnginfo=info, icc_profile=WIDE_PROFILE)
    picture = read_picture(tmp_path / 'a.png', carried=True)
    left_out = write_picture(tmp_path / 'b.jpg', picture.stored, carried=picture.carried)
    assert left_out == ('EXIF data (too long for a JPEG)', 'its comment (too long for a JPEG)')
    assert Image.open(tmp_path / 'b.jpg').info['icc_profile'] == WIDE_PROFILE


def test_a_bomb_of_text_is_left_out(tmp_path: Path) -> None:
    packer = zlib.compressobj(9)
    packed = b''.join(packer.compress(bytes(2**20)) for _ in range(40)) + packer.flush()
    info = PngImagePlugin.PngInfo()
    info.add(b'zTXt', b'Bomb\0\0' + packed)
    info.add_text('Comment', 'by night')
    Image.fromarray(PIXELS).save(tmp_path / 'a.png', pnginfo=info)
    carried = read_picture(tmp_path / 'a.png', carried=True).carried
    assert carried.text == (('Comment', 'by night'),)
    assert carried.left_out == ('1 text (damaged, or too long)',)


def test_a_jpeg_keeps_its_tables_and_its_subsampling(tmp_path: Path) -> None:
    for quality, subsampling in ((35, 2), (92, 0), (97, 1)):
        Image.fromarray(PIXELS).save(tmp_path / 'a.jpg', quality=quality, subsampling=subsampling)
        before, after = Image.open(tmp_path / 'a.jpg'), copied(tmp_path / 'a.jpg', tmp_path / 'b.jpg')
        assert after.quantization == before.quantization
        assert JpegImagePlugin.get_sampling(after) == subsampling


@pytest.mark.parametrize('kind', [kind for kind in KINDS if kind not in ('png', 'tif')])
def test_quality_can_be_asked_for(tmp_path: Path, kind: str) -> None:
    noisy = np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8)
    for quality in (10, 95):
        write_picture(tmp_path / f'{quality}.{kind}', noisy, quality=quality)
    assert (tmp_path / f'10.{kind}').stat().st_size < 0.6 * (tmp_path / f'95.{kind}').stat().st_size


def test_the_colours_of_a_png_without_profile_stay_or_are_told(tmp_path: Path) -> None:
    info = PngImagePlugin.PngInfo()
    info.add(b'gAMA', struct.pack('>I', 100_000))  # linear light
    Image.fromarray(PIXELS).save(tmp_path / 'a.png', pnginfo=info)
    assert copied(tmp_path / 'a.png', tmp_path / 'b.png').info['gamma'] == 1
    picture = read_picture(tmp_path / 'a.png', carried=True)
    assert write_picture(tmp_path / 'b.jpg', picture.stored, carried=picture.carried) == (
        'the colour space that its PNG chunks tell',)


def test_a_profile_of_grey_is_not_put_beside_colour(tmp_path: Path) -> None:
    profile = bytearray(WIDE_PROFILE)
    profile[16:20] = b'GRAY'
    Image.fromarray(PIXELS[..., 0]).save(tmp_path / 'a.png', icc_profile=bytes(profile))
    picture = read_picture(tmp_path / 'a.png', carried=True)
    assert write_picture(tmp_path / 'b.webp', picture.stored, carried=picture.carried) == (
        'its colour profile, which is one of grey',)
    assert copied(tmp_path / 'a.png', tmp_path / 'b.jpg').info['icc_profile'] == bytes(profile)


def test_a_bmp_says_what_it_has_no_place_for(tmp_path: Path) -> None:
    carried = read_carried_of(tmp_path, 'png')
    left_out = write_picture(tmp_path / 'a.bmp', PIXELS, carried=carried)
    assert [reason.split(' (')[0] for reason in left_out] == ['EXIF data', 'its colour profile', 'XMP data', 'text']
    np.testing.assert_allclose(read_picture(tmp_path / 'a.bmp', carried=True).carried.dpi, DPI, atol=0.02)


def test_an_encoder_that_chokes_on_what_is_carried_still_writes_the_picture(tmp_path: Path) -> None:
    bad = Carried(text=(('\u2192' * 3, 'no key of a PNG'),), left_out=('the first',))
    assert write_picture(tmp_path / 'a.png', PIXELS, carried=bad) == (
        'the first', 'all else that it carries (it cannot be written)')
    np.testing.assert_array_equal(read_picture(tmp_path / 'a.png').stored, PIXELS)


def test_a_heic_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__('sys').modules, 'pillow_heif', None)
    (tmp_path / 'a.heic').write_bytes(struct.pack('>I', 24) + b'ftypheic' + bytes(4) + b'mif1heic' + bytes(99))
    with pytest.raises(UserError, match=r'a\.heic is an HEIC file, .*: type `pip install pillow-heif`'):
        read_picture(tmp_path / 'a.heic')
    with pytest.raises(UserError, match=r'b\.heic .*pip install pillow-heif'):
        write_picture(tmp_path / 'b.heic', PIXELS)


@pytest.mark.parametrize(('brands', 'avif', 'heic'), [
    (b'avif\0\0\0\0mif1miaf', True, False), (b'mif1\0\0\0\0avifmiaf', True, False),
    (b'heic\0\0\0\0mif1heic', False, True), (b'mif1\0\0\0\0heicmiaf', False, True),
    (b'isom\0\0\0\0mp41', False, False)])
def test_avif_and_heic_are_told_apart_by_all_their_brands(brands: bytes, avif: bool, heic: bool) -> None:
    start = struct.pack('>I', 8 + len(brands)) + b'ftyp' + brands + b'heicavif'  # behind the box, which do not count
    assert (heif.is_avif(start), heif.is_heic(start)) == (avif, heic)


def test_a_heic_carries_the_same(tmp_path: Path) -> None:
    pytest.importorskip('pillow_heif')
    carried = read_carried_of(tmp_path, 'jpg')
    assert write_picture(tmp_path / 'a.heic', PIXELS, carried=carried) == ()
    picture = read_picture(tmp_path / 'a.heic', carried=True)
    assert np.abs(picture.stored.astype(int) - PIXELS).mean() < 4
    assert picture.carried.icc_profile == WIDE_PROFILE
    assert b'Kamera' in picture.carried.exif
    assert MAKER_NOTE in picture.carried.exif
    assert picture.carried.dpi == pytest.approx(DPI, abs=0.02)


def iptc_of(path: Path) -> bytes:
    """The IPTC data of a JPEG or TIFF, read by Pillow."""
    with Image.open(path) as image:
        if path.suffix == '.tif':
            return bytes(image.tag_v2.get(33723, b''))
        return image.info.get('photoshop', {}).get(0x0404, b'')


IPTC = b'\x1c\x02\x19\x00\x05Alpen\x1c\x02\x78\x00\x0eGr\xc3\xbc\xc3\x9fe im Tal'


def photoshop_segment(*resources: tuple[int, bytes]) -> bytes:
    blocks = b''.join(b'8BIM' + struct.pack('>HHI', code, 0, len(data)) + data + bytes(len(data) % 2)
                      for code, data in resources)
    content = b'Photoshop 3.0\0' + blocks
    return b'\xff\xed' + struct.pack('>H', 2 + len(content)) + content


def save_with_iptc(path: Path, *others: tuple[int, bytes]) -> None:
    image = Image.fromarray(PIXELS)
    if path.suffix == '.tif':
        image.save(path, tiffinfo={33723: IPTC})
    else:
        image.save(path, exif=photograph_exif(1), extra=photoshop_segment((0x0404, IPTC), *others))


@pytest.mark.parametrize('source', ['jpg', 'tif'])
@pytest.mark.parametrize('target', ['jpg', 'tif'])
def test_iptc_data_survive_in_jpeg_and_tiff(tmp_path: Path, source: str, target: str) -> None:
    save_with_iptc(tmp_path / f'a.{source}')
    picture = read_picture(tmp_path / f'a.{source}', carried=True)
    assert write_picture(tmp_path / f'b.{target}', picture.stored, carried=picture.carried) == ()
    assert iptc_of(tmp_path / f'b.{target}') == IPTC
    again = read_picture(tmp_path / f'b.{target}', carried=True)
    assert again.carried.iptc == IPTC
    if source == 'jpg':
        assert MAKER_NOTE in again.carried.exif


@pytest.mark.parametrize('target', ['png', 'webp', 'bmp'])
def test_where_iptc_data_have_no_place_that_is_told(tmp_path: Path, target: str) -> None:
    save_with_iptc(tmp_path / 'a.jpg')
    picture = read_picture(tmp_path / 'a.jpg', carried=True)
    left_out = write_picture(tmp_path / f'b.{target}', picture.stored, carried=picture.carried)
    assert [reason for reason in left_out if 'IPTC' in reason]
    save_with_iptc(tmp_path / 'a.tif')
    picture = read_picture(tmp_path / 'a.tif', carried=True)
    left_out = write_picture(tmp_path / f'c.{target}', picture.stored, carried=picture.carried)
    assert bool([reason for reason in left_out if 'IPTC' in reason]) == (target == 'bmp'), 'else it is one of the tags'
    assert target == 'bmp' or IPTC in (tmp_path / f'c.{target}').read_bytes()


def test_what_photoshop_keeps_for_itself_is_left_out_and_too_much_iptc_too(tmp_path: Path) -> None:
    save_with_iptc(tmp_path / 'a.jpg', (0x040c, b'small picture'), (0x03ed, struct.pack('>IHHIHH', 1, 1, 1, 1, 1, 1)))
    assert read_picture(tmp_path / 'a.jpg', carried=True).carried.left_out == ()
    save_with_iptc(tmp_path / 'b.jpg', (0x03f3, b'print'))
    picture = read_picture(tmp_path / 'b.jpg', carried=True)
    assert picture.carried.left_out == ("Photoshop's own data",)
    assert picture.carried.iptc == IPTC
    large = Carried(iptc=IPTC + bytes(65_500))
    assert write_picture(tmp_path / 'c.jpg', PIXELS, carried=large) == ('IPTC data (too long for a JPEG)',)
    assert write_picture(tmp_path / 'c.tif', PIXELS, carried=large) == ()
    assert iptc_of(tmp_path / 'c.tif') == large.iptc
