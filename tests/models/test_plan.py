from __future__ import annotations

from pathlib import Path

import pytest

from voicebot.errors import ModelError
from voicebot.models.catalogue import Catalogue, Model, load_catalogue
from voicebot.models.plan import AUDIO_MB_PER_SESSION, available_memory_mb, plan_memory

MEMINFO = "MemTotal: 8000000 kB\nMemAvailable: 4000000 kB\nHugePages_Total: 0\n"


@pytest.fixture
def catalogue(tmp_path: Path) -> Catalogue:
    return load_catalogue(tmp_path)


@pytest.fixture
def defaults(catalogue: Catalogue) -> list[Model]:
    return [catalogue.model(model_id) for model_id in catalogue.defaults.values()]


def test_the_total_is_weights_and_kv_and_work_and_audio(defaults: list[Model]) -> None:
    plan = plan_memory(defaults, context_tokens=2048, sessions=3, available_mb=1000)
    kv_mb = 2048 * 3 * 2 * 30 * 3 * 64 * 2 / 1e6
    plain = sum(model.memory.weights_mb + model.memory.work_mb for model in defaults)
    assert plan.total_mb == pytest.approx(plain + kv_mb + 3 * AUDIO_MB_PER_SESSION)
    assert [row.kv_mb for row in plan.rows] == pytest.approx([0, kv_mb, 0, 0])
    assert plan.fits
    plan.check()
    assert "KV" in plan.formula


def test_a_quantised_cache_costs_less(defaults: list[Model]) -> None:
    half = plan_memory(defaults, 2048, 1, 1000, kv_bytes_per_element=1)
    full = plan_memory(defaults, 2048, 1, 1000)
    assert half.rows[1].kv_mb == full.rows[1].kv_mb / 2


def test_exactly_enough_fits(defaults: list[Model]) -> None:
    need_mb = plan_memory(defaults, 2048, 1, 0).total_mb
    assert plan_memory(defaults, 2048, 1, need_mb).fits
    assert not plan_memory(defaults, 2048, 1, need_mb - 0.1).fits


def test_a_refusal_has_the_numbers_and_the_largest_model_that_fits(catalogue: Catalogue) -> None:
    models = [catalogue.model("whisper-tiny.en"), catalogue.model("qwen3-4b-q4_k_m")]
    plan = plan_memory(models, 2048, 1, 3000, alternatives=list(catalogue.models.values()))
    with pytest.raises(ModelError, match=r"need 3356 MB .* 3000 MB are available; use qwen3-1\.7b-q8_0 \(\d+ MB\)"):
        plan.check()


def test_a_file_larger_than_memory_is_named_alone(catalogue: Catalogue) -> None:
    plan = plan_memory([catalogue.model("qwen3-4b-q4_k_m")], 2048, 1, 1000, alternatives=[])
    assert plan.refusal().startswith("qwen3-4b-q4_k_m alone has 2497 MB of weights where 1000 MB are available")
    assert "no smaller model" in plan.refusal()


def test_a_long_context_is_told_apart(defaults: list[Model]) -> None:
    assert "shorter context or fewer sessions" in plan_memory(defaults, 32768, 8, 1000).refusal()


def test_an_alternative_speaks_the_language_and_needs_no_terms(catalogue: Catalogue) -> None:
    models = [catalogue.model("whisper-large-v3-turbo"), catalogue.model("piper-de_DE-thorsten-medium")]
    refusal = plan_memory(models, 2048, 1, 700, alternatives=list(catalogue.models.values())).refusal()
    assert "use whisper-small" in refusal
    slm = plan_memory([catalogue.model("qwen3-0.6b-q8_0")], 512, 1, 950, alternatives=list(catalogue.models.values()))
    assert "use smollm2" in slm.refusal()


def write(root: Path, files: dict[str, object]) -> None:
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{value}\n")


def test_without_a_cgroup_the_kernels_estimate_counts(tmp_path: Path) -> None:
    write(tmp_path, {"proc/meminfo": MEMINFO})
    assert available_memory_mb(tmp_path) == pytest.approx(4096)


def test_a_limit_of_any_parent_group_holds(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/system.slice"
    write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "0::/system.slice/voicebot.service",
            f"{group}/voicebot.service/memory.max": "max",
            f"{group}/voicebot.service/memory.current": 10_000_000,
            f"{group}/memory.max": 500_000_000,
            f"{group}/memory.current": 200_000_000,
            f"{group}/memory.stat": "anon 1\ninactive_file 50000000",
        },
    )
    assert available_memory_mb(tmp_path) == pytest.approx(350)


def test_version_1_groups_and_containers(tmp_path: Path) -> None:
    group = "sys/fs/cgroup/memory"
    write(
        tmp_path,
        {
            "proc/meminfo": MEMINFO,
            "proc/self/cgroup": "3:cpu,cpuacct:/x\n2:memory:/docker/not-visible-here",
            f"{group}/memory.limit_in_bytes": 300_000_000,
            f"{group}/memory.usage_in_bytes": 400_000_000,
        },
    )
    assert available_memory_mb(tmp_path) == 0
    write(tmp_path, {f"{group}/memory.limit_in_bytes": 9223372036854771712})
    assert available_memory_mb(tmp_path) == pytest.approx(4096)


def test_this_box_and_one_without_proc(tmp_path: Path) -> None:
    assert available_memory_mb() > 0
    with pytest.raises(ModelError, match="mount /proc"):
        available_memory_mb(tmp_path)
