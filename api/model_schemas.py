"""What the OpenAPI document says of the released models: what each version takes and gives. Pure.

The body of a submission is one of as many shapes as there are versions, so that readers, generated clients and fuzzers
see what an input must look like. Schemas are the registry's; no model's code is looked at.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from registry.served import ServedModel, ServedVersion

Schema = Mapping[str, Any]

#: The shape that becomes one of many.
SUBMISSION = "SubmitBody"
_SCHEMAS = "#/components/schemas/"


def with_models(document: Schema, models: Iterable[ServedModel]) -> dict[str, Any]:
    """The document with the schemas of these models in it; as it was if there is none."""
    components = document["components"]
    schemas = dict(components["schemas"])
    submissions = []
    for model in models:
        for served in model.versions.values():
            name = _component(served, "submission")
            schemas |= _schemas_of(served)
            schemas[name] = _submission(schemas[SUBMISSION], model, served)
            submissions.append(name)
    if submissions:
        examples = [example for one in submissions for example in schemas[one]["examples"]]
        refs = [{"$ref": _SCHEMAS + one} for one in submissions]
        schemas[SUBMISSION] = {"title": SUBMISSION, "anyOf": refs, "examples": examples}
    return {**document, "components": {**components, "schemas": schemas}}


def _component(served: ServedVersion, what: str) -> str:
    # Names of models are lower case, so they never meet those of our own shapes.
    return f"{served.ref.name}.{served.ref.version}.{what}"


def _submission(shape: Schema, model: ServedModel, served: ServedVersion) -> dict[str, Any]:
    manifest = served.manifest
    output = _component(served, "output")
    names = [str(served.ref), *(f"{served.ref.name}@{alias}" for alias in _aliases(model, served))]
    if served is model.current:
        names.insert(0, served.ref.name)
    properties = {
        **shape["properties"],
        "model": {"type": "string", "enum": names},
        "input": {"$ref": _SCHEMAS + _component(served, "input")},
    }
    return {
        **{name: value for name, value in shape.items() if name != "examples"},
        "title": f"Submission to {served.ref}",
        "description": f"{manifest.description} The result is a `{output}`.".strip(),
        "properties": properties,
        "examples": [{"model": names[0], "input": example} for example in manifest.examples[:1]],
    }


def _aliases(model: ServedModel, served: ServedVersion) -> list[str]:
    return sorted(alias for alias, version in model.release.aliases.items() if version == served.ref.version)


def _schemas_of(served: ServedVersion) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for what, schema in (("input", served.manifest.input_schema), ("output", served.manifest.output_schema)):
        root = _component(served, what)
        parts = {name: part for name, part in schema.items() if name not in {"$defs", "$schema", "$id"}}
        found[root] = _moved(parts, root)
        for name, part in schema.get("$defs", {}).items():
            found[f"{root}.{name}"] = _moved(part, root)
    return found


def _moved(schema: Any, root: str) -> Any:
    """A schema whose references lead to where its parts lie now."""
    if isinstance(schema, list):
        return [_moved(part, root) for part in schema]
    if not isinstance(schema, dict):
        return schema
    return {key: _moved_part(key, part, root) for key, part in schema.items()}


def _moved_part(key: str, part: Any, root: str) -> Any:
    match key:
        case "const" | "enum" | "default" | "examples" | "example":  # values, not schemas
            return part
        case "properties" | "patternProperties" | "dependentSchemas":
            return {name: _moved(schema, root) for name, schema in part.items()}
        case "$ref":
            return _lead(part, root)
        case _:
            return _moved(part, root)


def _lead(reference: str, root: str) -> str:
    if reference.startswith("#/$defs/"):
        return f"{_SCHEMAS}{root}.{reference.removeprefix('#/$defs/')}"
    return f"{_SCHEMAS}{root}{reference.removeprefix('#')}" if reference.startswith("#") else reference
