"""Command line of the registry: push a folder, list models, show one version; `release_commands` has the traffic."""

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from headrace.errors import ModelNotFound
from headrace.model_ref import ModelRef
from headrace.words import count_in_words, size_in_words
from registry import authoring_commands, release_commands
from registry.additions import parse_additions
from registry.command_line import (
    AsJson,
    describe_release,
    describe_traffic,
    open_registry,
    out,
    print_json,
    said_plainly,
)
from registry.manifest import Manifest
from registry.progress import progress_bar
from registry.registry import Registry
from registry.release import Release
from registry.signing import Signer, make_key

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False)


_HELP = (
    "Models: publish versions and see what serves. Exit code 1: it cannot be done, 2: wrong usage.\n\n"
    "Six more have a --help of their own: `check DIR` tries whether a model batches correctly, `tune NAME|DIR` which"
    " batch size and wait are best, `warm NAME` has workers load one before its jobs come, `where` shows who has it,"
    " `versions NAME` and `schema NAME[@VERSION]` ask the API for those."
)


@app.callback(help=_HELP)
def models() -> None:
    """What stands before the commands."""


@app.command()
def push(
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="Folder with model.py and its files.")],
    name: Annotated[str, typer.Option(help="Name of the model; else that of the folder.")] = "",
    entry: Annotated[str, typer.Option(help="Source file and class, as model.py:Embedder.")] = "",
    add: Annotated[list[str] | None, typer.Option(metavar="NAME=PATH", help="Add a file or folder.")] = None,
    trusted: Annotated[
        bool, typer.Option("--trusted", help="Let pickles and compiled programs through: they are code.")
    ] = False,
    sign: Annotated[Path | None, typer.Option(metavar="FILE", help="Sign it with the key in this file.")] = None,
    no_release: Annotated[bool, typer.Option("--no-release", help="Publish without sending traffic.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a folder as the next version of a model, and release it."""
    with said_plainly():
        registry = open_registry()
        with progress_bar("push") as progress:
            pushed = registry.push(
                folder,
                name=name or folder.resolve().name.lower(),
                entry=entry or None,
                extra=parse_additions(add or []),
                release=not no_release,
                trusted=trusted,
                signer=Signer(key_file=sign) if sign else None,
                progress=progress,
            )
        manifest = pushed.manifest
        release = registry.releases().get(manifest.name)
    if as_json:
        print_json({**_row(manifest.name, manifest, release), "is_new": pushed.is_new})
        return
    files = count_in_words(len(manifest.files), "file")
    verb = "published" if pushed.is_new else "unchanged"
    out.print(f"{verb} [bold]{manifest.ref}[/]: {files}, {size_in_words(manifest.size_bytes)}")
    out.print(f"{describe_release(release)}; digest {manifest.digest[:12]}")


@app.command()
def keygen(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Gets the private key; keep it secret.")],
) -> None:
    """Make a key to sign versions with, and print its public part for HEADRACE_TRUSTED_SIGNERS."""
    with said_plainly():
        typer.echo(make_key(file))


@app.command()
def sign(
    version: Annotated[str, typer.Argument(metavar="NAME@VERSION")],
    key: Annotated[Path, typer.Option(metavar="FILE", help="Private key, made by `keygen`.")],
) -> None:
    """Sign a version that is published already."""
    with said_plainly():
        signer = Signer(key_file=key)
        open_registry().sign(ModelRef.parse(version), signer)
    out.print(f"signed [bold]{version}[/] by {signer.public_key}")


@app.command()
def ls(as_json: AsJson = False) -> None:
    """List the released models."""
    with said_plainly():
        registry = open_registry()
        releases = registry.releases()
        rows = [(name, registry.manifest(release.current), release) for name, release in sorted(releases.items())]
    if as_json:
        print_json([_row(*row) for row in rows])
        return
    table = Table("model", "serves", "max batch", "size", "description", box=None)
    for name, manifest, release in rows:
        table.add_row(
            name,
            describe_traffic(release),
            str(manifest.max_batch),
            size_in_words(manifest.size_bytes),
            manifest.description,
        )
    out.print(table if rows else "no model is released; publish one with: headrace models push DIR")


@app.command()
def show(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]")],
    as_json: AsJson = False,
) -> None:
    """Show one version of a model: the released one unless a version is given."""
    with said_plainly():
        registry = open_registry()
        release = registry.releases().get(model.partition("@")[0])
        manifest = registry.manifest(_resolve(registry, model, release))
        versions = registry.versions(manifest.name)
    if as_json:
        print_json({**manifest.model_dump(mode="json"), "digest": manifest.digest, "versions": versions})
        return
    out.print(f"[bold]{manifest.ref}[/]  {manifest.description}")
    out.print(f"{describe_release(release)}; versions {', '.join(map(str, versions))}; published {manifest.created}")
    needs = f", needs {', '.join(manifest.requires)}" if manifest.requires else ""
    out.print(f"runtime {manifest.runtime}{needs}; {_came_from(manifest)}")
    takes = ", takes a seed" if manifest.takes_seed else ""
    out.print(f"entry {manifest.entry}, batches of up to {manifest.max_batch}{takes}, digest {manifest.digest}")
    for title, document in (
        ("input", manifest.input_schema),
        ("output", manifest.output_schema),
        ("examples", manifest.examples),
    ):
        out.print(f"[bold]{title}[/]")
        out.print_json(data=document)
    table = Table("file", "bytes", "sha256", box=None)
    for file in manifest.files:
        table.add_row(file.path, str(file.size_bytes), file.sha256)
    out.print(table)


def _resolve(registry: Registry, model: str, release: Release | None) -> ModelRef:
    if "@" in model:
        return ModelRef.parse(model)
    if release is not None:
        return release.current
    versions = registry.versions(model)
    if not versions:
        raise ModelNotFound(f"there is no model '{model}'; `headrace models ls` lists those there are")
    return ModelRef(model, versions[-1])


def _row(name: str, manifest: Manifest, release: Release | None) -> dict[str, object]:
    return {
        "name": name,
        "version": manifest.version,
        "digest": manifest.digest,
        "max_batch": manifest.max_batch,
        "size_bytes": manifest.size_bytes,
        "description": manifest.description,
        "routes": release.document()["routes"] if release else {},
    }


def _came_from(manifest: Manifest) -> str:
    return ", ".join(f"{name} {value}" for name, value in manifest.provenance.items()) or "nobody knows from where"


release_commands.install(app)
authoring_commands.install(app)

if __name__ == "__main__":
    app(prog_name="headrace models")
