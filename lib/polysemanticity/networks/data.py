"""Real data: photographs and English text that ship with well-known packages or are the user's own, CIFAR-10, digits.

Nothing here is downloaded unless asked for. Pictures are uint8 arrays `[height, width]` (grey) or `[height, width, 3]`,
patches float32 tensors `[n, 3, size, size]` in [0, 1].
"""

import codecs
import contextlib
import hashlib
import re
import warnings
from collections.abc import Iterator, Mapping
from importlib import util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image, ImageOps
from scipy.sparse import csgraph
from torch import Tensor

from polysemanticity.base import streams
from polysemanticity.base.checks import check

# name -> package, file inside it, what it shows and where it comes from
PHOTOGRAPHS = {
    "astronaut": ("skimage", "data/astronaut.png", "portrait of Eileen Collins (NASA, public domain)"),
    "brick": ("skimage", "data/brick.png", "brick wall, grey (CC0Textures Bricks25, CC0)"),
    "camera": ("skimage", "data/camera.png", "man with a camera, grey (Lav Varshney, CC0)"),
    "chelsea": ("skimage", "data/chelsea.png", "a cat's face (Stéfan van der Walt, CC0)"),
    "china": ("sklearn", "datasets/images/china.jpg", "pavilion above trees (danielbuechele, CC BY 2.0)"),
    "coffee": ("skimage", "data/coffee.png", "cup of coffee (Rachel Michetti, CC0)"),
    "coins": ("skimage", "data/coins.png", "Greek coins, grey (Brooklyn Museum, no known restrictions)"),
    "flower": ("sklearn", "datasets/images/flower.jpg", "dahlia (vultilion, CC BY 2.0)"),
    "grass": ("skimage", "data/grass.png", "grass, grey (linolafett, CC0)"),
    "gravel": ("skimage", "data/gravel.png", "gravel, grey (CC0Textures Gravel04, CC0)"),
    "hopper": ("matplotlib", "mpl-data/sample_data/grace_hopper.jpg", "portrait of Grace Hopper (US Navy)"),
    "motorcycle": ("skimage", "data/motorcycle_left.png", "motorcycle in a garage (Middlebury 2014 stereo)"),
    "rocket": ("skimage", "data/rocket.jpg", "rocket on its pad at dusk (SpaceX, public domain)"),
}
SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")
OTHER_PICTURES = (".gif", ".heic", ".heif", ".avif", ".svg", ".psd", ".jp2", ".jxl", ".cr2", ".nef", ".arw", ".dng")
LONGEST_SIDE, SHORTEST_SIDE = 1024, 256  # a picture is reduced to the first; a panorama keeps the second
MOST_PIXELS = 500_000_000
TOLD = 10  # files that an error names
ALIKE = 0.99  # correlation of two pictures' thumbnails from which one counts as a copy of the other
SIDE = 16  # pixels of these thumbnails
CODES = {codecs.BOM_UTF32_LE: "UTF-32", codecs.BOM_UTF16_LE: "UTF-16", codecs.BOM_UTF16_BE: "UTF-16"}
# what parts documents or paragraphs, from the largest parts to the smallest: an empty line or the mark between
# documents that many corpora have; a line; a sentence
BREAKS = (
    (r"\n[^\S\n]*\n|\s*<\|endoftext\|>\s*|[\f\u2029]", "\n\n"), (r"\n", "\n"), (r"(?<=[.!?])\s+(?=[A-Z\"'(])", " "),
)  # fmt: skip

Pictures = Mapping[str, np.ndarray]


class Patches(NamedTuple):
    """Patches, and the index of the picture that each was cut from: the unit of an interval over images."""

    pixels: Float[Tensor, "n 3 size size"]
    image: Int[Tensor, " n"]


class Labelled(NamedTuple):
    """Small images with their class."""

    pixels: Tensor
    labels: Int[Tensor, " n"]


def photographs(folder: str | Path | None = None, smallest: int = 1) -> dict[str, np.ndarray]:
    """Return name -> picture: the thirteen photographs in the installed packages, or those in the user's own `folder`.

    The thirteen are every everyday scene and natural texture that is physically in the wheels of scikit-image,
    scikit-learn and matplotlib; five are grey. Left out: microscopy, astronomy, printed pages, drawings, and the
    motorcycle's second view, which is no independent picture.
    A folder is read without its subfolders, in the order of file names. Pictures are turned as their camera noted and
    reduced to 1024 pixels on the longer side (3 MB of memory each), a panorama to 256 on the shorter; smaller ones are
    taken as they are. Palettes, CMYK, 16 bits and opaque transparency are converted to 8-bit grey or RGB.

    Raises ValueError naming every file that is no picture with one meaning (transparent, animated, floating point) or
    has fewer than `smallest` pixels on a side, and for a folder that is missing or has no pictures.
    """
    if folder is None:
        return {name: _read_picture(path, smallest) for name, path in _packaged().items()}
    files, found, refused = _pictures_in(Path(folder).expanduser()), {}, []
    for name, path in files.items():
        try:
            found[name] = _read_picture(path, smallest)
        except ValueError as error:
            refused.append(str(error))
    if len(refused) > 1:
        more = f"; and {len(refused) - TOLD} more" * (len(refused) > TOLD)
        raise ValueError(f"{len(refused)} of {len(files)} pictures are refused: {'; '.join(refused[:TOLD])}{more}")
    if refused:
        raise ValueError(refused[0])
    return found


def left_out(folder: str | Path) -> list[str]:
    """Return the names of files in a folder that look like pictures and are of no kind that `photographs` reads."""
    return sorted(path.name for path in Path(folder).expanduser().iterdir() if path.suffix.lower() in OTHER_PICTURES)


def _packaged() -> dict[str, Path]:
    # find_spec finds a package without importing it: importing scikit-learn alone takes two seconds
    roots = {package: Path(util.find_spec(package).origin).parent for package, _, _ in PHOTOGRAPHS.values()}
    return {name: roots[package] / file for name, (package, file, _) in PHOTOGRAPHS.items()}


def _pictures_in(folder: Path) -> dict[str, Path]:
    try:
        entries = sorted(path for path in folder.iterdir() if path.name[0] != ".")
        files = [path for path in entries if path.suffix.lower() in SUFFIXES and not path.is_dir()]
        others = left_out(folder)
    except OSError as error:
        allowed = f"an existing folder of pictures ({error.strerror})"
        raise ValueError(f"folder of photographs = {str(folder)!r}: allowed is {allowed}") from error
    allowed = f"a folder with pictures ({' '.join(SUFFIXES)})"
    if others:
        allowed += f"; not read are {', '.join(others[:TOLD])}"
    check(bool(files), "folder of photographs", str(folder), allowed)
    return {path.name: path for path in files}


def _read_picture(path: Path, smallest: int) -> np.ndarray:
    try:
        # without Pillow's remarks on metadata
        with _large_pictures(), warnings.catch_warnings(action="ignore"), Image.open(path) as opened:
            frames = 1 if opened.format == "MPO" else getattr(opened, "n_frames", 1)
            pixels = opened.width * opened.height
            allowed = f"one still picture of at most {MOST_PIXELS:,} pixels, not {frames} frames of {pixels:,}"
            check(frames == 1 and pixels <= MOST_PIXELS, "photograph", str(path), allowed)
            picture, mode = _eight_bits(opened), opened.mode
            picture.thumbnail(_reduced(picture.size))
            with contextlib.suppress(Exception):  # what a camera noted and nobody can read counts for nothing
                picture = ImageOps.exif_transpose(picture)
            picture.load()
    except Exception as error:  # Pillow's decoders raise many kinds
        if isinstance(error, ValueError) and "allowed is" in str(error):
            raise
        told = " ".join(str(error).split())[:300]
        raise ValueError(f"photograph = {str(path)!r}: allowed is a readable picture ({told})") from error
    opaque = picture.mode in ("L", "RGB") or picture.getextrema()[-1] == (255, 255)
    allowed = f"an 8-bit grey or RGB picture without transparency, not mode {mode}"
    check(opaque, "photograph", str(path), allowed)
    width, height = picture.size
    allowed = f"a picture of at least {smallest} × {smallest} pixels, not {width} × {height}"
    check(min(width, height) >= smallest, "photograph", str(path), allowed)
    return np.asarray(picture.convert("L" if picture.mode in ("L", "LA") else "RGB"))


@contextlib.contextmanager
def _large_pictures() -> Iterator[None]:
    """Let Pillow open pictures of more pixels than it thinks harmless: their number is looked at before they are
    decoded."""
    before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
    try:
        yield
    finally:
        Image.MAX_IMAGE_PIXELS = before


def _reduced(size: tuple[int, int]) -> tuple[int, int]:
    """The size that a picture is reduced to, if it is larger: within this square, or as long as a panorama needs."""
    longest = max(LONGEST_SIDE, round(SHORTEST_SIDE * max(size) / min(size)))
    return longest, longest


def _eight_bits(opened: Image.Image) -> Image.Image:
    """The picture as 8-bit grey or RGB, or with transparency, LA or RGBA; as it is in modes without one meaning."""
    mode = opened.mode
    if mode in ("I", "I;16", "I;16B", "I;16L", "I;16N"):
        grey = np.asarray(opened).astype(np.int64)
        allowed = "an 8-bit grey or RGB picture, or one of 16 bits, not 32"
        check(grey.min() >= 0 and grey.max() < 2**16, "photograph", str(opened.filename), allowed)
        converted = Image.fromarray(((grey + 128) // 257).astype(np.uint8))
    else:
        transparent = mode in ("PA", "RGBa") or (mode == "P" and "transparency" in opened.info)
        wanted = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "HSV": "RGB", "RGBX": "RGB", "La": "LA"}
        if not transparent and mode not in wanted:
            return opened
        converted = opened.convert("RGBA" if transparent else wanted[mode])
    if "exif" in opened.info:
        converted.info["exif"] = opened.info["exif"]
    return converted


def split(pictures: Pictures, test_share: float = 0.3, seed: int = 0) -> tuple[Pictures, Pictures]:
    """Return (train, test): whole pictures, drawn by `seed`, so that no test patch comes from a picture trained on.

    `test_share` of the pictures, rounded, at least one on each side: with the thirteen photographs nine and four.
    Copies of a picture, reduced or compressed anew, stay on one side and count as one.
    Raises ValueError for fewer than two different pictures.
    """
    kinds = _kinds(pictures)
    n_kinds = max(kinds, default=-1) + 1
    allowed = "at least 2 different ones: one to train, one to test on"
    check(n_kinds >= 2, "number of pictures", n_kinds, allowed)
    check(0 < test_share < 1, "test_share", test_share, "a number above 0 and below 1")
    n_test = min(max(round(test_share * n_kinds), 1), n_kinds - 1)
    drawn = set(streams.rng(seed, "split").permutation(n_kinds)[:n_test].tolist())
    train = {name: picture for (name, picture), kind in zip(pictures.items(), kinds, strict=True) if kind not in drawn}
    return train, {name: picture for name, picture in pictures.items() if name not in train}


def _kinds(pictures: Pictures) -> list[int]:
    """The number of each picture, equal for copies, in order of first appearance.

    Copies: thumbnails that correlate, of sides in the same proportion; also over several steps.
    """
    if not pictures:
        return []
    thumbnails = np.stack([_thumbnail(picture) for picture in pictures.values()])
    sides = np.log([picture.shape[0] / picture.shape[1] for picture in pictures.values()])
    alike = (thumbnails @ thumbnails.T > ALIKE) & (np.abs(sides[:, None] - sides) < 0.05)
    np.fill_diagonal(alike, True)
    _, found = csgraph.connected_components(alike, directed=False)
    places: dict[int, int] = {}
    return [places.setdefault(int(kind), len(places)) for kind in found]


def _thumbnail(picture: np.ndarray) -> np.ndarray:
    """Grey values of a picture reduced to a few pixels, their mean taken off, of length 1 (or 0, if all are equal)."""
    grey = Image.fromarray(picture).convert("F").resize((SIDE, SIDE), Image.Resampling.BOX)
    values = np.asarray(grey, np.float64).ravel()
    values -= values.mean()
    return values / max(float(np.linalg.norm(values)), 1e-3)


def patches(pictures: Pictures, n: int, size: int, rng: np.random.Generator) -> Patches:
    """Return `n` square patches at uniformly random places, patch i from picture i mod count: equally many from each.

    Values are the stored (gamma-encoded) intensities / 255, as CIFAR-10's are; a grey picture fills the three channels
    alike. Raises ValueError naming a picture that is smaller than a patch.
    """
    for name, value in (("n", n), ("size", size), ("number of pictures", len(pictures))):
        check(value >= 1, name, value, "at least 1")
    for name, picture in pictures.items():
        allowed = f"a picture of at least {size} × {size} pixels, not {picture.shape[1]} × {picture.shape[0]}"
        check(min(picture.shape[:2]) >= size, "photograph", name, allowed)
    image = np.arange(n) % len(pictures)
    room = np.array([picture.shape[:2] for picture in pictures.values()]) - size + 1
    top, left = rng.integers(0, room[image]).T
    pixels = np.empty((n, 3, size, size), np.float32)
    for index, picture in enumerate(pictures.values()):
        colour = np.atleast_3d(picture)  # one channel of a grey picture is copied into three
        for i in range(index, n, len(pictures)):
            pixels[i] = colour[top[i] : top[i] + size, left[i] : left[i] + size].transpose(2, 0, 1)
    pixels /= 255
    return Patches(torch.from_numpy(pixels), torch.from_numpy(image))


def fingerprint(content: Pictures | str) -> str:
    """Return the sha256 of pictures (names, shapes, pixels) or of a text: part of the key of what depends on it."""
    digest = hashlib.sha256()
    if isinstance(content, str):
        digest.update(content.encode())
        return digest.hexdigest()
    for name, picture in content.items():
        digest.update(repr((name, picture.shape)).encode())
        digest.update(np.ascontiguousarray(picture))
    return digest.hexdigest()


def english_text(path: str | Path | None = None) -> str:
    """Return English prose: the help topics of the Python language (79, 0.46 MB), or the user's own UTF-8 text file.

    The topics are CPython's `pydoc_data.topics`, reference prose with code examples in alphabetical order; they
    change a little between versions of Python (see `fingerprint`).
    A mark of the byte order at its start is no part of the text.
    Raises ValueError naming the path: a file that is missing, empty or no UTF-8 text.
    """
    if path is None:
        from pydoc_data.topics import topics

        return "\n\n".join(topics[name].strip() for name in sorted(topics))
    try:
        raw = Path(path).expanduser().read_bytes()
        text = raw.decode("utf-8-sig").replace("\r\n", "\n").replace("\r", "\n")
    except (OSError, RuntimeError, ValueError) as error:
        code = next(
            (name for mark, name in CODES.items() if isinstance(error, UnicodeDecodeError) and raw.startswith(mark)),
            None,
        )
        way = f": iconv -f {code or 'LATIN1'} -t UTF-8" if isinstance(error, UnicodeDecodeError) else ""
        allowed = f"a readable UTF-8 text file ({error}){way}"
        raise ValueError(f"text file = {str(path)!r}: allowed is {allowed}") from error
    check(bool(text.strip()) and "\0" not in text, "text file", str(path), "a file with some text in it")
    return text


def paragraphs(text: str, longest: int) -> tuple[list[str], str]:
    """Return the paragraphs of a text, and what joins them: parts between empty lines, else lines, else sentences.

    The first that leaves no part longer than `longest` characters or, in a long text, a tenth of it; corpora have
    a document a line, or one long line. Raises ValueError for a text that none of the three divides so.
    """
    for pattern, joint in BREAKS:
        parts = [part for part in re.split(pattern, text) if part.strip()]
        if max(map(len, parts), default=0) <= max(longest, len(text) / 10):
            return parts, joint
    allowed = "parts between empty lines, lines or sentences, each shorter than a tenth of the text"
    raise ValueError(f"paragraphs of the text = one of {max(map(len, parts))} characters: allowed are {allowed}")


def cifar10(root: str | Path, train: bool = True, download: bool = False) -> Labelled:
    """Return CIFAR-10's 50,000 training or 10,000 test images, uint8 `[n, 3, 32, 32]`, and their labels 0 to 9.

    `root` is the published folder `cifar-10-batches-py`, under any name, or holds it. torchvision compares every file
    with its published checksum before unpickling it, and fetches what is missing if `download`.
    Raises ValueError saying which files are missing or damaged and how to get them.
    """
    from torchvision.datasets import CIFAR10

    given = root = Path(root).expanduser()
    itself = not (root / CIFAR10.base_folder).exists() and (root / CIFAR10.meta["filename"]).exists()
    kind = CIFAR10
    if itself:
        root = root.resolve()
        kind, root = type("CIFAR10", (CIFAR10,), {"base_folder": root.name}), root.parent
    try:
        images = kind(root, train=train, download=download and not itself)
    except (OSError, RuntimeError) as error:
        folder = kind.base_folder
        raise ValueError(
            f"CIFAR-10 root = {str(given)!r}: allowed is a folder that holds {folder} as published "
            f"({_cifar10_problem(root / folder) or error}); where there is a network "
            f"polysemanticity.networks.data.cifar10({str(given)!r}, download=True) fetches it, "
            "elsewhere unpack a copy of cifar-10-python.tar.gz there"
        ) from error
    return Labelled(torch.from_numpy(images.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(images.targets))


def _cifar10_problem(folder: Path) -> str:
    from torchvision.datasets import CIFAR10
    from torchvision.datasets.utils import check_integrity

    published = dict([*CIFAR10.train_list, *CIFAR10.test_list, (CIFAR10.meta["filename"], CIFAR10.meta["md5"])])
    missing = [name for name in published if not (folder / name).is_file()]
    wrong = [name for name, md5 in published.items() if not check_integrity(folder / name, md5)]
    damaged = [name for name in wrong if name not in missing]
    lists = (("missing", missing), ("damaged", damaged))
    return "; ".join(f"{problem}: {', '.join(files)}" for problem, files in lists if files)


def digits() -> Labelled:
    """Return scikit-learn's 1,797 handwritten digits, float32 `[n, 1, 8, 8]` in [0, 1], and their labels 0 to 9."""
    from sklearn.datasets import load_digits

    loaded = load_digits()
    return Labelled(torch.from_numpy(loaded.images / 16).float()[:, None], torch.from_numpy(loaded.target))
