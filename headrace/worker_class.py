"""WorkerClass: a kind of worker, as operators set it up (`worker_classes` of the settings)."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationInfo, field_validator

from headrace.tiers import Tier


class WorkerClass(BaseModel):
    """A kind of worker: what it runs on, whom it serves, how many there are."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    device: str = Field("cpu", description="device handed to the model's `load`: cpu, cuda, cuda:0")
    devices: tuple[str, ...] = Field(
        (),
        description="GPUs of which each worker leases one (UUIDs); empty with device cuda: all that nvidia-smi lists",
    )
    slots: int = Field(1, ge=1, le=64, description="workers that share each of these GPUs")
    tiers: tuple[Tier, ...] = Field((Tier.PRIORITY, Tier.STANDARD, Tier.SPOT), description="tiers that it serves")
    models: tuple[str, ...] = Field(
        ("*",), description="names of the models that it serves; * means every released one"
    )
    min_workers: int = Field(1, ge=0, description="how many are kept alive when nothing waits")
    max_workers: int = Field(1, ge=0, description="how many there may be")
    wait_objective_s: float = Field(10.0, gt=0, description="in what time a backlog is to be gone")
    scale_down_window_s: float = Field(
        60.0, ge=0, description="how long fewer workers must have been enough before some are drained"
    )
    warm_spares: int = Field(
        0, ge=0, description="processes of `headrace up` with everything imported, of which the next workers are made"
    )
    warm_imports: tuple[Annotated[str, Field(pattern=r"^[A-Za-z_][\w.]*$")], ...] = Field(
        ("torch",), description="modules that the models' process of a spare has imported, if they are there"
    )
    is_spot: bool = Field(False, description="its machines may be taken away, or not be had: others then stand in")
    zone: str = Field("", description="where its machines are; a zone that makes trouble is left alone for a while")
    threads: int = Field(1, ge=1, description="CPU threads of the model's process")
    memory_bytes: int = Field(
        0,
        ge=0,
        description="memory that the models of a worker may use at once, on the device or, on cpu, with their process;"
        " beyond it models make way for others; 0: all stay loaded",
    )
    host_memory_bytes: int = Field(
        0,
        ge=0,
        description="host memory in which models of a worker may stay that made way on its device: they come back by a"
        " copy; not on cpu, where both are the same memory; 0: they are unloaded",
    )
    labels: tuple[str, ...] = Field((), description="what its machines have that models may ask for: nvlink, eu")
    price_per_hour: float = Field(
        0.0,
        ge=0,
        description="what a worker costs; of classes that suit a model alike that one does a job which takes least",
    )
    late_cost: float = Field(
        0.0,
        ge=0,
        description="what a job costs you that waits longer than wait_objective_s: workers are started to save time"
        " only where that is worth more than they cost; 0: always",
    )
    least_paid_s: float = Field(0.0, ge=0, description="time that a machine is paid for at least once it has started")
    pinned: tuple[str, ...] = Field((), description="names of the models that stay loaded once they are")

    @field_validator("host_memory_bytes")
    @classmethod
    def _has_a_device_beside(cls, host_bytes: int, info: ValidationInfo) -> int:
        device = info.data.get("device", "cpu")
        if host_bytes and device.startswith("cpu"):
            raise ValueError(
                f"device {device} has no memory beside the host's, so nothing is gained by keeping models there;"
                " leave it 0, or raise memory_bytes"
            )
        if host_bytes and not info.data.get("memory_bytes"):
            raise ValueError("nothing makes way without a limit; set memory_bytes as well, or leave it 0")
        return host_bytes

    @field_validator("max_workers")
    @classmethod
    def _is_not_below_the_least(cls, most: int, info: ValidationInfo) -> int:
        if most < (least := info.data.get("min_workers", 0)):
            raise ValueError(f"{most} is less than min_workers, {least}; raise max_workers or lower min_workers")
        return most


def default_worker_classes(cores: int = 1) -> dict[str, WorkerClass]:
    """The classes that there are if none are set, for a machine with so many cores to spare."""
    bulk = (Tier.SPOT, Tier.STANDARD)
    return {
        "on-demand": WorkerClass(max_workers=max(1, cores)),
        "spot": WorkerClass(tiers=bulk, min_workers=0, max_workers=max(1, cores // 2), wait_objective_s=30.0),
    }
