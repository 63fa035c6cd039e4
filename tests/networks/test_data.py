"""Real data: what ships, a user's own, and what is said when it is not there."""

import hashlib
import pickle

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.datasets import CIFAR10

from polysemanticity.base import streams
from polysemanticity.networks import data


def picture(path, height=40, width=48, mode="RGB", seed=0):
    """Write a noise picture and return its pixels."""
    shape = (height, width) if mode == "L" else (height, width, len(mode))
    pixels = np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)
    Image.fromarray(pixels).save(path)
    return pixels


@pytest.fixture(scope="module")
def shipped():
    return data.photographs(smallest=32)


def test_thirteen_photographs_ship_with_the_packages(shipped):
    assert list(shipped) == list(data.PHOTOGRAPHS)
    assert len(shipped) == 13
    assert all(photo.dtype == np.uint8 and photo.std() > 20 for photo in shipped.values())
    assert sum(photo.ndim == 2 for photo in shipped.values()) == 5
    assert shipped["china"].shape == (427, 640, 3)


def test_photographs_are_those_that_the_packages_show(shipped):
    import skimage.data

    for name in ("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "rocket"):
        np.testing.assert_array_equal(shipped[name], getattr(skimage.data, name)())


def test_a_users_folder_in_the_order_of_its_names(tmp_path):
    grey, colour = picture(tmp_path / "b.png", mode="L"), picture(tmp_path / "a.PNG")
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "._a.png").write_bytes(b"what a Mac leaves behind")
    photos = data.photographs(tmp_path)
    assert list(photos) == ["a.PNG", "b.png"]
    np.testing.assert_array_equal(photos["a.PNG"], colour)
    np.testing.assert_array_equal(photos["b.png"], grey)


def test_large_pictures_are_reduced_and_turned_as_the_camera_noted(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # to be turned by a quarter
    Image.new("RGB", (2048, 1024), "red").save(tmp_path / "large.jpg", exif=exif)
    assert data.photographs(tmp_path)["large.jpg"].shape == (1024, 512, 3)


def test_opaque_alpha_is_dropped_and_transparency_refused(tmp_path):
    opaque = np.dstack([picture(tmp_path / "a.png"), np.full((40, 48), 255, np.uint8)])
    Image.fromarray(opaque).save(tmp_path / "a.png")
    np.testing.assert_array_equal(data.photographs(tmp_path)["a.png"], opaque[..., :3])
    picture(tmp_path / "b.png", mode="RGBA")
    with pytest.raises(ValueError, match=r"b\.png'.*without transparency, not mode RGBA"):
        data.photographs(tmp_path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder: folder.rmdir(), "allowed is an existing folder of pictures"),
        (lambda folder: None, "allowed is a folder with pictures"),
        (lambda folder: (folder / "x.jpg").write_bytes(b"no jpeg"), r"x\.jpg': allowed is a readable picture"),
        (lambda folder: picture(folder / "x.png", 20, 64), r"x\.png': allowed is a picture of at least 32 × 32 pixels"),
        (lambda folder: Image.new("F", (64, 64)).save(folder / "x.tif"), r"x\.tif': allowed is an 8-bit .*not mode F"),
        (lambda folder: Image.new("I", (64, 64), 70000).save(folder / "x.tif"), r"x\.tif'.* of 16 bits, not 32"),
        (lambda folder: Image.new("LA", (64, 64), (9, 9)).save(folder / "x.png"), r"x\.png'.*not mode LA"),
        (lambda folder: animated(folder / "x.webp"), r"x\.webp'.*one still picture .*, not 2 frames"),
        (lambda folder: (folder / "x.heic").write_bytes(b"a phone's"), r"not read are x\.heic"),
    ],
)
def test_what_is_wrong_with_a_folder_is_said_in_one_line(tmp_path, spoil, message):
    folder = tmp_path / "mine"
    folder.mkdir()
    spoil(folder)
    with pytest.raises(ValueError, match=message) as raised:
        data.photographs(folder, smallest=32)
    assert str(folder) in str(raised.value)
    assert "\n" not in str(raised.value)


def animated(path):
    frames = [Image.new("RGB", (64, 64), colour) for colour in ("red", "blue")]
    frames[0].save(path, save_all=True, append_images=frames[1:])


def grey_levels(size=(64, 48)):
    return np.tile(np.linspace(0, 255, size[0]).astype(np.uint8), (size[1], 1))


KINDS = {  # one obvious meaning each: how it is written, and its mode once read
    "palette.png": (lambda grey: Image.fromarray(np.dstack([grey] * 3)).quantize(256), 3),
    "opaque palette.png": (lambda grey: Image.fromarray(np.dstack([grey] * 3)).convert("RGBA").quantize(256), 3),
    "cmyk.jpg": (lambda grey: Image.fromarray(np.dstack([grey] * 3)).convert("CMYK"), 3),
    "cmyk.tif": (lambda grey: Image.fromarray(np.dstack([grey] * 3)).convert("CMYK"), 3),
    "ycbcr.tif": (lambda grey: Image.fromarray(np.dstack([grey] * 3)).convert("YCbCr"), 3),
    "sixteen.png": (lambda grey: Image.fromarray(grey.astype(np.uint16) * 257), 2),
    "sixteen.tif": (lambda grey: Image.fromarray(grey.astype(np.uint16) * 257), 2),
    "grey and opaque.png": (lambda grey: Image.merge("LA", [Image.fromarray(grey), Image.new("L", (64, 48), 255)]), 2),
    "colour and opaque.webp": (lambda grey: Image.fromarray(np.dstack([grey] * 3 + [grey * 0 + 255])), 3),
}


@pytest.mark.parametrize("name", KINDS)
def test_pictures_with_one_obvious_meaning_are_converted(tmp_path, name):
    write, axes = KINDS[name]
    options = {"lossless": True} if name.endswith("webp") else {"quality": 95} if name.endswith("jpg") else {}
    write(grey_levels()).save(tmp_path / name, **options)
    (found,) = data.photographs(tmp_path, smallest=32).values()
    assert found.dtype == np.uint8 and found.ndim == axes
    apart = np.abs(np.atleast_3d(found).astype(int) - grey_levels()[..., None])
    assert apart.max() <= (8 if name.startswith(("cmyk", "ycbcr", "opaque palette")) else 0)


def test_two_levels_are_grey(tmp_path):
    Image.fromarray(grey_levels() > 100).save(tmp_path / "x.png")
    np.testing.assert_array_equal(data.photographs(tmp_path)["x.png"], np.where(grey_levels() > 100, 255, 0))


def test_all_bad_pictures_are_named_at_once(tmp_path):
    picture(tmp_path / "good.png")
    for name in ("a.png", "b.jpg"):
        (tmp_path / name).write_bytes(b"no picture")
    picture(tmp_path / "c.png", 20, 64)
    with pytest.raises(
        ValueError, match=r"3 of 4 pictures are refused: .*a\.png.*b\.jpg.*c\.png.*at least 32"
    ) as raised:
        data.photographs(tmp_path, smallest=32)
    assert "good.png" not in str(raised.value) and "\n" not in str(raised.value)
    for k in range(20):
        (tmp_path / f"more{k}.png").write_bytes(b"")
    with pytest.raises(ValueError, match="23 of 24 pictures are refused: .*; and 13 more$"):
        data.photographs(tmp_path, smallest=32)


def test_what_is_no_picture_or_not_read_is_left_out(tmp_path):
    picture(tmp_path / "good.png")
    (tmp_path / "folder.jpg").mkdir()
    for name in ("a.gif", "b.HEIC", "notes.txt"):
        (tmp_path / name).write_bytes(b"x")
    assert list(data.photographs(tmp_path)) == ["good.png"] and data.left_out(tmp_path) == ["a.gif", "b.HEIC"]


def test_odd_notes_of_a_camera_do_not_matter(tmp_path):
    for number, orientation in enumerate((0, 9, 65535)):
        exif = Image.Exif()
        exif[0x0112] = orientation
        Image.new("RGB", (60, 40), "red").save(tmp_path / f"{number}.jpg", exif=exif)
    Image.new("RGB", (60, 40), "red").save(tmp_path / "torn.jpg", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\xff")
    assert {found.shape for found in data.photographs(tmp_path).values()} == {(40, 60, 3)}


def test_a_panorama_keeps_enough_of_its_height_and_a_large_picture_is_read(tmp_path):
    Image.new("RGB", (6000, 300), "red").save(tmp_path / "panorama.png")
    Image.new("1", (14_000, 13_500)).save(tmp_path / "scan.png")  # 189 million pixels: more than Pillow opens by itself
    found = data.photographs(tmp_path)
    assert found["panorama.png"].shape == (256, 5120, 3) and max(found["scan.png"].shape) == 1024
    assert Image.MAX_IMAGE_PIXELS is not None


def test_copies_of_a_picture_stay_on_one_side_and_count_as_one(tmp_path, shipped):
    names = list(shipped)[:6]
    for name in names:
        whole = Image.fromarray(shipped[name])
        whole.save(tmp_path / f"{name}.png")
        whole.convert("RGB").save(tmp_path / f"{name} compressed.jpg", quality=40)
        whole.resize((whole.width // 2, whole.height // 2)).save(tmp_path / f"{name} small.png")
    pictures = data.photographs(tmp_path)
    assert len(pictures) == 18
    for seed in range(10):
        train, test = (
            ({name.partition(".")[0].partition(" ")[0] for name in part}) for part in data.split(pictures, seed=seed)
        )
        assert not train & test and (len(train), len(test)) == (4, 2)
    copies = {name: shipped["coffee"] for name in "abc"}
    with pytest.raises(ValueError, match="number of pictures = 1: allowed is at least 2 different ones"):
        data.split(copies)


def test_a_picture_of_one_colour_is_a_copy_of_itself_only():
    flat = {"black": np.zeros((40, 40), np.uint8), "white": np.full((40, 40), 255, np.uint8)}
    assert data._kinds(flat) == [0, 1]


def test_truncated_picture_is_refused(tmp_path):
    picture(tmp_path / "x.png", 200, 200)
    (tmp_path / "x.png").write_bytes((tmp_path / "x.png").read_bytes()[:5000])
    with pytest.raises(ValueError, match="allowed is a readable picture"):
        data.photographs(tmp_path)


def test_split_is_by_picture_and_by_seed(shipped):
    train, test = data.split(shipped)
    assert (len(train), len(test)) == (9, 4)
    assert set(train) | set(test) == set(shipped)
    assert set(train) & set(test) == set()
    assert list(data.split(shipped)[1]) == list(test)
    assert len({tuple(data.split(shipped, seed=seed)[1]) for seed in range(5)}) > 1
    assert [len(side) for side in data.split(dict(list(shipped.items())[:2]), test_share=0.01)] == [1, 1]


def test_split_says_what_it_needs(shipped):
    with pytest.raises(ValueError, match=r"number of pictures = 1: allowed is at least 2"):
        data.split({"coffee": shipped["coffee"]})
    with pytest.raises(ValueError, match=r"test_share = 1: allowed is a number above 0 and below 1"):
        data.split(shipped, test_share=1)


def test_patches_are_cut_equally_from_each_picture(shipped):
    cut = data.patches(shipped, 131, 32, streams.rng(0, "data"))
    assert cut.pixels.shape == (131, 3, 32, 32)
    assert cut.pixels.dtype == torch.float32
    assert cut.pixels.min() >= 0 and cut.pixels.max() <= 1
    assert torch.equal(cut.image, torch.arange(131) % 13)
    again = data.patches(shipped, 131, 32, streams.rng(0, "data"))
    assert torch.equal(cut.pixels, again.pixels)
    grey = cut.pixels[list(shipped).index("camera")]
    assert torch.equal(grey[0], grey[2])


def test_each_patch_stands_in_its_picture():
    pictures = {
        "a": np.arange(30, dtype=np.uint8).reshape(5, 6),
        "b": np.arange(60, 150, dtype=np.uint8).reshape(5, 6, 3),
    }
    cut = data.patches(pictures, 200, 3, np.random.default_rng(0))
    corners = set()
    for pixels, image in zip((cut.pixels * 255).round().to(torch.uint8).numpy(), cut.image.tolist(), strict=True):
        corner = int(pixels[0, 0, 0])
        top, left = divmod(corner, 6) if image == 0 else divmod((corner - 60) // 3, 6)
        whole = np.atleast_3d(list(pictures.values())[image])[top : top + 3, left : left + 3]
        np.testing.assert_array_equal(pixels, np.broadcast_to(whole.transpose(2, 0, 1), (3, 3, 3)))
        corners.add((image, top, left))
    assert len(corners) == 2 * 3 * 4  # every place comes up


def test_patches_name_a_picture_that_is_too_small(shipped):
    with pytest.raises(ValueError, match=r"'coins': allowed is a picture of at least 304 × 304 pixels, not 384 × 303"):
        data.patches({"coins": shipped["coins"]}, 1, 304, streams.rng(0, "data"))
    with pytest.raises(ValueError, match=r"n = 0: allowed is at least 1"):
        data.patches(shipped, 0, 32, streams.rng(0, "data"))


def test_fingerprint_depends_on_names_shapes_and_pixels():
    zeros = np.zeros((4, 6), np.uint8)
    one = zeros.copy()
    one[3, 5] = 1
    different = [
        {"a": zeros},
        {"b": zeros},
        {"a": one},
        {"a": zeros.reshape(6, 4)},
        {"a": zeros, "b": zeros},
        "text",
        "Text",
    ]
    prints = [data.fingerprint(content) for content in different]
    assert len(set(prints)) == len(different)
    assert data.fingerprint({"a": np.asfortranarray(one)}) == prints[2]


def test_english_text_ships_with_python():
    text = data.english_text()
    assert len(text) > 400_000
    assert text.lower().count(" the ") > 2000


def test_a_users_text(tmp_path):
    path = tmp_path / "mine.txt"
    path.write_text("Ça va?\n", encoding="utf-8")
    assert data.english_text(path) == "Ça va?\n"
    with pytest.raises(ValueError, match=r"none\.txt': allowed is a readable UTF-8 text file"):
        data.english_text(tmp_path / "none.txt")
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ValueError, match=r"mine\.txt': allowed is a readable UTF-8 text file"):
        data.english_text(path)
    path.write_bytes(b"\xef\xbb\xbfA mark\r\nat the start.\r")
    assert data.english_text(path) == "A mark\nat the start.\n"
    for code in ("UTF-16", "UTF-32", "LATIN1"):
        path.write_bytes("Ça va? Ça va.".encode(code))
        with pytest.raises(ValueError, match=rf"mine\.txt': .*iconv -f {code} -t UTF-8"):
            data.english_text(path)
    path.write_bytes(b"a\0b")
    with pytest.raises(ValueError, match=r"mine\.txt': allowed is a file with some text in it"):
        data.english_text(path)
    path.write_text("  \n")
    with pytest.raises(ValueError, match=r"mine\.txt': allowed is a file with some text in it"):
        data.english_text(path)


SENTENCES = [f"The {a} cat of house {k} was lost." for k in range(100) for a in ("red", "old", "small")]


@pytest.mark.parametrize(
    ("joint", "broken"),
    [
        ("\n\n", "\n\n"), ("\n", "\n"), (" ", " "), ("\n \t\n", "\n\n"), ("<|endoftext|>", "\n\n"),
        ("\n<|endoftext|>\n", "\n\n"), ("\f", "\n\n"), ("\u2029", "\n\n"), ("\n\n\n", "\n\n"),
    ],
)  # fmt: skip
def test_paragraphs_are_what_a_corpus_has(joint, broken):
    parts, joined = data.paragraphs(joint.join(SENTENCES), 500)
    assert [part.strip() for part in parts] == SENTENCES and joined == broken


def test_lines_count_where_empty_lines_are_rare():
    text = "\n".join(SENTENCES[:150]) + "\n\n" + "\n".join(SENTENCES[150:])
    assert data.paragraphs(text, 500)[0] == SENTENCES


def test_a_text_without_paragraphs_is_refused():
    with pytest.raises(ValueError, match="paragraphs of the text = one of 9000 characters: allowed are parts between"):
        data.paragraphs("word" * 2250, 500)
    assert data.paragraphs("", 500) == ([], "\n\n")


@pytest.fixture
def cifar_root(tmp_path, monkeypatch):
    """Files in CIFAR-10's own format, four images each, whose checksums stand in for the published ones."""
    folder = tmp_path / CIFAR10.base_folder
    folder.mkdir()

    def write(name, content):
        raw = pickle.dumps(content)
        (folder / name).write_bytes(raw)
        return hashlib.md5(raw).hexdigest()

    def batch(seed):
        pixels = np.random.default_rng(seed).integers(0, 256, (4, 3072), dtype=np.uint8)
        return {"data": pixels, "labels": [seed, 1, 2, 3], "batch_label": "", "filenames": []}

    names = [name for name, _ in CIFAR10.train_list]
    monkeypatch.setattr(CIFAR10, "train_list", [[name, write(name, batch(i))] for i, name in enumerate(names)])
    monkeypatch.setattr(CIFAR10, "test_list", [["test_batch", write("test_batch", batch(9))]])
    classes = {"label_names": list("abcdefghij")}
    monkeypatch.setattr(CIFAR10, "meta", {**CIFAR10.meta, "md5": write("batches.meta", classes)})
    return tmp_path


def test_cifar10_is_read_as_published(cifar_root):
    train, test = data.cifar10(cifar_root), data.cifar10(cifar_root, train=False)
    assert train.pixels.shape == (20, 3, 32, 32)
    assert train.pixels.dtype == torch.uint8
    assert train.labels[::4].tolist() == [0, 1, 2, 3, 4]
    raw = np.random.default_rng(9).integers(0, 256, (4, 3072), dtype=np.uint8)
    np.testing.assert_array_equal(test.pixels.numpy().reshape(4, 3072), raw)


@pytest.mark.parametrize("name", [CIFAR10.base_folder, "my copy", "."])
def test_cifar10s_own_folder_will_do_under_any_name(cifar_root, name, monkeypatch):
    folder = (cifar_root / CIFAR10.base_folder).rename(
        cifar_root / "my copy" if name != CIFAR10.base_folder else cifar_root / name
    )
    monkeypatch.chdir(folder)
    assert data.cifar10(name if name == "." else folder).pixels.shape == (20, 3, 32, 32)
    (folder / "test_batch").unlink()
    with pytest.raises(ValueError, match=r"\(missing: test_batch\)"):
        data.cifar10(folder)


def test_cifar10_says_which_file_is_damaged_or_missing(cifar_root):
    damaged = cifar_root / CIFAR10.base_folder / "data_batch_3"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"!")
    (cifar_root / CIFAR10.base_folder / "test_batch").unlink()
    with pytest.raises(ValueError, match=r"\(missing: test_batch; damaged: data_batch_3\).*download=True") as raised:
        data.cifar10(cifar_root)
    assert str(cifar_root) in str(raised.value)


def test_cifar10_absent_says_what_to_do(tmp_path):
    with pytest.raises(ValueError, match=r"missing: data_batch_1, .*unpack a copy of cifar-10-python\.tar\.gz there"):
        data.cifar10(tmp_path / "nowhere")


def test_cifar10_download_that_fails_is_one_error(tmp_path, monkeypatch):
    monkeypatch.setattr(CIFAR10, "download", lambda self: (_ for _ in ()).throw(OSError("no network")))
    with pytest.raises(ValueError, match="allowed is a folder that holds cifar-10-batches-py"):
        data.cifar10(tmp_path, download=True)


def test_digits():
    digits = data.digits()
    assert digits.pixels.shape == (1797, 1, 8, 8)
    assert digits.pixels.dtype == torch.float32
    assert (digits.pixels.min(), digits.pixels.max()) == (0, 1)
    assert sorted(set(digits.labels.tolist())) == list(range(10))
