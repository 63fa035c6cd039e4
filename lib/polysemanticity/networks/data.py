"""Real data: photographs and English text that ship with well-known packages or are the user's own, CIFAR-10, digits.

Nothing here is downloaded unless asked for. Pictures are uint8 arrays `[height, width]` (grey) or `[height, width, 3]`,
patches float32 tensors `[n, 3, size, size]` in [0, 1].
"""

import hashlib
from collections.abc import Mapping
from importlib import util
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from jaxtyping import Float, Int
from PIL import Image, ImageOps
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
LONGEST_SIDE = 1024

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
    reduced to 1024 pixels on the longer side (3 MB of memory each); smaller ones are taken as they are.

    Raises ValueError naming the path: a folder that is missing or has no pictures, a file that is no 8-bit grey or RGB
    picture, a picture with fewer than `smallest` pixels on a side.
    """
    files = _packaged() if folder is None else _pictures_in(Path(folder).expanduser())
    return {name: _read_picture(path, smallest) for name, path in files.items()}


def _packaged() -> dict[str, Path]:
    # find_spec finds a package without importing it: importing scikit-learn alone takes two seconds
    roots = {package: Path(util.find_spec(package).origin).parent for package, _, _ in PHOTOGRAPHS.values()}
    return {name: roots[package] / file for name, (package, file, _) in PHOTOGRAPHS.items()}


def _pictures_in(folder: Path) -> dict[str, Path]:
    try:
        files = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES and path.name[0] != ".")
    except OSError as error:
        allowed = f"an existing folder of pictures ({error.strerror})"
        raise ValueError(f"folder of photographs = {str(folder)!r}: allowed is {allowed}") from error
    check(bool(files), "folder of photographs", str(folder), f"a folder with pictures ({' '.join(SUFFIXES)})")
    return {path.name: path for path in files}


def _read_picture(path: Path, smallest: int) -> np.ndarray:
    try:
        with Image.open(path) as opened:
            mode = opened.mode
            opened.thumbnail((LONGEST_SIDE, LONGEST_SIDE))
            picture = ImageOps.exif_transpose(opened)
    except Exception as error:  # Pillow's decoders raise many kinds
        raise ValueError(f"photograph = {str(path)!r}: allowed is a readable picture ({error})") from error
    opaque = mode in ("L", "RGB") or (mode == "RGBA" and picture.getextrema()[3] == (255, 255))
    allowed = f"an 8-bit grey or RGB picture without transparency, not mode {mode}"
    check(opaque, "photograph", str(path), allowed)
    width, height = picture.size
    allowed = f"a picture of at least {smallest} × {smallest} pixels, not {width} × {height}"
    check(min(width, height) >= smallest, "photograph", str(path), allowed)
    return np.asarray(picture.convert("L" if mode == "L" else "RGB"))


def split(pictures: Pictures, test_share: float = 0.3, seed: int = 0) -> tuple[Pictures, Pictures]:
    """Return (train, test): whole pictures, drawn by `seed`, so that no test patch comes from a picture trained on.

    `test_share` of the pictures, rounded, at least one on each side: with the thirteen photographs nine and four.
    Raises ValueError for fewer than two pictures.
    """
    check(len(pictures) >= 2, "number of pictures", len(pictures), "at least 2: one to train, one to test on")
    check(0 < test_share < 1, "test_share", test_share, "a number above 0 and below 1")
    n_test = min(max(round(test_share * len(pictures)), 1), len(pictures) - 1)
    drawn = set(streams.rng(seed, "split").permutation(len(pictures))[:n_test].tolist())
    train = {name: picture for i, (name, picture) in enumerate(pictures.items()) if i not in drawn}
    return train, {name: picture for name, picture in pictures.items() if name not in train}


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
    Raises ValueError naming the path: a file that is missing, empty or no UTF-8 text.
    """
    if path is None:
        from pydoc_data.topics import topics

        return "\n\n".join(topics[name].strip() for name in sorted(topics))
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"text file = {str(path)!r}: allowed is a readable UTF-8 text file ({error})") from error
    check(bool(text.strip()), "text file", str(path), "a file with some text in it")
    return text


def cifar10(root: str | Path, train: bool = True, download: bool = False) -> Labelled:
    """Return CIFAR-10's 50,000 training or 10,000 test images, uint8 `[n, 3, 32, 32]`, and their labels 0 to 9.

    `root` holds the published folder `cifar-10-batches-py`. torchvision compares every file with its published checksum
    before unpickling it, and fetches what is missing if `download`.
    Raises ValueError saying which files are missing or damaged and how to get them.
    """
    from torchvision.datasets import CIFAR10

    root = Path(root).expanduser()
    try:
        images = CIFAR10(root, train=train, download=download)
    except (OSError, RuntimeError) as error:
        folder = CIFAR10.base_folder
        raise ValueError(
            f"CIFAR-10 root = {str(root)!r}: allowed is a folder that holds {folder} as published "
            f"({_cifar10_problem(root / folder) or error}); where there is a network "
            f"polysemanticity.networks.data.cifar10({str(root)!r}, download=True) fetches it, "
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
