"""``bench predict``: predict the classes of new images with a trained model."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from benchbench.cli import options
from benchbench.config.defaults import DEFAULT_EXPERIMENT
from benchbench.errors import counted

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchbench.driver.predict import Predictions


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command("predict", short_help="Predict the classes of images.")(predict)


def predict(
    *,
    run: Annotated[str, typer.Argument(help="An MLflow run: its id, the first digits of its id, or its name.")],
    images: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="Image files, or folders of them.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write a CSV file with the probability of every class."),
    ] = None,
    experiment: options.Experiment = DEFAULT_EXPERIMENT,
    trust: Annotated[
        bool, typer.Option("--trust", help="Load a model that came with a results file: it can run any code.")
    ] = False,
    as_json: options.Json = False,
) -> None:
    """Predict the classes of images with the model of a run. They are preprocessed as in training.

    For example: bench predict resnet-sgd-imagefolder-s0 photos/new
    """
    from rich.console import Console

    from benchbench.cli.output import next_command, print_json, print_table
    from benchbench.driver.output_files import check_output
    from benchbench.driver.predict import predict as predict_images

    if output:
        check_output(output, example="predictions.csv")
    with Console(stderr=True).status("predicting"):
        predictions = predict_images(run, images, experiment=experiment, trust=trust)
    if output:
        _write(output, predictions)
    if as_json:
        print_json({"run_id": predictions.run_id, "run": predictions.run_name, "images": list(_json_rows(predictions))})
    elif output:
        typer.echo(f"wrote {output}: {counted(len(predictions.predicted.images), 'image')}, by {predictions.run_name}")
        typer.echo(f"next: {next_command('report', experiment, None)}  (accuracies on the test images)")
    else:
        predicted = predictions.predicted
        rows = zip(
            predicted.images, predicted.predictions, (f"{value:.1%}" for value in predicted.probabilities), strict=True
        )
        print_table(("image", "prediction", "probability"), rows, numbers=("probability",), folded=("image",))
        typer.echo(f"by {predictions.run_name} ({predictions.run_id})")
        typer.echo("next: the same command with -o predictions.csv  (the probability of every class)")


def _json_rows(predictions: Predictions) -> Iterator[dict[str, Any]]:
    predicted = predictions.predicted
    for image, prediction, probability, by_class in zip(
        predicted.images, predicted.predictions, predicted.probabilities, predicted.by_class, strict=True
    ):
        probabilities = dict(zip(predicted.class_names, by_class, strict=True))
        yield {
            "image": image,
            "prediction": prediction,
            "probability": probability,
            "probabilities": probabilities,
        }


def _write(path: Path, predictions: Predictions) -> None:
    """Write the CSV file, whole or not at all, with each probability in the fewest digits of its float32."""
    import numpy as np

    from benchbench.compare.text_tables import to_csv
    from benchbench.driver.output_files import writing
    from benchbench.paths import write_atomically

    rows = [
        {"image": row["image"], "prediction": row["prediction"], "probability": str(np.float32(row["probability"]))}
        | {f"probability_{name}": str(np.float32(value)) for name, value in row["probabilities"].items()}
        for row in _json_rows(predictions)
    ]
    with writing(path):
        write_atomically(path, to_csv(rows).encode())
