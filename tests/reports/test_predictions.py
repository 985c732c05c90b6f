"""Networks and ensembles classify pixels as they are, and refuse whatever else could be taken for an image."""

import shutil

import jax
import numpy as np
import pytest
from helpers.compile_log import compilations
from helpers.tiny_runs import resume, start

import jaxevo

EVENTS = 16


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> jaxevo.Run:
    path = tmp_path_factory.mktemp("networks") / "run"
    start(path, EVENTS, train_steps=40)
    return jaxevo.open(path)


@pytest.fixture(scope="module")
def test_split(run):
    return run.dataset.test


@pytest.fixture(params=["network", "ensemble"])
def classifier(request, run):
    return run.best if request.param == "network" else run.ensemble


def normalised(run, images):
    return (images / np.float32(255) - run.dataset.mean) / run.dataset.std


def test_predictions_are_those_of_the_flax_module_on_normalised_images(run, test_split):
    network = run.best
    logits = network.module.apply(network.variables, normalised(run, test_split.images), train=False)
    predicted = network.predict(test_split.images)
    assert (predicted.dtype, predicted.shape) == (np.int32, (360,))
    assert np.mean(predicted == np.argmax(logits, axis=-1)) > 0.99
    probabilities = network.predict_proba(test_split.images)
    assert (probabilities.dtype, probabilities.shape) == (np.float32, (360, 10))
    np.testing.assert_allclose(probabilities, jax.nn.softmax(logits), atol=1e-4)


def test_evaluate_gives_the_journalled_accuracy(run, test_split):
    assert run.best.evaluate(*test_split) == pytest.approx(run.best.test_accuracy, abs=0.003)
    assert run.best.evaluate(*test_split) == np.mean(run.best.predict(test_split.images) == test_split.labels)


def test_an_ensemble_decides_by_majority_vote(run, test_split):
    ensemble = run.ensemble_of(3)
    assert len(ensemble) == len(ensemble.members) == 3
    votes = np.array([member.predict(test_split.images) for member in ensemble.members])
    shares = ensemble.predict_proba(test_split.images)
    expected = np.stack([(votes == label).mean(axis=0) for label in range(10)], axis=1)
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    chosen = ensemble.predict(test_split.images)
    assert (shares[np.arange(len(chosen)), chosen] == shares.max(axis=1)).all()
    assert ensemble.evaluate(*test_split) == np.mean(chosen == test_split.labels)


def test_the_ensemble_has_the_fittest_and_as_many_as_are_asked_for(run):
    fitness = [member.validation_accuracy for member in run.ensemble_of(3).members]
    assert fitness == sorted(fitness, reverse=True)
    assert run.ensemble_of(3).members[0].individual == run.best.individual
    assert len(run.ensemble_of(100)) <= EVENTS
    for size in (0, 2.0, True):
        with pytest.raises(ValueError, match=f"ensemble_size is {size}, but must be a whole number, 1 or more"):
            run.ensemble_of(size)


def test_a_network_is_found_by_the_ids_of_the_history(run):
    number = run.history["id"].iloc[-1]
    assert run.network(number).individual.id == number
    assert run.network(int(number)).individual == run.network(run.individual(int(number))).individual


def test_grey_images_may_lack_the_channel(classifier, test_split):
    images = test_split.images[:20]
    np.testing.assert_array_equal(classifier.predict(images[..., 0]), classifier.predict(images))


def test_more_images_than_a_batch_holds_are_classified_like_few(classifier, test_split):
    many = np.concatenate([test_split.images] * 3)
    np.testing.assert_array_equal(classifier.predict(many), np.tile(classifier.predict(test_split.images), 3))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda images: images / 255, "images: dtype is float64; give uint8 pixels, 0 to 255"),
        (lambda images: images.astype(np.float32), "images: dtype is float32; give uint8 pixels"),
        (lambda images: images.tolist(), "images: dtype is int64; give uint8 pixels"),
        (lambda images: images[0], r"images: shape is \(8, 8, 1\), that of one image; give a batch, such as images\["),
        (lambda images: images[0, ..., 0], r"images: shape is \(8, 8\); give \[images, height, width, channels\]"),
        (lambda images: images[:0], r"images: shape is \(0, 8, 8, 1\); give"),
        (lambda images: images[:, :7], r"channels are \(7, 8, 1\), but must be \(8, 8, 1\), those of the images that"),
        (lambda images: np.repeat(images, 3, axis=3), r"channels are \(8, 8, 3\), but must be \(8, 8, 1\)"),
        (lambda images: np.kron(images, np.ones((1, 4, 4, 1), np.uint8)), r"channels are \(32, 32, 1\), but must be"),
    ],
)
def test_what_is_no_batch_of_pixels_is_refused_with_what_was_given_and_what_would_do(
    classifier, test_split, change, sentence
):
    images = change(test_split.images[:4])
    for refuse in (classifier.predict, classifier.predict_proba, lambda given: classifier.evaluate(given, [0] * 4)):
        with pytest.raises(ValueError, match=sentence):
            refuse(images)


@pytest.mark.parametrize(
    ("labels", "sentence"),
    [
        ([0, 1, 2], r"labels: shape is \(3,\); give one label per image, \[4\]"),
        ([0, 1, 2, 10], "labels: label 10 at index 3 is out of range; with 10 classes give labels from 0 to 9"),
        ([0.0, 1.0, 2.0, 3.0], "labels: dtype is float64; give integers"),
    ],
)
def test_labels_that_do_not_fit_are_refused(classifier, test_split, labels, sentence):
    with pytest.raises(ValueError, match=sentence):
        classifier.evaluate(test_split.images[:4], labels)


def test_a_prediction_compiles_once_for_an_architecture_and_a_batch_shape(run, test_split):
    images = test_split.images[:17]
    with compilations() as first:
        run.best.predict(images)
    assert first
    with compilations() as second:
        run.best.predict(images)
        network = run.best
        network.predict(images)
        network.predict_proba(images)
        jaxevo.open(run.path).best.predict(images)
    assert not second


def test_weights_that_went_after_the_run_was_opened_are_said_to_be_gone(run, tmp_path):
    path = tmp_path / "copy"
    shutil.copytree(run.path, path)
    before = jaxevo.open(path)
    resume(path, 3 * EVENTS)
    after = jaxevo.open(path)
    kept = {one.id for one in (*after.population, after.best.individual)}
    gone = next(one for one in before.population if one.id not in kept)
    with pytest.raises(ValueError, match=f"individual {gone.id} is dead"):
        before.network(gone).predict(np.zeros((1, 8, 8, 1), np.uint8))
    living = next(one for one in after.population if one.weights is not None)
    shutil.rmtree(path / "weights" / living.weights)
    with pytest.raises(ValueError, match="are missing; restore the folder from a copy"):
        after.network(living.id).predict(np.zeros((1, 8, 8, 1), np.uint8))


def test_reprs_say_who_it_is(run):
    best = run.best
    assert repr(best) == (
        f"<Network: individual {best.individual.id}, evolved weights, validation {best.validation_accuracy:.1%}, "
        f"test {best.test_accuracy:.1%}>"
    )
    assert repr(run.ensemble_of(2)).startswith(f"<Ensemble of 2: individuals {best.individual.id}, ")
    assert repr(run.individual(0)) == f"<Individual 0: initial, validation accuracy {run.individual(0).accuracy:.1%}>"
    child = next(one for one in run.population if one.parent_id is not None)
    assert repr(child).startswith(f"<Individual {child.id}: child of {child.parent_id} by {child.mutation}, ")
    assert (
        repr(run)
        == f"<Run in {run.path}: digits, {EVENTS} individuals, best validation {best.validation_accuracy:.1%}>"
    )
