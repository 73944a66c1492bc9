"""A synthesized stage, read the way CloudFormation reads it."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

Properties = Mapping[str, Any]


@dataclass(frozen=True)
class Assembly:
    """The cloud assembly of one stage in `directory`."""

    stage: str
    directory: Path

    @property
    def template_path(self) -> Path:
        return self.directory / f"Meterline-{self.stage}.template.json"

    @cached_property
    def template(self) -> dict[str, Any]:
        return json.loads(self.template_path.read_text())

    def resources(self, type_: str) -> dict[str, dict[str, Any]]:
        """Resources of a type such as "AWS::SQS::Queue", whole, by readable name."""
        return {
            readable(logical_id): resource
            for logical_id, resource in self.template["Resources"].items()
            if resource["Type"] == type_
        }

    def properties(self, type_: str) -> dict[str, Properties]:
        return {name: resource["Properties"] for name, resource in self.resources(type_).items()}

    def functions(self) -> dict[str, Properties]:
        """Properties of the functions, by the module that they run."""
        return {
            properties["Handler"].split(".")[1]: properties
            for properties in self.properties("AWS::Lambda::Function").values()
        }

    def code_directory(self) -> Path:
        [key] = {function["Code"]["S3Key"] for function in self.functions().values()}
        return self.directory / f"asset.{Path(key).stem}"

    def layer_directory(self) -> Path:
        [layer] = self.properties("AWS::Lambda::LayerVersion").values()
        return self.directory / f"asset.{Path(layer['Content']['S3Key']).stem}"


def readable(logical_id: str) -> str:
    """A logical id without the hash that the CDK appends: the path of the construct."""
    return re.sub(r"[0-9A-F]{8}$", "", logical_id)


def reference(value: Any) -> str:
    """A template's value as text, references written as the readable name of what they name.

    An attribute other than the ARN is written after a dot: "TablesBilling.StreamArn".
    """
    if isinstance(value, str):
        return value
    [(function, argument)] = value.items()
    if function == "Ref":
        return readable(argument)
    if function == "Fn::GetAtt":
        name, attribute = argument
        return readable(name) if attribute == "Arn" else f"{readable(name)}.{attribute}"
    if function == "Fn::Join":
        separator, parts = argument
        return separator.join(reference(part) for part in parts)
    raise ValueError(f"unexpected function {function} in a template")
