"""The table of devices: names that people type and names that drivers report."""

from __future__ import annotations

import pytest

from gptkit.errors import ConfigError
from gptkit.scaling.devices import DEVICES, named_device, reported_device

REPORTED = {
    "Tesla V100-SXM2-32GB": "v100",
    "Tesla T4": "t4",
    "NVIDIA A100-SXM4-40GB": "a100-40gb",
    "NVIDIA A100-SXM4-80GB": "a100",
    "NVIDIA A100 80GB PCIe": "a100",
    "NVIDIA H100 80GB HBM3": "h100",
    "NVIDIA H100 PCIe": "h100-pcie",
    "NVIDIA H200": "h200",
    "NVIDIA B200": "b200",
    "NVIDIA A10": "a10",
    "NVIDIA L4": "l4",
    "NVIDIA L40S": "l40s",
    "NVIDIA GeForce RTX 3090": "rtx3090",
    "NVIDIA GeForce RTX 4090": "rtx4090",
    "NVIDIA GeForce RTX 5090": "rtx5090",
    "TPU v4": "tpu-v4",
    "TPU v5 lite": "tpu-v5e",
    "TPU v5p": "tpu-v5p",
}


@pytest.mark.parametrize(("reported", "name"), REPORTED.items())
def test_drivers_names_are_known(reported: str, name: str) -> None:
    device = reported_device(reported)
    assert device is not None
    assert device.name == name


@pytest.mark.parametrize("reported", ["NVIDIA A10G", "NVIDIA L40", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H20", "AMD EPYC"])
def test_a_similar_name_is_not_taken_for_another_device(reported: str) -> None:
    assert reported_device(reported) is None


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_found_by_its_own_name(name: str) -> None:
    assert named_device(name.upper().replace("-", "_")) is DEVICES[name]
    assert reported_device(name) is DEVICES[name]


def test_peaks_are_without_sparsity() -> None:
    assert named_device("h100").peak_flops == 989e12
    assert named_device("a100").peak_flops == 312e12
    assert named_device("A100-80GB") is named_device("a100")


def test_an_unknown_name_gets_the_nearest() -> None:
    with pytest.raises(ConfigError, match="Did you mean h100"):
        named_device("h10")
