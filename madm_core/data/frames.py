"""A set of frames on disk: where the pictures and their labels are, and how they are read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from madm_core.data.crops import Picture, three_channels
from madm_core.errors import DataError, InvalidInputError
from madm_core.labels import LabelMap
from madm_core.messages.png_chunks import chunks_fit
from madm_core.modalities import Modality
from madm_core.modalities.base import Mask

IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".webp")
_OTHER_COLOURS = ("CMYK", "YCbCr", "LAB", "HSV")
"""Pillow's names of what looks like RGB or RGBA by its number of channels, and is not."""
LabelReader = Callable[[Path], Picture]
ImageReader = Callable[[Path], npt.NDArray[Any]]


@dataclass(frozen=True)
class FrameFiles:
    """The files of one frame; ``labels`` is None for an unlabelled one."""

    image: Path
    labels: Path | None = None


@dataclass(frozen=True)
class Frames:
    """A data set as training and checking see it.

    Args:
        name: What it is called in messages, e.g. ``"Cityscapes train"``.
        files: The frames in a fixed order.
        label_map: Ids in the label files -> ids of the label set that is trained.
        known_ids: Ids that may occur in the label files; anything else is reported.
        resize: (height, width) that frames are resized to before they are cropped; None scales them, keeping their
            proportions, until they just cover the crop.
        read_labels: Reads one label file as (H, W) uint8 ids.
        read_image: Reads one picture file as an array: 8-bit, or what ``modality`` takes.
        modality: Encodes 16-bit and floating-point frames; None for colour pictures.
        alpha_marks_valid: 8-bit pictures with a fourth channel have 0 in it where the sensor measured nothing, as those
            in the cache of a bag. Of other pictures that channel means nothing and is dropped.
        expected_count: Number of frames that the published data set has; None where there is no such number.
    """

    name: str
    files: Sequence[FrameFiles]
    label_map: LabelMap | None = None
    known_ids: frozenset[int] = field(default_factory=frozenset)
    resize: tuple[int, int] | None = None
    read_labels: LabelReader = field(default_factory=lambda: read_label_file)
    read_image: ImageReader = field(default_factory=lambda: read_array)
    modality: Modality | None = None
    alpha_marks_valid: bool = False
    expected_count: int | None = None

    def __len__(self) -> int:
        return len(self.files)

    @property
    def labelled(self) -> bool:
        """Whether every frame has a label file."""
        return bool(self.files) and all(frame.labels is not None for frame in self.files)

    def image(self, index: int) -> Picture:
        """(H, W, 3) uint8 picture of a frame.

        Raises:
            DataError: The file is missing, unreadable, or not what the modality takes.
        """
        return self.image_and_valid(index)[0]

    def image_and_valid(self, index: int) -> tuple[Picture, Mask | None]:
        """Picture of a frame, and (H, W) bool where the sensor measured something; None = everywhere.

        Raises:
            DataError: As :meth:`image`.
        """
        path = self.files[index].image
        array = self.read_image(path)
        picture, valid = encode_picture(array, self.modality, path)
        if self.alpha_marks_valid and array.dtype == np.uint8 and array.ndim == 3 and array.shape[2] == 4:
            valid = array[:, :, 3] > 0
        return picture, valid

    def labels(self, index: int) -> Picture:
        """(H, W) uint8 ids of a frame as they are in its file, before any mapping.

        Raises:
            DataError: The frame has no labels, or the file is missing or unreadable.
        """
        path = self.files[index].labels
        if path is None:
            raise DataError(f"a frame of {self.name} has no labels", got=self.files[index].image)
        return self.read_labels(path)

    def labelled_image(self, index: int) -> tuple[Picture, Picture]:
        """Picture and label ids of a frame.

        Raises:
            DataError: As :meth:`image` and :meth:`labels`, or their sizes differ.
        """
        image, labels = self.image(index), self.labels(index)
        if image.shape[:2] != labels.shape:
            raise DataError(
                f"a picture and its labels differ in size in {self.name}",
                got=f"{self.files[index].image} {image.shape[0]}x{image.shape[1]}, "
                f"{self.files[index].labels} {labels.shape[0]}x{labels.shape[1]}",
                expected="the same height and width",
            )
        return image, labels

    def to_label_set(self, labels: Picture) -> Picture:
        """Ids of the files -> ids of the label set that is trained."""
        return self.label_map.apply(labels) if self.label_map else labels

    def size_for(self, height: int, width: int, crop: tuple[int, int]) -> tuple[int, int]:
        """(height, width) that a frame is resized to before a crop is taken; see ``resize``."""
        if self.resize is not None:
            return self.resize
        scale = max(crop[0] / height, crop[1] / width)
        return max(crop[0], round(height * scale)), max(crop[1], round(width * scale))


def read_array(path: Path) -> npt.NDArray[Any]:
    """An image file or ``.npy`` array as it is: any depth, grey as (H, W) or with alpha as (H, W, 2), colour as RGB(A).

    Raises:
        DataError: It is missing or cannot be read.
    """
    array: npt.NDArray[Any]
    if path.suffix == ".npy":
        try:
            array = np.load(path, allow_pickle=False)
            return array
        except Exception as error:  # NumPy parses the header as Python literals, with all their errors
            raise _unreadable(path, error) from error
    if path.suffix.lower() in (".tif", ".tiff", ".png"):
        try:
            content = path.read_bytes()
            if not chunks_fit(content):
                raise EOFError("a part of the PNG claims to be longer than the file")
            deep = cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED) if content else None
        except (OSError, EOFError, cv2.error) as error:
            raise _unreadable(path, error) from error
        if deep is not None and deep.dtype != np.uint8:
            array = deep if deep.ndim == 2 else deep[:, :, ::-1]
            return array
    return np.asarray(_open(path))


def read_label_file(path: Path) -> Picture:
    """(H, W) uint8 ids of a grey or palette picture; of a colour picture with equal meaning in its first channel, that.

    Raises:
        DataError: It is missing, cannot be read, or holds ids above 255.
    """
    picture = np.asarray(_open(path, keep_palette=True))
    if picture.ndim == 3:
        picture = picture[:, :, 0]
    if picture.dtype == np.bool_:
        picture = picture.astype(np.uint8)
    if picture.dtype != np.uint8:
        if picture.size and (picture.min() < 0 or picture.max() > 255):
            raise DataError(
                f"the label file {path} cannot be used", got=f"ids up to {picture.max()}", expected="ids of 0..255"
            )
        picture = picture.astype(np.uint8)
    return np.ascontiguousarray(picture)


def to_picture(array: npt.NDArray[Any], modality: Modality | None, where: object) -> Picture:
    """(H, W, 3) uint8 picture of an image array: 8-bit pictures as they are, deeper ones through the modality.

    Args:
        array: 8-bit (H, W), (H, W, 1..4), or whatever ``modality`` takes.
        modality: Encodes what is not 8-bit.
        where: The file or topic, for the error.

    Raises:
        DataError: There is no modality for a deep image, or it does not take it.
    """
    return encode_picture(array, modality, where)[0]


def encode_picture(array: npt.NDArray[Any], modality: Modality | None, where: object) -> tuple[Picture, Mask | None]:
    """:func:`to_picture`, and (H, W) bool where the modality says that something was measured; None = everywhere."""
    if array.dtype == np.uint8 and (array.ndim == 2 or (array.ndim == 3 and 1 <= array.shape[2] <= 4)):
        return np.ascontiguousarray(three_channels(array)), None
    if modality is None:
        raise DataError(
            f"the picture {where} cannot be used",
            got=f"{array.dtype} {array.shape}",
            expected="an 8-bit picture of 1 to 4 channels",
            do="name the modality that encodes it",
        )
    try:
        # Frames are drawn in any order, so nothing may be carried over from the frame before.
        modality.reset()
        encoded = modality.encode(array)
    except InvalidInputError as error:
        raise DataError(f"the frame {where} cannot be encoded", got=error) from error
    return np.round(encoded.image * 255).astype(np.uint8), encoded.valid


def list_images(folder: Path, what: str) -> list[Path]:
    """Image files below a folder, sorted by path.

    Raises:
        DataError: The folder is missing or holds none.
    """
    if not folder.is_dir():
        raise DataError(f"the folder of {what} is missing", got=folder, do="check the path")
    suffixes = (*IMAGE_SUFFIXES, ".npy")
    images = sorted(path for path in folder.rglob("*") if path.suffix.lower() in suffixes and path.is_file())
    if not images:
        raise DataError(f"there are no {what} in {folder}", expected=f"files ending in {', '.join(suffixes)}")
    return images


def _open(path: Path, keep_palette: bool = False) -> Image.Image:
    try:
        with Image.open(path) as image:
            image.load()
            if image.mode in _OTHER_COLOURS or (image.mode in ("P", "PA") and not keep_palette):
                return image.convert("RGB")
            return image.copy()
    except Exception as error:  # every format's plugin fails in its own way: struct.error, IndexError, ...
        raise _unreadable(path, error) from error


def _unreadable(path: Path, error: Exception) -> DataError:
    reason = "the file is missing" if isinstance(error, FileNotFoundError) else f"{type(error).__name__}: {error}"
    return DataError(f"cannot read {path}", got=reason, do="restore the file or take it out of the data set")
