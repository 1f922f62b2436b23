"""Steps are exact with every instruction set of this processor, each in a process of its own: torch asks once."""

import os
import subprocess
import sys

import pytest
import torch
from support.paths import REPOSITORY

SUPPORTED = {
    "default": True,
    "avx2": torch.cpu._is_avx2_supported(),
    "avx512": torch.cpu._is_avx512_supported(),
}
RUN_TESTS = """
import sys, pytest, torch
print(torch.backends.cpu.get_cpu_capability())
sys.exit(pytest.main(sys.argv[1:]))
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)  # it runs eight tests, each with a limit of its own
@pytest.mark.parametrize("name", SUPPORTED)
def test_steps_are_exact_with_each_instruction_set(name: str) -> None:
    if not SUPPORTED[name]:
        pytest.skip(f"this processor has no {name}")
    if torch.backends.cpu.get_cpu_capability() == name.upper():
        pytest.skip(f"torch takes {name} by itself: test_exact_steps.py runs with it")
    # Without gradients of the paper's AlexNet, which would take as long as all others: its weights are compared after
    # twenty steps, and gradients are of a network with many channels.
    chosen = "(twenty_steps or gradients and many) and by_hand and not avx_512"
    done = subprocess.run(
        [sys.executable, "-c", RUN_TESTS, "-q", "-k", chosen, str(REPOSITORY / "tests/worker/test_exact_steps.py")],
        # Threads that spin while they wait take the cores from the tests beside this one.
        env=os.environ | {"ATEN_CPU_CAPABILITY": name, "OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "8 passed" in done.stdout, "the words above choose other tests now"
    assert done.stdout.startswith(name.upper())
