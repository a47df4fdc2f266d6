"""What all shapes have in common."""

from pydantic import BaseModel, ConfigDict


class Shape(BaseModel):
    """Has the fields that it names and no others."""

    model_config = ConfigDict(extra="forbid")
