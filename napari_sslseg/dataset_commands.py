"""``napari-sslseg train``, ``predict`` and ``evaluate``: data sets without a screen."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from .command_errors import UsageError, one_volume_a_case
from .dataset_files import FormatsReader, prediction_path, write_prediction
from .dataset_scoring import score_files
from .formats.atomic import check_folder, check_writable
from .formats.sparing import spare_inputs, spare_strangers
from .stopping import stoppable
from .training.request import DEVICES
from .training.threads import calm_threads

if TYPE_CHECKING:
    from .training.dataset.description import Dataset

DatasetArgument = Annotated[Path, typer.Argument(help="Description of the data set, YAML.")]
DeviceOption = Annotated[str, typer.Option(help=f"One of: {', '.join(DEVICES)}.")]


@one_volume_a_case()
def run_train(
    dataset: DatasetArgument,
    run: Annotated[Path, typer.Option(help="Folder of the run; one that exists goes on.")],
    preset: Annotated[
        str | None,
        typer.Option(
            help="Method: default, supervised, mean-teacher, fixmatch, unimatch, cps, cct, r-drop, "
            "semsim, semsim-literal, semsim-simple, rpg; or MetaSSL on one of them: "
            "metassl-mean-teacher, metassl-fixmatch, metassl-cps, metassl-cps-released, "
            "metassl-cct, metassl-r-drop, metassl-semsim, metassl-rpg."
        ),
    ] = None,
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    seed: Annotated[int | None, typer.Option(help="Seed of everything random.")] = None,
    device: DeviceOption = "auto",
    minutes: Annotated[
        float | None, typer.Option(help="Stop, saved, after so many minutes; call again to go on.")
    ] = None,
    fresh: Annotated[
        bool, typer.Option(help="Start anew in a folder that has a run, whose files are deleted.")
    ] = False,
    tensorboard: Annotated[bool, typer.Option(help="Write TensorBoard files too.")] = False,
) -> dict[str, Any]:
    """Train on a data set, or go on with a run that was interrupted.

    Parameters
    ----------
    dataset
        YAML file, see `read_dataset`.
    run
        Folder of the run; made if it does not exist.
    preset, steps, seed
        None leaves what the description says, or else the defaults.
    device
        As of `find_device`.
    minutes
        Stop, saved, after this time of training; None runs to the end.
    fresh, tensorboard
        `fresh` and `board` of `train_dataset`.

    Returns
    -------
    dict
        Steps, whether the run is finished, best validation Dice, seconds; fit for JSON.

    Raises
    ------
    UserError
        With one sentence for the user.
    """
    calm_threads()
    from .training.dataset.run import find_device, train_dataset
    from .training.dataset.settings import make_settings

    if minutes is not None and not minutes > 0:
        raise UsageError(f"--minutes must be more than 0, not {minutes:g}.")
    described = _read_description(dataset)
    check_folder(run)
    place = find_device(device)
    settings = make_settings(described, place.type, preset=preset, steps=steps, seed=seed)
    reader = FormatsReader.of(described)
    with reader.notes, stoppable() as control:
        outcome = train_dataset(
            described,
            settings,
            run,
            reader,
            place,
            control,
            _say,
            None if minutes is None else 60 * minutes,
            tensorboard,
            fresh=fresh,
        )
    return {
        "run": str(run),
        "preset": settings.preset,
        "device": str(place),
        "step": outcome.step,
        "finished": outcome.finished,
        "best_validation_dice": outcome.best,
        "seconds": outcome.seconds,
    }


@one_volume_a_case()
def run_predict(
    run: Annotated[Path, typer.Argument(help="Folder of a run.")],
    dataset: DatasetArgument,
    output: Annotated[
        Path,
        typer.Option(help="Folder for the predicted label files; those that exist are replaced."),
    ],
    cases: Annotated[
        str, typer.Option(help="Which list: labelled, unlabelled, validation or test.")
    ] = "validation",
    model: Annotated[str, typer.Option(help="best (by the validation list) or last.")] = "last",
    device: DeviceOption = "auto",
) -> dict[str, Any]:
    """Predict label files for the cases of a list.

    Parameters
    ----------
    run
        Folder of the run.
    dataset
        YAML file; it must describe the data as the run's did.
    output
        Folder, made if it does not exist; files in it of the same names are replaced.
    cases
        Name of the list; labels are not needed.
    model
        ``"best"`` or ``"last"``.
    device
        As of `find_device`.

    Returns
    -------
    dict
        Files, fit for JSON.

    Raises
    ------
    UserError
        With one sentence for the user.
    """
    calm_threads()
    from .training.dataset.cases import channels_in_words, load_case, to_values
    from .training.dataset.description import DatasetError
    from .training.dataset.prediction import in_file_order, predict_case
    from .training.dataset.run import find_device, load_run
    from .training.dataset.run_folder import MODELS
    from .training.dataset.settings import alike, describe_data

    if model not in MODELS:
        raise UsageError(f"There is no model {model!r}; choose {' or '.join(MODELS)}.")
    described = _read_description(dataset)
    check_folder(output)
    place = find_device(device)
    trained, head = load_run(run, model, place)
    expected = describe_data(described, head["data"]["channels"])
    for key, value in head["data"].items():
        if not alike(key, value, expected.get(key)):
            raise DatasetError(
                f"The model in {run} was trained with {key.replace('_', ' ')} other than "
                f"{dataset} describes."
            )
    reader = FormatsReader.of(described)
    entries = described.cases(cases)
    if not entries:
        raise DatasetError(f"The {cases} list of {dataset} is empty; choose another with --cases.")
    targets = [prediction_path(output, entry.name, entry.images[0]) for entry in entries]
    spare_inputs(targets, _files_of(described))
    spare_strangers(targets)
    output.mkdir(exist_ok=True)
    for target in targets:
        check_writable(target)
    files = []
    with reader.notes, stoppable() as control:
        for entry, path in zip(entries, targets, strict=True):
            control.check()
            case = load_case(entry, described, reader, with_labels=False)
            if case.image.shape[1] != head["data"]["channels"]:
                raise DatasetError(
                    f"{entry.name} has {channels_in_words(case.image.shape[1])}; the model was "
                    f"trained on {head['data']['channels']}."
                )
            bfloat16 = place.type == "cuda" and head["precision"] == "bfloat16"
            found = predict_case(trained, case, described, place, bfloat16, control)
            values = in_file_order(to_values(found, described), case, described)
            write_prediction(path, values, reader.volume(entry.images))
            files.append(str(path))
            _say(entry.name)
    return {"model": model, "step": head["step"], "files": files}


def _read_description(path: Path) -> Dataset:
    from .training.dataset.description import read_dataset

    if not path.exists():
        raise UsageError(f"{path} does not exist; check the path.")
    return read_dataset(path)


def _files_of(described: Dataset) -> list[Path]:
    """Return the images and annotations of all cases."""
    return [
        path
        for entry in described.entries.values()
        for path in (*entry.images, entry.labels)
        if path is not None
    ]


def run_evaluate(
    dataset: DatasetArgument,
    predictions: Annotated[Path, typer.Argument(help="Folder of predicted label files.")],
    output: Annotated[
        Path | None,
        typer.Option(
            help="Where to write NAME.json and NAME.csv, without suffix; those that exist are "
            "replaced."
        ),
    ] = None,
    cases: Annotated[
        str, typer.Option(help="Which list: labelled, unlabelled, validation or test.")
    ] = "validation",
) -> dict[str, Any]:
    """Score predicted label files: Dice, Jaccard, HD95 and ASD, per class and case.

    HD95 is the larger of the two directed 95th percentiles; papers that use medpy pool both.

    Parameters
    ----------
    dataset
        YAML file.
    predictions
        Folder with one label file for each case, as `run_predict` writes them.
    output
        Path without suffix, of a JSON file and a CSV file; None writes none.
    cases
        Name of the list; all of its cases need labels.

    Returns
    -------
    dict
        Unit, mean and standard deviation per class, and the files; fit for JSON.

    Raises
    ------
    UserError
        With one sentence for the user.
    """
    described = _read_description(dataset)
    stem = output
    if output is not None and output.suffix in (".json", ".csv"):
        stem = output.with_suffix("")
    if stem is not None:
        for suffix in (".json", ".csv"):
            check_writable(stem.with_name(f"{stem.name}{suffix}"))
    report = score_files(described, predictions, cases)
    result: dict[str, Any] = {k: v for k, v in report.to_json().items() if k != "cases"}
    if stem is not None:
        result["files"] = [str(path) for path in report.write(stem)]
    return result


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
