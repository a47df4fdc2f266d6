"""Commands that make a folder with a model: import what another tool saved, or begin with a scaffold."""

import shlex
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from registry.command_line import AsJson, describe_release, open_registry, out, print_json, said_plainly
from registry.importing.write import read_artifact, write_source
from registry.progress import progress_bar
from registry.scaffold import scaffold


def install(app: typer.Typer) -> None:
    """Add the commands."""
    app.command("import")(import_)
    app.command("scaffold")(scaffold_)


def scaffold_(
    folder: Annotated[Path, typer.Argument(metavar="NAME", help="Folder to make; its name is the model's.")],
) -> None:
    """Make a folder with a small model that works, and a test of it, to begin from."""
    with said_plainly():
        scaffold(folder)
    out.print(f"{folder}/model.py counts words; put yours in its place, then:")
    for command in (f"headrace models check {folder}", f"pytest {folder}", f"headrace models push {folder}"):
        out.print(f"  {command}", highlight=False, soft_wrap=True)


def import_(
    origin: Annotated[str, typer.Argument(metavar="hf:PATH|mlflow:PATH", help="What was saved, on this disk.")],
    name: Annotated[str, typer.Option(help="Name of the model; else that of the folder.")] = "",
    to: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write model.py there, to be changed, and publish nothing.")
    ] = None,
    no_release: Annotated[bool, typer.Option("--no-release", help="Publish without sending traffic.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish what the transformers library or MLflow has saved: classifiers and encoders of texts, ONNX graphs."""
    name = name or Path(origin.partition(":")[2]).resolve().name.lower()
    with said_plainly():
        artifact = read_artifact(origin)
        if to is not None:
            write_source(artifact, to)
            additions = " ".join(f"--add {shlex.quote(f'{path}={file}')}" for path, file in artifact.files.items())
            out.print(f"headrace models push {to} --name {name} {additions}", soft_wrap=True, highlight=False)
            return
        with tempfile.TemporaryDirectory() as folder, progress_bar("push") as progress:
            write_source(artifact, Path(folder))
            registry = open_registry()
            pushed = registry.push(
                Path(folder),
                name=name,
                extra=artifact.files,
                release=not no_release,
                progress=progress,
                provenance=artifact.provenance,
            )
        release = registry.releases().get(name)
    manifest = pushed.manifest
    if as_json:
        print_json({"name": name, "version": manifest.version, "is_new": pushed.is_new, "runtime": manifest.runtime})
        return
    out.print(f"imported as [bold]{manifest.ref}[/], runtime {manifest.runtime}; {describe_release(release)}")
