"""Image files are classified by a run and by an exported network, and the commands print what they measure."""

import json
from pathlib import Path

import numpy as np
import pytest
from helpers.tiny_runs import start
from PIL import Image

import jaxevo
from jaxevo.cli.main import main
from jaxevo.data.pixels import pixels_of
from jaxevo.reports import predict
from jaxevo.reports.predict import predict_files
from jaxevo.reports.result import write_result


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> jaxevo.Run:
    path = tmp_path_factory.mktemp("predict") / "run"
    start(path, 5)
    write_result(path)
    return jaxevo.open(path)


def test_a_run_and_its_exports_say_the_same_of_files(
    run: jaxevo.Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    images = run.dataset.test.images[:4]
    paths = [tmp_path / f"{place}.png" for place in range(4)]
    for path, image in zip(paths, images, strict=True):
        Image.fromarray(image[..., 0]).save(path)
    run.export(tmp_path / "exported")
    run.export_ensemble(tmp_path / "ensemble", 3)
    by_run = predict_files(run.path, paths, 3, print)
    by_export = predict_files(tmp_path / "exported", paths, 3, print)
    expected = run.best.predict_proba(images)
    for one, other, row in zip(by_run, by_export, expected, strict=True):
        assert [name for name, _ in one.ranked] == [name for name, _ in other.ranked]
        assert one.ranked[0] == (str(row.argmax()), pytest.approx(float(row.max())))
        assert len(one.ranked) == 3
    votes, ensemble = predict_files(tmp_path / "ensemble", paths, 1, print), run.ensemble_of(3)
    assert [int(one.ranked[0][0]) for one in votes] == ensemble.predict(images).tolist()
    shares = ensemble.predict_proba(images).max(axis=1)
    np.testing.assert_allclose([one.ranked[0][1] for one in votes], shares, atol=1e-5)
    # However many are classified at once.
    monkeypatch.setattr(predict, "_AT_ONCE", 3)
    again = predict_files(tmp_path / "exported", paths, 3, print)
    for one, other in zip(by_export, again, strict=True):
        assert [name for name, _ in one.ranked] == [name for name, _ in other.ranked]
        assert one.ranked[0][1] == pytest.approx(other.ranked[0][1])


@pytest.mark.parametrize(
    ("name", "content"),
    [("network.stablehlo", b""), ("network.stablehlo", b"version https://git-lfs"), ("images.json", b"{}")],
)
def test_a_damaged_export_is_named(run: jaxevo.Run, tmp_path: Path, name: str, content: bytes) -> None:
    run.export(tmp_path / "exported")
    (tmp_path / "exported" / name).write_bytes(content)
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    with pytest.raises(ValueError, match=r"exported is incomplete or damaged .*: export the network again"):
        predict_files(tmp_path / "exported", [tmp_path / "one.png"], 1, print)


def test_files_of_other_sizes_and_kinds_are_read_and_others_named(run: jaxevo.Run, tmp_path: Path) -> None:
    Image.new("RGB", (40, 30), (9, 99, 199)).save(tmp_path / "photo.jpg")
    said: list[str] = []
    predict_files(run.path, [tmp_path / "photo.jpg"], 1, said.append)
    assert said == [f"{tmp_path / 'photo.jpg'}: resized from 30x40 to 8x8, stretched"]
    (tmp_path / "notes.txt").write_text("no image")
    with pytest.raises(ValueError, match=r"notes.txt' is not a readable image \(it is not an image"):
        predict_files(run.path, [tmp_path / "notes.txt"], 1, said.append)


def test_pictures_of_floats_are_read_as_those_of_the_training(tmp_path: Path) -> None:
    generator = np.random.default_rng(0)
    for label in range(2):
        (tmp_path / "data" / f"class{label}").mkdir(parents=True)
        for number in range(15):
            pixels = (generator.random((6, 6)) * 0.4 + 0.6 * label).astype(np.float32)
            Image.fromarray(pixels).save(tmp_path / "data" / f"class{label}" / f"{number}.tif")
    start(tmp_path / "run", 3, dataset=str(tmp_path / "data"), batch_size=5)
    run = jaxevo.open(tmp_path / "run")
    files = sorted((tmp_path / "data" / "class1").iterdir())
    assert run.dataset.train.images.max() > 200
    found = predict_files(run.path, files, 2, print)
    read = np.stack([np.rint(np.asarray(Image.open(file)) * 255).astype(np.uint8) for file in files])
    expected = run.best.predict_proba(read).max(axis=1)
    np.testing.assert_allclose([one.ranked[0][1] for one in found], expected, rtol=1e-5)


def test_pictures_are_read_as_arrays_where_the_training_was_scaled(tmp_path: Path) -> None:
    network = predict._Network((6, 5, 1), ("one", "two"), 255 / 4095, lambda images: images)
    deep = np.random.default_rng(0).integers(0, 4096, (6, 5), np.uint16)
    deep[0, 0] = 4095
    pictures = {"deep": deep, "plain": (deep >> 4).astype(np.uint8), "part": deep / np.float32(4095)}
    for name, pixels in pictures.items():
        Image.fromarray(pixels).save(tmp_path / f"{name}.tif")
    reading, _ = pixels_of("train_images", deep[None])
    for name in ("deep", "plain"):
        read = predict._read(tmp_path / f"{name}.tif", network, print)
        np.testing.assert_array_equal(read, reading.convert("X", pictures[name][None])[0])
    np.testing.assert_array_equal(predict._read(tmp_path / "plain.tif", network, print)[..., 0], pictures["plain"])
    with pytest.raises(ValueError, match="part.tif: float32 of 0 to 1 is given, but the training images are int32"):
        predict._read(tmp_path / "part.tif", network, print)


def test_the_commands(run: jaxevo.Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["test", str(run.path), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["best"]["accuracy"] == run.best.test_accuracy
    assert (found["best_weights"], found["ensemble_weights"]) == ("evolved", "evolved")
    assert np.sum(found["best"]["confusion"]) == found["best"]["images"] == 360
    assert main(["test", str(run.path)]) == 0
    text = capsys.readouterr().out
    for words in ("95 % interval", "balanced accuracy", "always answering", "accuracy by class", "taken for"):
        assert words in text
    Image.new("L", (8, 8)).save(tmp_path / "one.png")
    assert main(["predict", str(run.path), str(tmp_path / "one.png"), "--top", "2"]) == 0
    assert capsys.readouterr().out.startswith(f"{tmp_path / 'one.png'}: ")
    assert main(["predict", str(run.path), str(tmp_path / "one.png"), "--top", "0"]) == 2


def test_the_model_card_names_data_baselines_lineage_and_fingerprint(run: jaxevo.Run, tmp_path: Path) -> None:
    text = (run.export(tmp_path / "exported") / "README.md").read_text()
    for words in (run.fingerprint, run.manifest.data_fingerprint, "95 % interval", "always answering", "initial"):
        assert words in text
