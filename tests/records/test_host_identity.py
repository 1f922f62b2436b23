"""What is the same host after a restart, and what only looks like it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from benchbench.records.host_identity import FIRST_UTS_NAMESPACE, Host, read_host, this_host

if TYPE_CHECKING:
    from pathlib import Path


def write_host(root: Path, *, boot: str = "1", namespace: str = FIRST_UTS_NAMESPACE, card: str = "aa:bb") -> Path:
    """Write the files of a host, such as Linux shows them."""
    files = {
        "proc/sys/kernel/random/boot_id": boot,
        "proc/sys/kernel/hostname": "node",
        "etc/machine-id": "0123456789abcdef",
        "sys/class/net/eth0/address": card,
        "sys/class/net/docker0/address": f"of start {boot}",
    }
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{text}\n", encoding="ascii")
    (root / "sys/class/net/eth0/device").mkdir()
    (root / "proc/self/ns").mkdir(parents=True)
    (root / "proc/self/ns/uts").symlink_to(namespace)
    return root


def test_a_restart_changes_the_kernel_and_not_the_name(tmp_path: Path) -> None:
    before, after = (read_host(write_host(tmp_path / boot, boot=boot)) for boot in ("1", "2"))
    assert before.kernel != after.kernel
    assert before.name == after.name != ""


def test_a_clone_with_another_network_card_is_another_host(tmp_path: Path) -> None:
    names = {read_host(write_host(tmp_path / card, card=card)).name for card in ("aa", "bb")}
    assert len(names) == 2


def test_a_host_without_an_installation_id_has_no_name(tmp_path: Path) -> None:
    root = write_host(tmp_path)
    (root / "etc/machine-id").write_text("", encoding="ascii")
    assert read_host(root) == Host("1")


def test_a_host_without_a_network_card_of_its_own_has_no_name(tmp_path: Path) -> None:
    root = write_host(tmp_path)
    (root / "sys/class/net/eth0/device").rmdir()
    assert read_host(root) == Host("1")


def test_a_container_has_no_name(tmp_path: Path) -> None:
    assert read_host(write_host(tmp_path, namespace="uts:[4026532000]")).name == ""


def test_every_system_has_a_kernel(tmp_path: Path) -> None:
    assert this_host().kernel
    assert read_host(tmp_path).kernel
