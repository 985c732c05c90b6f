"""Find the images of a data set in a folder: its splits, its classes, and what is left out."""

from __future__ import annotations

import collections
import hashlib
import os
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from jaxevo.data.images import Picture, UnreadableImageError, image_suffixes, read_header

_SPELLINGS = {
    "train": {"train", "training", "trainset", "train_set", "train-set"},
    "validation": {"val", "valid", "validation", "dev", "validation_set", "val_set"},
    "test": {"test", "testing", "tests", "testset", "test_set", "test-set"},
}
_SYSTEM = {"__macosx", "thumbs.db", "ehthumbs.db", "desktop.ini", "@eadir", "$recycle.bin", "lost+found", "icon\r"}
# Pillow knows the endings of these, but does not read them itself.
_STUBS = {".bufr", ".grib", ".h5", ".hdf", ".mpg", ".mpeg", ".eps", ".ps", ".emf", ".wmf"}
_NAMED = 3


@dataclass
class Found:
    """The images of a folder, and what is left out.

    Attributes:
        class_names: sorted names of the classes.
        splits: headers of the images by split and class name; a folder without splits has `train` only.
        plain: True if every folder is a class folder with images right in it, of the folder itself, or of `train` and
            `test` with the same classes. Only then may the names of files decide what is held out.
        said: a sentence for all that is left out or unusual.
    """

    class_names: list[str]
    splits: dict[str, dict[str, list[Picture]]]
    plain: bool
    said: list[str]

    def pictures(self, split: str) -> list[tuple[Picture, int]]:
        """Returns the images of a split with their classes, in a fixed shuffle by the names of class and file."""
        given = [
            (picture, self.class_names.index(name))
            for name, pictures in self.splits.get(split, {}).items()
            for picture in pictures
        ]
        return sorted(given, key=lambda one: name_hash(one[0]))


@dataclass
class _Skipped:
    """What is left out while a folder is searched."""

    system: int = 0
    loose: int = 0
    others: collections.Counter[str] = field(default_factory=collections.Counter)
    damaged: list[str] = field(default_factory=list)
    odd_folders: int = 0


def name_hash(picture: Picture) -> bytes:
    """Returns the key of the shuffle, which depends neither on the folder's path nor on its listing order."""
    return hashlib.sha256(os.fsencode(picture.name)).digest()


def find_images(path: Path) -> Found:
    """Finds `path/CLASS/...`, or `path/SPLIT/CLASS/...` with the usual spellings of train, validation and test.

    Class folders may hold folders of images. Whatever Pillow reads is an image; names that systems and hidden files
    have, and files of other kinds, are left out. A folder that holds nothing but one folder of these is entered.

    Raises:
        ValueError: if there are fewer than two classes with images, images are damaged or too large or a folder cannot
            be read (the message names them), or a split has a class that train lacks.
    """
    try:
        return _find_images(path)
    except OSError as error:
        raise ValueError(
            f"dataset: {str(error.filename)!r} cannot be read ({error.strerror}); give yourself the right to read it, "
            "or remove it"
        ) from error


def _find_images(path: Path) -> Found:
    said: list[str] = []
    places = _split_folders(path)
    if places is None:
        path = _entered(path, said)
        places = _split_folders(path)
    skipped = _Skipped()
    found: dict[str, dict[str, list[Picture]]] = {}
    for split, place in (places or {"train": path}).items():
        found[split] = _by_class(place, skipped, said)
    if places is not None and (others := [one.name for one in _folders(path) if one not in places.values()]):
        said.append(f"folders beside {', '.join(one.name for one in places.values())} are left out: {_some(others)}")
    if skipped.damaged:
        raise ValueError(
            f"dataset: {len(skipped.damaged)} image file{'s' if len(skipped.damaged) > 1 else ''} of {str(path)!r} "
            f"cannot be read: {_some(skipped.damaged)}; repair or remove {'them' if len(skipped.damaged) > 1 else 'it'}"
        )
    plain = not said and _is_plain(path, places, found) and not skipped.odd_folders
    class_names = _class_names(path, found)
    return Found(class_names, found, plain, said + _what_was_skipped(skipped))


def _is_plain(path: Path, places: dict[str, Path] | None, found: dict[str, dict[str, list[Picture]]]) -> bool:
    if places is None and ((path / "train").is_dir() or (path / "test").is_dir()):
        return False
    if places is not None and {split: one.name for split, one in places.items()} != {"train": "train", "test": "test"}:
        return False
    for split, classes in found.items():
        place = path if places is None else places[split]
        visible = {entry.name for entry in place.iterdir() if entry.is_dir() and not entry.name.startswith(".")}
        if not visible == classes.keys() == found["train"].keys():
            return False
    return all(
        one.name.count("/") == 1 for classes in found.values() for pictures in classes.values() for one in pictures
    )


def _entered(path: Path, said: list[str]) -> Path:
    """Returns the folder that holds the class folders: a folder that an archive was unpacked into has one alone."""
    inner = _folders(path)
    if len(inner) == 1 and len(_folders(inner[0])) >= 2 and not _has_files(inner[0]):
        said.append(f"the images are in the folder {inner[0].name} inside it")
        return inner[0]
    return path


def _split_folders(path: Path) -> dict[str, Path] | None:
    """Returns the folders of the splits, None if the folders are classes.

    A class may be called train: a split holds at least two class folders.
    """
    folders = _folders(path)
    found: dict[str, Path] = {}
    for split, spellings in _SPELLINGS.items():
        for folder in folders:
            if folder.name.lower() in spellings and len(_folders(folder)) >= 2:
                found.setdefault(split, folder)
    named = {name for spellings in _SPELLINGS.values() for name in spellings}
    alone = all(folder.name.lower() in named for folder in folders)
    return found if "train" in found and (len(found) > 1 or alone) else None


def _by_class(place: Path, skipped: _Skipped, said: list[str]) -> dict[str, list[Picture]]:
    """Returns the images of each class folder that has some."""
    found: dict[str, list[Picture]] = {}
    empty = []
    for folder in _folders(place):
        name = _text(folder.name, said)
        pictures = list(_images(folder, skipped))
        if pictures:
            found.setdefault(name, []).extend(pictures)
        else:
            empty.append(folder.name)
    if empty:
        said.append(f"class folders without images are left out: {_some(empty)}")
    for entry in sorted(place.iterdir()):
        if not entry.is_dir():
            _skip(entry, skipped)
    return found


def _images(folder: Path, skipped: _Skipped) -> Iterator[Picture]:
    """Yields the headers of the images in a class folder and the folders in it, each folder once."""

    def fail(error: OSError) -> None:
        raise error  # Else os.walk would leave the folder out.

    seen = set()
    for place, names, files in os.walk(folder, onerror=fail, followlinks=True):
        skipped.odd_folders += sum(Path(name).suffix.lower() in image_suffixes() for name in names)
        real = os.path.realpath(place)
        names[:] = sorted(name for name in names if not _is_system(name)) if real not in seen else []
        if real in seen:
            continue
        seen.add(real)
        for file in sorted(files):
            path = Path(place, file)
            if _is_system(file):
                skipped.system += 1
                continue
            name = f"{folder.name}/{path.relative_to(folder).as_posix()}"
            try:
                yield read_header(path, name)
            except UnreadableImageError as error:
                if _ends_as_image(path):
                    skipped.damaged.append(f"{str(path)!r} ({error})")
                else:
                    _skip(path, skipped)


def _ends_as_image(path: Path) -> bool:
    return path.suffix.lower() in image_suffixes() - _STUBS


def _skip(path: Path, skipped: _Skipped) -> None:
    if _is_system(path.name):
        skipped.system += 1
    elif _ends_as_image(path):
        skipped.loose += 1
    else:
        skipped.others[path.suffix.lower() or "no ending"] += 1


def _what_was_skipped(skipped: _Skipped) -> list[str]:
    parts = [f"{count} with {suffix}" for suffix, count in sorted(skipped.others.items())]
    parts += [f"{skipped.system} hidden or of the system"] if skipped.system else []
    said = [f"files left out, since they are no images: {', '.join(parts)}"] if parts else []
    said += [f"images left out, since they lie outside of class folders: {skipped.loose}"] if skipped.loose else []
    return said


def _class_names(path: Path, found: dict[str, dict[str, list[Picture]]]) -> list[str]:
    """Returns the classes of train; names other splits' classes as train does, whatever their Unicode form."""
    train = found["train"]
    if len(train) < 2:
        has = f"images of {len(train)} class{'es' if len(train) != 1 else ''}"
        raise ValueError(
            f"dataset: {str(path)!r} has {has}{': ' + _some(list(train)) if train else ''}; give a folder with a "
            "folder of images for each of at least 2 classes, or with such folders in train and in test"
        )
    forms = {unicodedata.normalize("NFC", name): name for name in train}
    for split, classes in found.items():
        renamed = {forms.get(unicodedata.normalize("NFC", name), name): pictures for name, pictures in classes.items()}
        unknown = sorted(renamed.keys() - train.keys())
        if unknown:
            raise ValueError(
                f"dataset: {str(path)!r} has classes in {split} that train lacks: {_some(unknown)}; give training "
                "images of them, or remove them"
            )
        found[split] = renamed
    return sorted(train)


def _text(name: str, said: list[str]) -> str:
    """Returns the name of a class; a folder's name that is not UTF-8 is read as Latin-1."""
    try:
        name.encode()
    except UnicodeEncodeError:
        text = os.fsencode(name).decode("latin-1")
        said.append(f"the name of a class folder is not UTF-8: it is read as {text!r}")
        return text
    return name


def _folders(path: Path) -> list[Path]:
    return sorted(entry for entry in path.iterdir() if entry.is_dir() and not _is_system(entry.name))


def _has_files(path: Path) -> bool:
    return any(not entry.is_dir() and not _is_system(entry.name) for entry in path.iterdir())


def _is_system(name: str) -> bool:
    return name.startswith(".") or name.lower() in _SYSTEM


def _some(names: list[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more
