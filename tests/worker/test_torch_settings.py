"""What plugins change in torch for the whole process is restored, and noted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
import torch.backends.opt_einsum
from support.paths import PLUGINS
from torch.nn.modules.module import (
    register_module_backward_hook,
    register_module_forward_hook,
    register_module_full_backward_hook,
)
from torch.optim.optimizer import register_optimizer_step_pre_hook

import benchbench as bb
from benchbench.config.spec import Draft
from benchbench.config.training_options import TrainingOptions
from benchbench.plugin.registry import Registry
from benchbench.protocol.jobs import TimingJob, TrialJob
from benchbench.protocol.shared_counter import SharedCounter
from benchbench.records.events import Started
from benchbench.worker import timing
from benchbench.worker.torch_settings import TorchSettings, restore_settings
from benchbench.worker.trial import run_trial

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.usefixtures("one_cache")
HAS_NEW_NAMES = hasattr(torch.backends, "fp32_precision")
ON_THE_CPU = TrainingOptions(device="cpu", artifacts="none")
needs_opt_einsum = pytest.mark.skipif(not torch.backends.opt_einsum.is_available(), reason="opt_einsum is missing")
needs_new_names = pytest.mark.skipif(not HAS_NEW_NAMES, reason="this torch has no fp32_precision")


def set_backend(path: str, value: object) -> Callable[[], None]:
    *parents, name = path.split(".")

    def turn() -> None:
        owner: Any = torch.backends
        for parent in parents:
            owner = getattr(owner, parent)
        setattr(owner, name, value)

    return turn


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    num_threads = torch.get_num_threads()
    restore_settings("fp32", num_threads=num_threads)
    yield
    restore_settings("fp32", num_threads=num_threads)


@pytest.mark.parametrize(
    ("turn", "name"),
    [
        (lambda: torch.set_num_threads(1), "num_threads"),
        (lambda: torch.set_default_dtype(torch.float64), "default_dtype"),
        (lambda: torch.set_default_device("meta"), "default_device"),
        (lambda: torch.set_grad_enabled(False), "grad_enabled"),
        (lambda: torch.autograd.set_detect_anomaly(True), "anomaly_detection"),
        (lambda: torch.use_deterministic_algorithms(True, warn_only=True), "deterministic_algorithms"),
        (lambda: torch.set_autocast_enabled("cpu", True), "autocast.cpu"),
        (lambda: torch.set_autocast_dtype("cpu", torch.float16), "autocast_dtype.cpu"),
        (lambda: torch.set_autocast_dtype("cuda", torch.bfloat16), "autocast_dtype.cuda"),
        (lambda: torch.set_autocast_enabled("mps", True), "autocast.mps"),
        (lambda: torch.backends.nnpack.set_flags(False), "nnpack.enabled"),
        (lambda: torch.backends.cuda.preferred_linalg_library("cusolver"), "cuda.preferred_linalg_library"),
        (lambda: torch.set_float32_matmul_precision("high"), "float32_matmul_precision"),
        (lambda: torch.backends.cuda.enable_math_sdp(False), "cuda.math_sdp"),
        (lambda: torch.backends.cuda.allow_fp16_bf16_reduction_math_sdp(True), "cuda.fp16_bf16_reduction"),
        (lambda: torch.backends.mha.set_fastpath_enabled(False), "mha.fastpath_enabled"),
        (lambda: torch.set_autocast_cache_enabled(False), "autocast.cache"),
        (set_backend("cudnn.benchmark", value=True), "cudnn.benchmark"),
        (set_backend("mkldnn.enabled", value=False), "mkldnn.enabled"),
        pytest.param(set_backend("opt_einsum.strategy", "optimal"), "opt_einsum.strategy", marks=needs_opt_einsum),
        pytest.param(set_backend("fp32_precision", "tf32"), "fp32_precision", marks=needs_new_names),
        pytest.param(set_backend("mkldnn.conv.fp32_precision", "bf16"), "mkldnn.conv", marks=needs_new_names),
        pytest.param(set_backend("cudnn.conv.fp32_precision", "tf32"), "cudnn.conv", marks=needs_new_names),
    ],
)
def test_every_setting_is_restored_and_named(turn: Callable[[], None], name: str) -> None:
    num_threads = torch.get_num_threads()
    turn()
    assert any(changed.startswith(name) for changed in restore_settings("fp32", num_threads=num_threads))
    assert restore_settings("fp32", num_threads=num_threads) == ()


def test_only_a_tf32_trial_multiplies_in_tf32() -> None:
    restore_settings("tf32", num_threads=2)
    assert torch.backends.cuda.matmul.allow_tf32
    assert torch.backends.cudnn.allow_tf32
    for precision in ("fp32", "bf16"):
        restore_settings(precision, num_threads=2)
        assert not torch.backends.cuda.matmul.allow_tf32
        assert not torch.backends.cudnn.allow_tf32
        assert torch.get_float32_matmul_precision() == "highest"


def test_a_build_that_changes_settings_changes_no_number_and_the_record_names_it(tmp_path: Path) -> None:
    registry = Registry.load([PLUGINS / "unruly.py"])
    counter = SharedCounter(tmp_path / "counter")

    def losses(vice: str) -> tuple[Started, list[float]]:
        table = {"model": {"name": "unruly", "vice": vice, "at": 10**6}, "dataset": "digits", "batch_size": 100}
        spec = registry.resolve(Draft.from_toml(table | {"epochs": 1}))
        job = TrialJob(spec, "1", str(tmp_path), str(tmp_path / vice / "1"), ON_THE_CPU)
        started, *others = run_trial(job, registry, counter=counter)
        assert isinstance(started, Started)
        return started, [event.epoch.train_loss for event in others if event.event == "epoch_finished"]

    calm, expected = losses("raises")
    turned, got = losses("switches")
    assert got == expected
    assert calm.acceleration["put_back"] == "nothing"
    assert turned.acceleration["put_back"] == "num_threads, default_dtype by model unruly"
    assert calm.machine.num_threads == turned.machine.num_threads
    counter.close()


TURNS = """
import benchbench as bb
import torch
from benchbench_plugins import constant, cross_entropy, digits, flip, sgd

def turning(base, method):
    def turn(self, *args, **named):
        torch.set_num_threads(1)
        return getattr(super(cls, self), method)(*args, **named)
    cls = type("Turning", (base,), {method: turn, "__module__": __name__}, name="turning")
    return cls

@bb.hookimpl
def benchbench_datasets():
    return [turning(digits.Digits, "load")]

@bb.hookimpl
def benchbench_augmentations():
    return [turning(flip.Flip, "build")]

@bb.hookimpl
def benchbench_losses():
    return [turning(cross_entropy.CrossEntropy, "build")]

@bb.hookimpl
def benchbench_optimizers():
    return [turning(sgd.SGD, "build")]

@bb.hookimpl
def benchbench_schedulers():
    return [turning(constant.Constant, "build")]
"""


@pytest.mark.parametrize("kind", ["dataset", "augmentation", "loss", "optimizer", "scheduler"])
def test_whichever_plugin_changes_a_setting_it_is_restored_and_named(kind: str, tmp_path: Path) -> None:
    (tmp_path / "turns.py").write_text(TURNS, encoding="utf-8")
    registry = Registry.load([tmp_path / "turns.py", PLUGINS / "tiny.py"])
    counter = SharedCounter(tmp_path / "counter")
    table = {"model": "tiny", "dataset": "digits", "batch_size": 100, "epochs": 1} | {kind: "turning"}
    spec = registry.resolve(Draft.from_toml(table))
    job = TrialJob(spec, "1", str(tmp_path), str(tmp_path / "1"), ON_THE_CPU)
    started = next(run_trial(job, registry, counter=counter))
    assert isinstance(started, Started)
    assert started.acceleration["put_back"] == f"num_threads by {kind} turning"
    assert torch.get_num_threads() == started.machine.num_threads
    counter.close()


PRECISION = """
import benchbench as bb
import torch
from torch.nn import functional as F

class Precise(bb.Model, name="precise"):
    def build(self, data):
        images, kernels = torch.randn(4, 64, 16, 16), torch.randn(64, 64, 3, 3)
        precise = F.conv2d(images.double(), kernels.double())
        error = (F.conv2d(images, kernels) - precise).norm() / precise.norm()
        assert error < 1e-5, f"fp32 is computed with an error of {error}"
        return torch.nn.Sequential(torch.nn.Flatten(), torch.nn.LazyLinear(data.num_classes))

@bb.hookimpl
def benchbench_models():
    return [Precise]
"""


@pytest.mark.slow
@pytest.mark.usefixtures("workdir")
def test_no_variable_of_the_environment_makes_fp32_less_precise(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "precise.py").write_text(PRECISION, encoding="utf-8")
    monkeypatch.setenv("ONEDNN_DEFAULT_FPMATH_MODE", "BF16")
    record = bb.run("precise", "digits", epochs=1, plugins=[tmp_path / "precise.py"], artifacts="none")
    assert record.status == "finished"
    assert record.acceleration["put_back"] == "ONEDNN_DEFAULT_FPMATH_MODE by the environment"


def test_hooks_for_all_modules_and_optimizers_end_with_their_trial() -> None:
    num_threads = torch.get_num_threads()
    TorchSettings("fp32", num_threads=num_threads).apply()
    seen: list[str] = []
    register_optimizer_step_pre_hook(lambda *_: seen.append("step"))
    register_module_forward_hook(lambda *_: seen.append("forward"))
    register_module_full_backward_hook(lambda *_: seen.append("backward"))
    settings = TorchSettings("fp32", num_threads=num_threads)
    settings.apply()
    assert settings.changes == "hooks for all modules or optimizers by an earlier trial"
    model = torch.nn.Linear(2, 2)
    model(torch.ones(1, 2)).sum().backward()
    torch.optim.SGD(model.parameters(), lr=0.1).step()
    assert not seen
    register_module_backward_hook(lambda *_: None).remove()  # which torch refuses beside a full one
    again = TorchSettings("fp32", num_threads=num_threads)
    again.apply()


CLIPS = """
import benchbench as bb
import torch
from torch.optim.optimizer import register_optimizer_step_pre_hook

def clip(optimizer, *_):
    for group in optimizer.param_groups:
        for weight in group["params"]:
            weight.grad.zero_()

class Clipped(bb.Optimizer, name="clipped"):
    def build(self, model):
        register_optimizer_step_pre_hook(clip)
        return torch.optim.SGD(model.parameters(), lr=0.1)

@bb.hookimpl
def benchbench_optimizers():
    return [Clipped]
"""


@pytest.mark.slow
def test_each_timed_variant_has_the_hooks_that_its_own_plugins_registered(tmp_path: Path) -> None:
    (tmp_path / "clips.py").write_text(CLIPS, encoding="utf-8")
    registry = Registry.load([tmp_path / "clips.py", PLUGINS / "tiny.py"])
    drafts = [
        {"model": "tiny", "dataset": "digits", "batch_size": 100, "optimizer": name} for name in ("clipped", "sgd")
    ]
    specs = tuple(registry.resolve(Draft.from_toml(draft)) for draft in drafts)
    names, roots = ("clipped", "sgd"), {"digits": str(tmp_path)}
    job = TimingJob(specs, names, rounds=1, steps=2, device="cpu", data_roots=roots)
    variants = [timing._Variant(job, number, registry, on_status=timing.no_status) for number in range(2)]
    changed = []
    for variant in variants:
        (weight, *_) = variant.ready.learner.model.parameters()
        before = weight.detach().clone()
        variant.measure(SharedCounter(tmp_path / "counter"))
        changed.append(not torch.equal(before, weight))
    assert changed == [False, True]
