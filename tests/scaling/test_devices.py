"""The table of devices: lookup by typed names and by names that drivers report, and peak rates."""

from __future__ import annotations

import pytest
import torch

from gptkit.errors import ConfigError
from gptkit.scaling.devices import (
    DEVICES,
    Peak,
    listed_peak,
    local_device_name,
    local_peak,
    matmul_dtype,
    measure_flops,
    named_device,
    reported_device,
)

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
def test_driver_names_are_matched(reported: str, name: str) -> None:
    device = reported_device(reported)
    assert device is not None
    assert device.name == name


@pytest.mark.parametrize("reported", ["NVIDIA A10G", "NVIDIA L40", "NVIDIA GeForce RTX 4090 Laptop GPU", "NVIDIA H20", "AMD EPYC"])
def test_similar_driver_name_is_not_matched(reported: str) -> None:
    assert reported_device(reported) is None


@pytest.mark.parametrize("name", DEVICES)
def test_every_device_is_found_by_its_name(name: str) -> None:
    assert named_device(name.upper().replace("-", "_")) is DEVICES[name]
    assert reported_device(name) is DEVICES[name]


def test_peaks_of_the_table_are_without_sparsity() -> None:
    assert named_device("h100").peak_flops == 989e12
    assert named_device("a100").peak_flops == 312e12
    assert named_device("A100-80GB") is named_device("a100")


def test_unknown_device_suggests_the_nearest_name() -> None:
    with pytest.raises(ConfigError, match="Did you mean h100"):
        named_device("h10")


def _peak(reported: str, precision: str, *, tf32: bool = False) -> Peak:
    peak = listed_peak(reported_device(reported), precision, tf32=tf32)
    assert peak is not None, reported
    return peak


def test_peak_is_found_by_driver_name_and_precision() -> None:
    expected = {
        "NVIDIA A100-SXM4-80GB": 312e12,
        "NVIDIA H100 80GB HBM3": 989e12,
        "NVIDIA H100 PCIe": 756e12,
        "NVIDIA H200": 989e12,
        "Tesla V100-SXM2-32GB": 125e12,
        "Tesla T4": 65e12,
        "NVIDIA GeForce RTX 4090": 165.2e12,
        "NVIDIA L4": 121e12,
        "NVIDIA L40S": 362e12,
    }
    assert {name: _peak(name, "bf16-mixed").flops for name in expected} == expected
    assert listed_peak(reported_device("Some new device"), "bf16-mixed", tf32=False) is None


def test_float32_has_two_peaks_on_devices_with_tf32() -> None:
    assert _peak("NVIDIA A100-SXM4-80GB", "32-true").flops == 19.5e12
    assert _peak("NVIDIA A100-SXM4-80GB", "32-true", tf32=True).flops == 156e12
    assert _peak("Tesla V100-SXM2-32GB", "32-true", tf32=True).flops == 15.7e12  # the device has no tf32
    assert listed_peak(named_device("tpu-v4"), "32-true", tf32=True) is None
    assert listed_peak(named_device("h100"), "64-true", tf32=True) is None


def test_cpu_is_measured_once_in_the_dtype_of_the_run() -> None:
    peak = local_peak(torch.device("cpu"), "32-true")
    assert peak is not None
    assert 1e8 < peak.flops < 1e15
    assert "fp32" in peak.source
    assert "measured" in peak.source
    assert measure_flops("fp32") == peak.flops
    assert local_device_name(torch.device("cpu"))


def test_matmul_dtype_follows_the_precision() -> None:
    expected = {"bf16-mixed": "bf16", "bf16-true": "bf16", "16-mixed": "fp16", "32-true": "fp32", "64-true": "fp64"}
    assert {name: matmul_dtype(name) for name in expected} == expected
